//! The command line: one file a command, each a few lines over the library. Results go to stdout, messages to stderr.

mod describe;
mod exit;
mod validate;

use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use clap::{Args, Parser, Subcommand, ValueEnum};
use sheetstream::topology::Problems;

pub use exit::Exit;

/// Examples stand before everything else in a help text.
const EXAMPLES_FIRST: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "Examples:
  sheetstream validate topology/*.toml          find what is wrong before anything runs
  sheetstream describe topology/seoul-markets.toml
";

/// CSV rows on a Kafka topic in, finished Excel workbooks out.
#[derive(Debug, Parser)]
#[command(version, help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub struct Arguments {
    /// What goes for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub struct Global {
    /// Results as JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Form of the log on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "SHEETSTREAM_LOG_FORMAT",
        value_name = "FORM"
    )]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The commands. A new one is a file beside this one, a variant here and an arm in [`Command::run`].
#[derive(Debug, Subcommand)]
pub enum Command {
    Validate(validate::Validate),
    Describe(describe::Describe),
}

impl Command {
    /// Does it. An outcome that is no error, such as invalid files, is an [`Exit`] of its own.
    pub fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Command::Validate(command) => command.run(global),
            Command::Describe(command) => command.run(global),
        }
    }
}

/// Whether `stream` takes colours: a terminal does, unless `NO_COLOR` is set and not empty (<https://no-color.org>).
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes an error and its causes to stderr; problems of a topology as `validate` writes them.
pub fn complain(error: &anyhow::Error) {
    let red = if colours(&io::stderr()) { AnsiColor::Red.on_default().bold() } else { Style::new() };
    // Where stderr is closed there is nobody left to tell.
    let _ = match error.downcast_ref::<Problems>() {
        Some(problems) => writeln!(io::stderr(), "{problems}"),
        None => writeln!(io::stderr(), "{red}error:{red:#} {error:#}"),
    };
}

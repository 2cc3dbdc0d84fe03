//! The command line: one file a command, each a few lines over the library. Results go to stdout, messages to stderr.

mod broker;
mod broker_command;
mod bundle;
mod completions;
mod config;
mod convert;
mod demo;
mod describe;
mod dev;
mod dlq;
mod doctor;
mod exit;
mod fetch;
mod found_topology;
mod grant;
mod graph;
mod health;
mod http;
mod input;
mod inspect;
pub(crate) mod log;
mod man;
mod metrics;
mod new;
mod out;
pub(crate) mod panic;
mod patience;
mod pause;
mod plan;
mod publish;
mod reasons;
mod replay;
mod reset;
mod run;
mod running;
mod sample;
mod sample_file;
mod schema;
mod server;
mod shown;
mod status;
mod test;
mod top;
mod topics;
mod topologies;
mod upload_progress;
mod validate;
mod watch;

use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use clap::{Args, Parser, Subcommand};
use sheetstream::kafka::settings::SettingsError;
use sheetstream::topology::Problems;

pub(crate) use exit::Exit;
pub(crate) use log::LogFormat;

/// Examples come before everything else in a help text.
const EXAMPLES_FIRST: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "Examples:
  sheetstream demo                              a sample CSV becomes a workbook, with nothing installed
  sheetstream dev                               the same with a page to drop CSV files on
  sheetstream convert seoul.csv -t topology/seoul-markets.toml -o seoul.xlsx
  sheetstream new --from seoul.csv -o my.toml   a topology to begin with, written from the file
  sheetstream run topology/seoul-markets.toml   and, elsewhere, publish and fetch
  sheetstream validate topology                 find what is wrong before anything runs
  sheetstream plan seoul.csv -t my.toml         what would become of a file: sheets, rows, rejects by reason
  sheetstream watch inbox -t my.toml            a folder: what is put there is published, its workbook comes back
  sheetstream describe topology/seoul-markets.toml
";

/// CSV rows on a Kafka topic in, finished Excel workbooks out.
#[derive(Debug, Parser)]
#[command(version, help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Results as JSON, for programs
    #[arg(help_heading = "For every command", long, global = true)]
    pub json: bool,
    /// Form of the log on stderr
    #[arg(
        help_heading = "For every command",
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "SHEETSTREAM_LOG_FORMAT",
        value_name = "FORM"
    )]
    pub log_format: LogFormat,
}

/// The commands. A new one is a file beside this one, a variant here and an arm in [`Command::run`].
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Dev(dev::Dev),
    Convert(convert::Convert),
    Inspect(inspect::Inspect),
    New(new::New),
    Plan(plan::Plan),
    Test(test::Test),
    Run(run::Run),
    Publish(publish::Publish),
    Fetch(fetch::Fetch),
    Watch(watch::Watch),
    Topics(topics::Topics),
    Validate(validate::Validate),
    Describe(describe::Describe),
    Graph(graph::Graph),
    Schema(schema::Schema),
    Reasons(reasons::Reasons),
    Metrics(metrics::Metrics),
    Status(status::Status),
    Top(top::Top),
    Doctor(doctor::Doctor),
    Health(health::Health),
    Config(config::Config),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Replay(replay::Replay),
    Dlq(dlq::Dlq),
    Reset(reset::Reset),
    Bundle(bundle::Bundle),
    #[command(name = "broker")]
    Broker(broker_command::BrokerCommand),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// The log levels unless `SHEETSTREAM_LOG` sets others. A service reports its work, other commands report only odd events. rskafka is
    /// off: it logs errors that we answer by reading on without it.
    pub(crate) fn default_log_levels(&self) -> &'static str {
        match self {
            Command::Run(_) => "info,rskafka=off",
            // A changed topology never can use the state of the one before: that need not be logged here.
            Command::Dev(_) => "warn,rskafka=off,sheetstream::state::directory=error,sheetstream::runtime::task=error",
            _ => "warn,rskafka=off",
        }
    }

    /// Does it. An outcome that is no error, such as invalid files, is an [`Exit`] of its own.
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Command::Demo(command) => command.run(global),
            Command::Dev(command) => command.run(global),
            Command::Convert(command) => command.run(global),
            Command::Inspect(command) => command.run(global),
            Command::New(command) => command.run(global),
            Command::Plan(command) => command.run(global),
            Command::Test(command) => command.run(global),
            Command::Run(command) => command.run(global),
            Command::Publish(command) => command.run(global),
            Command::Fetch(command) => command.run(global),
            Command::Watch(command) => command.run(global),
            Command::Topics(command) => command.run(global),
            Command::Validate(command) => command.run(global),
            Command::Describe(command) => command.run(global),
            Command::Graph(command) => command.run(global),
            Command::Schema(command) => command.run(global),
            Command::Reasons(command) => command.run(global),
            Command::Metrics(command) => command.run(global),
            Command::Status(command) => command.run(global),
            Command::Top(command) => command.run(global),
            Command::Doctor(command) => command.run(global),
            Command::Health(command) => command.run(global),
            Command::Config(command) => command.run(global),
            Command::Pause(command) => command.run(global),
            Command::Resume(command) => command.run(global),
            Command::Replay(command) => command.run(global),
            Command::Dlq(command) => command.run(global),
            Command::Reset(command) => command.run(global),
            Command::Bundle(command) => command.run(global),
            Command::Broker(command) => command.run(global),
            Command::Completions(command) => command.run(global),
            Command::Man(command) => command.run(global),
        }
    }
}

/// The runtime behind a client's blocking calls.
fn io_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("kafka").enable_all().build()
}

/// Whether `stream` takes colours: a terminal does, unless `NO_COLOR` is set and not empty (<https://no-color.org>).
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes an error and its causes to stderr; problems of a topology as `validate` writes them.
pub(crate) fn complain(error: &anyhow::Error) {
    let red = if colours(&io::stderr()) { AnsiColor::Red.on_default().bold() } else { Style::new() };
    let written = match error.downcast_ref::<Problems>() {
        Some(problems) => writeln!(io::stderr(), "{}", shown::escaped_lines(&problems.with_excerpts().to_string())),
        None if error.is::<SettingsError>() => {
            writeln!(io::stderr(), "{red}error:{red:#} {}", shown::escaped_lines(&sentence(error)))
        }
        None => writeln!(io::stderr(), "{red}error:{red:#} {}", shown::escaped(&sentence(error))),
    };
    written.ok(); // where stderr is closed, nobody reads
}

/// The error and its causes, without causes that the text before them says already.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !sentence.ends_with(&cause) {
            let separator = if sentence.is_empty() { "" } else { ": " };
            sentence += &format!("{separator}{cause}");
        }
    }
    sentence
}

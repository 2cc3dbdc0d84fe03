//! `completions`: scripts by which a shell completes our commands and options.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream completions bash > ~/.local/share/bash-completion/completions/sheetstream
  sheetstream completions zsh > ~/.zfunc/_sheetstream
  sheetstream completions fish > ~/.config/fish/completions/sheetstream.fish
";

/// Print the completions of a shell
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        // Into memory first: the library panics where a reader goes away.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "sheetstream", &mut script);
        io::Write::write_all(&mut io::stdout(), &script)?;
        Ok(Exit::Ok)
    }
}

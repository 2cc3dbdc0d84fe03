//! `man`: manual pages, one for the whole and one for each command.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};

use super::{Arguments, EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream man | man -l -
  sheetstream man ~/.local/share/man/man1     then: man sheetstream-run
";

/// Print the manual page, or write all of them into a folder
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Man {
    /// Folder for sheetstream.1 and a page of each command; made if it is missing
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        match &self.folder {
            Some(folder) => {
                std::fs::create_dir_all(folder).with_context(|| format!("folder {}", folder.display()))?;
                clap_mangen::generate_to(examples_behind(Arguments::command()), folder)
                    .with_context(|| format!("folder {}", folder.display()))?;
                writeln!(io::stdout(), "{}", folder.join("sheetstream.1").display())?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(examples_behind(Arguments::command())).render(&mut page)?;
                io::stdout().write_all(&page)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// A manual page has its examples behind the options, where the maker of pages looks for them.
fn examples_behind(command: Command) -> Command {
    let command = match command.get_before_help().cloned() {
        Some(examples) => command.after_help(examples),
        None => command,
    };
    command.mut_subcommands(examples_behind)
}

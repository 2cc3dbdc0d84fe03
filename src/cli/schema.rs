//! `schema`: prints all keys of a topology file, for editors and for people.

use std::io::{self, Write};

use clap::Args;
use sheetstream::topology::{markdown, schema};

use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream schema > topology.schema.json     then, at the top of a topology: #:schema ./topology.schema.json
  sheetstream schema --markdown | less
";

/// Print the JSON Schema of topology files
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Schema {
    /// The reference of all keys as a page of documentation
    #[arg(long)]
    markdown: bool,
}

impl Schema {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        match self.markdown {
            true => write!(io::stdout(), "{}", markdown())?,
            false => writeln!(io::stdout(), "{:#}", schema())?,
        }
        Ok(Exit::Ok)
    }
}

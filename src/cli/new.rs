//! `new`: writes a topology to begin with, from a file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::input::crs;
use super::sample_file::SampleFile;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream new --from export.csv -o export.toml     then: sheetstream convert export.csv -t export.toml -o export.xlsx
  sheetstream new --from export.csv --crs EPSG:5174
";

/// Write a topology for a CSV file: its columns, their types, its CRS, with reasons
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct New {
    /// CSV file that it is written from
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    sample: SampleFile,
    /// CRS of the coordinates, such as EPSG:5181 or 5181 [default: the one that fits best]
    #[arg(long, value_parser = crs, value_name = "CRS")]
    crs: Option<String>,
    /// File to write, which must not exist [default: standard output]
    #[arg(short, long, value_name = "TOPOLOGY.toml")]
    out: Option<PathBuf>,
}

impl New {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let text = self.sample.look(&self.from)?.draft(self.crs.as_deref()).to_toml();
        match self.out.as_ref().filter(|path| path.as_os_str() != "-") {
            None => io::stdout().write_all(text.as_bytes())?,
            Some(path) => {
                let file = OpenOptions::new().write(true).create_new(true).open(path);
                let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
                written.with_context(|| path.display().to_string())?;
            }
        }
        Ok(Exit::Ok)
    }
}

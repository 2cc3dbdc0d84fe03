//! `validate`: everything that is wrong with topology files, found without a broker.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sheetstream::topology::Topology;

use super::{EXAMPLES_FIRST, Exit, Global, topologies};

const EXAMPLES: &str = "Examples:
  sheetstream validate topology
  sheetstream validate --json topology/seoul-markets.toml | jq '.[].problems'
";

/// Check topology files; exits with 78 when one is wrong
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub struct Validate {
    /// Topology files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Validate {
    pub fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let mut exit = Exit::Ok;
        let mut verdicts = Vec::new();
        for path in &topologies::files(&self.files)? {
            let file = path.display();
            let verdict = Topology::load(path);
            if verdict.is_err() {
                exit = Exit::Config;
            }
            match verdict {
                Ok(Topology { name, hash, .. }) if global.json => {
                    verdicts.push(json!({ "file": file.to_string(), "name": &*name, "hash": &*hash, "problems": [] }));
                }
                Err(problems) if global.json => verdicts.push(json!(problems)),
                Ok(Topology { name, hash, .. }) => writeln!(io::stdout(), "{file}: ok, topology {name} {hash}")?,
                Err(problems) => writeln!(io::stderr(), "{problems}")?,
            }
        }
        if global.json {
            writeln!(io::stdout(), "{:#}", json!(verdicts))?;
        }
        Ok(exit)
    }
}

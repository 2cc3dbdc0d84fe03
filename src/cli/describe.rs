//! `describe`: shows a topology, node by node, with its guarantees.

use std::io::Write;

use clap::Args;
use sheetstream::topology::Topology;

use super::topologies::OneTopology;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream describe topology/seoul-markets.toml
  sheetstream describe --json topology/seoul-markets.toml | jq '.nodes[].name'
";

/// Show what a topology does, in the form of Kafka Streams' Topology.describe()
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Describe {
    #[command(flatten)]
    topology: OneTopology,
}

impl Describe {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let description = Topology::load(self.topology.path())?.describe();
        let mut stdout = out::stdout();
        if global.json {
            writeln!(stdout, "{:#}", serde_json::json!(description))?;
        } else {
            write!(stdout, "{description}")?;
        }
        Ok(Exit::Ok)
    }
}

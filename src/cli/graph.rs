//! `graph`: draws a topology.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::json;
use sheetstream::topology::Topology;

use super::topologies::OneTopology;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream graph topology/facilities.toml                     Mermaid, for a README or an issue on GitHub
  sheetstream graph topology/facilities.toml --format dot | dot -Tsvg > facilities.svg
";

/// Draw a topology, its topics and nodes, as Mermaid or as DOT
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Graph {
    #[command(flatten)]
    topology: OneTopology,
    /// Format of the drawing
    #[arg(long, value_enum, default_value = "mermaid", value_name = "FORMAT")]
    format: DrawingFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DrawingFormat {
    /// Mermaid flowchart
    Mermaid,
    /// DOT of Graphviz
    Dot,
}

impl Graph {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let graph = Topology::load(self.topology.path())?.graph();
        let mut out = out::stdout();
        match self.format {
            _ if global.json => writeln!(out, "{:#}", json!(graph))?,
            DrawingFormat::Mermaid => write!(out, "{}", graph.to_mermaid())?,
            DrawingFormat::Dot => write!(out, "{}", graph.to_dot())?,
        }
        Ok(Exit::Ok)
    }
}

//! `metrics`: explains metrics before anything runs.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use sheetstream::metrics::{Description, descriptions};

use super::shown::json;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream metrics sheetstream_rows_total
  sheetstream metrics --json | jq -r '.[].name'
";

/// Explain the metrics of a running process: type, labels, and what to do
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Metrics {
    /// Names, or parts of them; all metrics without one
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Metrics {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let is_named = |metric: &Description| self.names.iter().any(|name| metric.name.contains(name.as_str()));
        let found: Vec<Description> =
            descriptions().into_iter().filter(|metric| self.names.is_empty() || is_named(metric)).collect();
        if found.is_empty() {
            bail!("no metric is named so; `sheetstream metrics` lists all");
        }
        let mut out = out::stdout();
        if global.json {
            let entry = |Description { name, kind, labels, help }: &Description| json!({ "name": name, "type": kind, "labels": labels, "help": help });
            writeln!(out, "{}", json(&found.iter().map(entry).collect::<Vec<_>>()))?;
            return Ok(Exit::Ok);
        }
        for Description { name, kind, labels, help } in found {
            let labels = if labels.is_empty() { String::new() } else { format!(" by {}", labels.join(", ")) };
            writeln!(out, "{name} ({kind}{labels})\n  {help}")?;
        }
        Ok(Exit::Ok)
    }
}

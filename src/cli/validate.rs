//! `validate`: finds all problems of topology files without a broker. On request it also checks that a file and the cluster fit them.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use sheetstream::client::doctor;
use sheetstream::inspect::fit::Fit;
use sheetstream::topology::{Together, Topology};

use super::broker::Broker;
use super::doctor::{exit as exit_of, line};
use super::input::upload_name;
use super::out::say;
use super::patience::quick_client;
use super::sample_file::read_beginning;
use super::shown::{escaped_lines, json, shown};
use super::topologies::Topologies;
use super::{EXAMPLES_FIRST, Exit, Global, colours, out};

const EXAMPLES: &str = "Examples:
  sheetstream validate topology
  sheetstream validate topology/facilities.toml --against export.csv     does this file fit?
  sheetstream validate topology --online --brokers kafka-1:9092          topics, settings, sizes and rights, too
  sheetstream validate --json topology/facilities.toml | jq '.[].problems'
";

/// Check topology files; exits with 78 when one is wrong
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Validate {
    #[command(flatten)]
    topologies: Topologies,
    /// Data file that must fit each topology, by its first MiB: columns, coordinates, CRS; exits with 65 when it does not
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Look at the cluster, too: topics, their settings and sizes, our rights; exits as doctor does
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    broker: Broker,
}

impl Validate {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let mut exit = Exit::Ok;
        let mut verdicts = Vec::new();
        let mut together = Together::default();
        for path in &self.topologies.files()? {
            let file = path.display().to_string();
            match together.load(path) {
                Ok(topology) => {
                    let (name, hash) = (topology.name.clone(), topology.hash.clone());
                    if !global.json {
                        writeln!(out::stdout(), "{file}: ok, topology {name} {hash}")?;
                    }
                    let mut verdict = json!({ "file": file, "name": &*name, "hash": &*hash, "problems": [] });
                    if let Some(data) = &self.against {
                        exit = exit.max(self.fit(global, topology, data, &mut verdict)?);
                    }
                    if self.online {
                        exit = exit.max(self.look_at_cluster(global, topology, &mut verdict)?);
                    }
                    verdicts.push(verdict);
                }
                Err(problems) => {
                    exit = Exit::Config;
                    if !global.json {
                        say!("{}", escaped_lines(&problems.with_excerpts().to_string()));
                    }
                    verdicts.push(json!(problems));
                }
            }
        }
        if global.json {
            writeln!(out::stdout(), "{}", json(&verdicts))?;
        }
        Ok(exit)
    }

    fn fit(&self, global: &Global, topology: &Topology, data: &Path, verdict: &mut Value) -> anyhow::Result<Exit> {
        let sample = read_beginning(data, None)?;
        let name = upload_name(data);
        let fit = Fit::of(&sample, &name, topology).with_context(|| data.display().to_string())?;
        if !global.json {
            let mut out = out::stdout();
            let refused: u64 = fit.rejected.values().sum();
            let name = shown(&name);
            writeln!(out, "  {name}: of its first {} rows {} fit and {refused} are rejected", fit.rows, fit.written)?;
            fit.rejected.iter().try_for_each(|(reason, count)| writeln!(out, "    {count} {reason}"))?;
            fit.notes.iter().try_for_each(|note| writeln!(out, "    note: {}", shown(note)))?;
            if let Some(failure) = &fit.failure {
                say!("  error: {name} would fail: {}: {}", failure.reason, shown(&failure.message));
            }
        }
        let fits = fit.failure.is_none() && (fit.written > 0 || fit.rejected.is_empty());
        verdict["against"] = json!(fit);
        Ok(if fits { Exit::Ok } else { Exit::DataRejected })
    }

    fn look_at_cluster(&self, global: &Global, topology: &Topology, verdict: &mut Value) -> anyhow::Result<Exit> {
        let runtime = super::io_runtime()?;
        let client = quick_client(runtime.handle(), self.broker.config("sheetstream-validate")?);
        let findings = doctor::examine(&client, std::slice::from_ref(topology), None);
        if !global.json {
            let colours = colours(&std::io::stdout());
            findings.iter().try_for_each(|finding| writeln!(out::stdout(), "  {}", line(finding, colours)))?;
        }
        verdict["online"] = json!(findings);
        Ok(exit_of(&findings))
    }
}

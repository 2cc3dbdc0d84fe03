//! `doctor`: looks a cluster, topics and a state directory over before anything runs.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::json;
use sheetstream::client::doctor::rights::{Purpose, rights};
use sheetstream::client::doctor::{self, Finding, Subject, Verdict};
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::grant::principal;
use super::patience::quick_client;
use super::shown::json_line;
use super::topologies::OptionalTopologies;
use super::{EXAMPLES_FIRST, Exit, Global, colours, io_runtime, out};

const EXAMPLES: &str = "Examples:
  sheetstream doctor --brokers kafka-1:9092
  sheetstream doctor -t topology/seoul-markets.toml --state-dir /var/lib/sheetstream
  sheetstream doctor -t topology/seoul-markets.toml --acls User:sheetstream     print the least rights, as commands
";

/// Check a cluster, the topics of topologies and a state directory, and say how to mend problems
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Doctor {
    #[command(flatten)]
    topologies: OptionalTopologies,
    #[command(flatten)]
    broker: Broker,
    /// State directory to check
    #[arg(long, env = "SHEETSTREAM_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print the kafka-acls commands that give PRINCIPAL, as User:NAME, the least rights on the topologies, and check nothing
    #[arg(long, value_name = "PRINCIPAL", requires = "topologies", value_parser = principal)]
    acls: Option<String>,
}

impl Doctor {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topologies = self.topologies.load()?;
        if let Some(principal) = &self.acls {
            return self.print_rights(global, &topologies, principal);
        }
        let runtime = io_runtime()?;
        let client = quick_client(runtime.handle(), self.broker.config("sheetstream-doctor")?);
        let findings = doctor::examine(&client, &topologies, self.state_dir.as_deref());
        let exit = exit(&findings);
        let mut out = out::stdout();
        if global.json {
            writeln!(out, "{}", json_line(&json!({ "exit": exit as u8, "findings": findings })))?;
        } else {
            for finding in &findings {
                writeln!(out, "{}", line(finding, colours(&std::io::stdout())))?;
            }
        }
        Ok(exit)
    }

    /// The commands for each purpose; each part is complete by itself.
    fn print_rights(&self, global: &Global, topologies: &[Topology], principal: &str) -> anyhow::Result<Exit> {
        let bootstrap = self.broker.config("sheetstream-doctor")?.bootstrap.join(",");
        let mut out = out::stdout();
        let mut listed = Vec::new();
        for topology in topologies {
            for purpose in Purpose::ALL {
                let rights = rights(topology, purpose);
                let commands: Vec<_> = rights.iter().map(|right| right.command(principal, &bootstrap)).collect();
                if global.json {
                    let (topology, purpose) = (topology.name.as_ref(), purpose.commands());
                    listed.push(json!({ "topology": topology, "for": purpose, "commands": commands }));
                } else {
                    writeln!(out, "# {}: {}\n{}", topology.name, purpose.commands(), commands.join("\n"))?;
                }
            }
        }
        if global.json {
            writeln!(out, "{}", json!(listed))?;
        }
        Ok(Exit::Ok)
    }
}

/// The exit code of the first failure.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    let failure = findings.iter().find(|finding| finding.verdict == Verdict::Fail);
    failure.map_or(Exit::Ok, |finding| match finding.subject {
        Subject::Broker => Exit::Unavailable,
        Subject::Rights => Exit::Unauthorised,
        Subject::Topic | Subject::Clock => Exit::Config,
        Subject::State if finding.check == "disk" => Exit::Io,
        Subject::State => Exit::State,
    })
}

pub(super) fn line(finding: &Finding, colours: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", AnsiColor::Green),
        Verdict::Warn => ("warn", AnsiColor::Yellow),
        Verdict::Fail => ("FAIL", AnsiColor::Red),
    };
    let style = if colours { colour.on_default() } else { Style::new() };
    let advice = finding.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{style}{word:<4}{style:#}  {:<11}  {}{advice}", finding.check, finding.what)
}

//! `doctor`: looks a cluster, topics and a state directory over before anything runs.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::json;
use sheetstream::client::doctor::{self, ANSWER_LIMIT, Finding, Subject, Verdict};
use sheetstream::kafka::KafkaClient;
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::{EXAMPLES_FIRST, Exit, Global, colours, io_runtime};

const EXAMPLES: &str = "Examples:
  sheetstream doctor --brokers kafka-1:9092
  sheetstream doctor -t topology/seoul-markets.toml --state-dir /var/lib/sheetstream
";

/// Look for what is wrong with a cluster, with the topics of topologies, with a state directory, and say what to do
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub struct Doctor {
    /// Topology files whose topics and group are looked over
    #[arg(short, long, value_name = "FILE")]
    topology: Vec<PathBuf>,
    #[command(flatten)]
    broker: Broker,
    /// State directory to look over
    #[arg(long, env = "SHEETSTREAM_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Doctor {
    pub fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topologies = self.topology.iter().map(|path| Topology::load(path)).collect::<Result<Vec<_>, _>>()?;
        let runtime = io_runtime()?;
        let mut kafka = self.broker.config("sheetstream-doctor");
        (kafka.request_timeout, kafka.retry_deadline) = (ANSWER_LIMIT, ANSWER_LIMIT);
        let client = KafkaClient::new(runtime.handle().clone(), kafka);
        let findings = doctor::examine(&client, &topologies, self.state_dir.as_deref());
        let exit = exit(&findings);
        let mut out = std::io::stdout().lock();
        if global.json {
            writeln!(out, "{}", json!({ "exit": exit as u8, "findings": findings }))?;
        } else {
            for finding in &findings {
                writeln!(out, "{}", line(finding, colours(&std::io::stdout())))?;
            }
        }
        Ok(exit)
    }
}

/// The exit code of the first failure.
fn exit(findings: &[Finding]) -> Exit {
    let failure = findings.iter().find(|finding| finding.verdict == Verdict::Fail);
    failure.map_or(Exit::Ok, |finding| match finding.subject {
        Subject::Broker => Exit::Unavailable,
        Subject::Rights => Exit::Unauthorised,
        Subject::Topic | Subject::Clock => Exit::Config,
        Subject::State if finding.check == "disk" => Exit::Io,
        Subject::State => Exit::State,
    })
}

fn line(finding: &Finding, colours: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", AnsiColor::Green),
        Verdict::Warn => ("warn", AnsiColor::Yellow),
        Verdict::Fail => ("FAIL", AnsiColor::Red),
    };
    let style = if colours { colour.on_default() } else { Style::new() };
    let advice = finding.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{style}{word:<4}{style:#}  {:<11}  {}{advice}", finding.check, finding.what)
}

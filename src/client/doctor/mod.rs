//! Looks a cluster, the topics of topologies and a state directory over as a friend would: what is wrong, and what to do about it.
//! Changes nothing, and gives an address that does not answer a few seconds.

mod brokers;
pub mod rights;
mod state_dir;
mod topics;

use std::path::Path;
use std::time::Duration;

use crate::kafka::KafkaClient;
use crate::topology::Topology;

/// Longest wait for one answer; the whole is below 15 s even when nobody answers.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may hurt later.
    Warn,
    /// It does not work.
    Fail,
}

/// The subject of a check; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Addresses of brokers.
    Broker,
    /// Rights of this client.
    Rights,
    /// Topics and their settings.
    Topic,
    /// Clocks.
    Clock,
    /// The state directory.
    State,
}

/// One line.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    /// How it went.
    pub verdict: Verdict,
    /// Its subject.
    pub subject: Subject,
    /// Name of the check.
    pub check: &'static str,
    /// The finding.
    pub what: String,
    /// The advice, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The findings so far.
#[derive(Debug, Default)]
struct Findings {
    found: Vec<Finding>,
    /// Where the cluster is, for the tools that mend it.
    bootstrap: String,
}

impl Findings {
    fn ok(&mut self, subject: Subject, check: &'static str, what: impl Into<String>) {
        self.found.push(Finding { verdict: Verdict::Ok, subject, check, what: what.into(), advice: None });
    }
    fn warn(&mut self, subject: Subject, check: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        let (what, advice) = (what.into(), Some(advice.into()));
        self.found.push(Finding { verdict: Verdict::Warn, subject, check, what, advice });
    }
    fn fail(&mut self, subject: Subject, check: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        let (what, advice) = (what.into(), Some(advice.into()));
        self.found.push(Finding { verdict: Verdict::Fail, subject, check, what, advice });
    }
    /// The command that sets a setting of a topic.
    fn set(&self, topic: &str, setting: impl std::fmt::Display) -> String {
        let bootstrap = &self.bootstrap;
        format!("kafka-configs --bootstrap-server {bootstrap} --alter --topic {topic} --add-config {setting}")
    }
    fn failed(&self) -> bool {
        self.found.iter().any(|finding| finding.verdict == Verdict::Fail)
    }
}

/// Looks everything over. The client's time-outs are the caller's: [`ANSWER_LIMIT`] for a request and for an operation.
pub fn examine(client: &KafkaClient, topologies: &[Topology], state_dir: Option<&Path>) -> Vec<Finding> {
    let mut findings = Findings { bootstrap: client.config().bootstrap.join(","), ..Findings::default() };
    brokers::check_addresses(client, &mut findings);
    // Where clients are sent to nowhere, every further question would only wait.
    if !findings.failed() {
        brokers::check_clock(client, &mut findings);
        for topology in topologies {
            topics::check_topology(client, topology, &mut findings);
        }
    }
    if let Some(dir) = state_dir {
        state_dir::check_state(dir, &mut findings);
    }
    findings.found
}

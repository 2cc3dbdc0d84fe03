//! Checks brokers: which answer, where the cluster sends clients, what they serve.

use std::collections::BTreeSet;

use super::{Findings, Subject};
use crate::kafka::clock::now_ms;
use crate::kafka::group::Protocol;
use crate::kafka::{KafkaClient, KafkaError};

/// Where to look when TLS or SASL fail.
const SETTINGS: &str =
    "`sheetstream config` shows the settings in force and where each comes from; docs/kafka.md explains them";

/// How far clocks may be apart: brokers refuse records from more than an hour ahead, and retention goes by their time.
const CLOCK_SKEW_MAX_MS: u64 = 60_000;

/// The clock of this machine beside that of the cluster, which dates nothing that we write but refuses what lies ahead of it.
pub(super) fn check_clock(client: &KafkaClient, findings: &mut Findings) {
    let asked = now_ms();
    let Ok(Some(theirs)) = client.cluster_clock() else { return };
    judge_clocks(asked, theirs, findings);
}

fn judge_clocks(ours: i64, theirs: i64, findings: &mut Findings) {
    let apart = ours.abs_diff(theirs);
    if apart <= CLOCK_SKEW_MAX_MS {
        return findings.ok(
            Subject::Clock,
            "clock",
            "the clocks of this machine and of the cluster's controller agree",
        );
    }
    let direction = if ours > theirs { "ahead of" } else { "behind" };
    let what = format!("the clock of this machine is {} s {direction} that of the cluster", apart / 1_000);
    let advice = "set both by NTP; a topic refuses records from more than message.timestamp.after.max.ms ahead (1 h)";
    findings.fail(Subject::Clock, "clock", what, advice);
}

/// The addresses that we were given, those that the cluster sends clients to, and what they serve.
pub(super) fn check_addresses(client: &KafkaClient, findings: &mut Findings) {
    let (mut advertised, mut unserved) = (BTreeSet::new(), BTreeSet::new());
    let (mut answering, mut silent) = (Vec::new(), Vec::new());
    let wants_streams = client.config().group_protocol == Some(Protocol::Streams);
    let mut protocol = if wants_streams { Protocol::Streams } else { Protocol::Consumer };
    for (address, probed) in client.probe(&client.config().bootstrap) {
        match probed {
            Ok(probe) => {
                if wants_streams && !probe.has_streams_groups {
                    let what = format!("{address} has no streams groups (KIP-1071), and group.protocol is streams");
                    let advice = "leave group.protocol out, or have Kafka 4.2 or newer, and an administrator run kafka-features.sh --bootstrap-server HOST:PORT upgrade --feature streams.version=1";
                    findings.fail(Subject::Broker, "versions", what, advice);
                }
                if probe.group_protocol == Protocol::Classic && !wants_streams {
                    protocol = Protocol::Classic;
                }
                advertised.extend(probe.advertised);
                unserved.extend(probe.unserved);
                findings.ok(Subject::Broker, "bootstrap", format!("{address} answers"));
                answering.push(address);
            }
            Err(error) => silent.push(error),
        }
    }
    for error in silent {
        if matches!(error, KafkaError::Security { .. } | KafkaError::Credentials { .. }) {
            findings.fail(Subject::Rights, "security", error.to_string(), SETTINGS);
            continue;
        }
        let what = format!("cannot be reached: {error}");
        if answering.is_empty() {
            let advice = "is the broker running, and is --brokers (SHEETSTREAM_BROKERS) its address as seen from this machine? `sheetstream broker` starts one for trying out";
            findings.fail(Subject::Broker, "bootstrap", what, advice);
        } else {
            findings.warn(Subject::Broker, "bootstrap", what, "mend it, or take it out of --brokers");
        }
    }
    let others: Vec<String> = advertised.iter().filter(|address| !answering.contains(address)).cloned().collect();
    let reached = answering.first().cloned().unwrap_or_default();
    for (address, probed) in client.probe(&others) {
        match probed {
            Ok(probe) => {
                unserved.extend(probe.unserved);
                findings.ok(Subject::Broker, "advertised", format!("{address}, which brokers advertise, answers"));
            }
            Err(error) => {
                let what = format!(
                    "{reached} answers and sends clients to {address}, which cannot be reached from here: {error}"
                );
                let advice = format!(
                    "set advertised.listeners of that broker to an address that leads to it from this machine, as PLAINTEXT://{reached}; brokers in containers need one listener for the host and one for the other containers"
                );
                findings.fail(Subject::Broker, "advertised", what, advice);
            }
        }
    }
    for what in &unserved {
        findings.fail(Subject::Broker, "versions", what.clone(), "upgrade the brokers: docs/kafka.md has the versions");
    }
    if unserved.is_empty() && !answering.is_empty() {
        let groups = match protocol {
            Protocol::Consumer => "every request that is needed is served, KIP-848 groups included",
            Protocol::Streams => "every request that is needed is served, KIP-1071 groups as group.protocol asks for",
            Protocol::Classic => {
                "every request that is needed is served; groups have the classic protocol, for the cluster is older than \
                 Kafka 4.0 or its feature group.version is 0"
            }
        };
        findings.ok(Subject::Broker, "versions", groups);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_that_differ_are_reported_with_distance_and_direction() {
        for (ours, said) in [(7_300_000, "7200 s ahead of"), (-7_100_000, "7200 s behind")] {
            let mut findings = Findings::default();
            judge_clocks(ours, 100_000, &mut findings);
            let [finding] = &findings.found[..] else { panic!("{findings:?}") };
            assert!(finding.verdict == Verdict::Fail && finding.what.contains(said), "{finding:?}");
        }
        let mut findings = Findings::default();
        judge_clocks(130_000, 100_000, &mut findings);
        assert!(!findings.failed());
    }
}

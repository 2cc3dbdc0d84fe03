//! Brokers: who answers, where the cluster sends clients, what it serves.

use std::collections::BTreeSet;

use super::{Findings, Subject};
use crate::kafka::KafkaClient;

/// The addresses that we were given, those that the cluster sends clients to, and what they serve.
pub(super) fn check_addresses(client: &KafkaClient, findings: &mut Findings) {
    let (mut advertised, mut unserved) = (BTreeSet::new(), BTreeSet::new());
    let (mut answering, mut silent) = (Vec::new(), Vec::new());
    for (address, probed) in client.probe(&client.config().bootstrap) {
        match probed {
            Ok(probe) => {
                advertised.extend(probe.advertised);
                unserved.extend(probe.unserved);
                findings.ok(Subject::Broker, "bootstrap", format!("{address} answers"));
                answering.push(address);
            }
            Err(error) => silent.push(error),
        }
    }
    for error in silent {
        let what = format!("cannot be reached: {error}");
        if answering.is_empty() {
            let advice = "is the broker running, and is --brokers (SHEETSTREAM_BROKERS) its address as seen from this machine? `script/kafka start DIR` starts one";
            findings.fail(Subject::Broker, "bootstrap", what, advice);
        } else {
            findings.warn(Subject::Broker, "bootstrap", what, "mend it, or take it out of --brokers");
        }
    }
    let others: Vec<String> = advertised.iter().filter(|address| !answering.contains(address)).cloned().collect();
    let told = answering.first().cloned().unwrap_or_default();
    for (address, probed) in client.probe(&others) {
        match probed {
            Ok(probe) => {
                unserved.extend(probe.unserved);
                findings.ok(Subject::Broker, "advertised", format!("{address}, which brokers advertise, answers"));
            }
            Err(error) => {
                let what = format!(
                    "{told} answers and sends clients to {address}, which cannot be reached from here: {error}"
                );
                let advice = format!(
                    "set advertised.listeners of that broker to an address that leads to it from this machine, as PLAINTEXT://{told}; brokers in containers need one listener for the host and one for the other containers"
                );
                findings.fail(Subject::Broker, "advertised", what, advice);
            }
        }
    }
    for what in &unserved {
        let advice = "upgrade the brokers to Apache Kafka 4.0 or newer: groups follow KIP-848";
        findings.fail(Subject::Broker, "versions", what.clone(), advice);
    }
    if unserved.is_empty() && !answering.is_empty() {
        findings.ok(Subject::Broker, "versions", "every request that is needed is served, KIP-848 groups included");
    }
}

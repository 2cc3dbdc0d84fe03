//! Reads the ledger back from the status topic, after local state was lost (contract 13). A status topic belongs to one topology.

use std::time::Duration;

use crate::kafka::KafkaClient;
use crate::record::{LedgerEntry, LogId, Offset, TopicPartition};
use crate::sink::status::StatusRecord;
use crate::topology::Topology;
use crate::transport::{Fetcher, TransportError};

/// Statuses at the end of a partition that are looked at before a topology starts.
const LOOKED_AT: i64 = 50;
/// Longest wait of one fetch.
const WAIT: Duration = Duration::from_millis(500);

/// Refuses a status topic that holds statuses of another topology, as far as its last records say.
pub fn check_owner(client: &KafkaClient, topology: &Topology, partitions: i32) -> Result<(), TransportError> {
    let topic = &topology.sink.status_topic;
    for partition in 0..partitions {
        let at = TopicPartition { topic: topic.clone(), partition };
        let bounds = client.bounds(&at)?;
        let mut reader = client.reader(at, bounds.start.max(Offset(bounds.end.0 - LOOKED_AT)));
        while reader.next() < bounds.end {
            for record in reader.fetch(WAIT)?.records {
                let status = record.value.as_deref().and_then(StatusRecord::parse);
                status.map_or(Ok(()), |status| is_ours(topic, &topology.name, &status))?;
            }
        }
    }
    Ok(())
}

fn is_ours(topic: &str, topology: &str, status: &StatusRecord) -> Result<(), TransportError> {
    if *status.topology == *topology {
        return Ok(());
    }
    let other = &status.topology;
    Err(TransportError::Topic(format!(
        "{topic} holds statuses of topology {other}, whose ledger it is: give {topology} a status_topic of its own"
    )))
}

/// The terminal records in a partition `at` of the status topic of `topology`, whose input is `log`, from its offset `from` on and in their
/// order: all that compaction has left, for a replay needs the end before the last one too. And the end of what was read.
pub fn read(
    client: &KafkaClient,
    at: &TopicPartition,
    topology: &str,
    log: Option<LogId>,
    from: Offset,
) -> Result<(Vec<LedgerEntry>, Offset), TransportError> {
    let mut ledger = Vec::new();
    let mut foreign = Ok(());
    let end = client.read_committed(at, from, &mut |record| {
        let Some(status) = record.value.as_deref().and_then(StatusRecord::parse) else { return };
        if foreign.is_ok() {
            foreign = is_ours(&at.topic, topology, &status);
        }
        ledger.extend(status.ledger_in(log));
    })?;
    foreign.map(|()| (ledger, end))
}

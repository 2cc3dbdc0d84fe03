//! Reads the status topic back, after local state was lost (contract 13): the ends of uploads are the ledger, and a commit leaves no upload
//! open that no status names. A status topic belongs to one topology.

use std::collections::BTreeMap;
use std::mem;
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

/// A partition of the status topic, as far as it was read.
#[derive(Debug, Default)]
pub struct Statuses {
    /// The ends of uploads in their order, all that compaction has left: a replay needs the end before the last one too.
    pub ends: Vec<LedgerEntry>,
    /// The last status of each upload that has not ended, by id.
    pub open: BTreeMap<String, StatusRecord>,
    /// First record that was not read.
    pub next: Offset,
}

impl Statuses {
    /// Takes the next status, for a task that reads `log`.
    pub fn note(&mut self, status: StatusRecord, log: Option<LogId>) {
        match status.ledger_in(log) {
            Some(end) => {
                // At least once, one that was put out may say an end again when a later upload is open.
                if self.open.get(&end.id).is_some_and(|open| open.revision <= end.revision) {
                    self.open.remove(&end.id);
                }
                self.ends.push(end);
            }
            None => _ = self.open.insert(status.upload.clone(), status),
        }
    }

    /// Whether something was said of an upload after its `end`, or that of a later one, which is behind `committed`: at least once, who read
    /// it again did not know of the end, and it is to be said again. Who knew of it gave another upload at its place a higher revision.
    pub fn unsettles(&self, end: &LedgerEntry, committed: Offset) -> bool {
        let is_it = |open: &StatusRecord| open.offsets.first <= end.first_offset && open.revision <= end.revision;
        committed <= end.completion_offset && self.open.get(&end.id).is_some_and(is_it)
    }

    /// Forgets ends that are not [settled](Statuses::unsettles). Returns whether there are any.
    pub fn forget_unsettled(&mut self, committed: Offset) -> bool {
        let mut ends = mem::take(&mut self.ends);
        let count = ends.len();
        if !self.open.is_empty() {
            ends.retain(|end| !self.unsettles(end, committed));
        }
        self.ends = ends;
        self.ends.len() < count
    }
}

/// Reads on in a partition `at` of the status topic of `topology`, whose input is `log`.
pub fn read(
    client: &KafkaClient,
    at: &TopicPartition,
    topology: &str,
    log: Option<LogId>,
    known: &mut Statuses,
) -> Result<(), TransportError> {
    let mut foreign = Ok(());
    known.next = client.read_committed(at, known.next, &mut |record| {
        let Some(status) = record.value.as_deref().and_then(StatusRecord::parse) else { return };
        if foreign.is_ok() {
            foreign = is_ours(&at.topic, topology, &status);
        }
        known.note(status, log);
    })?;
    foreign
}

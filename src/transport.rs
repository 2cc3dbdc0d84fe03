//! The seam between the runtime and the source and target of records: Kafka, files, or a test.

mod progress;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::record::{Header, LogId, Offset, Record, Rejection, TopicPartition, UploadHash};

pub use progress::{Committed, OpenUploads, Progress, Work};

/// Where a reader begins, and what it relies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadFrom {
    /// First offset to be read.
    pub next: Offset,
    /// The log that the offset is of; `None` for whatever log the topic has.
    pub log: Option<LogId>,
    /// Leader epoch of the record before `next` (KIP-320), if it is known.
    pub leader_epoch: Option<i32>,
}

impl From<Offset> for ReadFrom {
    fn from(next: Offset) -> ReadFrom {
        ReadFrom { next, ..ReadFrom::default() }
    }
}

/// Records of one partition in offset order, and the other facts of the read.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The records.
    pub records: Vec<Record>,
    /// Records that exist and cannot be decoded, each with its offset (ascending, never in `records`).
    pub poisoned: Vec<(Offset, Rejection)>,
    /// Offsets that the log no longer holds (retention, compaction), as far as they lie in what was read; control
    /// batches and aborted transactions are not gaps.
    pub lost: Vec<Range<Offset>>,
    /// Offset at which the next read continues; may move without records.
    pub next: Offset,
    /// End of the partition at the time of the read.
    pub high_watermark: Offset,
    /// Start of the partition at the time of the read.
    pub log_start: Offset,
    /// The log that was read; `None` where logs have no ids.
    pub log: Option<LogId>,
    /// Leader epoch of the record before `next`, if it is known.
    pub leader_epoch: Option<i32>,
}

impl Fetched {
    /// Memory of the records, about: what counts against a buffer.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(Record::memory_bytes).sum()
    }

    /// First offset that it has anything of.
    pub fn first(&self) -> Offset {
        let record = self.records.first().map(|record| record.offset);
        let poisoned = self.poisoned.first().map(|(offset, _)| *offset);
        let lost = self.lost.first().map(|lost| lost.start);
        record.into_iter().chain(poisoned).chain(lost).min().unwrap_or(self.next)
    }

    /// Splits off what lies at `at` and behind; `None` where nothing does.
    pub fn split_off(&mut self, at: Offset) -> Option<Fetched> {
        if self.next <= at {
            return None;
        }
        let mut rest = Fetched {
            records: self.records.split_off(self.records.partition_point(|record| record.offset < at)),
            poisoned: self.poisoned.split_off(self.poisoned.partition_point(|(offset, _)| *offset < at)),
            lost: self.lost.split_off(self.lost.partition_point(|lost| lost.start < at)),
            ..Fetched { records: vec![], poisoned: vec![], lost: vec![], ..*self }
        };
        if let Some(across) = self.lost.last_mut().filter(|lost| at < lost.end) {
            rest.lost.insert(0, at..across.end);
            across.end = at;
        }
        (self.next, self.leader_epoch) = (at, None);
        Some(rest)
    }

    /// The log of `partition`, of which `known` was read so far. No record of another log is processed, whatever the reader has missed.
    pub fn log_of(&self, partition: &TopicPartition, known: Option<LogId>) -> Result<Option<LogId>, TransportError> {
        match (known, self.log) {
            (Some(ours), Some(read)) if ours != read => {
                Err(TransportError::AnotherLog(format!("{partition} was of topic id {ours} and is of {read}")))
            }
            (ours, read) => Ok(ours.or(read)),
        }
    }
}

/// Reads one partition from a given offset. Blocking; one thread owns it.
pub trait Fetcher: Send {
    /// The next records; returns empty-handed after `wait` at the latest.
    fn fetch(&mut self, wait: Duration) -> Result<Fetched, TransportError>;
}

/// A record to be written.
#[derive(Clone, Debug)]
pub struct OutRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, or `None` for Kafka's murmur2 of the key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Bytes,
    /// Headers in order. A record is kept while it is sent, so that its copy shares them.
    pub headers: Arc<[Header]>,
}

/// Bytes of a batch besides its records, and at most those of a record besides its key, value and headers.
const BATCH_COST: usize = 61 + 36;
/// At most the bytes of a header besides its name and value.
const HEADER_COST: usize = 10;

impl OutRecord {
    /// At most the bytes of a batch that holds nothing but this record: what `max.message.bytes` of its topic is about.
    pub fn batch_bytes_max(&self) -> usize {
        let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|header| HEADER_COST + header.name.len() + size(&header.value));
        BATCH_COST + size(&self.key) + self.value.len() + headers.sum::<usize>()
    }
}

/// Under which membership a task was last ours: what a commit must carry so that the broker refuses a former owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// Member id; empty outside a group.
    pub member: String,
    /// Member epoch; -1 outside a group.
    pub epoch: i32,
}

/// How often an output may appear, by the names that Kafka Streams uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Once; after a crash or a change of owner perhaps again, with the same bytes.
    AtLeastOnce,
    /// Once, for readers of committed records (`isolation.level=read_committed`).
    ExactlyOnceV2,
}

/// Where outputs go and progress is recorded. At least once and exactly once are two implementations of it.
pub trait Outbox: Send {
    /// Writes `records` in order. Returns when every one of them is acknowledged (or, exactly-once, part of the transaction
    /// that [`Outbox::commit`] ends).
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError>;
    /// Writes a record that may be lost, before everything that is published later. Waits for no answer and never fails.
    fn send_best_effort(&mut self, record: OutRecord);
    /// The largest batch that a topic takes, if it is known. It may have been raised since a record of `bytes` was too much.
    fn record_bytes_max(&mut self, _topic: &Arc<str>, _bytes: usize) -> Result<Option<usize>, TransportError> {
        Ok(None)
    }
    /// Whether the group is known to count on this process: else a successor may have said more of an upload than it can.
    fn is_vouched_for(&self) -> bool {
        true
    }
    /// Whether what is published counts only with the commit, and not at all without it.
    fn is_transactional(&self) -> bool {
        false
    }
    /// Records how far the task has come.
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError>;
    /// The partitions in which the group has an upload open besides `partition`, as of the last commits. The topic has `partitions` of
    /// them. Of a partition with more than a few hundred open uploads the oldest are known.
    fn open_elsewhere(
        &mut self,
        _partition: &TopicPartition,
        _partitions: i32,
        _upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        Ok(Vec::new())
    }
}

impl dyn Outbox {
    /// What `make` makes of as many bytes as the topic takes, or that number where it is too small.
    pub fn within_limit(
        &mut self,
        topic: &Arc<str>,
        make: impl Fn(usize) -> Option<OutRecord>,
    ) -> Result<Result<OutRecord, usize>, TransportError> {
        let whole = make(usize::MAX);
        let bytes = whole.as_ref().map_or(0, OutRecord::batch_bytes_max);
        let known_max = self.record_bytes_max(topic, bytes)?.unwrap_or(usize::MAX);
        Ok(whole.filter(|_| bytes <= known_max).or_else(|| make(known_max)).ok_or(known_max))
    }
}

/// An event of the group for a member.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions are ours from now on, under this fence.
    Assigned(BTreeSet<TopicPartition>, Fence),
    /// The member epoch moved; partitions that we keep commit under the new one.
    Epoch(Fence),
    /// Give these up: drain, commit, then [`Membership::released`].
    Revoked(BTreeSet<TopicPartition>),
    /// These are another's already: drop them, commit nothing.
    Lost(BTreeSet<TopicPartition>),
    /// The member cannot continue.
    Fatal(TransportError),
}

/// Who owns which partition.
pub trait Membership: Send {
    /// Waits up to `wait` for the next event.
    fn next(&mut self, wait: Duration) -> Option<GroupEvent>;
    /// Reports that revoked partitions have been let go.
    fn released(&mut self, partitions: &BTreeSet<TopicPartition>);
    /// Leaves the group.
    fn leave(&mut self);
}

/// Why a transport call failed, sorted by what the caller has to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// Another member owns the task: drop it and commit nothing.
    #[error("fenced: {0}")]
    Fenced(String),
    /// Another process runs under our instance id: this one ends.
    #[error("{0}")]
    Replaced(String),
    /// The broker does not take our time; worth another try once a clock was set.
    #[error("clock: {0}")]
    Clock(String),
    /// The broker cannot be reached or did not answer within the deadline; worth another try.
    #[error("Kafka is unavailable: {0}")]
    Unavailable(String),
    /// Wrong or missing credentials or rights.
    #[error("not authorised: {0}")]
    Unauthorised(String),
    /// A topic is missing or set up so that it cannot serve.
    #[error("topic {0}")]
    Topic(String),
    /// A record is larger than the topic takes.
    #[error("record too large: {0}")]
    TooLarge(String),
    /// The log no longer holds the offset that was asked for.
    #[error("offset {at} is outside the log, which starts at {log_start}: {hint}")]
    OutOfRange {
        /// Offset that was asked for.
        at: Offset,
        /// First offset of the log.
        log_start: Offset,
        /// The remedy.
        hint: String,
    },
    /// The topic was deleted and made anew: offsets, state and ledger of the former log mean nothing in this one.
    #[error("topic.recreated: {0}")]
    AnotherLog(String),
    /// The log was cut: what was read from `end` on is gone, or is other records now (KIP-320).
    #[error(
        "log.truncated: {partition} was cut at {end}, and had been read up to {read_to}: an unclean leader election, or a restored broker"
    )]
    Truncated {
        /// Which log.
        partition: TopicPartition,
        /// First offset that was not read yet.
        read_to: Offset,
        /// First offset from which on the log is another.
        end: Offset,
    },
    /// Anything else; not worth another try.
    #[error("{0}")]
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_split_between_two_records_and_within_a_gap() {
        let record = |offset| Record { offset: Offset(offset), ..Record::default() };
        let mut fetched = Fetched {
            records: [3, 4, 9].map(record).into(),
            lost: vec![Offset(5)..Offset(9)],
            next: Offset(10),
            leader_epoch: Some(2),
            ..Fetched::default()
        };
        assert_eq!(fetched.first(), Offset(3));
        assert!(fetched.split_off(Offset(10)).is_none());
        let rest = fetched.split_off(Offset(7)).expect("a rest");
        let offsets = |of: &Fetched| of.records.iter().map(|record| record.offset.0).collect::<Vec<_>>();
        assert_eq!((offsets(&fetched), &fetched.lost[..]), (vec![3, 4], &[Offset(5)..Offset(7)][..]));
        assert_eq!((offsets(&rest), &rest.lost[..]), (vec![9], &[Offset(7)..Offset(9)][..]));
        assert_eq!((fetched.next, fetched.leader_epoch), (Offset(7), None));
        assert_eq!((rest.first(), rest.next, rest.leader_epoch), (Offset(7), Offset(10), Some(2)));
    }
}

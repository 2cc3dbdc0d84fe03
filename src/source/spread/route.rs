//! Stage one: finds the partition of the repartition topic for a record, and fills a run for each partition. Nothing of a row is read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::run::{Run, RunRecord};
use crate::record::{Marker, Offset, Record, TopicPartition};
use crate::source::SourceConfig;
use crate::source::envelope::{self, Content, ControlHeaders};

/// Bytes of records after which a run is sent.
const RUN_BYTES_MAX: usize = 256 << 10;

/// The records of one source partition on their way.
pub struct Router {
    config: Arc<SourceConfig>,
    source: TopicPartition,
    /// Its log and era.
    reading: (i64, i64),
    /// By partition of the repartition topic.
    destinations: Vec<Destination>,
    /// Partition of a key among so many.
    partition_of: fn(&[u8], i32) -> i32,
}

/// The run that fills for one partition.
#[derive(Default)]
struct Destination {
    /// First offset that it has not heard of; `None` before the first run.
    from: Option<Offset>,
    records: Vec<Record>,
    bytes: usize,
    lost: Option<(i64, i64, i64)>,
    has_end: bool,
}

impl Router {
    /// A router for `source`, read as this log and era, to a topic of so many partitions.
    pub fn new(
        config: Arc<SourceConfig>,
        source: TopicPartition,
        reading: (i64, i64),
        partitions: i32,
        partition_of: fn(&[u8], i32) -> i32,
    ) -> Router {
        let destinations = (0..partitions).map(|_| Destination::default()).collect();
        Router { config, source, reading, destinations, partition_of }
    }

    /// Takes the next record of the partition. Returns its target partition; `None` for one that means nothing.
    pub fn push(&mut self, record: Record) -> Option<usize> {
        let (upload, is_end) = self.look(&record)?;
        let partitions = i32::try_from(self.destinations.len()).unwrap_or(i32::MAX);
        let at = usize::try_from((self.partition_of)(upload.as_bytes(), partitions)).unwrap_or(0);
        let to = &mut self.destinations[at];
        to.bytes += record.memory_bytes();
        to.has_end |= is_end;
        to.records.push(record);
        Some(at)
    }

    /// Upload id of a record, and whether it ends the upload. A record that cannot be read goes the way of uploads without a name: stage
    /// two rejects it.
    fn look(&self, record: &Record) -> Option<(String, bool)> {
        let headers = ControlHeaders::among(&record.headers, &self.config);
        let Ok(plain) = envelope::plain(&self.config, record, &headers) else { return Some((String::new(), false)) };
        match envelope::open(&self.config, record, &headers, &plain) {
            Ok(None) => None,
            Ok(Some(envelope)) => {
                let is_end = matches!(envelope.content, Content::Marker(Marker::Eof { .. } | Marker::Abort, _));
                Some((envelope.upload.to_owned(), is_end))
            }
            Err(refusal) => Some((refusal.upload.map_or(String::new(), |id| id.as_str().to_owned()), false)),
        }
    }

    /// Records are gone from the log, which ends at `end` now.
    pub fn lose(&mut self, lost: Range<Offset>, end: Offset) {
        for to in &mut self.destinations {
            let from = to.lost.map_or(lost.start.0, |(from, ..)| from.min(lost.start.0));
            to.lost = Some((from, lost.end.0, end.0));
        }
    }

    /// Whether a run is long enough to be sent.
    pub fn is_full(&self, at: usize) -> bool {
        self.destinations[at].bytes >= RUN_BYTES_MAX
    }

    /// Whether anything waits to be sent.
    pub fn is_filling(&self, at: usize) -> bool {
        !self.destinations[at].records.is_empty() || self.destinations[at].lost.is_some()
    }

    /// Whether a marker that ends an upload is among the records.
    pub fn has_end(&self, at: usize) -> bool {
        self.destinations[at].has_end
    }

    /// Partitions of the repartition topic.
    pub fn partitions(&self) -> usize {
        self.destinations.len()
    }

    /// Whether a partition has not heard that everything below `position` is passed on.
    pub fn owes(&self, at: usize, position: Offset) -> bool {
        self.is_filling(at) || self.destinations[at].from.is_none_or(|from| from < position)
    }

    /// The run up to `to`, to be sent. `ends` are the ends of the topic's partitions after its last marker was read.
    pub fn seal(&mut self, at: usize, to: Offset, committed: Offset, ends: Vec<i64>) -> Bytes {
        let filled = std::mem::take(&mut self.destinations[at]);
        self.destinations[at].from = Some(to);
        let first = filled.records.first().map_or(to, |record| record.offset);
        let run = Run {
            topic: &self.source.topic,
            partition: self.source.partition,
            log: self.reading.0,
            era: self.reading.1,
            // The first run begins where this reader does: whatever is known of records behind that is passed on again.
            from: filled.from.unwrap_or(committed).min(first).0,
            to: to.0,
            committed: committed.0,
            lost: filled.lost,
            ends,
            records: filled.records.iter().map(RunRecord::of).collect(),
        };
        run.encode().into()
    }
}

//! The log of one partition: batches as they came, in segments that are unlinked temporary files, and what must be known about producers
//! and transactions to take the next batch. Knows nothing of topics or requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use super::batch::{BatchHeader, UNCHECKED_BYTES};
use super::space::Space;
use crate::kafka::wire::batch::HEADER_BYTES;

/// Bytes between two entries of a segment's index.
const INDEX_EVERY: u64 = 4_096;
/// Batches of a producer that are recognised when they are sent again, as in Kafka.
const RECENT_MAX: usize = 5;
/// Producers that a partition remembers; the one that has been silent longest is forgotten first.
const PRODUCERS_MAX: usize = 10_000;

/// See the module.
pub(super) struct Log {
    space: Arc<Space>,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    start: i64,
    end: i64,
    producers: HashMap<i64, Producer>,
    /// First offset of each producer's open transaction.
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
    /// Leader epochs, each with its first offset.
    epochs: Vec<(i32, i64)>,
}

struct Segment {
    base: i64,
    file: Arc<File>,
    bytes: u64,
    last_timestamp: i64,
    /// One entry for every few kilobytes, so that a log of tiny batches does not live in memory.
    index: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    base: i64,
    position: u64,
    /// Highest timestamp of the segment up to the next entry.
    max_timestamp: i64,
}

#[derive(Default)]
struct Producer {
    epoch: i16,
    /// First and last sequence and base offset; empty until the epoch's first batch.
    recent: VecDeque<(i32, i32, i64)>,
    /// End of the log when it last wrote.
    seen: i64,
}

/// A transaction that was aborted, as fetches report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aborted {
    pub producer: i64,
    pub first: i64,
    /// Offset of the marker.
    pub last: i64,
}

/// Where bytes are that can be read without holding the log.
pub(super) struct Slice {
    file: Arc<File>,
    position: u64,
    /// Bytes of the segment from the position on.
    available: u64,
    from: i64,
    /// Batches from here on are not to be seen.
    bound: i64,
}

impl Log {
    pub(super) fn new(space: Arc<Space>, segment_bytes: u64) -> Log {
        Log {
            space,
            segment_bytes,
            segments: VecDeque::new(),
            start: 0,
            end: 0,
            producers: HashMap::new(),
            open: BTreeMap::new(),
            aborted: Vec::new(),
            epochs: vec![(0, 0)],
        }
    }
    /// The leader epoch of today.
    pub(super) fn epoch(&self) -> i32 {
        self.epochs.last().map_or(0, |(epoch, _)| *epoch)
    }
    /// The last epoch up to `epoch`, and where it ends (KIP-320).
    pub(super) fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let after = self.epochs.partition_point(|(of, _)| *of <= epoch);
        let end = self.epochs.get(after).map_or(self.end, |(_, first)| *first);
        (after.checked_sub(1).and_then(|at| self.epochs.get(at)).map_or(-1, |(of, _)| *of), end)
    }
    /// Acts as an unclean election, after which the leader has fewer records: batches from `offset` on are gone, a new epoch begins.
    pub(super) fn truncate(&mut self, offset: i64) -> io::Result<()> {
        while let Some(last) = self.segments.back_mut() {
            let (keep, end) = last.bytes_below(offset)?;
            self.space.give_back(last.bytes - keep);
            last.bytes = keep;
            last.index.retain(|entry| entry.position < keep);
            self.end = end;
            if keep > 0 {
                break;
            }
            self.segments.pop_back();
        }
        let epoch = self.epoch() + 1;
        self.epochs.retain(|(_, first)| *first < self.end);
        self.epochs.push((epoch, self.end));
        self.producers.clear();
        self.open.retain(|_, first| *first < self.end);
        self.aborted.retain(|aborted| aborted.last < self.end);
        Ok(())
    }
    /// First offset.
    pub(super) fn start(&self) -> i64 {
        self.start
    }
    /// The high watermark, there being no replicas.
    pub(super) fn end(&self) -> i64 {
        self.end
    }
    /// The first offset of an open transaction, or the end.
    pub(super) fn stable(&self) -> i64 {
        self.open.values().min().map_or(self.end, |first| self.end.min(*first))
    }
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Appends a checked batch; its base offset comes back. A batch that was written before is not written again.
    pub(super) fn append(&mut self, header: &BatchHeader, batch: &Bytes) -> Result<i64, ResponseError> {
        if header.producer >= 0
            && let Some(written) = self.check_sequence(header)?
        {
            return Ok(written);
        }
        let base = self.write(header, batch)?;
        if header.producer >= 0 {
            let (first, last) = (header.sequence, header.last_sequence());
            let producer = self.producers.entry(header.producer).or_default();
            if producer.epoch != header.epoch {
                *producer = Producer { epoch: header.epoch, ..Producer::default() };
            }
            producer.recent.push_back((first, last, base));
            if producer.recent.len() > RECENT_MAX {
                producer.recent.pop_front();
            }
            producer.seen = self.end;
            if header.is_transactional() {
                self.open.entry(header.producer).or_insert(base);
            }
            self.forget_producers();
        }
        Ok(base)
    }
    /// Writes the marker of a producer that has an open transaction here; nothing for one that has not.
    pub(super) fn end_transaction(&mut self, producer: i64, commit: bool, marker: &Bytes) -> Result<(), ResponseError> {
        let Some(first) = self.open.get(&producer).copied() else { return Ok(()) };
        let header = BatchHeader::parse(marker).ok_or(ResponseError::CorruptMessage)?;
        let last = self.write(&header, marker)?;
        self.open.remove(&producer);
        if !commit {
            self.aborted.push(Aborted { producer, first, last });
        }
        Ok(())
    }

    /// `Some` base offset for a batch that is here already.
    fn check_sequence(&self, header: &BatchHeader) -> Result<Option<i64>, ResponseError> {
        let Some(producer) = self.producers.get(&header.producer) else { return Ok(None) };
        if header.epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if header.epoch > producer.epoch {
            return if header.sequence == 0 { Ok(None) } else { Err(ResponseError::OutOfOrderSequenceNumber) };
        }
        let same = |(first, last, _): &&(i32, i32, i64)| (*first, *last) == (header.sequence, header.last_sequence());
        if let Some((_, _, base)) = producer.recent.iter().find(same) {
            return Ok(Some(*base));
        }
        match producer.recent.back() {
            Some((_, last, _)) if header.sequence != last.wrapping_add(1) & i32::MAX => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            _ => Ok(None),
        }
    }
    fn forget_producers(&mut self) {
        if self.producers.len() > PRODUCERS_MAX {
            let idle = self.producers.iter().filter(|(id, _)| !self.open.contains_key(id));
            let oldest = idle.min_by_key(|(_, producer)| producer.seen).map(|(id, _)| *id);
            oldest.and_then(|id| self.producers.remove(&id));
        }
    }

    fn write(&mut self, header: &BatchHeader, batch: &Bytes) -> Result<i64, ResponseError> {
        let failed = |error: io::Error| {
            tracing::warn!(%error, "a record could not be stored; is the temporary directory full?");
            ResponseError::KafkaStorageError
        };
        let (base, bytes, epoch) = (self.end, batch.len() as u64, self.epoch());
        if self.segments.back().is_none_or(|segment| segment.bytes + bytes > self.segment_bytes && segment.bytes > 0) {
            self.segments.push_back(Segment::create(base).map_err(failed)?);
        }
        let Some(segment) = self.segments.back_mut() else { return Err(ResponseError::KafkaStorageError) };
        let mut front = [0; UNCHECKED_BYTES];
        front.copy_from_slice(&batch[..UNCHECKED_BYTES]);
        front[..8].copy_from_slice(&base.to_be_bytes());
        front[12..].copy_from_slice(&epoch.to_be_bytes());
        let position = segment.bytes;
        segment.file.write_all_at(&front, position).map_err(failed)?;
        let behind = position + UNCHECKED_BYTES as u64;
        segment.file.write_all_at(&batch[UNCHECKED_BYTES..], behind).map_err(failed)?;
        segment.note(base, position, header.max_timestamp);
        segment.bytes += bytes;
        self.space.take(bytes);
        self.end = base + i64::from(header.last_delta) + 1;
        Ok(base)
    }

    /// The batches that a reader at `from` may see: all up to the end, or only stable ones. `None` when there are none yet.
    pub(super) fn slice(&self, from: i64, committed_only: bool) -> Result<Option<Slice>, ResponseError> {
        if from < self.start || from > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let bound = if committed_only { self.stable() } else { self.end };
        let after = self.segments.partition_point(|segment| segment.base <= from);
        let segment = after.checked_sub(1).and_then(|index| self.segments.get(index));
        Ok(segment.filter(|_| from < bound).map(|segment| segment.slice(from, bound)))
    }
    /// Aborted transactions that reach into `from..=upto`.
    pub(super) fn aborted(&self, from: i64, upto: i64) -> impl Iterator<Item = Aborted> + '_ {
        self.aborted.iter().copied().filter(move |aborted| aborted.last >= from && aborted.first <= upto)
    }
    /// Where to look for the first record that is not older than `timestamp`: some offset at or before it.
    pub(super) fn slice_at_time(&self, timestamp: i64) -> Option<Slice> {
        let segment = self.segments.iter().find(|segment| segment.last_timestamp >= timestamp)?;
        let entry = segment.index.iter().find(|entry| entry.max_timestamp >= timestamp)?;
        Some(segment.slice(entry.base.max(self.start), self.end))
    }
    /// Highest timestamp, -1 for an empty log.
    pub(super) fn max_timestamp(&self) -> i64 {
        self.segments.iter().map(|segment| segment.last_timestamp).max().unwrap_or(-1)
    }

    /// Forgets records below `offset`. Whole segments give their space back, the rest is only out of reach.
    pub(super) fn delete_below(&mut self, offset: i64) {
        self.start = self.start.max(offset.min(self.end));
        self.drop_segments();
    }
    /// Drops whole segments that lie below `offset`, and so moves the start only as far as that gives space back.
    pub(super) fn release_below(&mut self, offset: i64) {
        let ends = self.segments.iter().skip(1).map(|segment| segment.base).chain([self.end]);
        if let Some(end) = ends.rev().find(|end| *end <= offset.min(self.stable())) {
            self.delete_below(end);
        }
    }
    /// Drops the oldest segments for as long as `bytes` are held by the rest.
    pub(super) fn retain_bytes(&mut self, bytes: u64) {
        while let (Some(first), Some(second)) = (self.segments.front(), self.segments.get(1))
            && self.bytes() - first.bytes >= bytes
            && second.base <= self.stable()
        {
            let below = second.base;
            self.delete_below(below);
        }
    }
    /// Drops segments whose youngest record is older than `timestamp`.
    pub(super) fn retain_since(&mut self, timestamp: i64) {
        while let (Some(first), Some(second)) = (self.segments.front(), self.segments.get(1))
            && first.last_timestamp < timestamp
            && second.base <= self.stable()
        {
            let below = second.base;
            self.delete_below(below);
        }
    }
    fn drop_segments(&mut self) {
        let is_below = |log: &Log| match (log.segments.front(), log.segments.get(1)) {
            (Some(_), Some(next)) => next.base <= log.start,
            (Some(last), None) => log.end <= log.start && last.bytes > 0,
            (None, _) => false,
        };
        while is_below(self) {
            let dropped = self.segments.pop_front();
            self.space.give_back(dropped.map_or(0, |segment| segment.bytes));
        }
        self.aborted.retain(|aborted| aborted.last >= self.start);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.space.give_back(self.bytes());
    }
}

impl Segment {
    fn create(base: i64) -> io::Result<Segment> {
        let file = Arc::new(tempfile::tempfile()?);
        Ok(Segment { base, file, bytes: 0, last_timestamp: -1, index: Vec::new() })
    }
    fn note(&mut self, base: i64, position: u64, max_timestamp: i64) {
        self.last_timestamp = self.last_timestamp.max(max_timestamp);
        match self.index.last_mut() {
            Some(entry) if position < entry.position + INDEX_EVERY => {
                entry.max_timestamp = entry.max_timestamp.max(max_timestamp);
            }
            _ => self.index.push(Entry { base, position, max_timestamp }),
        }
    }
    /// Bytes of the batches that begin below `offset`, and the offset behind them.
    fn bytes_below(&self, offset: i64) -> io::Result<(u64, i64)> {
        let (mut position, mut end) = (0, self.base);
        let mut header = [0; HEADER_BYTES];
        while position < self.bytes {
            self.file.read_exact_at(&mut header, position)?;
            let length = u64::from((&header[8..]).get_u32()) + 12;
            let base = (&header[..]).get_i64();
            if base >= offset {
                break;
            }
            end = base + i64::from((&header[23..]).get_u32()) + 1;
            position += length;
        }
        Ok((position, end))
    }
    fn slice(&self, from: i64, bound: i64) -> Slice {
        let after = self.index.partition_point(|entry| entry.base <= from);
        let position = after.checked_sub(1).and_then(|i| self.index.get(i)).map_or(0, |entry| entry.position);
        Slice { file: self.file.clone(), position, available: self.bytes - position, from, bound }
    }
}

impl Slice {
    /// Whole batches, the first holding the offset that was asked for, of `bytes_max` together; the first one may be larger. With them the
    /// last offset.
    pub(super) fn read(&self, bytes_max: usize) -> io::Result<(Bytes, i64)> {
        // Room for the batches between the entry of the index and the first one that is wanted.
        let mut window = bytes_max.max(HEADER_BYTES) + INDEX_EVERY as usize;
        loop {
            let length = usize::try_from(self.available).unwrap_or(usize::MAX).min(window);
            let mut read = BytesMut::zeroed(length);
            self.file.read_exact_at(&mut read, self.position)?;
            let (mut skipped, mut taken, mut last) = (0, 0, self.from - 1);
            while let Some(header) = read.get(skipped + taken..).and_then(BatchHeader::parse) {
                if header.base >= self.bound {
                    break;
                }
                if header.last() < self.from {
                    skipped += header.length;
                    continue;
                }
                if taken > 0 && taken + header.length > bytes_max {
                    break;
                }
                if skipped + taken + header.length > length {
                    if taken == 0 {
                        window = skipped + header.length;
                    }
                    break;
                }
                taken += header.length;
                last = header.last();
            }
            if taken > 0 || length as u64 == self.available || length >= window {
                read.advance(skipped.min(length));
                read.truncate(taken);
                return Ok((read.freeze(), last));
            }
        }
    }
}

#[cfg(test)]
mod tests;

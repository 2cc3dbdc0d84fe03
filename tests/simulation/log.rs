//! The source topic: partitions with a start, an end and leader epochs, under an id.

use std::collections::VecDeque;

use sheetstream::record::{LogId, Offset, Record};
use sheetstream::transport::{Fetched, ReadFrom, TransportError};

/// A topic that is read.
pub struct Topic {
    pub id: LogId,
    pub partitions: Vec<Log>,
}

impl Topic {
    /// The topic that was made as number `n` under its name.
    pub fn new(n: u8, partitions: usize) -> Topic {
        Topic { id: LogId([n; 16]), partitions: (0..partitions).map(|_| Log::default()).collect() }
    }
}

/// One partition.
pub struct Log {
    pub start: i64,
    pub end: i64,
    /// By offset. An offset without a record is a control batch or of an aborted transaction.
    pub records: VecDeque<Record>,
    /// Somebody has set the offset at which the group reads it.
    pub was_set: bool,
    /// Leader epochs, and the offset from which on each wrote.
    epochs: Vec<(i32, i64)>,
}

impl Default for Log {
    fn default() -> Log {
        Log { start: 0, end: 0, records: VecDeque::new(), was_set: false, epochs: vec![(0, 0)] }
    }
}

impl Log {
    pub fn append(&mut self, record: Record) -> i64 {
        let offset = self.end;
        self.records.push_back(Record { offset: Offset(offset), timestamp_ms: 1_700_000_000_000 + offset, ..record });
        self.end += 1;
        offset
    }
    /// What no reader of committed records sees.
    pub fn append_unseen(&mut self) {
        self.end += 1;
    }
    /// Retention.
    pub fn delete_below(&mut self, offset: i64) {
        self.records.retain(|record| record.offset.0 >= offset);
        self.start = self.start.max(offset);
    }
    /// An unclean leader election: a replica that ends at `offset` leads.
    pub fn cut(&mut self, offset: i64) {
        self.records.retain(|record| record.offset.0 < offset);
        let epoch = self.epochs.last().map_or(0, |(epoch, _)| epoch + 1);
        self.epochs.retain(|(_, from)| *from < offset);
        self.epochs.push((epoch, offset));
        self.end = offset;
    }
    /// Nothing of it was ever deleted, cut off or skipped.
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.epoch() == 0 && !self.was_set
    }
    /// Its reader was set to an offset, and it was cut.
    pub fn was_set_and_cut(&self) -> bool {
        self.was_set && self.epoch() > 0
    }
    /// Epoch of the leader.
    pub fn epoch(&self) -> i32 {
        self.epochs.last().map_or(0, |(epoch, _)| *epoch)
    }
    /// Epoch of the leader that wrote the record before `next`.
    fn epoch_before(&self, next: i64) -> Option<i32> {
        self.epochs.iter().rev().find(|(_, from)| *from < next).map(|(epoch, _)| *epoch)
    }
    /// OffsetForLeaderEpoch (KIP-320).
    pub fn end_of_epoch(&self, epoch: i32) -> i64 {
        self.epochs.iter().find(|(other, _)| *other > epoch).map_or(self.end, |(_, from)| *from)
    }
}

/// What a reader of the partition gets, as the wire reader and what drives it do: at most `count` records. `begun` says that it has read.
pub fn fetch(
    topic: &Topic,
    partition: usize,
    from: &mut ReadFrom,
    begun: bool,
    count: usize,
) -> Result<Fetched, TransportError> {
    if from.log.is_some_and(|log| log != topic.id) {
        return Err(TransportError::AnotherLog("another topic id".into()));
    }
    let log = &topic.partitions[partition];
    let (next, start, end) = (from.next.0, log.start, log.end);
    let cut = from.leader_epoch.map_or(end, |epoch| log.end_of_epoch(epoch));
    if cut < next {
        let partition = sheetstream::record::TopicPartition { topic: "t.rows".into(), partition: partition as i32 };
        return Err(TransportError::Truncated { partition, read_to: from.next, end: Offset(cut) });
    }
    let mut fetched =
        Fetched { high_watermark: Offset(end), log_start: Offset(start), log: Some(topic.id), ..Fetched::default() };
    if next < start {
        if !begun {
            return Err(TransportError::OutOfRange { at: from.next, log_start: Offset(start), hint: String::new() });
        }
        fetched.lost.push(from.next..Offset(start));
        (from.next, from.leader_epoch) = (Offset(start), None);
        // As the reader says it: the gap alone, and of no known log.
        return Ok(Fetched { next: from.next, log: None, ..fetched });
    }
    fetched.records = log.records.iter().filter(|record| record.offset.0 >= next).take(count).cloned().collect();
    let is_all = fetched.records.len() < count;
    let last = fetched.records.last().map_or(next, |record| record.offset.0 + 1);
    from.next = Offset(if is_all { end } else { last });
    from.leader_epoch = log.epoch_before(from.next.0);
    (fetched.next, fetched.leader_epoch) = (from.next, from.leader_epoch);
    Ok(fetched)
}

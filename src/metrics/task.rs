//! The metrics of one task: counters with their labels resolved when it starts, and its state, which it reports with each commit.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter};

use super::catalog;
use crate::record::{Accounting, Offset, Reason, Rejection, TaskId, TopicPartition};

/// Words of `result` in `sheetstream_rows_total`.
const ROW_FATES: [&str; 6] = ["written", "rejected", "duplicate", "late", "filtered", "voided"];
const LATE: usize = 3;
/// Words of `reason` for what is tried again.
#[rustfmt::skip]
pub const PAUSES: [&str; 13] = [
    "clock", "damaged", "disk_full", "failed", "fenced", "log.truncated", "node", "out_of_range", "too_large", "topic",
    "topic.recreated", "unauthorised", "unavailable",
];
/// Words of `reason` in `sheetstream_rebuilds_total`.
const REBUILDS: [&str; 6] = ["lost", "topology", "overtaken", "reset", "recreated", "truncated"];
/// Words of `state` in `sheetstream_uploads_open`.
pub(super) const OPEN_STATES: [&str; 4] = ["receiving", "incomplete", "stalled", "failed"];

/// How an upload ended: the words of `outcome` in `sheetstream_uploads_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its workbook is out.
    Published,
    /// Its workbook is out, though count or checksum differ from the marker's.
    Incomplete,
    /// The same content again: answered from the ledger.
    Republished,
    /// No workbook.
    Failed,
    /// Given up by its publisher.
    Aborted,
    /// Given up by the idle timeout.
    Expired,
}

impl Outcome {
    const ALL: [Outcome; 6] = [
        Outcome::Published,
        Outcome::Incomplete,
        Outcome::Republished,
        Outcome::Failed,
        Outcome::Aborted,
        Outcome::Expired,
    ];

    fn word(self) -> &'static str {
        match self {
            Outcome::Published => "published",
            Outcome::Incomplete => "incomplete",
            Outcome::Republished => "republished",
            Outcome::Failed => "failed",
            Outcome::Aborted => "aborted",
            Outcome::Expired => "expired",
        }
    }
}

/// Why records gave no row: the words of `result` in `sheetstream_records_unusable_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// They belong to no upload, or are no text.
    Refused,
    /// They cannot be decoded.
    Unreadable,
    /// The log no longer has them.
    Missing,
}

impl Unusable {
    const ALL: [Unusable; 3] = [Unusable::Refused, Unusable::Unreadable, Unusable::Missing];

    fn word(self) -> &'static str {
        match self {
            Unusable::Refused => "refused",
            Unusable::Unreadable => "unreadable",
            Unusable::Missing => "missing",
        }
    }
}

/// Names that become labels of a task's metrics.
#[derive(Clone, Debug)]
pub struct TaskNames<'a> {
    /// The source node.
    pub source: &'a str,
    /// The maps, in order.
    pub maps: Vec<&'a str>,
    /// The aggregate.
    pub aggregate: &'a str,
    /// The sink.
    pub sink: &'a str,
}

/// One node, and its counters if its task is counted.
pub struct NodeMetrics {
    name: Arc<str>,
    counters: Option<NodeCounters>,
}

struct NodeCounters {
    rows: IntCounter,
    /// Of nodes that look at rows one by one.
    rejected: Option<IntCounter>,
    duration: Histogram,
}

impl NodeMetrics {
    fn uncounted(node: &str) -> NodeMetrics {
        NodeMetrics { name: node.into(), counters: None }
    }
    fn counted(topology: &str, node: &str, rejects: bool) -> NodeMetrics {
        let counters = NodeCounters {
            rows: catalog::node_rows(topology, node),
            rejected: rejects.then(|| catalog::node_rows_rejected(topology, node)),
            duration: catalog::node_duration(topology, node),
        };
        NodeMetrics { name: node.into(), counters: Some(counters) }
    }

    /// The node's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A batch took this long.
    pub fn took(&self, duration: Duration) {
        if let Some(counters) = &self.counters {
            counters.duration.observe(duration.as_secs_f64());
        }
    }

    /// So many rows came in, and so many of them were rejected here.
    pub fn took_in(&self, rows: usize, rejected: usize) {
        let Some(counters) = &self.counters else { return };
        counters.rows.inc_by(rows as u64);
        if let Some(counter) = &counters.rejected {
            counter.inc_by(rejected as u64);
        }
    }
}

/// The counters of one task. A task that only tries something counts nothing.
pub struct TaskMetrics {
    /// The source: its batch is a fetch.
    pub source: NodeMetrics,
    /// The maps, in order.
    pub maps: Vec<NodeMetrics>,
    /// The aggregate.
    pub aggregate: NodeMetrics,
    /// The sink: its batch is a workbook.
    pub sink: NodeMetrics,
    counters: Option<Box<TaskCounters>>,
}

struct TaskCounters {
    id: TaskId,
    rows_replayed: IntCounter,
    /// From an upload's first record to its end.
    upload_duration: Histogram,
    fetch: Fetch,
    records: IntCounter,
    pages: IntCounter,
    pages_reported: u64,
    chunks: IntCounter,
    eof_to_workbook: Histogram,
    workbook_size: Histogram,
    unusable: [IntCounter; 3],
    rows: [IntCounter; 6],
    outcomes: [IntCounter; 6],
    dead_letters: BTreeMap<(Arc<str>, Reason), IntCounter>,
}

/// The fetch that is under way, or was last.
struct Fetch {
    begun: Instant,
    /// Time in it that was spent behind the source.
    behind_source: Duration,
    record_ms: i64,
    ended_ms: i64,
}

impl TaskMetrics {
    /// Of a task that counts nothing.
    pub fn uncounted(names: &TaskNames<'_>) -> TaskMetrics {
        TaskMetrics {
            source: NodeMetrics::uncounted(names.source),
            maps: names.maps.iter().map(|name| NodeMetrics::uncounted(name)).collect(),
            aggregate: NodeMetrics::uncounted(names.aggregate),
            sink: NodeMetrics::uncounted(names.sink),
            counters: None,
        }
    }

    /// Resolves the labels of a task that starts with `committed` as its group's offset. Its series stay until [`forget_task`].
    pub fn counted(
        id: &TaskId,
        partition: &TopicPartition,
        names: &TaskNames<'_>,
        committed: Option<Offset>,
    ) -> TaskMetrics {
        let topology: &str = &id.topology;
        standings().insert(id.clone(), TaskStanding::new(partition.clone(), committed));
        for reason in REBUILDS {
            catalog::rebuilds(topology, reason);
        }
        for map in &names.maps {
            // Rows without coordinates are usual, and alerts leave them out: a series that begins at 0 shows the first of them.
            catalog::dead_letters(topology, map, Reason::CoordMissing.code());
        }
        let node = |name: &str, rejects| NodeMetrics::counted(topology, name, rejects);
        TaskMetrics {
            source: node(names.source, true),
            maps: names.maps.iter().map(|name| node(name, true)).collect(),
            aggregate: node(names.aggregate, false),
            sink: node(names.sink, false),
            counters: Some(Box::new(TaskCounters::new(id))),
        }
    }

    /// A fetch is taken up: its records, and the timestamp of the last of them.
    pub fn fetch_begins(&mut self, records: usize, last_ms: Option<i64>) {
        let Some(counters) = &mut self.counters else { return };
        counters.records.inc_by(records as u64);
        counters.fetch.begun = Instant::now();
        counters.fetch.behind_source = Duration::ZERO;
        counters.fetch.record_ms = last_ms.unwrap_or(counters.fetch.record_ms);
    }

    /// Adds time that the nodes behind the source were busy with its elements.
    pub fn passed_on(&mut self, duration: Duration) {
        if let Some(counters) = &mut self.counters {
            counters.fetch.behind_source += duration;
        }
    }

    /// The fetch is processed.
    pub fn fetch_ends(&mut self) {
        let Some(counters) = &mut self.counters else { return };
        self.source.took(counters.fetch.begun.elapsed().saturating_sub(counters.fetch.behind_source));
        counters.fetch.ended_ms = now_ms();
    }

    /// Records that gave no row.
    pub fn unusable(&self, result: Unusable, records: u64) {
        if let Some(counters) = &self.counters {
            counters.unusable[result as usize].inc_by(records);
        }
    }

    /// Rows that are read again.
    pub fn replayed(&self, rows: u64) {
        if let Some(counters) = &self.counters {
            counters.rows_replayed.inc_by(rows);
        }
    }

    /// The source refused a record: a dead letter.
    pub fn refused(&mut self, reason: Reason) {
        let unreadable = matches!(reason, Reason::RecordMalformed | Reason::RecordCorrupt | Reason::RecordTooBig);
        self.unusable(if unreadable { Unusable::Unreadable } else { Unusable::Refused }, 1);
        if let Some(counters) = &mut self.counters {
            counters.dead_letter(self.source.name.clone(), reason);
        }
    }

    /// A row or a marker goes to the dead letters.
    pub fn dead_letter(&mut self, rejection: &Rejection) {
        let Some(counters) = &mut self.counters else { return };
        if rejection.reason == Reason::RowLate {
            counters.rows[LATE].inc(); // its upload has ended, so its fate is known
        }
        let node = rejection.node.clone().unwrap_or_else(|| self.aggregate.name.clone());
        counters.dead_letter(node, rejection.reason);
    }

    /// An upload ended, and this became of its rows.
    pub fn ended(&self, outcome: Outcome, rows: &Accounting) {
        let Some(counters) = &self.counters else { return };
        counters.outcomes[outcome as usize].inc();
        let Accounting { written, rejected, duplicate, late, filtered, voided, .. } = *rows;
        for (counter, rows) in counters.rows.iter().zip([written, rejected, duplicate, late, filtered, voided]) {
            counter.inc_by(rows);
        }
    }

    /// An upload was closed so long after its first record.
    pub fn closed(&self, open: Duration) {
        if let Some(counters) = &self.counters {
            counters.upload_duration.observe(open.as_secs_f64());
        }
    }

    /// A workbook was assembled and acknowledged, which took `duration`: `rows` in `chunks` records of `bytes` bytes together.
    pub fn delivered(&self, duration: Duration, rows: u64, bytes: u64, chunks: u64) {
        let Some(counters) = &self.counters else { return };
        self.sink.took(duration);
        self.sink.took_in(rows as usize, 0);
        counters.chunks.inc_by(chunks);
        counters.workbook_size.observe(bytes as f64);
        counters.eof_to_workbook.observe(counters.fetch.begun.elapsed().as_secs_f64());
    }

    /// Reports the state of the task.
    pub fn report(&mut self, moment: TaskMoment) {
        let Some(counters) = &mut self.counters else { return };
        counters.pages.inc_by(moment.pages_cut - counters.pages_reported);
        counters.pages_reported = moment.pages_cut;
        let now_ms = now_ms();
        if let Some(standing) = standings().get_mut(&counters.id) {
            standing.committed = moment.committed.or(standing.committed);
            if moment.end.is_some_and(|end| moment.position >= end) {
                standing.caught_up_ms = now_ms;
            }
            standing.record_ms = counters.fetch.record_ms;
            standing.processed_ms = counters.fetch.ended_ms;
            standing.oldest_upload_ms = moment.oldest_upload_age_ms.map(|age| now_ms - age as i64);
            standing.moment = moment;
        }
    }
}

impl TaskCounters {
    fn new(id: &TaskId) -> TaskCounters {
        let topology: &str = &id.topology;
        TaskCounters {
            id: id.clone(),
            rows_replayed: catalog::rows_replayed(topology),
            upload_duration: catalog::upload_duration(topology),
            fetch: Fetch { begun: Instant::now(), behind_source: Duration::ZERO, record_ms: 0, ended_ms: 0 },
            records: catalog::records_consumed(topology),
            pages: catalog::pages_cut(topology),
            pages_reported: 0,
            chunks: catalog::chunks_published(topology),
            eof_to_workbook: catalog::eof_to_workbook(topology),
            workbook_size: catalog::workbook_size(),
            unusable: Unusable::ALL.map(|result| catalog::records_unusable(topology, result.word())),
            rows: ROW_FATES.map(|result| catalog::rows(topology, result)),
            outcomes: Outcome::ALL.map(|outcome| catalog::uploads(topology, outcome.word())),
            dead_letters: BTreeMap::new(),
        }
    }

    fn dead_letter(&mut self, node: Arc<str>, reason: Reason) {
        let topology = &self.id.topology;
        let counter = |(node, reason): &(Arc<str>, Reason)| catalog::dead_letters(topology, node, reason.code());
        self.dead_letters.entry((node, reason)).or_insert_with_key(counter).inc();
    }
}

/// A partition is no longer ours: its series end.
pub fn forget_task(id: &TaskId) {
    standings().remove(id);
}

/// The state of a task, as of its last commit.
#[derive(Clone, Debug, Default)]
pub struct TaskMoment {
    /// The offset that the group has, if the task has committed one.
    pub committed: Option<Offset>,
    /// First record that is not processed.
    pub position: Offset,
    /// First record that a start without state would read.
    pub replay_from: Offset,
    /// Start of the partition, as of the last read; 0 before.
    pub log_start: Offset,
    /// End of the partition, once it is known.
    pub end: Option<Offset>,
    /// Bytes of pages in the state.
    pub state_bytes: u64,
    /// Bytes of records that were fetched and wait.
    pub buffered_bytes: u64,
    /// Pages that the task has cut since it started.
    pub pages_cut: u64,
    /// Rows that wait for a lower index.
    pub rows_waiting: u64,
    /// Open uploads: receiving, incomplete, stalled, failed.
    pub uploads: [u64; 4],
    /// For how long the oldest open upload has been open.
    pub oldest_upload_age_ms: Option<u64>,
}

/// A task as a scrape sees it. Times are milliseconds since 1970, 0 before there is one.
#[derive(Clone, Debug)]
pub(super) struct TaskStanding {
    pub(super) partition: TopicPartition,
    pub(super) committed: Option<Offset>,
    pub(super) processed_ms: i64,
    pub(super) oldest_upload_ms: Option<i64>,
    pub(super) moment: TaskMoment,
    started_ms: i64,
    /// When nothing was left to process, for the last time.
    caught_up_ms: i64,
    /// As the log says of the record processed last: anything.
    record_ms: i64,
}

impl TaskStanding {
    fn new(partition: TopicPartition, committed: Option<Offset>) -> TaskStanding {
        TaskStanding {
            partition,
            committed,
            processed_ms: 0,
            oldest_upload_ms: None,
            moment: TaskMoment::default(),
            started_ms: now_ms(),
            caught_up_ms: 0,
            record_ms: 0,
        }
    }

    /// Records that are not committed.
    pub(super) fn lag(&self) -> Option<i64> {
        Some((self.moment.end?.0 - self.committed?.0).max(0))
    }

    /// Seconds that processing is behind: since the record processed last was written, or since there was nothing left to do, whichever
    /// is later. Timestamps of records may be nonsense; then only the latter counts.
    pub(super) fn lag_seconds(&self, now_ms: i64) -> f64 {
        if self.moment.end.is_none_or(|end| self.moment.position >= end) {
            return 0.0;
        }
        let since = self.record_ms.min(now_ms).max(self.caught_up_ms);
        let since = if since > 0 { since } else { self.started_ms };
        (now_ms - since).max(0) as f64 / 1_000.0
    }

    /// Records that retention can still delete before it reaches one that is needed; infinite while it has deleted none.
    pub(super) fn retention_headroom(&self) -> f64 {
        if self.moment.log_start <= Offset(0) {
            return f64::INFINITY;
        }
        (self.moment.replay_from.0 - self.moment.log_start.0).max(0) as f64
    }
}

static STANDINGS: LazyLock<Mutex<BTreeMap<TaskId, TaskStanding>>> = LazyLock::new(Mutex::default);

pub(super) fn standings() -> MutexGuard<'static, BTreeMap<TaskId, TaskStanding>> {
    STANDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    (super::now_seconds() * 1_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn standing(position: i64, end: i64, record_ms: i64, caught_up_ms: i64) -> TaskStanding {
        let (position, end) = (Offset(position), Some(Offset(end)));
        TaskStanding {
            started_ms: NOW - 5_000,
            caught_up_ms,
            record_ms,
            moment: TaskMoment { position, end, ..TaskMoment::default() },
            ..TaskStanding::new(TopicPartition { topic: "rows".into(), partition: 0 }, Some(position))
        }
    }

    #[test]
    fn nothing_is_behind_at_the_end_of_the_log() {
        assert_eq!(standing(7, 7, 1, 0).lag_seconds(NOW), 0.0);
    }

    #[test]
    fn a_backlog_is_as_old_as_the_record_processed_last() {
        assert_eq!(standing(7, 9, NOW - 60_000, 0).lag_seconds(NOW), 60.0);
    }

    #[test]
    fn a_record_after_a_long_silence_is_not_an_hour_behind() {
        assert_eq!(standing(7, 8, NOW - 3_600_000, NOW - 200).lag_seconds(NOW), 0.2);
    }

    #[test]
    fn nonsense_timestamps_count_from_the_start() {
        assert_eq!(standing(7, 8, -1, 0).lag_seconds(NOW), 5.0);
        assert_eq!(standing(7, 8, i64::MAX, 0).lag_seconds(NOW), 0.0);
    }

    #[test]
    fn headroom_is_infinite_until_retention_has_deleted_something() {
        let mut task = standing(7, 9, 0, 0);
        task.moment.replay_from = Offset(5);
        assert_eq!(task.retention_headroom(), f64::INFINITY);
        task.moment.log_start = Offset(2);
        assert_eq!(task.retention_headroom(), 3.0);
    }
}

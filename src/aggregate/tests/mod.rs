//! A log of a few lines, a task over it that can be killed anywhere, and what it published.

mod life;
mod properties;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use bytes::Bytes;

use super::*;
use crate::page::Styles;
use crate::record::{
    Accounting, Announcement, ColumnLook, CoordinateForm, Delimiter, LedgerEntry, Marker, MarkerRecord, Message,
    NumberRange, Outcome, Quoted, RawRows, Reason, RowKey, TaskId, TemplatePart,
};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::digest::Digest;
use crate::sink::output::{Delivery, Output};
use crate::sink::status::{StatusRecord, StatusWorkbook, UploadState};
use crate::sink::{CompletePage, CompleteUpload, RejectedRow};
use crate::source::{Incomplete, OnError, SourceConfig};
use crate::state::{InMemoryStore, StateStore};

/// A record of the log; its offset is its place.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) upload: &'static str,
    pub(super) attempt: Option<&'static str>,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Rows, numbered from `first` on if that is there. The seed of a row decides its cells; one seed in 17 is a bad row.
    Rows {
        first: Option<u64>,
        seeds: Vec<u64>,
    },
    Marker(Marker),
}

pub(super) fn rows(upload: &'static str, seeds: impl IntoIterator<Item = u64>) -> Line {
    Line { upload, attempt: None, content: Content::Rows { first: None, seeds: seeds.into_iter().collect() } }
}
/// Numbered rows; the seed of a row is its number.
pub(super) fn numbered(upload: &'static str, numbers: std::ops::RangeInclusive<u64>) -> Line {
    let first = Some(*numbers.start());
    Line { upload, attempt: None, content: Content::Rows { first, seeds: numbers.collect() } }
}
pub(super) fn marker(upload: &'static str, marker: Marker) -> Line {
    Line { upload, attempt: None, content: Content::Marker(marker) }
}
pub(super) fn begin(upload: &'static str) -> Line {
    marker(upload, Marker::Begin(Announcement::default()))
}
pub(super) fn eof(upload: &'static str) -> Line {
    marker(upload, Marker::Eof { rows: None, sha256: None, partitions: None })
}
pub(super) fn eof_of(upload: &'static str, rows: u64) -> Line {
    marker(upload, Marker::Eof { rows: Some(rows), sha256: None, partitions: None })
}
impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Line { upload, attempt, content } = self;
        match content {
            Content::Rows { first, seeds } => {
                write!(f, "{upload} {attempt:?} {first:?}: {:?}..={:?}", seeds.first(), seeds.last())
            }
            Content::Marker(marker) => write!(f, "{upload} {attempt:?} {marker:?}"),
        }
    }
}

impl Line {
    pub(super) fn of(mut self, attempt: &'static str) -> Line {
        self.attempt = Some(attempt);
        self
    }
}

pub(super) fn is_bad(seed: u64) -> bool {
    seed.is_multiple_of(17)
}
/// A filter took the row out.
fn is_filtered(seed: u64) -> bool {
    seed > 50 && seed % 7 == 3 && !is_bad(seed)
}
pub(super) fn raw(seed: u64) -> String {
    format!("s{},value {seed}", seed % 3)
}
pub(super) fn checksum(seeds: impl IntoIterator<Item = u64>) -> [u8; 32] {
    let mut checksum = checksum::RowsChecksum::default();
    seeds.into_iter().for_each(|seed| checksum.row(raw(seed).as_bytes()));
    checksum.digest()
}

/// Offset, line within the record, number, seed.
type Row = (i64, u32, Option<u64>, u64);
/// Rows of one batch that grows, and the line that they began with.
type Pending<'l> = (&'l Line, Vec<Row>);

/// The batch that the source and the maps make of rows.
fn batch(upload: &str, attempt: Option<&str>, rows: &[Row]) -> RowBatch {
    let numbered = rows.first().is_some_and(|row| row.2.is_some());
    let text = |cell: fn(u64) -> String| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| Some(if is_bad(row.3) { String::new() } else { cell(row.3) }))
                .collect::<StringArray>(),
        )
    };
    let lon: Float64Array =
        rows.iter().map(|row| Some(if is_bad(row.3) { f64::NAN } else { 127.0 + row.3 as f64 / 1e3 })).collect();
    let columns = RecordBatch::try_from_iter([
        ("sheet", text(|seed| format!("s{}", seed % 3))),
        ("value", text(|seed| format!("value {seed}"))),
        ("lon", Arc::new(lon) as ArrayRef),
    ]);
    let mut texts = RawRows::default();
    rows.iter().for_each(|row| texts.push(raw(row.3).as_bytes()));
    let message = |seed: u64| Message::NotANumber { value: Quoted::new(&seed.to_string()), hint: None };
    let rejection = |seed| Rejection::new(message(seed)).in_column("value");
    let rejected = rows.iter().zip(0..).filter(|(row, _)| is_bad(row.3)).map(|(row, n)| (n, rejection(row.3)));
    RowBatch {
        coordinates: CoordinateForm::Columns,
        map_link: false,
        upload: UploadId::new(upload),
        attempt: attempt.map(Arc::from),
        crs: None,
        traceparent: None,
        numbered,
        header: Arc::new(["sheet".into(), "value".into()]),
        columns: columns.expect("equally long columns"),
        types: Arc::new([ColumnType::Auto, ColumnType::Auto, ColumnType::Computed { decimals: 3 }]),
        keys: rows
            .iter()
            .map(|&(offset, line, number, _)| {
                number.map_or(RowKey { index: offset as u64, line }, |index| RowKey { index, line: 0 })
            })
            .collect(),
        offsets: rows.iter().map(|row| Offset(row.0)).collect(),
        raw: texts,
        delimiter: b',',
        published: None,
        rejected: rejected.collect(),
        filtered: rows.iter().zip(0..).filter(|(row, _)| is_filtered(row.3)).map(|(_, n)| n).collect(),
        operations: Vec::new(),
        distant: Vec::new(),
        unplaced: Vec::new(),
        record_keys: vec![(0, Some(Bytes::copy_from_slice(upload.as_bytes())))],
        passed_from: Vec::new(),
    }
}

pub(super) fn settings() -> AggregateSettings {
    let aggregate = AggregateConfig {
        node: "by-sheet".into(),
        sheet: SheetKey::Column("sheet".into()),
        sheet_order: SheetOrder::First,
        sheets_max: 2_048,
    };
    let source = SourceConfig { idle_timeout: Duration::from_secs(100), ..crate::source::tests::config() };
    AggregateSettings {
        limits: MemoryLimits::default(),
        aggregate: Arc::new(aggregate),
        source: Arc::new(source),
        task: TaskId { topology: "test".into(), source: None, partition: 0 },
        topology_hash: "0123456789abcdef".into(),
        partition_count: Some(3),
        siblings: Siblings::default(),
        styles: Styles::new(std::array::from_fn(|index| index as u16)),
        cell_refs: false,
        ranges: true,
    }
}

/// Value, a checksum of each page, how columns look, the ranges of their numbers.
type BookSheet = (String, Vec<String>, Vec<ColumnLook>, Vec<Option<NumberRange>>);

/// All of a complete upload that its workbook follows from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Book {
    pub(super) sheets: Vec<BookSheet>,
    pub(super) rows: Vec<Vec<u32>>,
    pub(super) errors: Vec<RejectedRow>,
    pub(super) written: u64,
    pub(super) rejected: u64,
    pub(super) sha256: [u8; 32],
    pub(super) incomplete: bool,
    pub(super) columns: Vec<(String, ColumnType)>,
    pub(super) source_name: String,
}

fn page_sum(bytes: &[u8]) -> String {
    format!("{:08x} {}", crc32fast::hash(bytes), bytes.len())
}

impl Book {
    pub(super) fn of(complete: &CompleteUpload, store: &dyn StateStore) -> Book {
        assert!(complete.accounting.balances());
        assert_eq!(complete.accounting.waiting, 0);
        let mut rows = Vec::new();
        let mut sheets = Vec::new();
        for sheet in &complete.sheets {
            let mut counts = Vec::new();
            let mut pages = Vec::new();
            for page in &sheet.pages {
                match page {
                    CompletePage::Stored(segment, page) => {
                        let mut bytes = Vec::new();
                        store.read(*segment, page.at, &mut bytes).expect("a page that was appended");
                        counts.push(page.rows);
                        pages.push(page_sum(&bytes));
                    }
                    CompletePage::Inline(page) => {
                        counts.push(page.rows);
                        pages.push(page_sum(&page.bytes));
                    }
                }
            }
            rows.push(counts);
            sheets.push((sheet.value.clone(), pages, sheet.looks.clone(), sheet.ranges.clone()));
        }
        assert_eq!(rows.iter().flatten().map(|rows| u64::from(*rows)).sum::<u64>(), complete.accounting.written);
        Book {
            sheets,
            rows,
            errors: complete.errors.clone(),
            written: complete.accounting.written,
            rejected: complete.accounting.rejected,
            sha256: complete.rows_sha256,
            incomplete: complete.incomplete,
            columns: complete.columns.to_vec(),
            source_name: complete.source_name.clone(),
        }
    }
}

/// The records that reached the output topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Published {
    /// By upload and revision; a second one must be the same.
    pub(super) books: BTreeMap<(String, u32), Book>,
    /// Ends, by upload and first offset.
    pub(super) ends: BTreeMap<(String, i64), (Outcome, u32, i64, Accounting)>,
    /// The terminal records of the status topic.
    pub(super) ledger: Vec<LedgerEntry>,
    /// Offset, row, reason.
    pub(super) dead_letters: BTreeSet<(i64, Option<u64>, &'static str)>,
    /// Words of the status topic in order, each with its reason.
    pub(super) words: Vec<(String, UploadState, Option<Reason>)>,
    /// The same, each with its offset and once.
    pub(super) said: BTreeSet<(String, i64, String)>,
    /// First offset whose dead letters may be sent.
    committed: i64,
    /// The topic takes no workbook.
    pub(super) refuses: bool,
}

/// A task and the world around it.
pub(super) struct Task {
    pub(super) aggregate: Aggregate,
    pub(super) store: InMemoryStore,
    pub(super) settings: AggregateSettings,
    pub(super) position: i64,
    emit_from: i64,
    /// Offset and replay offset in Kafka.
    pub(super) committed: (i64, i64),
    /// The last state commit: offset, restore offset.
    saved: Option<(i64, i64)>,
    pub(super) published: Published,
    pub(super) now_ms: u64,
    pub(super) rebuilds: usize,
}

/// With so little room in memory that rows that wait, and those of open pages, go to disk.
fn aggregate(settings: &AggregateSettings) -> Aggregate {
    let mut aggregate = Aggregate::new(settings.clone());
    aggregate.limits = MemoryLimits { upload: 20_000, task: 50_000, open: 30_000 };
    aggregate
}

impl Task {
    pub(super) fn new(settings: AggregateSettings) -> Task {
        Task {
            aggregate: aggregate(&settings),
            store: InMemoryStore::new(),
            settings,
            position: 0,
            emit_from: 0,
            committed: (0, 0),
            saved: None,
            published: Published::default(),
            now_ms: 0,
            rebuilds: 0,
        }
    }

    /// Processes the log from the task's position up to `end`, `fetch` records at a time.
    pub(super) fn run(&mut self, log: &[Line], end: usize, fetch: usize) -> Result<(), StateError> {
        while (self.position as usize) < end {
            let from = self.position as usize;
            let mut to = (from + fetch).min(end);
            if from < self.emit_from as usize {
                to = to.min(self.emit_from as usize);
            }
            let phase = Phase::at(Offset(from as i64), Offset(self.emit_from));
            self.read(log, from, to, phase)?;
            self.position = to as i64;
        }
        Ok(())
    }

    /// One read: rows are grouped by upload, up to its next marker.
    fn read(&mut self, log: &[Line], from: usize, to: usize, phase: Phase) -> Result<(), StateError> {
        let mut pending: Vec<Pending> = Vec::new();
        for (line, offset) in log[from..to].iter().zip(from as i64..) {
            match &line.content {
                Content::Rows { first, seeds } => {
                    let is_same = |(other, _): &&mut Pending| {
                        let Content::Rows { first: theirs, .. } = other.content else { return false };
                        other.upload == line.upload
                            && other.attempt == line.attempt
                            && theirs.is_some() == first.is_some()
                    };
                    let last = pending.iter().rposition(|(other, _)| other.upload == line.upload);
                    let at = match last.filter(|at| is_same(&&mut pending[*at])) {
                        Some(at) => at,
                        None => {
                            pending.push((line, Vec::new()));
                            pending.len() - 1
                        }
                    };
                    let rows = seeds.iter().zip(0_u32..);
                    pending[at]
                        .1
                        .extend(rows.map(|(seed, n)| (offset, n, first.map(|first| first + u64::from(n)), *seed)));
                }
                Content::Marker(marker) => {
                    let (mine, others) = pending.into_iter().partition(|(other, _)| other.upload == line.upload);
                    pending = others;
                    self.process(mine, from, phase)?;
                    let record = MarkerRecord {
                        upload: UploadId::new(line.upload),
                        offset: Offset(offset),
                        read_at: Offset(offset),
                        marker: marker.clone(),
                        attempt: line.attempt.map(Arc::from),
                        traceparent: None,
                        key: None,
                        value: Some(Bytes::from_static(b"#MARKER")),
                        passed_from: None,
                    };
                    self.call(from, phase, |aggregate, ctx| aggregate.on_marker(record, ctx))?;
                }
            }
        }
        self.process(pending, from, phase)
    }

    fn process(&mut self, pending: Vec<Pending>, from: usize, phase: Phase) -> Result<(), StateError> {
        for (line, rows) in pending {
            let batch = batch(line.upload, line.attempt, &rows);
            self.call(from, phase, |aggregate, ctx| aggregate.process(batch, ctx))?;
        }
        Ok(())
    }

    /// Calls the aggregate, whose outputs are published.
    pub(super) fn call<T>(
        &mut self,
        position: usize,
        phase: Phase,
        call: impl FnOnce(&mut Aggregate, &mut AggregateContext) -> Result<T, OutputError>,
    ) -> Result<T, StateError> {
        self.published.committed = self.committed.0;
        let mut ctx = AggregateContext {
            store: &mut self.store,
            phase,
            now_ms: self.now_ms,
            position: Offset(position as i64),
            topic: "rows",
            output: &mut self.published,
        };
        call(&mut self.aggregate, &mut ctx).map_err(|error| match error {
            OutputError::State(error) => error,
            OutputError::Transport(error) => panic!("memory refuses nothing: {error}"),
        })
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let phase = Phase::at(Offset(self.position), Offset(self.emit_from));
        self.call(self.position as usize, phase, |aggregate, ctx| aggregate.tick(ctx)).expect("memory takes it");
    }

    /// Commits, up to the step `until`: 0 nothing, 1 the state, 2 the Kafka offset, 3 the deletion of what is finished.
    pub(super) fn commit(&mut self, until: u8) {
        if until >= 1 {
            let mut writes = WriteBatch::default();
            let written = self.aggregate.write_state(Offset(self.position), &mut self.store, &mut writes);
            written.expect("memory takes it");
            self.store.commit(writes).expect("memory takes it");
            self.saved = Some((self.position, self.aggregate.restore_from().map_or(self.position, |offset| offset.0)));
        }
        if until >= 2 {
            self.committed = (self.position, self.aggregate.replay_from().map_or(self.position, |offset| offset.0));
        }
        if until >= 3 {
            let mut writes = WriteBatch::default();
            self.aggregate.take_finished(&mut writes);
            self.store.commit(writes).expect("memory takes it");
        }
    }

    /// The process dies and comes back, with its state unless that is lost.
    pub(super) fn kill(&mut self, log: &[Line], state_is_lost: bool, fetch: usize) {
        self.store = self.store.crash();
        if !state_is_lost {
            match self.resume(log, fetch) {
                Ok(()) => return,
                Err(error) => eprintln!("rebuilding: {error}"),
            }
        }
        self.rebuilds += 1;
        self.store = InMemoryStore::new();
        self.saved = None;
        self.aggregate = aggregate(&self.settings);
        (self.emit_from, self.position) = self.committed;
        let ledger = self.published.ledger.clone();
        self.adopt(ledger, self.position);
    }

    fn resume(&mut self, log: &[Line], fetch: usize) -> Result<(), StateError> {
        self.aggregate = aggregate(&self.settings);
        let (offset, restore_from) = self.saved.unwrap_or((0, 0));
        self.aggregate.restore(&mut self.store, Offset(0))?;
        let phase = Phase::Restoring { until: Offset(offset), emit_from: Offset(self.committed.0) };
        let mut from = restore_from as usize;
        while from < offset as usize {
            let to = (from + fetch).min(offset as usize);
            self.read(log, from, to, phase)?;
            from = to;
        }
        self.aggregate.finish_restore()?;
        self.position = offset;
        self.emit_from = self.committed.0;
        if offset < self.committed.0 {
            let ledger = self.published.ledger.clone();
            self.adopt(ledger, offset);
        }
        Ok(())
    }

    fn adopt(&mut self, ledger: Vec<LedgerEntry>, replay_from: i64) {
        let offsets = (Offset(0), Offset(replay_from));
        self.aggregate.adopt_ledger(ledger.into_iter(), offsets, &mut self.store).expect("memory takes it");
    }
}

impl Output for Published {
    fn workbook(&mut self, complete: CompleteUpload, store: &dyn StateStore) -> Result<Delivery, OutputError> {
        if self.refuses {
            return Ok(Delivery::Refused(Rejection::new(Message::RecordTooLarge {
                refusal: "a record is too large".into(),
            })));
        }
        let book = Book::of(&complete, store);
        let key = (complete.upload.as_str().to_owned(), complete.revision);
        if let Some(before) = self.books.get(&key) {
            assert_eq!(before, &book, "{key:?} was published before and was different");
        }
        self.books.insert(key, book);
        Ok(Delivery::Sent(StatusWorkbook {
            topic: "workbooks".into(),
            bytes: 1,
            sha256: Digest([0; 32]),
            chunks: 1,
            filename: "a.xlsx".into(),
        }))
    }

    fn status(&mut self, status: StatusRecord, offset: Offset) -> Result<(), OutputError> {
        assert!(status.accounting.balances(), "{status:?}");
        if status.state == UploadState::Published {
            assert!(self.books.contains_key(&(status.upload.clone(), status.revision)), "no workbook: {status:?}");
        } else {
            let code = status.failure.as_ref().map(|failure| &*failure.reason);
            let reason = code.and_then(|code| Reason::ALL.iter().find(|reason| reason.code() == code).copied());
            let said = format!("{:?} {reason:?} {:?}", status.state, status.accounting);
            self.said.insert((status.upload.clone(), offset.0, said));
            self.words.push((status.upload.clone(), status.state, reason));
        }
        status.ledger().into_iter().for_each(|ledger| self.end(ledger));
        Ok(())
    }

    fn dead_letter(&mut self, letter: &DeadLetter<'_>) -> Result<(), OutputError> {
        let offset = letter.offset;
        // An end that waits is refused by a later record.
        let is_of_now = offset.0 >= self.committed || letter.rejection.reason == Reason::EofUnknown;
        assert!(is_of_now, "the dead letter of {offset} was sent before the commit");
        self.dead_letters.insert((offset.0, letter.row, letter.rejection.reason.code()));
        Ok(())
    }
}

impl Published {
    fn end(&mut self, ledger: LedgerEntry) {
        assert!(ledger.accounting.balances());
        let key = (ledger.id.clone(), ledger.first_offset.0);
        let end = (ledger.outcome, ledger.revision, ledger.completion_offset.0, ledger.accounting);
        if let Some(before) = self.ends.insert(key, end) {
            assert_eq!(before, end, "{} ended before, and differently", ledger.id);
        }
        self.ledger.push(ledger);
    }

    pub(super) fn book(&self, upload: &str, revision: u32) -> &Book {
        let known: Vec<_> = self.books.keys().collect();
        self.books
            .get(&(upload.to_owned(), revision))
            .unwrap_or_else(|| panic!("{upload} {revision} is not among {known:?}"))
    }
}

/// The output of a task that nothing disturbs.
pub(super) fn undisturbed(settings: AggregateSettings, log: &[Line], fetch: usize) -> Task {
    let mut task = Task::new(settings);
    task.run(log, log.len(), fetch).expect("memory takes it");
    task
}

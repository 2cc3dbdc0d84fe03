//! One partition's work: its processor chain, its store and its offset. Knows nothing of threads or Kafka.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tracing::{info, warn};

use crate::aggregate::{
    Aggregate, AggregateContext, AggregateEvent, AggregateSettings, Phase, Standing, UploadPreview, UploadStatus,
};
use crate::map::{self, OwnCrs};
use crate::metrics::{self, Outcome, TaskMetrics, TaskMoment, Unusable};
use crate::processor::{ProcessError, Processor};
use crate::record::{
    Announcement, Marker, MarkerRecord, Message, Offset, Rejection, RowBatch, SheetName, StreamElement, TaskId,
    TopicPartition, UploadId,
};
use crate::runtime::queries::Preview;
use crate::runtime::recovery::{self, RecoveryPlan};
use crate::runtime::task_metrics;
use crate::sink::chunk::{self, Chunks};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::digest::Digest;
use crate::sink::preview::{self, SheetPreview};
use crate::sink::status::{StatusFailure, StatusOffsets, StatusRecord, StatusState, StatusWorkbook};
use crate::sink::workbook::{Workbook, WorkbookMaker};
use crate::sink::{AboutFacts, CompleteUpload};
use crate::source::Source;
use crate::state::keys::{self, LedgerState, StateKey, TaskState};
use crate::state::{Entry, StateError, StateStore, WriteBatch};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, OutRecord, Outbox, Progress, TransportError};

/// Outgoing records are handed to the outbox when they hold this many bytes, or at the end of a fetch.
const OUTGOING_BYTES_MAX: usize = 1 << 20;

/// Least time between two records that tell how an upload comes in (contract 12).
const RECEIVING_INTERVAL_MS: u64 = 1_000;

/// Why a task cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The state failed; rebuild it, or wait for disk space.
    #[error(transparent)]
    State(#[from] StateError),
    /// The broker failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A node failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// What a task has to know before it starts reading.
#[derive(Debug, Default)]
pub struct TaskStart {
    /// What the group's coordinator holds.
    pub committed: Committed,
    /// First offset of the log.
    pub log_start: Offset,
    /// Partitions of the source topic.
    pub partition_count: Option<i32>,
    /// Under which membership the task is ours.
    pub fence: Fence,
}

/// One partition of one topology.
pub struct StreamTask {
    id: TaskId,
    partition: TopicPartition,
    topology: Arc<Topology>,
    source: Source,
    maps: Vec<Box<dyn Processor>>,
    own_crs: OwnCrs,
    aggregate: Aggregate,
    maker: WorkbookMaker,
    about: AboutFacts,
    store: Box<dyn StateStore>,
    fence: Fence,
    /// First record that is not processed.
    position: Offset,
    /// First offset of the read that is under way: a fetch, or the part of one on this side of a border.
    read_from: Offset,
    /// While unfinished pages are refilled: where that ends.
    refill_until: Option<Offset>,
    /// Outputs of events below this offset are out already.
    silent_below: Offset,
    events: Vec<AggregateEvent>,
    outgoing: Vec<OutRecord>,
    outgoing_bytes: usize,
    /// Keys and segments of uploads whose end is committed; they go with the next state commit.
    finished: WriteBatch,
    committed_progress: Option<Progress>,
    commit_due: bool,
    told: Told,
    metrics: TaskMetrics,
}

/// How an upload was last said to stand.
#[derive(Default)]
struct Told {
    upload: String,
    revision: u32,
    rows_in: u64,
    /// When the last `RECEIVING` was sent.
    receiving_ms: Option<u64>,
}

impl StreamTask {
    /// Builds the task and restores it; the second value is the offset to read from. `read_ledger` reads this task's terminal
    /// status records; it is called when there is no state that remembers them.
    pub fn start(
        id: TaskId,
        topology: Arc<Topology>,
        store: Box<dyn StateStore>,
        start: TaskStart,
        read_ledger: &mut dyn FnMut() -> Result<Vec<LedgerState>, TransportError>,
    ) -> Result<(StreamTask, Offset), TaskError> {
        let entries = store.load()?;
        let local = entries.iter().find(|(key, _)| StateKey::decode(key) == Some(StateKey::Task));
        let local: Option<TaskState> = local.and_then(|(_, value)| keys::decode(value));
        // State that is as new as the commit remembers every end that matters.
        let remembers = |state: &TaskState| match &start.committed {
            Committed::None => true,
            Committed::Ours(progress) => progress.next <= state.offset,
            Committed::Reset(_) => false,
        };
        let usable = local.as_ref().is_some_and(|state| *state.topology == *topology.hash && remembers(state));
        let ledger = if usable { vec![] } else { read_ledger()? };
        let plan = recovery::plan(local.as_ref(), &topology.hash, &start.committed, &ledger, start.log_start);

        let mut task = Self::assemble(id, topology, store, &start)?;
        let from = match plan {
            RecoveryPlan::Resume { refill_from, position, silent_below } => {
                info!(task = %task.id, %refill_from, %position, "resuming from local state");
                task.restore(&entries, local.map(|local| local.waiting).unwrap_or_default())?;
                task.aggregate.adopt_ledger(ledger, position);
                fail::fail_point!("task-restored");
                task.position = position;
                task.silent_below = silent_below;
                task.refill_until = Some(position);
                refill_from
            }
            RecoveryPlan::Rebuild { replay_from, silent_below, because } => {
                if let Some(because) = because {
                    let records = silent_below.0 - replay_from.0;
                    warn!(task = %task.id, %because, %replay_from, records, "rebuilding state from the log");
                    metrics::rebuilds(&task.id.topology, because.code()).inc();
                }
                if !entries.is_empty() {
                    task.store.clear()?;
                }
                task.aggregate.adopt_ledger(ledger, replay_from);
                task.position = replay_from;
                task.silent_below = silent_below;
                replay_from
            }
        };
        if from < start.log_start {
            task.survive_retention(from..start.log_start)?;
        }
        task.aggregate.forget_ledger_below(start.log_start);
        let from = from.max(start.log_start);
        task.read_from = from;
        if task.refill_until.is_some_and(|until| from >= until) {
            task.end_refill()?;
        }
        Ok((task, from))
    }

    /// Takes up the open uploads, and tells the source whose rows are to be read again.
    fn restore(&mut self, entries: &[Entry], waiting: Vec<(String, Offset)>) -> Result<(), TaskError> {
        let open = self.aggregate.restore(entries)?;
        let waiting = waiting.into_iter().map(|(id, from)| (UploadId::new(id), from));
        self.source.begin_refill(open.iter().map(|open| (open.upload.clone(), open.begun_at)).chain(waiting).collect());
        for open in open {
            self.source.restore(open.upload.clone(), open.header, open.crs);
            if open.expects_rows {
                self.source.expect_rows(&open.upload);
            }
        }
        Ok(())
    }

    /// Retention was faster than we: what the lost records may have belonged to cannot be completed any more.
    fn survive_retention(&mut self, lost: Range<Offset>) -> Result<(), TaskError> {
        warn!(task = %self.id, from = %lost.start, to = %lost.end, "retention removed records of open uploads; raise retention.ms or retention.bytes");
        self.position = self.position.max(lost.end);
        self.call_aggregate(0, |aggregate, ctx| {
            aggregate.log_gap(lost, ctx);
            Ok(())
        })
    }

    fn assemble(
        id: TaskId,
        topology: Arc<Topology>,
        store: Box<dyn StateStore>,
        start: &TaskStart,
    ) -> Result<StreamTask, TaskError> {
        let about = topology.about();
        let maker = WorkbookMaker::new(Arc::new(topology.sink.clone()), about.clone()).map_err(|rejection| {
            ProcessError { node: topology.sink.node.to_string(), message: rejection.message.to_string() }
        })?;
        let aggregate = Aggregate::new(AggregateSettings {
            aggregate: Arc::new(topology.aggregate.clone()),
            source: Arc::new(topology.source.clone()),
            topology: topology.name.clone(),
            topology_hash: topology.hash.clone(),
            partition_count: start.partition_count,
            styles: maker.styles().clone(),
            cell_refs: topology.sink.workbook.cell_refs,
        });
        let partition = TopicPartition { topic: topology.source.topic.clone(), partition: id.partition };
        let metrics = task_metrics::of(&id, &partition, &topology, &start.committed);
        Ok(StreamTask {
            partition,
            source: Source::new(Arc::new(topology.source.clone()), start.partition_count),
            own_crs: OwnCrs::new(&topology.maps),
            maps: topology.maps.iter().map(map::build).collect::<Result<_, _>>()?,
            aggregate,
            maker,
            about,
            store,
            fence: start.fence.clone(),
            position: Offset(0),
            read_from: Offset(0),
            refill_until: None,
            silent_below: Offset(0),
            events: Vec::new(),
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            finished: WriteBatch::default(),
            committed_progress: None,
            commit_due: false,
            told: Told::default(),
            metrics,
            id,
            topology,
        })
    }

    /// Which task this is.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Rows that came in so far, of the upload that came last.
    pub fn rows_read(&self) -> u64 {
        self.aggregate.receiving().map_or(0, |status| status.accounting.rows_in)
    }

    /// The partition it reads.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// First record that is not processed.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Rows, uploads and fates so far are the aggregate's to tell.
    pub fn aggregate(&self) -> &Aggregate {
        &self.aggregate
    }

    /// How every open upload stands.
    pub fn open_uploads(&self) -> Vec<StatusRecord> {
        self.aggregate.standings().map(|status| self.standing(&status)).collect()
    }

    /// What an open upload would show if it were complete now; `None` unless it is open here.
    pub fn preview(&mut self, upload: &UploadId) -> Result<Option<Preview>, StateError> {
        let shown = self.aggregate.preview(upload, (preview::SHEETS_MAX, preview::ROWS_MAX), &mut *self.store)?;
        let Some(UploadPreview { status, columns, values, sheets }) = shown else { return Ok(None) };
        let names = preview::sheet_names(self.topology.sink.workbook.lang, values.iter().map(String::as_str));
        let sheet = |(name, (rows, head)): (&SheetName, _)| SheetPreview {
            name: name.to_string(),
            columns: columns.clone(),
            rows,
            head,
        };
        let sheets = names.iter().zip(sheets).map(sheet).collect();
        Ok(Some(Preview { status: self.standing(&status), sheets, sheets_total: names.len() }))
    }

    /// The task commits under this fence from now on.
    pub fn set_fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    /// True when something has to be committed before the interval is over: an upload ended.
    pub fn commit_due(&self) -> bool {
        self.commit_due
    }

    /// Takes the records of one fetch all the way:
    /// 1. the source makes them rows and markers of uploads,
    /// 2. the maps work on the rows' columns,
    /// 3. the aggregate orders them and writes them to the pages of their sheets,
    /// 4. what is complete leaves through the sink, at once.
    ///
    /// After an error the task is of no use: it is started again from its last commit.
    pub fn process(&mut self, fetched: Fetched, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        let last_ms = fetched.records.last().map(|record| record.timestamp_ms);
        self.metrics.fetch_begins(fetched.records.len(), last_ms, fetched.log_start);
        let mut lost = fetched.lost.into_iter().peekable();
        let mut poisoned = fetched.poisoned.into_iter().peekable();
        for record in fetched.records {
            while let Some(gap) = lost.next_if(|gap| gap.start <= record.offset) {
                self.on_gap(gap, now_ms, outbox)?;
            }
            while let Some((offset, rejection)) = poisoned.next_if(|(offset, _)| *offset < record.offset) {
                self.reach(offset, now_ms, outbox)?;
                self.source.poisoned(offset, rejection);
            }
            self.reach(record.offset, now_ms, outbox)?;
            self.source.push(record);
            self.drain(now_ms, outbox)?;
        }
        for (offset, rejection) in poisoned {
            self.reach(offset, now_ms, outbox)?;
            self.source.poisoned(offset, rejection);
        }
        for gap in lost {
            self.on_gap(gap, now_ms, outbox)?;
        }
        self.read_to(fetched.next, now_ms, outbox)?;
        self.publish(outbox)?;
        self.tell_receiving(now_ms, outbox);
        self.metrics.fetch_ends();
        Ok(())
    }

    /// Before a record is taken: a read never crosses the end of the refill, nor the offset from which on outputs count.
    fn reach(&mut self, offset: Offset, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        if self.position < self.silent_below && self.source.oldest_waiting().is_some() {
            self.forget_ended(offset, now_ms, outbox)?;
        }
        let crosses = |border| self.read_from < border && border <= offset;
        if crosses(self.refill_until.unwrap_or_default()) || crosses(self.silent_below) {
            self.read_to(offset, now_ms, outbox)?;
        }
        Ok(())
    }

    /// A replay obeys the ledger: rows whose header never came waited until the clock said so, and no longer.
    fn forget_ended(&mut self, offset: Offset, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        let is_over = |(upload, first): &(&UploadId, Offset)| self.aggregate.was_over(upload, *first, offset);
        let over: Vec<UploadId> =
            self.source.waiting_uploads().filter(is_over).map(|(upload, _)| upload.clone()).collect();
        for upload in over {
            self.source.forget(&upload);
            self.drain(now_ms, outbox)?;
        }
        Ok(())
    }

    /// Ends a read: everything below `next` is taken all the way.
    fn read_to(&mut self, next: Offset, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        self.source.flush();
        self.drain(now_ms, outbox)?;
        self.read_from = self.read_from.max(next);
        if self.refill_until.is_some_and(|until| next >= until) {
            self.end_refill()?;
        }
        self.position = self.position.max(next);
        Ok(())
    }

    fn on_gap(&mut self, lost: Range<Offset>, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        self.read_to(lost.start, now_ms, outbox)?;
        warn!(task = %self.id, from = %lost.start, to = %lost.end, "records are missing from the log");
        self.metrics.unusable(Unusable::Missing, (lost.end.0 - lost.start.0) as u64);
        self.call_aggregate(now_ms, |aggregate, ctx| {
            aggregate.log_gap(lost, ctx);
            Ok(())
        })?;
        self.handle_events(outbox)
    }

    fn end_refill(&mut self) -> Result<(), TaskError> {
        self.aggregate.refill_done()?;
        self.source.end_refill();
        self.refill_until = None;
        Ok(())
    }

    /// Elements of the source through the maps into the aggregate, one at a time: what the aggregate closes, the source must
    /// forget before it reads on.
    fn drain(&mut self, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        while let Some(element) = self.source.pop() {
            let begun = Instant::now();
            match element {
                StreamElement::Rows(mut batch) => {
                    self.map(&mut batch)?;
                    let mapped = Instant::now();
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.process(batch, ctx))?;
                    self.metrics.aggregate.took(mapped.elapsed());
                }
                StreamElement::Marker(mut marker) => {
                    let unusable = self.check_crs(&mut marker).err();
                    let (upload, offset) = (marker.upload.clone(), marker.offset);
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.on_marker(marker, ctx))?;
                    if let Some(rejection) = unusable {
                        self.fail_upload(&upload, offset, rejection, now_ms)?;
                    }
                }
                StreamElement::Failed { upload, offset, rejection } => {
                    self.fail_upload(&upload, offset, rejection, now_ms)?;
                }
                StreamElement::Expired { upload } => {
                    self.call_aggregate(now_ms, |aggregate, ctx| {
                        aggregate.headerless_expired(&upload, ctx);
                        Ok(())
                    })?;
                }
                StreamElement::Refused { record, upload, rejection } => {
                    if self.refill_until.is_none() && record.offset >= self.silent_below {
                        self.metrics.refused(rejection.reason);
                        let letter = DeadLetter {
                            partition: &self.partition,
                            offset: record.offset,
                            key: record.key.as_ref(),
                            value: record.value.as_deref(),
                            upload: upload.as_ref(),
                            row: None,
                            rejection: &rejection,
                        };
                        let letter = letter.to_record(&self.topology.sink.dead_letter_topic);
                        self.send(letter, outbox)?;
                    }
                }
            }
            self.handle_events(outbox)?;
            self.metrics.passed_on(begun.elapsed());
        }
        Ok(())
    }

    /// True when what happens now never happened before: nothing is read again.
    fn is_live(&self) -> bool {
        self.refill_until.is_none() && self.read_from >= self.silent_below
    }

    /// Takes rows through the maps. What each node was given and rejected counts once: not when it is read again.
    fn map(&mut self, batch: &mut RowBatch) -> Result<(), TaskError> {
        let (metrics, live) = (&self.metrics, self.is_live());
        let count = |node: &metrics::NodeMetrics, rows, batch: &mut RowBatch| {
            let rejected = batch.blame(node.name());
            if live {
                node.counted(rows, rejected);
            }
        };
        let rows = |batch: &RowBatch| batch.len() - batch.rejected.len();
        count(&metrics.source, batch.len(), batch);
        for (map, node) in self.maps.iter_mut().zip(&metrics.maps) {
            let (begun, given) = (Instant::now(), rows(batch));
            map.process(batch)?;
            node.took(begun.elapsed());
            count(node, given, batch);
        }
        if live {
            metrics.aggregate.counted(rows(batch), 0);
        } else {
            metrics.rows_replayed.inc_by(batch.len() as u64);
        }
        Ok(())
    }

    /// Whether the maps can serve an upload that begins with a CRS of its own; if that is the topology's, it is none.
    fn check_crs(&mut self, marker: &mut MarkerRecord) -> Result<(), Rejection> {
        let Marker::Begin(announced) = &mut marker.marker else { return Ok(()) };
        announced.crs = announced.crs.take().filter(|crs| !self.own_crs.is_usual(crs));
        announced.crs.as_ref().map_or(Ok(()), |crs| self.own_crs.operations(crs).map(|_found| ()))
    }

    fn fail_upload(
        &mut self,
        upload: &UploadId,
        offset: Offset,
        rejection: Rejection,
        now_ms: u64,
    ) -> Result<(), TaskError> {
        self.call_aggregate(now_ms, |aggregate, ctx| {
            aggregate.fail(upload, offset, rejection, ctx);
            Ok(())
        })
    }

    /// Idle time-outs. `now_ms` is monotonic.
    pub fn tick(&mut self, now_ms: u64, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        if self.refill_until.is_some() {
            return Ok(());
        }
        self.call_aggregate(now_ms, |aggregate, ctx| {
            aggregate.tick(ctx);
            Ok(())
        })?;
        self.handle_events(outbox)?;
        // A replay obeys what the clock said when the records were new.
        if self.position >= self.silent_below {
            self.source.tick(now_ms);
            self.drain(now_ms, outbox)?;
        }
        self.publish(outbox)?;
        self.tell_receiving(now_ms, outbox);
        Ok(())
    }

    /// Tells how the upload stands that rows came for last: now and then, and at no price.
    fn tell_receiving(&mut self, now_ms: u64, outbox: &mut dyn Outbox) {
        let is_due = self.told.receiving_ms.is_none_or(|told| now_ms >= told + RECEIVING_INTERVAL_MS);
        if !is_due || self.refill_until.is_some() || self.position < self.silent_below {
            return;
        }
        let Some(status) = self.aggregate.receiving() else { return };
        let (revision, rows_in) = (status.revision, status.accounting.rows_in);
        if *self.told.upload == *status.upload.as_str()
            && (self.told.revision, self.told.rows_in) == (revision, rows_in)
        {
            return; // it was said to stand so, perhaps in another word
        }
        let status = self.standing(&status);
        outbox.hint(status.to_record(&self.topology.sink.status_topic));
        self.told = Told { upload: status.upload, revision, rows_in, receiving_ms: Some(now_ms) };
    }

    /// Makes everything so far durable (contract 17): outputs acknowledged, then the state, then the Kafka offset; what is
    /// finished is deleted with the commit after that.
    pub fn commit(&mut self, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        if self.refill_until.is_some() || self.position < self.silent_below {
            return Ok(()); // nothing new has been read, and what was committed never goes back
        }
        self.publish(outbox)?;
        let progress = self.progress();
        if self.committed_progress == Some(progress) && self.finished.entries.is_empty() && !self.commit_due {
            return Ok(());
        }
        let begun = Instant::now();
        let durable = self.make_durable(progress, outbox);
        metrics::commit_duration().observe(begun.elapsed().as_secs_f64());
        if let Err(error) = &durable {
            metrics::commit_failures(task_metrics::reason(error)).inc();
        }
        durable
    }

    fn make_durable(&mut self, progress: Progress, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        fail::fail_point!("task-before-state");
        let mut batch = std::mem::take(&mut self.finished);
        self.aggregate.write_state(self.position, &mut *self.store, &mut batch)?;
        let state = TaskState {
            offset: self.position,
            refill_from: self
                .aggregate
                .refill_from()
                .into_iter()
                .chain(self.source.oldest_waiting())
                .min()
                .unwrap_or(self.position),
            replay_from: progress.replay_from,
            topology: self.topology.hash.to_string(),
            waiting: self.source.waiting_uploads().map(|(id, from)| (id.as_str().to_owned(), from)).collect(),
        };
        batch.put(StateKey::Task.encode(), keys::encode(&state));
        self.store.commit(batch)?;
        fail::fail_point!("task-before-offset");
        outbox.commit(&self.partition, progress, &self.fence)?;
        fail::fail_point!("task-after-offset");
        self.aggregate.take_finished(&mut self.finished);
        self.committed_progress = Some(progress);
        self.commit_due = false;
        Ok(())
    }

    /// Tells the metrics how the task stands. `end` is the end of its partition, if it is known; `buffered_bytes` wait to be processed.
    pub fn tell_metrics(&mut self, now_ms: u64, end: Option<Offset>, buffered_bytes: usize) {
        let progress = self.progress();
        let census = self.aggregate.census();
        self.metrics.tell(TaskMoment {
            committed: self.committed_progress.map(|committed| committed.next),
            position: self.position,
            replay_from: progress.replay_from,
            end,
            state_bytes: self.store.bytes(),
            buffered_bytes: buffered_bytes as u64,
            pages_cut: self.aggregate.pages_cut(),
            rows_waiting: census.rows_waiting,
            uploads: [census.receiving, census.incomplete, census.stalled, census.failed],
            oldest_upload_age_ms: census.oldest_ms.map(|begun| now_ms.saturating_sub(begun)),
        });
    }

    /// What a commit would tell the group.
    pub fn progress(&self) -> Progress {
        let open = self.aggregate.replay_from().into_iter().chain(self.source.oldest_waiting()).min();
        Progress { next: self.position, replay_from: open.unwrap_or(self.position).min(self.position) }
    }

    fn call_aggregate<T>(
        &mut self,
        now_ms: u64,
        call: impl FnOnce(&mut Aggregate, &mut AggregateContext) -> Result<T, StateError>,
    ) -> Result<T, TaskError> {
        let phase = match self.refill_until {
            Some(_) => Phase::Refill,
            None => Phase::Live { silent_below: self.silent_below },
        };
        let position = self.read_from;
        let mut ctx = AggregateContext { store: &mut *self.store, phase, now_ms, position, out: &mut self.events };
        Ok(call(&mut self.aggregate, &mut ctx)?)
    }

    fn handle_events(&mut self, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        for event in std::mem::take(&mut self.events) {
            match event {
                AggregateEvent::Completed { mut upload, announced, ledger } => {
                    // Those that cannot be used have failed their upload at its beginning.
                    upload.operations = announced.crs.as_ref().and_then(|crs| self.own_crs.operations(crs).ok());
                    self.deliver(&upload, &announced, &ledger, outbox)?;
                }
                AggregateEvent::Republished { upload, announced, ledger } => {
                    info!(task = %self.id, %upload, revision = ledger.revision, "the same content again: answered from the ledger");
                    self.metrics.ended(Outcome::Republished, task_metrics::fates(&ledger.accounting));
                    self.send_status(self.ended(&ledger, &announced), outbox)?;
                }
                AggregateEvent::Status(status) => {
                    self.log(&status);
                    if let Some(ledger) = &status.ledger {
                        let outcome = task_metrics::outcome(status.status);
                        self.metrics.ended(outcome, task_metrics::fates(&ledger.accounting));
                    }
                    self.send_status(self.standing(&status), outbox)?;
                }
                AggregateEvent::DeadLetter { upload, offset, row, key, raw, rejection } => {
                    self.metrics.dead_letter(&rejection);
                    let letter = DeadLetter {
                        partition: &self.partition,
                        offset,
                        key: key.as_ref(),
                        value: Some(&raw),
                        upload: Some(&upload),
                        row,
                        rejection: &rejection,
                    };
                    let letter = letter.to_record(&self.topology.sink.dead_letter_topic);
                    self.send(letter, outbox)?;
                }
                AggregateEvent::DuplicateEof { upload, offset } => {
                    info!(task = %self.id, %upload, %offset, "another end-of-file marker; the upload is complete");
                }
                AggregateEvent::Warning(rejection) => {
                    warn!(task = %self.id, reason = %rejection.reason, "{}", rejection.message);
                }
                AggregateEvent::Closed { upload, open_ms } => {
                    if self.is_live() {
                        self.metrics.upload_duration.observe(open_ms as f64 / 1_000.0);
                    }
                    self.source.forget(&upload);
                    self.commit_due = true;
                }
            }
        }
        Ok(())
    }

    /// One line for what became of an upload. Why in a code only: the sentence may quote a row, and stands in the status.
    fn log(&self, status: &UploadStatus) {
        let (upload, offset, traceparent) = (&status.upload, status.offset, status.traceparent.as_deref());
        let reason = status.rejection.as_ref().map(|rejection| rejection.reason.code());
        match status.status {
            Standing::Receiving => {}
            Standing::Aborted => info!(task = %self.id, %upload, %offset, traceparent, "aborted"),
            Standing::Incomplete => warn!(task = %self.id, %upload, %offset, reason, traceparent, "incomplete"),
            Standing::Stalled => warn!(task = %self.id, %upload, %offset, traceparent, "stalled"),
            Standing::Failed => warn!(task = %self.id, %upload, %offset, reason, traceparent, "failed"),
            Standing::Expired => warn!(task = %self.id, %upload, %offset, reason, traceparent, "expired"),
        }
    }

    /// The workbook of a complete upload, put together from its pages and published, then its status.
    fn deliver(
        &mut self,
        complete: &CompleteUpload,
        announced: &Announcement,
        ledger: &LedgerState,
        outbox: &mut dyn Outbox,
    ) -> Result<(), TaskError> {
        let begun = Instant::now();
        let mut status = self.ended(ledger, announced);
        let published = match self.maker.assemble(complete) {
            Ok(workbook) => self.publish_workbook(complete, &workbook, outbox)?,
            Err(rejection) => Err(rejection),
        };
        match published {
            Ok(workbook) => {
                let (rows, chunks) = (complete.accounting.written, u64::from(workbook.chunks));
                self.metrics.delivered(begun.elapsed(), rows, workbook.bytes, chunks);
                status.workbook = Some(workbook);
                let flag = Rejection::new(Message::PublishedIncomplete {});
                status.failure = complete.incomplete.then(|| StatusFailure::from(&flag));
                let outcome = if complete.incomplete { Outcome::Incomplete } else { Outcome::Published };
                self.metrics.ended(outcome, task_metrics::fates(&ledger.accounting));
            }
            Err(rejection) => {
                warn!(task = %self.id, upload = %complete.upload, reason = %rejection.reason, "{}", rejection.message);
                status.state = StatusState::Failed;
                status.failure = Some(StatusFailure::from(&rejection));
                self.metrics.ended(Outcome::Failed, task_metrics::fates(&ledger.accounting));
            }
        }
        self.send_status(status, outbox)
    }

    /// Every chunk acknowledged, or why this workbook can never be sent.
    fn publish_workbook(
        &mut self,
        complete: &CompleteUpload,
        workbook: &Workbook,
        outbox: &mut dyn Outbox,
    ) -> Result<Result<StatusWorkbook, Rejection>, TaskError> {
        fail::fail_point!("task-before-workbook");
        self.publish(outbox)?; // dead letters first: whoever sees the workbook finds them
        let sink = &self.topology.sink;
        let sha256 = workbook.sha256(&*self.store)?;
        let mut chunks = Chunks::new(sink, &self.about, complete, workbook, sha256, &*self.store);
        let count = chunks.total();
        let sent = outbox.publish(&mut chunks);
        chunks.finish()?;
        match sent {
            Err(TransportError::TooLarge(limit)) => {
                let (bytes, topic) = (sink.record_bytes_max, sink.topic.to_string());
                let message = Message::RecordTooLarge { bytes, topic, limit: limit.to_string() };
                return Ok(Err(Rejection::new(message)));
            }
            sent => sent?,
        }
        fail::fail_point!("task-after-workbook");
        info!(task = %self.id, upload = %complete.upload, rows = complete.accounting.written, bytes = workbook.length(), offset = %complete.completion_offset, traceparent = complete.traceparent.as_deref(), "published");
        Ok(Ok(StatusWorkbook {
            topic: sink.topic.to_string(),
            bytes: workbook.length(),
            sha256: Digest(sha256),
            chunks: count,
            filename: chunk::filename(&complete.source_name),
        }))
    }

    /// The terminal status of an upload, without what only its workbook knows.
    fn ended(&self, ledger: &LedgerState, announced: &Announcement) -> StatusRecord {
        StatusRecord {
            state: StatusState::from(ledger.outcome),
            upload: ledger.id.clone(),
            revision: ledger.revision,
            name: announced.name.as_deref().map(str::to_owned),
            rows_announced: announced.rows,
            crs: announced.crs.as_deref().map(str::to_owned),
            topology: self.topology.name.to_string(),
            topology_hash: self.topology.hash.to_string(),
            partition: self.id.partition,
            offsets: StatusOffsets { first: ledger.first_offset, completion: Some(ledger.completion_offset) },
            accounting: ledger.accounting,
            header: ledger.header.clone(),
            rows_sha256: ledger.rows_sha256.map(Digest),
            workbook: None,
            failure: None,
        }
    }

    /// The status of an upload as the aggregate reports it.
    fn standing(&self, status: &UploadStatus) -> StatusRecord {
        let failure = status.rejection.as_ref().map(StatusFailure::from);
        if let Some(ledger) = &status.ledger {
            return StatusRecord { failure, ..self.ended(ledger, &status.announced) };
        }
        StatusRecord {
            state: match status.status {
                Standing::Receiving => StatusState::Receiving,
                Standing::Incomplete => StatusState::Incomplete,
                Standing::Stalled => StatusState::Stalled,
                Standing::Failed => StatusState::Failed,
                Standing::Aborted => StatusState::Aborted,
                Standing::Expired => StatusState::Expired,
            },
            upload: status.upload.as_str().to_owned(),
            revision: status.revision,
            name: status.announced.name.as_deref().map(str::to_owned),
            rows_announced: status.announced.rows,
            crs: status.announced.crs.as_deref().map(str::to_owned),
            topology: self.topology.name.to_string(),
            topology_hash: self.topology.hash.to_string(),
            partition: self.id.partition,
            offsets: StatusOffsets { first: status.first_offset, completion: None },
            accounting: status.accounting,
            header: None,
            rows_sha256: None,
            workbook: None,
            failure,
        }
    }

    fn send_status(&mut self, status: StatusRecord, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        self.commit_due = true;
        self.told.upload.clone_from(&status.upload);
        (self.told.revision, self.told.rows_in) = (status.revision, status.accounting.rows_in);
        self.send(status.to_record(&self.topology.sink.status_topic), outbox)
    }

    fn send(&mut self, record: OutRecord, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        self.outgoing_bytes += record.value.len();
        self.outgoing.push(record);
        if self.outgoing_bytes >= OUTGOING_BYTES_MAX { self.publish(outbox) } else { Ok(()) }
    }

    fn publish(&mut self, outbox: &mut dyn Outbox) -> Result<(), TaskError> {
        if !self.outgoing.is_empty() {
            // Kept until acknowledged: an error leaves them for the next try.
            outbox.publish(&mut self.outgoing.iter().cloned())?;
            self.outgoing.clear();
            self.outgoing_bytes = 0;
        }
        Ok(())
    }
}

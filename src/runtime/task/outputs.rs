//! All outputs of a task: records, log lines, counts. The aggregate reaches it as its [`Output`].

use std::collections::HashSet;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::map::OwnCrs;
use crate::metrics::{TaskMetrics, outputs_refused};
use crate::record::{LogId, Message, Offset, Reason, Rejection, TaskId, TopicPartition, UploadHash, UploadId};
use crate::runtime::task::metrics;
use crate::sink::chunk::{self, Chunks};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::digest::Digest;
use crate::sink::output::{Delivery, Output, OutputError};
use crate::sink::status::{StatusOffsets, StatusRecord, StatusWorkbook, UploadState};
use crate::sink::workbook::{Workbook, WorkbookMaker};
use crate::sink::{AboutFacts, CompleteUpload};
use crate::state::StateStore;
use crate::topology::Topology;
use crate::traces::{Ended, Stage, UploadTraces};
use crate::transport::{Fence, OutRecord, Outbox, Progress, TransportError};

/// Buffered records are handed to the outbox when they hold this many bytes, or at the end of a fetch.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// Least time between two `RECEIVING` records (contract 12).
const RECEIVING_INTERVAL_MS: u64 = 1_000;

/// The way out of one task.
pub(super) struct Outputs {
    task: TaskId,
    source: TopicPartition,
    topology: Arc<Topology>,
    about: AboutFacts,
    maker: WorkbookMaker,
    /// CRS pairs of uploads with a CRS of their own, which *About* names.
    pub(super) own_crs: OwnCrs,
    /// The counters of the task.
    pub(super) metrics: TaskMetrics,
    /// When it worked on which upload.
    pub(super) traces: UploadTraces,
    outbox: Box<dyn Outbox>,
    /// Status records and dead letters that no broker has yet.
    buffer: Vec<OutRecord>,
    buffer_bytes: usize,
    /// Uploads, by id and first record, of which something was said since the last commit.
    said: HashSet<(String, Offset)>,
    /// An upload changed its state: the commit does not wait for its interval.
    commit_due: bool,
    /// A `RECEIVING` goes with the next transaction, and nobody sees it before.
    hinted: bool,
    last: LastStatus,
    /// Id of the source topic, as statuses name it.
    topic_id: Option<String>,
    /// Leader epoch of the records that are read.
    leader_epoch: Option<i32>,
}

/// The status that was sent last.
#[derive(Default)]
struct LastStatus {
    upload: String,
    revision: u32,
    rows_in: u64,
    state: Option<UploadState>,
    /// When the last `RECEIVING` was sent.
    receiving_ms: Option<u64>,
}

impl Outputs {
    pub(super) fn new(
        (task, source): (TaskId, TopicPartition),
        topology: Arc<Topology>,
        maker: WorkbookMaker,
        metrics: TaskMetrics,
        outbox: Box<dyn Outbox>,
    ) -> Outputs {
        Outputs {
            about: topology.about(),
            own_crs: OwnCrs::new(&topology.maps),
            traces: UploadTraces::new(&task.topology, &source.topic),
            task,
            source,
            topology,
            maker,
            metrics,
            outbox,
            buffer: Vec::new(),
            buffer_bytes: 0,
            said: HashSet::new(),
            commit_due: false,
            hinted: false,
            last: LastStatus::default(),
            topic_id: None,
            leader_epoch: None,
        }
    }

    /// What comes from now on goes to `outbox`, and counts.
    pub(super) fn take_over(&mut self, outbox: Box<dyn Outbox>, metrics: TaskMetrics) {
        (self.outbox, self.metrics, self.last) = (outbox, metrics, LastStatus::default());
    }

    /// The records that come are of this log.
    pub(super) fn set_log(&mut self, log: Option<LogId>) {
        (self.topic_id, self.leader_epoch) = (log.map(|log| log.to_string()), None);
    }

    /// The records that come were written as of this leader epoch, or before.
    pub(super) fn set_leader_epoch(&mut self, epoch: Option<i32>) {
        self.leader_epoch = epoch.or(self.leader_epoch);
    }

    /// Whether records count only with the commit.
    pub(super) fn is_transactional(&self) -> bool {
        self.outbox.is_transactional()
    }

    /// Whether the group is known to count on this process.
    pub(super) fn is_vouched_for(&self) -> bool {
        self.outbox.is_vouched_for()
    }

    /// True when the next commit should not wait for its interval.
    pub(super) fn commit_due(&self) -> bool {
        self.commit_due
    }

    /// Whether nobody sees the last `RECEIVING` before a commit, even one without progress.
    pub(super) fn is_hinted(&self) -> bool {
        self.hinted
    }

    /// An upload was closed: the next commit is due.
    pub(super) fn closed(&mut self, open_ms: Option<u64>) {
        self.commit_due = true;
        if let Some(open_ms) = open_ms {
            self.metrics.closed(Duration::from_millis(open_ms));
        }
    }

    /// Publishes a record that the source refused.
    pub(super) fn refused(&mut self, letter: &DeadLetter<'_>) -> Result<(), TransportError> {
        self.metrics.refused(letter.rejection.reason);
        self.send_letter(letter)
    }

    /// Hands all buffered records to the outbox. They stay buffered until they are acknowledged. A record that its topic does not take,
    /// though it was clipped to what the topic takes, is said and left out: nobody waits for it. One that was made for a higher limit is an
    /// error: the task begins again from its last commit, and clips it.
    pub(super) fn publish(&mut self) -> Result<(), TransportError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        match self.outbox.publish(&mut self.buffer.iter().cloned()) {
            Err(TransportError::TooLarge(_)) => {
                // Which of them, is not known.
                for record in &self.buffer {
                    match self.outbox.publish(&mut iter::once(record.clone())) {
                        Err(TransportError::TooLarge(refusal)) => {
                            let bytes = record.batch_bytes_max();
                            if self.outbox.record_bytes_max(&record.topic, bytes)?.is_some_and(|max| bytes > max) {
                                return Err(TransportError::TooLarge(refusal));
                            }
                            refused_output(&self.task, &record.topic, refusal);
                        }
                        sent => sent?,
                    }
                }
            }
            sent => sent?,
        }
        self.buffer.clear();
        self.buffer_bytes = 0;
        Ok(())
    }

    /// Commits `progress` for the task's partition.
    pub(super) fn commit(&mut self, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        self.outbox.commit(&self.source, progress, fence)?;
        (self.commit_due, self.hinted) = (false, false);
        self.said.clear();
        Ok(())
    }

    /// Sends a `RECEIVING` status: at most one a second, best effort, and only if rows came since the last status.
    pub(super) fn report_receiving(&mut self, now_ms: u64, receiving: impl FnOnce() -> Option<StatusRecord>) {
        if self.last.receiving_ms.is_some_and(|last| now_ms < last + RECEIVING_INTERVAL_MS) {
            return;
        }
        let Some(status) = receiving() else { return };
        if self.last.is_about(&status) && self.last.rows_in == status.accounting.rows_in {
            return;
        }
        let status = self.of_log(status);
        let topic = self.topology.sink.status_topic.clone();
        // What is wrong, the next status finds out.
        if let Ok(Ok(record)) = self.outbox.within_limit(&topic, |bytes_max| status.to_record_within(&topic, bytes_max))
        {
            self.outbox.send_best_effort(record);
            self.hinted = self.outbox.is_transactional();
        }
        self.last = LastStatus { receiving_ms: Some(now_ms), ..LastStatus::of(status) };
    }

    /// Says of an upload that it is open, unless it was said.
    pub(super) fn name(&mut self, status: StatusRecord) -> Result<(), TransportError> {
        if self.said.contains(&(status.upload.clone(), status.offsets.first)) {
            return Ok(());
        }
        let status = self.of_log(status);
        self.send_status(&status)
    }

    /// The status with the log that it is about: that of today, unless it says so itself.
    fn of_log(&self, status: StatusRecord) -> StatusRecord {
        if status.topic_id.is_some() {
            return status;
        }
        let offsets = StatusOffsets { leader_epoch: self.leader_epoch, ..status.offsets };
        StatusRecord { topic_id: self.topic_id.clone(), offsets, ..status }
    }

    fn send_status(&mut self, status: &StatusRecord) -> Result<(), TransportError> {
        let topic = self.topology.sink.status_topic.clone();
        self.send_clipped(&topic, |bytes_max| status.to_record_within(&topic, bytes_max))
    }

    fn send_letter(&mut self, letter: &DeadLetter<'_>) -> Result<(), TransportError> {
        let topic = self.topology.sink.dead_letter_topic.clone();
        let source = self.source.clone();
        self.send_clipped(&topic, |bytes_max| letter.to_record(&topic, &source, bytes_max))
    }

    /// Sends what `make` makes of as many bytes as the topic takes.
    fn send_clipped(
        &mut self,
        topic: &Arc<str>,
        make: impl Fn(usize) -> Option<OutRecord>,
    ) -> Result<(), TransportError> {
        match self.outbox.within_limit(topic, make)? {
            Ok(record) => self.send(record),
            Err(limit) => {
                refused_output(&self.task, topic, format!("it takes {limit} bytes (max.message.bytes)"));
                Ok(())
            }
        }
    }

    fn send(&mut self, record: OutRecord) -> Result<(), TransportError> {
        self.buffer_bytes += record.batch_bytes_max();
        self.buffer.push(record);
        if self.buffer_bytes >= BUFFER_BYTES_MAX { self.publish() } else { Ok(()) }
    }

    /// Publishes the chunks of a workbook behind everything that is buffered.
    fn publish_workbook(
        &mut self,
        complete: &CompleteUpload,
        workbook: &Workbook,
        store: &dyn StateStore,
    ) -> Result<Delivery, OutputError> {
        fail::fail_point!("task-before-workbook");
        let begun = Instant::now();
        self.publish()?; // the dead letters first: a reader of the workbook finds them
        let sink = &self.topology.sink;
        let sha256 = workbook.sha256(store)?;
        let mut chunks = Chunks::new(sink, &self.about, complete, workbook, sha256, store);
        let count = chunks.total();
        let sent = self.outbox.publish(&mut chunks);
        chunks.finish()?;
        match sent {
            Err(TransportError::TooLarge(refusal)) => {
                return Ok(Delivery::Refused(Rejection::new(Message::RecordTooLarge { refusal })));
            }
            sent => sent?,
        }
        fail::fail_point!("task-after-workbook");
        self.traces.took(&complete.upload, Stage::Publish, begun.elapsed());
        let trace_id = self.traces.id(&complete.upload, complete.traceparent.as_deref());
        info!(task = %self.task, upload = %complete.upload, rows = complete.accounting.written, bytes = workbook.length(), offset = %complete.completion_offset, traceparent = complete.traceparent.as_deref(), trace_id, "published");
        Ok(Delivery::Sent(StatusWorkbook {
            topic: sink.topic.to_string(),
            bytes: workbook.length(),
            sha256: Digest(sha256),
            chunks: count,
            filename: chunk::filename(&complete.source_name),
        }))
    }

    fn trace(&mut self, status: &StatusRecord) {
        let state = format!("{:?}", status.state).to_uppercase();
        let ended = Ended {
            traceparent: status.traceparent.as_deref(),
            revision: status.revision,
            state: &state,
            failure: status.failure.as_ref().map(|failure| &*failure.reason),
            accounting: status.accounting,
        };
        self.traces.ended(&UploadId::new(status.upload.as_str()), ended);
    }

    /// One line for a change of state. The reason is a code only: its sentence may quote a row, and is in the status.
    fn log(&self, status: &StatusRecord, offset: Offset) {
        let (task, upload) = (&self.task, status.upload.escape_debug());
        let (reason, traceparent) =
            (status.failure.as_ref().map(|failure| &*failure.reason), status.traceparent.as_deref());
        let trace_id = || self.traces.id(&UploadId::new(status.upload.as_str()), traceparent);
        let trace_id = self.traces.is_on().then(trace_id).flatten();
        match status.state {
            UploadState::Receiving => {}
            UploadState::Published if status.workbook.is_some() => {} // logged with its workbook
            UploadState::Published => {
                let revision = status.revision;
                info!(%task, %upload, %offset, revision, traceparent, trace_id, "the same content again: answered from the ledger");
            }
            UploadState::Failed if self.last.is_about(status) && self.last.state == Some(UploadState::Failed) => {
                debug!(%task, %upload, %offset, reason, traceparent, trace_id, "a failed upload ended");
            }
            // Said once for all of them, by the aggregate.
            UploadState::Failed if reason == Some(Reason::UploadTooMany.code()) => {
                debug!(%task, %upload, %offset, reason, traceparent, trace_id, "turned away");
            }
            UploadState::Aborted => info!(%task, %upload, %offset, traceparent, trace_id, "aborted"),
            UploadState::Incomplete => warn!(%task, %upload, %offset, reason, traceparent, trace_id, "incomplete"),
            UploadState::Stalled => warn!(%task, %upload, %offset, traceparent, trace_id, "stalled"),
            UploadState::Failed => warn!(%task, %upload, %offset, reason, traceparent, trace_id, "failed"),
            UploadState::Expired => warn!(%task, %upload, %offset, reason, traceparent, trace_id, "expired"),
        }
    }
}

impl Output for Outputs {
    fn workbook(&mut self, mut complete: CompleteUpload, store: &dyn StateStore) -> Result<Delivery, OutputError> {
        let begun = Instant::now();
        // A CRS that cannot be used has failed its upload at the beginning.
        complete.pairs = complete.crs.as_ref().and_then(|crs| self.own_crs.pairs(crs).ok());
        let assembled = self.maker.assemble(&complete);
        self.traces.took(&complete.upload, Stage::Assemble, begun.elapsed());
        let delivery = match assembled {
            Ok(workbook) => self.publish_workbook(&complete, &workbook, store)?,
            Err(rejection) => Delivery::Refused(rejection),
        };
        if let Delivery::Sent(sent) = &delivery {
            let rows = complete.accounting.written;
            self.metrics.delivered(begun.elapsed(), rows, sent.bytes, u64::from(sent.chunks));
        }
        Ok(delivery)
    }

    fn status(&mut self, status: StatusRecord, offset: Offset) -> Result<(), OutputError> {
        self.log(&status, offset);
        if let Some(outcome) = metrics::outcome(&status) {
            self.metrics.ended(outcome, &status.accounting);
            if self.traces.is_on() {
                self.trace(&status);
            }
        }
        self.commit_due = true;
        self.said.insert((status.upload.clone(), status.offsets.first));
        let status = self.of_log(status);
        self.send_status(&status)?;
        let receiving_ms = mem::take(&mut self.last.receiving_ms);
        self.last = LastStatus { receiving_ms, ..LastStatus::of(status) };
        Ok(())
    }

    fn open_elsewhere(&mut self, upload: UploadHash, partitions: i32) -> Result<Vec<i32>, OutputError> {
        Ok(self.outbox.open_elsewhere(&self.source, partitions, upload)?)
    }

    fn dead_letter(&mut self, letter: &DeadLetter<'_>) -> Result<(), OutputError> {
        self.metrics.dead_letter(letter.rejection);
        Ok(self.send_letter(letter)?)
    }
}

/// A dead letter or a status will not be written.
fn refused_output(task: &TaskId, topic: &Arc<str>, refusal: String) {
    let message = Message::OutputRefused { topic: topic.to_string(), refusal };
    warn!(%task, %topic, reason = %message.reason(), "{message}");
    outputs_refused(&task.topology, topic).inc();
}

impl LastStatus {
    fn of(status: StatusRecord) -> LastStatus {
        let StatusRecord { upload, revision, state, accounting, .. } = status;
        LastStatus { upload, revision, rows_in: accounting.rows_in, state: Some(state), receiving_ms: None }
    }

    fn is_about(&self, status: &StatusRecord) -> bool {
        (&self.upload, self.revision) == (&status.upload, status.revision)
    }
}

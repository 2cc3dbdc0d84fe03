//! One partition's work: its processor chain, its store and its offset. Knows nothing of threads or Kafka.

mod commit;
mod error;
mod metrics;
mod outputs;
pub mod recovery;
mod sought;
mod spread;
mod standby;
mod start;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tracing::warn;

use crate::aggregate::{Aggregate, AggregateContext, Phase, UploadPreview};
use crate::map::{Link, Map};
use crate::metrics::{NodeMetrics, TaskMoment, Unusable};
use crate::record::{
    CoordinateForm, LogId, Marker, MarkerRecord, Offset, Rejection, RowBatch, SheetName, StreamElement, TaskId,
    TopicPartition, UploadId,
};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::output::OutputError;
use crate::sink::preview::{self, Preview, SheetPreview};
use crate::sink::status::StatusRecord;
use crate::source::Source;
use crate::source::spread::Gather;
use crate::state::{StateError, StateStore, WriteBatch};
use crate::topology::Topology;
use crate::traces::Stage;
use crate::transport::{Fence, Fetched, Progress};

pub use error::TaskError;
use outputs::Outputs;
use sought::Sought;
use spread::{Awaited, receiving, with_held};
pub use start::{Questions, TaskStart};
pub(in crate::runtime) use start::{cut_off, is_cut};

/// One partition of one topology.
pub struct StreamTask {
    id: TaskId,
    partition: TopicPartition,
    topology: Arc<Topology>,
    source: Source,
    /// Stage in front of the source for uploads that may have rows in any partition.
    gather: Option<Gather>,
    awaited: Awaited,
    /// An upload that was held is being read: its end is not reported to `gather`.
    is_releasing: bool,
    /// Topic that the rows came from.
    topic: Arc<str>,
    maps: Vec<Box<dyn Map>>,
    /// The map behind them, for uploads that ask for it.
    link: Option<Link>,
    aggregate: Aggregate,
    outputs: Outputs,
    store: Box<dyn StateStore>,
    fence: Fence,
    /// First record that is not processed.
    position: Offset,
    /// First record of the batch that is being read: a fetch, or the part of one on this side of the end of a phase.
    read_from: Offset,
    phase: Phase,
    /// Keys and segments of uploads whose end is committed; the next state commit deletes them.
    finished: WriteBatch,
    committed_progress: Option<Progress>,
    /// How many commits there were, of this and of other processes.
    commits: u64,
    /// The log that is read, if it has an id.
    log: Option<LogId>,
    /// Leader epoch of the record before `position`, if it is known.
    leader_epoch: Option<i32>,
    /// Uploads that were open at the commit and are not found yet.
    sought: Option<Sought>,
    /// Uploads were open at the commit that were not found.
    lacks_some: bool,
    /// An open upload that begins below has a status.
    named_below: Offset,
    /// Where the log was cut below what had been processed: uploads that were open there may have lost rows.
    cut_at: Option<Offset>,
}

impl StreamTask {
    /// The task's name.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// The partition that the task reads.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// First record that is not processed.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Leader epoch of the record before the position, if it is known.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// Whether it has read again what was processed before, and records are new.
    pub fn is_live(&self) -> bool {
        self.phase.is_live()
    }

    /// Rows so far of the upload that received rows last.
    pub fn rows_received(&self) -> u64 {
        self.aggregate.rows_received()
    }

    /// The status of every open upload.
    pub fn open_uploads(&self) -> Vec<StatusRecord> {
        self.aggregate.open_statuses().map(|status| with_held(status, self.gather.as_ref())).collect()
    }

    /// The first rows of an open upload, as its workbook would show them if it were complete now; `None` unless it is open here.
    pub fn preview(&mut self, upload: &UploadId) -> Result<Option<Preview>, StateError> {
        let shown = self.aggregate.preview(upload, (preview::SHEETS_MAX, preview::ROWS_MAX), &mut *self.store)?;
        let Some(UploadPreview { status, columns, values, sheets }) = shown else { return Ok(None) };
        let names = preview::sheet_names(&self.topology.sink.workbook, values.iter().map(String::as_str));
        let sheet = |(name, (rows, head)): (&SheetName, _)| SheetPreview {
            name: name.to_string(),
            columns: columns.clone(),
            rows,
            head,
        };
        let sheets = names.iter().zip(sheets).map(sheet).collect();
        Ok(Some(Preview { status, sheets, sheets_total: names.len() }))
    }

    /// The task commits under this fence from now on.
    pub fn set_fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    /// True when a commit should not wait for its interval: an upload changed its state.
    pub fn commit_due(&self) -> bool {
        let is_heavy = self.phase.is_live() && self.aggregate.is_heavy();
        is_heavy || self.outputs.commit_due() || self.aggregate.wants_commit()
    }

    /// Takes the records of one fetch through the topology:
    /// 1. the source makes rows and markers of them, grouped by upload;
    /// 2. the maps work on the columns of the rows;
    /// 3. the aggregate orders the rows and writes them to the pages of their sheets;
    /// 4. the aggregate forwards what is complete to the outputs.
    ///
    /// After an error the task is dropped, and another one starts from the last commit.
    pub fn process(&mut self, mut fetched: Fetched, now_ms: u64) -> Result<(), TaskError> {
        let log = fetched.log_of(&self.partition, self.log)?;
        if log != self.log {
            self.log = log;
            self.outputs.set_log(log);
        }
        if let Some(cut) = self.cut_at.take_if(|cut| *cut <= fetched.next) {
            fetched.lost.insert(fetched.lost.partition_point(|lost| lost.start < cut), cut..cut);
        }
        self.outputs.set_leader_epoch(fetched.leader_epoch);
        let end = fetched.high_watermark.max(fetched.next);
        let last_ms = fetched.records.last().map(|record| record.timestamp_ms);
        self.outputs.metrics.fetch_begins(fetched.records.len(), last_ms);
        let mut lost = fetched.lost.into_iter().peekable();
        let mut poisoned = fetched.poisoned.into_iter().peekable();
        for record in fetched.records {
            while let Some(gap) = lost.next_if(|gap| gap.start <= record.offset) {
                self.on_gap(gap, end, now_ms)?;
            }
            while let Some((offset, rejection)) = poisoned.next_if(|(offset, _)| *offset < record.offset) {
                self.before_record(offset, now_ms)?;
                self.source.poisoned(offset, rejection);
            }
            self.before_record(record.offset, now_ms)?;
            match self.gather {
                Some(_) => self.take_run(record, now_ms)?,
                None => self.read(record, now_ms)?,
            }
        }
        for (offset, rejection) in poisoned {
            self.before_record(offset, now_ms)?;
            self.source.poisoned(offset, rejection);
        }
        for gap in lost {
            self.on_gap(gap, end, now_ms)?;
        }
        self.finish_batch(fetched.next, now_ms)?;
        self.save_part()?;
        self.leader_epoch = fetched.leader_epoch;
        self.outputs.publish()?;
        self.report_receiving(now_ms);
        self.outputs.metrics.fetch_ends();
        Ok(())
    }

    /// Ends the current batch before `offset` if a border lies between: a batch never spans two phases.
    fn before_record(&mut self, offset: Offset, now_ms: u64) -> Result<(), TaskError> {
        if !self.phase.is_live() && self.source.oldest_waiting().is_some() {
            self.forget_ended(offset, now_ms)?;
        }
        while let Some(border) = self.border().filter(|border| *border <= offset) {
            self.finish_batch(border, now_ms)?;
        }
        Ok(())
    }

    /// Where a batch has to end: with its phase, and behind the first record of an upload that is sought.
    fn border(&self) -> Option<Offset> {
        let sought = self.sought.as_ref().filter(|_| self.phase.is_live()).and_then(Sought::border);
        self.phase.border().into_iter().chain(sought).min()
    }

    /// A replay obeys the ledger: rows whose header never came waited until the clock ended it, and no longer.
    fn forget_ended(&mut self, offset: Offset, now_ms: u64) -> Result<(), TaskError> {
        let is_over = |(upload, first): &(&UploadId, Offset)| self.aggregate.was_over(upload, *first, offset);
        let over: Vec<UploadId> =
            self.source.waiting_uploads().filter(is_over).map(|(upload, _)| upload.clone()).collect();
        for upload in over {
            self.source.forget(&upload);
            self.drain(now_ms)?;
        }
        Ok(())
    }

    /// Takes everything below `next` through the topology.
    fn finish_batch(&mut self, next: Offset, now_ms: u64) -> Result<(), TaskError> {
        self.source.flush();
        self.drain(now_ms)?;
        self.finish_read(next)
    }

    /// Everything below `next` was taken: moves on to the next phase if this one ends here.
    fn finish_read(&mut self, next: Offset) -> Result<(), TaskError> {
        self.read_from = self.read_from.max(next);
        self.position = self.position.max(next);
        let phase = self.phase.advance(self.read_from);
        if self.phase.is_restoring() && !phase.is_restoring() {
            self.aggregate.finish_restore()?;
            self.source.end_refill();
        }
        self.phase = phase;
        self.search()
    }

    /// Records below `lost` are gone from a log that now ends at `end`. If they had not been read, first rows of any upload behind them may
    /// have been among them; else only of those that were open at the commit and do not show up in the replay.
    fn note_lost(&mut self, lost: Offset, end: Offset) {
        if self.phase.is_live() || self.phase.emit_from() < lost {
            self.aggregate.doubt_below(end);
        }
        if let Some(sought) = &mut self.sought {
            sought.lose(lost, end);
        }
    }

    fn on_gap(&mut self, lost: Range<Offset>, end: Offset, now_ms: u64) -> Result<(), TaskError> {
        self.finish_batch(lost.start, now_ms)?;
        warn!(task = %self.id, from = %lost.start, to = %lost.end, "records are missing from the log");
        self.outputs.metrics.unusable(Unusable::Missing, (lost.end.0 - lost.start.0) as u64);
        self.note_lost(lost.end, end);
        self.call_aggregate(now_ms, |aggregate, ctx| aggregate.log_gap(lost, ctx))?;
        self.forget_closed();
        Ok(())
    }

    /// Takes elements of the source through the maps into the aggregate, one at a time: the source must forget an upload that the aggregate
    /// closed before it reads on.
    fn drain(&mut self, now_ms: u64) -> Result<(), TaskError> {
        while let Some(element) = self.source.pop() {
            let begun = Instant::now();
            match element {
                StreamElement::Rows(mut batch) => {
                    self.map(&mut batch)?;
                    let mapped = Instant::now();
                    let traced = self.outputs.traces.is_on().then(|| batch.upload.clone());
                    traced.iter().for_each(|upload| self.outputs.traces.rows(upload, mapped - begun));
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.process(*batch, ctx))?;
                    self.outputs.metrics.aggregate.took(mapped.elapsed());
                    traced.iter().for_each(|upload| self.outputs.traces.took(upload, Stage::Pages, mapped.elapsed()));
                }
                StreamElement::Marker(mut marker) => {
                    let unusable = self.check_begin(&mut marker).err();
                    let (upload, offset) = (marker.upload.clone(), marker.offset);
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.on_marker(marker, ctx))?;
                    if let Some(counts) = self.aggregate.expects_rows(&upload) {
                        self.source.expect_rows(&upload, (!counts).then_some(offset));
                    }
                    if let Some(rejection) = unusable {
                        self.call_aggregate(now_ms, |aggregate, ctx| aggregate.fail(&upload, offset, rejection, ctx))?;
                    }
                }
                StreamElement::Failed { upload, offset, rejection } => {
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.fail(&upload, offset, rejection, ctx))?;
                }
                StreamElement::Expired { upload } => {
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.headerless_expired(&upload, ctx))?;
                }
                StreamElement::TooMany { upload, offset } => {
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.turn_away(&upload, offset, ctx))?;
                }
                StreamElement::GivesWay { upload, offset } => {
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.give_way(&upload, offset, ctx))?;
                }
                StreamElement::Refused { record, upload, rejection } => {
                    if self.phase.is_live() {
                        self.outputs.refused(&DeadLetter {
                            offset: record.offset,
                            key: record.key.as_ref(),
                            value: record.value.as_deref(),
                            upload: upload.as_ref(),
                            row: None,
                            line: None,
                            passed_from: record.passed_from.as_ref(),
                            rejection: &rejection,
                        })?;
                    }
                }
            }
            self.forget_closed();
            self.outputs.metrics.passed_on(begun.elapsed());
        }
        Ok(())
    }

    /// Makes the source forget the uploads that the aggregate has closed.
    fn forget_closed(&mut self) {
        for closed in self.aggregate.take_closed() {
            self.outputs.closed(self.phase.is_live().then_some(closed.open_ms));
            self.outputs.traces.forget(&closed.upload);
            self.source.forget(&closed.upload);
            if let Some(gather) = self.gather.as_mut().filter(|_| !self.is_releasing) {
                gather.closed(&closed.upload, self.read_from);
            }
        }
    }

    /// Takes rows through the maps. Each row counts once, not when it is read again.
    fn map(&mut self, batch: &mut RowBatch) -> Result<(), TaskError> {
        let (metrics, live) = (&self.outputs.metrics, self.phase.is_live());
        let count = |node: &NodeMetrics, rows, batch: &mut RowBatch| {
            let rejected = batch.attribute_to(node.name());
            if live {
                node.took_in(rows, rejected);
            }
        };
        count(&metrics.source, batch.len(), batch);
        for (map, node) in self.maps.iter_mut().zip(&metrics.maps) {
            let (begun, given) = (Instant::now(), batch.live_len());
            map.process(batch)?;
            node.took(begun.elapsed());
            count(node, given, batch);
        }
        if let Some(link) = self.link.as_mut().filter(|_| batch.map_link && batch.coordinates != CoordinateForm::None) {
            link.process(batch)?;
        }
        if live {
            metrics.aggregate.took_in(batch.live_len(), 0);
        } else {
            metrics.replayed(batch.len() as u64);
        }
        Ok(())
    }

    /// Whether the maps can serve an upload that begins with a CRS of its own. What the topology gives to every upload is not its own.
    fn check_begin(&mut self, marker: &mut MarkerRecord) -> Result<(), Rejection> {
        let own_crs = &mut self.outputs.own_crs;
        let Marker::Begin(announced) = &mut marker.marker else { return Ok(()) };
        announced.extras = self.topology.extras(announced.extras);
        announced.extras.map_link &= announced.coordinates != CoordinateForm::None;
        announced.crs = announced.crs.take().filter(|crs| !own_crs.is_usual(crs));
        announced.crs.as_ref().map_or(Ok(()), |crs| own_crs.pairs(crs).map(|_found| ()))
    }

    /// Looks at the clock: idle uploads, rows that wait for a header. `now_ms` is monotonic. Nothing happens before the task is live: a
    /// replay obeys what the clock decided when the records were new.
    pub fn tick(&mut self, now_ms: u64) -> Result<(), TaskError> {
        if !self.phase.is_live() {
            return Ok(());
        }
        self.tick_held(now_ms)?;
        self.source.waiting_uploads().for_each(|(upload, _)| self.aggregate.awaits_header(upload, now_ms));
        self.call_aggregate(now_ms, |aggregate, ctx| aggregate.tick(ctx))?;
        self.forget_closed();
        self.source.tick(now_ms);
        self.drain(now_ms)?;
        self.outputs.publish()?;
        self.report_receiving(now_ms);
        Ok(())
    }

    fn report_receiving(&mut self, now_ms: u64) {
        if self.phase.is_live() {
            let receiving = || receiving(&self.aggregate, self.gather.as_ref());
            self.outputs.report_receiving(now_ms, receiving);
        }
    }

    /// The source topic has so many partitions from now on.
    pub fn set_partition_count(&mut self, count: i32) {
        self.source.set_partition_count(count);
        self.aggregate.set_partition_count(count);
    }

    /// Reports the state of the task to the metrics, and what its input says: where the partition begins and ends, if that is known, and
    /// how much waits to be processed.
    pub fn report_metrics(&mut self, now_ms: u64, (log_start, end): (Offset, Option<Offset>), buffered_bytes: usize) {
        let progress = self.progress();
        let counts = self.aggregate.counts();
        self.outputs.metrics.report(TaskMoment {
            committed: self.committed_progress.as_ref().map(|committed| committed.next),
            position: self.position,
            replay_from: progress.replay_from,
            log_start,
            end,
            state_bytes: self.store.bytes(),
            buffered_bytes: buffered_bytes as u64,
            pages_cut: self.aggregate.pages_cut(),
            rows_waiting: counts.rows_waiting,
            uploads: [counts.receiving, counts.incomplete, counts.stalled, counts.failed],
            oldest_upload_age_ms: counts.oldest_ms.map(|begun| now_ms.saturating_sub(begun)),
        });
    }

    fn call_aggregate(
        &mut self,
        now_ms: u64,
        call: impl FnOnce(&mut Aggregate, &mut AggregateContext) -> Result<(), OutputError>,
    ) -> Result<(), TaskError> {
        let mut ctx = AggregateContext {
            store: &mut *self.store,
            phase: self.phase,
            now_ms,
            position: self.read_from,
            topic: &self.topic,
            output: &mut self.outputs,
        };
        Ok(call(&mut self.aggregate, &mut ctx)?)
    }
}

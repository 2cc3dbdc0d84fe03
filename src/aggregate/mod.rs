//! Rows keyed by sheet: order, counts, completion, pages. One instance is one partition's open uploads and its ledger.
//!
//! A row or marker passes four questions, a file each: is its upload open, or does it open one (`ledger`)? Is it the row's turn (`intake`,
//! `reorder`)? Which page does the row go to (`sheets`)? Is the upload whole (`completion`)? A whole upload leaves through
//! [`Output`](crate::sink::output::Output), and the ledger remembers what became of it (`ends`). `restore` reads uploads back after a
//! restart.

mod attempt;
mod checksum;
mod completion;
mod config;
mod context;
mod ends;
mod errors;
mod halt;
mod intake;
mod key_per_row;
mod ledger;
mod load;
mod lookup;
mod markers;
mod overtaking;
mod page_queue;
mod phase;
mod preview;
mod reorder;
mod reports;
mod restore;
mod restored_rows;
mod rows;
mod segment;
mod sheets;
mod siblings;
mod spread;
mod upload;
mod upload_context;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use ahash::HashMap;
pub use config::{AggregateConfig, AggregateSettings, SheetKey, SheetOrder};
pub use context::AggregateContext;
pub use errors::ERRORS_MAX;
pub use phase::Phase;
pub use preview::UploadPreview;
pub use reorder::MemoryLimits;
pub use restore::RestoredUpload;
pub use siblings::Siblings;

use crate::page::PageWriter;
use crate::record::{ColumnType, Concern, LedgerEntry, Message, Offset, Rejection, RowBatch, UploadHash, UploadId};
use crate::sink::output::OutputError;
use crate::source::Placement;
use crate::state::{StateError, StateStore, WriteBatch};
use intake::Taken;
use ledger::Ledger;
use load::{COMMIT_ENTRIES, Load};
use lookup::{Lookup, rows_lost};
use page_queue::PageQueue;
use restore::read_uploads;
use rows::Rows;
use siblings::Seat;
use upload::OpenUpload;
use upload_context::UploadContext;

/// The open uploads of one task, and its ledger.
///
/// A task calls it in the order of the log. After a restart the calls are: [`Aggregate::restore`]; [`Aggregate::adopt_ledger`] if the state
/// is behind the committed offset; records from [`Aggregate::restore_from`] on in [`Phase::Restoring`]; [`Aggregate::finish_restore`].
/// After an error the task drops the aggregate and starts again from its state, for rows may have been taken in part.
pub struct Aggregate {
    settings: AggregateSettings,
    queue: PageQueue,
    open: HashMap<UploadId, Box<OpenUpload>>,
    ledger: Ledger,
    finished: Vec<Finished>,
    closed: Vec<ClosedUpload>,
    limits: MemoryLimits,
    /// What all open uploads weigh.
    load: Load,
    /// The last list of columns, shared by uploads that have the same.
    columns: Arc<[(String, ColumnType)]>,
    /// It was said that uploads are turned away, and there has not been much room since.
    is_crowded: bool,
    /// The upload that rows came for last.
    latest: Option<UploadId>,
    /// The last offsets that were found missing.
    lost: Option<Range<Offset>>,
    /// First rows of an upload that begins below, without an announcement, may be gone from the log.
    whole_from: Offset,
    /// Uploads whose end came first, some of which are not any more.
    overtaken: BTreeSet<UploadId>,
    /// What the clock has decided is to be committed.
    wants_commit: bool,
    _seat: Seat,
}

/// An upload that is no longer open.
#[derive(Clone, Debug)]
pub struct ClosedUpload {
    /// The upload.
    pub upload: UploadId,
    /// For how many milliseconds this process saw it open.
    pub open_ms: u64,
}

impl ClosedUpload {
    fn of(upload: &OpenUpload, now_ms: u64) -> ClosedUpload {
        let open_ms = now_ms.saturating_sub(upload.begun_ms.unwrap_or(now_ms));
        ClosedUpload { upload: upload.id.clone(), open_ms }
    }
}

/// The open uploads of a task, counted by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadCounts {
    /// Rows come, or may come.
    pub receiving: u64,
    /// An end-of-file marker came that the rows do not meet.
    pub incomplete: u64,
    /// Nothing has come for a tenth of the idle timeout.
    pub stalled: u64,
    /// The upload has failed, and its end has not come yet.
    pub failed: u64,
    /// Rows that wait for a lower index.
    pub rows_waiting: u64,
    /// When this process first saw the oldest open upload, in monotonic milliseconds.
    pub oldest_ms: Option<u64>,
}

/// The state of an ended upload that is to be deleted.
#[derive(Debug)]
struct Finished {
    keys: Vec<Vec<u8>>,
    segments: [UploadHash; 2],
}

impl Aggregate {
    /// An aggregate without uploads.
    pub fn new(settings: AggregateSettings) -> Aggregate {
        Aggregate {
            queue: PageQueue::new(PageWriter::new(settings.styles.clone(), settings.cell_refs)),
            open: HashMap::default(),
            ledger: Ledger::default(),
            finished: Vec::new(),
            closed: Vec::new(),
            limits: settings.limits,
            load: Load::default(),
            columns: Arc::new([]),
            is_crowded: false,
            latest: None,
            lost: None,
            whole_from: Offset(0),
            overtaken: BTreeSet::new(),
            wants_commit: false,
            _seat: settings.siblings.sit(settings.task.partition),
            settings,
        }
    }

    /// Takes up what the state holds, and forgets ends of uploads that lie below the start of the log. Returns the open uploads, for the
    /// source.
    pub fn restore(
        &mut self,
        store: &mut dyn StateStore,
        log_start: Offset,
    ) -> Result<Vec<RestoredUpload>, StateError> {
        self.ledger.open(store)?;
        let mut restored = Vec::new();
        for mut upload in read_uploads(store)? {
            self.ledger.look_up(upload.id.hash(), store)?;
            if self.ledger.has_ended(upload.id.hash(), upload.revision, upload.first_offset) {
                // It had ended, and the process too before this was deleted.
                self.finished.push(Finished::of(&mut upload));
                continue;
            }
            restored.push(RestoredUpload {
                upload: upload.id.clone(),
                header: upload.attempt.header.clone(),
                announced: upload.attempt.announced.clone(),
                attempt: upload.attempt.id.clone(),
                begun_at: upload.attempt.begun_at,
                expects_rows: upload.attempt.eof.is_some(),
                single_at: upload.single_at(),
            });
            self.place(&mut upload);
            if upload.is_overtaken() {
                self.overtaken.insert(upload.id.clone());
            }
            self.load += upload.attempt.load();
            self.open.insert(upload.id.clone(), Box::new(upload));
        }
        self.ledger.forget_below(log_start);
        Ok(restored)
    }

    /// The ends that are known of uploads beyond `position`.
    pub fn ends_ahead(&self, position: Offset) -> Vec<LedgerEntry> {
        self.ledger.ahead(position).cloned().collect()
    }

    /// Takes up ends of uploads that were read from the status topic, all that it holds of a log that begins at the first offset, for a
    /// replay that begins at the second.
    pub fn adopt_ledger(
        &mut self,
        ends: impl Iterator<Item = LedgerEntry>,
        (log_start, replay_from): (Offset, Offset),
        store: &mut dyn StateStore,
    ) -> Result<(), StateError> {
        self.ledger.adopt(ends, (log_start, replay_from), store)?;
        for upload in self.open.values_mut() {
            upload.known_end = self.ledger.known_end(upload.id.hash(), upload.first_offset);
        }
        Ok(())
    }

    /// Takes rows that went through the maps. A batch without rows shows the columns of an upload that may have no rows.
    pub fn process(&mut self, batch: RowBatch, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let config = Arc::clone(&self.settings.aggregate);
        // A map may find a fault of the whole upload, such as a missing column. No row is to blame for it.
        let failure = batch.rejected.iter().find(|(_, rejection)| rejection.reason.concern() == Concern::Upload);
        let rows = match failure {
            Some((_, rejection)) => Err(rejection.clone()),
            None => Rows::resolve(&batch, &config.sheet, ctx.topic),
        };
        if ctx.phase.is_restoring() {
            let Some(mut upload) = self.take(&batch.upload) else { return Ok(()) };
            let restored = match rows {
                Ok(rows) if upload.attempt.failed.is_none() => {
                    upload.restore_rows(&rows, &mut self.upload_context(ctx))
                }
                Ok(_) | Err(_) => Ok(()),
            };
            self.keep(upload);
            restored?;
            return Ok(self.make_room(ctx)?);
        }
        if batch.is_empty() {
            self.learn_columns(&batch);
        }
        self.settings.siblings.key_per_row().rows(batch.len());
        let mut at = 0;
        while at < batch.len() {
            at = self.process_from(at, &batch, &rows, ctx)?;
        }
        self.latest = Some(batch.upload.clone());
        self.watch_keys(false, ctx)?;
        Ok(self.make_room(ctx)?)
    }

    /// Takes rows from `at` on, as far as one answer holds for them. Returns the row to continue with.
    fn process_from(
        &mut self,
        at: usize,
        batch: &RowBatch,
        rows: &Result<Rows, Rejection>,
        ctx: &mut AggregateContext,
    ) -> Result<usize, OutputError> {
        let offset = batch.offsets[at];
        let mut upload = match self.find(&batch.upload, offset, ctx)? {
            Lookup::Open(upload) => upload,
            Lookup::Past => return Ok(at + 1),
            Lookup::Ended(_) if self.is_without_room(&batch.upload, offset) => return Ok(at + 1),
            Lookup::Ended(_) if batch.numbered => {
                self.late_row(batch, at, ctx)?;
                return Ok(at + 1);
            }
            Lookup::New(revision) | Lookup::Ended(revision) => {
                self.settings.siblings.key_per_row().opened();
                match batch.numbered {
                    true => self.begin(&batch.upload, revision, offset, ctx),
                    false => self.begin_unannounced(&batch.upload, revision, offset, ctx)?,
                }
            }
        };
        upload.touch(ctx.now_ms, batch.offsets.last().copied().unwrap_or(offset));
        let known_end = upload.known_end.unwrap_or(Offset(i64::MAX));
        let to = at + batch.offsets[at..].iter().take_while(|offset| **offset < known_end).count();
        let again = upload.begins_again(batch, at..to).filter(|_| self.settings.source.placement == Placement::Keyed);
        if again == Some(at) {
            upload.begin_again(offset);
            self.keep(upload);
            return Ok(at + 1);
        }
        let to = again.unwrap_or(to);
        if upload.attempt.failed.is_some() {
            upload.accounting.void_rows((to - at) as u64);
            self.keep(upload);
            return Ok(to);
        }
        let admitted = match rows {
            Ok(rows) => upload.admit(batch, &mut self.columns).map(|()| rows),
            Err(rejection) => Err(upload.unreadable(rejection.clone())),
        };
        let taken = match admitted {
            Ok(rows) => upload.take(rows, at, to, &mut self.upload_context(ctx))?,
            Err(rejection) => Taken::Failed { next: at, offset, rejection },
        };
        match taken {
            Taken::All => {
                self.keep(upload);
                Ok(to)
            }
            Taken::Failed { next, offset, rejection } => {
                self.fail_or_give_up(upload, rejection, offset, ctx)?;
                Ok(next)
            }
            Taken::CountMet { next, offset } => self.count_met(upload, batch, next, offset, ctx),
        }
    }

    /// An upload that cannot be read: the source found out.
    pub fn fail(
        &mut self,
        id: &UploadId,
        offset: Offset,
        rejection: Rejection,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        if ctx.phase.is_restoring() {
            return Ok(());
        }
        let mut upload = match self.find(id, offset, ctx)? {
            Lookup::Open(upload) => upload,
            Lookup::Past => return Ok(()),
            Lookup::Ended(_) if self.is_without_room(id, offset) => return Ok(()),
            Lookup::New(revision) | Lookup::Ended(revision) => self.begin_unannounced(id, revision, offset, ctx)?,
        };
        upload.touch(ctx.now_ms, offset);
        if upload.attempt.failed.is_some() {
            self.keep(upload);
            return Ok(());
        }
        let rejection = upload.unreadable(rejection);
        self.fail_or_give_up(upload, rejection, offset, ctx)
    }

    /// Records were removed from the log: every upload whose attempt began before their end may have lost rows, and fails.
    pub fn log_gap(&mut self, lost: Range<Offset>, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let is_hit = |upload: &OpenUpload| upload.attempt.begun_at < lost.end && upload.attempt.failed.is_none();
        let mut hit: Vec<_> = self.open.values().filter(|upload| is_hit(upload)).collect();
        hit.sort_by_key(|upload| upload.first_offset);
        for id in hit.iter().map(|upload| upload.id.clone()).collect::<Vec<_>>() {
            let Some(mut upload) = self.take(&id) else { continue };
            // Reported at the offset of the loss, even if it was processed before: the records were removed since.
            self.fail_for_lost_records(&mut upload, rows_lost(&lost), lost.start, ctx)?;
            self.keep(upload);
        }
        self.lost = Some(lost);
        Ok(())
    }

    /// Rows of an upload waited for their header, the first of them at `first`, and are among those that were removed: it has failed.
    pub fn lose_waiting(
        &mut self,
        id: &UploadId,
        first: Offset,
        lost: &Range<Offset>,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        if self.open.contains_key(id) {
            return Ok(());
        }
        self.ledger.look_up(id.hash(), ctx.store)?;
        let revision = self.ledger.highest_revision(id.hash()) + 1;
        let mut upload = self.begin(id, revision, first, ctx);
        self.fail_for_lost_records(&mut upload, rows_lost(lost), first, ctx)?;
        self.keep(upload);
        Ok(())
    }

    /// Uploads that begin below `offset` without an announcement may have lost their first rows: records were gone before they were read.
    pub fn doubt_below(&mut self, offset: Offset) {
        self.whole_from = self.whole_from.max(offset);
    }

    /// Uploads that begin from here on have lost no first rows.
    pub fn whole_from(&self) -> Offset {
        self.whole_from
    }

    /// Its uploads are known to `siblings` from now on.
    pub fn join(&mut self, siblings: Siblings) {
        self._seat = siblings.sit(self.settings.task.partition);
        self.settings.siblings = siblings;
        self.open.values_mut().for_each(|upload| upload.placed = None);
    }

    /// The source topic has so many partitions from now on.
    pub fn set_partition_count(&mut self, count: i32) {
        self.settings.partition_count = Some(count);
        let mut open = mem::take(&mut self.open);
        open.values_mut().filter(|upload| upload.placed.is_none()).for_each(|upload| self.place(upload));
        self.open = open;
    }

    /// Whether the end-of-file marker of an upload that waits for rows counts them; `None` where no such marker has come.
    pub fn expects_rows(&self, id: &UploadId) -> Option<bool> {
        self.open.get(id)?.attempt.eof.as_ref().map(|eof| eof.end.rows.is_some())
    }

    /// All rows of [`Phase::Restoring`] were given: the open pages must be as the state says.
    pub fn finish_restore(&mut self) -> Result<(), StateError> {
        self.open.values_mut().try_for_each(|upload| upload.finish_restore())?;
        self.load = Load::default();
        self.open.values().for_each(|upload| self.load += upload.attempt.load());
        Ok(())
    }

    /// Writes what changed since the last call, for a state in which everything below `position` was processed; the position itself is the
    /// caller's to write. Pages that are being cut are waited for.
    pub fn write_state(
        &mut self,
        position: Offset,
        store: &mut dyn StateStore,
        into: &mut WriteBatch,
    ) -> Result<(), StateError> {
        self.queue.settle(store)?;
        for upload in self.open.values_mut() {
            upload.write(into);
        }
        (self.load.unsaved, self.load.unsaved_bytes) = (0, 0);
        self.ledger.sweep(store, into)?;
        self.ledger.write(position, into);
        Ok(())
    }

    /// The Kafka commit for everything so far is done: writes the deletion of uploads that have ended. Of many, some stay for the next
    /// commits.
    pub fn take_finished(&mut self, into: &mut WriteBatch) {
        while into.entries.len() < COMMIT_ENTRIES
            && let Some(Finished { keys, segments }) = self.finished.pop()
        {
            keys.into_iter().for_each(|key| into.delete(key));
            into.drop_segments.extend(segments);
        }
    }

    /// Whether uploads have ended whose state is still to be deleted.
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Whether the ledger knows that an upload that began at `first_offset` was over below `position`, if a replay cannot find that out.
    pub fn was_over(&self, id: &UploadId, first_offset: Offset, position: Offset) -> bool {
        self.ledger.known_end(id.hash(), first_offset).is_some_and(|end| end <= position)
    }

    /// First offset of the oldest open upload.
    pub fn replay_from(&self) -> Option<Offset> {
        self.open.values().map(|upload| upload.first_offset).min()
    }

    /// Lowest offset of a row that is in no cut page.
    pub fn restore_from(&self) -> Option<Offset> {
        self.open.values().filter_map(|upload| upload.attempt.restore_from()).min()
    }

    /// Open uploads whose rows may be in other partitions as well, the oldest first.
    pub fn placed_uploads(&self) -> Vec<UploadHash> {
        let placed =
            self.open.values().filter_map(|upload| Some((upload.first_offset, upload.placed.as_ref()?.hash())));
        let mut placed: Vec<_> = placed.collect();
        placed.sort_unstable();
        placed.into_iter().map(|(_, hash)| hash).collect()
    }

    /// Number of open uploads, failed ones included.
    pub fn open_uploads(&self) -> usize {
        self.open.len()
    }

    /// Pages that were cut so far.
    pub fn pages_cut(&self) -> u64 {
        self.queue.pages_cut()
    }

    /// The upload that received rows last, unless it has ended or failed.
    fn receiving_upload(&self) -> Option<&OpenUpload> {
        let upload = self.open.get(self.latest.as_ref()?)?;
        upload.attempt.failed.is_none().then_some(upload)
    }

    /// Rows so far of the upload that received rows last; 0 when it has ended.
    pub fn rows_received(&self) -> u64 {
        self.receiving_upload().map_or(0, |upload| upload.accounting.rows_in)
    }

    fn upload_context<'d, 'c>(&'d mut self, ctx: &'d mut AggregateContext<'c>) -> UploadContext<'d, 'c> {
        UploadContext {
            settings: &self.settings,
            queue: &mut self.queue,
            limits: self.limits,
            numbers_elsewhere: self.load.numbers,
            sheets_elsewhere: self.load.sheets,
            ctx,
        }
    }

    fn learn_columns(&mut self, batch: &RowBatch) {
        if let Some(upload) = self.open.get_mut(&batch.upload)
            && upload.attempt.failed.is_none()
            && upload.accounting.distinct() == 0
        {
            upload.learn_columns(batch, &mut self.columns);
        }
    }

    fn late_row(&mut self, batch: &RowBatch, row: usize, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let number = batch.numbered.then_some(batch.keys[row].index);
        ctx.row_letter(batch, row, number, &Rejection::new(Message::RowLate {}))?;
        self.ledger.late_row(batch.upload.hash(), batch.offsets[row]);
        Ok(())
    }
}

impl Finished {
    fn of(upload: &mut OpenUpload) -> Finished {
        Finished { keys: upload.saved_keys(), segments: upload.segments() }
    }
}

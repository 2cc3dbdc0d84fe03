//! Rows keyed by sheet: order, counts, completion, pages. One instance is one partition's open uploads and its ledger.
//!
//! What comes for an upload goes through four questions, a file each: is it open, or does this open it (`ledger`)? whose turn is it
//! (`intake`, `order`)? which page does it go to (`sheets`)? is the upload whole (`completion`)? A restart is `refill`.

mod accounting;
mod checksum;
mod completion;
mod config;
mod ends;
mod errors;
mod events;
mod intake;
mod key_per_row;
mod ledger;
mod markers;
mod order;
mod press;
mod preview;
mod refill;
mod rows;
mod sheets;
mod upload;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub use config::{AggregateConfig, AggregateSettings, SheetKey, SheetOrder, TemplatePart};
pub use events::{AggregateContext, AggregateEvent, Census, Phase, Standing, UploadStatus};
use intake::{Desk, Taken};
use key_per_row::KeyPerRow;
use ledger::{Admission, Ledger};
use order::MemoryLimits;
use press::Press;
pub use preview::UploadPreview;
use refill::Saved;
use rows::Rows;
use upload::{OpenUpload, scratch_segment};

use crate::page::PageWriter;
use crate::record::{ColumnType, Message, Offset, Rejection, RowBatch, UploadHash, UploadId};
use crate::state::keys::LedgerState;
use crate::state::{Entry, StateError, StateStore, WriteBatch};

/// The open uploads of one task, and its ledger.
///
/// A task calls it in the order of the log. After a restart: [`Aggregate::restore`], [`Aggregate::adopt_ledger`] if the state is behind the
/// committed offset, then records from [`Aggregate::refill_from`] in [`Phase::Refill`], [`Aggregate::refill_done`], and on. After a
/// [`StateError`] it is of no more use: rows may have been taken in part, and the task starts again from its state.
pub struct Aggregate {
    settings: AggregateSettings,
    press: Press,
    open: HashMap<UploadId, Box<OpenUpload>>,
    ledger: Ledger,
    finished: Vec<Finished>,
    key_per_row: KeyPerRow,
    limits: MemoryLimits,
    /// Bytes of waiting rows in memory, over all uploads.
    waiting_bytes: usize,
    /// The same of rows in open pages.
    open_bytes: usize,
    /// The last list of columns, shared by uploads that have the same.
    columns: Arc<[(String, ColumnType)]>,
    /// The upload that rows came for last.
    latest: Option<UploadId>,
    /// The last offsets that were found missing.
    lost: Option<Range<Offset>>,
}

/// An upload that was open when the state was written.
#[derive(Clone, Debug)]
pub struct RestoredUpload {
    /// The upload.
    pub upload: UploadId,
    /// Its columns, if they are known.
    pub header: Option<Arc<[String]>>,
    /// CRS of its own.
    pub crs: Option<Arc<str>>,
    /// Where its present attempt begins; what stands before is not its own.
    pub begun_at: Offset,
    /// Its end-of-file marker came, and rows are missing.
    pub expects_rows: bool,
}

/// What is left of an upload that has ended.
#[derive(Debug)]
struct Finished {
    keys: Vec<Vec<u8>>,
    segments: [UploadHash; 2],
}

impl Aggregate {
    /// An aggregate without uploads.
    pub fn new(settings: AggregateSettings) -> Aggregate {
        Aggregate {
            press: Press::new(PageWriter::new(settings.styles.clone(), settings.cell_refs)),
            settings,
            open: HashMap::new(),
            ledger: Ledger::default(),
            finished: Vec::new(),
            key_per_row: KeyPerRow::default(),
            limits: MemoryLimits::default(),
            waiting_bytes: 0,
            open_bytes: 0,
            columns: Arc::new([]),
            latest: None,
            lost: None,
        }
    }

    /// Takes up what [`StateStore::load`] gave. Returns the open uploads, for the source.
    pub fn restore(&mut self, entries: &[Entry]) -> Result<Vec<RestoredUpload>, StateError> {
        let saved = Saved::read(entries)?;
        for entry in saved.ledger {
            self.ledger.adopt(entry, Offset(i64::MAX));
        }
        let mut restored = Vec::new();
        for mut upload in saved.uploads {
            if self.ledger.has_ended(upload.id.hash(), upload.first_offset) {
                // It had ended, and the process too before this was deleted.
                self.finished.push(Finished::of(&mut upload));
                continue;
            }
            restored.push(RestoredUpload {
                upload: upload.id.clone(),
                header: upload.header.clone(),
                crs: upload.announced.crs.clone(),
                begun_at: upload.begun_at,
                expects_rows: upload.eof.is_some(),
            });
            self.open.insert(upload.id.clone(), Box::new(upload));
        }
        Ok(restored)
    }

    /// Takes up ends of uploads that were read from the status topic, all that it holds, for a replay that begins at `replay_from`.
    pub fn adopt_ledger(&mut self, entries: Vec<LedgerState>, replay_from: Offset) {
        for entry in entries {
            self.ledger.adopt(entry, replay_from);
        }
        for upload in self.open.values_mut() {
            upload.known_end = self.ledger.known_end(upload.id.hash(), upload.first_offset);
        }
    }

    /// Forgets ends of uploads that lie below the start of the log.
    pub fn forget_ledger_below(&mut self, log_start: Offset) {
        self.ledger.forget_below(log_start);
    }

    /// The workbook of an upload that has just completed cannot be made or sent: it failed after all.
    pub fn undelivered(&mut self, upload: &UploadId) {
        self.ledger.fail_last(upload.hash());
    }

    /// Takes rows that went through the maps. A batch without rows tells the columns of an upload that may have none.
    pub fn process(&mut self, batch: RowBatch, ctx: &mut AggregateContext) -> Result<(), StateError> {
        let config = Arc::clone(&self.settings.aggregate);
        let rows = Rows::resolve(&batch, &config.sheet);
        if ctx.phase == Phase::Refill {
            return match (self.open.remove(&batch.upload), rows) {
                (Some(mut upload), Ok(rows)) if upload.failed.is_none() => {
                    self.let_go(&upload);
                    upload.refill_rows(&rows, &mut self.desk(ctx))?;
                    self.keep(upload);
                    self.make_room(ctx)
                }
                (Some(upload), _) => {
                    self.open.insert(batch.upload, upload);
                    Ok(())
                }
                (None, _) => Ok(()),
            };
        }
        if batch.is_empty() {
            self.learn_columns(&batch);
        }
        self.key_per_row.rows(batch.len());
        let mut at = 0;
        while at < batch.len() {
            at = self.process_from(at, &batch, &rows, ctx)?;
        }
        self.latest = Some(batch.upload.clone());
        self.make_room(ctx)
    }

    /// Takes rows from `at` on, as far as one answer holds for them. Returns where to go on.
    fn process_from(
        &mut self,
        at: usize,
        batch: &RowBatch,
        rows: &Result<Rows, Rejection>,
        ctx: &mut AggregateContext,
    ) -> Result<usize, StateError> {
        let offset = batch.offsets[at];
        let mut upload = match self.find(&batch.upload, offset, ctx) {
            Found::Open(upload) => upload,
            Found::Past => return Ok(at + 1),
            Found::Ended(_) if batch.numbered => {
                self.late_row(batch, at, ctx);
                return Ok(at + 1);
            }
            Found::New(revision) | Found::Ended(revision) if batch.numbered => {
                self.begin(&batch.upload, revision, offset, ctx)
            }
            Found::New(revision) | Found::Ended(revision) => {
                self.begin_unannounced(&batch.upload, revision, offset, ctx)
            }
        };
        upload.touch(ctx.now_ms);
        let known_end = upload.known_end.unwrap_or(Offset(i64::MAX));
        let to = at + batch.offsets[at..].iter().take_while(|offset| **offset < known_end).count();
        if upload.failed.is_some() {
            upload.accounting.void_rows((to - at) as u64);
            self.keep(upload);
            return Ok(to);
        }
        let admitted = match rows {
            Ok(rows) => upload.admit(batch, &mut self.columns).map(|()| rows),
            Err(rejection) => Err(rejection.clone()),
        };
        let taken = match admitted {
            Ok(rows) => upload.take(rows, at, to, &mut self.desk(ctx))?,
            Err(rejection) => Taken::Failed { next: at, offset, rejection },
        };
        match taken {
            Taken::All => {
                self.keep(upload);
                Ok(to)
            }
            Taken::Failed { next, offset, rejection } => {
                upload.fail_and_tell(rejection, offset, ctx);
                self.keep(upload);
                Ok(next)
            }
            Taken::CountMet { next, offset } => self.count_met(upload, batch, next, offset, ctx),
        }
    }

    /// An upload that cannot be read: the source found out.
    pub fn fail(&mut self, id: &UploadId, offset: Offset, rejection: Rejection, ctx: &mut AggregateContext) {
        if ctx.phase == Phase::Refill {
            return;
        }
        let mut upload = match self.find(id, offset, ctx) {
            Found::Open(upload) => upload,
            Found::Past => return,
            Found::New(revision) | Found::Ended(revision) => self.begin_unannounced(id, revision, offset, ctx),
        };
        upload.touch(ctx.now_ms);
        if upload.failed.is_none() {
            upload.fail_and_tell(rejection, offset, ctx);
        }
        self.keep(upload);
    }

    /// Offsets that the log no longer holds: every upload that began before their end has lost rows, for all one can know.
    pub fn log_gap(&mut self, lost: Range<Offset>, ctx: &mut AggregateContext) {
        let mut hit: Vec<_> = self.open.values_mut().filter(|upload| upload.first_offset < lost.end).collect();
        hit.sort_by_key(|upload| upload.first_offset);
        for upload in hit.into_iter().filter(|upload| upload.failed.is_none()) {
            let [open, waiting] = upload.bytes_here();
            (self.open_bytes, self.waiting_bytes) = (self.open_bytes - open, self.waiting_bytes - waiting);
            // Told even of offsets that were processed before: the records went missing since.
            let offset = lost.start.max(ctx.silent_below());
            upload.fail_and_tell(rows_lost(&lost), offset, ctx);
        }
        self.lost = Some(lost);
    }

    /// All rows of [`Phase::Refill`] were given: the open pages must be as the state says.
    pub fn refill_done(&mut self) -> Result<(), StateError> {
        self.open.values_mut().try_for_each(|upload| upload.finish_refill())?;
        self.open_bytes = self.open.values().map(|upload| upload.bytes_here()[0]).sum();
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
        self.press.settle(store)?;
        for upload in self.open.values_mut() {
            upload.write(into);
        }
        self.ledger.write(position, into);
        Ok(())
    }

    /// The Kafka commit for everything so far is done: writes the deletion of uploads that have ended.
    pub fn take_finished(&mut self, into: &mut WriteBatch) {
        for Finished { keys, segments } in self.finished.drain(..) {
            keys.into_iter().for_each(|key| into.delete(key));
            into.drop_segments.extend(segments);
        }
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
    pub fn refill_from(&self) -> Option<Offset> {
        self.open.values().filter_map(|upload| upload.refill_from()).min()
    }

    /// Number of open uploads, failed ones included.
    pub fn open_uploads(&self) -> usize {
        self.open.len()
    }

    /// Pages that were cut so far.
    pub fn pages_cut(&self) -> u64 {
        self.press.pages_cut()
    }

    /// Counts the open uploads by how they stand.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for upload in self.open.values() {
            let standing = match upload {
                upload if upload.failed.is_some() => &mut census.failed,
                upload if upload.idle.stalled => &mut census.stalled,
                upload if upload.held => &mut census.incomplete,
                _ => &mut census.receiving,
            };
            *standing += 1;
            census.rows_waiting += upload.accounting.waiting;
            census.oldest_ms = census.oldest_ms.into_iter().chain(upload.begun_ms).min();
        }
        census
    }

    /// How the upload stands that rows came for last, if it is open.
    pub fn receiving(&self) -> Option<UploadStatus> {
        let upload = self.open.get(self.latest.as_ref()?).filter(|upload| upload.failed.is_none())?;
        Some(upload.status(Standing::Receiving, upload.first_offset, None))
    }

    /// Looks an upload up for what stands at `offset`, and takes it out: whoever asks gives it back with [`Aggregate::keep`] or ends it.
    fn find(&mut self, id: &UploadId, offset: Offset, ctx: &mut AggregateContext) -> Found {
        if let Some(upload) = self.open.remove(id) {
            self.let_go(&upload);
            if upload.known_end.is_none_or(|end| offset < end) {
                return Found::Open(upload);
            }
            self.obey_ledger(upload, ctx);
        }
        match self.ledger.admit(id.hash(), offset, ctx.silent_below()) {
            Admission::New(revision) => Found::New(revision),
            Admission::After(revision) => Found::Ended(revision),
            Admission::Past => Found::Past,
        }
    }

    fn begin(&mut self, id: &UploadId, revision: u32, offset: Offset, ctx: &mut AggregateContext) -> Box<OpenUpload> {
        self.key_per_row.opened();
        if let Some(suspicion) = self.key_per_row.suspicion() {
            ctx.tell(offset, AggregateEvent::Warning(suspicion));
        }
        let mut upload = Box::new(OpenUpload::begin(id.clone(), revision, offset));
        upload.known_end = self.ledger.known_end(id.hash(), offset);
        upload.touch(ctx.now_ms);
        upload
    }

    /// Begins an upload with something that need not be its beginning: it was open at the last commit, and the log may have lost records of
    /// it since.
    fn begin_unannounced(
        &mut self,
        id: &UploadId,
        revision: u32,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Box<OpenUpload> {
        let mut upload = self.begin(id, revision, offset, ctx);
        if let Some(lost) = self.lost.as_ref().filter(|_| offset < ctx.silent_below()) {
            upload.fail_and_tell(rows_lost(lost), ctx.silent_below(), ctx);
        }
        upload
    }

    fn keep(&mut self, upload: Box<OpenUpload>) {
        let [open, waiting] = upload.bytes_here();
        (self.open_bytes, self.waiting_bytes) = (self.open_bytes + open, self.waiting_bytes + waiting);
        self.open.insert(upload.id.clone(), upload);
    }

    /// The upload is taken out of the open ones.
    fn let_go(&mut self, upload: &OpenUpload) {
        let [open, waiting] = upload.bytes_here();
        (self.open_bytes, self.waiting_bytes) = (self.open_bytes - open, self.waiting_bytes - waiting);
    }

    /// Puts open pages away when all uploads together hold too much of them in memory, the largest first.
    fn make_room(&mut self, ctx: &mut AggregateContext) -> Result<(), StateError> {
        for least in [4 << 10, 512, 1] {
            if self.open_bytes <= self.limits.open {
                return Ok(());
            }
            for upload in self.open.values_mut() {
                let before = upload.sheets.bytes_here();
                upload.sheets.put_away(least, scratch_segment(upload.hash), ctx.store)?;
                self.open_bytes -= before - upload.sheets.bytes_here();
            }
        }
        Ok(())
    }

    fn desk<'d, 'c>(&'d mut self, ctx: &'d mut AggregateContext<'c>) -> Desk<'d, 'c> {
        Desk {
            settings: &self.settings,
            press: &mut self.press,
            limits: self.limits,
            waiting_elsewhere: self.waiting_bytes,
            ctx,
        }
    }

    fn learn_columns(&mut self, batch: &RowBatch) {
        if let Some(upload) = self.open.get_mut(&batch.upload)
            && upload.failed.is_none()
            && upload.accounting.distinct() == 0
        {
            upload.learn_columns(batch, &mut self.columns);
        }
    }

    fn late_row(&mut self, batch: &RowBatch, row: usize, ctx: &mut AggregateContext) {
        let number = batch.numbered.then_some(batch.keys[row].index);
        ctx.dead_letter(batch, row, number, &Rejection::new(Message::RowLate {}));
        self.ledger.late_row(batch.upload.hash(), batch.offsets[row]);
    }
}

fn rows_lost(lost: &Range<Offset>) -> Rejection {
    Rejection::new(Message::RowsLost { first: lost.start, last: Offset(lost.end.0 - 1) })
}

/// Whose something is that comes at an offset.
enum Found {
    /// This upload's, which is open.
    Open(Box<OpenUpload>),
    /// It would begin this revision, the first.
    New(u32),
    /// It would begin this revision, after an upload that has ended.
    Ended(u32),
    /// An upload's whose end was published before.
    Past,
}

impl Finished {
    fn of(upload: &mut OpenUpload) -> Finished {
        Finished { keys: upload.saved_keys(), segments: upload.segments() }
    }
}

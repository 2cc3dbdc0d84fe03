//! Which upload a record belongs to: one that is open, a new one, the next revision of one that has ended, or one whose end was published.

use std::ops::Range;

use tracing::warn;

use super::context::AggregateContext;
use super::phase::Phase;
use super::upload::OpenUpload;
use super::{Aggregate, Finished, ledger};
use crate::record::{Message, Offset, Rejection, UploadId};
use crate::sink::output::OutputError;
use crate::source::{Admission, Applicant};

/// The upload that something at an offset belongs to.
pub(super) enum Lookup {
    /// This one, which is open.
    Open(Box<OpenUpload>),
    /// It would begin this revision, the first.
    New(u32),
    /// It would begin this revision, after an upload that has ended.
    Ended(u32),
    /// One whose end was published before.
    Past,
}

impl Aggregate {
    /// What the history of an upload decides about a record that the source is about to read. An upload that is open, and is known to be
    /// over by then, is closed.
    pub fn admit(&mut self, record: &Applicant, phase: Phase) -> Admission {
        // What is open was admitted with its first record, unless the ledger knows of an end that lies ahead.
        let is_settled = phase.is_live() && record.is_known && record.offset >= self.ledger.horizon();
        if phase.is_restoring() || is_settled {
            return Admission::Read;
        }
        let id = UploadId::new(record.upload);
        if let Some(upload) = self.open.get(&id) {
            if upload.known_end.is_none_or(|end| record.offset < end) {
                return Admission::Read;
            }
            if let Some(mut upload) = self.take(&id) {
                self.finished.push(Finished::of(&mut upload));
            }
            return Admission::Over;
        }
        match self.ledger.admit(id.hash(), record.offset, phase.emit_from()) {
            ledger::Admission::Past if record.is_known => Admission::Over,
            ledger::Admission::Past => Admission::PassOver,
            ledger::Admission::After(_) if record.is_numbered && !record.is_known => Admission::Late,
            ledger::Admission::After(_) | ledger::Admission::New(_) => Admission::Read,
        }
    }

    /// Finds the upload that something at `offset` belongs to, and takes it out: the caller gives it back with [`Aggregate::keep`] or ends it.
    pub(super) fn find(&mut self, id: &UploadId, offset: Offset, ctx: &mut AggregateContext) -> Lookup {
        if let Some(upload) = self.take(id) {
            if upload.known_end.is_none_or(|end| offset < end) {
                return Lookup::Open(upload);
            }
            self.obey_ledger(upload, ctx);
        }
        match self.ledger.admit(id.hash(), offset, ctx.phase.emit_from()) {
            ledger::Admission::New(revision) => Lookup::New(revision),
            ledger::Admission::After(revision) => Lookup::Ended(revision),
            ledger::Admission::Past => Lookup::Past,
        }
    }

    pub(super) fn begin(
        &mut self,
        id: &UploadId,
        revision: u32,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Box<OpenUpload> {
        self.key_per_row.opened();
        if let Some(suspicion) = self.key_per_row.suspicion().filter(|_| ctx.emits()) {
            warn!(task = %self.settings.task, reason = %suspicion.reason, "{}", suspicion.message);
        }
        let mut upload = Box::new(OpenUpload::begin(id.clone(), revision, offset));
        upload.known_end = self.ledger.known_end(id.hash(), offset);
        upload.touch(ctx.now_ms);
        upload
    }

    /// Begins an upload with a record that need not be its first: the upload may have been open at the last commit, and the log may have lost
    /// records of it since.
    pub(super) fn begin_unannounced(
        &mut self,
        id: &UploadId,
        revision: u32,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<Box<OpenUpload>, OutputError> {
        let mut upload = self.begin(id, revision, offset, ctx);
        let emit_from = ctx.phase.emit_from();
        if let Some(lost) = self.lost.clone().filter(|_| offset < emit_from) {
            self.fail_for_lost_records(&mut upload, rows_lost(&lost), offset, ctx)?;
        }
        Ok(upload)
    }

    /// Takes an upload out of the open ones.
    pub(super) fn take(&mut self, id: &UploadId) -> Option<Box<OpenUpload>> {
        let upload = self.open.remove(id)?;
        let [open, waiting] = upload.attempt.bytes_in_memory();
        (self.open_bytes, self.waiting_bytes) = (self.open_bytes - open, self.waiting_bytes - waiting);
        Some(upload)
    }

    pub(super) fn keep(&mut self, upload: Box<OpenUpload>) {
        let [open, waiting] = upload.attempt.bytes_in_memory();
        (self.open_bytes, self.waiting_bytes) = (self.open_bytes + open, self.waiting_bytes + waiting);
        self.open.insert(upload.id.clone(), upload);
    }
}

/// Why an upload fails whose records were removed from the log.
pub(super) fn rows_lost(lost: &Range<Offset>) -> Rejection {
    Rejection::new(Message::RowsLost { first: lost.start, last: Offset(lost.end.0 - 1) })
}

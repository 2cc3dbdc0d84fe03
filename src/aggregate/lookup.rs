//! Finds the upload of a record: one that is open, a new one, the next revision of one that has ended, or one whose end was published.

use std::mem;
use std::ops::Range;

use tracing::warn;

use super::context::AggregateContext;
use super::phase::Phase;
use super::upload::OpenUpload;
use super::{Aggregate, ClosedUpload, Finished, ledger};
use crate::record::{LedgerEntry, Message, Offset, Outcome, Reason, Rejection, UploadId};
use crate::sink::output::OutputError;
use crate::sink::status::UploadState;
use crate::source::{Admission, Applicant, ApplicantKind, HeaderFrom};
use crate::state::{StateError, StateStore};

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
    /// Decides by the history of an upload about a record that the source is about to read. Closes an open upload that is known to be over
    /// by then.
    pub fn admit(&mut self, record: &Applicant, phase: Phase, store: &dyn StateStore) -> Result<Admission, StateError> {
        // An open upload was admitted with its first record, unless the ledger knows of an end that lies ahead.
        let is_settled = phase.is_live() && record.is_known && record.offset >= self.ledger.horizon();
        if phase.is_restoring() || is_settled {
            return Ok(Admission::Read);
        }
        let id = UploadId::new(record.upload);
        if let Some(upload) = self.open.get(&id) {
            if upload.known_end.is_none_or(|end| record.offset < end) {
                return Ok(Admission::Read);
            }
            if let Some(mut upload) = self.take(&id) {
                self.finished.push(Finished::of(&mut upload));
            }
            return Ok(Admission::Over);
        }
        self.ledger.look_up(id.hash(), store)?;
        Ok(match self.ledger.admit(id.hash(), record.offset, phase.emit_from()) {
            // Its rows wait in the source: the end that is known is its own, and lies ahead.
            ledger::Admission::Past
                if record.is_known && self.ledger.is_ahead(id.hash(), record.offset, phase.emit_from()) =>
            {
                Admission::Read
            }
            ledger::Admission::Past if record.is_known => Admission::Over,
            ledger::Admission::Past => Admission::PassOver,
            ledger::Admission::After(_) | ledger::Admission::New(_) if record.is_known => Admission::Read,
            ledger::Admission::New(_) => self.admit_another(record, phase),
            ledger::Admission::After(_) => match (self.ledger.before(id.hash(), record.offset), record.kind) {
                (_, ApplicantKind::End { .. }) => Admission::Read,
                (_, ApplicantKind::Begin) => self.admit_another(record, phase),
                (Some(before), _) if before.is_without_room() => Admission::PassOver,
                (Some(before), _) if before.is_turned_away() => Admission::TurnedAway,
                (_, ApplicantKind::Rows { is_numbered: true }) => Admission::Late,
                (_, ApplicantKind::Rows { .. } | ApplicantKind::Header) => self.admit_another(record, phase),
            },
        })
    }

    /// Whether there is room for another upload. Below the committed offset there was, for all that the ledger does not know as turned
    /// away.
    fn admit_another(&mut self, record: &Applicant, phase: Phase) -> Admission {
        let limit = self.settings.source.open_uploads_max as usize;
        self.is_crowded &= record.open >= limit / 2;
        match record.kind {
            ApplicantKind::End { announces_rows: false } => Admission::Read,
            _ if phase.is_live() && record.open >= limit => Admission::TooMany,
            _ => Admission::Read,
        }
    }

    /// Turns an upload away whose first record is at `offset`: it has failed, and what comes of it until its end is not read. The ledger
    /// remembers it, so that its last rows do not begin another one when there is room again.
    pub fn turn_away(&mut self, id: &UploadId, offset: Offset, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        self.ledger.look_up(id.hash(), ctx.store)?;
        let revision = match self.ledger.admit(id.hash(), offset, ctx.phase.emit_from()) {
            ledger::Admission::New(revision) | ledger::Admission::After(revision) => revision,
            ledger::Admission::Past => return Ok(()),
        };
        self.say_crowded(offset);
        let upload = OpenUpload::begin(id.clone(), revision, offset);
        let entry = upload.ledger(Outcome::TurnedAway, offset, &self.settings.topology_hash);
        self.end_turned_away(&upload, entry, ctx)
    }

    /// An upload gives way to another one that begins at `offset`: it counts as turned away with its only record.
    pub fn give_way(&mut self, id: &UploadId, offset: Offset, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Some(mut upload) = self.take(id) else { return Ok(()) };
        self.say_crowded(offset);
        upload.accounting.void_workbook();
        let entry = upload.ledger(Outcome::TurnedAway, upload.first_offset, &self.settings.topology_hash);
        let finished = Finished::of(&mut upload);
        self.end_turned_away(&upload, entry, ctx)?;
        self.finished.push(finished);
        self.closed.push(ClosedUpload::of(&upload, ctx.now_ms));
        Ok(())
    }

    /// An open upload fails: it stays open until its end, unless there is no room for it.
    pub(super) fn fail_or_give_up(
        &mut self,
        mut upload: Box<OpenUpload>,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        if rejection.reason == Reason::UploadNoRoom {
            return self.end_without_room(upload, &rejection, offset, ctx);
        }
        self.fail_open(&mut upload, rejection, offset, ctx)?;
        self.keep(upload);
        Ok(())
    }

    /// An upload fails at its end, at `offset`.
    pub(super) fn fail_at_end(
        &mut self,
        upload: Box<OpenUpload>,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        if rejection.reason != Reason::UploadNoRoom {
            return self.end(upload, Outcome::Failed, offset, Some(rejection), ctx);
        }
        let (id, first) = (upload.id.hash(), upload.first_offset);
        self.end_without_room(upload, &rejection, offset, ctx)?;
        match self.ledger.of(id, first).cloned() {
            Some(entry) => self.turned_away_ends(entry, offset, ctx),
            None => Ok(()),
        }
    }

    /// Ends an upload for which there is no room: with what comes of it until its own end it has failed. The ledger remembers it, for a
    /// replay holds fewer uploads, and could find room.
    fn end_without_room(
        &mut self,
        mut upload: Box<OpenUpload>,
        rejection: &Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        upload.accounting.void_workbook();
        let entry = upload.ledger(Outcome::NoRoom, upload.first_offset, &self.settings.topology_hash);
        ctx.status(self.ended(&upload, &entry, None, Some(rejection)), offset)?;
        let finished = Finished::of(&mut upload);
        self.close(&upload, finished, entry, ctx.now_ms);
        Ok(())
    }

    /// Whether a record at `offset` comes of an upload for which there was no room.
    pub(super) fn is_without_room(&self, id: &UploadId, offset: Offset) -> bool {
        self.ledger.before(id.hash(), offset).is_some_and(LedgerEntry::is_without_room)
    }

    /// Says, once until there is room again, that uploads are turned away.
    fn say_crowded(&mut self, offset: Offset) {
        if !mem::replace(&mut self.is_crowded, true) {
            let (task, limit) = (&self.settings.task, self.settings.source.open_uploads_max);
            let reason = Reason::UploadTooMany;
            warn!(%task, %offset, limit, %reason, "as many uploads are open as may be (open_uploads_max); the oldest of a single record are turned away, or new ones, until some have ended");
        }
    }

    /// The end of an upload that was turned away: another one may come under its id.
    pub(super) fn turned_away_ends(
        &mut self,
        entry: LedgerEntry,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let upload = OpenUpload::begin(UploadId::new(entry.id.as_str()), entry.revision, entry.first_offset);
        self.end_turned_away(&upload, LedgerEntry { completion_offset: offset, ..entry }, ctx)
    }

    fn end_turned_away(
        &mut self,
        upload: &OpenUpload,
        entry: LedgerEntry,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let offset = entry.completion_offset;
        let source = &self.settings.source;
        let rejection = Rejection::new(match entry.outcome {
            Outcome::NoRoom => Message::NoRoom { limit: source.parts_open_max() },
            _ => Message::TooManyOpen { limit: source.open_uploads_max },
        });
        if !self.is_known(upload, &entry) {
            ctx.status(self.ended(upload, &entry, None, Some(&rejection)), offset)?;
        }
        self.ledger.put(upload.id.hash(), entry);
        Ok(())
    }

    /// Finds the upload that something at `offset` belongs to, and takes it out: the caller gives it back with [`Aggregate::keep`] or ends
    /// it.
    pub(super) fn find(
        &mut self,
        id: &UploadId,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<Lookup, StateError> {
        if let Some(upload) = self.take(id) {
            if upload.known_end.is_none_or(|end| offset < end) {
                return Ok(Lookup::Open(upload));
            }
            self.obey_ledger(upload, ctx);
        }
        self.ledger.look_up(id.hash(), ctx.store)?;
        Ok(match self.ledger.admit(id.hash(), offset, ctx.phase.emit_from()) {
            ledger::Admission::New(revision) => Lookup::New(revision),
            ledger::Admission::After(revision) => Lookup::Ended(revision),
            ledger::Admission::Past => Lookup::Past,
        })
    }

    pub(super) fn begin(
        &mut self,
        id: &UploadId,
        revision: u32,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Box<OpenUpload> {
        let mut upload = Box::new(OpenUpload::begin(id.clone(), revision, offset));
        upload.known_end = self.ledger.known_end(id.hash(), offset);
        self.place(&mut upload);
        upload.touch(ctx.now_ms, offset);
        upload
    }

    /// Says, once, when nearly every row opens an upload: in the log, and in the status of the one that received rows last.
    pub(super) fn watch_keys(&self, is_idle: bool, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Some(upload) = self.receiving_upload().filter(|_| ctx.emits()) else { return Ok(()) };
        let suspicion = self.settings.siblings.key_per_row().suspicion(is_idle);
        let Some(suspicion) = suspicion else { return Ok(()) };
        warn!(task = %self.settings.task, reason = %suspicion.reason, "{}", suspicion.message);
        self.report(upload, UploadState::Receiving, Some(&suspicion), upload.first_offset, ctx)
    }

    /// Makes known to the tasks of other partitions that an upload is open here.
    pub(super) fn place(&self, upload: &mut OpenUpload) {
        if self.settings.partition_count.is_some_and(|count| count > 1) {
            let partition = self.settings.task.partition;
            let placed = self.settings.siblings.place(&upload.id, partition, upload.first_offset);
            placed.rows(upload.accounting.distinct());
            upload.placed = Some(placed);
        }
    }

    /// Begins an upload with a record that need not be its first: the upload may have been open at the last commit, and the log may have
    /// lost records of it since; the log may have lost them before it was read; or it may be the rest of an upload that has expired.
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
        let before = self.ledger.before(id.hash(), offset);
        let expired = before.filter(|before| before.outcome == Outcome::Expired);
        let doubt = match expired {
            _ if offset < self.whole_from => Some(Message::FirstRowsLost { first: offset }),
            // A file that begins with its header shows by it that it is not the rest of one.
            Some(before) if self.settings.source.header != HeaderFrom::First => match before.is_of_former_log() {
                true => Some(Message::RemainderOfFormer {}),
                false => Some(Message::Remainder { end: before.completion_offset }),
            },
            Some(_) | None => None,
        };
        upload.attempt.doubt = doubt.map(Box::new);
        Ok(upload)
    }

    /// Takes an upload out of the open ones.
    pub(super) fn take(&mut self, id: &UploadId) -> Option<Box<OpenUpload>> {
        let upload = self.open.remove(id)?;
        self.load -= upload.attempt.load();
        Some(upload)
    }

    pub(super) fn keep(&mut self, upload: Box<OpenUpload>) {
        self.load += upload.attempt.load();
        if let Some(placed) = &upload.placed {
            placed.rows(upload.accounting.distinct());
        }
        self.open.insert(upload.id.clone(), upload);
    }
}

/// Why an upload fails whose records were removed from the log. An empty range says where it was cut.
pub(super) fn rows_lost(lost: &Range<Offset>) -> Rejection {
    Rejection::new(match lost.is_empty() {
        true => Message::RowsCutOff { at: lost.start },
        false => Message::RowsLost { first: lost.start, last: Offset(lost.end.0 - 1) },
    })
}

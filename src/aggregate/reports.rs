//! The status records of an upload: its open states, and its end as the ledger remembers it.

use std::sync::Arc;

use super::context::AggregateContext;
use super::upload::OpenUpload;
use super::{Aggregate, UploadCounts};
use crate::record::{LedgerEntry, Message, Offset, Outcome, Rejection, UploadId};
use crate::sink::digest::Digest;
use crate::sink::output::OutputError;
use crate::sink::status::{StatusFailure, StatusOffsets, StatusRecord, StatusWorkbook, UploadState};
use crate::state::{StateError, StateStore};

impl Aggregate {
    /// Fails an upload that stays open until its end, and reports it.
    pub(super) fn fail_open(
        &self,
        upload: &mut OpenUpload,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        upload.fail(rejection.clone());
        self.report(upload, UploadState::Failed, Some(&rejection), offset, ctx)
    }

    /// Reports what became of an open upload at `offset`. One whose end was said before is read again: nothing is said of it until then.
    pub(super) fn report(
        &self,
        upload: &OpenUpload,
        state: UploadState,
        why: Option<&Rejection>,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        if self.is_over(upload) { Ok(()) } else { ctx.status(self.status(upload, state, why), offset) }
    }

    /// The same for records that were lost since they were processed: reported even while a replay emits nothing.
    pub(super) fn fail_for_lost_records(
        &self,
        upload: &mut OpenUpload,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        upload.fail(rejection.clone());
        if self.is_over(upload) {
            return Ok(());
        }
        ctx.output.status(self.status(upload, UploadState::Failed, Some(&rejection)), offset)
    }

    /// The statuses of open uploads that begin at `since` or behind, and have none yet. `waiting` have rows that wait for their header.
    pub fn begun(
        &mut self,
        since: Offset,
        waiting: &[(UploadId, Offset)],
        store: &dyn StateStore,
    ) -> Result<Vec<StatusRecord>, StateError> {
        let is_new =
            |upload: &OpenUpload| since <= upload.first_offset && !upload.is_only_an_end() && !self.is_over(upload);
        let open = self.open.values().filter(|upload| is_new(upload) && upload.open_state() == UploadState::Receiving);
        let mut begun: Vec<_> = open.map(|upload| self.status(upload, UploadState::Receiving, None)).collect();
        for (id, first) in waiting.iter().filter(|(id, first)| since <= *first && !self.open.contains_key(id)) {
            self.ledger.look_up(id.hash(), store)?;
            let upload = OpenUpload::begin(id.clone(), self.ledger.highest_revision(id.hash()) + 1, *first);
            begun.push(self.status(&upload, UploadState::Receiving, None));
        }
        begun.sort_by(|one, other| (one.offsets.first, &one.upload).cmp(&(other.offsets.first, &other.upload)));
        Ok(begun)
    }

    /// An upload was open, by its last status, and nothing is left of it: it is open again, and has failed. What comes of it is void until
    /// its end or its next beginning. If the end of the upload before it is gone, too, that one is open, and this one ends.
    pub fn miss(&mut self, status: &StatusRecord, why: Message, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let id = UploadId::new(status.upload.as_str());
        let first = match why {
            Message::SkippedByReset { next, .. } => next, // who reads it again skips its records again
            _ => status.offsets.first.min(ctx.position),
        };
        self.ledger.look_up(id.hash(), ctx.store)?;
        if self.ledger.has_ended(id.hash(), status.revision, status.offsets.first) {
            return Ok(());
        }
        match self.open.get(&id) {
            Some(before) if before.first_offset < status.offsets.first => {
                return ctx.output.status(status.clone().failed(&Rejection::new(why)), first);
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let mut upload = Box::new(OpenUpload::begin(id, status.revision, first));
        upload.attempt.announced.name = status.name.as_deref().map(Arc::from);
        upload.accounting = status.accounting;
        self.place(&mut upload);
        let known = status.failure.as_ref().filter(|_| status.state == UploadState::Failed);
        let why = Rejection::new(known.and_then(StatusFailure::known).unwrap_or(why));
        match known {
            Some(_) if first <= status.offsets.first => upload.fail(why),
            Some(_) | None => self.fail_for_lost_records(&mut upload, why, first, ctx)?,
        }
        self.keep(upload);
        Ok(())
    }

    /// The status of an open upload.
    pub(super) fn status(&self, upload: &OpenUpload, state: UploadState, failure: Option<&Rejection>) -> StatusRecord {
        let entry = upload.ledger(Outcome::Failed, Offset(0), &self.settings.topology_hash);
        StatusRecord {
            state,
            offsets: StatusOffsets { first: upload.first_offset, completion: None, leader_epoch: None },
            header: None,
            cuts: None,
            ..self.ended(upload, &entry, None, failure)
        }
    }

    /// The status of an upload that ends as `entry` says.
    pub(super) fn ended(
        &self,
        upload: &OpenUpload,
        entry: &LedgerEntry,
        workbook: Option<StatusWorkbook>,
        failure: Option<&Rejection>,
    ) -> StatusRecord {
        let announced = &upload.attempt.announced;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        StatusRecord {
            state: UploadState::from(entry.outcome),
            upload: entry.id.clone(),
            revision: entry.revision,
            name: text(&announced.name),
            rows_announced: announced.rows,
            crs: text(&announced.crs),
            traceparent: text(&upload.attempt.traceparent),
            topology: self.settings.task.topology.to_string(),
            topology_hash: entry.topology.clone(),
            partition: self.settings.task.partition,
            // The log is the task's to say.
            offsets: StatusOffsets {
                first: entry.first_offset,
                completion: Some(entry.completion_offset),
                leader_epoch: None,
            },
            topic_id: None,
            accounting: entry.accounting,
            header: entry.header.clone(),
            rows_sha256: entry.rows_sha256.map(Digest),
            cuts: entry.cuts.clone(),
            workbook,
            failure: failure.map(StatusFailure::from),
        }
    }

    /// Counts the open uploads by state.
    pub fn counts(&self) -> UploadCounts {
        let mut counts = UploadCounts::default();
        for upload in self.open.values() {
            let count = match upload.open_state() {
                UploadState::Failed => &mut counts.failed,
                UploadState::Stalled => &mut counts.stalled,
                UploadState::Incomplete => &mut counts.incomplete,
                _ => &mut counts.receiving,
            };
            *count += 1;
            counts.rows_waiting += upload.accounting.waiting;
            counts.oldest_ms = counts.oldest_ms.into_iter().chain(upload.begun_ms).min();
        }
        counts
    }

    /// Whether the end of an open upload, which is read again, was said before: nothing in between is said after it.
    pub(super) fn is_over(&self, upload: &OpenUpload) -> bool {
        self.ledger.of(upload.id.hash(), upload.first_offset).is_some()
    }

    /// Whether an upload, which is read again, ended like this before.
    pub(super) fn is_known(&self, upload: &OpenUpload, end: &LedgerEntry) -> bool {
        let known = self.ledger.of(upload.id.hash(), upload.first_offset);
        known.is_some_and(|known| (known.outcome, known.completion_offset) == (end.outcome, end.completion_offset))
    }

    /// The status of the upload that received rows last, if it is open.
    pub fn receiving(&self) -> Option<StatusRecord> {
        self.receiving_of(self.latest.as_ref()?)
    }

    /// The status of an open upload, unless another state was said of it.
    pub fn receiving_of(&self, id: &UploadId) -> Option<StatusRecord> {
        let upload = self.open.get(id)?;
        let is_receiving = upload.open_state() == UploadState::Receiving && !self.is_over(upload);
        is_receiving.then(|| self.status(upload, UploadState::Receiving, None))
    }
}

//! How uploads end: complete, incomplete, failed, given up, expired. Each end is an entry of the ledger, told once.

use super::completion::{EndOfFile, Verdict};
use super::intake::Halt;
use super::upload::{Idle, OpenUpload};
use super::{Aggregate, AggregateContext, AggregateEvent, Finished, Phase, Standing, UploadStatus};
use crate::record::{Message, Offset, Rejection, RowBatch, UploadId};
use crate::source::Incomplete;
use crate::state::StateError;
use crate::state::keys::{LedgerState, Outcome};

impl Aggregate {
    /// Row `next - 1`, at `offset`, was the last that the end-of-file marker asked for.
    pub(super) fn count_met(
        &mut self,
        mut upload: Box<OpenUpload>,
        batch: &RowBatch,
        mut next: usize,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<usize, StateError> {
        let Some(pending) = upload.eof.take() else {
            self.keep(upload);
            return Ok(next);
        };
        let eof = EndOfFile { offset: pending.offset, rows: pending.rows, sha256: pending.sha256, one_partition: true };
        if self.end_of_file(upload, eof, offset, ctx)? {
            // A record ends with the upload that it completes: no row of it begins another one, for that could not be replayed.
            while batch.offsets.get(next) == Some(&offset) {
                self.late_row(batch, next, ctx);
                next += 1;
            }
        }
        Ok(next)
    }

    /// Holds an upload against its end-of-file marker, at `offset`. True when that ended it.
    pub(super) fn end_of_file(
        &mut self,
        mut upload: Box<OpenUpload>,
        eof: EndOfFile,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<bool, StateError> {
        upload.announced.rows = eof.rows.or(upload.announced.rows);
        let (rejection, hopeful) = match upload.judge(&eof, &mut self.desk(ctx)) {
            Ok(Verdict::Whole) => {
                self.complete(upload, offset, false, ctx)?;
                return Ok(true);
            }
            Ok(Verdict::Incomplete { rejection, hopeful }) => (rejection, hopeful),
            Err(Halt::State(error)) => return Err(error),
            Err(Halt::Upload(rejection)) => {
                self.end(upload, Outcome::Failed, offset, Some(rejection), ctx);
                return Ok(true);
            }
        };
        let status = upload.status(Standing::Incomplete, offset, Some(rejection.clone()));
        ctx.tell(offset, AggregateEvent::Status(Box::new(status)));
        match self.settings.source.incomplete {
            Incomplete::Hold => {
                (upload.eof, upload.held) = (None, true);
                upload.changed = true;
                if hopeful {
                    upload.hold(eof);
                }
                self.keep(upload);
                return Ok(false);
            }
            Incomplete::Fail => self.end(upload, Outcome::Failed, offset, Some(rejection), ctx),
            Incomplete::Emit => match upload.flush(&mut self.desk(ctx)) {
                Ok(()) => self.complete(upload, offset, true, ctx)?,
                Err(Halt::State(error)) => return Err(error),
                Err(Halt::Upload(rejection)) => self.end(upload, Outcome::Failed, offset, Some(rejection), ctx),
            },
        }
        Ok(true)
    }

    fn complete(
        &mut self,
        mut upload: Box<OpenUpload>,
        offset: Offset,
        incomplete: bool,
        ctx: &mut AggregateContext,
    ) -> Result<(), StateError> {
        let mut entry = upload.ledger(Outcome::Published, offset, &self.settings.topology_hash);
        entry.rows_sha256 = (!incomplete).then(|| upload.checksum.digest());
        let before = self.ledger.before(upload.id.hash(), upload.first_offset);
        let is_known = before.is_some_and(|before| has_same_content(before, &entry));
        let finished = Finished::of(&mut upload);
        if let Some(before) = before.filter(|_| is_known) {
            entry.revision = before.revision;
            let (announced, ledger) = (upload.announced.clone(), Box::new(entry.clone()));
            ctx.tell(offset, AggregateEvent::Republished { upload: upload.id.clone(), announced, ledger });
        } else if ctx.is_loud(offset) {
            let complete = upload.assemble(offset, incomplete, &mut self.desk(ctx))?;
            let (announced, ledger) = (upload.announced.clone(), Box::new(entry.clone()));
            ctx.out.push(AggregateEvent::Completed { upload: Box::new(complete), announced, ledger });
        }
        self.close(&upload, finished, entry, ctx);
        Ok(())
    }

    /// Ends an upload without a workbook.
    pub(super) fn end(
        &mut self,
        mut upload: Box<OpenUpload>,
        outcome: Outcome,
        offset: Offset,
        rejection: Option<Rejection>,
        ctx: &mut AggregateContext,
    ) {
        let standing = match outcome {
            Outcome::Aborted => Standing::Aborted,
            Outcome::Expired => Standing::Expired,
            Outcome::Failed | Outcome::Published => Standing::Failed,
        };
        upload.accounting.void_workbook();
        let entry = upload.ledger(outcome, offset, &self.settings.topology_hash);
        let status =
            UploadStatus { ledger: Some(Box::new(entry.clone())), ..upload.status(standing, offset, rejection) };
        ctx.tell(offset, AggregateEvent::Status(Box::new(status)));
        let finished = Finished::of(&mut upload);
        self.close(&upload, finished, entry, ctx);
    }

    fn close(&mut self, upload: &OpenUpload, finished: Finished, entry: LedgerState, ctx: &mut AggregateContext) {
        self.ledger.put(upload.id.hash(), entry);
        self.finished.push(finished);
        ctx.out.push(upload.closed(ctx.now_ms));
    }

    /// Ends an upload, without a word, of which the ledger knows that it was over by now: the clock had decided so, before the restart.
    pub(super) fn obey_ledger(&mut self, mut upload: Box<OpenUpload>, ctx: &mut AggregateContext) {
        self.finished.push(Finished::of(&mut upload));
        ctx.out.push(upload.closed(ctx.now_ms));
    }

    /// Looks at the clock: reports uploads for which nothing comes, and in the end gives them up. Nothing happens during a replay.
    pub fn tick(&mut self, ctx: &mut AggregateContext) {
        if ctx.phase == Phase::Refill || ctx.position < ctx.silent_below() {
            return;
        }
        let timeout_ms = u64::try_from(self.settings.source.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut over = Vec::new();
        for upload in self.open.values_mut() {
            let since_ms = *upload.idle.since_ms.get_or_insert(ctx.now_ms);
            upload.begun_ms.get_or_insert(ctx.now_ms);
            let idle_ms = ctx.now_ms.saturating_sub(since_ms);
            if upload.known_end.is_some_and(|end| end <= ctx.position) || idle_ms >= timeout_ms {
                over.push((upload.first_offset, upload.id.clone()));
            } else if idle_ms >= timeout_ms / 10 && !upload.idle.stalled && upload.failed.is_none() {
                upload.idle = Idle { stalled: true, ..upload.idle };
                let status = upload.status(Standing::Stalled, ctx.position, None);
                ctx.tell(ctx.position, AggregateEvent::Status(Box::new(status)));
            }
        }
        over.sort();
        over.into_iter().for_each(|(_, id)| self.expire(&id, ctx));
    }

    /// An upload that is open has been silent for too long, or the ledger knows that it had been.
    fn expire(&mut self, id: &UploadId, ctx: &mut AggregateContext) {
        let Some(upload) = self.open.remove(id) else { return };
        self.let_go(&upload);
        if upload.known_end.is_some_and(|end| end <= ctx.position) {
            return self.obey_ledger(upload, ctx);
        }
        let rejection = upload.failed.clone().unwrap_or_else(|| {
            Rejection::new(Message::Expired { seconds: self.settings.source.idle_timeout.as_secs() })
        });
        self.end(upload, Outcome::Expired, ctx.position, Some(rejection), ctx);
    }

    /// The source waited for the header of its rows for the idle timeout: an upload that failed by that ends.
    pub fn headerless_expired(&mut self, id: &UploadId, ctx: &mut AggregateContext) {
        if self.open.get(id).is_some_and(|upload| upload.failed.is_some()) {
            self.expire(id, ctx);
        }
    }
}

/// Whether an upload is one again that was published before.
fn has_same_content(before: &LedgerState, now: &LedgerState) -> bool {
    before.outcome == Outcome::Published
        && before.rows_sha256.is_some()
        && before.rows_sha256 == now.rows_sha256
        && (&before.header, &before.crs, &before.topology) == (&now.header, &now.crs, &now.topology)
}

impl OpenUpload {
    /// Fails it and tells so.
    pub(super) fn fail_and_tell(&mut self, rejection: Rejection, offset: Offset, ctx: &mut AggregateContext) {
        self.fail(rejection.clone());
        let status = self.status(Standing::Failed, offset, Some(rejection));
        ctx.tell(offset, AggregateEvent::Status(Box::new(status)));
    }

    fn closed(&self, now_ms: u64) -> AggregateEvent {
        let open_ms = now_ms - self.begun_ms.unwrap_or(now_ms).min(now_ms);
        AggregateEvent::Closed { upload: self.id.clone(), open_ms }
    }

    /// How it stands at `offset`, while it is open.
    pub(super) fn status(&self, status: Standing, offset: Offset, rejection: Option<Rejection>) -> UploadStatus {
        UploadStatus {
            upload: self.id.clone(),
            status,
            revision: self.revision,
            announced: self.announced.clone(),
            traceparent: self.traceparent.clone(),
            accounting: self.accounting,
            first_offset: self.first_offset,
            offset,
            rejection,
            ledger: None,
        }
    }
}

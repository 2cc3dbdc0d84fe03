//! How uploads end: complete, incomplete, failed, given up, expired. Each end is forwarded, then remembered in the ledger as it went.

use std::collections::BTreeSet;
use std::mem;

use super::completion::Verdict;
use super::context::AggregateContext;
use super::halt::Halt;
use super::ledger::Ledger;
use super::upload::{Idle, OpenUpload};
use super::{Aggregate, ClosedUpload, Finished};
use tracing::info;

use crate::record::{LedgerEntry, Message, Offset, Outcome, Rejection, RowBatch, UploadId};
use crate::sink::output::{Delivery, OutputError};
use crate::sink::status::UploadState;
use crate::source::Incomplete;
use crate::state::keys::EndOfFile;

impl Aggregate {
    /// Row `next - 1`, at `offset`, was the last that the end-of-file marker asked for. Returns the row to continue with.
    pub(super) fn count_met(
        &mut self,
        mut upload: Box<OpenUpload>,
        batch: &RowBatch,
        mut next: usize,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<usize, OutputError> {
        let Some(pending) = upload.attempt.eof.take() else {
            self.keep(upload);
            return Ok(next);
        };
        let eof = EndOfFile { one_partition: true, ..pending.end };
        if self.end_of_file(upload, eof, offset, ctx)? {
            // A record ends with the upload that it completes: no row of it begins another one, for that could not be replayed.
            while batch.offsets.get(next) == Some(&offset) {
                self.late_row(batch, next, ctx)?;
                next += 1;
            }
        }
        Ok(next)
    }

    /// Compares an upload with its end-of-file marker, at `offset`. True when that ended it.
    pub(super) fn end_of_file(
        &mut self,
        mut upload: Box<OpenUpload>,
        eof: EndOfFile,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<bool, OutputError> {
        let eof = EndOfFile { rows: eof.rows.or(upload.attempt.announced.rows), ..eof };
        upload.attempt.announced.rows = eof.rows;
        let ended_before = match ctx.emits() {
            true => None,
            false => Some(self.has_ended_at(&upload, &eof, offset, ctx)?),
        };
        let (rejection, hopeful) = match upload.judge(&eof, ended_before, &mut self.upload_context(ctx)) {
            Ok(Verdict::Whole) => {
                self.complete(upload, offset, None, ctx)?;
                return Ok(true);
            }
            Ok(Verdict::Incomplete { rejection, hopeful }) => (rejection, hopeful),
            Err(Halt::World(error)) => return Err(error),
            Err(Halt::Upload(rejection)) => {
                self.fail_at_end(upload, rejection, offset, ctx)?;
                return Ok(true);
            }
        };
        self.report(&upload, UploadState::Incomplete, Some(&rejection), offset, ctx)?;
        match self.settings.source.incomplete {
            Incomplete::Hold => {
                (upload.attempt.eof, upload.attempt.held) = (None, true);
                upload.mark_changed();
                if hopeful {
                    upload.hold(eof);
                }
                self.keep(upload);
                return Ok(false);
            }
            Incomplete::Fail => self.end(upload, Outcome::Failed, offset, Some(rejection), ctx)?,
            Incomplete::Emit => match upload.flush_and_check(&mut self.upload_context(ctx)) {
                Ok(()) => {
                    let flag = Rejection::new(Message::PublishedIncomplete {});
                    self.complete(upload, offset, Some(&flag), ctx)?;
                }
                Err(Halt::World(error)) => return Err(error),
                Err(Halt::Upload(rejection)) => self.fail_at_end(upload, rejection, offset, ctx)?,
            },
        }
        Ok(true)
    }

    /// Whether the ledger knows that `eof` ended an upload, as of the record at `offset`. One that waited for rows may have been settled
    /// elsewhere, by the clock.
    fn has_ended_at(
        &mut self,
        upload: &OpenUpload,
        eof: &EndOfFile,
        offset: Offset,
        ctx: &AggregateContext,
    ) -> Result<bool, OutputError> {
        self.ledger.look_up(upload.id.hash(), ctx.store)?;
        let end = self.ledger.of(upload.id.hash(), upload.first_offset);
        let is_here = |end: &LedgerEntry| end.completion_offset == offset || eof.offset < offset;
        Ok(end.is_some_and(|end| end.outcome != Outcome::Expired && is_here(end)))
    }

    /// Forwards a complete upload: its workbook, unless the same content was published before, then its status. The ledger remembers the
    /// outcome of the workbook. `flag` says why the workbook does not have everything that was announced.
    fn complete(
        &mut self,
        mut upload: Box<OpenUpload>,
        offset: Offset,
        flag: Option<&Rejection>,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let mut entry = upload.ledger(Outcome::Published, offset, &self.settings.topology_hash);
        entry.rows_sha256 = flag.is_none().then(|| upload.attempt.checksum.digest());
        let hash = upload.id.hash();
        self.ledger.look_up(hash, ctx.store)?;
        let before = self.ledger.before(hash, upload.first_offset);
        let itself = self.ledger.of(hash, upload.first_offset);
        let is_out = itself.is_some_and(|itself| has_same_content(itself, &entry) || is_same_end(itself, &entry));
        let same = if is_out { itself } else { before.filter(|before| has_same_content(before, &entry)) };
        let known_revision = same.map(|same| same.revision);
        let is_taken = upload.revision <= self.ledger.highest_revision(hash);
        let was_published = itself.is_some_and(|itself| itself.outcome == Outcome::Published);
        if known_revision.is_none() && (was_published || (is_taken && ctx.emits())) {
            // Read again after a reset under another topology, or in the place of one that was cut off: other bytes have another number.
            upload.revision = self.ledger.highest_revision(hash) + 1;
            entry.revision = upload.revision;
        }
        let finished = Finished::of(&mut upload);
        let (mut workbook, mut failure) = (None, flag.cloned());
        if let Some(revision) = known_revision {
            entry.revision = revision;
        } else if ctx.emits() {
            let complete = upload.assemble(offset, flag.is_some(), &mut self.upload_context(ctx))?;
            match ctx.output.workbook(complete, ctx.store)? {
                Delivery::Sent(sent) => workbook = Some(sent),
                Delivery::Refused(rejection) => {
                    (entry.outcome, entry.rows_sha256) = (Outcome::Failed, None);
                    entry.accounting.void_workbook();
                    failure = Some(rejection);
                }
            }
        }
        if !is_out {
            let status = self.ended(&upload, &entry, workbook, failure.as_ref());
            ctx.status(status, offset)?;
        } else if ctx.emits() {
            let (task, upload, revision) = (&self.settings.task, &upload.id, entry.revision);
            info!(%task, %upload, %offset, revision, "published before the offset was reset, or before a crash: not sent again");
        }
        self.close(&upload, finished, entry, ctx.now_ms);
        Ok(())
    }

    /// Ends an upload without a workbook. What has failed for records that were lost since ends in a replay as it failed in it. An end that
    /// was said before is not said again: what was said of the id since is the last word.
    pub(super) fn end(
        &mut self,
        mut upload: Box<OpenUpload>,
        outcome: Outcome,
        offset: Offset,
        rejection: Option<Rejection>,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        upload.accounting.void_workbook();
        let entry = upload.ledger(outcome, offset, &self.settings.topology_hash);
        let status = self.ended(&upload, &entry, None, rejection.as_ref());
        self.ledger.look_up(upload.id.hash(), ctx.store)?;
        match upload.has_lost_records() && !self.is_over(&upload) {
            true => ctx.output.status(status, offset)?,
            false if self.is_known(&upload, &entry) => {}
            false => ctx.status(status, offset)?,
        }
        let finished = Finished::of(&mut upload);
        self.close(&upload, finished, entry, ctx.now_ms);
        Ok(())
    }

    pub(super) fn close(&mut self, upload: &OpenUpload, finished: Finished, entry: LedgerEntry, now_ms: u64) {
        // Once an upload, in release builds too: an end that does not add up must not be committed.
        assert!(entry.accounting.balances(), "the rows of an upload that ends do not balance: {:?}", entry.accounting);
        self.ledger.put(upload.id.hash(), entry);
        self.finished.push(finished);
        self.closed.push(ClosedUpload::of(upload, now_ms));
    }

    /// Uploads that ended since the last call, for the source to forget them.
    pub fn take_closed(&mut self) -> Vec<ClosedUpload> {
        mem::take(&mut self.closed)
    }

    /// Closes an upload without a word. The ledger knows that it was over by now: the clock decided so before the restart.
    pub(super) fn obey_ledger(&mut self, mut upload: Box<OpenUpload>, ctx: &mut AggregateContext) {
        self.finished.push(Finished::of(&mut upload));
        self.closed.push(ClosedUpload::of(&upload, ctx.now_ms));
    }

    /// Takes up ends that another owner of the partition has reported, for a task that has read everything below `position`. An upload that
    /// is still open, though it had ended by then, was ended by the clock or gave way: it is closed without a word. `waiting` are the
    /// uploads whose rows wait for their header; those that are over are returned.
    pub fn follow_ledger(
        &mut self,
        ends: Vec<LedgerEntry>,
        (log_start, position): (Offset, Offset),
        waiting: &[(UploadId, Offset)],
        ctx: &mut AggregateContext,
    ) -> Result<Vec<UploadId>, OutputError> {
        let ended: BTreeSet<UploadId> = ends.iter().map(|end| UploadId::new(end.id.as_str())).collect();
        // The ledger does not remember ends before the start of the log.
        let is_gone = |end: &&LedgerEntry| {
            let open = self.open.get(end.id.as_str());
            let is_end = open.is_some_and(|open| end.is_end_of(open.revision, open.first_offset));
            is_end && end.end() <= log_start && !end.is_of_former_log()
        };
        let gone: BTreeSet<UploadId> = ends.iter().filter(is_gone).map(|end| UploadId::new(end.id.as_str())).collect();
        self.adopt_ledger(ends.into_iter(), (log_start, position), ctx.store)?;
        let mut over = Vec::new();
        for id in ended {
            self.ledger.look_up(id.hash(), ctx.store)?;
            let had_ended = |ledger: &Ledger, revision, first| ledger.had_ended(id.hash(), revision, first, position);
            if let Some(upload) = self.take(&id) {
                match gone.contains(&id) || had_ended(&self.ledger, upload.revision, upload.first_offset) {
                    true => self.obey_ledger(upload, ctx),
                    false => self.keep(upload),
                }
            }
            // Its revision is not known before its header comes.
            over.extend(waiting.iter().filter(|(of, first)| *of == id && had_ended(&self.ledger, 0, *first)).cloned());
        }
        Ok(over.into_iter().map(|(id, _)| id).collect())
    }

    /// The rows of an upload wait for their header, and the source decides how long. It is not idle here.
    pub fn awaits_header(&mut self, id: &UploadId, now_ms: u64) {
        if let Some(upload) = self.open.get_mut(id) {
            upload.idle = Idle { since_ms: Some(now_ms), stalled: false };
        }
    }

    /// Looks at the clock: reports uploads for which nothing comes, and in the end gives them up. Nothing happens during a replay.
    pub fn tick(&mut self, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        if !ctx.phase.is_live() {
            return Ok(());
        }
        let timeout_ms = u64::try_from(self.settings.source.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let (mut over, mut stalled) = (Vec::new(), Vec::new());
        self.tick_overtaken(ctx)?;
        for upload in self.open.values_mut().filter(|upload| !upload.is_only_an_end()) {
            let since_ms = *upload.idle.since_ms.get_or_insert(ctx.now_ms);
            upload.begun_ms.get_or_insert(ctx.now_ms);
            let idle_ms = ctx.now_ms.saturating_sub(since_ms);
            if upload.known_end.is_some_and(|end| end <= ctx.position) || idle_ms >= timeout_ms {
                over.push((upload.first_offset, upload.id.clone()));
            } else if idle_ms >= timeout_ms / 10 && upload.open_state() == UploadState::Receiving {
                upload.idle = Idle { stalled: true, ..upload.idle };
                stalled.push((upload.first_offset, upload.id.clone()));
            }
        }
        stalled.sort();
        for upload in stalled.iter().filter_map(|(_, id)| self.open.get(id)) {
            self.report(upload, UploadState::Stalled, None, ctx.position, ctx)?;
        }
        over.sort();
        over.iter().try_for_each(|(_, id)| self.expire(id, ctx))?;
        self.watch_keys(true, ctx)
    }

    /// An upload that is open has been silent for too long, or the ledger knows that it had been.
    fn expire(&mut self, id: &UploadId, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Some(upload) = self.take(id) else { return Ok(()) };
        if upload.known_end.is_some_and(|end| end <= ctx.position) {
            self.obey_ledger(upload, ctx);
            return Ok(());
        }
        let seconds = self.settings.source.idle_timeout.as_secs();
        let rejection = upload.attempt.failed.clone().unwrap_or_else(|| match upload.attempt.held {
            true => Rejection::new(Message::ExpiredIncomplete { seconds }),
            false => Rejection::new(Message::Expired { seconds }),
        });
        self.end(upload, Outcome::Expired, ctx.position, Some(rejection), ctx)
    }

    /// The source waited for the header of its rows for the idle timeout: an upload that failed by that ends.
    pub fn headerless_expired(&mut self, id: &UploadId, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        if self.open.get(id).is_some_and(|upload| upload.attempt.failed.is_some()) {
            self.expire(id, ctx)?;
        }
        Ok(())
    }
}

/// Whether it is the same end of the same upload, read again: its workbook has the same bytes, for the log and the topology decide them.
/// The checksum of one that was flagged as incomplete is not remembered, so that its content alone does not decide.
fn is_same_end(before: &LedgerEntry, now: &LedgerEntry) -> bool {
    let records = |entry: &LedgerEntry| (entry.first_offset, entry.completion_offset);
    before.outcome == Outcome::Published
        && records(before) == records(now)
        && before.rows_sha256 == now.rows_sha256
        && (&before.header, &before.crs, &before.topology) == (&now.header, &now.crs, &now.topology)
}

/// Whether an upload is the same as one that was published before.
fn has_same_content(before: &LedgerEntry, now: &LedgerEntry) -> bool {
    before.outcome == Outcome::Published
        && before.rows_sha256.is_some()
        && before.rows_sha256 == now.rows_sha256
        && (&before.header, &before.crs, &before.topology) == (&now.header, &now.crs, &now.topology)
}

//! An end-of-file marker without a count that comes before the rows of its upload: producers reorder records over connections. It opens
//! the upload and waits until nothing of it has come for `eof_settle`. The timestamp of the next record decides that. On a silent partition
//! the clock decides; its decision is in the state before anything follows from it, so that a restart obeys it.

use super::upload::OpenUpload;
use super::{Aggregate, AggregateContext, ClosedUpload, Finished};
use crate::record::{Marker, MarkerRecord, Message, Offset, UploadId};
use crate::sink::output::OutputError;
use crate::source::Placement;
use crate::state::keys::{EndOfFile, OvertakingEnd, PendingEof};

impl Aggregate {
    /// Whether a marker may be the end of rows that are still to come here.
    pub(super) fn may_overtake(&self, record: &MarkerRecord) -> bool {
        matches!(record.marker, Marker::Eof { rows: None, .. })
            && self.settings.source.placement == Placement::Keyed
            && self.parts(record).is_empty()
    }

    /// The end of an upload opens it.
    pub(super) fn overtake(
        &mut self,
        record: MarkerRecord,
        revision: u32,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let Some(end) = EndOfFile::of(&record) else { return Ok(()) };
        let mut upload = self.begin_unannounced(&record.upload, revision, record.offset, ctx)?;
        if upload.attempt.failed.is_some() {
            return self.marker_of_open(upload, record, ctx);
        }
        upload.learn_trace(record.traceparent.as_ref());
        let until_ms = i64::MIN; // until it is noted
        let overtaking = OvertakingEnd { until_ms, is_reported: false, is_silent: false };
        upload.attempt.eof = Some(Box::new(PendingEof { end, overtaking: Some(overtaking) }));
        self.overtaken.insert(record.upload);
        self.keep(upload);
        Ok(())
    }

    /// Whether uploads wait whose end came first.
    pub fn has_overtaken(&self) -> bool {
        !self.overtaken.is_empty()
    }

    /// Whether an upload waits for rows no longer than a record of this time.
    pub fn settles_before(&self, timestamp_ms: i64) -> bool {
        let mut ends = self.overtaken.iter().filter_map(|id| self.open.get(id)?.overtaking());
        ends.any(|end| end.is_silent || end.until_ms < timestamp_ms)
    }

    /// Settles what waits no longer, for a record at `offset` of this time is about to be read.
    pub fn settle_before(
        &mut self,
        offset: Offset,
        timestamp_ms: i64,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let before = Offset(offset.0 - 1);
        for id in self.overtaken.clone() {
            let Some(upload) = self.open.get_mut(&id).filter(|upload| upload.is_overtaken()) else {
                self.overtaken.remove(&id);
                continue;
            };
            upload.mark_changed();
            let Some(end) = upload.overtaking_mut() else { continue };
            // What the clock said and nobody has committed was never said.
            end.is_silent &= !self.wants_commit;
            if end.is_silent || end.until_ms < timestamp_ms {
                self.settle(&id, before, ctx)?;
            }
        }
        self.wants_commit = false;
        Ok(())
    }

    /// A record at `offset` of this time was read: if it was of an upload that waits, another one may follow.
    pub fn note_time(&mut self, offset: Offset, timestamp_ms: i64) {
        let settle_ms = i64::try_from(self.settings.source.eof_settle.as_millis()).unwrap_or(i64::MAX);
        let open = &mut self.open;
        self.overtaken.retain(|id| {
            let Some(upload) = open.get_mut(id).filter(|upload| upload.is_overtaken()) else { return false };
            let is_news = upload.last_offset == offset;
            if let Some(end) = upload.overtaking_mut().filter(|_| is_news) {
                end.until_ms = end.until_ms.max(timestamp_ms.saturating_add(settle_ms));
                upload.mark_changed();
            }
            true
        });
    }

    /// Looks at the clock: the partition may be silent.
    pub(super) fn tick_overtaken(&mut self, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let timeout = self.settings.source.idle_timeout;
        for id in self.overtaken.clone() {
            let Some(upload) = self.open.get_mut(&id).filter(|upload| upload.is_overtaken()) else {
                self.overtaken.remove(&id);
                continue;
            };
            let since_ms = *upload.idle.since_ms.get_or_insert(ctx.now_ms);
            let idle_ms = u128::from(ctx.now_ms.saturating_sub(since_ms));
            let is_decided = upload.overtaking().is_some_and(|end| end.is_silent);
            if idle_ms < self.settings.source.eof_settle.as_millis() && !is_decided {
                continue;
            }
            let (has_rows, is_only_an_end) = (upload.accounting.distinct() > 0, upload.is_only_an_end());
            let Some(end) = upload.overtaking_mut() else { continue };
            match (has_rows, end.is_silent, end.is_reported) {
                (true, false, _) => {
                    (end.is_silent, self.wants_commit) = (true, true);
                    upload.mark_changed();
                }
                (true, true, _) if !self.wants_commit => {
                    self.settle(&id, Offset((ctx.position.0 - 1).max(0)), ctx)?;
                }
                // Rows may still come that were sent in time: the log decides.
                (false, _, false) => self.report_overtaking(&id, ctx)?,
                (false, _, true) if is_only_an_end && idle_ms >= timeout.as_millis() => self.forget_end(&id, ctx),
                (true, true, _) | (false, _, true) => {}
            }
        }
        Ok(())
    }

    /// Whether the clock decided something that has to be committed.
    pub fn wants_commit(&self) -> bool {
        self.wants_commit
    }

    /// Everything so far is committed.
    pub fn committed(&mut self) {
        self.wants_commit = false;
    }

    /// Nothing more is waited for: the upload is held against its end, as of the record at `at`.
    fn settle(&mut self, id: &UploadId, at: Offset, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        self.overtaken.remove(id);
        let Some(upload) = self.open.get(id) else { return Ok(()) };
        if upload.accounting.distinct() == 0 {
            let (is_reported, is_only_an_end) =
                (upload.overtaking().is_some_and(|end| end.is_reported), upload.is_only_an_end());
            if !is_reported {
                self.report_overtaking(id, ctx)?;
            }
            if is_only_an_end {
                self.forget_end(id, ctx);
            } else if let Some(upload) = self.open.get_mut(id) {
                upload.attempt.eof = None;
                upload.mark_changed();
            }
            return Ok(());
        }
        let Some(mut upload) = self.take(id) else { return Ok(()) };
        match upload.attempt.eof.take() {
            Some(pending) => self.end_of_file(upload, pending.end, at, ctx).map(|_ended| ()),
            None => {
                self.keep(upload);
                Ok(())
            }
        }
    }

    /// The end goes to the dead letters.
    fn report_overtaking(&mut self, id: &UploadId, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Some(upload) = self.open.get_mut(id) else { return Ok(()) };
        upload.mark_changed();
        match upload.attempt.eof.as_deref_mut() {
            Some(PendingEof { end, overtaking: Some(overtaking) }) => {
                overtaking.is_reported = true;
                end.refuse(id, Message::EofOfNothing {}, ctx)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An upload of which nothing but its end has come is none.
    fn forget_end(&mut self, id: &UploadId, ctx: &AggregateContext) {
        self.overtaken.remove(id);
        if let Some(mut upload) = self.take(id) {
            self.finished.push(Finished::of(&mut upload));
            self.closed.push(ClosedUpload::of(&upload, ctx.now_ms));
        }
    }
}

impl OpenUpload {
    pub(super) fn overtaking(&self) -> Option<&OvertakingEnd> {
        self.attempt.eof.as_ref()?.overtaking.as_ref()
    }

    fn overtaking_mut(&mut self) -> Option<&mut OvertakingEnd> {
        self.attempt.eof.as_mut()?.overtaking.as_mut()
    }

    /// Whether its end came first, and waits for its rows.
    pub(super) fn is_overtaken(&self) -> bool {
        self.overtaking().is_some()
    }

    /// Whether nothing but its end has come.
    pub(super) fn is_only_an_end(&self) -> bool {
        self.is_overtaken() && self.first_offset == self.last_offset
    }
}

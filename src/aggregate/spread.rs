//! Spread uploads in the aggregate: such an upload is open from its first record on, though its rows come at its end.

use super::lookup::Lookup;
use super::{Aggregate, AggregateContext, Finished};
use crate::record::{Cuts, LedgerEntry, Message, Offset, Outcome, Rejection, UploadId};
use crate::sink::output::OutputError;
use crate::sink::status::{StatusRecord, UploadState};
use crate::source::spread::Past;
use crate::state::{StateError, StateStore};

impl Aggregate {
    /// Something came of an upload at `offset`, and is held: it opens the upload, unless it may be nothing but late rows. `is_own` says
    /// that it is an upload of its own, whatever ended before; `is_doubtful` that its first rows may be gone.
    pub fn announce(
        &mut self,
        id: &UploadId,
        offset: Offset,
        (is_own, is_doubtful): (bool, bool),
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let mut upload = match self.find(id, offset, ctx)? {
            Lookup::Open(upload) => upload,
            Lookup::Past => return Ok(()),
            Lookup::Ended(_) if !is_own => return Ok(()),
            Lookup::New(revision) | Lookup::Ended(revision) => {
                if is_doubtful {
                    self.doubt_below(offset.next());
                }
                self.begin_unannounced(id, revision, offset, ctx)?
            }
        };
        upload.touch(ctx.now_ms, offset);
        self.keep(upload);
        Ok(())
    }

    /// The last end of an upload.
    pub fn past_of(&mut self, id: &UploadId, store: &dyn StateStore) -> Result<Past, StateError> {
        self.ledger.look_up(id.hash(), store)?;
        let last = self.ledger.last(id.hash());
        let of_today = last.filter(|last| !last.is_of_former_log());
        // The checksum of an upload is remembered if all of its rows were known to be there.
        let is_guess =
            |last: &LedgerEntry| last.cuts.as_ref().is_some_and(Cuts::are_guessed) && last.rows_sha256.is_none();
        Ok(Past {
            cuts: last.and_then(|last| last.cuts.clone()),
            is_turned_away: of_today.is_some_and(LedgerEntry::is_turned_away),
            is_border_guessed: of_today.is_some_and(is_guess),
        })
    }

    /// Only timestamps that may be wrong show which rows belong to an open upload: it needs a count.
    pub fn doubt_border(&mut self, id: &UploadId) {
        if let Some(upload) = self.open.get_mut(id).filter(|upload| !upload.lacks_first_rows()) {
            upload.attempt.doubt = Some(Box::new(Message::BorderGuessed {}));
            upload.mark_changed();
        }
    }

    /// Sets where an open upload ends in each source partition. Its end remembers these places.
    pub fn set_cuts(&mut self, id: &UploadId, cuts: Cuts) {
        if let Some(upload) = self.open.get_mut(id) {
            upload.cuts = Some(cuts);
        }
    }

    /// Whether an upload is open.
    pub fn is_open(&self, id: &UploadId) -> bool {
        self.open.contains_key(id)
    }

    /// Reports why an open upload is not complete yet.
    pub fn report_incomplete(
        &mut self,
        id: &UploadId,
        why: &Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        match self.open.get(id) {
            Some(upload) => self.report(upload, UploadState::Incomplete, Some(why), offset, ctx),
            None => Ok(()),
        }
    }

    /// All records of an open upload were in a topic that was made anew. What comes under its id without a beginning may be its rest.
    pub fn lose_topic(&mut self, id: &UploadId, offset: Offset, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Some(mut upload) = self.take(id) else { return Ok(()) };
        upload.accounting.void_workbook();
        let entry = upload.ledger(Outcome::Expired, offset, &self.settings.topology_hash);
        let why = Rejection::new(Message::OpenWhenRecreated {});
        let ended = self.ended(&upload, &entry, None, Some(&why));
        ctx.status(StatusRecord { state: UploadState::Failed, ..ended }, offset)?;
        let finished = Finished::of(&mut upload);
        self.close(&upload, finished, entry, ctx.now_ms);
        Ok(())
    }

    /// Gives up an upload for which nothing came for the idle timeout, and says why it was not complete.
    pub fn give_up(&mut self, id: &UploadId, why: Rejection, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        match self.take(id) {
            Some(upload) => {
                let why = upload.attempt.failed.clone().unwrap_or(why);
                self.end(upload, Outcome::Expired, ctx.position, Some(why), ctx)
            }
            None => Ok(()),
        }
    }
}

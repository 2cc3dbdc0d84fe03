//! What markers do to uploads (contract 6 to 8).

use super::completion::EndOfFile;
use super::upload::OpenUpload;
use super::{Aggregate, AggregateContext, AggregateEvent, Found, Phase};
use crate::record::{Marker, MarkerRecord, Message, Rejection};
use crate::state::StateError;
use crate::state::keys::{LedgerState, Outcome};

impl Aggregate {
    /// Takes a marker.
    pub fn on_marker(&mut self, record: MarkerRecord, ctx: &mut AggregateContext) -> Result<(), StateError> {
        if ctx.phase == Phase::Refill {
            return Ok(()); // the state has what it did
        }
        if matches!(record.marker, Marker::Eof { .. }) {
            self.key_per_row.ended();
        }
        match self.find(&record.upload, record.offset, ctx) {
            Found::Open(upload) => self.marker_of_open(upload, record, ctx),
            Found::New(revision) | Found::Ended(revision) => self.marker_of_closed(record, revision, ctx),
            Found::Past => Ok(()),
        }
    }

    fn marker_of_open(
        &mut self,
        mut upload: Box<OpenUpload>,
        record: MarkerRecord,
        ctx: &mut AggregateContext,
    ) -> Result<(), StateError> {
        let offset = record.offset;
        upload.touch(ctx.now_ms);
        let is_foreign = upload.is_foreign(&record);
        match &record.marker {
            Marker::Begin(_) => upload.begin_attempt(&record),
            Marker::Header(names) if !is_foreign && upload.header.is_none() => upload.header = Some(names.clone()),
            Marker::Eof { .. } if is_foreign => {
                stray_eof(record, Message::EofOfOtherAttempt {}, ctx);
            }
            Marker::Header(_) => {}
            Marker::Abort if is_foreign => {}
            Marker::Eof { .. } | Marker::Abort if upload.failed.is_some() => {
                let rejection = upload.failed.clone();
                self.end(upload, Outcome::Failed, offset, rejection, ctx);
                return Ok(());
            }
            Marker::Abort => {
                let rejection = Rejection::new(Message::Aborted {});
                self.end(upload, Outcome::Aborted, offset, Some(rejection), ctx);
                return Ok(());
            }
            Marker::Eof { rows, sha256, partitions } => {
                let one_partition = *partitions == Some(1);
                let eof = EndOfFile { offset, rows: *rows, sha256: *sha256, one_partition };
                return self.end_of_file(upload, eof, offset, ctx).map(|_ended| ());
            }
        }
        self.keep(upload);
        Ok(())
    }

    /// A marker for an id that is not open.
    fn marker_of_closed(
        &mut self,
        record: MarkerRecord,
        revision: u32,
        ctx: &mut AggregateContext,
    ) -> Result<(), StateError> {
        let offset = record.offset;
        match &record.marker {
            Marker::Begin(_) => {
                let mut upload = self.begin(&record.upload, revision, offset, ctx);
                upload.begin_attempt(&record);
                self.keep(upload);
            }
            Marker::Header(names) => {
                let mut upload = self.begin_unannounced(&record.upload, revision, offset, ctx);
                upload.header = Some(names.clone());
                upload.attempt.clone_from(&record.attempt);
                self.keep(upload);
            }
            Marker::Eof { rows: Some(0), sha256, partitions } => {
                let one_partition = *partitions == Some(1);
                let eof = EndOfFile { offset, rows: Some(0), sha256: *sha256, one_partition };
                let upload = self.begin(&record.upload, revision, offset, ctx);
                self.end_of_file(upload, eof, offset, ctx)?;
            }
            Marker::Eof { rows, sha256, .. } => match self.ledger.before(record.upload.hash(), offset) {
                Some(before) if ends_again(before, *rows, *sha256) => {
                    let upload = record.upload.clone();
                    ctx.tell(offset, AggregateEvent::DuplicateEof { upload, offset });
                }
                Some(LedgerState { outcome: Outcome::Expired, .. }) => {
                    stray_eof(record, Message::EofAfterExpiry {}, ctx);
                }
                Some(_) | None => {
                    stray_eof(record, Message::EofOfNothing {}, ctx);
                }
            },
            Marker::Abort => {}
        }
        Ok(())
    }
}

/// Whether an end-of-file marker says of an upload that has ended what was said before.
fn ends_again(before: &LedgerState, rows: Option<u64>, sha256: Option<[u8; 32]>) -> bool {
    match before.outcome {
        Outcome::Published => {
            rows.is_none_or(|rows| rows == before.accounting.distinct())
                && (sha256.is_none() || before.rows_sha256.is_none() || sha256 == before.rows_sha256)
        }
        Outcome::Failed | Outcome::Aborted => true,
        Outcome::Expired => false,
    }
}

fn stray_eof(record: MarkerRecord, message: Message, ctx: &mut AggregateContext) {
    let MarkerRecord { upload, offset, key, value, .. } = record;
    let raw = value.map(|value| value.to_vec()).unwrap_or_default();
    let rejection = Rejection::new(message);
    ctx.tell(offset, AggregateEvent::DeadLetter { upload, offset, row: None, key, raw, rejection });
}

impl OpenUpload {
    /// An attempt begins. The rows of another one are void; the same one may be announced again.
    fn begin_attempt(&mut self, record: &MarkerRecord) {
        let Marker::Begin(announced) = &record.marker else { return };
        let is_same = self.attempt.is_some() && self.attempt == record.attempt;
        let is_first = self.attempt.is_none() && self.accounting.rows_in == 0 && self.failed.is_none();
        if is_same {
            self.announced.complete(announced);
        } else if is_first {
            self.attempt.clone_from(&record.attempt);
            self.announced.clone_from(announced);
        } else {
            self.restart(record, announced.clone());
        }
        self.changed = true;
    }
}

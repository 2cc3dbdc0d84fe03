//! The effects of markers on uploads (contract 6 to 8).

use bytes::Bytes;
use tracing::info;

use super::upload::OpenUpload;
use super::{Aggregate, AggregateContext, Lookup};
use crate::record::{
    Announcement, LedgerEntry, Marker, MarkerRecord, Message, Outcome, Parts, Reason, Rejection, SourcePlace, UploadId,
};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::output::OutputError;
use crate::state::keys::{EndOfFile, PendingEof};

impl Aggregate {
    /// Takes a marker.
    pub fn on_marker(&mut self, record: MarkerRecord, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        if ctx.phase.is_restoring() {
            return Ok(()); // the state has what it did
        }
        if matches!(record.marker, Marker::Eof { .. }) {
            self.settings.siblings.key_per_row().ended();
        }
        let (id, read_at) = (record.upload.clone(), record.read_at);
        self.take_marker(record, ctx)?;
        if let Some(upload) = self.open.get_mut(&id) {
            upload.reach(read_at);
        }
        Ok(())
    }

    fn take_marker(&mut self, record: MarkerRecord, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        match self.find(&record.upload, record.offset, ctx)? {
            Lookup::Open(upload) => self.marker_of_open(upload, record, ctx),
            Lookup::New(revision) if self.announces_rows(&record) => {
                let upload = self.begin_unannounced(&record.upload, revision, record.offset, ctx)?;
                self.marker_of_open(upload, record, ctx)
            }
            Lookup::New(revision) if self.may_overtake(&record) => self.overtake(record, revision, ctx),
            Lookup::New(revision) | Lookup::Ended(revision) => self.marker_of_closed(record, revision, ctx),
            Lookup::Past => Ok(()),
        }
    }

    /// Whether a marker is the end of rows that are still to come here: producers reorder records over connections.
    fn announces_rows(&self, record: &MarkerRecord) -> bool {
        matches!(record.marker, Marker::Eof { rows: Some(1..), .. }) && self.parts(record).is_empty()
    }

    /// Where the upload of a marker is open besides this partition.
    pub(super) fn parts(&self, record: &MarkerRecord) -> Parts {
        self.settings.siblings.elsewhere(&record.upload, self.settings.task.partition)
    }

    pub(super) fn marker_of_open(
        &mut self,
        mut upload: Box<OpenUpload>,
        record: MarkerRecord,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let offset = record.offset;
        upload.touch(ctx.now_ms, offset);
        let is_foreign = upload.is_foreign(&record);
        if !is_foreign && !matches!(record.marker, Marker::Begin(_)) {
            upload.learn_trace(record.traceparent.as_ref());
        }
        match &record.marker {
            Marker::Begin(_) => upload.begin_attempt(&record, ctx)?,
            Marker::Header(names) if !is_foreign && upload.attempt.header.is_none() => {
                upload.attempt.header = Some(names.clone());
                upload.attempt.id = upload.attempt.id.take().or_else(|| record.attempt.clone());
            }
            Marker::Eof { rows: None, .. } if upload.is_overtaken() && upload.accounting.distinct() == 0 => {
                stray_eof(record, Message::EofOfNothing {}, ctx)?;
            }
            Marker::Eof { .. } if is_foreign => {
                stray_eof(record, Message::EofOfOtherAttempt {}, ctx)?;
            }
            Marker::Header(_) => {}
            Marker::Abort if is_foreign => {}
            Marker::Eof { .. } | Marker::Abort if upload.attempt.failed.is_some() => {
                let rejection = upload.attempt.failed.clone();
                return self.end(upload, Outcome::Failed, offset, rejection, ctx);
            }
            Marker::Abort => {
                let rejection = Rejection::new(Message::Aborted {});
                return self.end(upload, Outcome::Aborted, offset, Some(rejection), ctx);
            }
            Marker::Eof { .. } => {
                if let Some(eof) = EndOfFile::of(&record) {
                    return self.end_of_file(upload, eof, offset, ctx).map(|_ended| ());
                }
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
    ) -> Result<(), OutputError> {
        let offset = record.offset;
        let before = self.ledger.before(record.upload.hash(), offset);
        if let (Some(before), Marker::Eof { .. } | Marker::Abort) = (before, &record.marker)
            && before.is_turned_away()
        {
            return self.turned_away_ends(before.clone(), offset, ctx);
        }
        match &record.marker {
            Marker::Header(_) if self.is_without_room(&record.upload, offset) => {}
            Marker::Begin(_) => {
                let mut upload = self.begin(&record.upload, revision, offset, ctx);
                upload.begin_attempt(&record, ctx)?;
                self.keep(upload);
            }
            Marker::Header(names) => {
                let mut upload = self.begin_unannounced(&record.upload, revision, offset, ctx)?;
                upload.attempt.header = Some(names.clone());
                upload.attempt.id.clone_from(&record.attempt);
                upload.learn_trace(record.traceparent.as_ref());
                self.keep(upload);
            }
            Marker::Eof { rows: Some(0), .. } => {
                let upload = self.begin_unannounced(&record.upload, revision, offset, ctx)?;
                self.marker_of_open(upload, record, ctx)?;
            }
            Marker::Eof { rows, sha256, .. } => match self.ledger.before(record.upload.hash(), offset) {
                Some(before) if ends_again(before, *rows, *sha256) => {
                    if ctx.emits() {
                        let (task, upload) = (&self.settings.task, &record.upload);
                        info!(%task, %upload, %offset, "another end-of-file marker; the upload is complete");
                    }
                }
                Some(LedgerEntry { outcome: Outcome::Expired, .. }) => {
                    stray_eof(record, Message::EofAfterExpiry {}, ctx)?;
                }
                Some(_) | None => {
                    let parts = self.parts(&record);
                    let is_known = !parts.is_empty();
                    let message = if is_known { Message::EofElsewhere { parts } } else { Message::EofOfNothing {} };
                    stray_eof(record, message, ctx)?;
                }
            },
            Marker::Abort => {}
        }
        Ok(())
    }
}

/// Whether an end-of-file marker says of an upload that has ended what was said before.
fn ends_again(before: &LedgerEntry, rows: Option<u64>, sha256: Option<[u8; 32]>) -> bool {
    match before.outcome {
        Outcome::Published => {
            rows.is_none_or(|rows| rows == before.accounting.distinct())
                && (sha256.is_none() || before.rows_sha256.is_none() || sha256 == before.rows_sha256)
        }
        Outcome::Failed | Outcome::Aborted | Outcome::TurnedAway | Outcome::NoRoom => true,
        Outcome::Expired => false,
    }
}

fn stray_eof(record: MarkerRecord, message: Message, ctx: &mut AggregateContext) -> Result<(), OutputError> {
    ctx.dead_letter(&DeadLetter {
        offset: record.offset,
        key: record.key.as_ref(),
        value: record.value.as_deref(),
        upload: Some(&record.upload),
        row: None,
        line: None,
        passed_from: record.passed_from.as_ref(),
        rejection: &Rejection::new(message),
    })
}

impl EndOfFile {
    /// What an end-of-file marker says; `None` for another marker.
    pub(super) fn of(record: &MarkerRecord) -> Option<EndOfFile> {
        let Marker::Eof { rows, sha256, partitions } = record.marker else { return None };
        let bytes = |bytes: &Option<Bytes>| bytes.as_deref().map(<[u8]>::to_vec);
        let passed_from = record.passed_from.as_ref();
        Some(EndOfFile {
            offset: record.offset,
            rows,
            sha256,
            one_partition: partitions == Some(1),
            attempt: record.attempt.as_deref().map(str::to_owned),
            key: bytes(&record.key),
            value: bytes(&record.value),
            passed_from: passed_from.map(|place| (place.topic.to_string(), place.partition, place.offset)),
        })
    }

    /// The marker goes to the dead letters.
    pub(super) fn refuse(
        &self,
        upload: &UploadId,
        message: Message,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let passed_from = self.passed_from.clone();
        let passed_from =
            passed_from.map(|(topic, partition, offset)| SourcePlace { topic: topic.into(), partition, offset });
        ctx.dead_letter(&DeadLetter {
            offset: self.offset,
            key: self.key.clone().map(Bytes::from).as_ref(),
            value: self.value.as_deref(),
            upload: Some(upload),
            row: None,
            line: None,
            passed_from: passed_from.as_ref(),
            rejection: &Rejection::new(message),
        })
    }
}

impl OpenUpload {
    /// An attempt begins. The rows of another one are void; the same one may be announced again. An end that waits is one of another attempt
    /// too, unless both carry the same `ss-attempt`: it may be all that is left of a publication whose rows are gone, and would make a part
    /// of this one the whole.
    fn begin_attempt(&mut self, record: &MarkerRecord, ctx: &mut AggregateContext) -> Result<(), OutputError> {
        let Marker::Begin(announced) = &record.marker else { return Ok(()) };
        let is_same = |id: Option<&str>| id.is_some() && id == record.attempt.as_deref();
        // A header before the begin is not one of this attempt.
        let is_blank = self.accounting.rows_in == 0 && self.attempt.failed.is_none() && self.attempt.header.is_none();
        let is_first = self.attempt.id.is_none() && is_blank;
        match self.attempt.eof.as_deref() {
            _ if is_same(self.attempt.id.as_deref()) => self.attempt.announced.complete(announced),
            None if is_first => self.announce(record, announced.clone()),
            Some(PendingEof { end, .. }) if is_first && is_same(end.attempt.as_deref()) => {
                let rows = end.rows.or(announced.rows);
                self.announce(record, Announcement { rows, ..announced.clone() });
            }
            eof => {
                let is_news = |eof: &&PendingEof| eof.overtaking.as_ref().is_none_or(|end| !end.is_reported);
                if let Some(eof) = eof.filter(|_| self.accounting.distinct() == 0).filter(is_news) {
                    eof.end.refuse(&self.id, Message::EofBeforeBegin {}, ctx)?;
                }
                self.restart(record.offset, record.attempt.clone(), announced.clone());
            }
        }
        self.learn_trace(record.traceparent.as_ref());
        self.mark_changed();
        Ok(())
    }

    /// Takes up what the first begin of an attempt says, of which no row has come yet.
    fn announce(&mut self, record: &MarkerRecord, announced: Announcement) {
        self.attempt.id.clone_from(&record.attempt);
        self.attempt.announced = announced;
        // It begins, and is no rest.
        self.attempt.doubt.take_if(|doubt| doubt.reason() == Reason::UploadRemainder);
    }
}

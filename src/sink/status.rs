//! The status of an upload, as JSON (contract 12); the final ones are the ledger (contract 13).

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::{Accounting, Cuts, Header, Lang, LedgerEntry, LogId, Message, Offset, Outcome, Reason, Rejection};
use crate::sink::dead_letter::clip_text;
use crate::sink::digest::Digest;
use crate::transport::OutRecord;

/// Bytes of a message, which may quote a value.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a message where there is little room.
const SHORT_BYTES: usize = 200;

/// The state of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UploadState {
    /// Rows come in; best effort, at most one a second for a task.
    Receiving,
    /// Count or checksum cannot be met, and the upload is held.
    Incomplete,
    /// Nothing came for a tenth of the idle timeout.
    Stalled,
    /// Its workbook is in the topic.
    Published,
    /// It failed.
    Failed,
    /// Its publisher gave it up.
    Aborted,
    /// Nothing came for the whole idle timeout.
    Expired,
}

impl UploadState {
    /// How an upload ended; `None` while it is open.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            UploadState::Receiving | UploadState::Incomplete | UploadState::Stalled => None,
            UploadState::Published => Some(Outcome::Published),
            UploadState::Failed => Some(Outcome::Failed),
            UploadState::Aborted => Some(Outcome::Aborted),
            UploadState::Expired => Some(Outcome::Expired),
        }
    }
}

impl From<Outcome> for UploadState {
    fn from(outcome: Outcome) -> UploadState {
        match outcome {
            Outcome::Published => UploadState::Published,
            Outcome::Failed | Outcome::TurnedAway | Outcome::NoRoom => UploadState::Failed,
            Outcome::Aborted => UploadState::Aborted,
            Outcome::Expired => UploadState::Expired,
        }
    }
}

/// A value of the status topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// State of the upload.
    pub state: UploadState,
    /// Its id as published.
    pub upload: String,
    /// Its revision, from 1.
    pub revision: u32,
    /// The file's name, if the publisher said it (`ss-name`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Rows that it is to have, as far as its begin or end said (`ss-rows`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_announced: Option<u64>,
    /// CRS of its coordinates, where that is its own and not the topology's (`ss-crs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// W3C `traceparent` of its rows, if they carry one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Name of the topology.
    pub topology: String,
    /// Hash of the topology.
    pub topology_hash: String,
    /// Partition of the source topic, and of the status topic.
    pub partition: i32,
    /// Its offsets in that partition.
    pub offsets: StatusOffsets,
    /// Id of the source topic: offsets of another log under the same name mean nothing (KIP-516).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Its rows.
    pub accounting: Accounting,
    /// First 16 hex digits of SHA-256 over its column names, each followed by LF, and over its extras, once the header is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// SHA-256 of its rows, once they are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_sha256: Option<Digest>,
    /// Where the upload ends in each source partition, if its rows could lie in several of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuts: Option<Cuts>,
    /// Its workbook, once that is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workbook: Option<StatusWorkbook>,
    /// Why it is held or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<StatusFailure>,
}

/// Offsets of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusOffsets {
    /// Of its first record.
    pub first: Offset,
    /// Of the record that completed it (an idle timeout: the task's position then).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Offset>,
    /// Leader epoch of the last record that was read: it shows whether the offsets are of records that were cut off since (KIP-320).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
}

/// Where a workbook is, and how to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusWorkbook {
    /// Its topic.
    pub topic: String,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Records that it takes.
    pub chunks: u32,
    /// A name for the file.
    pub filename: String,
}

/// Why an upload is held or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFailure {
    /// The code; text, so that codes of a later release read too.
    pub reason: String,
    /// One sentence that says what to do, in English.
    pub message: String,
    /// The message as data, for readers in other languages; one of a later release reads too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl StatusFailure {
    /// The message in one language; one that this release does not have stays in English.
    pub fn say(&self, lang: Lang) -> String {
        self.known().map_or_else(|| self.message.clone(), |message| message.say(lang))
    }

    /// The message, if this release has it.
    pub fn known(&self) -> Option<Message> {
        Message::from_json(&self.details.as_ref()?.to_string())
    }

    /// The same failure with its message in that language.
    pub fn translate(self, lang: Lang) -> StatusFailure {
        StatusFailure { message: self.say(lang), ..self }
    }
}

impl From<&Rejection> for StatusFailure {
    fn from(rejection: &Rejection) -> StatusFailure {
        let message = clip_text(&rejection.message.to_string(), MESSAGE_BYTES_MAX).to_owned();
        let details = serde_json::to_value(&*rejection.message).expect("plain data always encodes");
        let details = Some(details).filter(|details| details.to_string().len() <= MESSAGE_BYTES_MAX);
        StatusFailure { reason: rejection.reason.code().to_owned(), message, details }
    }
}

impl StatusRecord {
    /// The record for the status topic: in the partition of the task, under the upload's id, so that compaction keeps the last one.
    pub fn to_record(&self, topic: &Arc<str>) -> OutRecord {
        OutRecord {
            topic: Arc::clone(topic),
            partition: Some(self.partition),
            key: Some(Bytes::copy_from_slice(self.upload.as_bytes())),
            value: serde_json::to_vec(self).expect("plain data always encodes").into(),
            headers: Arc::new([Header::new("content-type", "application/json")]),
        }
    }

    /// The record with less of what may be long, until its batch has at most `bytes_max`: first the message as data, then most of its text,
    /// then what the publisher said of the upload. `None` when even that has more.
    pub fn to_record_within(&self, topic: &Arc<str>, bytes_max: usize) -> Option<OutRecord> {
        let fits = |status: &StatusRecord| Some(status.to_record(topic)).filter(|r| r.batch_bytes_max() <= bytes_max);
        let failure = |message_max: usize| {
            let clip = |failure: &StatusFailure| StatusFailure {
                message: clip_text(&failure.message, message_max).to_owned(),
                details: None,
                reason: failure.reason.clone(),
            };
            self.failure.as_ref().map(clip)
        };
        let without_details = || StatusRecord { failure: failure(MESSAGE_BYTES_MAX), ..self.clone() };
        let short = || StatusRecord { failure: failure(SHORT_BYTES), ..self.clone() };
        let bare = || StatusRecord { name: None, crs: None, traceparent: None, failure: failure(0), ..self.clone() };
        fits(self).or_else(|| fits(&without_details())).or_else(|| fits(&short())).or_else(|| fits(&bare()))
    }

    /// Reads a value of the status topic; `None` for anything that is not ours. Fields that are not known are passed over.
    pub fn parse(value: &[u8]) -> Option<StatusRecord> {
        serde_json::from_slice(value).ok()
    }

    /// The final status of an open upload that fails and of which nothing more is read.
    pub fn failed(self, rejection: &Rejection) -> StatusRecord {
        let mut accounting = self.accounting;
        accounting.void_workbook();
        let offsets = StatusOffsets { completion: Some(self.offsets.first), ..self.offsets };
        let failure = Some(StatusFailure::from(rejection));
        StatusRecord { state: UploadState::Failed, offsets, accounting, failure, ..self }
    }

    /// Its entry in the ledger of a task that reads `log`. An end in another log counts revisions only.
    pub fn ledger_in(&self, log: Option<LogId>) -> Option<LedgerEntry> {
        let of = self.topic_id.as_deref().and_then(LogId::parse);
        let is_former = matches!((of, log), (Some(of), Some(log)) if of != log);
        let entry = self.ledger()?;
        Some(if is_former { entry.into_former_log() } else { entry })
    }

    /// Its entry in the ledger; `None` while the upload is open.
    pub fn ledger(&self) -> Option<LedgerEntry> {
        Some(LedgerEntry {
            id: self.upload.clone(),
            outcome: match &self.failure {
                Some(failure) if failure.reason == Reason::UploadTooMany.code() => Outcome::TurnedAway,
                Some(failure) if failure.reason == Reason::UploadNoRoom.code() => Outcome::NoRoom,
                // Its own end has not come.
                Some(failure) if failure.reason == Reason::TopicRecreated.code() => Outcome::Expired,
                _ => self.state.outcome()?,
            },
            revision: self.revision,
            is_rest: self.failure.as_ref().is_some_and(|failure| failure.reason == Reason::LogGap.code()),
            taken: 0,
            first_offset: self.offsets.first,
            completion_offset: self.offsets.completion?,
            rows_sha256: self.rows_sha256.map(|digest| digest.0),
            topology: self.topology_hash.clone(),
            header: self.header.clone(),
            crs: self.crs.clone(),
            cuts: self.cuts.clone(),
            accounting: self.accounting,
            leader_epoch: self.offsets.leader_epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> StatusRecord {
        StatusRecord {
            state: UploadState::Published,
            upload: "서울.csv".into(),
            revision: 2,
            name: Some("서울.csv".into()),
            rows_announced: Some(20_000),
            crs: None,
            traceparent: None,
            topology: "seoul-markets".into(),
            topology_hash: "0123456789abcdef".into(),
            partition: 5,
            offsets: StatusOffsets { first: Offset(10), completion: Some(Offset(20_011)), leader_epoch: Some(3) },
            topic_id: None,
            accounting: Accounting { rows_in: 20_000, written: 19_990, rejected: 10, ..Accounting::default() },
            header: Some("fedcba9876543210".into()),
            rows_sha256: Some(Digest([7; 32])),
            cuts: None,
            workbook: Some(StatusWorkbook {
                topic: "seoul-markets.workbooks".into(),
                bytes: 1_500_000,
                sha256: Digest([255; 32]),
                chunks: 2,
                filename: "서울.xlsx".into(),
            }),
            failure: None,
        }
    }

    #[test]
    fn a_terminal_status_is_a_ledger_entry() {
        let record = published().to_record(&"status".into());
        assert_eq!(record.partition, Some(5));
        assert_eq!(record.key.as_deref(), Some("서울.csv".as_bytes()));
        let read = StatusRecord::parse(&record.value).expect("our own record");
        assert_eq!(read, published());
        let ledger = read.ledger().expect("terminal");
        assert_eq!(ledger.outcome, Outcome::Published);
        assert_eq!((ledger.id.as_str(), ledger.revision), ("서울.csv", 2));
        assert_eq!((ledger.first_offset, ledger.completion_offset), (Offset(10), Offset(20_011)));
        assert_eq!(ledger.rows_sha256, Some([7; 32]));
        assert_eq!(ledger.topology, "0123456789abcdef");
        assert_eq!(ledger.accounting.written, 19_990);
    }

    #[test]
    fn the_json_is_what_the_contract_shows() {
        let json: serde_json::Value = serde_json::from_slice(&published().to_record(&"s".into()).value).expect("JSON");
        assert_eq!(json["state"], "PUBLISHED");
        assert_eq!(json["offsets"]["completion"], 20_011);
        assert_eq!(json["accounting"]["rejected"], 10);
        assert_eq!(json["workbook"]["sha256"], "ff".repeat(32));
        assert_eq!(json["rows_sha256"], "07".repeat(32));
        assert!(json.get("failure").is_none());
    }

    #[test]
    fn open_uploads_are_no_ledger_entries() {
        for state in [UploadState::Receiving, UploadState::Incomplete, UploadState::Stalled] {
            assert_eq!(StatusRecord { state, ..published() }.ledger(), None);
        }
        let offsets = StatusOffsets { first: Offset(1), completion: None, leader_epoch: None };
        assert_eq!(StatusRecord { offsets, ..published() }.ledger(), None);
    }

    #[test]
    fn a_failure_names_its_reason() {
        let rejection = Rejection::new(Message::WorkbookFailed { why: "값".repeat(10_000) });
        let status = StatusRecord { state: UploadState::Failed, failure: Some((&rejection).into()), ..published() };
        let value = status.to_record(&"s".into()).value;
        assert!(value.len() < 8 << 10);
        let json: serde_json::Value = serde_json::from_slice(&value).expect("JSON");
        assert_eq!(json["failure"]["reason"], "workbook.failed");
        assert_eq!(StatusRecord::parse(&value), Some(status));
    }

    #[test]
    fn a_status_is_shortened_to_what_its_topic_takes() {
        let rejection = Rejection::new(Message::WorkbookFailed { why: "값".repeat(10_000) });
        let name = Some("n".repeat(1_000));
        let status = StatusRecord { name, failure: Some((&rejection).into()), workbook: None, ..published() };
        let within = |bytes_max| status.to_record_within(&"s".into(), bytes_max);
        for bytes_max in [10_000, 5_800, 2_200, 1_000] {
            let record = within(bytes_max).expect("it is shortened");
            assert!(record.batch_bytes_max() <= bytes_max, "{bytes_max}");
            let read = StatusRecord::parse(&record.value).expect("our own record");
            assert_eq!(read.failure.map(|failure| failure.reason).as_deref(), Some("workbook.failed"));
            assert_eq!(
                (read.state, read.accounting, read.rows_sha256),
                (status.state, status.accounting, status.rows_sha256)
            );
        }
        assert!(within(300).is_none());
    }

    #[test]
    fn a_failure_is_said_in_the_language_of_its_reader() {
        let rejection = Rejection::new(Message::TooManyRows { have: 5, want: 3 });
        let mut status = StatusRecord { failure: Some((&rejection).into()), ..published() };
        let read = |status: &StatusRecord| StatusRecord::parse(&status.to_record(&"s".into()).value).expect("ours");
        let failure = read(&status).failure.expect("a failure");
        assert_eq!(failure.say(Lang::En), failure.message);
        assert_eq!(
            failure.say(Lang::Ko),
            "끝 표식은 3행이라고 알렸는데 5행이 왔습니다. #BEGIN부터 전체를 다시 올리세요"
        );
        let later = serde_json::json!({ "of_a_later_release": { "rows": 5 } });
        status.failure = Some(StatusFailure { details: Some(later), ..failure.clone() });
        assert_eq!(read(&status).failure.expect("a failure").say(Lang::Ko), failure.message);
    }

    #[test]
    fn foreign_values_are_passed_over_and_unknown_fields_ignored() {
        for foreign in
            [&b""[..], b"null", b"{}", b"[1]", b"\xff", br#"{"state":"PUBLISHED"}"#, br#"{"state":"SOMETHING"}"#]
        {
            assert_eq!(StatusRecord::parse(foreign), None);
        }
        let mut json: serde_json::Value =
            serde_json::from_slice(&published().to_record(&"s".into()).value).expect("JSON");
        json["from_a_later_release"] = true.into();
        assert_eq!(StatusRecord::parse(json.to_string().as_bytes()), Some(published()));
    }
}

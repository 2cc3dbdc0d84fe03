//! What an aggregate is told about the moment, and what it tells.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Announcement, Offset, Rejection, UploadId};
use crate::sink::CompleteUpload;
use crate::state::StateStore;
use crate::state::keys::{Accounting, LedgerState};

/// The moment of a call.
pub struct AggregateContext<'a> {
    /// Where pages go.
    pub store: &'a mut dyn StateStore,
    /// What reading these records is for.
    pub phase: Phase,
    /// Monotonic clock in milliseconds.
    pub now_ms: u64,
    /// Offset of the first record of the read that the call belongs to; of a tick, the next record to be processed. One read lies on one
    /// side of [`Phase::Live::silent_below`].
    pub position: Offset,
    /// What happened, in order.
    pub out: &'a mut Vec<AggregateEvent>,
}

/// What records are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To fill the open pages of restored uploads again; nothing else happens.
    Refill,
    /// To be processed.
    Live {
        /// The committed offset. Outputs of what happened below it were published before, and are not told again (contract 16).
        silent_below: Offset,
    },
}

/// What happened.
#[derive(Debug)]
pub enum AggregateEvent {
    /// A workbook is to be made and published, then the ledger entry.
    Completed {
        /// All that the workbook follows from.
        upload: Box<CompleteUpload>,
        /// What its publisher said of it.
        announced: Announcement,
        /// For the status topic.
        ledger: Box<LedgerState>,
    },
    /// The content was published before, under the revision of the entry: no workbook, only the entry is to be published.
    Republished {
        /// The upload.
        upload: UploadId,
        /// What its publisher said of it.
        announced: Announcement,
        /// For the status topic.
        ledger: Box<LedgerState>,
    },
    /// The upload stands otherwise than before.
    Status(Box<UploadStatus>),
    /// A row or a marker goes to the dead letters.
    DeadLetter {
        /// Upload it belongs to.
        upload: UploadId,
        /// Offset of its record.
        offset: Offset,
        /// 1-based number of the row; `None` for a marker.
        row: Option<u64>,
        /// Key of its record.
        key: Option<Bytes>,
        /// The row without line end, or the value of the marker.
        raw: Vec<u8>,
        /// Why.
        rejection: Rejection,
    },
    /// Another end-of-file marker for an upload that is complete; to be counted.
    DuplicateEof {
        /// The upload.
        upload: UploadId,
        /// Where it stands.
        offset: Offset,
    },
    /// Something odd that loses nothing, with what to do about it; for the log.
    Warning(Rejection),
    /// The upload is no longer open: what the source remembers of it is to be forgotten. Told of silent ends too.
    Closed {
        /// The upload.
        upload: UploadId,
        /// For how long this process saw it open.
        open_ms: u64,
    },
}

/// The open uploads of a task, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Rows come, or may.
    pub receiving: u64,
    /// Their end-of-file marker came, and is not met.
    pub incomplete: u64,
    /// Nothing has come for a tenth of the idle timeout.
    pub stalled: u64,
    /// They have failed, and their end has not come yet.
    pub failed: u64,
    /// Rows that wait for a lower index.
    pub rows_waiting: u64,
    /// When this process first saw the oldest of them, in monotonic milliseconds.
    pub oldest_ms: Option<u64>,
}

/// How an upload stands.
#[derive(Clone, Debug)]
pub struct UploadStatus {
    /// The upload.
    pub upload: UploadId,
    /// In a word.
    pub status: Standing,
    /// Its revision.
    pub revision: u32,
    /// What its publisher said of it.
    pub announced: Announcement,
    /// Its `traceparent`.
    pub traceparent: Option<Arc<str>>,
    /// Counts.
    pub accounting: Accounting,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of what happened.
    pub offset: Offset,
    /// For a failure: why, and what to do.
    pub rejection: Option<Rejection>,
    /// The entry of the ledger, when the upload has ended. Without one it is still open: a `FAILED` one until its end-of-file marker.
    pub ledger: Option<Box<LedgerState>>,
}

/// How an upload stands, in a word of contract 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Rows come.
    Receiving,
    /// Count or checksum of its end-of-file marker are not met.
    Incomplete,
    /// Nothing has come for a tenth of the idle timeout.
    Stalled,
    /// It failed.
    Failed,
    /// Its publisher gave it up.
    Aborted,
    /// Nothing came for the idle timeout.
    Expired,
}

impl AggregateContext<'_> {
    /// Offset below which nothing is told again.
    pub(super) fn silent_below(&self) -> Offset {
        match self.phase {
            Phase::Refill => Offset(i64::MAX),
            Phase::Live { silent_below } => silent_below,
        }
    }
    /// Whether what happens at `offset` is told. Rows that waited for their header happen where it came, not where they stand.
    pub(super) fn is_loud(&self, offset: Offset) -> bool {
        offset.max(self.position) >= self.silent_below()
    }
    /// Tells what happens at `offset`, unless it was told before.
    pub(super) fn tell(&mut self, offset: Offset, event: AggregateEvent) {
        if self.is_loud(offset) {
            self.out.push(event);
        }
    }
}

//! One open upload: what has come of it, in order, and what of that is in the state.

use std::sync::Arc;

use bytes::Bytes;

use super::checksum::RowsChecksum;
use super::errors::ErrorRows;
use super::order::Waiting;
use super::refill::Refill;
use super::sheets::Sheets;
use crate::record::{
    Announcement, ColumnType, MarkerRecord, Message, Offset, OpenAttempt, Rejection, RowBatch, UploadHash, UploadId,
};
use crate::state::WriteBatch;
use crate::state::keys::{Accounting, LedgerState, Outcome, StateKey, UploadState, encode};

use sha2::{Digest, Sha256};

/// An upload between its first record and its end.
pub(super) struct OpenUpload {
    pub(super) id: UploadId,
    /// Names its entries in the state and its segment: no two revisions share it.
    pub(super) hash: UploadHash,
    pub(super) revision: u32,
    pub(super) first_offset: Offset,
    /// First record of the open attempt.
    pub(super) begun_at: Offset,
    /// A replay knows from the ledger that it was over here.
    pub(super) known_end: Option<Offset>,
    pub(super) attempt: Option<Arc<str>>,
    /// What its publisher said of it. An end-of-file marker corrects the number of rows.
    pub(super) announced: Announcement,
    pub(super) traceparent: Option<Arc<str>>,
    pub(super) key: Option<Bytes>,
    pub(super) header: Option<Arc<[String]>>,
    pub(super) columns: Option<Arc<[(String, ColumnType)]>>,
    pub(super) numbered: bool,
    /// Numbered: lowest index that is not accounted for. Else the number that the next row gets.
    pub(super) next_index: u64,
    pub(super) accounting: Accounting,
    pub(super) checksum: RowsChecksum,
    pub(super) sheets: Sheets,
    pub(super) waiting: Waiting,
    pub(super) errors: ErrorRows,
    /// An end-of-file marker whose rows are still to come.
    pub(super) eof: Option<PendingEof>,
    /// Why it failed: its rows are void until its end.
    pub(super) failed: Option<Rejection>,
    pub(super) idle: Idle,
    /// Monotonic milliseconds when this process first saw it; `None` before.
    pub(super) begun_ms: Option<u64>,
    /// An end-of-file marker came that it does not meet.
    pub(super) held: bool,
    /// Set from a restart until what was in its open pages has been read again.
    pub(super) refill: Option<Refill>,
    pub(super) changed: bool,
    /// Keys of a voided attempt that the state still has.
    pub(super) stale_keys: Vec<Vec<u8>>,
    /// Its segments are no longer needed, though it is open.
    pub(super) drop_segments: bool,
}

/// An end-of-file marker that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingEof {
    pub(super) offset: Offset,
    /// Rows that it announced; `None`: all gaps have to fill.
    pub(super) rows: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
}

/// Since when nothing has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    /// Monotonic milliseconds of the last row or marker; `None` after a restart.
    pub(super) since_ms: Option<u64>,
    /// It was reported.
    pub(super) stalled: bool,
}

/// The hash under which an upload of `id` that begins at `first_offset` stands in the state.
pub(super) fn upload_hash(id: &UploadId, first_offset: Offset) -> UploadHash {
    scoped_hash(&id.hash(), &first_offset.0.to_be_bytes())
}

/// The segment of rows that wait and of open pages that were put away: scratch, which the state does not know.
pub(super) fn scratch_segment(upload: UploadHash) -> UploadHash {
    scoped_hash(&upload, b"scratch")
}

fn scoped_hash(hash: &UploadHash, scope: &[u8]) -> UploadHash {
    let digest = Sha256::new().chain_update(hash.0).chain_update(scope).finalize();
    let mut hash = UploadHash([0; 16]);
    hash.0.copy_from_slice(&digest[..16]);
    hash
}

impl OpenUpload {
    /// An upload whose first record is at `first_offset`.
    pub(super) fn begin(id: UploadId, revision: u32, first_offset: Offset) -> OpenUpload {
        OpenUpload {
            hash: upload_hash(&id, first_offset),
            id,
            revision,
            first_offset,
            begun_at: first_offset,
            known_end: None,
            attempt: None,
            announced: Announcement::default(),
            traceparent: None,
            key: None,
            header: None,
            columns: None,
            numbered: false,
            next_index: 1,
            accounting: Accounting::default(),
            checksum: RowsChecksum::default(),
            sheets: Sheets::default(),
            waiting: Waiting::default(),
            errors: ErrorRows::default(),
            eof: None,
            failed: None,
            idle: Idle::default(),
            begun_ms: None,
            held: false,
            refill: None,
            changed: true,
            stale_keys: Vec::new(),
            drop_segments: false,
        }
    }

    /// Notes that something came.
    pub(super) fn touch(&mut self, now_ms: u64) {
        self.idle = Idle { since_ms: Some(now_ms), stalled: false };
        self.begun_ms.get_or_insert(now_ms);
        self.changed = true;
    }

    /// Learns from a batch what its rows have in common; refuses one that contradicts the rows before it.
    pub(super) fn admit(
        &mut self,
        batch: &RowBatch,
        shared: &mut Arc<[(String, ColumnType)]>,
    ) -> Result<(), Rejection> {
        let has_rows = self.accounting.distinct() > 0;
        if let Some(attempt) = &batch.attempt {
            match &self.attempt {
                Some(open) if open == attempt => {}
                None if !has_rows => self.attempt = Some(Arc::clone(attempt)),
                open => return Err(conflict(open.as_deref(), attempt)),
            }
        }
        if has_rows && self.numbered != batch.numbered {
            return Err(Rejection::new(Message::SomeRowsNumbered {}));
        }
        self.numbered = batch.numbered;
        if has_rows && !self.columns.as_deref().is_some_and(|columns| is_same(columns, batch)) {
            return Err(Rejection::new(Message::OtherColumns {}));
        }
        self.learn_columns(batch, shared);
        if self.traceparent.is_none() {
            self.traceparent.clone_from(&batch.traceparent);
        }
        if self.key.is_none() {
            // A copy, for the original keeps the whole record batch in memory.
            self.key = batch.record_key(0).map(|key| Bytes::copy_from_slice(key));
        }
        Ok(())
    }

    /// Learns the columns of the workbook. `shared` is the last list of columns that any upload had: most uploads have the same.
    pub(super) fn learn_columns(&mut self, batch: &RowBatch, shared: &mut Arc<[(String, ColumnType)]>) {
        if self.columns.as_deref().is_some_and(|columns| is_same(columns, batch)) {
            return;
        }
        if !is_same(shared, batch) {
            let fields = batch.columns.schema_ref().fields().iter();
            *shared = fields.zip(batch.types.iter()).map(|(field, kind)| (field.name().clone(), *kind)).collect();
        }
        self.columns = Some(Arc::clone(shared));
        self.header = Some(Arc::clone(&batch.header));
        self.changed = true;
    }

    /// Whether a marker belongs to another attempt than the open one.
    pub(super) fn is_foreign(&self, record: &MarkerRecord) -> bool {
        matches!((&self.attempt, &record.attempt), (Some(open), Some(theirs)) if open != theirs)
    }

    /// A new attempt begins: what came of the open one is void.
    pub(super) fn restart(&mut self, record: &MarkerRecord, announced: Announcement) {
        self.give_up_rows();
        self.accounting.void_attempt();
        self.begun_at = record.offset;
        self.attempt.clone_from(&record.attempt);
        self.announced = announced;
        (self.header, self.columns, self.traceparent, self.key) = (None, None, None, None);
        (self.failed, self.held, self.numbered, self.next_index) = (None, false, false, 1);
    }

    /// It will have no workbook. Its rows are void until its end.
    pub(super) fn fail(&mut self, rejection: Rejection) {
        self.give_up_rows();
        self.accounting.void_workbook();
        self.drop_segments = true;
        self.failed = Some(rejection);
    }

    fn give_up_rows(&mut self) {
        self.stale_keys.append(&mut self.saved_row_keys());
        (self.sheets, self.waiting) = (Sheets::default(), Waiting::default());
        (self.errors, self.checksum) = (ErrorRows::default(), RowsChecksum::default());
        (self.eof, self.refill) = (None, None);
        self.changed = true;
    }

    /// How the ledger will remember it.
    pub(super) fn ledger(&self, outcome: Outcome, completion_offset: Offset, topology: &str) -> LedgerState {
        LedgerState {
            id: self.id.as_str().to_owned(),
            outcome,
            revision: self.revision,
            first_offset: self.first_offset,
            completion_offset,
            rows_sha256: None,
            header: self.header.as_deref().map(header_hash),
            crs: self.announced.crs.as_deref().map(str::to_owned),
            topology: topology.to_owned(),
            accounting: self.accounting,
        }
    }

    /// Lowest offset that has to be read again to refill its open pages.
    pub(super) fn refill_from(&self) -> Option<Offset> {
        [self.sheets.open_from(), self.waiting.lowest_offset()].into_iter().flatten().min()
    }

    /// Writes what the state does not have yet.
    pub(super) fn write(&mut self, into: &mut WriteBatch) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        self.stale_keys.drain(..).for_each(|key| into.delete(key));
        if std::mem::take(&mut self.drop_segments) {
            into.drop_segments.extend(self.segments());
        }
        self.sheets.write(self.hash, into);
        self.errors.write(self.hash, into);
        into.put(StateKey::Upload(self.hash).encode(), encode(&self.state()));
    }

    /// Every key that the state may have of it.
    pub(super) fn saved_keys(&mut self) -> Vec<Vec<u8>> {
        let mut keys = std::mem::take(&mut self.stale_keys);
        keys.append(&mut self.saved_row_keys());
        keys.push(StateKey::Upload(self.hash).encode());
        keys
    }

    /// Bytes of rows that it holds in memory: in open pages, and waiting.
    pub(super) fn bytes_here(&self) -> [usize; 2] {
        [self.sheets.bytes_here(), self.waiting.bytes()]
    }

    /// Every segment that it may have.
    pub(super) fn segments(&self) -> [UploadHash; 2] {
        [self.hash, scratch_segment(self.hash)]
    }

    fn saved_row_keys(&self) -> Vec<Vec<u8>> {
        let mut keys = self.sheets.saved_keys(self.hash);
        keys.extend(self.errors.saved_keys(self.hash));
        keys
    }

    fn state(&self) -> UploadState {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        UploadState {
            id: self.id.as_str().to_owned(),
            revision: self.revision,
            attempt: text(&self.attempt),
            name: text(&self.announced.name),
            rows_announced: self.announced.rows,
            crs: text(&self.announced.crs),
            traceparent: text(&self.traceparent),
            key: self.key.as_ref().map(|key| key.to_vec()),
            first_offset: self.first_offset,
            begun_at: self.begun_at,
            header: self.header.as_ref().map(|header| header.to_vec()),
            columns: self.columns.as_ref().map(|columns| columns.to_vec()),
            numbered: self.numbered,
            next_index: self.next_index,
            accounting: self.accounting,
            sha256: self.checksum.save(),
            sheets: self.sheets.len() as u32,
            errors: self.errors.len(),
            eof: self.eof.as_ref().map(|eof| (eof.offset, eof.rows, eof.sha256)),
            settled: self.waiting.rejected().iter().copied().collect(),
            failed: self
                .failed
                .as_ref()
                .map(|rejection| (rejection.column.as_deref().map(str::to_owned), Message::clone(&rejection.message))),
        }
    }
}

fn is_same(columns: &[(String, ColumnType)], batch: &RowBatch) -> bool {
    let fields = batch.columns.schema_ref().fields().iter();
    let theirs = fields.zip(batch.types.iter()).map(|(field, kind)| (field.name().as_str(), *kind));
    columns.iter().map(|(name, kind)| (name.as_str(), *kind)).eq(theirs)
}

/// What tells one header from another in the ledger.
pub(super) fn header_hash(header: &[String]) -> String {
    let mut hash = Sha256::new();
    for name in header {
        hash.update(name);
        hash.update("\n");
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn conflict(open: Option<&str>, attempt: &str) -> Rejection {
    let open = open.map_or(OpenAttempt::None {}, |attempt| OpenAttempt::Named { attempt: attempt.to_owned() });
    Rejection::new(Message::OtherAttempt { attempt: attempt.to_owned(), open })
}

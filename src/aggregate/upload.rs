//! One open upload: its place in the log, its counts, its open attempt, and the parts of these that are in the state.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::attempt::Attempt;
use super::segment::{scratch_segment, upload_hash};
use super::siblings::Placed;
use crate::record::{
    Accounting, Announcement, ColumnType, CoordinateForm, Cuts, LedgerEntry, MarkerRecord, Message, Offset,
    OpenAttempt, Outcome, Reason, Rejection, RowBatch, Titles, UploadHash, UploadId,
};
use crate::state::WriteBatch;
use crate::state::keys::{OpenUploadState, StateKey, encode};

/// An upload between its first record and its end.
pub(super) struct OpenUpload {
    pub(super) id: UploadId,
    /// Names its entries in the state and its segment.
    pub(super) hash: UploadHash,
    pub(super) revision: u32,
    pub(super) first_offset: Offset,
    /// Offset of its last record so far.
    pub(super) last_offset: Offset,
    /// Where the upload was over, if the ledger knows it and a replay cannot find out.
    pub(super) known_end: Option<Offset>,
    pub(super) accounting: Accounting,
    /// The open attempt: a new one replaces it as a whole.
    pub(super) attempt: Attempt,
    pub(super) idle: Idle,
    /// Where the upload ends in each source partition, if its rows may lie in several.
    pub(super) cuts: Option<Cuts>,
    /// Known to the tasks of other partitions, if there are any.
    pub(super) placed: Option<Placed>,
    /// Monotonic milliseconds when this process first saw the upload; `None` before.
    pub(super) begun_ms: Option<u64>,
    changed: bool,
    /// Keys of a voided attempt that the state still has.
    stale_keys: Vec<Vec<u8>>,
    /// The upload is open and no longer needs its segments.
    drop_segments: bool,
}

/// Since when nothing has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    /// Monotonic milliseconds of the last row or marker; `None` after a restart.
    pub(super) since_ms: Option<u64>,
    /// It was reported.
    pub(super) stalled: bool,
}

impl OpenUpload {
    /// An upload whose first record is at `first_offset`.
    pub(super) fn begin(id: UploadId, revision: u32, first_offset: Offset) -> OpenUpload {
        OpenUpload {
            hash: upload_hash(&id, first_offset),
            id,
            revision,
            first_offset,
            last_offset: first_offset,
            known_end: None,
            accounting: Accounting::default(),
            attempt: Attempt::begin(first_offset, None, Announcement::default()),
            idle: Idle::default(),
            cuts: None,
            placed: None,
            begun_ms: None,
            changed: true,
            stale_keys: Vec::new(),
            drop_segments: false,
        }
    }

    /// The upload as the state has it.
    pub(super) fn restored(
        id: UploadId,
        (revision, first_offset, last_offset): (u32, Offset, Offset),
        accounting: Accounting,
        attempt: Attempt,
    ) -> OpenUpload {
        OpenUpload { last_offset, accounting, attempt, changed: false, ..OpenUpload::begin(id, revision, first_offset) }
    }

    /// The offset of its only record, if it has had no other one; an end that counts rows is none to give way.
    pub(super) fn single_at(&self) -> Option<Offset> {
        let counts = self.attempt.eof.as_ref().is_some_and(|eof| eof.end.rows.is_some());
        (self.first_offset == self.last_offset && !counts).then_some(self.first_offset)
    }

    /// The state has to be written again.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Notes that something came, up to a record at `offset`.
    pub(super) fn touch(&mut self, now_ms: u64, offset: Offset) {
        self.last_offset = self.last_offset.max(offset);
        self.idle = Idle { since_ms: Some(now_ms), stalled: false };
        self.begun_ms.get_or_insert(now_ms);
        self.changed = true;
    }

    /// A record at `offset` was its last so far.
    pub(super) fn reach(&mut self, offset: Offset) {
        if self.last_offset < offset {
            self.last_offset = offset;
            self.changed = true;
        }
    }

    /// Learns from a batch what its rows have in common; refuses one that contradicts the rows before it.
    pub(super) fn admit(
        &mut self,
        batch: &RowBatch,
        shared: &mut Arc<[(String, ColumnType)]>,
    ) -> Result<(), Rejection> {
        let has_rows = self.accounting.distinct() > 0;
        if let Some(attempt) = &batch.attempt {
            match self.attempt.known_id() {
                Some(open) if *open == **attempt => {}
                None if !has_rows => {}
                open => return Err(conflict(open, attempt)),
            }
            self.attempt.id = Some(Arc::clone(attempt));
        }
        if has_rows && self.attempt.numbered != batch.numbered {
            return Err(Rejection::new(Message::SomeRowsNumbered {}));
        }
        self.attempt.numbered = batch.numbered;
        let is_keyed = |(_, key): &(u32, Option<Bytes>)| key.as_deref() == Some(self.id.as_str().as_bytes());
        self.attempt.keyed &= batch.record_keys.iter().all(is_keyed);
        if has_rows && !self.attempt.columns.as_deref().is_some_and(|columns| is_same(columns, batch)) {
            return Err(Rejection::new(Message::OtherColumns {}));
        }
        self.learn_columns(batch, shared);
        self.learn_trace(batch.traceparent.as_ref());
        if self.attempt.key.is_none() {
            // A copy, for the original keeps the whole record batch in memory.
            self.attempt.key = batch.record_key(0).map(|key| Bytes::copy_from_slice(key));
        }
        Ok(())
    }

    /// The first record of an attempt that carries a `traceparent` says what caused the upload.
    pub(super) fn learn_trace(&mut self, traceparent: Option<&Arc<str>>) {
        if self.attempt.traceparent.is_none() {
            self.attempt.traceparent = traceparent.cloned();
        }
    }

    /// Learns the columns of the workbook. `shared` is the last list of columns that any upload had: most uploads have the same.
    pub(super) fn learn_columns(&mut self, batch: &RowBatch, shared: &mut Arc<[(String, ColumnType)]>) {
        if self.attempt.columns.as_deref().is_some_and(|columns| is_same(columns, batch)) {
            return;
        }
        if !is_same(shared, batch) {
            let fields = batch.columns.schema_ref().fields().iter();
            *shared = fields.zip(batch.types.iter()).map(|(field, kind)| (field.name().clone(), *kind)).collect();
        }
        self.attempt.columns = Some(Arc::clone(shared));
        self.attempt.header = Some(Arc::clone(&batch.header));
        self.changed = true;
    }

    /// Whether a marker belongs to another attempt than the open one.
    pub(super) fn is_foreign(&self, record: &MarkerRecord) -> bool {
        matches!((self.attempt.known_id(), &record.attempt), (Some(open), Some(theirs)) if *open != **theirs)
    }

    /// A new attempt begins at `offset`: the rows of the open one are void.
    pub(super) fn restart(&mut self, offset: Offset, attempt: Option<Arc<str>>, announced: Announcement) {
        self.void_rows();
        self.accounting.void_attempt();
        self.attempt = Attempt::begin(offset, attempt, announced);
    }

    /// The row among `rows` with which the publication begins again: the header, behind an end that counts more rows than came. Its publisher
    /// sends no begin, and the first rows of the second publication would be taken for the last ones of the first.
    pub(super) fn begins_again(&self, batch: &RowBatch, rows: Range<usize>) -> Option<usize> {
        let is_counted = self.attempt.eof.as_ref().is_some_and(|eof| eof.end.rows.is_some());
        if !is_counted || self.accounting.distinct() == 0 || batch.numbered || batch.attempt.is_some() {
            return None;
        }
        let headers = batch.rejected.iter().filter(|(_, why)| matches!(*why.message, Message::RepeatedHeader {}));
        // Records are read again from the one on that an attempt begins with.
        headers.map(|(row, _)| *row as usize).find(|row| rows.contains(row) && batch.keys[*row].line == 0)
    }

    /// The publication begins again with its header, which is no row of it.
    pub(super) fn begin_again(&mut self, offset: Offset) {
        let announced = Announcement { rows: None, ..self.attempt.announced.clone() };
        self.restart(offset, None, announced);
    }

    /// The upload will have no workbook. Its rows are void until its end.
    pub(super) fn fail(&mut self, rejection: Rejection) {
        self.void_rows();
        self.accounting.void_workbook();
        self.drop_segments = true;
        self.attempt.failed = Some(rejection);
    }

    /// Whether it has failed because records of it are, or may be, gone from the log.
    pub(super) fn has_lost_records(&self) -> bool {
        self.attempt.failed.as_ref().is_some_and(|failed| failed.reason == Reason::LogGap)
    }

    /// Why it cannot be read: if its first records may be gone, its header was among them.
    pub(super) fn unreadable(&self, rejection: Rejection) -> Rejection {
        match self.attempt.doubt.as_deref() {
            Some(lost @ Message::FirstRowsLost { .. }) => Rejection::new(lost.clone()),
            Some(_) | None => rejection,
        }
    }

    fn void_rows(&mut self) {
        self.stale_keys.append(&mut self.attempt.saved_keys(self.hash));
        self.attempt.void_rows();
        self.changed = true;
    }

    /// The ledger entry of an upload that ends here.
    pub(super) fn ledger(&self, outcome: Outcome, completion_offset: Offset, topology: &str) -> LedgerEntry {
        LedgerEntry {
            id: self.id.as_str().to_owned(),
            outcome,
            revision: self.revision,
            first_offset: self.first_offset,
            completion_offset,
            rows_sha256: None,
            header: self.attempt.header.as_deref().map(|header| header_hash(header, &self.attempt.announced)),
            crs: self.attempt.announced.crs.as_deref().map(str::to_owned),
            topology: topology.to_owned(),
            cuts: self.cuts.clone(),
            accounting: self.accounting,
            is_rest: self.has_lost_records(),
            taken: 0,
            leader_epoch: None,
        }
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
        self.attempt.write(self.hash, into);
        into.put(StateKey::Upload(self.hash).encode(), encode(&self.state()));
    }

    /// Every key that the state may have of the upload.
    pub(super) fn saved_keys(&mut self) -> Vec<Vec<u8>> {
        let mut keys = std::mem::take(&mut self.stale_keys);
        keys.append(&mut self.attempt.saved_keys(self.hash));
        keys.push(StateKey::Upload(self.hash).encode());
        keys
    }

    /// Every segment that the state may have of the upload.
    pub(super) fn segments(&self) -> [UploadHash; 2] {
        [self.hash, scratch_segment(self.hash)]
    }

    fn state(&self) -> OpenUploadState {
        let attempt = &self.attempt;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        OpenUploadState {
            id: self.id.as_str().to_owned(),
            revision: self.revision,
            attempt: text(&attempt.id),
            name: text(&attempt.announced.name),
            rows_announced: attempt.announced.rows,
            crs: text(&attempt.announced.crs),
            extras: attempt.announced.extras,
            coordinates: attempt.announced.coordinates,
            titles: Titles::clone(&attempt.announced.titles),
            traceparent: text(&attempt.traceparent),
            key: attempt.key.as_ref().map(|key| key.to_vec()),
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            begun_at: attempt.begun_at,
            header: attempt.header.as_ref().map(|header| header.to_vec()),
            columns: attempt.columns.as_ref().map(|columns| columns.to_vec()),
            operations: attempt.operations.clone(),
            numbered: attempt.numbered,
            keyed: attempt.keyed,
            doubt: attempt.doubt.as_deref().cloned(),
            next_index: attempt.next_index,
            accounting: self.accounting,
            sha256: attempt.checksum.save(),
            sheets: attempt.sheets.len() as u32,
            errors: attempt.errors.len(),
            eof: attempt.eof.as_deref().cloned(),
            held: attempt.held,
            settled: attempt.waiting.settled().iter().copied().collect(),
            failed: attempt
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

/// Distinguishes one header from another in the ledger, and uploads that ask for more than the topology gives or call columns otherwise.
fn header_hash(header: &[String], announced: &Announcement) -> String {
    let mut hash = Sha256::new();
    for name in header {
        hash.update(name);
        hash.update("\n");
    }
    for (name, _) in announced.extras.asked() {
        hash.update([0]);
        hash.update(name);
    }
    if announced.coordinates != CoordinateForm::Columns {
        hash.update([2]);
        hash.update(announced.coordinates.name());
    }
    for name in announced.titles.iter().flat_map(|(name, title)| [name, title]) {
        hash.update([1]);
        hash.update(name);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn conflict(open: Option<&str>, attempt: &str) -> Rejection {
    let open = open.map_or(OpenAttempt::None {}, |attempt| OpenAttempt::Named { attempt: attempt.to_owned() });
    Rejection::new(Message::OtherAttempt { attempt: attempt.to_owned(), open })
}

//! One attempt of a publisher to send an upload: the state that a new attempt makes void.

use std::sync::Arc;

use bytes::Bytes;

use super::checksum::RowsChecksum;
use super::errors::ErrorRows;
use super::load::Load;
use super::reorder::ReorderBuffer;
use super::restored_rows::RestoredRows;
use super::sheets::Sheets;
use crate::record::{Announcement, ColumnType, Message, Offset, Rejection, RowBatch, UploadHash, UsedOperations};
use crate::state::WriteBatch;
use crate::state::keys::PendingEof;

/// An attempt from its first record on.
pub(super) struct Attempt {
    /// Offset of its first record. A restore passes over rows before it.
    pub(super) begun_at: Offset,
    /// `ss-attempt`.
    pub(super) id: Option<Arc<str>>,
    /// The publisher's announcement. An end-of-file marker corrects the number of rows.
    pub(super) announced: Announcement,
    /// W3C `traceparent` of its first record, row or marker, that carried one.
    pub(super) traceparent: Option<Arc<str>>,
    /// Key of its first record with rows.
    pub(super) key: Option<Bytes>,
    /// Columns as published.
    pub(super) header: Option<Arc<[String]>>,
    /// Columns of the workbook, once rows came through the maps.
    pub(super) columns: Option<Arc<[(String, ColumnType)]>>,
    /// Coordinate operations that its rows in sheets went through, of each `reproject` map.
    pub(super) operations: Vec<UsedOperations>,
    /// True when rows carry `ss-row`.
    pub(super) numbered: bool,
    /// Every record with rows has the upload id as its key, so that all of them are in one partition.
    pub(super) keyed: bool,
    /// Why its first rows may be missing.
    pub(super) doubt: Option<Box<Message>>,
    /// Numbered: lowest index that is not accounted for, from 1. Else the number that the next row gets.
    pub(super) next_index: u64,
    pub(super) checksum: RowsChecksum,
    pub(super) sheets: Sheets,
    pub(super) waiting: ReorderBuffer,
    pub(super) errors: ErrorRows,
    /// An end-of-file marker whose rows are still to come.
    pub(super) eof: Option<Box<PendingEof>>,
    /// An end-of-file marker came that the rows do not meet.
    pub(super) held: bool,
    /// Why the upload failed: its rows are void until its end.
    pub(super) failed: Option<Rejection>,
    /// From a restart until the rows of open pages have been read again.
    pub(super) restored: Option<RestoredRows>,
}

impl Attempt {
    /// An attempt whose first record is at `begun_at`.
    pub(super) fn begin(begun_at: Offset, id: Option<Arc<str>>, announced: Announcement) -> Attempt {
        Attempt {
            begun_at,
            id,
            announced,
            traceparent: None,
            key: None,
            header: None,
            columns: None,
            operations: Vec::new(),
            numbered: false,
            keyed: true,
            doubt: None,
            next_index: 1,
            checksum: RowsChecksum::default(),
            sheets: Sheets::default(),
            waiting: ReorderBuffer::default(),
            errors: ErrorRows::default(),
            eof: None,
            held: false,
            failed: None,
            restored: None,
        }
    }

    /// `ss-attempt`: of its own records, or else of the end that came before them.
    pub(super) fn known_id(&self) -> Option<&str> {
        self.id.as_deref().or_else(|| self.eof.as_ref()?.end.attempt.as_deref())
    }

    /// Remembers the coordinate operations that a row went through.
    pub(super) fn note_operations(&mut self, batch: &RowBatch, row: usize) {
        if batch.operations.iter().all(Vec::is_empty) {
            return;
        }
        self.operations.resize_with(batch.operations.len(), UsedOperations::new);
        for (noted, operations) in self.operations.iter_mut().zip(&batch.operations) {
            noted.extend(operations.get(row).copied().flatten());
        }
    }

    /// Drops the rows and what they wait for; the announcement, header and key stay.
    pub(super) fn void_rows(&mut self) {
        self.checksum = RowsChecksum::default();
        self.sheets = Sheets::default();
        self.waiting = ReorderBuffer::default();
        self.errors = ErrorRows::default();
        self.operations = Vec::new();
        (self.eof, self.restored) = (None, None);
    }

    /// Lowest offset that has to be read again to fill the open pages after a restart.
    pub(super) fn restore_from(&self) -> Option<Offset> {
        [self.sheets.open_from(), self.waiting.lowest_offset()].into_iter().flatten().min()
    }

    /// What it weighs.
    pub(super) fn load(&self) -> Load {
        Load {
            open: self.sheets.bytes_in_memory(),
            waiting: self.waiting.bytes(),
            numbers: self.waiting.numbers(),
            sheets: self.sheets.len(),
            unsaved: self.sheets.unsaved() + self.errors.unsaved(),
            unsaved_bytes: self.errors.unsaved_bytes(),
        }
    }

    /// Writes rows that the state does not have yet, under the upload's hash.
    pub(super) fn write(&mut self, upload: UploadHash, into: &mut WriteBatch) {
        self.sheets.write(upload, into);
        self.errors.write(upload, into);
    }

    /// Keys of rows that the state may have.
    pub(super) fn saved_keys(&self, upload: UploadHash) -> Vec<Vec<u8>> {
        let mut keys = self.sheets.saved_keys(upload);
        keys.extend(self.errors.saved_keys(upload));
        keys
    }
}

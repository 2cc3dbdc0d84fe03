//! After a restart: open uploads out of the state, and the rows of their unfinished pages out of the log (contract 16). Nothing is counted,
//! hashed or dead-lettered again; what does not add up is damage, and the state is rebuilt.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::attempt::Attempt;
use super::checksum::RowsChecksum;
use super::errors::ErrorRows;
use super::restored_rows::RestoredRows;
use super::rows::{Fate, Rows, WaitingFate, WaitingRow};
use super::segment::upload_hash;
use super::sheets::Sheets;
use super::upload::OpenUpload;
use super::upload_context::UploadContext;
use crate::record::{Announcement, Offset, Rejection, RowKey, UploadHash, UploadId};
use crate::state::keys::{OpenUploadState, PageState, SheetState, StateKey, decode};
use crate::state::{Entry, StateError, StateStore};

/// An upload that was open when the state was written.
#[derive(Clone, Debug)]
pub struct RestoredUpload {
    /// The upload.
    pub upload: UploadId,
    /// Its columns, if they are known.
    pub header: Option<Arc<[String]>>,
    /// What its begin says.
    pub announced: Announcement,
    /// `ss-attempt` of its open attempt.
    pub attempt: Option<Arc<str>>,
    /// Where its present attempt begins; rows before that are not its own.
    pub begun_at: Offset,
    /// Its end-of-file marker came, and rows are missing.
    pub expects_rows: bool,
    /// Offset of its only record, if it has had no other one.
    pub single_at: Option<Offset>,
}

/// Parts of one upload, as they come out of a scan.
#[derive(Default)]
struct Parts {
    upload: Option<OpenUploadState>,
    sheets: Vec<SheetState>,
    pages: HashMap<u32, Vec<PageState>>,
    errors: u32,
}

fn damaged(what: impl Into<String>) -> StateError {
    StateError::Damaged(what.into())
}

/// Reads the open uploads that the state has and checks that nothing is missing: sheets, pages and rejected rows count from 0 without holes,
/// and each count is what the next higher entry says.
pub(super) fn read_uploads(store: &dyn StateStore) -> Result<Vec<OpenUpload>, StateError> {
    let mut parts: BTreeMap<UploadHash, Parts> = BTreeMap::new();
    for tag in StateKey::OPEN_UPLOADS {
        sort(&store.scan(&[tag])?, &mut parts)?;
    }
    let restore = |(hash, parts): (UploadHash, Parts)| {
        parts.restore(hash).map_err(|what| damaged(format!("upload {hash}: {what}")))
    };
    parts.into_iter().map(restore).collect()
}

/// Sorts `entries`, which are in key order, by upload.
fn sort(entries: &[Entry], parts: &mut BTreeMap<UploadHash, Parts>) -> Result<(), StateError> {
    for (key, value) in entries {
        let broken = || damaged(format!("entry {key:02x?} cannot be read"));
        match StateKey::decode(key).ok_or_else(broken)? {
            StateKey::Task | StateKey::Ledger(_) => return Err(broken()),
            StateKey::Upload(upload) => {
                parts.entry(upload).or_default().upload = Some(decode(value).ok_or_else(broken)?)
            }
            StateKey::Sheet(upload, sheet) => {
                let parts = parts.entry(upload).or_default();
                if parts.sheets.len() != sheet as usize {
                    return Err(damaged(format!("upload {upload} has no sheet {}", parts.sheets.len())));
                }
                parts.sheets.push(decode(value).ok_or_else(broken)?);
            }
            StateKey::Page(upload, sheet, page) => {
                let pages = parts.entry(upload).or_default().pages.entry(sheet).or_default();
                if pages.len() != page as usize {
                    return Err(damaged(format!("sheet {sheet} of upload {upload} has no page {}", pages.len())));
                }
                pages.push(decode(value).ok_or_else(broken)?);
            }
            StateKey::Error(upload, n) => {
                let parts = parts.entry(upload).or_default();
                if parts.errors != n {
                    return Err(damaged(format!("upload {upload} has no rejected row {}", parts.errors)));
                }
                parts.errors += 1;
            }
        }
    }
    Ok(())
}

impl Parts {
    fn restore(mut self, hash: UploadHash) -> Result<OpenUpload, String> {
        let state = self.upload.ok_or("its rows are there and it is not")?;
        let id = UploadId::new(state.id);
        if upload_hash(&id, state.first_offset) != hash {
            return Err(format!("its key is not the hash of '{id}'"));
        }
        if (self.sheets.len(), self.errors) != (state.sheets as usize, state.errors) {
            let (sheets, errors) = (self.sheets.len(), self.errors);
            return Err(format!(
                "{sheets} sheets and {errors} rejected rows are not the {} and {}",
                state.sheets, state.errors
            ));
        }
        if !state.accounting.balances() {
            return Err(format!("its counts do not balance: {:?}", state.accounting));
        }
        let sheets = self.sheets.into_iter().zip(0..);
        let sheets = sheets.map(|(sheet, number)| (sheet, self.pages.remove(&number).unwrap_or_default())).collect();
        let sheets = Sheets::restore(sheets)?;
        if !self.pages.is_empty() {
            return Err("it has pages without a sheet".to_owned());
        }
        if sheets.paged_rows() > state.accounting.written {
            return Err("its pages have more rows than were written".to_owned());
        }
        let text = |text: Option<String>| text.map(Arc::from);
        let announced = Announcement {
            name: text(state.name),
            rows: state.rows_announced,
            crs: text(state.crs),
            extras: state.extras,
            coordinates: state.coordinates,
            titles: Arc::new(state.titles),
        };
        let failed =
            state.failed.map(|(column, message)| Rejection { column: text(column), ..Rejection::new(message) });
        let attempt = Attempt {
            traceparent: text(state.traceparent),
            key: state.key.map(Into::into),
            header: state.header.map(Into::into),
            columns: state.columns.map(Into::into),
            operations: state.operations,
            numbered: state.numbered,
            keyed: state.keyed,
            doubt: state.doubt.map(Box::new),
            next_index: state.next_index,
            checksum: RowsChecksum::restore(&state.sha256).ok_or("its checksum cannot be read")?,
            sheets,
            errors: ErrorRows::restore(state.errors),
            held: state.held,
            eof: state.eof.map(Box::new),
            failed,
            restored: Some(RestoredRows { settled: state.settled, ..RestoredRows::default() }),
            ..Attempt::begin(state.begun_at, text(state.attempt), announced)
        };
        Ok(OpenUpload::restored(id, (state.revision, state.first_offset, state.last_offset), state.accounting, attempt))
    }
}

impl OpenUpload {
    /// Reads rows again that came before the restart: those of cut pages and of a former attempt are passed over.
    pub(super) fn restore_rows(&mut self, rows: &Rows, context: &mut UploadContext) -> Result<(), StateError> {
        if rows.batch.numbered != self.attempt.numbered {
            return Ok(()); // none of these was taken: the header line, for one, is read again as a row
        }
        for row in 0..rows.batch.len() {
            if rows.batch.offsets[row] < self.attempt.begun_at {
                continue;
            }
            if !self.attempt.numbered {
                self.restore_row(rows, row)?;
                continue;
            }
            let index = rows.batch.keys[row].index;
            if index < self.attempt.next_index {
                self.restore_numbered(rows, row)?;
            } else if !self.attempt.waiting.contains(index) {
                self.wait(rows, row, context)?;
            }
        }
        Ok(())
    }

    fn restore_row(&mut self, rows: &Rows, row: usize) -> Result<(), StateError> {
        let Some(sheet) = self.unpaged_sheet(rows, row)? else { return Ok(()) };
        let (key, offset) = (rows.batch.keys[row], rows.batch.offsets[row]);
        match self.attempt.sheets.restore_row(sheet, key, offset, |page| rows.write(row, page)) {
            true => Err(damaged(format!("upload {}: an open page has too many rows", self.hash))),
            false => Ok(()),
        }
    }

    /// Of rows with the same index the first one was written.
    fn restore_numbered(&mut self, rows: &Rows, row: usize) -> Result<(), StateError> {
        if self.unpaged_sheet(rows, row)?.is_some()
            && let Some(restored) = &mut self.attempt.restored
        {
            restored.rows.entry(rows.batch.keys[row].index).or_insert_with(|| rows.waiting(row));
        }
        Ok(())
    }

    /// The sheet of a row, unless the row is in none or in a cut page.
    fn unpaged_sheet(&mut self, rows: &Rows, row: usize) -> Result<Option<usize>, StateError> {
        match rows.fate(row) {
            Fate::Rejected(_) | Fate::Filtered => return Ok(None),
            Fate::Live => {}
        }
        let mut scratch = String::new();
        let sheet = self.attempt.sheets.find(rows.sheet(row, &mut scratch));
        let sheet = sheet.ok_or_else(|| damaged(format!("upload {}: a row's sheet is not in the state", self.hash)))?;
        let is_paged = self.attempt.sheets.paged_through(sheet) >= Some(rows.batch.keys[row]);
        Ok((!is_paged).then_some(sheet))
    }

    /// Writes what was collected, in order, and checks that it is all there.
    pub(super) fn finish_restore(&mut self) -> Result<(), StateError> {
        let Some(restored) = self.attempt.restored.take() else { return Ok(()) };
        if self.attempt.failed.is_some() {
            return Ok(());
        }
        let columns = self.attempt.columns.clone().unwrap_or_default();
        for (index, bytes) in restored.rows {
            let row: Option<WaitingRow> = decode(&bytes);
            let Some(WaitingRow { offset, fate: WaitingFate::Write { sheet, cells }, .. }) = row else { continue };
            let Some(sheet) = self.attempt.sheets.find(sheet) else { continue };
            let write = |page: &mut _| WaitingRow::write(&cells, &columns, page);
            if self.attempt.sheets.restore_row(sheet, RowKey { index, line: 0 }, offset, write) {
                return Err(damaged(format!("upload {}: an open page has too many rows", self.hash)));
            }
        }
        let rows = self.attempt.sheets.paged_rows() + self.attempt.sheets.open_rows();
        let settled = self.attempt.waiting.settled();
        if rows != self.accounting.written
            || !settled.iter().eq(&restored.settled)
            || self.attempt.waiting.len() - settled.len() as u64 != self.accounting.waiting
        {
            let (hash, waiting, expected) = (self.hash, self.attempt.waiting.len(), self.accounting);
            return Err(damaged(format!(
                "upload {hash}: {rows} rows and {waiting} that wait were read again, not {expected:?}"
            )));
        }
        Ok(())
    }
}

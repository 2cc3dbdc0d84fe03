//! The rejected rows of one upload, as its *Errors* sheet will show them: the first 10,000 in row order. The state holds them, not memory.

use crate::record::{Reason, Rejection, UploadHash};
use crate::sink::RejectedRow;
use crate::source::csv::{Fields, Rows};
use crate::state::keys::{ErrorState, StateKey, decode, encode};
use crate::state::{StateError, StateStore, WriteBatch};

/// Rejected rows that the sheet of errors of a workbook lists.
pub const ERRORS_MAX: u32 = 10_000;
/// Characters of a row's text that it shows.
const RAW_CHARS_MAX: usize = 4_096;

/// Rejected rows so far.
#[derive(Debug, Default)]
pub(super) struct ErrorRows {
    /// How many the state has; they come first.
    saved: u32,
    unsaved: Vec<ErrorState>,
    /// Bytes of their texts.
    unsaved_bytes: usize,
}

impl ErrorRows {
    /// The errors of a restored upload: the state has `saved` of them already.
    pub(super) fn restore(saved: u32) -> ErrorRows {
        ErrorRows { saved, ..ErrorRows::default() }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> u32 {
        self.saved + self.unsaved.len() as u32
    }

    /// Number of entries that the state does not have yet.
    pub(super) fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Bytes of the texts of those entries.
    pub(super) fn unsaved_bytes(&self) -> usize {
        self.unsaved_bytes
    }

    /// Adds the row with this number, which comes after all rows before it.
    pub(super) fn push(&mut self, row: u64, rejection: Rejection, raw: &[u8], delimiter: u8) {
        if self.len() < ERRORS_MAX {
            // Lossy, for what is shown of a row that is no text must still be text; the dead letter has its bytes.
            let raw: String =
                String::from_utf8_lossy(&raw[..raw.len().min(4 * RAW_CHARS_MAX)]).chars().take(RAW_CHARS_MAX).collect();
            self.unsaved_bytes += raw.len();
            let Rejection { column, message, .. } = rejection;
            let column = column.map(|name| name.to_string());
            self.unsaved.push(ErrorState { row, column, message: *message, raw, delimiter });
        }
    }

    /// Writes entries that the state does not have yet.
    pub(super) fn write(&mut self, upload: UploadHash, into: &mut WriteBatch) {
        for error in self.unsaved.drain(..) {
            into.put(StateKey::Error(upload, self.saved).encode(), encode(&error));
            self.saved += 1;
        }
        self.unsaved.shrink_to(0);
        self.unsaved_bytes = 0;
    }

    /// Keys that the state has.
    pub(super) fn saved_keys(&self, upload: UploadHash) -> impl Iterator<Item = Vec<u8>> + use<> {
        (0..self.saved).map(move |n| StateKey::Error(upload, n).encode())
    }

    /// All entries, those of the state read back.
    pub(super) fn collect(self, upload: UploadHash, store: &dyn StateStore) -> Result<Vec<RejectedRow>, StateError> {
        let mut errors: Vec<ErrorState> = Vec::with_capacity(self.len() as usize);
        if self.saved > 0 {
            let mut prefix = StateKey::Error(upload, 0).encode();
            prefix.truncate(prefix.len() - size_of::<u32>());
            let entries = store.scan(&prefix)?;
            errors.extend(entries.iter().take(self.saved as usize).map_while(|(_, value)| decode(value)));
            if errors.len() < self.saved as usize {
                return Err(StateError::Damaged(format!("{} of {} rejected rows are left", errors.len(), self.saved)));
            }
        }
        errors.extend(self.unsaved);
        Ok(errors.into_iter().map(RejectedRow::from).collect())
    }
}

impl From<ErrorState> for RejectedRow {
    fn from(error: ErrorState) -> RejectedRow {
        let ErrorState { row, column, message, raw, delimiter } = error;
        let mut cells: Vec<String> = match message.reason() {
            // JSON that cannot be read has no cells.
            Reason::JsonFormat | Reason::JsonDuplicateKey | Reason::JsonUnknownKey => vec![raw.clone()],
            _ => {
                let mut fields = Fields::default();
                let text = raw.as_bytes();
                Rows::new(text, delimiter, None).next_row(&mut fields);
                fields.iter(text).map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
            }
        };
        if let Some(last) = cells.last_mut().filter(|_| raw.chars().count() >= RAW_CHARS_MAX) {
            last.push('…');
        }
        RejectedRow { row, column, message, cells }
    }
}

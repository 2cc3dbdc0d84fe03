//! Notices a topic whose records have a key per row, each of which opens an upload of its own that never ends (contract 1).

use crate::record::{Message, Rejection};

/// Uploads that open in a row, without an end-of-file marker among them, before something is said.
const OPENED_MAX: u64 = 10_000;

/// Counts since the last end-of-file marker.
#[derive(Debug, Default)]
pub(super) struct KeyPerRow {
    opened: u64,
    rows: u64,
    said: bool,
}

impl KeyPerRow {
    /// An upload was opened.
    pub(super) fn opened(&mut self) {
        self.opened += 1;
    }
    /// Rows came.
    pub(super) fn rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }
    /// An end-of-file marker came: somebody does end uploads.
    pub(super) fn ended(&mut self) {
        *self = KeyPerRow::default();
    }
    /// What to say, once, when nearly every row opens an upload.
    pub(super) fn suspicion(&mut self) -> Option<Rejection> {
        if self.said || self.opened < OPENED_MAX || self.rows > 2 * self.opened {
            return None;
        }
        self.said = true;
        Some(Rejection::new(Message::KeyPerRow { uploads: self.opened, rows: self.rows }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_per_row_is_said_once_and_many_small_uploads_are_not() {
        let mut watch = KeyPerRow::default();
        let mut said = 0;
        for _ in 0..3 * OPENED_MAX {
            watch.opened();
            watch.rows(1);
            said += u64::from(watch.suspicion().is_some());
        }
        assert_eq!(said, 1);
        watch.ended();
        for n in 0..3 * OPENED_MAX {
            watch.opened();
            watch.rows(1);
            assert_eq!(watch.suspicion(), None, "upload {n}");
            if n % 5_000 == 0 {
                watch.ended();
            }
        }
    }
}

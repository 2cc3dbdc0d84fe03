//! Notices a topic whose records have a key per row: each key opens an upload of its own that never ends (contract 1).

use crate::record::{Message, Rejection};

/// Uploads that rows open, without an end-of-file marker among them, before something is said when no more rows come.
const OPENED_MAX: u64 = 100;
/// The same while rows keep coming: many files may begin at once.
const OPENED_MAX_BUSY: u64 = 10_000;

/// Counts since the last end-of-file marker, over all partitions of a process.
#[derive(Debug, Default)]
pub(super) struct KeyPerRow {
    opened: u64,
    rows: u64,
    said: bool,
}

impl KeyPerRow {
    /// Rows came.
    pub(super) fn rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }
    /// An end-of-file marker came: somebody does end uploads.
    pub(super) fn ended(&mut self) {
        *self = KeyPerRow::default();
    }
    /// A row opened an upload.
    pub(super) fn opened(&mut self) {
        self.opened += 1;
    }
    /// The warning, given once, when nearly every row opens an upload. `is_idle`: no more rows come at present.
    pub(super) fn suspicion(&mut self, is_idle: bool) -> Option<Rejection> {
        let opened_max = if is_idle { OPENED_MAX } else { OPENED_MAX_BUSY };
        if self.said || self.opened < opened_max || self.rows > self.opened + self.opened / 10 {
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
    fn a_key_per_row_is_said_once_from_100_uploads_on_or_10_000_while_more_come() {
        for (is_idle, first) in [(true, 100), (false, 10_000)] {
            let mut watch = KeyPerRow::default();
            let mut said_at = Vec::new();
            for n in 1..=2 * first {
                watch.rows(1);
                watch.opened();
                said_at.extend(watch.suspicion(is_idle).map(|_| n));
            }
            assert_eq!(said_at, [first]);
        }
    }

    #[test]
    fn small_uploads_that_end_and_uploads_of_several_rows_are_none() {
        let mut watch = KeyPerRow::default();
        for n in 0..1_000 {
            watch.rows(1);
            watch.opened();
            assert_eq!(watch.suspicion(true), None, "upload {n}");
            if n % 99 == 98 {
                watch.ended();
            }
        }
        watch.ended();
        for n in 0..1_000 {
            watch.rows(2);
            watch.opened();
            assert_eq!(watch.suspicion(true), None, "upload {n}");
        }
    }
}

//! Rows of a file as they will be published, until they are in a block.

use crate::source::csv::{ROW_BYTES_MAX, write_quoted};

/// Rows as they will be published, and where each ends.
#[derive(Default)]
pub(super) struct Ready {
    text: Vec<u8>,
    rows: Vec<ReadyRow>,
    /// Rows that went into a block.
    taken: usize,
}

struct ReadyRow {
    end: usize,
    is_json: bool,
}

impl Ready {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
        self.taken = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The next row with its line end, and whether it is JSON that nobody could read.
    pub(super) fn peek(&self) -> Option<(&[u8], bool)> {
        let ReadyRow { end, is_json } = *self.rows.get(self.taken)?;
        let start = if self.taken == 0 { 0 } else { self.rows[self.taken - 1].end };
        Some((&self.text[start..end], is_json))
    }

    /// The row that was looked at is in a block.
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// A row of CSV.
    pub(super) fn push(&mut self, row: &[u8]) {
        let start = self.text.len();
        if row.len() > ROW_BYTES_MAX {
            // One line that is too big for every reader, from the beginning of a row that is.
            write_quoted(&row[..=ROW_BYTES_MAX], &mut self.text);
            self.join_lines(start);
        } else {
            self.text.extend_from_slice(row);
        }
        self.end_row(false);
    }

    /// A row of JSON that cannot be read.
    pub(super) fn push_unread(&mut self, row: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(&row[..row.len().min(ROW_BYTES_MAX + 1)]);
        if row.len() > ROW_BYTES_MAX {
            self.join_lines(start);
        }
        self.end_row(true);
    }

    fn join_lines(&mut self, start: usize) {
        let row = &mut self.text[start..];
        row.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }

    fn end_row(&mut self, is_json: bool) {
        self.text.push(b'\n');
        self.rows.push(ReadyRow { end: self.text.len(), is_json });
    }
}

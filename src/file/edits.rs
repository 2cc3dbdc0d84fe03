//! Changes to a file by a person before it is published: columns that are left out, rows that are corrected.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::reader::Block;
use crate::source::csv::{Fields, Rows, is_blank, write_row};

/// The changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    /// Columns that are published, by their number from 0; `None`: all.
    pub(super) kept: Option<Vec<usize>>,
    /// Fields of corrected rows, those of the columns that are published. Rows count from 1 as they would without corrections.
    pub(super) corrected: BTreeMap<u64, Vec<String>>,
    /// Rows so far.
    rows: u64,
}

impl Edits {
    /// The next block with the changes. A row that becomes empty is left out, like a blank line. A row with broken quotes keeps all of its
    /// fields, so that its rejection shows the row as it came.
    pub(super) fn apply(&mut self, block: Block, delimiter: u8) -> Block {
        let next = self.rows + 1..=self.rows + u64::from(block.rows);
        // Text that stays JSON is not a row of fields: the source says what is wrong with it.
        if block.is_json || self.kept.is_none() && self.corrected.range(next).next().is_none() {
            self.rows += u64::from(block.rows);
            return block;
        }
        let mut text = Vec::with_capacity(block.text.len());
        let (mut fields, mut written) = (Fields::default(), 0);
        let mut rows = Rows::new(&block.text, delimiter, None);
        while let Some(row) = rows.next_row(&mut fields) {
            let start = text.len();
            let kept = self
                .kept
                .as_ref()
                .filter(|kept| row.defect.is_none() && kept.last().is_none_or(|last| *last < fields.len()));
            if let Some(kept) = kept {
                let cells = || kept.iter().map(|column| fields.get(*column, &block.text));
                if cells().all(is_blank) {
                    continue;
                }
                write_row(cells(), delimiter, &mut text);
            } else {
                text.extend_from_slice(row.bytes);
            }
            self.rows += 1;
            if let Some(cells) = self.corrected.get(&self.rows) {
                text.truncate(start);
                if cells.iter().all(|cell| is_blank(cell.as_bytes())) {
                    continue;
                }
                write_row(cells.iter().map(String::as_bytes), delimiter, &mut text);
            }
            text.push(b'\n');
            written += 1;
        }
        Block { text: Bytes::from(text), rows: written, ..block }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(edits: &Edits, blocks: &[&str]) -> (String, u32) {
        let mut edits = edits.clone();
        let (mut all, mut rows) = (String::new(), 0);
        for text in blocks {
            let block = Block {
                first_row: 1,
                rows: text.lines().count() as u32,
                text: Bytes::from((*text).to_owned()),
                is_json: false,
            };
            let edited = edits.apply(block, b';');
            all += std::str::from_utf8(&edited.text).expect("text");
            rows += edited.rows;
        }
        (all, rows)
    }

    #[test]
    fn columns_are_left_out_and_rows_corrected() {
        let mut edits = Edits { kept: Some(vec![0, 2]), ..Edits::default() };
        let blocks = ["a;b;\"c;d\"\n1;2;3\n", ";x;\ny\n7;8;9\n"];
        assert_eq!(apply(&edits, &blocks), ("a;\"c;d\"\n1;3\ny\n7;9\n".to_owned(), 4));
        edits.corrected =
            [(2, vec!["one; two".to_owned(), "3".to_owned()]), (3, vec![]), (4, vec!["7".to_owned(), "0".to_owned()])]
                .into();
        assert_eq!(apply(&edits, &blocks), ("a;\"c;d\"\n\"one; two\";3\n7;0\n".to_owned(), 3));
        let none = Edits { corrected: [(99, vec![])].into(), ..Edits::default() };
        assert_eq!(apply(&none, &["a;b\n"]), ("a;b\n".to_owned(), 1));
    }
}

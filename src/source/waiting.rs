//! Rows that came before the header they are read with is known, as they came.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::Offset;
use crate::source::csv::{Fields, Rows};

/// Rows of one upload that wait.
pub(super) const ROWS_MAX: u64 = 10_000;
/// Bytes of one upload that wait.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Bytes that wait in all uploads of a partition.
pub(super) const ALL_BYTES_MAX: usize = 64 << 20;
/// Rows that are looked at before a header of one column is believed.
pub(super) const DOUBT_ROWS: u64 = 100;
/// What a waiting record is reckoned to take beside its text.
const OVERHEAD_BYTES: usize = 128;

/// Where rows come from: the record, and the place of the first of them in it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) offset: Offset,
    pub(super) key: Option<Bytes>,
    pub(super) attempt: Option<Arc<str>>,
    pub(super) traceparent: Option<Arc<str>>,
    /// `ss-row` of the record.
    pub(super) first_row: Option<u64>,
    /// Rows of the record that came before.
    pub(super) line: u32,
}

/// Records that wait, in log order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) records: Vec<(Origin, Bytes)>,
    pub(super) rows: u64,
    pub(super) bytes: usize,
}

impl Waiting {
    /// Keeps its own copy of the text, so that a small row does not hold a large fetch in memory.
    pub(super) fn push(&mut self, origin: Origin, text: &[u8], delimiter: u8, fields: &mut Fields) {
        let rows = count_rows(text, delimiter, fields);
        if rows == 0 {
            return;
        }
        self.rows += rows;
        self.bytes += text.len() + OVERHEAD_BYTES;
        self.records.push((origin, Bytes::copy_from_slice(text)));
    }

    /// True when more than 90 % of the first [`DOUBT_ROWS`] rows hold the byte too.
    pub(super) fn speaks_for(&self, guess: u8, delimiter: u8, fields: &mut Fields) -> bool {
        let (mut seen, mut holding) = (0, 0);
        for (_, text) in &self.records {
            let mut rows = Rows::new(text, delimiter, None);
            while let Some(row) = rows.next_row(fields) {
                if !row.blank && seen < DOUBT_ROWS {
                    seen += 1;
                    holding += u64::from(row.bytes.contains(&guess));
                }
            }
        }
        holding * 10 > seen * 9
    }
}

fn count_rows(text: &[u8], delimiter: u8, fields: &mut Fields) -> u64 {
    let mut rows = Rows::new(text, delimiter, None);
    let mut count = 0;
    while let Some(row) = rows.next_row(fields) {
        count += u64::from(!row.blank);
    }
    count
}

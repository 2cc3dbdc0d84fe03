//! Rows that came before their header is known, as they came.

use bytes::Bytes;

use crate::record::{Offset, SourcePlace};
use crate::source::csv::{Fields, Rows};
use crate::source::row_format::RowFormat;

/// Rows of one upload that wait.
pub(super) const ROWS_MAX: u64 = 10_000;
/// Bytes of one upload that wait.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Bytes that wait in all uploads of a partition.
pub(super) const ALL_BYTES_MAX: usize = 64 << 20;
/// Rows that are looked at before a header of one column is believed.
pub(super) const DOUBT_ROWS: u64 = 100;
/// Estimated bytes of a waiting record beside its text.
const OVERHEAD_BYTES: usize = 128;

/// Where rows come from: the record, and the place of the first of them in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) offset: Offset,
    pub(super) key: Option<&'a Bytes>,
    pub(super) attempt: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    /// Where the record was passed on from.
    pub(super) passed_from: Option<&'a SourcePlace>,
    /// `ss-row` of the record.
    pub(super) first_row: Option<u64>,
    /// Rows of the record that came before.
    pub(super) line: u32,
    /// How they are written.
    pub(super) format: RowFormat,
}

/// Records that wait, in log order.
#[derive(Debug, Default)]
pub(super) struct HeaderlessRows {
    pub(super) records: Vec<WaitingRecord>,
    pub(super) rows: u64,
    pub(super) bytes: usize,
}

/// A record that waits. It owns what it holds, so that a small row does not keep a large fetch in memory.
#[derive(Debug)]
pub(super) struct WaitingRecord {
    offset: Offset,
    key: Option<Bytes>,
    attempt: Option<Box<str>>,
    traceparent: Option<Box<str>>,
    passed_from: Option<Box<SourcePlace>>,
    first_row: Option<u64>,
    line: u32,
    format: RowFormat,
    pub(super) text: Box<[u8]>,
}

impl WaitingRecord {
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            offset: self.offset,
            key: self.key.as_ref(),
            attempt: self.attempt.as_deref(),
            traceparent: self.traceparent.as_deref(),
            passed_from: self.passed_from.as_deref(),
            first_row: self.first_row,
            line: self.line,
            format: self.format,
        }
    }
}

impl HeaderlessRows {
    pub(super) fn push(&mut self, origin: Origin<'_>, text: &[u8], rows: u64) {
        self.rows += rows;
        self.bytes += text.len() + OVERHEAD_BYTES;
        self.records.push(WaitingRecord {
            offset: origin.offset,
            key: origin.key.map(|key| Bytes::copy_from_slice(key)),
            attempt: origin.attempt.map(Box::from),
            traceparent: origin.traceparent.map(Box::from),
            passed_from: origin.passed_from.cloned().map(Box::new),
            first_row: origin.first_row,
            line: origin.line,
            format: origin.format,
            text: text.into(),
        });
    }

    /// First record that waits.
    pub(super) fn since(&self) -> Option<Offset> {
        self.records.first().map(|record| record.offset)
    }

    /// True when more than 90 % of the first [`DOUBT_ROWS`] rows hold the byte too.
    pub(super) fn speaks_for(&self, guess: u8, fields: &mut Fields) -> bool {
        let (mut seen, mut holding) = (0, 0);
        for record in &self.records {
            let RowFormat::Csv(delimiter) = record.format else { continue };
            let mut rows = Rows::new(&record.text, delimiter, None);
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

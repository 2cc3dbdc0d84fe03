//! Rows: the columns of a batch, the place of each row in its upload, and how cells are read.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;

use super::{Concern, CoordinateForm, Lang, Offset, Rejection, SourcePlace, UploadId};

/// The place of a row in its upload; the order in which rows are written.
///
/// With `ss-row` it is `(index, 0)`; otherwise `(offset, line within the record)`. Rows of one upload use one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct RowKey {
    /// `ss-row` (1-based), or the record's offset.
    pub index: u64,
    /// 0, or the 0-based row within the record.
    pub line: u32,
}

/// Of one `reproject` map with a choice: which of its CRS pair's operations rows of an upload went through, counted from 0.
pub type UsedOperations = BTreeSet<u16>;

/// Rows of one upload that arrived together: equally long columns plus what each row needs to be accounted for.
///
/// A row that failed or was filtered out stays in its place (its cells may be empty strings or NaN) and its fate is in `rejected` or
/// `filtered`: the aggregate needs every row for order, count and checksum.
#[derive(Debug)]
pub struct RowBatch {
    /// Whose rows these are.
    pub upload: UploadId,
    /// `ss-attempt` of all of these rows.
    pub attempt: Option<Arc<str>>,
    /// CRS of their coordinates, if the upload has its own.
    pub crs: Option<Arc<str>>,
    /// How their coordinates are written.
    pub coordinates: CoordinateForm,
    /// Whether the upload asks for a link to the place of each row.
    pub map_link: bool,
    /// W3C `traceparent` of the first record that carried one.
    pub traceparent: Option<Arc<str>>,
    /// True when the rows carry `ss-row`.
    pub numbered: bool,
    /// Column names as published, before any map.
    pub header: Arc<[String]>,
    /// Source columns as Utf8, computed ones as Float64; one array element a row.
    pub columns: RecordBatch,
    /// Type of each column of `columns`.
    pub types: Arc<[ColumnType]>,
    /// Order key of each row; not necessarily ascending when `numbered`.
    pub keys: Vec<RowKey>,
    /// Offset of the record each row came in.
    pub offsets: Vec<Offset>,
    /// The rows as CSV in UTF-8: as published, or rows of JSON written as CSV.
    pub raw: RawRows,
    /// The delimiter of `raw`.
    pub delimiter: u8,
    /// The rows as published, where that is something else.
    pub published: Option<RawRows>,
    /// Rows that failed so far: (row in this batch, why), ascending by row, at most one entry a row.
    pub rejected: Vec<(u32, Rejection)>,
    /// Rows that a filter took out so far, ascending; none of them failed.
    pub filtered: Vec<u32>,
    /// Of each `reproject` map so far: which of its CRS pair's operations each row went through, counted from 0. Empty where there is no
    /// choice.
    pub operations: Vec<Vec<Option<u16>>>,
    /// Rows whose place a `reproject` map found far outside the area of use of its target CRS, ascending.
    pub distant: Vec<u32>,
    /// Rows that have no coordinates where a `reproject` map takes some, ascending.
    pub unplaced: Vec<u32>,
    /// Record keys, run-length coded: (first row of the run, key).
    pub record_keys: Vec<(u32, Option<Bytes>)>,
    /// Where records were passed on from, run-length coded as their keys are; empty where none was.
    pub passed_from: Vec<(u32, SourcePlace)>,
}

impl RowBatch {
    /// Number of rows, whatever their fate.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
    /// Number of rows that neither failed nor were filtered out.
    pub fn live_len(&self) -> usize {
        self.len() - self.rejected.len() - self.filtered.len()
    }
    /// Rows that neither failed nor were filtered out, ascending: those that a map works on.
    pub fn live_rows(&self) -> impl Iterator<Item = u32> {
        let mut rejected = self.rejected.iter().map(|(row, _)| *row).peekable();
        let mut filtered = self.filtered.iter().copied().peekable();
        (0..self.len() as u32)
            .filter(move |row| rejected.next_if_eq(row).is_none() && filtered.next_if_eq(row).is_none())
    }
    /// Row `row` as it was published.
    pub fn published(&self, row: usize) -> &[u8] {
        self.published.as_ref().unwrap_or(&self.raw).get(row)
    }
    /// Adds fates found by one node. `found` is ascending by row; a row that had failed already keeps its first reason, unless the new one
    /// is about the whole upload: rows that failed do not hide it.
    pub fn reject(&mut self, found: Vec<(u32, Rejection)>) {
        if self.rejected.is_empty() {
            self.rejected = found;
            return;
        }
        self.rejected.extend(found);
        // Stable: the earlier node's reason stays in front.
        self.rejected.sort_by_key(|(row, why)| (*row, why.reason.concern() != Concern::Upload));
        self.rejected.dedup_by_key(|(row, _)| *row);
    }
    /// Takes rows out. `found` is ascending, and all of them are live.
    pub fn filter_out(&mut self, found: Vec<u32>) {
        self.filtered.extend(found);
        self.filtered.sort_unstable(); // two ascending runs
    }
    /// Names the node behind the fates that have none yet, and counts them.
    pub fn attribute_to(&mut self, node: &Arc<str>) -> usize {
        let found = self.rejected.iter_mut().filter(|(_, rejection)| rejection.node.is_none());
        found.map(|(_, rejection)| rejection.node = Some(Arc::clone(node))).count()
    }
    /// Key of the record that row `row` came in.
    pub fn record_key(&self, row: u32) -> Option<&Bytes> {
        run_of(&self.record_keys, row)?.as_ref()
    }
    /// Where the record that row `row` came in was passed on from.
    pub fn passed_from(&self, row: u32) -> Option<&SourcePlace> {
        run_of(&self.passed_from, row)
    }
}

/// The value of the run that a row is in.
fn run_of<T>(runs: &[(u32, T)], row: u32) -> Option<&T> {
    let run = runs.partition_point(|(first, _)| *first <= row);
    Some(&runs.get(run.checked_sub(1)?)?.1)
}

/// Whether `column` is the column `name` that a map adds: it gives way to one of the file, as `name_2` and so on.
pub fn is_added_as(column: &str, name: &str) -> bool {
    let number = column.strip_prefix(name).and_then(|rest| rest.strip_prefix('_'));
    column == name || number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Row texts one behind the other, each followed by LF: the very bytes that the upload's checksum covers.
#[derive(Clone, Debug, Default)]
pub struct RawRows {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl RawRows {
    /// Appends one row, without line end.
    pub fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.bytes.push(b'\n');
        self.ends.push(u32::try_from(self.bytes.len()).expect("a batch is smaller than 4 GiB"));
    }
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// Row `row` without its line end.
    pub fn get(&self, row: usize) -> &[u8] {
        let range = self.span(row..row + 1);
        &range[..range.len() - 1]
    }
    /// Rows `rows` with their line ends, as the checksum reads them.
    pub fn span(&self, rows: Range<usize>) -> &[u8] {
        let at = |row: usize| if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[at(rows.start)..at(rows.end)]
    }
    /// Bytes held.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }
}

/// How a column looks in the first page of a sheet: what its width and the place of its name follow from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ColumnLook {
    /// Characters of the widest cell; Hangul and Han count 2.
    pub width: u16,
    /// Whether a cell is a number, or a day.
    pub has_numbers: bool,
    /// Whether a cell is something else.
    pub has_texts: bool,
}

/// The least and the greatest number in a column of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NumberRange {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The most decimals that a number of the column is shown with.
    pub decimals: u8,
}

/// How the cells of a column are read and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ColumnType {
    /// Decided cell by cell: a plain number of at most 15 digits is a number, anything else stays text.
    Auto,
    /// A finite decimal number; anything else rejects the row.
    Number,
    /// A whole number.
    Integer,
    /// `YYYY-MM-DD` (also `.` or `/` between, or `YYYYMMDD`).
    Date,
    /// A date, `T` or a blank, and `HH:MM[:SS]`.
    DateTime,
    /// `true/false`, `yes/no`, `y/n`, `1/0` in any case.
    Boolean,
    /// Text, byte for byte.
    Text,
    /// Computed by a map: Float64 rounded to this many decimals. A row that did not fail never contains NaN.
    Computed {
        /// Decimals that are kept.
        decimals: u8,
    },
    /// The address of a web page, which is shown as a link.
    Link {
        /// Language of the text that is shown in its place.
        lang: Lang,
    },
}

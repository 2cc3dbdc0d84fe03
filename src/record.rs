//! The nouns of the stream: records, uploads, rows, markers, and why a row was refused. Imports no sibling.

mod lang;
mod messages;
mod reason;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use lang::Lang;
pub use messages::{
    AnyOf, Area, Binary, Delimiter, EarlierHeader, Hint, IdPlace, Message, MissingRows, Names, Nearest, OpenAttempt,
    Place, Quoted,
};
pub use reason::{Concern, Reason, reasons_markdown};

/// A position in a partition. `Offset(n)` as a bound means "everything below n".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset right behind this one.
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// One partition of one topology: the unit of work, of state and of recovery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Name of the topology, which is the application id.
    pub topology: Arc<str>,
    /// Partition of its source topic.
    pub partition: i32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topology, self.partition)
    }
}

/// Who an upload is, as its publisher named it. Data only: never a path, a metric label or a log format.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Arc<str>);

impl UploadId {
    /// Any text is an id, the empty one too (an anonymous upload).
    pub fn new(id: impl Into<Arc<str>>) -> UploadId {
        UploadId(id.into())
    }
    /// The id as its publisher wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// First 16 bytes of SHA-256 of the id: what state uses as a key and a file name.
    pub fn hash(&self) -> UploadHash {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        UploadHash(hash)
    }
}

impl std::borrow::Borrow<str> for UploadId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// Fixed-size stand-in for an [`UploadId`] in keys and file names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadHash(pub [u8; 16]);

impl fmt::Display for UploadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UploadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One record of a topic, as a transport hands it over.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Where it stands in its partition.
    pub offset: Offset,
    /// Milliseconds since 1970 as the log says; -1 and nonsense are possible and harmless.
    pub timestamp_ms: i64,
    /// Record key.
    pub key: Option<Bytes>,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; names may repeat, values may be null.
    pub headers: Vec<Header>,
}

/// A record header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Header name.
    pub name: Box<str>,
    /// Header value, null allowed.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a text value.
    pub fn new(name: &str, value: impl Into<Bytes>) -> Header {
        Header { name: name.into(), value: Some(value.into()) }
    }
}

/// What the source makes of records, in log order for each upload.
#[derive(Debug)]
pub enum StreamElement {
    /// Rows of one upload.
    Rows(RowBatch),
    /// A control record of one upload.
    Marker(MarkerRecord),
    /// The source found out that this upload cannot be read (no header, wrong delimiter, two headers).
    Failed {
        /// The upload to end as `FAILED`.
        upload: UploadId,
        /// Where it was found out.
        offset: Offset,
        /// Why, and what to do.
        rejection: Rejection,
    },
    /// No header came for the rows of this upload within the idle timeout. All of its rows and, where there were any, its
    /// [`StreamElement::Failed`] came before this; nothing more is waited for.
    Expired {
        /// The upload that ends, if it failed.
        upload: UploadId,
    },
    /// A record that belongs to no upload or cannot be read at all; it goes to the dead letters.
    Refused {
        /// The record, whatever could be read of it.
        record: Record,
        /// Upload it would belong to, if it said so.
        upload: Option<UploadId>,
        /// Why.
        rejection: Rejection,
    },
}

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

/// Rows of one upload that arrived together: equally long columns plus what each row needs to be accounted for.
///
/// A row that failed stays in its place (its cells are empty strings or NaN) and its fate stands in `rejected`: the aggregate needs every
/// row for order, count and checksum.
#[derive(Debug)]
pub struct RowBatch {
    /// Whose rows these are.
    pub upload: UploadId,
    /// `ss-attempt` of all of these rows.
    pub attempt: Option<Arc<str>>,
    /// CRS of their coordinates, if the upload has its own.
    pub crs: Option<Arc<str>>,
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
    /// The rows as published, in UTF-8.
    pub raw: RawRows,
    /// Rows that failed so far: (row in this batch, why), ascending by row, at most one entry a row.
    pub rejected: Vec<(u32, Rejection)>,
    /// Record keys, run-length coded: (first row of the run, key).
    pub record_keys: Vec<(u32, Option<Bytes>)>,
}

impl RowBatch {
    /// Number of rows, failed ones included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
    /// Adds fates found by one node. `found` is ascending by row; a row that had failed already keeps its first reason.
    pub fn reject(&mut self, found: Vec<(u32, Rejection)>) {
        if self.rejected.is_empty() {
            self.rejected = found;
            return;
        }
        self.rejected.extend(found);
        self.rejected.sort_by_key(|(row, _)| *row); // stable: the earlier node's reason stays in front
        self.rejected.dedup_by_key(|(row, _)| *row);
    }
    /// Names the node behind the fates that have none yet, and counts them.
    pub fn blame(&mut self, node: &Arc<str>) -> usize {
        let found = self.rejected.iter_mut().filter(|(_, rejection)| rejection.node.is_none());
        found.map(|(_, rejection)| rejection.node = Some(Arc::clone(node))).count()
    }
    /// Key of the record that row `row` came in.
    pub fn record_key(&self, row: u32) -> Option<&Bytes> {
        let run = self.record_keys.partition_point(|(first, _)| *first <= row);
        self.record_keys.get(run.checked_sub(1)?)?.1.as_ref()
    }
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
    /// Computed by a map: Float64 rounded to this many decimals; NaN never stands in a row that did not fail.
    Computed {
        /// Decimals that are kept.
        decimals: u8,
    },
}

/// A control record of an upload.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkerRecord {
    /// Whose marker it is.
    pub upload: UploadId,
    /// Where it stands.
    pub offset: Offset,
    /// What it says.
    pub marker: Marker,
    /// `ss-attempt`, if it carries one.
    pub attempt: Option<Arc<str>>,
    /// The record's key, for dead letters.
    pub key: Option<Bytes>,
    /// The record's value, for dead letters.
    pub value: Option<Bytes>,
}

/// What a publisher says of an upload before its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// `ss-name`: the file's name.
    pub name: Option<Arc<str>>,
    /// `ss-rows`: how many rows will come, as far as it knows. For those who watch; the end-of-file marker decides.
    pub rows: Option<u64>,
    /// `ss-crs`: the CRS of its coordinates, where that is not the topology's.
    pub crs: Option<Arc<str>>,
}

impl Announcement {
    /// Takes over what only `other` says. Rows may have been read under the CRS already, so that it stays.
    pub fn complete(&mut self, other: &Announcement) {
        self.name = self.name.take().or_else(|| other.name.clone());
        self.rows = self.rows.or(other.rows);
    }
}

/// What a marker says.
#[derive(Clone, Debug, PartialEq)]
pub enum Marker {
    /// An attempt begins; rows of an older one are void.
    Begin(Announcement),
    /// Column names.
    Header(Arc<[String]>),
    /// The rows are complete.
    Eof {
        /// Number of data rows, if the publisher knows it.
        rows: Option<u64>,
        /// SHA-256 of the rows, each followed by LF.
        sha256: Option<[u8; 32]>,
        /// `partitions=1`: the publisher vouches that an anonymous upload stands in one partition.
        partitions: Option<u32>,
    },
    /// The publisher gives the upload up.
    Abort,
}

/// Why a row, a record or an upload did not make it, with one sentence for the person who has to mend it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// The code of the message, stable over releases.
    pub reason: Reason,
    /// Column at fault, if one is.
    pub column: Option<Arc<str>>,
    /// What was found and what to do; may quote the offending value.
    pub message: Box<Message>,
    /// Node that found it, once [`RowBatch::blame`] was told.
    pub node: Option<Arc<str>>,
}

impl Rejection {
    /// A rejection that concerns no single column.
    pub fn new(message: Message) -> Rejection {
        Rejection { reason: message.reason(), column: None, message: Box::new(message), node: None }
    }
    /// The same, with its message as the reason of another one.
    pub fn because(self, message: impl FnOnce(Box<Message>) -> Message) -> Rejection {
        let Rejection { column, node, .. } = self;
        Rejection { column, node, ..Rejection::new(message(self.message)) }
    }
    /// Names the column at fault.
    pub fn in_column(mut self, column: impl Into<Arc<str>>) -> Rejection {
        self.column = Some(column.into());
        self
    }
}

/// The name of a worksheet as Excel accepts it: 1 to 31 UTF-16 units, none of `[]:*?/\`, no apostrophe at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SheetName(Arc<str>);

impl SheetName {
    /// Longest name, in UTF-16 code units (ECMA-376 part 1, 18.2.19; enforced by Excel).
    pub const UNITS_MAX: usize = 31;

    /// The name, if Excel accepts it as it is.
    pub fn parse(name: &str) -> Option<SheetName> {
        let units = name.encode_utf16().count();
        let forbidden = |c: char| matches!(c, '[' | ']' | ':' | '*' | '?' | '/' | '\\') || c.is_control();
        let ok = (1..=Self::UNITS_MAX).contains(&units)
            && !name.contains(forbidden)
            && !name.starts_with('\'')
            && !name.ends_with('\'');
        ok.then(|| SheetName(name.into()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SheetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

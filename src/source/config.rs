//! The source of a topology, proven.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::page::forms::CellForm;
use crate::record::{ColumnType, Rejection};
use crate::source::budget::RejectedMax;
use crate::source::charset::Charset;

/// Uploads of a partition that may be open at once where the topology says nothing else.
pub const OPEN_UPLOADS_MAX: u32 = 10_000;

/// The source of a topology.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// Topic; the first one where there are several.
    pub topic: Arc<str>,
    /// The partitions that the rows of an upload may lie in.
    pub placement: Placement,
    /// Where column names come from; a header marker beats both.
    pub header: HeaderFrom,
    /// Column types by name; a column that is not named is [`ColumnType::Auto`].
    pub columns: BTreeMap<String, ColumnType>,
    /// How cells are written, by column name, where that is not the plain form of the type.
    pub forms: BTreeMap<String, CellForm>,
    /// Where the upload id comes from.
    pub upload: UploadFrom,
    /// Which spellings of markers are read.
    pub markers: Markers,
    /// How rows are written.
    pub format: Format,
    /// A key of a JSON row that is no column is left out instead of rejecting the row (`unknown_keys = "ignore"`).
    pub ignores_unknown_keys: bool,
    /// Charset of rows that come without word of another one; without it a topic is UTF-8, and that of a file is found.
    pub encoding: Option<Charset>,
    /// Field delimiter, an ASCII byte; without one a topic has commas, and that of a file is found.
    pub delimiter: Option<u8>,
    /// Whether column names are compared byte for byte (`names = "exact"`) instead of cleaned, see [`clean_name`](super::clean_name).
    pub exact_names: bool,
    /// Lines of a file above its header.
    pub skip_lines: u32,
    /// Rows of CSV have backslash escapes, and `\N` is blank (`escape = "backslash"`).
    pub backslash_escapes: bool,
    /// A stray quote or text behind a closing one is kept as text instead of rejecting the row (`quotes = "lenient"`).
    pub lenient_quotes: bool,
    /// A short row is filled with empty fields, surplus empty fields are dropped (`field_count = "pad"`).
    pub pad_fields: bool,
    /// Texts that mean no value: a cell that is one of them is empty.
    pub blank: Arc<[String]>,
    /// A row that sums up others is rejected instead of being kept as any other row (`totals = "reject"`).
    pub rejects_totals: bool,
    /// A cell `="0012"` is the text inside, in every column (`excel_text = true`).
    pub excel_text: bool,
    /// Characters that XML forbids are taken out instead of rejecting the row (`control = "strip"`).
    pub strip_control: bool,
    /// A cell above 32,767 characters is cut instead of rejecting the row (`long_cells = "truncate"`).
    pub truncate_cells: bool,
    /// The effect of a rejected row.
    pub on_error: OnError,
    /// The most rejected rows of an upload; more fail it.
    pub rejected_max: Option<RejectedMax>,
    /// Silence after which an open upload is given up.
    pub idle_timeout: Duration,
    /// Uploads of a partition that may be open at once; another one is turned away.
    pub open_uploads_max: u32,
    /// The effect of an end-of-file marker with a count or checksum that is not met.
    pub incomplete: Incomplete,
    /// How long an end-of-file marker without a count waits for rows that it came before.
    pub eof_settle: Duration,
    /// By how much clocks of publishers differ at most; without it, nothing is decided by their timestamps alone.
    pub clock_tolerance: Option<Duration>,
    /// Columns that the nodes behind it cannot do without, each by all names it may have. A header is recognized by them.
    pub needed: Arc<[Vec<String>]>,
}

impl SourceConfig {
    /// Columns, and sheets, for which every open upload has room.
    pub const PARTS_OF_EACH: usize = 16;
    /// Room for columns, and for sheets, that all open uploads of a partition have at least.
    const PARTS_MIN: usize = 1 << 16;

    /// Columns, each header counted once, and sheets that all open uploads of a partition may have together.
    pub fn parts_open_max(&self) -> usize {
        (self.open_uploads_max as usize * SourceConfig::PARTS_OF_EACH).max(SourceConfig::PARTS_MIN)
    }

    /// Numbers of rows that came before their turn that all open uploads of a partition may have together. Neighbours are one number.
    pub fn numbers_open_max(&self) -> usize {
        4 * self.parts_open_max()
    }

    /// The source for a topic with all defaults.
    pub fn of_topic(topic: &str) -> SourceConfig {
        SourceConfig {
            node: "rows".into(),
            topic: topic.into(),
            placement: Placement::Keyed,
            header: HeaderFrom::First,
            columns: BTreeMap::new(),
            forms: BTreeMap::new(),
            upload: UploadFrom::Auto,
            markers: Markers::All,
            format: Format::Auto,
            ignores_unknown_keys: false,
            encoding: None,
            delimiter: None,
            exact_names: false,
            skip_lines: 0,
            backslash_escapes: false,
            lenient_quotes: false,
            pad_fields: false,
            blank: Arc::new([]),
            rejects_totals: false,
            excel_text: false,
            strip_control: false,
            truncate_cells: false,
            on_error: OnError::Continue,
            rejected_max: None,
            idle_timeout: Duration::from_secs(24 * 3_600),
            open_uploads_max: OPEN_UPLOADS_MAX,
            incomplete: Incomplete::Hold,
            eof_settle: Duration::from_secs(2),
            clock_tolerance: None,
            needed: Arc::new([]),
        }
    }

    /// All topics that rows come from.
    pub fn topics(&self) -> &[Arc<str>] {
        match &self.placement {
            Placement::Keyed => std::slice::from_ref(&self.topic),
            Placement::Spread(spread) => &spread.topics,
        }
    }

    /// The topic that uploads are read from: that of the rows, or the one that brings them together.
    pub fn upload_topic(&self) -> &Arc<str> {
        match &self.placement {
            Placement::Keyed => &self.topic,
            Placement::Spread(spread) => &spread.repartition_topic,
        }
    }

    /// Whether an upload without a header marker begins with the names of its columns.
    pub(super) fn takes_first_row(&self) -> bool {
        self.header == HeaderFrom::First
    }

    /// Why an upload with this header has no column that the nodes behind the source need; `None` if it has all.
    pub(super) fn missing_in(&self, header: &[String]) -> Option<Rejection> {
        let missing = self.needed.iter().find(|needed| !needed.iter().any(|name| header.contains(name)))?;
        Some(Rejection::column_missing(missing, header.iter().map(String::as_str)))
    }

    /// The delimiter of rows that come without word of another one.
    pub fn topic_delimiter(&self) -> u8 {
        self.delimiter.unwrap_or(b',')
    }
}

/// The partitions that the rows of an upload may lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In one partition, as a record key has it.
    Keyed,
    /// In any partition of the topics.
    Spread(Spread),
}

/// Topics of rows that may lie in any partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Where rows come from.
    pub topics: Arc<[Arc<str>]>,
    /// The topic that brings the rows of an upload together.
    pub repartition_topic: Arc<str>,
}

/// Where column names come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderFrom {
    /// The first row of each upload.
    First,
    /// The topology.
    Declared(Arc<[String]>),
}

/// Where the upload id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadFrom {
    /// Header `ss-upload`, else the key, else anonymous.
    Auto,
    /// The record key.
    Key,
    /// This header.
    Header(Arc<str>),
    /// One upload after the other in each partition, whatever the keys.
    Partition,
}

/// Which spellings of markers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markers {
    /// Headers and text.
    All,
    /// Headers only; a value that looks like a marker is data.
    Headers,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON where a value is a JSON object or array; else CSV.
    Auto,
    /// CSV, whatever a value looks like.
    Csv,
    /// JSON.
    Json,
}

/// The effect of a rejected row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It goes to the dead letters, and the upload continues.
    Continue,
    /// It fails its upload.
    Fail,
}

/// The effect of an end-of-file marker with a count or checksum that is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// Wait for the missing rows until the idle timeout.
    Hold,
    /// Publish what is there, flagged.
    Emit,
    /// Fail at once.
    Fail,
}

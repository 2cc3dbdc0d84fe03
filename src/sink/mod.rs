//! The outputs of a topology: workbooks in chunks, status, dead letters.

mod about;
pub mod chunk;
pub mod dead_letter;
pub mod digest;
mod errors;
mod formats;
pub mod output;
mod package;
pub mod points;
pub mod preview;
mod sheet;
mod sheet_lists;
pub mod sheet_names;
mod skeleton;
pub mod status;
mod summary;
pub mod words;
pub mod workbook;
pub mod zip;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::crs::CrsPair;
use crate::record::{
    Accounting, ColumnLook, ColumnType, CoordinateForm, Extras, Message, NumberRange, Offset, Titles, UploadHash,
    UploadId, UsedOperations,
};
use crate::state::keys::PageState;

pub use crate::record::Lang;

/// The sink of a topology.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// Topic of the workbooks.
    pub topic: Arc<str>,
    /// Partitions for `topics create`.
    pub partitions: Option<i32>,
    /// Largest record value; a larger workbook is sent in chunks.
    pub record_bytes_max: usize,
    /// Topic of the status records and the ledger.
    pub status_topic: Arc<str>,
    /// Topic of the dead letters.
    pub dead_letter_topic: Arc<str>,
    /// How workbooks look.
    pub workbook: WorkbookConfig,
}

/// How workbooks look.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkbookConfig {
    /// The header row stays in sight.
    pub freeze_header: bool,
    /// The header row has filter buttons.
    pub autofilter: bool,
    /// Cells carry their reference (`r="A2"`); some readers need it.
    pub cell_refs: bool,
    /// The *About* sheet (and its map of sheet names) is part of the workbook.
    pub about: bool,
    /// The first sheet is *Summary*: the sheets, their rows, and the extent of their coordinates.
    pub summary: bool,
    /// Columns of whose numbers *Summary* shows the least and the greatest as well.
    pub summary_numbers: Vec<String>,
    /// Language of *Summary*, *About* and *Errors*.
    pub lang: Lang,
}

/// What *About* says of the topology; the same for all of its workbooks.
#[derive(Clone, Debug, PartialEq)]
pub struct AboutFacts {
    /// Name of the topology.
    pub topology: Arc<str>,
    /// Its hash.
    pub topology_hash: Arc<str>,
    /// The CRS pairs of its reproject maps, in order.
    pub crs: Vec<Arc<CrsPair>>,
    /// The columns that its last reproject map adds, x first.
    pub coordinates: Option<[String; 2]>,
    /// The hosts that the links of rows lead to.
    pub links: Vec<String>,
    /// The host that those lead to which an upload asks for.
    pub link_on_request: Option<String>,
}

/// A complete upload: all that its workbook follows from.
#[derive(Clone, Debug)]
pub struct CompleteUpload {
    /// The upload.
    pub upload: UploadId,
    /// Its revision, from 1.
    pub revision: u32,
    /// Source name for *About*: `ss-name`, else the id, else the topology's name.
    pub source_name: String,
    /// Key of its records.
    pub key: Option<Bytes>,
    /// `traceparent`.
    pub traceparent: Option<Arc<str>>,
    /// Columns of every sheet, in order.
    pub columns: Arc<[(String, ColumnType)]>,
    /// Sheets in workbook order, each with its pages in order. At least one: an upload without rows has one empty sheet.
    pub sheets: Vec<CompleteSheet>,
    /// Columns of its rows as published.
    pub header: Arc<[String]>,
    /// The first 10,000 rejected rows, by row.
    pub errors: Vec<RejectedRow>,
    /// CRS of its own, if its publisher announced one.
    pub crs: Option<Arc<str>>,
    /// What its publisher asks for beside what the topology gives.
    pub extras: Extras,
    /// How its coordinates are written.
    pub coordinates: CoordinateForm,
    /// Names that columns have in the workbook only.
    pub titles: Arc<Titles>,
    /// The CRS pairs of that CRS; `None` means those of the topology.
    pub pairs: Option<Vec<Arc<CrsPair>>>,
    /// Of each pair, in order: the operations that rows went through.
    pub operations: Vec<UsedOperations>,
    /// Counts.
    pub accounting: Accounting,
    /// SHA-256 of the rows.
    pub rows_sha256: [u8; 32],
    /// True when count or checksum were not met and the topology says `emit`.
    pub incomplete: bool,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the record that completed it.
    pub completion_offset: Offset,
}

impl CompleteUpload {
    /// The name of a column in the workbook.
    fn title<'a>(&'a self, name: &'a str) -> &'a str {
        self.titles.get(name).map_or(name, String::as_str)
    }
}

/// A row that was rejected, as its workbook lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedRow {
    /// 1-based number of the data row.
    pub row: u64,
    /// Column at fault.
    pub column: Option<String>,
    /// Why.
    pub message: Message,
    /// Its fields, under the columns as published; more or fewer where that is what is wrong.
    pub cells: Vec<String>,
}

/// A sheet of a complete upload.
#[derive(Clone, Debug)]
pub struct CompleteSheet {
    /// The value that names it, as published.
    pub value: String,
    /// Pages in order. A page never crosses a multiple of [`SHEET_ROWS_MAX`] rows of its sheet.
    pub pages: Vec<CompletePage>,
    /// How each column looks in the first page.
    pub looks: Vec<ColumnLook>,
    /// The range of the numbers of each column, where *Summary* is wanted.
    pub ranges: Vec<Option<NumberRange>>,
}

/// Columns of a worksheet (Excel's limit).
const COLUMNS_MAX: usize = 16_384;
/// Data rows that fit one worksheet below its header row (Excel's 1,048,576 rows).
pub const SHEET_ROWS_MAX: u64 = 1_048_575;

/// A page and where its bytes are.
#[derive(Clone, Debug)]
pub enum CompletePage {
    /// In the upload's segment.
    Stored(UploadHash, PageState),
    /// In memory: the last page of a sheet, cut at completion.
    Inline(Arc<crate::page::CutPage>),
}

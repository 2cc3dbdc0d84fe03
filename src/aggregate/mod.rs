//! Rows keyed by sheet: order, counts, completion, pages. One instance is one partition's open uploads and its ledger.

pub mod accounting;
pub mod completion;
pub mod order;

use std::sync::Arc;

/// What the topology says of its aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// What names a row's sheet.
    pub sheet: SheetKey,
    /// Order of the sheets in the workbook.
    pub sheet_order: SheetOrder,
    /// Sheets above this fail the upload.
    pub sheets_max: u32,
}

/// What names a row's sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SheetKey {
    /// The value of a column.
    Column(String),
    /// A template: literal text and columns by turns, `"{city} {kind}"`.
    Template(Vec<TemplatePart>),
}

/// A piece of a sheet template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it stands.
    Literal(String),
    /// The value of a column.
    Column(String),
}

/// Order of the sheets in the workbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetOrder {
    /// By their first row.
    First,
    /// By name, in code point order.
    Name,
}

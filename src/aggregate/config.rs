//! The settings of an aggregate.

use std::fmt;
use std::sync::Arc;

use super::reorder::MemoryLimits;
use super::siblings::Siblings;
use crate::page::Styles;
use crate::record::{TaskId, TemplatePart};
use crate::source::SourceConfig;

/// The aggregate of a topology.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// How a row gets the name of its sheet.
    pub sheet: SheetKey,
    /// Order of the sheets in the workbook.
    pub sheet_order: SheetOrder,
    /// Sheets above this fail the upload.
    pub sheets_max: u32,
}

/// What names a row's sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SheetKey {
    /// The topic that the row came from.
    Topic,
    /// The value of a column.
    Column(String),
    /// A template: literal text and columns by turns, `"{city} {kind}"`.
    Template(Vec<TemplatePart>),
}

impl fmt::Display for SheetKey {
    /// As the topology file has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SheetKey::Topic => f.write_str("topic"),
            SheetKey::Column(column) => f.write_str(column),
            SheetKey::Template(parts) => parts.iter().try_for_each(|part| part.fmt(f)),
        }
    }
}

/// Order of the sheets in the workbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetOrder {
    /// By their first row.
    First,
    /// By name, in code point order.
    Name,
}

/// The settings of an aggregate.
#[derive(Clone, Debug)]
pub struct AggregateSettings {
    /// The aggregate's own configuration.
    pub aggregate: Arc<AggregateConfig>,
    /// Configuration of the source that feeds it: errors, idle timeout, incomplete uploads.
    pub source: Arc<SourceConfig>,
    /// The task: topology and partition.
    pub task: TaskId,
    /// Hash of the topology.
    pub topology_hash: Arc<str>,
    /// Partitions of the source topic; `None` where there are none, as for a file.
    pub partition_count: Option<i32>,
    /// The tasks of the other partitions.
    pub siblings: Siblings,
    /// How much of its rows is held in memory.
    pub limits: MemoryLimits,
    /// The places of cell styles in the workbook.
    pub styles: Styles,
    /// Whether cells carry their reference.
    pub cell_refs: bool,
    /// Whether the ranges of numbers are wanted of every upload.
    pub ranges: bool,
}

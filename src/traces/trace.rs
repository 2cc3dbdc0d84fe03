//! The trace of one upload as data: its stages and its attributes.

use std::time::{Duration, SystemTime};

use super::context::TraceContext;

/// A stage on the way of rows; each is a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The maps work on the columns of rows.
    Map,
    /// Rows are put in order and written to the pages of their sheets.
    Pages,
    /// The workbook is put together from its pages.
    Assemble,
    /// The workbook is sent and acknowledged.
    Publish,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Map => "map",
            Stage::Pages => "pages",
            Stage::Assemble => "assemble",
            Stage::Publish => "publish",
        }
    }
}

/// A stage of one upload: its first and last moment, and how much of the time between it worked.
#[derive(Clone, Copy, Debug)]
pub(super) struct StageSpan {
    pub(super) stage: Stage,
    pub(super) begun: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) busy: Duration,
}

/// An upload that has ended.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) context: TraceContext,
    pub(super) begun: SystemTime,
    pub(super) read_to: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) stages: Vec<StageSpan>,
    pub(super) failure: Option<String>,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// Value of an attribute.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Count(u64),
}

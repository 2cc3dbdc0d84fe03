//! Rows of open pages that are read again after a restart. Numbered rows may come in any order, so they are collected until all are there.

use std::collections::BTreeMap;

/// The rows so far.
#[derive(Debug, Default)]
pub(super) struct RestoredRows {
    /// By index, in the form in which rows wait.
    pub(super) rows: BTreeMap<u64, Vec<u8>>,
    /// Indexes that waited and were counted already: the rows had failed, or were filtered out.
    pub(super) settled: Vec<u64>,
}

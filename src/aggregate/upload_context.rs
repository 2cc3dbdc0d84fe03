//! The settings, limits and outputs that an upload uses while it takes rows.

use super::config::AggregateSettings;
use super::context::AggregateContext;
use super::page_queue::PageQueue;
use super::reorder::MemoryLimits;

/// Everything that an upload shares with the others of its task.
pub(super) struct UploadContext<'d, 'c> {
    pub(super) settings: &'d AggregateSettings,
    pub(super) queue: &'d mut PageQueue,
    pub(super) limits: MemoryLimits,
    /// Numbers of waiting rows that the task's other uploads remember.
    pub(super) numbers_elsewhere: usize,
    /// Sheets of the task's other uploads.
    pub(super) sheets_elsewhere: usize,
    pub(super) ctx: &'d mut AggregateContext<'c>,
}

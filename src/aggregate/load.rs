//! What open uploads weigh in their task: what goes to disk for it, and when a commit is due for it.

use std::ops::{AddAssign, SubAssign};

use super::segment::scratch_segment;
use super::{Aggregate, AggregateContext};
use crate::state::StateError;

/// Entries of the state that are enough for one commit.
pub(super) const COMMIT_ENTRIES: usize = 1 << 16;
/// Bytes of rejected rows that are.
const COMMIT_BYTES: usize = 8 << 20;

/// What an upload holds in memory, and what of it the next commit has to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Bytes of rows in open pages.
    pub(super) open: usize,
    /// Bytes of rows that wait for a lower index.
    pub(super) waiting: usize,
    /// Numbers of such rows that are remembered.
    pub(super) numbers: usize,
    /// Sheets.
    pub(super) sheets: usize,
    /// Entries that the state does not have yet.
    pub(super) unsaved: usize,
    /// Bytes of the rejected rows among them.
    pub(super) unsaved_bytes: usize,
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Load) {
        self.open += other.open;
        self.waiting += other.waiting;
        self.numbers += other.numbers;
        self.sheets += other.sheets;
        self.unsaved += other.unsaved;
        self.unsaved_bytes += other.unsaved_bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Load) {
        self.open -= other.open;
        self.waiting -= other.waiting;
        self.numbers -= other.numbers;
        self.sheets -= other.sheets;
        self.unsaved -= other.unsaved;
        self.unsaved_bytes -= other.unsaved_bytes;
    }
}

impl Aggregate {
    /// Whether so much is new that it should not become more before it is committed.
    pub fn is_heavy(&self) -> bool {
        self.load.unsaved >= COMMIT_ENTRIES || self.load.unsaved_bytes >= COMMIT_BYTES
    }

    /// Sends rows to the disk, those of the largest uploads first, when all uploads together hold too many of them in memory.
    pub(super) fn make_room(&mut self, ctx: &mut AggregateContext) -> Result<(), StateError> {
        self.spill_open(ctx)?;
        self.spill_waiting(ctx)
    }

    fn spill_open(&mut self, ctx: &mut AggregateContext) -> Result<(), StateError> {
        for least in [4 << 10, 512, 1] {
            if self.load.open <= self.limits.open {
                return Ok(());
            }
            for upload in self.open.values_mut() {
                let before = upload.attempt.sheets.bytes_in_memory();
                upload.attempt.sheets.spill(least, scratch_segment(upload.hash), ctx.store)?;
                self.load.open -= before - upload.attempt.sheets.bytes_in_memory();
            }
        }
        Ok(())
    }

    /// Uploads with few rows in memory come last: each time makes a run on the disk, and many runs of few rows are slow to merge.
    fn spill_waiting(&mut self, ctx: &mut AggregateContext) -> Result<(), StateError> {
        for least in [64 << 10, 4 << 10, 1] {
            if self.load.waiting <= self.limits.task {
                return Ok(());
            }
            for upload in self.open.values_mut().filter(|upload| upload.attempt.waiting.bytes() >= least) {
                let before = upload.attempt.waiting.bytes();
                upload.attempt.waiting.spill(scratch_segment(upload.hash), ctx.store)?;
                self.load.waiting -= before - upload.attempt.waiting.bytes();
            }
        }
        Ok(())
    }
}

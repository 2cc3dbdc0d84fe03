//! Divides `--memory-max`: a fixed part for the process, a part for open uploads as the topologies allow them, and an equal share of the
//! rest for each task.

use crate::aggregate::MemoryLimits;

/// The process itself with PROJ's database and the cache of the state, one record batch that is unpacked, and HTTP.
const FIXED_BYTES: u64 = 128 << 20;
/// Memory of an open upload of a row or two.
const UPLOAD_BYTES: u64 = 4 << 10;
/// A share below this would only make work.
const SHARE_BYTES_MIN: usize = 512 << 10;
/// The least that can be divided.
pub const MEMORY_BYTES_MIN: u64 = 192 << 20;

/// The memory that one task may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Bytes of records that were fetched and wait.
    pub(super) fetched: usize,
    /// Bytes of outputs that no broker has acknowledged.
    pub(super) unacknowledged: u32,
    /// Rows that wait for a lower index, and rows in open pages; beyond it they go to disk.
    pub(super) rows: MemoryLimits,
}

impl Share {
    /// Where no limit is set.
    pub(super) const MOST: Share = Share { fetched: 8 << 20, unacknowledged: 16 << 20, rows: MemoryLimits::BEST };

    /// The share of one of `tasks`, which may have `uploads` open together: a quarter each for what is fetched, waits, is in open pages,
    /// and is on its way out.
    pub(super) fn of(memory_max: Option<u64>, tasks: u64, uploads: u64) -> Share {
        let Some(memory_max) = memory_max else { return Share::MOST };
        let rest = memory_max.saturating_sub(FIXED_BYTES + uploads * UPLOAD_BYTES);
        let quarter = usize::try_from(rest / tasks.max(1) / 4).unwrap_or(usize::MAX);
        let within = |most: usize| quarter.clamp(SHARE_BYTES_MIN, most);
        let MemoryLimits { upload, task, open } = Share::MOST.rows;
        Share {
            fetched: within(Share::MOST.fetched),
            unacknowledged: u32::try_from(within(Share::MOST.unacknowledged as usize)).unwrap_or(u32::MAX),
            rows: MemoryLimits { upload: within(upload), task: within(task), open: within(open) },
        }
    }

    /// Memory of all tasks and uploads together, if each has the least share.
    pub(super) fn bytes_needed(tasks: u64, uploads: u64) -> u64 {
        FIXED_BYTES + uploads * UPLOAD_BYTES + 4 * tasks * SHARE_BYTES_MIN as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_no_more_than_there_is() {
        assert_eq!(Share::of(None, 7, 70_000), Share::MOST);
        for (memory_max, tasks, uploads) in [(256 << 20, 1, 10_000), (512 << 20, 12, 12_000), (8 << 30, 3, 30_000)] {
            let share = Share::of(Some(memory_max), tasks, uploads);
            let Share { fetched, unacknowledged, rows } = share;
            let each = (fetched + unacknowledged as usize + rows.task + rows.open) as u64;
            assert!(FIXED_BYTES + uploads * UPLOAD_BYTES + tasks * each <= memory_max, "{share:?}");
            assert!(Share::bytes_needed(tasks, uploads) <= memory_max);
        }
        let least = Share::of(Some(MEMORY_BYTES_MIN), 100, 1_000_000);
        assert_eq!((least.fetched, least.rows.open), (SHARE_BYTES_MIN, SHARE_BYTES_MIN));
        assert_eq!(Share::of(Some(1 << 40), 1, 1), Share::MOST);
    }
}

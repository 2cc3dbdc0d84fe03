//! Settings of a state directory.

use std::time::Duration;

/// How a state directory is kept.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// Every commit reaches the disk before it is acknowledged (`syncfs`), so that state survives a power cut; about a third slower. Without
    /// it a commit survives the process, and after a power cut the state is rebuilt.
    pub power_safe: bool,
    /// Free space below which commits are refused with [`super::StateError::DiskFull`], in bytes.
    pub min_free_bytes: u64,
    /// Longest time to open the directory, to read a task's values and for one sync.
    pub open_limit: Duration,
    /// Longest time for one write to the index.
    pub call_limit: Duration,
}

impl Default for StateOptions {
    fn default() -> StateOptions {
        StateOptions {
            power_safe: false,
            min_free_bytes: 256 << 20,
            open_limit: Duration::from_secs(30),
            call_limit: Duration::from_secs(10),
        }
    }
}

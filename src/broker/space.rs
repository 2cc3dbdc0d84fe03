//! Counts the bytes that the broker holds, and limits them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The budget of all logs together.
#[derive(Debug)]
pub(super) struct Space {
    limit: u64,
    used: AtomicU64,
}

impl Space {
    pub(super) fn new(limit: u64) -> Space {
        Space { limit, used: AtomicU64::new(0) }
    }
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.used() + bytes <= self.limit
    }
    pub(super) fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }
    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
    /// More than nine tenths are taken.
    pub(super) fn is_scarce(&self) -> bool {
        self.used() > self.limit / 10 * 9
    }
    /// How long a producer waits before it may send again: nothing while there is room, a second at the limit.
    pub(super) fn throttle(&self) -> Duration {
        let tenth = (self.limit / 10).max(1);
        let scarce = self.used().saturating_sub(self.limit - tenth).min(tenth);
        Duration::from_millis(scarce.saturating_mul(1_000) / tenth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_wait_longer_the_fuller_it_is() {
        let space = Space::new(1_000);
        for (taken, wait) in [(900, 0), (50, 500), (50, 1_000), (100, 1_000)] {
            space.take(taken);
            assert_eq!(space.throttle(), Duration::from_millis(wait));
        }
        space.give_back(300);
        assert!(space.has_room(200) && !space.has_room(201) && !space.is_scarce());
    }
}

//! Removes state of tasks that have not been ours for a while: they moved to another process, or nobody runs their topology here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::record::TaskId;
use crate::state::StateDir;
use crate::state::keys::TaskHash;

/// How often state is looked for that is no longer needed.
const EVERY: Duration = Duration::from_secs(10);

/// State of tasks that are not ours, since when that has been seen, and when it was looked for.
pub(super) struct StateCleanup {
    delay: Duration,
    orphaned: BTreeMap<TaskHash, Instant>,
    looked_at: Instant,
}

impl StateCleanup {
    /// Removes state that nobody has needed for `delay`.
    pub(super) fn new(delay: Duration) -> StateCleanup {
        StateCleanup { delay, orphaned: BTreeMap::new(), looked_at: Instant::now() }
    }

    /// Looks, if it is time to. `ours` are the tasks that need their state.
    pub(super) fn look(&mut self, state: &StateDir, now: Instant, ours: impl Iterator<Item = TaskId>) {
        let StateCleanup { delay, orphaned, looked_at } = self;
        if now.duration_since(*looked_at) < EVERY.min(*delay) {
            return;
        }
        *looked_at = now;
        let ours: BTreeSet<TaskHash> = ours.map(|id| TaskHash::of(&id)).collect();
        let found = match state.tasks() {
            Ok(found) => found,
            Err(error) => return warn!(%error, "state that is no longer needed cannot be looked for"),
        };
        orphaned.retain(|task, _| found.contains(task) && !ours.contains(task));
        for task in found.difference(&ours) {
            let since = *orphaned.entry(*task).or_insert(now);
            if now.duration_since(since) < *delay {
                continue;
            }
            match state.remove(*task) {
                Ok(()) => info!(state = %task, "state of a task that has not been ours for a while is removed"),
                Err(error) => warn!(state = %task, %error, "state that is no longer needed cannot be removed"),
            }
        }
    }
}

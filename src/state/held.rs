//! A state directory that is open: what its handle and the stores of its tasks share. How it is opened, and what of it is thrown away,
//! is decided in `directory`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::RebuildReason;
use super::keys::TaskHash;
use super::lock::DirectoryLock;
use super::manifest::Manifest;
use super::open_files::OpenFiles;
use super::options::StateOptions;
use super::store_thread::StoreThread;

/// The open directory of this process.
#[derive(Debug)]
pub(super) struct HeldDirectory {
    pub(super) thread: StoreThread, // first: it ends before the lock is given up
    pub(super) files: Arc<OpenFiles>,
    pub(super) root: PathBuf,
    pub(super) manifest: Mutex<Manifest>,
    pub(super) options: StateOptions,
    pub(super) rebuilds: Rebuilds,
    pub(super) distrusted: Distrusted,
    pub(super) _lock: DirectoryLock,
}

/// Tasks of which a page turned out to be damaged when it was read. Opening a state reads no page, so it would be read again and again.
#[derive(Debug, Default)]
pub(super) struct Distrusted(Mutex<BTreeSet<TaskHash>>);

impl Distrusted {
    pub(super) fn add(&self, task: TaskHash) {
        self.tasks().insert(task);
    }
    /// Whether the state of a task has to go; asked once.
    pub(super) fn take(&self, task: TaskHash) -> bool {
        self.tasks().remove(&task)
    }
    fn tasks(&self) -> MutexGuard<'_, BTreeSet<TaskHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often state was thrown away, by reason.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    counts: Mutex<BTreeMap<RebuildReason, u64>>,
}

impl Rebuilds {
    /// Counts and reports state that is thrown away.
    pub(super) fn count(&self, reason: RebuildReason, what: &str) {
        tracing::warn!(reason = reason.code(), what, "local state cannot be trusted and is rebuilt from the log");
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(super) fn counts(&self) -> BTreeMap<RebuildReason, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! The state directory of a process: its lock, its manifest, its one store thread. It decides which state is thrown away; [`SledStore`]
//! keeps the state of one task.
//!
//! ```text
//! MANIFEST   who made it, whether it can be trusted     index/                       small values of all tasks (sled)
//! LOCK       who has it open                            pages/<task>/<upload>.segment  page bytes
//! bad-<n>/   the last index that broke
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::held::{Distrusted, HeldDirectory, Rebuilds};
use super::index_writer::IndexWriter;
use super::keys::TaskHash;
use super::lock::DirectoryLock;
use super::manifest::{self, Found, INDEX, Manifest, PAGES};
use super::open_files::OpenFiles;
use super::options::StateOptions;
use super::store_thread::StoreThread;
use super::{RebuildReason, SledStore, StateError};
use crate::record::TaskId;

/// Room on the file system of a state directory.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that it has in all.
    pub size_bytes: u64,
    /// Bytes that have to stay free for commits to be taken.
    pub wanted_bytes: u64,
}

/// Bytes that are free for us on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, StateError> {
    let system = rustix::fs::statvfs(path).map_err(std::io::Error::from)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// A state directory that this process holds. Dropped without [`StateDir::close`] it is left as after a crash: nothing that was
/// acknowledged is lost, as long as the machine stays up.
#[derive(Debug)]
pub struct StateDir {
    held: Arc<HeldDirectory>,
}

impl StateDir {
    /// Opens or makes the directory at `path`. State of ours that cannot be trusted is thrown away, with a warning and a count in
    /// [`StateDir::rebuilds`]; a directory of somebody else, of a newer version, or in use is an error and stays as it is.
    pub fn open(path: impl AsRef<Path>, options: StateOptions) -> Result<StateDir, StateError> {
        let root = path.as_ref().to_owned();
        manifest::prepare(&root)?;
        Manifest::load(&root)?; // a foreign directory does not even get a lock file
        let lock = DirectoryLock::take(&root)?;

        let rebuilds = Rebuilds::default();
        let mut manifest = match Manifest::load(&root)? {
            Found::Nothing => Manifest::new(),
            Found::Sound(manifest) => manifest.reopened(),
            Found::Doubtful(reason, what) => {
                rebuilds.count(reason, &what);
                throw_away(&root, reason)?;
                Manifest::new()
            }
        };
        manifest.clean = false;
        manifest.power_safe &= options.power_safe;
        manifest.failed_opens += 1;
        manifest.save(&root)?;

        let files = Arc::new(OpenFiles::default());
        let start = || {
            let (root, files, options) = (root.clone(), files.clone(), options.clone());
            StoreThread::start(move |watchdog| IndexWriter::open(root, files, options, watchdog))
        };
        let thread = match start() {
            Err(error @ (StateError::Damaged(_) | StateError::Hung { .. })) => {
                let hung = matches!(error, StateError::Hung { .. });
                let reason = if hung { RebuildReason::Hung } else { RebuildReason::Damaged };
                rebuilds.count(reason, &error.to_string());
                throw_away(&root, reason)?;
                start()?
            }
            started => started?,
        };
        manifest.power_safe = options.power_safe;
        manifest.failed_opens = 0;
        manifest.save(&root)?;
        let (manifest, distrusted) = (Mutex::new(manifest), Distrusted::default());
        let held = HeldDirectory { thread, files, root, manifest, options, rebuilds, distrusted, _lock: lock };
        Ok(StateDir { held: Arc::new(held) })
    }

    /// The store of one task, to be open once at a time. `fingerprint` names everything that shapes what is stored: the hash of the
    /// topology, the product's version, the page format. State with another fingerprint, or that contradicts itself, is thrown away.
    pub fn task(&self, task: &TaskId, fingerprint: &str) -> Result<SledStore, StateError> {
        let hash = TaskHash::of(task);
        let dir = self.held.root.join(PAGES).join(hash.to_string());
        SledStore::open(self.held.clone(), hash, dir, fingerprint)
    }

    /// The room on its file system.
    pub fn space(&self) -> Result<Space, StateError> {
        let wanted_bytes = self.held.options.min_free_bytes;
        let system = rustix::fs::statvfs(&self.held.root).map_err(std::io::Error::from)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        Ok(Space { free_bytes: bytes(system.f_bavail), size_bytes: bytes(system.f_blocks), wanted_bytes })
    }

    /// Every task that the directory has state of.
    pub fn tasks(&self) -> Result<BTreeSet<TaskHash>, StateError> {
        let mut tasks = self.held.thread.call(IndexWriter::tasks)?;
        match std::fs::read_dir(self.held.root.join(PAGES)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries? {
                    tasks.extend(entry?.file_name().to_str().and_then(TaskHash::parse));
                }
            }
        }
        Ok(tasks)
    }

    /// Removes the state of a task whose store is not open.
    pub fn remove(&self, task: TaskHash) -> Result<(), StateError> {
        self.held.thread.call(move |writer| writer.clear(task))?;
        manifest::remove(&self.held.root.join(PAGES).join(task.to_string()))
    }

    /// How often state was thrown away since [`StateDir::open`], and why.
    pub fn rebuilds(&self) -> BTreeMap<RebuildReason, u64> {
        self.held.rebuilds.counts()
    }

    /// Brings everything to the disk and marks the directory clean, so that it is trusted even after the machine went down. Its stores
    /// are of no use afterwards.
    pub fn close(&self) -> Result<(), StateError> {
        self.held.thread.call(IndexWriter::close)?;
        let mut manifest = self.held.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        manifest.clean = true;
        manifest.save(&self.held.root)
    }
}

/// Removes the pages, and puts the index aside or, where nothing can be learned from it, removes it too.
fn throw_away(root: &Path, reason: RebuildReason) -> Result<(), StateError> {
    match reason {
        RebuildReason::Damaged | RebuildReason::Hung => manifest::set_index_aside(root)?,
        RebuildReason::PowerLoss | RebuildReason::Format | RebuildReason::Topology => {
            manifest::remove(&root.join(INDEX))?
        }
    }
    manifest::remove(&root.join(PAGES))
}

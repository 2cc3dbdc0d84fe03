//! The work of the store thread: the order of a commit, the guard against a full disk, and the end of an index that cannot be trusted.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::contained::contain;
use super::keys::TaskHash;
use super::manifest::{self, INDEX};
use super::open_files::OpenFiles;
use super::options::StateOptions;
use super::sled::{Index, IndexError, TaskChanges, TaskIndex};
use super::watchdog::Watchdog;
use super::{Entry, StateError};

/// Dirty segments up to which each is synced for itself; above, one sync of the file system is cheaper.
const SYNCED_ONE_BY_ONE_MAX: usize = 4;
/// Free bytes without which the index is not touched at all. Commits that free segments may use up the rest of the reserve.
const RESERVE_BYTES: u64 = 16 << 20;

/// A commit of many entries may take longer than others, by so much for each.
const APPLY_EACH: Duration = Duration::from_micros(50);

/// A task's commit on its way to the disk.
#[derive(Debug)]
pub(super) struct Commit {
    /// Generation of the index that the task knows.
    pub(super) epoch: u64,
    /// Entries.
    pub(super) changes: TaskChanges,
    /// Segments with new pages.
    pub(super) segments: Vec<PathBuf>,
    /// The directory in which some of them were born, if any were.
    pub(super) births: Option<PathBuf>,
    /// Bytes of entries. New pages have taken their room already.
    pub(super) bytes: u64,
    /// Whether segments are unlinked after it, or after a commit that it makes possible.
    pub(super) frees: bool,
}

/// The index of a state directory, and the only place that writes it.
pub(super) struct IndexWriter {
    root: PathBuf,
    root_file: File,
    files: Arc<OpenFiles>,
    options: StateOptions,
    watchdog: Arc<Watchdog>,
    index: Slot,
    /// Rises when the index is replaced: a task that knows an older one must not write into its successor.
    epoch: u64,
}

enum Slot {
    Open(Index),
    Broken(String),
    Closed,
}

impl IndexWriter {
    /// Opens the index in the state directory `root`.
    pub(super) fn open(
        root: PathBuf,
        files: Arc<OpenFiles>,
        options: StateOptions,
        watchdog: Arc<Watchdog>,
    ) -> Result<IndexWriter, StateError> {
        let root_file = File::open(&root)?;
        let mut writer = IndexWriter { root, root_file, files, options, watchdog, index: Slot::Closed, epoch: 0 };
        writer.space(RESERVE_BYTES.min(writer.options.min_free_bytes))?;
        writer.open_index()?;
        if writer.options.power_safe {
            writer.sync_filesystem()?; // what an earlier run without it left in the page cache
        }
        Ok(writer)
    }

    /// Commits of different tasks, each with its answer.
    ///
    /// 1. Space. 2. Pages reach the disk. 3. One atomic batch says where they are. 4. The batch reaches the kernel, and with `power_safe`
    ///    the disk. Only then is anything acknowledged, so that an entry implies its page.
    pub(super) fn commit(&mut self, group: Vec<Commit>) -> Vec<Result<(), StateError>> {
        let mut answers: Vec<_> = group.iter().map(|commit| self.admit(commit)).collect();
        let admitted: Vec<_> =
            group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(c, _)| c).collect();
        if admitted.is_empty() {
            return answers;
        }
        if let Err(error) = self.write(&admitted) {
            answers.iter_mut().filter(|answer| answer.is_ok()).for_each(|answer| *answer = Err(again(&error)));
        }
        answers
    }

    /// The index of a task, checked, and the generation of the index.
    pub(super) fn task(&mut self, task: TaskHash) -> Result<(TaskIndex, u64), StateError> {
        Ok((self.engine("verify", self.options.open_limit, |index| index.verify(task))?, self.epoch))
    }

    /// A task's small values.
    pub(super) fn scan(&mut self, epoch: u64, task: TaskHash, prefix: &[u8]) -> Result<Vec<Entry>, StateError> {
        self.same_index(epoch)?;
        self.engine("scan", self.options.open_limit, |index| index.scan(task, prefix))
    }

    /// Every task that the index has entries of.
    pub(super) fn tasks(&mut self) -> Result<BTreeSet<TaskHash>, StateError> {
        self.engine("tasks", self.options.open_limit, Index::tasks)
    }

    /// Forgets a task. An index that is broken is replaced by an empty one. Returns the generation to continue with.
    pub(super) fn clear(&mut self, task: TaskHash) -> Result<u64, StateError> {
        let cleared = self.engine("clear", self.options.open_limit, |index| {
            index.clear(task)?;
            index.flush()
        });
        if let (Err(_), Slot::Broken(_)) = (&cleared, &self.index) {
            manifest::set_index_aside(&self.root)?;
            self.open_index()?;
            self.epoch += 1;
            return Ok(self.epoch);
        }
        cleared.map(|()| self.epoch)
    }

    /// Brings everything to the disk and closes the index.
    pub(super) fn close(&mut self) -> Result<(), StateError> {
        self.engine("flush", self.options.call_limit, Index::flush)?;
        self.end();
        self.sync_filesystem()
    }

    /// Closes the index without promises.
    pub(super) fn end(&mut self) {
        let slot = std::mem::replace(&mut self.index, Slot::Closed);
        let closed = self.watchdog.during("close", self.options.open_limit, || contain(|| drop(slot)));
        if let Err(panic) = closed {
            tracing::warn!(panic = text(&*panic), "state index panicked when it was closed");
        }
    }

    fn open_index(&mut self) -> Result<(), StateError> {
        let path = self.root.join(INDEX);
        let open = || contain(|| Index::open(&path));
        match self.watchdog.during("open", self.options.open_limit, open) {
            Ok(Ok(index)) => {
                self.index = Slot::Open(index);
                Ok(())
            }
            Ok(Err(IndexError::Engine(what) | IndexError::Task(what))) => Err(StateError::Damaged(what)),
            Err(panic) => Err(StateError::Damaged(text(&*panic))),
        }
    }

    fn admit(&self, commit: &Commit) -> Result<(), StateError> {
        self.same_index(commit.epoch)?;
        let floor = self.options.min_free_bytes;
        self.space(if commit.frees { RESERVE_BYTES.min(floor) } else { floor.max(4 * commit.bytes) })
    }

    fn same_index(&self, epoch: u64) -> Result<(), StateError> {
        match epoch == self.epoch {
            true => Ok(()),
            false => Err(StateError::Damaged("the index was replaced".to_owned())),
        }
    }

    fn space(&self, wanted: u64) -> Result<(), StateError> {
        let system = rustix::fs::fstatvfs(&self.root_file).map_err(std::io::Error::from)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if free < wanted {
            let dir = self.root.display();
            return Err(StateError::DiskFull(format!(
                "{free} bytes free at {dir}, {wanted} wanted; make room, then processing continues"
            )));
        }
        Ok(())
    }

    fn write(&mut self, group: &[&Commit]) -> Result<(), StateError> {
        fail::fail_point!("state-before-sync", |_| failpoint("state-before-sync"));
        self.sync_pages(group)?;
        fail::fail_point!("state-after-sync", |_| failpoint("state-after-sync"));
        let limit = self.options.call_limit;
        let entries: usize = group.iter().map(|commit| commit.changes.changes.len()).sum();
        let apply_limit = limit + APPLY_EACH * u32::try_from(entries).unwrap_or(u32::MAX);
        self.engine("apply", apply_limit, |index| index.apply(group.iter().map(|commit| &commit.changes)))?;
        fail::fail_point!("state-after-apply", |_| failpoint("state-after-apply"));
        self.engine("flush", limit, Index::flush)?;
        if self.options.power_safe {
            self.sync_filesystem()?;
        }
        fail::fail_point!("state-after-flush", |_| failpoint("state-after-flush"));
        Ok(())
    }

    /// A sync that fails is damage: the kernel has dropped those pages and would report success the next time.
    fn sync_pages(&self, group: &[&Commit]) -> Result<(), StateError> {
        let paths = || group.iter().flat_map(|commit| &commit.segments);
        if paths().count() > SYNCED_ONE_BY_ONE_MAX {
            return self.sync_filesystem();
        }
        let dirs: BTreeSet<_> = group.iter().filter_map(|commit| commit.births.as_ref()).collect();
        let sync = || {
            paths().try_for_each(|path| self.files.existing(path)?.sync_data())?;
            dirs.iter().try_for_each(|dir| File::open(dir)?.sync_all())
        };
        self.watchdog.during("sync", self.options.open_limit, sync).map_err(sync_failed)
    }

    fn sync_filesystem(&self) -> Result<(), StateError> {
        let sync = || manifest::sync_filesystem(&self.root_file);
        self.watchdog.during("syncfs", self.options.open_limit, sync).map_err(sync_failed)
    }

    /// Runs `work` on the index, watched. If sled fails or panics, this index is never called again, not even to be closed.
    fn engine<T>(
        &mut self,
        call: &'static str,
        limit: Duration,
        work: impl FnOnce(&Index) -> Result<T, IndexError>,
    ) -> Result<T, StateError> {
        let index = match &self.index {
            Slot::Open(index) => index,
            Slot::Broken(what) => return Err(StateError::Damaged(what.clone())),
            Slot::Closed => return Err(std::io::Error::other("the state directory is closed").into()),
        };
        let what = match self.watchdog.during(call, limit, || contain(|| work(index))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(IndexError::Task(what))) => return Err(StateError::Damaged(what)),
            Ok(Err(IndexError::Engine(what))) => what,
            Err(panic) => text(&*panic),
        };
        std::mem::forget(std::mem::replace(&mut self.index, Slot::Broken(what.clone())));
        Err(StateError::Damaged(what))
    }
}

fn sync_failed(error: std::io::Error) -> StateError {
    StateError::Damaged(format!("sync failed: {error}"))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// The same error for the next member of a group.
fn again(error: &StateError) -> StateError {
    match error {
        StateError::DiskFull(what) => StateError::DiskFull(what.clone()),
        StateError::Damaged(what) => StateError::Damaged(what.clone()),
        StateError::Io(error) => StateError::Io(std::io::Error::new(error.kind(), error.to_string())),
        other => StateError::Io(std::io::Error::other(other.to_string())),
    }
}

#[cfg(feature = "failpoints")]
fn failpoint(name: &str) -> Result<(), StateError> {
    Err(std::io::Error::other(format!("fail point {name}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::keys::IndexKey;

    const TASK: TaskHash = TaskHash([1; 8]);

    fn writer(dir: &tempfile::TempDir) -> IndexWriter {
        let options = StateOptions { min_free_bytes: 0, power_safe: true, ..StateOptions::default() };
        IndexWriter::open(dir.path().to_owned(), Arc::default(), options, Arc::default()).unwrap()
    }

    fn commit(epoch: u64, value: &[u8]) -> Commit {
        let key = IndexKey::Value(b"key").encode(TASK);
        let changes = [(key, Some(value.to_vec()))].into();
        let changes = TaskChanges { task: TASK, fingerprint: "t".to_owned(), changes };
        Commit { epoch, changes, segments: Vec::new(), births: None, bytes: 0, frees: false }
    }

    fn panics(writer: &mut IndexWriter) -> Result<(), StateError> {
        let limit = Duration::from_secs(10);
        writer.engine("test", limit, |_| std::panic::resume_unwind(Box::new("as sled does")))
    }

    #[test]
    fn index_that_panicked_is_not_called_again_and_replaced_by_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir);
        writer.commit(vec![commit(0, b"value")]).remove(0).unwrap();
        assert!(matches!(panics(&mut writer), Err(StateError::Damaged(what)) if what == "as sled does"));
        assert!(matches!(writer.scan(0, TASK, b""), Err(StateError::Damaged(_))));
        assert!(matches!(writer.commit(vec![commit(0, b"value")]).remove(0), Err(StateError::Damaged(_))));

        let epoch = writer.clear(TASK).unwrap();
        assert_eq!(writer.scan(epoch, TASK, b"").unwrap(), []);
        assert!(dir.path().join("bad-1").is_dir());
    }

    #[test]
    fn task_that_knows_an_older_index_must_not_write_into_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir);
        panics(&mut writer).unwrap_err();
        let epoch = writer.clear(TaskHash([2; 8])).unwrap();

        let mut answers = writer.commit(vec![commit(0, b"stale"), commit(epoch, b"fresh")]).into_iter();
        assert!(matches!(answers.next(), Some(Err(StateError::Damaged(_)))));
        assert!(matches!(answers.next(), Some(Ok(()))));
        assert_eq!(writer.scan(epoch, TASK, b"").unwrap(), [(b"key".to_vec(), b"fresh".to_vec())]);
        assert_eq!(writer.clear(TASK).unwrap(), epoch);
    }

    #[test]
    fn seal_notices_an_entry_that_came_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir);
        writer.commit(vec![commit(0, b"value")]).remove(0).unwrap();
        let mut other = commit(0, b"value");
        other.changes.task = TaskHash([2; 8]); // sealed under another task: for this one it is an entry too many
        other.changes.changes = [(IndexKey::Value(b"lost").encode(TASK), Some(vec![]))].into();
        writer.commit(vec![other]).remove(0).unwrap();
        assert!(matches!(writer.task(TASK), Err(StateError::Damaged(what)) if what.contains("seal")));
    }
}

//! The index: one sled for all tasks, with the means to trust its answers (a CRC on each entry, a seal on each task). Nothing outside
//! this file knows sled, and nothing inside it knows segments or threads.
//!
//! sled 0.34.7 panics, hangs and, after a power cut, forgets. Its content can be lost here: the caller runs every call on a thread that is
//! watched, and throws the index away at the first doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Entry;
use super::id_filter::IdFilter;
use super::keys::{IndexKey, SealState, StateKey, TaskHash, decode, encode, guard, unguard};
use crate::record::UploadHash;

/// Memory for sled's page cache; the entries in use are a few KB for each MB of rows.
const CACHE_BYTES: u64 = 8 << 20;

/// Entries that are cleared in one batch: sled keeps a copy of a leaf for each entry until the batch is done.
const CLEARED_AT_ONCE: usize = 1_024;

/// Entries that are written in one batch, for the same reason. Only thousands of small uploads that are new at once make as many.
const APPLIED_AT_ONCE: usize = 8_192;

/// Longest time for an index that was just closed to give up its lock. Whoever opens one holds the lock of the whole directory, so the
/// other end is ours: a thread of sled's that still has the file, or a child process that has not become its program yet.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Small values of all tasks.
#[derive(Debug)]
pub(super) struct Index {
    db: sled::Db,
}

/// A failure, by how far it reaches.
#[derive(Debug)]
pub(super) enum IndexError {
    /// sled failed: nothing in the index can be trusted any more.
    Engine(String),
    /// The entries of one task contradict each other.
    Task(String),
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> IndexError {
        IndexError::Engine(error.to_string())
    }
}

/// Puts and, with `None`, deletes of one task.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One task's share of an atomic write; keys carry the task's prefix already.
#[derive(Debug)]
pub(super) struct TaskChanges {
    /// Whose entries these are.
    pub(super) task: TaskHash,
    /// The settings that its state is made with.
    pub(super) fingerprint: String,
    /// The entries, without the seal.
    pub(super) changes: Changes,
}

/// The index of a task.
#[derive(Debug, Default)]
pub(super) struct TaskIndex {
    /// The settings that its state was made with; `None` for a task that never committed.
    pub(super) fingerprint: Option<String>,
    /// Committed length of each segment in bytes.
    pub(super) segments: BTreeMap<UploadHash, u64>,
    /// Uploads whose ends it has.
    pub(super) ended: IdFilter,
}

impl Index {
    /// Opens or creates the index in directory `path`.
    pub(super) fn open(path: &Path) -> Result<Index, IndexError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let give_up = Instant::now() + LOCK_PATIENCE;
        loop {
            match config.open() {
                Ok(db) => return Ok(Index { db }),
                Err(error) if is_locked(&error) && Instant::now() < give_up => std::thread::sleep(LOCK_LOOK_EVERY),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads every entry of a task and holds it against the seal.
    pub(super) fn verify(&self, task: TaskHash) -> Result<TaskIndex, IndexError> {
        let mut found = SealState::default();
        let mut seal = None;
        let mut index = TaskIndex::default();
        for entry in self.db.scan_prefix(task.0) {
            let (key, stored) = entry?;
            let (crc, value) = checked(&key, &stored)?;
            match IndexKey::decode(&key) {
                Some(IndexKey::Seal) => seal = Some(decode::<SealState>(value).ok_or_else(|| unreadable(&key))?),
                Some(IndexKey::Segment(upload)) => {
                    let length = value.try_into().map_err(|_| unreadable(&key))?;
                    index.segments.insert(upload, u64::from_be_bytes(length));
                    found.add(crc);
                }
                Some(IndexKey::Value(short)) => {
                    if let Some(StateKey::Ledger(upload)) = StateKey::decode(short) {
                        index.ended.insert(upload);
                    }
                    found.add(crc);
                }
                None => return Err(unreadable(&key)),
            }
        }
        found.fingerprint = seal.as_ref().map(|seal| seal.fingerprint.clone()).unwrap_or_default();
        match seal {
            None if found.entries == 0 => Ok(TaskIndex::default()),
            Some(seal) if seal == found => Ok(TaskIndex { fingerprint: Some(seal.fingerprint), ..index }),
            seal => Err(IndexError::Task(format!("entries {found:?} do not add up to their seal {seal:?}"))),
        }
    }

    /// Every task that has entries.
    pub(super) fn tasks(&self) -> Result<BTreeSet<TaskHash>, IndexError> {
        let mut tasks = BTreeSet::new();
        let mut from = vec![];
        while let Some(entry) = self.db.range(from..).next() {
            let (key, _) = entry?;
            let task = TaskHash(*key.first_chunk::<8>().ok_or_else(|| unreadable(&key))?);
            tasks.insert(task);
            let Some(next) = u64::from_be_bytes(task.0).checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
        Ok(tasks)
    }

    /// A task's small values whose key begins with `prefix`, in key order.
    pub(super) fn scan(&self, task: TaskHash, prefix: &[u8]) -> Result<Vec<Entry>, IndexError> {
        let mut entries = Vec::new();
        for entry in self.db.scan_prefix(IndexKey::Value(prefix).encode(task)) {
            let (key, stored) = entry?;
            let (_, value) = checked(&key, &stored)?;
            let Some(IndexKey::Value(short)) = IndexKey::decode(&key) else { return Err(unreadable(&key)) };
            entries.push((short.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }

    /// Applies the changes of several tasks and renews their seals, those of one task in one atomic batch; more than [`APPLIED_AT_ONCE`] go
    /// in several, the seal in the last: what a crash leaves in between does not add up to it. Not durable before [`Index::flush`].
    pub(super) fn apply<'a>(&self, tasks: impl Iterator<Item = &'a TaskChanges>) -> Result<(), IndexError> {
        let (mut batch, mut size) = (sled::Batch::default(), 0);
        for task in tasks {
            let mut seal = self.seal(task.task)?;
            seal.fingerprint.clone_from(&task.fingerprint);
            if size + task.changes.len() > APPLIED_AT_ONCE {
                self.db.apply_batch(std::mem::take(&mut batch))?;
                size = 0;
            }
            for (key, value) in &task.changes {
                if let Some(old) = self.db.get(key)? {
                    seal.remove(checked(key, &old)?.0);
                }
                match value {
                    None => batch.remove(&key[..]),
                    Some(value) => {
                        let stored = guard(key, value);
                        seal.add(checked(key, &stored)?.0);
                        batch.insert(&key[..], stored);
                    }
                }
                size += 1;
                if size > APPLIED_AT_ONCE {
                    self.db.apply_batch(std::mem::take(&mut batch))?;
                    size = 0;
                }
            }
            let key = IndexKey::Seal.encode(task.task);
            let stored = guard(&key, &encode(&seal));
            batch.insert(key, stored);
        }
        Ok(self.db.apply_batch(batch)?)
    }

    /// Forgets a task, its seal included. Not atomic: what a crash leaves of it does not add up to its seal. Not durable before
    /// [`Index::flush`].
    pub(super) fn clear(&self, task: TaskHash) -> Result<(), IndexError> {
        loop {
            let keys = self.db.scan_prefix(task.0).keys().rev().take(CLEARED_AT_ONCE);
            let mut batch = sled::Batch::default();
            let mut size = 0;
            for key in keys {
                batch.remove(key?);
                size += 1;
            }
            match size {
                0 => return Ok(()),
                _ => self.db.apply_batch(batch)?,
            }
        }
    }

    /// Hands what was applied to the kernel: it survives the process, and the machine with a sync of the file system.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        Ok(())
    }

    fn seal(&self, task: TaskHash) -> Result<SealState, IndexError> {
        let key = IndexKey::Seal.encode(task);
        let Some(stored) = self.db.get(&key)? else { return Ok(SealState::default()) };
        let (_, value) = checked(&key, &stored)?;
        decode(value).ok_or_else(|| unreadable(&key))
    }
}

impl SealState {
    fn add(&mut self, crc: u32) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(u64::from(crc));
    }
    fn remove(&mut self, crc: u32) {
        self.entries = self.entries.saturating_sub(1);
        self.sum = self.sum.wrapping_sub(u64::from(crc));
    }
}

fn checked<'a>(key: &[u8], stored: &'a [u8]) -> Result<(u32, &'a [u8]), IndexError> {
    unguard(key, stored).ok_or_else(|| unreadable(key))
}

/// sled says it in words only.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

fn unreadable(key: &[u8]) -> IndexError {
    IndexError::Task(format!("index entry {key:02x?} is unreadable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(task: TaskHash, entries: std::ops::Range<u32>) -> TaskChanges {
        let entry = |n: u32| (IndexKey::Value(&n.to_be_bytes()).encode(task), Some(n.to_le_bytes().to_vec()));
        TaskChanges { task, fingerprint: "t".to_owned(), changes: entries.map(entry).collect() }
    }

    #[test]
    fn a_commit_of_any_size_adds_up() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let (small, large) = (TaskHash([1; 8]), TaskHash([2; 8]));
        let most = APPLIED_AT_ONCE as u32;
        for entries in [0..3, 1..most, 2..most + 1, 0..3 * most + 7] {
            let group = [changes(small, 0..5), changes(large, entries), changes(small, 5..6)];
            index.apply(group[..2].iter()).unwrap();
            index.apply(group[1..].iter()).unwrap();
            assert_eq!(index.verify(small).unwrap().fingerprint.as_deref(), Some("t"));
            assert_eq!(index.verify(large).unwrap().fingerprint.as_deref(), Some("t"));
        }
        assert_eq!(index.scan(large, b"").unwrap().len(), 3 * most as usize + 7);
        assert_eq!(index.scan(small, b"").unwrap().len(), 6);
    }

    #[test]
    fn an_index_that_is_still_held_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let held = Index::open(dir.path()).unwrap();
        let opening = std::thread::spawn({
            let path = dir.path().to_owned();
            move || Index::open(&path).map(drop)
        });
        std::thread::sleep(10 * LOCK_LOOK_EVERY);
        assert!(!opening.is_finished());
        drop(held);
        opening.join().unwrap().unwrap();
    }
}

//! Local state: a cache of the input. Lost or damaged, it is thrown away and rebuilt from the log; nothing in it is the only copy.

mod contained;
pub mod directory;
mod held;
mod id_filter;
pub mod in_memory;
mod index_writer;
pub mod keys;
mod lock;
mod manifest;
pub mod member;
mod open_files;
mod options;
mod segment;
mod sled;
pub mod sled_store;
mod store_thread;
mod watchdog;

pub use contained::{contain, panics_are_contained};
pub use directory::{Space, StateDir, free_bytes};
pub use id_filter::IdFilter;
pub use in_memory::InMemoryStore;
pub use lock::holder;
pub use manifest::{PAUSED, RebuildReason};
pub use options::StateOptions;
pub use sled_store::SledStore;

use std::path::Path;

use crate::record::UploadHash;
use keys::StateKey;

/// The place of a page in its upload's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PagePosition {
    /// First byte in the segment.
    pub position: u64,
    /// Length in bytes.
    pub length: u32,
    /// CRC-32 (ISO-HDLC) of those bytes, checked on every read.
    pub crc: u32,
}

/// A small value: (key, value).
pub type Entry = (Vec<u8>, Vec<u8>);

/// Puts and deletes that become durable together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    /// (key, value) or, with `None`, a delete; later entries win.
    pub entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Segments of finished uploads, unlinked once the entries are durable.
    pub drop_segments: Vec<UploadHash>,
    /// Uploads have ended, and a later commit drops their segments: this one may use the reserve of the disk as that one may.
    pub ends_uploads: bool,
}

impl WriteBatch {
    /// Adds or replaces a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.entries.push((key, Some(value)));
    }
    /// Removes a value.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.entries.push((key, None));
    }
}

/// The state of one task. Keys are those of [`keys::StateKey`], without the task: an implementation adds its own prefix.
pub trait StateStore: Send {
    /// Small values whose key begins with `prefix`, in key order.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StateError>;
    /// A filter of the uploads whose ends the state has.
    fn ended(&mut self) -> Result<IdFilter, StateError> {
        ended_in(self)
    }
    /// Appends a page to its upload's segment, which is made on first use. Readable at once; durable with the next
    /// [`StateStore::commit`].
    fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError>;
    /// Reads a page and checks its CRC; `into` is cleared first.
    fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError>;
    /// Makes every appended page and then `batch` durable, atomically: on return all of it is on disk, on error or after a
    /// crash either all or nothing of `batch` is.
    fn commit(&mut self, batch: WriteBatch) -> Result<(), StateError>;
    /// Forgets everything of this task, segments included.
    fn clear(&mut self) -> Result<(), StateError>;
    /// Bytes of segments that are held.
    fn bytes(&self) -> u64;
}

/// Looks for the ends that a store has, a part of them at a time.
fn ended_in(store: &(impl StateStore + ?Sized)) -> Result<IdFilter, StateError> {
    let mut ended = IdFilter::default();
    for first in 0..=u8::MAX {
        for (key, _) in store.scan(&[StateKey::LEDGER, first])? {
            StateKey::decode(&key).and_then(|key| key.upload()).into_iter().for_each(|id| ended.insert(id));
        }
    }
    Ok(ended)
}

/// Why state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process holds the directory.
    #[error("state directory {dir} is in use by process {holder}; stop it or give this one another --state-dir")]
    Locked {
        /// The directory.
        dir: String,
        /// Process id, or "unknown".
        holder: String,
    },
    /// The directory cannot be used at all.
    #[error("state directory {dir}: {message}")]
    Unusable {
        /// The directory.
        dir: String,
        /// Why, and what to do.
        message: String,
    },
    /// The state contradicts itself; throw it away and rebuild.
    #[error("state is damaged: {0}")]
    Damaged(String),
    /// The disk is full, or nearly. Nothing was changed; the same call works when there is room again.
    #[error("state disk is full: {0}")]
    DiskFull(String),
    /// A call did not return in time.
    #[error("state call '{call}' did not return within {seconds} s")]
    Hung {
        /// The call.
        call: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// Any other I/O error.
    #[error("state: {0}")]
    Io(#[from] std::io::Error),
}

impl StateError {
    /// A directory that cannot be used, and why.
    fn unusable(dir: &Path, message: String) -> StateError {
        StateError::Unusable { dir: dir.display().to_string(), message }
    }

    /// Distinguishes a full disk (or quota) from other I/O errors.
    fn from_io(error: std::io::Error) -> StateError {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => StateError::DiskFull(error.to_string()),
            _ => StateError::Io(error),
        }
    }
}

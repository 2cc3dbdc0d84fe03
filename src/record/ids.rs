//! Names: positions, partitions, tasks, uploads, worksheets. Each is a type of its own and valid from the edge inwards.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// A position in a partition. `Offset(n)` as a bound means "everything below n".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset right behind this one. There is none behind the last, which only a damaged batch claims to have.
    pub fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A log: the id of a topic, a UUID (KIP-516). A topic that was deleted and made anew under its name is another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// Reads what it prints; `None` if it is no UUID.
    pub fn parse(text: &str) -> Option<LogId> {
        uuid::Uuid::parse_str(text).ok().map(|id| LogId(id.into_bytes()))
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0), f)
    }
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// One partition of a topic that a topology reads: the unit of work, of state and of recovery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Name of the topology, which is the application id.
    pub topology: Arc<str>,
    /// The source topic, of a task that only passes records on (`placement = "spread"`).
    pub source: Option<Arc<str>>,
    /// Partition of the topic that it reads.
    pub partition: i32,
}

impl TaskId {
    /// The transactional id of its outputs: whoever begins under it fences the task's former owner.
    pub fn transactional_id(&self) -> String {
        match &self.source {
            Some(source) => format!("{}-{source}-{}", self.topology, self.partition),
            None => format!("{}-{}", self.topology, self.partition),
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}/{source}-{}", self.topology, self.partition),
            None => write!(f, "{}/{}", self.topology, self.partition),
        }
    }
}

/// Who an upload is, as its publisher named it. Data only: never a path, a metric label or a log format.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Arc<str>);

impl UploadId {
    /// Any text is an id, the empty one too (an anonymous upload).
    pub fn new(id: impl Into<Arc<str>>) -> UploadId {
        UploadId(id.into())
    }
    /// The id as its publisher wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// First 16 bytes of SHA-256 of the id: what state uses as a key and a file name.
    pub fn hash(&self) -> UploadHash {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        UploadHash(hash)
    }
}

impl std::borrow::Borrow<str> for UploadId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// Represents an [`UploadId`] in keys and file names, in a fixed size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadHash(pub [u8; 16]);

impl fmt::Display for UploadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UploadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a worksheet as Excel accepts it: 1 to 31 UTF-16 units, none of `[]:*?/\`, no apostrophe at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SheetName(Arc<str>);

impl SheetName {
    /// Longest name, in UTF-16 code units (ECMA-376 part 1, 18.2.19; enforced by Excel).
    pub const UNITS_MAX: usize = 31;

    /// The name, if Excel accepts it as it is.
    pub fn parse(name: &str) -> Option<SheetName> {
        let units = name.encode_utf16().count();
        let forbidden = |c: char| matches!(c, '[' | ']' | ':' | '*' | '?' | '/' | '\\') || c.is_control();
        let ok = (1..=Self::UNITS_MAX).contains(&units)
            && !name.contains(forbidden)
            && !name.starts_with('\'')
            && !name.ends_with('\'');
        ok.then(|| SheetName(name.into()))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SheetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! Every persisted layout, in one place. Keys are bytes with big-endian numbers, so that a scan is in order; values are postcard.
//! Change anything here and [`STATE_FORMAT`] must rise: state of another format is thrown away and rebuilt.

use serde::{Deserialize, Serialize};

use sha2::{Digest, Sha256};

use super::PagePosition;
use crate::record::{
    Accounting, ColumnLook, ColumnType, CoordinateForm, Extras, LogId, Message, NumberRange, Offset, RowKey, TaskId,
    Titles, UploadHash, UsedOperations,
};

/// Version of the layouts below. The manifest contains it.
pub const STATE_FORMAT: u32 = 17;

/// Keys of one task's small values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKey {
    /// `[0]` -> [`TaskState`]. Persisted: never renumber.
    Task,
    /// `[1, upload:16]` -> [`OpenUploadState`].
    Upload(UploadHash),
    /// `[2, upload:16, sheet:u32]` -> [`SheetState`]; `sheet` counts from 0 in order of first row.
    Sheet(UploadHash, u32),
    /// `[3, upload:16, sheet:u32, page:u32]` -> [`PageState`]; `page` counts from 0 without holes.
    Page(UploadHash, u32, u32),
    /// `[4, upload:16, n:u32]` -> [`ErrorState`]; `n` counts from 0, 10,000 at most.
    Error(UploadHash, u32),
    /// `[5, upload:16]` -> [`LedgerEntry`](crate::record::LedgerEntry).
    Ledger(UploadHash),
}

impl StateKey {
    /// First byte of the keys of open uploads, of their sheets, pages and rejected rows.
    pub const OPEN_UPLOADS: [u8; 4] = [1, 2, 3, 4];
    /// First byte of the keys of the ledger.
    pub const LEDGER: u8 = 5;

    /// The upload that the value belongs to.
    pub fn upload(&self) -> Option<UploadHash> {
        match self {
            StateKey::Task => None,
            StateKey::Upload(upload)
            | StateKey::Sheet(upload, _)
            | StateKey::Page(upload, _, _)
            | StateKey::Error(upload, _)
            | StateKey::Ledger(upload) => Some(*upload),
        }
    }

    /// The key as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(25);
        let mut put = |tag: u8, upload: Option<&UploadHash>, numbers: &[u32]| {
            key.push(tag);
            key.extend_from_slice(upload.map_or(&[][..], |u| &u.0));
            numbers.iter().for_each(|n| key.extend_from_slice(&n.to_be_bytes()));
        };
        match self {
            StateKey::Task => put(0, None, &[]),
            StateKey::Upload(upload) => put(1, Some(upload), &[]),
            StateKey::Sheet(upload, sheet) => put(2, Some(upload), &[*sheet]),
            StateKey::Page(upload, sheet, page) => put(3, Some(upload), &[*sheet, *page]),
            StateKey::Error(upload, n) => put(4, Some(upload), &[*n]),
            StateKey::Ledger(upload) => put(5, Some(upload), &[]),
        }
        key
    }
    /// Reads a key; `None` if it is none of ours.
    pub fn decode(key: &[u8]) -> Option<StateKey> {
        let (&tag, rest) = key.split_first()?;
        if tag == 0 {
            return rest.is_empty().then_some(StateKey::Task);
        }
        let (upload, rest) = rest.split_first_chunk::<16>()?;
        let upload = UploadHash(*upload);
        let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        match (tag, rest.len()) {
            (1, 0) => Some(StateKey::Upload(upload)),
            (2, 4) => Some(StateKey::Sheet(upload, number(0)?)),
            (3, 8) => Some(StateKey::Page(upload, number(0)?, number(4)?)),
            (4, 4) => Some(StateKey::Error(upload, number(0)?)),
            (5, 0) => Some(StateKey::Ledger(upload)),
            _ => None,
        }
    }
}

/// Encodes a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data always encodes")
}

/// Decodes a value; `None` if it is not one.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// Represents a [`TaskId`] in keys and directory names, in a fixed size: the first 8 bytes of SHA-256 of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskHash(pub [u8; 8]);

impl TaskHash {
    /// The hash of a task's name.
    pub fn of(task: &TaskId) -> TaskHash {
        let digest = Sha256::digest(task.to_string().as_bytes());
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        TaskHash(hash)
    }
    /// Reads the name of a directory; `None` if it is none of ours.
    pub fn parse(name: &str) -> Option<TaskHash> {
        let hash = TaskHash(u64::from_str_radix(name, 16).ok()?.to_be_bytes());
        (hash.to_string() == name).then_some(hash)
    }
}

impl std::fmt::Display for TaskHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keys of the one index that all tasks of a process share. Its values are [`guard`]ed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKey<'a> {
    /// `[task:8, 0]` -> [`SealState`]. Persisted: never renumber.
    Seal,
    /// `[task:8, 1, upload:16]` -> committed length of the segment in bytes, u64.
    Segment(UploadHash),
    /// `[task:8, 2, key]` -> a small value of the task; `key` is a [`StateKey`].
    Value(&'a [u8]),
}

impl<'a> IndexKey<'a> {
    /// The key as bytes.
    pub fn encode(&self, task: TaskHash) -> Vec<u8> {
        let (tag, rest) = match self {
            IndexKey::Seal => (0, &[][..]),
            IndexKey::Segment(upload) => (1, &upload.0[..]),
            IndexKey::Value(key) => (2, *key),
        };
        [&task.0[..], &[tag], rest].concat()
    }
    /// Reads a key; `None` if it is none of ours.
    pub fn decode(key: &'a [u8]) -> Option<IndexKey<'a>> {
        let (_task, rest) = key.split_first_chunk::<8>()?;
        match rest.split_first()? {
            (0, []) => Some(IndexKey::Seal),
            (1, upload) => Some(IndexKey::Segment(UploadHash(upload.try_into().ok()?))),
            (2, key) => Some(IndexKey::Value(key)),
            _ => None,
        }
    }
}

/// The sum of a task's entries in the index. Every commit renews it, and it is checked when the task is opened: an entry that was lost,
/// torn off its batch or brought back is noticed, whatever the engine below believes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealState {
    /// The settings that the state was made with: hash of the topology and versions of everything that shapes a page.
    pub fingerprint: String,
    /// Number of the task's other entries.
    pub entries: u64,
    /// Sum of their CRCs.
    pub sum: u64,
}

/// A value as the index keeps it: `[crc:4, value]`, where `crc` is the CRC-32 of key and value, big-endian.
pub fn guard(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&guard_crc(key, value).to_be_bytes(), value].concat()
}

/// The CRC and the value of an index entry; `None` if they do not belong together.
pub fn unguard<'a>(key: &[u8], stored: &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (crc, value) = stored.split_first_chunk::<4>()?;
    let crc = u32::from_be_bytes(*crc);
    (crc == guard_crc(key, value)).then_some((crc, value))
}

fn guard_crc(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize()
}

/// How far the task's state has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// First record that is not in the state.
    pub offset: Offset,
    /// The commit that it was made with: how many there were, see [`Work`](crate::transport::Work).
    pub commits: u64,
    /// Lowest offset of any row in an unfinished page or parked; `offset` when there is none.
    pub restore_from: Offset,
    /// First offset of the oldest open upload; `offset` when none is open.
    pub replay_from: Offset,
    /// Hash of the topology that wrote it.
    pub topology: String,
    /// Uploads whose rows wait for their header, and the first record that they cannot do without: the source's, and none else's yet.
    pub waiting: Vec<(String, Offset)>,
    /// The log that the offsets are of, if it has an id.
    pub log: Option<LogId>,
    /// Leader epoch of the record before `offset`, if it is known.
    pub leader_epoch: Option<i32>,
    /// First rows of an upload that begins below may be gone from the log.
    pub whole_from: Offset,
}

/// An open upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenUploadState {
    /// The id as published.
    pub id: String,
    /// Revision that its workbook will have, from 1.
    pub revision: u32,
    /// `ss-attempt`.
    pub attempt: Option<String>,
    /// `ss-name`.
    pub name: Option<String>,
    /// `ss-rows` of its begin or end.
    pub rows_announced: Option<u64>,
    /// `ss-crs`.
    pub crs: Option<String>,
    /// `ss-summary` and `ss-map-link`.
    pub extras: Extras,
    /// `ss-coordinates`.
    pub coordinates: CoordinateForm,
    /// `ss-titles`.
    pub titles: Titles,
    /// `traceparent`.
    pub traceparent: Option<String>,
    /// Key of its records.
    pub key: Option<Vec<u8>>,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its last record so far.
    pub last_offset: Offset,
    /// Offset of the first record of its open attempt; a refill passes over rows before it.
    pub begun_at: Offset,
    /// Source columns, once the header is known.
    pub header: Option<Vec<String>>,
    /// Columns of the workbook, once rows came through the maps.
    pub columns: Option<Vec<(String, ColumnType)>>,
    /// Coordinate operations that its rows went through, of each `reproject` map.
    pub operations: Vec<UsedOperations>,
    /// True when its rows carry `ss-row`.
    pub numbered: bool,
    /// Every record with rows has the id as its key.
    pub keyed: bool,
    /// Why its first rows may be missing.
    pub doubt: Option<Message>,
    /// Numbered: lowest index that is not accounted for (from 1). Else: number of rows so far, plus 1.
    pub next_index: u64,
    /// Counts.
    pub accounting: Accounting,
    /// Serialised state of SHA-256 over the rows below `next_index`.
    pub sha256: Vec<u8>,
    /// Sheets so far.
    pub sheets: u32,
    /// Entries for the *Errors* sheet so far.
    pub errors: u32,
    /// An end-of-file marker that waits for rows.
    pub eof: Option<PendingEof>,
    /// An end-of-file marker came that its rows do not meet.
    pub held: bool,
    /// Numbered: indexes above `next_index` that failed or were filtered, and so are accounted for already.
    pub settled: Vec<u64>,
    /// Why it failed: (column, message). Its rows are void until its end.
    pub failed: Option<(Option<String>, Message)>,
}

/// The terms of an end-of-file marker, and its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndOfFile {
    /// Its offset.
    pub offset: Offset,
    /// Rows that it announces; `None`: all that came before it, and no gap between their numbers.
    pub rows: Option<u64>,
    /// SHA-256 of the rows, each followed by LF.
    pub sha256: Option<[u8; 32]>,
    /// The publisher vouches that the upload is in one partition.
    pub one_partition: bool,
    /// `ss-attempt` of its record.
    pub attempt: Option<String>,
    /// Key of its record.
    pub key: Option<Vec<u8>>,
    /// Value of its record.
    pub value: Option<Vec<u8>>,
    /// Topic, partition and offset from which its record was passed on.
    pub passed_from: Option<(String, i32, Offset)>,
}

/// An end-of-file marker that waits for rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingEof {
    /// The marker.
    pub end: EndOfFile,
    /// It came before its rows and does not count them.
    pub overtaking: Option<OvertakingEnd>,
}

/// An end-of-file marker without a count that came before all rows of its upload: producers reorder records over connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvertakingEnd {
    /// Record time, in milliseconds since 1970, up to which rows are waited for; each row waits for the next one.
    pub until_ms: i64,
    /// It is in the dead letters.
    pub is_reported: bool,
    /// By the clock nothing came for so long, on a partition that is silent.
    pub is_silent: bool,
}

/// A sheet of an open upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SheetState {
    /// The value that names it, before it is made a sheet name.
    pub value: String,
    /// Rows in cut pages.
    pub paged_rows: u64,
    /// Cut pages.
    pub pages: u32,
    /// Order key of the last row in a cut page; rows up to it are skipped by a refill.
    pub paged_through: Option<RowKey>,
    /// How each column looks in the first page.
    pub looks: Vec<ColumnLook>,
    /// The range of the numbers of each column in its pages, where it is wanted.
    pub ranges: Vec<Option<NumberRange>>,
}

/// A cut page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// Its compressed bytes in the segment.
    pub at: PagePosition,
    /// CRC-32 of the XML.
    pub xml_crc: u32,
    /// Length of the XML in bytes.
    pub xml_length: u32,
    /// Rows.
    pub rows: u32,
}

/// A rejected row as the *Errors* sheet shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorState {
    /// 1-based number of the data row.
    pub row: u64,
    /// Column at fault.
    pub column: Option<String>,
    /// Why.
    pub message: Message,
    /// The row's text, clipped to 4,096 characters.
    pub raw: String,
    /// The delimiter of its text.
    pub delimiter: u8,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_read_back_and_sort_by_upload_sheet_and_page(
            upload: [u8; 16], other: [u8; 16], numbers: (u32, u32), others: (u32, u32), tag in 0..6,
        ) {
            let key = |upload, (sheet, page)| match tag {
                0 => StateKey::Task,
                1 => StateKey::Upload(UploadHash(upload)),
                2 => StateKey::Sheet(UploadHash(upload), sheet),
                3 => StateKey::Page(UploadHash(upload), sheet, page),
                4 => StateKey::Error(UploadHash(upload), sheet),
                _ => StateKey::Ledger(UploadHash(upload)),
            };
            let bytes = key(upload, numbers).encode();
            prop_assert_eq!(StateKey::decode(&bytes), Some(key(upload, numbers)));
            prop_assert_eq!(StateKey::decode(&[&bytes[..], &[0]].concat()), None);
            if tag == 3 {
                let order = (upload, numbers).cmp(&(other, others));
                prop_assert_eq!(bytes.cmp(&key(other, others).encode()), order);
            }
        }

        #[test]
        fn index_keys_read_back(task: [u8; 8], upload: [u8; 16], value: Vec<u8>) {
            for key in [IndexKey::Seal, IndexKey::Segment(UploadHash(upload)), IndexKey::Value(&value)] {
                let bytes = key.encode(TaskHash(task));
                prop_assert_eq!(IndexKey::decode(&bytes), Some(key));
            }
        }

        #[test]
        fn guarded_value_is_refused_under_another_key_or_with_another_bit(key: Vec<u8>, value: Vec<u8>, at: usize) {
            let mut stored = guard(&key, &value);
            prop_assert_eq!(unguard(&key, &stored).map(|(_, value)| value), Some(&value[..]));
            prop_assert_eq!(unguard(&[&key[..], b"x"].concat(), &stored), None);
            let bit = at % (stored.len() * 8);
            stored[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unguard(&key, &stored), None);
        }
    }
}

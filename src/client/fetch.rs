//! Reads workbooks back from their topic: joins chunks and verifies checksums.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::client::folder::Label;
use crate::record::{Accounting, Record};
use crate::sink::digest::Digest;

/// Incomplete sets of chunks that are remembered; the oldest is forgotten first (its workbook will be sent again, or never).
const OPEN_SETS_MAX: usize = 64;

/// A workbook that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedWorkbook {
    /// Whose it is and what it is called.
    pub label: Label,
    /// The file.
    pub chunks: Vec<Bytes>,
}

impl FetchedWorkbook {
    /// Writes the file.
    pub fn write(&self, to: &mut File) -> io::Result<()> {
        self.chunks.iter().try_for_each(|chunk| to.write_all(chunk))
    }
}

/// Why a record of a workbook topic is no part of a workbook.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FetchError {
    /// A header is missing or unreadable.
    #[error("record at offset {offset}: header '{header}' is missing or unreadable; is this a topic of workbooks?")]
    Header {
        /// Offset of the record.
        offset: i64,
        /// Header.
        header: &'static str,
    },
    /// The bytes are not those that were sent.
    #[error("workbook of '{upload}': SHA-256 is {found}, its header says {expected}")]
    Checksum {
        /// Upload id.
        upload: String,
        /// Of the bytes that arrived.
        found: String,
        /// As the header says.
        expected: String,
    },
}

/// Joins chunks by (upload, revision, sha256, number): a set that was sent twice after a crash is the same bytes, and its chunks
/// are interchangeable (contract 11).
#[derive(Debug, Default)]
pub struct ChunkJoiner {
    open: HashMap<(String, u32, String), Open>,
    records: u64,
}

#[derive(Debug)]
struct Open {
    since: u64,
    chunks: BTreeMap<u32, Bytes>,
}

/// The identity of a record, from its headers.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead<'a> {
    /// Upload id as published.
    pub upload: &'a str,
    /// Revision, from 1.
    pub revision: u32,
    /// SHA-256 of the file in hex, as claimed.
    pub sha256: &'a str,
    /// Name of the file.
    pub filename: &'a str,
    /// Rows written, rejected and filtered.
    pub accounting: Accounting,
    /// Number of the chunk, from 1.
    pub number: u32,
    /// Chunks of the workbook.
    pub count: u32,
}

impl<'a> ChunkHead<'a> {
    /// Reads the headers of a record of a workbook topic.
    pub fn of(record: &'a Record) -> Result<ChunkHead<'a>, FetchError> {
        let text = |header: &'static str| {
            let found = record.headers.iter().rev().find(|h| &*h.name == header).and_then(|h| h.value.as_deref());
            let found = found.and_then(|value| std::str::from_utf8(value).ok());
            found.ok_or(FetchError::Header { offset: record.offset.0, header })
        };
        let unreadable = |header| FetchError::Header { offset: record.offset.0, header };
        let (upload, sha256) = (text("ss-upload")?, text("ss-sha256")?);
        let revision = text("ss-revision")?.parse().map_err(|_| unreadable("ss-revision"))?;
        let (number, count) = match text("ss-chunk") {
            Err(_) => (1, 1),
            Ok(chunk) => parse_chunk(chunk).ok_or(unreadable("ss-chunk"))?,
        };
        let filename = text("ss-filename").unwrap_or("workbook.xlsx");
        let rows = |header| text(header).ok().and_then(|rows| rows.parse().ok()).unwrap_or_default();
        let accounting = Accounting {
            written: rows("ss-rows"),
            rejected: rows("ss-rejected"),
            filtered: rows("ss-filtered"),
            ..Accounting::default()
        };
        Ok(ChunkHead { upload, revision, sha256, filename, accounting, number, count })
    }
}

impl ChunkJoiner {
    /// Takes one record of the workbook topic; a workbook comes back with its last chunk.
    pub fn join(&mut self, record: &Record) -> Result<Option<FetchedWorkbook>, FetchError> {
        let head = ChunkHead::of(record)?;
        let value = record.value.clone().unwrap_or_default();
        let key = (head.upload.to_owned(), head.revision, head.sha256.to_owned());
        self.records += 1;
        if !self.open.contains_key(&key) && self.open.len() >= OPEN_SETS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.since).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.open.remove(&key));
        }
        let open = self.open.entry(key.clone()).or_insert(Open { since: self.records, chunks: BTreeMap::new() });
        open.chunks.insert(head.number, value);
        if u32::try_from(open.chunks.len()) != Ok(head.count) {
            return Ok(None);
        }
        let chunks: Vec<Bytes> =
            self.open.remove(&key).map(|open| open.chunks.into_values().collect()).unwrap_or_default();
        let (upload, revision, expected) = key;
        let mut hash = Sha256::new();
        chunks.iter().for_each(|chunk| hash.update(chunk));
        let found = Digest(hash.finalize().into()).to_string();
        if found != expected {
            return Err(FetchError::Checksum { upload, found, expected });
        }
        let (filename, all_rejected) = (head.filename.to_owned(), head.accounting.all_rejected());
        let label = Label { upload, revision, filename, sha256: expected, all_rejected };
        Ok(Some(FetchedWorkbook { label, chunks }))
    }
}

/// `i/n` with 1 <= i <= n.
fn parse_chunk(text: &str) -> Option<(u32, u32)> {
    let (i, n) = text.split_once('/')?;
    let (i, n) = (i.parse().ok()?, n.parse().ok()?);
    (1 <= i && i <= n).then_some((i, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, Offset};

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
    fn chunk(offset: i64, upload: &str, whole: &[u8], i: usize, n: usize) -> Record {
        let size = whole.len().div_ceil(n);
        let part = &whole[(i - 1) * size..(i * size).min(whole.len())];
        let headers = vec![
            Header::new("ss-upload", upload.to_owned()),
            Header::new("ss-filename", format!("{upload}.xlsx")),
            Header::new("ss-revision", "1"),
            Header::new("ss-sha256", sha256(whole)),
            Header::new("ss-chunk", format!("{i}/{n}")),
        ];
        Record { offset: Offset(offset), value: Some(Bytes::copy_from_slice(part)), headers, ..Record::default() }
    }

    #[test]
    fn chunks_of_two_uploads_and_of_a_set_sent_twice_are_distinguished() {
        let (a, b) = (b"workbook of a".as_slice(), b"another, of b".as_slice());
        let mut joiner = ChunkJoiner::default();
        let mut whole = Vec::new();
        // a's first set was cut short by a crash and sent again
        for record in [
            chunk(0, "a", a, 1, 3),
            chunk(1, "a", a, 2, 3),
            chunk(2, "b", b, 1, 2),
            chunk(3, "a", a, 1, 3),
            chunk(4, "b", b, 2, 2),
            chunk(5, "a", a, 3, 3),
        ] {
            whole.extend(joiner.join(&record).expect("headers are there"));
        }
        let joined: Vec<_> = whole.iter().map(|w| (w.label.upload.as_str(), w.chunks.concat())).collect();
        assert_eq!(joined, [("b", b.to_vec()), ("a", a.to_vec())]);
    }

    #[test]
    fn a_workbook_with_other_bytes_than_its_checksum_is_refused() {
        let mut record = chunk(0, "a", b"book", 1, 1);
        record.value = Some(Bytes::from_static(b"boot"));
        assert!(matches!(ChunkJoiner::default().join(&record), Err(FetchError::Checksum { .. })));
    }

    #[test]
    fn a_record_of_another_kind_is_named() {
        let error = ChunkJoiner::default().join(&Record { offset: Offset(7), ..Record::default() });
        assert_eq!(error, Err(FetchError::Header { offset: 7, header: "ss-upload" }));
    }
}

//! Workbooks back from their topic: chunks joined, checksums verified, files named safely and written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::record::Record;
use crate::sink::digest::Digest;

/// Incomplete sets of chunks that are remembered; the oldest is forgotten first (its workbook will be sent again, or never).
const OPEN_SETS_MAX: usize = 64;

/// A workbook that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedWorkbook {
    /// Upload id as published.
    pub upload: String,
    /// Revision, from 1.
    pub revision: u32,
    /// Name the publisher's file suggests; not safe as a path.
    pub filename: String,
    /// SHA-256 of the file in hex, verified.
    pub sha256: String,
    /// The file.
    pub chunks: Vec<Bytes>,
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

/// What the headers of a record say that it is.
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
        Ok(ChunkHead { upload, revision, sha256, filename, number, count })
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
        let filename = head.filename.to_owned();
        Ok(Some(FetchedWorkbook { upload, revision, filename, sha256: expected, chunks }))
    }
}

/// `i/n` with 1 <= i <= n.
fn parse_chunk(text: &str) -> Option<(u32, u32)> {
    let (i, n) = text.split_once('/')?;
    let (i, n) = (i.parse().ok()?, n.parse().ok()?);
    (1 <= i && i <= n).then_some((i, n))
}

/// A file name that cannot leave its folder or surprise an operating system: separators, control characters, characters and
/// names that Windows reserves are replaced, 200 bytes at most.
pub fn safe_file_name(name: &str) -> String {
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c) || ('\u{202a}'..='\u{202e}').contains(&c);
    let cleaned: String = name.chars().map(|c| if forbidden(c) { '_' } else { c }).collect();
    let cleaned = cleaned.trim_matches([' ', '.']);
    let (stem, extension) = match cleaned.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (cleaned, String::new()),
    };
    let mut stem: String = if stem.is_empty() { "workbook".into() } else { stem.into() };
    let device = stem.to_ascii_uppercase();
    let numbered =
        |prefix: &str| device.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit());
    if ["CON", "PRN", "AUX", "NUL"].contains(&device.as_str()) || numbered("COM") || numbered("LPT") {
        stem.push('_');
    }
    while stem.len() + extension.len() > 200 && stem.pop().is_some() {}
    stem + &extension
}

/// Writes a workbook into `folder`: first beside its place, then renamed, so that nobody ever sees half of it.
///
/// An existing file is replaced only with `force`; one that holds the same bytes already counts as written.
pub fn save(workbook: &FetchedWorkbook, folder: &Path, force: bool) -> io::Result<PathBuf> {
    let path = folder.join(safe_file_name(&workbook.filename));
    if !force && path.exists() {
        if same_bytes(workbook, &path)? {
            return Ok(path);
        }
        let message = format!("{} exists and is another workbook; --force replaces it", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let beside = folder.join(format!(".{}.{}.part", workbook.sha256, std::process::id()));
    let written = (|| {
        let mut file = File::create(&beside)?;
        workbook.chunks.iter().try_for_each(|chunk| file.write_all(chunk))?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map(|()| path)
}

fn same_bytes(workbook: &FetchedWorkbook, path: &Path) -> io::Result<bool> {
    let length: usize = workbook.chunks.iter().map(Bytes::len).sum();
    if fs::metadata(path)?.len() != length as u64 {
        return Ok(false);
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
    Ok(Digest(hash.finalize().into()).to_string() == workbook.sha256)
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    fn chunks_of_two_uploads_and_of_a_set_sent_twice_are_told_apart() {
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
        let joined: Vec<_> = whole.iter().map(|w| (w.upload.as_str(), w.chunks.concat())).collect();
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

    #[test]
    fn file_names_stay_in_their_folder() {
        let cases = [
            ("seoul.xlsx", "seoul.xlsx"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "workbook"),
            ("", "workbook"),
            ("CON.xlsx", "CON_.xlsx"),
            ("lpt1.xlsx", "lpt1_.xlsx"),
            ("a:b*c?.xlsx", "a_b_c_.xlsx"),
            ("\u{202e}xslx.exe", "_xslx.exe"),
            ("서울 시장.xlsx", "서울 시장.xlsx"),
        ];
        for (name, safe) in cases {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
        let long = safe_file_name(&format!("{}.xlsx", "가".repeat(300)));
        assert!(long.len() <= 200 && long.ends_with(".xlsx"));
    }

    #[test]
    fn a_file_is_replaced_only_by_force_and_the_same_bytes_are_no_conflict() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let book = |bytes: &'static [u8]| FetchedWorkbook {
            upload: "a".into(),
            revision: 1,
            filename: "a.xlsx".into(),
            sha256: sha256(bytes),
            chunks: vec![Bytes::from_static(bytes)],
        };
        let path = save(&book(b"one"), folder.path(), false).expect("a first file");
        save(&book(b"one"), folder.path(), false).expect("the same bytes");
        let error = save(&book(b"two"), folder.path(), false).expect_err("another workbook");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        save(&book(b"two"), folder.path(), true).expect("by force");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is left beside it");
    }
}

//! Segments: append-only files of page bytes, one an upload. How much of a segment counts is the index's knowledge, not the file's.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::open_files::OpenFiles;
use super::{PagePosition, StateError};
use crate::record::UploadHash;

/// The segments of one task: `<upload hash>.segment` in the task's directory.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    files: Arc<OpenFiles>,
    lengths: BTreeMap<UploadHash, Length>,
}

/// Length of a segment in bytes.
#[derive(Clone, Copy, Debug)]
struct Length {
    /// Up to the last page.
    written: u64,
    /// Up to the last page that a commit covers.
    committed: u64,
}

/// A segment that holds pages which no commit covers yet.
#[derive(Debug)]
pub(super) struct Dirty {
    /// Whose pages these are.
    pub(super) upload: UploadHash,
    /// The file.
    pub(super) path: PathBuf,
    /// Its length with those pages.
    pub(super) length: u64,
    /// Whether no commit covers any of it, so that its name may not be on the disk either.
    pub(super) born: bool,
}

impl Segments {
    /// No segments, whatever files are in `dir`.
    pub(super) fn empty(dir: PathBuf, files: Arc<OpenFiles>) -> Segments {
        Segments { dir, files, lengths: BTreeMap::new() }
    }

    /// Brings the files in `dir` to what the index says of them: cuts off what was not committed and unlinks what is unknown. A segment that
    /// is missing or too short is damage.
    pub(super) fn restore(&mut self, committed: BTreeMap<UploadHash, u64>) -> Result<(), StateError> {
        std::fs::create_dir_all(&self.dir).map_err(StateError::from_io)?;
        self.lengths.clear();
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let known = upload_of(&path).and_then(|upload| Some((upload, *committed.get(&upload)?)));
            let Some((upload, committed)) = known else {
                self.files.close(&path);
                std::fs::remove_file(&path)?;
                continue;
            };
            let length = std::fs::metadata(&path)?.len();
            if length < committed {
                return Err(StateError::Damaged(format!("segment {upload} has {length} of {committed} bytes")));
            }
            if length > committed {
                self.files.existing(&path)?.set_len(committed)?;
            }
            self.lengths.insert(upload, Length { written: committed, committed });
        }
        match committed.keys().find(|upload| !self.lengths.contains_key(upload)) {
            Some(upload) => Err(StateError::Damaged(format!("segment {upload} is missing"))),
            None => Ok(()),
        }
    }

    /// Appends a page to an upload's segment. It is in the page cache then, not on the disk.
    pub(super) fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError> {
        let path = self.path(upload);
        let (file, length) = match self.lengths.get(&upload) {
            Some(length) => (self.existing(upload, &path)?, *length),
            None => {
                let file = self.files.create(&path).map_err(StateError::from_io)?;
                (file, Length { written: 0, committed: 0 })
            }
        };
        let at = write_page(&file, length.written, page)?;
        let written = length.written + u64::from(at.length);
        self.lengths.insert(upload, Length { written, ..length });
        Ok(at)
    }

    /// Reads a page and checks its CRC.
    pub(super) fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
        let Some(length) = self.lengths.get(&upload) else {
            return Err(StateError::Damaged(format!("no segment {upload}")));
        };
        read_page(&*self.existing(upload, &self.path(upload))?, length.written, at, into)
    }

    /// Segments with pages that no commit covers.
    pub(super) fn dirty(&self) -> impl Iterator<Item = Dirty> + '_ {
        self.lengths.iter().filter(|(_, length)| length.written > length.committed).map(|(upload, length)| Dirty {
            upload: *upload,
            path: self.path(*upload),
            length: length.written,
            born: length.committed == 0,
        })
    }

    /// Every page is covered by a commit now.
    pub(super) fn committed(&mut self) {
        self.lengths.values_mut().for_each(|length| length.committed = length.written);
    }

    /// Unlinks an upload's segment. The index has forgotten it: a file that will not go is gone after the next [`Segments::restore`].
    pub(super) fn remove(&mut self, upload: UploadHash) {
        if self.lengths.remove(&upload).is_some() {
            let path = self.path(upload);
            self.files.close(&path);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "segment of a finished upload stays until the next start");
            }
        }
    }

    /// Unlinks every segment.
    pub(super) fn clear(&mut self) -> Result<(), StateError> {
        while let Some((upload, _)) = self.lengths.pop_first() {
            self.files.close(&self.path(upload));
        }
        self.restore(BTreeMap::new())
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.lengths.values().map(|length| length.written).sum()
    }

    fn path(&self, upload: UploadHash) -> PathBuf {
        self.dir.join(format!("{upload}.segment"))
    }

    fn existing(&self, upload: UploadHash, path: &Path) -> Result<Arc<File>, StateError> {
        self.files.existing(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StateError::Damaged(format!("segment {upload} is missing")),
            _ => StateError::Io(error),
        })
    }
}

/// Whose segment a file is, by its name.
fn upload_of(path: &Path) -> Option<UploadHash> {
    let name = path.file_name()?.to_str()?.strip_suffix(".segment")?;
    let number = u128::from_str_radix(name, 16).ok()?;
    let upload = UploadHash(number.to_be_bytes());
    (upload.to_string() == name).then_some(upload)
}

/// Writes a page behind the first `length` bytes of a segment. A write that fails leaves nothing behind: the next one starts at the same
/// byte.
pub(super) fn write_page(file: &File, length: u64, page: &[u8]) -> Result<PagePosition, StateError> {
    let at = position(length, page)?;
    file.write_all_at(page, length).map_err(StateError::from_io)?;
    Ok(at)
}

/// Reads a page from a segment of `length` bytes and checks its CRC.
pub(super) fn read_page(file: &File, length: u64, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
    within(length, at)?;
    into.clear();
    into.resize(at.length as usize, 0);
    file.read_exact_at(into, at.position).map_err(|e| StateError::Damaged(format!("page {at:?}: {e}")))?;
    check(at, into)
}

/// Where a page goes that is appended to `length` bytes.
pub(super) fn position(length: u64, page: &[u8]) -> Result<PagePosition, StateError> {
    let bytes = u32::try_from(page.len()).map_err(|_| std::io::Error::other("a page of 4 GiB or more"))?;
    Ok(PagePosition { position: length, length: bytes, crc: crc32fast::hash(page) })
}

/// Checks that a page lies in its segment of `length` bytes, before memory is taken for it.
pub(super) fn within(length: u64, at: PagePosition) -> Result<(), StateError> {
    match at.position.checked_add(u64::from(at.length)) {
        Some(end) if end <= length => Ok(()),
        _ => Err(StateError::Damaged(format!("page {at:?} lies outside its segment of {length} bytes"))),
    }
}

/// Whether these are the bytes that were written.
pub(super) fn check(at: PagePosition, bytes: &[u8]) -> Result<(), StateError> {
    match crc32fast::hash(bytes) {
        crc if crc == at.crc => Ok(()),
        crc => Err(StateError::Damaged(format!("page {at:?} has CRC {crc:08x}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: UploadHash = UploadHash([0xab; 16]);

    fn segments(dir: &Path) -> Segments {
        let mut segments = Segments::empty(dir.to_owned(), Arc::default());
        segments.restore(BTreeMap::new()).unwrap();
        segments
    }

    fn restored(dir: &Path, length: u64) -> Result<Segments, StateError> {
        let mut segments = Segments::empty(dir.to_owned(), Arc::default());
        segments.restore([(UPLOAD, length)].into()).map(|()| segments)
    }

    #[test]
    fn restore_cuts_off_what_was_not_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut before = segments(dir.path());
        let kept = before.append(UPLOAD, b"kept").unwrap();
        before.append(UPLOAD, b"not committed").unwrap();

        let mut after = restored(dir.path(), 4).unwrap();
        assert_eq!(after.bytes(), 4);
        let next = after.append(UPLOAD, b"next").unwrap();
        let mut page = Vec::new();
        after.read(UPLOAD, kept, &mut page).unwrap();
        assert_eq!(page, b"kept");
        after.read(UPLOAD, next, &mut page).unwrap();
        assert_eq!(page, b"next");
    }

    #[test]
    fn restore_unlinks_what_the_index_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        segments(dir.path()).append(UPLOAD, b"page").unwrap();
        std::fs::write(dir.path().join("ABABABABABABABABABABABABABABABAB.segment"), b"").unwrap();
        segments(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn segment_that_is_short_or_missing_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(restored(dir.path(), 4), Err(StateError::Damaged(_))));
        segments(dir.path()).append(UPLOAD, b"abc").unwrap();
        assert!(matches!(restored(dir.path(), 4), Err(StateError::Damaged(_))));
    }

    #[test]
    fn position_outside_the_segment_is_refused_before_memory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let mut segments = segments(dir.path());
        segments.append(UPLOAD, b"page").unwrap();
        let mut page = Vec::new();
        for (position, length) in [(0, u32::MAX), (u64::MAX, 4), (1, 4)] {
            let at = PagePosition { position, length, crc: 0 };
            assert!(matches!(segments.read(UPLOAD, at, &mut page), Err(StateError::Damaged(_))));
        }
        assert_eq!(page.capacity(), 0);
    }
}

//! State that ends with its process: for tests, and for `convert`, which spools its pages to unlinked files so that memory does not grow
//! with rows.

use std::collections::{BTreeMap, btree_map};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Entry, PagePosition, StateError, StateStore, WriteBatch, segment};
use crate::record::UploadHash;

/// A [`StateStore`] without durability: a commit lasts as long as the value.
#[derive(Debug, Default)]
pub struct InMemoryStore {
    index: BTreeMap<Vec<u8>, Vec<u8>>,
    pages: BTreeMap<UploadHash, Pages>,
    spool: Option<PathBuf>,
}

/// The pages of one upload.
#[derive(Debug)]
struct Pages {
    bytes: Bytes,
    length: u64,
    committed: u64,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    File(File),
}

impl InMemoryStore {
    /// An empty store that keeps its pages in memory.
    pub fn new() -> InMemoryStore {
        InMemoryStore::default()
    }

    /// An empty store that keeps pages in files in `dir`, one an upload. The files have no names: they go with the process, however it
    /// ends.
    pub fn spooled(dir: impl AsRef<Path>) -> InMemoryStore {
        InMemoryStore { spool: Some(dir.as_ref().to_owned()), ..InMemoryStore::default() }
    }

    /// The store as a durable one would be after a crash at this moment: everything up to the last commit. A spool does not survive its
    /// process, so a spooled store is empty then.
    pub fn crash(&self) -> InMemoryStore {
        if let Some(dir) = &self.spool {
            return InMemoryStore::spooled(dir);
        }
        let survivors = self.pages.iter().filter_map(|(upload, pages)| Some((*upload, pages.committed()?)));
        InMemoryStore { index: self.index.clone(), pages: survivors.collect(), spool: None }
    }

    fn pages(&mut self, upload: UploadHash) -> Result<&mut Pages, StateError> {
        Ok(match self.pages.entry(upload) {
            btree_map::Entry::Occupied(pages) => pages.into_mut(),
            btree_map::Entry::Vacant(place) => {
                let bytes = match &self.spool {
                    None => Bytes::Memory(Vec::new()),
                    Some(dir) => Bytes::File(nameless_file(dir).map_err(StateError::from_io)?),
                };
                place.insert(Pages { bytes, length: 0, committed: 0 })
            }
        })
    }
}

impl Pages {
    fn committed(&self) -> Option<Pages> {
        match &self.bytes {
            Bytes::Memory(bytes) if self.committed > 0 => {
                let bytes = Bytes::Memory(bytes[..self.committed as usize].to_vec());
                Some(Pages { bytes, length: self.committed, committed: self.committed })
            }
            _ => None,
        }
    }
}

impl StateStore for InMemoryStore {
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StateError> {
        let from = self.index.range(prefix.to_vec()..);
        Ok(from
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError> {
        let pages = self.pages(upload)?;
        let at = match &mut pages.bytes {
            Bytes::File(file) => segment::write_page(file, pages.length, page)?,
            Bytes::Memory(bytes) => {
                let at = segment::position(pages.length, page)?;
                bytes.extend_from_slice(page);
                at
            }
        };
        pages.length += u64::from(at.length);
        Ok(at)
    }

    fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
        let pages = self.pages.get(&upload).ok_or_else(|| StateError::Damaged(format!("no segment {upload}")))?;
        match &pages.bytes {
            Bytes::File(file) => segment::read_page(file, pages.length, at, into),
            Bytes::Memory(bytes) => {
                segment::within(pages.length, at)?;
                let start = at.position as usize;
                into.clear();
                into.extend_from_slice(&bytes[start..start + at.length as usize]);
                segment::check(at, into)
            }
        }
    }

    fn commit(&mut self, batch: WriteBatch) -> Result<(), StateError> {
        for (key, value) in batch.entries {
            match value {
                Some(value) => self.index.insert(key, value),
                None => self.index.remove(&key),
            };
        }
        for upload in batch.drop_segments {
            self.pages.remove(&upload);
        }
        for pages in self.pages.values_mut() {
            pages.committed = pages.length;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StateError> {
        self.index.clear();
        self.pages.clear();
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.pages.values().map(|pages| pages.length).sum()
    }
}

/// A new file in `dir` whose name is gone before the first byte is written.
fn nameless_file(dir: &Path) -> std::io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!(".sheetstream-spool-{}-{number}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: UploadHash = UploadHash([7; 16]);

    fn put(key: &[u8], value: &[u8]) -> WriteBatch {
        let mut batch = WriteBatch::default();
        batch.put(key.to_vec(), value.to_vec());
        batch
    }

    #[test]
    fn crash_loses_what_was_not_committed_and_nothing_else() {
        let mut store = InMemoryStore::new();
        let kept = store.append(UPLOAD, b"kept").unwrap();
        store.commit(put(b"a", b"1")).unwrap();
        let lost = store.append(UPLOAD, b"lost").unwrap();
        store.append(UploadHash([8; 16]), b"lost too").unwrap();

        let survivor = store.crash();
        let mut page = Vec::new();
        survivor.read(UPLOAD, kept, &mut page).unwrap();
        assert_eq!(page, b"kept");
        assert!(matches!(survivor.read(UPLOAD, lost, &mut page), Err(StateError::Damaged(_))));
        assert_eq!(survivor.bytes(), 4);
        assert_eq!(survivor.scan(&[]).unwrap(), [(b"a".to_vec(), b"1".to_vec())]);
    }

    #[test]
    fn scan_gives_the_keys_under_a_prefix_in_order() {
        let mut store = InMemoryStore::new();
        for key in [&b"b2"[..], b"a", b"b1", b"c"] {
            store.commit(put(key, b"")).unwrap();
        }
        let keys: Vec<_> = store.scan(b"b").unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"b1", b"b2"]);
    }

    #[test]
    fn spooled_pages_are_files_without_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = InMemoryStore::spooled(dir.path());
        let pages: Vec<_> = (0..50u8).map(|n| (store.append(UPLOAD, &vec![n; 1_000]).unwrap(), n)).collect();
        let mut page = Vec::new();
        for (at, n) in pages {
            store.read(UPLOAD, at, &mut page).unwrap();
            assert_eq!(page, vec![n; 1_000]);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(store.bytes(), 50_000);
        let batch = WriteBatch { drop_segments: vec![UPLOAD], ..WriteBatch::default() };
        store.commit(batch).unwrap();
        assert_eq!(store.bytes(), 0);
        assert_eq!(store.crash().scan(&[]).unwrap(), []);
    }

    #[test]
    fn page_with_other_bytes_than_its_crc_is_damaged() {
        let mut store = InMemoryStore::new();
        let at = store.append(UPLOAD, b"page").unwrap();
        let other = PagePosition { crc: at.crc ^ 1, ..at };
        assert!(matches!(store.read(UPLOAD, other, &mut Vec::new()), Err(StateError::Damaged(_))));
    }
}

//! The open segments of a process: at most 256, however many uploads are open.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most files that are kept open.
const OPEN_FILES_MAX: usize = 256;

/// Files by path; the one that was not used for longest is closed for the next.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_path: HashMap<PathBuf, (Arc<File>, u64)>,
    uses: u64,
}

impl OpenFiles {
    /// The file at `path`, which exists.
    pub(super) fn existing(&self, path: &Path) -> std::io::Result<Arc<File>> {
        let mut files = self.lock();
        files.uses += 1;
        let now = files.uses;
        if let Some((file, used)) = files.by_path.get_mut(path) {
            *used = now;
            return Ok(file.clone());
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(files.keep(path, file))
    }

    /// Creates a file at `path`, or empties the one that is there.
    pub(super) fn create(&self, path: &Path) -> std::io::Result<Arc<File>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut files = self.lock();
        files.uses += 1;
        Ok(files.keep(path, file))
    }

    /// Closes the file at `path`, which is about to be removed.
    pub(super) fn close(&self, path: &Path) {
        self.lock().by_path.remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn keep(&mut self, path: &Path, file: File) -> Arc<File> {
        if self.by_path.len() >= OPEN_FILES_MAX {
            let oldest = self.by_path.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            oldest.map(|path| self.by_path.remove(&path));
        }
        let file = Arc::new(file);
        self.by_path.insert(path.to_owned(), (file.clone(), self.uses));
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_not_used_for_longest_is_closed_first() {
        let dir = tempfile::tempdir().unwrap();
        let files = OpenFiles::default();
        let path = |n: usize| dir.path().join(n.to_string());
        for n in 0..OPEN_FILES_MAX {
            files.create(&path(n)).unwrap();
        }
        files.existing(&path(0)).unwrap();
        files.create(&path(OPEN_FILES_MAX)).unwrap();
        let open = &files.lock().by_path;
        assert_eq!(open.len(), OPEN_FILES_MAX);
        assert!(open.contains_key(&path(0)) && !open.contains_key(&path(1)));
    }
}

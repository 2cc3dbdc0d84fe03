//! A folder that files are put into. The place of a file shows how far it is, so that nothing else has to be remembered, and a process that
//! was killed continues where it was.
//! ```text
//! a.csv                                    was put there
//! .sending/<begun ms>.<attempt>/a.csv      is being published, or waits for its workbook
//! done/a.csv   done/a.xlsx                 has its workbook
//! failed/a.csv failed/a.csv.txt            has none, and the text says why
//! .sending/LOCK                            held by the process that watches
//! ```

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::client::folder::numbered;

const SENDING: &str = ".sending";
const DONE: &str = "done";
const FAILED: &str = "failed";
const LOCK: &str = "LOCK";
/// Endings of files that their writers have not finished.
const UNFINISHED: [&str; 6] = ["part", "partial", "tmp", "temp", "crdownload", "filepart"];
/// Names that are tried for one file.
const NAMES_MAX: u32 = 10_000;

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// Another process watches it.
    #[error("{} is watched by another process ({holder})", .dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Its process id, if it said it.
        holder: String,
    },
    /// The file system.
    #[error("{}: {error}", .dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// Its error.
        error: io::Error,
    },
}

/// A folder under watch by this process alone.
#[derive(Debug)]
pub struct Inbox {
    root: PathBuf,
    settle: Duration,
    /// Files as they were when they last changed.
    seen: HashMap<PathBuf, (Stamp, Instant)>,
    _lock: File,
}

/// Length, and when it was written last.
type Stamp = (u64, Option<SystemTime>);

/// A file that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Name of the file, and so of its upload.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
    /// Distinguishes its publication from others under the same name.
    pub attempt: String,
    /// When that began, in milliseconds since 1970.
    pub begun_ms: i64,
}

impl Inbox {
    /// Takes the folder, which must be there, and makes the folders inside. A file counts as whole when nothing of it changed for `settle`.
    ///
    /// # Errors
    /// Another process watches it, or it cannot be written.
    pub fn open(root: &Path, settle: Duration) -> Result<Inbox, InboxError> {
        let failed = |error| InboxError::Io { dir: root.to_owned(), error };
        fs::read_dir(root).map_err(failed)?;
        for folder in [SENDING, DONE, FAILED] {
            fs::create_dir_all(root.join(folder)).map_err(failed)?;
        }
        let path = root.join(SENDING).join(LOCK);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut lock = opened.map_err(failed)?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            let mut holder = String::new();
            // Whoever has it may not have written it yet.
            lock.read_to_string(&mut holder).ok();
            let locked = InboxError::Locked { dir: root.to_owned(), holder: format!("process {holder}") };
            return Err(if error == rustix::io::Errno::WOULDBLOCK { locked } else { failed(error.into()) });
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Inbox { root: root.to_owned(), settle, seen: HashMap::new(), _lock: lock })
    }

    /// Files that are whole now, in the order of their names: regular files that nobody hides or marks as unfinished, and that stayed as
    /// they are for long enough.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn whole_files(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut now = HashMap::new();
        let mut whole = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            // A file may be taken away between two looks at it.
            let Ok(found) = entry.metadata() else { continue };
            if !found.is_file() || !is_meant(&entry.file_name()) {
                continue;
            }
            let stamp = (found.len(), found.modified().ok());
            let same = self.seen.get(&entry.path()).filter(|(before, _)| *before == stamp);
            let since = same.map_or_else(Instant::now, |(_, since)| *since);
            if since.elapsed() >= self.settle {
                whole.push(entry.path());
            }
            now.insert(entry.path(), (stamp, since));
        }
        self.seen = now;
        whole.sort();
        Ok(whole)
    }

    /// Files that were on their way when the process before ended.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn left_behind(&self) -> io::Result<Vec<Sending>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(SENDING))? {
            let folder = entry?.path();
            let name = folder.file_name().and_then(OsStr::to_str).and_then(|name| name.split_once('.'));
            let Some((Ok(begun_ms), attempt)) = name.map(|(begun, attempt)| (begun.parse(), attempt)) else { continue };
            let Some(file) = fs::read_dir(&folder)?.next().transpose()? else {
                fs::remove_dir(&folder)?; // it ended before it took the file
                continue;
            };
            found.push(Sending {
                name: name_of(&file.path()),
                file: file.path(),
                attempt: attempt.to_owned(),
                begun_ms,
            });
        }
        found.sort_by(|a, b| (a.begun_ms, &a.name).cmp(&(b.begun_ms, &b.name)));
        Ok(found)
    }

    /// Takes a file out of sight, to be published as `attempt`. That it was taken outlives a power cut, or it could be taken twice.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn take(&self, file: &Path, attempt: &str, begun_ms: i64) -> io::Result<Sending> {
        let folder = self.root.join(SENDING).join(format!("{begun_ms}.{attempt}"));
        fs::create_dir(&folder)?;
        let to = folder.join(file.file_name().unwrap_or_default());
        fs::rename(file, &to)?;
        for touched in [folder.as_path(), &self.root.join(SENDING), file.parent().unwrap_or(&self.root)] {
            File::open(touched)?.sync_all()?;
        }
        // One that is taken anew leaves its folder behind.
        file.parent().filter(|before| *before != self.root).map_or(Ok(()), fs::remove_dir)?;
        Ok(Sending { name: name_of(&to), file: to, attempt: attempt.to_owned(), begun_ms })
    }

    /// Where workbooks go.
    pub fn done(&self) -> PathBuf {
        self.root.join(DONE)
    }

    /// Puts a file beside its workbook, under the same name; gives where it is.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn put_beside(&self, sending: &Sending, workbook: &Path) -> io::Result<PathBuf> {
        let mut name = workbook.file_stem().unwrap_or_default().to_owned();
        if let Some(extension) = sending.file.extension() {
            name.push(".");
            name.push(extension);
        }
        self.put(sending, &self.done(), &name.to_string_lossy())
    }

    /// Puts a file where those are that have no workbook, with a text that says why; gives where it is.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn put_aside(&self, sending: &Sending, why: &str) -> io::Result<PathBuf> {
        let moved = self.put(sending, &self.root.join(FAILED), &sending.name)?;
        let mut text = moved.clone().into_os_string();
        text.push(".txt");
        fs::write(text, format!("{why}\n"))?;
        Ok(moved)
    }

    /// Moves a file to a name that no other has.
    fn put(&self, sending: &Sending, folder: &Path, name: &str) -> io::Result<PathBuf> {
        let free = (1..=NAMES_MAX).map(|number| folder.join(numbered(name, number)));
        let free = free.into_iter().find(|path| fs::symlink_metadata(path).is_err());
        let to = free.ok_or_else(|| io::Error::new(io::ErrorKind::AlreadyExists, format!("too many files {name}")))?;
        fs::rename(&sending.file, &to)?;
        sending.file.parent().map_or(Ok(()), fs::remove_dir)?;
        Ok(to)
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Neither hidden, nor a lock of an office program, nor unfinished.
fn is_meant(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    !name.starts_with(['.', '~']) && !name.ends_with('~') && !UNFINISHED.contains(&ending.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[PathBuf]) -> Vec<String> {
        files.iter().map(|file| name_of(file)).collect()
    }

    #[test]
    fn only_whole_files_are_taken() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut inbox = Inbox::open(root.path(), Duration::from_millis(50)).expect("a folder");
        for name in ["b.csv", "a.csv", ".hidden.csv", "~$a.xlsx", "c.csv.part", "d.crdownload", "e.csv~"] {
            fs::write(root.path().join(name), "1").expect("written");
        }
        assert!(inbox.whole_files().expect("a folder").is_empty(), "nobody knows yet whether they grow");
        std::thread::sleep(Duration::from_millis(60));
        fs::write(root.path().join("b.csv"), "12").expect("written");
        assert_eq!(names(&inbox.whole_files().expect("a folder")), ["a.csv"], "the other one grew");
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(names(&inbox.whole_files().expect("a folder")), ["a.csv", "b.csv"]);
    }

    #[test]
    fn where_a_file_lies_is_all_that_the_next_process_needs() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let file = root.path().join("서울 a.csv");
        fs::write(&file, "1").expect("written");
        let inbox = Inbox::open(root.path(), Duration::ZERO).expect("a folder");
        let sending = inbox.take(&file, "an-attempt", 17).expect("taken");
        assert!(!file.exists());
        fs::create_dir(root.path().join(".sending/18.another")).expect("ended before it took its file");
        assert!(matches!(Inbox::open(root.path(), Duration::ZERO), Err(InboxError::Locked { .. })));
        drop(inbox);
        let inbox = Inbox::open(root.path(), Duration::ZERO).expect("a folder");
        assert_eq!(inbox.left_behind().expect("a folder"), std::slice::from_ref(&sending));
        assert!(!root.path().join(".sending/18.another").exists());

        let workbook = inbox.done().join("서울 a (2).xlsx");
        let moved = inbox.put_beside(&sending, &workbook).expect("moved");
        assert_eq!(moved, inbox.done().join("서울 a (2).csv"));
        assert!(inbox.left_behind().expect("a folder").is_empty());
    }

    #[test]
    fn a_failed_file_says_why_and_replaces_none() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let inbox = Inbox::open(root.path(), Duration::ZERO).expect("a folder");
        for (attempt, name) in [("1", "a.csv"), ("2", "a (2).csv")] {
            let file = root.path().join("a.csv");
            fs::write(&file, attempt).expect("written");
            let sending = inbox.take(&file, attempt, 1).expect("taken");
            let moved = inbox.put_aside(&sending, "no header").expect("moved");
            assert_eq!(moved, root.path().join("failed").join(name));
            let why = fs::read_to_string(root.path().join("failed").join(format!("{name}.txt"))).expect("a text");
            assert_eq!(why, "no header\n");
        }
    }
}

//! One process at a time in a state directory. The lock goes with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::StateError;

/// Name of the lock file; it holds the process id of whoever has the lock, and is never removed.
pub(super) const LOCK: &str = "LOCK";

/// Longest time for a lock of our own to go: it was given up, but a child process that has not become its program yet still has the file.
const OWN_LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// A held lock.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of `dir`, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<DirectoryLock, StateError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(LOCK));
        let mut file = opened.map_err(|error| {
            StateError::unusable(dir, format!("cannot be written: {error}; give another --state-dir"))
        })?;
        let give_up = Instant::now() + OWN_LOCK_PATIENCE;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(StateError::Io(error.into()));
            }
            match held(&mut file, dir) {
                StateError::Locked { holder, .. } if is_us(&holder) && Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                held => return Err(held),
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(DirectoryLock { _file: file })
    }
}

/// Who has the state directory `dir` open, if anybody.
pub fn holder(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join(LOCK)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => match held(&mut file, dir) {
            StateError::Locked { holder, .. } => Some(holder),
            _ => None,
        },
        _ => None, // the lock goes with the file
    }
}

fn is_us(holder: &str) -> bool {
    holder.parse() == Ok(std::process::id())
}

fn held(file: &mut File, dir: &Path) -> StateError {
    let mut holder = String::new();
    let known =
        file.rewind().is_ok() && file.take(20).read_to_string(&mut holder).is_ok() && holder.parse::<u32>().is_ok();
    let holder = if known { holder } else { "unknown".to_owned() };
    StateError::Locked { dir: dir.display().to_string(), holder }
}

//! Topologies that somebody has paused: they keep their partitions and process nothing. A file in the state directory names them, so that
//! they stay paused through restarts. Deleting the directory resumes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::metrics;
use crate::state::PAUSED;

/// Which topologies are paused in this process.
#[derive(Debug, Default)]
pub struct Pauses {
    topologies: Mutex<BTreeMap<String, Arc<AtomicBool>>>,
    /// Where they are written down.
    folder: OnceLock<PathBuf>,
}

impl Pauses {
    /// Takes up what the state directory names, and writes it there from now on.
    pub(super) fn keep_in(&self, folder: &Path) -> io::Result<()> {
        match fs::read_to_string(folder.join(PAUSED)) {
            Ok(text) => text.lines().for_each(|topology| self.note(topology, true)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.folder.set(folder.to_owned()).ok(); // streams run once
        Ok(())
    }

    /// Pauses a topology, or resumes it. It is so when this returns.
    pub fn set(&self, topology: &str, is_paused: bool) -> io::Result<()> {
        let mut paused = self.paused();
        paused.retain(|other| other != topology);
        paused.extend(is_paused.then(|| topology.to_owned()));
        if let Some(folder) = self.folder.get() {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            paused.iter().try_for_each(|topology| writeln!(file, "{topology}"))?;
            file.as_file().sync_all()?;
            file.persist(folder.join(PAUSED))?;
        }
        tracing::warn!(topology, is_paused, "{}", if is_paused { "paused" } else { "resumed" });
        self.note(topology, is_paused);
        Ok(())
    }

    /// Those that are paused, in the order of their names.
    pub fn paused(&self) -> Vec<String> {
        let flags = self.flags();
        flags.iter().filter(|(_, flag)| flag.load(Ordering::Relaxed)).map(|(topology, _)| topology.clone()).collect()
    }

    /// The flag by which the tasks of a topology see that it is paused.
    pub(super) fn flag(&self, topology: &str) -> Arc<AtomicBool> {
        let flag = self.flags().entry(topology.to_owned()).or_default().clone();
        show(topology, flag.load(Ordering::Relaxed));
        flag
    }

    fn note(&self, topology: &str, is_paused: bool) {
        self.flag(topology).store(is_paused, Ordering::Relaxed);
        show(topology, is_paused);
    }

    fn flags(&self) -> MutexGuard<'_, BTreeMap<String, Arc<AtomicBool>>> {
        self.topologies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show(topology: &str, is_paused: bool) {
    metrics::topology_paused(topology).set(f64::from(u8::from(is_paused)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paused_stays_so_in_the_next_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let pauses = Pauses::default();
        pauses.keep_in(folder.path()).expect("an empty folder");
        pauses.set("b", true).expect("written");
        pauses.set("a", true).expect("written");
        pauses.set("b", false).expect("written");
        assert!(pauses.flag("a").load(Ordering::Relaxed) && !pauses.flag("b").load(Ordering::Relaxed));
        let next = Pauses::default();
        next.keep_in(folder.path()).expect("a folder with a list");
        assert_eq!(next.paused(), ["a"]);
    }
}

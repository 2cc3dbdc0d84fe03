//! A state directory with a flipped bit or a missing end gives the right bytes or none; it never hangs and never panics.

use std::path::{Path, PathBuf};

use sheetstream::state::{RebuildReason, StateDir, StateError, StateOptions, StateStore};

use crate::model::{Chance, History, task};

const CASES: u64 = 60;
const COMMITS: u64 = 40;

fn open(dir: &Path) -> Result<StateDir, StateError> {
    StateDir::open(dir, StateOptions { min_free_bytes: 0, ..StateOptions::default() })
}

/// Every file below `dir` that has bytes, in a fixed order; the lock file is not state.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false if entry.file_name() == "LOCK" || entry.metadata().unwrap().len() == 0 => {}
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Opens a directory and takes it as it is or, where it is damaged, opens the task again, as one that starts anew does; then continues.
/// Returns the commits that were found.
fn recovered(dir: &Path, seed: u64) -> u64 {
    let dir = open(dir).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    let found = History::commits_of(&store).unwrap();
    let (mut history, mut model) = History::replay(seed, found);
    if let Err(error) = history.compare(&store, &model) {
        assert!(matches!(error, StateError::Damaged(_)), "{error}");
        assert!(dir.rebuilds().contains_key(&RebuildReason::Damaged));
        drop(store);
        store = dir.task(&task(0), "t").unwrap();
        assert_eq!((store.scan(&[]).unwrap(), store.bytes()), (vec![], 0));
        (history, model) = History::replay(seed, 0);
    }
    let mut twin = history.clone();
    (0..3).for_each(|_| history.advance(&mut store).unwrap());
    (0..3).for_each(|_| twin.advance(&mut model).unwrap());
    history.compare(&store, &model).unwrap();
    twin.commits - 3
}

#[test]
fn damaged_directory_gives_the_right_bytes_or_none() {
    let mut chance = Chance::from_clock();
    let seed = chance.0;
    println!("seed {seed}");
    let temp = tempfile::tempdir().unwrap();
    let sound = temp.path().join("sound");
    let dir = open(&sound).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    let mut history = History::new(seed);
    (0..COMMITS).for_each(|_| history.advance(&mut store).unwrap());
    drop((store, dir));

    let mut kept = Vec::new();
    for case in 0..CASES {
        let damaged = temp.path().join(case.to_string());
        copy(&sound, &damaged);
        let files = files(&damaged);
        let victim = &files[chance.below(files.len() as u64) as usize];
        let mut bytes = std::fs::read(victim).unwrap();
        let at = chance.below(bytes.len() as u64) as usize;
        if case % 2 == 0 {
            bytes[at] ^= 1 << chance.below(8);
        } else {
            bytes.truncate(at);
        }
        std::fs::write(victim, bytes).unwrap();
        println!("case {case}: {} at {at}", victim.strip_prefix(&damaged).unwrap().display());
        kept.push(recovered(&damaged, seed));
        std::fs::remove_dir_all(&damaged).unwrap();
    }
    println!("commits kept of {COMMITS}: {kept:?}");
}

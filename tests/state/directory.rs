//! Who gets a state directory, who does not, and what is kept over a stop.

use std::path::Path;

use sheetstream::record::TaskId;
use sheetstream::state::keys::{StateKey, TaskHash};
use sheetstream::state::{RebuildReason, SledStore, StateDir, StateError, StateOptions, StateStore, WriteBatch};

use crate::model::{History, task, upload};
use crate::small_disk::SmallDisk;

fn open(dir: &Path) -> Result<StateDir, StateError> {
    StateDir::open(dir, StateOptions { min_free_bytes: 0, ..StateOptions::default() })
}

fn put(key: &str, value: &str) -> WriteBatch {
    let mut batch = WriteBatch::default();
    batch.put(key.into(), value.into());
    batch
}

fn values(store: &SledStore) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    store.scan(&[]).unwrap().into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

#[test]
fn a_second_opener_sees_the_holder_of_the_directory() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(temp.path()).unwrap();
    match open(temp.path()) {
        Err(StateError::Locked { holder, .. }) => assert_eq!(holder, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    drop(first);
    open(temp.path()).unwrap();
}

#[test]
fn foreign_directory_is_refused_and_left_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(open(temp.path()), Err(StateError::Unusable { .. })));
    let names: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[test]
fn path_that_is_no_directory_is_refused_with_the_reason() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "").unwrap();
    let dangling = temp.path().join("dangling");
    std::os::unix::fs::symlink(temp.path().join("nowhere"), &dangling).unwrap();
    for path in [file, dangling] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StateError::Unusable { .. }), "{error}");
    }
}

#[test]
fn link_in_place_of_the_pages_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("state");
    drop(open(&dir).unwrap());
    std::fs::remove_dir_all(dir.join("index")).unwrap();
    std::os::unix::fs::symlink(temp.path(), dir.join("index")).unwrap();
    assert!(matches!(open(&dir), Err(StateError::Unusable { .. })));
}

#[test]
fn tasks_see_nothing_of_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let (mut one, mut two) = (dir.task(&task(1), "t").unwrap(), dir.task(&task(2), "t").unwrap());
    let at = one.append(upload(1), b"page").unwrap();
    one.commit(put("key", "one")).unwrap();
    two.commit(put("key", "two")).unwrap();
    two.clear().unwrap();
    assert_eq!(values(&one), [("key".to_owned(), "one".to_owned())]);
    assert_eq!(values(&two), []);
    let mut page = Vec::new();
    one.read(upload(1), at, &mut page).unwrap();
    assert!(two.read(upload(1), at, &mut page).is_err());
}

#[test]
fn the_ends_of_uploads_are_known_after_every_change() {
    let temp = tempfile::tempdir().unwrap();
    let end = |store: &mut SledStore, n| {
        let mut batch = put("another", "value");
        batch.put(StateKey::Ledger(upload(n)).encode(), b"its end".to_vec());
        store.commit(batch).unwrap();
    };
    let ended = |store: &mut SledStore| {
        let ended = store.ended().unwrap();
        (0..4).filter(|n| ended.may_contain(upload(*n))).collect::<Vec<_>>()
    };
    let dir = open(temp.path()).unwrap();
    let mut store = dir.task(&task(1), "t").unwrap();
    assert!(ended(&mut store).is_empty());
    end(&mut store, 1);
    drop((store, dir));
    let dir = open(temp.path()).unwrap();
    let mut store = dir.task(&task(1), "t").unwrap();
    assert_eq!(ended(&mut store), [1]);
    assert_eq!(ended(&mut store), [1]);
    end(&mut store, 2);
    assert_eq!(ended(&mut store), [1, 2]);
    store.clear().unwrap();
    assert!(ended(&mut store).is_empty());
}

#[test]
fn state_of_another_topology_is_thrown_away() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    dir.task(&task(0), "one").unwrap().commit(put("key", "value")).unwrap();
    assert_eq!(values(&dir.task(&task(0), "one").unwrap()).len(), 1);
    let other = dir.task(&task(0), "two").unwrap();
    assert_eq!(values(&other), []);
    assert_eq!(dir.rebuilds(), [(RebuildReason::Topology, 1)].into());
}

#[test]
fn closed_directory_takes_no_more_commits_and_opens_again() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    store.commit(put("key", "value")).unwrap();
    dir.close().unwrap();
    assert!(store.commit(put("key", "late")).is_err());
    drop((store, dir));

    let dir = open(temp.path()).unwrap();
    assert_eq!(values(&dir.task(&task(0), "t").unwrap()), [("key".to_owned(), "value".to_owned())]);
    assert_eq!(dir.rebuilds(), [].into());
}

#[test]
fn more_uploads_than_open_files_are_committed_and_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    let uploads = || (0..600u32).map(|n| (sheetstream::record::UploadId::new(n.to_string()).hash(), n.to_be_bytes()));
    let at: Vec<_> = uploads().map(|(upload, page)| store.append(upload, &page).unwrap()).collect();
    store.commit(put("key", "value")).unwrap();
    drop((store, dir));

    let dir = open(temp.path()).unwrap();
    let store = dir.task(&task(0), "t").unwrap();
    let mut page = Vec::new();
    for ((upload, wanted), at) in uploads().zip(at) {
        store.read(upload, at, &mut page).unwrap();
        assert_eq!(page, wanted);
    }
    assert!(open_files() < 400, "{} files are open", open_files());
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[test]
fn commits_of_many_tasks_at_once_are_all_kept() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let mut store = dir.task(&task(n), "t").unwrap();
            scope.spawn(move || {
                let mut history = History::new(n as u64);
                (0..20).for_each(|_| history.advance(&mut store).unwrap());
            });
        }
    });
    drop(dir);
    let dir = open(temp.path()).unwrap();
    for n in 0..8 {
        let (history, model) = History::replay(n as u64, 20);
        history.compare(&dir.task(&task(n), "t").unwrap(), &model).unwrap();
    }
}

#[test]
fn full_disk_is_said_and_the_same_commit_works_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mounted_at(folder.path(), 64 << 20) else { return };
    let state = folder.path().join("state");
    let dir = StateDir::open(&state, StateOptions { min_free_bytes: 24 << 20, ..StateOptions::default() }).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    let finished = store.append(upload(1), &[1; 1 << 20]).unwrap();
    store.commit(put("key", "before")).unwrap();

    let ballast = folder.path().join("ballast");
    let mut appended = Vec::new();
    std::fs::write(&ballast, vec![0; 56 << 20]).unwrap();
    assert!(matches!(store.commit(put("key", "refused")), Err(StateError::DiskFull(_))));
    let refused = loop {
        match store.append(upload(2), &[2; 1 << 20]) {
            Ok(at) => appended.push(at),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StateError::DiskFull(_)), "{refused}");
    assert_eq!(values(&store), [("key".to_owned(), "before".to_owned())]);
    store.read(upload(1), finished, &mut Vec::new()).unwrap();

    std::fs::remove_file(&ballast).unwrap();
    store.commit(put("key", "after")).unwrap();
    drop((store, dir));
    let dir = StateDir::open(&state, StateOptions { min_free_bytes: 0, ..StateOptions::default() }).unwrap();
    let store = dir.task(&task(0), "t").unwrap();
    assert_eq!(values(&store), [("key".to_owned(), "after".to_owned())]);
    let mut page = Vec::new();
    for at in appended {
        store.read(upload(2), at, &mut page).unwrap();
        assert!(page == [2; 1 << 20]);
    }
    assert_eq!(dir.rebuilds(), [].into());
}

#[test]
fn nearly_full_disk_still_takes_the_commit_that_frees_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mounted_at(folder.path(), 64 << 20) else { return };
    let options = StateOptions { min_free_bytes: 40 << 20, ..StateOptions::default() };
    let dir = StateDir::open(folder.path().join("state"), options).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    store.append(upload(1), &vec![1; 4 << 20]).unwrap();
    store.commit(put("key", "value")).unwrap();
    store.append(upload(2), &vec![2; 20 << 20]).unwrap();
    assert!(matches!(store.commit(put("key", "refused")), Err(StateError::DiskFull(_))));
    store.commit(WriteBatch { drop_segments: vec![upload(1), upload(2)], ..WriteBatch::default() }).unwrap();
    assert_eq!(store.bytes(), 0);
    store.commit(put("key", "continues")).unwrap();
}

#[test]
fn nearly_full_disk_takes_the_commit_in_which_an_upload_ends_so_that_the_next_one_frees_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mounted_at(folder.path(), 64 << 20) else { return };
    let options = StateOptions { min_free_bytes: 40 << 20, ..StateOptions::default() };
    let dir = StateDir::open(folder.path().join("state"), options).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    store.append(upload(1), &vec![1; 24 << 20]).unwrap();
    assert!(matches!(store.commit(put("key", "refused")), Err(StateError::DiskFull(_))));
    store.commit(WriteBatch { ends_uploads: true, ..put("key", "ended") }).unwrap();
    assert_eq!(values(&store), [("key".to_owned(), "ended".to_owned())]);
}

#[test]
fn pages_that_are_on_the_disk_need_no_room_at_their_commit() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mounted_at(folder.path(), 64 << 20) else { return };
    let options = StateOptions { min_free_bytes: 8 << 20, ..StateOptions::default() };
    let dir = StateDir::open(folder.path().join("state"), options).unwrap();
    let mut store = dir.task(&task(0), "t").unwrap();
    // A rebuild commits all its pages at once.
    for _ in 0..32 {
        store.append(upload(1), &[1; 1 << 20]).unwrap();
    }
    store.commit(put("key", "rebuilt")).unwrap();
}

#[test]
fn state_of_one_task_is_removed_and_that_of_others_stays() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let tasks = [0, 1, 2].map(|partition| TaskId { topology: "t".into(), source: None, partition });
    for id in &tasks {
        let mut store = dir.task(id, "t").unwrap();
        store.append(upload(1), b"page").unwrap();
        store.commit(put("key", &id.to_string())).unwrap();
    }
    let hash = |id: &TaskId| TaskHash::of(id);
    assert_eq!(dir.tasks().unwrap(), tasks.iter().map(hash).collect());
    dir.remove(hash(&tasks[1])).unwrap();
    dir.remove(TaskHash([7; 8])).unwrap();
    assert_eq!(dir.tasks().unwrap(), [hash(&tasks[0]), hash(&tasks[2])].into());
    assert!(!temp.path().join("pages").join(hash(&tasks[1]).to_string()).exists());
    assert_eq!(values(&dir.task(&tasks[1], "t").unwrap()), []);
    assert_eq!(values(&dir.task(&tasks[2], "t").unwrap()), [("key".to_owned(), "t/2".to_owned())]);
    assert_eq!(dir.rebuilds().len(), 0);
}

//! Whatever is done to a store on disk, it answers as the one in memory does.

use proptest::prelude::*;
use sheetstream::record::UploadHash;
use sheetstream::state::{InMemoryStore, SledStore, StateDir, StateOptions, StateStore, WriteBatch};

use crate::model::{task, upload};

#[derive(Clone, Debug)]
enum Act {
    Append(u64, Vec<u8>),
    Commit { puts: Vec<(Vec<u8>, Vec<u8>)>, deletes: Vec<Vec<u8>>, drops: Vec<u64> },
    Reopen,
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    let key = || prop::collection::vec(0u8..3, 0..4);
    let value = prop::collection::vec(any::<u8>(), 0..300);
    let commit = (prop::collection::vec((key(), value), 0..8), prop::collection::vec(key(), 0..4), drops());
    prop_oneof![
        8 => (0..5u64, prop::collection::vec(any::<u8>(), 0..5_000)).prop_map(|(to, page)| Act::Append(to, page)),
        6 => commit.prop_map(|(puts, deletes, drops)| Act::Commit { puts, deletes, drops }),
        2 => Just(Act::Reopen),
        1 => Just(Act::Clear),
    ]
}

fn drops() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(0..5u64, 1..3)]
}

fn open(dir: &std::path::Path) -> (StateDir, SledStore) {
    let options = StateOptions { min_free_bytes: 0, ..StateOptions::default() };
    let dir = StateDir::open(dir, options).unwrap();
    let store = dir.task(&task(0), "topology").unwrap();
    (dir, store)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn store_on_disk_answers_as_the_one_in_memory(acts in prop::collection::vec(act(), 1..60)) {
        let temp = tempfile::tempdir().unwrap();
        let (mut dir, mut store) = open(temp.path());
        let mut model = InMemoryStore::new();
        let mut pages = Vec::new();
        for act in acts {
            match act {
                Act::Append(to, page) => {
                    let at = store.append(upload(to), &page).unwrap();
                    prop_assert_eq!(at, model.append(upload(to), &page).unwrap());
                    pages.push((upload(to), at));
                }
                Act::Commit { puts, deletes, drops } => {
                    let mut batch = WriteBatch::default();
                    puts.into_iter().for_each(|(key, value)| batch.put(key, value));
                    deletes.into_iter().for_each(|key| batch.delete(key));
                    batch.drop_segments = drops.into_iter().map(upload).collect();
                    store.commit(batch.clone()).unwrap();
                    model.commit(batch).unwrap();
                }
                Act::Reopen => {
                    drop(store);
                    drop(dir);
                    (dir, store) = open(temp.path());
                    model = model.crash();
                }
                Act::Clear => {
                    store.clear().unwrap();
                    model.clear().unwrap();
                }
            }
            prop_assert_eq!(store.bytes(), model.bytes());
            prop_assert_eq!(store.scan(&[]).unwrap(), model.scan(&[]).unwrap());
            prop_assert_eq!(store.scan(&[1]).unwrap(), model.scan(&[1]).unwrap());
        }
        let read = |store: &dyn StateStore, (upload, at): &(UploadHash, _)| {
            let mut page = Vec::new();
            store.read(*upload, *at, &mut page).ok().map(|()| page)
        };
        for page in &pages {
            prop_assert_eq!(read(&store, page), read(&model, page));
        }
    }
}

//! A reproducible history of commits, and the comparison of a store with what that history must have left in it.

use std::collections::BTreeMap;

use sheetstream::record::{TaskId, UploadHash};
use sheetstream::state::{InMemoryStore, PagePosition, StateError, StateStore, WriteBatch};

pub fn task(partition: i32) -> TaskId {
    TaskId { topology: "stores".into(), source: None, partition }
}

pub fn upload(n: u64) -> UploadHash {
    UploadHash([n as u8; 16])
}

/// splitmix64: enough chance for a test, and the same on every machine.
pub struct Chance(pub u64);

impl Chance {
    pub fn from_clock() -> Chance {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Chance(now.as_nanos() as u64)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// The history of one task: commit `n` is a function of the seed and of the commits before it.
#[derive(Clone)]
pub struct History {
    seed: u64,
    pub commits: u64,
    pages: BTreeMap<u64, Vec<PagePosition>>,
}

const COMMITS: &[u8] = b"commits";

impl History {
    pub fn new(seed: u64) -> History {
        History { seed, commits: 0, pages: BTreeMap::new() }
    }

    /// The history after its first `commits`, and what it leaves.
    pub fn replay(seed: u64, commits: u64) -> (History, InMemoryStore) {
        let (mut history, mut model) = (History::new(seed), InMemoryStore::new());
        (0..commits).for_each(|_| history.advance(&mut model).unwrap());
        (history, model)
    }

    /// Makes the next commit: pages of up to 64 KiB, a value for each, and now and then the end of an upload.
    pub fn advance(&mut self, store: &mut impl StateStore) -> Result<(), StateError> {
        let mut chance = Chance(self.seed ^ (self.commits << 8));
        let mut batch = WriteBatch::default();
        if chance.below(8) == 0
            && let Some((finished, pages)) = self.pages.pop_first()
        {
            (0..pages.len()).for_each(|page| batch.delete(key(finished, page)));
            batch.drop_segments.push(upload(finished));
        }
        for _ in 0..chance.below(5) {
            let into = self.commits / 16 + chance.below(4);
            let length = chance.below(64 << 10) as usize;
            let page: Vec<u8> = std::iter::repeat_with(|| chance.next().to_le_bytes()).flatten().take(length).collect();
            if batch.drop_segments.contains(&upload(into)) {
                continue;
            }
            let at = store.append(upload(into), &page)?;
            let pages = self.pages.entry(into).or_default();
            batch.put(key(into, pages.len()), format!("{at:?}").into_bytes());
            pages.push(at);
        }
        self.commits += 1;
        batch.put(COMMITS.to_vec(), self.commits.to_be_bytes().to_vec());
        store.commit(batch)
    }

    /// The commits that a store has seen.
    pub fn commits_of(store: &impl StateStore) -> Result<u64, StateError> {
        let found = store.scan(COMMITS)?;
        Ok(found.first().map_or(0, |(_, value)| u64::from_be_bytes(value[..].try_into().unwrap())))
    }

    /// Reads all of `store`: it must hold what `model` holds, to the byte.
    pub fn compare(&self, store: &impl StateStore, model: &InMemoryStore) -> Result<(), StateError> {
        assert!(store.scan(&[])? == model.scan(&[])?, "values differ at commit {}", self.commits);
        let (mut found, mut wanted) = (Vec::new(), Vec::new());
        for (id, pages) in &self.pages {
            for at in pages {
                store.read(upload(*id), *at, &mut found)?;
                model.read(upload(*id), *at, &mut wanted)?;
                assert!(found == wanted, "page {at:?} of upload {id} has other bytes");
            }
        }
        Ok(())
    }
}

fn key(upload: u64, page: usize) -> Vec<u8> {
    format!("page/{upload:08}/{page:08}").into_bytes()
}

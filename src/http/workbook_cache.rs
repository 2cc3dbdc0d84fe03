//! Files of workbooks that were asked for. They are kept until there are too many bytes or files, or nobody has asked for one for a while: each
//! is an open file, and a process may have few of them.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::sink::digest::Digest;

/// Bytes of workbooks that are kept; one alone may be larger.
pub(super) const CACHE_BYTES_MAX: u64 = 1 << 30;
/// Workbooks that are kept, each in an open file.
const CACHE_FILES_MAX: usize = 64;
/// A workbook that was not asked for in so long is let go of.
const CACHE_AGE_MAX: Duration = Duration::from_secs(600);

/// A workbook's file.
pub(super) struct Cached {
    pub file: File,
    pub bytes: u64,
}

/// A workbook that is there, or is being fetched by one request while others wait.
pub(super) type Cell = Arc<OnceCell<Arc<Cached>>>;

/// Workbooks that were asked for, the last one at the end.
#[derive(Default)]
pub(super) struct WorkbookCache(Mutex<Vec<Kept>>);

struct Kept {
    sha256: Digest,
    cell: Cell,
    /// When it was asked for last.
    at: Instant,
}

impl Kept {
    fn bytes(&self) -> u64 {
        self.cell.get().map_or(0, |cached| cached.bytes)
    }
}

impl WorkbookCache {
    /// The place of a workbook, made if there is none; it is the last one to be let go now.
    pub(super) fn cell(&self, sha256: Digest, now: Instant) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|kept| kept.sha256 == sha256);
        let cell = found.map_or_else(Cell::default, |at| kept.remove(at).cell);
        kept.push(Kept { sha256, cell: cell.clone(), at: now });
        cell
    }

    /// Lets go of those that were not asked for longest, but for the last one. A file that is being sent stays until it is sent.
    pub(super) fn shrink(&self, bytes_max: u64, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: u64 = kept.iter().map(Kept::bytes).sum();
        while let [oldest, _, ..] = &kept[..] {
            let is_old = now.duration_since(oldest.at) > CACHE_AGE_MAX;
            if bytes <= bytes_max && kept.len() <= CACHE_FILES_MAX && !is_old {
                break;
            }
            bytes -= oldest.bytes();
            kept.remove(0);
        }
    }

    /// Lets go of those that nobody has asked for in a while.
    pub(super) fn age(&self, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| now.duration_since(kept.at) <= CACHE_AGE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &WorkbookCache, n: u8, bytes: u64, now: Instant) {
        let cached = Cached { file: tempfile::tempfile().expect("a file"), bytes };
        cache.cell(Digest([n; 32]), now).set(Arc::new(cached)).ok().expect("a new cell");
    }

    fn left(cache: &WorkbookCache) -> Vec<u8> {
        cache.0.lock().expect("no panic").iter().map(|kept| kept.sha256.0[0]).collect()
    }

    #[test]
    fn the_cache_lets_go_of_what_was_not_asked_for_longest() {
        let (cache, now) = (WorkbookCache::default(), Instant::now());
        (0..4).for_each(|n| keep(&cache, n, 10, now));
        cache.cell(Digest([0; 32]), now);
        cache.shrink(25, now);
        assert_eq!(left(&cache), [3, 0]);
        cache.shrink(0, now);
        assert_eq!(left(&cache), [0], "the one that is asked for now stays");
    }

    #[test]
    fn small_workbooks_do_not_use_up_the_open_files() {
        let (cache, now) = (WorkbookCache::default(), Instant::now());
        for n in 0..200 {
            keep(&cache, n, 1, now);
            cache.shrink(CACHE_BYTES_MAX, now);
        }
        assert_eq!(left(&cache), (136..200).collect::<Vec<u8>>());
    }

    #[test]
    fn a_workbook_that_nobody_asks_for_is_closed() {
        let (cache, now) = (WorkbookCache::default(), Instant::now());
        keep(&cache, 1, 1, now);
        let later = now + CACHE_AGE_MAX;
        keep(&cache, 2, 1, later);
        cache.age(later);
        assert_eq!(left(&cache), [1, 2]);
        cache.age(later + Duration::from_secs(1));
        assert_eq!(left(&cache), [2]);
    }
}

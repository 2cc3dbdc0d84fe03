//! A list of open uploads that the tasks of one topology in this process share. Records without the right key, or partitions that were
//! added, bring rows of one upload into several partitions, and each has only a part of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key_per_row::KeyPerRow;
use crate::record::{Offset, Part, Parts, UploadHash, UploadId};

/// Shared by the tasks of a topology. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Siblings(Arc<Shared>);

/// Open uploads. Each has, by partition, its first offset and its rows so far.
type Open = HashMap<UploadId, BTreeMap<i32, (Offset, Arc<AtomicU64>)>>;

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    /// Partitions that tasks of this process have, each with their number: a former one may not be gone yet.
    seats: Mutex<BTreeMap<i32, u32>>,
    key_per_row: Mutex<KeyPerRow>,
}

/// An upload is known to be open in a partition for as long as this lives.
#[derive(Debug)]
pub(super) struct Placed {
    siblings: Siblings,
    upload: UploadId,
    hash: UploadHash,
    partition: i32,
    rows: Arc<AtomicU64>,
}

/// A partition is known to be this process's for as long as this lives.
#[derive(Debug)]
pub(super) struct Seat {
    siblings: Siblings,
    partition: i32,
}

impl Siblings {
    /// Makes it known that this process has `partition`.
    pub(super) fn sit(&self, partition: i32) -> Seat {
        *self.seats().entry(partition).or_default() += 1;
        Seat { siblings: self.clone(), partition }
    }

    /// Whether this process has all partitions of a topic with so many, so that no other process has anything.
    pub(super) fn has_all(&self, partitions: i32) -> bool {
        usize::try_from(partitions).is_ok_and(|partitions| self.seats().len() >= partitions)
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<i32, u32>> {
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it known that `upload` is open in `partition` from `first` on.
    pub(super) fn place(&self, upload: &UploadId, partition: i32, first: Offset) -> Placed {
        let rows = Arc::<AtomicU64>::default();
        self.open().entry(upload.clone()).or_default().insert(partition, (first, rows.clone()));
        Placed { siblings: self.clone(), hash: upload.hash(), upload: upload.clone(), partition, rows }
    }

    /// The partitions besides `partition` in which `upload` is open.
    pub(super) fn elsewhere(&self, upload: &UploadId, partition: i32) -> Parts {
        let open = self.open();
        let others = open.get(upload).into_iter().flatten().filter(|(other, _)| **other != partition);
        let part = |(partition, (first, rows)): (&i32, &(Offset, Arc<AtomicU64>))| Part::At {
            partition: *partition,
            first: *first,
            rows: rows.load(Ordering::Relaxed),
        };
        Parts(others.map(part).collect())
    }

    /// The watch for keys per row.
    pub(super) fn key_per_row(&self) -> MutexGuard<'_, KeyPerRow> {
        self.0.key_per_row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Placed {
    /// By which the group's other processes know the upload.
    pub(super) fn hash(&self) -> UploadHash {
        self.hash
    }

    /// Notes the number of rows of the upload here.
    pub(super) fn rows(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.siblings.seats();
        if let Some(tasks) = seats.get_mut(&self.partition) {
            *tasks -= 1;
            if *tasks == 0 {
                seats.remove(&self.partition);
            }
        }
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let mut open = self.siblings.open();
        // A later one of the partition may have taken its place.
        if let Some(placed) = open.get_mut(&self.upload)
            && placed.get(&self.partition).is_some_and(|(_, rows)| Arc::ptr_eq(rows, &self.rows))
        {
            placed.remove(&self.partition);
            if placed.is_empty() {
                open.remove(&self.upload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_known_elsewhere_while_it_is_open_there() {
        let (siblings, upload) = (Siblings::default(), UploadId::new("a.csv"));
        let one = siblings.place(&upload, 1, Offset(10));
        one.rows(7);
        let other = siblings.clone().place(&upload, 2, Offset(20));
        let part = |partition, first, rows| Part::At { partition, first: Offset(first), rows };
        assert_eq!(siblings.elsewhere(&upload, 2).0, [part(1, 10, 7)]);
        assert_eq!(siblings.elsewhere(&upload, 0).0, [part(1, 10, 7), part(2, 20, 0)]);
        let again = siblings.place(&upload, 1, Offset(30));
        drop(one);
        assert_eq!(siblings.elsewhere(&upload, 2).0, [part(1, 30, 0)]);
        drop((again, other));
        assert_eq!(siblings.elsewhere(&upload, 0).0, []);
    }
}

//! Rows that came before their turn (contract 5): in memory, above a limit sorted to disk, and given back in the order of their indexes.
//!
//! Rows on disk go through [`StateStore::append`] under a hash of their own. They are scratch: the state never refers to them, a restart
//! reads the rows from the log again, and they are dropped with their upload.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Offset, UploadHash};
use crate::state::{PagePosition, StateError, StateStore};

/// Bytes of rows that are held in memory; beyond them they go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Rows of one upload that wait for a lower index.
    pub upload: usize,
    /// The same of all uploads of a task.
    pub task: usize,
    /// Rows in open pages of all uploads of a task.
    pub open: usize,
}

impl MemoryLimits {
    /// The limits that serve a task best.
    pub const BEST: MemoryLimits = MemoryLimits { upload: 16 << 20, task: 64 << 20, open: 32 << 20 };
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits::BEST
    }
}

/// Size at which a block of a sorted run is closed.
const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of an entry beside its row.
const ENTRY_BYTES: usize = 64;

/// A row's index and its bytes.
type IndexedRow = (u64, Box<[u8]>);

/// The waiting rows of one upload.
#[derive(Debug, Default)]
pub(super) struct ReorderBuffer {
    /// Indexes that wait, as ranges: first to last.
    spans: BTreeMap<u64, u64>,
    memory: BTreeMap<u64, Entry>,
    memory_bytes: usize,
    runs: Vec<Run>,
    /// Those of them that are counted already: they failed, or a filter took them out.
    settled: BTreeSet<u64>,
    len: u64,
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    row: Box<[u8]>,
}

/// Rows on disk, ascending by index.
#[derive(Debug)]
struct Run {
    lowest_offset: Offset,
    blocks: std::vec::IntoIter<Block>,
    /// The rest of the block that is being read: index, length, row; one after the other.
    open: Vec<u8>,
    read: usize,
    /// Index of the row that comes next.
    head: u64,
}

#[derive(Debug)]
struct Block {
    first: u64,
    at: PagePosition,
}

impl ReorderBuffer {
    /// Rows that wait.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
    /// True when none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Bytes held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.memory_bytes + self.runs.iter().map(|run| run.open.len()).sum::<usize>()
    }
    /// Numbers that stay in memory wherever the rows are: of each run of neighbours, and of each row that is counted already.
    pub(super) fn numbers(&self) -> usize {
        self.spans.len() + self.settled.len()
    }
    /// Lowest index that waits.
    pub(super) fn first(&self) -> Option<u64> {
        self.spans.keys().next().copied()
    }
    /// Highest index that waits.
    pub(super) fn last(&self) -> Option<u64> {
        self.spans.values().next_back().copied()
    }
    /// Whether the row with this index waits.
    pub(super) fn contains(&self, index: u64) -> bool {
        self.spans.range(..=index).next_back().is_some_and(|(_, last)| index <= *last)
    }
    /// Indexes of rows that wait and are counted already.
    pub(super) fn settled(&self) -> &BTreeSet<u64> {
        &self.settled
    }
    /// Lowest offset of a row that waits.
    pub(super) fn lowest_offset(&self) -> Option<Offset> {
        let memory = self.memory.values().map(|entry| entry.offset);
        memory.chain(self.runs.iter().map(|run| run.lowest_offset)).min()
    }
    /// The indexes below the highest that waits which are still missing, from `next` on, as ranges; at most `limit` of them.
    pub(super) fn gaps(&self, mut next: u64, limit: usize) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        for (&first, &last) in self.spans.iter().take(limit) {
            if next < first {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        gaps
    }

    /// Lets a row wait. `index` must not wait already.
    pub(super) fn insert(&mut self, index: u64, offset: Offset, row: Vec<u8>, settled: bool) {
        debug_assert!(!self.contains(index));
        self.memory_bytes += row.len() + ENTRY_BYTES;
        self.memory.insert(index, Entry { offset, row: row.into() });
        if settled {
            self.settled.insert(index);
        }
        self.len += 1;
        let last = self.spans.remove(&(index + 1)).unwrap_or(index);
        match self.spans.range_mut(..index).next_back() {
            Some((_, before)) if *before + 1 == index => *before = last,
            _ => {
                self.spans.insert(index, last);
            }
        }
    }

    /// Writes what is in memory to disk as a sorted run.
    pub(super) fn spill(&mut self, segment: UploadHash, store: &mut dyn StateStore) -> Result<(), StateError> {
        let Some(lowest_offset) = self.memory.values().map(|entry| entry.offset).min() else { return Ok(()) };
        let mut blocks = Vec::new();
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let mut first = None;
        for (index, entry) in &self.memory {
            first.get_or_insert(*index);
            block.extend_from_slice(&index.to_le_bytes());
            block.extend_from_slice(&(entry.row.len() as u32).to_le_bytes());
            block.extend_from_slice(&entry.row);
            if block.len() >= BLOCK_BYTES {
                blocks.push(Block { first: first.take().unwrap_or(*index), at: store.append(segment, &block)? });
                block.clear();
            }
        }
        if let Some(first) = first {
            blocks.push(Block { first, at: store.append(segment, &block)? });
        }
        self.memory.clear();
        self.memory_bytes = 0;
        if let Some(head) = blocks.first().map(|block| block.first) {
            self.runs.push(Run { lowest_offset, blocks: blocks.into_iter(), open: Vec::new(), read: 0, head });
        }
        Ok(())
    }

    /// Gives back the row with the lowest index.
    pub(super) fn pop(
        &mut self,
        segment: UploadHash,
        store: &dyn StateStore,
    ) -> Result<Option<IndexedRow>, StateError> {
        let Some(index) = self.first() else { return Ok(None) };
        let row = match self.memory.remove(&index) {
            Some(entry) => {
                self.memory_bytes -= entry.row.len() + ENTRY_BYTES;
                entry.row
            }
            None => self.pop_run(index, segment, store)?,
        };
        let last = self.spans.remove(&index).unwrap_or(index);
        if index < last {
            self.spans.insert(index + 1, last);
        }
        self.settled.remove(&index);
        self.len -= 1;
        Ok(Some((index, row)))
    }

    fn pop_run(&mut self, index: u64, segment: UploadHash, store: &dyn StateStore) -> Result<Box<[u8]>, StateError> {
        let lost = || StateError::Damaged(format!("row {index} waits and is not in segment {segment}"));
        let at = self.runs.iter().position(|run| run.head == index).ok_or_else(lost)?;
        let run = &mut self.runs[at];
        if run.read == run.open.len() {
            let block = run.blocks.next().ok_or_else(lost)?;
            store.read(segment, block.at, &mut run.open)?;
            run.read = 0;
        }
        let (_, row, next) = entry_at(&run.open, run.read).ok_or_else(lost)?;
        let row = row.into();
        run.read = next;
        let in_block = entry_at(&run.open, next).map(|(index, _, _)| index);
        match in_block.or_else(|| run.blocks.as_slice().first().map(|block| block.first)) {
            Some(head) => run.head = head,
            None => drop(self.runs.swap_remove(at)),
        }
        Ok(row)
    }
}

/// The entry at `at`: its index, its row, where the next one begins.
fn entry_at(block: &[u8], at: usize) -> Option<(u64, &[u8], usize)> {
    let (index, rest) = block.get(at..)?.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((u64::from_le_bytes(*index), rest.get(..length)?, at + 12 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::InMemoryStore;
    use proptest::prelude::*;

    const SEGMENT: UploadHash = UploadHash([7; 16]);

    fn row(index: u64) -> Vec<u8> {
        format!("row {index} {}", "x".repeat(index as usize % 5_000)).into_bytes()
    }

    proptest! {
        #[test]
        fn rows_come_back_in_order_whatever_was_spilled(
            order in Just((1..200_u64).collect::<Vec<_>>()).prop_shuffle(),
            spills in prop::collection::btree_set(0..200_usize, 0..6),
            popped in 0..50_usize,
        ) {
            let mut store = InMemoryStore::new();
            let mut waiting = ReorderBuffer::default();
            let mut given = BTreeSet::new();
            for (n, &index) in order.iter().enumerate() {
                waiting.insert(index, Offset(index as i64), row(index), index % 3 == 0);
                given.insert(index);
                if spills.contains(&n) {
                    waiting.spill(SEGMENT, &mut store).unwrap();
                    for _ in 0..popped.min(given.len()) {
                        let expected = given.pop_first().unwrap();
                        let (index, bytes) = waiting.pop(SEGMENT, &store).unwrap().unwrap();
                        prop_assert_eq!((index, bytes.to_vec()), (expected, row(expected)));
                    }
                }
                prop_assert_eq!(waiting.first(), given.first().copied());
                prop_assert_eq!(waiting.len(), given.len() as u64);
                prop_assert!(waiting.lowest_offset().map(|o| o.0 as u64) <= given.first().copied());
            }
            (1..200).for_each(|index| assert_eq!(waiting.contains(index), given.contains(&index)));
            while let Some(expected) = given.pop_first() {
                prop_assert_eq!(waiting.settled().contains(&expected), expected % 3 == 0);
                let (index, bytes) = waiting.pop(SEGMENT, &store).unwrap().unwrap();
                prop_assert_eq!((index, bytes.to_vec()), (expected, row(expected)));
            }
            prop_assert!(waiting.is_empty() && waiting.settled().is_empty() && waiting.bytes() == 0);
        }
    }

    #[test]
    fn gaps_are_the_ranges_that_are_missing() {
        let mut waiting = ReorderBuffer::default();
        [4, 5, 9].into_iter().for_each(|index| waiting.insert(index, Offset(0), Vec::new(), false));
        assert_eq!(waiting.gaps(2, 10), [(2, 3), (6, 8)]);
        assert_eq!(waiting.gaps(2, 1), [(2, 3)]);
    }
}

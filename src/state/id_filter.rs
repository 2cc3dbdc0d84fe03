//! A filter of the ids whose ends the state may have: a Bloom filter that grows, about one byte an id. It spares new ids a look at the disk.

use crate::record::UploadHash;

/// Bits for an id, of which it sets [`BITS_SET`]: one in 40 of the ids that are not in it seems to be.
const BITS_AN_ID: usize = 8;
const BITS_SET: usize = 4;
/// 64-bit words of the first block and of the largest; each block is twice the one before it.
const WORDS: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 17;

/// Ids that were put in, and a few that were not.
#[derive(Debug, Default)]
pub struct IdFilter {
    blocks: Vec<Box<[u64]>>,
    /// Ids for which the last block has room.
    room: usize,
}

impl IdFilter {
    /// Puts an id in.
    pub fn insert(&mut self, id: UploadHash) {
        if self.may_contain(id) {
            return;
        }
        if self.room == 0 {
            let words = self.blocks.last().map_or(*WORDS.start(), |block| (2 * block.len()).min(*WORDS.end()));
            self.blocks.push(vec![0; words].into());
            self.room = words * 64 / BITS_AN_ID;
        }
        self.room -= 1;
        if let Some(block) = self.blocks.last_mut() {
            for (word, bit) in places(id, block.len()) {
                block[word] |= bit;
            }
        }
    }

    /// False only for an id that was never put in.
    pub fn may_contain(&self, id: UploadHash) -> bool {
        self.blocks.iter().any(|block| places(id, block.len()).all(|(word, bit)| block[word] & bit != 0))
    }
}

/// Where an id sets bits in a block of so many words, a power of two. The id is a piece of a SHA-256, so its own bits are as good as any.
fn places(id: UploadHash, words: usize) -> impl Iterator<Item = (usize, u64)> {
    (0..BITS_SET).map(move |n| {
        let piece = u32::from_le_bytes([id.0[4 * n], id.0[4 * n + 1], id.0[4 * n + 2], id.0[4 * n + 3]]) as usize;
        (piece / 64 % words, 1 << (piece % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::UploadId;

    #[test]
    fn it_knows_all_that_went_in_and_hardly_more_in_a_byte_or_two_an_id() {
        let id = |n: usize| UploadId::new(n.to_string()).hash();
        let (mut filter, ids) = (IdFilter::default(), 40_000);
        assert!(!filter.may_contain(id(0)));
        (0..ids).for_each(|n| filter.insert(id(n)));
        assert!((0..ids).all(|n| filter.may_contain(id(n))));
        let mistaken = (ids..2 * ids).filter(|n| filter.may_contain(id(*n))).count();
        assert!(mistaken < ids / 10, "{mistaken}");
        let bytes: usize = filter.blocks.iter().map(|block| 8 * block.len()).sum();
        assert!(bytes < 2 * ids, "{bytes}");
    }
}

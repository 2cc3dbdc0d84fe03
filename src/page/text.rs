//! Finds earlier text by hash chains (as in zlib), at the beginnings of characters only.

use super::deflate::Deflate;
use super::sequence::DISTANCE_MAX;

/// Bytes that are hashed: two Hangul syllables. Shorter matches save next to nothing.
const KEY: usize = 6;
const HASH_BITS: u32 = 13;
/// Places that are compared for one character.
const DEPTH: usize = 8;
/// A match of this length is taken without looking for a longer one.
const LONG_ENOUGH: usize = 32;

/// Earlier places of texts. Positions grow from segment to segment by more than a match can reach, so that the table is as good as empty
/// at the beginning of a segment, without being cleared.
#[derive(Debug)]
pub(super) struct Text {
    /// By hash: the last position.
    heads: Vec<u32>,
    /// By position, modulo its length: the position with the same hash before.
    chain: Vec<u32>,
    /// Position of the segment's first byte.
    base: u32,
}

/// An earlier place with the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where they begin.
    pub source: usize,
    /// How many there are.
    pub length: usize,
}

impl Default for Text {
    fn default() -> Text {
        Text { heads: vec![0; 1 << HASH_BITS], chain: vec![0; DISTANCE_MAX], base: 2 * DISTANCE_MAX as u32 }
    }
}

impl Text {
    /// Ends a segment of this length.
    pub(super) fn finish(&mut self, length: usize) {
        match u32::try_from(length + 2 * DISTANCE_MAX).ok().and_then(|length| self.base.checked_add(length)) {
            Some(base) if base < 1 << 31 => self.base = base,
            _ => *self = Text::default(),
        }
    }

    /// The longest match at `at` of the nearest few places.
    #[inline]
    pub(super) fn find(&self, xml: &[u8], at: usize) -> Option<Found> {
        let here = self.base + at as u32;
        let lowest = here - (DISTANCE_MAX as u32 - 1);
        let mut candidate = self.heads[hash(xml, at)?];
        let mut best = Found { source: 0, length: KEY - 1 };
        for _ in 0..DEPTH {
            if candidate < lowest {
                break;
            }
            let source = (candidate - self.base) as usize;
            if xml.get(source + best.length) == xml.get(at + best.length) {
                let length = common(xml, source, at);
                if length > best.length {
                    best = Found { source, length };
                }
            }
            candidate = self.chain[candidate as usize % DISTANCE_MAX];
        }
        (best.length >= KEY).then_some(best)
    }

    /// Remembers every character in `from..to`.
    #[inline]
    pub(super) fn remember(&mut self, xml: &[u8], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            self.insert(xml, at);
            at = next(xml, at);
        }
    }

    /// Adds the matches of `from..to` and remembers its characters. The last match may reach beyond `to`; gives where it ends, or `from`.
    pub(super) fn matches(&mut self, xml: &[u8], from: usize, to: usize, deflate: &mut Deflate) -> usize {
        let mut covered = from;
        let mut at = from;
        while at < to {
            let mut found = self.find(xml, at);
            self.insert(xml, at);
            let mut start = at;
            at = next(xml, at);
            // A longer one from the next character is better.
            while let Some(Found { length, .. }) = found
                && start + length < to
                && length < LONG_ENOUGH
            {
                let Some(longer) = self.find(xml, at).filter(|longer| longer.length > length) else { break };
                self.insert(xml, at);
                (start, found) = (at, Some(longer));
                at = next(xml, at);
            }
            if let Some(Found { source, length }) = found {
                deflate.push(xml, start, length, start - source);
                covered = start + length;
                self.remember(xml, at, covered.min(to));
                at = covered;
            }
        }
        covered
    }

    #[inline]
    fn insert(&mut self, xml: &[u8], at: usize) {
        if let Some(hash) = hash(xml, at) {
            let here = self.base + at as u32;
            self.chain[here as usize % DISTANCE_MAX] = self.heads[hash];
            self.heads[hash] = here;
        }
    }
}

/// How many bytes from `at` on are the same as from `source` on; 0 when that is too far away.
#[inline]
pub(super) fn common(xml: &[u8], source: usize, at: usize) -> usize {
    if at - source > DISTANCE_MAX {
        return 0;
    }
    let here = &xml[at..];
    let there = &xml[source..source + here.len()];
    let (here, here_rest) = here.as_chunks::<8>();
    let (there, there_rest) = there.as_chunks::<8>();
    for (index, (here, there)) in here.iter().zip(there).enumerate() {
        let differ = u64::from_le_bytes(*here) ^ u64::from_le_bytes(*there);
        if differ != 0 {
            return 8 * index + (differ.trailing_zeros() / 8) as usize;
        }
    }
    8 * here.len() + here_rest.iter().zip(there_rest).take_while(|(here, there)| here == there).count()
}

#[inline]
fn hash(xml: &[u8], at: usize) -> Option<usize> {
    let bytes = u64::from_le_bytes(*xml.get(at..)?.first_chunk()?);
    Some(((bytes << (64 - 8 * KEY)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS)) as usize)
}

/// Where the next character begins.
#[inline]
fn next(xml: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while xml.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at += 1;
    }
    at
}

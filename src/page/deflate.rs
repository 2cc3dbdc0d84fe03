//! Matches to a segment of deflate (RFC 1951): gathers them into blocks and ends with a sync flush. Which matches there are is decided
//! elsewhere.

use super::codes::{Bits, Codes};
use super::sequence::{DISTANCE_MAX, LENGTH_MAX, LENGTH_MIN, Sequence};

/// Sequences in one block; codes of their own for less would cost more than they save.
const SEQUENCES_MAX: usize = 32_768;

/// The sequences of a segment that are decided and not yet written, and the written bytes.
#[derive(Debug, Default)]
pub(super) struct Deflate {
    sequences: Vec<Sequence>,
    /// Bytes of the segment that are in `sequences` or written.
    decided: usize,
    /// Bytes of the segment that are written.
    written: usize,
    out: Vec<u8>,
    /// Bits behind `out`, 7 at most.
    pending: u64,
    pending_count: u32,
}

impl Deflate {
    /// Adds a match of `segment[at..at + length]` with the bytes `distance` before; what lies between the match before and this one are
    /// literals. `length` may be any from [`LENGTH_MIN`], `distance` is 1 to [`DISTANCE_MAX`].
    #[inline]
    pub(super) fn push(&mut self, segment: &[u8], at: usize, length: usize, distance: usize) {
        debug_assert!(at >= self.decided && length >= LENGTH_MIN && (1..=DISTANCE_MAX).contains(&distance));
        debug_assert!(segment[at..at + length] == segment[at - distance..][..length]);
        let mut literals = (at - self.decided) as u32;
        self.decided = at + length;
        let mut rest = length;
        if literals == 0
            && let Some(before) = self.sequences.last_mut()
            && usize::from(before.distance) == distance - 1
            && usize::from(before.length) + length <= LENGTH_MAX
        {
            before.length += length as u16;
            return;
        }
        while rest > 0 {
            let now = if rest <= LENGTH_MAX { rest } else { LENGTH_MAX.min(rest - LENGTH_MIN) };
            self.sequences.push(Sequence { literals, length: now as u16, distance: (distance - 1) as u16 });
            literals = 0;
            rest -= now;
        }
        if self.sequences.len() >= SEQUENCES_MAX {
            self.block(&segment[self.written..self.decided]);
            self.written = self.decided;
        }
    }

    /// End of the last match: what comes behind it is literal so far.
    pub(super) fn decided(&self) -> usize {
        self.decided
    }

    /// Writes what is left of the segment and a sync flush; gives the bytes, and starts over.
    pub(super) fn finish(&mut self, segment: &[u8]) -> Vec<u8> {
        if self.written < segment.len() {
            self.block(&segment[self.written..]);
        }
        self.sequences.clear();
        (self.decided, self.written) = (0, 0);
        self.write(3, |bits| bits.put(0, 3));
        let mut out = std::mem::take(&mut self.out);
        if self.pending_count > 0 {
            out.push(self.pending as u8);
        }
        (self.pending, self.pending_count) = (0, 0);
        out.extend_from_slice(&[0, 0, 0xff, 0xff]);
        out.shrink_to_fit();
        out
    }

    /// Writes `bytes` by the sequences gathered; what they leave over are literals.
    fn block(&mut self, bytes: &[u8]) {
        let codes = Codes::new(&self.sequences, bytes);
        let sequences = std::mem::take(&mut self.sequences);
        self.write(codes.bits, |bits| {
            codes.write_header(bits);
            let mut rest = bytes;
            for sequence in &sequences {
                let (literals, behind) = rest.split_at(sequence.literals as usize);
                codes.write_literals(literals, bits);
                codes.write_match(*sequence, bits);
                rest = &behind[usize::from(sequence.length)..];
            }
            codes.write_literals(rest, bits);
            codes.write_end(bits);
        });
        self.sequences = sequences;
        self.sequences.clear();
    }

    /// Lets `what` write so many bits at most.
    fn write(&mut self, bits_max: usize, what: impl FnOnce(&mut Bits)) {
        let length = self.out.len();
        self.out.resize(length + bits_max / 8 + 16, 0);
        let mut bits = Bits { out: &mut self.out, length, pending: self.pending, count: self.pending_count };
        what(&mut bits);
        bits.carry();
        let length = bits.length;
        (self.pending, self.pending_count) = (bits.pending, bits.count);
        self.out.truncate(length);
    }
}

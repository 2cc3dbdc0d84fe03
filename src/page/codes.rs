//! The dynamic Huffman codes of one deflate block (RFC 1951, 3.2.5 to 3.2.7), and the bits that are written with them.

use super::huffman;
use super::sequence::{LENGTH_MAX, LENGTH_MIN, Sequence};

const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const END_OF_BLOCK: usize = 256;
const LENGTH_BASE: [u16; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

/// Symbol, less 257, of each match length.
const LENGTH_SYMBOL: [u8; LENGTH_MAX + 1] = {
    let mut symbols = [0; LENGTH_MAX + 1];
    let mut symbol = 0;
    while symbol < LENGTH_BASE.len() {
        let mut length = LENGTH_BASE[symbol] as usize;
        while length <= LENGTH_MAX {
            symbols[length] = symbol as u8;
            length += 1;
        }
        symbol += 1;
    }
    symbols
};

/// Symbol of a distance less 1, and the number and value of its extra bits.
#[inline(always)]
fn distance_symbol(distance: u16) -> (usize, u32, u64) {
    if distance < 4 {
        return (usize::from(distance), 0, 0);
    }
    let extra = distance.ilog2() - 1;
    (2 * extra as usize + usize::from(distance >> extra), extra, u64::from(distance) & ((1 << extra) - 1))
}

/// The codes of one block.
pub(super) struct Codes {
    /// Code and, from bit 24, its length, of each literal and the end of block.
    literals: [u32; END_OF_BLOCK + 1],
    /// Code with its extra bits, and from bit 24 the length of both, of each match length.
    lengths: [u32; LENGTH_MAX + 1],
    /// Code and its length of each distance symbol.
    distances: [(u16, u8); DISTANCES],
    literal_lengths: [u8; LITERALS],
    distance_lengths: [u8; DISTANCES],
    /// Length of the block in bits, at most.
    pub bits: usize,
}

impl Codes {
    /// The best codes for `bytes` by these sequences; what they leave over are literals.
    pub(super) fn new(sequences: &[Sequence], bytes: &[u8]) -> Codes {
        let (literal_counts, distance_counts) = count(sequences, bytes);
        let literal_lengths = huffman::lengths(&literal_counts, 15);
        let mut distance_lengths = huffman::lengths(&distance_counts, 15);
        if distance_lengths == [0; DISTANCES] {
            distance_lengths[0] = 1; // one code at least has to be there
        }
        let literal_codes = huffman::codes(&literal_lengths);
        let distance_codes = huffman::codes(&distance_lengths);
        let mut bits = HEADER_BITS_MAX;
        for (count, length) in literal_counts.iter().zip(&literal_lengths) {
            bits += *count as usize * usize::from(*length);
        }
        for (count, extra) in literal_counts[END_OF_BLOCK + 1..].iter().zip(LENGTH_EXTRA) {
            bits += *count as usize * usize::from(extra);
        }
        for (symbol, (count, length)) in distance_counts.iter().zip(&distance_lengths).enumerate() {
            bits += *count as usize * (usize::from(*length) + (symbol / 2).saturating_sub(1));
        }
        let mut lengths = [0; LENGTH_MAX + 1];
        for (length, entry) in lengths.iter_mut().enumerate().skip(LENGTH_MIN) {
            let symbol = usize::from(LENGTH_SYMBOL[length]);
            let code_length = literal_lengths[END_OF_BLOCK + 1 + symbol];
            let extra = (length as u32 - u32::from(LENGTH_BASE[symbol])) << code_length;
            let code = u32::from(literal_codes[END_OF_BLOCK + 1 + symbol]) | extra;
            *entry = code | u32::from(code_length + LENGTH_EXTRA[symbol]) << 24;
        }
        Codes {
            literals: std::array::from_fn(|byte| {
                u32::from(literal_codes[byte]) | u32::from(literal_lengths[byte]) << 24
            }),
            lengths,
            distances: std::array::from_fn(|symbol| (distance_codes[symbol], distance_lengths[symbol])),
            literal_lengths,
            distance_lengths,
            bits,
        }
    }

    /// Writes bytes as literals.
    #[inline(always)]
    pub(super) fn write_literals(&self, literals: &[u8], bits: &mut Bits) {
        let mut threes = literals.chunks_exact(3);
        for three in &mut threes {
            for byte in three {
                bits.put_entry(self.literals[usize::from(*byte)]);
            }
            bits.carry();
        }
        for byte in threes.remainder() {
            bits.put_entry(self.literals[usize::from(*byte)]);
        }
        bits.carry();
    }

    /// Writes the match of a sequence.
    #[inline(always)]
    pub(super) fn write_match(&self, sequence: Sequence, bits: &mut Bits) {
        bits.put_entry(self.lengths[usize::from(sequence.length)]);
        let (symbol, extra, value) = distance_symbol(sequence.distance);
        let (code, length) = self.distances[symbol];
        bits.put(u64::from(code) | value << length, u32::from(length) + extra);
        bits.carry();
    }

    /// Ends the block.
    pub(super) fn write_end(&self, bits: &mut Bits) {
        bits.put_entry(self.literals[END_OF_BLOCK]);
        bits.carry();
    }

    /// Block type and code lengths (RFC 1951, 3.2.7).
    pub(super) fn write_header(&self, bits: &mut Bits) {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(least, |last| least.max(last + 1))
        };
        let literals = used(&self.literal_lengths, 257);
        let distances = used(&self.distance_lengths, 1);
        let mut lengths = [0; LITERALS + DISTANCES];
        lengths[..literals].copy_from_slice(&self.literal_lengths[..literals]);
        lengths[literals..literals + distances].copy_from_slice(&self.distance_lengths[..distances]);
        let lengths = &lengths[..literals + distances];

        let mut counts = [0; 19];
        for run in Runs::new(lengths) {
            counts[run.symbol] += 1;
        }
        let run_lengths = huffman::lengths(&counts, 7);
        let run_codes = huffman::codes(&run_lengths);
        let runs = ORDER.iter().rposition(|symbol| run_lengths[*symbol] > 0).map_or(4, |last| (last + 1).max(4));
        bits.put(0b100, 3); // not final, dynamic codes
        bits.put(literals as u64 - 257, 5);
        bits.put(distances as u64 - 1, 5);
        bits.put(runs as u64 - 4, 4);
        bits.carry();
        for symbol in &ORDER[..runs] {
            bits.put(u64::from(run_lengths[*symbol]), 3);
            bits.carry();
        }
        for run in Runs::new(lengths) {
            bits.put(u64::from(run_codes[run.symbol]), u32::from(run_lengths[run.symbol]));
            bits.put(run.repeat, run.repeat_bits);
            bits.carry();
        }
    }
}

/// 17 + 19 * 3 bits, then at most 7 for each of the code lengths.
const HEADER_BITS_MAX: usize = 17 + 19 * 3 + 7 * (LITERALS + DISTANCES);

/// How often each literal or length and each distance symbol occurs.
fn count(sequences: &[Sequence], bytes: &[u8]) -> ([u32; LITERALS], [u32; DISTANCES]) {
    // Two tables by turns: one would wait for itself on runs of the same byte.
    let (mut even, mut odd) = ([0_u32; LITERALS], [0_u32; LITERALS]);
    let mut distances = [0; DISTANCES];
    let mut count_literals = |literals: &[u8]| {
        let mut pairs = literals.chunks_exact(2);
        for pair in &mut pairs {
            even[usize::from(pair[0])] += 1;
            odd[usize::from(pair[1])] += 1;
        }
        for byte in pairs.remainder() {
            even[usize::from(*byte)] += 1;
        }
    };
    let mut lengths = [0_u32; LENGTH_MAX + 1];
    let mut rest = bytes;
    for sequence in sequences {
        let (literals, behind) = rest.split_at(sequence.literals as usize);
        count_literals(literals);
        lengths[usize::from(sequence.length)] += 1;
        distances[distance_symbol(sequence.distance).0] += 1;
        rest = &behind[usize::from(sequence.length)..];
    }
    count_literals(rest);
    for (even, odd) in even.iter_mut().zip(odd) {
        *even += odd;
    }
    for (count, symbol) in lengths.iter().zip(LENGTH_SYMBOL) {
        even[END_OF_BLOCK + 1 + usize::from(symbol)] += count;
    }
    even[END_OF_BLOCK] = 1;
    (even, distances)
}

/// Code lengths with repeats: symbols 0 to 15 are lengths, 16 repeats the one before, 17 and 18 repeat 0.
struct Runs<'a> {
    rest: &'a [u8],
    before: u8,
}

impl<'a> Runs<'a> {
    fn new(lengths: &'a [u8]) -> Runs<'a> {
        Runs { rest: lengths, before: 0 }
    }
}

struct Run {
    symbol: usize,
    /// Repetitions beyond the least that the symbol means.
    repeat: u64,
    repeat_bits: u32,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let &length = self.rest.first()?;
        let equal = self.rest.iter().take(138).take_while(|other| **other == length).count();
        let (symbol, least, most, repeat_bits) = match (length, equal) {
            (0, 11..) => (18, 11, 138, 7),
            (0, 3..) => (17, 3, 10, 3),
            (_, 3..) if length == self.before => (16, 3, 6, 2),
            _ => (usize::from(length), 1, 1, 0),
        };
        let taken = equal.min(most);
        self.before = length;
        self.rest = &self.rest[taken..];
        Some(Run { symbol, repeat: (taken - least) as u64, repeat_bits })
    }
}

/// Bits, lowest first, and the bytes they become.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    /// Where whole bytes go; 8 bytes of room are needed behind them.
    pub out: &'a mut [u8],
    /// Whole bytes in `out`.
    pub length: usize,
    /// Bits that are not yet a whole byte.
    pub pending: u64,
    /// How many; 7 at most after [`Bits::carry`].
    pub count: u32,
}

impl Bits<'_> {
    /// Adds the low `count` bits, which are all that is set in `value`.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
    }

    /// Adds a code with its length from bit 24.
    #[inline(always)]
    fn put_entry(&mut self, entry: u32) {
        self.put(u64::from(entry & 0xff_ffff), entry >> 24);
    }

    /// Moves whole bytes out; due after 56 bits.
    #[inline(always)]
    pub(super) fn carry(&mut self) {
        debug_assert!(self.count < 64);
        self.out[self.length..self.length + 8].copy_from_slice(&self.pending.to_le_bytes());
        self.length += (self.count / 8) as usize;
        self.pending >>= self.count & !7;
        self.count &= 7;
    }
}

//! Length-limited canonical Huffman codes (RFC 1951, 3.2.2 and 3.2.7).

/// Longest code.
const LENGTH_MAX: usize = 15;

/// Lengths of the best code for `frequencies`; where that has codes longer than `limit` (15 at most), of one that is nearly as good. The
/// frequencies sum to less than 2^32. A symbol that does not occur has length 0; a symbol that is alone has length 1.
pub(super) fn lengths<const N: usize>(frequencies: &[u32; N], limit: usize) -> [u8; N] {
    let mut lengths = [0; N];
    let mut symbols = [0_u64; N];
    let mut count = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate().filter(|(_, frequency)| **frequency > 0) {
        symbols[count] = u64::from(frequency) << 16 | symbol as u64;
        count += 1;
    }
    let symbols = &mut symbols[..count];
    symbols.sort_unstable();
    let symbol = |sorted: u64| (sorted & 0xffff) as usize;
    if count < 2 {
        symbols.iter().for_each(|alone| lengths[symbol(*alone)] = 1);
        return lengths;
    }

    let mut weights = [0_u32; N];
    for (weight, sorted) in weights.iter_mut().zip(symbols.iter()) {
        *weight = (sorted >> 16) as u32;
    }
    let mut counts = counts_by_length(&mut weights[..count]);
    hold_to(&mut counts, limit);
    // The rarest symbols have the longest codes.
    let mut rarest = symbols.iter();
    for length in (1..=limit).rev() {
        for sorted in rarest.by_ref().take(counts[length] as usize) {
            lengths[symbol(*sorted)] = length as u8;
        }
    }
    lengths
}

/// How many codes of each length the best code for ascending `weights` has, which are at least two: Moffat and Katajainen, "In-place
/// calculation of minimum-redundancy codes", 1995. No code is longer than 63 bits: that takes weights that sum to a Fibonacci number
/// beyond 32 bits.
fn counts_by_length(weights: &mut [u32]) -> [u32; 64] {
    let count = weights.len();
    // From left to right: the weights of inner nodes take the places of leaves that are used up, then their parents take those.
    weights[0] += weights[1];
    let (mut inner, mut leaf) = (0, 2);
    for next in 1..count - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf >= count || (inner < next && weights[inner] < weights[leaf]) {
                weight += weights[inner];
                weights[inner] = next as u32;
                inner += 1;
            } else {
                weight += weights[leaf];
                leaf += 1;
            }
        }
        weights[next] = weight;
    }
    // From right to left: parents become depths.
    weights[count - 2] = 0;
    for node in (0..count - 2).rev() {
        weights[node] = weights[weights[node] as usize] + 1;
    }
    // A node at a depth that is not an inner node is a leaf.
    let mut counts = [0; 64];
    let (mut open, mut inner) = (1, count - 1);
    for (depth, leaves) in counts.iter_mut().enumerate() {
        let above = weights[..inner].iter().rev().take_while(|node| **node as usize == depth).count();
        inner -= above;
        *leaves = open - above as u32;
        open = 2 * above as u32;
    }
    counts
}

/// Shortens the codes that are longer than `limit`, and lengthens others until the code is one again (Kraft's sum is 1).
fn hold_to(counts: &mut [u32; 64], limit: usize) {
    let longer: u32 = counts[limit + 1..].iter().sum();
    if longer == 0 {
        return;
    }
    counts[limit] += longer;
    let sum: u32 = (1..=limit).map(|length| counts[length] << (limit - length)).sum();
    for _ in 1 << limit..sum {
        // A code below the limit becomes the stem of itself and of one of the longest.
        let Some(stem) = (1..limit).rev().find(|length| counts[*length] > 0) else { break };
        counts[stem] -= 1;
        counts[stem + 1] += 2;
        counts[limit] -= 1;
    }
}

/// The canonical codes of these lengths, first bit lowest, as deflate writes them.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [u16; N] {
    let mut counts = [0_u16; LENGTH_MAX + 1];
    for &length in lengths.iter().filter(|length| **length > 0) {
        counts[usize::from(length)] += 1;
    }
    let mut next = [0_u16; LENGTH_MAX + 1];
    for length in 1..next.len() {
        next[length] = (next[length - 1] + counts[length - 1]) << 1;
    }
    let mut codes = [0; N];
    for (code, &length) in codes.iter_mut().zip(lengths) {
        if length > 0 {
            let at = usize::from(length);
            *code = next[at].reverse_bits() >> (16 - length);
            next[at] += 1;
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cost(frequencies: &[u32], lengths: &[u8]) -> u64 {
        frequencies.iter().zip(lengths).map(|(f, l)| u64::from(*f) * u64::from(*l)).sum()
    }

    /// The least cost of a prefix code: all assignments of lengths that satisfy Kraft's inequality.
    fn least_cost(frequencies: &[u32], limit: u32) -> u64 {
        fn search(frequencies: &[u32], limit: u32, room: u32) -> Option<u64> {
            let Some((&frequency, rest)) = frequencies.split_first() else { return Some(0) };
            if frequency == 0 {
                return search(rest, limit, room);
            }
            (1..=limit)
                .filter(|length| 1 << (limit - length) <= room)
                .filter_map(|length| {
                    let below = search(rest, limit, room - (1 << (limit - length)))?;
                    Some(below + u64::from(frequency) * u64::from(length))
                })
                .min()
        }
        search(frequencies, limit, 1 << limit).expect("the limit leaves room for every symbol")
    }

    fn kraft(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|length| **length > 0).map(|length| 1 << (LENGTH_MAX as u8 - length)).sum()
    }

    proptest! {
        #[test]
        fn codes_are_as_short_as_any(frequencies in prop::array::uniform6(0_u32..50)) {
            prop_assume!(frequencies.iter().filter(|f| **f > 0).count() > 1);
            prop_assert_eq!(cost(&frequencies, &lengths(&frequencies, 15)), least_cost(&frequencies, 5));
        }

        #[test]
        fn codes_that_are_held_to_a_limit_are_complete(frequencies in prop::array::uniform19(0_u32..1_000_000)) {
            prop_assume!(frequencies.iter().filter(|f| **f > 0).count() > 1);
            let found = lengths(&frequencies.map(|f| f / (f % 997 + 1)), 5);
            prop_assume!(found.iter().filter(|l| **l > 0).count() > 1);
            prop_assert!(found.iter().all(|length| *length <= 5));
            prop_assert_eq!(kraft(&found), 1 << LENGTH_MAX);
        }

        #[test]
        fn codes_are_complete_and_within_the_limit(seed: u64, spread in 1_u32..30) {
            let mut state = seed | 1;
            let frequencies: [u32; 286] = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 41) as u32 >> (state % u64::from(spread))
            });
            let found = lengths(&frequencies, 15);
            prop_assert!(found.iter().zip(&frequencies).all(|(l, f)| *l <= 15 && (*l > 0) == (*f > 0)));
            prop_assume!(frequencies.iter().filter(|f| **f > 0).count() > 1);
            prop_assert_eq!(kraft(&found), 1 << LENGTH_MAX);
        }
    }

    #[test]
    fn steep_frequencies_are_held_to_the_limit() {
        let mut frequencies = [0; 30];
        let (mut a, mut b) = (1, 1);
        for frequency in &mut frequencies {
            (*frequency, a, b) = (a, b, a + b);
        }
        let found = lengths(&frequencies, 15);
        assert_eq!(found.iter().max(), Some(&15));
        assert_eq!(kraft(&found), 1 << LENGTH_MAX);
    }

    #[test]
    fn a_lone_symbol_has_one_bit() {
        assert_eq!(lengths(&[0, 0, 9], 15), [0, 0, 1]);
        assert_eq!(lengths(&[0; 3], 15), [0; 3]);
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 1951, 3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) give 010 011 100 101 110 00 1110 1111.
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        assert_eq!(codes, [0b010, 0b110, 0b001, 0b101, 0b011, 0b00, 0b0111, 0b1111]);
    }
}

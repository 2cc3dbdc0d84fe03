//! The units of deflate (RFC 1951, section 3.2.3): literal bytes followed by a match, and the limits of a match. Who finds matches and
//! how they are coded is decided elsewhere.

/// Literal bytes, then a match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// Number of literal bytes.
    pub literals: u32,
    /// Length of the match: 3 to 258 bytes.
    pub length: u16,
    /// Distance of the match in bytes, less 1.
    pub distance: u16,
}

/// Farthest match.
pub(super) const DISTANCE_MAX: usize = 32_768;
/// Shortest match.
pub(super) const LENGTH_MIN: usize = 3;
/// Longest match of one sequence.
pub(super) const LENGTH_MAX: usize = 258;

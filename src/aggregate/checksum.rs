//! The checksum of an upload's rows: SHA-256 over the rows in order, each followed by LF. Its state can be saved and restored.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

/// SHA-256 that is under way.
#[derive(Clone, Default)]
pub(super) struct RowsChecksum(Sha256);

impl RowsChecksum {
    /// Adds rows with their line ends.
    pub(super) fn rows(&mut self, rows: &[u8]) {
        self.0.update(rows);
    }
    /// Adds one row, given without its line end.
    pub(super) fn row(&mut self, row: &[u8]) {
        self.0.update(row);
        self.0.update(b"\n");
    }
    /// The digest of the rows so far.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
    /// The state of the hash: chaining value, block count, unfinished block (the layout of the `sha2` crate).
    pub(super) fn save(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }
    /// Restores the state that [`RowsChecksum::save`] returned; `None` if the bytes are not such a state.
    pub(super) fn restore(saved: &[u8]) -> Option<RowsChecksum> {
        let saved = SerializedState::<Sha256>::try_from(saved).ok()?;
        Sha256::deserialize(&saved).ok().map(RowsChecksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continues_from_any_row() {
        let rows: Vec<String> = (0..100).map(|n| format!("{n},{}", "가".repeat(n))).collect();
        let whole: String = rows.iter().map(|row| format!("{row}\n")).collect();
        for cut in 0..rows.len() {
            let mut checksum = RowsChecksum::default();
            rows[..cut].iter().for_each(|row| checksum.row(row.as_bytes()));
            let mut checksum = RowsChecksum::restore(&checksum.save()).expect("it was just saved");
            rows[cut..].iter().for_each(|row| checksum.row(row.as_bytes()));
            assert_eq!(checksum.digest(), <[u8; 32]>::from(Sha256::digest(&whole)));
        }
    }

    #[test]
    fn other_bytes_are_no_checksum() {
        assert!(RowsChecksum::restore(&[]).is_none());
        assert!(RowsChecksum::restore(&[0xff; 105]).is_none());
    }
}

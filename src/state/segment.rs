//! Segments: append-only files of page bytes. Which page stands where, and how long a segment is, is the index's knowledge.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{PagePosition, StateError};

/// Writes a page behind the first `length` bytes of a segment. A write that fails leaves nothing behind: the next one starts at the same
/// byte.
pub(super) fn write_page(file: &File, length: u64, page: &[u8]) -> Result<PagePosition, StateError> {
    let at = position(length, page)?;
    file.write_all_at(page, length).map_err(StateError::from_io)?;
    Ok(at)
}

/// Reads a page from a segment of `length` bytes and checks its CRC.
pub(super) fn read_page(file: &File, length: u64, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
    within(length, at)?;
    into.clear();
    into.resize(at.length as usize, 0);
    file.read_exact_at(into, at.position).map_err(|e| StateError::Damaged(format!("page {at:?}: {e}")))?;
    check(at, into)
}

/// Where a page goes that is appended to `length` bytes.
pub(super) fn position(length: u64, page: &[u8]) -> Result<PagePosition, StateError> {
    let bytes = u32::try_from(page.len()).map_err(|_| std::io::Error::other("a page of 4 GiB or more"))?;
    Ok(PagePosition { position: length, length: bytes, crc: crc32fast::hash(page) })
}

/// Whether a page can stand in a segment of `length` bytes; asked before memory is taken for it.
pub(super) fn within(length: u64, at: PagePosition) -> Result<(), StateError> {
    match at.position.checked_add(u64::from(at.length)) {
        Some(end) if end <= length => Ok(()),
        _ => Err(StateError::Damaged(format!("page {at:?} lies outside its segment of {length} bytes"))),
    }
}

/// Whether these are the bytes that were written.
pub(super) fn check(at: PagePosition, bytes: &[u8]) -> Result<(), StateError> {
    match crc32fast::hash(bytes) {
        crc if crc == at.crc => Ok(()),
        crc => Err(StateError::Damaged(format!("page {at:?} has CRC {crc:08x}"))),
    }
}

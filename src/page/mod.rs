//! Rows to compressed pages of sheet XML. A page is a raw deflate segment (RFC 1951) that ends at a byte boundary with a sync flush and refers
//! to nothing before it, so that a sheet is the concatenation of its pages. Knows nothing of uploads or sheets' names.

pub mod builder;
pub mod cells;
mod codes;
pub mod cutters;
mod deflate;
pub mod forms;
mod huffman;
pub mod link;
mod matches;
pub mod of_type;
pub mod open;
pub mod read;
mod render;
mod sequence;
pub mod styles;
mod text;
pub mod width;
pub mod xml;

#[cfg(test)]
mod tests;

pub use builder::PageWriter;
pub use cutters::PageUnderWay;
pub use open::OpenPage;
pub use styles::{StyleId, Styles};

/// Version of the bytes of pages: rises with any change to them, and pages of another version are made anew.
pub const PAGE_FORMAT: u32 = 1;
/// Rows of a sheet in one page.
pub const PAGE_ROWS: u32 = 1_024;
/// Bytes of rows that close a page early ([`OpenPage::is_full`]), so that its XML stays far below 4 GiB.
pub const PAGE_BYTES_MAX: usize = 8 << 20;
/// Rows that the open pages of one upload hold before all of them are cut.
pub const OPEN_ROWS_MAX: u32 = 65_536;

/// The block that ends a concatenation of pages: final and empty, with fixed codes.
pub const END: [u8; 2] = [3, 0];

/// A finished page; it never changes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutPage {
    /// The deflate segment.
    pub bytes: Vec<u8>,
    /// CRC-32 of the XML.
    pub xml_crc: u32,
    /// Length of the XML.
    pub xml_length: u32,
    /// Rows.
    pub rows: u32,
}

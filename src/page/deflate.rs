//! XML to raw deflate segments (RFC 1951).

use flate2::{Compress, Compression, FlushCompress};

use super::CutPage;

/// Compresses segments, each from an empty window to a sync flush.
#[derive(Debug)]
pub struct Deflate {
    zlib: Compress,
}

impl Default for Deflate {
    fn default() -> Deflate {
        Deflate { zlib: Compress::new(Compression::new(4), false) }
    }
}

impl Deflate {
    /// One segment of `xml`.
    pub fn segment(&mut self, xml: &[u8], rows: u32) -> CutPage {
        self.zlib.reset();
        let mut bytes = Vec::with_capacity(xml.len() / 4 + 64);
        loop {
            bytes.reserve(xml.len() / 8 + 64);
            let from = self.zlib.total_in() as usize;
            let status = self.zlib.compress_vec(&xml[from..], &mut bytes, FlushCompress::Sync);
            debug_assert!(status.is_ok());
            if bytes.len() < bytes.capacity() {
                break;
            }
        }
        bytes.shrink_to_fit();
        CutPage { bytes, xml_crc: crc32fast::hash(xml), xml_length: xml.len() as u32, rows }
    }
}

//! The beginning of a file: whole rows of text, whatever the file is packed in.

use std::io::Read;

use bytes::Bytes;

use super::InspectError;
use super::reading::Reading;
use crate::file::FileError;
use crate::file::book::{Book, Several};
use crate::file::packed::{Unpacked, unpack};
use crate::source::charset::Charset;

/// Whole rows from the beginning of a file.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The rows.
    pub bytes: Bytes,
    /// The workbook that they are from.
    pub book: Option<Book>,
    /// The archive that they are from.
    pub archive: Option<Book>,
    /// Whether these are all rows.
    pub is_whole: bool,
}

impl Sample {
    /// At most `bytes_max` bytes of rows. Of a text or a gzip file the input may be the beginning alone (`is_cut`); a workbook is read whole.
    /// `worksheet` names the sheet of a workbook, or the file of an archive.
    ///
    /// # Errors
    /// The input cannot be read, or is a workbook that no rows can be read from.
    pub fn read(
        input: Box<dyn Read + Send>,
        is_cut: bool,
        (worksheet, several): (Option<&str>, Several),
        bytes_max: u64,
    ) -> Result<Sample, InspectError> {
        let Unpacked { rows, book, archive, .. } = unpack(input, worksheet, several)?;
        let mut bytes = Vec::new();
        let mut rows = rows.take(bytes_max);
        match rows.read_to_end(&mut bytes) {
            Ok(_) => {}
            // The beginning of a gzip file ends in the middle.
            Err(error) if is_cut && error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(FileError::from(error).into()),
        }
        let is_whole = bytes.len() as u64 != bytes_max && (book.is_some() || !is_cut);
        if !is_whole {
            bytes.truncate(whole_rows(&bytes));
        }
        Ok(Sample { bytes: bytes.into(), book, archive, is_whole })
    }

    /// How these rows are read: those of a workbook have been written as CSV.
    pub fn reading(&self, asked: Reading) -> Reading {
        match self.book {
            Some(_) => Reading { charset: Some(Charset::UTF_8), delimiter: Some(b','), ..asked },
            None => asked,
        }
    }
}

/// Bytes of the whole rows in the beginning of a file: up to the last line break outside of quotes. In UTF-16 every byte that matters has a
/// zero beside it.
fn whole_rows(sample: &[u8]) -> usize {
    let width = if matches!(sample, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) { 2 } else { 1 };
    let is = |unit: &[u8], ascii: u8| unit.contains(&ascii) && unit.iter().filter(|byte| **byte != 0).count() == 1;
    let mut end = 0;
    let mut quoted = false;
    for (at, unit) in sample.chunks_exact(width).enumerate() {
        quoted ^= is(unit, b'"');
        if !quoted && is(unit, b'\n') {
            end = (at + 1) * width;
        }
    }
    if end == 0 { sample.len() } else { end }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    #[test]
    fn a_beginning_ends_with_its_last_whole_row() {
        let utf16 = |text: &str| [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        for (sample, rows) in [
            (b"a,b\n1,2\n3,".to_vec(), b"a,b\n1,2\n".to_vec()),
            (b"a,b\n1,\"x\ny".to_vec(), b"a,b\n".to_vec()),
            (b"a,b\n1,\"x\"\"\ny\"\nz".to_vec(), b"a,b\n1,\"x\"\"\ny\"\n".to_vec()),
            (b"one long row".to_vec(), b"one long row".to_vec()),
            (utf16("시,\u{4e0a}\n가,나"), utf16("시,\u{4e0a}\n")),
        ] {
            assert_eq!(sample[..whole_rows(&sample)], rows, "{sample:?}");
        }
    }

    fn sample(bytes: Vec<u8>, is_cut: bool, bytes_max: u64) -> Sample {
        Sample::read(Box::new(Cursor::new(bytes)), is_cut, (None, Several::Refused), bytes_max).expect("rows")
    }

    #[test]
    fn a_sample_is_whole_or_ends_with_a_row() {
        let text = b"a,b\n1,2\n3,4\n";
        let whole = sample(text.to_vec(), false, 100);
        assert!(whole.is_whole && whole.book.is_none() && &*whole.bytes == text);
        assert_eq!(sample(text.to_vec(), false, 6).bytes, "a,b\n");
        assert!(!sample(text[..10].to_vec(), true, 100).is_whole);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..9_999).for_each(|n| writeln!(gzip, "{n},{}", n * 7_919 % 10_007).expect("memory"));
        let packed = gzip.finish().expect("memory");
        let half = sample(packed[..packed.len() / 2].to_vec(), true, 1 << 20);
        assert!(!half.is_whole && half.bytes.starts_with(b"0,0\n1,7919\n") && half.bytes.ends_with(b"\n"));
        assert!(sample(packed, false, 1 << 20).is_whole);
    }
}

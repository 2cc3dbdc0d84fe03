//! Looks through the parts of a workbook before anything reads it: what its directory says of sizes need not be true, and one cell, one tag
//! and all texts have to fit in memory when they are unpacked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use memchr::{memchr, memchr3};
use zip::ZipArchive;

/// Bytes that all parts have at most when they are unpacked.
const ALL_BYTES_MAX: u64 = 2 << 30;
/// Bytes of a part that is not XML, such as a picture, which hardly packs.
const OTHER_BYTES_MAX: u64 = 64 << 20;
/// Bytes of each part that is held in memory as it is: the list of sheets, styles, relations.
const HELD_BYTES_MAX: u64 = 16 << 20;
/// Memory of all texts: their bytes, and so many more for each.
const TEXTS_MEMORY_MAX: u64 = 192 << 20;
const TEXT_OVERHEAD: u64 = 64;
/// Bytes of one tag, and of the text of one cell, which has 32,767 characters in Excel.
const CELL_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a tag that distinguish it from others.
const NAME_BYTES: usize = 64;

const TEXTS_PART: &str = "xl/sharedStrings.xml";
const HELD_PARTS: [&str; 3] = ["xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"];

/// Unpacks every part once and keeps nothing of it. `false` when something is too large.
pub(super) fn fit(file: &File) -> zip::result::ZipResult<bool> {
    let mut zip = ZipArchive::new(BufReader::new(file.try_clone()?))?;
    let mut left = ALL_BYTES_MAX;
    for number in 0..zip.len() {
        let part = zip.by_index(number)?;
        let name = part.name().map(|name| name.to_string()).unwrap_or_default();
        match part_fits(&name, BufReader::with_capacity(64 << 10, part.take(left + 1)))? {
            Some(bytes) if bytes <= left => left -= bytes,
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// The length of a part, unless it is too large.
fn part_fits(name: &str, mut part: impl BufRead) -> io::Result<Option<u64>> {
    let begins_as_xml = |first: &u8| *first == b'<' || *first == 0xef || first.is_ascii_whitespace();
    let is_xml = part.fill_buf()?.first().is_some_and(begins_as_xml);
    let is_held = HELD_PARTS.contains(&name) || name.ends_with(".rels");
    let (mut look, mut bytes) = (Look::default(), 0);
    loop {
        let piece = part.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            return Ok(Some(bytes));
        }
        bytes += length as u64;
        look.take(piece);
        part.consume(length);
        let fits = match is_xml {
            _ if is_held => bytes <= HELD_BYTES_MAX,
            _ if name == TEXTS_PART => bytes + TEXT_OVERHEAD * look.texts <= TEXTS_MEMORY_MAX,
            true => look.longest <= CELL_BYTES_MAX,
            false => bytes <= OTHER_BYTES_MAX,
        };
        if !fits {
            return Ok(None);
        }
    }
}

/// XML, as far as it is held in one piece by whoever reads it.
#[derive(Debug, Default)]
struct Look {
    /// Inside of a tag, and there of an attribute's quotes.
    in_tag: bool,
    quote: Option<u8>,
    /// Beginning of the tag, behind its bracket, and its last bytes.
    name: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes of the tag so far, and of the text of the cell.
    tag: u64,
    cell: u64,
    /// The most bytes that either had.
    longest: u64,
    /// Texts so far.
    texts: u64,
}

impl Look {
    fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let stop = match (self.in_tag, self.quote) {
                (false, _) => memchr(b'<', piece),
                (true, Some(quote)) => memchr(quote, piece),
                (true, None) => memchr3(b'>', b'"', b'\'', piece),
            };
            let (now, rest) = piece.split_at(stop.map_or(piece.len(), |at| at + 1));
            *(if self.in_tag { &mut self.tag } else { &mut self.cell }) += now.len() as u64;
            self.longest = self.longest.max(self.tag).max(self.cell);
            if self.in_tag {
                let room = NAME_BYTES.saturating_sub(self.name.len()).min(now.len());
                self.name.extend_from_slice(&now[..room]);
                self.tail.extend_from_slice(&now[now.len().saturating_sub(3)..]);
                self.tail.drain(..self.tail.len().saturating_sub(3));
            }
            if let Some(at) = stop {
                self.stop_at(piece[at]);
            }
            piece = rest;
        }
    }

    fn stop_at(&mut self, byte: u8) {
        if !self.in_tag {
            self.in_tag = true;
            return;
        }
        let is_plain = !matches!(self.name.first(), Some(b'!' | b'?'));
        if is_plain && byte != b'>' {
            self.quote = if self.quote.is_some() { None } else { Some(byte) };
            return;
        }
        let ends = match &*self.name {
            [b'!', b'[', ..] => self.tail.ends_with(b"]]>"),
            [b'!', b'-', ..] => self.tail.ends_with(b"-->"),
            [b'?', ..] => self.tail.ends_with(b"?>"),
            _ => byte == b'>',
        };
        if ends {
            self.end_tag();
        }
    }

    fn end_tag(&mut self) {
        let closes = self.name.first() == Some(&b'/');
        let name = self.name.strip_prefix(b"/").unwrap_or(&self.name);
        let name = name.split(|byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace()).next().unwrap_or(name);
        let name = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
        match (name, closes) {
            // What is between its brackets may be text.
            ([b'!', ..], _) => self.cell += self.tag,
            (b"c" | b"si", true) => self.cell = 0,
            (b"si", false) => self.texts += 1,
            _ => {}
        }
        (self.in_tag, self.tag) = (false, 0);
        self.name.clear();
        self.tail.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: &str = "xl/worksheets/sheet1.xml";

    /// The same text over and over, without an end.
    struct Again(Vec<u8>, usize);

    impl Read for Again {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            for byte in into.iter_mut() {
                *byte = self.0[self.1 % self.0.len()];
                self.1 += 1;
            }
            Ok(into.len())
        }
    }

    /// Whether a part fits that begins with one text and continues with another for so many MiB.
    fn fits(name: &str, beginning: &str, again: &str, mib: u64) -> bool {
        let rest = Again(again.as_bytes().to_vec(), 0).take(mib << 20);
        part_fits(name, BufReader::new(beginning.as_bytes().chain(rest))).expect("memory").is_some()
    }

    #[test]
    fn a_cell_that_does_not_fit_is_found_however_it_is_written() {
        for (beginning, again) in [
            ("<sheetData><row><c><is><t>", "a"),
            ("<sheetData><row><c><is>", "<r><t>abcdefgh</t></r>"),
            ("<sheetData><row><c><is><t><![CDATA[", "</c>a"),
            ("<sheetData><row><c><is>", "<t><![CDATA[abcdefgh]]></t>"),
            ("<sheetData><row><c r='", "></c>"),
            ("<sheetData><!-- ", "</c>--"),
            ("<sheetData><?x ", "</c>"),
            (" ", " "),
        ] {
            assert!(!fits(SHEET, beginning, again, 10), "{beginning} {again}");
        }
    }

    #[test]
    fn what_excel_writes_fits() {
        let row =
            "<x:row r=\"1\"><x:c r=\"A1\" t=\"inlineStr\"><x:is><x:t>a > b 'c</x:t></x:is></x:c><c r=\"B1\"/></x:row>";
        assert!(fits(SHEET, "<?xml version=\"1.0\"?><!-- 1 > 0 --><sheetData>", row, 40));
        assert!(fits(SHEET, "<worksheet><mergeCells>", "<mergeCell ref=\"A1:B2\"/>", 10));
        assert!(fits(TEXTS_PART, "<sst>", "<si><t>an address of some forty characters</t></si>", 60));
        assert!(fits("xl/media/image1.png", "\u{89}PNG", "\u{1}", 10));
    }

    #[test]
    fn parts_that_are_held_have_limits() {
        assert!(!fits("xl/styles.xml", "<styleSheet>", "<xf/>", 17));
        assert!(!fits("xl/_rels/workbook.xml.rels", "<R>", "<r/>", 17));
        assert!(!fits(TEXTS_PART, "<sst>", "<si/>", 20), "each text costs more than its bytes");
        assert!(!fits("xl/media/image1.png", "\u{89}PNG", "\u{1}", 65));
    }
}

//! Looks through the parts of a workbook before anything reads it: what its directory says of sizes need not be true, and all that a reader
//! holds has to fit in memory: one cell, one tag, all texts, all styles. A part may have any name, so its elements say what it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use memchr::{memchr, memchr3, memmem};

use super::zip_directory;

/// Bytes that all parts have at most when they are unpacked.
const ALL_BYTES_MAX: u64 = 2 << 30;
/// Bytes of a part that is not XML, such as a picture, which hardly packs.
const OTHER_BYTES_MAX: u64 = 64 << 20;
/// Memory of all texts: their bytes, and so many more for each.
const TEXTS_MEMORY_MAX: u64 = 192 << 20;
const TEXT_OVERHEAD: u64 = 64;
/// Memory of all that a reader holds of sheets, names and styles: its bytes, and so many more for each.
const HELD_MEMORY_MAX: u64 = 96 << 20;
const HELD_OVERHEAD: u64 = 512;
const HELD: [&[u8]; 7] = [b"sheet", b"definedName", b"Relationship", b"numFmt", b"font", b"fill", b"border"];
/// Memory of cells that are merged.
const MERGED_BYTES: u64 = 32;
/// Bytes of one tag, and of the text of one cell, which has 32,767 characters in Excel.
const CELL_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a tag that are looked at.
const NAME_BYTES: usize = 1_024;

/// Unpacks every part once and keeps nothing of it. `false` when something is too large.
pub(super) fn fit(file: &File) -> zip::result::ZipResult<bool> {
    let mut zip = zip_directory::open(file)?;
    let mut left = ALL_BYTES_MAX;
    for number in 0..zip.len() {
        let part = zip.by_index(number)?;
        match part_fits(BufReader::with_capacity(64 << 10, part.take(left + 1)))? {
            Some(bytes) if bytes <= left => left -= bytes,
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// The length of a part, unless it is too large.
fn part_fits(mut part: impl BufRead) -> io::Result<Option<u64>> {
    let begins_as_xml = |first: &u8| *first == b'<' || *first == 0xef || first.is_ascii_whitespace();
    let is_xml = part.fill_buf()?.first().is_some_and(begins_as_xml);
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
            true => look.fits(bytes),
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
    /// Texts so far, and as many as are announced: a reader makes room for them.
    texts: u64,
    announced: u64,
    /// Memory of what is held, and whether this is inside of it.
    held: u64,
    in_held: bool,
    /// Bytes of the longest format and of the longest name of a font: each style has a copy.
    format: u64,
    font: u64,
}

impl Look {
    /// Whether what was seen, of a part with so many bytes so far, fits in memory.
    fn fits(&self, bytes: u64) -> bool {
        let texts = match self.texts.max(self.announced) {
            0 => 0,
            texts => texts.saturating_mul(TEXT_OVERHEAD).saturating_add(bytes),
        };
        self.longest <= CELL_BYTES_MAX && texts <= TEXTS_MEMORY_MAX && self.held <= HELD_MEMORY_MAX
    }

    fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let stop = match (self.in_tag, self.quote) {
                (false, _) => memchr(b'<', piece),
                (true, Some(quote)) => memchr(quote, piece),
                (true, None) => memchr3(b'>', b'"', b'\'', piece),
            };
            let (now, rest) = piece.split_at(stop.map_or(piece.len(), |at| at + 1));
            *match (self.in_tag, self.in_held) {
                (true, _) => &mut self.tag,
                (false, true) => &mut self.held,
                (false, false) => &mut self.cell,
            } += now.len() as u64;
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
            (b"sst", false) => self.announced = self.announced.max(announced(&self.name)),
            (b"name", false) => self.font = self.font.max(self.tag),
            (b"mergeCell", false) => self.held += MERGED_BYTES,
            (b"xf", false) => self.held += HELD_OVERHEAD + self.format + self.font,
            (held, true) if HELD.contains(&held) => self.in_held = false,
            (held, false) if HELD.contains(&held) => {
                self.held += HELD_OVERHEAD + self.tag;
                self.in_held = !self.tail.ends_with(b"/>");
                self.format = if held == b"numFmt" { self.format.max(self.tag) } else { self.format };
            }
            _ => {}
        }
        (self.in_tag, self.tag) = (false, 0);
        self.name.clear();
        self.tail.clear();
    }
}

/// How many texts the tag of their table announces.
fn announced(tag: &[u8]) -> u64 {
    let digits = |from: usize| tag[from..].iter().skip_while(|byte| b" \t\r\n='\"+0".contains(byte));
    let number = |from| digits(from).take_while(|byte| byte.is_ascii_digit());
    let value =
        |from| number(from).fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    memmem::find_iter(tag, "uniqueCount").map(|at| value(at + "uniqueCount".len())).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn fits(beginning: &str, again: &str, mib: u64) -> bool {
        let rest = Again(again.as_bytes().to_vec(), 0).take(mib << 20);
        part_fits(BufReader::new(beginning.as_bytes().chain(rest))).expect("memory").is_some()
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
            assert!(!fits(beginning, again, 10), "{beginning} {again}");
        }
    }

    #[test]
    fn what_excel_writes_fits() {
        let row =
            "<x:row r=\"1\"><x:c r=\"A1\" t=\"inlineStr\"><x:is><x:t>a > b 'c</x:t></x:is></x:c><c r=\"B1\"/></x:row>";
        assert!(fits("<?xml version=\"1.0\"?><!-- 1 > 0 --><sheetData>", row, 40));
        assert!(fits("<worksheet><mergeCells>", "<mergeCell ref=\"A1:B2\"/>", 40));
        assert!(fits(
            "<sst count='9' uniqueCount='1000000'>",
            "<si><t>an address of some forty characters</t></si>",
            60
        ));
        assert!(fits("<workbook>", "<definedName name=\"a\">'a sheet of the book'!$A$1:$B$2</definedName>", 6));
        // 65,490 styles are the most that Excel has.
        assert!(fits(
            "<styleSheet><numFmts><numFmt formatCode='#,##0'/></numFmts><cellXfs>",
            "<xf numFmtId='164'></xf>",
            1
        ));
        assert!(fits("\u{89}PNG", "\u{1}", 10));
    }

    #[test]
    fn what_a_reader_holds_has_limits_whatever_the_part_is_called() {
        for (beginning, again, mib) in [
            ("<styleSheet><cellXfs>", "<xf/>", 2),
            ("<worksheet><sheetData><sheets>", "<sheet name='a' r:id='b'/>", 6),
            ("<R>", "<Relationship Id='a' Target='b'/>", 8),
            ("<workbook><definedName name='a'>", "a", 100),
            ("<sst>", "<si/>", 20),
            ("<sst uniqueCount = \" +99999999999999999999\">", "<x/>", 1),
            ("<sst count='1' uniqueCount='4000000'>", "<x/>", 1),
            ("<worksheet><mergeCells>", "<mergeCell/>", 40),
            ("\u{89}PNG", "\u{1}", 65),
        ] {
            assert!(!fits(beginning, again, mib), "{beginning} {again}");
        }
        let format = format!("<numFmts><numFmt formatCode='{}'/></numFmts><cellXfs>", "a".repeat(1 << 20));
        assert!(!fits(&format, "<xf numFmtId='164'/>", 1), "each style has a copy of its format");
    }
}

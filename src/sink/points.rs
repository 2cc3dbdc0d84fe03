//! Reads the points of a finished workbook back from two of its columns, for a map.

use std::io::Read;

use flate2::read::DeflateDecoder;
use memchr::memmem;

use crate::page::StyleId;
use crate::page::read::{self, element, inflate_rows, unescape};
use crate::record::is_added_as;
use crate::sink::skeleton::worksheet_part;
use crate::sink::zip::{Method, StoredPart, read_directory};

/// XML that is looked at at a time.
const CHUNK_BYTES: usize = 256 << 10;
const ROW_END: &[u8] = b"</row>";

/// A sheet and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetPoints {
    /// Name of the sheet.
    pub name: String,
    /// x and y of each row that has both.
    pub points: Vec<[f64; 2]>,
}

/// The points of a workbook that this crate made: of each sheet that has columns of these names, or `NAME_2` and so on where the file had a
/// column of that name already. `None` for any other file.
pub fn read_points(workbook: &[u8], columns: &[String; 2]) -> Option<Vec<SheetPoints>> {
    let parts = read_directory(workbook)?;
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let mut list = Vec::new();
    open(workbook, part("xl/workbook.xml")?)?.read_to_end(&mut list).ok()?;
    let list = String::from_utf8(list).ok()?;
    let (mut sheets, mut rest, mut number) = (Vec::new(), list.as_str(), 0);
    while let Some((sheet, behind)) = element(rest, "sheet") {
        (rest, number) = (behind, number + 1);
        let part = part(&worksheet_part(number))?;
        let Some(places) = header(workbook, part).and_then(|header| places(&header, columns)) else { continue };
        let mut points = Vec::new();
        read_rows(open(workbook, part)?, places, &mut points).ok()?;
        sheets.push(SheetPoints { name: unescape(sheet.attribute("name")?), points });
    }
    Some(sheets)
}

fn open<'a>(workbook: &'a [u8], part: &StoredPart) -> Option<Box<dyn Read + 'a>> {
    let bytes = workbook.get(part.bytes.clone())?;
    Some(match part.facts.method {
        Method::Stored => Box::new(bytes),
        Method::Deflated => Box::new(DeflateDecoder::new(bytes)),
    })
}

/// Names of the columns of a sheet.
fn header(workbook: &[u8], part: &StoredPart) -> Option<Vec<String>> {
    let bytes = workbook.get(part.bytes.clone())?;
    let xml = match part.facts.method {
        Method::Stored => bytes.to_vec(),
        Method::Deflated => inflate_rows(bytes, 1),
    };
    let first = read::rows(&xml, |_| StyleId::TEXT, 1)?.into_iter().next()?;
    Some(first.into_iter().map(|cell| cell.text).collect())
}

/// Where the columns are: the last one that has the name, or the name and a number.
fn places(header: &[String], columns: &[String; 2]) -> Option<[usize; 2]> {
    let header = || header.iter().map(String::as_str);
    Some([place(header(), &columns[0])?, place(header(), &columns[1])?])
}

/// Where a column is: the last one that has the name, or the name and a number.
pub(super) fn place<'a>(
    mut header: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator,
    name: &str,
) -> Option<usize> {
    header.rposition(|found| is_added_as(found, name))
}

/// Goes through the rows of a sheet piece by piece; a sheet may be larger than memory.
fn read_rows(mut xml: Box<dyn Read + '_>, places: [usize; 2], points: &mut Vec<[f64; 2]>) -> std::io::Result<()> {
    let mut text = Vec::new();
    loop {
        let held = text.len();
        text.resize(held + CHUNK_BYTES, 0);
        let read = xml.read(&mut text[held..])?;
        text.truncate(held + read);
        let whole = memmem::rfind(&text, ROW_END).map_or(0, |at| at + ROW_END.len());
        let mut from = 0;
        while let Some(end) = memmem::find(&text[from..whole], ROW_END) {
            points.extend(point(&text[from..from + end], places));
            from += end + ROW_END.len();
        }
        text.drain(..whole);
        if read == 0 {
            return Ok(());
        }
    }
}

/// The two numbers of a row.
fn point(row: &[u8], places: [usize; 2]) -> Option<[f64; 2]> {
    let mut found = [None; 2];
    let mut place = 0;
    let cells = memmem::find_iter(row, b"<c").filter(|at| matches!(row.get(at + 2), Some(b' ' | b'>' | b'/')));
    let starts: Vec<usize> = cells.collect();
    for (n, start) in starts.iter().enumerate() {
        let cell = &row[*start..starts.get(n + 1).copied().unwrap_or(row.len())];
        let cell = std::str::from_utf8(cell).ok()?;
        if let Some((_, reference)) = cell.split_once('>').and_then(|(head, _)| head.split_once(" r=\"")) {
            place = read::column(reference)?;
        }
        if let Some(wanted) = places.iter().position(|wanted| *wanted == place) {
            found[wanted] = cell.split_once("<v>").and_then(|(_, rest)| rest.split_once("</v>")?.0.parse().ok());
        }
        place += 1;
    }
    Some([found[0]?, found[1]?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_of_a_row_are_found_with_and_without_references() {
        let row = br#"<row r="2"><c r="A2" t="inlineStr"><is><t>a</t></is></c><c r="C2" s="3"><v>126.5</v></c><c r="D2"><v>37.5</v></c>"#;
        assert_eq!(point(row, [2, 3]), Some([126.5, 37.5]));
        assert_eq!(point(row, [3, 2]), Some([37.5, 126.5]));
        assert_eq!(point(row, [1, 2]), None);
        let bare = br#"<row><c t="inlineStr"><is><t>a</t></is></c><c/><c><v>126.5</v></c><c><v>37.5</v></c>"#;
        assert_eq!(point(bare, [2, 3]), Some([126.5, 37.5]));
    }

    #[test]
    fn a_column_that_gave_way_to_one_of_the_file_is_found() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let wanted = ["lon".to_owned(), "lat".to_owned()];
        assert_eq!(places(&names(&["lon", "lat", "a", "lon_2", "lat_2"]), &wanted), Some([3, 4]));
        assert_eq!(places(&names(&["a", "lon", "lat"]), &wanted), Some([1, 2]));
        assert_eq!(places(&names(&["a", "lon"]), &wanted), None);
    }
}

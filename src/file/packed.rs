//! Files whose rows are packed: gzip, zip, and workbooks of Excel (.xlsx, .xls), of which one sheet becomes rows of CSV. A workbook is
//! read by calamine, within limits: a small file may claim to be a very large one.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use calamine::{DataRef, Reader as _, Xlsx};
use flate2::read::MultiGzDecoder;

use super::archive::{self, Opened};
use super::book::{Book, Filled, Several, WORKBOOK_BYTES_MAX, broken, choose, too_large, turn};
use super::sheet_rows::SheetRows;
use super::{FileError, parts, xls, zip_directory};
use crate::state::contain;

/// Largest archive.
const ARCHIVE_BYTES_MAX: u64 = 8 << 30;
/// Bytes that a gzip file, or a file in an archive, unpacks to at most.
const UNPACKED_FILE_BYTES_MAX: u64 = 16 << 30;

const ZIP: &[u8] = b"PK\x03\x04";
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const GZIP: &[u8] = b"\x1f\x8b";
/// The part that a workbook has and no other container.
const WORKBOOK_PART: &str = "xl/workbook.xml";

/// A file as rows of text.
pub struct Unpacked {
    /// The text.
    pub rows: Box<dyn Read + Send>,
    /// Where it is from, if not from a text. The text is CSV in UTF-8 with commas then.
    pub book: Option<Book>,
    /// The file in an archive that it is, among those that have rows.
    pub archive: Option<Book>,
}

/// Whether a file that begins so may be one that is unpacked.
pub fn is_packed(beginning: &[u8]) -> bool {
    [ZIP, OLE, GZIP].iter().any(|magic| beginning.starts_with(magic))
}

/// Unpacks what is packed; what is not comes back as it is. `sheet` names the sheet of a workbook, without it the first one that holds a
/// table is taken; or the file of an archive.
///
/// # Errors
/// A workbook that is broken, has a password, is too large or has no sheet of that name; an archive with several files of rows.
pub fn unpack(input: Box<dyn Read + Send>, sheet: Option<&str>, several: Several) -> Result<Unpacked, FileError> {
    unpack_level(input, sheet, Some(several))
}

/// An archive within an archive is not opened (`None`), nor is more than a workbook unpacked to look for one.
fn unpack_level(
    mut input: Box<dyn Read + Send>,
    sheet: Option<&str>,
    several: Option<Several>,
) -> Result<Unpacked, FileError> {
    let mut beginning = Vec::new();
    input.by_ref().take(OLE.len() as u64).read_to_end(&mut beginning)?;
    let is = |magic: &[u8]| beginning.starts_with(magic);
    let (is_zip, is_ole, is_gzip) = (is(ZIP), is(OLE), is(GZIP));
    let input = io::Cursor::new(beginning).chain(input);
    if is_gzip {
        let unpacked = Bounded { input: MultiGzDecoder::new(input), left: UNPACKED_FILE_BYTES_MAX };
        return Ok(Unpacked { rows: Box::new(unpacked), book: None, archive: None });
    }
    if !is_zip && !is_ole {
        return Ok(Unpacked { rows: Box::new(input), book: None, archive: None });
    }
    // Both kinds have to be read here and there.
    let mut file = tempfile::tempfile()?;
    let most = if is_zip && several.is_some() { ARCHIVE_BYTES_MAX } else { WORKBOOK_BYTES_MAX };
    let bytes = io::copy(&mut input.take(most + 1), &mut file)?;
    let (book, rows) = match is_zip {
        true if !has_workbook(&file) => {
            let opened = several.map(|several| archive::open(&file, sheet, several)).transpose()?.flatten();
            return Ok(match opened {
                Some(Opened { archive, rows }) => {
                    let rows = Box::new(Bounded { input: rows, left: UNPACKED_FILE_BYTES_MAX });
                    Unpacked { archive: Some(archive), ..unpack_level(rows, None, None)? }
                }
                None => {
                    file.rewind()?;
                    Unpacked { rows: Box::new(file), book: None, archive: None }
                }
            });
        }
        _ if bytes > WORKBOOK_BYTES_MAX => return Err(too_large()),
        true => xlsx(file, sheet)?,
        false => match xls::read(&file, sheet)? {
            Some(read) => read,
            None => {
                file.rewind()?;
                return Ok(Unpacked { rows: Box::new(file), book: None, archive: None });
            }
        },
    };
    Ok(Unpacked { rows: Box::new(rows), book: Some(book), archive: None })
}

/// An input that ends with an error after so many bytes.
struct Bounded<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than 16 GiB"))?;
        Ok(read)
    }
}

/// Whether a zip archive is a workbook of Excel; any other is left to whoever names what a file is.
fn has_workbook(file: &File) -> bool {
    zip_directory::open(file).is_ok_and(|zip| zip.index_for_name(WORKBOOK_PART).is_some())
}

fn xlsx(file: File, sheet: Option<&str>) -> Result<(Book, File), FileError> {
    let _turn = turn();
    if !parts::fit(&file).map_err(broken)? {
        return Err(too_large());
    }
    // What is not as the library expects it may end in a panic there, and is a fault of the file.
    contain(|| read_xlsx(file, sheet)).unwrap_or_else(|_| Err(broken("it is not as Excel writes a workbook")))
}

fn read_xlsx(mut file: File, sheet: Option<&str>) -> Result<(Book, File), FileError> {
    file.rewind()?;
    let mut xlsx = Xlsx::new(BufReader::new(file)).map_err(broken)?;
    let book = choose(xlsx.sheet_names(), sheet, |name| {
        let Ok(mut cells) = xlsx.worksheet_cells_reader(name) else { return Ok(false) }; // a chart
        let mut filled = Filled::default();
        while let Some(cell) = cells.next_cell().map_err(broken)? {
            if !matches!(cell.get_value(), DataRef::Empty) && filled.put(cell.get_position().0) {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    // The size that a sheet states need not be true, and all rows must be as wide as the widest.
    let mut last = None;
    {
        let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
        while let Some(cell) = cells.next_cell().map_err(broken)? {
            if !matches!(cell.get_value(), DataRef::Empty) {
                last = last.max(Some(cell.get_position().1));
            }
        }
    }
    let mut rows = SheetRows::new(last)?;
    let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
    while let Some(cell) = cells.next_cell().map_err(broken)? {
        let (row, column) = cell.get_position();
        rows.put(row, column, cell.get_value().clone().into())?;
    }
    Ok((book, rows.finish()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rows(bytes: Vec<u8>, sheet: Option<&str>) -> Result<(String, Option<Book>), FileError> {
        let Unpacked { mut rows, book, .. } = unpack(Box::new(io::Cursor::new(bytes)), sheet, Several::Refused)?;
        let mut text = String::new();
        rows.read_to_string(&mut text)?;
        Ok((text, book))
    }

    #[test]
    fn what_is_no_workbook_stays_as_it_is() {
        let (text, found) = rows(b"a,b\n1,2\n".to_vec(), None).expect("text");
        assert_eq!((text.as_str(), found), ("a,b\n1,2\n", None));
        assert_eq!(rows(Vec::new(), None).expect("nothing").0, "");
        for container in [&b"PK\x03\x04 no archive"[..], OLE] {
            let Unpacked { mut rows, book, .. } =
                unpack(Box::new(io::Cursor::new(container.to_vec())), None, Several::Refused).expect("bytes");
            let mut bytes = Vec::new();
            rows.read_to_end(&mut bytes).expect("bytes");
            assert_eq!((bytes.as_slice(), book), (container, None));
        }
    }

    #[test]
    fn gzip_is_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all("시군,x\n서울,1\n".as_bytes()).expect("memory");
        let bytes = gzip.finish().expect("memory");
        assert_eq!(rows(bytes.clone(), None).expect("rows").0, "시군,x\n서울,1\n");
        let cut = rows(bytes[..bytes.len() - 4].to_vec(), None);
        assert!(matches!(cut, Err(FileError::Packed(_))), "{cut:?}");
    }

    #[test]
    fn a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read() {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(WORKBOOK_PART, options).expect("a part");
        zip.start_file("xl/worksheets/sheet1.xml", options).expect("a part");
        zip.write_all(b"<worksheet><sheetData><row><c t=\"inlineStr\"><is><t>").expect("memory");
        let text = vec![b'a'; 1 << 20];
        (0..64).for_each(|_| zip.write_all(&text).expect("memory"));
        let bytes = zip.finish().expect("a container").into_inner();
        assert!(bytes.len() < 2 << 20, "{}", bytes.len());
        let refused = rows(bytes, None).expect_err("it is too large").to_string();
        assert!(refused.contains("save it as CSV"), "{refused}");
    }

    /// The least that a reader takes for a workbook, with this sheet and these other parts.
    fn workbook(sheet: &str, others: &[(&str, &str)]) -> Vec<u8> {
        const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relation = |kind: &str, target: &str| {
            format!(r#"<Relationships><Relationship Id="r" Type="{OFFICE}/{kind}" Target="{target}"/></Relationships>"#)
        };
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let parts = [
            ("_rels/.rels", relation("officeDocument", WORKBOOK_PART)),
            (WORKBOOK_PART, r#"<workbook><sheets><sheet name="a" r:id="r"/></sheets></workbook>"#.to_owned()),
            ("xl/_rels/workbook.xml.rels", relation("worksheet", "worksheets/sheet1.xml")),
            ("xl/worksheets/sheet1.xml", format!("<worksheet><sheetData>{sheet}</sheetData></worksheet>")),
        ];
        let others = others.iter().map(|(name, text)| (*name, (*text).to_owned()));
        for (name, text) in parts.into_iter().chain(others) {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part");
            zip.write_all(text.as_bytes()).expect("memory");
        }
        zip.finish().expect("a container").into_inner()
    }

    #[test]
    fn a_workbook_that_claims_to_be_large_is_refused_before_there_is_room_for_it() {
        let cell = |place: &str| format!(r#"<row><c r="{place}"><v>1</v></c></row>"#);
        assert_eq!(rows(workbook(&cell("B2"), &[]), None).expect("rows").0, "\n,1\n");
        for (place, expected) in [("XFE1", "column 16385"), ("MWLQKWU1", "column"), ("A1048577", "row 1048577")] {
            let refused = rows(workbook(&cell(place), &[]), None).expect_err(place).to_string();
            assert!(refused.contains(expected) || refused.contains("as Excel writes"), "{place}: {refused}");
        }
        let texts = r#"<sst uniqueCount="100000000000"></sst>"#;
        for name in ["xl/sharedStrings.xml", "xl/SHAREDSTRINGS.XML"] {
            let refused = rows(workbook(&cell("A1"), &[(name, texts)]), None).expect_err(name).to_string();
            assert!(refused.contains("save it as CSV"), "{refused}");
        }
    }

    #[test]
    fn rows_of_a_workbook_that_are_not_in_order_are_refused_and_not_left_out() {
        let rows_of = r#"<row r="2"><c r="A2"><v>2</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>"#;
        let refused = rows(workbook(rows_of, &[]), None).expect_err("it is not in order").to_string();
        assert!(refused.contains("not in order"), "{refused}");
    }
}

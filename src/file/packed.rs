//! Files whose rows are packed: gzip, zip, and workbooks of Excel (.xlsx, .xls), of which one sheet becomes rows of CSV. A workbook is
//! read by calamine, within limits: a small file may claim to be a very large one. OpenDocument (.ods) is not unpacked: there calamine
//! makes the repeated cells of all sheets before it looks at a limit, and 80 bytes of XML are 16,384 of them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use calamine::{Data, DataRef, Reader as _, SheetVisible, Xlsx};
use flate2::read::MultiGzDecoder;

use super::archive::{self, Opened};
use super::book::{Book, Filled, Several, Sheet, SheetRead, WORKBOOK_BYTES_MAX, broken, choose, too_large, turn};
use super::code_format::CodeFormat;
use super::hidden::Hidden;
use super::sheet_rows::{Extent, Merged, SheetRows};
use super::zip_directory::{self, WORKBOOK_PART};
use super::{FileError, parts, xls};
use crate::record::counted;
use crate::state::contain;

/// Largest archive.
const ARCHIVE_BYTES_MAX: u64 = 8 << 30;
/// Bytes that a gzip file, or a file in an archive, unpacks to at most.
const UNPACKED_FILE_BYTES_MAX: u64 = 16 << 30;

const ZIP: &[u8] = b"PK\x03\x04";
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const GZIP: &[u8] = b"\x1f\x8b";

/// A file as rows of text.
pub struct Unpacked {
    /// The text.
    pub rows: Box<dyn Read + Send>,
    /// Where it is from, if not from a text. The text is CSV in UTF-8 with commas then.
    pub book: Option<Book>,
    /// The file in an archive that it is, among those that have rows.
    pub archive: Option<Book>,
    /// Remarks for the person.
    pub notes: Vec<String>,
}

impl Unpacked {
    /// Text that is not from a workbook.
    fn text(rows: impl Read + Send + 'static) -> Unpacked {
        Unpacked { rows: Box::new(rows), book: None, archive: None, notes: Vec::new() }
    }
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
        return Ok(Unpacked::text(unpacked));
    }
    if !is_zip && !is_ole {
        return Ok(Unpacked::text(input));
    }
    // Both kinds have to be read here and there.
    let mut file = tempfile::tempfile()?;
    let most = if is_zip && several.is_some() { ARCHIVE_BYTES_MAX } else { WORKBOOK_BYTES_MAX };
    let bytes = io::copy(&mut input.take(most + 1), &mut file)?;
    let SheetRead { book, rows, notes } = match is_zip {
        true if !has_workbook(&file) => {
            let opened = several.map(|several| archive::open(&file, sheet, several)).transpose()?.flatten();
            return Ok(match opened {
                Some(Opened { archive, rows }) => {
                    let rows = Box::new(Bounded { input: rows, left: UNPACKED_FILE_BYTES_MAX });
                    Unpacked { archive: Some(archive), ..unpack_level(rows, None, None)? }
                }
                None => {
                    file.rewind()?;
                    Unpacked::text(file)
                }
            });
        }
        _ if bytes > WORKBOOK_BYTES_MAX => return Err(too_large()),
        true => xlsx(file, sheet)?,
        false => match xls::read(&file, sheet)? {
            Some(read) => read,
            None => {
                file.rewind()?;
                return Ok(Unpacked::text(file));
            }
        },
    };
    Ok(Unpacked { rows: Box::new(rows), book: Some(book), archive: None, notes })
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

fn xlsx(file: File, sheet: Option<&str>) -> Result<SheetRead, FileError> {
    let _turn = turn();
    if !parts::fit(&file).map_err(broken)? {
        return Err(too_large());
    }
    // What is not as the library expects it may end in a panic there, and is a fault of the file.
    contain(|| read_xlsx(file, sheet)).unwrap_or_else(|_| Err(broken("it is not as Excel writes a workbook")))
}

fn read_xlsx(mut file: File, sheet: Option<&str>) -> Result<SheetRead, FileError> {
    file.rewind()?;
    let parts = file.try_clone()?;
    let mut xlsx = Xlsx::new(BufReader::new(file)).map_err(broken)?;
    let sheets = xlsx.sheets_metadata().iter();
    let sheets =
        sheets.map(|sheet| Sheet { name: sheet.name.clone(), is_hidden: sheet.visible != SheetVisible::Visible });
    let book = choose(sheets.collect(), sheet, |name| {
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
    let (mut extent, mut without_value) = (None, 0_u64);
    {
        let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
        while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(broken)? {
            let (has_value, column) = (!matches!(cell.value, DataRef::Empty), cell.pos.1);
            if has_value {
                extent = Extent::with(extent, column, column);
            }
            without_value += u64::from(!has_value && cell.formula.is_some());
        }
    }
    let merged = xlsx.merge_cells_by_sheet_name(&book.sheet).map_err(broken)?;
    let merged = merged.iter().map(|cells| Merged { column: cells.start.1, rows: (cells.start.0, cells.end.0) });
    let mut rows = SheetRows::new(extent, merged.collect(), Hidden::of_xlsx(&parts, &book.sheet))?;
    let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
    let formats = cells.styles().iter().map(|style| style.number_format.as_ref());
    let codes: Vec<_> = formats.map(|format| format.and_then(|format| CodeFormat::read(&format.format_code))).collect();
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(broken)? {
        let (row, column) = cell.get_position();
        let code = match (cell.get_value(), codes.get(style)) {
            (DataRef::Float(number), Some(Some(format))) => format.shown(*number),
            _ => None,
        };
        rows.put(row, column, code.map_or_else(|| cell.get_value().clone().into(), Data::String))?;
    }
    let cells = counted(without_value, "cell");
    let (have, are, them) = if without_value == 1 { ("has", "is", "it") } else { ("have", "are", "them") };
    let note = format!(
        "{cells} of the sheet {have} a formula without a value, as programs write them, and {are} empty: open the workbook in Excel \
         and save it, which computes {them}"
    );
    let (rows, hidden) = rows.finish(&book.sheet)?;
    let notes = (without_value > 0).then_some(note).into_iter().chain(hidden).collect();
    Ok(SheetRead { book, rows, notes })
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
        workbook_of(sheet, "", others)
    }

    /// The same with something behind the cells.
    fn workbook_of(sheet: &str, behind: &str, others: &[(&str, &str)]) -> Vec<u8> {
        const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relation = |kind: &str, target: &str| {
            format!(r#"<Relationships><Relationship Id="r" Type="{OFFICE}/{kind}" Target="{target}"/></Relationships>"#)
        };
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let parts = [
            ("_rels/.rels", relation("officeDocument", WORKBOOK_PART)),
            (WORKBOOK_PART, r#"<workbook><sheets><sheet name="a" r:id="r"/></sheets></workbook>"#.to_owned()),
            ("xl/_rels/workbook.xml.rels", relation("worksheet", "worksheets/sheet1.xml")),
            ("xl/worksheets/sheet1.xml", format!("<worksheet><sheetData>{sheet}</sheetData>{behind}</worksheet>")),
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
        assert_eq!(rows(workbook(&cell("B2"), &[]), None).expect("rows").0, "\n1\n", "columns left of it are left out");
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
    fn cells_are_read_as_a_person_sees_them() {
        let cell = |place: &str, inside: &str| format!("<c r=\"{place}\"{inside}</c>");
        let text = |place: &str, text: &str| cell(place, &format!(" t=\"inlineStr\"><is><t>{text}</t></is>"));
        let number = |place: &str, number: &str| cell(place, &format!("><v>{number}</v>"));
        let sheet = [
            format!("<row r=\"2\">{}{}{}</row>", text("B2", "구"), text("C2", "우편번호"), text("D2", "값")),
            format!(
                "<row r=\"3\">{}{}{}</row>",
                text("B3", "중구"),
                cell("C3", " s=\"1\"><v>4519</v>"),
                number("D3", "0.1")
            ),
            // Only the first of the merged cells has the text.
            format!(
                "<row r=\"4\">{}{}</row>",
                cell("C4", " s=\"1\"><v>12345</v>"),
                number("D4", "0.30000000000000004")
            ),
            format!("<row r=\"5\">{}</row>", number("D5", "127.02345678901234")),
            format!("<row r=\"7\">{}{}</row>", text("B7", "서구"), cell("D7", "><f>D3*2</f><v></v>")),
        ];
        let styles = "<styleSheet><numFmts><numFmt numFmtId=\"164\" formatCode=\"00000\"/></numFmts><cellXfs>\
                      <xf numFmtId=\"0\"/><xf numFmtId=\"164\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>";
        let book = workbook_of(
            &sheet.concat(),
            "<mergeCells><mergeCell ref=\"B3:B6\"/></mergeCells>",
            &[("xl/styles.xml", styles)],
        );
        let Unpacked { mut rows, notes, .. } =
            unpack(Box::new(io::Cursor::new(book)), None, Several::Refused).expect("a workbook");
        let mut text = String::new();
        rows.read_to_string(&mut text).expect("rows");
        let expected = "\n구,우편번호,값\n중구,04519,0.1\n중구,12345,0.3\n중구,,127.023456789012\n\n서구,,\n";
        assert_eq!(text, expected, "row 6 has nothing of its own");
        assert!(
            notes.len() == 1 && notes[0].starts_with("1 cell of the sheet has a formula without a value"),
            "{notes:?}"
        );
    }

    #[test]
    fn what_is_merged_over_a_row_without_cells_does_not_reach_the_row_below_it() {
        let number = |place: &str, number: u32| format!("<c r=\"{place}\"><v>{number}</v></c>");
        let sheet = [
            format!("<row r=\"1\">{}{}</row>", number("A1", 7), number("B1", 1)),
            format!("<row r=\"3\">{}</row>", number("B3", 3)),
        ];
        let book = workbook_of(&sheet.concat(), "<mergeCells><mergeCell ref=\"A1:A2\"/></mergeCells>", &[]);
        assert_eq!(rows(book, None).expect("rows").0, "7,1\n\n,3\n");
    }

    #[test]
    fn rows_and_columns_that_are_hidden_are_taken_and_said() {
        let row = |number: u32, attributes: &str| {
            let cell = |column: &str| format!("<c r=\"{column}{number}\"><v>{number}</v></c>");
            format!("<row r=\"{number}\" {attributes}>{}{}</row>", cell("A"), cell("B"))
        };
        let filtered = [row(1, ""), row(2, "hidden=\"1\""), row(3, "hidden=\"0\""), row(4, "hidden=\"true\"")];
        let sheet = filtered.concat() + "<row r=\"5\" hidden=\"1\"/>";
        let notes = |sheet: &str, behind: &str| {
            let book = Box::new(io::Cursor::new(workbook_of(sheet, behind, &[])));
            let Unpacked { mut rows, notes, .. } = unpack(book, None, Several::Refused).expect("a workbook");
            (io::read_to_string(&mut rows).expect("rows"), notes)
        };
        let (rows, said) = notes(&sheet, "");
        assert_eq!(rows, "1,1\n2,2\n3,3\n4,4\n");
        assert!(
            said.len() == 1 && said[0].starts_with("2 hidden rows of sheet \"a\" are taken too; to leave"),
            "{said:?}"
        );
        // Nothing but columns without a cell is hidden, as by whoever hides all that is right of a table.
        let columns = "<cols><col min=\"3\" max=\"16384\" hidden=\"1\"/></cols>";
        assert_eq!(notes(&row(1, ""), columns).1, Vec::<String>::new());
        let columns = "<cols><col min=\"1\" max=\"1\"/><col min=\"2\" max=\"9\" hidden=\"1\"/></cols>";
        let (_, said) = notes(&row(1, ""), columns);
        assert!(said[0].starts_with("1 hidden column of sheet \"a\" is taken too"), "{said:?}");
    }

    #[test]
    fn rows_of_a_workbook_that_are_not_in_order_are_refused_and_not_left_out() {
        let rows_of = r#"<row r="2"><c r="A2"><v>2</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>"#;
        let refused = rows(workbook(rows_of, &[]), None).expect_err("it is not in order").to_string();
        assert!(refused.contains("not in order"), "{refused}");
    }
}

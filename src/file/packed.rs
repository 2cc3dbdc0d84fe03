//! Files whose rows are packed: gzip, zip, and workbooks of Excel (.xlsx, .xls), of which one sheet becomes rows of CSV. A workbook is
//! read by calamine, within limits: a small file may claim to be a very large one.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use calamine::{Data, DataRef, ExcelDateTime, Reader as _, Xls, Xlsx};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use zip::ZipArchive;

use super::archive::{self, Opened};
use super::{FileError, parts};
use crate::source::csv::write_row;

/// Largest archive.
const ARCHIVE_BYTES_MAX: u64 = 8 << 30;
/// Largest workbook.
pub const WORKBOOK_BYTES_MAX: u64 = 64 << 20;
/// Bytes that a gzip file, or a file in an archive, unpacks to at most.
const UNPACKED_FILE_BYTES_MAX: u64 = 16 << 30;
/// Bytes that the rows of a sheet have at most.
const ROWS_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the cells of one row.
const ROW_BYTES_MAX: u64 = 16 << 20;

const ZIP: &[u8] = b"PK\x03\x04";
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const GZIP: &[u8] = b"\x1f\x8b";
/// The part that a workbook has and no other container.
const WORKBOOK_PART: &str = "xl/workbook.xml";
/// Whose turn it is to read a workbook.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The workbook that rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Book {
    /// Its sheets.
    pub sheets: Vec<String>,
    /// The one whose rows are taken.
    pub sheet: String,
}

/// A file as rows of text.
pub struct Unpacked {
    /// The text.
    pub rows: Box<dyn Read + Send>,
    /// Where it is from, if not from a text. The text is CSV in UTF-8 with commas then.
    pub book: Option<Book>,
    /// The file in an archive that it is.
    pub member: Option<String>,
}

/// Whether a file that begins so may be one that is unpacked.
pub fn is_packed(beginning: &[u8]) -> bool {
    [ZIP, OLE, GZIP].iter().any(|magic| beginning.starts_with(magic))
}

/// Unpacks what is packed; what is not comes back as it is. `sheet` names the sheet of a workbook, without it the first one is taken, or
/// the file of an archive.
///
/// # Errors
/// A workbook that is broken, has a password, is too large or has no sheet of that name; an archive with several files of rows.
pub fn unpack(input: Box<dyn Read + Send>, sheet: Option<&str>) -> Result<Unpacked, FileError> {
    unpack_level(input, sheet, true)
}

/// An archive within an archive is not opened, nor is more than a workbook unpacked to look for one.
fn unpack_level(mut input: Box<dyn Read + Send>, sheet: Option<&str>, is_outer: bool) -> Result<Unpacked, FileError> {
    let mut beginning = Vec::new();
    input.by_ref().take(OLE.len() as u64).read_to_end(&mut beginning)?;
    let is = |magic: &[u8]| beginning.starts_with(magic);
    let (is_zip, is_ole, is_gzip) = (is(ZIP), is(OLE), is(GZIP));
    let input = io::Cursor::new(beginning).chain(input);
    if is_gzip {
        let unpacked = Bounded { input: MultiGzDecoder::new(input), left: UNPACKED_FILE_BYTES_MAX };
        return Ok(Unpacked { rows: Box::new(unpacked), book: None, member: None });
    }
    if !is_zip && !is_ole {
        return Ok(Unpacked { rows: Box::new(input), book: None, member: None });
    }
    // Both kinds have to be read here and there.
    let mut file = tempfile::tempfile()?;
    let most = if is_zip && is_outer { ARCHIVE_BYTES_MAX } else { WORKBOOK_BYTES_MAX };
    let bytes = io::copy(&mut input.take(most + 1), &mut file)?;
    file.rewind()?;
    let (book, mut rows) = match is_zip {
        true if !has_workbook(&file)? => {
            let member = if is_outer { archive::open(&file, sheet)? } else { None };
            return Ok(match member {
                Some(Opened { name, rows }) => {
                    let rows = Box::new(Bounded { input: rows, left: UNPACKED_FILE_BYTES_MAX });
                    Unpacked { member: Some(name), ..unpack_level(rows, None, false)? }
                }
                None => {
                    file.rewind()?;
                    Unpacked { rows: Box::new(file), book: None, member: None }
                }
            });
        }
        _ if bytes > WORKBOOK_BYTES_MAX => return Err(too_large()),
        true => xlsx(file, sheet)?,
        false => match xls(file.try_clone()?, sheet)? {
            Some(read) => read,
            None => {
                file.rewind()?;
                return Ok(Unpacked { rows: Box::new(file), book: None, member: None });
            }
        },
    };
    rows.rewind()?;
    Ok(Unpacked { rows: Box::new(rows), book: Some(book), member: None })
}

/// Workbooks are read one at a time, for their texts are in memory.
fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_large() -> FileError {
    FileError::Packed("it is too large to be read here; save it as CSV".to_owned())
}

fn broken(error: impl std::fmt::Display) -> FileError {
    FileError::Packed(error.to_string())
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
fn has_workbook(file: &File) -> io::Result<bool> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    let is_workbook =
        ZipArchive::new(BufReader::new(&file)).is_ok_and(|zip| zip.index_for_name(WORKBOOK_PART).is_some());
    file.rewind()?;
    Ok(is_workbook)
}

/// The sheet that is asked for, or the first one.
fn choose(sheets: Vec<String>, sheet: Option<&str>) -> Result<Book, FileError> {
    let chosen = match sheet {
        Some(name) => sheets.iter().find(|known| *known == name).cloned(),
        None => sheets.first().cloned(),
    };
    let missing = || match sheet {
        Some(name) => {
            FileError::Packed(format!("the workbook has no sheet \"{name}\"; there are {}", sheets.join(", ")))
        }
        None => FileError::Packed("the workbook has no sheet".to_owned()),
    };
    let sheet = chosen.ok_or_else(missing)?;
    Ok(Book { sheets, sheet })
}

fn xlsx(mut file: File, sheet: Option<&str>) -> Result<(Book, File), FileError> {
    let _turn = turn();
    if !parts::fit(&file).map_err(broken)? {
        return Err(too_large());
    }
    file.rewind()?;
    let mut xlsx = Xlsx::new(BufReader::new(file)).map_err(broken)?;
    let book = choose(xlsx.sheet_names(), sheet)?;
    // The size that a sheet states need not be true, and all rows must be as wide as the widest.
    let mut width = 0;
    {
        let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
        while let Some(cell) = cells.next_cell().map_err(broken)? {
            if !matches!(cell.get_value(), DataRef::Empty) {
                width = width.max(cell.get_position().1 + 1);
            }
        }
    }
    let mut rows = CsvRows::new(width)?;
    let mut cells = xlsx.worksheet_cells_reader(&book.sheet).map_err(broken)?;
    while let Some(cell) = cells.next_cell().map_err(broken)? {
        let (row, column) = cell.get_position();
        rows.put(row, column, text(cell.get_value().clone().into()))?;
    }
    Ok((book, rows.finish()?))
}

/// `None` for another document in the same container, such as one of Word.
fn xls(file: File, sheet: Option<&str>) -> Result<Option<(Book, File)>, FileError> {
    let _turn = turn();
    let Ok(mut xls) = Xls::new(BufReader::new(file)) else { return Ok(None) };
    let book = choose(xls.sheet_names(), sheet)?;
    let range = xls.worksheet_range(&book.sheet).map_err(broken)?;
    let (row, column) = range.start().unwrap_or_default();
    let width = range.end().map_or(0, |(_, column)| column + 1);
    let mut rows = CsvRows::new(width)?;
    for (r, c, cell) in range.used_cells() {
        rows.put(
            row + u32::try_from(r).unwrap_or(u32::MAX),
            column + u32::try_from(c).unwrap_or(u32::MAX),
            text(cell.clone()),
        )?;
    }
    Ok(Some((book, rows.finish()?)))
}

/// Rows of CSV out of cells in the order of rows.
struct CsvRows {
    file: BufWriter<File>,
    line: Vec<u8>,
    bytes: u64,
    row: u32,
    cells: Vec<String>,
    /// Whether the row has a cell with something in it; most of a million rows may have none.
    is_blank: bool,
    /// Bytes of its cells.
    held: u64,
}

impl CsvRows {
    fn new(width: u32) -> Result<CsvRows, FileError> {
        let cells = vec![String::new(); usize::try_from(width).unwrap_or_default()];
        Ok(CsvRows {
            file: BufWriter::new(tempfile::tempfile()?),
            line: Vec::new(),
            bytes: 0,
            row: 0,
            cells,
            is_blank: true,
            held: 0,
        })
    }

    fn put(&mut self, row: u32, column: u32, text: String) -> Result<(), FileError> {
        while self.row < row {
            self.end_row()?;
        }
        // A row that comes again, or a cell beyond the widest row, is none that Excel writes.
        let place = usize::try_from(column).ok().and_then(|column| self.cells.get_mut(column));
        if let Some(cell) = place.filter(|_| self.row == row) {
            self.is_blank &= text.is_empty();
            self.held += text.len() as u64;
            if self.held > ROW_BYTES_MAX {
                return Err(too_large());
            }
            *cell = text;
        }
        Ok(())
    }

    /// A row without cells stays as a blank line, so that lines have the numbers of their rows.
    fn end_row(&mut self) -> Result<(), FileError> {
        (self.row, self.held) = (self.row + 1, 0);
        self.line.clear();
        if !std::mem::replace(&mut self.is_blank, true) {
            write_row(self.cells.iter().map(String::as_bytes), b',', &mut self.line);
            // What a long text took is given back.
            self.cells.iter_mut().for_each(|cell| *cell = String::new());
        }
        self.line.push(b'\n');
        self.bytes += self.line.len() as u64;
        if self.bytes > ROWS_BYTES_MAX {
            return Err(too_large());
        }
        Ok(self.file.write_all(&self.line)?)
    }

    fn finish(mut self) -> Result<File, FileError> {
        self.end_row()?;
        self.file.into_inner().map_err(|error| error.into_error().into())
    }
}

/// A cell as CSV has it: a date as `2024-01-05`, a number with all of its digits and no separators.
fn text(cell: Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text,
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        Data::Bool(value) => if value { "TRUE" } else { "FALSE" }.to_owned(),
        Data::DateTime(moment) => moment_text(&moment),
        Data::Error(error) => error.to_string(),
    }
}

fn moment_text(moment: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let (days, is_whole) = (moment.as_f64(), moment.as_f64().fract() == 0.0);
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    match moment.is_duration() {
        true => format!("{}:{minute:02}:{second:02}", (days * 24.0 + 1e-9).floor()),
        false if days < 1.0 => time,
        false if is_whole => format!("{year:04}-{month:02}-{day:02}"),
        false => format!("{year:04}-{month:02}-{day:02} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: Vec<u8>, sheet: Option<&str>) -> Result<(String, Option<Book>), FileError> {
        let Unpacked { mut rows, book, .. } = unpack(Box::new(io::Cursor::new(bytes)), sheet)?;
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
                unpack(Box::new(io::Cursor::new(container.to_vec())), None).expect("bytes");
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
}

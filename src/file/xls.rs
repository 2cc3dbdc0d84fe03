//! Workbooks of Excel 97 to 2003, and of Excel 5.0 and 95 (.xls): records ([MS-XLS]) in a stream of a compound file ([MS-CFB]). Reads the
//! values of one sheet, in memory that follows from the size of the file and not from where its cells are.
//!
//! A file is no bigger than a workbook may be, and neither are its texts; nothing is as large as a record says before it is there.

mod look;
mod records;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use calamine::{CellErrorType, Data, ExcelDateTime, ExcelDateTimeType};

use super::FileError;
use super::book::{Filled, Sheet, SheetRead, WORKBOOK_BYTES_MAX, broken, choose, too_large, turn};
use super::hidden::Hidden;
use super::sheet_rows::{Extent, Merged, SheetRows};
use crate::source::charset::Charset;
use look::Look;
use records::{Body, Record, double_word, kind, number, record_at, rk_number, word};

/// Names of the stream with the records, of Excel 97 and of Excel 95.
const STREAMS: [&str; 2] = ["/Workbook", "/Book"];
/// Sheets of a workbook.
const SHEETS_MAX: usize = 4_096;
/// Bytes of all texts, and of the list of cells.
const TEXTS_BYTES_MAX: usize = 128 << 20;

/// `None` for another document in the same container, such as one of Word.
pub(super) fn read(file: &File, sheet: Option<&str>) -> Result<Option<SheetRead>, FileError> {
    let _turn = turn();
    let Some(stream) = workbook_stream(file)? else { return Ok(None) };
    let globals = Globals::read(&stream)?;
    let position = |name: &str| globals.sheets.iter().find(|(sheet, _)| sheet.name == name).map_or(0, |(_, at)| *at);
    let book = choose(globals.sheets.iter().map(|(sheet, _)| sheet.clone()).collect(), sheet, |name| {
        let Ok((cells, ..)) = cells(&stream, position(name) as usize) else { return Ok(false) }; // a chart
        let mut filled = Filled::default();
        Ok(cells.iter().any(|cell| filled.put(u32::from(cell.row))))
    })?;
    let position = position(&book.sheet);
    let (mut cells, merged, hidden) = cells(&stream, position as usize)?;
    cells.sort_by_key(|cell| (cell.row, cell.first)); // as they are, in most files
    let extent =
        cells.iter().fold(None, |extent, cell| Extent::with(extent, u32::from(cell.first), u32::from(cell.last)));
    let mut rows = SheetRows::new(extent, merged, hidden)?;
    for cell in cells {
        globals.put(&stream, cell, &mut rows)?;
    }
    let (rows, hidden) = rows.finish(&book.sheet)?;
    Ok(Some(SheetRead { book, rows, notes: hidden.into_iter().collect() }))
}

/// The records of a workbook, if the file has some.
fn workbook_stream(file: &File) -> Result<Option<Vec<u8>>, FileError> {
    if !allocation_is_short(file)? {
        return Ok(None);
    }
    let mut file = BufReader::new(file.try_clone()?);
    file.rewind()?;
    let Ok(mut container) = cfb::CompoundFile::open(file) else { return Ok(None) };
    let Some(name) = STREAMS.into_iter().find(|name| container.is_stream(name)) else { return Ok(None) };
    let mut stream = Vec::new();
    let opened = container.open_stream(name).map_err(broken)?;
    opened.take(WORKBOOK_BYTES_MAX + 1).read_to_end(&mut stream).map_err(broken)?;
    if stream.len() as u64 > WORKBOOK_BYTES_MAX { Err(too_large()) } else { Ok(Some(stream)) }
}

/// Whether the list of sectors that say which sectors belong together is as short as the file allows ([MS-CFB] 2.5): the library holds all
/// that it names, and it could name one a million times.
fn allocation_is_short(file: &File) -> io::Result<bool> {
    let mut file = BufReader::new(file.try_clone()?);
    let bytes = file.seek(SeekFrom::End(0))?;
    let word = |file: &mut BufReader<File>, at: u64| -> io::Result<u32> {
        let mut word = [0; 4];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    };
    if bytes < 512 {
        return Ok(false);
    }
    let sector = 1_u64 << (word(&mut file, 30)? & 0xFFFF).clamp(9, 12);
    let entries = sector / 4;
    let longest = bytes / sector / entries / (entries - 1) + 2;
    let mut next = word(&mut file, 68)?;
    for _ in 0..longest {
        let end = (u64::from(next) + 2) * sector;
        if end > bytes {
            return Ok(true); // it ends, or the library finds that it leads nowhere
        }
        next = word(&mut file, end - 4)?;
    }
    Ok((u64::from(next) + 2) * sector > bytes)
}

fn cut() -> FileError {
    broken("it is damaged or cut off: open it in Excel and save it again")
}

/// All that comes before the first sheet.
struct Globals {
    /// Texts of Excel 97 are of UTF-16, those before it of a code page.
    is_97: bool,
    charset: Charset,
    is_1904: bool,
    /// Of each cell style.
    looks: Vec<Look>,
    /// Each worksheet and its place.
    sheets: Vec<(Sheet, u32)>,
    /// The table of texts, one after the other, and where each ends.
    texts: String,
    text_ends: Vec<u32>,
}

impl Globals {
    fn read(stream: &[u8]) -> Result<Globals, FileError> {
        let charset = Charset::of(encoding_rs::WINDOWS_1252);
        let mut globals = Globals {
            is_97: true,
            charset,
            is_1904: false,
            looks: Vec::new(),
            sheets: Vec::new(),
            texts: String::new(),
            text_ends: Vec::new(),
        };
        let (mut formats, mut styles, mut at) = (ahash::HashMap::default(), Vec::new(), 0);
        while let Some(record) = record_at(stream, at) {
            at = record.next;
            match record.kind {
                kind::EOF => {
                    let look = |format: &u16| formats.get(format).cloned().unwrap_or(Look::of_built_in(*format));
                    globals.looks = styles.iter().map(look).collect();
                    return Ok(globals);
                }
                kind::FILE_PASS => return Err(broken("it has a password: save it without one")),
                kind::BOF => globals.is_97 = word(record.data, 0) != Some(0x0500),
                kind::CODE_PAGE => {
                    let name = word(record.data, 0).map(|page| format!("cp{page}"));
                    globals.charset = name.and_then(|name| name.parse().ok()).unwrap_or(charset);
                }
                kind::DATE_1904 => globals.is_1904 = word(record.data, 0) == Some(1),
                kind::XF => styles.push(word(record.data, 2).unwrap_or_default()),
                kind::FORMAT => {
                    if let (Some(format), Some(text)) = (word(record.data, 0), globals.format(stream, record)) {
                        formats.insert(format, Look::of_format(&text));
                    }
                }
                kind::BOUND_SHEET => globals.add_sheet(stream, record)?,
                kind::SST => globals.read_texts(Body::of(stream, record))?,
                _ => {}
            }
        }
        Err(cut())
    }

    fn add_sheet(&mut self, stream: &[u8], record: Record) -> Result<(), FileError> {
        const WORKSHEET: u8 = 0;
        let mut body = Body::of(stream, record);
        let head = body.take(7).ok_or_else(cut)?;
        let (position, state, sort, length) =
            (double_word(head, 0).unwrap_or_default(), head[4], head[5], usize::from(head[6]));
        let name = self.text(body, length).ok_or_else(cut)?;
        if sort == WORKSHEET {
            self.sheets.push((Sheet { name: name.replace('\0', ""), is_hidden: state & 3 != 0 }, position));
        }
        if self.sheets.len() > SHEETS_MAX { Err(too_large()) } else { Ok(()) }
    }

    fn read_texts(&mut self, mut body: Body) -> Result<(), FileError> {
        body.take(8).ok_or_else(cut)?;
        while !body.data.is_empty() || body.continues() {
            body.rich_text(&mut self.texts).ok_or_else(cut)?;
            self.text_ends.push(u32::try_from(self.texts.len()).map_err(|_| too_large())?);
            if self.texts.len() + 4 * self.text_ends.len() > TEXTS_BYTES_MAX {
                return Err(too_large());
            }
        }
        Ok(())
    }

    /// So many characters: behind a byte that says how they are written, or of the code page.
    fn text(&self, mut body: Body, length: usize) -> Option<String> {
        let mut text = String::new();
        match self.is_97 {
            true => {
                let wide = body.take(1)?[0] & 1 != 0;
                body.characters(length, wide, &mut text)?;
            }
            false => {
                let bytes = body.data.get(..length)?;
                text.push_str(&self.charset.encoding().decode_without_bom_handling(bytes).0);
            }
        }
        Some(text)
    }

    /// A text from `at` in a record on, behind its length.
    fn text_at(&self, stream: &[u8], record: Record, at: usize) -> Option<String> {
        let mut body = Body::of(stream, record);
        body.take(at)?;
        let length = word(body.take(2)?, 0)?;
        if length == 0 { Some(String::new()) } else { self.text(body, usize::from(length)) }
    }

    /// The text of a format, whose length has one byte before Excel 97.
    fn format(&self, stream: &[u8], record: Record) -> Option<String> {
        if self.is_97 {
            return self.text_at(stream, record, 2);
        }
        let mut body = Body::of(stream, record);
        let length = body.take(3)?[2];
        self.text(body, usize::from(length))
    }

    fn shown(&self, value: f64, style: Option<u16>) -> Data {
        let look = style.and_then(|style| self.looks.get(usize::from(style)));
        let moment = |kind| Data::DateTime(ExcelDateTime::new(value, kind, self.is_1904));
        match look {
            Some(Look::Moment) => moment(ExcelDateTimeType::DateTime),
            Some(Look::Duration) => moment(ExcelDateTimeType::TimeDelta),
            Some(Look::Code(format)) => format.shown(value).map_or(Data::Float(value), Data::String),
            Some(Look::Number) | None => Data::Float(value),
        }
    }

    /// Puts the cells of a record.
    fn put(&self, stream: &[u8], cell: Cells, rows: &mut SheetRows) -> Result<(), FileError> {
        let record = record_at(stream, cell.at as usize).ok_or_else(cut)?;
        let (data, row, first) = (record.data, u32::from(cell.row), u32::from(cell.first));
        let style = word(data, 4);
        if record.kind == kind::MUL_RK {
            for (column, rk) in (first..=u32::from(cell.last)).zip(data.get(4..).unwrap_or_default().chunks_exact(6)) {
                let value = double_word(rk, 2).map(rk_number).ok_or_else(cut)?;
                rows.put(row, column, self.shown(value, word(rk, 0)))?;
            }
            return Ok(());
        }
        let value = match record.kind {
            kind::NUMBER => number(data, 6).map(|value| self.shown(value, style)),
            kind::RK => double_word(data, 6).map(|rk| self.shown(rk_number(rk), style)),
            kind::LABEL | kind::RSTRING => self.text_at(stream, record, 6).map(Data::String),
            kind::LABEL_SST => double_word(data, 6).and_then(|text| self.shared(text)).map(Data::String),
            kind::BOOL_ERR => match data.get(6..8) {
                Some([value, is_error]) => Some(truth_or_error(*value, *is_error != 0)),
                _ => None,
            },
            _ => self.result(stream, record),
        };
        rows.put(row, first, value.ok_or_else(cut)?)
    }

    /// A text of the table.
    fn shared(&self, text: u32) -> Option<String> {
        let at = text as usize;
        let end = *self.text_ends.get(at)?;
        let begin = at.checked_sub(1).map_or(0, |before| self.text_ends[before]);
        self.texts.get(begin as usize..end as usize).map(str::to_owned)
    }

    /// What a formula had for a result; a text has a record of its own behind it ([MS-XLS] 2.5.133).
    fn result(&self, stream: &[u8], record: Record) -> Option<Data> {
        let data = record.data;
        match data.get(6..14)? {
            [0, _, _, _, _, _, 0xFF, 0xFF] => {
                let between = [kind::ARRAY, kind::TABLE, kind::SHARED_FORMULA, kind::CONTINUE];
                let mut next = record_at(stream, record.next);
                while let Some(other) = next.filter(|other| between.contains(&other.kind)) {
                    next = record_at(stream, other.next);
                }
                let text = next.filter(|next| next.kind == kind::STRING);
                text.map_or(Some(Data::Empty), |text| self.text_at(stream, text, 0).map(Data::String))
            }
            [1, _, value, _, _, _, 0xFF, 0xFF] => Some(truth_or_error(*value, false)),
            [2, _, value, _, _, _, 0xFF, 0xFF] => Some(truth_or_error(*value, true)),
            [3, _, _, _, _, _, 0xFF, 0xFF] => Some(Data::Empty),
            _ => number(data, 6).map(|value| self.shown(value, word(data, 4))),
        }
    }
}

/// [MS-XLS] 2.5.10.
fn truth_or_error(value: u8, is_error: bool) -> Data {
    if !is_error {
        return Data::Bool(value != 0);
    }
    Data::Error(match value {
        0x00 => CellErrorType::Null,
        0x07 => CellErrorType::Div0,
        0x0F => CellErrorType::Value,
        0x17 => CellErrorType::Ref,
        0x1D => CellErrorType::Name,
        0x24 => CellErrorType::Num,
        0x2B => CellErrorType::GettingData,
        _ => CellErrorType::NA,
    })
}

/// The cells of a record, which are next to each other.
#[derive(Clone, Copy)]
struct Cells {
    row: u16,
    first: u16,
    last: u16,
    /// Where the record is.
    at: u32,
}

/// The ranges of cells of a record, each two rows and two columns behind their number ([MS-XLS] 2.4.168).
fn merged_cells(data: &[u8]) -> impl Iterator<Item = Merged> {
    data.get(2..).unwrap_or_default().chunks_exact(8).filter_map(|range| {
        let place = |at| word(range, at).map(u32::from);
        Some(Merged { column: place(4)?, rows: (place(0)?, place(2)?) })
    })
}

/// The cells of the sheet at a place, without those of the charts in it, as they come; those that are merged; and what is hidden.
fn cells(stream: &[u8], mut at: usize) -> Result<(Vec<Cells>, Vec<Merged>, Hidden), FileError> {
    let (mut cells, mut merged, mut hidden, mut depth) = (Vec::new(), Vec::new(), Hidden::default(), 0_usize);
    while let Some(record) = record_at(stream, at) {
        let (here, data) = (at, record.data);
        at = record.next;
        match record.kind {
            kind::BOF => depth += 1,
            kind::EOF if depth <= 1 => return Ok((cells, merged, hidden)),
            kind::EOF => depth -= 1,
            // [MS-XLS] 2.4.221 and 2.4.53
            kind::ROW if depth == 1 && word(data, 12).is_some_and(|flags| flags & 0x20 != 0) => {
                hidden.put_row(word(data, 0).map(u32::from));
            }
            kind::COLUMNS if depth == 1 && word(data, 8).is_some_and(|flags| flags & 1 != 0) => {
                hidden.put_columns(word(data, 0).map(u32::from), word(data, 2).map(u32::from));
            }
            kind::MERGED_CELLS if depth == 1 => merged.extend(merged_cells(data)),
            kind::FORMULA
            | kind::NUMBER
            | kind::LABEL
            | kind::RSTRING
            | kind::BOOL_ERR
            | kind::RK
            | kind::LABEL_SST
            | kind::MUL_RK
                if depth == 1 =>
            {
                let (Some(row), Some(first), Ok(at)) = (word(data, 0), word(data, 2), u32::try_from(here)) else {
                    return Err(cut());
                };
                let count = if record.kind == kind::MUL_RK { data.len().saturating_sub(6) / 6 } else { 1 };
                if count > 0 {
                    let last = usize::from(first) + count - 1;
                    cells.push(Cells { row, first, last: u16::try_from(last).map_err(|_| cut())?, at });
                }
                if cells.len() * size_of::<Cells>() > TEXTS_BYTES_MAX {
                    return Err(too_large());
                }
            }
            _ => {}
        }
    }
    Err(cut())
}

//! A file of rows as blocks of whole rows, in UTF-8, with LF between rows and nothing blank: what `publish` sends and `convert` reads, so
//! that both make the same workbook. Holds little more than [`ROW_BYTES_MAX`] in memory, however long the file and its rows are.
//!
//! Rows of CSV are passed on byte for byte, with the delimiter of the file: what is wrong with one is for the source to say. Rows of JSON
//! become rows of CSV.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use memchr::memchr2;

use super::book::{Book, Several};
use super::header::{self, Beginning};
use super::json::{self, JsonBeginning, JsonRows};
use super::notes::unused_types;
use super::packed::{Unpacked, unpack};
use super::ready::Ready;
use super::transcode::Transcoder;
use super::{FileError, Options};
use crate::record::counted;
use crate::source::charset::Charset;
use crate::source::csv::{Fields, ROW_BYTES_MAX, Rows, Unescaper};
use crate::source::delimiter::delimiter_name;
use crate::source::{Format, column_names, text_kind};

/// Text that decides the delimiter and the header.
const SAMPLE_BYTES: usize = 64 << 10;
/// Text in which the end of a row is looked for.
const ROW_SEARCH_BYTES: usize = ROW_BYTES_MAX + SAMPLE_BYTES;

/// Some rows of a file, ready to be the value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number of its first row, from 1.
    pub first_row: u64,
    /// Its rows.
    pub rows: u32,
    /// The rows, each followed by LF. UTF-8, except in rows that are broken.
    pub text: Bytes,
    /// Whether it is one row of JSON that cannot be read, and no CSV.
    pub is_json: bool,
}

/// A file of rows, CSV or JSON, that is being read.
pub struct CsvFile {
    input: Transcoder,
    options: Options,
    /// The workbook that the rows are from.
    book: Option<Book>,
    /// The archive that it is in.
    archive: Option<Book>,
    delimiter: u8,
    /// Reads the rows of a file of JSON.
    json: Option<Box<JsonRows>>,
    header: Vec<String>,
    has_declared_columns: bool,
    /// Line of the header, from 1; 0 without one.
    header_line: u32,
    /// The first lines, cut short.
    first_lines: Vec<String>,
    notes: Vec<String>,
    /// EPSG's code of the CRS that a document of GeoJSON names in front of its rows.
    crs: Option<u32>,
    /// Text that is not yet rows.
    text: Vec<u8>,
    /// The text begins within a row that is too big: its rest is skipped.
    skips_row: bool,
    ready: Ready,
    rows: u64,
}

impl CsvFile {
    /// Opens a file and reads its header.
    pub fn open(path: &Path, options: Options) -> Result<CsvFile, FileError> {
        CsvFile::from_reader(Box::new(File::open(path)?), options)
    }

    /// Takes anything that can be read, standard input for one, and reads its header.
    pub fn from_reader(input: Box<dyn Read + Send>, options: Options) -> Result<CsvFile, FileError> {
        let Unpacked { rows: input, book, archive, notes } =
            unpack(input, options.worksheet.as_deref(), Several::Refused)?;
        let mut options = options;
        if book.is_some() {
            let as_csv = (Some(Format::Csv), Some(Charset::UTF_8), Some(b','));
            (options.format, options.charset, options.delimiter) = as_csv;
        }
        let has_escapes = options.source.backslash_escapes && book.is_none() && options.format != Some(Format::Json);
        let delimiter = options.delimiter.or(options.source.delimiter).filter(|_| has_escapes);
        let mut file = CsvFile {
            input: Transcoder::new(input, options.charset, options.source.encoding)
                .with_escapes(delimiter.map(Unescaper::new)),
            options,
            book,
            archive,
            delimiter: b',',
            json: None,
            header: Vec::new(),
            has_declared_columns: false,
            header_line: 0,
            first_lines: Vec::new(),
            notes: Vec::new(),
            crs: None,
            text: Vec::new(),
            skips_row: false,
            ready: Ready::default(),
            rows: 0,
        };
        file.read_beginning()?;
        file.notes.extend(notes);
        file.notes
            .extend(file.archive.iter().map(|book| format!("its rows are those of {} in the archive", book.sheet)));
        Ok(file)
    }

    /// Names in its header line, unchanged: they may be empty and repeat. Without such a line, those that the topology declares,
    /// or `column_1` and so on.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The columns of its rows: names cleaned and made unique, as the source does it.
    pub fn columns(&self) -> Vec<String> {
        column_names(&self.header, self.options.source.exact_names)
    }

    /// The columns of all rows, where those of JSON are not all in its beginning. Reads the file to its end.
    pub fn all_columns(mut self) -> Result<Vec<String>, FileError> {
        let columns = self.columns();
        let Some(json) = &mut self.json else { return Ok(columns) };
        json.collect_names(&self.options.source);
        while self.next_block()?.is_some() {}
        let names = self.json.and_then(|mut json| json.names()).filter(|names| !names.is_empty());
        Ok(names.map_or(columns, |names| column_names(&names, self.options.source.exact_names)))
    }

    /// True when the columns are those that the topology declares, so that no header has to be published.
    pub fn has_declared_columns(&self) -> bool {
        self.has_declared_columns
    }

    /// The line of its header, from 1; 0 without one.
    pub fn header_line(&self) -> u32 {
        self.header_line
    }

    /// Its first lines, cut short, so that a person can find the header among them.
    pub fn first_lines(&self) -> &[String] {
        &self.first_lines
    }

    /// The charset; `None` while all that was read is ASCII, which decides nothing.
    pub fn charset(&self) -> Option<Charset> {
        self.input.charset()
    }

    /// The delimiter of the file, and of its blocks; a comma where the file is JSON.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The workbook that its rows are from, if it is one.
    pub fn book(&self) -> Option<&Book> {
        self.book.as_ref()
    }

    /// The archive that the file is in, if it is in one.
    pub fn archive(&self) -> Option<&Book> {
        self.archive.as_ref()
    }

    /// The findings about the file, for the person who gave it: `EUC-KR (windows-949), semicolons, 7 columns`.
    pub fn description(&self) -> String {
        let charset = self.charset().map_or("ASCII".to_owned(), |charset| charset.to_string());
        let columns = counted(self.header.len() as u64, "column");
        if let Some(Book { sheet, sheets }) = &self.book {
            return format!("sheet \"{sheet}\" of {} in a workbook, {columns}", sheets.len());
        }
        match self.json {
            Some(_) => format!("{charset}, JSON, {columns}"),
            None => format!("{charset}, delimiter {}, {columns}", delimiter_name(self.delimiter)),
        }
    }

    /// Remarks for the person: lines that are left out, and settings that fit nothing in the file.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// EPSG's code of the CRS that a document of GeoJSON names in front of its rows, as it did before RFC 7946.
    pub fn crs(&self) -> Option<u32> {
        self.crs
    }

    /// Rows in the blocks so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end of the file.
    pub fn next_block(&mut self) -> Result<Option<Block>, FileError> {
        let mut text = Vec::new();
        let mut rows = 0;
        loop {
            while let Some((row, is_json)) = self.ready.peek() {
                if rows > 0 && (is_json || text.len() + row.len() > self.options.block_bytes) {
                    return Ok(Some(self.block(rows, text, false)));
                }
                text.extend_from_slice(row);
                self.ready.take();
                rows += 1;
                if is_json {
                    return Ok(Some(self.block(rows, text, true)));
                }
            }
            if self.text.is_empty() && self.input.has_ended() {
                return Ok((rows > 0).then(|| self.block(rows, text, false)));
            }
            match self.json.take() {
                Some(mut json) => {
                    let prepared = self.prepare_json(&mut json);
                    self.json = Some(json);
                    prepared?;
                }
                None => self.prepare_rows()?,
            }
        }
    }

    fn block(&mut self, rows: u32, text: Vec<u8>, is_json: bool) -> Block {
        let first_row = self.rows + 1;
        self.rows += u64::from(rows);
        Block { first_row, rows, text: text.into(), is_json }
    }

    fn read_beginning(&mut self) -> Result<(), FileError> {
        while self.text.len() < SAMPLE_BYTES && !self.input.has_ended() {
            self.input.read_into(&mut self.text)?;
        }
        if let Some(kind) = text_kind(&self.text) {
            return Err(FileError::NotText(kind));
        }
        loop {
            let cut = !self.input.has_ended() && self.text.len() < ROW_SEARCH_BYTES;
            if let Some(beginning) = json::read_beginning(&self.text, cut, &self.options)? {
                let JsonBeginning { names, is_declared, rows_from, nesting, has_header_row, crs, notes } = beginning;
                self.crs = crs;
                (self.header, self.has_declared_columns, self.notes) = (names, is_declared, notes);
                let columns = self.columns();
                self.notes.extend(unused_types(&self.options.source, &columns));
                self.text.drain(..rows_from);
                self.json = Some(Box::new(JsonRows::new(&columns, &self.options.source, nesting, has_header_row)));
                return Ok(());
            }
            if let Some(beginning) = header::read(&self.text, cut, &self.options)? {
                let Beginning { delimiter, names, is_declared, header_line, rows_from, notes } = beginning;
                (self.header_line, self.first_lines) = (header_line, header::first_lines(&self.text));
                (self.delimiter, self.header, self.has_declared_columns, self.notes) =
                    (delimiter, names, is_declared, notes);
                self.notes.extend(unused_types(&self.options.source, &self.columns()));
                self.text.drain(..rows_from);
                return Ok(());
            }
            self.read_more()?;
        }
    }

    /// Doubles the text at hand, so that looking for the end of a long row again and again stays cheap.
    fn read_more(&mut self) -> Result<(), FileError> {
        let enough = 2 * self.text.len();
        loop {
            self.input.read_into(&mut self.text)?;
            if self.input.has_ended() || self.text.len() > enough {
                return Ok(());
            }
        }
    }

    /// Leaves out what is left of a row that is too big.
    fn skip_row(&mut self) {
        if self.skips_row {
            let end = memchr2(b'\n', b'\r', &self.text);
            self.skips_row = end.is_none();
            self.text.drain(..end.unwrap_or(self.text.len()));
        }
    }

    /// The same as [`CsvFile::prepare_rows`], of JSON.
    fn prepare_json(&mut self, json: &mut JsonRows) -> Result<(), FileError> {
        self.ready.clear();
        self.skip_row();
        let has_ended = self.input.has_ended();
        let done = json.read(&self.text, !has_ended, &mut self.ready);
        self.text.drain(..done);
        if !self.ready.is_empty() || has_ended {
            return Ok(());
        }
        if self.text.len() > ROW_SEARCH_BYTES {
            self.ready.push_unread(self.text.trim_ascii_start());
            self.text.clear();
            self.skips_row = true;
            return Ok(());
        }
        self.read_more()
    }

    /// Makes rows of the text at hand, or reads more of it.
    fn prepare_rows(&mut self) -> Result<(), FileError> {
        self.ready.clear();
        self.skip_row();
        let has_ended = self.input.has_ended();
        let mut rows = Rows::new(&self.text, self.delimiter, Some(self.header.len()));
        let mut fields = Fields::default();
        let mut done = 0;
        while let Some(row) = rows.next_row(&mut fields) {
            let is_final = row.ended || has_ended || self.text.len() - done > ROW_SEARCH_BYTES;
            if !is_final {
                break;
            }
            done = rows.position();
            if !row.blank {
                self.ready.push(row.bytes);
            }
            self.skips_row = !row.ended && !has_ended && done == self.text.len();
        }
        self.text.drain(..done);
        if self.ready.is_empty() && !has_ended { self.read_more() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;

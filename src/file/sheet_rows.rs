//! The cells of a worksheet as rows of CSV in a temporary file, within the size that a worksheet of Excel has.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use calamine::{Data, ExcelDateTime};

use super::FileError;
use super::book::too_large;
use crate::source::csv::write_row;

/// Columns and rows that a worksheet has at most (ECMA-376).
const COLUMNS_MAX: u32 = 16_384;
const ROWS_MAX: u32 = 1_048_576;
/// Bytes that the rows of a sheet have at most.
const ROWS_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the cells of one row.
const ROW_BYTES_MAX: u64 = 16 << 20;

/// Rows of CSV out of cells in the order of rows; all rows are as wide as the widest.
pub(super) struct SheetRows {
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

impl SheetRows {
    /// Rows whose last cell is in column `last`, counted from 0; `None` where there is no cell.
    pub(super) fn new(last: Option<u32>) -> Result<SheetRows, FileError> {
        let width = last.map_or(0, |last| last.saturating_add(1));
        if width > COLUMNS_MAX {
            return Err(FileError::Packed(format!(
                "it has a cell in column {width}, and a worksheet has {COLUMNS_MAX}"
            )));
        }
        let cells = vec![String::new(); width as usize];
        Ok(SheetRows {
            file: BufWriter::new(tempfile::tempfile()?),
            line: Vec::new(),
            bytes: 0,
            row: 0,
            cells,
            is_blank: true,
            held: 0,
        })
    }

    /// A cell, counted from row 0 and column 0.
    pub(super) fn put(&mut self, row: u32, column: u32, cell: Data) -> Result<(), FileError> {
        if row >= ROWS_MAX {
            return Err(FileError::Packed(format!(
                "it has a cell in row {}, and a worksheet has {ROWS_MAX}",
                u64::from(row) + 1
            )));
        }
        if row < self.row {
            return Err(FileError::Packed("its rows are not in order: open it in Excel and save it again".to_owned()));
        }
        while self.row < row {
            self.end_row()?;
        }
        let text = text(cell);
        self.is_blank &= text.is_empty();
        self.held += text.len() as u64;
        if self.held > ROW_BYTES_MAX {
            return Err(too_large());
        }
        // Beyond the widest row there are cells without anything only.
        if let Some(place) = self.cells.get_mut(column as usize) {
            *place = text;
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

    /// The rows, from the first one on.
    pub(super) fn finish(mut self) -> Result<File, FileError> {
        self.end_row()?;
        let mut rows = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        rows.rewind()?;
        Ok(rows)
    }
}

/// A cell as CSV has it: a date as `2024-01-05`, a number with all of its digits and no separators.
fn text(cell: Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text,
        Data::Int(number) => number.to_string(),
        Data::Float(number) => (number + 0.0).to_string(), // never -0
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

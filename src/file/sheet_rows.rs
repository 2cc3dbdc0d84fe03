//! The cells of a worksheet as rows of CSV in a temporary file, within the size that a worksheet of Excel has. Columns left of the first
//! cell are left out, and what merged cells hold is in each of their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use calamine::{Data, ExcelDateTime};

use super::FileError;
use super::book::{COLUMNS_MAX, ROWS_MAX, too_large};
use super::hidden::{self, Hidden};
use crate::source::csv::write_row;

/// Bytes that the rows of a sheet have at most.
const ROWS_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the cells of one row.
const ROW_BYTES_MAX: u64 = 16 << 20;

/// Digits that Excel keeps of a number and shows.
const SIGNIFICANT: usize = 15;

/// Cells that are merged over several rows; all but the first are empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merged {
    /// The column of the first cell.
    pub(super) column: u32,
    /// The first row and the last one.
    pub(super) rows: (u32, u32),
}

/// The columns from the first cell to the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    first: u32,
    last: u32,
}

impl Extent {
    /// With cells in these columns too.
    pub(super) fn with(extent: Option<Extent>, first: u32, last: u32) -> Option<Extent> {
        let other = extent.unwrap_or(Extent { first, last });
        Some(Extent { first: other.first.min(first), last: other.last.max(last) })
    }
}

/// Rows of CSV out of cells in the order of rows; all rows are as wide as the widest.
pub(super) struct SheetRows {
    file: BufWriter<File>,
    line: Vec<u8>,
    bytes: u64,
    row: u32,
    /// Columns that are left out.
    left: u32,
    cells: Vec<String>,
    /// Merged cells, those that begin last in front.
    merged: Vec<Merged>,
    /// Texts of merged cells that reach below this row, and the last row of each, by the place of the column.
    reaching: BTreeMap<usize, (u32, String)>,
    hidden: Hidden,
    /// Hidden rows and columns with something in them.
    hidden_rows: u64,
    hidden_columns: BTreeSet<u32>,
    /// Whether the row has a cell with something in it; most of a million rows may have none.
    is_blank: bool,
    /// Bytes of its cells.
    held: u64,
}

impl SheetRows {
    /// Rows with cells in these columns, counted from 0; `None` where there is no cell.
    pub(super) fn new(extent: Option<Extent>, mut merged: Vec<Merged>, hidden: Hidden) -> Result<SheetRows, FileError> {
        let width = extent.map_or(0, |extent| extent.last.saturating_add(1));
        if width > COLUMNS_MAX {
            return Err(FileError::Packed(format!(
                "it has a cell in column {width}, and a worksheet has {COLUMNS_MAX}"
            )));
        }
        let left = extent.map_or(0, |extent| extent.first);
        let cells = vec![String::new(); width.saturating_sub(left) as usize];
        merged.retain(|merged| merged.rows.1 > merged.rows.0);
        merged.sort_by_key(|merged| std::cmp::Reverse((merged.rows.0, merged.column)));
        Ok(SheetRows {
            file: BufWriter::new(tempfile::tempfile()?),
            line: Vec::new(),
            bytes: 0,
            row: 0,
            left,
            cells,
            merged,
            reaching: BTreeMap::new(),
            hidden,
            hidden_rows: 0,
            hidden_columns: BTreeSet::new(),
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
        if !text.is_empty() && self.hidden.has_column(column) {
            self.hidden_columns.insert(column);
        }
        self.held += text.len() as u64;
        if self.held > ROW_BYTES_MAX {
            return Err(too_large());
        }
        // Beyond the widest row there are cells without anything only.
        let place = column.checked_sub(self.left).and_then(|column| self.cells.get_mut(column as usize));
        if let Some(place) = place {
            *place = text;
        }
        Ok(())
    }

    /// A row without cells stays as a blank line, so that lines have the numbers of their rows.
    fn end_row(&mut self) -> Result<(), FileError> {
        self.line.clear();
        if !std::mem::replace(&mut self.is_blank, true) {
            self.hidden_rows += u64::from(self.hidden.has_row(self.row));
            self.fill_merged();
            write_row(self.cells.iter().map(String::as_bytes), b',', &mut self.line);
            // What a long text took is given back.
            self.cells.iter_mut().for_each(|cell| *cell = String::new());
        }
        (self.row, self.held) = (self.row + 1, 0);
        self.line.push(b'\n');
        self.bytes += self.line.len() as u64;
        if self.bytes > ROWS_BYTES_MAX {
            return Err(too_large());
        }
        Ok(self.file.write_all(&self.line)?)
    }

    /// Puts the texts of merged cells into a row with cells of its own that they reach, and remembers those that begin here.
    fn fill_merged(&mut self) {
        let row = self.row;
        self.reaching.retain(|_, (last, _)| *last >= row);
        for (column, (_, text)) in &self.reaching {
            if self.cells[*column].is_empty() {
                self.cells[*column].clone_from(text);
            }
        }
        while let Some(merged) = self.merged.pop_if(|merged| merged.rows.0 <= row) {
            let column = merged.column.checked_sub(self.left).map(|column| column as usize);
            // Those that began in a row without cells have no text.
            let text =
                column.filter(|_| merged.rows.0 == row).and_then(|column| Some((column, self.cells.get(column)?)));
            if let Some((column, text)) = text.filter(|(_, text)| !text.is_empty()) {
                self.reaching.insert(column, (merged.rows.1, text.clone()));
            }
        }
    }

    /// The rows, from the first one on; and a remark about those of `sheet` that are hidden.
    pub(super) fn finish(mut self, sheet: &str) -> Result<(File, Option<String>), FileError> {
        self.end_row()?;
        let note = hidden::note(self.hidden_rows, self.hidden_columns.len() as u64, sheet);
        let mut rows = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        rows.rewind()?;
        Ok((rows, note))
    }
}

/// A cell as CSV has it: a date as `2024-01-05`, a number with all of its digits and no separators.
fn text(cell: Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => text,
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number_text(number),
        Data::Bool(value) => if value { "TRUE" } else { "FALSE" }.to_owned(),
        Data::DateTime(moment) => moment_text(&moment),
        Data::Error(error) => error.to_string(),
    }
}

/// A number as Excel shows it: of a fraction fifteen digits, for those behind them are what a double makes of it.
fn number_text(number: f64) -> String {
    let text = (number + 0.0).to_string(); // never -0
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if number.fract() == 0.0 || digits <= SIGNIFICANT {
        return text;
    }
    let rounded = format!("{number:.*e}", SIGNIFICANT - 1);
    rounded.parse().map_or(text, |rounded: f64| rounded.to_string())
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

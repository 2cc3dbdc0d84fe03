//! A worksheet of data: its name, which pages it has, and the XML around them.

use std::fmt::Write as _;

use rust_xlsxwriter::utility::cell_range;

use crate::page::{OpenPage, xml};
use crate::record::{ColumnType, Rejection, SheetName};
use crate::sink::sheet_names::SheetNamer;
use crate::sink::skeleton::{SheetTemplate, broken};
use crate::sink::{CompletePage, CompleteUpload};

/// Narrowest and widest column, in characters.
const WIDTHS: [u16; 2] = [6, 60];
/// Characters that a filter button covers.
const FILTER_BUTTON: u16 = 3;
/// Characters of room behind the widest cell.
const ROOM: u16 = 1;

/// A sheet of an upload, or as much of it as fits one worksheet.
#[derive(Debug)]
pub(super) struct DataSheet<'a> {
    /// Its name.
    pub name: SheetName,
    /// The value that named it.
    pub value: &'a str,
    /// Rows below the header.
    pub rows: u32,
    /// Its pages.
    pub pages: &'a [CompletePage],
    widths: &'a [u16],
}

impl<'a> DataSheet<'a> {
    /// The worksheets of an upload, each with at most `rows_max` rows, in their order.
    pub fn all(
        complete: &'a CompleteUpload,
        namer: &mut SheetNamer,
        rows_max: u64,
    ) -> Result<Vec<DataSheet<'a>>, Rejection> {
        let mut sheets = Vec::with_capacity(complete.sheets.len());
        for sheet in &complete.sheets {
            let (mut first, mut rows) = (0, 0);
            let mut add = |pages, rows: u64| {
                let name = namer.name(&sheet.value);
                sheets.push(DataSheet { name, value: &sheet.value, rows: rows as u32, pages, widths: &sheet.widths });
            };
            for (index, page) in sheet.pages.iter().enumerate() {
                if rows == rows_max {
                    add(&sheet.pages[first..index], rows);
                    (first, rows) = (index, 0);
                }
                rows += u64::from(page.rows());
                if rows > rows_max {
                    return Err(broken("a page crosses the end of a worksheet"));
                }
            }
            add(&sheet.pages[first..], rows);
        }
        Ok(sheets)
    }
}

/// The row of column names: the same in all worksheets of a workbook.
#[derive(Debug)]
pub(super) struct HeaderRow {
    xml: String,
    widths: Vec<u16>,
}

impl HeaderRow {
    /// The names as text cells of this style.
    pub fn new(columns: &[(String, ColumnType)], style: u16, cell_refs: bool) -> HeaderRow {
        let mut row = Vec::new();
        let mut names = OpenPage::default();
        if !columns.is_empty() {
            row.extend_from_slice(if cell_refs { b"<row r=\"1\">" } else { b"<row>" });
        }
        for (column, (name, _)) in (0..).zip(columns) {
            names.cell(name, ColumnType::Text);
            row.extend_from_slice(b"<c");
            if cell_refs {
                row.extend_from_slice(b" r=\"");
                xml::column_name(column, &mut row);
                row.extend_from_slice(b"1\"");
            }
            row.extend_from_slice(format!(" s=\"{style}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">").as_bytes());
            xml::escape(name, &mut row);
            row.extend_from_slice(b"</t></is></c>");
        }
        if !columns.is_empty() {
            row.extend_from_slice(b"</row>");
        }
        let mut widths = Vec::with_capacity(columns.len());
        names.widths(&mut widths);
        HeaderRow { xml: String::from_utf8_lossy(&row).into_owned(), widths }
    }

    /// Last column from 0, if there is any.
    fn last_column(&self) -> Option<u16> {
        self.widths.len().checked_sub(1).map(|last| last as u16)
    }
}

/// XML around the rows of worksheets.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// What is the same for all of them.
    pub template: &'a SheetTemplate,
    /// The column names.
    pub header: HeaderRow,
    /// Whether the header has filter buttons.
    pub autofilter: bool,
}

impl Frame<'_> {
    /// Last row and last column of the sheet's filter, from 0.
    pub fn filter(&self, sheet: &DataSheet<'_>) -> Option<(u32, u16)> {
        self.header.last_column().filter(|_| self.autofilter).map(|column| (sheet.rows, column))
    }

    /// Everything before the first row of data. One sheet of the workbook is the first one shown.
    pub fn head(&self, sheet: &DataSheet<'_>, is_first: bool) -> String {
        let template = self.template;
        let mut head = template.start.clone();
        let extent =
            self.header.last_column().map_or_else(|| "A1".to_owned(), |column| cell_range(0, 0, sheet.rows, column));
        let _ = write!(head, "<dimension ref=\"{extent}\"/>"); // writing to a string cannot fail
        head.push_str(if is_first { &template.views_first } else { &template.views });
        self.push_columns(sheet.widths, &mut head);
        head.push_str("<sheetData>");
        head.push_str(&self.header.xml);
        head
    }

    /// Everything behind the last row.
    pub fn tail(&self, sheet: &DataSheet<'_>) -> String {
        let mut tail = "</sheetData>".to_owned();
        if let Some((row, column)) = self.filter(sheet) {
            let _ = write!(tail, "<autoFilter ref=\"{}\"/>", cell_range(0, 0, row, column));
        }
        tail.push_str(&self.template.end);
        tail
    }

    /// `<cols>`: wide enough for the names and the widest cell, neighbours of one width together.
    fn push_columns(&self, cells: &[u16], head: &mut String) {
        let button = if self.autofilter { FILTER_BUTTON } else { 0 };
        let width = |(column, name): (usize, &u16)| {
            let cell = cells.get(column).copied().unwrap_or(0);
            (cell.max(name.saturating_add(button)).saturating_add(ROOM)).clamp(WIDTHS[0], WIDTHS[1])
        };
        let widths: Vec<u16> = self.header.widths.iter().enumerate().map(width).collect();
        if widths.is_empty() {
            return;
        }
        head.push_str("<cols>");
        let mut min = 1;
        for run in widths.chunk_by(|a, b| a == b) {
            let max = min + run.len() - 1;
            let width = stored_width(run[0]);
            let _ = write!(head, "<col min=\"{min}\" max=\"{max}\" width=\"{width}\" customWidth=\"1\"/>");
            min = max + 1;
        }
        head.push_str("</cols>");
    }
}

/// The width that a file states for a column of this many digits of Calibri 11: they are 7 pixels wide, a cell has 5 more, and widths are
/// 256ths of a digit (ECMA-376 part 1, 18.3.1.13).
fn stored_width(characters: u16) -> f64 {
    let pixels = u32::from(characters) * 7 + 5;
    f64::from(pixels * 256 / 7) / 256.0
}

//! The sheet of rejected rows: the number of the row, the reason as a sentence and as a code, then its fields under the file's own columns,
//! ready to be corrected and published again.

use std::sync::Arc;

use crate::page::{OpenPage, PAGE_ROWS, PageWriter};
use crate::record::{ColumnLook, ColumnType, SheetName};
use crate::sink::formats::HeaderAlign;
use crate::sink::sheet::{Cell, RowSheet, write_row};
use crate::sink::words::{Words, clip};
use crate::sink::{COLUMNS_MAX, CompletePage, CompleteUpload, RejectedRow};

const REASON_COLUMN: usize = 1;
/// Characters of a line: of a reason, and of a field, which is as wide as a column may be.
const REASON_WIDTH: u16 = 40;
const FIELD_WIDTH: u16 = 60;
/// Height of a line in points.
const LINE_HEIGHT: u32 = 16;
/// Lines of the highest row; Excel's limit is 409 points.
const LINES_MAX: u32 = 20;

/// The rows of *Errors*: the listed ones, and in the last line how many more there are. Text is wrapped, and rows say how high that makes them,
/// for not every reader finds out. So they are written here, and not as pages of data.
#[derive(Debug)]
pub(super) struct ErrorRows {
    pages: Vec<CompletePage>,
    looks: Vec<ColumnLook>,
    rows: u32,
}

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorLook {
    /// `cellXfs` indexes of wrapped text and of a number beside it.
    pub styles: [u16; 2],
    /// Whether cells carry their reference.
    pub cell_refs: bool,
}

impl ErrorRows {
    /// Makes the rows below a header row of [`error_columns`].
    pub(super) fn new(words: &Words, complete: &CompleteUpload, look: ErrorLook, writer: &mut PageWriter) -> ErrorRows {
        let mut made = ErrorRows { pages: Vec::new(), looks: Vec::new(), rows: 0 };
        for errors in complete.errors.chunks(PAGE_ROWS as usize) {
            let texts: Vec<Vec<String>> = errors.iter().map(|error| texts(words, complete, error)).collect();
            made.add(&texts, look, writer);
        }
        let more = complete.accounting.rejected.saturating_sub(complete.errors.len() as u64);
        if more > 0 {
            let [before, after] = words.more_errors;
            made.add(&[vec![String::new(), format!("{before}{more}{after}")]], look, writer);
        }
        made
    }

    /// The worksheet of these rows.
    pub(super) fn sheet<'a>(&'a self, words: &Words, complete: &CompleteUpload) -> RowSheet<'a> {
        RowSheet {
            name: SheetName::parse(words.errors).expect("our own words are short"),
            value: "",
            rows: self.rows,
            filtered: complete.errors.len() as u32,
            pages: &self.pages,
            looks: &self.looks,
        }
    }

    fn add(&mut self, rows: &[Vec<String>], look: ErrorLook, writer: &mut PageWriter) {
        let mut xml = Vec::new();
        for row in rows {
            let mut page = OpenPage::default();
            row.iter().for_each(|text| page.cell(text, ColumnType::Text));
            let mut looks = Vec::new();
            page.looks(&mut looks);
            let lines = row.iter().enumerate().map(|(at, text)| {
                let room = if at == REASON_COLUMN { REASON_WIDTH } else { FIELD_WIDTH };
                lines(text, room)
            });
            let height = lines.max().filter(|lines| *lines > 1).map(|lines| lines.min(LINES_MAX) * LINE_HEIGHT);
            let [text, number] = look.styles;
            let mut cells: Vec<Cell<'_>> = row.iter().map(|cell| Cell::Text(cell, text)).collect();
            if let Some(first) = row.first().filter(|first| !first.is_empty()) {
                cells[0] = Cell::Number(first, number);
            }
            write_row(self.rows + 2, height, &cells, look.cell_refs, &mut xml);
            self.rows += 1;
            self.looks.resize(self.looks.len().max(looks.len()), ColumnLook::default());
            for (known, seen) in self.looks.iter_mut().zip(looks) {
                known.width = known.width.max(seen.width);
            }
        }
        if let Some(reason) = self.looks.get_mut(REASON_COLUMN) {
            reason.width = reason.width.min(REASON_WIDTH);
        }
        let page = crate::page::CutPage { rows: rows.len() as u32, ..writer.wrap(&xml) };
        self.pages.push(CompletePage::Inline(Arc::new(page)));
    }
}

/// The cells of a row.
fn texts(words: &Words, complete: &CompleteUpload, error: &RejectedRow) -> Vec<String> {
    let explaining = [
        error.row.to_string(),
        error.message.say(words.lang),
        error.column.as_deref().map_or_else(String::new, |column| complete.title(column).to_owned()),
        error.message.reason().code().to_owned(),
    ];
    let cells = explaining.iter().chain(&error.cells).take(COLUMNS_MAX);
    cells.map(|cell| clip(cell).into_owned()).collect()
}

/// Lines that a text takes in a column of `room` characters.
fn lines(text: &str, room: u16) -> u32 {
    let width = |c: char| if c.is_ascii() { 1 } else { 2 };
    let of_line = |line: &str| line.chars().map(width).sum::<u32>().div_ceil(room.into()).max(1);
    text.lines().map(of_line).sum()
}

/// Names of the columns; fields of a row that has too many have none.
pub(super) fn error_columns<'a>(words: &Words, complete: &'a CompleteUpload) -> Vec<(&'a str, HeaderAlign)> {
    let fields = complete.errors.iter().map(|error| error.cells.len()).max().unwrap_or(0);
    let own = complete.header.iter().map(|name| complete.title(name));
    let without_name = fields.saturating_sub(complete.header.len());
    let names = words.error_columns.into_iter().chain(own).chain(std::iter::repeat_n("", without_name));
    let align = |at| if at == 0 { HeaderAlign::Right } else { HeaderAlign::Left };
    names.take(COLUMNS_MAX).enumerate().map(|(at, name)| (name, align(at))).collect()
}

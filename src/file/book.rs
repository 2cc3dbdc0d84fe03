//! The workbook that rows come from, and what both kinds of workbooks have in common: the sheet that is taken, whose turn it is, and what is
//! said of one that cannot be read.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::FileError;

/// Largest workbook.
pub const WORKBOOK_BYTES_MAX: u64 = 64 << 20;
/// Columns and rows that a worksheet has at most (ECMA-376).
pub(super) const COLUMNS_MAX: u32 = 16_384;
pub(super) const ROWS_MAX: u32 = 1_048_576;
/// Whose turn it is to read a workbook.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The workbook that rows come from, or the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Book {
    /// Its sheets, or files of rows.
    pub sheets: Vec<String>,
    /// The one whose rows are taken.
    pub sheet: String,
}

/// Of an archive with several files of rows, where none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Several {
    /// None is taken: only a person knows which is meant.
    Refused,
    /// The first one is, and the person sees which.
    First,
}

/// Looks for a table among cells in the order of rows: two rows with two cells at least.
#[derive(Default)]
pub(super) struct Filled {
    row: u32,
    cells: u32,
    rows: u32,
}

impl Filled {
    /// Takes the row of the next cell; whether that makes a table.
    pub(super) fn put(&mut self, row: u32) -> bool {
        self.cells = if row == self.row { self.cells + 1 } else { 1 };
        self.row = row;
        self.rows += u32::from(self.cells == 2);
        self.rows == 2
    }
}

/// Workbooks are read one at a time, for their texts are in memory.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn too_large() -> FileError {
    FileError::Packed("it is too large to be read here; save it as CSV".to_owned())
}

pub(super) fn broken(error: impl std::fmt::Display) -> FileError {
    FileError::Packed(error.to_string())
}

/// A sheet of a workbook.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) name: String,
    /// Whoever opens the workbook does not see it.
    pub(super) is_hidden: bool,
}

/// A sheet that was read.
pub(super) struct SheetRead {
    pub(super) book: Book,
    /// Its rows as CSV.
    pub(super) rows: File,
    /// Remarks for the person.
    pub(super) notes: Vec<String>,
}

/// The sheet that is asked for; else the first one of which `has_table` holds, for a cover may be in front of it; else the first one. A sheet
/// that is hidden is taken only where it is asked for, or where all are.
pub(super) fn choose(
    sheets: Vec<Sheet>,
    sheet: Option<&str>,
    mut has_table: impl FnMut(&str) -> Result<bool, FileError>,
) -> Result<Book, FileError> {
    let all_hidden = sheets.iter().all(|sheet| sheet.is_hidden);
    let is_candidate = |candidate: &&Sheet| match sheet {
        Some(name) => candidate.name == name,
        None => all_hidden || !candidate.is_hidden,
    };
    let candidates: Vec<&str> = sheets.iter().filter(is_candidate).map(|sheet| sheet.name.as_str()).collect();
    let mut chosen = candidates.first().map(|name| (*name).to_owned());
    if candidates.len() > 1 {
        for name in candidates {
            if has_table(name)? {
                chosen = Some(name.to_owned());
                break;
            }
        }
    }
    let sheets: Vec<String> = sheets.into_iter().map(|sheet| sheet.name).collect();
    let missing = || match sheet {
        Some(name) => {
            FileError::Packed(format!("the workbook has no sheet \"{name}\"; there are {}", sheets.join(", ")))
        }
        None => FileError::Packed("the workbook has no sheet".to_owned()),
    };
    let sheet = chosen.ok_or_else(missing)?;
    Ok(Book { sheets, sheet })
}

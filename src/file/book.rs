//! The workbook that rows come from, and what both kinds of workbooks have in common: the sheet that is taken, whose turn it is, and what is
//! said of one that cannot be read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::FileError;

/// Largest workbook.
pub const WORKBOOK_BYTES_MAX: u64 = 64 << 20;
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

/// The sheet that is asked for, or the first one.
pub(super) fn choose(sheets: Vec<String>, sheet: Option<&str>) -> Result<Book, FileError> {
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

//! The columns of a file that an upload uses, and under which names it publishes them.

use serde::Serialize;

use crate::record::{CoordinateForm, Titles};

/// The columns in use, by the names of the file; null where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsedColumns {
    /// Column of x.
    pub x: Option<String>,
    /// Column of y; that of x where one cell holds both.
    pub y: Option<String>,
    /// How coordinates are written.
    pub coordinates: CoordinateForm,
    /// Whether the topology takes x and y from a column each.
    pub takes_x_y: bool,
    /// Column that names sheets.
    pub sheet: Option<String>,
    /// Whether rows may do without one.
    pub sheet_is_optional: bool,
    /// Columns that are published under another name: theirs, and the topology's.
    pub renamed: Vec<[String; 2]>,
    /// Columns that are left out.
    pub left_out: Vec<String>,
    /// Of them, those with neither a name nor a value.
    pub blank: Vec<String>,
}

impl UsedColumns {
    /// Blank columns stay after all, but for those that are `blank` in the whole file: more of it than was looked at may have values there.
    pub fn keep_blank_but(&mut self, blank: &[String]) {
        let (blank, kept): (Vec<_>, Vec<_>) = self.blank.drain(..).partition(|name| blank.contains(name));
        self.left_out.retain(|name| !kept.contains(name));
        self.blank = blank;
    }

    /// What the workbook calls columns that are published under another name: as the file does.
    pub fn titles(&self) -> Titles {
        let renamed = self.renamed.iter().filter(|[own, _]| !self.left_out.contains(own));
        renamed.map(|[own, published]| (published.clone(), own.clone())).collect()
    }
}

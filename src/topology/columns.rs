//! The columns of rows at each point of the chain, as far as the file shows them. Checks that the columns that a node needs can be there.

use std::collections::{HashMap, HashSet};

use toml::Spanned;

use super::problem::{Findings, list, nearest};
use crate::record::ColumnType;

/// Columns of an Excel sheet.
const COLUMNS_MAX: usize = 16_384;

/// Columns among which a nearest name is looked for: to compare each with each takes minutes for the widest of files.
const NEAREST_AMONG_MAX: usize = 1_000;

/// The columns at one point of the chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Those that are certain to be there.
    names: Vec<String>,
    /// Whether there are others, which the header of an upload will name.
    is_open: bool,
    /// Of those, columns that are no longer there.
    gone: HashSet<String>,
    /// Types that are not `auto`.
    types: HashMap<String, ColumnType>,
    /// Columns whose type is not known, for what makes them is wrong.
    untyped: HashSet<String>,
    /// Whether that is so of all of them.
    is_untyped: bool,
    /// Those of the last place in degrees, longitude first.
    degrees: Option<[String; 2]>,
}

impl Columns {
    /// Any columns: the header of an upload will name them.
    pub(super) fn open() -> Columns {
        Columns { is_open: true, ..Columns::default() }
    }
    /// Any columns: a map before them could not be read.
    pub(super) fn unknown() -> Columns {
        Columns { is_untyped: true, ..Columns::open() }
    }
    /// These and no others.
    pub(super) fn known(names: Vec<String>) -> Columns {
        Columns { names, ..Columns::default() }
    }
    /// No columns; what else is known stays.
    pub(super) fn without_names(&self) -> Columns {
        Columns { degrees: self.degrees.clone(), ..Columns::default() }
    }
    /// True when a column of that name is certain to be there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
    /// True when a column of that name is certain not to be there.
    pub(super) fn lacks(&self, name: &str) -> bool {
        (!self.is_open || self.gone.contains(name)) && !self.has(name)
    }
    /// The type of a column.
    pub(super) fn column_type(&self, name: &str) -> ColumnType {
        self.types.get(name).copied().unwrap_or(ColumnType::Auto)
    }
    /// Whether the type of a column is known.
    pub(super) fn is_typed(&self, name: &str) -> bool {
        !self.is_untyped && !self.untyped.contains(name)
    }
    /// Gives a column a type.
    pub(super) fn set_type(&mut self, name: &str, kind: ColumnType) {
        self.types.insert(name.to_owned(), kind);
    }
    /// Adds a column at the end.
    pub(super) fn add(&mut self, name: &str, kind: ColumnType) {
        self.gone.remove(name);
        self.names.push(name.to_owned());
        self.set_type(name, kind);
    }
    /// Adds a column whose type is not known.
    pub(super) fn add_untyped(&mut self, name: &str) {
        self.add(name, ColumnType::Auto);
        self.untyped.insert(name.to_owned());
    }
    /// Takes a column out.
    pub(super) fn remove(&mut self, name: &str) {
        self.names.retain(|known| known != name);
        self.types.remove(name);
        self.gone.insert(name.to_owned());
    }
    /// The columns of the last place in degrees, longitude first.
    pub(super) fn degrees(&self) -> Option<&[String; 2]> {
        self.degrees.as_ref()
    }
    /// These columns, longitude first, are a place in degrees.
    pub(super) fn set_degrees(&mut self, columns: &[String; 2]) {
        self.degrees = Some(columns.clone());
    }
    /// One of `candidates` must be there.
    pub(super) fn check(&self, key: &str, candidates: &[Spanned<String>], findings: &mut Findings) {
        let Some(first) = candidates.first().filter(|_| candidates.iter().all(|name| self.lacks(name.get_ref())))
        else {
            return;
        };
        let what = match candidates {
            [_] => format!("\"{key}\" names the column \"{}\", which is not there", first.get_ref()),
            _ => format!("\"{key}\" names {} columns, none of which is there", candidates.len()),
        };
        let names = || self.names.iter().map(String::as_str);
        let mut searched = candidates.iter().filter(|_| self.names.len() <= NEAREST_AMONG_MAX);
        let near = searched.find_map(|candidate| nearest(candidate.get_ref(), names()));
        let why = match self.is_open {
            true => "a map before this one took it out".to_owned(),
            false => format!("here the columns are {}", list(names())),
        };
        findings.add_nearest(first.span(), what, why, near);
    }
}

/// No two of `names` are equal, none is empty, and a sheet has room for them.
pub(super) fn check_distinct(key: &str, names: &[&Spanned<String>], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for name in names.iter().take(COLUMNS_MAX) {
        if name.get_ref().is_empty() {
            findings.add(name.span(), format!("an empty column name in \"{key}\""), "");
        } else if !seen.insert(name.get_ref()) {
            let why = "a column is found by its name";
            findings.add(name.span(), format!("\"{}\" is twice in \"{key}\"", name.get_ref()), why);
        }
    }
    if let Some(name) = names.get(COLUMNS_MAX) {
        let why = format!("a sheet of Excel has {COLUMNS_MAX} at most");
        findings.add(name.span(), format!("{} columns in \"{key}\"", names.len()), why);
    }
}

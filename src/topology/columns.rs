//! Which columns rows have at a point of the chain, as far as the file tells, and whether what a node asks for can be there.

use std::collections::HashSet;

use toml::Spanned;

use super::problem::{Findings, list, nearest};

/// Columns of an Excel sheet.
const COLUMNS_MAX: usize = 16_384;

/// Columns among which a nearest name is looked for: to compare each with each takes minutes for the widest of files.
const NEAREST_AMONG_MAX: usize = 1_000;

/// The columns at one point of the chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Columns {
    /// These and no others.
    Known(Vec<String>),
    /// These, and those that the header of an upload will tell.
    Open(Vec<String>),
}

impl Columns {
    /// True when a column of that name is certain to be there.
    pub fn has(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }
    /// True when a column of that name is certain not to be there.
    pub fn lacks(&self, name: &str) -> bool {
        matches!(self, Columns::Known(_)) && !self.has(name)
    }
    /// Adds columns at the end.
    pub fn add(&mut self, names: impl IntoIterator<Item = String>) {
        let (Columns::Known(known) | Columns::Open(known)) = self;
        known.extend(names);
    }
    /// One of `candidates` must be there.
    pub fn check(&self, key: &str, candidates: &[Spanned<String>], findings: &mut Findings) {
        let Some(first) = candidates.first().filter(|_| candidates.iter().all(|name| self.lacks(name.get_ref())))
        else {
            return;
        };
        let what = match candidates {
            [_] => format!("\"{key}\" names the column \"{}\", which is not there", first.get_ref()),
            _ => format!("\"{key}\" names {} columns, none of which is there", candidates.len()),
        };
        let names = || self.names().iter().map(String::as_str);
        let mut searched = candidates.iter().filter(|_| self.names().len() <= NEAREST_AMONG_MAX);
        let near = searched.find_map(|candidate| nearest(candidate.get_ref(), names()));
        findings.add_nearest(first.span(), what, format!("here the columns are {}", list(names())), near);
    }
    fn names(&self) -> &[String] {
        let (Columns::Known(names) | Columns::Open(names)) = self;
        names
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
            findings.add(name.span(), format!("\"{}\" stands twice in \"{key}\"", name.get_ref()), why);
        }
    }
    if let Some(name) = names.get(COLUMNS_MAX) {
        let why = format!("a sheet of Excel has {COLUMNS_MAX} at most");
        findings.add(name.span(), format!("{} columns in \"{key}\"", names.len()), why);
    }
}

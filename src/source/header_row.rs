//! Reads the text of a header as names: the cells of one row, each fit to name a column.

use crate::record::{Message, Quoted, Rejection};
use crate::source::SourceConfig;
use crate::source::csv::{Fields, Row, Rows, write_row};
use crate::source::delimiter::separator_line;
use crate::source::fate::{Text, check_cells, check_form};
use crate::source::json::{Element, names_of};
use crate::source::names::{clean_name, column_names};

/// Column names out of a header row, as published.
pub fn read_names(
    config: &SourceConfig,
    row: &Row<'_>,
    text: &[u8],
    fields: &mut Fields,
) -> Result<Vec<String>, Rejection> {
    if separator_line(row.bytes).is_some() {
        return Err(Rejection::new(Message::SeparatorLine {}));
    }
    let text = Text::new(text);
    check_form(config, row, text).and_then(|()| check_cells(config, row, text, fields)).map_err(|fault| {
        let Some(field) = fault.field else { return fault.rejection };
        let value = Quoted::new(&String::from_utf8_lossy(fields.get(field, text.bytes)));
        fault.rejection.because(|why| Message::HeaderCell { cell: field + 1, value, why })
    })?;
    Ok(fields.iter(text.bytes).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Whether a row names every column that the topology needs: it is the header, and no data.
pub(super) fn names_what_is_needed(config: &SourceConfig, row: &Row<'_>, text: &[u8], fields: &mut Fields) -> bool {
    let Ok(names) = read_names(config, row, text, fields) else { return false };
    let names = column_names(&names, config.exact_names);
    !config.needed.is_empty() && config.needed.iter().all(|needed| needed.iter().any(|name| names.contains(name)))
}

/// The names of a header marker. A fault of the marker, and not of a name, is
/// [`Reason::MarkerFormat`](crate::record::Reason::MarkerFormat).
pub(super) fn marker_names(config: &SourceConfig, delimiter: u8, text: &[u8]) -> Result<Vec<String>, Rejection> {
    let mut rows = Rows::new(text, delimiter, None);
    let mut fields = Fields::default();
    let mut names = None;
    while let Some(row) = rows.next_row(&mut fields) {
        if row.blank {
            continue;
        }
        if names.is_some() {
            return Err(Rejection::new(Message::SeveralHeaders {}));
        }
        names = Some(read_names(config, &row, text, &mut fields)?);
    }
    names.ok_or_else(|| Rejection::new(Message::HeaderWithoutNames {}))
}

/// The names that a JSON row gives to its own cells, as published. An object that has the name of a column which the topology knows is one
/// cell.
pub(super) fn names_of_row(config: &SourceConfig, text: &[u8], row: &Element) -> Result<Vec<String>, Rejection> {
    check_names(config, &names_of(text, row, &|name| is_known(config, name)))
}

/// Whether the topology knows a column of this name.
pub fn is_known(config: &SourceConfig, name: &str) -> bool {
    let name = if config.exact_names { name.into() } else { clean_name(name) };
    config.columns.contains_key(&*name) || config.needed.iter().flatten().any(|needed| *needed == *name)
}

/// Names that did not come as CSV, each fit to name a column.
pub fn check_names(config: &SourceConfig, names: &[String]) -> Result<Vec<String>, Rejection> {
    let mut row = Vec::new();
    write_row(names.iter().map(String::as_bytes), b',', &mut row);
    marker_names(config, b',', &row)
}

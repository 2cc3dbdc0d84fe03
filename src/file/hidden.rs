//! Rows and columns of a worksheet that whoever opens the workbook does not see: left out by a filter, or hidden by hand.

use std::fs::File;
use std::io::{BufRead, BufReader};

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::book::{COLUMNS_MAX, ROWS_MAX};
use super::zip_directory::{self, WORKBOOK_PART};
use crate::record::counted;

/// The part that says which sheet is in which part.
const RELATIONS_PART: &str = "xl/_rels/workbook.xml.rels";

/// What is hidden of a worksheet, counted from 0.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Rows, in order.
    rows: Vec<u32>,
    /// The first column and the last one of each stretch, in order.
    columns: Vec<(u32, u32)>,
}

impl Hidden {
    /// The hidden rows and columns of a sheet of a workbook of Excel; none where its parts are not where Excel puts them.
    pub(super) fn of_xlsx(file: &File, sheet: &str) -> Hidden {
        Hidden::read(file, sheet).unwrap_or_default()
    }

    fn read(file: &File, sheet: &str) -> Option<Hidden> {
        let mut zip = zip_directory::open(file).ok()?;
        let mut read = |part: &str, take: &mut dyn FnMut(&BytesStart)| {
            each_element(BufReader::new(zip.by_name(part).ok()?), take);
            Some(())
        };
        let mut relation = None;
        read(WORKBOOK_PART, &mut |element| {
            if is_named(element, "sheet") && attribute(element, "name").as_deref() == Some(sheet) {
                relation = attribute(element, "id");
            }
        })?;
        let mut target = None;
        read(RELATIONS_PART, &mut |element| {
            if is_named(element, "Relationship") && attribute(element, "Id") == relation {
                target = attribute(element, "Target");
            }
        })?;
        let target = target?;
        let part = target.strip_prefix('/').map_or_else(|| format!("xl/{target}"), str::to_owned);
        let (mut hidden, mut row) = (Hidden::default(), 0);
        read(&part, &mut |element| {
            let number = |name| attribute(element, name)?.parse::<u32>().ok()?.checked_sub(1);
            let is_hidden = || attribute(element, "hidden").is_some_and(|value| matches!(&*value, "1" | "true"));
            if is_named(element, "row") {
                row = number("r").unwrap_or(row);
                if is_hidden() {
                    hidden.put_row(Some(row));
                }
                row = row.saturating_add(1);
            } else if is_named(element, "col") && is_hidden() {
                hidden.put_columns(number("min"), number("max"));
            }
        })?;
        Some(hidden)
    }

    /// A row behind those so far; any other is passed over, as is one that no sheet has.
    pub(super) fn put_row(&mut self, row: Option<u32>) {
        let Some(row) = row else { return };
        if row < ROWS_MAX && self.rows.last().is_none_or(|last| *last < row) {
            self.rows.push(row);
        }
    }

    /// Columns behind those so far, likewise.
    pub(super) fn put_columns(&mut self, first: Option<u32>, last: Option<u32>) {
        let (Some(first), Some(last)) = (first, last) else { return };
        if first <= last && first < COLUMNS_MAX && self.columns.last().is_none_or(|(_, last)| *last < first) {
            self.columns.push((first, last));
        }
    }

    pub(super) fn has_row(&self, row: u32) -> bool {
        self.rows.binary_search(&row).is_ok()
    }

    pub(super) fn has_column(&self, column: u32) -> bool {
        let begun = self.columns.partition_point(|(first, _)| *first <= column);
        self.columns[..begun].last().is_some_and(|(_, last)| column <= *last)
    }
}

/// The remark about rows and columns that are hidden and are not empty; `None` without any.
pub(super) fn note(rows: u64, columns: u64, sheet: &str) -> Option<String> {
    let hidden = [(rows, "hidden row"), (columns, "hidden column")].into_iter().filter(|(count, _)| *count > 0);
    let hidden: Vec<_> = hidden.map(|(count, noun)| counted(count, noun)).collect();
    let are = if rows + columns == 1 { "is" } else { "are" };
    let hidden = (!hidden.is_empty()).then(|| hidden.join(" and "))?;
    Some(format!(
        "{hidden} of sheet \"{sheet}\" {are} taken too; to leave out what is hidden, select the cells in Excel, then the visible \
         ones alone (Alt+;), and copy them into a workbook of their own"
    ))
}

/// Gives every element of a part, in order, as far as it can be read.
fn each_element(part: impl BufRead, take: &mut dyn FnMut(&BytesStart)) {
    let mut reader = quick_xml::Reader::from_reader(part);
    let mut buffer = Vec::new();
    while let Ok(event) = reader.read_event_into(&mut buffer) {
        match event {
            Event::Start(element) | Event::Empty(element) => take(&element),
            Event::Eof => return,
            _ => {}
        }
        buffer.clear();
    }
}

fn is_named(element: &BytesStart, name: &str) -> bool {
    element.local_name().as_ref() == name
}

/// The value of an attribute, whatever its namespace.
fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found =
        attributes.with_checks(false).flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

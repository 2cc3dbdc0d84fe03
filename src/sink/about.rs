//! The sheet *About*: the origin of the rows of a workbook, the operations on them, and their sheets. All of it follows from the content
//! alone.

use rust_xlsxwriter::utility::quote_sheet_name;
use rust_xlsxwriter::{Url, Worksheet, XlsxError};

use crate::crs::{CrsInfo, CrsPair, Operation};
use crate::record::{CoordinateForm, UsedOperations};
use crate::sink::digest::Digest;
use crate::sink::formats::Formats;
use crate::sink::sheet::RowSheet;
use crate::sink::skeleton::set_up_page;
use crate::sink::words::{Words, clip};
use crate::sink::{AboutFacts, CompleteUpload};

/// Writes *About*: what a person asks first, then which value became which sheet, then what only another program asks.
pub(super) fn write_about(
    sheet: &mut Worksheet,
    words: &Words,
    formats: &Formats,
    facts: &AboutFacts,
    complete: &CompleteUpload,
    data: &[RowSheet<'_>],
) -> Result<(), XlsxError> {
    set_up_page(sheet);
    sheet.set_screen_gridlines(false);
    for (column, width) in [(0, 32.0), (1, 68.0), (2, 12.0)] {
        sheet.set_column_width(column, width)?;
    }
    sheet.write_string_with_format(0, 0, words.title, &formats.title)?;
    let mut page = Lines { sheet, next: 2, formats };
    page.text(words.source, &complete.source_name)?;
    page.number(words.rows_written, complete.accounting.written)?;
    page.number(words.rows_rejected, complete.accounting.rejected)?;
    if complete.accounting.rejected > 0 {
        page.sheet.write_url_with_format(page.next - 1, 2, link(words.errors), &formats.link)?;
    }
    if complete.accounting.filtered > 0 {
        page.number(words.rows_filtered, complete.accounting.filtered)?;
    }
    if complete.accounting.distant > 0 {
        let [label, remark] = words.rows_distant;
        page.text(label, &format!("{} ({remark})", complete.accounting.distant))?;
    }
    if complete.accounting.unplaced > 0 {
        page.number(words.rows_unplaced, complete.accounting.unplaced)?;
    }
    if complete.incomplete {
        page.text(words.incomplete[0], words.incomplete[1])?;
    }
    let has_none = complete.coordinates == CoordinateForm::None;
    let pairs = if has_none { &[] } else { &complete.pairs.as_ref().unwrap_or(&facts.crs)[..] };
    if has_none {
        page.heading(&[words.coordinates, "", ""])?;
        let [none, why] = words.no_coordinates;
        page.text(none, why)?;
    }
    let used = |pair: usize| complete.operations.get(pair);
    for (number, pair) in pairs.iter().enumerate() {
        page.heading(&[words.coordinates, "", ""])?;
        match &pair.row_column {
            Some(column) => page.text(words.from, &words.row_crs.replace("{column}", column))?,
            None => page.text(words.from, &crs_text(&pair.from))?,
        }
        page.text(words.to, &crs_text(&pair.to))?;
        if pair.row_column.is_none() {
            page.text(words.accuracy[0], &accuracy_text(words, &operations(pair, used(number))))?;
        }
    }

    let asked = facts.link_on_request.iter().filter(|_| complete.extras.map_link);
    let hosts: Vec<&str> = facts.links.iter().chain(asked).map(String::as_str).collect();
    if !hosts.is_empty() {
        let [label, remark] = words.links;
        page.text(label, &format!("{} ({remark})", hosts.join(", ")))?;
    }

    page.heading(&words.sheets)?;
    for entry in data {
        let line = page.next;
        page.sheet.write_url_with_format(line, 0, link(entry.name.as_str()), &formats.link)?;
        page.sheet.write_string_with_format(line, 1, clip(entry.value), &formats.plain)?;
        page.sheet.write_number_with_format(line, 2, entry.rows, &formats.count)?;
        page.next += 1;
    }

    page.heading(&[words.details, "", ""])?;
    for (number, pair) in pairs.iter().enumerate() {
        if pair.row_column.is_some() {
            page.text(words.operation, words.row_operation)?;
            continue;
        }
        let operations = operations(pair, used(number));
        for operation in &operations {
            let accuracy = accuracy_text(words, &[operation]);
            let name = &operation.name;
            page.text(
                words.operation,
                &if operations.len() > 1 { format!("{name}: {accuracy}") } else { name.clone() },
            )?;
        }
    }
    page.text(words.topology, &format!("{} {}", facts.topology, facts.topology_hash))?;
    page.text(words.product, concat!("sheetstream ", env!("CARGO_PKG_VERSION")))?;
    page.text(words.rows_sha256, &Digest(complete.rows_sha256).to_string())
}

/// A link to the first cell of a sheet, which shows its name.
fn link(sheet: &str) -> Url {
    Url::new(format!("internal:{}!A1", quote_sheet_name(sheet))).set_text(sheet)
}

/// The next free line of *About*.
struct Lines<'a> {
    sheet: &'a mut Worksheet,
    next: u32,
    formats: &'a Formats,
}

impl Lines<'_> {
    /// A heading below a free line.
    fn heading(&mut self, texts: &[&str; 3]) -> Result<(), XlsxError> {
        self.next += 1;
        for (column, text) in (0..).zip(texts) {
            self.sheet.write_string_with_format(self.next, column, *text, &self.formats.headers[0])?;
        }
        self.next += 1;
        Ok(())
    }
    fn text(&mut self, label: &str, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.next, 0, label, &self.formats.label)?;
        self.sheet.write_string_with_format(self.next, 1, clip(text), &self.formats.wrapped)?;
        self.next += 1;
        Ok(())
    }
    fn number(&mut self, label: &str, number: u64) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.next, 0, label, &self.formats.label)?;
        self.sheet.write_number_with_format(self.next, 1, number as f64, &self.formats.count)?;
        self.next += 1;
        Ok(())
    }
}

fn crs_text(crs: &CrsInfo) -> String {
    if crs.definition == crs.name { crs.name.clone() } else { format!("{} ({})", crs.name, crs.definition) }
}

/// Those of a pair that the rows went through: the only one, or where there are several those that were used.
fn operations<'a>(pair: &'a CrsPair, used: Option<&UsedOperations>) -> Vec<&'a Operation> {
    let used = used.into_iter().flatten().filter_map(|number| pair.operations.get(usize::from(*number)));
    let used: Vec<_> = used.collect();
    if used.is_empty() { vec![pair.first_operation()] } else { used }
}

/// The accuracy of the operations that were used: of several that of the worst.
fn accuracy_text(words: &Words, operations: &[&Operation]) -> String {
    let [_, not_stated, ballpark] = words.accuracy;
    let known = operations.iter().map(|operation| operation.accuracy_m);
    match known.reduce(|a, b| a.zip(b).map(|(a, b)| f64::max(a, b))).flatten() {
        _ if operations.iter().any(|operation| operation.ballpark) => ballpark.to_owned(),
        Some(metres) => format!("{metres} m"),
        None => not_stated.to_owned(),
    }
}

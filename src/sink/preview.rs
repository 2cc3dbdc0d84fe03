//! The first rows of the first sheets: a view of a workbook without a spreadsheet, while it is made and when it is done.

use crate::page::StyleId;
use crate::page::read::{self, ShownCell, element, inflate_rows, unescape};
use crate::record::SheetName;
use crate::sink::sheet_names::SheetNamer;
use crate::sink::skeleton::worksheet_part;
use crate::sink::status::StatusRecord;
use crate::sink::words::Words;
use crate::sink::zip::{Method, StoredPart, read_directory};
use crate::sink::{Lang, WorkbookConfig};

/// Rows of a sheet that are shown.
pub const ROWS_MAX: usize = 20;

/// Sheets that are shown.
pub const SHEETS_MAX: usize = 50;

/// The workbook that an open upload would have if it were complete now.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Preview {
    /// Its state.
    pub status: StatusRecord,
    /// The first sheets and their first rows.
    pub sheets: Vec<SheetPreview>,
    /// How many sheets there are.
    pub sheets_total: usize,
}

/// A sheet and its first rows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SheetPreview {
    /// Its name.
    pub name: String,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// All of its rows below the header.
    pub rows: u64,
    /// The first of them; blank cells at the end of a row are left out.
    pub head: Vec<Vec<ShownCell>>,
}

/// The names that a workbook of this look gives to sheets of these values, in their order.
pub fn sheet_names<'a>(config: &WorkbookConfig, values: impl Iterator<Item = &'a str>) -> Vec<SheetName> {
    let mut namer = SheetNamer::new(&Words::of(config.lang).reserved(), config.lang);
    values.map(|value| namer.name(value)).collect()
}

/// The name of the sheet of rejected rows.
pub fn errors_sheet(lang: Lang) -> &'static str {
    Words::of(lang).errors
}

/// The first sheets of rows in a workbook that this crate made; `None` for any other file, and for one above 4 GiB.
pub fn read_workbook(workbook: &[u8]) -> Option<Vec<SheetPreview>> {
    read_sheets(workbook, SHEETS_MAX, |_| ROWS_MAX)
}

/// The sheets of rows among the first `sheets_max`, and the first `rows_max(name)` rows of each.
pub fn read_sheets(workbook: &[u8], sheets_max: usize, rows_max: impl Fn(&str) -> usize) -> Option<Vec<SheetPreview>> {
    let parts = read_directory(workbook)?;
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let text = |name: &str| {
        let xml = inflate(workbook, part(name)?, usize::MAX)?;
        String::from_utf8(xml).ok()
    };
    let (list, styles) = (text("xl/workbook.xml")?, style_table(&text("xl/styles.xml")?)?);
    let style_of = |index: u16| styles.get(usize::from(index)).copied().unwrap_or(StyleId::TEXT);
    let mut sheets = Vec::new();
    let mut rest = list.as_str();
    let mut number = 0;
    while let Some((sheet, behind)) = element(rest, "sheet") {
        (rest, number) = (behind, number + 1);
        let name = unescape(sheet.attribute("name")?);
        let rows_max = if sheets.len() < sheets_max { rows_max(&name) } else { 0 };
        let xml = inflate(workbook, part(&worksheet_part(number))?, rows_max + 1)?;
        let Some(all) = read::rows(&xml, style_of, rows_max + 1) else { continue }; // About has its text elsewhere
        let mut all = all.into_iter();
        let columns = all.next().unwrap_or_default().into_iter().map(|cell| cell.text).collect();
        let start = String::from_utf8_lossy(&xml[..xml.len().min(4_096)]);
        let rows = element(&start, "dimension")?.0.attribute("ref").and_then(last_row)?.saturating_sub(1);
        sheets.push(SheetPreview { name, columns, rows, head: all.collect() });
    }
    Some(sheets)
}

/// XML of a part as far as it has `rows` rows, and perhaps more of it.
fn inflate(workbook: &[u8], part: &StoredPart, rows: usize) -> Option<Vec<u8>> {
    let bytes = workbook.get(part.bytes.clone())?;
    Some(match part.facts.method {
        Method::Stored => bytes.to_vec(),
        Method::Deflated => inflate_rows(bytes, rows),
    })
}

/// The styles of `cellXfs` in their order, by their number formats.
fn style_table(styles: &str) -> Option<Vec<StyleId>> {
    let mut formats: Vec<(&str, &str)> = vec![("1", "0"), ("2", "0.00")]; // those that need not be named (ECMA-376 part 1, 18.8.30)
    let mut rest = element(styles, "numFmts").map_or("", |(list, _)| list.content);
    while let Some((format, behind)) = element(rest, "numFmt") {
        formats.push((format.attribute("numFmtId")?, format.attribute("formatCode")?));
        rest = behind;
    }
    let mut table = Vec::new();
    let mut rest = element(styles, "cellXfs")?.0.content;
    while let Some((style, behind)) = element(rest, "xf") {
        let id = style.attribute("numFmtId")?;
        let format = formats.iter().find(|(known, _)| *known == id).map(|(_, format)| *format);
        let style = StyleId::all().find(|style| format.is_some() && style.num_format() == format);
        table.push(style.unwrap_or(StyleId::TEXT));
        rest = behind;
    }
    Some(table)
}

/// The last row of a range like `A1:C20`.
fn last_row(range: &str) -> Option<u64> {
    range.rsplit(':').next()?.trim_start_matches(|c: char| c.is_ascii_uppercase()).parse().ok()
}

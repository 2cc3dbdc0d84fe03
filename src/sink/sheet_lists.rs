//! The four parts of a package that list its sheets: takes them as rust_xlsxwriter wrote them for a few sheets, and extends them to any
//! number, as it would have written them.

use std::fmt::Write as _;

use rust_xlsxwriter::utility::{cell_range_absolute, quote_sheet_name};

use crate::page::xml;

/// A sheet in the lists of the package.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Its name.
    pub name: String,
    /// Last row and last column (from 0) of its filter, which begins at A1.
    pub filter: Option<(u32, u16)>,
    /// Whether its first row is repeated on every page.
    pub repeats_header: bool,
}

/// A part that lists the sheets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SheetList {
    /// The types of the parts.
    ContentTypes,
    /// The parts that the workbook refers to.
    Relationships,
    /// The workbook: names and filters.
    Workbook,
    /// The document properties: names once more.
    Properties,
}

impl SheetList {
    /// Which list a part is, if it is one.
    pub(super) fn of(part: &str) -> Option<SheetList> {
        match part {
            "[Content_Types].xml" => Some(SheetList::ContentTypes),
            "xl/_rels/workbook.xml.rels" => Some(SheetList::Relationships),
            "xl/workbook.xml" => Some(SheetList::Workbook),
            "docProps/app.xml" => Some(SheetList::Properties),
            _ => None,
        }
    }

    /// The part with these sheets instead of its own; `None` if it does not look as expected.
    pub(super) fn with_sheets(self, xml: &str, sheets: &[Listed]) -> Option<String> {
        match self {
            SheetList::ContentTypes => Some(content_types(xml, sheets.len())),
            SheetList::Relationships => Some(relationships(xml, sheets.len())),
            SheetList::Workbook => workbook(xml, sheets),
            SheetList::Properties => properties(xml, sheets),
        }
    }
}

/// The element of the first worksheet once for each sheet, those of other worksheets never, any other as it is.
fn repeated(element: &str, sheets: usize) -> impl Iterator<Item = String> {
    const FIRST: &str = "worksheets/sheet1.xml";
    let numbers = match (element.contains(FIRST), element.contains("worksheets/sheet")) {
        (true, _) => 1..sheets + 1,
        (false, true) => 1..1,
        (false, false) => 1..2,
    };
    numbers.map(move |n| element.replacen(FIRST, &format!("worksheets/sheet{n}.xml"), 1))
}

/// The types of the parts.
fn content_types(xml: &str, sheets: usize) -> String {
    xml.split_inclusive('>').flat_map(|element| repeated(element, sheets)).collect()
}

/// The parts that the workbook refers to, numbered anew: worksheets come first, so that sheet n is `rId<n>`.
fn relationships(xml: &str, sheets: usize) -> String {
    let mut out = String::with_capacity(xml.len() + 140 * sheets);
    let mut id = 0;
    for element in xml.split_inclusive('>') {
        match element.split_once(" Type=").filter(|(start, _)| start.starts_with("<Relationship Id=")) {
            Some((_, rest)) => {
                for rest in repeated(rest, sheets) {
                    id += 1;
                    write!(out, "<Relationship Id=\"rId{id}\" Type={rest}").ok();
                }
            }
            None => out.push_str(element),
        }
    }
    out
}

/// The sheets, and the names that Excel expects: a hidden one for each filter, one for each row that is repeated in print.
fn workbook(xml: &str, sheets: &[Listed]) -> Option<String> {
    let (before, rest) = xml.split_once("<sheets>")?;
    let (_, after) = rest.split_at(rest.find("<calcPr")?);
    let mut out = String::with_capacity(xml.len() + 220 * sheets.len());
    out.push_str(before);
    out.push_str("<sheets>");
    for (n, sheet) in (1..).zip(sheets) {
        let name = escape_attribute(&sheet.name);
        write!(out, "<sheet name=\"{name}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>").ok();
    }
    out.push_str("</sheets>");
    let filters = ranges(sheets, |sheet| {
        let (row, column) = sheet.filter?;
        Some(cell_range_absolute(0, 0, row, column))
    });
    let titles = print_titles(sheets);
    if !filters.is_empty() || !titles.is_empty() {
        out.push_str("<definedNames>");
        for (names, name, hidden) in [(&filters, "_FilterDatabase", " hidden=\"1\""), (&titles, "Print_Titles", "")] {
            for (range, sheet) in names {
                write!(out, "<definedName name=\"_xlnm.{name}\" localSheetId=\"{sheet}\"{hidden}>").ok();
                push_text(range, &mut out);
                out.push_str("</definedName>");
            }
        }
        out.push_str("</definedNames>");
    }
    out.push_str(after);
    Some(out)
}

/// Ranges with the sheet before them, and its number; sorted, as Excel keeps names.
fn ranges(sheets: &[Listed], range: impl Fn(&Listed) -> Option<String>) -> Vec<(String, usize)> {
    let all = sheets.iter().enumerate();
    let named =
        all.filter_map(|(at, sheet)| Some((format!("{}!{}", quote_sheet_name(&sheet.name), range(sheet)?), at)));
    let mut ranges: Vec<_> = named.collect();
    ranges.sort_unstable();
    ranges
}

/// The rows that print repeats.
fn print_titles(sheets: &[Listed]) -> Vec<(String, usize)> {
    ranges(sheets, |sheet| sheet.repeats_header.then(|| "$1:$1".to_owned()))
}

/// The names of the sheets and their number, and the same of the rows that print repeats.
fn properties(xml: &str, sheets: &[Listed]) -> Option<String> {
    let (before, rest) = xml.split_once("<vt:vector size=\"2\"")?;
    let (heading, rest) = rest.split_once("<vt:i4>")?;
    let (_, rest) = rest.split_once("</vt:vector>")?;
    let (between, rest) = rest.split_once("<TitlesOfParts>")?;
    let (_, after) = rest.split_once("</TitlesOfParts>")?;
    let titles = print_titles(sheets);
    let kinds = if titles.is_empty() { 2 } else { 4 };
    let mut out = format!("{before}<vt:vector size=\"{kinds}\"{heading}<vt:i4>{}</vt:i4></vt:variant>", sheets.len());
    if !titles.is_empty() {
        let count = titles.len();
        out.push_str("<vt:variant><vt:lpstr>Named Ranges</vt:lpstr></vt:variant>");
        write!(out, "<vt:variant><vt:i4>{count}</vt:i4></vt:variant>").ok();
    }
    let parts = sheets.len() + titles.len();
    write!(out, "</vt:vector>{between}<TitlesOfParts><vt:vector size=\"{parts}\" baseType=\"lpstr\">").ok();
    for sheet in sheets {
        push_part(&sheet.name, &mut out);
    }
    for (_, sheet) in &titles {
        push_part(&format!("{}!Print_Titles", quote_sheet_name(&sheets[*sheet].name)), &mut out);
    }
    out.push_str("</vt:vector></TitlesOfParts>");
    out.push_str(after);
    Some(out)
}

fn push_part(name: &str, out: &mut String) {
    out.push_str("<vt:lpstr>");
    push_text(name, out);
    out.push_str("</vt:lpstr>");
}

fn push_text(text: &str, out: &mut String) {
    let mut escaped = Vec::with_capacity(text.len());
    xml::escape(text.as_bytes(), |piece| escaped.extend_from_slice(piece));
    out.push_str(&String::from_utf8_lossy(&escaped));
}

/// Sheet names have no control characters, so markup is all there is to escape.
fn escape_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::skeleton::Skeleton;
    use crate::sink::tests::LOOK;

    const NAMES: [&str; 12] =
        ["강남구", "a & <b> \"c\"", "it's", "R1C1", "A1", "Zoo", "b", "B2B", "1st", "x.y", "-", "😀"];

    /// A skeleton with these sheets of data and one more behind them.
    fn skeleton(data: &[&str], decorated: bool) -> Skeleton {
        let make = Skeleton::make(&LOOK, "title", |workbook, _| {
            for (index, name) in data.iter().enumerate() {
                let sheet = if index == 0 { workbook.worksheet_from_index(0)? } else { workbook.add_worksheet() };
                sheet.set_name(*name)?;
                if decorated {
                    sheet.autofilter(0, 0, index as u32 + 7, 3)?.set_repeat_rows(0, 0)?;
                }
            }
            workbook.add_worksheet().set_name("About")?.write_string(0, 0, "text")?;
            Ok(())
        });
        make.expect("a skeleton")
    }

    #[test]
    fn lists_of_sheets_are_what_the_library_writes_for_them() {
        for decorated in [true, false] {
            let expected = skeleton(&NAMES, decorated);
            let small = skeleton(&["Sheet1"], false);
            let list = |index: u32, name: &str| Listed {
                name: name.to_owned(),
                filter: decorated.then_some((index + 7, 3)),
                repeats_header: decorated,
            };
            let mut listed: Vec<Listed> = (0..).zip(NAMES).map(|(index, name)| list(index, name)).collect();
            listed.push(Listed { name: "About".to_owned(), filter: None, repeats_header: false });
            let mut lists = 0;
            for part in small.parts() {
                let Some(list) = SheetList::of(&part.name) else { continue };
                let xml = list.with_sheets(&small.xml(part).expect("XML"), &listed).expect("a known form");
                let same = expected.parts().iter().find(|other| other.name == part.name).expect("the same part");
                assert_eq!(xml, expected.xml(same).expect("XML"), "{}", part.name);
                lists += 1;
            }
            assert_eq!(lists, 4);
        }
    }

    #[test]
    fn parts_of_another_form_are_refused() {
        for list in [SheetList::Workbook, SheetList::Properties] {
            assert_eq!(list.with_sheets("<workbook/>", &[]), None);
        }
    }
}

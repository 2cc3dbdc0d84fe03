//! The four parts of a package that list its sheets: takes them as rust_xlsxwriter wrote them for a few sheets, and makes them what it would have
//! written for any number.

use std::fmt::Write as _;

use rust_xlsxwriter::utility::{cell_range_absolute, quote_sheet_name};

use crate::page::xml;

/// A sheet in the lists of the package: its name, and last row and last column (from 0) of its filter, which begins at A1.
pub(super) type Listed = (String, Option<(u32, u16)>);

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
    pub fn of(part: &str) -> Option<SheetList> {
        match part {
            "[Content_Types].xml" => Some(SheetList::ContentTypes),
            "xl/_rels/workbook.xml.rels" => Some(SheetList::Relationships),
            "xl/workbook.xml" => Some(SheetList::Workbook),
            "docProps/app.xml" => Some(SheetList::Properties),
            _ => None,
        }
    }

    /// The part with these sheets instead of its own; `None` if it does not look as expected.
    pub fn with_sheets(self, xml: &str, sheets: &[Listed]) -> Option<String> {
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
                    let _ = write!(out, "<Relationship Id=\"rId{id}\" Type={rest}");
                }
            }
            None => out.push_str(element),
        }
    }
    out
}

/// The sheets and, for each filter, the hidden name that Excel expects with it.
fn workbook(xml: &str, sheets: &[Listed]) -> Option<String> {
    let (before, rest) = xml.split_once("<sheets>")?;
    let (_, after) = rest.split_at(rest.find("<calcPr")?);
    let mut out = String::with_capacity(xml.len() + 220 * sheets.len());
    out.push_str(before);
    out.push_str("<sheets>");
    for (n, (name, _)) in (1..).zip(sheets) {
        let name = escape_attribute(name);
        let _ = write!(out, "<sheet name=\"{name}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>");
    }
    out.push_str("</sheets>");
    let mut filters: Vec<(String, usize)> = Vec::new();
    for (index, (name, filter)) in sheets.iter().enumerate() {
        if let Some((row, column)) = *filter {
            let range = cell_range_absolute(0, 0, row, column);
            filters.push((format!("{}!{range}", quote_sheet_name(name)), index));
        }
    }
    filters.sort_unstable(); // Excel keeps names sorted
    if !filters.is_empty() {
        out.push_str("<definedNames>");
        for (range, index) in &filters {
            let _ = write!(out, "<definedName name=\"_xlnm._FilterDatabase\" localSheetId=\"{index}\" hidden=\"1\">");
            push_text(range, &mut out);
            out.push_str("</definedName>");
        }
        out.push_str("</definedNames>");
    }
    out.push_str(after);
    Some(out)
}

/// The names of the sheets and their number.
fn properties(xml: &str, sheets: &[Listed]) -> Option<String> {
    let (before, rest) = xml.split_once("<vt:i4>")?;
    let (_, rest) = rest.split_once("</vt:i4>")?;
    let (between, rest) = rest.split_once("<TitlesOfParts>")?;
    let (_, after) = rest.split_once("</TitlesOfParts>")?;
    let count = sheets.len();
    let mut out = format!(
        "{before}<vt:i4>{count}</vt:i4>{between}<TitlesOfParts><vt:vector size=\"{count}\" baseType=\"lpstr\">"
    );
    for (name, _) in sheets {
        out.push_str("<vt:lpstr>");
        push_text(name, &mut out);
        out.push_str("</vt:lpstr>");
    }
    out.push_str("</vt:vector></TitlesOfParts>");
    out.push_str(after);
    Some(out)
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
    use crate::sink::{Lang, WorkbookConfig};

    const LOOK: WorkbookConfig =
        WorkbookConfig { freeze_header: true, autofilter: true, cell_refs: true, about: true, lang: Lang::En };
    const NAMES: [&str; 12] =
        ["강남구", "a & <b> \"c\"", "it's", "R1C1", "A1", "Zoo", "b", "B2B", "1st", "x.y", "-", "😀"];

    /// A skeleton with these sheets of data and one more behind them.
    fn skeleton(data: &[&str], autofilter: bool) -> Skeleton {
        let make = Skeleton::make(&LOOK, "title", |workbook, _| {
            for (index, name) in data.iter().enumerate() {
                let sheet = if index == 0 { workbook.worksheet_from_index(0)? } else { workbook.add_worksheet() };
                sheet.set_name(*name)?;
                if autofilter {
                    sheet.autofilter(0, 0, index as u32 + 7, 3)?;
                }
            }
            workbook.add_worksheet().set_name("About")?.write_string(0, 0, "text")?;
            Ok(())
        });
        make.expect("a skeleton")
    }

    #[test]
    fn lists_of_sheets_are_what_the_library_writes_for_them() {
        for autofilter in [true, false] {
            let expected = skeleton(&NAMES, autofilter);
            let small = skeleton(&["Sheet1"], autofilter);
            let filter = |index: u32| autofilter.then_some((index + 7, 3));
            let mut listed: Vec<Listed> =
                (0..).zip(NAMES).map(|(index, name)| (name.to_owned(), filter(index))).collect();
            listed.push(("About".to_owned(), None));
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

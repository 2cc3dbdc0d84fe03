//! What rust_xlsxwriter makes of a workbook: everything but the rows of data. A skeleton has one sheet of data, the template; its parts are copied as
//! they are, except that the template becomes any number of sheets, and the lists of sheets grow accordingly.
//!
//! One sheet costs rust_xlsxwriter over 100 us (a thread and a compressor each), which 2,000 sheets would feel; here it costs a few.

use std::fmt::{Display, Write as _};
use std::io::Read;

use flate2::read::DeflateDecoder;
use rust_xlsxwriter::utility::{cell_range_absolute, quote_sheet_name, row_col_to_cell};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatBorder, Workbook, XlsxError};

use crate::page::{StyleId, Styles, xml};
use crate::record::{Reason, Rejection};
use crate::sink::WorkbookConfig;
use crate::sink::zip::{Method, StoredPart, read_directory};

/// Part of the template.
pub(super) const TEMPLATE_PART: &str = "xl/worksheets/sheet1.xml";
const HEADER_FILL: &str = "#DDE7F3";
const HEADER_LINE: &str = "#8AA4C4";
/// The fixed date in the document properties: year, month, day.
const CREATED: (u16, u8, u8) = (2000, 1, 1);
/// Longest title in the document properties, in characters.
const TITLE_LENGTH_MAX: usize = 255;

/// A fault of ours, as far as an upload can tell.
pub(super) fn broken(what: impl Display) -> Rejection {
    Rejection::new(
        Reason::WorkbookFailed,
        format!("the workbook could not be put together ({what}); please report this"),
    )
}

/// A workbook without rows of data, as a container of parts.
#[derive(Debug)]
pub(super) struct Skeleton {
    container: Vec<u8>,
    parts: Vec<StoredPart>,
}

impl Skeleton {
    /// Makes a workbook of the template and the sheets that `add` adds behind it; these get the format of header cells.
    pub fn make(
        config: &WorkbookConfig,
        title: &str,
        add: impl FnOnce(&mut Workbook, &Format) -> Result<(), XlsxError>,
    ) -> Result<Skeleton, Rejection> {
        let container = Self::save(config, title, add).map_err(broken)?;
        let parts = read_directory(&container).ok_or_else(|| broken("unreadable skeleton"))?;
        Ok(Skeleton { container, parts })
    }

    fn save(
        config: &WorkbookConfig,
        title: &str,
        add: impl FnOnce(&mut Workbook, &Format) -> Result<(), XlsxError>,
    ) -> Result<Vec<u8>, XlsxError> {
        let header = Format::new()
            .set_bold()
            .set_background_color(HEADER_FILL)
            .set_border_bottom(FormatBorder::Thin)
            .set_border_bottom_color(HEADER_LINE);
        let mut workbook = Workbook::new();
        let (year, month, day) = CREATED;
        let title: String = title.chars().take(TITLE_LENGTH_MAX).collect();
        workbook.set_properties(
            &DocProperties::new()
                .set_title(title)
                .set_author("sheetstream")
                .set_creation_datetime(&ExcelDateTime::from_ymd(year, month, day)?),
        );
        // The template comes first, so that style ids depend on nothing but the table of styles.
        let template = workbook.add_worksheet();
        template.write_blank(0, 0, &header)?;
        for (column, style) in (0..).zip(StyleId::all()) {
            if let Some(format) = style.num_format() {
                template.write_blank(1, column, &Format::new().set_num_format(format))?;
            }
        }
        if config.freeze_header {
            template.set_freeze_panes(1, 0)?;
        }
        add(&mut workbook, &header)?;
        workbook.save_to_buffer()
    }

    /// The parts in their order.
    pub fn parts(&self) -> &[StoredPart] {
        &self.parts
    }

    /// The bytes of a part as they stand in the container.
    pub fn raw(&self, part: &StoredPart) -> &[u8] {
        &self.container[part.bytes.clone()]
    }

    /// The XML of a part.
    pub fn xml(&self, part: &StoredPart) -> Result<String, Rejection> {
        let mut text = String::new();
        let read = match part.facts.method {
            Method::Deflated => DeflateDecoder::new(self.raw(part)).read_to_string(&mut text),
            Method::Stored => self.raw(part).read_to_string(&mut text),
        };
        read.map_err(|error| broken(format_args!("{}: {error}", part.name)))?;
        Ok(text)
    }

    /// A part that lists the sheets, with all of these instead of those of the skeleton; `None` for a part that lists none.
    pub fn list_sheets(&self, part: &StoredPart, sheets: &[Listed]) -> Result<Option<String>, Rejection> {
        let listed = match part.name.as_str() {
            "[Content_Types].xml" => Some(content_types(&self.xml(part)?, sheets.len())),
            "xl/_rels/workbook.xml.rels" => Some(relationships(&self.xml(part)?, sheets.len())),
            "xl/workbook.xml" => workbook(&self.xml(part)?, sheets),
            "docProps/app.xml" => titles(&self.xml(part)?, sheets),
            _ => return Ok(None),
        };
        listed.map(Some).ok_or_else(|| broken(format_args!("unexpected {}", part.name)))
    }

    /// The XML of the template.
    pub fn template(&self) -> Result<String, Rejection> {
        let part = self.parts.iter().find(|part| part.name == TEMPLATE_PART).ok_or_else(|| broken(TEMPLATE_PART))?;
        self.xml(part)
    }
}

/// Name of the part of worksheet `number`, from 1.
pub(super) fn worksheet_part(number: usize) -> String {
    format!("xl/worksheets/sheet{number}.xml")
}

/// The number of a worksheet's part; `None` for any other part.
pub(super) fn worksheet_number(part: &str) -> Option<usize> {
    part.strip_prefix("xl/worksheets/sheet")?.strip_suffix(".xml")?.parse().ok()
}

/// A sheet of data, cut into what is the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SheetTemplate {
    /// Up to `<dimension>`.
    pub start: String,
    /// Between `<dimension>` and `<cols>`, of the sheet that is shown first.
    pub views_first: String,
    /// The same of any other sheet.
    pub views: String,
    /// From behind `<autoFilter>` to the end.
    pub end: String,
    /// `cellXfs` index of header cells.
    pub header_style: u16,
    /// `cellXfs` indexes of the table of styles.
    pub styles: Styles,
}

impl SheetTemplate {
    /// Cuts the template; `None` if it does not look as expected.
    pub fn parse(template: &str) -> Option<SheetTemplate> {
        let (start, rest) = template.split_once("<dimension ")?;
        let (_, rest) = rest.split_once("/>")?;
        let (views_first, rest) = rest.split_once("<sheetData>")?;
        let (rows, end) = rest.split_once("</sheetData>")?;
        let mut indexes = [0; StyleId::COUNT];
        for (column, style) in (0..).zip(StyleId::all()) {
            if style.num_format().is_some() {
                indexes[style.index()] = style_of(rows, &row_col_to_cell(1, column))?;
            }
        }
        Some(SheetTemplate {
            start: start.to_owned(),
            views_first: views_first.to_owned(),
            views: views_first.replacen(" tabSelected=\"1\"", "", 1),
            end: end.to_owned(),
            header_style: style_of(rows, "A1")?,
            styles: Styles::new(indexes),
        })
    }
}

/// The `s` attribute of a cell.
fn style_of(rows: &str, cell: &str) -> Option<u16> {
    let (_, rest) = rows.split_once(&format!("<c r=\"{cell}\""))?;
    let (attributes, _) = rest.split_once('>')?;
    let (_, style) = attributes.split_once(" s=\"")?;
    style.split_once('"')?.0.parse().ok()
}

/// A sheet in the lists of the package: its name, and last row and last column (from 0) of its filter, which begins at A1.
pub(super) type Listed = (String, Option<(u32, u16)>);

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
fn titles(xml: &str, sheets: &[Listed]) -> Option<String> {
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
    xml::escape(text, &mut escaped);
    out.push_str(&String::from_utf8_lossy(&escaped));
}

/// Sheet names have no control characters, so markup is all there is to escape.
fn escape_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Lang;

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
                let Some(xml) = small.list_sheets(part, &listed).expect("a known form") else { continue };
                let same = expected.parts().iter().find(|other| other.name == part.name).expect("the same part");
                assert_eq!(xml, expected.xml(same).expect("XML"), "{}", part.name);
                lists += 1;
            }
            assert_eq!(lists, 4);
        }
    }

    #[test]
    fn every_style_of_the_table_has_its_format() {
        let skeleton = skeleton(&["Sheet1"], false);
        let template = SheetTemplate::parse(&skeleton.template().expect("XML")).expect("a template");
        let part = skeleton.parts().iter().find(|part| part.name == "xl/styles.xml").expect("styles");
        let xml = skeleton.xml(part).expect("XML");
        let (_, formats) = xml.split_once("<cellXfs ").expect("formats");
        let formats: Vec<&str> = formats.split("<xf ").skip(1).collect();
        let mut seen = vec![0, template.header_style];
        for style in StyleId::all() {
            let index = template.styles.index(style);
            let Some(format) = style.num_format() else {
                assert_eq!(index, 0, "general cells carry no style");
                continue;
            };
            assert!(!seen.contains(&index), "{format} has an index of its own");
            seen.push(index);
            let (_, id) = formats[usize::from(index)].split_once("numFmtId=\"").expect("a number format");
            let id = &id[..id.find('"').expect("closed")];
            let built_in = [("1", "0"), ("2", "0.00")];
            let custom = format!("numFmtId=\"{id}\" formatCode=\"{format}\"");
            assert!(built_in.contains(&(id, format)) || xml.contains(&custom), "{format} is {id}");
        }
        assert!(formats[usize::from(template.header_style)].contains("fontId=\"1\""));
    }

    #[test]
    fn unexpected_templates_are_refused() {
        let template = skeleton(&["Sheet1"], false).template().expect("XML");
        for gone in ["<dimension ", "<sheetData>", "</sheetData>", "r=\"A1\"", "r=\"T2\""] {
            assert!(template.contains(gone), "{gone}");
            assert_eq!(SheetTemplate::parse(&template.replace(gone, "")), None, "{gone}");
        }
    }
}

//! The parts of a workbook that rust_xlsxwriter makes: everything but the rows. A skeleton has one empty sheet of rows, the template; its
//! parts are copied as they are, except that the template becomes any number of sheets, and the lists of sheets grow with it.
//!
//! One sheet costs rust_xlsxwriter over 100 us (a thread and a compressor each), too much for 2,000 sheets.

use std::fmt::Display;
use std::io::Read;

use flate2::read::DeflateDecoder;
use rust_xlsxwriter::utility::row_col_to_cell;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};

use crate::page::{StyleId, Styles};
use crate::record::{Message, Rejection};
use crate::sink::WorkbookConfig;
use crate::sink::formats::{Font, Formats, HeaderAlign, ROW_PIXELS};
use crate::sink::zip::{Method, StoredPart, read_directory};

/// Part of the template.
pub(super) const TEMPLATE_PART: &str = "xl/worksheets/sheet1.xml";
/// Rows of the template, from 0: the header formats, the table of styles, the formats of wrapped text and of *Summary*.
const HEADER_ROW: u32 = 0;
const STYLE_ROW: u32 = 1;
const WRAPPED_ROW: u32 = 2;
const SUMMARY_ROW: u32 = 3;
/// A4, as files number paper sizes (ECMA-376 part 1, 18.3.1.63).
const A4: u8 = 9;
/// The name of the sheet, the page and how many there are.
const FOOTER: &str = "&L&A&R&P / &N";
/// The fixed date in the document properties: year, month, day.
const CREATED: (u16, u8, u8) = (2000, 1, 1);
/// Longest title in the document properties, in characters.
const TITLE_LENGTH_MAX: usize = 255;

/// The rejection of an upload for a fault of ours.
pub(super) fn broken(what: impl Display) -> Rejection {
    Rejection::new(Message::WorkbookFailed { why: what.to_string() })
}

/// A workbook without rows of data, as a container of parts.
#[derive(Debug)]
pub(super) struct Skeleton {
    container: Vec<u8>,
    parts: Vec<StoredPart>,
}

impl Skeleton {
    /// Makes a workbook of the template and the sheets that `add` adds behind it.
    pub(super) fn make(
        config: &WorkbookConfig,
        title: &str,
        add: impl FnOnce(&mut Workbook, &Formats) -> Result<(), XlsxError>,
    ) -> Result<Skeleton, Rejection> {
        let container = Self::save(config, title, add).map_err(broken)?;
        let parts = read_directory(&container).ok_or_else(|| broken("unreadable skeleton"))?;
        Ok(Skeleton { container, parts })
    }

    fn save(
        config: &WorkbookConfig,
        title: &str,
        add: impl FnOnce(&mut Workbook, &Formats) -> Result<(), XlsxError>,
    ) -> Result<Vec<u8>, XlsxError> {
        let (font, formats) = (Font::of(config.lang), Formats::of(config.lang));
        let mut workbook = Workbook::new();
        workbook.set_default_format(&formats.plain, ROW_PIXELS, font.column)?;
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
        for (column, header) in (0..).zip(&formats.headers) {
            template.write_blank(HEADER_ROW, column, header)?;
        }
        for (column, style) in (0..).zip(StyleId::all()) {
            if let Some(format) = formats.of_style(style) {
                template.write_blank(STYLE_ROW, column, &format)?;
            }
        }
        template.write_blank(WRAPPED_ROW, 0, &formats.wrapped)?;
        template.write_blank(WRAPPED_ROW, 1, &formats.number)?;
        for (column, format) in (0..).zip(&formats.summary) {
            template.write_blank(SUMMARY_ROW, column, format)?;
        }
        if config.freeze_header {
            template.set_freeze_panes(1, 0)?;
        }
        set_up_page(template);
        template.set_landscape();
        add(&mut workbook, &formats)?;
        workbook.save_to_buffer()
    }

    /// The parts in their order.
    pub(super) fn parts(&self) -> &[StoredPart] {
        &self.parts
    }

    /// The bytes of a part as the container has them.
    pub(super) fn raw(&self, part: &StoredPart) -> &[u8] {
        &self.container[part.bytes.clone()]
    }

    /// The XML of a part.
    pub(super) fn xml(&self, part: &StoredPart) -> Result<String, Rejection> {
        let mut text = String::new();
        let read = match part.facts.method {
            Method::Deflated => DeflateDecoder::new(self.raw(part)).read_to_string(&mut text),
            Method::Stored => self.raw(part).read_to_string(&mut text),
        };
        read.map_err(|error| broken(format_args!("{}: {error}", part.name)))?;
        Ok(text)
    }

    /// The XML of the template.
    pub(super) fn template(&self) -> Result<String, Rejection> {
        let part = self.parts.iter().find(|part| part.name == TEMPLATE_PART).ok_or_else(|| broken(TEMPLATE_PART))?;
        self.xml(part)
    }
}

/// Fits a sheet to the width of A4, with its name and the page number below.
pub(super) fn set_up_page(sheet: &mut Worksheet) {
    sheet.set_paper_size(A4).set_print_fit_to_pages(1, 0).set_footer(FOOTER);
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
    /// `cellXfs` indexes of header cells, by [`HeaderAlign`].
    header_styles: [u16; 3],
    /// `cellXfs` indexes of the table of styles.
    pub styles: Styles,
    /// `cellXfs` indexes of text that takes several lines, and of a number beside it.
    pub wrapped_styles: [u16; 2],
    /// `cellXfs` indexes of *Summary*, in the order of [`Formats::summary`].
    pub summary_styles: [u16; 4],
}

impl SheetTemplate {
    /// Cuts the template; `None` if it does not look as expected.
    pub(super) fn parse(template: &str) -> Option<SheetTemplate> {
        let (start, rest) = template.split_once("<dimension ")?;
        let (_, rest) = rest.split_once("/>")?;
        let (views_first, rest) = rest.split_once("<sheetData>")?;
        let (rows, end) = rest.split_once("</sheetData>")?;
        let style_at = |row, column| style_of(rows, &row_col_to_cell(row, column));
        let mut indexes = [0; StyleId::COUNT];
        for (column, style) in (0..).zip(StyleId::all()) {
            if style.num_format().is_some() || style == StyleId::LINK {
                indexes[style.index()] = style_at(STYLE_ROW, column)?;
            }
        }
        Some(SheetTemplate {
            start: start.to_owned(),
            views_first: views_first.to_owned(),
            views: views_first.replacen(" tabSelected=\"1\"", "", 1),
            end: end.to_owned(),
            header_styles: [style_at(HEADER_ROW, 0)?, style_at(HEADER_ROW, 1)?, style_at(HEADER_ROW, 2)?],
            styles: Styles::new(indexes),
            wrapped_styles: [style_at(WRAPPED_ROW, 0)?, style_at(WRAPPED_ROW, 1)?],
            summary_styles: [
                style_at(SUMMARY_ROW, 0)?,
                style_at(SUMMARY_ROW, 1)?,
                style_at(SUMMARY_ROW, 2)?,
                style_at(SUMMARY_ROW, 3)?,
            ],
        })
    }

    /// `cellXfs` index of the cell that names a column.
    pub(super) fn header_style(&self, align: HeaderAlign) -> u16 {
        self.header_styles[align as usize]
    }
}

/// The `s` attribute of a cell.
fn style_of(rows: &str, cell: &str) -> Option<u16> {
    let (_, rest) = rows.split_once(&format!("<c r=\"{cell}\""))?;
    let (attributes, _) = rest.split_once('>')?;
    let (_, style) = attributes.split_once(" s=\"")?;
    style.split_once('"')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::LOOK;

    fn skeleton() -> Skeleton {
        Skeleton::make(&LOOK, "", |_, _| Ok(())).expect("a skeleton")
    }

    #[test]
    fn every_style_of_the_table_has_its_format() {
        let skeleton = skeleton();
        let template = SheetTemplate::parse(&skeleton.template().expect("XML")).expect("a template");
        let part = skeleton.parts().iter().find(|part| part.name == "xl/styles.xml").expect("styles");
        let xml = skeleton.xml(part).expect("XML");
        let (_, formats) = xml.split_once("<cellXfs ").expect("formats");
        let formats: Vec<&str> = formats.split("<xf ").skip(1).collect();
        let mut seen = [&[0][..], &template.header_styles].concat();
        for style in StyleId::all() {
            let index = template.styles.index(style);
            let Some(format) = style.num_format() else {
                assert_eq!(index > 0, style == StyleId::LINK, "general cells carry no style");
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
        assert!(formats[usize::from(template.header_style(HeaderAlign::Left))].contains("fontId=\"1\""));
        assert!(formats[usize::from(template.header_style(HeaderAlign::Right))].contains("horizontal=\"right\""));
        let [wrapped, _] = template.wrapped_styles;
        assert!(formats[usize::from(wrapped)].contains("wrapText=\"1\""));
    }

    #[test]
    fn unexpected_templates_are_refused() {
        let template = skeleton().template().expect("XML");
        for gone in ["<dimension ", "<sheetData>", "</sheetData>", "r=\"A1\"", "r=\"T2\"", "r=\"A3\""] {
            assert!(template.contains(gone), "{gone}");
            assert_eq!(SheetTemplate::parse(&template.replace(gone, "")), None, "{gone}");
        }
    }
}

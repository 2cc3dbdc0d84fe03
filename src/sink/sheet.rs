//! A worksheet of rows: its name, its pages, and the XML around them. With 2,000 sheets, compressing that XML is most of the work. So the
//! XML that all sheets share is compressed once, and the little that differs is stored.

use std::fmt::Write as _;

use rust_xlsxwriter::utility::{cell_range, quote_sheet_name};

use crate::page::{CutPage, OpenPage, PageWriter, xml};
use crate::record::{ColumnLook, ColumnType, Rejection, SheetName};
use crate::sink::formats::{Font, HeaderAlign};
use crate::sink::package::Package;
use crate::sink::sheet_names::SheetNamer;
use crate::sink::skeleton::{SheetTemplate, broken};
use crate::sink::{CompletePage, CompleteUpload, WorkbookConfig};

/// Narrowest and widest column, in characters.
const WIDTHS: [u16; 2] = [6, 60];
/// Characters that a filter button covers.
const FILTER_BUTTON: u16 = 3;
/// Characters of room behind the widest cell.
const ROOM: u16 = 2;

/// A sheet of an upload, or as much of it as fits one worksheet; or the sheet of its errors.
#[derive(Debug)]
pub(super) struct RowSheet<'a> {
    /// Its name.
    pub name: SheetName,
    /// The value that named it.
    pub value: &'a str,
    /// Rows below the header.
    pub rows: u32,
    /// How many of them the filter covers.
    pub filtered: u32,
    /// Their pages.
    pub pages: &'a [CompletePage],
    /// How each column looks, as far as known.
    pub looks: &'a [ColumnLook],
}

impl<'a> RowSheet<'a> {
    /// The worksheets of an upload, each with at most `rows_max` rows, in their order.
    pub(super) fn all(
        complete: &'a CompleteUpload,
        namer: &mut SheetNamer,
        rows_max: u64,
    ) -> Result<Vec<RowSheet<'a>>, Rejection> {
        let mut sheets = Vec::with_capacity(complete.sheets.len());
        for sheet in &complete.sheets {
            let (mut first, mut rows) = (0, 0);
            let mut add = |pages, rows: u64| {
                let (name, rows) = (namer.name(&sheet.value), rows as u32);
                let looks = &sheet.looks;
                sheets.push(RowSheet { name, value: &sheet.value, rows, filtered: rows, pages, looks });
            };
            for (index, page) in sheet.pages.iter().enumerate() {
                if rows == rows_max {
                    add(&sheet.pages[first..index], rows);
                    (first, rows) = (index, 0);
                }
                rows += u64::from(page.rows());
                if rows > rows_max {
                    return Err(broken("a page crosses the end of a worksheet"));
                }
            }
            add(&sheet.pages[first..], rows);
        }
        Ok(sheets)
    }
}

/// The XML around the rows of worksheets that have the same columns.
#[derive(Debug)]
pub(super) struct Frame {
    autofilter: bool,
    font: Font,
    /// Widths of the column names.
    widths: Vec<u16>,
    start: CutPage,
    views_first: CutPage,
    views: CutPage,
    /// `<sheetData>` and the row of column names.
    header: CutPage,
    end: CutPage,
}

impl Frame {
    /// The frame for these column names.
    pub(super) fn new(
        template: &SheetTemplate,
        columns: &[(&str, HeaderAlign)],
        config: &WorkbookConfig,
        writer: &mut PageWriter,
    ) -> Frame {
        let mut names = OpenPage::default();
        columns.iter().for_each(|(name, _)| names.cell(name, ColumnType::Text));
        let mut looks = Vec::with_capacity(columns.len());
        names.looks(&mut looks);
        let styled: Vec<_> = columns.iter().map(|(name, align)| (*name, template.header_style(*align))).collect();
        let header = header_row(&styled, config.cell_refs);
        Frame {
            autofilter: config.autofilter,
            font: Font::of(config.lang),
            widths: looks.iter().map(|look| look.width).collect(),
            start: writer.wrap(template.start.as_bytes()),
            views_first: writer.wrap(template.views_first.as_bytes()),
            views: writer.wrap(template.views.as_bytes()),
            header: writer.wrap(&header),
            end: writer.wrap(template.end.as_bytes()),
        }
    }

    /// Last row and last column of the sheet's filter, from 0.
    pub(super) fn filter(&self, sheet: &RowSheet<'_>) -> Option<(u32, u16)> {
        self.last_column().filter(|_| self.autofilter).map(|column| (sheet.filtered, column))
    }

    /// Adds a worksheet to the package. One of its worksheets is the first one shown.
    pub(super) fn add(
        &self,
        sheet: &RowSheet<'_>,
        part: &str,
        is_first: bool,
        writer: &mut PageWriter,
        package: &mut Package,
    ) {
        let all = self.last_column().map_or_else(|| "A1".to_owned(), |column| cell_range(0, 0, sheet.rows, column));
        let dimension = stored(&format!("<dimension ref=\"{all}\"/>"));
        let views = if is_first { &self.views_first } else { &self.views };
        let columns = writer.wrap(self.columns(sheet.looks).as_bytes());
        let filter = self.filter(sheet).map(|(row, column)| cell_range(0, 0, row, column));
        let filter = filter.map_or_else(String::new, |range| format!("<autoFilter ref=\"{range}\"/>"));
        let close = stored(&format!("</sheetData>{filter}"));
        package.sheet(
            part,
            &[&self.start, &dimension, views, &columns, &self.header],
            sheet.pages,
            &[&close, &self.end],
        );
    }

    /// Whether there is a row of names.
    pub(super) fn has_columns(&self) -> bool {
        !self.widths.is_empty()
    }

    fn last_column(&self) -> Option<u16> {
        self.widths.len().checked_sub(1).map(|last| last as u16)
    }

    /// `<cols>`: wide enough for the names and the widest cell, neighbours of one width together.
    fn columns(&self, cells: &[ColumnLook]) -> String {
        let button = if self.autofilter { FILTER_BUTTON } else { 0 };
        let width = |(column, name): (usize, &u16)| {
            let cell = cells.get(column).map_or(0, |look| look.width);
            (cell.max(name.saturating_add(button)).saturating_add(ROOM)).clamp(WIDTHS[0], WIDTHS[1])
        };
        let widths: Vec<u16> = self.widths.iter().enumerate().map(width).collect();
        if widths.is_empty() {
            return String::new();
        }
        let mut columns = "<cols>".to_owned();
        let mut min = 1;
        for run in widths.chunk_by(|a, b| a == b) {
            let max = min + run.len() - 1;
            let width = stated_width(run[0], self.font.digit);
            // Writing to a string cannot fail.
            write!(columns, "<col min=\"{min}\" max=\"{max}\" width=\"{width}\" customWidth=\"1\"/>").ok();
            min = max + 1;
        }
        columns.push_str("</cols>");
        columns
    }
}

/// `<sheetData>` and a row of these names as text cells, each with its style.
fn header_row(columns: &[(&str, u16)], cell_refs: bool) -> Vec<u8> {
    let mut row = b"<sheetData>".to_vec();
    if !columns.is_empty() {
        let cells: Vec<Cell<'_>> = columns.iter().map(|(name, style)| Cell::Text(name, *style)).collect();
        write_row(1, None, &cells, cell_refs, &mut row);
    }
    row
}

/// A cell that is no page's: what it shows, and its style.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Text(&'a str, u16),
    Number(&'a str, u16),
    /// A link to the sheet of this name, which it shows.
    Sheet(&'a str, u16),
}

/// A row of such cells. `height` is in points.
pub(super) fn write_row(number: u32, height: Option<u32>, cells: &[Cell<'_>], cell_refs: bool, row: &mut Vec<u8>) {
    row.extend_from_slice(b"<row");
    if cell_refs {
        row.extend_from_slice(format!(" r=\"{number}\"").as_bytes());
    }
    if let Some(height) = height {
        row.extend_from_slice(format!(" ht=\"{height}\"").as_bytes());
    }
    row.push(b'>');
    for (column, cell) in (0..).zip(cells) {
        row.extend_from_slice(b"<c");
        if cell_refs {
            row.extend_from_slice(b" r=\"");
            xml::column_name(column, row);
            row.extend_from_slice(format!("{number}\"").as_bytes());
        }
        match cell {
            Cell::Text("", style) if number > 1 => row.extend_from_slice(format!(" s=\"{style}\"/>").as_bytes()),
            Cell::Text(text, style) => {
                let start = format!(" s=\"{style}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">");
                row.extend_from_slice(start.as_bytes());
                xml::escape(text.as_bytes(), |piece| row.extend_from_slice(piece));
                row.extend_from_slice(b"</t></is></c>");
            }
            Cell::Sheet(name, style) => {
                let target = format!("#{}!A1", quote_sheet_name(name));
                row.extend_from_slice(format!(" s=\"{style}\" t=\"str\"><f>HYPERLINK(").as_bytes());
                for (text, end) in [(target.as_str(), ","), (*name, ")</f><v>")] {
                    // Text in a formula has its quotes doubled.
                    let text = format!("\"{}\"", text.replace('"', "\"\""));
                    xml::escape(text.as_bytes(), |piece| row.extend_from_slice(piece));
                    row.extend_from_slice(end.as_bytes());
                }
                xml::escape(name.as_bytes(), |piece| row.extend_from_slice(piece));
                row.extend_from_slice(b"</v></c>");
            }
            Cell::Number(text, style) => row.extend_from_slice(format!(" s=\"{style}\"><v>{text}</v></c>").as_bytes()),
        }
    }
    row.extend_from_slice(b"</row>");
}

/// A segment of a few bytes, not compressed: a stored block that is not the last one (RFC 1951, 3.2.4).
fn stored(xml: &str) -> CutPage {
    let length = u16::try_from(xml.len()).expect("a range and a tag or two");
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(!length).to_le_bytes());
    bytes.extend_from_slice(xml.as_bytes());
    CutPage { bytes, xml_crc: crc32fast::hash(xml.as_bytes()), xml_length: length.into(), rows: 0 }
}

/// The width that a file states for a column of this many digits of `digit` pixels: a cell has 5 more, and widths are 256ths of a digit
/// (ECMA-376 part 1, 18.3.1.13).
fn stated_width(characters: u16, digit: u32) -> f64 {
    let pixels = u32::from(characters) * digit + 5;
    f64::from(pixels * 256 / digit) / 256.0
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::DeflateDecoder;

    use super::*;
    use crate::sink::skeleton::{Skeleton, set_up_page};
    use crate::sink::tests::LOOK;
    use crate::sink::zip::read_directory;
    use crate::state::{InMemoryStore, StateError};

    fn template() -> SheetTemplate {
        let skeleton = Skeleton::make(&LOOK, "", |_, _| Ok(())).expect("a skeleton");
        SheetTemplate::parse(&skeleton.template().expect("XML")).expect("a template")
    }

    /// The first worksheet as the library writes it.
    fn library(rows: u32, widths: &[u16]) -> String {
        let skeleton = Skeleton::make(&LOOK, "", |workbook, _| {
            let last = widths.len() as u16 - 1;
            let sheet = workbook.add_worksheet();
            sheet.set_freeze_panes(1, 0)?;
            set_up_page(sheet);
            sheet.set_landscape();
            sheet.autofilter(0, 0, rows, last)?;
            sheet.write_number(rows, last, 1)?;
            sheet.write_number(0, 0, 1)?;
            for (column, width) in (0..).zip(widths) {
                sheet.set_column_width(column, *width)?;
            }
            Ok(())
        });
        let skeleton = skeleton.expect("a skeleton");
        let part = skeleton.parts().iter().find(|part| part.name.ends_with("sheet2.xml")).expect("the second sheet");
        skeleton.xml(part).expect("XML")
    }

    /// The first worksheet as we write it.
    fn ours(frame: &Frame, writer: &mut PageWriter, rows: u32, widths: &[u16], is_first: bool) -> String {
        let name = SheetName::parse("s").expect("a name");
        let looks: Vec<_> = widths.iter().map(|&width| ColumnLook { width, ..ColumnLook::default() }).collect();
        let sheet = RowSheet { name, value: "s", rows, filtered: rows, pages: &[], looks: &looks };
        let mut package = Package::default();
        frame.add(&sheet, "sheet", is_first, writer, &mut package);
        let mut file = Vec::new();
        let write = package.finish().write(&InMemoryStore::new(), &mut |bytes| {
            file.extend_from_slice(bytes);
            Ok::<(), StateError>(())
        });
        write.expect("no pages to read");
        let part = &read_directory(&file).expect("a container")[0];
        let mut xml = String::new();
        DeflateDecoder::new(&file[part.bytes.clone()]).read_to_string(&mut xml).expect("deflate");
        assert_eq!((part.facts.crc, part.facts.size), (crc32fast::hash(xml.as_bytes()), xml.len() as u64));
        xml
    }

    #[test]
    fn heads_and_tails_are_what_the_library_writes() {
        let template = template();
        let mut writer = PageWriter::new(template.styles.clone(), true);
        let columns = ["n", "a name of thirty characters ok", "다섯글자임", "n", "", "n"];
        let cells = [3, 10, 12, 60, 59, 10_000];
        let expected_widths = [6, 35, 15, 60, 60, 60];
        let columns = columns.map(|name| (name, HeaderAlign::Left));
        let frame = Frame::new(&template, &columns, &LOOK, &mut writer);
        for rows in [0, 1, 50, 1_048_575] {
            let (expected, sheet) = (library(rows, &expected_widths), ours(&frame, &mut writer, rows, &cells, false));
            let cut = |xml: &str| -> [String; 3] {
                let (head, rest) = xml.split_once("<sheetData>").expect("rows");
                let (rows, tail) = rest.split_once("</sheetData>").expect("rows");
                [head, rows, tail].map(str::to_owned)
            };
            let ([head, header, tail], [expected_head, _, expected_tail]) = (cut(&sheet), cut(&expected));
            assert_eq!((head, tail), (expected_head, expected_tail));
            let first = "<row r=\"1\"><c r=\"A1\" s=\"1\" t=\"inlineStr\"><is><t xml:space=\"preserve\">n</t>";
            assert!(header.starts_with(first));
            assert!(header.contains("<c r=\"F1\"") && header.ends_with("</is></c></row>"));
        }
    }

    #[test]
    fn widths_may_be_fewer_than_columns() {
        let template = template();
        let mut writer = PageWriter::new(template.styles.clone(), false);
        let plain = WorkbookConfig { autofilter: false, cell_refs: false, ..LOOK };
        let frame = Frame::new(&template, &["0", "1", "2"].map(|name| (name, HeaderAlign::Left)), &plain, &mut writer);
        let xml = ours(&frame, &mut writer, 0, &[9], true);
        let columns = "<col min=\"1\" max=\"1\" width=\"11.7109375\" customWidth=\"1\"/><col min=\"2\" max=\"3\" ";
        assert!(xml.contains(columns));
        assert!(xml.contains("tabSelected=\"1\"") && xml.contains("<row><c s=\"1\" t=\"inlineStr\">"));
        assert!(!xml.contains("autoFilter"));
    }
}

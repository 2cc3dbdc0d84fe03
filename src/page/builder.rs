//! From open pages to cut ones: renders the rows of a sheet and compresses them.

use crate::page::deflate::Deflate;
use crate::page::open::{Item, OpenPage};
use crate::page::styles::{StyleId, Styles};
use crate::page::{CutPage, xml};

/// Makes pages. It owns the scratch that they need; one serves any number of sheets with the same styles. The bytes of a page depend on its
/// rows, their row numbers, the styles and `cell_refs`, never on what the writer made before.
#[derive(Debug)]
pub struct PageWriter {
    styles: Styles,
    cell_refs: bool,
    deflate: Deflate,
    xml: Vec<u8>,
}

impl PageWriter {
    /// With `cell_refs`, rows and cells carry their reference and blank cells are left out.
    pub fn new(styles: Styles, cell_refs: bool) -> PageWriter {
        PageWriter { styles, cell_refs, deflate: Deflate::default(), xml: Vec::new() }
    }

    /// Makes a page of the rows of `page` and clears it. `first_row` is the worksheet's number of its first row; 2 is the one right below
    /// the header.
    pub fn cut(&mut self, page: &mut OpenPage, first_row: u32) -> CutPage {
        self.xml.clear();
        let mut row = first_row;
        let mut column = 0;
        let mut at_start = true;
        for item in page.items() {
            if at_start {
                self.row_start(row);
            }
            at_start = item == Item::RowEnd;
            match item {
                Item::Blank if self.cell_refs => {}
                Item::Blank => self.xml.extend_from_slice(b"<c/>"),
                Item::Cell(style, value) => self.cell(style, value, column, row),
                Item::RowEnd => {
                    self.xml.extend_from_slice(b"</row>");
                    row += 1;
                    column = 0;
                    continue;
                }
            }
            column += 1;
        }
        let cut = self.deflate.segment(&self.xml, page.rows());
        page.clear();
        cut
    }

    /// Makes a segment without rows of any XML: the head and the tail of a sheet, other parts.
    pub fn wrap(&mut self, xml: &[u8]) -> CutPage {
        self.deflate.segment(xml, 0)
    }

    fn row_start(&mut self, row: u32) {
        if self.cell_refs {
            self.xml.extend_from_slice(b"<row r=\"");
            self.xml.extend_from_slice(itoa::Buffer::new().format(row).as_bytes());
            self.xml.extend_from_slice(b"\">");
        } else {
            self.xml.extend_from_slice(b"<row>");
        }
    }

    fn cell(&mut self, style: StyleId, value: &str, column: u32, row: u32) {
        let out = &mut self.xml;
        out.extend_from_slice(b"<c");
        if self.cell_refs {
            out.extend_from_slice(b" r=\"");
            xml::column_name(column, out);
            out.extend_from_slice(itoa::Buffer::new().format(row).as_bytes());
            out.push(b'"');
        }
        let index = self.styles.index(style);
        if index != 0 {
            out.extend_from_slice(b" s=\"");
            out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
            out.push(b'"');
        }
        match style {
            StyleId::TEXT => {
                out.extend_from_slice(b" t=\"inlineStr\"><is><t");
                out.extend_from_slice(if xml::must_preserve(value) { b" xml:space=\"preserve\">" } else { b">" });
                xml::escape(value, out);
                out.extend_from_slice(b"</t></is></c>");
            }
            StyleId::BOOLEAN => {
                out.extend_from_slice(b" t=\"b\"><v>");
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(b"</v></c>");
            }
            _ => {
                out.extend_from_slice(b"><v>");
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(b"</v></c>");
            }
        }
    }
}

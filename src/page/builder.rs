//! From open pages to cut ones: renders the rows of a sheet and compresses them.

use super::CutPage;
use super::deflate::Deflate;
use super::matches::Matches;
use super::open::Item;
pub use super::open::OpenPage;
use super::render::Renderer;
use super::styles::Styles;

/// Makes pages. It owns the scratch that they need; one serves any number of sheets with the same styles. The bytes of a page depend on its
/// rows, their row numbers, the styles and `cell_refs`, never on what the writer made before.
#[derive(Debug)]
pub struct PageWriter {
    styles: Styles,
    cell_refs: bool,
    renderer: Renderer,
    matches: Matches,
    deflate: Deflate,
}

impl PageWriter {
    /// With `cell_refs`, rows and cells carry their reference and blank cells are left out.
    pub fn new(styles: Styles, cell_refs: bool) -> PageWriter {
        PageWriter {
            renderer: Renderer::new(&styles, cell_refs),
            matches: Matches::default(),
            deflate: Deflate::default(),
            styles,
            cell_refs,
        }
    }

    /// Its settings: its pages depend on them and on their rows alone.
    pub(super) fn look(&self) -> (&Styles, bool) {
        (&self.styles, self.cell_refs)
    }

    /// Makes a page of the rows of `page`, which have ended, and clears it. `first_row` is the worksheet's number of its first row; 2 is
    /// the one right below the header.
    pub fn cut(&mut self, page: &mut OpenPage, first_row: u32) -> CutPage {
        self.renderer.start(first_row);
        for item in page.items() {
            match item {
                Item::Cell(style, value) => self.renderer.cell(style, value),
                Item::Blank => self.renderer.blank(),
                Item::RowEnd => {
                    self.renderer.end_row();
                    let (xml, cells) = self.renderer.row();
                    self.matches.row(xml, cells, &mut self.deflate);
                }
            }
        }
        let cut = finish(&mut self.matches, &mut self.deflate, self.renderer.xml(), page.rows());
        self.renderer.finish();
        page.clear();
        cut
    }

    /// Makes a segment without rows of any XML: the head and the tail of a sheet, other parts.
    pub fn wrap(&mut self, xml: &[u8]) -> CutPage {
        self.matches.search(xml, &mut self.deflate);
        finish(&mut self.matches, &mut self.deflate, xml, 0)
    }
}

fn finish(matches: &mut Matches, deflate: &mut Deflate, xml: &[u8], rows: u32) -> CutPage {
    matches.finish(xml.len());
    CutPage { bytes: deflate.finish(xml), xml_crc: crc32fast::hash(xml), xml_length: xml.len() as u32, rows }
}

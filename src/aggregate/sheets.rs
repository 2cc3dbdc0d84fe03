//! The sheets of one upload: which value is which sheet, its open page, and the pages that are cut. Rows come here in order; when a page is
//! cut follows from that order alone.

use std::sync::Arc;

use ahash::HashMap;

use super::config::SheetOrder;
use super::page_queue::{PageQueue, PageSlot};
use super::segment::scratch_segment;
use super::upload_context::UploadContext;
use crate::page::{OPEN_ROWS_MAX, OpenPage};
use crate::record::{ColumnLook, Extras, NumberRange, Offset, RowKey, UploadHash};
use crate::sink::{CompletePage, CompleteSheet, SHEET_ROWS_MAX};
use crate::source::clean_name;
use crate::state::keys::{PageState, SheetState, StateKey, encode};
use crate::state::{PagePosition, StateError, StateStore, WriteBatch};

/// Bytes that the open pages of one upload hold before all of them are cut.
pub(super) const OPEN_BYTES_MAX: usize = 32 << 20;

/// The queue of pages, and the store that they go to.
pub(super) struct Pager<'a> {
    pub(super) queue: &'a mut PageQueue,
    pub(super) store: &'a mut dyn StateStore,
    /// Whether the ranges of the numbers in pages are wanted.
    pub(super) ranges: bool,
}

impl<'a> Pager<'a> {
    /// For the pages of an upload with these extras.
    pub(super) fn of(context: &'a mut UploadContext<'_, '_>, extras: Extras) -> Pager<'a> {
        let ranges = context.settings.ranges || extras.summary;
        Pager { queue: context.queue, store: context.ctx.store, ranges }
    }
}

/// The sheets of one upload, in order of their first row.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    sheets: Vec<Sheet>,
    by_value: HashMap<Arc<str>, usize>,
    last: usize,
    open_rows: u32,
    open_bytes: usize,
    /// Bytes of them on disk.
    spilled_bytes: usize,
    /// Sheets that the state has, of which there may be more pages.
    saved: usize,
}

#[derive(Debug)]
pub(super) struct Sheet {
    value: Arc<str>,
    /// Rows in cut pages.
    paged_rows: u64,
    pages: Vec<PageSlot>,
    paged_through: Option<RowKey>,
    looks: Vec<ColumnLook>,
    /// Of the numbers in cut pages.
    ranges: Vec<Option<NumberRange>>,
    open: OpenPage,
    /// Where the beginning of the open page is, in pieces: scratch, which a restart does not know.
    spilled: Vec<PagePosition>,
    /// Lowest offset of a row in the open page.
    open_from: Offset,
    /// Order key of its last row.
    open_through: RowKey,
    /// Pages that the state has; `None` when it does not have the sheet.
    saved: Option<u32>,
}

impl Sheets {
    /// Number of sheets.
    pub(super) fn len(&self) -> usize {
        self.sheets.len()
    }
    /// The sheets in order of their first row.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sheet> {
        self.sheets.iter()
    }
    /// Sheets that the state does not have yet.
    pub(super) fn unsaved(&self) -> usize {
        self.sheets.len() - self.saved
    }
    /// Rows in open pages.
    pub(super) fn open_rows(&self) -> u64 {
        self.open_rows.into()
    }
    /// Bytes of open pages in memory.
    pub(super) fn bytes_in_memory(&self) -> usize {
        self.open_bytes - self.spilled_bytes
    }

    /// Spills open pages that have `least` bytes in memory or more. When they are cut they are the same pages.
    pub(super) fn spill(
        &mut self,
        least: usize,
        scratch: UploadHash,
        store: &mut dyn StateStore,
    ) -> Result<(), StateError> {
        for sheet in self.sheets.iter_mut().filter(|sheet| sheet.open.bytes_in_memory() >= least.max(1)) {
            let cells = sheet.open.spill();
            sheet.spilled.push(store.append(scratch, &cells)?);
            self.spilled_bytes += cells.len();
        }
        Ok(())
    }

    /// Rows in cut pages.
    pub(super) fn paged_rows(&self) -> u64 {
        self.sheets.iter().map(|sheet| sheet.paged_rows).sum()
    }
    /// Lowest offset of a row that is in no cut page.
    pub(super) fn open_from(&self) -> Option<Offset> {
        self.sheets.iter().filter(|sheet| sheet.open.rows() > 0).map(|sheet| sheet.open_from).min()
    }
    /// The sheet of a value, if there is one. Values that look alike are the same, see [`clean_name`].
    pub(super) fn find(&mut self, value: &str) -> Option<usize> {
        if self.sheets.get(self.last).is_none_or(|sheet| &*sheet.value != value) {
            let found = self.by_value.get(value); // most values are clean, and one that names a sheet is
            self.last = *found.or_else(|| self.by_value.get(&*clean_name(value)))?;
        }
        Some(self.last)
    }

    /// Order key of the last row in a cut page of `sheet`.
    pub(super) fn paged_through(&self, sheet: usize) -> Option<RowKey> {
        self.sheets[sheet].paged_through
    }

    /// The sheet of a value, a new one if need be; `None` when there would be more than `sheets_max`.
    pub(super) fn find_or_add(&mut self, value: &str, sheets_max: u32) -> Option<usize> {
        if let Some(found) = self.find(value) {
            return Some(found);
        }
        if self.sheets.len() >= sheets_max as usize {
            return None;
        }
        self.last = self.add(Sheet::new((&*clean_name(value)).into()));
        Some(self.last)
    }

    fn add(&mut self, sheet: Sheet) -> usize {
        if self.sheets.is_empty() {
            self.sheets.reserve_exact(1); // of many uploads that are open most have one sheet
        }
        self.by_value.insert(Arc::clone(&sheet.value), self.sheets.len());
        self.sheets.push(sheet);
        self.sheets.len() - 1
    }

    /// Appends a row to `sheet` and cuts the pages that are full with it.
    pub(super) fn row(
        &mut self,
        sheet: usize,
        key: RowKey,
        offset: Offset,
        write: impl FnOnce(&mut OpenPage),
        segment: UploadHash,
        pager: &mut Pager,
    ) -> Result<(), StateError> {
        self.restore_row(sheet, key, offset, write);
        if self.open_rows >= OPEN_ROWS_MAX || self.open_bytes >= OPEN_BYTES_MAX {
            for sheet in &mut self.sheets {
                sheet.cut(segment, pager)?;
            }
            (self.open_rows, self.open_bytes, self.spilled_bytes) = (0, 0, 0);
        } else if self.sheets[sheet].is_due() {
            let sheet = &mut self.sheets[sheet];
            self.open_rows -= sheet.open.rows();
            self.open_bytes -= sheet.open.bytes();
            self.spilled_bytes -= sheet.open.bytes() - sheet.open.bytes_in_memory();
            sheet.cut(segment, pager)?;
        }
        Ok(())
    }

    /// Appends a row that was in the open page of `sheet` before a restart. True when it is out of place: the page would have been cut.
    pub(super) fn restore_row(
        &mut self,
        sheet: usize,
        key: RowKey,
        offset: Offset,
        write: impl FnOnce(&mut OpenPage),
    ) -> bool {
        let sheet = &mut self.sheets[sheet];
        let bytes = sheet.open.bytes();
        sheet.open_from = if sheet.open.rows() == 0 { offset } else { sheet.open_from.min(offset) };
        sheet.open_through = key;
        write(&mut sheet.open);
        sheet.open.end_row();
        self.open_rows += 1;
        self.open_bytes += sheet.open.bytes() - bytes;
        sheet.is_due() || self.open_rows >= OPEN_ROWS_MAX || self.open_bytes >= OPEN_BYTES_MAX
    }

    /// Cuts what is open into pages in memory and gives the sheets up, in workbook order. Without rows there is one sheet without a name.
    pub(super) fn complete(
        self,
        order: SheetOrder,
        segment: UploadHash,
        pager: &mut Pager,
    ) -> Result<Vec<CompleteSheet>, StateError> {
        pager.queue.settle(pager.store)?;
        let mut sheets =
            self.sheets.into_iter().map(|sheet| sheet.complete(segment, pager)).collect::<Result<Vec<_>, _>>()?;
        match order {
            SheetOrder::First => {}
            SheetOrder::Name => sheets.sort_by(|a, b| a.value.cmp(&b.value)),
        }
        if sheets.is_empty() {
            sheets.push(CompleteSheet {
                value: String::new(),
                pages: Vec::new(),
                looks: Vec::new(),
                ranges: Vec::new(),
            });
        }
        Ok(sheets)
    }

    /// Writes sheets and pages that the state does not have yet. No page may be under way.
    pub(super) fn write(&mut self, upload: UploadHash, into: &mut WriteBatch) {
        for (sheet, number) in self.sheets.iter_mut().zip(0..) {
            let pages = sheet.pages.len() as u32;
            if sheet.saved == Some(pages) {
                continue;
            }
            into.put(StateKey::Sheet(upload, number).encode(), encode(&sheet.state()));
            for page in sheet.saved.unwrap_or(0)..pages {
                into.put(StateKey::Page(upload, number, page).encode(), encode(sheet.pages[page as usize].get()));
            }
            sheet.saved = Some(pages);
        }
        self.saved = self.sheets.len();
    }

    /// Keys that the state has for these sheets.
    pub(super) fn saved_keys(&self, upload: UploadHash) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for (sheet, number) in self.sheets.iter().zip(0..) {
            let Some(pages) = sheet.saved else { continue };
            keys.push(StateKey::Sheet(upload, number).encode());
            keys.extend((0..pages).map(|page| StateKey::Page(upload, number, page).encode()));
        }
        keys
    }

    /// Takes sheets up from the state: each with its pages, in order. Fails with what contradicts itself.
    pub(super) fn restore(saved: Vec<(SheetState, Vec<PageState>)>) -> Result<Sheets, String> {
        let mut sheets = Sheets::default();
        for (state, pages) in saved {
            if pages.len() != state.pages as usize {
                return Err(format!("sheet {} has {} of {} pages", sheets.len(), pages.len(), state.pages));
            }
            if pages.iter().map(|page| u64::from(page.rows)).sum::<u64>() != state.paged_rows {
                return Err(format!("the pages of sheet {} do not have {} rows", sheets.len(), state.paged_rows));
            }
            if state.pages > 0 && state.paged_through.is_none() {
                return Err(format!("sheet {} does not say how far its pages go", sheets.len()));
            }
            let mut sheet = Sheet::new(state.value.into());
            sheet.saved = Some(state.pages);
            sheet.paged_rows = state.paged_rows;
            sheet.paged_through = state.paged_through;
            sheet.looks = state.looks;
            sheet.ranges = state.ranges;
            sheet.pages = pages.into_iter().map(PageSlot::from).collect();
            sheets.add(sheet);
        }
        sheets.saved = sheets.len();
        Ok(sheets)
    }
}

impl Sheet {
    fn new(value: Arc<str>) -> Sheet {
        Sheet {
            value,
            paged_rows: 0,
            pages: Vec::new(),
            paged_through: None,
            looks: Vec::new(),
            ranges: Vec::new(),
            open: OpenPage::default(),
            spilled: Vec::new(),
            open_from: Offset(0),
            open_through: RowKey::default(),
            saved: None,
        }
    }

    /// The value that names it.
    pub(super) fn value(&self) -> &str {
        &self.value
    }
    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.paged_rows + u64::from(self.open.rows())
    }
    /// Its cut pages, in order. None may be under way.
    pub(super) fn pages(&self) -> impl Iterator<Item = &PageState> {
        self.pages.iter().map(PageSlot::get)
    }
    /// The open page behind them, whole.
    pub(super) fn open_page(&self, segment: UploadHash, store: &dyn StateStore) -> Result<OpenPage, StateError> {
        let mut page = self.open.clone();
        reload(&mut page, &self.spilled, segment, store)?;
        Ok(page)
    }

    fn is_due(&self) -> bool {
        self.open.is_full() || self.rows().is_multiple_of(SHEET_ROWS_MAX)
    }

    fn cut(&mut self, segment: UploadHash, pager: &mut Pager) -> Result<(), StateError> {
        let Some(first_row) = self.finish_page(segment, pager)? else { return Ok(()) };
        let rows = self.open.rows();
        self.pages.push(pager.queue.cut(&mut self.open, first_row, segment, pager.store)?);
        self.paged_rows += u64::from(rows);
        self.paged_through = Some(self.open_through);
        Ok(())
    }

    /// Makes the open page ready to be cut: gives the number of its first row, unless it has none.
    fn finish_page(&mut self, segment: UploadHash, pager: &Pager) -> Result<Option<u32>, StateError> {
        if self.open.rows() == 0 {
            return Ok(None);
        }
        reload(&mut self.open, &self.spilled, segment, pager.store)?;
        self.spilled = Vec::new();
        if self.pages.is_empty() {
            self.open.looks(&mut self.looks);
        }
        if pager.ranges {
            self.open.ranges(&mut self.ranges);
        }
        // The header row is the first of every worksheet.
        Ok(Some((self.paged_rows % SHEET_ROWS_MAX + 2) as u32))
    }

    fn complete(mut self, segment: UploadHash, pager: &mut Pager) -> Result<CompleteSheet, StateError> {
        let last = self.finish_page(segment, pager)?;
        let last = last.map(|first_row| pager.queue.cut_last(&mut self.open, first_row));
        let mut pages: Vec<_> = self.pages().map(|page| CompletePage::Stored(segment, *page)).collect();
        pages.extend(last.map(|page| CompletePage::Inline(Arc::new(page))));
        Ok(CompleteSheet { value: self.value.to_string(), pages, looks: self.looks, ranges: self.ranges })
    }

    fn state(&self) -> SheetState {
        SheetState {
            value: self.value.to_string(),
            paged_rows: self.paged_rows,
            pages: self.pages.len() as u32,
            paged_through: self.paged_through,
            looks: self.looks.clone(),
            ranges: self.ranges.clone(),
        }
    }
}

/// Reads back the part of an open page that was spilled; `segment` is the one of its upload.
fn reload(
    page: &mut OpenPage,
    spilled: &[PagePosition],
    segment: UploadHash,
    store: &dyn StateStore,
) -> Result<(), StateError> {
    if spilled.is_empty() {
        return Ok(());
    }
    let (mut cells, mut piece) = (Vec::with_capacity(page.bytes()), Vec::new());
    for at in spilled {
        store.read(scratch_segment(segment), *at, &mut piece)?;
        cells.extend_from_slice(&piece);
    }
    page.reload(cells);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{PageWriter, StyleId, Styles};
    use crate::record::ColumnType;
    use crate::state::InMemoryStore;

    const SEGMENT: UploadHash = UploadHash([3; 16]);

    fn write(sheets: &mut Sheets, store: &mut InMemoryStore, values: impl Iterator<Item = (usize, String)>) {
        let mut queue = queue();
        for (sheet, cell) in values {
            let index = sheets.find_or_add(&format!("sheet {sheet}"), 100).expect("there is room");
            let mut pager = Pager { queue: &mut queue, store, ranges: true };
            let cell = |page: &mut OpenPage| page.cell(&cell, ColumnType::Text);
            sheets.row(index, RowKey::default(), Offset(7), cell, SEGMENT, &mut pager).expect("memory takes it");
        }
        queue.settle(store).expect("memory takes it");
    }

    fn queue() -> PageQueue {
        PageQueue::new(PageWriter::new(Styles::new([0; StyleId::COUNT]), false))
    }

    fn page_rows(sheets: &Sheets) -> Vec<Vec<u32>> {
        sheets.sheets.iter().map(|sheet| sheet.pages().map(|page| page.rows).collect()).collect()
    }

    #[test]
    fn an_upload_of_one_sheet_has_no_room_for_others() {
        let (mut sheets, mut store) = (Sheets::default(), InMemoryStore::new());
        write(&mut sheets, &mut store, [(0, "x".to_owned()), (0, "y".to_owned())].into_iter());
        assert_eq!((sheets.len(), sheets.sheets.capacity()), (1, 1));
    }

    #[test]
    fn all_open_pages_are_cut_when_the_upload_holds_too_many_rows() {
        let (mut sheets, mut store) = (Sheets::default(), InMemoryStore::new());
        let rows = OPEN_ROWS_MAX as usize;
        write(&mut sheets, &mut store, (0..rows).map(|row| (row % 80, "x".to_owned())));
        assert_eq!((sheets.open_rows(), sheets.open_from(), sheets.paged_rows()), (0, None, rows as u64));
        assert!(page_rows(&sheets).iter().all(|pages| matches!(pages[..], [819 | 820])));
        write(&mut sheets, &mut store, [(0, "y".to_owned())].into_iter());
        assert_eq!((sheets.open_rows(), sheets.open_from()), (1, Some(Offset(7))));
    }

    #[test]
    fn all_open_pages_are_cut_when_the_upload_holds_too_many_bytes() {
        let (mut sheets, mut store) = (Sheets::default(), InMemoryStore::new());
        let long = "x".repeat(30_000);
        write(&mut sheets, &mut store, (0..1_200).map(|row| (row % 8, long.clone())));
        assert!(sheets.open_bytes < OPEN_BYTES_MAX && sheets.paged_rows() > 1_000);
    }

    #[test]
    fn pages_are_the_same_when_their_rows_were_spilled_meanwhile() {
        let pages = |spilled: bool| {
            let (mut sheets, mut store) = (Sheets::default(), InMemoryStore::new());
            for round in 0..40 {
                write(&mut sheets, &mut store, (0..100).map(|row| (row % 3, format!("{round} {row}"))));
                if spilled {
                    sheets.spill(1, scratch_segment(SEGMENT), &mut store).expect("memory takes it");
                    assert_eq!(sheets.bytes_in_memory(), 0);
                }
            }
            assert!(sheets.paged_rows() > 0 && sheets.open_rows() > 0);
            let mut queue = queue();
            let mut pager = Pager { queue: &mut queue, store: &mut store, ranges: true };
            let complete = sheets.complete(SheetOrder::First, SEGMENT, &mut pager).expect("memory gives it back");
            let pages = complete.iter().flat_map(|sheet| &sheet.pages).map(|page| match page {
                CompletePage::Inline(page) => page.bytes.clone(),
                CompletePage::Stored(segment, page) => {
                    let mut bytes = Vec::new();
                    store.read(*segment, page.at, &mut bytes).expect("it was appended");
                    bytes
                }
            });
            pages.collect::<Vec<_>>()
        };
        assert_eq!(pages(true), pages(false));
    }

    #[test]
    fn no_page_crosses_the_end_of_a_worksheet() {
        let page = PageState {
            at: PagePosition { position: 0, length: 0, crc: 0 },
            xml_crc: 0,
            xml_length: 0,
            rows: SHEET_ROWS_MAX as u32 - 3,
        };
        let state = SheetState {
            value: "sheet 0".to_owned(),
            paged_rows: page.rows.into(),
            pages: 1,
            paged_through: Some(RowKey::default()),
            looks: Vec::new(),
            ranges: Vec::new(),
        };
        let mut sheets = Sheets::restore(vec![(state, vec![page])]).expect("it adds up");
        write(&mut sheets, &mut InMemoryStore::new(), (0..4).map(|_| (0, "x".to_owned())));
        assert_eq!(page_rows(&sheets), [[page.rows, 3]]);
        assert_eq!(sheets.open_rows(), 1);
    }
}

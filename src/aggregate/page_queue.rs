//! The queue of full pages: any free thread cuts a page, and the pages reach the store in the order in which they were full.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::page::{CutPage, OpenPage, PageUnderWay, PageWriter};
use crate::record::UploadHash;
use crate::state::keys::PageState;
use crate::state::{StateError, StateStore};

/// Pages of a task that may be under way; the next one waits for the first of them.
const UNDER_WAY_MAX: usize = 16;

/// Cuts the pages of a task's uploads.
#[derive(Debug)]
pub(super) struct PageQueue {
    writer: PageWriter,
    under_way: VecDeque<(UploadHash, PageSlot, PageUnderWay)>,
    pages_cut: u64,
}

/// The place of a page in the store; known from [`PageQueue::settle`] on at the latest.
#[derive(Clone, Debug, Default)]
pub(super) struct PageSlot(Arc<OnceLock<PageState>>);

impl PageSlot {
    /// The place. It is known of every page while nothing is under way.
    pub(super) fn get(&self) -> &PageState {
        self.0.get().expect("the queue was settled")
    }
}

impl From<PageState> for PageSlot {
    fn from(page: PageState) -> PageSlot {
        PageSlot(Arc::new(page.into()))
    }
}

impl PageQueue {
    /// A queue for pages that `writer` would make.
    pub(super) fn new(writer: PageWriter) -> PageQueue {
        PageQueue { writer, under_way: VecDeque::new(), pages_cut: 0 }
    }

    /// Pages that it has cut, those under way included.
    pub(super) fn pages_cut(&self) -> u64 {
        self.pages_cut
    }

    /// Takes the rows of `page` for the next page of a segment, and lays down what is done by now.
    pub(super) fn cut(
        &mut self,
        page: &mut OpenPage,
        first_row: u32,
        segment: UploadHash,
        store: &mut dyn StateStore,
    ) -> Result<PageSlot, StateError> {
        self.pages_cut += 1;
        let slot = PageSlot::default();
        self.under_way.push_back((segment, slot.clone(), self.writer.cut_elsewhere(page, first_row)));
        while self.under_way.len() > UNDER_WAY_MAX || self.first_is_done() {
            self.lay_down_first(store)?;
        }
        Ok(slot)
    }

    /// Makes a page that goes to no segment.
    pub(super) fn cut_last(&mut self, page: &mut OpenPage, first_row: u32) -> CutPage {
        self.pages_cut += 1;
        self.writer.cut(page, first_row)
    }

    /// Waits for the pages under way and stores them. Pages that the store refuses stay under way.
    pub(super) fn settle(&mut self, store: &mut dyn StateStore) -> Result<(), StateError> {
        while !self.under_way.is_empty() {
            self.lay_down_first(store)?;
        }
        Ok(())
    }

    fn first_is_done(&mut self) -> bool {
        self.under_way.front_mut().is_some_and(|(_, _, page)| page.is_done())
    }

    fn lay_down_first(&mut self, store: &mut dyn StateStore) -> Result<(), StateError> {
        let Some((segment, slot, page)) = self.under_way.front_mut() else { return Ok(()) };
        let page = page.wait();
        let at = store.append(*segment, &page.bytes)?;
        let page = PageState { at, xml_crc: page.xml_crc, xml_length: page.xml_length, rows: page.rows };
        slot.0.set(page).expect("a page is laid down once");
        self.under_way.pop_front();
        Ok(())
    }
}

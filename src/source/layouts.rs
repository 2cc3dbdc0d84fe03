//! The headers of all open uploads of a task, each once, however many uploads have it.

use std::sync::Arc;

use ahash::HashMap;

use super::SourceConfig;
use super::columns::Layout;
use super::names::column_names;
use crate::record::{Message, Rejection};

/// Headers that uploads have, by their columns.
#[derive(Default)]
pub(super) struct Layouts {
    known: HashMap<Arc<[String]>, Known>,
    /// Columns of all of them.
    columns: usize,
}

struct Known {
    layout: Arc<Layout>,
    uploads: usize,
}

impl Layouts {
    /// The layout that follows from the names of a header.
    pub(super) fn of(&self, names: &[String], config: &SourceConfig) -> Result<Arc<Layout>, Rejection> {
        if let Some(known) = self.known.get(&*column_names(names, config.exact_names)) {
            return Ok(Arc::clone(&known.layout));
        }
        Layout::new(names, config).map(Arc::new)
    }

    /// Refuses another header for which there is no room beside those of other uploads.
    pub(super) fn check_room(&self, layout: &Layout, config: &SourceConfig) -> Result<(), Rejection> {
        let (columns, limit) = (layout.header.len(), config.parts_open_max());
        let is_small = columns <= SourceConfig::PARTS_OF_EACH || self.known.contains_key(&layout.header);
        match is_small || self.columns + columns <= limit {
            true => Ok(()),
            false => Err(Rejection::new(Message::NoRoom { limit })),
        }
    }

    /// An upload has this header from now on.
    pub(super) fn hold(&mut self, layout: &Arc<Layout>) {
        let known = self.known.entry(Arc::clone(&layout.header)).or_insert_with(|| {
            self.columns += layout.header.len();
            Known { layout: Arc::clone(layout), uploads: 0 }
        });
        known.uploads += 1;
    }

    /// An upload has it no more.
    pub(super) fn release(&mut self, layout: &Arc<Layout>) {
        let Some(known) = self.known.get_mut(&layout.header) else { return };
        known.uploads -= 1;
        if known.uploads == 0 {
            self.known.remove(&layout.header);
            self.columns -= layout.header.len();
        }
    }
}

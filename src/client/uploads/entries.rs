//! What the index of uploads remembers, and the order in which it forgets. Those that are open are kept apart, so that no number of uploads
//! that end hides one that does not.

use std::collections::{BTreeMap, HashMap};
use std::iter;

use super::{Entry, UploadKey};
use crate::kafka::clock::now_ms;

/// Uploads that are remembered.
pub(super) const UPLOADS_MAX: usize = 10_000;
/// Bytes of their ids and statuses.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// Time and a serial number: the order of uploads.
pub(super) type Place = (i64, u64);

#[derive(Default)]
pub(super) struct Entries {
    by_key: HashMap<UploadKey, Entry>,
    open: Shelf,
    ended: Shelf,
    serial: u64,
}

/// Open uploads, or those that have ended.
#[derive(Default)]
struct Shelf {
    by_place: BTreeMap<Place, UploadKey>,
    bytes: usize,
    has_forgotten: bool,
}

impl Entries {
    pub(super) fn get(&self, key: &UploadKey) -> Option<&Entry> {
        self.by_key.get(key)
    }

    /// All of them, the one heard of last first.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&UploadKey, &Entry)> {
        let mut open = self.open.by_place.iter().rev().peekable();
        let mut ended = self.ended.by_place.iter().rev().peekable();
        let next = move || match (open.peek(), ended.peek()) {
            (Some((at, _)), Some((other, _))) if at < other => ended.next(),
            (Some(_), _) => open.next(),
            (None, _) => ended.next(),
        };
        iter::from_fn(next).filter_map(|(_, key)| self.by_key.get_key_value(key))
    }

    /// Those that are open, the one without news for longest first.
    pub(super) fn open(&self) -> impl Iterator<Item = (&UploadKey, &Entry)> {
        self.open.by_place.values().filter_map(|key| self.by_key.get_key_value(key))
    }

    pub(super) fn has_forgotten_open(&self) -> bool {
        self.open.has_forgotten
    }

    pub(super) fn has_forgotten_ended(&self) -> bool {
        self.ended.has_forgotten
    }

    pub(super) fn change(&mut self, key: UploadKey, at_ms: i64, change: impl FnOnce(&mut Entry)) {
        self.serial += 1;
        let entry = self.by_key.entry(key.clone()).or_default();
        let bytes = entry.bytes + key.id.len();
        self.open.take(entry.place, bytes);
        self.ended.take(entry.place, bytes);
        change(entry);
        // A record may carry any time; none is later than the one at which it is read.
        entry.place = (at_ms.min(now_ms()).max(entry.place.0), self.serial);
        let shelf = if entry.phase().is_final() { &mut self.ended } else { &mut self.open };
        shelf.bytes += entry.bytes + key.id.len();
        shelf.by_place.insert(entry.place, key);
        self.make_room();
    }

    /// Forgets the uploads without news for longest: open ones or ended ones, whichever take more of what there is too much of.
    fn make_room(&mut self) {
        loop {
            let (open, ended) = (&mut self.open, &mut self.ended);
            let is_of_open = if open.by_place.len() + ended.by_place.len() > UPLOADS_MAX {
                open.by_place.len() > ended.by_place.len()
            } else if open.bytes + ended.bytes > BYTES_MAX {
                open.bytes > ended.bytes
            } else {
                return;
            };
            let shelf = if is_of_open { open } else { ended };
            let Some((place, key)) = shelf.by_place.first_key_value() else { return };
            let (place, entry) = (*place, self.by_key.remove(key));
            let bytes = key.id.len() + entry.map_or(0, |entry| entry.bytes);
            shelf.take(place, bytes);
            shelf.has_forgotten = true;
        }
    }
}

impl Shelf {
    /// Takes an upload of so many bytes down, if it is here.
    fn take(&mut self, place: Place, bytes: usize) {
        if self.by_place.remove(&place).is_some() {
            self.bytes -= bytes;
        }
    }
}

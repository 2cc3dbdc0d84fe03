//! How uploads ended (contract 13): what decides revisions, lateness, and what a replay need not do again. An entry that was read back from
//! the status topic may lie in the future of a replay; it is obeyed when the replay gets there.

use std::collections::{BTreeSet, HashMap};

use crate::record::{Offset, UploadHash, UploadId};
use crate::state::WriteBatch;
use crate::state::keys::{LedgerState, Outcome, StateKey, encode};

/// The ends of uploads, by id.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Ascending by first offset. Mostly one; more while a replay goes through them.
    entries: HashMap<UploadHash, Vec<Entry>>,
    changed: BTreeSet<UploadHash>,
}

#[derive(Debug)]
struct Entry {
    state: LedgerState,
    /// False while it lies in the future of a replay.
    reached: bool,
}

/// What the ledger says of something that comes for an id that is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It would begin this revision.
    New(u32),
    /// It comes after an upload that has ended, and would begin this revision.
    After(u32),
    /// It belongs to an upload whose end was published: pass over it.
    Past,
}

impl LedgerState {
    /// First offset that is behind it. An idle timeout comes before the record at its offset, every other end is a record.
    fn end(&self) -> Offset {
        match self.outcome {
            Outcome::Expired => self.completion_offset,
            Outcome::Published | Outcome::Failed | Outcome::Aborted => self.completion_offset.next(),
        }
    }
}

impl Ledger {
    /// Records an end.
    pub(super) fn put(&mut self, upload: UploadHash, state: LedgerState) {
        let entries = self.entries.entry(upload).or_default();
        entries.retain(|entry| entry.state.first_offset > state.first_offset);
        entries.insert(0, Entry { state, reached: true });
        self.changed.insert(upload);
    }

    /// Takes up an end that the state or, for a replay that begins at `replay_from`, the status topic remembers.
    pub(super) fn adopt(&mut self, state: LedgerState, replay_from: Offset) {
        let upload = UploadId::new(state.id.as_str()).hash();
        let entries = self.entries.entry(upload).or_default();
        let reached = state.end() <= replay_from;
        if reached {
            if entries.iter().any(|entry| entry.reached && entry.state.first_offset > state.first_offset) {
                return;
            }
            entries.retain(|entry| !entry.reached);
            self.changed.insert(upload);
        }
        entries.retain(|entry| entry.state.first_offset != state.first_offset);
        entries.push(Entry { state, reached });
        entries.sort_by_key(|entry| entry.state.first_offset);
    }

    /// What something at `offset` means while `upload` is not open. Below `silent_below` everything was published before.
    pub(super) fn admit(&self, upload: UploadHash, offset: Offset, silent_below: Offset) -> Admission {
        let entries = self.entries.get(&upload).map_or(&[][..], Vec::as_slice);
        for Entry { state, .. } in entries {
            let covers = state.first_offset <= offset && offset < state.end();
            if covers && (state.first_offset < offset || state.end() <= silent_below) {
                return Admission::Past;
            }
            if covers {
                return Admission::New(state.revision);
            }
            // What came before an upload that began below `silent_below` had ended by then.
            if offset < state.first_offset && state.first_offset <= silent_below {
                return Admission::Past;
            }
        }
        self.before(upload, offset).map_or(Admission::New(1), |last| Admission::After(last.revision + 1))
    }

    /// The last end before `offset`.
    pub(super) fn before(&self, upload: UploadHash, offset: Offset) -> Option<&LedgerState> {
        let entries = self.entries.get(&upload)?;
        entries.iter().rev().map(|entry| &entry.state).find(|state| state.end() <= offset)
    }

    /// The offset at which the ledger knows that an upload that began at `first_offset` was over, if a replay cannot find that out: it
    /// expired, or another one had begun.
    pub(super) fn known_end(&self, upload: UploadHash, first_offset: Offset) -> Option<Offset> {
        let entries = self.entries.get(&upload)?.iter().map(|entry| &entry.state);
        entries
            .filter_map(|state| match state.outcome {
                _ if state.first_offset > first_offset => Some(state.first_offset),
                Outcome::Expired if state.first_offset == first_offset => Some(state.completion_offset),
                Outcome::Expired | Outcome::Published | Outcome::Failed | Outcome::Aborted => None,
            })
            .min()
    }

    /// The entry of the very upload that began at `first_offset`.
    pub(super) fn find(&self, upload: UploadHash, first_offset: Offset) -> Option<&LedgerState> {
        self.entries.get(&upload)?.iter().map(|entry| &entry.state).find(|state| state.first_offset == first_offset)
    }

    /// Marks an entry as reached, now that a replay has obeyed it.
    pub(super) fn reach(&mut self, upload: UploadHash, first_offset: Offset) {
        if let Some(state) = self.find(upload, first_offset).cloned() {
            self.put(upload, state);
        }
    }

    /// Counts a row that came after the last end before `offset`.
    pub(super) fn late_row(&mut self, upload: UploadHash, offset: Offset) {
        let entries = self.entries.get_mut(&upload).map_or(&mut [][..], Vec::as_mut_slice);
        if let Some(last) = entries.iter_mut().rev().find(|entry| entry.state.end() <= offset) {
            last.state.accounting.late_row();
            self.changed.insert(upload);
        }
    }

    /// Forgets ends that the log no longer reaches back to.
    pub(super) fn forget_below(&mut self, log_start: Offset) {
        for (upload, entries) in &mut self.entries {
            let before = entries.len();
            entries.retain(|entry| entry.state.end() > log_start);
            if entries.len() < before {
                self.changed.insert(*upload);
            }
        }
        self.entries.retain(|_, entries| !entries.is_empty());
    }

    /// Writes what changed: of each id the last end that was reached.
    pub(super) fn write(&mut self, into: &mut WriteBatch) {
        for upload in std::mem::take(&mut self.changed) {
            let entries = self.entries.get(&upload).map_or(&[][..], Vec::as_slice);
            let key = StateKey::Ledger(upload).encode();
            match entries.iter().rev().find(|entry| entry.reached) {
                Some(entry) => into.put(key, encode(&entry.state)),
                None => into.delete(key),
            }
        }
    }
}

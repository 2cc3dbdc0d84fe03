//! How uploads ended (contract 13): what decides revisions, lateness, and what a replay need not do again. An entry that was read back from
//! the status topic may lie in the future of a replay; it is obeyed when the replay gets there.

use std::collections::{BTreeSet, HashMap};

use crate::record::{LedgerEntry, Offset, Outcome, UploadHash, UploadId};
use crate::state::WriteBatch;
use crate::state::keys::{StateKey, encode};

/// The ends of uploads, by id.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Ascending by first offset. Mostly one; more while a replay goes through them.
    entries: HashMap<UploadHash, Vec<LedgerEntry>>,
    changed: BTreeSet<UploadHash>,
    /// First offset behind every end that was read back.
    horizon: Offset,
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

impl LedgerEntry {
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
    pub(super) fn put(&mut self, upload: UploadHash, end: LedgerEntry) {
        let entries = self.entries.entry(upload).or_default();
        entries.retain(|entry| entry.first_offset > end.first_offset);
        entries.insert(0, end);
        self.changed.insert(upload);
    }

    /// Takes up an end that the state or, for a replay that begins at `replay_from`, the status topic remembers. Of those before the
    /// replay only the last one counts.
    pub(super) fn adopt(&mut self, end: LedgerEntry, replay_from: Offset) {
        let upload = UploadId::new(end.id.as_str()).hash();
        self.horizon = self.horizon.max(end.end());
        let entries = self.entries.entry(upload).or_default();
        entries.retain(|entry| entry.first_offset != end.first_offset);
        entries.push(end);
        entries.sort_by_key(|entry| entry.first_offset);
        let before = entries.partition_point(|entry| entry.end() <= replay_from);
        entries.drain(..before.saturating_sub(1));
        self.changed.insert(upload);
    }

    /// First offset behind every end that was read back: from there on the ledger knows nothing that a replay does not find out.
    pub(super) fn horizon(&self) -> Offset {
        self.horizon
    }

    /// What something at `offset` means while `upload` is not open. Below `emit_from` everything was published before.
    pub(super) fn admit(&self, upload: UploadHash, offset: Offset, emit_from: Offset) -> Admission {
        let entries = self.entries.get(&upload).map_or(&[][..], Vec::as_slice);
        for entry in entries {
            let covers = entry.first_offset <= offset && offset < entry.end();
            if covers && (entry.first_offset < offset || entry.end() <= emit_from) {
                return Admission::Past;
            }
            if covers {
                return Admission::New(entry.revision);
            }
            // What came before an upload that began below `emit_from` had ended by then.
            if offset < entry.first_offset && entry.first_offset <= emit_from {
                return Admission::Past;
            }
        }
        self.before(upload, offset).map_or(Admission::New(1), |last| Admission::After(last.revision + 1))
    }

    /// The end of the upload that begins at `first_offset`, if it had ended before the replay that is under way.
    pub(super) fn of(&self, upload: UploadHash, first_offset: Offset) -> Option<&LedgerEntry> {
        let entries = self.entries.get(&upload)?;
        entries.iter().find(|entry| entry.first_offset == first_offset && !entry.is_of_former_log())
    }

    /// The highest revision that an id has had.
    pub(super) fn highest_revision(&self, upload: UploadHash) -> u32 {
        self.entries.get(&upload).into_iter().flatten().map(|entry| entry.revision).max().unwrap_or(0)
    }

    /// The last end before `offset`.
    pub(super) fn before(&self, upload: UploadHash, offset: Offset) -> Option<&LedgerEntry> {
        self.entries.get(&upload)?.iter().rev().find(|entry| entry.end() <= offset)
    }

    /// The offset at which the ledger knows that an upload that began at `first_offset` was over, if a replay cannot find that out: it
    /// expired, or another one had begun.
    pub(super) fn known_end(&self, upload: UploadHash, first_offset: Offset) -> Option<Offset> {
        let ends = self.entries.get(&upload)?.iter().filter_map(|entry| match entry.outcome {
            _ if entry.first_offset > first_offset => Some(entry.first_offset),
            Outcome::Expired if entry.first_offset == first_offset => Some(entry.completion_offset),
            Outcome::Expired | Outcome::Published | Outcome::Failed | Outcome::Aborted => None,
        });
        ends.min()
    }

    /// Whether an upload that began at `first_offset` has ended: it, or one that began later.
    pub(super) fn has_ended(&self, upload: UploadHash, first_offset: Offset) -> bool {
        self.entries.get(&upload).is_some_and(|entries| entries.iter().any(|entry| entry.first_offset >= first_offset))
    }

    /// Counts a row that came after the last end before `offset`.
    pub(super) fn late_row(&mut self, upload: UploadHash, offset: Offset) {
        let entries = self.entries.get_mut(&upload).map_or(&mut [][..], Vec::as_mut_slice);
        if let Some(last) = entries.iter_mut().rev().find(|entry| entry.end() <= offset) {
            last.accounting.late_row();
            self.changed.insert(upload);
        }
    }

    /// Forgets ends that the log no longer reaches back to.
    pub(super) fn forget_below(&mut self, log_start: Offset) {
        for (upload, entries) in &mut self.entries {
            let before = entries.len();
            entries.retain(|entry| entry.end() > log_start || entry.is_of_former_log());
            if entries.len() < before {
                self.changed.insert(*upload);
            }
        }
        self.entries.retain(|_, entries| !entries.is_empty());
    }

    /// Writes what changed for a state at `position`: of each id the last end before it. What lies ahead is written when it is reached.
    pub(super) fn write(&mut self, position: Offset, into: &mut WriteBatch) {
        self.changed.retain(|upload| {
            let entries = self.entries.get(upload).map_or(&[][..], Vec::as_slice);
            let key = StateKey::Ledger(*upload).encode();
            match entries.iter().rev().find(|entry| entry.end() <= position) {
                Some(entry) => into.put(key, encode(entry)),
                None => into.delete(key),
            }
            entries.iter().any(|entry| position < entry.end())
        });
    }
}

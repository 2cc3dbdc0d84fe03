//! How uploads ended (contract 13): what decides revisions, lateness, and what a replay need not do again. An entry that was read back from
//! the status topic may lie in the future of a replay; it is obeyed when the replay gets there.
//!
//! The ledger is in the state. In memory are entries that the state does not have yet, those that lie ahead, and the last that were looked
//! up, so that a million ended uploads cost a filter of about a byte each.

use std::collections::{BTreeSet, HashMap};

use crate::record::{LedgerEntry, Offset, Outcome, UploadHash, UploadId};
use crate::state::keys::{StateKey, decode, encode};
use crate::state::{IdFilter, StateError, StateStore, WriteBatch};

/// Entries that were looked up and are kept at hand.
const LOOKED_UP_MAX: usize = 1_024;
/// So many uploads that were turned away stay in the state when their first records are deleted: the newest of each of 256 parts of the
/// ids.
const AWAY_MAX: usize = 64;
/// Entries read back from the status topic that go to the state at once.
const ADOPTED_AT_ONCE: usize = 4_096;

/// The ends of uploads, by id.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Entries at hand, ascending by first offset. Mostly one; more while a replay goes through them. The answers about an id are right
    /// once it was [looked up](Ledger::look_up).
    at_hand: HashMap<UploadHash, Vec<LedgerEntry>>,
    /// Ids whose entry in the state is out of date.
    changed: BTreeSet<UploadHash>,
    /// Ids at hand only because they were looked up, unless they have changed since.
    looked_up: Vec<UploadHash>,
    /// Ids that the state has, and a few more.
    stored: IdFilter,
    /// First offset behind every end that was read back from the status topic.
    horizon: Offset,
    /// Start of the log when the state was opened: ends before it are forgotten.
    log_start: Offset,
    /// First bytes of ids that no sweep has come to: the state may still have forgotten ends of those.
    unswept: Vec<u8>,
}

/// The ledger's answer about a record for an id that is not open.
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
    /// Whether a log that begins at `log_start` reaches back to it, or its log is no more.
    fn is_within(&self, log_start: Offset) -> bool {
        self.end() > log_start || self.is_of_former_log()
    }

    /// Whether it is remembered where the log begins at `log_start`. What is left of one that was turned away is no upload, wherever its
    /// first record is.
    fn is_remembered(&self, log_start: Offset) -> bool {
        self.is_within(log_start) || self.is_turned_away()
    }

    /// Whether the upload of a revision that began at `first_offset` is over by it: it ended so, or one that began later did. An earlier
    /// revision that began later has been cut off.
    pub(super) fn is_end_of(&self, revision: u32, first_offset: Offset) -> bool {
        self.first_offset == first_offset || (self.first_offset > first_offset && self.revision >= revision)
    }

    /// Whether it says more of the same upload.
    fn is_later_than(&self, other: &LedgerEntry) -> bool {
        let place = |entry: &LedgerEntry| (entry.first_offset, entry.revision, entry.leader_epoch);
        place(self) == place(other) && self.outcome == other.outcome && self.end() > other.end()
    }
}

/// The highest revision of an id in records that are no more.
fn taken(entries: &[LedgerEntry]) -> u32 {
    let taken =
        entries.iter().map(|entry| if entry.is_of_former_log() { entry.highest_revision() } else { entry.taken });
    taken.max().unwrap_or(0)
}

fn read_entry(key: &[u8], value: &[u8]) -> Result<LedgerEntry, StateError> {
    decode(value).ok_or_else(|| StateError::Damaged(format!("entry {key:02x?} cannot be read")))
}

impl Ledger {
    /// Takes up the ledger in the state.
    pub(super) fn open(&mut self, store: &mut dyn StateStore) -> Result<(), StateError> {
        self.stored = store.ended()?;
        Ok(())
    }

    /// Forgets ends in the state that a log which begins at `log_start` no longer reaches back to.
    pub(super) fn forget_below(&mut self, log_start: Offset) {
        self.at_hand.clear();
        self.looked_up.clear();
        self.log_start = log_start;
        self.unswept = if log_start > Offset(0) { (0..=u8::MAX).collect() } else { vec![] };
    }

    /// Deletes a part of the forgotten ends from the state, all of them over the first 256 commits: no start reads the whole ledger.
    pub(super) fn sweep(&mut self, store: &dyn StateStore, into: &mut WriteBatch) -> Result<(), StateError> {
        let Some(first) = self.unswept.pop() else { return Ok(()) };
        let mut away = Vec::new();
        for (key, value) in store.scan(&[StateKey::LEDGER, first])? {
            match read_entry(&key, &value)? {
                entry if entry.is_within(self.log_start) => {}
                entry if entry.is_turned_away() => away.push((entry.first_offset, key)),
                _ => into.delete(key),
            }
        }
        away.sort_unstable();
        let surplus = away.len().saturating_sub(AWAY_MAX);
        away.drain(..surplus).for_each(|(_, key)| into.delete(key));
        Ok(())
    }

    /// Brings what the state has of an id at hand.
    pub(super) fn look_up(&mut self, id: UploadHash, store: &dyn StateStore) -> Result<(), StateError> {
        if self.at_hand.contains_key(&id) || !self.stored.may_contain(id) {
            return Ok(());
        }
        let key = StateKey::Ledger(id).encode();
        let Some((_, value)) = store.scan(&key)?.pop() else { return Ok(()) };
        let entry = read_entry(&key, &value)?;
        if !entry.is_remembered(self.log_start) {
            return Ok(());
        }
        if self.looked_up.len() >= LOOKED_UP_MAX {
            for id in self.looked_up.drain(..).filter(|id| !self.changed.contains(id)) {
                self.at_hand.remove(&id);
            }
        }
        self.looked_up.push(id);
        self.at_hand.insert(id, vec![entry]);
        Ok(())
    }

    /// Records an end.
    pub(super) fn put(&mut self, upload: UploadHash, end: LedgerEntry) {
        let entries = self.at_hand.entry(upload).or_insert_with(|| Vec::with_capacity(1));
        let end = LedgerEntry { taken: taken(entries), ..end };
        entries.retain(|entry| entry.first_offset > end.first_offset);
        entries.insert(0, end);
        self.changed.insert(upload);
    }

    /// Takes up ends that the status topic remembers, for a replay that begins at `replay_from`. Of those before the replay only the last
    /// one of an id counts, and none that lies before `log_start`.
    pub(super) fn adopt(
        &mut self,
        ends: impl Iterator<Item = LedgerEntry>,
        (log_start, replay_from): (Offset, Offset),
        store: &mut dyn StateStore,
    ) -> Result<(), StateError> {
        let mut ends: Vec<_> = ends.filter(|end| end.is_remembered(log_start)).collect();
        // In the order of their keys, those of one id as they came: the index is written from its beginning to its end.
        ends.sort_by_cached_key(|end| UploadId::new(end.id.as_str()).hash());
        let mut room = ADOPTED_AT_ONCE;
        for end in ends {
            self.adopt_one(end, replay_from, store)?;
            if self.changed.len() >= room {
                self.settle(replay_from, store)?;
                // Ends ahead of the replay stay: each of them is looked at a few times, and not once for each that follows.
                room = ADOPTED_AT_ONCE.max(2 * self.changed.len());
            }
        }
        self.settle(replay_from, store)
    }

    fn adopt_one(
        &mut self,
        mut end: LedgerEntry,
        replay_from: Offset,
        store: &dyn StateStore,
    ) -> Result<(), StateError> {
        if matches!(end.outcome, Outcome::TurnedAway | Outcome::NoRoom) && replay_from < end.end() {
            end.completion_offset = end.first_offset; // the replay finds its end
        }
        let upload = UploadId::new(end.id.as_str()).hash();
        self.horizon = self.horizon.max(end.end());
        self.look_up(upload, store)?;
        let entries = self.at_hand.entry(upload).or_insert_with(|| Vec::with_capacity(1));
        // At least once, one that was put out says again that an upload is turned away, whose own end has been said.
        if end.is_turned_away() && entries.iter().any(|entry| entry.is_later_than(&end)) {
            return Ok(());
        }
        entries.retain(|entry| entry.first_offset != end.first_offset);
        entries.push(end);
        entries.sort_by_key(|entry| entry.first_offset);
        let taken = taken(entries);
        entries.iter_mut().for_each(|entry| entry.taken = taken);
        let before = entries.partition_point(|entry| entry.end() <= replay_from);
        entries.drain(..before.saturating_sub(1));
        self.changed.insert(upload);
        Ok(())
    }

    /// Gives the state what lies before `position`.
    fn settle(&mut self, position: Offset, store: &mut dyn StateStore) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        self.write(position, &mut batch);
        if batch.entries.is_empty() { Ok(()) } else { store.commit(batch) }
    }

    /// The ends beyond `position`.
    pub(super) fn ahead(&self, position: Offset) -> impl Iterator<Item = &LedgerEntry> {
        self.at_hand.values().flatten().filter(move |entry| position < entry.end())
    }

    /// First offset behind every end that was read back: from there on the ledger knows nothing that a replay does not find out.
    pub(super) fn horizon(&self) -> Offset {
        self.horizon
    }

    /// The answer about a record at `offset` while `upload` is not open. Below `emit_from` everything was published before.
    pub(super) fn admit(&self, upload: UploadHash, offset: Offset, emit_from: Offset) -> Admission {
        let entries = self.at_hand.get(&upload).map_or(&[][..], Vec::as_slice);
        let begun = entries.partition_point(|entry| entry.first_offset <= offset);
        let is_away = entries[..begun].last().is_some_and(LedgerEntry::is_turned_away);
        for entry in entries {
            let covers = entry.first_offset <= offset && offset < entry.end();
            if covers && (entry.first_offset < offset || entry.end() <= emit_from || entry.is_without_room()) {
                return Admission::Past;
            }
            if covers {
                return Admission::New(entry.revision);
            }
            // Earlier uploads than one that began below `emit_from` had ended by then. The end of one that was turned away is to be found.
            if offset < entry.first_offset && entry.first_offset <= emit_from && !is_away {
                return Admission::Past;
            }
        }
        self.before(upload, offset).map_or(Admission::New(1), |last| Admission::After(last.highest_revision() + 1))
    }

    /// Whether `offset` lies within an upload whose end was sent and not committed: it is read again from its first record on.
    pub(super) fn is_ahead(&self, upload: UploadHash, offset: Offset, emit_from: Offset) -> bool {
        let entries = self.at_hand.get(&upload).map_or(&[][..], Vec::as_slice);
        entries.iter().any(|entry| entry.first_offset <= offset && offset < entry.end() && emit_from < entry.end())
    }

    /// The end of the upload that begins at `first_offset`, if it had ended before the replay that is under way.
    pub(super) fn of(&self, upload: UploadHash, first_offset: Offset) -> Option<&LedgerEntry> {
        let entries = self.at_hand.get(&upload)?;
        entries.iter().find(|entry| entry.first_offset == first_offset && !entry.is_of_former_log())
    }

    /// The highest revision that an id has had.
    pub(super) fn highest_revision(&self, upload: UploadHash) -> u32 {
        self.at_hand.get(&upload).into_iter().flatten().map(LedgerEntry::highest_revision).max().unwrap_or(0)
    }

    /// The last end that is known, be it ahead of a replay, or of a log that is no more.
    pub(super) fn last(&self, upload: UploadHash) -> Option<&LedgerEntry> {
        self.at_hand.get(&upload)?.last()
    }

    /// The last end before `offset`.
    pub(super) fn before(&self, upload: UploadHash, offset: Offset) -> Option<&LedgerEntry> {
        self.at_hand.get(&upload)?.iter().rev().find(|entry| entry.end() <= offset)
    }

    /// The offset at which the ledger knows that an upload that began at `first_offset` was over, if a replay cannot find that out: it
    /// expired, there was no room for it, or another one had begun. What is only known as a rest may be its own, read from its middle on.
    pub(super) fn known_end(&self, upload: UploadHash, first_offset: Offset) -> Option<Offset> {
        let ends = self.at_hand.get(&upload)?.iter().filter_map(|entry| match entry.outcome {
            _ if entry.first_offset > first_offset => Some(entry.first_offset).filter(|_| !entry.is_rest),
            Outcome::Expired | Outcome::NoRoom if entry.first_offset == first_offset => Some(entry.completion_offset),
            Outcome::Expired
            | Outcome::Published
            | Outcome::Failed
            | Outcome::Aborted
            | Outcome::TurnedAway
            | Outcome::NoRoom => None,
        });
        ends.min()
    }

    /// Whether the upload of a revision that began at `first_offset` has ended: it, or one that began later.
    pub(super) fn has_ended(&self, upload: UploadHash, revision: u32, first_offset: Offset) -> bool {
        let mut entries = self.at_hand.get(&upload).into_iter().flatten();
        entries.any(|entry| entry.is_end_of(revision, first_offset))
    }

    /// Whether the upload of a revision that began at `first_offset` had ended before `position`: it, or one that began later.
    pub(super) fn had_ended(&self, upload: UploadHash, revision: u32, first_offset: Offset, position: Offset) -> bool {
        let is_end = |entry: &LedgerEntry| entry.is_end_of(revision, first_offset) && entry.end() <= position;
        let entries = self.at_hand.get(&upload).into_iter().flatten();
        entries.filter(|entry| !entry.is_of_former_log()).any(is_end)
    }

    /// Counts a row that came after the last end before `offset`.
    pub(super) fn late_row(&mut self, upload: UploadHash, offset: Offset) {
        let entries = self.at_hand.get_mut(&upload).map_or(&mut [][..], Vec::as_mut_slice);
        if let Some(last) = entries.iter_mut().rev().find(|entry| entry.end() <= offset) {
            last.accounting.late_row();
            self.changed.insert(upload);
        }
    }

    /// Writes the changes for a state at `position`: of each id the last end before it. Ends that lie ahead stay at hand and are written
    /// when they are reached; others are dropped from memory.
    pub(super) fn write(&mut self, position: Offset, into: &mut WriteBatch) {
        let (at_hand, stored) = (&self.at_hand, &mut self.stored);
        self.changed.retain(|upload| {
            let entries = at_hand.get(upload).map_or(&[][..], Vec::as_slice);
            if let Some(entry) = entries.iter().rev().find(|entry| entry.end() <= position) {
                into.put(StateKey::Ledger(*upload).encode(), encode(entry));
                stored.insert(*upload);
            }
            entries.iter().any(|entry| position < entry.end())
        });
        self.looked_up.clear();
        self.at_hand.retain(|upload, _| self.changed.contains(upload));
    }
}

//! The uploads that were open when a task that ran before has committed, as far as this one does not have them: it has to find them again
//! in the log. Of those that it does not find, the records are gone, and what comes of them later is no upload of its own.

use std::collections::BTreeMap;
use std::mem;

use super::recovery::{LogFacts, is_same_log};
use super::{StreamTask, TaskError};
use crate::record::{LedgerEntry, LogId, Message, Offset, UploadId};
use crate::sink::status::StatusRecord;
use crate::transport::{Committed, Progress};

/// What a task has to find when it reads again what was read before, and behind that.
#[derive(Default)]
pub(super) struct Sought {
    /// How many uploads were open, named or not.
    count: u32,
    /// The last status of each of them, by its first record and id. Of each that a commit has left open there is one.
    named: BTreeMap<(Offset, String), StatusRecord>,
    /// Records below are gone from the log.
    gone_below: Offset,
    /// Records from here on are gone, or were when it was looked: the log was cut.
    cut_at: Offset,
    /// Somebody has set the offset to this.
    set_to: Option<Offset>,
    /// If some that no status names are not found: up to where an upload may begin whose first rows are gone.
    doubt_below: Offset,
}

impl Sought {
    /// So many uploads that were open.
    pub(super) fn many(count: u32) -> Sought {
        Sought { count, ..Sought::default() }
    }

    /// The uploads that were open at the commit, or are said to have begun behind it; `open` are those whose last status is not final, and
    /// `ends` what had ended before somebody said that. One that began before the oldest that the commit counts had ended by then, unless
    /// who says that it is open was not the owner any more. The commit is of this log.
    pub(super) fn of(
        committed: &Committed,
        log: &LogFacts,
        open: BTreeMap<String, StatusRecord>,
        ends: &[LedgerEntry],
    ) -> Sought {
        let (count, oldest, set_to) = match committed {
            Committed::Ours(progress) => {
                let Progress { replay_from: oldest, .. } = *progress;
                (progress.open().map_or(0, |open| open.count), oldest, None)
            }
            Committed::Reset(offset) => (0, Offset(0), Some(*offset)),
            Committed::None => (0, Offset(0), None),
        };
        // An upload that has failed at a cut begins at the cut.
        let oldest = log.cut_at.map_or(oldest, |cut| oldest.min(cut));
        let is_sought = |status: &StatusRecord| {
            let of = status.topic_id.as_deref().and_then(LogId::parse);
            let first = status.offsets.first;
            let is_end = |end: &LedgerEntry| end.first_offset == first && end.id == status.upload;
            is_same_log(of, log.id) && (oldest <= first || !ends.iter().any(is_end))
        };
        let named = open.into_iter().filter(|(_, status)| is_sought(status));
        Sought {
            count,
            named: named.map(|(id, status)| ((status.offsets.first, id), status)).collect(),
            gone_below: log.start,
            cut_at: log.cut_at.unwrap_or(log.end),
            set_to,
            doubt_below: Offset(0),
        }
    }

    /// Records below `lost` are gone from a log that now ends at `end`, after they had been read.
    pub(super) fn lose(&mut self, lost: Offset, end: Offset) {
        self.gone_below = self.gone_below.max(lost);
        self.doubt_below = end;
    }

    /// Where it shows next whether an upload is there: behind its first record.
    pub(super) fn border(&self) -> Option<Offset> {
        self.named.first_key_value().map(|((first, _), _)| first.next())
    }

    /// Those that must be there when everything below `next` is read, and those whose first record was cut off.
    fn take_due(&mut self, next: Offset) -> Vec<StatusRecord> {
        let cut_at = self.cut_at;
        let due = self.named.extract_if(.., |(first, _), _| *first < next || cut_at <= *first);
        due.map(|(_, status)| status).collect()
    }

    /// Why an upload is not there whose first record was at `first`.
    fn why_gone(&self, first: Offset) -> Message {
        match self.set_to {
            _ if self.cut_at <= first => Message::RowsCutOff { at: self.cut_at },
            Some(next) if first < next => Message::SkippedByReset { first, next },
            Some(_) | None => Message::RowsLost { first, last: Offset((self.gone_below.0 - 1).max(first.0)) },
        }
    }
}

impl StreamTask {
    /// Whether uploads are sought: the log has not been read up to where they begin.
    pub fn is_searching(&self) -> bool {
        self.sought.is_some()
    }

    /// The log ends at `end` now: what is sought is not found behind it.
    pub fn search_below(&mut self, end: Offset) -> Result<(), TaskError> {
        if let Some(sought) = &mut self.sought {
            sought.cut_at = sought.cut_at.min(end);
        }
        self.search()
    }

    /// Everything below the next record was read, at least once: an upload that begins there is open, has ended, or is gone.
    pub(super) fn search(&mut self) -> Result<(), TaskError> {
        let Some(mut sought) = self.sought.take_if(|_| self.phase.is_live()) else { return Ok(()) };
        for status in sought.take_due(self.read_from) {
            let first = status.offsets.first;
            let is_it = |(id, from): (&UploadId, Offset)| id.as_str() == status.upload && from <= first;
            if self.source.waiting_uploads().any(is_it) {
                continue;
            }
            let why = sought.why_gone(first);
            self.call_aggregate(0, |aggregate, ctx| aggregate.miss(&status, why, ctx))?;
        }
        self.lacks_some = self.open_count() < mem::take(&mut sought.count);
        if self.lacks_some {
            self.aggregate.doubt_below(sought.doubt_below);
        }
        self.sought = Some(sought).filter(|sought| !sought.named.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::Accounting;
    use crate::runtime::ledger::Statuses;

    fn said(state: &str, first: i64, completion: Option<i64>) -> StatusRecord {
        let accounting = serde_json::to_value(Accounting::default()).expect("a value");
        let status = json!({
            "state": state, "upload": "a.csv", "revision": 1, "topology": "t", "topology_hash": "", "partition": 0,
            "offsets": { "first": first, "completion": completion }, "accounting": accounting,
        });
        StatusRecord::parse(status.to_string().as_bytes()).expect("a status")
    }

    /// Who says so was not the owner of the partition any more, and has read what the owner never saw.
    #[test]
    fn an_upload_that_is_older_than_what_the_commit_counts_is_sought_if_it_has_no_end() {
        let committed = Committed::Ours(Progress { next: Offset(12), replay_from: Offset(12), ..Progress::default() });
        let log = LogFacts { start: Offset(11), end: Offset(20), ..LogFacts::default() };
        for (first, is_sought) in [(0, false), (4, true)] {
            let mut statuses = Statuses::default();
            for status in [said("PUBLISHED", 0, Some(3)), said("RECEIVING", first, None)] {
                statuses.note(status, None);
            }
            let sought = Sought::of(&committed, &log, statuses.open, &statuses.ends);
            assert_eq!(sought.border().is_some(), is_sought, "first record at {first}");
        }
    }
}

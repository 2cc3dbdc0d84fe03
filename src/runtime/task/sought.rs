//! The uploads that were open when a task that ran before has committed, as far as this one does not have them: it has to find them again
//! in the log. Of those that it does not find, the records are gone, and what comes of them later is no upload of its own.

use std::collections::BTreeMap;

use super::recovery::{LogFacts, is_same_log};
use super::{StreamTask, TaskError};
use crate::record::{LogId, Message, Offset};
use crate::sink::status::StatusRecord;
use crate::transport::{Committed, Progress};

/// What a replay has to find.
#[derive(Default)]
pub(super) struct Sought {
    /// How many uploads were open.
    count: u32,
    /// The last status of each of them, by id. Of each that a commit has left open there is one.
    named: BTreeMap<String, StatusRecord>,
    /// First record of the oldest of them.
    oldest: Offset,
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

    /// The uploads that were open at the commit; `named` are those that have no final status.
    pub(super) fn of(committed: &Committed, log: &LogFacts, named: BTreeMap<String, StatusRecord>) -> Sought {
        let cut_at = log.cut_at.unwrap_or(log.end);
        let facts = Sought { named, gone_below: log.start, cut_at, ..Sought::default() };
        match committed {
            Committed::Ours(progress) if is_same_log(progress.log, log.id) => {
                let Progress { replay_from: oldest, .. } = *progress;
                Sought { count: progress.open().map_or(0, |open| open.count), oldest, ..facts }
            }
            Committed::Reset(offset) => Sought { set_to: Some(*offset), ..facts },
            Committed::Ours(_) | Committed::None => facts,
        }
    }

    /// Records below `lost` are gone from a log that now ends at `end`, after they had been read.
    pub(super) fn lose(&mut self, lost: Offset, end: Offset) {
        self.gone_below = self.gone_below.max(lost);
        self.doubt_below = end;
    }

    /// Why an upload whose first record was at `first` is not in the log, if it is gone. One that the commit does not count as open had
    /// ended before.
    fn why_gone(&self, first: Offset) -> Option<Message> {
        let last = |end: Offset| Offset((end.0 - 1).max(first.0));
        match self.set_to {
            _ if first < self.oldest => None,
            _ if self.cut_at <= first => Some(Message::RowsLost { first: self.cut_at, last: first }),
            Some(next) if first < next => Some(Message::SkippedByReset { first, next }),
            _ if first < self.gone_below => Some(Message::RowsLost { first, last: last(self.gone_below) }),
            Some(_) | None => None,
        }
    }
}

impl StreamTask {
    /// Everything that was read before is read again: what was not found is gone.
    pub(super) fn end_search(&mut self, sought: Sought) -> Result<(), TaskError> {
        for status in sought.named.values() {
            let is_here = is_same_log(status.topic_id.as_deref().and_then(LogId::parse), self.log);
            if let Some(why) = sought.why_gone(status.offsets.first).filter(|_| is_here) {
                self.call_aggregate(0, |aggregate, ctx| aggregate.miss(status, why, ctx))?;
            }
        }
        if self.open_count() < sought.count {
            self.aggregate.doubt_below(sought.doubt_below);
        }
        Ok(())
    }
}

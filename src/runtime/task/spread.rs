//! Spread uploads in the task: the work between the repartition topic and the source.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use tracing::info;

use super::{StreamTask, TaskError};
use crate::aggregate::Aggregate;
use crate::record::{Accounting, Message, Offset, Record, Rejection, UploadId};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::status::{StatusOffsets, StatusRecord};
use crate::source::Admission;
use crate::source::spread::{Gather, GatherError, Moment, Step};
use crate::transport::TransportError;

/// Uploads that were open in a repartition topic that is no more. Their records are passed on again, as far as the source has them.
#[derive(Default)]
pub(super) struct Awaited {
    /// Their last statuses, by id.
    open: BTreeMap<String, StatusRecord>,
    /// First record that a restart reads, to learn again what the source has lost.
    from: Offset,
    /// When one of them came last, or the first was waited for, in monotonic milliseconds.
    since_ms: Option<u64>,
}

impl Awaited {
    /// Nothing of them has come yet, and `from` is the first record that is read.
    pub(super) fn new(open: BTreeMap<String, StatusRecord>, from: Offset) -> Awaited {
        Awaited { open, from, since_ms: None }
    }

    /// First record that a restart has to read for them.
    pub(super) fn replay_from(&self) -> Option<Offset> {
        (!self.open.is_empty()).then_some(self.from)
    }

    /// A record of an upload comes. Whether the upload was awaited.
    fn comes(&mut self, id: &UploadId, now_ms: u64) -> bool {
        let was_awaited = self.open.remove(id.as_str()).is_some();
        if was_awaited {
            self.since_ms = Some(now_ms);
        }
        was_awaited
    }

    /// Whether there are some, and none of them has come for `timeout_ms`.
    fn is_over(&mut self, now_ms: u64, timeout_ms: u64) -> bool {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        !self.open.is_empty() && now_ms.saturating_sub(since_ms) >= timeout_ms
    }
}

impl From<GatherError> for TaskError {
    fn from(error: GatherError) -> TaskError {
        match error {
            GatherError::Foreign(_) => TransportError::Topic(error.to_string()).into(),
            GatherError::State(error) => error.into(),
        }
    }
}

impl StreamTask {
    /// First record that a restart reads, as of the last commit.
    pub fn committed_replay_from(&self) -> Option<Offset> {
        self.committed_progress.as_ref().map(|progress| progress.replay_from)
    }

    /// Takes a record through the source, and its elements through the nodes behind.
    pub(super) fn read(&mut self, record: Record, now_ms: u64) -> Result<(), TaskError> {
        let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
        if !self.phase.is_restoring() && self.aggregate.settles_before(timestamp_ms) {
            self.source.flush();
            self.drain(now_ms)?;
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.settle_before(offset, timestamp_ms, ctx))?;
            self.forget_closed();
        }
        let (aggregate, store, phase) = (&mut self.aggregate, &*self.store, self.phase);
        let mut asked = Ok(());
        self.source.push(record, &mut |record| {
            aggregate.admit(&record, phase, store).unwrap_or_else(|error| {
                asked = Err(error);
                Admission::PassOver
            })
        });
        asked?;
        self.drain(now_ms)?;
        if !self.phase.is_restoring() && self.aggregate.has_overtaken() {
            self.source.flush();
            self.drain(now_ms)?;
            self.aggregate.note_time(offset, timestamp_ms);
        }
        Ok(())
    }

    /// Takes a record of the repartition topic.
    pub(super) fn take_run(&mut self, record: Record, now_ms: u64) -> Result<(), TaskError> {
        let offset = record.offset;
        let Some(gather) = &mut self.gather else { return Ok(()) };
        let aggregate = &mut self.aggregate;
        let moment = Moment { now_ms, is_live: self.phase.is_live() };
        let arrivals = gather.take(record, moment, &mut |id, store| aggregate.past_of(id, store), &mut *self.store)?;
        for id in arrivals.gone {
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.lose_topic(&id, offset, ctx))?;
            let gather = self.gather.take(); // it holds what the new topic has of the upload
            self.forget_closed();
            self.gather = gather;
        }
        self.turn_away(arrivals.too_many, offset, now_ms)?;
        let has_lost = self.gather.as_ref().is_some_and(Gather::has_lost);
        for (id, is_own, is_doubtful) in arrivals.touched {
            let may_be_rest = self.awaited.comes(&id, now_ms) && has_lost;
            let as_what = (is_own, is_doubtful || may_be_rest);
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.announce(&id, offset, as_what, ctx))?;
            self.forget_closed();
        }
        for (id, topic, record) in arrivals.through {
            let cuts = id.as_ref().and_then(|id| self.gather.as_ref()?.cuts(id).cloned());
            if let (Some(id), Some(cuts)) = (&id, cuts) {
                self.aggregate.set_cuts(id, cuts);
            }
            if topic != self.topic {
                self.source.flush();
                self.drain(now_ms)?;
                self.topic = topic;
            }
            self.read(record, now_ms)?;
        }
        for (id, why) in arrivals.waiting {
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.report_incomplete(&id, &why, offset, ctx))?;
        }
        if self.gather.as_ref().is_some_and(Gather::has_passed_loss) {
            self.miss_awaited(now_ms)?;
        }
        while let Some(id) = self.gather.as_ref().and_then(Gather::due) {
            self.release(&id, offset, now_ms)?;
        }
        Ok(())
    }

    /// What is awaited does not come: it is open again, and has failed.
    fn miss_awaited(&mut self, now_ms: u64) -> Result<(), TaskError> {
        for status in mem::take(&mut self.awaited.open).into_values() {
            let offsets = StatusOffsets { first: self.read_from, completion: None, leader_epoch: None };
            let status = StatusRecord { offsets, topic_id: None, ..status };
            let why = Message::OpenWhenRecreated {};
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.miss(&status, why, ctx))?;
        }
        Ok(())
    }

    /// No more uploads can be held: others fail, and their records until their end go to the dead letters.
    fn turn_away(&mut self, records: Vec<(UploadId, Record)>, at: Offset, now_ms: u64) -> Result<(), TaskError> {
        let rejection = Rejection::new(Message::TooManyOpen { limit: self.topology.source.open_uploads_max });
        let mut turned_away = BTreeSet::new();
        for (id, record) in records {
            if turned_away.insert(id.clone()) {
                self.call_aggregate(now_ms, |aggregate, ctx| aggregate.turn_away(&id, at, ctx))?;
            }
            self.outputs.refused(&DeadLetter {
                offset: at,
                key: record.key.as_ref(),
                value: record.value.as_deref(),
                upload: Some(&id),
                row: None,
                line: None,
                passed_from: record.passed_from.as_ref(),
                rejection: &rejection,
            })?;
        }
        Ok(())
    }

    /// Takes an upload that is complete, or given up, through the topology.
    fn release(&mut self, id: &UploadId, at: Offset, now_ms: u64) -> Result<(), TaskError> {
        let Some(gather) = &mut self.gather else { return Ok(()) };
        let Some(mut release) = gather.release(id, at, &*self.store)? else { return Ok(()) };
        let is_guess = release.is_guess || self.aggregate.past_of(id, &*self.store)?.is_border_guessed;
        self.is_releasing = true;
        while let Some(step) = release.merge.next(&*self.store)? {
            if release.merge.is_at_end() {
                // Its rows have opened it by now, and its end remembers their places.
                self.source.flush();
                self.drain(now_ms)?;
                self.aggregate.set_cuts(id, release.cuts.clone());
                if is_guess {
                    self.aggregate.doubt_border(id);
                }
            }
            match step {
                Step::Topic(topic) => {
                    self.source.begin_topic(id);
                    self.drain(now_ms)?;
                    self.topic = topic;
                }
                Step::Record(record) => self.read(record, now_ms)?,
                Step::Fail(rejection) => {
                    self.source.flush();
                    self.drain(now_ms)?;
                    self.call_aggregate(now_ms, |aggregate, ctx| aggregate.fail(id, at, rejection, ctx))?;
                }
            }
        }
        self.source.flush();
        self.drain(now_ms)?;
        self.is_releasing = false;
        let is_open = self.aggregate.is_open(id);
        self.aggregate.set_cuts(id, release.cuts.clone());
        if let Some(gather) = &mut self.gather {
            gather.released(id, at, release, is_open);
        }
        Ok(())
    }

    /// Looks at the clock: gives up uploads for which nothing comes any more, with all their records.
    pub(super) fn tick_held(&mut self, now_ms: u64) -> Result<(), TaskError> {
        let at = self.read_from;
        let timeout = self.topology.source.idle_timeout;
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        if self.awaited.is_over(now_ms, timeout_ms) {
            self.miss_awaited(now_ms)?;
        }
        let idle = self.gather.as_ref().map_or_else(Vec::new, |gather| gather.idle(now_ms, timeout_ms));
        for id in idle {
            let why = self.gather.as_ref().and_then(|gather| gather.why_waiting(&id));
            let why = why.unwrap_or_else(|| Rejection::new(Message::Expired { seconds: timeout.as_secs() }));
            info!(task = %self.id, upload = %id, "nothing came for the idle timeout");
            self.release(&id, Offset((at.0 - 1).max(0)), now_ms)?;
            self.call_aggregate(now_ms, |aggregate, ctx| aggregate.give_up(&id, why, ctx))?;
            self.forget_closed();
        }
        Ok(())
    }
}

/// The status of the upload that rows came for last.
pub(super) fn receiving(aggregate: &Aggregate, gather: Option<&Gather>) -> Option<StatusRecord> {
    match gather {
        None => aggregate.receiving(),
        Some(gather) => Some(with_held(aggregate.receiving_of(gather.latest()?)?, Some(gather))),
    }
}

/// The status of an open upload with the rows that are held for it: they wait.
pub(super) fn with_held(status: StatusRecord, gather: Option<&Gather>) -> StatusRecord {
    let held = gather.map_or(0, |gather| gather.rows_held(&UploadId::new(status.upload.as_str())));
    let counted = status.accounting;
    let accounting = Accounting { rows_in: counted.rows_in + held, waiting: counted.waiting + held, ..counted };
    StatusRecord { accounting, ..status }
}

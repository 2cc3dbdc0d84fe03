//! Finds where an upload ends in each partition, and whether more than timestamps of publishers shows it. In the partition of the end that
//! is the end itself. In the others it is the barrier: nothing behind it can belong to the upload. In front of the barrier there may be
//! records of another publication of the id, which began before the end was read.

use std::collections::BTreeSet;

use super::gathered::{End, Gathered, Part, Place};
use super::held::Block;
use super::run::RunRecord;
use crate::state::{StateError, StateStore};

/// Where an upload ends in a partition.
pub(super) struct Border {
    /// First offset that is not the upload's.
    pub(super) next: i64,
    /// Only timestamps that may be wrong show it.
    pub(super) is_guess: bool,
}

/// How far timestamps are trusted, and for what.
#[derive(Clone, Copy)]
pub(super) struct Judgement {
    /// Largest difference between clocks of publishers in milliseconds, if it is known.
    pub(super) tolerance_ms: Option<i64>,
    /// There may be records of another publication in front of the barrier.
    pub(super) has_neighbour: bool,
    /// Timestamps distinguish them, right or wrong.
    pub(super) is_by_time: bool,
}

/// The facts about a record that a border needs.
#[derive(Clone, Copy)]
struct Stamp {
    offset: i64,
    timestamp_ms: i64,
    is_append_time: bool,
}

impl Stamp {
    fn of(record: &RunRecord<'_>) -> Stamp {
        let RunRecord { offset, timestamp_ms, is_append_time, .. } = *record;
        Stamp { offset, timestamp_ms, is_append_time }
    }
}

impl End {
    /// The end that a partition of its topic had when it was read.
    fn barrier(&self, partition: i32) -> i64 {
        usize::try_from(partition).ok().and_then(|at| self.ends.get(at)).copied().unwrap_or(0)
    }

    /// Whether it is the same marker, sent twice.
    fn is_again(&self, other: &End) -> bool {
        let sent = |end: &End| (end.record.timestamp_ms, end.record.key.clone(), end.record.value.clone());
        self.place == other.place && sent(self) == sent(other) && self.record.headers == other.record.headers
    }
}

impl Gathered {
    /// Whether another publication of the id begins or ends behind `end`, as far as timestamps say.
    pub(super) fn continues_behind(&self, end: &End) -> bool {
        let is_later = |place: &Place, offset: i64, timestamp_ms: i64| {
            let is_behind = *place == end.place && offset > end.offset;
            place.0 == end.place.0 && (timestamp_ms > end.record.timestamp_ms || is_behind)
        };
        let begins = self.parts.iter().flat_map(|(place, part)| part.markers.iter().map(move |marker| (place, marker)));
        let mut begins = begins.filter(|(_, marker)| marker.is_begin);
        begins.any(|(place, marker)| is_later(place, marker.offset, marker.record.timestamp_ms))
            || self.ends.iter().any(|other| is_later(&other.place, other.offset, other.record.timestamp_ms))
    }

    /// Whether something shows that records of another publication of the id were on the topic when `end` was read: a record behind it in
    /// its partition, another end, a second begin, or a record that is later than it.
    pub(super) fn has_neighbour(
        &self,
        end: &End,
        tolerance_ms: Option<i64>,
        store: &dyn StateStore,
    ) -> Result<bool, StateError> {
        let is_in_front = |place: &Place, offset: i64| place.0 == end.place.0 && offset < end.barrier(place.1);
        if self.ends.iter().any(|other| is_in_front(&other.place, other.offset) && !other.is_again(end)) {
            return Ok(true);
        }
        let latest_ms = end.record.timestamp_ms.saturating_add(tolerance_ms.unwrap_or(0));
        let mut begins = BTreeSet::new();
        for (place, part) in self.parts.iter().filter(|(place, _)| place.0 == end.place.0) {
            let (barrier, is_here) = (end.barrier(place.1), *place == end.place);
            let is_foreign = |stamp: Stamp| match is_here {
                true => stamp.offset > end.offset,
                false => stamp.timestamp_ms > latest_ms,
            };
            // Attempt ids distinguish the others.
            let unnamed = part.markers.iter().filter(|mark| mark.is_begin && mark.attempt.is_none());
            let in_front = unnamed.filter(|mark| mark.offset < barrier);
            begins.extend(in_front.map(|mark| (place.1, mark.record.timestamp_ms)));
            if begins.len() > 1
                || part.any_below(barrier, &|block| is_here || block.latest_ms > latest_ms, &is_foreign, store)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The place in `place` where the upload with the end `end` ends.
    pub(super) fn border(
        &self,
        place: &Place,
        part: &Part,
        end: &End,
        judgement: Judgement,
        store: &dyn StateStore,
    ) -> Result<Border, StateError> {
        if *place == end.place {
            return Ok(Border { next: end.offset, is_guess: false });
        }
        let (barrier, end_ms) = (end.barrier(place.1), end.record.timestamp_ms);
        let next = match judgement.is_by_time {
            true => self.first_later(place, part, end_ms, barrier, store)?,
            false => barrier,
        };
        let is_doubtful = |stamp: Stamp| {
            let is_sure = stamp.is_append_time && end.record.is_append_time;
            let Some(tolerance_ms) = judgement.tolerance_ms.or(is_sure.then_some(0)) else { return true };
            let tolerance_ms = if is_sure { 0 } else { tolerance_ms };
            let is_early_behind = stamp.offset >= next && stamp.timestamp_ms <= end_ms;
            stamp.timestamp_ms.abs_diff(end_ms) <= tolerance_ms.unsigned_abs() || is_early_behind
        };
        let is_guess = judgement.has_neighbour && part.any_below(barrier, &|_| true, &is_doubtful, store)?;
        Ok(Border { next, is_guess })
    }

    /// First offset of `place` in front of the barrier that is later than an end, or the barrier.
    fn first_later(
        &self,
        place: &Place,
        part: &Part,
        end_ms: i64,
        barrier: i64,
        store: &dyn StateStore,
    ) -> Result<i64, StateError> {
        let mut next = barrier;
        for block in part.blocks.iter().take_while(|block| block.first < barrier) {
            if let Some(first) = block.first_after(end_ms, store)? {
                next = next.min(first);
                break;
            }
        }
        let markers = part.markers.iter().filter(|marker| marker.record.timestamp_ms > end_ms);
        let ends = self.ends.iter().filter(|other| other.place == *place && other.record.timestamp_ms > end_ms);
        Ok(markers.map(|marker| marker.offset).chain(ends.map(|other| other.offset)).fold(next, i64::min))
    }
}

impl Part {
    /// Whether `is_found` holds for a record below `barrier`; only blocks that may have such a record are read.
    fn any_below(
        &self,
        barrier: i64,
        may_hold: &dyn Fn(&Block) -> bool,
        is_found: &dyn Fn(Stamp) -> bool,
        store: &dyn StateStore,
    ) -> Result<bool, StateError> {
        let found = |stamp: Stamp| stamp.offset < barrier && is_found(stamp);
        let mut markers = self.markers.iter().map(|marker| Stamp {
            offset: marker.offset,
            timestamp_ms: marker.record.timestamp_ms,
            is_append_time: marker.record.is_append_time,
        });
        if markers.any(found) {
            return Ok(true);
        }
        for block in self.blocks.iter().take_while(|block| block.first < barrier).filter(|block| may_hold(block)) {
            if block.any(&|record| found(Stamp::of(record)), store)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

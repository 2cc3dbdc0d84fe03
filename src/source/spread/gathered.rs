//! What has come of one upload: records by source partition, the markers before its rows, and its ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::held::Block;
use super::run::{Run, RunRecord};
use crate::record::{Cuts, Offset, Record, UploadHash};
use crate::state::{StateError, StateStore};

/// A partition of a source topic.
pub(super) type Place = (Arc<str>, i32);

/// When a run is taken.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// The run is new: what it does is not known yet.
    pub is_live: bool,
}

/// How far a source partition is passed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) log: i64,
    pub(super) era: i64,
    pub(super) next: i64,
    pub(super) committed: i64,
    /// An upload that has records below may have lost its first ones.
    pub(super) doubtful_below: i64,
}

impl Passed {
    /// Nothing of this run yet.
    pub(super) fn before(run: &Run<'_>) -> Passed {
        Passed { log: run.log, era: run.era, next: run.from, ..Passed::default() }
    }

    /// The reading that it is of.
    pub(super) fn reading(&self) -> i64 {
        self.log ^ self.era
    }
}

/// What has come of an upload, and is not given to the source yet.
pub(super) struct Gathered {
    /// Offset of the first run that holds something of it.
    pub(super) first: Offset,
    pub(super) parts: BTreeMap<Place, Part>,
    /// By time.
    pub(super) ends: Vec<End>,
    /// Records of it are, or may be, gone.
    pub(super) lost: Option<(i64, i64)>,
    pub(super) is_doubtful: bool,
    /// It has records besides ends.
    pub(super) has_records: bool,
    /// It began, or has rows without numbers: it is an upload of its own, whatever came before.
    pub(super) is_own: bool,
    pub(super) touched_ms: u64,
    pub(super) segment: Option<UploadHash>,
    /// Its end was given to the source, and it is still open: it waits for rows.
    pub(super) released: Option<Released>,
}

pub(super) struct Released {
    pub(super) first: Offset,
    pub(super) cuts: Cuts,
    /// Records later than this are the next revision's.
    pub(super) until_ms: i64,
}

/// What one source partition has of an upload.
#[derive(Default)]
pub(super) struct Part {
    pub(super) log: i64,
    /// The reading that it is of.
    pub(super) era: i64,
    pub(super) blocks: VecDeque<Block>,
    /// Markers that begin it or name its columns, as they stand.
    pub(super) markers: VecDeque<HeldMarker>,
}

/// A marker before the end.
pub(super) struct HeldMarker {
    pub(super) offset: i64,
    pub(super) is_begin: bool,
    pub(super) attempt: Option<String>,
    pub(super) record: Record,
}

/// An end-of-file marker, or an abort.
pub(super) struct End {
    pub(super) place: Place,
    pub(super) log: i64,
    pub(super) reading: i64,
    pub(super) offset: i64,
    pub(super) rows: Option<u64>,
    pub(super) has_sha256: bool,
    pub(super) is_abort: bool,
    /// The barrier: where the partitions of its topic ended when it was read.
    pub(super) ends: Vec<i64>,
    pub(super) record: Record,
}

/// A run that is being taken.
pub(super) struct Arrival<'a> {
    pub(super) at: Offset,
    pub(super) place: &'a Place,
    pub(super) run: &'a Run<'a>,
    pub(super) body: &'a Bytes,
    pub(super) passed: Passed,
    pub(super) moment: Moment,
}

impl Arrival<'_> {
    pub(super) fn is_below(&self, cuts: &Cuts, offset: i64) -> bool {
        cuts.cover(&self.place.0, self.place.1, self.run.reading(), offset)
    }
}

impl End {
    pub(super) fn new(
        from: &Arrival<'_>,
        record: &RunRecord<'_>,
        (rows, has_sha256): (Option<u64>, bool),
        is_abort: bool,
        whole: Record,
    ) -> End {
        let (place, ends) = (from.place.clone(), from.run.ends.clone());
        let (log, reading) = (from.run.log, from.run.reading());
        End { place, log, reading, offset: record.offset, rows, has_sha256, is_abort, ends, record: whole }
    }
}

impl Gathered {
    pub(super) fn new(first: Offset) -> Gathered {
        Gathered {
            first,
            parts: BTreeMap::new(),
            ends: Vec::new(),
            lost: None,
            is_doubtful: false,
            has_records: false,
            is_own: false,
            touched_ms: 0,
            segment: None,
            released: None,
        }
    }

    pub(super) fn part(&mut self, from: &Arrival<'_>) -> &mut Part {
        let part = self.parts.entry(from.place.clone()).or_default();
        (part.log, part.era) = (from.run.log, from.run.reading());
        part
    }

    /// Ends of several revisions come in any order.
    pub(super) fn end(&mut self, end: End) {
        self.ends.push(end);
        self.ends.sort_by(|a, b| {
            let order = |end: &End| (end.record.timestamp_ms, end.place.1, end.offset);
            order(a).cmp(&order(b))
        });
    }

    pub(super) fn mark(&mut self, from: &Arrival<'_>, marker: HeldMarker) {
        self.has_records = true;
        self.is_own |= marker.is_begin;
        self.part(from).markers.push_back(marker);
    }

    /// Whether the upload is with the source already, and the record is one that it waits for.
    pub(super) fn passes_through(&mut self, record: &RunRecord<'_>, from: &Arrival<'_>) -> bool {
        let Some(released) = &mut self.released else { return false };
        let passes = record.timestamp_ms <= released.until_ms;
        if passes {
            released.cuts.raise(&from.place.0, from.place.1, from.run.reading(), record.offset + 1);
        }
        passes
    }

    /// Whether another publication of the id begins or ends behind `end`.
    pub(super) fn goes_on_behind(&self, end: &End) -> bool {
        let is_later = |place: &Place, offset: i64, record: &Record| {
            let is_behind = *place == end.place && offset > end.offset;
            place.0 == end.place.0 && (record.timestamp_ms > end.record.timestamp_ms || is_behind)
        };
        let begins = self.parts.iter().flat_map(|(place, part)| part.markers.iter().map(move |marker| (place, marker)));
        let mut begins = begins.filter(|(_, marker)| marker.is_begin);
        begins.any(|(place, marker)| is_later(place, marker.offset, &marker.record))
            || self.ends.iter().any(|other| is_later(&other.place, other.offset, &other.record))
    }

    /// First offset of `place` that is behind `end`: in the partition of the end, the end itself; in the others the barrier. Where something
    /// of the next revision may stand below the barrier already, timestamps tell them apart.
    pub(super) fn cut(
        &self,
        place: &Place,
        part: &Part,
        end: &End,
        by_time: bool,
        store: &dyn StateStore,
    ) -> Result<i64, StateError> {
        if *place == end.place {
            return Ok(end.offset);
        }
        let barrier = usize::try_from(place.1).ok().and_then(|at| end.ends.get(at)).copied().unwrap_or(0);
        let end_ms = end.record.timestamp_ms;
        if !by_time {
            return Ok(barrier);
        }
        let mut cut = barrier;
        for block in part.blocks.iter().take_while(|block| block.first < barrier) {
            if let Some(first) = block.first_after(end_ms, store)? {
                cut = cut.min(first);
                break;
            }
        }
        let markers =
            part.markers.iter().filter(|marker| marker.record.timestamp_ms > end_ms).map(|marker| marker.offset);
        let ends = self.ends.iter().filter(|other| other.place == *place && other.record.timestamp_ms > end_ms);
        Ok(markers.chain(ends.map(|other| other.offset)).fold(cut, i64::min))
    }
}

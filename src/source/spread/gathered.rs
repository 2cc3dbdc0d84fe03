//! The held parts of one upload: records by source partition, the markers before its rows, and its ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::held::Block;
use super::run::{Run, RunRecord};
use crate::record::{Cuts, Offset, Record, UploadHash};

/// A partition of a source topic.
pub(super) type Place = (Arc<str>, i32);

/// The moment at which a run is taken.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// The run is new: its effects are not known yet.
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
    /// Records of it are, or may be, gone.
    pub(super) has_lost: bool,
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

/// The parts of an upload that are not given to the source yet.
pub(super) struct Gathered {
    /// Offset of the first run with records of it.
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

/// The part of an upload in one source partition.
#[derive(Default)]
pub(super) struct Part {
    pub(super) log: i64,
    /// The reading that it is of.
    pub(super) era: i64,
    pub(super) blocks: VecDeque<Block>,
    /// Markers that begin it or name its columns, in their order.
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
    /// The barrier: the ends that the partitions of its topic had when it was read.
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

impl Part {
    /// First offset of its records, and the one behind the last.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let blocks = self.blocks.iter().map(|block| (block.first, block.next));
        let markers = self.markers.iter().map(|marker| (marker.offset, marker.offset + 1));
        blocks.chain(markers).fold((i64::MAX, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)))
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

    /// Rows that are held, about: lines, without the header of each topic where the first one is it.
    pub(super) fn rows(&self, has_headers: bool) -> u64 {
        let mut by_topic = BTreeMap::<&str, u64>::new();
        for ((topic, _), part) in &self.parts {
            let lines: u64 = part.blocks.iter().map(|block| block.lines).sum();
            *by_topic.entry(topic).or_default() += lines;
        }
        let is_named = |topic: &str| {
            self.parts.iter().any(|((of, _), part)| **of == *topic && part.markers.iter().any(|mark| !mark.is_begin))
        };
        let header = |topic: &str| u64::from(has_headers && !is_named(topic));
        by_topic.into_iter().map(|(topic, lines)| lines.saturating_sub(header(topic))).sum()
    }

    /// Which end of a topic comes first: of those of one partition the first in its order, and of these the earliest.
    pub(super) fn first_end(&self, topic: &Arc<str>) -> Option<usize> {
        let of_topic = || self.ends.iter().enumerate().filter(|(_, end)| end.place.0 == *topic);
        let is_head = |end: &End| of_topic().all(|(_, other)| other.place != end.place || end.offset <= other.offset);
        let heads = of_topic().filter(|(_, end)| is_head(end));
        heads.min_by_key(|(_, end)| (end.record.timestamp_ms, end.place.1)).map(|(at, _)| at)
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
}

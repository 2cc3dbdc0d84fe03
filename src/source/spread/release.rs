//! Takes a whole upload out of the held records, up to its ends. Records behind the ends stay for the next revision.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use super::border::{Border, Judgement};
use super::gather::Gather;
use super::gathered::{End, Gathered, Part, Passed, Released};
use super::held::{Block, part_at};
use super::merge::{Merge, Parts};
use crate::record::{Cuts, Offset, UploadId};
use crate::state::{StateError, StateStore};

/// An upload on its way to the source.
pub struct Release {
    /// Its records, in order.
    pub merge: Merge,
    /// Where they end in each source partition.
    pub cuts: Cuts,
    /// Only timestamps that may be wrong show which records are its own.
    pub is_guess: bool,
    first: Offset,
    until_ms: i64,
}

impl Gather {
    /// Takes an upload out, to be given to the source as of `at`: up to its ends, or all its records when it has none. Records behind its
    /// ends stay.
    pub fn release(
        &mut self,
        id: &UploadId,
        at: Offset,
        store: &dyn StateStore,
    ) -> Result<Option<Release>, StateError> {
        let Some(mut upload) = self.uploads.remove(id) else { return Ok(None) };
        let is_whole = self.is_due(&upload);
        let abort = upload.ends.iter().position(|end| end.is_abort && self.is_past(end)).filter(|_| is_whole);
        let chosen: Vec<End> = match abort {
            _ if !is_whole => mem::take(&mut upload.ends),
            Some(abort) => vec![upload.ends.remove(abort)],
            None => {
                let mut chosen: Vec<_> = self.topics.iter().filter_map(|topic| upload.first_end(topic)).collect();
                chosen.sort_unstable_by(|a, b| b.cmp(a));
                chosen.into_iter().map(|end| upload.ends.remove(end)).collect()
            }
        };
        let judgement = self.judgement(id, &upload, &chosen, store)?;
        let mut release = Parts { at, lost: upload.lost, ..Parts::default() };
        let (mut cuts, mut rest, mut is_guess) = (Cuts::default(), BTreeMap::new(), false);
        for (place, mut part) in mem::take(&mut upload.parts) {
            let end = chosen.iter().find(|end| end.place.0 == place.0).filter(|_| is_whole);
            let border = match end {
                Some(end) => upload.border(&place, &part, end, judgement, store)?,
                None => Border { next: i64::MAX, is_guess: false },
            };
            let cut = border.next;
            let behind = part.blocks.back().map_or(0, |block| block.next);
            let behind = part.markers.back().map_or(behind, |marker| behind.max(marker.offset + 1));
            cuts.raise(&place.0, place.1, part.era, if cut == i64::MAX { behind } else { cut });
            if border.is_guess {
                is_guess = true;
                cuts.guess(&place.0, place.1);
            }
            let held: usize = part.blocks.iter().map(Block::bytes).sum();
            self.bytes -= held;
            let (blocks, mut others) = part_at(mem::take(&mut part.blocks), cut, store)?;
            others.iter_mut().try_for_each(|block| block.load(store))?;
            self.bytes += others.iter().map(Block::bytes).sum::<usize>();
            let (markers, later): (VecDeque<_>, VecDeque<_>) =
                mem::take(&mut part.markers).into_iter().partition(|marker| marker.offset < cut);
            release.markers.extend(markers.into_iter().map(|marker| (place.clone(), marker)));
            if !blocks.is_empty() {
                release.blocks.push((place.clone(), blocks));
            }
            if !(others.is_empty() && later.is_empty()) {
                rest.insert(place, Part { blocks: others, markers: later, ..part });
            }
        }
        for end in chosen.iter().filter(|_| is_whole) {
            let era = self.passed.get(&end.place).map_or(0, Passed::reading);
            cuts.raise(&end.place.0, end.place.1, era, end.offset + 1);
            for (partition, barrier) in (0..).zip(&end.ends) {
                let place = (end.place.0.clone(), partition);
                let known = cuts.iter().any(|(topic, at, _)| *topic == *place.0 && at == partition);
                if let Some(passed) = self.passed.get(&place).filter(|_| !known) {
                    cuts.raise(&place.0, partition, passed.reading(), *barrier);
                }
            }
        }
        let until_ms = chosen.iter().map(|end| end.record.timestamp_ms).max().unwrap_or(i64::MAX);
        // An end that was sent twice is one.
        upload.ends.retain(|end| {
            let era = self.passed.get(&end.place).map_or(0, Passed::reading);
            !cuts.cover(&end.place.0, end.place.1, era, end.offset)
        });
        self.dropped.extend(upload.segment.take());
        let first = upload.first;
        release.ends = if is_whole { chosen } else { Vec::new() };
        self.ending.remove(id);
        let first_left = rest.values().flat_map(|part: &Part| part.blocks.iter().map(|block| block.at)).min();
        if !(rest.is_empty() && upload.ends.is_empty()) {
            let is_begin = |part: &Part| part.markers.iter().any(|marker| marker.is_begin);
            let left = Gathered {
                // Markers do not say in which run they came.
                first: first_left.filter(|_| rest.values().all(|part| part.markers.is_empty())).unwrap_or(first),
                has_records: !rest.is_empty(),
                is_own: upload.is_own || rest.values().any(is_begin),
                touched_ms: upload.touched_ms,
                ends: upload.ends,
                parts: rest,
                ..Gathered::new(first)
            };
            if !left.ends.is_empty() {
                self.ending.insert(id.clone());
            }
            self.uploads.insert(id.clone(), left);
        }
        let merge = Merge::new(self.config.clone(), self.topics.clone(), release);
        Ok(Some(Release { merge, cuts, is_guess, first, until_ms }))
    }

    /// How an upload is distinguished from another publication of its id. An upload with a count of rows is known by the count.
    fn judgement(
        &self,
        id: &UploadId,
        upload: &Gathered,
        ends: &[End],
        store: &dyn StateStore,
    ) -> Result<Judgement, StateError> {
        let tolerance = self.config.clock_tolerance;
        let tolerance_ms = tolerance.map(|tolerance| i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX));
        let (mut has_neighbour, mut is_by_time) = (false, id.as_str().is_empty());
        for end in ends {
            let is_crowded = upload.has_neighbour(end, tolerance_ms, store)?;
            has_neighbour |= is_crowded;
            is_by_time |= upload.continues_behind(end) || (is_crowded && end.rows.is_none());
        }
        Ok(Judgement { tolerance_ms, has_neighbour, is_by_time })
    }

    /// The source has all of an upload. It is still open if it waits for rows.
    pub fn released(&mut self, id: &UploadId, at: Offset, release: Release, is_open: bool) {
        let Release { cuts, first, until_ms, .. } = release;
        if is_open {
            let upload = self.uploads.entry(id.clone()).or_insert_with(|| Gathered::new(first));
            upload.released = Some(Released { first, cuts, until_ms });
        } else {
            self.remember(at, cuts);
        }
    }

    /// Where the records of an upload that waits for rows end, by source partition.
    pub fn cuts(&self, id: &UploadId) -> Option<&Cuts> {
        Some(&self.uploads.get(id)?.released.as_ref()?.cuts)
    }
}

//! Stage two: holds the records of each upload, notes how far each source partition is passed on, and finds uploads that are whole.
//!
//! All of this follows from the repartition topic, read from [`Gather::replay_from`] on; nothing of it is in the state.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use super::gathered::{Arrival, End, Gathered, HeldMarker, Moment, Part, Passed, Place};
use super::held::{Block, part_at};
use super::run::{Run, RunRecord};
use crate::record::{Cuts, Marker, Message, Offset, Record, Rejection, UploadHash, UploadId};
use crate::source::envelope::{self, Content, ControlHeaders};
use crate::source::{Placement, SourceConfig};
use crate::state::{StateError, StateStore};

/// Bytes that are held in memory, over all uploads.
pub(super) const MEMORY_MAX: usize = 32 << 20;

/// The last end of an upload.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Where the upload ended in each source partition.
    pub cuts: Option<Cuts>,
    /// It was turned away, and its end has not come yet.
    pub is_turned_away: bool,
    /// First rows of the upload that follows may have been taken for its own: only timestamps distinguished them, and no count has shown
    /// that it is whole.
    pub is_border_guessed: bool,
}

/// Finds the [`Past`] of an upload.
pub type PastOf<'a> = &'a mut dyn FnMut(&UploadId, &dyn StateStore) -> Result<Past, StateError>;

/// Holds the records of open uploads.
pub struct Gather {
    pub(super) config: Arc<SourceConfig>,
    pub(super) topics: Arc<[Arc<str>]>,
    pub(super) passed: BTreeMap<Place, Passed>,
    pub(super) uploads: HashMap<UploadId, Gathered>,
    /// Uploads with at least one end.
    pub(super) ending: BTreeSet<UploadId>,
    /// Ends whose records may be passed on once more: a replay has to know of them.
    pub(super) ended: Vec<(Offset, Cuts)>,
    pub(super) bytes: usize,
    pub(super) segments: u64,
    /// Segments that nothing is in any more.
    pub(super) dropped: Vec<UploadHash>,
    /// The upload that rows came for last.
    latest: Option<UploadId>,
}

/// The effects of a run.
#[derive(Default)]
pub struct Arrivals {
    /// Uploads with new records; whether they are uploads of their own, whatever came before; whether first rows may be gone.
    pub touched: Vec<(UploadId, bool, bool)>,
    /// Records that go to the source at once.
    pub through: Vec<(Option<UploadId>, Arc<str>, Record)>,
    /// Records that would open an upload, when no more may be open.
    pub too_many: Vec<(UploadId, Record)>,
    /// Uploads that ended in some topics and not in others, and why they wait.
    pub waiting: Vec<(UploadId, Rejection)>,
    /// Uploads of which all records were in a log that is no more.
    pub gone: Vec<UploadId>,
}

/// Why a run cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Nobody but sheetstream writes to the topic.
    #[error("offset {0} of the repartition topic holds no run of ours: nothing else may write to it")]
    Foreign(Offset),
    /// The disk.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Gather {
    /// Nothing has come yet.
    pub fn new(config: Arc<SourceConfig>) -> Gather {
        let topics = match &config.placement {
            Placement::Spread(spread) => spread.topics.clone(),
            Placement::Keyed => Arc::new([config.topic.clone()]),
        };
        Gather {
            config,
            topics,
            passed: BTreeMap::new(),
            uploads: HashMap::new(),
            ending: BTreeSet::new(),
            ended: Vec::new(),
            bytes: 0,
            segments: 0,
            dropped: Vec::new(),
            latest: None,
        }
    }

    /// The upload that rows came for last.
    pub fn latest(&self) -> Option<&UploadId> {
        self.latest.as_ref()
    }

    /// Rows of an upload that are held, about: its lines.
    pub fn rows_held(&self, id: &UploadId) -> u64 {
        self.uploads.get(id).map_or(0, |upload| upload.rows(self.config.takes_first_row()))
    }

    /// An upload ended at `at`.
    pub fn remember(&mut self, at: Offset, cuts: Cuts) {
        // The ledger keeps ends behind the start of the log.
        self.ended.push((Offset((at.0 - 1).max(0)), cuts));
    }

    /// First offset of the repartition topic that a restart has to read; `None` when nothing is held.
    pub fn replay_from(&self) -> Option<Offset> {
        let released = |upload: &Gathered| upload.released.as_ref().map(|released| released.first);
        let open = self.uploads.values().flat_map(|upload| [Some(upload.first), released(upload)]).flatten();
        open.chain(self.ended.iter().map(|(at, _)| *at)).min()
    }

    /// Forgets ends whose records are not passed on again: whoever passes them on has committed behind them.
    fn forget_ended(&mut self) {
        let (passed, topics) = (&self.passed, &self.topics);
        self.ended.retain(|(_, cuts)| {
            let mut cuts = cuts.iter().filter(|(topic, ..)| topics.iter().any(|known| **known == **topic));
            cuts.any(|(topic, partition, cut)| {
                let passed = passed.iter().find(|((of, at), _)| **of == *topic && *at == partition);
                passed.is_none_or(|(_, passed)| passed.reading() == cut.era && passed.committed < cut.next)
            })
        });
    }

    /// Takes a record of the repartition topic.
    pub fn take(
        &mut self,
        record: Record,
        moment: Moment,
        past: PastOf<'_>,
        store: &mut dyn StateStore,
    ) -> Result<Arrivals, GatherError> {
        let body = record.value.unwrap_or_default();
        let run = Run::decode(&body).ok_or(GatherError::Foreign(record.offset))?;
        let mut arrivals = Arrivals::default();
        let place: Place = (self.name_of(run.topic), run.partition);
        let known = self.passed.get(&place).copied();
        let mut passed = known.unwrap_or_else(|| Passed::before(&run));
        if passed.log == run.log && run.era < passed.era {
            return Ok(arrivals); // from one that does not know yet that another one has begun anew
        }
        // A reset of the offset skips records, too.
        let is_same_log = passed.log == run.log;
        let skipped = (is_same_log && passed.next < run.from).then_some((passed.next, run.from, run.from));
        if !is_same_log {
            self.lose_log(&place.0, passed.log);
            arrivals.gone = self.void(&|of, log, _| of.0 == place.0 && log == passed.log, 0, store)?;
        } else if passed.era != run.era {
            self.void(&|of, _, reading| *of == place && reading == passed.reading(), run.from, store)?;
        }
        if passed.reading() != run.reading() {
            passed = Passed::before(&run);
        }
        passed.committed = passed.committed.max(run.committed);
        let is_news = passed.next < run.to || known.is_none_or(|known| known.reading() != run.reading());
        for (from, to, end) in [run.lost.filter(|_| is_news), skipped].into_iter().flatten() {
            passed.has_lost = true;
            passed.doubtful_below = passed.doubtful_below.max(end);
            for upload in self.uploads.values_mut().filter(|upload| upload.has_records && from < to) {
                upload.lost.get_or_insert((from, to));
            }
        }
        let new = &run.records[run.records.partition_point(|record| record.offset < passed.next)..];
        passed.next = passed.next.max(run.to);
        self.passed.insert(place.clone(), passed);
        let from = Arrival { at: record.offset, place: &place, run: &run, body: &body, passed, moment };
        self.sort(new, &from, past, &mut arrivals, store)?;
        self.forget_ended();
        Ok(arrivals)
    }

    /// An upload that is complete.
    pub fn due(&self) -> Option<UploadId> {
        self.ending.iter().find(|id| self.uploads.get(*id).is_some_and(|upload| self.is_due(upload))).cloned()
    }

    /// Whether records of a source partition are, or may be, gone.
    pub fn has_lost(&self) -> bool {
        self.passed.values().any(|passed| passed.has_lost)
    }

    /// Whether such a partition is passed on up to the end that it had then: what has not come by now does not come again.
    pub fn has_passed_loss(&self) -> bool {
        self.passed.values().any(|passed| passed.has_lost && passed.doubtful_below <= passed.next)
    }

    /// Gives each record to its upload.
    fn sort(
        &mut self,
        records: &[RunRecord<'_>],
        from: &Arrival<'_>,
        past: PastOf<'_>,
        arrivals: &mut Arrivals,
        store: &mut dyn StateStore,
    ) -> Result<(), StateError> {
        let mut rows: BTreeMap<UploadId, Vec<RunRecord<'_>>> = BTreeMap::new();
        // Records of one upload follow each other, mostly.
        let mut latest: Option<(UploadId, Past)> = None;
        let (mut touched, mut ended) = (BTreeSet::<UploadId>::new(), BTreeSet::<UploadId>::new());
        for record in records {
            let whole = record.to_record(from.at, from.place, from.body);
            let config = self.config.clone();
            let headers = ControlHeaders::among(&whole.headers, &config);
            let plain = envelope::plain(&config, &whole, &headers);
            let opened = plain.as_ref().ok().map(|plain| envelope::open(&config, &whole, &headers, plain));
            let Some(Ok(Some(envelope))) = opened else {
                // The source decides about such a record.
                arrivals.through.push((None, from.place.0.clone(), whole));
                continue;
            };
            let (id, past) = match latest.take().filter(|(id, _)| id.as_str() == envelope.upload) {
                Some(latest) => latest,
                None => {
                    let id = UploadId::new(envelope.upload);
                    let past = past(&id, store)?;
                    (id, past)
                }
            };
            let is_counted = past.cuts.as_ref().is_some_and(|cuts| from.is_below(cuts, record.offset));
            let is_turned_away = past.is_turned_away;
            latest = Some((id.clone(), past));
            if is_counted {
                continue;
            }
            if is_turned_away {
                arrivals.through.push((None, from.place.0.clone(), whole));
                continue;
            }
            let is_crowded = self.uploads.len() >= self.config.open_uploads_max as usize;
            if is_crowded && from.moment.is_live && !self.uploads.contains_key(&id) {
                arrivals.too_many.push((id, whole));
                continue;
            }
            let upload = self.uploads.entry(id.clone()).or_insert_with(|| Gathered::new(from.at));
            if upload.passes_through(record, from) {
                arrivals.through.push((Some(id), from.place.0.clone(), whole));
                continue;
            }
            upload.is_doubtful |= record.offset < from.passed.doubtful_below;
            touched.insert(id.clone());
            let attempt = envelope.attempt.as_deref().map(str::to_owned);
            match envelope.content {
                Content::Marker(Marker::Eof { rows, sha256, .. }, _) => {
                    let end = End::new(from, record, (rows, sha256.is_some()), false, whole.clone());
                    upload.end(end);
                    ended.insert(id.clone());
                    self.ending.insert(id);
                }
                Content::Marker(Marker::Abort, _) => {
                    upload.end(End::new(from, record, (None, false), true, whole.clone()));
                    self.ending.insert(id);
                }
                Content::Marker(ref marker, _) => {
                    let is_begin = matches!(marker, Marker::Begin(_));
                    upload.mark(from, HeldMarker { offset: record.offset, is_begin, attempt, record: whole.clone() });
                }
                Content::HeaderFollows | Content::UnfitHeader(_) => {
                    let is_begin = false;
                    upload.mark(from, HeldMarker { offset: record.offset, is_begin, attempt, record: whole.clone() });
                }
                Content::Rows { first_row, .. } => {
                    upload.has_records = true;
                    upload.is_own |= first_row.is_none();
                    rows.entry(id).or_default().push(record.clone());
                }
            }
        }
        for (id, records) in rows {
            let Some(upload) = self.uploads.get_mut(&id) else { continue };
            let block = Block::new(from.at, &records);
            self.bytes += block.bytes();
            upload.part(from).blocks.push_back(block);
            self.latest = Some(id);
            if self.bytes > MEMORY_MAX {
                self.segments += 1;
                let segment = *upload.segment.get_or_insert_with(|| segment(self.segments));
                for block in upload.parts.values_mut().flat_map(|part| &mut part.blocks) {
                    self.bytes -= block.bytes();
                    block.spill(segment, store)?;
                }
            }
        }
        for id in touched {
            let Some(upload) = self.uploads.get_mut(&id) else { continue };
            upload.touched_ms = from.moment.now_ms;
            if upload.has_records {
                arrivals.touched.push((id.clone(), upload.is_own, upload.is_doubtful));
            }
            if let Some(why) = self.why_waiting(&id).filter(|_| ended.contains(&id)) {
                arrivals.waiting.push((id, why));
            }
        }
        Ok(())
    }

    /// Why an upload that ended in some topics is not complete.
    pub fn why_waiting(&self, id: &UploadId) -> Option<Rejection> {
        let upload = self.uploads.get(id)?;
        let has_end = |topic: &&Arc<str>| upload.ends.iter().any(|end| end.place.0 == **topic);
        let missing: Vec<_> =
            self.topics.iter().filter(|topic| !has_end(topic)).map(|topic| topic.to_string()).collect();
        let is_begun = !upload.ends.is_empty() && !missing.is_empty();
        is_begun.then(|| Rejection::new(Message::TopicsNotEnded { topics: missing.join(", ") }))
    }

    /// Every topic has an end, or one aborts, and all records before it have come.
    pub(super) fn is_due(&self, upload: &Gathered) -> bool {
        let first = |topic: &Arc<str>| upload.first_end(topic).map(|at| &upload.ends[at]);
        let aborts = upload.ends.iter().find(|end| end.is_abort).is_some_and(|end| self.is_past(end));
        aborts || self.topics.iter().all(|topic| first(topic).is_some_and(|end| self.is_past(end)))
    }

    /// Whether all partitions of the topic are passed on up to the barrier, which is one of the same log.
    pub(super) fn is_past(&self, end: &End) -> bool {
        let next = |partition: i32| {
            let passed = self.passed.get(&(end.place.0.clone(), partition)).filter(|passed| passed.log == end.log);
            passed.map_or(0, |passed| passed.next)
        };
        (0..).zip(&end.ends).all(|(partition, barrier)| next(partition) >= *barrier)
    }

    /// Uploads for which nothing has come for `timeout_ms`.
    pub fn idle(&self, now_ms: u64, timeout_ms: u64) -> Vec<UploadId> {
        let is_idle =
            |upload: &Gathered| upload.released.is_none() && now_ms.saturating_sub(upload.touched_ms) >= timeout_ms;
        let mut idle: Vec<_> = self.uploads.iter().filter(|(_, upload)| is_idle(upload)).collect();
        idle.sort_by_key(|(id, upload)| (upload.first, (*id).clone()));
        idle.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// An upload is no longer open: the rows that it waited for have come, or it is known to have ended.
    pub fn closed(&mut self, id: &UploadId, at: Offset) {
        if let Some(upload) = self.uploads.get_mut(id)
            && let Some(released) = upload.released.take()
        {
            self.ended.push((Offset((at.0 - 1).max(0)), released.cuts));
            if !(upload.parts.is_empty() && upload.ends.is_empty()) {
                return;
            }
        }
        if let Some(upload) = self.uploads.remove(id) {
            self.bytes -= upload.parts.values().flat_map(|part| &part.blocks).map(Block::bytes).sum::<usize>();
            self.dropped.extend(upload.segment);
        }
        self.ending.remove(id);
    }

    /// Bytes that are held in memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Segments that nothing is in any more.
    pub fn take_dropped(&mut self) -> Vec<UploadHash> {
        mem::take(&mut self.dropped)
    }

    /// A topic was made anew: uploads that have records elsewhere too are in parts from now on.
    fn lose_log(&mut self, topic: &str, log: i64) {
        for upload in self.uploads.values_mut() {
            let is_gone = |(place, part): &(&Place, &Part)| *place.0 == *topic && part.log == log;
            let gone = upload.parts.iter().filter(is_gone).map(|(_, part)| part.bounds());
            let gone = gone.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
            if gone.is_some() && upload.parts.iter().any(|part| !is_gone(&part)) {
                upload.lost = upload.lost.or(gone);
            }
        }
    }

    /// Records that `is_void` names, by partition, log and reading, do not count from offset `from` on: they are read again, or their log
    /// is gone. Returns the uploads of which nothing is left.
    fn void(
        &mut self,
        is_void: &dyn Fn(&Place, i64, i64) -> bool,
        from: i64,
        store: &dyn StateStore,
    ) -> Result<Vec<UploadId>, StateError> {
        for (id, upload) in &mut self.uploads {
            for (place, part) in &mut upload.parts {
                if !is_void(place, part.log, part.era) {
                    continue;
                }
                self.bytes -= part.blocks.iter().map(Block::bytes).sum::<usize>();
                let (mut blocks, _) = part_at(mem::take(&mut part.blocks), from, store)?;
                blocks.iter_mut().try_for_each(|block| block.load(store))?;
                self.bytes += blocks.iter().map(Block::bytes).sum::<usize>();
                part.blocks = blocks.into();
                part.markers.retain(|marker| marker.offset < from);
            }
            upload.parts.retain(|_, part| !(part.blocks.is_empty() && part.markers.is_empty()));
            upload.ends.retain(|end| !is_void(&end.place, end.log, end.reading) || end.offset < from);
            if upload.ends.is_empty() {
                self.ending.remove(id);
            }
        }
        let empty = self
            .uploads
            .extract_if(|_, upload| upload.parts.is_empty() && upload.ends.is_empty() && upload.released.is_none());
        let mut gone = Vec::new();
        for (id, upload) in empty {
            self.dropped.extend(upload.segment);
            gone.push(id);
        }
        gone.sort();
        Ok(gone)
    }

    fn name_of(&self, topic: &str) -> Arc<str> {
        self.topics.iter().find(|known| ***known == *topic).cloned().unwrap_or_else(|| topic.into())
    }
}

/// A name that no upload's own segment has.
fn segment(number: u64) -> UploadHash {
    let mut name = *b"gathered\0\0\0\0\0\0\0\0";
    name[8..].copy_from_slice(&number.to_be_bytes());
    UploadHash(name)
}

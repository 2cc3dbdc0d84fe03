//! Merges a complete upload into one sequence of records. Rows of one partition stay in their order; between partitions the earlier
//! timestamp is first, then the lower partition. Where topics are sheets, one topic comes after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::gathered::{End, HeldMarker, Place};
use super::held::{Block, records};
use crate::record::{Header, Message, Offset, OpenAttempt, Record, Rejection};
use crate::source::SourceConfig;
use crate::source::csv::{Fields, Rows};
use crate::source::envelope::{self, Content, ControlHeaders};
use crate::source::header_row::names_what_is_needed;
use crate::state::{StateError, StateStore};

/// The next step of the sequence.
#[derive(Debug)]
pub enum Step {
    /// The records that follow are of this topic, whose rows have a header of their own.
    Topic(Arc<str>),
    /// A record.
    Record(Record),
    /// The upload cannot be published, and fails.
    Fail(Rejection),
}

/// The parts of an upload.
#[derive(Default)]
pub(super) struct Parts {
    /// Offset under which the source sees it.
    pub(super) at: Offset,
    /// Offsets of records that are gone.
    pub(super) lost: Option<(i64, i64)>,
    pub(super) markers: Vec<(Place, HeldMarker)>,
    pub(super) blocks: Vec<(Place, Vec<Block>)>,
    /// One of each topic that ended.
    pub(super) ends: Vec<End>,
}

/// The sequence.
pub struct Merge {
    config: Arc<SourceConfig>,
    at: Offset,
    plan: VecDeque<Plan>,
    blocks: Vec<(usize, Place, Arc<[Block]>)>,
    running: Option<Running>,
}

enum Plan {
    Step(Step),
    /// Rows of one topic, or of all; of one attempt, or of all but those.
    Rows {
        topic: Option<Arc<str>>,
        attempts: Attempts,
        has_header: bool,
    },
}

enum Attempts {
    Only(String),
    AllBut(Vec<String>),
}

struct Running {
    attempts: Attempts,
    cursors: Vec<Cursor>,
    /// The cursor that is being read, and what the others begin with at the earliest.
    current: Option<(usize, (i64, usize))>,
}

/// Rows of one partition.
struct Cursor {
    place: Place,
    blocks: Arc<[Block]>,
    read: usize,
    records: VecDeque<Record>,
}

impl Merge {
    pub(super) fn new(config: Arc<SourceConfig>, topics: Arc<[Arc<str>]>, parts: Parts) -> Merge {
        let Parts { at, lost, mut markers, blocks, ends } = parts;
        let rank = |place: &Place| topics.iter().position(|topic| *topic == place.0).unwrap_or(topics.len());
        let mut blocks: Vec<_> =
            blocks.into_iter().map(|(place, blocks)| (rank(&place), place, blocks.into())).collect();
        blocks.sort_by_key(|(rank, place, _): &(usize, Place, Arc<[Block]>)| (*rank, place.1));
        markers.sort_by_key(|(place, marker)| (marker.record.timestamp_ms, rank(place), place.1, marker.offset));
        let mut plan = VecDeque::new();
        plan.extend(lost.map(|(first, next)| {
            let message = Message::RowsLost { first: Offset(first), last: Offset(next - 1) };
            Plan::Step(Step::Fail(Rejection::new(message)))
        }));

        let (begins, headers): (Vec<_>, Vec<_>) = markers.into_iter().partition(|(_, marker)| marker.is_begin);
        let mut attempts: Vec<(Option<String>, Record)> = Vec::new();
        for (_, begin) in begins {
            if !attempts.iter().any(|(attempt, _)| *attempt == begin.attempt) {
                attempts.push((begin.attempt, begin.record));
            }
        }
        if attempts.len() > 1 && attempts.iter().any(|(attempt, _)| attempt.is_none()) {
            // Nothing shows to which attempt these rows belong.
            let attempt = attempts.iter().find_map(|(attempt, _)| attempt.clone()).unwrap_or_default();
            let message = Message::OtherAttempt { attempt, open: OpenAttempt::None {} };
            plan.push_back(Plan::Step(Step::Fail(Rejection::new(message))));
        }
        let named: Vec<String> = attempts.iter().filter_map(|(attempt, _)| attempt.clone()).collect();
        let passes = attempts.len().max(1);
        for pass in 0..passes {
            let begin = attempts.get(pass);
            plan.extend(begin.map(|(_, record)| Plan::Step(Step::Record(record.clone()))));
            let own = begin.and_then(|(attempt, _)| attempt.clone());
            let groups: Vec<Option<Arc<str>>> = match topics.len() {
                1 => vec![None],
                _ => topics.iter().cloned().map(Some).collect(),
            };
            for topic in groups {
                plan.extend(topic.clone().map(|topic| Plan::Step(Step::Topic(topic))));
                let mut has_header = false;
                for (place, header) in &headers {
                    let is_here = topic.as_ref().is_none_or(|topic| *topic == place.0);
                    let is_ours = header.attempt.is_none() || header.attempt == own || passes == 1;
                    if is_here && is_ours {
                        has_header |= has_names(&config, &header.record);
                        plan.push_back(Plan::Step(Step::Record(header.record.clone())));
                    }
                }
                let attempts = match own.clone().filter(|_| pass + 1 < passes) {
                    Some(own) => Attempts::Only(own),
                    None => {
                        Attempts::AllBut(named.iter().filter(|name| Some(*name) != own.as_ref()).cloned().collect())
                    }
                };
                plan.push_back(Plan::Rows { topic, attempts, has_header });
            }
        }
        plan.extend(last_steps(ends, topics.len()).into_iter().map(Plan::Step));
        Merge { config, at, plan, blocks, running: None }
    }

    /// Whether the step that was taken is the last one.
    pub fn is_at_end(&self) -> bool {
        self.running.is_none() && self.plan.is_empty()
    }

    /// The next step; `None` at the end.
    pub fn next(&mut self, store: &dyn StateStore) -> Result<Option<Step>, StateError> {
        loop {
            if let Some(running) = &mut self.running {
                if let Some(record) = running.next(self.at, store)? {
                    return Ok(Some(Step::Record(record)));
                }
                self.running = None;
            }
            match self.plan.pop_front() {
                None => return Ok(None),
                Some(Plan::Step(Step::Record(record))) => {
                    return Ok(Some(Step::Record(Record { offset: self.at, ..record })));
                }
                Some(Plan::Step(step)) => return Ok(Some(step)),
                Some(Plan::Rows { topic, attempts, has_header }) => {
                    let is_ours = |place: &Place| topic.as_ref().is_none_or(|topic| *topic == place.0);
                    let blocks = self.blocks.iter().filter(|(_, place, _)| is_ours(place));
                    let cursor = |(_, place, blocks): &(usize, Place, Arc<[Block]>)| Cursor {
                        place: place.clone(),
                        blocks: blocks.clone(),
                        read: 0,
                        records: VecDeque::new(),
                    };
                    let cursors = blocks.map(cursor).collect();
                    let mut running = Running { attempts, cursors, current: None };
                    let begins = running.begin(&self.config, has_header, self.at, store)?;
                    self.running = Some(running);
                    if let Err(rejection) = begins {
                        return Ok(Some(Step::Fail(rejection)));
                    }
                }
            }
        }
    }
}

/// Whether a header marker holds the names itself.
fn has_names(config: &SourceConfig, record: &Record) -> bool {
    let headers = ControlHeaders::among(&record.headers, config);
    let Ok(plain) = envelope::plain(config, record, &headers) else { return false };
    let opened = envelope::open(config, record, &headers, &plain);
    matches!(opened, Ok(Some(envelope)) if matches!(envelope.content, Content::Marker(..)))
}

/// The end of the upload: the one marker, or the sum of those of all topics.
fn last_steps(mut ends: Vec<End>, topics: usize) -> Vec<Step> {
    let is_only = topics == 1 || ends.len() < 2;
    if let Some(end) = ends.iter().position(|end| end.is_abort).or(is_only.then(|| ends.len().checked_sub(1)).flatten())
    {
        return vec![Step::Record(ends.remove(end).record)];
    }
    let counts: Vec<u64> = ends.iter().filter_map(|end| end.rows).collect();
    let count = match counts.len() {
        _ if ends.iter().any(|end| end.has_sha256) => Err(Message::ChecksumOfTopics {}),
        0 => Ok(None),
        counted if counted == ends.len() => Ok(Some(counts.into_iter().fold(0, u64::saturating_add))),
        _ => Err(Message::CountOfSomeTopics {}),
    };
    let Some(End { record, .. }) = ends.pop() else { return vec![] };
    let (rows, failure) = match count {
        Ok(rows) => (rows, None),
        Err(message) => (None, Some(Step::Fail(Rejection::new(message)))),
    };
    let is_said = |header: &Header| matches!(&*header.name, "ss-type" | "ss-rows" | "ss-sha256-rows");
    let mut headers: Vec<_> = record.headers.into_iter().filter(|header| !is_said(header)).collect();
    headers.push(Header::new("ss-type", "eof"));
    headers.extend(rows.map(|rows| Header::new("ss-rows", rows.to_string())));
    let end = Step::Record(Record { value: Some(Bytes::new()), headers, ..record });
    failure.into_iter().chain([end]).collect()
}

impl Running {
    /// Goes to the first row. It is the header where the first row is, and then it must be known which of several it is: those of one
    /// millisecond have no order.
    fn begin(
        &mut self,
        config: &SourceConfig,
        has_header: bool,
        at: Offset,
        store: &dyn StateStore,
    ) -> Result<Result<(), Rejection>, StateError> {
        for cursor in &mut self.cursors {
            cursor.fill(&self.attempts, at, store)?;
        }
        let first_ms = self.cursors.iter().filter_map(Cursor::head_ms).min();
        let heads: Vec<usize> =
            (0..self.cursors.len()).filter(|n| first_ms.is_some() && self.cursors[*n].head_ms() == first_ms).collect();
        if has_header || !config.takes_first_row() || heads.len() < 2 {
            return Ok(Ok(()));
        }
        let is_header = |n: &usize| {
            let Some(record) = self.cursors[*n].records.front() else { return Some(false) };
            is_header_row(config, record)
        };
        let mut found = Vec::new();
        for head in heads {
            match is_header(&head) {
                None => return Ok(Ok(())), // rows that need none
                Some(true) => found.push(head),
                Some(false) => {}
            }
        }
        let [header] = found[..] else { return Ok(Err(Rejection::new(Message::HeaderNotFirst {}))) };
        self.current = Some((header, (i64::MIN, 0)));
        Ok(Ok(()))
    }

    fn next(&mut self, at: Offset, store: &dyn StateStore) -> Result<Option<Record>, StateError> {
        let order = |n: usize, cursor: &Cursor| cursor.head_ms().map(|ms| (ms, n));
        if let Some((n, limit)) = self.current {
            let cursor = &self.cursors[n];
            let goes_on = limit == (i64::MIN, 0) || order(n, cursor).is_some_and(|head| head < limit);
            if !goes_on {
                self.current = None;
            }
        }
        let (n, limit) = match self.current {
            Some(current) => current,
            None => {
                let mut heads: Vec<_> =
                    self.cursors.iter().enumerate().filter_map(|(n, cursor)| order(n, cursor)).collect();
                heads.sort_unstable();
                let Some((_, n)) = heads.first().copied() else { return Ok(None) };
                (n, heads.get(1).copied().unwrap_or((i64::MAX, usize::MAX)))
            }
        };
        let cursor = &mut self.cursors[n];
        let record = cursor.records.pop_front();
        cursor.fill(&self.attempts, at, store)?;
        self.current = (limit != (i64::MIN, 0)).then_some((n, limit));
        Ok(record)
    }
}

impl Cursor {
    fn head_ms(&self) -> Option<i64> {
        self.records.front().map(|record| record.timestamp_ms)
    }

    /// Reads the next block when there is nothing left of the last.
    fn fill(&mut self, attempts: &Attempts, at: Offset, store: &dyn StateStore) -> Result<(), StateError> {
        while self.records.is_empty() {
            let Some(block) = self.blocks.get(self.read) else { return Ok(()) };
            self.read += 1;
            let body = block.read(store)?;
            let records = records(&body)?.into_iter().map(|record| record.to_record(at, &self.place, &body));
            self.records = records.filter(|record| attempts.have(record)).collect();
        }
        Ok(())
    }
}

impl Attempts {
    fn have(&self, record: &Record) -> bool {
        let attempt = || {
            let header =
                record.headers.iter().rev().find(|header| &*header.name == "ss-attempt" && header.value.is_some());
            header.and_then(|header| header.value.as_deref())
        };
        match self {
            Attempts::Only(own) => attempt() == Some(own.as_bytes()),
            Attempts::AllBut(others) => {
                others.is_empty()
                    || attempt().is_none_or(|attempt| others.iter().all(|other| other.as_bytes() != attempt))
            }
        }
    }
}

/// Whether the first row of a record names the columns that the topology needs; `None` for rows that have no header row.
fn is_header_row(config: &SourceConfig, record: &Record) -> Option<bool> {
    let headers = ControlHeaders::among(&record.headers, config);
    let Ok(plain) = envelope::plain(config, record, &headers) else { return Some(false) };
    let Ok(Some(envelope)) = envelope::open(config, record, &headers, &plain) else { return Some(false) };
    let Content::Rows { text, first_row: None, delimiter, .. } = envelope.content else { return None };
    if text.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let (mut rows, mut fields) = (Rows::new(text, delimiter, None), Fields::default());
    let row = std::iter::from_fn(|| rows.next_row(&mut fields)).find(|row| !row.blank)?;
    Some(names_what_is_needed(config, &row, text, &mut fields))
}

//! The reader of a partition, as the wire reader and what drives it are: fetches wait until the task takes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheetstream::record::Offset;
use sheetstream::runtime::environment::Input;
use sheetstream::transport::{Fetched, ReadFrom, TransportError};

use super::cluster::Brokers;
use super::log;

/// Fetches that wait to be processed.
const BUFFERED_MAX: usize = 2;

/// Both ends of it: clones are the same.
#[derive(Clone)]
pub struct Reader {
    brokers: Brokers,
    partition: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    from: ReadFrom,
    has_begun: bool,
    has_read: bool,
    fetched: VecDeque<Result<Fetched, TransportError>>,
    bounds: Option<(Offset, Offset)>,
    holds_back: bool,
}

impl Reader {
    pub fn new(brokers: &Brokers, partition: usize) -> Reader {
        Reader { brokers: brokers.clone(), partition, state: Arc::default() }
    }
    pub fn begin(&self, from: ReadFrom) {
        let mut state = self.lock();
        (state.from, state.has_begun) = (from, true);
    }
    /// Whether anything is read by it.
    pub fn has_begun(&self) -> bool {
        self.lock().has_begun
    }
    /// First offset that is not read.
    pub fn next(&self) -> Offset {
        self.lock().from.next
    }
    /// Whether the task has everything below `end`.
    pub fn has_handed_over(&self, end: i64) -> bool {
        let state = self.lock();
        state.from.next.0 == end && state.fetched.is_empty()
    }
    /// What waits does so for another turn.
    pub fn hold_back(&self, holds_back: bool) {
        self.lock().holds_back = holds_back;
    }
    /// Fetches at most `count` records, if there is room.
    pub fn fetch(&self, count: usize) {
        let mut state = self.lock();
        let has_room = state.fetched.len() < BUFFERED_MAX && state.fetched.back().is_none_or(Result::is_ok);
        if count == 0 || !has_room {
            return;
        }
        let (before, has_read) = (state.from.next, state.has_read);
        let fetched = log::fetch(&self.brokers.lock().source, self.partition, &mut state.from, has_read, count);
        if let Ok(fetched) = &fetched {
            (state.has_read, state.bounds) = (true, Some((fetched.log_start, fetched.high_watermark)));
        }
        // An answer without anything new is not handed on.
        if fetched.as_ref().map_or(true, |fetched| fetched.next > before) {
            state.fetched.push_back(fetched);
        }
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Input for Reader {
    fn try_next(&mut self) -> Option<Result<Fetched, TransportError>> {
        let mut state = self.lock();
        if state.holds_back { None } else { state.fetched.pop_front() }
    }
    fn buffered_bytes(&self) -> usize {
        self.lock().fetched.iter().flatten().map(Fetched::bytes).sum()
    }
    fn log_start(&self) -> Offset {
        self.lock().bounds.map_or(Offset(0), |(start, _)| start)
    }
    fn high_watermark(&self) -> Option<Offset> {
        self.lock().bounds.map(|(_, end)| end)
    }
    fn stop(&self) {}
}

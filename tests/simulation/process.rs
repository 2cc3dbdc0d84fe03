//! One `sheetstream run`: the tasks that it holds, its disk, and the loop that its threads are in, one turn at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sheetstream::aggregate::Siblings;
use sheetstream::record::{Offset, TaskId};
use sheetstream::runtime::task::{StreamTask, TaskError, TaskStart};
use sheetstream::state::StateStore;
use sheetstream::topology::Topology;
use sheetstream::transport::{Committed, Fence, Fetched, Guarantee, Outbox, ReadFrom, TransportError};

use super::cluster::{Brokers, PlainOutbox, Process as Number, Store, TransactionalOutbox};
use super::log;
use super::oracle;

/// Longest time between two commits, ms.
const COMMIT_MS: u64 = 100;
/// Before a task that failed is started again, ms.
const RETRY_MS: u64 = 1_000;
/// Fetches that wait to be processed.
const BUFFERED_MAX: usize = 2;

/// What all processes run.
pub struct Application {
    pub topology: Arc<Topology>,
    pub guarantee: Guarantee,
    pub brokers: Brokers,
}

pub struct Process {
    pub number: Number,
    /// Which start of it this is: part of its member id.
    incarnation: u32,
    pub condition: Condition,
    /// What it holds, as far as it knows.
    pub holds: BTreeMap<usize, Held>,
    stores: BTreeMap<usize, Store>,
    siblings: Siblings,
    pub partition_count: usize,
    vouched: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Runs,
    /// Stopped as by SIGSTOP: the group has put it out, and it does not know.
    Frozen,
    /// It runs again and does not know yet; so many turns until it does.
    Zombie(usize),
    Down,
}

/// A partition that is ours.
pub struct Held {
    pub fence: Fence,
    running: Option<Running>,
    /// When it is started, again.
    start_at: u64,
}

struct Running {
    task: StreamTask,
    from: ReadFrom,
    begun: bool,
    fetched: VecDeque<Result<Fetched, TransportError>>,
    committed_at: u64,
    next_tick: u64,
}

impl Process {
    pub fn new(number: Number, partition_count: usize) -> Process {
        Process {
            number,
            incarnation: 0,
            condition: Condition::Runs,
            holds: BTreeMap::new(),
            stores: BTreeMap::new(),
            siblings: Siblings::default(),
            partition_count,
            vouched: Arc::new(AtomicBool::new(true)),
        }
    }
    pub fn member(&self) -> String {
        format!("{}.{}", self.number, self.incarnation)
    }
    pub fn runs(&self) -> bool {
        matches!(self.condition, Condition::Runs | Condition::Zombie(_))
    }

    /// The group gives it a partition.
    pub fn assign(&mut self, partition: usize, fence: Fence) {
        if partition >= self.partition_count {
            self.count_partitions(partition + 1);
        }
        self.holds.insert(partition, Held { fence, running: None, start_at: 0 });
    }
    /// The epoch of the group moved.
    pub fn set_epoch(&mut self, epoch: i32) {
        for held in self.holds.values_mut() {
            held.fence.epoch = epoch;
            if let Some(running) = &mut held.running {
                running.task.set_fence(held.fence.clone());
            }
        }
    }
    /// The group takes a partition: it is committed, and dropped.
    pub fn revoke(&mut self, partition: usize) -> Option<String> {
        let held = self.holds.remove(&partition)?;
        let closed = held.running.map(|mut running| running.task.commit());
        self.reopen(partition);
        closed.map(|closed| closed.map_or_else(|error| error.to_string(), |()| "committed".into()))
    }
    /// A task fails for a reason outside of it.
    pub fn stumble(&mut self, partition: usize, now_ms: u64) {
        if let Some(held) = self.holds.get_mut(&partition) {
            (held.running, held.start_at) = (None, now_ms + RETRY_MS);
            self.reopen(partition);
        }
    }
    /// It notices that the group has put it out, and joins again.
    pub fn rejoin(&mut self) {
        self.end();
        self.restart();
    }
    /// kill -9.
    pub fn die(&mut self, keeps_state: bool) {
        self.end();
        if !keeps_state {
            self.stores.clear();
        }
        self.condition = Condition::Down;
    }
    pub fn restart(&mut self) {
        self.incarnation += 1;
        self.condition = Condition::Runs;
        self.siblings = Siblings::default();
        self.vouched = Arc::new(AtomicBool::new(true));
    }
    pub fn freeze(&mut self) {
        self.condition = Condition::Frozen;
        self.vouched.store(false, Ordering::Relaxed); // the answer that vouches for it is too old when it runs again
    }
    fn end(&mut self) {
        self.holds.clear();
        let partitions: Vec<usize> = self.stores.keys().copied().collect();
        partitions.into_iter().for_each(|partition| self.reopen(partition));
    }
    fn reopen(&mut self, partition: usize) {
        if let Some(store) = self.stores.get_mut(&partition) {
            *store = store.reopen();
        }
    }
    /// It learns how many partitions the source has.
    pub fn count_partitions(&mut self, count: usize) {
        self.partition_count = count;
        for running in self.holds.values_mut().filter_map(|held| held.running.as_mut()) {
            running.task.set_partition_count(i32::try_from(count).expect("few"));
        }
    }

    /// Whether the task of a partition has processed and committed all that there is.
    pub fn is_at_rest(&self, partition: usize, app: &Application) -> bool {
        let Some(running) = self.holds.get(&partition).and_then(|held| held.running.as_ref()) else { return false };
        let cluster = app.brokers.lock();
        let end = cluster.source.partitions[partition].end;
        let committed = cluster.group.committed.get(&partition);
        let is_committed = matches!(committed, Some(Committed::Ours(progress)) if progress.next.0 == end);
        let is_read = running.from.next.0 == end && running.fetched.is_empty();
        is_read && running.task.position().0 == end && (is_committed || end == 0) && !running.task.commit_due()
    }

    /// One turn of a task's thread. The reader fetches `fetch` records before; the thread processes them if `process` is true.
    pub fn turn(&mut self, partition: usize, app: &Application, now_ms: u64, fetch: usize, process: bool) -> String {
        let Some(held) = self.holds.get(&partition) else { return String::new() };
        if held.running.is_none() && held.start_at > now_ms {
            return "waits".into();
        }
        let done = match held.running {
            None => self.start(partition, app, now_ms).map(|from| format!("starts at {from}")),
            Some(_) => self.run_once(partition, app, now_ms, fetch, process),
        };
        done.unwrap_or_else(|error| {
            self.stumble(partition, now_ms);
            format!("fails: {error}")
        })
    }

    /// As the task maker does it.
    fn start(&mut self, partition: usize, app: &Application, now_ms: u64) -> Result<Offset, TaskError> {
        let topology = &app.topology;
        let outbox: Box<dyn Outbox> = match app.guarantee {
            Guarantee::AtLeastOnce => Box::new(PlainOutbox {
                brokers: app.brokers.clone(),
                process: self.number,
                vouched: self.vouched.clone(),
            }),
            Guarantee::ExactlyOnceV2 => {
                let id = format!("{}-{partition}", topology.name);
                Box::new(TransactionalOutbox::begin(&app.brokers, self.number, id)?)
            }
        };
        let held = self.holds.get_mut(&partition).expect("looked at by the caller");
        let (start, last_epoch) = {
            let cluster = app.brokers.lock();
            let log = &cluster.source.partitions[partition];
            let committed = cluster.group.committed.get(&partition).cloned().unwrap_or_default();
            let cut_at = match &committed {
                Committed::Ours(progress) if progress.log == Some(cluster.source.id) => {
                    let end = progress.leader_epoch.map_or(log.end, |epoch| log.end_of_epoch(epoch));
                    (end < progress.next.0).then_some(Offset(end))
                }
                _ => None,
            };
            let last_epoch = match &committed {
                Committed::Ours(progress) if cut_at.is_none() => Some((progress.next, progress.leader_epoch)),
                _ => None,
            };
            let start = TaskStart {
                committed,
                log_start: Offset(log.start),
                log_end: Offset(log.end),
                siblings: self.siblings.clone(),
                partition_count: i32::try_from(self.partition_count).ok(),
                fence: held.fence.clone(),
                log: Some(cluster.source.id),
                cut_at,
                ..TaskStart::default()
            };
            (start, last_epoch)
        };
        let store = self.stores.entry(partition).or_insert_with(|| Store::new(&app.brokers, self.number)).clone();
        let ends: (Box<dyn StateStore>, Box<dyn Outbox>) = (Box::new(store), outbox);
        let id =
            TaskId { topology: topology.name.clone(), source: None, partition: i32::try_from(partition).expect("few") };
        let log = start.log;
        let mut read_ledger = || {
            let cluster = app.brokers.lock();
            let statuses = oracle::statuses(&cluster, topology).filter(|status| status.partition == id.partition);
            Ok(statuses.filter_map(|status| status.ledger_in(log)).collect())
        };
        let (task, next) = StreamTask::start(id.clone(), topology.clone(), ends, start, &mut read_ledger)?;
        let leader_epoch = last_epoch.and_then(|(at, epoch)| epoch.filter(|_| at == next));
        let from = ReadFrom { next, log, leader_epoch };
        let fetched = VecDeque::new();
        held.running = Some(Running { task, from, begun: false, fetched, committed_at: now_ms, next_tick: now_ms });
        Ok(next)
    }

    /// As the loop of a stream thread does it.
    fn run_once(
        &mut self,
        partition: usize,
        app: &Application,
        now_ms: u64,
        fetch: usize,
        process: bool,
    ) -> Result<String, TaskError> {
        let held = self.holds.get_mut(&partition).expect("looked at by the caller");
        let running = held.running.as_mut().expect("looked at by the caller");
        if fetch > 0 && running.fetched.len() < BUFFERED_MAX && running.fetched.back().is_none_or(Result::is_ok) {
            let cluster = app.brokers.lock();
            let before = running.from.next;
            let fetched = log::fetch(&cluster.source, partition, &mut running.from, running.begun, fetch);
            running.begun |= fetched.is_ok();
            // An answer without anything new is not handed on.
            if fetched.as_ref().map_or(true, |fetched| fetched.next > before) {
                running.fetched.push_back(fetched);
            }
        }
        let mut done = String::new();
        match if process { running.fetched.pop_front() } else { None } {
            Some(fetched) => {
                let fetched = fetched?;
                done = format!("takes {} up to {}", fetched.records.len(), fetched.next);
                running.task.process(fetched, now_ms)?;
            }
            None if now_ms >= running.next_tick => {
                running.task.tick(now_ms)?;
                running.next_tick = now_ms + COMMIT_MS;
            }
            None => {}
        }
        if running.task.commit_due() || now_ms >= running.committed_at + COMMIT_MS {
            running.task.commit()?;
            running.committed_at = now_ms;
            done.push_str(" and commits");
        }
        Ok(done)
    }
}

//! One `sheetstream run`: its disk, the tasks that it holds, and what is around them. The tasks start and take their steps as they do on the
//! threads of a service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sheetstream::aggregate::{MemoryLimits, Siblings};
use sheetstream::record::{LogId, Offset, TaskId, TopicPartition};
use sheetstream::runtime::environment::{Environment, Input};
use sheetstream::runtime::ledger::Statuses;
use sheetstream::runtime::running_task::{RunningTask, StandbyParts, StreamParts};
use sheetstream::runtime::task::TaskError;
use sheetstream::sink::status::StatusRecord;
use sheetstream::state::{StateError, StateStore};
use sheetstream::topology::Topology;
use sheetstream::transport::{Committed, Fence, Guarantee, Outbox, ReadFrom, TransportError};

use super::cluster::{Brokers, PlainOutbox, Process as Number, Store, TransactionalOutbox};
use super::reader::Reader;

/// Longest time between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// Before a task that failed is started again, ms.
const RETRY_MS: u64 = 1_000;

/// What all processes run.
pub struct Application {
    pub topology: Arc<Topology>,
    pub guarantee: Guarantee,
    pub brokers: Brokers,
    /// The time that the processes' clocks began with.
    pub epoch: Instant,
}

pub struct Process {
    pub number: Number,
    /// Which start of it this is: part of its member id.
    incarnation: u32,
    pub condition: Condition,
    /// What it holds, as far as it knows.
    pub holds: BTreeMap<usize, Held>,
    /// What it is behind the owner of.
    pub standbys: BTreeMap<usize, Running>,
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

/// A task, and its reader.
pub struct Running {
    task: RunningTask,
    reader: Reader,
}

/// What a task finds around it in a process.
struct Surroundings {
    brokers: Brokers,
    epoch: Instant,
    process: Number,
    vouched: Arc<AtomicBool>,
    store: Store,
    reader: Reader,
}

fn number(partition: &TopicPartition) -> usize {
    usize::try_from(partition.partition).expect("partitions are counted from 0")
}

impl Environment for Surroundings {
    fn now(&self) -> Instant {
        self.epoch + Duration::from_millis(self.brokers.lock().now_ms)
    }
    fn outbox(&self, transactional_id: Option<&str>) -> Result<Box<dyn Outbox>, TransportError> {
        let (brokers, process) = (self.brokers.clone(), self.process);
        Ok(match transactional_id {
            None => Box::new(PlainOutbox { brokers, process, vouched: self.vouched.clone() }),
            Some(id) => Box::new(TransactionalOutbox::begin(&brokers, process, id.to_owned())?),
        })
    }
    fn store(&self, _: &TaskId, _: &str) -> Result<Box<dyn StateStore>, StateError> {
        self.store.settle(); // who had it before is gone
        Ok(Box::new(self.store.clone()))
    }
    fn committed(&self, partition: &TopicPartition) -> Result<Committed, TransportError> {
        Ok(self.brokers.lock().group.committed.get(&number(partition)).cloned().unwrap_or_default())
    }
    fn latest_commit(&self, partition: &TopicPartition) -> Result<Committed, TransportError> {
        self.committed(partition)
    }
    fn log(&self, _: &str) -> Result<Option<LogId>, TransportError> {
        Ok(Some(self.brokers.lock().source.id))
    }
    fn bounds(&self, partition: &TopicPartition) -> Result<(Offset, Offset), TransportError> {
        let log = &self.brokers.lock().source.partitions[number(partition)];
        Ok((Offset(log.start), Offset(log.end)))
    }
    fn leader_epoch(&self, partition: &TopicPartition) -> Result<Option<i32>, TransportError> {
        Ok(Some(self.brokers.lock().source.partitions[number(partition)].epoch()))
    }
    fn end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, TransportError> {
        Ok(Offset(self.brokers.lock().source.partitions[number(partition)].end_of_epoch(epoch)))
    }
    fn ledger(
        &self,
        status: &TopicPartition,
        _: &str,
        log: Option<LogId>,
        known: &mut Statuses,
    ) -> Result<(), TransportError> {
        let cluster = self.brokers.lock();
        let (records, end) = cluster.read_committed(status, known.next.0);
        let statuses = records.filter_map(|record| StatusRecord::parse(&record.value));
        statuses.for_each(|status| known.note(status, log));
        known.next = Offset(end);
        Ok(())
    }
    fn end_of_ledger(&self, status: &TopicPartition) -> Result<Offset, TransportError> {
        Ok(Offset(self.brokers.lock().records_of(status).count() as i64))
    }
    fn read(&self, _: &TopicPartition, from: ReadFrom) -> Box<dyn Input> {
        self.reader.begin(from);
        Box::new(self.reader.clone())
    }
}

impl Process {
    pub fn new(number: Number, partition_count: usize) -> Process {
        Process {
            number,
            incarnation: 0,
            condition: Condition::Runs,
            holds: BTreeMap::new(),
            standbys: BTreeMap::new(),
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
        self.standbys.remove(&partition); // it was to become the owner
        let closed = held.running.map(|mut running| running.task.commit());
        self.reopen(partition);
        closed.map(|closed| closed.map_or_else(|error| error.to_string(), |()| "committed".into()))
    }
    /// A task fails for a reason outside of it.
    pub fn stumble(&mut self, partition: usize, now_ms: u64) {
        if let Some(held) = self.holds.get_mut(&partition) {
            (held.running, held.start_at) = (None, now_ms + RETRY_MS);
            self.standbys.remove(&partition);
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
        self.standbys.clear();
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
            let count = i32::try_from(count).expect("few");
            running.task.stream().expect("it makes workbooks").set_partition_count(count);
        }
    }

    /// Whether the task of a partition has processed and committed all that there is.
    pub fn is_at_rest(&self, partition: usize, app: &Application) -> bool {
        let Some(running) = self.holds.get(&partition).and_then(|held| held.running.as_ref()) else { return false };
        let cluster = app.brokers.lock();
        let end = cluster.source.partitions[partition].end;
        let committed = cluster.group.committed.get(&partition);
        let is_committed = matches!(committed, Some(Committed::Ours(progress)) if progress.next.0 == end);
        running.reader.has_handed_over(end)
            && running.task.position().0 == end
            && (is_committed || end == 0)
            && !running.task.commit_due()
    }

    /// One turn of a task's thread. The reader fetches `fetch` records before; the thread processes them if `process` is true.
    pub fn turn(&mut self, partition: usize, app: &Application, now_ms: u64, fetch: usize, process: bool) -> String {
        let Some(held) = self.holds.get(&partition) else { return String::new() };
        if held.running.is_none() && held.start_at > now_ms {
            return "waits".into();
        }
        let done = match held.running {
            None => self.start(partition, app).map(|from| format!("starts at {from}")),
            Some(_) => self.run_once(partition, now_ms, (fetch, process)),
        };
        done.unwrap_or_else(|error| {
            self.stumble(partition, now_ms);
            format!("fails: {error}")
        })
    }

    /// What a task of a partition finds here.
    fn surroundings(&mut self, partition: usize, app: &Application) -> Surroundings {
        let store = self.stores.entry(partition).or_insert_with(|| Store::new(&app.brokers, self.number)).clone();
        Surroundings {
            brokers: app.brokers.clone(),
            epoch: app.epoch,
            process: self.number,
            vouched: self.vouched.clone(),
            store,
            reader: Reader::new(&app.brokers, partition),
        }
    }

    /// Begins to be behind the owner of a partition, if there is something to be behind of.
    pub fn stand_by(&mut self, partition: usize, app: &Application) -> String {
        let surroundings = self.surroundings(partition, app);
        let reader = surroundings.reader.clone();
        let parts = StandbyParts {
            topology: app.topology.clone(),
            partition_count: i32::try_from(self.partition_count).expect("few"),
            limits: MemoryLimits::default(),
            commit_interval: COMMIT_INTERVAL,
        };
        match RunningTask::stand_by(id(app, partition), parts, Box::new(surroundings)) {
            Ok(task) => {
                let next = reader.next();
                self.standbys.insert(partition, Running { task, reader });
                format!("stands by from {next}")
            }
            Err(error) => {
                self.reopen(partition);
                format!("cannot stand by: {error}")
            }
        }
    }

    /// It is behind the owner no longer: what it has is kept.
    pub fn stand_down(&mut self, partition: usize) {
        if let Some(mut standby) = self.standbys.remove(&partition) {
            match standby.task.commit() {
                Ok(()) | Err(_) => {} // what is not kept is read again
            }
            self.reopen(partition);
        }
    }

    /// One turn of a standby's thread.
    pub fn follow(&mut self, partition: usize, now_ms: u64, fetch: usize) -> String {
        let Some(standby) = self.standbys.get_mut(&partition) else { return String::new() };
        match standby.run_once(now_ms, (fetch, true)) {
            Ok(done) => done,
            Err(error) => {
                self.standbys.remove(&partition);
                self.reopen(partition);
                format!("stands by no longer: {error}")
            }
        }
    }

    fn start(&mut self, partition: usize, app: &Application) -> Result<Offset, TaskError> {
        let standby = self.standbys.remove(&partition);
        let surroundings = self.surroundings(partition, app);
        let reader = surroundings.reader.clone();
        let held = self.holds.get_mut(&partition).expect("looked at by the caller");
        let parts = StreamParts {
            topology: app.topology.clone(),
            guarantee: app.guarantee,
            fence: held.fence.clone(),
            partition_count: i32::try_from(self.partition_count).expect("few"),
            siblings: self.siblings.clone(),
            limits: MemoryLimits::default(),
            commit_interval: COMMIT_INTERVAL,
        };
        let (standby, before) = standby.map(|standby| (standby.task, standby.reader)).unzip();
        let task = RunningTask::start(id(app, partition), parts, Box::new(surroundings), None, standby)?;
        // A standby that becomes the owner reads on.
        let reader = before.filter(|_| !reader.has_begun()).unwrap_or(reader);
        let next = reader.next();
        held.running = Some(Running { task, reader });
        Ok(next)
    }

    fn run_once(
        &mut self,
        partition: usize,
        now_ms: u64,
        (fetch, process): (usize, bool),
    ) -> Result<String, TaskError> {
        let held = self.holds.get_mut(&partition).expect("looked at by the caller");
        held.running.as_mut().expect("looked at by the caller").run_once(now_ms, (fetch, process))
    }
}

impl Running {
    fn run_once(&mut self, now_ms: u64, (fetch, process): (usize, bool)) -> Result<String, TaskError> {
        self.reader.fetch(fetch);
        self.reader.hold_back(!process);
        let ran = self.task.run_once(now_ms, false)?;
        let took = ran.took.map_or_else(String::new, |next| format!("takes records up to {next}"));
        Ok(took + if ran.committed { " and commits" } else { "" })
    }
}

fn id(app: &Application, partition: usize) -> TaskId {
    TaskId { topology: app.topology.name.clone(), source: None, partition: i32::try_from(partition).expect("few") }
}

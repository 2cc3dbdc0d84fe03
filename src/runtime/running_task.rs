//! A task with its input: how it starts, and one step of its loop. Where the step comes from, a thread or a simulation, it does not know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::aggregate::{MemoryLimits, Siblings};
use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::environment::{Environment, Input};
use crate::runtime::ledger::Statuses;
use crate::runtime::pass_on::PassOn;
use crate::runtime::purge::Purge;
use crate::runtime::standby::Standby;
use crate::runtime::task::{Questions, StreamTask, TaskError, TaskStart, is_cut};
use crate::runtime::task_board::{AtWork, Role};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, Guarantee, Outbox, ReadFrom, TransportError};

/// Longest time between two commits of a task that passes records on: a whole upload waits for its word.
const PASS_ON_COMMIT_MAX: Duration = Duration::from_millis(100);

/// Longest time between two commits of a task, where it is usually `usual`.
pub(super) fn commit_interval(id: &TaskId, usual: Duration) -> Duration {
    if id.source.is_some() { usual.min(PASS_ON_COMMIT_MAX) } else { usual }
}

/// A task that makes workbooks, besides the facts that its surroundings give.
pub struct StreamParts {
    /// What it runs.
    pub topology: Arc<Topology>,
    /// How often an output may appear.
    pub guarantee: Guarantee,
    /// The membership under which it is ours.
    pub fence: Fence,
    /// Partitions of the source topic.
    pub partition_count: i32,
    /// The tasks of the other partitions.
    pub siblings: Siblings,
    /// How much of its rows is held in memory.
    pub limits: MemoryLimits,
    /// Longest time between two commits.
    pub commit_interval: Duration,
}

/// A standby, besides the facts that its surroundings give.
pub struct StandbyParts {
    /// What it runs.
    pub topology: Arc<Topology>,
    /// Partitions of the source topic.
    pub partition_count: i32,
    /// How much of its rows is held in memory.
    pub limits: MemoryLimits,
    /// How often it looks how far the owner is.
    pub commit_interval: Duration,
}

/// The facts about a partition that every task needs before it reads, and its way out.
pub(super) struct Found {
    pub(super) outbox: Box<dyn Outbox>,
    pub(super) committed: Committed,
    /// First offset of the log, and its end.
    pub(super) bounds: (Offset, Offset),
    /// The log of today, if it has an id.
    pub(super) log: Option<LogId>,
    /// Where it was cut below the committed offset, if it was.
    pub(super) cut_at: Option<Offset>,
}

impl Found {
    /// Asks for everything. The outbox comes first: it settles what a former owner left open, which decides what is committed.
    pub(super) fn of(
        id: &TaskId,
        partition: &TopicPartition,
        guarantee: Guarantee,
        environment: &dyn Environment,
    ) -> Result<Found, TransportError> {
        let transactional_id = (guarantee == Guarantee::ExactlyOnceV2).then(|| id.transactional_id());
        let outbox = environment.outbox(transactional_id.as_deref())?;
        let log = environment.log(&partition.topic)?;
        let committed = environment.committed(partition)?;
        let bounds = environment.bounds(partition)?;
        let cut_at = cut_at(environment, partition, &committed, log)?;
        Ok(Found { outbox, committed, bounds, log, cut_at })
    }

    /// Where a reader begins, and what it relies on: the leader epoch of the record before the commit is known, if that is of this log.
    pub(super) fn read_from(
        committed: &Committed,
        cut_at: Option<Offset>,
        log: Option<LogId>,
        next: Offset,
    ) -> ReadFrom {
        let leader_epoch = match committed {
            Committed::Ours(progress) if progress.log == log && cut_at.is_none() && progress.next == next => {
                progress.leader_epoch
            }
            Committed::Ours(_) | Committed::Reset(_) | Committed::None => None,
        };
        ReadFrom { next, log, leader_epoch }
    }
}

/// Where the log was cut below the committed offset, if it was: by its leader epochs, or because it ends before (KIP-320).
fn cut_at(
    environment: &dyn Environment,
    partition: &TopicPartition,
    committed: &Committed,
    log: Option<LogId>,
) -> Result<Option<Offset>, TransportError> {
    let Committed::Ours(progress) = committed else { return Ok(None) };
    if progress.log != log {
        return Ok(None);
    }
    let end = match progress.leader_epoch {
        Some(epoch) => environment.end_of_epoch(partition, epoch)?,
        None => environment.bounds(partition)?.1,
    };
    Ok(is_cut(progress.next, end).then_some(end))
}

/// The commit that a task started from, until the log has been read again up to it: it may be cut meanwhile, above where its reader begins
/// and knows the leader epoch.
struct Relied {
    partition: TopicPartition,
    committed: Committed,
    log: Option<LogId>,
    /// Where it was cut when the task started, if it was.
    cut_at: Option<Offset>,
}

/// The task of a partition.
pub(super) enum Task {
    /// Makes workbooks. If its input is its own, a `Purge` deletes the records that it has consumed.
    Stream(Box<StreamTask>, Option<Purge>),
    /// Passes records on.
    PassOn(Box<PassOn>),
    /// Is behind another member that makes workbooks.
    Standby(Box<Standby>),
}

impl Task {
    fn process(&mut self, fetched: Fetched, now_ms: u64) -> Result<(), TaskError> {
        match self {
            Task::Stream(task, _) => task.process(fetched, now_ms),
            Task::PassOn(task) => task.process(fetched),
            Task::Standby(task) => task.process(fetched, now_ms),
        }
    }
    fn tick(&mut self, environment: &dyn Environment, now_ms: u64) -> Result<(), TaskError> {
        match self {
            Task::Stream(task, _) => {
                if task.is_searching() {
                    let (_, end) = environment.bounds(task.partition())?;
                    task.search_below(end)?;
                }
                task.tick(now_ms)
            }
            Task::PassOn(_) => Ok(()),
            Task::Standby(task) => task.follow(environment, now_ms),
        }
    }
    /// First record that is not to be read yet.
    fn limit(&self) -> Offset {
        match self {
            Task::Stream(..) | Task::PassOn(_) => Offset(i64::MAX),
            Task::Standby(task) => task.limit(),
        }
    }
    fn is_live(&self) -> bool {
        match self {
            Task::Stream(task, _) => task.is_live(),
            Task::PassOn(_) | Task::Standby(_) => true,
        }
    }
    fn report_metrics(&mut self, now_ms: u64, bounds: (Offset, Option<Offset>), buffered_bytes: usize) {
        match self {
            Task::Stream(task, _) => task.report_metrics(now_ms, bounds, buffered_bytes),
            Task::PassOn(task) => task.report_metrics(bounds, buffered_bytes),
            Task::Standby(task) => task.report_metrics(bounds.1),
        }
    }
}

/// A task together with its input.
pub struct RunningTask {
    task: Task,
    input: Box<dyn Input>,
    /// Records that are not to be read yet.
    held_back: Option<Fetched>,
    environment: Box<dyn Environment>,
    relied: Option<Relied>,
    commit_interval: Duration,
    committed_at: Instant,
    next_tick: Instant,
    /// End of the last fetch that the task was given.
    reached: Option<Offset>,
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// The fetch that it took ends here.
    pub took: Option<Offset>,
    /// Everything so far is committed.
    pub committed: bool,
}

impl RunningTask {
    /// Starts a task that makes workbooks: asks where it is, restores it, begins to read. A standby is restored already, and reads.
    pub fn start(
        id: TaskId,
        parts: StreamParts,
        environment: Box<dyn Environment>,
        purge: Option<Purge>,
        standby: Option<RunningTask>,
    ) -> Result<RunningTask, TaskError> {
        let StreamParts { topology, guarantee, fence, partition_count, siblings, limits, commit_interval } = parts;
        let partition = topology.partition_of(&id);
        let Found { outbox, committed, bounds: (log_start, log_end), log, cut_at } =
            Found::of(&id, &partition, guarantee, &*environment)?;
        let status = TopicPartition { topic: topology.sink.status_topic.clone(), partition: id.partition };
        let name = topology.name.clone();
        let start = TaskStart {
            committed: committed.clone(),
            log_start,
            log_end,
            siblings,
            partition_count: Some(partition_count),
            fence,
            log,
            cut_at,
            gathers: topology.source.upload_topic() != &topology.source.topic,
            limits,
            is_counted: true,
        };
        let relied = Relied { partition: partition.clone(), committed: committed.clone(), log, cut_at };
        let (outbox, start) = match standby {
            Some(RunningTask { task: Task::Standby(standby), input, held_back, .. }) => {
                match standby.take_over(outbox, start, &*environment)? {
                    Ok(task) => {
                        let relied = (!task.is_live()).then_some(relied);
                        let (task, now) = (Task::Stream(Box::new(task), purge), environment.now());
                        let running = RunningTask::of(task, input, environment, commit_interval, now);
                        return Ok(RunningTask { relied, held_back, ..running });
                    }
                    Err(cold) => cold,
                }
            }
            _ => (outbox, start),
        };
        let store = environment.store(&id, &topology.hash)?;
        let ask = Questions {
            statuses: &mut || {
                let mut statuses = Statuses::default();
                environment.ledger(&status, &name, log, &mut statuses)?;
                Ok(statuses)
            },
            leader_epoch: &mut || environment.leader_epoch(&partition),
            end_of_epoch: &mut |epoch| environment.end_of_epoch(&partition, epoch),
        };
        let (task, next) = StreamTask::start(id, topology, (store, outbox), start, ask)?;
        let from = Found::read_from(&committed, cut_at, log, next);
        let relied = (!task.is_live()).then_some(relied);
        let task = Task::Stream(Box::new(task), purge);
        Ok(RunningTask { relied, ..RunningTask::new(task, &partition, from, environment, commit_interval) })
    }

    /// Starts a task that is behind the owner of its partition: it restores what that has committed, and begins to read.
    pub fn stand_by(
        id: TaskId,
        parts: StandbyParts,
        environment: Box<dyn Environment>,
    ) -> Result<RunningTask, TaskError> {
        let StandbyParts { topology, partition_count, limits, commit_interval } = parts;
        let partition = topology.partition_of(&id);
        let (standby, from) = Standby::start(id, (topology, partition_count, limits), &*environment)?;
        let task = Task::Standby(Box::new(standby));
        Ok(RunningTask::new(task, &partition, from, environment, commit_interval))
    }

    /// A task that has started, and reads from here on.
    pub(super) fn new(
        task: Task,
        partition: &TopicPartition,
        from: ReadFrom,
        environment: Box<dyn Environment>,
        commit_interval: Duration,
    ) -> RunningTask {
        let (input, now) = (environment.read(partition, from), environment.now());
        RunningTask::of(task, input, environment, commit_interval, now)
    }

    fn of(
        task: Task,
        input: Box<dyn Input>,
        environment: Box<dyn Environment>,
        commit_interval: Duration,
        now: Instant,
    ) -> RunningTask {
        let (committed_at, next_tick) = (now, now);
        let (held_back, relied, reached) = (None, None, None);
        RunningTask { task, input, held_back, environment, relied, commit_interval, committed_at, next_tick, reached }
    }

    /// The next records, as far as they may be read.
    fn next(&mut self) -> Result<Option<Fetched>, TransportError> {
        let limit = self.task.limit();
        let next = match self.held_back.take() {
            None => self.input.try_next().transpose()?,
            held_back => held_back,
        };
        let Some(mut fetched) = next else { return Ok(None) };
        if limit < fetched.next && limit <= fetched.first() {
            self.held_back = Some(fetched);
            return Ok(None);
        }
        self.held_back = fetched.split_off(limit);
        Ok(Some(fetched))
    }

    /// One step:
    /// 1. take one fetch through the processors, unless the topology is paused;
    /// 2. with nothing to take, look at the clock;
    /// 3. commit if the interval is over or an upload has ended.
    ///
    /// `now_ms` is the task's own monotonic clock, which stops during a pause.
    pub fn run_once(&mut self, now_ms: u64, is_paused: bool) -> Result<Ran, TaskError> {
        let mut took = None;
        if let Some(fetched) = if is_paused { None } else { self.next()? } {
            let next = fetched.next;
            (took, self.reached) = (Some(next), Some(next));
            self.task.process(fetched, now_ms)?;
        }
        let now = self.environment.now();
        let ticks = took.is_none() && !is_paused && now >= self.next_tick;
        self.rely_on_log(ticks)?;
        if ticks {
            self.task.tick(&*self.environment, now_ms)?;
            self.next_tick = now + self.commit_interval;
        }
        let committed = self.commit_due() || now.duration_since(self.committed_at) >= self.commit_interval;
        if committed {
            self.commit()?;
            self.committed_at = self.environment.now();
            let bounds = (self.input.log_start(), self.input.high_watermark());
            self.task.report_metrics(now_ms, bounds, self.input.buffered_bytes());
        }
        Ok(Ran { took, committed })
    }

    /// Nothing follows from what was read again before the log is known to be the one that was committed: once all of it is read, and, for it
    /// may end before, now and then while nothing comes.
    fn rely_on_log(&mut self, waits: bool) -> Result<(), TaskError> {
        let is_read = self.task.is_live();
        let Some(Relied { partition, committed, log, cut_at: before }) =
            self.relied.as_ref().filter(|_| is_read || waits)
        else {
            return Ok(());
        };
        let cut_at = cut_at(&*self.environment, partition, committed, *log)?;
        let is_news = |end: &Offset| before.is_none_or(|before| *end < before);
        if let (Some(end), Committed::Ours(progress)) = (cut_at.filter(is_news), committed) {
            let (partition, read_to) = (partition.clone(), before.unwrap_or(progress.next));
            return Err(TransportError::Truncated { partition, read_to, end }.into());
        }
        if is_read {
            self.relied = None;
        }
        Ok(())
    }

    /// Makes everything so far durable.
    pub fn commit(&mut self) -> Result<(), TaskError> {
        match &mut self.task {
            Task::Stream(task, purge) => {
                task.commit()?;
                if let Some((purge, below)) = purge.as_mut().zip(task.committed_replay_from()) {
                    purge.committed(below);
                }
                Ok(())
            }
            Task::PassOn(task) => task.commit(),
            Task::Standby(task) => task.keep(),
        }
    }

    /// Whether a commit should not wait for its interval.
    pub fn commit_due(&self) -> bool {
        match &self.task {
            Task::Stream(task, _) => task.commit_due(),
            Task::PassOn(_) | Task::Standby(_) => false,
        }
    }

    /// First record that is not processed.
    pub fn position(&self) -> Offset {
        match &self.task {
            Task::Stream(task, _) => task.position(),
            Task::PassOn(task) => task.position(),
            Task::Standby(task) => task.position(),
        }
    }

    /// Whether it is behind another member.
    pub(super) fn is_standby(&self) -> bool {
        matches!(self.task, Task::Standby(_))
    }

    /// What it does, and how far it is.
    pub(super) fn at_work(&self) -> AtWork {
        let role = if self.is_standby() { Role::Standby } else { Role::Active };
        AtWork { role, position: self.position(), end: self.input.high_watermark() }
    }

    /// End of the last fetch that the task was given.
    pub(super) fn reached(&self) -> Option<Offset> {
        self.reached
    }

    /// Whether it has read from its partition.
    pub(super) fn reads(&self) -> bool {
        self.input.high_watermark().is_some()
    }

    /// It commits under this fence from now on.
    pub fn set_fence(&mut self, fence: Fence) {
        match &mut self.task {
            Task::Stream(task, _) => task.set_fence(fence),
            Task::PassOn(task) => task.set_fence(fence),
            Task::Standby(_) => {}
        }
    }

    /// The task, if it answers questions about uploads.
    pub fn stream(&mut self) -> Option<&mut StreamTask> {
        match &mut self.task {
            Task::Stream(task, _) => Some(task),
            Task::PassOn(_) | Task::Standby(_) => None,
        }
    }

    /// Reads no more.
    pub(super) fn stop_reading(&self) {
        self.input.stop();
    }
}

//! A standby: the task of a partition that another member owns, kept up to date so that taking over is reading the rest. It is in no group
//! and fences nobody; it reads what the owner has committed, and writes to its own state directory and nowhere else.

use std::mem;
use std::sync::Arc;

use crate::aggregate::MemoryLimits;
use crate::metrics;
use crate::record::{LedgerEntry, LogId, Offset, TaskId, TopicPartition};
use crate::runtime::environment::Environment;
use crate::runtime::ledger::Statuses;
use crate::runtime::task::{Questions, StreamTask, TaskError, TaskStart, cut_off, is_cut};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, OutRecord, Outbox, Progress, ReadFrom, TransportError};

/// What the owner of a partition has done, as the cluster knows it.
struct Owner {
    partition: TopicPartition,
    /// Partition of the status topic.
    status: TopicPartition,
    topology: Arc<str>,
    log: Option<LogId>,
    /// The status topic. Its ends are those that no commit which was handed on covers.
    statuses: Statuses,
    /// A commit, and the end of the status topic behind everything that came before it: a transaction's records may become visible later
    /// than its offset.
    seen: Option<(Committed, Offset)>,
}

impl Owner {
    fn new(id: &TaskId, topology: &Topology, log: Option<LogId>) -> Owner {
        let status = TopicPartition { topic: topology.sink.status_topic.clone(), partition: id.partition };
        let (partition, topology) = (topology.partition_of(id), topology.name.clone());
        Owner { partition, status, topology, log, statuses: Statuses::default(), seen: None }
    }

    /// The newest commit, and the ends that are new; `None` while the ends of before it cannot all be read.
    fn look(&mut self, at: &dyn Environment) -> Result<Option<(Committed, Vec<LedgerEntry>)>, TransportError> {
        if self.seen.is_none() {
            let committed = at.latest_commit(&self.partition)?;
            self.seen = Some((committed, at.end_of_ledger(&self.status)?));
        }
        self.read(at)?;
        let next = self.statuses.next;
        let seen = self.seen.take_if(|(_, end)| *end <= next);
        Ok(seen.map(|(committed, _)| (committed, mem::take(&mut self.statuses.ends))))
    }

    /// The ends that are new, and the uploads that are open, once nobody owns the partition but us.
    fn rest(mut self, at: &dyn Environment) -> Result<Statuses, TransportError> {
        self.read(at)?;
        Ok(self.statuses)
    }

    fn read(&mut self, at: &dyn Environment) -> Result<(), TransportError> {
        at.ledger(&self.status, &self.topology, self.log, &mut self.statuses)
    }
}

/// The series of one standby; it ends with it.
struct Lag(TaskId);

impl Lag {
    fn set(&self, records: i64) {
        metrics::standby_lag(&self.0.topology, &self.0.partition.to_string()).set(records as f64);
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        metrics::forget_standby(&self.0.topology, self.0.partition);
    }
}

/// What a task starts with that no standby has prepared.
pub(super) type ColdStart = (Box<dyn Outbox>, TaskStart);

/// A task that is behind an owner.
pub(super) struct Standby {
    task: Box<StreamTask>,
    owner: Owner,
    lag: Lag,
    /// The owner's commit: no record from here on is read.
    committed: Offset,
    /// First record of the owner's oldest open upload.
    replay_from: Offset,
}

impl Standby {
    /// Starts where the owner has committed. Without a commit of an owner there is nothing to be behind.
    pub(super) fn start(
        id: TaskId,
        (topology, partition_count, limits): (Arc<Topology>, i32, MemoryLimits),
        environment: &dyn Environment,
    ) -> Result<(Standby, ReadFrom), TaskError> {
        let partition = topology.partition_of(&id);
        let log = environment.log(&partition.topic)?;
        let mut owner = Owner::new(&id, &topology, log);
        let (progress, ends) = match owner.look(environment)? {
            Some((Committed::Ours(progress), ends)) if progress.log == log => (progress, ends),
            _ => {
                let nothing = format!("no owner of {partition} has committed anything that a standby can be behind");
                return Err(TransportError::Unavailable(nothing).into());
            }
        };
        let (log_start, log_end) = environment.bounds(&partition)?;
        let committed = Committed::Ours(progress.clone());
        let start = TaskStart {
            committed: committed.clone(),
            log_start,
            log_end,
            partition_count: Some(partition_count),
            log,
            limits,
            ..TaskStart::default()
        };
        let store = environment.store(&id, &topology.hash)?;
        let mut ends = Some(ends);
        let ask = Questions {
            statuses: &mut || Ok(Statuses { ends: ends.take().unwrap_or_default(), ..Statuses::default() }),
            leader_epoch: &mut || environment.leader_epoch(&partition),
            end_of_epoch: &mut |epoch| environment.end_of_epoch(&partition, epoch),
        };
        let (mut task, next) = StreamTask::start(id, topology, (store, Box::new(Silence)), start, ask)?;
        if !task.is_behind(&committed) {
            let ahead = format!("the state of {partition} is ahead of the owner's commit");
            return Err(TransportError::Unavailable(ahead).into());
        }
        task.follow(&progress, log_start, ends.take().unwrap_or_default(), 0)?;
        Ok((Standby::new(task, owner, &progress), ReadFrom { next, log, leader_epoch: None }))
    }

    /// `task` was started at the commit `progress`.
    fn new(task: StreamTask, owner: Owner, progress: &Progress) -> Standby {
        let (committed, replay_from) = (progress.next, progress.replay_from);
        let lag = Lag(task.id().clone());
        Standby { task: Box::new(task), owner, lag, committed, replay_from }
    }

    /// First record that is not processed.
    pub(super) fn position(&self) -> Offset {
        self.task.position()
    }

    /// First record that is not to be read yet.
    pub(super) fn limit(&self) -> Offset {
        self.committed
    }

    /// Takes records below the limit.
    pub(super) fn process(&mut self, fetched: Fetched, now_ms: u64) -> Result<(), TaskError> {
        // Records that the owner needs no longer may be deleted before a standby has read them: it has lost nothing by that, and starts
        // again behind them.
        if fetched.lost.iter().any(|lost| lost.start < self.replay_from) {
            return Err(self.left_behind().into());
        }
        self.task.process(fetched, now_ms)
    }

    /// Looks how far the owner has come.
    pub(super) fn follow(&mut self, environment: &dyn Environment, now_ms: u64) -> Result<(), TaskError> {
        match self.owner.look(environment)? {
            None => Ok(()),
            Some((Committed::Ours(progress), ends)) if self.task.is_behind(&Committed::Ours(progress.clone())) => {
                (self.committed, self.replay_from) = (progress.next, progress.replay_from);
                self.task.follow(&progress, Offset(0), ends, now_ms)
            }
            Some(_) => Err(self.left_behind().into()),
        }
    }

    /// Makes the state durable.
    pub(super) fn keep(&mut self) -> Result<(), TaskError> {
        self.task.keep()
    }

    /// Reports how far it is behind the end of the partition.
    pub(super) fn report_metrics(&self, end: Option<Offset>) {
        if let Some(end) = end {
            self.lag.set((end.0 - self.position().0).max(0));
        }
    }

    /// The task of a partition that is ours from now on, which is to start as `start` says; or `start` again, where it has to be started from
    /// the state or from the log.
    pub(super) fn take_over(
        self,
        outbox: Box<dyn Outbox>,
        start: TaskStart,
        environment: &dyn Environment,
    ) -> Result<Result<StreamTask, ColdStart>, TaskError> {
        let Standby { task, owner, .. } = self;
        // The owner may have gone on behind a cut of the log that the reader here has not come to yet.
        let end = task.leader_epoch().map(|epoch| environment.end_of_epoch(task.partition(), epoch)).transpose()?;
        let mut end_of_epoch = |epoch| environment.end_of_epoch(task.partition(), epoch);
        let mut ahead = task.ends_ahead();
        let is_cut = start.cut_at.is_some()
            || end.is_some_and(|end| is_cut(task.position(), end))
            || cut_off(&mut ahead, &mut end_of_epoch)?;
        if is_cut || !task.is_behind(&start.committed) {
            return Ok(Err((outbox, start)));
        }
        let mut statuses = owner.rest(environment)?;
        if let Committed::Ours(progress) = &start.committed
            && ahead.iter().chain(&statuses.ends).any(|end| statuses.unsettles(end, progress.next))
        {
            return Ok(Err((outbox, start)));
        }
        cut_off(&mut statuses.ends, &mut end_of_epoch)?;
        task.take_over(outbox, start, statuses).map(Ok)
    }

    fn left_behind(&self) -> TransportError {
        let (partition, position) = (self.task.partition(), self.position());
        TransportError::Unavailable(format!(
            "the standby of {partition} at {position} is not behind the owner's commit"
        ))
    }
}

/// The outbox of a task that has nothing to say.
struct Silence;

impl Outbox for Silence {
    fn publish(&mut self, _: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        Err(TransportError::Failed("a standby publishes nothing".to_owned()))
    }
    fn send_best_effort(&mut self, _: OutRecord) {}
    fn commit(&mut self, _: &TopicPartition, _: &Progress, _: &Fence) -> Result<(), TransportError> {
        Err(TransportError::Failed("a standby commits nothing".to_owned()))
    }
}

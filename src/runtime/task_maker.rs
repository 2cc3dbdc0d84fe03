//! Makes a task on its thread, in front of Kafka. Blocks; each step may wait for a broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::aggregate::Siblings;
use crate::kafka::KafkaClient;
use crate::kafka::clock::now_ms;
use crate::kafka::group::Group;
use crate::kafka::ingest::{self, IngestHandle};
use crate::kafka::outbox::{KafkaOutbox, TransactionalOutbox};
use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::config::Guarantee;
use crate::runtime::environment::{Environment, Input};
use crate::runtime::ledger::{self, Statuses};
use crate::runtime::memory::Share;
use crate::runtime::pass_on::{PassOn, PassOnStart};
use crate::runtime::purge::Purge;
use crate::runtime::running_task::{self, Found, RunningTask, StandbyParts, StreamParts, Task};
use crate::runtime::stream_thread::{TaskMaker, Waker};
use crate::runtime::topics::check_status_of;
use crate::runtime::turn::{PassingOutbox, Turn};
use crate::state::{StateDir, StateError, StateStore};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, Outbox, ReadFrom, TransportError};

/// The parts of a task, besides the facts that the brokers give.
pub(super) struct MakerParts {
    pub(super) topology: Arc<Topology>,
    pub(super) group: Group,
    pub(super) fence: Fence,
    /// Of the source topic.
    pub(super) partition_count: i32,
    pub(super) siblings: Siblings,
    pub(super) client: KafkaClient,
    pub(super) state: Arc<StateDir>,
    pub(super) guarantee: Guarantee,
    pub(super) commit_interval: Duration,
    pub(super) share: Share,
}

/// Kafka, the state directory and the clock of this machine.
struct KafkaEnvironment {
    client: KafkaClient,
    group: Group,
    state: Arc<StateDir>,
    share: Share,
    turn: Arc<Turn>,
    waker: Waker,
}

impl Environment for KafkaEnvironment {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn outbox(&self, transactional_id: Option<&str>) -> Result<Box<dyn Outbox>, TransportError> {
        let (client, group, most) = (&self.client, &self.group, self.share.unacknowledged);
        let outbox: Box<dyn Outbox> = match transactional_id {
            None => Box::new(KafkaOutbox::new(client, group).within(most)),
            Some(id) => Box::new(TransactionalOutbox::begin(client, group, id)?.within(most)),
        };
        Ok(Box::new(PassingOutbox { outbox, turn: self.turn.clone() }))
    }
    fn store(&self, id: &TaskId, topology_hash: &str) -> Result<Box<dyn StateStore>, StateError> {
        Ok(Box::new(self.state.task(id, topology_hash)?))
    }
    fn committed(&self, partition: &TopicPartition) -> Result<Committed, TransportError> {
        Ok(self.group.fetch_committed([partition.clone()])?.remove(partition).unwrap_or(Committed::None))
    }
    fn latest_commit(&self, partition: &TopicPartition) -> Result<Committed, TransportError> {
        self.turn.passed(|| self.group.fetch_latest(partition))
    }
    fn log(&self, topic: &str) -> Result<Option<LogId>, TransportError> {
        self.client.log(topic)
    }
    fn bounds(&self, partition: &TopicPartition) -> Result<(Offset, Offset), TransportError> {
        let bounds = self.turn.passed(|| self.client.bounds(partition))?;
        Ok((bounds.start, bounds.end))
    }
    fn leader_epoch(&self, partition: &TopicPartition) -> Result<Option<i32>, TransportError> {
        self.turn.passed(|| self.client.leader_epoch(partition))
    }
    fn end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, TransportError> {
        self.turn.passed(|| self.client.end_of_epoch(partition, epoch))
    }
    fn ledger(
        &self,
        status: &TopicPartition,
        topology: &str,
        log: Option<LogId>,
        known: &mut Statuses,
    ) -> Result<(), TransportError> {
        self.turn.passed(|| ledger::read(&self.client, status, topology, log, known))
    }
    fn end_of_ledger(&self, status: &TopicPartition) -> Result<Offset, TransportError> {
        self.turn.passed(|| self.client.end_of_all(status))
    }
    fn read(&self, partition: &TopicPartition, from: ReadFrom) -> Box<dyn Input> {
        Box::new(ingest::spawn(&self.client, partition.clone(), from, self.waker.clone(), self.share.fetched))
    }
}

impl Input for IngestHandle {
    fn try_next(&mut self) -> Option<Result<Fetched, TransportError>> {
        IngestHandle::try_next(self)
    }
    fn buffered_bytes(&self) -> usize {
        IngestHandle::buffered_bytes(self)
    }
    fn log_start(&self) -> Offset {
        IngestHandle::log_start(self)
    }
    fn high_watermark(&self) -> Option<Offset> {
        IngestHandle::high_watermark(self)
    }
    fn stop(&self) {
        IngestHandle::stop(self);
    }
}

/// Makes the standby of task `id`.
pub(super) fn standby_maker(id: TaskId, parts: MakerParts) -> TaskMaker {
    let MakerParts { topology, group, partition_count, client, state, commit_interval, share, .. } = parts;
    Box::new(move |turn: &Arc<Turn>, waker: Waker, _: Option<RunningTask>| {
        let environment = Box::new(KafkaEnvironment { client, group, state, share, turn: turn.clone(), waker });
        let parts = StandbyParts { topology, partition_count, limits: share.rows, commit_interval };
        RunningTask::stand_by(id, parts, environment)
    })
}

/// Makes task `id`.
pub(super) fn task_maker(id: TaskId, parts: MakerParts) -> TaskMaker {
    let MakerParts {
        topology,
        group,
        fence,
        partition_count,
        siblings,
        client,
        state,
        guarantee,
        commit_interval,
        share,
    } = parts;
    let (partition, commit_interval) =
        (topology.partition_of(&id), running_task::commit_interval(&id, commit_interval));
    Box::new(move |turn: &Arc<Turn>, waker: Waker, standby: Option<RunningTask>| {
        let environment = KafkaEnvironment { client: client.clone(), group, state, share, turn: turn.clone(), waker };
        let environment = Box::new(environment);
        if id.source.is_none() {
            turn.passed(|| check_status_of(&client, &topology, &id))?;
            let gathers = topology.source.upload_topic() != &topology.source.topic;
            let purge = gathers.then(|| Purge::new(&client, partition, commit_interval));
            let limits = share.rows;
            let parts = StreamParts { topology, guarantee, fence, partition_count, siblings, limits, commit_interval };
            return RunningTask::start(id, parts, environment, purge, standby);
        }
        let Found { outbox, committed, bounds, log, cut_at } = Found::of(&id, &partition, guarantee, &*environment)?;
        let upload_topic = topology.source.upload_topic();
        let to = (client.log(upload_topic)?, client.partitions(upload_topic)?);
        let start = PassOnStart { committed: committed.clone(), bounds, log, cut_at, to, fence, now_ms: now_ms() };
        let (topic, turn) = (partition.topic.clone(), turn.clone());
        let ends = Box::new(move || turn.passed(|| client.ends(&topic)));
        let task = PassOn::start(id, partition.clone(), topology, (outbox, ends), start)?;
        let from = Found::read_from(&committed, cut_at, log, task.position());
        Ok(RunningTask::new(Task::PassOn(Box::new(task)), &partition, from, environment, commit_interval))
    })
}

//! Makes a task on its thread: asks where to start, restores, begins to read. Blocks; each step may wait for a broker.

use std::sync::Arc;
use std::time::Duration;

use crate::aggregate::Siblings;
use crate::kafka::clock::now_ms;
use crate::kafka::group::Group;
use crate::kafka::outbox::{KafkaOutbox, TransactionalOutbox};
use crate::kafka::{KafkaClient, ingest};
use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::config::Guarantee;
use crate::runtime::ledger;
use crate::runtime::memory::Share;
use crate::runtime::pass_on::{PassOn, PassOnStart};
use crate::runtime::purge::Purge;
use crate::runtime::stream_thread::{RunningTask, Task, TaskMaker, Waker};
use crate::runtime::task::{StreamTask, TaskStart};
use crate::runtime::turn::{PassingOutbox, Turn};
use crate::state::StateDir;
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Outbox, ReadFrom, TransportError};

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

/// Where the log was cut below the committed offset, if it was: by its leader epochs, or because it ends before (KIP-320).
fn cut_at(
    client: &KafkaClient,
    partition: &TopicPartition,
    committed: &Committed,
    log: Option<LogId>,
) -> Result<Option<Offset>, TransportError> {
    let Committed::Ours(progress) = committed else { return Ok(None) };
    if progress.log != log {
        return Ok(None);
    }
    let end = match progress.leader_epoch {
        Some(epoch) => client.end_of_epoch(partition, epoch)?,
        None => client.bounds(partition)?.end,
    };
    Ok((0 <= end.0 && end < progress.next).then_some(end))
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
    let partition = topology.partition_of(&id);
    Box::new(move |turn: &Arc<Turn>, waker: Waker| {
        let outbox: Box<dyn Outbox> = match guarantee {
            Guarantee::AtLeastOnce => Box::new(KafkaOutbox::new(&client, &group).within(share.unacknowledged)),
            // First of all: it settles what a former owner left open, which decides what is committed.
            Guarantee::ExactlyOnceV2 => {
                let transactional_id = id.transactional_id();
                Box::new(TransactionalOutbox::begin(&client, &group, &transactional_id)?.within(share.unacknowledged))
            }
        };
        let log = client.log(&partition.topic)?;
        let committed = group.fetch_committed([partition.clone()])?.remove(&partition).unwrap_or(Committed::None);
        let bounds = client.bounds(&partition)?;
        let (log_start, log_end, cut_at) = (bounds.start, bounds.end, cut_at(&client, &partition, &committed, log)?);
        let last_epoch = match &committed {
            Committed::Ours(progress) if cut_at.is_none() => Some((progress.next, progress.leader_epoch)),
            _ => None,
        };
        let outbox = Box::new(PassingOutbox { outbox, turn: turn.clone() });
        if id.source.is_some() {
            let upload_topic = topology.source.upload_topic();
            let to = (client.log(upload_topic)?, client.partitions(upload_topic)?);
            let (bounds, now_ms) = ((log_start, log_end), now_ms());
            let start = PassOnStart { committed, bounds, log, cut_at, to, fence, now_ms };
            let (topic, asked, turn) = (partition.topic.clone(), client.clone(), turn.clone());
            let ends = Box::new(move || turn.passed(|| asked.ends(&topic)));
            let task = PassOn::start(id, partition.clone(), topology, (outbox, ends), start)?;
            let next = task.position();
            let leader_epoch = last_epoch.and_then(|(at, epoch)| epoch.filter(|_| at == next));
            let ingest = ingest::spawn(&client, partition, ReadFrom { next, log, leader_epoch }, waker, share.fetched);
            return Ok(RunningTask { task: Task::PassOn(Box::new(task)), ingest });
        }
        let gathers = topology.source.upload_topic() != &topology.source.topic;
        let store = Box::new(state.task(&id, &topology.hash)?);
        let partition_count = Some(partition_count);
        let start = TaskStart {
            committed,
            log_start,
            log_end,
            siblings,
            partition_count,
            fence,
            log,
            cut_at,
            gathers,
            limits: share.rows,
            is_counted: true,
        };
        let status = TopicPartition { topic: topology.sink.status_topic.clone(), partition: id.partition };
        let name = topology.name.clone();
        let mut read_ledger = || ledger::read(&client, &status, &name, log);
        let (task, from) = StreamTask::start(id, topology, (store, outbox), start, &mut read_ledger)?;
        let leader_epoch = last_epoch.and_then(|(next, epoch)| epoch.filter(|_| next == from));
        let purge = gathers.then(|| Purge::new(&client, partition.clone(), commit_interval));
        let from = ReadFrom { next: from, log, leader_epoch };
        let ingest = ingest::spawn(&client, partition, from, waker, share.fetched);
        Ok(RunningTask { task: Task::Stream(Box::new(task), purge), ingest })
    })
}

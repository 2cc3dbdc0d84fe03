//! Starts a task: from its local state, or from the log. `recovery` decides; this file restores.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use tracing::{info, warn};

use super::metrics as task_metrics;
use super::outputs::Outputs;
use super::recovery::{self, LogFacts, RecoveryPlan, ReplayReason};
use super::sought::Sought;
use super::spread::Awaited;
use super::{StreamTask, TaskError};
use crate::aggregate::{Aggregate, AggregateSettings, MemoryLimits, Phase, Siblings};
use crate::map;
use crate::map::{Link, NodeError};
use crate::metrics::{self, Unusable};
use crate::record::{LedgerEntry, LogId, Message, Offset, Rejection, TaskId, TopicPartition, UploadId};
use crate::runtime::ledger::Statuses;
use crate::sink::output::Output;
use crate::sink::status::StatusRecord;
use crate::sink::workbook::WorkbookMaker;
use crate::source::Source;
use crate::source::spread::Gather;
use crate::state::keys::{self, StateKey, TaskState};
use crate::state::{StateStore, WriteBatch};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Outbox, TransportError};

/// The facts that a task needs before it starts to read.
#[derive(Debug, Default)]
pub struct TaskStart {
    /// The commit, from the group's coordinator.
    pub committed: Committed,
    /// First offset of the log.
    pub log_start: Offset,
    /// Its end.
    pub log_end: Offset,
    /// The tasks of the topology's other partitions.
    pub siblings: Siblings,
    /// Partitions of the source topic.
    pub partition_count: Option<i32>,
    /// The membership under which the task is ours.
    pub fence: Fence,
    /// The log of today, if it has an id.
    pub log: Option<LogId>,
    /// Where the log was cut below the committed offset, if it was.
    pub cut_at: Option<Offset>,
    /// Whether it reads the topic that brings the rows of an upload together (`placement = "spread"`).
    pub gathers: bool,
    /// How much of its rows is held in memory.
    pub limits: MemoryLimits,
    /// Whether the metrics count its work: that of the owner of a partition, and neither a standby nor a file that is converted or tried.
    pub is_counted: bool,
}

impl TaskStart {
    /// What it says of the log.
    pub(super) fn facts(&self) -> LogFacts {
        let TaskStart { log: id, log_start: start, log_end: end, cut_at, .. } = *self;
        LogFacts { id, start, end, cut_at, state_is_cut: false }
    }
}

/// The questions of a task before it reads, asked only where the answers matter.
pub struct Questions<'a> {
    /// The task's partition of the status topic: no local state remembers it.
    pub statuses: &'a mut dyn FnMut() -> Result<Statuses, TransportError>,
    /// Epoch of the log's leader, if it is known.
    pub leader_epoch: &'a mut dyn FnMut() -> Result<Option<i32>, TransportError>,
    /// First offset behind the records of a leader epoch and those before it (KIP-320); below 0 if nobody knows.
    pub end_of_epoch: &'a mut dyn FnMut(i32) -> Result<Offset, TransportError>,
}

/// Whether records below `position` are gone, of which the last has a leader epoch that ends at `end`; below 0 nobody knows.
pub(in crate::runtime) fn is_cut(position: Offset, end: Offset) -> bool {
    (0..position.0).contains(&end.0)
}

/// Takes back what ends of uploads say of records that have been cut off from the log. Returns whether there are any.
pub(in crate::runtime) fn cut_off(
    ends: &mut [LedgerEntry],
    end_of_epoch: &mut dyn FnMut(i32) -> Result<Offset, TransportError>,
) -> Result<bool, TransportError> {
    let mut is_any = false;
    let mut known = BTreeMap::new();
    for end in ends.iter_mut().filter(|end| !end.is_of_former_log()) {
        let Some(epoch) = end.leader_epoch else { continue };
        let log_to = match known.entry(epoch) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(end_of_epoch(epoch)?),
        };
        if is_cut(end.end(), log_to) {
            *end = end.clone().cut_at(log_to);
            is_any = true;
        }
    }
    Ok(is_any)
}

/// Takes out the uploads that were open in a topic that is no more.
fn take_former(open: &mut BTreeMap<String, StatusRecord>, log: Option<LogId>) -> BTreeMap<String, StatusRecord> {
    let is_former = |_: &String, status: &mut StatusRecord| {
        !recovery::is_same_log(status.topic_id.as_deref().and_then(LogId::parse), log)
    };
    open.extract_if(.., is_former).collect()
}

/// Ends uploads that went with their topic, and returns what is to be said of them. What comes under their ids without a beginning may be
/// their rest.
fn leave_behind(
    former: BTreeMap<String, StatusRecord>,
    ends: &mut Vec<LedgerEntry>,
    log: Option<LogId>,
) -> Vec<StatusRecord> {
    let why = Rejection::new(Message::OpenWhenRecreated {});
    let left: Vec<_> = former.into_values().map(|status| status.failed(&why)).collect();
    ends.extend(left.iter().filter_map(|status| status.ledger_in(log)));
    left
}

impl StreamTask {
    /// Builds the task and restores it; the second value is the offset to read from.
    pub fn start(
        id: TaskId,
        topology: Arc<Topology>,
        (store, outbox): (Box<dyn StateStore>, Box<dyn Outbox>),
        mut start: TaskStart,
        ask: Questions<'_>,
    ) -> Result<(StreamTask, Offset), TaskError> {
        start.committed = start.committed.within(start.log_end);
        let local = store.scan(&StateKey::Task.encode())?.pop();
        // Held records are read again from the repartition topic, as from a changelog.
        let local = local.filter(|_| !start.gathers);
        let mut local: Option<TaskState> = local.and_then(|(_, value)| keys::decode(&value));
        // Others may have gone on behind a cut of the log, so that their commit does not show it.
        let state_is_cut = match local.as_ref().filter(|state| recovery::is_same_log(state.log, start.log)) {
            Some(TaskState { offset, leader_epoch: Some(epoch), .. }) => is_cut(*offset, (ask.end_of_epoch)(*epoch)?),
            Some(_) | None => false,
        };
        let facts = LogFacts { state_is_cut, ..start.facts() };
        // At least once, more may have been said than was committed, of records that another leader does not have.
        let has_last_word = match &local {
            _ if outbox.is_transactional() => true,
            Some(TaskState { leader_epoch: Some(epoch), .. }) => (ask.leader_epoch)()? == Some(*epoch),
            Some(TaskState { offset, leader_epoch: None, .. }) => *offset > start.log_start,
            None => false,
        };
        let is_complete =
            has_last_word && recovery::is_complete(local.as_ref(), &topology.hash, &start.committed, &facts);
        let mut statuses = if is_complete { Statuses::default() } else { (ask.statuses)()? };
        let committed = recovery::of_log(&start.committed, &facts);
        let former = take_former(&mut statuses.open, start.log);
        if let Committed::Ours(progress) = committed
            && statuses.forget_unsettled(progress.next)
        {
            // A state that is ahead of the commit takes such an end for said.
            local = local.filter(|state| state.offset <= progress.next);
        }
        let Statuses { ends: mut ledger, open, .. } = statuses;
        // What was in a former repartition topic is passed on again, as far as the source has it.
        let (awaited, left_behind) = match start.gathers {
            true => (former, vec![]),
            false => (BTreeMap::new(), leave_behind(former, &mut ledger, start.log)),
        };
        let log_start = start.log_start;
        let plan = recovery::plan(local.as_ref(), &topology.hash, &start.committed, &facts, &ledger);
        let sought = (!is_complete).then(|| Sought::of(committed, &facts, open, &ledger));
        cut_off(&mut ledger, ask.end_of_epoch)?;

        let whole_from = recovery::whole_from(local.as_ref(), committed, &facts);
        let commits = recovery::commits(local.as_ref(), &start.committed);
        let mut task = Self::assemble(id, topology, store, outbox, &start)?;
        task.commits = commits;
        task.outputs.set_log(start.log);
        task.aggregate.doubt_below(whole_from);
        let mut waiting = Vec::new();
        match plan {
            RecoveryPlan::Resume { restore_from, position, emit_from } => {
                info!(task = %task.id, %restore_from, %position, "resuming from local state");
                let (ids, leader_epoch) = local.map(|local| (local.waiting, local.leader_epoch)).unwrap_or_default();
                waiting = ids.into_iter().map(|(id, from)| (UploadId::new(id), from)).collect();
                task.restore(log_start, &waiting)?;
                task.position = position;
                task.leader_epoch = leader_epoch;
                task.outputs.set_leader_epoch(leader_epoch);
                task.read_from = restore_from;
                task.phase = Phase::Restoring { until: position, emit_from };
                task.follow_ledger(ledger, log_start, 0)?;
                fail::fail_point!("task-restored");
            }
            RecoveryPlan::Rebuild { replay_from, emit_from, reason } => {
                if let Some(gather) = &mut task.gather {
                    let ends = ledger.iter().filter(|end| end.completion_offset >= replay_from);
                    ends.for_each(|end| gather.remember(end.completion_offset, end.cuts.clone().unwrap_or_default()));
                }
                let is_news =
                    |reason: &ReplayReason| start.is_counted && !(start.gathers && *reason == ReplayReason::Lost);
                if let Some(reason) = reason.filter(is_news) {
                    let records = emit_from.0 - replay_from.0;
                    warn!(task = %task.id, %reason, %replay_from, records, "rebuilding state from the log");
                    metrics::rebuilds(&task.id.topology, reason.code()).inc();
                    if matches!(reason, ReplayReason::Recreated | ReplayReason::Truncated) {
                        metrics::log_changes(&task.id.topology, reason.code()).inc();
                    }
                }
                task.store.clear()?;
                task.aggregate.adopt_ledger(ledger.into_iter(), (log_start, replay_from), &mut *task.store)?;
                task.position = replay_from;
                task.read_from = replay_from;
                task.phase = Phase::at(replay_from, emit_from);
            }
        }
        task.sought = sought;
        if let Committed::Ours(progress) = committed {
            task.named_below = progress.next.min(start.cut_at.unwrap_or(progress.next));
            if start.cut_at.is_none() && progress.next == task.position {
                task.leader_epoch = task.leader_epoch.or(progress.leader_epoch);
            }
        }
        if task.read_from < start.log_start {
            task.survive_retention(task.read_from..start.log_start, start.log_end, &waiting)?;
        }
        task.awaited = Awaited::new(awaited, task.read_from.max(start.log_start));
        for status in left_behind {
            let offset = status.offsets.first;
            task.outputs.status(status, offset)?;
        }
        task.finish_read(task.read_from.max(start.log_start))?;
        if start.committed == Committed::None {
            // Before the first output: else only the ends of uploads would say how far it had come, and dead letters of others be lost.
            task.commit()?;
        }
        let from = task.read_from;
        Ok((task, from))
    }

    /// Restores the open uploads, and names to the source the uploads that are read again.
    fn restore(&mut self, log_start: Offset, waiting: &[(UploadId, Offset)]) -> Result<(), TaskError> {
        let open = self.aggregate.restore(&mut *self.store, log_start)?;
        self.aggregate.take_finished(&mut self.finished); // before the ends that say so are forgotten
        let begun = open.iter().map(|open| (open.upload.clone(), open.begun_at));
        self.source.begin_refill(begun.chain(waiting.iter().cloned()).collect());
        for open in open {
            // Rows that wait for a header find it, or not, where they found it before.
            let header = open.header.filter(|_| waiting.iter().all(|(id, _)| *id != open.upload));
            self.source.restore(open.upload.clone(), header, (open.announced, open.attempt), open.single_at);
            if open.expects_rows {
                self.source.expect_rows(&open.upload, None);
            }
        }
        Ok(())
    }

    /// Retention removed records that were still needed: uploads that may have lost rows fail. `waiting` had rows in the state that wait for
    /// their header.
    fn survive_retention(
        &mut self,
        lost: Range<Offset>,
        end: Offset,
        waiting: &[(UploadId, Offset)],
    ) -> Result<(), TaskError> {
        warn!(task = %self.id, from = %lost.start, to = %lost.end, "retention removed records of open uploads; raise retention.ms or retention.bytes");
        self.position = self.position.max(lost.end);
        // What had been read before is lost for a rebuild alone.
        let unread = if self.phase.is_live() { lost.start } else { self.phase.emit_from().max(lost.start) };
        if unread < lost.end {
            self.outputs.metrics.unusable(Unusable::Missing, (lost.end.0 - unread.0).unsigned_abs());
        }
        match self.phase {
            // The state has what was open.
            Phase::Restoring { until, .. } if lost.end <= until => {}
            Phase::Restoring { .. } => self.aggregate.doubt_below(end),
            Phase::Replaying { .. } | Phase::Live { .. } => self.note_lost(lost.end, end),
        }
        self.call_aggregate(0, |aggregate, ctx| {
            let mut waiting = waiting.iter().filter(|(_, first)| *first < lost.end);
            waiting.try_for_each(|(id, first)| aggregate.lose_waiting(id, *first, &lost, ctx))?;
            aggregate.log_gap(lost, ctx)
        })
    }

    fn assemble(
        id: TaskId,
        topology: Arc<Topology>,
        store: Box<dyn StateStore>,
        outbox: Box<dyn Outbox>,
        start: &TaskStart,
    ) -> Result<StreamTask, TaskError> {
        let maker = WorkbookMaker::new(Arc::new(topology.sink.clone()), topology.about()).map_err(|rejection| {
            NodeError { node: topology.sink.node.to_string(), message: rejection.message.to_string() }
        })?;
        let aggregate = Aggregate::new(AggregateSettings {
            aggregate: Arc::new(topology.aggregate.clone()),
            source: Arc::new(topology.source.clone()),
            task: id.clone(),
            topology_hash: topology.hash.clone(),
            partition_count: start.partition_count,
            siblings: start.siblings.clone(),
            limits: start.limits,
            styles: maker.styles().clone(),
            cell_refs: topology.sink.workbook.cell_refs,
            ranges: topology.sink.workbook.summary,
        });
        let topic = if start.gathers { topology.source.upload_topic() } else { &topology.source.topic };
        let partition = TopicPartition { topic: topic.clone(), partition: id.partition };
        let metrics = task_metrics::of(&id, &partition, &topology, start.is_counted.then_some(&start.committed));
        Ok(StreamTask {
            source: Source::new(Arc::new(topology.source.clone()), start.partition_count),
            gather: start.gathers.then(|| Gather::new(Arc::new(topology.source.clone()))),
            is_releasing: false,
            awaited: Awaited::default(),
            topic: topology.source.topic.clone(),
            link: topology.link.as_ref().map(Link::new),
            maps: topology.maps.iter().map(map::build).collect::<Result<_, _>>()?,
            aggregate,
            outputs: Outputs::new((id.clone(), partition.clone()), topology.clone(), maker, metrics, outbox),
            store,
            fence: start.fence.clone(),
            log: start.log,
            leader_epoch: None,
            cut_at: start.cut_at,
            sought: None,
            lacks_some: false,
            named_below: Offset(0),
            position: Offset(0),
            read_from: Offset(0),
            phase: Phase::Live { emit_from: Offset(0) },
            finished: WriteBatch::default(),
            committed_progress: None,
            commits: 0,
            id,
            partition,
            topology,
        })
    }
}

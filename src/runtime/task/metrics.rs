//! The labels of a task's names and of the ends of its uploads in metrics.

use crate::metrics::{Outcome, TaskMetrics, TaskNames, log_changes, outputs_refused};
use crate::record::{self, TaskId, TopicPartition};
use crate::runtime::task::recovery::ReplayReason;
use crate::sink::status::{StatusRecord, UploadState};
use crate::topology::Topology;
use crate::transport::Committed;

/// The counters of a task that starts from `committed`; it counts nothing without a commit.
pub(super) fn of(
    id: &TaskId,
    partition: &TopicPartition,
    topology: &Topology,
    committed: Option<&Committed>,
) -> TaskMetrics {
    let names = TaskNames {
        source: &topology.source.node,
        maps: topology.maps.iter().map(|map| &**map.node()).collect(),
        aggregate: &topology.aggregate.node,
        sink: &topology.sink.node,
    };
    let Some(committed) = committed else { return TaskMetrics::uncounted(&names) };
    for change in [ReplayReason::Recreated, ReplayReason::Truncated] {
        log_changes(&id.topology, change.code()); // a series that begins at 0 shows its first rise
    }
    for topic in [&topology.sink.status_topic, &topology.sink.dead_letter_topic] {
        outputs_refused(&id.topology, topic); // a series that begins at 0 shows its first rise
    }
    let committed = match committed {
        Committed::None => None,
        Committed::Ours(progress) => Some(progress.next),
        Committed::Reset(offset) => Some(*offset),
    };
    TaskMetrics::counted(id, partition, &names, committed)
}

/// How an upload ended; `None` while it is open.
pub(super) fn outcome(status: &StatusRecord) -> Option<Outcome> {
    let entry = status.ledger()?;
    let is_turned_away = matches!(entry.outcome, record::Outcome::TurnedAway | record::Outcome::NoRoom);
    if is_turned_away && !entry.is_turned_away() {
        return None; // it was counted when it was turned away
    }
    match status.state {
        UploadState::Published if status.failure.is_some() => Some(Outcome::Incomplete),
        UploadState::Published if status.workbook.is_none() => Some(Outcome::Republished),
        UploadState::Published => Some(Outcome::Published),
        UploadState::Failed => Some(Outcome::Failed),
        UploadState::Aborted => Some(Outcome::Aborted),
        UploadState::Expired => Some(Outcome::Expired),
        UploadState::Receiving | UploadState::Incomplete | UploadState::Stalled => None,
    }
}

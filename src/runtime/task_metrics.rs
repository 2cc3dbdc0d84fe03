//! What the metrics are told of a task: its names, the fates of its rows, and why it stopped, in words that are labels.

use crate::aggregate::Standing;
use crate::map::MapConfig;
use crate::metrics::{Outcome, RowFates, TaskMetrics, TaskNames};
use crate::record::{TaskId, TopicPartition};
use crate::runtime::stream_task::TaskError;
use crate::state::StateError;
use crate::state::keys::Accounting;
use crate::topology::Topology;
use crate::transport::{Committed, TransportError};

/// The counters of a task.
pub(super) fn of(id: &TaskId, partition: &TopicPartition, topology: &Topology, committed: &Committed) -> TaskMetrics {
    let names = TaskNames {
        source: &topology.source.node,
        maps: topology.maps.iter().map(node).collect(),
        aggregate: &topology.aggregate.node,
        sink: &topology.sink.node,
    };
    let committed = match committed {
        Committed::None => None,
        Committed::Ours(progress) => Some(progress.next),
        Committed::Reset(offset) => Some(*offset),
    };
    TaskMetrics::new(id, partition, &names, committed)
}

fn node(map: &MapConfig) -> &str {
    match map {
        MapConfig::Reproject(config) => &config.node,
        MapConfig::Select(config) => &config.node,
    }
}

/// Rows of an upload that has ended.
pub(super) fn fates(rows: &Accounting) -> RowFates {
    let Accounting { rows_in: _, written, rejected, duplicate, late, filtered, voided, waiting: _ } = *rows;
    RowFates { written, rejected, duplicate, late, filtered, voided }
}

/// How an upload ended without a workbook.
pub(super) fn outcome(standing: Standing) -> Outcome {
    match standing {
        Standing::Aborted => Outcome::Aborted,
        Standing::Expired => Outcome::Expired,
        Standing::Failed | Standing::Receiving | Standing::Incomplete | Standing::Stalled => Outcome::Failed,
    }
}

/// Why a task stopped.
pub(super) fn reason(error: &TaskError) -> &'static str {
    match error {
        TaskError::State(StateError::DiskFull(_)) => "disk_full",
        TaskError::State(StateError::Damaged(_)) => "damaged",
        TaskError::State(StateError::Hung { .. }) => "hung",
        TaskError::State(StateError::Locked { .. } | StateError::Unusable { .. } | StateError::Io(_)) => "state",
        TaskError::Transport(TransportError::Fenced(_) | TransportError::Replaced(_)) => "fenced",
        TaskError::Transport(TransportError::Unavailable(_) | TransportError::Clock(_)) => "unavailable",
        TaskError::Transport(TransportError::Unauthorised(_)) => "unauthorised",
        TaskError::Transport(TransportError::Topic(_)) => "topic",
        TaskError::Transport(TransportError::TooLarge(_)) => "too_large",
        TaskError::Transport(
            TransportError::OutOfRange { .. } | TransportError::AnotherLog(_) | TransportError::Truncated { .. },
        ) => "out_of_range",
        TaskError::Transport(TransportError::Failed(_)) => "failed",
        TaskError::Process(_) => "node",
    }
}

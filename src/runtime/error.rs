//! Why a process ends by itself. Everything else is tried again.

use crate::record::TaskId;
use crate::runtime::task::TaskError;
use crate::state::StateError;
use crate::transport::TransportError;

/// Why a process cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The cluster.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A task.
    #[error("task {0}: {1}")]
    Task(TaskId, TaskError),
    /// A thread ended without a command to stop.
    #[error("the thread of task {0} panicked: this is a fault of sheetstream, please report it")]
    Panicked(TaskId),
    /// Threads or runtime could not be started.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

//! Why a task stops. The manager decides what follows: another try, another task, or the end of the process.

use crate::map::NodeError;
use crate::sink::output::OutputError;
use crate::state::StateError;
use crate::transport::TransportError;

/// Why a task cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The state failed; rebuild it, or wait for disk space.
    #[error(transparent)]
    State(#[from] StateError),
    /// The broker failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A node failed.
    #[error(transparent)]
    Process(#[from] NodeError),
}

impl From<OutputError> for TaskError {
    fn from(error: OutputError) -> TaskError {
        match error {
            OutputError::State(error) => TaskError::State(error),
            OutputError::Transport(error) => TaskError::Transport(error),
        }
    }
}

impl TaskError {
    /// The log under the topic's name is not the one that was read: offsets of before mean nothing.
    pub(in crate::runtime) fn is_of_another_log(&self) -> bool {
        let TaskError::Transport(error) = self else { return false };
        matches!(
            error,
            TransportError::AnotherLog(_) | TransportError::Truncated { .. } | TransportError::OutOfRange { .. }
        )
    }

    /// Whether the topology is not processed because of it. State that is built anew, a disk that is full and a partition that became
    /// another's are not the topology's trouble.
    pub(in crate::runtime) fn concerns_topology(&self) -> bool {
        !matches!(self, TaskError::State(_) | TaskError::Transport(TransportError::Fenced(_)))
    }

    /// A word for metric labels.
    pub(in crate::runtime) fn code(&self) -> &'static str {
        match self {
            TaskError::State(StateError::DiskFull(_)) => "disk_full",
            TaskError::State(StateError::Damaged(_)) => "damaged",
            TaskError::State(StateError::Hung { .. }) => "hung",
            TaskError::State(StateError::Locked { .. } | StateError::Unusable { .. } | StateError::Io(_)) => "state",
            TaskError::Transport(TransportError::Fenced(_) | TransportError::Replaced(_)) => "fenced",
            TaskError::Transport(TransportError::Unavailable(_)) => "unavailable",
            TaskError::Transport(TransportError::Clock(_)) => "clock",
            TaskError::Transport(TransportError::Unauthorised(_)) => "unauthorised",
            TaskError::Transport(TransportError::Topic(_)) => "topic",
            TaskError::Transport(TransportError::TooLarge(_)) => "too_large",
            TaskError::Transport(TransportError::OutOfRange { .. }) => "out_of_range",
            TaskError::Transport(TransportError::AnotherLog(_)) => "topic.recreated",
            TaskError::Transport(TransportError::Truncated { .. }) => "log.truncated",
            TaskError::Transport(TransportError::Failed(_)) => "failed",
            TaskError::Process(_) => "node",
        }
    }
}

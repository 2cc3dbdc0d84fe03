//! Decides when a failed thing is tried again, and which failures end the process instead.

use std::time::{Duration, Instant};

use crate::record::TaskId;
use crate::runtime::task::TaskError;
use crate::state::StateError;
use crate::transport::TransportError;

/// Before a task that the broker or the disk stopped is started again.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two tries of what fails again and again.
const LONGEST: Duration = Duration::from_secs(30);
/// A refused password is no reason for a storm of tries.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// A task that waits to be started again.
pub(super) struct Retry {
    pub(super) at: Instant,
    pub(super) id: TaskId,
    /// Why it failed, a word for metric labels.
    pub(super) reason: &'static str,
}

/// How long to wait before a failed task is started again from its last commit; `None` when its process has to end.
pub(super) fn after_task(error: &TaskError, failures: u32) -> Option<Duration> {
    match error {
        TaskError::Transport(error) => after(error, failures),
        TaskError::Process(_) => Some(growing(failures)),
        TaskError::State(StateError::Damaged(_)) => Some(Duration::ZERO),
        TaskError::State(StateError::DiskFull(_)) => Some(5 * FIRST),
        TaskError::State(_) => None,
    }
}

/// The same for what a broker refused or did not do, `failures` times before.
pub(super) fn after(error: &TransportError, failures: u32) -> Option<Duration> {
    match error {
        TransportError::Replaced(_) => None,
        TransportError::Fenced(_) => Some(FIRST), // the group says soon whether it is still ours
        // Whoever took a right away may give it back.
        TransportError::Unauthorised(_) => Some(AFTER_REFUSAL),
        // Waited for already, or passed with this start.
        TransportError::Unavailable(_)
        | TransportError::OutOfRange { .. }
        | TransportError::AnotherLog(_)
        | TransportError::Truncated { .. } => Some(FIRST),
        TransportError::Topic(_)
        | TransportError::TooLarge(_)
        | TransportError::Clock(_)
        | TransportError::Failed(_) => Some(growing(failures)),
    }
}

fn growing(failures: u32) -> Duration {
    (FIRST * 2_u32.saturating_pow(failures.min(10))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_others_can_mend_is_tried_less_and_less_often_and_never_given_up() {
        for error in [TransportError::Topic("gone".into()), TransportError::Clock("ahead".into())] {
            let pauses = (0..40).map(|failures| after(&error, failures));
            let pauses: Vec<u64> = pauses.map(|pause| pause.expect("no end").as_secs()).collect();
            assert_eq!((&pauses[..7], pauses[39]), (&[1, 2, 4, 8, 16, 30, 30][..], 30));
        }
    }

    #[test]
    fn the_process_ends_for_its_name_and_its_state_directory_only() {
        assert_eq!(after(&TransportError::Replaced("by another".into()), 0), None);
        let unusable = StateError::Io(std::io::Error::other("gone"));
        assert_eq!(after_task(&TaskError::State(unusable), 0), None);
        for error in ["fenced", "failed"] {
            let error = TransportError::Failed(error.into());
            assert!(after_task(&TaskError::Transport(error), 3).is_some());
        }
    }
}

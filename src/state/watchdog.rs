//! Whether the store thread still moves: it announces each step with a limit, and its callers look.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::StateError;

/// How often a waiting caller looks whether the thread still moves.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The step that the store thread is in.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    step: Mutex<(u64, Option<Step>)>,
    hung: OnceLock<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    call: &'static str,
    limit: Duration,
}

impl Watchdog {
    /// Does `work`, which is called hung if it takes longer than `limit`.
    pub(super) fn during<T>(&self, call: &'static str, limit: Duration, work: impl FnOnce() -> T) -> T {
        struct Done<'a>(&'a Watchdog);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.step().1 = None;
            }
        }
        let mut step = self.step();
        *step = (step.0 + 1, Some(Step { call, limit }));
        drop(step);
        let _done = Done(self); // also when `work` panics
        work()
    }

    /// The step that was not over in time. From then on the thread counts as hung, even if it moves again: nobody knows what it does.
    pub(super) fn hung(&self) -> Option<StateError> {
        self.hung.get().map(|step| StateError::Hung { call: step.call, seconds: step.limit.as_secs() })
    }

    fn step(&self) -> MutexGuard<'_, (u64, Option<Step>)> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one caller has seen the thread in one step, counted in looks and not by a clock: a process that was stopped for an hour has
/// looked once.
#[derive(Default)]
pub(super) struct Patience {
    step: u64,
    waited: Duration,
}

impl Patience {
    /// To be called every [`LOOK_EVERY`].
    pub(super) fn look(&mut self, watchdog: &Watchdog) -> Option<StateError> {
        let (number, step) = *watchdog.step();
        if number != self.step {
            *self = Patience { step: number, waited: Duration::ZERO };
        } else if let Some(step) = step {
            self.waited += LOOK_EVERY;
            if self.waited > step.limit {
                watchdog.hung.set(step).ok();
            }
        }
        watchdog.hung()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_that_panics_is_no_longer_watched() {
        let watchdog = Watchdog::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            watchdog.during("apply", Duration::ZERO, || std::panic::resume_unwind(Box::new("as sled does")))
        }));
        assert!(panicked.is_err() && watchdog.step().1.is_none());
    }
}

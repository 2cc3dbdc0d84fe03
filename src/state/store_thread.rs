//! The one thread that writes state. Commits that arrive together are handed over together, so that they share one sync; a call that does
//! not return in time is given up, for a storage engine that hangs must not take the stream threads with it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::StateError;
use super::keeper::{Commit, Keeper};

/// Most commits that share one sync.
const GROUP_MAX: usize = 64;
/// How often a waiting caller looks whether the thread still moves.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where the result of a job goes.
type Reply<T> = SyncSender<Result<T, StateError>>;

enum Job {
    Commit(Commit, Reply<()>),
    Call(Box<dyn FnOnce(&mut Keeper) + Send>),
}

/// Handle of the thread; dropped, it lets the thread finish what it was given and waits for it.
#[derive(Debug)]
pub(super) struct StoreThread {
    jobs: Option<Sender<Job>>,
    watch: Arc<Watch>,
    ended: Mutex<Receiver<()>>,
}

impl StoreThread {
    /// Starts the thread with the keeper that `open` makes on it.
    pub(super) fn start(
        open: impl FnOnce(Arc<Watch>) -> Result<Keeper, StateError> + Send + 'static,
    ) -> Result<StoreThread, StateError> {
        let watch = Arc::new(Watch::default());
        let (jobs, queue) = channel();
        let (end, ended) = sync_channel(1);
        let (reply, opened) = sync_channel(1);
        let watched = watch.clone();
        std::thread::Builder::new().name("state-store".to_owned()).spawn(move || {
            match open(watched) {
                Ok(keeper) => {
                    let _ = reply.send(Ok(()));
                    run(keeper, &queue);
                }
                Err(error) => drop(reply.send(Err(error))),
            }
            let _ = end.send(());
        })?;
        let thread = StoreThread { jobs: Some(jobs), watch, ended: Mutex::new(ended) };
        thread.wait(&opened)?;
        Ok(thread)
    }

    /// Commits, together with whoever commits at the same time.
    pub(super) fn commit(&self, commit: Commit) -> Result<(), StateError> {
        let (reply, answer) = sync_channel(1);
        self.send(Job::Commit(commit, reply))?;
        self.wait(&answer)
    }

    /// Runs `work` on the thread.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (reply, answer) = sync_channel(1);
        let job = move |keeper: &mut Keeper| drop(reply.send(work(keeper))); // a caller that gave up has dropped its end
        self.send(Job::Call(Box::new(job)))?;
        self.wait(&answer)
    }

    fn send(&self, job: Job) -> Result<(), StateError> {
        if let Some(hung) = self.watch.hung() {
            return Err(hung);
        }
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(ended)
    }

    fn wait<T>(&self, answer: &Receiver<Result<T, StateError>>) -> Result<T, StateError> {
        let mut patience = Patience::default();
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => match patience.look(&self.watch) {
                    Some(hung) => return Err(hung),
                    None => continue,
                },
            }
        }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.jobs = None;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let mut patience = Patience::default();
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK_EVERY) {
            if patience.look(&self.watch).is_some() {
                return; // it is stuck for good, and holds nothing that anybody may still use
            }
        }
    }
}

fn ended() -> StateError {
    StateError::Damaged("the store thread ended".to_owned())
}

/// 1. Takes a job. 2. If it is a commit, takes the commits that wait behind it too. 3. Does it; every caller gets its answer.
fn run(mut keeper: Keeper, jobs: &Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        let (first, reply) = match job {
            Job::Commit(commit, reply) => (commit, reply),
            Job::Call(work) => {
                work(&mut keeper);
                continue;
            }
        };
        let (mut group, mut replies) = (vec![first], vec![reply]);
        while group.len() < GROUP_MAX {
            match jobs.try_recv() {
                Ok(Job::Commit(commit, reply)) => {
                    group.push(commit);
                    replies.push(reply);
                }
                Ok(call) => {
                    next = Some(call);
                    break;
                }
                Err(_) => break,
            }
        }
        for (reply, result) in replies.into_iter().zip(keeper.commit(group)) {
            let _ = reply.send(result);
        }
    }
    keeper.end();
}

/// What the thread is doing.
#[derive(Debug, Default)]
pub(super) struct Watch {
    step: Mutex<(u64, Option<Step>)>,
    hung: OnceLock<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    call: &'static str,
    limit: Duration,
}

impl Watch {
    /// Does `work`, which is called hung if it takes longer than `limit`.
    pub(super) fn during<T>(&self, call: &'static str, limit: Duration, work: impl FnOnce() -> T) -> T {
        struct Done<'a>(&'a Watch);
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
    fn hung(&self) -> Option<StateError> {
        self.hung.get().map(|step| StateError::Hung { call: step.call, seconds: step.limit.as_secs() })
    }

    fn step(&self) -> MutexGuard<'_, (u64, Option<Step>)> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one caller has seen the thread in one step, counted in looks and not by a clock: a process that was stopped for an hour has
/// looked once.
#[derive(Default)]
struct Patience {
    step: u64,
    waited: Duration,
}

impl Patience {
    /// To be called every [`LOOK_EVERY`].
    fn look(&mut self, watch: &Watch) -> Option<StateError> {
        let (number, step) = *watch.step();
        if number != self.step {
            *self = Patience { step: number, waited: Duration::ZERO };
        } else if let Some(step) = step {
            self.waited += LOOK_EVERY;
            if self.waited > step.limit {
                let _ = watch.hung.set(step);
            }
        }
        watch.hung()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_that_does_not_return_is_given_up_and_so_is_every_later_one() {
        let (never, blocked) = channel::<()>();
        let started = StoreThread::start(move |watch| {
            let _ = watch.during("open", Duration::ZERO, || blocked.recv());
            Err(StateError::Damaged("only now".to_owned()))
        });
        assert!(matches!(started, Err(StateError::Hung { call: "open", .. })));
        drop(never);
    }

    #[test]
    fn step_that_panics_is_no_longer_watched() {
        let watch = Watch::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            watch.during("apply", Duration::ZERO, || std::panic::resume_unwind(Box::new("as sled does")))
        }));
        assert!(panicked.is_err() && watch.step().1.is_none());
    }
}

//! The one thread that writes state. Commits that arrive together are handed over together, so that they share one sync; a call that does
//! not return in time is given up, for a storage engine that hangs must not take the stream threads with it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::StateError;
use super::index_writer::{Commit, IndexWriter};
use super::watchdog::{LOOK_EVERY, Patience, Watchdog};

/// Most commits that share one sync.
const GROUP_MAX: usize = 64;

/// Where the result of a job goes.
type Reply<T> = SyncSender<Result<T, StateError>>;

enum Job {
    Commit(Commit, Reply<()>),
    Call(Box<dyn FnOnce(&mut IndexWriter) + Send>),
}

/// Handle of the thread; dropped, it lets the thread finish what it was given and waits for it.
#[derive(Debug)]
pub(super) struct StoreThread {
    jobs: Option<Sender<Job>>,
    watchdog: Arc<Watchdog>,
    ended: Mutex<Receiver<()>>,
}

impl StoreThread {
    /// Starts the thread with the index writer that `open` makes on it.
    pub(super) fn start(
        open: impl FnOnce(Arc<Watchdog>) -> Result<IndexWriter, StateError> + Send + 'static,
    ) -> Result<StoreThread, StateError> {
        let watchdog = Arc::new(Watchdog::default());
        let (jobs, queue) = channel();
        let (end, ended) = sync_channel(1);
        let (reply, opened) = sync_channel(1);
        let watched = watchdog.clone();
        std::thread::Builder::new().name("state-store".to_owned()).spawn(move || {
            match open(watched) {
                Ok(writer) => {
                    reply.send(Ok(())).ok();
                    run(writer, &queue);
                }
                Err(error) => drop(reply.send(Err(error))),
            }
            end.send(()).ok();
        })?;
        let thread = StoreThread { jobs: Some(jobs), watchdog, ended: Mutex::new(ended) };
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
        work: impl FnOnce(&mut IndexWriter) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (reply, answer) = sync_channel(1);
        let job = move |writer: &mut IndexWriter| drop(reply.send(work(writer))); // a caller that gave up has dropped its end
        self.send(Job::Call(Box::new(job)))?;
        self.wait(&answer)
    }

    fn send(&self, job: Job) -> Result<(), StateError> {
        if let Some(hung) = self.watchdog.hung() {
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
                Err(RecvTimeoutError::Timeout) => match patience.look(&self.watchdog) {
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
            if patience.look(&self.watchdog).is_some() {
                return; // it is stuck for good, and holds nothing that anybody may still use
            }
        }
    }
}

fn ended() -> StateError {
    StateError::Damaged("the store thread ended".to_owned())
}

/// 1. Takes a job. 2. If it is a commit, takes the commits that wait behind it too. 3. Does it; every caller gets its answer.
fn run(mut writer: IndexWriter, jobs: &Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        let (first, reply) = match job {
            Job::Commit(commit, reply) => (commit, reply),
            Job::Call(work) => {
                work(&mut writer);
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
        for (reply, result) in replies.into_iter().zip(writer.commit(group)) {
            reply.send(result).ok();
        }
    }
    writer.end();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn call_that_does_not_return_is_given_up_and_so_is_every_later_one() {
        let (never, blocked) = channel::<()>();
        let started = StoreThread::start(move |watchdog| {
            watchdog.during("open", Duration::ZERO, || blocked.recv()).ok();
            Err(StateError::Damaged("only now".to_owned()))
        });
        assert!(matches!(started, Err(StateError::Hung { call: "open", .. })));
        drop(never);
    }
}

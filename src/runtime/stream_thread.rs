//! The operating-system thread of one task. Everything of the task (its PROJ objects, its pages) is made, used and dropped here. A thread
//! that waits for a broker holds up its own partition and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::record::{Offset, TaskId};
use crate::runtime::health::Health;
use crate::runtime::running_task::{RunningTask, commit_interval};
use crate::runtime::task::{StreamTask, TaskError};
use crate::runtime::turn::{Turn, Turns};
use crate::transport::Fence;

/// Longest sleep of a thread that nobody wakes.
const SLEEP_MAX: Duration = Duration::from_millis(200);
/// Makes a task on its thread, and starts reading at the offset the task asks for; of the standby that was there, if there was one.
pub type TaskMaker = Box<dyn FnOnce(&Arc<Turn>, Waker, Option<RunningTask>) -> Result<RunningTask, TaskError> + Send>;

/// Wakes a stream thread that sleeps.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Wakes a thread that sleeps, or is about to: it may be woken while it waits for a broker, which parks it, too.
#[derive(Clone)]
struct Bell {
    rung: Arc<AtomicBool>,
    thread: Thread,
}

impl Bell {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
    /// Sleeps until it is rung, `longest` at most; not at all if it was rung since the last sleep.
    fn sleep(&self, longest: Duration) {
        if !self.rung.swap(false, Ordering::Acquire) {
            std::thread::park_timeout(longest);
        }
    }
}

/// A question to a task; it gets `None` when the task is not running.
pub type Query = Box<dyn FnOnce(Option<&mut StreamTask>) + Send>;

/// A command to a thread.
enum Command {
    /// Start the task, or make it of the standby.
    Start(TaskMaker),
    /// Start a standby.
    StandBy(TaskMaker),
    Fence(Fence),
    /// The new number of partitions of the source topic.
    Partitions(i32),
    /// Drain, commit, drop; then say so.
    Revoke,
    /// Drop without a commit; then say so.
    Lose,
    /// Answer, between two fetches.
    Ask(Query),
    /// Commit and drop, then end.
    Stop,
}

/// A report of a thread.
#[derive(Debug)]
pub enum TaskReport {
    /// A revoked or lost task has been let go.
    LetGo(TaskId),
    /// A task has read from its partition for the first time.
    Reads(TaskId),
    /// A task failed and is no longer running; it may be started again from its last commit.
    Failed(TaskId, TaskError),
    /// A task that had failed has committed what it failed at.
    Recovered(TaskId),
    /// A standby could not begin or continue.
    StandbyEnded(TaskId, TaskError),
}

/// Asks the task of one thread, from any other.
pub struct QuerySender {
    commands: Sender<Command>,
    bell: Bell,
}

impl QuerySender {
    /// Has `query` answered, unless the thread ends before.
    pub fn ask(&self, query: Query) {
        self.commands.send(Command::Ask(query)).ok();
        self.bell.ring();
    }
}

/// The parts that the threads of a process share.
#[derive(Clone)]
pub struct ThreadParts {
    /// Longest time between two commits.
    pub commit_interval: Duration,
    /// Where threads report.
    pub reports: Sender<TaskReport>,
    /// Where they are seen.
    pub health: Arc<Health>,
    /// Whose turn it is.
    pub turns: Turns,
}

/// The handle of a running stream thread.
pub struct StreamThread {
    commands: Sender<Command>,
    bell: Bell,
    join: JoinHandle<()>,
    name: String,
    health: Arc<Health>,
}

impl StreamThread {
    /// Starts the thread of task `id`, which names it. The task comes with [`StreamThread::start`].
    pub fn spawn(id: TaskId, parts: &ThreadParts) -> std::io::Result<StreamThread> {
        let (commands, inbox) = channel();
        let ThreadParts { commit_interval: usual, reports, health, turns } = parts.clone();
        let name = id.to_string();
        let turn = turns.of(health.pulse(&name));
        let clock = Clock::new(health.pauses.flag(&id.topology));
        let (commit_interval, board) = (commit_interval(&id, usual), health.clone());
        let rung = Arc::<AtomicBool>::default();
        let ours = rung.clone();
        let join = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let bell = Bell { rung: ours, thread: std::thread::current() };
            let (health, slot, reached, behind) = (board, None, Offset(0), None);
            RunLoop { id, inbox, bell, reports, health, turn, commit_interval, slot, reached, behind, clock }.run();
        })?;
        let bell = Bell { rung, thread: join.thread().clone() };
        Ok(StreamThread { commands, bell, join, name, health })
    }

    fn send(&self, command: Command) {
        // A thread that is gone has panicked, which whoever owns it finds out.
        self.commands.send(command).ok();
        self.bell.ring();
    }

    /// A handle to ask its task.
    pub fn query_sender(&self) -> QuerySender {
        QuerySender { commands: self.commands.clone(), bell: self.bell.clone() }
    }
    /// Starts the task.
    pub fn start(&self, make: TaskMaker) {
        self.send(Command::Start(make));
    }
    /// Starts a standby.
    pub fn stand_by(&self, make: TaskMaker) {
        self.send(Command::StandBy(make));
    }
    /// The task commits under another membership from now on.
    pub fn fence(&self, fence: Fence) {
        self.send(Command::Fence(fence));
    }
    /// The source topic has so many partitions from now on.
    pub fn partitions(&self, count: i32) {
        self.send(Command::Partitions(count));
    }
    /// Drains, commits and drops the task; [`TaskReport::LetGo`] says when.
    pub fn revoke(&self) {
        self.send(Command::Revoke);
    }
    /// Drops a task that another process owns already.
    pub fn lose(&self) {
        self.send(Command::Lose);
    }
    /// Whether it has ended without a command to stop: it panicked.
    pub fn is_dead(&self) -> bool {
        self.join.is_finished()
    }
    /// Asks the thread to commit and to end.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }
    /// Waits for the end of a thread, after [`stop`](Self::stop).
    pub fn join(self) {
        if self.join.join().is_err() {
            error!(task = self.name, "the thread of a task panicked");
        }
        self.health.forget(&self.name);
    }
}

struct Slot {
    running: RunningTask,
    /// It has read from its partition.
    reads: bool,
}

struct RunLoop {
    id: TaskId,
    inbox: Receiver<Command>,
    bell: Bell,
    reports: Sender<TaskReport>,
    health: Arc<Health>,
    turn: Arc<Turn>,
    commit_interval: Duration,
    slot: Option<Slot>,
    /// End of the fetch that was handed last to a task that failed.
    reached: Offset,
    /// The task has failed, and has not committed up to here since.
    behind: Option<Offset>,
    clock: Clock,
}

/// The task's clock. It stops while the topology is paused, so that no upload expires by a pause.
struct Clock {
    is_paused: Arc<AtomicBool>,
    now: Duration,
    looked_at: Instant,
}

impl Clock {
    fn new(is_paused: Arc<AtomicBool>) -> Clock {
        Clock { is_paused, now: Duration::ZERO, looked_at: Instant::now() }
    }

    /// Milliseconds so far, and whether the topology is paused.
    fn look(&mut self) -> (u64, bool) {
        let (now, is_paused) = (Instant::now(), self.is_paused.load(Ordering::Relaxed));
        if !is_paused {
            self.now += now.duration_since(self.looked_at);
        }
        self.looked_at = now;
        (u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX), is_paused)
    }
}

impl RunLoop {
    /// 1. Obey commands.
    /// 2. When it is the task's turn, take one fetch through its processors.
    /// 3. Commit if the interval is over or an upload has ended.
    /// 4. With nothing to do, sleep until woken or the next commit.
    fn run(mut self) {
        let bell = self.bell.clone();
        let waker: Waker = Arc::new(move || bell.ring());
        loop {
            match self.next_command() {
                Ok(Some(Command::Stop)) | Err(RecvError) => return self.close(),
                Ok(Some(command)) => self.obey(command, &waker),
                Ok(None) => {
                    self.turn.take();
                    let worked = self.run_once();
                    self.turn.pass();
                    match worked {
                        Ok(true) => {}
                        Ok(false) => self.bell.sleep(self.commit_interval.min(SLEEP_MAX)),
                        Err(error) => self.fail(error),
                    }
                }
            }
        }
    }

    /// Waits for a command only while there is no task.
    fn next_command(&self) -> Result<Option<Command>, RecvError> {
        match (&self.slot, self.inbox.try_recv()) {
            (_, Ok(command)) => Ok(Some(command)),
            (_, Err(TryRecvError::Disconnected)) => Err(RecvError),
            (Some(_), Err(TryRecvError::Empty)) => Ok(None),
            (None, Err(TryRecvError::Empty)) => self.inbox.recv().map(Some),
        }
    }

    fn obey(&mut self, command: Command, waker: &Waker) {
        match command {
            Command::Start(make) => {
                let standby = self.slot.take().map(|slot| slot.running).filter(RunningTask::is_standby);
                match make(&self.turn, waker.clone(), standby) {
                    Ok(running) => {
                        info!(task = %self.id, position = %running.position(), "task running");
                        self.health.tasks.note(&self.id, running.at_work());
                        self.slot = Some(Slot { running, reads: false });
                    }
                    Err(error) => self.fail(error),
                }
            }
            Command::StandBy(make) => match make(&self.turn, waker.clone(), None) {
                Ok(running) => {
                    info!(task = %self.id, position = %running.position(), "standby running");
                    self.health.tasks.note(&self.id, running.at_work());
                    self.slot = Some(Slot { running, reads: false });
                }
                Err(error) => self.report(TaskReport::StandbyEnded(self.id.clone(), error)),
            },
            Command::Fence(fence) => {
                if let Some(slot) = &mut self.slot {
                    slot.running.set_fence(fence);
                }
            }
            Command::Partitions(count) => {
                if let Some(task) = self.slot.as_mut().and_then(|slot| slot.running.stream()) {
                    task.set_partition_count(count);
                }
            }
            Command::Revoke => {
                self.close();
                self.report(TaskReport::LetGo(self.id.clone()));
            }
            Command::Lose => {
                if let Some(slot) = self.slot.take() {
                    self.health.tasks.forget(&self.id);
                    slot.running.stop_reading();
                    warn!(task = %self.id, "task lost to another member; nothing is committed");
                }
                self.report(TaskReport::LetGo(self.id.clone()));
            }
            Command::Ask(query) => query(self.slot.as_mut().and_then(|slot| slot.running.stream())),
            Command::Stop => unreachable!("handled by the loop"),
        }
        self.turn.pass(); // what was done may have waited for a broker, and taken the turn again
    }

    /// One fetch; true when there was one.
    fn run_once(&mut self) -> Result<bool, TaskError> {
        let (now_ms, is_paused) = self.clock.look();
        let Some(slot) = &mut self.slot else { return Ok(false) };
        let ran = slot.running.run_once(now_ms, is_paused)?;
        if !slot.reads && !slot.running.is_standby() && slot.running.reads() {
            slot.reads = true;
            self.reports.send(TaskReport::Reads(self.id.clone())).ok();
        }
        let at_work = slot.running.at_work();
        // A log that was made anew may end before what the task failed at.
        let caught_up = |behind: &mut Offset| (*behind).min(at_work.end.unwrap_or(*behind)) <= at_work.position;
        if ran.committed {
            self.health.tasks.note(&self.id, at_work);
        }
        if ran.committed && self.behind.take_if(caught_up).is_some() {
            self.reports.send(TaskReport::Recovered(self.id.clone())).ok();
        }
        Ok(ran.took.is_some())
    }

    /// The task ends, and is behind until it has committed what it failed at: a mere start proves nothing.
    fn fail(&mut self, error: TaskError) {
        let slot = self.slot.take();
        self.health.tasks.forget(&self.id);
        let reached = slot.as_ref().and_then(|slot| slot.running.reached()).unwrap_or(self.reached);
        let reached = if error.is_of_another_log() { Offset(0) } else { reached };
        (self.reached, self.behind) = (reached, Some(reached));
        let is_standby = slot.is_some_and(|slot| slot.running.is_standby());
        let report = if is_standby { TaskReport::StandbyEnded } else { TaskReport::Failed };
        self.report(report(self.id.clone(), error));
    }

    /// Commits and drops the task.
    fn close(&mut self) {
        let Some(Slot { mut running, .. }) = self.slot.take() else { return };
        self.health.tasks.forget(&self.id);
        running.stop_reading();
        self.turn.take();
        match running.commit() {
            Ok(()) => info!(task = %self.id, position = %running.position(), "task closed"),
            Err(error) => {
                warn!(task = %self.id, %error, "task closed without a commit; the next start replays from the one before");
            }
        }
        self.turn.pass();
    }

    fn report(&self, report: TaskReport) {
        self.reports.send(report).ok(); // a manager that is gone needs no word
    }
}

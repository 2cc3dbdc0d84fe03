//! An operating-system thread that runs tasks. Everything of a task (its PROJ objects, its pages) is made, used and dropped here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::kafka::ingest::IngestHandle;
use crate::metrics::{self, Gauge};
use crate::record::TaskId;
use crate::runtime::health::{Health, thread_name};
use crate::runtime::task::{StreamTask, TaskError};
use crate::transport::Fence;

/// Makes a task on its thread, and starts reading at the offset the task asks for.
pub type TaskMaker = Box<dyn FnOnce(Waker) -> Result<RunningTask, TaskError> + Send>;

/// Wakes a stream thread that sleeps.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A task together with its input.
pub struct RunningTask {
    /// The task.
    pub task: StreamTask,
    /// Records in.
    pub ingest: IngestHandle,
}

/// What is asked of the tasks of a thread.
pub type Query = Box<dyn FnOnce(&mut dyn Iterator<Item = &mut StreamTask>) + Send>;

/// What a thread is told.
enum Command {
    Start(TaskId, TaskMaker),
    Fence(TaskId, Fence),
    /// Drain, commit, drop; then say so.
    Revoke(TaskId),
    /// Drop without a commit.
    Lose(TaskId),
    /// Answer, between two fetches.
    Ask(Query),
    /// Commit and drop everything, then end.
    Stop,
}

/// What a thread reports.
#[derive(Debug)]
pub enum TaskReport {
    /// A revoked task has been let go.
    Released(TaskId),
    /// A task has read from its partition for the first time.
    Reads(TaskId),
    /// A task failed and is no longer running; it may be started again from its last commit.
    Failed(TaskId, TaskError),
}

/// Asks the tasks of one thread, from any other.
pub struct QuerySender {
    commands: Sender<Command>,
    thread: Thread,
}

impl QuerySender {
    /// Has `query` answered, unless the thread ends before.
    pub fn ask(&self, query: Query) {
        let _ = self.commands.send(Command::Ask(query));
        self.thread.unpark();
    }
}

/// The handle of a running stream thread.
pub struct StreamThread {
    commands: Sender<Command>,
    thread: Thread,
    join: JoinHandle<()>,
}

impl StreamThread {
    /// Starts a thread named `stream-<number>`.
    pub fn spawn(
        number: usize,
        commit_interval: Duration,
        reports: Sender<TaskReport>,
        health: Arc<Health>,
    ) -> std::io::Result<StreamThread> {
        let (commands, inbox) = channel();
        let name = thread_name(number);
        let heartbeat = Heartbeat { health, number, gauge: metrics::stream_thread_heartbeat(&name) };
        let join = std::thread::Builder::new().name(name).spawn(move || {
            RunLoop { inbox, reports, heartbeat, commit_interval, tasks: BTreeMap::new(), started: Instant::now() }
                .run()
        })?;
        Ok(StreamThread { commands, thread: join.thread().clone(), join })
    }

    fn send(&self, command: Command) {
        // A thread that is gone has reported why; there is nobody left to tell.
        let _ = self.commands.send(command);
        self.thread.unpark();
    }

    /// A handle to ask its tasks.
    pub fn query_sender(&self) -> QuerySender {
        QuerySender { commands: self.commands.clone(), thread: self.thread.clone() }
    }
    /// Starts a task.
    pub fn start(&self, id: TaskId, make: TaskMaker) {
        self.send(Command::Start(id, make));
    }
    /// The member epoch moved.
    pub fn fence(&self, id: TaskId, fence: Fence) {
        self.send(Command::Fence(id, fence));
    }
    /// Gives a task up in order: [`TaskReport::Released`] follows.
    pub fn revoke(&self, id: TaskId) {
        self.send(Command::Revoke(id));
    }
    /// Drops a task that is another's already.
    pub fn lose(&self, id: TaskId) {
        self.send(Command::Lose(id));
    }
    /// Commits everything and waits for the thread to end.
    pub fn stop(self) {
        self.send(Command::Stop);
        if self.join.join().is_err() {
            error!("a stream thread panicked");
        }
    }
}

struct Slot {
    running: RunningTask,
    committed_at: Instant,
    /// Latest fetch that was processed to the end; a task without one is still restoring.
    next_tick: Instant,
    /// It has read from its partition.
    reads: bool,
}

/// How others see that the thread goes round.
struct Heartbeat {
    health: Arc<Health>,
    number: usize,
    gauge: Gauge,
}

impl Heartbeat {
    fn beat(&self) {
        self.health.beat(self.number);
        self.gauge.set(metrics::now_seconds());
    }
}

struct RunLoop {
    inbox: Receiver<Command>,
    reports: Sender<TaskReport>,
    heartbeat: Heartbeat,
    commit_interval: Duration,
    tasks: BTreeMap<TaskId, Slot>,
    started: Instant,
}

impl RunLoop {
    /// 1. Obey commands.
    /// 2. Take one fetch of every task that has one through its processors.
    /// 3. Commit tasks whose interval is over or that finished an upload.
    /// 4. With nothing to do, sleep until woken or the next commit.
    fn run(mut self) {
        let thread = std::thread::current();
        let waker: Waker = Arc::new(move || thread.unpark());
        loop {
            self.heartbeat.beat();
            loop {
                match self.inbox.try_recv() {
                    Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return self.stop(),
                    Ok(command) => self.obey(command, &waker),
                    Err(TryRecvError::Empty) => break,
                }
            }
            let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
            let mut idle = true;
            for id in ids {
                match self.run_task_once(&id) {
                    Ok(worked) => idle &= !worked,
                    Err(error) => self.fail(id, error),
                }
            }
            if idle {
                std::thread::park_timeout(self.commit_interval.min(Duration::from_millis(200)));
            }
        }
    }

    fn obey(&mut self, command: Command, waker: &Waker) {
        match command {
            Command::Start(id, make) => match make(waker.clone()) {
                Ok(running) => {
                    info!(task = %id, position = %running.task.position(), "task running");
                    let now = Instant::now();
                    self.tasks.insert(id, Slot { running, committed_at: now, next_tick: now, reads: false });
                }
                Err(error) => self.fail(id, error),
            },
            Command::Fence(id, fence) => {
                if let Some(slot) = self.tasks.get_mut(&id) {
                    slot.running.task.set_fence(fence);
                }
            }
            Command::Revoke(id) => {
                if let Some(slot) = self.tasks.remove(&id) {
                    close(&id, slot);
                }
                let _ = self.reports.send(TaskReport::Released(id));
            }
            Command::Lose(id) => {
                if let Some(slot) = self.tasks.remove(&id) {
                    slot.running.ingest.stop();
                    warn!(task = %id, "task lost to another member; nothing is committed");
                }
            }
            Command::Ask(query) => query(&mut self.tasks.values_mut().map(|slot| &mut slot.running.task)),
            Command::Stop => unreachable!("handled by the loop"),
        }
    }

    /// One fetch of one task; true when there was something to do.
    fn run_task_once(&mut self, id: &TaskId) -> Result<bool, TaskError> {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(slot) = self.tasks.get_mut(id) else { return Ok(false) };
        let RunningTask { task, ingest } = &mut slot.running;
        let worked = match ingest.try_next() {
            Some(fetched) => {
                task.process(fetched?, now_ms)?;
                true
            }
            None => false,
        };
        if !slot.reads && ingest.high_watermark().is_some() {
            slot.reads = true;
            let _ = self.reports.send(TaskReport::Reads(id.clone())); // a manager that is gone needs no word
        }
        let now = Instant::now();
        if !worked && now >= slot.next_tick {
            task.tick(now_ms)?;
            slot.next_tick = now + self.commit_interval;
        }
        if task.commit_due() || now.duration_since(slot.committed_at) >= self.commit_interval {
            task.commit()?;
            slot.committed_at = Instant::now();
            task.report_metrics(now_ms, ingest.high_watermark(), ingest.buffered_bytes());
        }
        Ok(worked)
    }

    fn fail(&mut self, id: TaskId, error: TaskError) {
        if let Some(slot) = self.tasks.remove(&id) {
            slot.running.ingest.stop();
        }
        let _ = self.reports.send(TaskReport::Failed(id, error));
    }

    fn stop(self) {
        for (id, slot) in self.tasks {
            close(&id, slot);
        }
    }
}

/// Commits and drops a task.
fn close(id: &TaskId, slot: Slot) {
    let RunningTask { mut task, ingest } = slot.running;
    ingest.stop();
    match task.commit() {
        Ok(()) => info!(task = %id, position = %task.position(), "task closed"),
        Err(error) => {
            warn!(task = %id, %error, "task closed without a commit; the next start replays from the one before")
        }
    }
}

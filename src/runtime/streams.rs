//! One process: its threads, its memberships, its state directory, and which thread runs which task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use uuid::Uuid;

use crate::kafka::group::{Group, GroupMember, Instance};
use crate::kafka::outbox::{KafkaOutbox, TransactionalOutbox};
use crate::kafka::{KafkaClient, ingest};
use crate::metrics;
use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::config::{Guarantee, StreamsConfig};
use crate::runtime::health::{Condition, Health};
use crate::runtime::ledger;
use crate::runtime::queries::Queries;
use crate::runtime::stream_thread::{RunningTask, StreamThread, TaskMaker, TaskReport, Waker};
use crate::runtime::task::{StreamTask, TaskError, TaskStart};
use crate::runtime::watch;
use crate::state::keys::TaskHash;
use crate::state::{StateDir, StateError, StateOptions, member};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, GroupEvent, Membership, Outbox, ReadFrom, TransportError};

/// How often the manager looks at memberships, reports and the stop flag.
const LOOK: Duration = Duration::from_millis(20);
/// How often state is looked for that is no longer needed.
const CLEANUP_EVERY: Duration = Duration::from_secs(10);
/// Before a task that the broker or the disk stopped is started again.
const RETRY: Duration = Duration::from_secs(1);
/// What a broker that does not answer may cost when we are told to stop; service managers kill after 10 s and more.
const STOP_GRACE: Duration = Duration::from_secs(6);

/// Why a process cannot go on.
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
    /// Threads or runtime could not be started.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Topologies that are to run in this process. What watches them takes its handles before [`Streams::run`].
pub struct Streams {
    topologies: Vec<Topology>,
    config: StreamsConfig,
    queries: Queries,
    health: Arc<Health>,
}

impl Streams {
    /// Nothing is started or connected before [`Streams::run`].
    pub fn new(topologies: Vec<Topology>, config: StreamsConfig) -> Streams {
        let health = Arc::new(Health::new(config.threads.max(1)));
        Streams { topologies, config, queries: Queries::default(), health }
    }

    /// Whoever watches the streams that ran before watches these: the handles are theirs.
    pub fn watched_by(mut self, queries: Queries, health: Arc<Health>) -> Streams {
        Condition::ALL.into_iter().for_each(|condition| health.set(condition, false));
        (self.queries, self.health) = (queries, health);
        self
    }
    /// Asks the tasks while they run.
    pub fn queries(&self) -> Queries {
        self.queries.clone()
    }

    /// How the process is, from now on and while it runs.
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Runs until `stop` is set or something cannot go on. Uploads survive however it ends; a stop in order also commits, leaves the groups
    /// and marks the state clean.
    pub fn run(self, stop: &Arc<AtomicBool>) -> Result<(), StreamsError> {
        let Streams { topologies, config, queries, health } = self;
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("kafka").enable_all().build()?;
        let client = KafkaClient::new(tokio.handle().clone(), config.kafka.clone());
        let options = StateOptions { power_safe: config.power_safe, ..StateOptions::default() };
        let state = Arc::new(StateDir::open(&config.state_dir, options)?);
        health.set(Condition::State, true);
        tokio.spawn(watch::run(health.clone(), client.clone(), state.clone()));

        let (reports, inbox) = channel();
        let spawn = |number| StreamThread::spawn(number, config.commit_interval, reports.clone(), health.clone());
        let threads = (0..config.threads.max(1)).map(spawn).collect::<Result<Vec<_>, _>>()?;
        queries.set(threads.iter().map(StreamThread::query_sender).collect());
        let mut manager = Manager {
            client: client.clone(),
            guarantee: config.guarantee,
            state: state.clone(),
            threads,
            applications: Vec::new(),
            retries: Vec::new(),
            reading: BTreeSet::new(),
            health,
            next_thread: 0,
            cleanup: StateCleanup {
                delay: config.state_cleanup_delay,
                orphaned: BTreeMap::new(),
                looked_at: Instant::now(),
            },
        };
        tokio.spawn(close_on(stop.clone(), client));
        let outcome = manager.join(topologies, &config).and_then(|()| manager.serve(&inbox, stop));
        queries.set(Vec::new());
        manager.close();
        let closed = state.close();
        match outcome {
            // What was not committed is read again by the next start.
            Err(StreamsError::Transport(TransportError::Unavailable(_))) if stop.load(Ordering::Relaxed) => {}
            outcome => outcome?,
        }
        Ok(closed?)
    }
}

/// Once `stop` is set, nothing waits much longer for the broker, not even the look at the topics that comes first.
async fn close_on(stop: Arc<AtomicBool>, client: KafkaClient) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK).await;
    }
    client.close_within(STOP_GRACE);
}

/// A topology that runs: its group, our membership and what we hold.
struct Application {
    topology: Arc<Topology>,
    group: Group,
    member: GroupMember,
    fence: Fence,
    partition_count: i32,
    /// Tasks that are ours, and the thread each is on.
    tasks: BTreeMap<TaskId, usize>,
    /// Revoked tasks that a thread has yet to let go.
    revoking: BTreeSet<TaskId>,
}

/// A task that waits to be started again.
struct Retry {
    at: Instant,
    id: TaskId,
    reason: &'static str,
}

struct Manager {
    client: KafkaClient,
    guarantee: Guarantee,
    state: Arc<StateDir>,
    threads: Vec<StreamThread>,
    applications: Vec<Application>,
    /// Tasks to be started again.
    retries: Vec<Retry>,
    /// Tasks that have read from their partition.
    reading: BTreeSet<TaskId>,
    health: Arc<Health>,
    next_thread: usize,
    cleanup: StateCleanup,
}

/// State of tasks that are not ours, since when that has been seen, and when it was looked for.
struct StateCleanup {
    delay: Duration,
    orphaned: BTreeMap<TaskHash, Instant>,
    looked_at: Instant,
}

impl Manager {
    /// Checks the topics and joins every topology's group.
    fn join(&mut self, topologies: Vec<Topology>, config: &StreamsConfig) -> Result<(), StreamsError> {
        let incarnation = Uuid::new_v4();
        let instance = Instance {
            name: member::instance_name(config.instance_id.as_deref(), &config.state_dir),
            incarnation,
            former: member::succeed(&config.state_dir, incarnation).map_err(StateError::Io)?,
        };
        for topology in topologies {
            let partition_count = check_topics(&self.client, &topology)?;
            let group = self.client.group(&topology.name);
            info!(topology = %topology.name, hash = %topology.hash, instance = instance.name, "joining");
            self.applications.push(Application {
                member: group.join(instance.clone(), [topology.source.topic.clone()]),
                topology: Arc::new(topology),
                group,
                fence: Fence::default(),
                partition_count,
                tasks: BTreeMap::new(),
                revoking: BTreeSet::new(),
            });
        }
        Ok(())
    }

    /// 1. Obey what the groups say.
    /// 2. Take note of what the threads report.
    /// 3. Start again what failed for a reason that passes.
    fn serve(&mut self, inbox: &Receiver<TaskReport>, stop: &AtomicBool) -> Result<(), StreamsError> {
        while !stop.load(Ordering::Relaxed) {
            for application in 0..self.applications.len() {
                while let Some(event) = self.applications[application].member.next(Duration::ZERO) {
                    self.on_group(application, event)?;
                }
            }
            if let Ok(report) = inbox.recv_timeout(LOOK) {
                self.on_report(report)?;
            }
            let now = Instant::now();
            let due: Vec<Retry> = self.retries.extract_if(.., |retry| retry.at <= now).collect();
            for Retry { id, reason, .. } in due {
                metrics::tasks_paused(reason).dec();
                // Meanwhile it may have become another's.
                if self.applications.iter().any(|app| app.tasks.contains_key(&id)) {
                    self.start(&id);
                }
            }
            self.clean_up(now);
            self.report_health();
        }
        Ok(())
    }

    /// Removes state of tasks that have not been ours for a while: they moved to another process, or nobody runs their topology here.
    fn clean_up(&mut self, now: Instant) {
        let StateCleanup { delay, orphaned, looked_at } = &mut self.cleanup;
        if now.duration_since(*looked_at) < CLEANUP_EVERY.min(*delay) {
            return;
        }
        *looked_at = now;
        let ours = |app: &Application| app.tasks.keys().chain(&app.revoking).map(TaskHash::of).collect::<Vec<_>>();
        let ours: BTreeSet<TaskHash> = self.applications.iter().flat_map(ours).collect();
        let found = match self.state.tasks() {
            Ok(found) => found,
            Err(error) => return warn!(%error, "state that is no longer needed cannot be looked for"),
        };
        orphaned.retain(|task, _| found.contains(task) && !ours.contains(task));
        for task in found.difference(&ours) {
            let since = *orphaned.entry(*task).or_insert(now);
            if now.duration_since(since) < *delay {
                continue;
            }
            match self.state.remove(*task) {
                Ok(()) => info!(state = %task, "state of a task that has not been ours for a while is removed"),
                Err(error) => warn!(state = %task, %error, "state that is no longer needed cannot be removed"),
            }
        }
    }

    fn report_health(&self) {
        let knows = |app: &Application| !app.tasks.is_empty() || app.group.is_settled();
        let reads = |app: &Application| app.tasks.keys().all(|id| self.reading.contains(id));
        let (assigned, reading) = (self.applications.iter().all(knows), self.applications.iter().all(reads));
        self.health.set(Condition::Assignment, assigned);
        self.health.set(Condition::FirstFetch, assigned && reading);
        self.health.beat_manager();
    }

    fn on_group(&mut self, application: usize, event: GroupEvent) -> Result<(), StreamsError> {
        let app = &mut self.applications[application];
        let id =
            |partition: &TopicPartition| TaskId { topology: app.topology.name.clone(), partition: partition.partition };
        match event {
            GroupEvent::Assigned(partitions, fence) => {
                let ids: Vec<TaskId> = partitions.iter().map(id).collect();
                app.fence = fence;
                info!(topology = %app.topology.name, partitions = ids.len(), "assigned");
                ids.iter().for_each(|id| self.start(id));
            }
            GroupEvent::Epoch(fence) => {
                app.fence = fence.clone();
                app.tasks.iter().for_each(|(id, thread)| self.threads[*thread].fence(id.clone(), fence.clone()));
            }
            GroupEvent::Revoked(partitions) => {
                let ids: Vec<TaskId> = partitions.iter().map(id).collect();
                info!(topology = %app.topology.name, partitions = ids.len(), "revoked");
                for id in ids {
                    match app.tasks.remove(&id) {
                        Some(thread) => {
                            self.threads[thread].revoke(id.clone());
                            app.revoking.insert(id);
                        }
                        None => release(app, &id),
                    }
                }
            }
            GroupEvent::Lost(partitions) => {
                for id in partitions.iter().map(id).collect::<Vec<_>>() {
                    self.reading.remove(&id);
                    metrics::forget_task(&id);
                    if let Some(thread) = app.tasks.remove(&id) {
                        self.threads[thread].lose(id);
                    }
                }
            }
            GroupEvent::Fatal(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn on_report(&mut self, report: TaskReport) -> Result<(), StreamsError> {
        match report {
            TaskReport::Reads(id) => {
                self.reading.insert(id);
                Ok(())
            }
            TaskReport::Released(id) => {
                self.reading.remove(&id);
                if let Some(app) = self.applications.iter_mut().find(|app| app.revoking.contains(&id)) {
                    app.revoking.remove(&id);
                    release(app, &id);
                }
                Ok(())
            }
            TaskReport::Failed(id, error) => {
                self.reading.remove(&id);
                let Some(app) = self.applications.iter_mut().find(|app| app.topology.name == id.topology) else {
                    return Ok(());
                };
                if app.revoking.remove(&id) {
                    release(app, &id); // it is given up all the same, without a commit
                    return Ok(());
                }
                if !app.tasks.contains_key(&id) {
                    return Ok(());
                }
                warn!(task = %id, %error, "task failed");
                let reason = error.code();
                let wait = after(&error).ok_or_else(|| StreamsError::Task(id.clone(), error))?;
                metrics::pauses(reason).inc();
                metrics::tasks_paused(reason).inc();
                self.retries.push(Retry { at: Instant::now() + wait, id, reason });
                Ok(())
            }
        }
    }

    /// Hands a task to the thread it was on, or to the next in turn.
    fn start(&mut self, id: &TaskId) {
        let Some(app) = self.applications.iter_mut().find(|app| app.topology.name == id.topology) else { return };
        let next = &mut self.next_thread;
        let threads = self.threads.len();
        let thread = *app.tasks.entry(id.clone()).or_insert_with(|| {
            *next = (*next + 1) % threads;
            *next
        });
        let maker = task_maker(id.clone(), app, self.client.clone(), self.state.clone(), self.guarantee);
        self.threads[thread].start(id.clone(), maker);
    }

    /// Commits and closes every task, then leaves the groups.
    fn close(self) {
        self.client.close_within(STOP_GRACE);
        self.threads.into_iter().for_each(StreamThread::stop);
        for mut app in self.applications {
            app.member.leave();
        }
    }
}

/// Refuses topics that cannot serve before anything is read; the answer is the number of source partitions.
fn check_topics(client: &KafkaClient, topology: &Topology) -> Result<i32, TransportError> {
    let hint = |error| match error {
        TransportError::Topic(message) => {
            TransportError::Topic(format!("{message}; `sheetstream topics create` makes the topics of a topology"))
        }
        other => other,
    };
    let sink = &topology.sink;
    let input = client.describe_topic(&topology.source.topic).map_err(hint)?;
    input.check_uncompacted()?;
    client.describe_topic(&sink.topic).map_err(hint)?.check_uncompacted()?;
    client.describe_topic(&sink.dead_letter_topic).map_err(hint)?;
    let status = client.describe_topic(&sink.status_topic).map_err(hint)?;
    if status.partitions < input.partitions {
        let (found, wanted) = (status.partitions, input.partitions);
        let what =
            format!("{} has {found} partitions and the source {wanted}; task k writes its partition k", status.name);
        return Err(TransportError::Topic(format!(
            "{what}: add partitions with kafka-topics --alter --partitions {wanted}"
        )));
    }
    Ok(input.partitions)
}

fn release(app: &mut Application, id: &TaskId) {
    metrics::forget_task(id);
    let partition = TopicPartition { topic: app.topology.source.topic.clone(), partition: id.partition };
    app.member.released(&BTreeSet::from([partition]));
}

/// How long to wait before a failed task is started again from its last commit; `None` when that would not help.
fn after(error: &TaskError) -> Option<Duration> {
    match error {
        TaskError::Transport(TransportError::Fenced(_)) => Some(RETRY), // the group says soon whether it is still ours
        TaskError::Transport(
            TransportError::Unavailable(_)
            | TransportError::Clock(_)
            | TransportError::OutOfRange { .. }
            | TransportError::AnotherLog(_)
            | TransportError::Truncated { .. },
        ) => Some(RETRY),
        // The rights were there when the process started; whoever took one away may give it back.
        TaskError::Transport(TransportError::Unauthorised(_)) => Some(10 * RETRY),
        TaskError::Transport(_) | TaskError::Process(_) => None,
        TaskError::State(StateError::Damaged(_)) => Some(Duration::ZERO),
        TaskError::State(StateError::DiskFull(_)) => Some(5 * RETRY),
        TaskError::State(_) => None,
    }
}

/// Where the log was cut below the committed offset, if it was: by its leader epochs, or because it ends before (KIP-320).
fn cut_at(
    client: &KafkaClient,
    partition: &TopicPartition,
    committed: &Committed,
    log: Option<LogId>,
) -> Result<Option<Offset>, TransportError> {
    let Committed::Ours(progress) = committed else { return Ok(None) };
    if progress.log != log {
        return Ok(None);
    }
    let end = match progress.leader_epoch {
        Some(epoch) => client.end_of_epoch(partition, epoch)?,
        None => client.bounds(partition)?.end,
    };
    Ok((0 <= end.0 && end < progress.next).then_some(end))
}

/// What the thread does to make the task: ask where to start, restore, begin to read.
fn task_maker(
    id: TaskId,
    app: &Application,
    client: KafkaClient,
    state: Arc<StateDir>,
    guarantee: Guarantee,
) -> TaskMaker {
    let (topology, group, fence) = (app.topology.clone(), app.group.clone(), app.fence.clone());
    let partition_count = Some(app.partition_count);
    let partition = TopicPartition { topic: topology.source.topic.clone(), partition: id.partition };
    Box::new(move |waker: Waker| {
        let outbox: Box<dyn Outbox> = match guarantee {
            Guarantee::AtLeastOnce => Box::new(KafkaOutbox::new(&client, &group)),
            // First of all: it settles what a former owner left open, which decides what is committed.
            Guarantee::ExactlyOnceV2 => {
                let transactional_id = format!("{}-{}", id.topology, id.partition);
                Box::new(TransactionalOutbox::begin(&client, &group, &transactional_id)?)
            }
        };
        let log = client.log(&partition.topic)?;
        let committed = group.fetch_committed([partition.clone()])?.remove(&partition).unwrap_or(Committed::None);
        let bounds = client.bounds(&partition)?;
        let (log_start, cut_at) = (bounds.start, cut_at(&client, &partition, &committed, log)?);
        let last_epoch = match &committed {
            Committed::Ours(progress) if cut_at.is_none() => Some((progress.next, progress.leader_epoch)),
            _ => None,
        };
        let store = Box::new(state.task(&id, &topology.hash)?);
        let start = TaskStart { committed, log_start, partition_count, fence, log, cut_at };
        let status = TopicPartition { topic: topology.sink.status_topic.clone(), partition: id.partition };
        let mut read_ledger = || ledger::read(&client, &status, log);
        let (task, from) = StreamTask::start(id, topology, (store, outbox), start, &mut read_ledger)?;
        let leader_epoch = last_epoch.and_then(|(next, epoch)| epoch.filter(|_| next == from));
        let ingest = ingest::spawn(&client, partition, ReadFrom { next: from, log, leader_epoch }, waker);
        Ok(RunningTask { task, ingest })
    })
}

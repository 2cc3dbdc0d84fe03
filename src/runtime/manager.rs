//! Runs topologies: keeps the memberships and the threads of tasks, and tries failed ones again. A topology that fails, fails alone.

mod failures;
mod standbys;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use uuid::Uuid;

use crate::aggregate::Siblings;
use crate::kafka::KafkaClient;
use crate::kafka::group::{Group, GroupMember, Instance};
use crate::metrics;
use crate::record::{TaskId, TopicPartition};
use crate::runtime::config::StreamsConfig;
use crate::runtime::error::StreamsError;
use crate::runtime::health::Condition;
use crate::runtime::memory::Share;
use crate::runtime::queries::Queries;
use crate::runtime::retry::Retry;
use crate::runtime::state_cleanup::StateCleanup;
use crate::runtime::stream_thread::{StreamThread, TaskReport, ThreadParts};
use crate::runtime::task_maker::{MakerParts, task_maker};
use crate::runtime::topics::{Checked, check_topics, count_source};
use crate::source::Placement;
use crate::state::{StateDir, StateError, member};
use crate::topology::Topology;
use crate::transport::{Fence, GroupEvent, Guarantee, Membership, TransportError};

/// How often the manager looks at memberships, reports and the stop flag.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How often the partitions of the sources are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for a broker that does not answer when the process is asked to stop; service managers kill after 10 s and more.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(6);

/// A topology that runs: its group, our membership and what we hold.
struct Application {
    topology: Arc<Topology>,
    group: Group,
    member: GroupMember,
    fence: Fence,
    partition_count: i32,
    guarantee: Guarantee,
    siblings: Siblings,
    /// Tasks that are ours.
    tasks: BTreeSet<TaskId>,
    /// Revoked tasks that a thread has yet to let go.
    revoking: BTreeSet<TaskId>,
    /// Tasks of others that we are behind.
    standbys: BTreeSet<TaskId>,
    /// Tasks that have failed and not caught up since, and how often they failed.
    failing: BTreeMap<TaskId, u32>,
    /// A topic that is read was not there, or a topic was compacted, when they were last looked at.
    has_bad_topic: bool,
    /// Its topics are being looked at: the brokers may take their time.
    is_looked_at: bool,
}

/// A topology that is in no group: its topics cannot serve, or its membership ended.
struct Waiting {
    topology: Arc<Topology>,
    at: Instant,
    failures: u32,
}

/// The result of a look at topics, which a thread of its own waits for.
enum Look {
    /// Whether the topics of a waiting topology can serve by now, and the partitions of its source.
    Topics(Waiting, Result<Checked, TransportError>),
    /// Partitions of the source of a topology that runs.
    Source(Arc<str>, Result<i32, TransportError>),
}

pub(super) struct Manager {
    client: KafkaClient,
    state: Arc<StateDir>,
    parts: ThreadParts,
    queries: Queries,
    config: StreamsConfig,
    instance: Option<Instance>,
    applications: Vec<Application>,
    waiting: Vec<Waiting>,
    looks: (Sender<Look>, Receiver<Look>),
    /// When the sources are looked at next, and their partitions counted.
    count_at: Instant,
    /// When it is looked next which tasks need a standby here.
    stand_by_at: Instant,
    /// A thread a task, while the task is ours and until it is let go.
    threads: BTreeMap<TaskId, StreamThread>,
    /// Tasks to be started again.
    retries: Vec<Retry>,
    /// Tasks that have read from their partition.
    reading: BTreeSet<TaskId>,
    /// Some group has said what is ours: from now on the process ends for what concerns it, and not for one topology.
    has_started: bool,
    cleanup: StateCleanup,
}

impl Manager {
    pub(super) fn new(
        client: KafkaClient,
        state: Arc<StateDir>,
        parts: ThreadParts,
        queries: Queries,
        config: &StreamsConfig,
    ) -> Manager {
        Manager {
            client,
            state,
            parts,
            queries,
            config: config.clone(),
            instance: None,
            applications: Vec::new(),
            waiting: Vec::new(),
            looks: channel(),
            count_at: Instant::now() + COUNT_EVERY,
            stand_by_at: Instant::now(),
            threads: BTreeMap::new(),
            retries: Vec::new(),
            reading: BTreeSet::new(),
            has_started: false,
            cleanup: StateCleanup::new(config.state_cleanup_delay),
        }
    }

    /// Checks the topics and joins every topology's group. One that cannot is tried again; with none that can the process has nothing to
    /// do.
    pub(super) fn join(&mut self, topologies: Vec<Topology>) -> Result<(), StreamsError> {
        let StreamsConfig { instance_id, state_dir, .. } = &self.config;
        let incarnation = Uuid::new_v4();
        self.instance = Some(Instance {
            name: member::instance_name(instance_id.as_deref(), state_dir),
            incarnation,
            former: member::succeed(state_dir, incarnation).map_err(StateError::Io)?,
        });
        let mut failed = Vec::new();
        for topology in topologies.into_iter().map(Arc::new) {
            match check_topics(&self.client, &topology, self.guarantee(&topology)) {
                Ok(checked) => self.join_group(topology, checked),
                Err(error) => failed.push((topology, error)),
            }
        }
        let (tasks, uploads) = self.most();
        let needed = Share::bytes_needed(tasks, uploads);
        if let Some(memory_max) = self.config.memory_max.filter(|memory_max| *memory_max < needed) {
            warn!(
                memory_max,
                needed,
                tasks,
                uploads,
                "--memory-max is less than all partitions may need at once: raise it, lower open_uploads_max, or run more instances"
            );
        }
        for (topology, error) in failed {
            self.wait(topology, 0, error)?;
        }
        Ok(())
    }

    /// A guarantee given to the process beats that of the topology.
    fn guarantee(&self, topology: &Topology) -> Option<Guarantee> {
        self.config.guarantee.or(topology.guarantee)
    }

    fn join_group(&mut self, topology: Arc<Topology>, checked: Checked) {
        let Checked { partition_count, guarantee } = checked;
        let Some(instance) = self.instance.clone() else { return };
        let is_own = |topic: &&Arc<str>| **topic != topology.source.topic;
        let repartition = Some(topology.source.upload_topic()).filter(is_own).cloned();
        let group = self.client.group(&topology.name).with_repartition(repartition);
        info!(topology = %topology.name, hash = %topology.hash, instance = instance.name, "joining");
        self.applications.push(Application {
            member: group.join(instance, topology.read_topics()),
            topology,
            group,
            fence: Fence::default(),
            partition_count,
            guarantee,
            siblings: Siblings::default(),
            tasks: BTreeSet::new(),
            revoking: BTreeSet::new(),
            standbys: BTreeSet::new(),
            failing: BTreeMap::new(),
            has_bad_topic: false,
            is_looked_at: false,
        });
    }

    /// 1. Obey what the groups say.
    /// 2. Take note of what the threads report.
    /// 3. Start again what failed.
    pub(super) fn serve(&mut self, inbox: &Receiver<TaskReport>, stop: &AtomicBool) -> Result<(), StreamsError> {
        let pulse = self.parts.health.pulse("manager");
        while !stop.load(Ordering::Relaxed) {
            pulse.beat();
            self.obey_groups()?;
            if let Ok(report) = inbox.recv_timeout(LOOK) {
                self.on_report(report)?;
            }
            if let Some((id, _)) = self.threads.iter().find(|(_, thread)| thread.is_dead()) {
                return Err(StreamsError::Panicked(id.clone()));
            }
            let now = Instant::now();
            self.try_again(now)?;
            self.stand_by(now)?;
            self.report_health();
            if self.parts.health.failures().is_empty() {
                // A topology that has failed finds its state when it is processed again.
                let kept = self.applications.iter().flat_map(|app| [&app.tasks, &app.revoking, &app.standbys]);
                self.cleanup.look(&self.state, now, kept.flatten().cloned());
            }
        }
        Ok(())
    }

    fn try_again(&mut self, now: Instant) -> Result<(), StreamsError> {
        let due: Vec<Retry> = self.retries.extract_if(.., |retry| retry.at <= now).collect();
        for Retry { id, reason, .. } in due {
            metrics::tasks_paused(reason).dec();
            // Meanwhile it may have become another's.
            if let Some(at) = self.applications.iter().position(|app| app.tasks.contains(&id)) {
                self.start(at, &id)?;
            }
        }
        for waiting in self.waiting.extract_if(.., |waiting| waiting.at <= now).collect::<Vec<_>>() {
            let guarantee = self.guarantee(&waiting.topology);
            self.look(move |client| {
                let checked = check_topics(client, &waiting.topology, guarantee);
                Look::Topics(waiting, checked)
            });
        }
        if self.count_at <= now {
            self.count_at = now + COUNT_EVERY;
            let idle = self.applications.iter_mut().filter(|app| !app.is_looked_at);
            let topologies = idle.map(|app| {
                app.is_looked_at = true;
                app.topology.clone()
            });
            for topology in topologies.collect::<Vec<_>>() {
                self.look(move |client| Look::Source(topology.name.clone(), count_source(client, &topology)));
            }
        }
        while let Ok(look) = self.looks.1.try_recv() {
            match look {
                Look::Topics(waiting, Ok(checked)) => self.join_group(waiting.topology, checked),
                Look::Topics(waiting, Err(error)) => self.wait(waiting.topology, waiting.failures + 1, error)?,
                Look::Source(topology, found) => self.on_source(&topology, found),
            }
        }
        Ok(())
    }

    /// Asks the brokers without waiting for them.
    fn look(&self, look: impl FnOnce(&KafkaClient) -> Look + Send + 'static) {
        let (client, found) = (self.client.clone(), self.looks.0.clone());
        self.client.handle.spawn_blocking(move || found.send(look(&client)).ok()); // the manager may have ended
    }

    /// Rows of one upload may be in more partitions from now on.
    fn count_partitions(&mut self, topology: &str, count: i32) {
        let Some(app) = self.applications.iter_mut().find(|app| *app.topology.name == *topology) else { return };
        if app.partition_count != count {
            info!(topology, before = app.partition_count, partitions = count, "the source has other partitions");
            app.partition_count = count;
            let threads = app.tasks.iter().filter_map(|id| self.threads.get(id));
            threads.for_each(|thread| thread.partitions(count));
        }
    }

    fn report_health(&mut self) {
        let health = &self.parts.health;
        let knows = |app: &Application| !app.tasks.is_empty() || app.group.is_settled();
        let reads = |app: &Application| app.tasks.iter().all(|id| self.reading.contains(id));
        let is_well = |app: &&Application| app.failing.is_empty() && !app.has_bad_topic && knows(app);
        for app in self.applications.iter().filter(is_well) {
            if let Some(failure) = health.recover(&app.topology.name) {
                let failed_s = failure.since.elapsed().map_or(0, |since| since.as_secs());
                info!(topology = %app.topology.name, reason = failure.reason, failed_s, "the topology is processed again");
            }
        }
        let failed = health.failures();
        let is_well = |app: &&Application| failed.iter().all(|(topology, _)| *topology != app.topology.name);
        let well: Vec<&Application> = self.applications.iter().filter(is_well).collect();
        let assigned = well.iter().all(|app| knows(app));
        let reading = !well.is_empty() && well.iter().all(|app| reads(app));
        self.has_started |= !well.is_empty() && assigned;
        health.set(Condition::Assignment, assigned);
        health.set(Condition::FirstFetch, assigned && reading);
    }

    fn obey_groups(&mut self) -> Result<(), StreamsError> {
        let mut at = 0;
        while at < self.applications.len() {
            match self.applications[at].member.next(Duration::ZERO) {
                Some(GroupEvent::Fatal(error)) => self.expel(at, error)?,
                Some(event) => self.on_group(at, event)?,
                None => at += 1,
            }
        }
        Ok(())
    }

    fn on_group(&mut self, at: usize, event: GroupEvent) -> Result<(), StreamsError> {
        let app = &mut self.applications[at];
        let (name, topology) = (app.topology.name.clone(), app.topology.clone());
        let id = |partition: &TopicPartition| topology.task_of(partition);
        match event {
            GroupEvent::Assigned(partitions, fence) => {
                app.fence = fence;
                info!(topology = %name, partitions = partitions.len(), "assigned");
                let highest = partitions.iter().map(|partition| partition.partition + 1).max().unwrap_or(0);
                if topology.source.placement == Placement::Keyed && highest > app.partition_count {
                    self.count_partitions(&name, highest); // others may have been added, too
                    self.count_at = Instant::now();
                }
                for id in partitions.iter().map(id) {
                    self.applications[at].tasks.insert(id.clone());
                    self.start(at, &id)?;
                }
            }
            GroupEvent::Epoch(fence) => {
                app.fence = fence.clone();
                let threads = app.tasks.iter().filter_map(|id| self.threads.get(id));
                threads.for_each(|thread| thread.fence(fence.clone()));
            }
            GroupEvent::Revoked(partitions) => {
                info!(topology = %name, partitions = partitions.len(), "revoked");
                for id in partitions.iter().map(id) {
                    app.failing.remove(&id);
                    match self.threads.get(&id).filter(|_| app.tasks.remove(&id)) {
                        Some(thread) => {
                            thread.revoke();
                            app.revoking.insert(id);
                        }
                        None => release(app, &id),
                    }
                }
            }
            GroupEvent::Lost(partitions) => {
                for id in partitions.iter().map(id) {
                    app.tasks.remove(&id);
                    app.revoking.remove(&id);
                    app.failing.remove(&id);
                    lose(&id, &self.threads, &mut self.reading);
                }
            }
            GroupEvent::Fatal(error) => return self.expel(at, error),
        }
        Ok(())
    }

    fn on_report(&mut self, report: TaskReport) -> Result<(), StreamsError> {
        match report {
            TaskReport::Reads(id) => {
                self.reading.insert(id);
            }
            TaskReport::Recovered(id) => {
                if let Some(app) = self.applications.iter_mut().find(|app| app.tasks.contains(&id)) {
                    app.failing.remove(&id);
                }
            }
            TaskReport::LetGo(id) => {
                self.reading.remove(&id);
                if let Some(app) = self.applications.iter_mut().find(|app| app.revoking.contains(&id)) {
                    app.revoking.remove(&id);
                    release(app, &id);
                }
                self.end_thread(&id);
            }
            TaskReport::StandbyEnded(id, error) => self.on_standby_ended(&id, &error),
            TaskReport::Failed(id, error) => self.on_failure(id, error)?,
        }
        Ok(())
    }

    /// Ends the thread of a task that has been let go. It may be ours again by now: then the thread already has the command.
    fn end_thread(&mut self, id: &TaskId) {
        let is_ours = |app: &Application| app.tasks.contains(id) || app.standbys.contains(id);
        if !self.applications.iter().any(is_ours)
            && let Some(thread) = self.threads.remove(id)
        {
            self.queries.set(id, None);
            thread.stop();
            thread.join();
        }
    }

    /// Starts a task on its thread, or on a new one.
    fn start(&mut self, at: usize, id: &TaskId) -> Result<(), StreamsError> {
        self.applications[at].standbys.remove(id);
        let parts = self.maker_parts(at);
        let thread = self.thread_of(id)?;
        thread.start(task_maker(id.clone(), parts));
        let asked = thread.query_sender();
        self.queries.set(id, Some(asked));
        Ok(())
    }

    fn thread_of(&mut self, id: &TaskId) -> Result<&StreamThread, StreamsError> {
        Ok(match self.threads.entry(id.clone()) {
            Entry::Occupied(thread) => thread.into_mut(),
            Entry::Vacant(none) => none.insert(StreamThread::spawn(id.clone(), &self.parts)?),
        })
    }

    fn maker_parts(&self, at: usize) -> MakerParts {
        let app = &self.applications[at];
        MakerParts {
            topology: app.topology.clone(),
            group: app.group.clone(),
            fence: app.fence.clone(),
            partition_count: app.partition_count,
            siblings: app.siblings.clone(),
            client: self.client.clone(),
            state: self.state.clone(),
            guarantee: app.guarantee,
            commit_interval: self.config.commit_interval,
            share: self.share(),
        }
    }

    /// Memory that each task may use, if all partitions of all topologies are ours.
    fn share(&self) -> Share {
        let (tasks, uploads) = self.most();
        Share::of(self.config.memory_max, tasks, uploads)
    }

    /// Tasks that there may be here, and the uploads that they may have open.
    fn most(&self) -> (u64, u64) {
        let of = |app: &Application| {
            let tasks = u64::try_from(app.partition_count).unwrap_or(0);
            (tasks, tasks * u64::from(app.topology.source.open_uploads_max))
        };
        self.applications.iter().map(of).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Commits and closes every task, then leaves the groups.
    pub(super) fn close(self) {
        self.client.close_within(STOP_GRACE);
        self.threads.values().for_each(StreamThread::stop);
        self.threads.into_values().for_each(StreamThread::join);
        for mut app in self.applications {
            app.member.leave();
        }
        self.parts.health.forget("manager");
        // A look that is under way uses the runtime, which ends with us: each holds a sender.
        self.client.close_within(Duration::ZERO);
        let (looks, under_way) = self.looks;
        drop(looks);
        while under_way.recv().is_ok() {}
    }
}

fn lose(id: &TaskId, threads: &BTreeMap<TaskId, StreamThread>, reading: &mut BTreeSet<TaskId>) {
    reading.remove(id);
    metrics::forget_task(id);
    if let Some(thread) = threads.get(id) {
        thread.lose();
    }
}

fn release(app: &mut Application, id: &TaskId) {
    metrics::forget_task(id);
    let partition = app.topology.partition_of(id);
    app.member.released(&BTreeSet::from([partition]));
}

//! The health of the process: whether its threads go round, its unmet conditions, missing things, and failed topologies. Threads beat
//! without a lock; `/healthz`, `/readyz` and the metrics read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics;
use crate::runtime::pauses::Pauses;
use crate::runtime::task_board::TaskBoard;

/// A thread that was not seen for so long hangs. The longest call to the state's disk is given up before.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// A condition that must be met before rows are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A broker answers.
    Broker,
    /// The state directory is open.
    State,
    /// Every group said which partitions are ours, if any.
    Assignment,
    /// Every partition that is ours was read from, those of failed topologies aside.
    FirstFetch,
}

impl Condition {
    /// All of them, in the order in which they come true.
    pub const ALL: [Condition; 4] = [Condition::State, Condition::Broker, Condition::Assignment, Condition::FirstFetch];

    /// A word for labels and JSON.
    pub fn code(self) -> &'static str {
        match self {
            Condition::Broker => "broker",
            Condition::State => "state",
            Condition::Assignment => "assignment",
            Condition::FirstFetch => "first_fetch",
        }
    }

    /// The meaning of its not being met, and the advice.
    pub fn advice(self) -> &'static str {
        match self {
            Condition::Broker => "no broker answers; `sheetstream doctor` says which address",
            Condition::State => "the state directory is not open yet",
            Condition::Assignment => "a group has not said yet which partitions are ours",
            Condition::FirstFetch => {
                "a partition that is ours was not read yet, its task waits to be started again, or every topology has failed"
            }
        }
    }
}

/// Something that may be missing while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degradation {
    /// No broker answers.
    Broker,
    /// The state's disk is short.
    Disk,
}

impl Degradation {
    /// All of them.
    pub const ALL: [Degradation; 2] = [Degradation::Broker, Degradation::Disk];

    /// A word for labels and JSON.
    pub fn code(self) -> &'static str {
        match self {
            Degradation::Broker => "broker",
            Degradation::Disk => "disk",
        }
    }

    /// Its meaning, and the advice.
    pub fn advice(self) -> &'static str {
        match self {
            Degradation::Broker => "no broker answers; nothing is lost, and processing continues when one does",
            Degradation::Disk => {
                "the disk of the state directory is short; make room, tasks that need it wait until then"
            }
        }
    }
}

/// How others see that a thread goes round.
#[derive(Debug)]
pub struct Pulse {
    born: Instant,
    /// When it was seen, in milliseconds since `born`; [`AT_REST`] while nothing is to be seen of it.
    seen: AtomicU64,
}

/// A thread that waits for a command, for its turn, or for a broker.
const AT_REST: u64 = u64::MAX;

impl Pulse {
    /// The thread goes round.
    pub fn beat(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(AT_REST - 1);
        self.seen.store(now, Ordering::Relaxed);
    }

    /// The thread waits for somebody else, until its next beat.
    pub fn rest(&self) {
        self.seen.store(AT_REST, Ordering::Relaxed);
    }

    /// How long a thread that is not at rest has not been seen, when the process is so old.
    fn silence(&self, age: Duration) -> Duration {
        match self.seen.load(Ordering::Relaxed) {
            AT_REST => Duration::ZERO,
            seen => age.saturating_sub(Duration::from_millis(seen)),
        }
    }
}

/// Why a topology is not processed, or not in every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyFailure {
    /// A word for labels and JSON.
    pub reason: &'static str,
    /// Since when.
    pub since: SystemTime,
}

impl TopologyFailure {
    /// The meaning of the reason, and the advice. It names no topic, for anybody may ask.
    pub fn advice(&self) -> &'static str {
        match self.reason {
            "topic" => {
                "a topic is missing or cannot serve; the log names it, and `sheetstream topics create` creates it"
            }
            "unauthorised" => {
                "a right or a credential is missing; the log names it, and `sheetstream doctor` looks at all"
            }
            "unavailable" => {
                "a topic takes no writes, or its leader or the group's coordinator does not answer; the log names it"
            }
            "topic.recreated" | "log.truncated" => {
                "the input topic is another log than before; the log says what is read"
            }
            "out_of_range" => "the input topic no longer holds the records that come next; the log says which",
            "clock" => "the brokers refuse records of this machine's time; `sheetstream doctor` compares the clocks",
            _ => "the log says what was refused; it is tried again",
        }
    }
}

/// How the process is.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    /// Of each thread that processes, by name, and of the manager.
    pulses: Mutex<BTreeMap<String, Arc<Pulse>>>,
    conditions: [AtomicBool; 4],
    /// Since when, in milliseconds since 1970; 0 while nothing is missing.
    degraded: [AtomicI64; 2],
    /// By topology.
    failures: Mutex<BTreeMap<Arc<str>, TopologyFailure>>,
    /// Topologies that somebody has paused.
    pub pauses: Pauses,
    /// Tasks at work.
    pub tasks: TaskBoard,
}

impl Default for Health {
    /// Of a process in which nothing is there yet.
    fn default() -> Health {
        Health {
            born: Instant::now(),
            pulses: Mutex::default(),
            conditions: Default::default(),
            degraded: Default::default(),
            failures: Mutex::default(),
            pauses: Pauses::default(),
            tasks: TaskBoard::default(),
        }
    }
}

impl Health {
    /// The pulse of a thread that begins. A former one of that name is forgotten.
    pub fn pulse(&self, thread: &str) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse { born: self.born, seen: AtomicU64::new(AT_REST) });
        lock(&self.pulses).insert(thread.to_owned(), pulse.clone());
        pulse
    }

    /// A thread ends.
    pub fn forget(&self, thread: &str) {
        lock(&self.pulses).remove(thread);
        metrics::forget_thread(thread);
    }

    /// A topology has failed. Returns false when it had already, for the same reason.
    pub fn fail(&self, topology: &Arc<str>, reason: &'static str) -> bool {
        let mut failures = lock(&self.failures);
        let before = failures.get(topology);
        if before.is_some_and(|before| before.reason == reason) {
            return false;
        }
        let since = before.map_or_else(SystemTime::now, |before| before.since);
        if let Some(before) = before {
            metrics::topology_failed(topology, before.reason).set(0.0);
        }
        metrics::topology_failed(topology, reason).set(1.0);
        failures.insert(topology.clone(), TopologyFailure { reason, since });
        true
    }

    /// A topology is processed again. Returns its failure, if it had one.
    pub fn recover(&self, topology: &str) -> Option<TopologyFailure> {
        let failure = lock(&self.failures).remove(topology)?;
        metrics::topology_failed(topology, failure.reason).set(0.0);
        Some(failure)
    }

    /// Topologies that have failed.
    pub fn failures(&self) -> Vec<(Arc<str>, TopologyFailure)> {
        lock(&self.failures).iter().map(|(topology, failure)| (topology.clone(), failure.clone())).collect()
    }

    /// A condition is met, or no longer.
    pub fn set(&self, condition: Condition, met: bool) {
        self.conditions[condition as usize].store(met, Ordering::Relaxed);
    }

    /// Something has been missing since then; `None`: it is there.
    pub fn degrade(&self, what: Degradation, since: Option<SystemTime>) {
        let ms = |since: SystemTime| since.duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as i64);
        self.degraded[what as usize].store(since.map_or(0, ms), Ordering::Relaxed);
    }

    /// Conditions that are not met.
    pub fn missing(&self) -> Vec<Condition> {
        let met = |condition: &Condition| self.conditions[*condition as usize].load(Ordering::Relaxed);
        Condition::ALL.into_iter().filter(|condition| !met(condition)).collect()
    }

    /// The things that are missing while the process lives, and since when.
    pub fn degradations(&self) -> Vec<(Degradation, SystemTime)> {
        let since = |what: Degradation| {
            let ms = self.degraded[what as usize].load(Ordering::Relaxed);
            (ms > 0).then(|| (what, UNIX_EPOCH + Duration::from_millis(ms as u64)))
        };
        Degradation::ALL.into_iter().filter_map(since).collect()
    }

    /// Threads that hang, and for how long they have.
    pub fn hanging(&self) -> Vec<(String, Duration)> {
        self.hanging_at(self.born.elapsed())
    }

    fn hanging_at(&self, age: Duration) -> Vec<(String, Duration)> {
        let silence = |(name, pulse): (&String, &Arc<Pulse>)| (name.clone(), pulse.silence(age));
        lock(&self.pulses).iter().map(silence).filter(|(_, silence)| *silence > SILENT_MAX).collect()
    }

    /// Reports to the metrics.
    pub fn publish(&self) {
        let missing = self.missing();
        let number = |yes: bool| f64::from(u8::from(yes));
        metrics::ready().set(number(missing.is_empty()));
        for condition in Condition::ALL {
            metrics::ready_condition(condition.code()).set(number(!missing.contains(&condition)));
        }
        let degraded = self.degradations();
        for what in Degradation::ALL {
            metrics::degraded(what.code()).set(number(degraded.iter().any(|(other, _)| *other == what)));
        }
        let (now, age) = (metrics::now_seconds(), self.born.elapsed());
        for (name, pulse) in &*lock(&self.pulses) {
            metrics::stream_thread_heartbeat(name).set(now - pulse.silence(age).as_secs_f64());
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_seen_hangs_unless_it_is_at_rest() {
        let health = Health::default();
        let [busy, hangs, rests] = ["busy", "hangs", "rests"].map(|name| health.pulse(name));
        busy.seen.store(100_000, Ordering::Relaxed);
        hangs.seen.store(40_000, Ordering::Relaxed);
        rests.beat();
        rests.rest();
        let hanging = || health.hanging_at(Duration::from_secs(110));
        assert_eq!(hanging(), [("hangs".to_owned(), Duration::from_secs(70))]);
        health.forget("hangs");
        assert_eq!(hanging(), []);
    }

    #[test]
    fn a_topology_fails_since_its_first_failure_until_it_recovers() {
        let (health, topology) = (Health::default(), Arc::<str>::from("health-test"));
        assert!(health.fail(&topology, "topic"));
        let since = health.failures()[0].1.since;
        assert!(!health.fail(&topology, "topic"));
        assert!(health.fail(&topology, "unauthorised"));
        let failure = TopologyFailure { reason: "unauthorised", since };
        assert_eq!(health.failures(), [(topology.clone(), failure.clone())]);
        assert_eq!(metrics::topology_failed(&topology, "topic").get(), 0.0);
        assert_eq!(metrics::topology_failed(&topology, "unauthorised").get(), 1.0);
        assert_eq!(health.recover(&topology), Some(failure));
        assert_eq!((health.recover(&topology), health.failures()), (None, vec![]));
        assert_eq!(metrics::topology_failed(&topology, "unauthorised").get(), 0.0);
    }

    #[test]
    fn what_is_missing_is_named_until_it_is_there() {
        let health = Health::default();
        assert_eq!(health.missing(), Condition::ALL);
        for condition in [Condition::State, Condition::Broker, Condition::FirstFetch] {
            health.set(condition, true);
        }
        assert_eq!(health.missing(), [Condition::Assignment]);
        health.set(Condition::Assignment, true);
        assert_eq!(health.missing(), []);
        health.set(Condition::Broker, false);
        assert_eq!(health.missing(), [Condition::Broker]);
    }

    #[test]
    fn a_degradation_says_since_when() {
        let health = Health::default();
        let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        health.degrade(Degradation::Disk, Some(since));
        assert_eq!(health.degradations(), [(Degradation::Disk, since)]);
        health.degrade(Degradation::Disk, None);
        assert_eq!(health.degradations(), []);
    }
}

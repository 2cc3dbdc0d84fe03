//! How the process is: whether its threads go round, what it still waits for, what is missing. Threads and manager write it without a lock;
//! `/healthz`, `/readyz` and the metrics read it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics;

/// A thread that was not seen for so long hangs. The longest call to the state's disk is given up before.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// What has to be there before rows are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A broker answers.
    Broker,
    /// The state directory is open.
    State,
    /// Every group said which partitions are ours, if any.
    Assignment,
    /// Every partition that is ours was read from.
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

    /// What it means that it is not met, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Condition::Broker => "no broker answers; `sheetstream doctor` says which address",
            Condition::State => "the state directory is not open yet",
            Condition::Assignment => "a group has not said yet which partitions are ours",
            Condition::FirstFetch => "a partition that is ours was not read yet, or its task waits to be started again",
        }
    }
}

/// What may be missing while the process lives.
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

    /// What it means, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Degradation::Broker => "no broker answers; nothing is lost, and processing goes on when one does",
            Degradation::Disk => {
                "the disk of the state directory is short; make room, tasks that need it wait until then"
            }
        }
    }
}

/// How the process is.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    /// Of each stream thread and, last, of the manager: when it was seen, in milliseconds since `born`.
    beats: Box<[AtomicU64]>,
    conditions: [AtomicBool; 4],
    /// Since when, in milliseconds since 1970; 0 while nothing is missing.
    degraded: [AtomicI64; 2],
}

impl Health {
    /// Of a process with so many stream threads, in which nothing is there yet.
    pub fn new(threads: usize) -> Health {
        Health {
            born: Instant::now(),
            beats: (0..=threads).map(|_| AtomicU64::new(0)).collect(),
            conditions: Default::default(),
            degraded: Default::default(),
        }
    }

    /// A stream thread goes round.
    pub fn beat(&self, thread: usize) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beats[thread].store(now, Ordering::Relaxed);
    }

    /// The manager goes round.
    pub fn beat_manager(&self) {
        self.beat(self.beats.len() - 1);
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

    /// What is missing while the process lives, and since when.
    pub fn degradations(&self) -> Vec<(Degradation, SystemTime)> {
        let since = |what: Degradation| {
            let ms = self.degraded[what as usize].load(Ordering::Relaxed);
            (ms > 0).then(|| (what, UNIX_EPOCH + Duration::from_millis(ms as u64)))
        };
        Degradation::ALL.into_iter().filter_map(since).collect()
    }

    /// Threads that hang, and for how long they have. A thread that waits for a broker which does not answer has a deadline of its own.
    pub fn hanging(&self) -> Vec<(String, Duration)> {
        if self.degradations().iter().any(|(what, _)| *what == Degradation::Broker) {
            return Vec::new();
        }
        self.hanging_at(self.born.elapsed())
    }

    fn hanging_at(&self, age: Duration) -> Vec<(String, Duration)> {
        let manager = self.beats.len() - 1;
        let silent = |(thread, beat): (usize, &AtomicU64)| {
            let silence = age.saturating_sub(Duration::from_millis(beat.load(Ordering::Relaxed)));
            let name = if thread == manager { "manager".to_owned() } else { thread_name(thread) };
            (silence > SILENT_MAX).then_some((name, silence))
        };
        self.beats.iter().enumerate().filter_map(silent).collect()
    }

    /// Tells the metrics.
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
    }
}

/// Name of a stream thread.
pub fn thread_name(number: usize) -> String {
    format!("stream-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_seen_hangs_and_one_that_is_does_not() {
        let health = Health::new(2);
        health.beat(1);
        let beat = |thread: usize, seconds: u64| health.beats[thread].store(seconds * 1_000, Ordering::Relaxed);
        beat(0, 100);
        beat(1, 40);
        beat(2, 100);
        let hanging = health.hanging_at(Duration::from_secs(110));
        assert_eq!(hanging, [("stream-1".to_owned(), Duration::from_secs(70))]);
    }

    #[test]
    fn what_is_missing_is_named_until_it_is_there() {
        let health = Health::new(1);
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
        let health = Health::new(1);
        let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        health.degrade(Degradation::Disk, Some(since));
        assert_eq!(health.degradations(), [(Degradation::Disk, since)]);
        health.degrade(Degradation::Disk, None);
        assert_eq!(health.degradations(), []);
    }
}

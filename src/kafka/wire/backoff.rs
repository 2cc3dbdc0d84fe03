//! The one backoff of every retry: a pause that doubles up to a limit, until the operation's deadline; seen as it happens in the log.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kafka::KafkaError;

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(2);
/// A retry that helps at once is not logged. One that takes longer is, and then every [`WARN_EVERY`].
const QUIET: Duration = Duration::from_secs(1);
const WARN_EVERY: Duration = Duration::from_secs(30);

/// The waits between the tries of one operation.
#[derive(Debug)]
pub struct Backoff {
    operation: &'static str,
    deadline: Duration,
    first: Duration,
    longest: Duration,
    failing_since: Option<Instant>,
    /// When the try that is under way began, if that is known.
    tried_at: Option<Instant>,
    wait: Duration,
    warned: Option<Instant>,
}

impl Backoff {
    /// For an operation that may fail for `deadline` before it is given up.
    pub fn new(operation: &'static str, deadline: Duration) -> Backoff {
        let (first, longest) = (FIRST, CAP);
        Backoff { operation, deadline, first, longest, failing_since: None, tried_at: None, wait: first, warned: None }
    }
    /// With other pauses than 100 ms to 2 s.
    pub fn between(mut self, first: Duration, longest: Duration) -> Backoff {
        (self.first, self.wait, self.longest) = (first, first, longest);
        self
    }
    /// The first try begins now, and its time counts, too.
    pub fn from_now(mut self) -> Backoff {
        self.tried_at = Some(Instant::now());
        self
    }
    /// Begins with a shorter wait: for states that pass in milliseconds.
    pub fn starting_at(mut self, first: Duration) -> Backoff {
        (self.first, self.wait) = (first, first);
        self
    }
    /// Waits before the next try; fails with `error` when another try cannot help, with [`KafkaError::Deadline`] at the deadline, or when a
    /// try that takes as long as the last one would end past it.
    pub async fn wait(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        sleep(self.next(Instant::now(), error)?).await;
        Ok(())
    }
    /// [`Backoff::wait`] for an error that passes when somebody mends its cause, such as a right that is given back.
    pub async fn wait_for_mending(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        sleep(self.pause(Instant::now(), error)?).await;
        Ok(())
    }
    /// How long to wait, as of `now`.
    fn next(&mut self, now: Instant, error: KafkaError) -> Result<Duration, KafkaError> {
        if error.is_transient() { self.pause(now, error) } else { Err(error) }
    }
    fn pause(&mut self, now: Instant, error: KafkaError) -> Result<Duration, KafkaError> {
        let failing = now - *self.failing_since.get_or_insert(self.tried_at.unwrap_or(now));
        let tried = self.tried_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if failing + tried >= self.deadline {
            return Err(KafkaError::Deadline { operation: self.operation, after: failing, last: Box::new(error) });
        }
        if failing >= QUIET && self.warned.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(operation = self.operation, failing_s = failing.as_secs(), %error, "retrying");
        } else {
            tracing::debug!(operation = self.operation, wait_ms = self.wait.as_millis() as u64, %error, "retrying");
        }
        let wait = self.wait.min(self.deadline - failing - tried);
        self.wait = (self.wait * 2).min(self.longest);
        self.tried_at = Some(now + wait);
        Ok(wait)
    }
    /// The operation succeeded: the next failure begins a new deadline.
    pub fn reset(&mut self) {
        if let (Some(since), Some(_)) = (self.failing_since.take(), self.warned.take()) {
            tracing::info!(operation = self.operation, failed_s = since.elapsed().as_secs(), "recovered");
        }
        (self.wait, self.tried_at) = (self.first, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::KafkaConfig;

    fn unreachable() -> KafkaError {
        KafkaError::Connection { address: "nowhere:9092".into(), message: "refused".into() }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_end_at_the_deadline() {
        let (start, mut backoff) = (Instant::now(), Backoff::new("test", Duration::from_secs(10)));
        let (mut now, mut at) = (start, Vec::new());
        let last = loop {
            match backoff.next(now, unreachable()) {
                Ok(wait) => now += wait,
                Err(error) => break error,
            }
            at.push((now - start).as_millis());
        };
        assert_eq!(at, [100, 300, 700, 1_500, 3_100, 5_100, 7_100, 9_100, 10_000]);
        assert!(matches!(last, KafkaError::Deadline { .. }), "{last}");
    }

    #[test]
    fn tries_that_take_long_end_before_the_deadline() {
        let mut backoff = Backoff::new("test", Duration::from_secs(10)).from_now();
        let (start, long) = (Instant::now(), Duration::from_secs(3));
        let (mut now, mut tries) = (start + long, 1);
        while let Ok(wait) = backoff.next(now, unreachable()) {
            now += wait + long;
            tries += 1;
        }
        assert!(tries == 3 && now - start < Duration::from_secs(10), "{tries} tries in {:?}", now - start);
    }

    #[test]
    fn a_service_waits_for_its_broker_however_long_it_is_away() {
        let deadline = KafkaConfig::new(["nowhere:9092"], "test").retry_deadline;
        let (mut now, mut backoff) = (Instant::now(), Backoff::new("test", deadline));
        let day = now + Duration::from_secs(86_400);
        while now < day {
            now += backoff.next(now, unreachable()).expect("no limit");
        }
    }

    #[test]
    fn success_begins_a_new_deadline() {
        let (mut now, mut backoff) = (Instant::now(), Backoff::new("test", Duration::from_secs(3)));
        for _ in 0..20 {
            now += backoff.next(now, unreachable()).expect("within the deadline") + Duration::from_secs(2);
            backoff.reset();
        }
    }

    #[test]
    fn what_cannot_pass_is_not_waited_for() {
        let mut backoff = Backoff::new("test", Duration::from_secs(3));
        assert!(matches!(backoff.next(Instant::now(), KafkaError::ShutDown), Err(KafkaError::ShutDown)));
    }
}

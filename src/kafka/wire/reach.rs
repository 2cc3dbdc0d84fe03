//! Whether the cluster answers: every connection notes it, and the health report reads it.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::super::KafkaError;
use crate::metrics;

/// Whether the brokers of a cluster answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// Nobody was asked yet.
    #[default]
    Unknown,
    /// The last request was answered, be it with an error code.
    Answers,
    /// No request was answered since.
    Silent(SystemTime),
}

/// The state that the connections to one cluster share.
#[derive(Debug, Default)]
pub struct Reach(Mutex<Reached>);

impl Reach {
    /// The present state.
    pub fn now(&self) -> Reached {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how a request ended.
    pub(super) fn note<T>(&self, api: &'static str, outcome: Result<T, KafkaError>) -> Result<T, KafkaError> {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Err(error) => {
                metrics::kafka_request_errors(api, &error.label()).inc();
                let unanswered = matches!(
                    error,
                    KafkaError::Connection { .. }
                        | KafkaError::Silent { .. }
                        | KafkaError::Security { .. }
                        | KafkaError::Credentials { .. }
                );
                if unanswered && !matches!(*reached, Reached::Silent(_)) {
                    *reached = Reached::Silent(SystemTime::now());
                }
            }
            Ok(_) => *reached = Reached::Answers,
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_first_request_without_an_answer() {
        let reach = Reach::default();
        let gone = || KafkaError::Connection { address: "b:9092".into(), message: "refused".into() };
        assert_eq!(reach.now(), Reached::Unknown);
        reach.note("Fetch", Err::<(), _>(gone())).expect_err("as it was");
        let first = reach.now();
        assert!(matches!(first, Reached::Silent(_)));
        reach.note("Fetch", Err::<(), _>(gone())).expect_err("as it was");
        assert_eq!(reach.now(), first);
        reach.note("Fetch", Ok(())).expect("as it was");
        assert_eq!(reach.now(), Reached::Answers);
    }
}

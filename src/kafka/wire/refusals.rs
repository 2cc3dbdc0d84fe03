//! Who refused us lately. Credentials that were wrong are wrong a moment later too, and a broker that counts failures may lock the account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::kafka::KafkaError;

/// How long a refusal stands before another try.
const PAUSE: Duration = Duration::from_secs(10);
/// Credentials are the same for every broker.
const EVERYWHERE: &str = "";

/// Refusals by address.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, (Instant, KafkaError)>>);

impl Refusals {
    /// Fails with what was said last, if that was a moment ago.
    pub(super) fn check(&self, address: &str, now: Instant) -> Result<(), KafkaError> {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|_, (at, _)| now - *at < PAUSE);
        let refused = refusals.get(EVERYWHERE).or_else(|| refusals.get(address));
        refused.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }
    /// Takes note of a connection that failed.
    pub(super) fn note(&self, address: &str, error: &KafkaError) {
        let at = match error {
            KafkaError::Credentials { .. } => EVERYWHERE,
            KafkaError::Security { .. } => address,
            _ => return,
        };
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.insert(at.to_owned(), (Instant::now(), error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_credentials_stop_every_broker_for_ten_seconds_and_a_wrong_certificate_its_own() {
        let refusals = Refusals::default();
        let security = KafkaError::Security { address: "a:1".into(), message: "expired".into() };
        refusals.note("a:1", &security);
        let now = Instant::now();
        assert!(refusals.check("a:1", now).is_err() && refusals.check("b:1", now).is_ok());
        let credentials = KafkaError::Credentials { address: "a:1".into(), message: "wrong".into() };
        refusals.note("a:1", &credentials);
        assert!(refusals.check("b:1", now).is_err());
        let later = Instant::now() + PAUSE;
        assert!(refusals.check("a:1", later).is_ok() && refusals.check("b:1", later).is_ok());
    }

    #[test]
    fn a_broker_that_is_away_is_no_refusal() {
        let refusals = Refusals::default();
        refusals.note("a:1", &KafkaError::Connection { address: "a:1".into(), message: "refused".into() });
        assert!(refusals.check("a:1", Instant::now()).is_ok());
    }
}

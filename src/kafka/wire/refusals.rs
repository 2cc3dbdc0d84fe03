//! Remembers recent refusals. Credentials that were wrong are wrong a moment later too, and a broker that counts failures may lock the
//! account.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::kafka::KafkaError;

/// Wait after a refusal before another try.
const PAUSE: Duration = Duration::from_secs(10);
/// Time after the welcome of one connection in which others do not wait for each other.
const WELCOME: Duration = Duration::from_secs(1);
/// Credentials are the same for every broker.
const EVERYWHERE: &str = "";

/// Refusals by address.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Refusals {
    lately: Mutex<HashMap<String, (Instant, KafkaError)>>,
    /// A broker of this cluster has let us in before.
    was_welcome: AtomicBool,
    /// When that was last.
    welcome_at: Mutex<Option<Instant>>,
    /// Held by who shows credentials while nobody was let in lately: all connections have the same, and one refusal is enough.
    showing: tokio::sync::Mutex<()>,
}

impl Refusals {
    /// Waits for others that show our credentials, unless some were let in a moment ago; fails if they were refused. Whoever has what it
    /// returns shows them.
    pub(super) async fn show(&self, address: &str) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, KafkaError> {
        if self.is_welcome(Instant::now()) {
            return Ok(None);
        }
        let alone = self.showing.lock().await;
        let now = Instant::now();
        self.check(address, now)?;
        Ok((!self.is_welcome(now)).then_some(alone))
    }
    fn is_welcome(&self, now: Instant) -> bool {
        let at = *self.welcome_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| now - at < WELCOME)
    }
    /// Fails with what was said last, if that was a moment ago.
    pub(super) fn check(&self, address: &str, now: Instant) -> Result<(), KafkaError> {
        let mut lately = self.lately();
        lately.retain(|_, (at, _)| now - *at < PAUSE);
        let refused = lately.get(EVERYWHERE).or_else(|| lately.get(address));
        refused.map_or(Ok(()), |(_, error)| Err(error.clone()))
    }
    /// Takes note of a connection that failed. Who was let in before waits for what has changed to be mended: a certificate or a token that
    /// expired, a password that was changed in one place.
    pub(super) fn note(&self, address: &str, error: KafkaError) -> KafkaError {
        let at = match &error {
            KafkaError::Credentials { .. } => EVERYWHERE,
            KafkaError::Security { .. } => address,
            _ => return error,
        };
        let error = match error {
            KafkaError::Credentials { address, message } | KafkaError::Security { address, message }
                if self.was_welcome.load(Ordering::Relaxed) =>
            {
                KafkaError::Connection { address, message }
            }
            error => error,
        };
        // Reporting an older refusal to others makes it no younger.
        let mut lately = self.lately();
        let since = lately.get(at).map_or_else(Instant::now, |(since, _)| *since);
        lately.insert(at.to_owned(), (since, error.clone()));
        error
    }
    /// Takes note of a connection that succeeded.
    pub(super) fn note_welcome(&self) {
        self.was_welcome.store(true, Ordering::Relaxed);
        *self.welcome_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    fn lately(&self) -> MutexGuard<'_, HashMap<String, (Instant, KafkaError)>> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_credentials_stop_every_broker_for_ten_seconds_and_a_wrong_certificate_its_own() {
        let refusals = Refusals::default();
        let security = KafkaError::Security { address: "a:1".into(), message: "expired".into() };
        refusals.note("a:1", security);
        let now = Instant::now();
        assert!(refusals.check("a:1", now).is_err() && refusals.check("b:1", now).is_ok());
        let credentials = KafkaError::Credentials { address: "a:1".into(), message: "wrong".into() };
        refusals.note("a:1", credentials);
        assert!(refusals.check("b:1", now).is_err());
        let later = Instant::now() + PAUSE;
        assert!(refusals.check("a:1", later).is_ok() && refusals.check("b:1", later).is_ok());
    }

    #[test]
    fn a_broker_that_is_away_is_no_refusal() {
        let refusals = Refusals::default();
        refusals.note("a:1", KafkaError::Connection { address: "a:1".into(), message: "refused".into() });
        assert!(refusals.check("a:1", Instant::now()).is_ok());
    }

    #[test]
    fn who_was_let_in_before_waits_until_the_refusal_is_mended() {
        let refusals = Refusals::default();
        let expired = || KafkaError::Security { address: "a:1".into(), message: "expired".into() };
        assert!(!refusals.note("a:1", expired()).is_transient());
        refusals.note_welcome();
        assert!(refusals.note("a:1", expired()).is_transient());
        assert!(refusals.check("a:1", Instant::now()).is_err_and(|error| error.is_transient()));
    }

    #[tokio::test]
    async fn one_shows_credentials_and_the_others_wait_for_the_answer() {
        let refusals = Refusals::default();
        let wrong = || KafkaError::Credentials { address: "a:1".into(), message: "wrong".into() };
        let shown = refusals.show("a:1").await.expect("nobody was refused");
        let mut second = std::pin::pin!(refusals.show("b:1"));
        let waits = tokio::time::timeout(Duration::from_millis(1), second.as_mut()).await;
        assert!(waits.is_err(), "it waits");
        refusals.note("a:1", wrong());
        drop(shown);
        assert!(second.await.is_err(), "the first was refused");

        let refusals = Refusals::default();
        let shown = refusals.show("a:1").await.expect("nobody was refused");
        refusals.note_welcome();
        drop(shown);
        let first = refusals.show("a:1").await.expect("welcome");
        let second = refusals.show("b:1").await.expect("welcome");
        assert!(first.is_none() && second.is_none(), "side by side");
    }
}

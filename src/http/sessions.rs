//! Sessions of the page: what a browser has in place of the token. Each is random, and is over when it is ended, when it is old, or with the
//! process; none says anything of the token.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Sessions that are open at once; the oldest ends for the next.
const SESSIONS_MAX: usize = 1_024;
/// Longest life of a session.
const AGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The open sessions, by the digest of their secret, so that a look-up takes the same time for any wrong one.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Instant>>);

impl Sessions {
    /// Opens a session and gives its secret, 244 random bits.
    pub(super) fn begin(&self, now: Instant) -> String {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut open = self.open();
        open.retain(|_, begun| now.duration_since(*begun) < AGE_MAX);
        if open.len() >= SESSIONS_MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, begun)| **begun).map(|(key, _)| *key)
        {
            open.remove(&oldest);
        }
        open.insert(key(&secret), now);
        secret
    }

    /// Whether a session with this secret is open.
    pub(super) fn is_open(&self, secret: &str, now: Instant) -> bool {
        self.open().get(&key(secret)).is_some_and(|begun| now.duration_since(*begun) < AGE_MAX)
    }

    /// Ends a session.
    pub(super) fn end(&self, secret: &str) {
        self.open().remove(&key(secret));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_own_until_it_is_ended_or_old() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (one, other) = (sessions.begin(now), sessions.begin(now));
        assert!(one != other && one.len() == 64);
        assert!(sessions.is_open(&one, now) && sessions.is_open(&other, now) && !sessions.is_open("", now));
        sessions.end(&one);
        assert!(!sessions.is_open(&one, now) && sessions.is_open(&other, now));
        assert!(!sessions.is_open(&other, now + AGE_MAX));
    }

    #[test]
    fn the_oldest_session_ends_for_one_too_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin(now);
        let later = now + Duration::from_secs(1);
        let others: Vec<String> = (0..SESSIONS_MAX).map(|_| sessions.begin(later)).collect();
        assert!(!sessions.is_open(&first, later) && others.iter().all(|other| sessions.is_open(other, later)));
    }
}

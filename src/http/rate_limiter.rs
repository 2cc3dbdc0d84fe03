//! Limits how often one address may ask.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::http::StatusCode;

use super::problem::Problem;

/// Requests a second that one address may send for long, and how many at once.
const REQUESTS_PER_S: f64 = 200.0;
const REQUESTS_AT_ONCE: f64 = 1_000.0;
/// Addresses that are remembered; beyond them the quiet ones are forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// A bucket of requests for every address.
#[derive(Default)]
pub(super) struct RateLimiter {
    buckets: HashMap<IpAddr, (f64, Instant)>,
}

impl RateLimiter {
    /// Counts a request, or says when the address may ask again.
    pub(super) fn admit(&mut self, peer: IpAddr, now: Instant) -> Result<(), Problem> {
        let filled = |(left, at): (f64, Instant)| {
            (left + now.duration_since(at).as_secs_f64() * REQUESTS_PER_S).min(REQUESTS_AT_ONCE)
        };
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&peer) {
            self.buckets.retain(|_, bucket| filled(*bucket) < REQUESTS_AT_ONCE);
        }
        let left = self.buckets.get(&peer).map_or(REQUESTS_AT_ONCE, |bucket| filled(*bucket));
        if left < 1.0 || (self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&peer)) {
            let detail = "too many requests from this address; wait a second";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).retry_after(1));
        }
        self.buckets.insert(peer, (left - 1.0, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_others_do_not() {
        let (mut rate_limiter, now) = (RateLimiter::default(), Instant::now());
        let [one, other] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let admitted = (0..2_000).filter(|_| rate_limiter.admit(one, now).is_ok()).count();
        assert_eq!(admitted, REQUESTS_AT_ONCE as usize);
        assert!(rate_limiter.admit(other, now).is_ok());
        assert!(rate_limiter.admit(one, now + Duration::from_secs(1)).is_ok());
    }
}

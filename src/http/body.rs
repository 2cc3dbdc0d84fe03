//! Reads the body of a request within limits: a size, a pace, and a number of bytes before the reader must see sense in it. A broken limit
//! ends the body; the answer says why.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, Request, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::problem::Problem;

/// Longest time without a byte.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// In each of these times a body has to come at this pace on average; drop by drop it would stay for days, and so would its bytes in the
/// spool.
const PACE_TIME: Duration = Duration::from_secs(60);
const BYTES_PER_S_MIN: u64 = 1_024;
/// Bytes in which a multipart reader has to find the next part.
pub(super) const PART_HEAD_BYTES_MAX: u64 = 1 << 20;

/// The state that the reader of a body and the body share.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    problem: Mutex<Option<Problem>>,
    /// Bytes that may still come before [`Watch::allow`] is called again.
    allowance: AtomicU64,
}

impl Watch {
    /// As many bytes may come from now on.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.allowance.store(bytes, Ordering::Relaxed);
    }

    /// Why the body ended early, or else what its reader says.
    pub(super) fn problem_or(&self, other: impl FnOnce() -> Problem) -> Problem {
        self.0.problem.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(other)
    }
}

/// Refuses what its head says to be too large or compressed, before a byte of it is read; else puts the body under the limits.
pub(super) fn limit(request: Request<Body>, bytes_max: u64) -> Result<(Request<Body>, Watch), Problem> {
    check_head(request.headers(), bytes_max)?;
    let watch = Watch::default();
    watch.allow(u64::MAX);
    let request = request.map(|inner| {
        let now = Instant::now();
        let limited = Limited {
            inner,
            bytes_max,
            bytes: 0,
            pace: Pace { begun: now, bytes: 0 },
            idle: Box::pin(sleep_until(now + IDLE_TIMEOUT)),
            watch: watch.clone(),
        };
        Body::new(limited)
    });
    Ok((request, watch))
}

fn check_head(headers: &HeaderMap, bytes_max: u64) -> Result<(), Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes_max) {
        return Err(too_large(bytes_max));
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            let detail = "compressed bodies are not taken; send the file as it is, without Content-Encoding";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding", detail))
        }
        _ => Ok(()),
    }
}

pub(super) fn too_large(bytes_max: u64) -> Problem {
    let detail = format!("an upload has {bytes_max} bytes at most here; --upload-bytes-max raises that");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail).in_field("file")
}

struct Limited {
    inner: Body,
    bytes_max: u64,
    bytes: u64,
    pace: Pace,
    idle: Pin<Box<Sleep>>,
    watch: Watch,
}

/// How many bytes came since a moment.
struct Pace {
    begun: Instant,
    bytes: u64,
}

impl Pace {
    /// Counts a piece that comes `now`. False when less than [`BYTES_PER_S_MIN`] came for [`PACE_TIME`].
    fn is_kept(&mut self, piece: u64, now: Instant) -> bool {
        self.bytes += piece;
        let since = now - self.begun;
        if since <= PACE_TIME {
            return true;
        }
        let is_kept = self.bytes >= since.as_secs() * BYTES_PER_S_MIN;
        *self = Pace { begun: now, bytes: 0 };
        is_kept
    }
}

impl Limited {
    /// Ends the body for this reason.
    fn end(&self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let error = axum::Error::new(problem.detail.clone());
        *self.watch.0.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        Poll::Ready(Some(Err(error)))
    }

    /// Why a piece of this size is one too many, if it is.
    fn refuse(&mut self, piece: u64) -> Option<Problem> {
        let now = Instant::now();
        self.idle.as_mut().reset(now + IDLE_TIMEOUT);
        self.bytes += piece;
        let allowed = self.watch.0.allowance.load(Ordering::Relaxed).checked_sub(piece);
        self.watch.0.allowance.store(allowed.unwrap_or(0), Ordering::Relaxed);
        let is_fast = self.pace.is_kept(piece, now);
        if self.bytes > self.bytes_max {
            Some(too_large(self.bytes_max))
        } else if allowed.is_none() {
            Some(Problem::bad_request("multipart", "the body is no multipart form: a part has no end to its head"))
        } else if !is_fast {
            Some(timeout("the body comes too slowly"))
        } else {
            None
        }
    }
}

fn timeout(detail: &str) -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let piece = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.refuse(piece) {
                    Some(problem) => self.end(problem),
                    None => Poll::Ready(Some(Ok(frame))),
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let detail = format!("the body ended before its time: {error}");
                self.end(Problem::bad_request("body", detail))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.idle.as_mut().poll(context) {
                Poll::Ready(()) => self.end(timeout("no byte of the body came for 10 s")),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second at which a body is too slow, when these bytes come every five seconds for an hour.
    fn ended(pieces: impl Iterator<Item = u64>) -> Option<u64> {
        let begun = Instant::now();
        let mut pace = Pace { begun, bytes: 0 };
        let mut times = pieces.zip((0..3_600).step_by(5));
        times.find(|(piece, s)| !pace.is_kept(*piece, begun + Duration::from_secs(*s))).map(|(_, s)| s)
    }

    #[test]
    fn a_body_that_comes_fast_and_then_drop_by_drop_is_ended_too() {
        assert_eq!(ended(std::iter::repeat(6_000)), None);
        assert_eq!(ended(std::iter::repeat(1)), Some(65));
        let second = ended(std::iter::once(1 << 30).chain(std::iter::repeat(1)));
        assert!(second.is_some_and(|second| second <= 130), "{second:?}");
    }
}

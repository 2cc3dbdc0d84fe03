//! The queue between one partition's reader and the thread that processes it. It is bounded in bytes. When it is full, it stops this
//! partition's reader and no other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::metrics::Counter;
use crate::record::Offset;
use crate::transport::{Fetched, TransportError};

/// Called when something became available; must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The receiving end of one partition's reader. Dropped, the reader stops.
pub struct IngestHandle {
    buffer: Arc<IngestBuffer>,
    task: AbortHandle,
}

impl IngestHandle {
    pub(super) fn new(buffer: Arc<IngestBuffer>, task: AbortHandle) -> IngestHandle {
        IngestHandle { buffer, task }
    }
    /// The next records, if any wait. After an error nothing more comes.
    pub fn try_next(&mut self) -> Option<Result<Fetched, TransportError>> {
        self.buffer.pop()
    }
    /// Bytes that wait.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.lock().bytes
    }
    /// End of the partition as of the last read; `None` before the first.
    pub fn high_watermark(&self) -> Option<Offset> {
        let offset = self.buffer.high_watermark.load(Ordering::Relaxed);
        (offset >= 0).then_some(Offset(offset))
    }
    /// Start of the partition as of the last read; 0 before.
    pub fn log_start(&self) -> Offset {
        Offset(self.buffer.log_start.load(Ordering::Relaxed))
    }
    /// Stops reading; what waits can still be taken.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for IngestHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(super) struct IngestBuffer {
    queue: Mutex<Queue>,
    /// Bytes that may wait; the fetch that reaches the limit is the last one.
    bytes_max: usize,
    space: Notify,
    waker: Waker,
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    fetched: Counter,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<(usize, Result<Fetched, TransportError>)>,
    bytes: usize,
}

impl IngestBuffer {
    pub(super) fn new(waker: Waker, fetched: Counter, bytes_max: usize) -> Arc<IngestBuffer> {
        let (queue, space) = (Mutex::default(), Notify::new());
        let (high_watermark, log_start) = (AtomicI64::new(-1), AtomicI64::new(0));
        Arc::new(IngestBuffer { queue, bytes_max, space, waker, high_watermark, log_start, fetched })
    }
    /// Waits until there is room.
    pub(super) async fn room(&self) {
        while self.lock().bytes >= self.bytes_max {
            self.space.notified().await; // a pop between the look and the wait leaves its permit
        }
    }
    /// Hands a read over. One that brought nothing only moves the bounds of the log.
    pub(super) fn push(&self, read: Result<Fetched, TransportError>, moved: bool) {
        let mut first = false;
        if let Ok(fetched) = &read {
            self.log_start.store(fetched.log_start.0, Ordering::Relaxed);
            first = self.high_watermark.swap(fetched.high_watermark.0, Ordering::Relaxed) < 0;
        }
        let bytes = read.as_ref().map_or(0, Fetched::bytes);
        self.fetched.inc_by(bytes as u64);
        if moved || read.is_err() {
            let mut queue = self.lock();
            queue.bytes += bytes;
            queue.ready.push_back((bytes, read));
        } else if !first {
            return;
        }
        (self.waker)();
    }
    fn pop(&self) -> Option<Result<Fetched, TransportError>> {
        let (bytes, read) = {
            let mut queue = self.lock();
            let popped = queue.ready.pop_front()?;
            queue.bytes -= popped.0;
            popped
        };
        if bytes > 0 {
            self.space.notify_one();
        }
        Some(read)
    }
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use bytes::Bytes;

    use super::*;
    use crate::metrics;
    use crate::record::Record;

    fn read(bytes: usize, high_watermark: i64) -> Result<Fetched, TransportError> {
        let value = Some(Bytes::from(vec![0; bytes]));
        let records = vec![Record { value, ..Record::default() }];
        Ok(Fetched { records, high_watermark: Offset(high_watermark), ..Fetched::default() })
    }

    #[tokio::test]
    async fn a_full_buffer_has_no_room_until_it_is_emptied() {
        let buffer = IngestBuffer::new(Arc::new(|| ()), metrics::fetched_bytes("test"), 1_000);
        buffer.push(read(1_000, 1), true);
        let waits = tokio::spawn({
            let buffer = buffer.clone();
            async move { buffer.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        assert!(buffer.pop().is_some());
        waits.await.expect("room");
    }

    #[test]
    fn only_news_wakes_the_thread() {
        let woken = Arc::new(AtomicUsize::new(0));
        let buffer = IngestBuffer::new(
            {
                let woken = woken.clone();
                Arc::new(move || _ = woken.fetch_add(1, Ordering::Relaxed))
            },
            metrics::fetched_bytes("test"),
            1_000,
        );
        for high_watermark in [5, 5, 6] {
            buffer.push(Ok(Fetched { high_watermark: Offset(high_watermark), ..Fetched::default() }), false);
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1, "the first high watermark is news, the others are not");
        assert!(buffer.pop().is_none());
        buffer.push(read(1, 7), true);
        buffer.push(Err(TransportError::Failed("gone".into())), false);
        assert_eq!(woken.load(Ordering::Relaxed), 3);
        assert_eq!(buffer.high_watermark.load(Ordering::Relaxed), 7);
    }
}

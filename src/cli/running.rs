//! Topologies on a thread of their own, for commands that do something else meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sheetstream::runtime::streams::{Streams, StreamsError};

/// Streams that run until they are stopped; dropped, they are stopped too.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), StreamsError>>>,
}

impl Running {
    /// Starts them.
    pub(super) fn start(streams: Streams) -> anyhow::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::Builder::new().name("streams".into()).spawn(move || streams.run(&flag))?;
        Ok(Running { stop, thread: Some(thread) })
    }
    /// Fails when they have ended by themselves.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join()?;
            anyhow::bail!("the topology ended by itself");
        }
        Ok(())
    }
    /// Commits, leaves the groups, ends.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }
    fn join(&mut self) -> anyhow::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => Ok(outcome?),
            Some(Err(_)) => anyhow::bail!("the topology's thread panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join().ok(); // an error is on its way already
    }
}

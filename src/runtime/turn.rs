//! Turns of threads: every task has a thread of its own, so that one that waits holds up no other. No more of them work at once than there
//! are processors for them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::record::{TopicPartition, UploadHash};
use crate::runtime::health::Pulse;
use crate::transport::{Fence, OutRecord, Outbox, Progress, TransportError};

/// The turns of all tasks of a process; whoever waits longest is next.
#[derive(Clone)]
pub struct Turns {
    permits: Arc<Semaphore>,
    runtime: Handle,
}

/// The permit that one thread needs to work, and the pulse that it shows meanwhile.
pub struct Turn {
    turns: Turns,
    pulse: Arc<Pulse>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turns {
    /// At most `workers` threads work at once; those that wait do so on `runtime`, outside of which they must be.
    pub fn new(workers: usize, runtime: Handle) -> Turns {
        Turns { permits: Arc::new(Semaphore::new(workers.max(1))), runtime }
    }

    /// The turn of one thread, which is not its yet.
    pub fn of(&self, pulse: Arc<Pulse>) -> Arc<Turn> {
        Arc::new(Turn { turns: self.clone(), pulse, held: Mutex::default() })
    }
}

impl Turn {
    /// Waits until it is this thread's turn. Takes nothing when it is already.
    pub fn take(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let permits = self.turns.permits.clone();
            // Nobody closes it.
            *held = self.turns.runtime.block_on(permits.acquire_owned()).ok();
        }
        self.pulse.beat();
    }

    /// Another thread may work: this one waits for something.
    pub fn pass(&self) {
        self.pulse.rest();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Does what waits for somebody else, and takes the turn again.
    pub fn passed<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.pass();
        let done = wait();
        self.take();
        done
    }
}

/// An outbox that passes the turn while brokers are waited for.
pub(super) struct PassingOutbox {
    /// The outbox that waits for brokers.
    pub outbox: Box<dyn Outbox>,
    /// Of the thread that waits.
    pub turn: Arc<Turn>,
}

impl Outbox for PassingOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        self.turn.passed(|| self.outbox.publish(records))
    }
    fn send_best_effort(&mut self, record: OutRecord) {
        self.turn.passed(|| self.outbox.send_best_effort(record));
    }
    fn record_bytes_max(&mut self, topic: &Arc<str>, bytes: usize) -> Result<Option<usize>, TransportError> {
        self.turn.passed(|| self.outbox.record_bytes_max(topic, bytes))
    }
    fn is_vouched_for(&self) -> bool {
        self.outbox.is_vouched_for()
    }
    fn is_transactional(&self) -> bool {
        self.outbox.is_transactional()
    }
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        self.turn.passed(|| self.outbox.commit(partition, progress, fence))
    }
    fn open_elsewhere(
        &mut self,
        partition: &TopicPartition,
        partitions: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        self.turn.passed(|| self.outbox.open_elsewhere(partition, partitions, upload))
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Runtime;

    use super::*;
    use crate::runtime::health::Health;

    /// Of a process that the group may have put out.
    struct Unvouched;

    impl Outbox for Unvouched {
        fn publish(&mut self, _: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
            Ok(())
        }
        fn send_best_effort(&mut self, _: OutRecord) {}
        fn is_vouched_for(&self) -> bool {
            false
        }
        fn commit(&mut self, _: &TopicPartition, _: &Progress, _: &Fence) -> Result<(), TransportError> {
            Ok(())
        }
    }

    #[test]
    fn the_group_vouches_for_a_task_through_the_outbox_that_passes_its_turn() {
        let runtime = Runtime::new().expect("a runtime");
        let turn = Turns::new(1, runtime.handle().clone()).of(Health::default().pulse("task"));
        assert!(!PassingOutbox { outbox: Box::new(Unvouched), turn }.is_vouched_for());
    }
}

//! What a task finds around it: brokers, the disk and the clock of its process. A service has Kafka (`task_maker`); the simulation in
//! `tests/simulation` has brokers, disks and a clock that are made up, and runs the same code in front of them.

use std::time::Instant;

use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::ledger::Statuses;
use crate::state::{StateError, StateStore};
use crate::transport::{Committed, Fetched, Outbox, ReadFrom, TransportError};

/// The surroundings of one task. Each call may wait for a broker.
pub trait Environment: Send {
    /// The time by which the task commits and looks at the clock.
    fn now(&self) -> Instant;
    /// The way out: exactly once under this transactional id, or else at least once.
    fn outbox(&self, transactional_id: Option<&str>) -> Result<Box<dyn Outbox>, TransportError>;
    /// The task's local state.
    fn store(&self, id: &TaskId, topology_hash: &str) -> Result<Box<dyn StateStore>, StateError>;
    /// The commit of a partition, from the group's coordinator.
    fn committed(&self, partition: &TopicPartition) -> Result<Committed, TransportError>;
    /// The same, though a transaction that goes beyond it is under way.
    fn latest_commit(&self, partition: &TopicPartition) -> Result<Committed, TransportError>;
    /// The log that a topic is today, if it has an id.
    fn log(&self, topic: &str) -> Result<Option<LogId>, TransportError>;
    /// First offset of a partition, and its end.
    fn bounds(&self, partition: &TopicPartition) -> Result<(Offset, Offset), TransportError>;
    /// Epoch of the leader of a partition, if it has one (KIP-320).
    fn leader_epoch(&self, partition: &TopicPartition) -> Result<Option<i32>, TransportError>;
    /// First offset behind the records of a leader epoch and those before it (KIP-320); below 0 if the broker does not know.
    fn end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, TransportError>;
    /// Reads on in a partition of the status topic of `topology`, for a task that reads `log`. What is not committed is not read, nor anything
    /// behind it.
    fn ledger(
        &self,
        status: &TopicPartition,
        topology: &str,
        log: Option<LogId>,
        known: &mut Statuses,
    ) -> Result<(), TransportError>;
    /// The end of a partition of the status topic, behind all that was written, committed or not.
    fn end_of_ledger(&self, status: &TopicPartition) -> Result<Offset, TransportError>;
    /// Begins to read a partition.
    fn read(&self, partition: &TopicPartition, from: ReadFrom) -> Box<dyn Input>;
}

/// The receiving end of one partition's reader. Dropped, the reader stops.
pub trait Input: Send {
    /// The next records, if any wait. After an error nothing more comes.
    fn try_next(&mut self) -> Option<Result<Fetched, TransportError>>;
    /// Bytes that wait.
    fn buffered_bytes(&self) -> usize;
    /// Start of the partition as of the last read; 0 before.
    fn log_start(&self) -> Offset;
    /// End of the partition as of the last read; `None` before the first.
    fn high_watermark(&self) -> Option<Offset>;
    /// Stops reading; what waits can still be taken.
    fn stop(&self);
}

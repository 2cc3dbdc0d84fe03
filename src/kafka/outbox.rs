//! Outputs and progress, at least once: records are acknowledged by the brokers before the offset is committed.

use super::KafkaClient;
use super::group::Group;
use super::producer::{Producer, ProducerConfig};
use crate::record::TopicPartition;
use crate::transport::{Fence, OutRecord, Outbox, Progress, TransportError};

/// The outbox of one task.
pub struct KafkaOutbox {
    producer: Producer,
    group: Group,
}

impl KafkaOutbox {
    /// Writes through `client` and commits to `group`. Connects with the first record.
    pub fn new(client: &KafkaClient, group: &Group) -> KafkaOutbox {
        KafkaOutbox { producer: client.producer(ProducerConfig::default()), group: group.clone() }
    }
}

impl Outbox for KafkaOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        for record in records {
            self.producer.send_record(&record)?;
        }
        self.producer.flush()
    }
    fn commit(&mut self, partition: &TopicPartition, progress: Progress, fence: &Fence) -> Result<(), TransportError> {
        self.group.commit(partition, progress, fence)
    }
}

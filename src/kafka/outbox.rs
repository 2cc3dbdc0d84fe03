//! Outputs and progress, at least once: records are acknowledged by the brokers before the offset is committed.

use super::group::Group;
use super::producer::{Producer, ProducerConfig};
use crate::record::TopicPartition;
use crate::transport::{Fence, OutRecord, Outbox, Progress, TransportError};

/// The outbox of one stream thread.
pub struct KafkaOutbox {
    producer: Producer,
    group: Group,
}

impl Group {
    /// An outbox that commits to this group.
    pub fn outbox(&self, config: ProducerConfig) -> KafkaOutbox {
        KafkaOutbox { producer: self.client.producer(config), group: self.clone() }
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

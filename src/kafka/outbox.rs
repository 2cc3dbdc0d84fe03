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
    /// Nothing was published since the last hint.
    hinted: bool,
}

impl KafkaOutbox {
    /// Writes through `client` and commits to `group`. Connects with the first record.
    pub fn new(client: &KafkaClient, group: &Group) -> KafkaOutbox {
        KafkaOutbox { producer: client.producer(ProducerConfig::default()), group: group.clone(), hinted: false }
    }

    /// What became of a hint must not be taken for the fate of what is published next.
    fn settle_hint(&mut self) {
        if std::mem::take(&mut self.hinted)
            && let Err(error) = self.producer.flush()
        {
            tracing::debug!(%error, "a status in between was lost");
        }
    }
}

impl Outbox for KafkaOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        self.settle_hint();
        for record in records {
            self.producer.send_record(&record)?;
        }
        self.producer.flush()
    }
    /// One is on its way at a time, by the producer of everything else: so it cannot come after the end of its upload.
    fn hint(&mut self, record: OutRecord) {
        if !self.producer.is_idle() {
            return;
        }
        self.settle_hint();
        self.hinted = true;
        if let Err(error) = self.producer.send_record(&record).and_then(|()| self.producer.start()) {
            tracing::debug!(%error, "a status in between was lost");
        }
    }
    fn commit(&mut self, partition: &TopicPartition, progress: Progress, fence: &Fence) -> Result<(), TransportError> {
        self.group.commit(partition, progress, fence)
    }
}

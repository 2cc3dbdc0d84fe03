//! Reads the status topic of a topology from its beginning.

use crate::kafka::KafkaClient;
use crate::record::{Offset, TopicPartition};
use crate::sink::status::StatusRecord;
use crate::topology::Topology;
use crate::transport::TransportError;

/// Every committed status that is there, a partition after the other. Blocks.
pub(super) fn read(
    client: &KafkaClient,
    topology: &Topology,
    each: &mut dyn FnMut(StatusRecord),
) -> Result<(), TransportError> {
    let topic = &topology.sink.status_topic;
    for partition in 0..client.partitions(topic)? {
        client.read_committed(&TopicPartition { topic: topic.clone(), partition }, Offset(0), &mut |record| {
            record.value.as_deref().and_then(StatusRecord::parse).into_iter().for_each(&mut *each);
        })?;
    }
    Ok(())
}

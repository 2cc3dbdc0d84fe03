//! The topics of a topology, looked at before anything is read.

use crate::kafka::KafkaClient;
use crate::topology::Topology;
use crate::transport::TransportError;

/// Refuses topics that cannot serve before anything is read; the answer is the number of source partitions.
pub(super) fn check_topics(client: &KafkaClient, topology: &Topology) -> Result<i32, TransportError> {
    let hint = |error| match error {
        TransportError::Topic(message) => {
            TransportError::Topic(format!("{message}; `sheetstream topics create` makes the topics of a topology"))
        }
        other => other,
    };
    let sink = &topology.sink;
    let input = client.describe_topic(&topology.source.topic).map_err(hint)?;
    input.check_uncompacted()?;
    client.describe_topic(&sink.topic).map_err(hint)?.check_uncompacted()?;
    client.describe_topic(&sink.dead_letter_topic).map_err(hint)?;
    let status = client.describe_topic(&sink.status_topic).map_err(hint)?;
    if status.partitions < input.partitions {
        let (found, wanted) = (status.partitions, input.partitions);
        let what =
            format!("{} has {found} partitions and the source {wanted}; task k writes its partition k", status.name);
        return Err(TransportError::Topic(format!(
            "{what}: add partitions with kafka-topics --alter --partitions {wanted}"
        )));
    }
    Ok(input.partitions)
}

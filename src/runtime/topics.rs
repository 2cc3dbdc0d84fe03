//! Checks the topics of a topology before anything is read.

use crate::kafka::KafkaClient;
use crate::runtime::ledger;
use crate::source::Placement;
use crate::topology::Topology;
use crate::transport::{Guarantee, TransportError};

/// Refuses topics that cannot serve, before anything is read. Returns the number of partitions that rows of one upload may lie in.
pub(super) fn check_topics(
    client: &KafkaClient,
    topology: &Topology,
    guarantee: Guarantee,
) -> Result<i32, TransportError> {
    let hint = |error| match error {
        TransportError::Topic(message) => {
            TransportError::Topic(format!("{message}; `sheetstream topics create` makes the topics of a topology"))
        }
        other => other,
    };
    let sink = &topology.sink;
    for topic in topology.source.topics() {
        client.describe_topic(topic).map_err(hint)?.check_uncompacted()?;
    }
    let input = client.describe_topic(topology.source.upload_topic()).map_err(hint)?;
    input.check_uncompacted()?;
    client.describe_topic(&sink.topic).map_err(hint)?.check_uncompacted()?;
    client.describe_topic(&sink.dead_letter_topic).map_err(hint)?;
    let status = client.describe_topic(&sink.status_topic).map_err(hint)?;
    if status.partitions < input.partitions {
        let (found, wanted) = (status.partitions, input.partitions);
        let what = format!(
            "{} has {found} partitions and {} {wanted}; task k writes its partition k",
            status.name, input.name
        );
        return Err(TransportError::Topic(format!(
            "{what}: add partitions with kafka-topics --alter --partitions {wanted}"
        )));
    }
    ledger::check_owner(client, topology, status.partitions)?;
    if guarantee == Guarantee::ExactlyOnceV2
        && let Some(shortage) = client.transaction_log_shortage()?
    {
        return Err(TransportError::Topic(shortage));
    }
    // The repartition topic has all rows of an upload in one partition.
    Ok(if topology.source.placement == Placement::Keyed { input.partitions } else { 1 })
}

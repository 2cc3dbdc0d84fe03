//! Checks the topics of a topology before anything is read.

use tracing::warn;

use crate::kafka::KafkaClient;
use crate::record::TaskId;
use crate::runtime::ledger;
use crate::source::Placement;
use crate::topology::Topology;
use crate::transport::{Guarantee, TransportError};

/// What the topics of a topology and their brokers allow.
pub(super) struct Checked {
    /// The number of partitions that rows of one upload may lie in.
    pub(super) partition_count: i32,
    pub(super) guarantee: Guarantee,
}

/// Refuses topics that cannot serve, before anything is read. Without a `wanted` guarantee it is the best that the brokers can keep.
pub(super) fn check_topics(
    client: &KafkaClient,
    topology: &Topology,
    wanted: Option<Guarantee>,
) -> Result<Checked, TransportError> {
    let hint = |error| match error {
        TransportError::Topic(message) => {
            TransportError::Topic(format!("{message}; `sheetstream topics create` makes the topics of a topology"))
        }
        TransportError::Unauthorised(message) => TransportError::Unauthorised(format!(
            "{message}; `sheetstream doctor -t TOPOLOGY --acls User:NAME` prints every right that is needed"
        )),
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
    check_status(&status.name, status.partitions, input.partitions)?;
    ledger::check_owner(client, topology, status.partitions)?;
    // The repartition topic has all rows of an upload in one partition.
    let partition_count = if topology.source.placement == Placement::Keyed { input.partitions } else { 1 };
    Ok(Checked { partition_count, guarantee: guarantee(client, topology, wanted)? })
}

/// Refuses a status topic that was made anew without the partition of a task, or that we may not write. Its workbooks would be sent again
/// and again, at least once, for no status could follow them.
pub(super) fn check_status_of(client: &KafkaClient, topology: &Topology, task: &TaskId) -> Result<(), TransportError> {
    let status = &topology.sink.status_topic;
    check_status(status, client.partitions(status)?, task.partition + 1)?;
    client.check_writable(status)
}

fn check_status(status: &str, found: i32, wanted: i32) -> Result<(), TransportError> {
    if found >= wanted {
        return Ok(());
    }
    Err(TransportError::Topic(format!(
        "{status} has {found} partitions, and task k writes its partition k: \
         kafka-topics --alter --topic {status} --partitions {wanted}"
    )))
}

/// The number of partitions that rows of one upload may lie in, as it is now. Fails without one of the topics that are read, and where one of
/// them, or that of the workbooks, has become a topic that loses records.
pub(super) fn count_source(client: &KafkaClient, topology: &Topology) -> Result<i32, TransportError> {
    let mut partition_count = 1; // the repartition topic has all rows of an upload in one partition
    for topic in topology.read_topics() {
        let topic = client.describe_topic(&topic)?;
        topic.check_uncompacted()?;
        if topology.source.placement == Placement::Keyed {
            partition_count = topic.partitions;
        }
    }
    client.describe_topic(&topology.sink.topic)?.check_uncompacted()?;
    Ok(partition_count)
}

fn guarantee(
    client: &KafkaClient,
    topology: &Topology,
    wanted: Option<Guarantee>,
) -> Result<Guarantee, TransportError> {
    if wanted == Some(Guarantee::AtLeastOnce) {
        return Ok(Guarantee::AtLeastOnce);
    }
    let first = TaskId { topology: topology.name.clone(), source: None, partition: 0 };
    match client.prepare_transactions(&first.transactional_id())? {
        None => Ok(Guarantee::ExactlyOnceV2),
        Some(shortage) if wanted.is_some() => Err(TransportError::Topic(shortage)),
        Some(shortage) => {
            warn!(topology = %topology.name, shortage, "workbooks are sent at least once");
            Ok(Guarantee::AtLeastOnce)
        }
    }
}

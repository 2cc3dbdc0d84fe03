//! Asks a cluster about itself, for somebody who looks for mistakes: which brokers answer, where they send clients, what they serve, how
//! topics are set up and what we may do with them. Asks once, and retries nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::describe_quorum_request as quorum;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, DescribeConfigsRequest, DescribeQuorumRequest, DescribeTransactionsRequest, FetchRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest, TopicName, TransactionalId,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::admin::topic_configs;
use super::group::Protocol;
use super::wire::cluster::Lane;
use super::wire::connection::Connection;
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, KafkaClient, KafkaError};
use crate::record::TopicPartition;
use crate::transport::TransportError;

/// The answer of one address.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Where its cluster sends clients.
    pub advertised: Vec<String>,
    /// Requests that we need and it does not serve, each with what it serves and what we speak.
    pub unserved: Vec<String>,
    /// The newest group protocol that its cluster has.
    pub group_protocol: Protocol,
    /// Whether it has streams groups (KIP-1071).
    pub has_streams_groups: bool,
}

/// A topic, as far as it can be seen.
#[derive(Clone, Debug)]
pub struct TopicInspection {
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of the partition that has the fewest.
    pub replicas: usize,
    /// Partitions that nobody leads now.
    pub leaderless: Vec<i32>,
    /// Whether we may read it; `None` when the broker does not say.
    pub may_read: Option<bool>,
    /// Whether we may write it.
    pub may_write: Option<bool>,
    /// Whether we may delete its records.
    pub may_delete: Option<bool>,
    /// Its configuration; empty without the right to see it.
    pub configs: BTreeMap<String, String>,
}

impl TopicInspection {
    /// A number of the configuration.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.configs.get(name)?.parse().ok()
    }
}

/// All of these block.
impl KafkaClient {
    /// Asks each address by itself, all at once.
    pub fn probe(&self, addresses: &[String]) -> Vec<(String, Result<Probe, KafkaError>)> {
        let answers = self.block_on(async {
            let mut asked = JoinSet::new();
            for (at, address) in addresses.iter().cloned().enumerate() {
                let (cluster, limit) = (self.cluster.clone(), self.config().request_timeout);
                asked.spawn(async move {
                    let reach = Arc::default();
                    let opened = Connection::open(&address, &cluster.config, &reach, cluster.refusals());
                    let probed = async { probe(&opened.await?).await };
                    let silent = || KafkaError::Silent { address: address.clone(), api: "Metadata", limit };
                    let probed = timeout(limit, probed).await.unwrap_or_else(|_| Err(silent()));
                    (at, address, probed)
                });
            }
            Ok::<_, KafkaError>(asked.join_all().await)
        });
        let mut answers = answers.unwrap_or_default();
        answers.sort_by_key(|(at, ..)| *at);
        answers.into_iter().map(|(_, address, probed)| (address, probed)).collect()
    }

    /// A topic as it is; `None` when there is none.
    pub fn inspect_topic(&self, name: &str) -> Result<Option<TopicInspection>, TransportError> {
        Ok(self.block_on(self.inspect(name))?)
    }

    /// Fails without the right to write a topic, as far as brokers say what we may.
    pub fn check_writable(&self, name: &str) -> Result<(), TransportError> {
        Ok(self.block_on(async {
            let (broker, found) = self.metadata(name).await?;
            match allowed(&found, WRITE) {
                Some(false) => {
                    let code = Code::TOPIC_AUTHORIZATION_FAILED.0;
                    broker.check::<ProduceRequest>(code, None, Resource::topic(name))
                }
                Some(true) | None => Ok(()),
            }
        })?)
    }

    /// Timestamp of the newest record of a partition, in milliseconds since 1970; `None` for an empty one.
    pub fn newest_timestamp(&self, partition: &TopicPartition) -> Result<Option<i64>, TransportError> {
        Ok(self.block_on(self.newest(partition))?)
    }

    /// The clock of the cluster's controller, in milliseconds since 1970; `None` without the right to describe the cluster.
    ///
    /// `DescribeQuorum` (KIP-836) dates the leader of the metadata quorum by its own clock as it answers.
    pub fn cluster_clock(&self) -> Result<Option<i64>, TransportError> {
        Ok(self.block_on(self.controller_clock())?)
    }

    /// Whether we may see transactions under `id`, as far as the cluster says it: `DescribeTransactions` came with Kafka 3.0.
    pub fn may_see_transactions(&self, id: &str) -> Result<bool, TransportError> {
        Ok(self.block_on(self.sees_transactions(id))?)
    }

    async fn sees_transactions(&self, id: &str) -> Result<bool, KafkaError> {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text(id))]);
        match self.cluster.any().await?.call(&request, 0).await {
            Ok(answer) => {
                let codes = answer.transaction_states.iter().map(|state| Code(state.error_code));
                Ok(codes.into_iter().all(|code| code != Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
            }
            Err(KafkaError::Version { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn controller_clock(&self) -> Result<Option<i64>, KafkaError> {
        let partition = quorum::PartitionData::default().with_partition_index(0);
        let topic = quorum::TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let broker = self.cluster.any().await?;
        let answer = broker.call(&DescribeQuorumRequest::default().with_topics(vec![topic]), 2).await?;
        if Code(answer.error_code) == Code::CLUSTER_AUTHORIZATION_FAILED {
            return Ok(None);
        }
        broker.check::<DescribeQuorumRequest>(answer.error_code, None, Resource::CLUSTER)?;
        let quorum = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let leader = quorum.and_then(|quorum| {
            let leader = quorum.leader_id;
            quorum.current_voters.into_iter().find(|voter| voter.replica_id == leader)
        });
        Ok(leader.map(|leader| leader.last_caught_up_timestamp).filter(|clock| *clock > 0))
    }

    /// What a broker says of a topic, and the broker.
    async fn metadata(&self, name: &str) -> Result<(Arc<Connection>, MetadataResponseTopic), KafkaError> {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request = MetadataRequest::default()
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true)
            .with_topics(Some(vec![topic]));
        let broker = self.cluster.any().await?;
        let answer = broker.call(&request, METADATA_MAX).await?;
        let found = answer.topics.into_iter().next();
        let found = found.ok_or_else(|| broker.malformed::<MetadataRequest>("no topic in the answer"))?;
        Ok((broker, found))
    }

    async fn inspect(&self, name: &str) -> Result<Option<TopicInspection>, KafkaError> {
        let (broker, found) = self.metadata(name).await?;
        if Code(found.error_code) == Code::UNKNOWN_TOPIC_OR_PARTITION {
            return Ok(None);
        }
        broker.check::<MetadataRequest>(found.error_code, None, Resource::topic(name))?;
        let leaderless = found.partitions.iter().filter(|partition| partition.leader_id.0 < 0);
        let configs = match topic_configs(&self.cluster, name, &CONFIGS).await {
            Err(error) if matches!(TransportError::from(error.clone()), TransportError::Unauthorised(_)) => {
                BTreeMap::new()
            }
            configs => configs?,
        };
        Ok(Some(TopicInspection {
            partitions: i32::try_from(found.partitions.len()).unwrap_or(i32::MAX),
            replicas: found.partitions.iter().map(|partition| partition.replica_nodes.len()).min().unwrap_or(0),
            leaderless: leaderless.map(|partition| partition.partition_index).collect(),
            may_read: allowed(&found, READ),
            may_write: allowed(&found, WRITE),
            may_delete: allowed(&found, DELETE),
            configs,
        }))
    }

    async fn newest(&self, partition: &TopicPartition) -> Result<Option<i64>, KafkaError> {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(MAX_TIMESTAMP);
        let topic =
            ListOffsetsTopic::default().with_name(TopicName(text(&partition.topic))).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        let (leader, _) = self.cluster.leader(partition, Lane::Control).await?;
        let answer = leader.call(&request, 7).await?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| leader.malformed::<ListOffsetsRequest>("no partition in the answer"))?;
        leader.check::<ListOffsetsRequest>(found.error_code, None, Resource::topic(&partition.topic))?;
        Ok((found.timestamp >= 0).then_some(found.timestamp))
    }
}

/// Operations of ACLs, as bits of what a broker says that we may do.
const READ: i32 = 3;
const WRITE: i32 = 4;
const DELETE: i32 = 6;

/// Whether we may do it to a topic, if the broker says so.
fn allowed(topic: &MetadataResponseTopic, operation: i32) -> Option<bool> {
    let reported = topic.topic_authorized_operations;
    (reported != i32::MIN).then_some(reported & (1 << operation) != 0)
}

/// `ListOffsets` for the record with the highest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
const METADATA_MAX: i16 = 12;
/// Settings of topics that matter to us.
const CONFIGS: [&str; 8] = [
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
];

async fn probe(connection: &Connection) -> Result<Probe, KafkaError> {
    let served = [
        connection.version::<ProduceRequest>(i16::MAX),
        connection.version::<FetchRequest>(i16::MAX),
        connection.version::<ListOffsetsRequest>(i16::MAX),
        connection.version::<MetadataRequest>(i16::MAX),
        connection.version::<FindCoordinatorRequest>(i16::MAX),
        connection.version::<OffsetCommitRequest>(i16::MAX),
        connection.version::<OffsetFetchRequest>(i16::MAX),
        connection.version::<InitProducerIdRequest>(i16::MAX),
        connection.version::<DescribeConfigsRequest>(i16::MAX),
    ];
    let unserved = served.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let answer = connection.call(&request, METADATA_MAX).await?;
    let advertised = answer.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect();
    let has_streams_groups = connection.has_streams_groups();
    Ok(Probe { advertised, unserved, group_protocol: connection.group_protocol(), has_streams_groups })
}

//! Makes missing topics, describes topics, and refuses those that cannot serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteRecordsRequest, DescribeConfigsRequest, TopicName};

use super::wire::cluster::{Bounds, Cluster, Lane, Topic};
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, Isolation, KafkaClient, KafkaError};
use crate::record::{LogId, Offset, TopicPartition};
use crate::transport::TransportError;

/// Resource type of a topic in `DescribeConfigs`.
const TOPIC_RESOURCE: i8 = 2;

/// A topic that should exist.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each; -1 for the brokers' default.
    pub replication: i16,
    /// Configuration where it differs from the brokers' defaults, `("cleanup.policy", "compact,delete")`.
    pub configs: Vec<(String, String)>,
}

/// The outcome of creating a [`NewTopic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is there now.
    Created,
    /// It was there, with as many partitions as wanted; its configuration is left as it is.
    Existed,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// `cleanup.policy`; `None` without the right to see it.
    pub cleanup_policy: Option<String>,
    /// `max.message.bytes`: the largest batch, 61 bytes of header included; `None` without the right to see it.
    pub max_message_bytes: Option<usize>,
}

impl TopicDescription {
    /// True when the log cleaner removes records whose key came again.
    pub fn is_compacted(&self) -> bool {
        self.cleanup_policy.as_ref().is_some_and(|policy| policy.split(',').any(|word| word.trim() == "compact"))
    }
    /// Refuses a compacted topic, which loses rows by design (contract 9).
    pub fn check_uncompacted(&self) -> Result<(), TransportError> {
        if self.is_compacted() {
            let message = format!(
                "has cleanup.policy=compact, which deletes records whose key comes again; use cleanup.policy=delete: \
                 kafka-configs --alter --topic {} --add-config cleanup.policy=delete",
                self.name
            );
            return Err(KafkaError::Topic { topic: self.name.clone(), message }.into());
        }
        Ok(())
    }
}

/// All of these block.
impl KafkaClient {
    /// Creates topics that are missing, each with its leaders elected on return. One that exists with another number of partitions is an
    /// error.
    pub fn create_topics(&self, topics: &[NewTopic]) -> Result<BTreeMap<String, Creation>, TransportError> {
        Ok(self.block_on(async {
            let mut created = BTreeMap::new();
            for topic in topics {
                created.insert(topic.name.clone(), create_topic(&self.cluster, topic).await?);
            }
            Ok::<_, KafkaError>(created)
        })?)
    }
    /// A topic as it is now; [`TransportError::Topic`] when there is none.
    pub fn describe_topic(&self, name: &str) -> Result<TopicDescription, TransportError> {
        Ok(self.block_on(describe_topic(&self.cluster, name))?)
    }
    /// Number of partitions of a topic as it is now.
    pub fn partitions(&self, topic: &str) -> Result<i32, TransportError> {
        Ok(self.block_on(find_topic(&self.cluster, topic))?)
    }
    /// The log behind a topic's name as it is now; `None` where brokers give topics no ids.
    pub fn log(&self, topic: &str) -> Result<Option<LogId>, TransportError> {
        Ok(self.topic_now(topic)?.log())
    }
    /// Epoch of the leader that a partition has now (KIP-320); `None` without one, or where the broker knows none.
    pub fn leader_epoch(&self, partition: &TopicPartition) -> Result<Option<i32>, TransportError> {
        Ok(self.topic_now(&partition.topic)?.leader_epoch(partition.partition))
    }
    fn topic_now(&self, name: &str) -> Result<Arc<Topic>, KafkaError> {
        self.block_on(async {
            find_topic(&self.cluster, name).await?;
            self.cluster.topic(name).await
        })
    }
    /// Where the partitions of a topic end now, records of open transactions included.
    pub fn ends(&self, topic: &Arc<str>) -> Result<Vec<i64>, TransportError> {
        Ok(self.block_on(async {
            let mut ends = Vec::new();
            for partition in 0..find_topic(&self.cluster, topic).await? {
                let partition = TopicPartition { topic: topic.clone(), partition };
                ends.push(self.cluster.bounds(&partition, Isolation::ReadUncommitted).await?.end.0);
            }
            Ok::<_, KafkaError>(ends)
        })?)
    }
    /// Deletes the records of a partition below an offset.
    pub(crate) async fn delete_records(&self, partition: &TopicPartition, below: Offset) -> Result<(), KafkaError> {
        let mut backoff = self.cluster.backoff("delete records");
        loop {
            match delete_records(&self.cluster, partition, below).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.cluster.forget_topic(&partition.topic);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    /// Where records of leader epoch `epoch` and of those before it end: a reader that has read further in that epoch has read what is not
    /// in the log any more (KIP-320).
    pub fn end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, TransportError> {
        Ok(self.block_on(self.cluster.end_of_epoch(partition, epoch))?)
    }
    /// The first record of a partition that is not older than `timestamp_ms`; `None` when all are.
    pub fn offset_at(&self, partition: &TopicPartition, timestamp_ms: i64) -> Result<Option<Offset>, TransportError> {
        // Negative times have meanings of their own.
        let asked = self.cluster.offset_at(partition, self.config().isolation, timestamp_ms.max(0));
        let found = self.block_on(asked)?;
        Ok((found.0 >= 0).then_some(found))
    }
    /// Where a partition begins and ends now.
    pub fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, TransportError> {
        Ok(self.block_on(self.cluster.bounds(partition, self.config().isolation))?)
    }
}

async fn create_topic(cluster: &Cluster, wanted: &NewTopic) -> Result<Creation, KafkaError> {
    let mut backoff = cluster.backoff("create topic");
    let creation = loop {
        match try_create_topic(cluster, wanted).await {
            Ok(creation) => break creation,
            Err(error) => backoff.wait(error).await?,
        }
    };
    let mut elected = cluster.backoff("elect leaders").starting_at(std::time::Duration::from_millis(20));
    for partition in 0..wanted.partitions {
        let partition = TopicPartition { topic: wanted.name.as_str().into(), partition };
        while let Err(error) = ready(cluster, &partition).await {
            cluster.forget_topic(&wanted.name);
            // The broker we ask may not have heard of the topic yet.
            let late = matches!(error, KafkaError::Topic { .. }) && creation == Creation::Created;
            elected.wait(if late { KafkaError::Leaderless(partition.clone()) } else { error }).await?;
        }
    }
    let found = cluster.topic(&wanted.name).await?.partitions;
    if found != wanted.partitions {
        let (name, asked) = (&wanted.name, wanted.partitions);
        let bootstrap = cluster.config.bootstrap.join(",");
        let fix = if found < asked {
            format!(
                "`kafka-topics --bootstrap-server {bootstrap} --alter --topic {name} --partitions {asked}` adds the others"
            )
        } else {
            format!("a topic never loses partitions: ask for {found}, or use another topic")
        };
        let message = format!("has {found} partitions and not {asked}; {fix}");
        return Err(KafkaError::Topic { topic: name.clone(), message });
    }
    Ok(creation)
}

async fn try_create_topic(cluster: &Cluster, wanted: &NewTopic) -> Result<Creation, KafkaError> {
    let config = |(name, value): &(String, String)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(&wanted.name)))
        .with_num_partitions(wanted.partitions)
        .with_replication_factor(wanted.replication)
        .with_configs(wanted.configs.iter().map(config).collect());
    let limit = i32::try_from(cluster.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(limit);
    let broker = cluster.any().await?;
    let answer = broker.call(&request, 7).await?;
    let created = answer.topics.first();
    let created = created.ok_or_else(|| broker.malformed::<CreateTopicsRequest>("no topic in the answer"))?;
    cluster.forget_topic(&wanted.name);
    if Code(created.error_code) == Code::TOPIC_ALREADY_EXISTS {
        return Ok(Creation::Existed);
    }
    let resource = Resource::topic(&wanted.name);
    broker.check::<CreateTopicsRequest>(created.error_code, created.error_message.as_ref(), resource)?;
    tracing::info!(topic = wanted.name, partitions = wanted.partitions, "topic created");
    Ok(Creation::Created)
}

async fn delete_records(cluster: &Cluster, partition: &TopicPartition, below: Offset) -> Result<(), KafkaError> {
    let (leader, _) = cluster.leader(partition, Lane::Control).await?;
    let asked = DeleteRecordsPartition::default().with_partition_index(partition.partition).with_offset(below.0);
    let topic = DeleteRecordsTopic::default().with_name(TopicName(text(&partition.topic))).with_partitions(vec![asked]);
    let limit = i32::try_from(cluster.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(limit);
    let answer = leader.call(&request, 2).await?;
    let deleted = answer.topics.first().and_then(|topic| topic.partitions.first());
    let deleted = deleted.ok_or_else(|| leader.malformed::<DeleteRecordsRequest>("no partition in the answer"))?;
    leader.check::<DeleteRecordsRequest>(deleted.error_code, None, Resource::topic(&partition.topic))
}

async fn ready(cluster: &Cluster, partition: &TopicPartition) -> Result<(), KafkaError> {
    let topic = cluster.topic(&partition.topic).await?;
    if partition.partition >= topic.partitions { Ok(()) } else { topic.leader(partition).map(|_| ()) }
}

pub(super) async fn find_topic(cluster: &Cluster, name: &str) -> Result<i32, KafkaError> {
    let mut backoff = cluster.backoff("find topic");
    loop {
        cluster.forget_topic(name);
        match cluster.topic(name).await {
            Ok(topic) => return Ok(topic.partitions),
            Err(error) => backoff.wait(error).await?,
        }
    }
}

/// See [`KafkaClient::describe_topic`].
pub(super) async fn describe_topic(cluster: &Cluster, name: &str) -> Result<TopicDescription, KafkaError> {
    let partitions = find_topic(cluster, name).await?;
    let mut backoff = cluster.backoff("describe topic");
    let configs = loop {
        match topic_configs(cluster, name, &["cleanup.policy", "max.message.bytes"]).await {
            Ok(configs) => break configs,
            Err(error) if matches!(TransportError::from(error.clone()), TransportError::Unauthorised(_)) => {
                tracing::debug!(topic = name, %error, "configuration not visible");
                break BTreeMap::new();
            }
            Err(error) => backoff.wait(error).await?,
        }
    };
    Ok(TopicDescription {
        name: name.into(),
        partitions,
        cleanup_policy: configs.get("cleanup.policy").cloned(),
        max_message_bytes: configs.get("max.message.bytes").and_then(|bytes| bytes.parse().ok()),
    })
}

/// Settings of a topic.
pub(super) async fn topic_configs(
    cluster: &Cluster,
    name: &str,
    wanted: &[&str],
) -> Result<BTreeMap<String, String>, KafkaError> {
    let wanted = wanted.iter().map(|name| text(name)).collect();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(name))
        .with_configuration_keys(Some(wanted));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let broker = cluster.any().await?;
    let answer = broker.call(&request, 4).await?;
    let described = answer.results.into_iter().next();
    let described = described.ok_or_else(|| broker.malformed::<DescribeConfigsRequest>("no topic in the answer"))?;
    let resource = Resource::topic(name);
    broker.check::<DescribeConfigsRequest>(described.error_code, described.error_message.as_ref(), resource)?;
    let value = |config: kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
        Some((config.name.to_string(), config.value?.to_string()))
    };
    Ok(described.configs.into_iter().filter_map(value).collect())
}

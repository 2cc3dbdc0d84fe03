//! Answers requests about the cluster, and makes and changes topics.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, MetadataRequest,
    MetadataResponse, TopicName,
};
use uuid::Uuid;

use super::configs::Configs;
use super::faults::Operation;
use super::topics::{Partition, Topic};
use super::{NODE, Shared, State, code};
use crate::kafka::wire::text::text;

/// Shown where a cluster says its name.
const CLUSTER_ID: &str = "sheetstream-in-process";
/// Rights are not kept.
const UNKNOWN_OPERATIONS: i32 = i32::MIN;
/// Partitions of a new topic, where the request names no number.
const DEFAULT_PARTITIONS: i32 = 1;

/// Kinds of things that have settings.
const TOPIC_RESOURCE: i8 = 2;
/// Where a setting comes from.
const TOPIC_CONFIG: i8 = 1;
const DEFAULT_CONFIG: i8 = 5;
/// Operations on a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Topics, their leader (us) and the brokers (us).
pub(super) fn metadata(shared: &Shared, request: MetadataRequest, version: i16) -> MetadataResponse {
    let mut state = shared.state();
    // In version 0 an empty list asks for everything, later none at all does.
    let wanted = request.topics.filter(|topics| version > 0 || !topics.is_empty());
    let topics = match wanted {
        None => state.topics.iter().map(|(name, topic)| described(shared, name, topic, version)).collect(),
        Some(wanted) => {
            let may_create = request.allow_auto_topic_creation && version >= 4 && shared.config.auto_create_topics;
            wanted.into_iter().map(|topic| look_up(shared, &mut state, topic, may_create, version)).collect()
        }
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE))
        .with_host(text(&shared.address.ip().to_string()))
        .with_port(shared.address.port().into());
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id((version >= 2).then(|| text(CLUSTER_ID)))
        .with_controller_id(BrokerId(NODE))
        .with_cluster_authorized_operations(UNKNOWN_OPERATIONS)
        .with_topics(topics)
}

fn look_up(
    shared: &Shared,
    state: &mut State,
    wanted: MetadataRequestTopic,
    may_create: bool,
    version: i16,
) -> MetadataResponseTopic {
    let missing = |error: ResponseError| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_topic_authorized_operations(UNKNOWN_OPERATIONS)
    };
    let Some(name) = wanted.name else {
        let name = state.topics.name(wanted.topic_id).map(str::to_owned);
        let found = name.as_deref().and_then(|name| Some((name, state.topics.get(name)?)));
        return match found {
            Some((name, topic)) => described(shared, name, topic, version),
            // A name that is null is not for old versions, but neither are ids.
            None => missing(ResponseError::UnknownTopicId).with_topic_id(wanted.topic_id).with_name(None),
        };
    };
    let mut refusal = ResponseError::UnknownTopicOrPartition;
    if may_create
        && state.topics.get(&name).is_none()
        && let Err(error) = state.create_topic(shared, &name, DEFAULT_PARTITIONS, Configs::default())
    {
        refusal = error;
    }
    match state.topics.get(&name) {
        Some(topic) => described(shared, &name, topic, version),
        None => missing(refusal).with_name(Some(name)),
    }
}

fn described(shared: &Shared, name: &str, topic: &Topic, version: i16) -> MetadataResponseTopic {
    if shared.faults.is_denied(name, Operation::Describe) {
        return MetadataResponseTopic::default()
            .with_name(Some(TopicName(text(name))))
            .with_error_code(ResponseError::TopicAuthorizationFailed.code())
            .with_topic_authorized_operations(UNKNOWN_OPERATIONS);
    }
    let partition = |(index, of): (i32, &Arc<Partition>)| {
        let partition = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_replica_nodes(vec![BrokerId(NODE)])
            .with_leader_epoch(if version >= 7 { of.log().epoch() } else { -1 });
        if shared.faults.is_leaderless(name, index) {
            return partition.with_leader_id(BrokerId(-1)).with_error_code(ResponseError::LeaderNotAvailable.code());
        }
        partition.with_leader_id(BrokerId(NODE)).with_isr_nodes(vec![BrokerId(NODE)])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(if version >= 10 { topic.id } else { Uuid::nil() })
        .with_topic_authorized_operations(UNKNOWN_OPERATIONS)
        .with_partitions((0..).zip(&topic.partitions).map(partition).collect())
}

pub(super) fn describe_cluster(shared: &Shared, _: DescribeClusterRequest) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE))
        .with_host(text(&shared.address.ip().to_string()))
        .with_port(shared.address.port().into());
    DescribeClusterResponse::default()
        .with_cluster_id(text(CLUSTER_ID))
        .with_controller_id(BrokerId(NODE))
        .with_cluster_authorized_operations(UNKNOWN_OPERATIONS)
        .with_brokers(vec![broker])
}

impl State {
    /// Groups that wait for the topic are given its partitions.
    fn create_topic(
        &mut self,
        shared: &Shared,
        name: &str,
        partitions: i32,
        configs: Configs,
    ) -> Result<Uuid, ResponseError> {
        let id = self.topics.create(shared, name, partitions, configs)?;
        tracing::debug!(topic = name, partitions, "topic created");
        self.groups.topics_changed(&self.topics);
        Ok(id)
    }
}

pub(super) fn create_topics(shared: &Shared, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let mut state = shared.state();
    let topics = request.topics.into_iter().map(|wanted| {
        let partitions = match (wanted.num_partitions, wanted.assignments.len()) {
            (-1, 0) => DEFAULT_PARTITIONS,
            (-1, assigned) => i32::try_from(assigned).unwrap_or(i32::MAX),
            (count, _) => count,
        };
        let created = create(shared, &mut state, &wanted, partitions, request.validate_only);
        let message = created.as_ref().err().map(|refusal| text(&refusal.to_string()));
        let result = CreatableTopicResult::default()
            .with_name(wanted.name)
            .with_error_code(code(&created))
            .with_error_message(message);
        if version < 5 {
            return result;
        }
        let result = result.with_num_partitions(partitions).with_replication_factor(1).with_configs(Some(Vec::new()));
        result.with_topic_id(created.ok().filter(|_| version >= 7).unwrap_or_default())
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create(
    shared: &Shared,
    state: &mut State,
    wanted: &CreatableTopic,
    partitions: i32,
    dry: bool,
) -> Result<Uuid, ResponseError> {
    if wanted.replication_factor > 1 {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    let mut configs = Configs::default();
    for config in &wanted.configs {
        configs.set(&config.name, config.value.as_deref())?;
    }
    if dry {
        return state.topics.check_new(&wanted.name, partitions).map(|_| Uuid::nil());
    }
    state.create_topic(shared, &wanted.name, partitions, configs)
}

pub(super) fn delete_topics(shared: &Shared, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let mut state = shared.state();
    let names = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
    let wanted: Vec<_> = names.chain(request.topics.into_iter().map(|topic| (topic.name, topic.topic_id))).collect();
    let results = wanted.into_iter().map(|(name, id)| {
        let name = name.or_else(|| state.topics.name(id).map(|name| TopicName(text(name))));
        let deleted = match &name {
            Some(name) => state.topics.delete(name),
            None => Err(ResponseError::UnknownTopicId),
        };
        if let (Ok(id), Some(name)) = (&deleted, &name) {
            let State { topics, groups, transactions } = &mut *state;
            transactions.forget_topic(name);
            groups.topic_deleted(name, *id, topics);
        }
        let error = code(&deleted);
        let result = DeletableTopicResult::default().with_name(name).with_error_code(error);
        if version >= 6 { result.with_topic_id(deleted.unwrap_or(id)) } else { result }
    });
    let results = results.collect();
    shared.data.notify_waiters(); // who reads it learns that it is gone
    DeleteTopicsResponse::default().with_responses(results)
}

pub(super) fn create_partitions(shared: &Shared, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut state = shared.state();
    let results = request.topics.into_iter().map(|topic| {
        let grown = state.topics.grow(shared, &topic.name, topic.count, request.validate_only);
        let State { topics, groups, .. } = &mut *state;
        groups.topics_changed(topics);
        CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code(&grown))
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

/// Settings of topics; a broker or anything else has none to show.
pub(super) fn describe_configs(
    shared: &Shared,
    request: DescribeConfigsRequest,
    version: i16,
) -> DescribeConfigsResponse {
    let state = shared.state();
    let results = request.resources.into_iter().map(|resource| {
        let configs = match (resource.resource_type, state.topics.get(&resource.resource_name)) {
            (TOPIC_RESOURCE, Some(topic)) => Ok(shown(topic, &resource, version)),
            (TOPIC_RESOURCE, None) => Err(ResponseError::UnknownTopicOrPartition),
            _ => Ok(Vec::new()),
        };
        DescribeConfigsResult::default()
            .with_error_code(code(&configs))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
            .with_configs(configs.unwrap_or_default())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn shown(topic: &Topic, of: &DescribeConfigsResource, version: i16) -> Vec<DescribeConfigsResourceResult> {
    /// Type of a setting as of version 3: everything is a string to us.
    const STRING: i8 = 2;
    let is_wanted =
        |name: &str| of.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| **key == *name));
    let wanted = topic.configs.all().filter(|config| is_wanted(config.name));
    let result = |config: super::configs::Config<'_>| {
        DescribeConfigsResourceResult::default()
            .with_name(text(config.name))
            .with_value(Some(text(config.value)))
            .with_config_source(if config.is_default { DEFAULT_CONFIG } else { TOPIC_CONFIG })
            .with_config_type(if version >= 3 { STRING } else { 0 })
    };
    wanted.map(result).collect()
}

pub(super) fn alter_configs(
    shared: &Shared,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut state = shared.state();
    let results = request.resources.into_iter().map(|resource| {
        let altered = alter(&mut state, &resource, request.validate_only);
        AlterConfigsResourceResponse::default()
            .with_error_code(code(&altered))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    IncrementalAlterConfigsResponse::default().with_responses(results.collect())
}

fn alter(state: &mut State, resource: &AlterConfigsResource, dry: bool) -> Result<(), ResponseError> {
    if resource.resource_type != TOPIC_RESOURCE {
        return Err(ResponseError::InvalidRequest);
    }
    let configs = state.topics.configs_mut(&resource.resource_name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let mut changed = configs.clone();
    for config in &resource.configs {
        match config.config_operation {
            SET => changed.set(&config.name, config.value.as_deref())?,
            DELETE => changed.set(&config.name, None)?,
            _ => return Err(ResponseError::InvalidConfig), // lists are not kept as lists
        }
    }
    if !dry {
        *configs = changed;
    }
    Ok(())
}

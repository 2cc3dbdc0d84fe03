//! Committed offsets of a group, with their metadata strings.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::topics::Topics;
use super::{Shared, State, code};
use crate::kafka::wire::text::text;

/// From this version on a request names several groups.
const BATCHED_VERSION: i16 = 8;
/// As in Kafka.
const METADATA_BYTES_MAX: usize = 4_096;

/// The commit of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

/// By topic and partition.
#[derive(Default)]
pub(super) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, Committed>>,
    /// Partitions with offsets in transactions under way, once for each.
    pending: Vec<(String, i32)>,
}

impl Offsets {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(topic)?.get(&partition)
    }
    pub(super) fn set(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.committed.entry(topic.to_owned()).or_default().insert(partition, committed);
    }
    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.committed.remove(topic);
    }
    pub(super) fn begin(&mut self, topic: &str, partition: i32) {
        self.pending.push((topic.to_owned(), partition));
    }
    pub(super) fn end(&mut self, topic: &str, partition: i32) {
        if let Some(at) = self.pending.iter().position(|(t, p)| t == topic && *p == partition) {
            self.pending.swap_remove(at);
        }
    }
    fn is_pending(&self, topic: &str, partition: i32) -> bool {
        self.pending.iter().any(|(t, p)| t == topic && *p == partition)
    }
    fn all(&self) -> Vec<(String, Vec<i32>)> {
        self.committed.iter().map(|(topic, of)| (topic.clone(), of.keys().copied().collect())).collect()
    }
}

impl Committed {
    /// Checks an offset as it comes in a request.
    pub(super) fn check(
        topics: &Topics,
        topic: &str,
        partition: i32,
        offset: i64,
        leader_epoch: i32,
        metadata: Option<&str>,
    ) -> Result<Committed, ResponseError> {
        topics.partition(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let metadata = metadata.unwrap_or_default().to_owned();
        if metadata.len() > METADATA_BYTES_MAX {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        Ok(Committed { offset, leader_epoch, metadata })
    }
}

pub(super) fn commit(shared: &Shared, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut state = shared.state();
    let State { topics, groups, .. } = &mut *state;
    let (member, epoch) = (request.member_id.as_str(), request.generation_id_or_member_epoch);
    let mut group = groups.obtain(&request.group_id);
    let answered = request.topics.into_iter().map(|topic| {
        let id = topics.get(&topic.name).map(|topic| topic.id);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let committed = (|| {
                let group = group.as_mut().map_err(|refusal| *refusal)?;
                group.check_commit(member, epoch, id.map(|id| (id, index)))?;
                let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
                let metadata = asked.committed_metadata.as_deref();
                let committed = Committed::check(topics, &topic.name, index, offset, leader_epoch, metadata)?;
                group.offsets.set(&topic.name, index, committed);
                Ok(())
            })();
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code(&committed))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(answered.collect())
}

/// An offset as it is answered, whatever the version.
struct Found {
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: i16,
}

fn look_up(state: &State, group: &str, topic: &str, partition: i32, stable: bool) -> Found {
    let offsets = state.groups.get(group).map(|group| &group.offsets);
    if stable && offsets.is_some_and(|offsets| offsets.is_pending(topic, partition)) {
        let error = ResponseError::UnstableOffsetCommit.code();
        return Found { offset: -1, leader_epoch: -1, metadata: String::new(), error };
    }
    match offsets.and_then(|offsets| offsets.get(topic, partition)) {
        Some(Committed { offset, leader_epoch, metadata }) => {
            Found { offset: *offset, leader_epoch: *leader_epoch, metadata: metadata.clone(), error: 0 }
        }
        None => Found { offset: -1, leader_epoch: -1, metadata: String::new(), error: 0 },
    }
}

pub(super) fn fetch(shared: &Shared, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let state = shared.state();
    let stable = request.require_stable;
    let all = |group: &GroupId| state.groups.get(group).map(|group| group.offsets.all()).unwrap_or_default();
    if version < BATCHED_VERSION {
        let group = &request.group_id;
        let asked = request
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect());
        let topics = asked.unwrap_or_else(|| all(group)).into_iter().map(|(name, indexes)| {
            let partitions = indexes.into_iter().map(|index| {
                let found = look_up(&state, group, &name, index, stable);
                OffsetFetchResponsePartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(found.offset)
                    .with_committed_leader_epoch(if version >= 5 { found.leader_epoch } else { -1 })
                    .with_metadata(Some(text(&found.metadata)))
                    .with_error_code(found.error)
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopic::default().with_name(TopicName(text(&name))).with_partitions(partitions)
        });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|asked| {
        let group = asked.group_id;
        let topics = asked
            .topics
            .map(|topics| topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect());
        let topics = topics.unwrap_or_else(|| all(&group)).into_iter().map(|(name, indexes)| {
            let partitions = indexes.into_iter().map(|index| {
                let found = look_up(&state, &group, &name, index, stable);
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(found.offset)
                    .with_committed_leader_epoch(found.leader_epoch)
                    .with_metadata(Some(text(&found.metadata)))
                    .with_error_code(found.error)
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopics::default().with_name(TopicName(text(&name))).with_partitions(partitions)
        });
        let topics = topics.collect();
        OffsetFetchResponseGroup::default().with_group_id(group).with_topics(topics)
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

//! A group's committed offsets with their metadata string, which carries the replay offset (contract 16).

use std::collections::HashMap;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::group::Group;
use super::wire::backoff::Backoff;
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, KafkaError};
use crate::record::{Offset, TopicPartition};
use crate::transport::{Committed, Fence, OpenUploads, Progress, TransportError};

/// The last versions that name topics; the next ones want ids.
const BY_NAME_MAX: i16 = 9;

/// The commit of a partition.
struct Commitment {
    offset: Offset,
    leader_epoch: Option<i32>,
    metadata: String,
}

impl Group {
    /// The commits of `partitions`, from the coordinator; offsets of transactions under way are waited for. Blocking.
    pub fn fetch_committed(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<HashMap<TopicPartition, Committed>, TransportError> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        Ok(self.client.block_on(self.fetch(&partitions, true))?)
    }
    /// The last commit of `partition`; a transaction under way is not waited for. Blocking.
    pub fn fetch_latest(&self, partition: &TopicPartition) -> Result<Committed, TransportError> {
        let mut committed = self.client.block_on(self.fetch(std::slice::from_ref(partition), false))?;
        Ok(committed.remove(partition).unwrap_or(Committed::None))
    }
    /// The uploads that are open in `partitions` as of the last commits; nothing is waited for. Blocking.
    pub(super) fn fetch_open(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<(i32, OpenUploads)>, TransportError> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let committed = self.client.block_on(self.fetch(&partitions, false))?;
        let mut open: Vec<_> = committed
            .into_iter()
            .filter_map(|(at, committed)| match committed {
                Committed::Ours(progress) => Some((at.partition, progress.open()?.clone())),
                Committed::None | Committed::Reset(_) => None,
            })
            .collect();
        open.sort_unstable_by_key(|(partition, _)| *partition);
        Ok(open)
    }
    /// Commits `progress` under `fence`. A commit of a member that no longer owns the partition is [`TransportError::Fenced`]. Blocking.
    pub fn commit(&self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        Ok(self.client.block_on(self.commit_retrying(partition, progress, fence))?)
    }

    /// Commits `offset` as somebody who is no member, and without our metadata: the next owner begins there. Refused while the group has
    /// members. Blocking.
    pub fn reset(&self, partition: &TopicPartition, offset: Offset) -> Result<(), TransportError> {
        let at = Commitment { offset, leader_epoch: None, metadata: String::new() };
        Ok(self.client.block_on(async {
            let mut backoff = self.client.cluster.backoff("reset offsets");
            loop {
                match self.try_commit(partition, &at, &Fence { member: String::new(), epoch: -1 }).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        self.forget_coordinator(&error);
                        backoff.wait(error).await?;
                    }
                }
            }
        })?)
    }

    async fn commit_retrying(
        &self,
        partition: &TopicPartition,
        progress: &Progress,
        fence: &Fence,
    ) -> Result<(), KafkaError> {
        let config = &self.client.cluster.config;
        let mut backoff = Backoff::new("commit", config.retry_deadline.min(config.delivery_timeout));
        let mut fence = fence.clone();
        let mut at =
            Commitment { offset: progress.next, leader_epoch: progress.leader_epoch, metadata: progress.metadata() };
        loop {
            let error = match self.try_commit(partition, &at, &fence).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.code() == Some(Code::OFFSET_METADATA_TOO_LARGE)
                && at.metadata.len() > progress.unlisted().metadata().len()
            {
                at.metadata = progress.unlisted().metadata();
                continue;
            }
            if let Some(renewed) = self.membership.fence_after(&error, partition, &fence) {
                fence = renewed; // brokers before 4.3 take the newest epoch only, as classic groups do
                continue;
            }
            if self.membership.may_be_renewed(&error) {
                backoff.wait_for_mending(error).await?;
                continue;
            }
            self.forget_coordinator(&error);
            backoff.wait(error).await?;
        }
    }
    async fn try_commit(&self, at: &TopicPartition, commit: &Commitment, fence: &Fence) -> Result<(), KafkaError> {
        let coordinator = self.client.cluster.coordinator(&self.id).await?;
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(at.partition)
            .with_committed_offset(commit.offset.0)
            .with_committed_leader_epoch(commit.leader_epoch.unwrap_or(-1))
            .with_committed_metadata(Some(text(&commit.metadata)));
        let topic =
            OffsetCommitRequestTopic::default().with_name(TopicName(text(&at.topic))).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.id)))
            .with_member_id(text(&fence.member))
            .with_generation_id_or_member_epoch(fence.epoch)
            .with_topics(vec![topic]);
        let _turn = self.membership.turn.lock().await;
        let answer = coordinator.call(&request, BY_NAME_MAX).await?;
        let answered = answer.topics.first().and_then(|topic| topic.partitions.first());
        let answered =
            answered.ok_or_else(|| coordinator.malformed::<OffsetCommitRequest>("no partition in the answer"))?;
        coordinator.check::<OffsetCommitRequest>(
            answered.error_code,
            None,
            Resource::group(&self.id).and_topic(&at.topic),
        )
    }

    async fn fetch(
        &self,
        partitions: &[TopicPartition],
        is_stable: bool,
    ) -> Result<HashMap<TopicPartition, Committed>, KafkaError> {
        let mut backoff = self.client.cluster.backoff("fetch offsets");
        loop {
            match self.try_fetch(partitions, is_stable).await {
                Ok(committed) => return Ok(committed),
                Err(error) => {
                    self.forget_coordinator(&error);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    async fn try_fetch(
        &self,
        partitions: &[TopicPartition],
        is_stable: bool,
    ) -> Result<HashMap<TopicPartition, Committed>, KafkaError> {
        let mut by_topic: HashMap<&TopicPartition, Committed> =
            partitions.iter().map(|partition| (partition, Committed::None)).collect();
        let topic = |partition: &TopicPartition| {
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text(&partition.topic)))
                .with_partition_indexes(vec![partition.partition])
        };
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(&self.id)))
            .with_member_epoch(-1)
            .with_topics(Some(partitions.iter().map(topic).collect()));
        let request = OffsetFetchRequest::default().with_require_stable(is_stable);
        let coordinator = self.client.cluster.coordinator(&self.id).await?;
        // Brokers before 3.0 are asked for one group at a time.
        let is_batched = coordinator.version::<OffsetFetchRequest>(BY_NAME_MAX)? >= 8;
        let request = if is_batched { request.with_groups(vec![group]) } else { alone(request, group) };
        let mut answer = coordinator.call(&request, BY_NAME_MAX).await?;
        let group = if is_batched { answer.groups.pop() } else { Some(batched(answer)) };
        let group = group.ok_or_else(|| coordinator.malformed::<OffsetFetchRequest>("no group in the answer"))?;
        coordinator.check::<OffsetFetchRequest>(group.error_code, None, Resource::group(&self.id))?;
        for topic in &group.topics {
            for answered in &topic.partitions {
                let resource = Resource::group(&self.id).and_topic(topic.name.as_str());
                coordinator.check::<OffsetFetchRequest>(answered.error_code, None, resource)?;
                let at = TopicPartition { topic: topic.name.as_str().into(), partition: answered.partition_index };
                if let (Some(committed), 0..) = (by_topic.get_mut(&at), answered.committed_offset) {
                    let next = Offset(answered.committed_offset);
                    let metadata = answered.metadata.as_deref().unwrap_or_default();
                    *committed = Progress::parse(next, metadata).map_or(Committed::Reset(next), Committed::Ours);
                }
            }
        }
        Ok(by_topic.into_iter().map(|(partition, committed)| (partition.clone(), committed)).collect())
    }
    fn forget_coordinator(&self, error: &KafkaError) {
        if error.code().is_none_or(Code::is_wrong_broker) {
            self.client.cluster.forget_coordinator(&self.id);
        }
    }
}

/// The request in the form of brokers before 3.0: the group itself.
fn alone(request: OffsetFetchRequest, group: OffsetFetchRequestGroup) -> OffsetFetchRequest {
    let topic = |topic: OffsetFetchRequestTopics| {
        OffsetFetchRequestTopic::default().with_name(topic.name).with_partition_indexes(topic.partition_indexes)
    };
    let topics = group.topics.map(|topics| topics.into_iter().map(topic).collect());
    request.with_group_id(group.group_id).with_topics(topics)
}

/// The answer of brokers before 3.0 in the form of the newer ones.
fn batched(answer: OffsetFetchResponse) -> OffsetFetchResponseGroup {
    let partition = |partition: OffsetFetchResponsePartition| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code)
    };
    let topic = |topic: OffsetFetchResponseTopic| {
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_partitions(topic.partitions.into_iter().map(partition).collect())
    };
    OffsetFetchResponseGroup::default()
        .with_error_code(answer.error_code)
        .with_topics(answer.topics.into_iter().map(topic).collect())
}

//! Heartbeats of streams groups (KIP-1071): the group knows our topology, tasks take the place of partitions, and no consumer can join.
//!
//! A subtopology is a topic that is read: its task N is the topic's partition N. With `placement = "spread"` the repartition topic is one
//! more, which those of the source topics write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::wire::rights::Resource;
use super::super::wire::streams_groups::{
    StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse, Subtopology, Tasks,
};
use super::super::wire::text::text;
use super::super::{Code, KafkaError};
use super::heartbeat::{Answer, Heartbeat, JOIN, LEAVE};
use super::{Group, Instance, REBALANCE_TIMEOUT, roster};
use crate::record::TopicPartition;

/// Codes of the status of a group: its topics are not all there.
const MISSING_SOURCE_TOPICS: i8 = 1;
/// Members wait for others to join, which passes.
const ASSIGNMENT_DELAYED: i8 = 5;

const NO_STREAMS_GROUPS: &str = "the cluster has no streams groups (KIP-1071): it is older than Kafka 4.2, or its feature streams.version \
    is 0; leave group.protocol=streams out of the settings, or switch them on: \
    kafka-features.sh --bootstrap-server HOST:PORT upgrade --feature streams.version=1";

/// The heartbeats of one member.
pub(super) struct StreamsHeartbeats {
    group: Group,
    instance: Instance,
    topics: Vec<Arc<str>>,
    /// The topic among them that the topology writes itself.
    repartition: Option<Arc<str>>,
    /// The former process under our name has been put out.
    has_succeeded: bool,
    /// What the coordinator said last of the group.
    status: Vec<(i8, String)>,
}

impl StreamsHeartbeats {
    pub(super) fn new(group: Group, instance: Instance, topics: Vec<Arc<str>>) -> StreamsHeartbeats {
        let repartition = group.repartition.clone();
        StreamsHeartbeats { group, instance, topics, repartition, has_succeeded: false, status: Vec::new() }
    }

    pub(super) async fn send(&mut self, heartbeat: Heartbeat<'_>) -> Result<Answer, KafkaError> {
        let is_join = heartbeat.epoch == JOIN;
        if is_join && !self.has_succeeded {
            self.succeed().await?;
        }
        let request = StreamsGroupHeartbeatRequest {
            rebalance_timeout_ms: if is_join { REBALANCE_TIMEOUT.as_millis() as i32 } else { -1 },
            topology: if is_join { Some(self.topology().await?) } else { None },
            active_tasks: heartbeat.held.map(|held| self.tasks_of(held)),
            process_id: is_join.then(|| self.instance.incarnation.to_string()),
            ..self.request(heartbeat.member, heartbeat.epoch)
        };
        let answer = self.exchange(&request).await?;
        self.note(answer.status);
        let interval = Duration::from_millis(answer.heartbeat_interval_ms.max(1) as u64);
        let target = answer.active_tasks.map(|tasks| roster::partitions_of(&tasks, &self.topics));
        Ok(Answer { epoch: answer.member_epoch, interval, target })
    }

    pub(super) async fn leave(&self, member: &str) -> Result<(), KafkaError> {
        self.exchange(&self.request(member, LEAVE)).await.map(drop)
    }

    pub(super) fn remedy(&self, error: &KafkaError) -> Option<String> {
        let group = &self.group.id;
        let KafkaError::Refused { code, message, .. } = error else { return None };
        match *code {
            Code::GROUP_ID_NOT_FOUND | Code::INCONSISTENT_GROUP_PROTOCOL => Some(format!(
                "{message}; group {group} is of another protocol: stop its members, and delete it, which loses its offsets: \
                 kafka-consumer-groups.sh --bootstrap-server HOST:PORT --delete --group {group}"
            )),
            Code::STREAMS_INVALID_TOPOLOGY | Code::STREAMS_INVALID_TOPOLOGY_EPOCH | Code::STREAMS_TOPOLOGY_FENCED => {
                Some(format!(
                    "{message}; group {group} knows other topics: stop all instances before one starts with these"
                ))
            }
            _ => None,
        }
    }

    /// Puts out what a former process of this state directory, which is proven dead, has left in the group: its tasks are free at once.
    /// Streams groups have no names that outlive a process.
    async fn succeed(&mut self) -> Result<(), KafkaError> {
        if let Some(former) = self.instance.former {
            let members = roster::streams_group(&self.group.client.cluster, &self.group.id).await?.members;
            for member in members.iter().filter(|member| roster::process_of(&member.member_id) == Some(former)) {
                match self.leave(&member.member_id).await {
                    Err(error) if error.code() == Some(Code::UNKNOWN_MEMBER_ID) => {} // it has gone meanwhile
                    left => left?,
                }
            }
        }
        self.has_succeeded = true;
        Ok(())
    }

    async fn topology(&self) -> Result<Vec<Subtopology>, KafkaError> {
        let mut parts = Vec::new();
        for (id, topic) in self.topics.iter().enumerate() {
            let found = self.group.client.cluster.topic(topic).await?;
            let part = Subtopology { id: id.to_string(), ..Subtopology::default() };
            parts.push(match &self.repartition {
                Some(repartition) if repartition == topic => {
                    Subtopology { repartition_source_topics: vec![(topic.to_string(), found.partitions)], ..part }
                }
                repartition => Subtopology {
                    source_topics: vec![topic.to_string()],
                    repartition_sink_topics: repartition.iter().map(ToString::to_string).collect(),
                    ..part
                },
            });
        }
        Ok(parts)
    }

    fn tasks_of(&self, held: &BTreeSet<TopicPartition>) -> Tasks {
        let mut tasks: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for TopicPartition { topic, partition } in held {
            if let Some(id) = self.topics.iter().position(|read| read == topic) {
                tasks.entry(id.to_string()).or_default().push(*partition);
            }
        }
        tasks.into_iter().collect()
    }

    fn request(&self, member: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
        StreamsGroupHeartbeatRequest {
            group_id: self.group.id.to_string(),
            member_id: member.to_owned(),
            member_epoch: epoch,
            rebalance_timeout_ms: -1,
            ..StreamsGroupHeartbeatRequest::default()
        }
    }

    async fn exchange(
        &self,
        request: &StreamsGroupHeartbeatRequest,
    ) -> Result<StreamsGroupHeartbeatResponse, KafkaError> {
        let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
        if !coordinator.has_streams_groups() {
            return Err(KafkaError::Refused {
                address: coordinator.address().into(),
                api: "StreamsGroupHeartbeat",
                code: Code::UNSUPPORTED_VERSION,
                message: NO_STREAMS_GROUPS.to_owned(),
            });
        }
        let _turn = self.group.membership.turn.lock().await;
        let answer = coordinator.call(request, 0).await?;
        let resource = Resource::group(&self.group.id).and_topic(self.topics.first().map_or("", |topic| topic));
        let message = answer.error_message.as_deref().map(text);
        coordinator.check::<StreamsGroupHeartbeatRequest>(answer.error_code, message.as_ref(), resource)?;
        Ok(answer)
    }

    /// Reports what the coordinator finds wrong with the group, once each.
    fn note(&mut self, status: Vec<(i8, String)>) {
        for (code, detail) in status.iter().filter(|said| !self.status.contains(said) && said.0 != ASSIGNMENT_DELAYED) {
            let advice = match *code {
                MISSING_SOURCE_TOPICS => "; `sheetstream topics create` creates topics",
                _ => "",
            };
            tracing::warn!(group = %self.group.id, code, "the group's coordinator gives no tasks out: {detail}{advice}");
        }
        self.status = status;
    }
}

//! Heartbeats of consumer groups (KIP-848): they name topics by their ids.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::consumer_group_describe_response::Member;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use uuid::Uuid;

use super::super::wire::rights::Resource;
use super::super::wire::text::text;
use super::super::{Code, KafkaError};
use super::heartbeat::{Answer, Heartbeat, JOIN, LEAVE};
use super::{Group, REBALANCE_TIMEOUT, roster};
use crate::record::TopicPartition;

/// Epoch of a member that leaves its name and what it holds to whoever joins under it next.
const HAND_OVER: i32 = -2;

/// The heartbeats of one member.
pub(super) struct ConsumerHeartbeats {
    group: Group,
    /// Name of the instance.
    instance: String,
    topics: Vec<Arc<str>>,
    names: HashMap<Uuid, Arc<str>>,
}

impl ConsumerHeartbeats {
    pub(super) fn new(group: Group, instance: String, topics: Vec<Arc<str>>) -> ConsumerHeartbeats {
        ConsumerHeartbeats { group, instance, topics, names: HashMap::new() }
    }

    pub(super) async fn send(&mut self, heartbeat: Heartbeat<'_>) -> Result<Answer, KafkaError> {
        if self.names.is_empty() {
            self.look_topics_up().await?;
        }
        let mut request = self.request(heartbeat.member, heartbeat.epoch);
        if heartbeat.epoch == JOIN {
            let names = self.topics.iter().map(|topic| TopicName(text(topic))).collect();
            request = request
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT.as_millis() as i32)
                .with_subscribed_topic_names(Some(names));
        }
        request = request.with_topic_partitions(heartbeat.held.map(|held| self.by_topic_id(held)));
        let answer = self.exchange(&request).await?;
        let target = match answer.assignment {
            Some(assignment) => Some(self.named(assignment).await?),
            None => None,
        };
        let interval = Duration::from_millis(answer.heartbeat_interval_ms.max(1) as u64);
        Ok(Answer { epoch: answer.member_epoch, interval, target })
    }

    pub(super) async fn leave(&self, member: &str) -> Result<(), KafkaError> {
        self.exchange(&self.request(member, LEAVE)).await.map(drop)
    }

    /// Has the holder of our name hand it over, and says who it was.
    pub(super) async fn hand_over(&self) -> Result<Option<Member>, KafkaError> {
        let members = roster::members(&self.group.client.cluster, &self.group.id).await?;
        let holds = |instance: &Option<_>| instance.as_ref().is_some_and(|held| *held == text(&self.instance));
        let Some(holder) = members.into_iter().find(|member| holds(&member.instance_id)) else { return Ok(None) };
        self.exchange(&self.request(&holder.member_id, HAND_OVER)).await?;
        Ok(Some(holder))
    }

    pub(super) fn remedy(&self, error: &KafkaError) -> Option<String> {
        let remedy = match error.code()? {
            Code::UNSUPPORTED_VERSION => {
                "the cluster has no groups of KIP-848: it is older than Kafka 4.0, or its feature group.version is 0 \
                 since an upgrade; leave group.protocol out of the settings, or switch them on: \
                 kafka-features.sh --bootstrap-server HOST:PORT upgrade --feature group.version=1"
            }
            Code::GROUP_ID_NOT_FOUND => {
                "the group is of another protocol: of KIP-1071, if other instances have group.protocol=streams; all must have \
                 the same"
            }
            _ => return None,
        };
        Some(remedy.to_owned())
    }

    fn request(&self, member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_member_id(text(member))
            .with_member_epoch(epoch)
            .with_instance_id(Some(text(&self.instance)))
            .with_rebalance_timeout_ms(-1)
    }

    async fn exchange(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, KafkaError> {
        let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
        let _turn = self.group.membership.turn.lock().await;
        let answer = coordinator.call(request, 1).await?;
        let resource = Resource::group(&self.group.id).and_topic(self.topics.first().map_or("", |topic| topic));
        coordinator.check::<ConsumerGroupHeartbeatRequest>(
            answer.error_code,
            answer.error_message.as_ref(),
            resource,
        )?;
        Ok(answer)
    }

    async fn look_topics_up(&mut self) -> Result<(), KafkaError> {
        for name in &self.topics {
            self.group.client.cluster.forget_topic(name);
            let topic = self.group.client.cluster.topic(name).await?;
            self.names.retain(|_, former| former != name); // made anew, it has another id
            self.names.insert(topic.id, name.clone());
        }
        Ok(())
    }

    async fn named(&mut self, assignment: Assignment) -> Result<BTreeSet<TopicPartition>, KafkaError> {
        if assignment.topic_partitions.iter().any(|topic| !self.names.contains_key(&topic.topic_id)) {
            self.look_topics_up().await?; // a topic was made anew under its name
        }
        let mut named = BTreeSet::new();
        for of in assignment.topic_partitions {
            let Some(topic) = self.names.get(&of.topic_id) else {
                let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
                // Deleted, or made anew and not known everywhere yet.
                let message = format!("no topic has the id {}", of.topic_id);
                return Err(KafkaError::Refused {
                    address: coordinator.address().into(),
                    api: "ConsumerGroupHeartbeat",
                    code: Code::UNKNOWN_TOPIC_ID,
                    message,
                });
            };
            named.extend(of.partitions.iter().map(|p| TopicPartition { topic: topic.clone(), partition: *p }));
        }
        Ok(named)
    }

    fn by_topic_id(&self, held: &BTreeSet<TopicPartition>) -> Vec<TopicPartitions> {
        let mut by_id: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (id, name) in &self.names {
            for held in held.iter().filter(|held| held.topic == *name) {
                by_id.entry(*id).or_default().push(held.partition);
            }
        }
        let of = |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
        by_id.into_iter().map(of).collect()
    }
}

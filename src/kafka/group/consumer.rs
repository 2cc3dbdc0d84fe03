//! Membership by the protocol of KIP-848: a heartbeat carries what we hold and brings what we should hold, which the broker works out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::super::wire::rights::Resource;
use super::super::wire::text::text;
use super::super::{Code, KafkaError};
use super::holdings::Holdings;
use super::member::Command;
use super::{Group, Instance, REBALANCE_TIMEOUT, roster};
use crate::record::TopicPartition;
use crate::transport::Fence;

/// Between heartbeats while an assignment is under way. The broker works assignments out on the side, so that the first answer is always
/// empty; waiting for its own interval of 5 s would make that the time of every join.
const EAGER: Duration = Duration::from_millis(150);

/// Member epochs with a meaning of their own (KIP-848).
const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// Leaves the name and what it holds to whoever joins under it next.
const HAND_OVER: i32 = -2;

/// The task that owns the membership.
pub(super) struct Actor {
    group: Group,
    instance: Instance,
    member: String,
    /// How often we have joined.
    joined: u32,
    topics: Vec<Arc<str>>,
    names: HashMap<Uuid, Arc<str>>,
    /// [`JOIN`], then what the broker gives.
    epoch: i32,
    holdings: Holdings,
    /// The partitions that we last reported as ours; `None` when the broker may not have heard it.
    reported: Option<BTreeSet<TopicPartition>>,
    interval: Duration,
    commands: UnboundedReceiver<Command>,
}

impl Actor {
    pub(super) fn new(
        group: Group,
        instance: Instance,
        topics: Vec<Arc<str>>,
        holdings: Holdings,
        commands: UnboundedReceiver<Command>,
    ) -> Actor {
        Actor {
            group,
            member: roster::member_id(instance.incarnation, 0),
            instance,
            joined: 0,
            topics,
            holdings,
            names: HashMap::new(),
            epoch: JOIN,
            reported: None,
            interval: EAGER,
            commands,
        }
    }

    /// Sends heartbeats until the command to leave.
    /// 1. Beat; an answer may revoke, assign or move the epoch.
    /// 2. Unknown or fenced: everything is lost already; drop it, join anew. Our name is another's: give up, or take it over.
    /// 3. Anything else that passes: wait, look for the coordinator again, repeat what we hold.
    /// 4. Wait for the next beat, sooner while things move, at once when something was let go.
    pub(super) async fn keep(mut self) -> Result<(), KafkaError> {
        let mut backoff = self.group.client.cluster.backoff("heartbeat");
        loop {
            let beaten = match self.beat().await {
                Err(error) if error.code() == Some(Code::UNRELEASED_INSTANCE_ID) => self.take_over(error).await,
                beaten => beaten,
            };
            match beaten {
                Ok(()) => backoff.reset(),
                Err(error) if error.code() == Some(Code::FENCED_INSTANCE_ID) => {
                    return Err(self.instance.replaced_in(&self.group.id));
                }
                Err(error) if is_put_out(&error) => {
                    tracing::warn!(group = %self.group.id, %error, "put out of the group; joining anew");
                    if self.epoch == JOIN {
                        tokio::time::sleep(EAGER).await;
                    }
                    self.lose();
                    continue;
                }
                // We had the right when we joined; whoever took it away may give it back.
                Err(error) if self.epoch != JOIN && error.code().is_some_and(Code::is_unauthorised) => {
                    self.reported = None;
                    backoff.wait_for_mending(error).await?;
                    continue;
                }
                Err(error) => {
                    self.reported = None;
                    if error.code().is_none_or(Code::is_wrong_broker) {
                        self.group.client.cluster.forget_coordinator(&self.group.id);
                    }
                    backoff.wait(self.explain(error)).await?;
                    continue;
                }
            }
            self.holdings.look_around().await;
            let pause = self.pause();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Released(partitions)) => self.holdings.release(&partitions),
                    Some(Command::Leave(left)) => {
                        self.leave().await;
                        left.send(()).ok(); // the caller may have stopped waiting
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    fn pause(&self) -> Duration {
        let pause = if self.holdings.is_unsettled() { EAGER.min(self.interval) } else { self.interval };
        self.holdings.waits_for_former(self.interval).map_or(pause, |wait| pause.min(wait).max(EAGER))
    }

    async fn beat(&mut self) -> Result<(), KafkaError> {
        if self.names.is_empty() {
            self.look_topics_up().await?;
        }
        let mut request = self.request(self.epoch);
        if self.epoch == JOIN {
            let names = self.topics.iter().map(|topic| TopicName(text(topic))).collect();
            request = request
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT.as_millis() as i32)
                .with_subscribed_topic_names(Some(names))
                .with_topic_partitions(Some(vec![]));
        } else if self.reported.as_ref() != Some(&self.holdings.held) {
            request = request.with_topic_partitions(Some(self.by_topic_id()));
        }
        let answer = self.exchange(&request).await?;
        self.reported = Some(self.holdings.held.clone());
        self.interval = Duration::from_millis(answer.heartbeat_interval_ms.max(1) as u64);
        if let Some(assignment) = answer.assignment {
            self.holdings.target = self.named(assignment).await?;
        }
        self.epoch = answer.member_epoch;
        let fence = Fence { member: self.member.clone(), epoch: self.epoch };
        self.holdings.take(fence, self.interval);
        Ok(())
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_member_id(text(&self.member))
            .with_member_epoch(epoch)
            .with_instance_id(Some(text(&self.instance.name)))
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

    /// Outside the group, under a new member id: the broker would take the former one for a member that is behind.
    fn lose(&mut self) {
        (self.epoch, self.reported) = (JOIN, None);
        self.joined += 1;
        self.member = roster::member_id(self.instance.incarnation, self.joined);
        self.holdings.lose();
    }

    /// Another member holds our name: a former process, dead or alive, or we ourselves if the answer to our join was lost. It hands the
    /// name over, and the next beat joins.
    async fn take_over(&mut self, refused: KafkaError) -> Result<(), KafkaError> {
        let members = roster::members(&self.group.client.cluster, &self.group.id).await?;
        let holds = |instance: &Option<_>| instance.as_ref().is_some_and(|held| *held == text(&self.instance.name));
        let Some(holder) = members.into_iter().find(|member| holds(&member.instance_id)) else { return Err(refused) };
        let request = self.request(HAND_OVER).with_member_id(holder.member_id.clone());
        self.exchange(&request).await?;
        if !roster::process_of(&holder.member_id).is_some_and(|process| self.instance.succeeds(process)) {
            self.holdings.displaces(&self.instance, &holder.member_id, &holder.client_host);
        }
        self.beat().await
    }

    /// Adds the remedy to a refusal that the code alone does not explain.
    fn explain(&self, error: KafkaError) -> KafkaError {
        match error {
            KafkaError::Refused { address, api, code: code @ Code::UNSUPPORTED_VERSION, .. } => {
                let message = "the cluster has no groups of KIP-848: it is older than Kafka 4.0, or its feature \
                    group.version is 0 since an upgrade; leave group.protocol out of the settings, or switch them on: \
                    kafka-features.sh --bootstrap-server HOST:PORT upgrade --feature group.version=1";
                KafkaError::Refused { address, api, code, message: message.into() }
            }
            other => other,
        }
    }

    async fn leave(&self) {
        match self.exchange(&self.request(LEAVE)).await {
            Ok(_) => tracing::info!(group = %self.group.id, "left the group"),
            Err(error) => tracing::warn!(group = %self.group.id, %error, "could not leave the group"),
        }
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

    fn by_topic_id(&self) -> Vec<TopicPartitions> {
        let mut by_id: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (id, name) in &self.names {
            for held in self.holdings.held.iter().filter(|held| held.topic == *name) {
                by_id.entry(*id).or_default().push(held.partition);
            }
        }
        let of = |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
        by_id.into_iter().map(of).collect()
    }
}

fn is_put_out(error: &KafkaError) -> bool {
    matches!(error.code(), Some(Code::UNKNOWN_MEMBER_ID | Code::FENCED_MEMBER_EPOCH))
}

//! Membership by the classic protocol, for clusters without KIP-848: members join, one of them leads and assigns, and every change makes
//! all of them join again. It is cooperative (KIP-429): a member keeps its partitions while it joins, and gives up only those that move.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, TopicName, consumer_protocol_assignment,
    consumer_protocol_subscription,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::wire::cluster::Lane;
use super::super::wire::rights::Resource;
use super::super::wire::text::text;
use super::super::{Code, KafkaError};
use super::assignor::{Claim, assign};
use super::embedded::{PROTOCOL, PROTOCOL_TYPE, decode, encode};
use super::holdings::Holdings;
use super::member::Command;
use super::{Group, Instance, REBALANCE_TIMEOUT, roster};
use crate::record::TopicPartition;
use crate::transport::Fence;

/// How often topics are looked at: the classic protocol does not report partitions that are added, nor a topic that is made anew.
const TOPICS_EVERY: Duration = Duration::from_secs(5);
/// Longest pause while something moves.
const EAGER: Duration = Duration::from_millis(150);
/// How much longer than a rebalance may take its answer is waited for.
const ANSWER_SLACK: Duration = Duration::from_secs(5);

/// The task that owns the membership.
pub(super) struct Actor {
    group: Group,
    instance: Instance,
    topics: Vec<Arc<str>>,
    /// Topics that we watch: ours, and as leader those of all members. Each with its id and number of partitions, `None` for a missing one.
    watched: BTreeMap<Arc<str>, Option<(Uuid, i32)>>,
    watch_at: Instant,
    /// Member id; empty before the coordinator has given one.
    member: StrBytes,
    /// Generation of the group that we are in; -1 outside it.
    generation: i32,
    /// Whether we have to join: at the start, when the group rebalances, when we have let partitions go.
    must_join: bool,
    is_leader: bool,
    /// For joining: others of this process must not wait for its answers.
    lane: Lane,
    holdings: Holdings,
    commands: UnboundedReceiver<Command>,
}

/// Whether the membership continues.
#[derive(PartialEq, Eq)]
enum Flow {
    Continues,
    Ended,
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
            instance,
            topics,
            holdings,
            watched: BTreeMap::new(),
            watch_at: Instant::now(),
            member: StrBytes::default(),
            generation: -1,
            must_join: true,
            is_leader: false,
            lane: group.client.cluster.join_lane(),
            group,
            commands,
        }
    }

    /// Keeps the membership until the command to leave.
    /// 1. Look whether the topics are what they were.
    /// 2. Join if something changed, else send a heartbeat. The answer to either may be to join again.
    /// 3. Put out or fenced: everything is lost already; join anew, or end if our name is another's.
    /// 4. Wait for the next heartbeat, or until partitions are let go.
    pub(super) async fn keep(mut self) -> Result<(), KafkaError> {
        let kept = self.repeat().await;
        self.group.client.cluster.disconnect(self.lane);
        kept
    }

    async fn repeat(&mut self) -> Result<(), KafkaError> {
        let mut backoff = self.group.client.cluster.backoff("group membership");
        loop {
            match self.step().await {
                Ok(Flow::Continues) => backoff.reset(),
                Ok(Flow::Ended) => return Ok(()),
                Err(error) => {
                    self.must_join |= self.generation < 0;
                    match error.code() {
                        Some(Code::FENCED_INSTANCE_ID) => {
                            return Err(self.instance.replaced_in(&self.group.id));
                        }
                        Some(Code::REBALANCE_IN_PROGRESS) => self.must_join = true,
                        Some(Code::UNKNOWN_MEMBER_ID | Code::ILLEGAL_GENERATION) => {
                            tracing::warn!(group = %self.group.id, %error, "put out of the group; joining anew");
                            self.lose();
                        }
                        Some(Code::INCONSISTENT_GROUP_PROTOCOL) => {
                            self.holdings.look_at_members().await;
                            backoff.wait_for_mending(self.explain(error)).await?;
                        }
                        Some(code) if code.is_unauthorised() && self.generation >= 0 => {
                            backoff.wait_for_mending(error).await?; // whoever took the right away may give it back
                        }
                        code => {
                            if code.is_none_or(Code::is_wrong_broker) {
                                self.group.client.cluster.forget_coordinator(&self.group.id);
                            }
                            backoff.wait(error).await?;
                        }
                    }
                    continue;
                }
            }
            self.holdings.look_around().await;
            let pause = self.pause();
            tokio::select! {
                command = self.commands.recv() => if self.obey(command).await == Flow::Ended { return Ok(()) },
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    async fn step(&mut self) -> Result<Flow, KafkaError> {
        if Instant::now() >= self.watch_at {
            self.look_at_topics().await?;
        }
        if !self.must_join {
            self.beat().await?;
            return Ok(Flow::Continues);
        }
        if self.generation < 0 {
            self.look_for_former().await?;
        }
        let Some(joined) = self.join().await? else { return Ok(Flow::Ended) };
        self.sync(joined).await?;
        Ok(Flow::Continues)
    }

    fn pause(&self) -> Duration {
        if self.must_join {
            return Duration::ZERO;
        }
        let interval = self.interval();
        let pause = if self.holdings.is_unsettled() { EAGER.min(interval) } else { interval };
        self.holdings.waits_for_former(interval).map_or(pause, |wait| pause.min(wait).max(EAGER))
    }

    fn interval(&self) -> Duration {
        self.group.client.config().heartbeat_interval
    }

    async fn obey(&mut self, command: Option<Command>) -> Flow {
        match command {
            Some(Command::Released(partitions)) => {
                self.holdings.release(&partitions);
                // The next generation gives what we let go to its new owner.
                self.must_join |= !self.holdings.is_revoking();
                Flow::Continues
            }
            Some(Command::Leave(left)) => {
                self.leave().await;
                left.send(()).ok(); // the caller may have stopped waiting
                Flow::Ended
            }
            None => Flow::Ended,
        }
    }

    /// Asks the coordinator to take us into the next generation. The answer comes when all members have joined; until then the member obeys
    /// commands. `None` after the command to leave.
    async fn join(&mut self) -> Result<Option<JoinGroupResponse>, KafkaError> {
        self.must_join = false; // whatever changes from here on needs another generation
        self.group.membership.begins_to_join();
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text(PROTOCOL)).with_metadata(encode(&self.claim()));
        let config = self.group.client.config();
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_session_timeout_ms(millis(config.session_timeout))
            .with_rebalance_timeout_ms(millis(REBALANCE_TIMEOUT))
            .with_member_id(self.member.clone())
            .with_group_instance_id(Some(text(&self.instance.name)))
            .with_protocol_type(text(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        let limit = REBALANCE_TIMEOUT + ANSWER_SLACK;
        let (group, lane) = (self.group.clone(), self.lane);
        let mut answer = pin!(async move {
            let coordinator = group.client.cluster.coordinator_on(&group.id, lane).await?;
            let answer = coordinator.call_within(&request, 9, limit).await?;
            Ok::<_, KafkaError>((coordinator, answer))
        });
        let (coordinator, answer) = loop {
            tokio::select! {
                answer = &mut answer => break answer.inspect_err(|_| self.must_join = true)?,
                command = self.commands.recv() => if self.obey(command).await == Flow::Ended { return Ok(None) },
            }
        };
        if Code(answer.error_code) == Code::MEMBER_ID_REQUIRED {
            self.member = answer.member_id.clone();
        }
        let resource = Resource::group(&self.group.id).and_topic(self.topics.first().map_or("", |topic| topic));
        let checked = coordinator.check::<JoinGroupRequest>(answer.error_code, None, resource);
        checked.inspect_err(|_| self.must_join = true)?;
        Ok(Some(answer))
    }

    /// Gets our partitions; as the leader, assigns them all.
    async fn sync(&mut self, joined: JoinGroupResponse) -> Result<(), KafkaError> {
        self.member = joined.member_id.clone();
        self.is_leader = joined.leader == joined.member_id;
        let assignments =
            if self.is_leader && !joined.skip_assignment { self.assignments(&joined).await? } else { Vec::new() };
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_generation_id(joined.generation_id)
            .with_member_id(self.member.clone())
            .with_group_instance_id(Some(text(&self.instance.name)))
            .with_protocol_type(Some(text(PROTOCOL_TYPE)))
            .with_protocol_name(Some(text(PROTOCOL)))
            .with_assignments(assignments);
        let coordinator = self.group.client.cluster.coordinator_on(&self.group.id, self.lane).await?;
        let answer = coordinator.call_within(&request, 5, REBALANCE_TIMEOUT + ANSWER_SLACK).await;
        let answer = answer.inspect_err(|_| self.must_join = true)?;
        let checked = coordinator.check::<SyncGroupRequest>(answer.error_code, None, Resource::group(&self.group.id));
        checked.inspect_err(|_| self.must_join = true)?;
        let assigned = decode::<ConsumerProtocolAssignment>(&answer.assignment).unwrap_or_default();
        let of = |topic: consumer_protocol_assignment::TopicPartition| {
            let name: Arc<str> = topic.topic.as_str().into();
            topic.partitions.into_iter().map(move |partition| TopicPartition { topic: name.clone(), partition })
        };
        self.holdings.target = assigned.assigned_partitions.into_iter().flat_map(of).collect();
        self.generation = joined.generation_id;
        self.take();
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), KafkaError> {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_generation_id(self.generation)
            .with_member_id(self.member.clone())
            .with_group_instance_id(Some(text(&self.instance.name)));
        let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
        let answer = coordinator.call(&request, 4).await?;
        coordinator.check::<HeartbeatRequest>(answer.error_code, None, Resource::group(&self.group.id))?;
        self.take();
        Ok(())
    }

    fn take(&mut self) {
        let fence = Fence { member: self.member.to_string(), epoch: self.generation };
        self.holdings.take(fence, self.interval());
    }

    /// Outside the group: the next join is a new member's.
    fn lose(&mut self) {
        (self.member, self.generation, self.must_join) = (StrBytes::default(), -1, true);
        self.holdings.lose();
    }

    fn claim(&self) -> ConsumerProtocolSubscription {
        let mut owned: BTreeMap<&Arc<str>, Vec<i32>> = BTreeMap::new();
        for held in &self.holdings.held {
            owned.entry(&held.topic).or_default().push(held.partition);
        }
        let of = |(topic, partitions): (&Arc<str>, Vec<i32>)| {
            consumer_protocol_subscription::TopicPartition::default()
                .with_topic(TopicName(text(topic)))
                .with_partitions(partitions)
        };
        ConsumerProtocolSubscription::default()
            .with_topics(self.topics.iter().map(|topic| text(topic)).collect())
            .with_user_data(Some(self.instance.incarnation.as_bytes().to_vec().into()))
            .with_owned_partitions(owned.into_iter().map(of).collect())
            .with_generation_id(self.generation)
    }

    async fn assignments(&mut self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, KafkaError> {
        let claims: BTreeMap<String, Claim> =
            joined.members.iter().map(|member| (member.member_id.to_string(), read(&member.metadata))).collect();
        for topic in claims.values().flat_map(|claim| &claim.topics) {
            if !self.watched.contains_key(topic) {
                let found = self.describe(topic).await?;
                self.watched.insert(topic.clone(), found);
            }
        }
        let counts =
            self.watched.iter().filter_map(|(topic, found)| Some((topic.clone(), found.as_ref()?.1))).collect();
        let by_member = assign(&claims, &counts).into_iter().map(|(member, partitions)| {
            let mut by_topic: BTreeMap<Arc<str>, Vec<i32>> = BTreeMap::new();
            for at in partitions {
                by_topic.entry(at.topic).or_default().push(at.partition);
            }
            let of = |(topic, partitions): (Arc<str>, Vec<i32>)| {
                consumer_protocol_assignment::TopicPartition::default()
                    .with_topic(TopicName(text(&topic)))
                    .with_partitions(partitions)
            };
            let assigned =
                ConsumerProtocolAssignment::default().with_assigned_partitions(by_topic.into_iter().map(of).collect());
            SyncGroupRequestAssignment::default().with_member_id(text(&member)).with_assignment(encode(&assigned))
        });
        Ok(by_member.collect())
    }

    /// Looks whether topics have other partitions than when the group last joined, or are other topics under the same name.
    async fn look_at_topics(&mut self) -> Result<(), KafkaError> {
        let is_first = self.watched.is_empty();
        let topics: BTreeSet<Arc<str>> = match self.is_leader {
            true => self.watched.keys().cloned().chain(self.topics.iter().cloned()).collect(),
            false => self.topics.iter().cloned().collect(),
        };
        for topic in topics {
            let found = self.describe(&topic).await;
            // A topic of ours that is missing at the start is an error; one that is deleted later may come back.
            let found = if is_first { Some(found?).flatten().map(Ok) } else { found.transpose() }.transpose()?;
            let before = self.watched.insert(topic.clone(), found);
            if before.is_some_and(|before| before != found) {
                let id_of = |topic: Option<(Uuid, i32)>| topic.map(|(id, _)| id);
                if before.flatten().is_some() && id_of(before.flatten()) != id_of(found) {
                    self.holdings.lose_some(|held| held.topic == topic);
                }
                self.must_join = true;
            }
        }
        self.watch_at = Instant::now() + TOPICS_EVERY;
        Ok(())
    }

    /// Id and number of partitions of a topic; `None` if it does not exist.
    async fn describe(&self, topic: &str) -> Result<Option<(Uuid, i32)>, KafkaError> {
        let cluster = &self.group.client.cluster;
        cluster.forget_topic(topic);
        match cluster.topic(topic).await {
            Ok(topic) => Ok(Some((topic.id, topic.partitions))),
            Err(error) if error.code() == Some(Code::UNKNOWN_TOPIC_OR_PARTITION) && self.generation >= 0 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Before we join: a member under our name is put out by it, and if it is a process that may be alive, it is given time to notice.
    async fn look_for_former(&mut self) -> Result<(), KafkaError> {
        let members = roster::classic_group(&self.group.client.cluster, &self.group.id).await?.members;
        let is_ours =
            |instance: &Option<StrBytes>| instance.as_ref().is_some_and(|held| held.as_str() == self.instance.name);
        let Some(holder) = members.iter().find(|member| is_ours(&member.group_instance_id)) else { return Ok(()) };
        let said = decode::<ConsumerProtocolSubscription>(&holder.member_metadata).and_then(|said| said.user_data);
        let process = said.and_then(|bytes| Uuid::from_slice(&bytes).ok());
        if !process.is_some_and(|process| self.instance.succeeds(process)) {
            self.holdings.displaces(&self.instance, &holder.member_id, &holder.client_host);
        }
        Ok(())
    }

    /// Adds the remedy to a refusal that the code alone does not explain.
    fn explain(&self, error: KafkaError) -> KafkaError {
        let KafkaError::Refused { address, api, code, .. } = error else { return error };
        let message = "consumers that are no sheetstream are in this group, and it takes us in when they have left: \
                       give them a group of their own";
        KafkaError::Refused { address, api, code, message: message.into() }
    }

    async fn leave(&mut self) {
        let member = MemberIdentity::default()
            .with_member_id(self.member.clone())
            .with_group_instance_id(Some(text(&self.instance.name)));
        let request =
            LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group.id))).with_members(vec![member]);
        let left = async {
            let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
            let answer = coordinator.call(&request, 5).await?;
            let of_member = answer.members.first().map_or(0, |member| member.error_code);
            let code = if answer.error_code == 0 { of_member } else { answer.error_code };
            coordinator.check::<LeaveGroupRequest>(code, None, Resource::group(&self.group.id))
        };
        match left.await {
            Ok(()) => tracing::info!(group = %self.group.id, "left the group"),
            Err(error) => tracing::warn!(group = %self.group.id, %error, "could not leave the group"),
        }
    }
}

/// The claim of a member when it joined. A claim that cannot be read has no topics, and gets no partitions.
fn read(metadata: &bytes::Bytes) -> Claim {
    let said = decode::<ConsumerProtocolSubscription>(metadata).unwrap_or_default();
    let of = |topic: consumer_protocol_subscription::TopicPartition| {
        let name: Arc<str> = topic.topic.as_str().into();
        topic.partitions.into_iter().map(move |partition| TopicPartition { topic: name.clone(), partition })
    };
    Claim {
        topics: said.topics.iter().map(|topic| topic.as_str().into()).collect(),
        generation: said.generation_id,
        owned: said.owned_partitions.into_iter().flat_map(of).collect(),
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

//! Groups of KIP-848: the broker assigns, and a heartbeat carries what a member holds and brings what it should hold. An assignment is
//! there with the first heartbeat.
//!
//! A partition moves in three steps: the broker asks its owner to let it go, the owner says that it has, and then the broker assigns it to
//! the new owner. Epochs follow <https://cwiki.apache.org/confluence/x/HhD1D>: the group's epoch counts target assignments, a member's says
//! which one it has reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response as described;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicName};
use uuid::Uuid;

use super::Shared;
use super::assignor::{Slot, assign};
use super::topics::Topics;
use crate::kafka::wire::text::text;

/// Values that a member sends instead of its epoch.
const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// Of a static member that will be back.
const STATIC_LEAVE: i32 = -2;

/// Names of assignors that clients may ask for; there is one.
pub(super) const ASSIGNORS: [&str; 2] = ["uniform", "range"];
/// Host of every member: the broker serves loopback only.
const CLIENT_HOST: &str = "/127.0.0.1";
/// Type of a member that speaks this protocol.
const CONSUMER_MEMBER: i8 = 1;

/// See the module.
#[derive(Default)]
pub(super) struct ConsumerGroup {
    epoch: i32,
    members: BTreeMap<String, Member>,
}

struct Member {
    epoch: i32,
    previous_epoch: i32,
    client_id: String,
    instance: Option<String>,
    topics: BTreeSet<String>,
    rebalance_timeout: Duration,
    session_timeout: Duration,
    seen: Instant,
    /// Partitions that it should hold in the end.
    target: BTreeSet<Slot>,
    /// Partitions that it may hold now, each since the member epoch in which they were assigned.
    assigned: BTreeMap<Slot, i32>,
    /// Partitions that it was asked to let go and still holds.
    revoking: BTreeMap<Slot, i32>,
    /// Time by which it must have let them go.
    revoke_by: Option<Instant>,
}

impl Member {
    fn holds(&self, slot: &Slot) -> bool {
        self.assigned.contains_key(slot) || self.revoking.contains_key(slot)
    }
    fn is_settled(&self, group_epoch: i32) -> bool {
        self.epoch == group_epoch && self.revoking.is_empty() && self.target.iter().eq(self.assigned.keys())
    }
}

impl ConsumerGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    pub(super) fn state(&self) -> &'static str {
        match self.members.values().all(|member| member.is_settled(self.epoch)) {
            _ if self.members.is_empty() => "Empty",
            true => "Stable",
            false => "Reconciling",
        }
    }

    /// The member's epoch of today is always good. A former one is, for a partition that has been the member's ever since (KIP-1251).
    pub(super) fn check_commit(&self, id: &str, epoch: i32, slot: Option<Slot>) -> Result<(), ResponseError> {
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        let since = slot.and_then(|slot| member.assigned.get(&slot).or(member.revoking.get(&slot)).copied());
        let unbroken = since.is_some_and(|since| (since..=member.epoch).contains(&epoch));
        if epoch == member.epoch || unbroken { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// Works out a new target, if it is another one.
    pub(super) fn assign(&mut self, topics: &Topics) {
        let subscribed: BTreeSet<&str> =
            self.members.values().flat_map(|member| member.topics.iter().map(String::as_str)).collect();
        let found: BTreeMap<&str, (Uuid, usize)> = subscribed
            .into_iter()
            .filter_map(|name| topics.get(name).map(|topic| (name, (topic.id, topic.partitions.len()))))
            .collect();
        let slots = found.values().flat_map(|(id, count)| (0..).take(*count).map(|index| (*id, index))).collect();
        let members = self.members.iter().map(|(id, member)| {
            let ids = member.topics.iter().filter_map(|name| found.get(name.as_str()).map(|(id, _)| *id));
            (id.as_str(), ids.collect())
        });
        let current = self.members.iter().map(|(id, member)| (id.as_str(), member.target.clone())).collect();
        let mut targets = assign(&slots, &members.collect(), &current);
        let changed = self.members.iter().any(|(id, member)| targets.get(id) != Some(&member.target));
        if changed {
            self.epoch += 1;
            for (id, member) in &mut self.members {
                member.target = targets.remove(id).unwrap_or_default();
            }
        }
    }
    /// Nobody can hold a partition of a topic that is gone.
    pub(super) fn forget_topic(&mut self, topic: Uuid) {
        for member in self.members.values_mut() {
            member.target.retain(|slot| slot.0 != topic);
            member.assigned.retain(|slot, _| slot.0 != topic);
            member.revoking.retain(|slot, _| slot.0 != topic);
        }
    }
    pub(super) fn expire(&mut self, topics: &Topics, now: Instant) {
        let before = self.members.len();
        self.members.retain(|id, member| {
            let silent = now.saturating_duration_since(member.seen) > member.session_timeout;
            let overdue = member.revoke_by.is_some_and(|by| now > by);
            if silent || overdue {
                tracing::debug!(member = id, silent, overdue, "member put out");
            }
            !silent && !overdue
        });
        if self.members.len() < before {
            self.change_members(topics);
        }
    }
    /// After members came or went.
    fn change_members(&mut self, topics: &Topics) {
        let before = self.epoch;
        self.assign(topics);
        self.epoch = before + 1;
    }

    pub(super) fn heartbeat(
        &mut self,
        shared: &Shared,
        topics: &Topics,
        request: &ConsumerGroupHeartbeatRequest,
        client_id: &str,
    ) -> Result<ConsumerGroupHeartbeatResponse, ResponseError> {
        let now = Instant::now();
        let id = request.member_id.to_string();
        let answer = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(request.member_id.clone()))
            .with_member_epoch(request.member_epoch)
            .with_heartbeat_interval_ms(shared.config.heartbeat_interval.as_millis() as i32);
        let owned: Option<BTreeSet<Slot>> = request.topic_partitions.as_ref().map(|topics| {
            topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index))).collect()
        });
        if request.member_epoch != JOIN {
            self.check_instance(&id, request)?;
        }
        match request.member_epoch {
            LEAVE => {
                self.members.remove(&id).ok_or(ResponseError::UnknownMemberId)?;
                self.change_members(topics);
                return Ok(answer);
            }
            STATIC_LEAVE => {
                self.members.get_mut(&id).ok_or(ResponseError::UnknownMemberId)?.epoch = STATIC_LEAVE;
                return Ok(answer);
            }
            JOIN => self.admit(shared, &id, request, client_id, now)?,
            epoch => self.check_epoch(&id, epoch, owned.as_ref())?,
        }
        let Some(member) = self.members.get_mut(&id) else { return Err(ResponseError::UnknownMemberId) };
        member.seen = now;
        if let Ok(ms) = u64::try_from(request.rebalance_timeout_ms) {
            member.rebalance_timeout = Duration::from_millis(ms);
        }
        let subscribed =
            request.subscribed_topic_names.as_ref().map(|names| names.iter().map(|n| n.to_string()).collect());
        let resubscribed = subscribed.is_some_and(|topics: BTreeSet<String>| {
            let changed = member.topics != topics;
            member.topics = topics;
            changed
        });
        let is_full = request.member_epoch == JOIN || request.subscribed_topic_names.is_some() && owned.is_some();
        let before: Vec<Slot> = member.assigned.keys().copied().collect();
        if resubscribed {
            self.change_members(topics);
        }
        self.reconcile(&id, owned.as_ref(), now);
        let Some(member) = self.members.get(&id) else { return Err(ResponseError::UnknownMemberId) };
        let moved = !before.iter().eq(member.assigned.keys());
        let assignment = (is_full || moved).then(|| {
            let partitions = by_topic(member.assigned.keys()).into_iter();
            let of = partitions.map(|(id, of)| TopicPartitions::default().with_topic_id(id).with_partitions(of));
            Assignment::default().with_topic_partitions(of.collect())
        });
        Ok(answer.with_member_epoch(member.epoch).with_assignment(assignment))
    }

    /// A member that joins, comes back under its id, or takes the place of its instance.
    fn admit(
        &mut self,
        shared: &Shared,
        id: &str,
        request: &ConsumerGroupHeartbeatRequest,
        client_id: &str,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.members.contains_key(id) && request.instance_id.is_none() {
            return Ok(());
        }
        let mut member = Member {
            epoch: 0,
            previous_epoch: 0,
            client_id: client_id.to_owned(),
            instance: request.instance_id.as_ref().map(|instance| instance.to_string()),
            topics: BTreeSet::new(),
            rebalance_timeout: Duration::from_secs(300),
            session_timeout: shared.config.session_timeout,
            seen: now,
            target: BTreeSet::new(),
            assigned: BTreeMap::new(),
            revoking: BTreeMap::new(),
            revoke_by: None,
        };
        if member.instance.is_some() {
            let former = self.members.iter().find(|(_, other)| other.instance == member.instance);
            match former.map(|(id, other)| (id.clone(), other.epoch)) {
                Some((former, STATIC_LEAVE)) => {
                    if let Some(former) = self.members.remove(&former) {
                        member.topics = former.topics;
                        member.target = former.target;
                        member.assigned = former.assigned;
                        member.epoch = self.epoch;
                    }
                }
                Some(_) => return Err(ResponseError::UnreleasedInstanceId),
                None => (),
            }
        }
        self.members.insert(id.to_owned(), member);
        Ok(())
    }
    /// Whoever names an instance must be its member.
    fn check_instance(&self, id: &str, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ResponseError> {
        let Some(instance) = request.instance_id.as_deref() else { return Ok(()) };
        let holder = self.members.iter().find(|(_, member)| member.instance.as_deref() == Some(instance));
        match holder {
            None => Err(ResponseError::UnknownMemberId),
            Some((holder, _)) if holder != id => Err(ResponseError::FencedInstanceId),
            Some(_) => Ok(()),
        }
    }
    /// The answer to the heartbeat before may have been lost: then the member is one epoch behind, and holds nothing that it may not.
    fn check_epoch(&self, id: &str, epoch: i32, owned: Option<&BTreeSet<Slot>>) -> Result<(), ResponseError> {
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        let lost = epoch == member.previous_epoch
            && owned.is_some_and(|owned| owned.iter().all(|slot| member.assigned.contains_key(slot)));
        if epoch == member.epoch || lost { Ok(()) } else { Err(ResponseError::FencedMemberEpoch) }
    }

    /// 1. Partitions that the member no longer owns are released.
    /// 2. The member must first let go the partitions that it should not have; nothing else happens before.
    /// 3. It has reached the target, and gets the partitions that nobody else holds any more.
    fn reconcile(&mut self, id: &str, owned: Option<&BTreeSet<Slot>>, now: Instant) {
        let epoch = self.epoch;
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(owned) = owned {
            member.revoking.retain(|slot, _| owned.contains(slot));
        }
        if member.revoking.is_empty() {
            member.revoke_by = None;
            let excess: Vec<Slot> =
                member.assigned.keys().filter(|slot| !member.target.contains(slot)).copied().collect();
            for slot in excess {
                if let Some(since) = member.assigned.remove(&slot) {
                    member.revoking.insert(slot, since);
                }
            }
        }
        if !member.revoking.is_empty() {
            member.revoke_by.get_or_insert(now + member.rebalance_timeout);
            return;
        }
        if member.epoch != epoch {
            (member.previous_epoch, member.epoch) = (member.epoch, epoch);
        }
        let wanted: Vec<Slot> =
            member.target.iter().filter(|slot| !member.assigned.contains_key(slot)).copied().collect();
        let is_free = |slot: &Slot| !self.members.iter().any(|(other, member)| other != id && member.holds(slot));
        let free: Vec<Slot> = wanted.into_iter().filter(is_free).collect();
        if let Some(member) = self.members.get_mut(id) {
            member.assigned.extend(free.into_iter().map(|slot| (slot, epoch)));
        }
    }

    pub(super) fn describe(
        &self,
        topics: &Topics,
        answer: described::DescribedGroup,
        version: i16,
    ) -> described::DescribedGroup {
        let assignment = |slots: Vec<Slot>| {
            let of = by_topic(slots.iter()).into_iter().map(|(id, partitions)| {
                described::TopicPartitions::default()
                    .with_topic_id(id)
                    .with_topic_name(TopicName(text(topics.name(id).unwrap_or_default())))
                    .with_partitions(partitions)
            });
            described::Assignment::default().with_topic_partitions(of.collect())
        };
        let member = |(id, member): (&String, &Member)| {
            described::Member::default()
                .with_member_id(text(id))
                .with_instance_id(member.instance.as_deref().map(text))
                .with_member_epoch(member.epoch)
                .with_client_id(text(&member.client_id))
                .with_client_host(text(CLIENT_HOST))
                .with_subscribed_topic_names(member.topics.iter().map(|name| TopicName(text(name))).collect())
                .with_assignment(assignment(member.assigned.keys().copied().collect()))
                .with_target_assignment(assignment(member.target.iter().copied().collect()))
                .with_member_type(if version >= 1 { CONSUMER_MEMBER } else { -1 })
        };
        answer
            .with_group_state(text(self.state()))
            .with_group_epoch(self.epoch)
            .with_assignment_epoch(self.epoch)
            .with_assignor_name(text(ASSIGNORS[0]))
            .with_members(self.members.iter().map(member).collect())
    }
}

fn by_topic<'a>(slots: impl Iterator<Item = &'a Slot>) -> BTreeMap<Uuid, Vec<i32>> {
    let mut by_topic: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    slots.for_each(|(topic, partition)| by_topic.entry(*topic).or_default().push(*partition));
    by_topic
}

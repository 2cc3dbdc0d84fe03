//! Membership in a consumer group by the protocol of KIP-848: the broker assigns, a heartbeat carries what we hold and brings what we should
//! hold. What the tasks do about it is the runtime's business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, TopicName};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use uuid::Uuid;

use super::wire::cluster::text;
use super::wire::rights::Resource;
use super::{Code, KafkaClient, KafkaError};
use crate::record::TopicPartition;
use crate::transport::{Fence, GroupEvent, Membership};

/// How long a revoked partition may take to be let go before the broker puts the member out.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between heartbeats while an assignment is under way. The broker works assignments out on the side, so that the first answer is always
/// empty; waiting for its own interval of 5 s would make that the time of every join.
const EAGER: Duration = Duration::from_millis(150);
/// What the coordinator is given to answer a leave, however little time is left.
const LEAVE_MIN: Duration = Duration::from_millis(500);
/// How long after a change another one is likely.
const UNSETTLED: Duration = Duration::from_secs(2);

/// A consumer group: its offsets, and our membership in it if there is one. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    pub(super) client: KafkaClient,
    pub(super) id: Arc<str>,
    pub(super) shared: Arc<Shared>,
}

/// What commits must know of the membership.
#[derive(Default)]
pub(super) struct Shared {
    /// One heartbeat or commit at a time: brokers before 4.3 refuse a commit that crosses a heartbeat which moves the epoch.
    pub(super) turn: tokio::sync::Mutex<()>,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    fence: Fence,
    /// When the coordinator took us in; `None` outside the group.
    joined_at: Option<Instant>,
    /// Epoch under which each partition became ours.
    since: HashMap<TopicPartition, i32>,
}

impl Shared {
    /// The fence of today for a partition that has been ours without a break since `former`.
    pub(super) fn renewed(&self, partition: &TopicPartition, former: &Fence) -> Option<Fence> {
        let standing = self.standing();
        let since = *standing.since.get(partition)?;
        let unbroken =
            standing.fence.member == former.member && since <= former.epoch && former.epoch < standing.fence.epoch;
        unbroken.then(|| standing.fence.clone())
    }
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KafkaClient {
    /// The group `id`; nothing is joined yet.
    pub fn group(&self, id: &str) -> Group {
        Group { client: self.clone(), id: id.into(), shared: Arc::default() }
    }
}

impl Group {
    /// True once we have been in the group for long enough to know what is ours, be it nothing.
    pub fn is_settled(&self) -> bool {
        self.shared.standing().joined_at.is_some_and(|at| at.elapsed() >= UNSETTLED)
    }

    /// Joins, or comes back: under the `member` id of a process that died its partitions are ours again at once, without a rebalance.
    /// Only one process may use a member id at a time (contract 18).
    ///
    /// A broker that cannot be reached and topics that are missing come as [`GroupEvent::Fatal`].
    pub fn join(&self, member: Uuid, topics: impl IntoIterator<Item = Arc<str>>) -> GroupMember {
        let (events, received) = channel();
        let (commands, queue) = unbounded_channel();
        let actor = Actor {
            group: self.clone(),
            member: member.to_string(),
            topics: topics.into_iter().collect(),
            names: HashMap::new(),
            epoch: 0,
            held: BTreeSet::new(),
            revoking: BTreeSet::new(),
            target: BTreeSet::new(),
            told: None,
            interval: EAGER,
            unsettled_until: Instant::now(),
            events,
            commands: queue,
        };
        self.client.handle.spawn(actor.run());
        GroupMember { events: received, commands, client: self.client.clone() }
    }
}

/// Our membership. Dropped without [`Membership::leave`] it ends like a crash: the broker keeps our partitions for the session timeout.
pub struct GroupMember {
    events: Receiver<GroupEvent>,
    commands: UnboundedSender<Command>,
    client: KafkaClient,
}

enum Command {
    Released(BTreeSet<TopicPartition>),
    Leave(Sender<()>),
}

impl Membership for GroupMember {
    fn next(&mut self, wait: Duration) -> Option<GroupEvent> {
        match self.events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait); // nothing will come any more; the caller's loop must not spin
                None
            }
        }
    }
    fn released(&mut self, partitions: &BTreeSet<TopicPartition>) {
        // A member that has ended has nothing to release.
        let _ = self.commands.send(Command::Released(partitions.clone()));
    }
    fn leave(&mut self) {
        let (left, done) = channel();
        let limit = self.client.time_left().max(LEAVE_MIN).min(self.client.config().request_timeout);
        if self.commands.send(Command::Leave(left)).is_ok() && done.recv_timeout(limit).is_err() {
            tracing::warn!("left without the coordinator's answer; others take over after the session timeout");
        }
    }
}

/// The task that owns the membership.
struct Actor {
    group: Group,
    member: String,
    topics: Vec<Arc<str>>,
    names: HashMap<Uuid, Arc<str>>,
    /// 0 joins, then what the broker gives.
    epoch: i32,
    /// What is ours, what is being revoked included.
    held: BTreeSet<TopicPartition>,
    revoking: BTreeSet<TopicPartition>,
    /// What the broker last said should be ours.
    target: BTreeSet<TopicPartition>,
    /// What we last said is ours; `None` when the broker may not have heard it.
    told: Option<BTreeSet<TopicPartition>>,
    interval: Duration,
    unsettled_until: Instant,
    events: Sender<GroupEvent>,
    commands: UnboundedReceiver<Command>,
}

impl Actor {
    async fn run(mut self) {
        if let Err(error) = self.keep().await {
            tracing::error!(group = %self.group.id, %error, "membership ended");
            self.send(GroupEvent::Fatal(error.into()));
        }
    }

    /// Heartbeats until told to leave.
    /// 1. Beat; an answer may revoke, assign or move the epoch.
    /// 2. Unknown or fenced: everything is lost already; drop it, join anew.
    /// 3. Anything else that passes: wait, look for the coordinator again, repeat what we hold.
    /// 4. Wait for the next beat, sooner while things move, at once when something was let go.
    async fn keep(&mut self) -> Result<(), KafkaError> {
        let mut backoff = self.group.client.cluster.backoff("heartbeat");
        loop {
            match self.beat().await {
                Ok(()) => backoff.reset(),
                Err(error) if self.epoch > 0 && is_put_out(&error) => {
                    tracing::warn!(group = %self.group.id, %error, "put out of the group; joining anew");
                    self.lose();
                    continue;
                }
                Err(error) => {
                    self.told = None;
                    if error.code().is_none_or(Code::is_wrong_broker) {
                        self.group.client.cluster.forget_coordinator(&self.group.id);
                    }
                    backoff.wait(error).await?;
                    continue;
                }
            }
            let pause = if Instant::now() < self.unsettled_until { EAGER.min(self.interval) } else { self.interval };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Released(partitions)) => self.release(&partitions),
                    Some(Command::Leave(left)) => {
                        self.leave().await;
                        let _ = left.send(()); // the caller may have stopped waiting
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    async fn beat(&mut self) -> Result<(), KafkaError> {
        if self.names.is_empty() {
            self.look_topics_up().await?;
        }
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_member_id(text(&self.member))
            .with_member_epoch(self.epoch)
            .with_rebalance_timeout_ms(-1);
        if self.epoch == 0 {
            let names = self.topics.iter().map(|topic| TopicName(text(topic))).collect();
            request = request
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT.as_millis() as i32)
                .with_subscribed_topic_names(Some(names))
                .with_topic_partitions(Some(vec![]));
        } else if self.told.as_ref() != Some(&self.held) {
            request = request.with_topic_partitions(Some(self.by_topic_id()));
        }
        let answer = self.exchange(&request).await?;
        self.told = Some(self.held.clone());
        self.interval = Duration::from_millis(answer.heartbeat_interval_ms.max(1) as u64);
        if let Some(assignment) = answer.assignment {
            self.target = self.named(assignment).await?;
        }
        self.take(answer.member_epoch);
        Ok(())
    }

    async fn exchange(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, KafkaError> {
        let coordinator = self.group.client.cluster.coordinator(&self.group.id).await?;
        let _turn = self.group.shared.turn.lock().await;
        let answer = coordinator.call(request, 1).await?;
        let resource = Resource::group(&self.group.id).and_topic(self.topics.first().map_or("", |topic| topic));
        coordinator.check::<ConsumerGroupHeartbeatRequest>(
            answer.error_code,
            answer.error_message.as_ref(),
            resource,
        )?;
        Ok(answer)
    }

    /// Tells what changed. The broker lists a partition only when its former owner has let it go.
    fn take(&mut self, epoch: i32) {
        let assigned: BTreeSet<_> = self.target.difference(&self.held).cloned().collect();
        let revoked: BTreeSet<_> = self
            .held
            .iter()
            .filter(|held| !self.target.contains(*held) && !self.revoking.contains(*held))
            .cloned()
            .collect();
        let (joined, moved) = (self.epoch == 0, self.epoch != epoch);
        self.epoch = epoch;
        let fence = Fence { member: self.member.clone(), epoch };
        {
            let mut standing = self.group.shared.standing();
            standing.fence = fence.clone();
            standing.joined_at.get_or_insert_with(Instant::now);
            standing.since.extend(assigned.iter().map(|partition| (partition.clone(), epoch)));
        }
        if joined || moved || !assigned.is_empty() || !revoked.is_empty() {
            self.unsettled_until = Instant::now() + UNSETTLED;
            tracing::info!(group = %self.group.id, epoch, assigned = assigned.len(), revoked = revoked.len(), held = self.held.len(), "group");
        }
        if !revoked.is_empty() {
            self.revoking.extend(revoked.iter().cloned());
            self.send(GroupEvent::Revoked(revoked));
        }
        if moved && !self.held.is_empty() {
            self.send(GroupEvent::Epoch(fence.clone()));
        }
        if !assigned.is_empty() {
            self.held.extend(assigned.iter().cloned());
            self.send(GroupEvent::Assigned(assigned, fence));
        }
    }

    fn release(&mut self, partitions: &BTreeSet<TopicPartition>) {
        let mut standing = self.group.shared.standing();
        for partition in partitions {
            self.held.remove(partition);
            self.revoking.remove(partition);
            standing.since.remove(partition);
        }
        self.unsettled_until = Instant::now() + UNSETTLED;
    }

    fn lose(&mut self) {
        let lost = std::mem::take(&mut self.held);
        self.revoking.clear();
        self.target.clear();
        (self.epoch, self.told) = (0, None);
        {
            let mut standing = self.group.shared.standing();
            standing.joined_at = None;
            standing.since.clear();
        }
        if !lost.is_empty() {
            self.send(GroupEvent::Lost(lost));
        }
    }

    async fn leave(&self) {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group.id)))
            .with_member_id(text(&self.member))
            .with_member_epoch(-1)
            .with_rebalance_timeout_ms(-1);
        match self.exchange(&request).await {
            Ok(_) => tracing::info!(group = %self.group.id, "left the group"),
            Err(error) => tracing::warn!(group = %self.group.id, %error, "could not leave the group"),
        }
    }

    async fn look_topics_up(&mut self) -> Result<(), KafkaError> {
        for name in &self.topics {
            self.group.client.cluster.forget_topic(name);
            let topic = self.group.client.cluster.topic(name).await?;
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
            for held in self.held.iter().filter(|held| held.topic == *name) {
                by_id.entry(*id).or_default().push(held.partition);
            }
        }
        let of = |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
        by_id.into_iter().map(of).collect()
    }

    fn send(&self, event: GroupEvent) {
        // A receiver that is gone has dropped the member; the command channel ends the actor.
        let _ = self.events.send(event);
    }
}

fn is_put_out(error: &KafkaError) -> bool {
    matches!(error.code(), Some(Code::UNKNOWN_MEMBER_ID | Code::FENCED_MEMBER_EPOCH))
}

//! A consumer group: who we are in it, what commits have to prove, and who else is in it. `membership` is for the protocols of
//! KIP-848 and KIP-1071, `classic` for the one of older clusters; all report to the same handle.

mod assignor;
mod classic;
mod consumer;
mod embedded;
mod heartbeat;
mod holdings;
mod member;
mod membership;
mod protocol;
mod removal;
mod roster;
mod streams;

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Code, KafkaClient, KafkaError};
use crate::record::TopicPartition;
use crate::transport::{Fence, GroupEvent};

use consumer::ConsumerHeartbeats;
use holdings::Holdings;
pub use member::GroupMember;
use membership::Heartbeats;
pub use protocol::Protocol;
pub use roster::{ForeignMember, Holder, Roster};
use streams::StreamsHeartbeats;

/// How long a revoked partition may take to be let go before the broker puts the member out.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long after a change another one is likely.
const UNSETTLED: Duration = Duration::from_secs(2);

/// A process as a group knows it. Its name outlives it (`group.instance.id`, KIP-345): whoever joins under a name takes the partitions of
/// its former holder over, and fences it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The name, the same after a restart.
    pub name: String,
    /// This process, and no other.
    pub incarnation: Uuid,
    /// The process that had the name before and is proven dead. Another one that holds it is given time to notice that it does no longer.
    pub former: Option<Uuid>,
}

impl Instance {
    /// The end of a member whose name another process has taken in `group`.
    fn replaced_in(&self, group: &str) -> KafkaError {
        KafkaError::Replaced { group: group.to_owned(), instance: self.name.clone() }
    }
    /// Whether `process` is this one or is proven dead, so that it does nothing under our name any more.
    fn succeeds(&self, process: Uuid) -> bool {
        process == self.incarnation || Some(process) == self.former
    }
}

/// A consumer group: its offsets, and our membership in it if there is one. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    pub(super) client: KafkaClient,
    pub(super) id: Arc<str>,
    pub(super) membership: Arc<SharedMembership>,
    /// The topic that its members write for each other.
    repartition: Option<Arc<str>>,
}

/// The state of the membership that commits and observers need.
#[derive(Default)]
pub(super) struct SharedMembership {
    /// One heartbeat or commit at a time: brokers before 4.3 refuse a commit that crosses a heartbeat which moves the epoch.
    pub(super) turn: tokio::sync::Mutex<()>,
    present: Mutex<Present>,
}

/// The membership as of the last heartbeat.
#[derive(Default)]
struct Present {
    fence: Fence,
    /// When the coordinator took us in; `None` outside the group.
    joined_at: Option<Instant>,
    /// Until when the answer to the last heartbeat vouches for us.
    vouched_until: Option<Instant>,
    /// Epoch under which each partition became ours.
    since: HashMap<TopicPartition, i32>,
    ours: Vec<Holder>,
    foreign: Vec<ForeignMember>,
    /// Whether we are on our way into the next generation of a classic group.
    is_joining: bool,
}

impl SharedMembership {
    /// We have asked for the next generation: commits under the present one may be refused, and are repeated under the next.
    fn begins_to_join(&self) {
        self.present().is_joining = true;
    }
    /// The fence under which to repeat a commit that was refused with `error` under `fence`; `None` if a repetition does not help.
    pub(super) fn fence_after(&self, error: &KafkaError, partition: &TopicPartition, fence: &Fence) -> Option<Fence> {
        let is_behind = matches!(error.code(), Some(Code::STALE_MEMBER_EPOCH | Code::ILLEGAL_GENERATION));
        is_behind.then(|| self.renewed(partition, fence)).flatten()
    }
    /// Whether a commit that was refused with `error` may be taken once we are in the next generation.
    pub(super) fn may_be_renewed(&self, error: &KafkaError) -> bool {
        match error.code() {
            Some(Code::REBALANCE_IN_PROGRESS) => true,
            Some(Code::ILLEGAL_GENERATION) => self.present().is_joining,
            _ => false,
        }
    }
    /// The fence of today for a partition that has been ours without a break since `former`.
    fn renewed(&self, partition: &TopicPartition, former: &Fence) -> Option<Fence> {
        let present = self.present();
        let since = *present.since.get(partition)?;
        let unbroken =
            present.fence.member == former.member && since <= former.epoch && former.epoch < present.fence.epoch;
        unbroken.then(|| present.fence.clone())
    }
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KafkaClient {
    /// The group `id`; nothing is joined yet.
    pub fn group(&self, id: &str) -> Group {
        Group { client: self.clone(), id: id.into(), membership: Arc::default(), repartition: None }
    }
}

impl Group {
    /// Its members write `topic` for each other (KIP-1071).
    pub fn with_repartition(self, topic: Option<Arc<str>>) -> Group {
        Group { repartition: topic, ..self }
    }
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// True once we have been in the group for long enough to know our partitions, even if there are none.
    pub fn is_settled(&self) -> bool {
        self.membership.present().joined_at.is_some_and(|at| at.elapsed() >= UNSETTLED)
    }
    /// True while the coordinator has confirmed lately that we are in the group. A process that was stopped for longer (SIGSTOP, a
    /// suspended machine) is not: its partitions may be another's.
    pub fn is_vouched_for(&self) -> bool {
        self.membership.present().vouched_until.is_some_and(|until| Instant::now() < until)
    }
    /// Our member id, and all members that are ours, in all processes, as of the last look.
    pub fn holders(&self) -> (String, Vec<Holder>) {
        let present = self.membership.present();
        (present.fence.member.clone(), present.ours.clone())
    }
    /// Foreign members, as of the last look: they take partitions and process nothing.
    pub fn foreign_members(&self) -> Vec<ForeignMember> {
        self.membership.present().foreign.clone()
    }

    /// Joins as `instance`: the partitions of a former holder of its name are ours at once, without a rebalance.
    ///
    /// Topics that are missing come as [`crate::transport::GroupEvent::Fatal`], and so does
    /// [`crate::transport::TransportError::Replaced`] once another process has joined under the name.
    pub fn join(&self, instance: Instance, topics: impl IntoIterator<Item = Arc<str>>) -> GroupMember {
        let (events, received) = channel();
        let (commands, queue) = unbounded_channel();
        let (group, topics) = (self.clone(), topics.into_iter().collect());
        self.client.handle.spawn(async move {
            let id = group.id.clone();
            let holdings = Holdings::new(group.clone(), events.clone());
            let kept = match group.protocol().await {
                Ok(Protocol::Consumer) => {
                    let form = ConsumerHeartbeats::new(group.clone(), instance.name.clone(), topics);
                    membership::Actor::new(group, instance, Heartbeats::Consumer(form), holdings, queue).keep().await
                }
                Ok(Protocol::Streams) => {
                    let form = StreamsHeartbeats::new(group.clone(), instance.clone(), topics);
                    membership::Actor::new(group, instance, Heartbeats::Streams(form), holdings, queue).keep().await
                }
                Ok(Protocol::Classic) => classic::Actor::new(group, instance, topics, holdings, queue).keep().await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::error!(group = %id, %error, "membership ended");
                // A receiver that is gone has dropped the member.
                events.send(GroupEvent::Fatal(error.into())).ok();
            }
        });
        GroupMember::new(received, commands, self.client.clone())
    }

    /// The protocol that the settings ask for, else the newest that the cluster has.
    async fn protocol(&self) -> Result<Protocol, KafkaError> {
        if let Some(protocol) = self.client.config().group_protocol {
            return Ok(protocol);
        }
        let mut backoff = self.client.cluster.backoff("find the group's coordinator");
        loop {
            match self.client.cluster.coordinator(&self.id).await {
                Ok(coordinator) => return Ok(coordinator.group_protocol()),
                Err(error) => {
                    self.client.cluster.forget_coordinator(&self.id);
                    backoff.wait(error).await?;
                }
            }
        }
    }
}

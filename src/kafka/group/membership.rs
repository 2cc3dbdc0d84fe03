//! Membership by heartbeats, where the broker works out who owns what: a heartbeat says what we hold and brings what we should hold. What it
//! looks like is the business of `consumer` (KIP-848) and `streams` (KIP-1071).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::super::{Code, KafkaError};
use super::consumer::ConsumerHeartbeats;
use super::heartbeat::{Answer, Heartbeat, JOIN};
use super::holdings::Holdings;
use super::member::Command;
use super::streams::StreamsHeartbeats;
use super::{Group, Instance, roster};
use crate::record::TopicPartition;
use crate::transport::Fence;

/// Between heartbeats while an assignment is under way. The broker works assignments out on the side, so that the first answer is always
/// empty; waiting for its own interval of 5 s would make that the time of every join.
const EAGER: Duration = Duration::from_millis(150);

/// The form of heartbeats.
pub(super) enum Heartbeats {
    Consumer(ConsumerHeartbeats),
    Streams(StreamsHeartbeats),
}

impl Heartbeats {
    async fn send(&mut self, heartbeat: Heartbeat<'_>) -> Result<Answer, KafkaError> {
        match self {
            Heartbeats::Consumer(form) => form.send(heartbeat).await,
            Heartbeats::Streams(form) => form.send(heartbeat).await,
        }
    }
    async fn leave(&self, member: &str) -> Result<(), KafkaError> {
        match self {
            Heartbeats::Consumer(form) => form.leave(member).await,
            Heartbeats::Streams(form) => form.leave(member).await,
        }
    }
    /// Adds the remedy to a refusal that the code alone does not explain.
    fn explain(&self, error: KafkaError) -> KafkaError {
        let remedy = match self {
            Heartbeats::Consumer(form) => form.remedy(&error),
            Heartbeats::Streams(form) => form.remedy(&error),
        };
        match (error, remedy) {
            (KafkaError::Refused { address, api, code, .. }, Some(message)) => {
                KafkaError::Refused { address, api, code, message }
            }
            (error, _) => error,
        }
    }
}

/// The task that owns the membership.
pub(super) struct Actor {
    group: Group,
    instance: Instance,
    heartbeats: Heartbeats,
    member: String,
    /// How often we have joined.
    joined: u32,
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
        heartbeats: Heartbeats,
        holdings: Holdings,
        commands: UnboundedReceiver<Command>,
    ) -> Actor {
        Actor {
            group,
            member: roster::member_id(instance.incarnation, 0),
            instance,
            heartbeats,
            joined: 0,
            holdings,
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
                    backoff.wait(self.heartbeats.explain(error)).await?;
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
        let is_known = self.epoch != JOIN && self.reported.as_ref() == Some(&self.holdings.held);
        let held = (!is_known).then_some(&self.holdings.held);
        let answer = self.heartbeats.send(Heartbeat { member: &self.member, epoch: self.epoch, held }).await?;
        self.reported = Some(self.holdings.held.clone());
        self.interval = answer.interval;
        if let Some(target) = answer.target {
            self.holdings.target = target;
        }
        self.epoch = answer.epoch;
        let fence = Fence { member: self.member.clone(), epoch: self.epoch };
        self.holdings.take(fence, self.interval);
        Ok(())
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
        let Heartbeats::Consumer(form) = &self.heartbeats else { return Err(refused) };
        let Some(holder) = form.hand_over().await? else { return Err(refused) };
        if !roster::process_of(&holder.member_id).is_some_and(|process| self.instance.succeeds(process)) {
            self.holdings.displaces(&self.instance, &holder.member_id, &holder.client_host);
        }
        self.beat().await
    }

    async fn leave(&self) {
        match self.heartbeats.leave(&self.member).await {
            Ok(()) => tracing::info!(group = %self.group.id, "left the group"),
            Err(error) => tracing::warn!(group = %self.group.id, %error, "could not leave the group"),
        }
    }
}

fn is_put_out(error: &KafkaError) -> bool {
    matches!(error.code(), Some(Code::UNKNOWN_MEMBER_ID | Code::FENCED_MEMBER_EPOCH))
}

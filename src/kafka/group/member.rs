//! The handle of a membership: the runtime's end of the task that keeps it.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::super::KafkaClient;
use crate::record::TopicPartition;
use crate::transport::{GroupEvent, Membership};

/// Time that the coordinator has to answer a leave, however little time is left.
const LEAVE_MIN: Duration = Duration::from_millis(500);

/// Our membership. Dropped without [`Membership::leave`] it ends like a crash: the broker keeps our partitions for the session timeout.
pub struct GroupMember {
    events: Receiver<GroupEvent>,
    commands: UnboundedSender<Command>,
    client: KafkaClient,
}

pub(super) enum Command {
    Released(BTreeSet<TopicPartition>),
    Leave(Sender<()>),
}

impl GroupMember {
    pub(super) fn new(
        events: Receiver<GroupEvent>,
        commands: UnboundedSender<Command>,
        client: KafkaClient,
    ) -> GroupMember {
        GroupMember { events, commands, client }
    }
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
        self.commands.send(Command::Released(partitions.clone())).ok();
    }
    fn leave(&mut self) {
        let (left, done) = channel();
        let limit = self.client.time_left().max(LEAVE_MIN).min(self.client.config().request_timeout);
        if self.commands.send(Command::Leave(left)).is_ok() && done.recv_timeout(limit).is_err() {
            tracing::warn!("left without the coordinator's answer; others take over after the session timeout");
        }
    }
}

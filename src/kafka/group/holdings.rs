//! The partitions that a member holds, and the events for its tasks: the same for both protocols.

use std::collections::BTreeSet;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::time::Instant;

use super::{Group, Instance, UNSETTLED, roster};
use crate::metrics;
use crate::record::TopicPartition;
use crate::transport::{Fence, GroupEvent};

/// How often the group is looked over for foreign members while its epoch does not move.
const ROSTER_EVERY: Duration = Duration::from_secs(30);
/// Above the heartbeat interval: how long an answer vouches for us, and how long a live former holder of our name has to stop.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// The partitions of one member.
pub(super) struct Holdings {
    group: Group,
    events: Sender<GroupEvent>,
    /// Partitions that are ours, those that are being revoked included.
    pub(super) held: BTreeSet<TopicPartition>,
    revoking: BTreeSet<TopicPartition>,
    /// Partitions that should be ours, as the group said last.
    pub(super) target: BTreeSet<TopicPartition>,
    /// The fence as of the last [`Holdings::take`]; `None` outside the group.
    fence: Option<Fence>,
    unsettled_until: Instant,
    /// When a holder of our name was put out that may still be running.
    displaced_at: Option<Instant>,
    /// When the members of the group are looked at again.
    roster_at: Instant,
}

impl Holdings {
    /// Of a member that has not joined yet.
    pub(super) fn new(group: Group, events: Sender<GroupEvent>) -> Holdings {
        let now = Instant::now();
        Holdings {
            group,
            events,
            held: BTreeSet::new(),
            revoking: BTreeSet::new(),
            target: BTreeSet::new(),
            fence: None,
            unsettled_until: now,
            displaced_at: None,
            roster_at: now + UNSETTLED,
        }
    }

    /// Compares what should be ours with what is, and reports the difference. The coordinator has just answered under `fence`, and hears of
    /// us again within `interval`. The group gives a partition to us only when its former owner has let it go.
    pub(super) fn take(&mut self, fence: Fence, interval: Duration) {
        let assigned: BTreeSet<_> = match self.waits_for_former(interval) {
            Some(_) => BTreeSet::new(),
            None => self.target.difference(&self.held).cloned().collect(),
        };
        let is_kept = |held: &&TopicPartition| self.target.contains(*held) || self.revoking.contains(*held);
        let revoked: BTreeSet<_> = self.held.iter().filter(|held| !is_kept(held)).cloned().collect();
        let moved = self.fence.replace(fence.clone()).is_none_or(|former| former.epoch != fence.epoch);
        {
            let mut present = self.group.membership.present();
            (present.fence, present.is_joining) = (fence.clone(), false);
            present.joined_at.get_or_insert_with(Instant::now);
            present.vouched_until = Some(Instant::now() + interval + SLACK);
            present.since.extend(assigned.iter().map(|partition| (partition.clone(), fence.epoch)));
        }
        if moved || !assigned.is_empty() || !revoked.is_empty() {
            self.unsettled_until = Instant::now() + UNSETTLED;
            self.roster_at = self.roster_at.min(self.unsettled_until);
            tracing::info!(group = %self.group.id, epoch = fence.epoch, assigned = assigned.len(), revoked = revoked.len(), held = self.held.len(), "group");
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

    /// The tasks have let these partitions go.
    pub(super) fn release(&mut self, partitions: &BTreeSet<TopicPartition>) {
        let mut present = self.group.membership.present();
        for partition in partitions {
            self.held.remove(partition);
            self.revoking.remove(partition);
            present.since.remove(partition);
        }
        self.unsettled_until = Instant::now() + UNSETTLED;
    }

    /// We are outside the group: everything is another's already.
    pub(super) fn lose(&mut self) {
        {
            let mut present = self.group.membership.present();
            (present.joined_at, present.vouched_until, present.is_joining) = (None, None, false);
        }
        self.fence = None;
        self.target.clear();
        self.lose_some(|_| true);
    }

    /// The partitions that `is_lost` are another's already, or exist no longer.
    pub(super) fn lose_some(&mut self, is_lost: impl Fn(&TopicPartition) -> bool) {
        let lost: BTreeSet<_> = self.held.iter().filter(|held| is_lost(held)).cloned().collect();
        let mut present = self.group.membership.present();
        for partition in &lost {
            self.held.remove(partition);
            self.revoking.remove(partition);
            self.target.remove(partition);
            present.since.remove(partition);
        }
        drop(present);
        if !lost.is_empty() {
            self.send(GroupEvent::Lost(lost));
        }
    }

    /// Another process runs under our name, or died just now: the member `holder` at `host`.
    pub(super) fn displaces(&mut self, instance: &Instance, holder: &str, host: &str) {
        let (group, instance) = (&self.group.id, &instance.name);
        tracing::warn!(%group, instance, holder, host, "another process runs under our instance id, or died just now; it stops and this one takes its place");
        self.displaced_at = Some(Instant::now());
    }
    /// How long a former holder of our name may still not have noticed that it is replaced: it asks once in `interval`.
    pub(super) fn waits_for_former(&self, interval: Duration) -> Option<Duration> {
        let wait = (self.displaced_at? + interval + SLACK).saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// Whether partitions are being let go.
    pub(super) fn is_revoking(&self) -> bool {
        !self.revoking.is_empty()
    }
    /// Whether something changed just now, so that more is likely to.
    pub(super) fn is_unsettled(&self) -> bool {
        Instant::now() < self.unsettled_until
    }

    /// Looks now and then who else is in the group.
    pub(super) async fn look_around(&mut self) {
        if Instant::now() < self.roster_at {
            return;
        }
        self.roster_at = Instant::now() + ROSTER_EVERY;
        self.look_at_members().await;
    }

    /// Looks who is in the group.
    pub(super) async fn look_at_members(&self) {
        match roster::look(&self.group.client.cluster, &self.group.id).await {
            Ok(roster) => {
                self.group.membership.present().ours = roster.ours;
                self.note_foreign(roster.foreign);
            }
            Err(error) => tracing::debug!(group = %self.group.id, %error, "members cannot be looked at"),
        }
    }

    /// Reports foreign members, once each.
    fn note_foreign(&self, foreign: Vec<roster::ForeignMember>) {
        metrics::group_foreign_members(&self.group.id).set(foreign.len() as f64);
        let before = std::mem::replace(&mut self.group.membership.present().foreign, foreign.clone());
        for member in foreign.iter().filter(|member| !before.iter().any(|known| known.member_id == member.member_id)) {
            tracing::warn!(group = %self.group.id, %member, "a member that is no sheetstream takes partitions of this group and commits to it: uploads in them are not processed; give it a group of its own");
        }
        if foreign.is_empty() && !before.is_empty() {
            tracing::info!(group = %self.group.id, "all members of the group are sheetstream again");
        }
    }

    /// Sends the event to the tasks.
    fn send(&self, event: GroupEvent) {
        // A receiver that is gone has dropped the member; the command channel ends the membership.
        self.events.send(event).ok();
    }
}

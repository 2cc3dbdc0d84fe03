//! Standbys: tasks of partitions that other members own, which this process keeps up to date (Kafka Streams' `num.standby.replicas`). Every
//! process works out from the members of the group which are its own; while they see the group differently, a partition has one more or one
//! less, which harms nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::Manager;
use crate::kafka::group::Holder;
use crate::record::{TaskId, TopicPartition};
use crate::runtime::error::StreamsError;
use crate::runtime::task::TaskError;
use crate::runtime::task_maker::standby_maker;
use crate::source::Placement;
use crate::topology::Topology;
use crate::transport::TransportError;

/// How often it is looked which tasks need a standby here, and how long one that has ended waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The partitions of others that the member `ours` has to be behind, if each is to have `count` standbys: the members that come after its
/// owner's place have them, by turns from partition to partition.
fn partitions_of(ours: &str, holders: &[Holder], count: usize) -> BTreeSet<TopicPartition> {
    let mut members: Vec<&str> = holders.iter().map(|holder| &*holder.member).collect();
    members.sort_unstable();
    let mut found = BTreeSet::new();
    for holder in holders.iter().filter(|holder| *holder.member != *ours) {
        let others: Vec<&str> = members.iter().copied().filter(|member| *member != &*holder.member).collect();
        for partition in &holder.partitions {
            let first = usize::try_from(partition.partition).unwrap_or(0);
            let mut turns = others.iter().cycle().skip(first % others.len().max(1)).take(count.min(others.len()));
            if turns.any(|member| *member == ours) {
                found.insert(partition.clone());
            }
        }
    }
    found
}

impl Manager {
    /// A number that was given to the process beats that of the topology.
    fn standbys(&self, topology: &Topology) -> usize {
        match topology.source.placement {
            Placement::Keyed => self.config.standby.unwrap_or(topology.standby) as usize,
            Placement::Spread(_) => 0, // what it holds is read from the repartition topic, whatever there is on disk
        }
    }

    /// Begins and ends standbys as the members of the groups ask for.
    pub(super) fn stand_by(&mut self, now: Instant) -> Result<(), StreamsError> {
        if now < self.stand_by_at {
            return Ok(());
        }
        self.stand_by_at = now + LOOK_EVERY;
        for at in 0..self.applications.len() {
            let app = &self.applications[at];
            let count = self.standbys(&app.topology);
            if count == 0 && app.standbys.is_empty() {
                continue;
            }
            let (member, holders) = app.group.holders();
            let wanted = partitions_of(&member, &holders, count);
            let wanted: BTreeSet<TaskId> = wanted.iter().map(|partition| app.topology.task_of(partition)).collect();
            let is_ours = |id: &&TaskId| app.tasks.contains(*id) || app.revoking.contains(*id);
            let begins: Vec<TaskId> = wanted.difference(&app.standbys).filter(|id| !is_ours(id)).cloned().collect();
            // An owner that is gone leaves its partitions to nobody for a while, and to us, perhaps.
            let is_owned = |id: &&TaskId| {
                let partition = app.topology.partition_of(id);
                holders.iter().any(|holder| holder.partitions.contains(&partition))
            };
            let ends: Vec<TaskId> = app.standbys.difference(&wanted).filter(is_owned).cloned().collect();
            ends.iter().for_each(|id| self.end_standby(at, id));
            for id in begins {
                let parts = self.maker_parts(at);
                self.thread_of(&id)?.stand_by(standby_maker(id.clone(), parts));
                self.applications[at].standbys.insert(id);
            }
        }
        Ok(())
    }

    fn end_standby(&mut self, at: usize, id: &TaskId) {
        info!(task = %id, "the standby is not needed any more");
        self.applications[at].standbys.remove(id);
        if let Some(thread) = self.threads.get(id) {
            thread.revoke();
        }
    }

    /// A standby could not begin, or continue. Another one begins soon.
    pub(super) fn on_standby_ended(&mut self, id: &TaskId, error: &TaskError) {
        let Some(app) = self.applications.iter_mut().find_map(|app| app.standbys.remove(id).then_some(app)) else {
            return;
        };
        match error {
            TaskError::Transport(TransportError::Unavailable(_)) => debug!(task = %id, %error, "standby ended"),
            error => warn!(task = %id, topology = %app.topology.name, %error, "standby ended; it is tried again"),
        }
        self.end_thread(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(member: &str, partitions: &[i32]) -> Holder {
        let at = |partition: &i32| TopicPartition { topic: "rows".into(), partition: *partition };
        Holder { member: member.into(), partitions: partitions.iter().map(at).collect() }
    }

    #[test]
    fn every_partition_has_as_many_standbys_as_asked_for_and_its_owner_is_none_of_them() {
        let holders = [holder("b", &[0, 3, 4]), holder("a", &[1, 5]), holder("c", &[2])];
        for (count, each) in [(0, 0), (1, 1), (2, 2), (5, 2)] {
            let mut standbys = [0; 6];
            for ours in ["a", "b", "c"] {
                for partition in partitions_of(ours, &holders, count) {
                    let owner = holders.iter().find(|holder| holder.partitions.contains(&partition)).expect("one");
                    assert_ne!(&*owner.member, ours);
                    standbys[partition.partition as usize] += 1;
                }
            }
            assert_eq!(standbys, [each; 6], "{count}");
        }
        assert!(partitions_of("a", &[holder("a", &[0, 1])], 1).is_empty(), "alone");
    }

    #[test]
    fn standbys_are_spread_over_the_members() {
        let holders = [holder("a", &[0, 1, 2, 3, 4, 5]), holder("b", &[]), holder("c", &[])];
        assert_eq!(partitions_of("b", &holders, 1).len(), 3);
        assert_eq!(partitions_of("c", &holders, 1).len(), 3);
    }
}

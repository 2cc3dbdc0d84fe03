//! Standbys: tasks of partitions that other members own, which this process keeps up to date (Kafka Streams' `num.standby.replicas`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::Manager;
use crate::kafka::group::Holder;
use crate::record::{TaskId, TopicPartition};
use crate::runtime::error::StreamsError;
use crate::runtime::standby_members::standbys_of;
use crate::runtime::task::TaskError;
use crate::runtime::task_maker::standby_maker;
use crate::transport::TransportError;

/// How often it is looked which tasks need a standby here, and how long one that has ended waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The partitions of others that the member `ours` has to be behind.
fn partitions_of(ours: &str, holders: &[Holder], count: usize) -> BTreeSet<TopicPartition> {
    let owned = holders.iter().flat_map(|holder| &holder.partitions);
    let is_ours = |partition: &&TopicPartition| {
        standbys_of(partition, holders, count).iter().any(|standby| *standby.member == *ours)
    };
    owned.filter(is_ours).cloned().collect()
}

impl Manager {
    /// Begins and ends standbys as the members of the groups ask for.
    pub(super) fn stand_by(&mut self, now: Instant) -> Result<(), StreamsError> {
        if now < self.stand_by_at {
            return Ok(());
        }
        self.stand_by_at = now + LOOK_EVERY;
        for at in 0..self.applications.len() {
            let app = &self.applications[at];
            let count = app.topology.standbys(self.config.standby);
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

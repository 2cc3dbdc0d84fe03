//! Looks once a second for things that nobody else would notice: brokers that do not answer, a disk that gets short, state that was thrown
//! away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::crs;
use crate::kafka::{KafkaClient, Reached};
use crate::metrics;
use crate::runtime::health::{Condition, Degradation, Health};
use crate::state::{RebuildReason, StateDir};

const EVERY: Duration = Duration::from_secs(1);
/// One broker of several that goes is found by the next request; only a longer silence is a degradation.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The results of the looks before.
struct Watch {
    health: Arc<Health>,
    short_since: Option<SystemTime>,
    discarded: BTreeMap<RebuildReason, u64>,
}

/// Looks until the runtime ends.
pub(super) async fn run(health: Arc<Health>, client: KafkaClient, state: Arc<StateDir>) {
    let mut watch = Watch { health, short_since: None, discarded: BTreeMap::new() };
    metrics::build_info(env!("CARGO_PKG_VERSION"), &crs::proj_version()).set(1.0);
    for reason in metrics::PAUSES {
        metrics::tasks_paused(reason); // a series that begins at 0 shows its first rise
        metrics::pauses(reason);
        metrics::commit_failures(reason);
    }
    metrics::log_events_suppressed();
    for reason in RebuildReason::ALL {
        metrics::state_discarded(reason.code());
    }
    loop {
        watch.brokers(client.reached());
        watch.discarded(state.rebuilds());
        let asked = state.clone();
        // On a thread of its own: a file system may hang.
        if let Ok(Ok(space)) = tokio::task::spawn_blocking(move || asked.space()).await {
            metrics::state_disk_size().set(space.size_bytes as f64);
            watch.disk(space.free_bytes, space.free_bytes < space.wanted_bytes);
        }
        watch.health.publish();
        tokio::time::sleep(EVERY).await;
    }
}

impl Watch {
    fn brokers(&self, reached: Reached) {
        let silent = match reached {
            Reached::Silent(since) => Some(since).filter(|since| since.elapsed().is_ok_and(|for_| for_ > SILENCE_MAX)),
            Reached::Unknown | Reached::Answers => None,
        };
        self.health.set(Condition::Broker, reached != Reached::Unknown && silent.is_none());
        self.health.degrade(Degradation::Broker, silent);
    }

    fn disk(&mut self, free_bytes: u64, short: bool) {
        metrics::state_disk_free().set(free_bytes as f64);
        match (short, self.short_since) {
            (true, None) => {
                warn!(
                    free_bytes,
                    "the disk of the state directory is short: make room, or tasks wait until there is some"
                );
                self.short_since = Some(SystemTime::now());
            }
            (false, Some(_)) => {
                info!(free_bytes, "the disk of the state directory has room again");
                self.short_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.health.degrade(Degradation::Disk, self.short_since);
    }

    fn discarded(&mut self, counts: BTreeMap<RebuildReason, u64>) {
        for (reason, count) in &counts {
            let before = self.discarded.get(reason).copied().unwrap_or_default();
            metrics::state_discarded(reason.code()).inc_by(count - before);
        }
        self.discarded = counts;
    }
}

//! What all handlers share: the settings, the topologies that run, the way to the cluster.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use super::guard::Visitors;
use super::problem::Problem;
use super::{HttpConfig, HttpParts};
use crate::kafka::KafkaClient;
use crate::runtime::health::Health;
use crate::topology::Topology;

/// What all handlers share.
pub struct Site {
    /// The settings.
    pub config: HttpConfig,
    /// The way to the cluster; its calls block, so they belong on a blocking thread.
    pub kafka: KafkaClient,
    /// Who asked how often.
    pub(super) visitors: Mutex<Visitors>,
    /// Becomes true when the server stops; streams of events end then.
    pub stopping: watch::Receiver<bool>,
    /// How the process is.
    pub health: Arc<Health>,
    topologies: RwLock<Vec<Arc<Topology>>>,
}

impl Site {
    pub(super) fn new(
        config: HttpConfig,
        parts: HttpParts,
        kafka: KafkaClient,
        stopping: watch::Receiver<bool>,
    ) -> Site {
        let HttpParts { topologies, health, kafka: _ } = parts;
        Site { config, kafka, visitors: Mutex::default(), stopping, health, topologies: RwLock::new(topologies) }
    }

    /// The topologies that run, in the order they were given.
    pub fn topologies(&self) -> Vec<Arc<Topology>> {
        self.topologies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The topology of that name.
    pub fn topology(&self, name: &str) -> Result<Arc<Topology>, Problem> {
        let topologies = self.topologies();
        topologies.iter().find(|topology| &*topology.name == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = topologies.iter().map(|topology| &*topology.name).collect();
            let detail = format!("no topology \"{name}\" runs here; there are: {}", names.join(", "));
            Problem::not_found("unknown-topology", detail).in_field("topology")
        })
    }

    pub(super) fn replace_topologies(&self, topologies: Vec<Arc<Topology>>) {
        *self.topologies.write().unwrap_or_else(PoisonError::into_inner) = topologies;
    }
}

//! The state that all handlers share: the settings, the topologies that run, the client of the cluster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Semaphore, watch};

use super::problem::Problem;
use super::rate_limiter::RateLimiter;
use super::sessions::Sessions;
use super::spool::SpoolRoom;
use super::workbook_cache::WorkbookCache;
use super::{HttpConfig, HttpParts};
use crate::client::uploads::UploadIndex;
use crate::kafka::KafkaClient;
use crate::runtime::health::Health;
use crate::runtime::queries::Queries;
use crate::topology::Topology;

/// Uploads of the largest size that may lie in temporary files at the same time.
const SPOOLED_UPLOADS: u64 = 4;
/// Uploads that are published at the same time; each has a thread and the buffer of a producer.
const PUBLISHERS: usize = 4;

/// The state that all handlers share.
pub struct AppState {
    /// The settings.
    pub config: HttpConfig,
    /// The way to the cluster; its calls block, so they belong on a blocking thread.
    pub kafka: KafkaClient,
    /// The index of uploads.
    pub uploads: Arc<UploadIndex>,
    /// Temporary files of uploads.
    pub(super) spool_room: Arc<SpoolRoom>,
    /// Uploads that are published at the same time.
    pub(super) publishers: Semaphore,
    /// Files of workbooks that were asked for.
    pub(super) workbooks: WorkbookCache,
    /// Who asked how often.
    pub(super) rate_limiter: Mutex<RateLimiter>,
    /// Who has shown the token.
    pub(super) sessions: Sessions,
    /// Becomes true when the server stops; streams of events end then.
    pub stopping: watch::Receiver<bool>,
    /// How the process is.
    pub health: Arc<Health>,
    /// Asks the tasks of this process.
    pub queries: Queries,
    topologies: RwLock<Vec<Arc<Topology>>>,
    /// By topology: the problems of its file since it was last saved.
    problems: RwLock<HashMap<String, String>>,
}

impl AppState {
    pub(super) fn new(
        config: HttpConfig,
        parts: HttpParts,
        kafka: KafkaClient,
        stopping: watch::Receiver<bool>,
    ) -> AppState {
        let room = config.upload_bytes_max.saturating_mul(SPOOLED_UPLOADS);
        let app = AppState {
            kafka,
            uploads: Arc::default(),
            spool_room: Arc::new(SpoolRoom::new(config.spool_dir.clone(), room)),
            publishers: Semaphore::new(PUBLISHERS),
            workbooks: WorkbookCache::default(),
            rate_limiter: Mutex::default(),
            sessions: Sessions::default(),
            stopping,
            health: parts.health,
            queries: parts.queries,
            topologies: RwLock::default(),
            problems: RwLock::default(),
            config,
        };
        app.replace_topologies(parts.topologies);
        app
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

    /// The topology of that name; without a name the only one that there is.
    pub fn topology_or_only(&self, name: Option<&str>) -> Result<Arc<Topology>, Problem> {
        match (name, &*self.topologies()) {
            (Some(name), _) => self.topology(name),
            (None, [only]) => Ok(only.clone()),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|topology| &*topology.name).collect();
                let detail = format!("say which topology: {}", names.join(", "));
                Err(Problem::bad_request("topology", detail).in_field("topology"))
            }
        }
    }

    /// The problems of the file of a topology that runs.
    pub(super) fn problems_of(&self, topology: &str) -> Option<String> {
        self.problems.read().unwrap_or_else(PoisonError::into_inner).get(topology).cloned()
    }
    pub(super) fn show_problems(&self, topology: &str, problems: Option<String>) {
        let mut all = self.problems.write().unwrap_or_else(PoisonError::into_inner);
        match problems {
            Some(problems) => all.insert(topology.to_owned(), problems),
            None => all.remove(topology),
        };
    }

    pub(super) fn replace_topologies(&self, topologies: Vec<Arc<Topology>>) {
        self.uploads.follow(&self.kafka, topologies.iter().map(|topology| topology.sink.status_topic.clone()));
        *self.topologies.write().unwrap_or_else(PoisonError::into_inner) = topologies;
    }
}

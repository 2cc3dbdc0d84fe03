//! One process: the parts it starts, the order in which they end, and the reasons why it cannot continue. The `manager` assigns the tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use crate::kafka::KafkaClient;
use crate::runtime::config::StreamsConfig;
pub use crate::runtime::error::StreamsError;
use crate::runtime::health::{Condition, Health};
use crate::runtime::manager::{self, Manager};
use crate::runtime::queries::Queries;
use crate::runtime::stream_thread::ThreadParts;
use crate::runtime::turn::Turns;
use crate::runtime::watch;
use crate::state::{StateDir, StateError, StateOptions};
use crate::topology::Topology;
use crate::transport::TransportError;

/// Topologies that are to run in this process. Code that watches them takes its handles before [`Streams::run`].
pub struct Streams {
    topologies: Vec<Topology>,
    config: StreamsConfig,
    queries: Queries,
    health: Arc<Health>,
}

impl Streams {
    /// Nothing is started or connected before [`Streams::run`].
    pub fn new(topologies: Vec<Topology>, config: StreamsConfig) -> Streams {
        let health = Arc::new(Health::default());
        Streams { topologies, config, queries: Queries::default(), health }
    }

    /// Whoever watches the streams that ran before watches these: the handles are theirs.
    pub fn watched_by(mut self, queries: Queries, health: Arc<Health>) -> Streams {
        Condition::ALL.into_iter().for_each(|condition| health.set(condition, false));
        (self.queries, self.health) = (queries, health);
        self
    }
    /// Asks the tasks while they run.
    pub fn queries(&self) -> Queries {
        self.queries.clone()
    }

    /// How the process is, from now on and while it runs.
    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Runs until `stop` is set or a part cannot continue. Uploads survive however it ends. An orderly stop also commits, leaves the groups
    /// and marks the state clean.
    pub fn run(self, stop: &Arc<AtomicBool>) -> Result<(), StreamsError> {
        let Streams { topologies, config, queries, health } = self;
        let tokio =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("kafka").enable_all().build()?;
        let client = KafkaClient::new(tokio.handle().clone(), config.kafka.clone());
        let options = StateOptions { power_safe: config.power_safe, ..StateOptions::default() };
        let state = Arc::new(StateDir::open(&config.state_dir, options)?);
        health.pauses.keep_in(&config.state_dir).map_err(StateError::Io)?;
        health.set(Condition::State, true);
        tokio.spawn(watch::run(health.clone(), client.clone(), state.clone()));

        let turns = Turns::new(config.threads, tokio.handle().clone());
        let (reports, inbox) = channel();
        let parts = ThreadParts { commit_interval: config.commit_interval, reports, health, turns };
        queries.begin();
        let mut manager = Manager::new(client.clone(), state.clone(), parts, queries.clone(), &config);
        tokio.spawn(close_on(stop.clone(), client));
        let outcome = manager.join(topologies).and_then(|()| manager.serve(&inbox, stop));
        queries.end();
        manager.close();
        let closed = state.close();
        match outcome {
            // The next start reads again the records that were not committed.
            Err(StreamsError::Transport(TransportError::Unavailable(_))) if stop.load(Ordering::Relaxed) => {}
            outcome => outcome?,
        }
        Ok(closed?)
    }
}

/// Once `stop` is set, nothing waits much longer for the broker, not even the look at the topics that comes first.
async fn close_on(stop: Arc<AtomicBool>, client: KafkaClient) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(manager::LOOK).await;
    }
    client.close_within(manager::STOP_GRACE);
}

//! The transport over Kafka: rskafka reads the input, our own thin client on `kafka-protocol` does everything that decides ownership,
//! progress and visibility. Nothing here knows what a record means.
//!
//! All of it hangs on one [`KafkaClient`]; the calls that threads make block, the work behind them runs on the caller's tokio runtime.
//! Who a connection is, and whom it talks to, is proven in [`security`] before anything else is said.

pub mod acls;
pub mod admin;
pub mod clock;
pub mod config;
mod deliveries;
mod error;
pub mod follower;
pub mod group;
pub mod ingest;
mod ingest_buffer;
pub mod inspect;
mod nearest;
mod offsets;
pub mod outbox;
mod partition_writer;
pub mod partitioner;
pub mod producer;
pub mod read_committed;
pub mod secret;
pub mod security;
pub mod settings;
pub mod topic_reader;
mod transaction;
mod transaction_log;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

pub use config::{Isolation, KafkaConfig};
pub use error::{Code, KafkaError};
use wire::cluster::Cluster;
pub use wire::reach::Reached;

/// The way to one cluster. Cheap to clone; all clones share their connections.
///
/// The blocking calls of everything made from it panic when called from inside the runtime that `handle` belongs to.
#[derive(Clone)]
pub struct KafkaClient {
    pub(crate) handle: Handle,
    pub(crate) cluster: Arc<Cluster>,
    /// When blocking calls end, whatever they wait for.
    closing: Arc<watch::Sender<Option<Instant>>>,
}

impl KafkaClient {
    /// Connects to nothing yet: the first call does.
    pub fn new(handle: Handle, config: KafkaConfig) -> KafkaClient {
        KafkaClient { handle, cluster: Arc::new(Cluster::new(config)), closing: Arc::default() }
    }
    /// Blocking calls that have no answer `grace` from now fail as `Unavailable`, those that are made later too: who wants to leave does
    /// not wait for a broker that is gone.
    pub fn close_within(&self, grace: Duration) {
        let end = Instant::now() + grace;
        self.closing.send_modify(|closing| *closing = Some(closing.map_or(end, |earlier| earlier.min(end))));
    }
    /// Whether brokers answer.
    pub fn reached(&self) -> Reached {
        self.cluster.reach().now()
    }
    /// As it was given.
    pub fn config(&self) -> &KafkaConfig {
        &self.cluster.config
    }
    /// Time that is left of the grace of [`KafkaClient::close_within`].
    fn time_left(&self) -> Duration {
        self.closing.borrow().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
    /// Waits for `work` on a thread outside the runtime.
    fn block_on<T>(&self, work: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
        let mut closing = self.closing.subscribe();
        let closed = async move {
            match closing.wait_for(Option::is_some).await.map(|at| *at) {
                Ok(Some(at)) => tokio::time::sleep_until(at).await,
                Ok(None) | Err(_) => std::future::pending().await, // no client is left that could be closed
            }
        };
        self.handle.block_on(async {
            tokio::select! {
                biased;
                done = work => done,
                () = closed => Err(KafkaError::ShutDown),
            }
        })
    }
}

//! A Kafka of one node inside the process, on loopback: for trying things out and for tests, never for data that matters. Records live in
//! unlinked temporary files and are gone with the process; there is no replication, no compaction and no security.
//!
//! It is written for the clients that people bring: ours, rskafka, librdkafka (kcat, confluent-kafka) and Kafka's own Java tools. Every
//! Kafka test of this project also runs against Apache Kafka, so that this can never become the judge of itself.

mod admin;
mod api;
mod assignor;
mod batch;
mod call;
mod classic_group;
mod configs;
mod consumer_group;
pub mod faults;
mod fetch;
mod frame;
mod groups;
mod log;
mod membership;
mod offsets;
mod produce;
mod server;
mod space;
mod topics;
mod transactions;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use faults::Faults;
use groups::Groups;
use space::Space;
use topics::Topics;
use transactions::Transactions;

/// Newest version of Fetch.
const FETCH_VERSION: i16 = 17;
/// The only node.
const NODE: i32 = 1;

/// How the broker is set up.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bytes of records that are kept. Above nine tenths producers are slowed down, at the limit they are refused with an error that
    /// clients retry; before that, rows that every group is done with are dropped.
    pub bytes_max: u64,
    /// Bytes of a segment; a segment is dropped as a whole.
    pub segment_bytes: u64,
    /// After this long without a heartbeat a member of a KIP-848 group is put out.
    pub session_timeout: Duration,
    /// Interval at which the broker asks such members to send one.
    pub heartbeat_interval: Duration,
    /// Whether asking for a topic creates it, as Kafka does by default.
    pub auto_create_topics: bool,
    /// Level of the feature `transaction.version`: 2 are the transactions of KIP-890, 0 those before.
    pub transaction_version: i16,
    /// Level of the feature `group.version`: 1 are the groups of KIP-848 beside the classic ones, 0 those alone.
    pub group_version: i16,
    /// Newest version of Fetch that is served: below 13 it asks for topics by name, as brokers before 3.1 have it.
    pub fetch_version: i16,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bytes_max: 4 << 30,
            segment_bytes: 64 << 20,
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_millis(500),
            auto_create_topics: true,
            transaction_version: 2,
            group_version: 1,
            fetch_version: FETCH_VERSION,
        }
    }
}

/// A running broker; dropped, it and its records are gone.
pub struct Broker {
    shared: Arc<Shared>,
    handle: Handle,
    address: SocketAddr,
    serving: Option<AbortHandle>,
}

impl Broker {
    /// Listens and serves on the runtime of `handle`. Clients can connect when this returns.
    pub fn start(handle: &Handle, config: BrokerConfig) -> std::io::Result<Broker> {
        let listener = TcpListener::bind(config.listen)?;
        let address = listener.local_addr()?;
        let mut broker =
            Broker { shared: Arc::new(Shared::new(config, address)), handle: handle.clone(), address, serving: None };
        broker.serve(listener)?;
        Ok(broker)
    }
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Faults that are made on purpose.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }
    /// Cuts a partition as an unclean election does: batches from `offset` on are gone, and a new leader epoch begins.
    pub fn truncate(&self, topic: &str, partition: i32, offset: i64) -> std::io::Result<()> {
        let found = self.shared.state().topics.partition(topic, partition).cloned();
        found.map_or(Ok(()), |partition| partition.log().truncate(offset))?;
        self.shared.data.notify_waiters();
        Ok(())
    }
    /// Closes every connection and listens no more, as if the process were killed; the records stay for [`Broker::connect`].
    pub fn disconnect(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
        while std::net::TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
            std::thread::sleep(Duration::from_millis(5)); // the runtime has yet to drop the listener
        }
    }
    /// Listens again at the same address.
    pub fn connect(&mut self) -> std::io::Result<()> {
        self.serve(TcpListener::bind(self.address)?)
    }

    fn serve(&mut self, listener: TcpListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let _inside = self.handle.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        self.serving = Some(self.handle.spawn(server::serve(listener, self.shared.clone())).abort_handle());
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// The state that all connections share.
struct Shared {
    config: BrokerConfig,
    address: SocketAddr,
    state: Mutex<State>,
    /// Somebody wrote, or a transaction ended: long polls look again.
    data: Notify,
    space: Arc<Space>,
    faults: Faults,
}

/// Everything but the records. Locked before the log of a partition, never after.
struct State {
    topics: Topics,
    groups: Groups,
    transactions: Transactions,
}

impl Shared {
    fn new(config: BrokerConfig, address: SocketAddr) -> Shared {
        Shared {
            config,
            address,
            state: Mutex::new(State {
                topics: Topics::default(),
                groups: Groups::default(),
                transactions: Transactions::default(),
            }),
            data: Notify::new(),
            space: Arc::new(Space::new(config.bytes_max)),
            faults: Faults::default(),
        }
    }
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Answers requests as a connection does, by a broker that is forgotten afterwards; what would wait is given up. For fuzz/.
#[cfg(feature = "fuzz")]
pub async fn answer_any(requests: &[u8]) {
    use futures_util::FutureExt;

    let config = BrokerConfig { bytes_max: 16 << 20, ..BrokerConfig::default() };
    let shared = Shared::new(config, config.listen);
    let mut received = bytes::BytesMut::from(requests);
    while let Ok(Some(frame)) = frame::Frame::take(&mut received) {
        if let Some(Err(_)) = api::answer(&shared, frame, None).now_or_never() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 0 for success, as answers carry it.
fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}

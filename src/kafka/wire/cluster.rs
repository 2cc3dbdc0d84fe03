//! The leaders of partitions, the coordinators of groups and transactions, and the connections to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
    OffsetForLeaderEpochRequest, TopicName,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::backoff::Backoff;
use super::connection::Connection;
use super::reach::Reach;
use super::refusals::Refusals;
use super::rights::Resource;
use super::text::text;
use crate::kafka::{Code, Isolation, KafkaConfig, KafkaError};
use crate::record::{LogId, Offset, TopicPartition};

/// The purpose of a connection. A broker answers one connection strictly in order, so a long poll must not share one with a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Metadata, look-ups, administration.
    Control,
    /// Heartbeats and offsets.
    Group,
    /// Produce.
    Produce,
    /// The long polls of one reader.
    Fetch(u32),
    /// One member of a classic group on its way into the next generation: the answer comes when all members have joined.
    Join(u32),
}

/// A topic as the cluster describes it.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Its id; another one under the same name is another topic.
    pub id: Uuid,
    /// Number of partitions.
    pub partitions: i32,
    leaders: HashMap<i32, Leader>,
    /// Addresses of brokers by their ids.
    nodes: HashMap<i32, String>,
}

/// Who leads a partition, and since which election.
#[derive(Clone, Debug)]
struct Leader {
    address: String,
    epoch: i32,
}

impl Topic {
    /// Address of the broker that leads `partition`.
    pub(crate) fn leader(&self, partition: &TopicPartition) -> Result<&str, KafkaError> {
        if !(0..self.partitions).contains(&partition.partition) {
            return Err(KafkaError::Partition { partition: partition.clone(), count: self.partitions });
        }
        let leader = self.leaders.get(&partition.partition);
        leader.map(|leader| leader.address.as_str()).ok_or_else(|| KafkaError::Leaderless(partition.clone()))
    }
    /// Address of a broker that holds a copy.
    pub(crate) fn node(&self, id: i32) -> Option<&str> {
        self.nodes.get(&id).map(String::as_str)
    }
    /// Epoch of the leader of `partition` (KIP-320); `None` without one.
    pub(crate) fn leader_epoch(&self, partition: i32) -> Option<i32> {
        self.leaders.get(&partition).map(|leader| leader.epoch).filter(|epoch| *epoch >= 0)
    }
    /// The log behind the name; `None` where brokers give topics no ids.
    pub(crate) fn log(&self) -> Option<LogId> {
        (!self.id.is_nil()).then_some(LogId(self.id.into_bytes()))
    }
}

/// First offset of a partition and the one behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First offset that the log holds.
    pub start: Offset,
    /// End of the log; under `read_committed` the first offset of an open transaction.
    pub end: Offset,
}

/// A thing that a broker coordinates.
#[derive(Clone, Copy, Debug)]
pub enum CoordinatorOf<'a> {
    /// A consumer group, by its id.
    Group(&'a str),
    /// Transactions, by their transactional id.
    Transaction(&'a str),
}

impl CoordinatorOf<'_> {
    /// Key type and key of `FindCoordinator`.
    fn key(self) -> (i8, String) {
        match self {
            CoordinatorOf::Group(id) => (0, id.to_owned()),
            CoordinatorOf::Transaction(id) => (1, id.to_owned()),
        }
    }
}

/// A Kafka cluster: its addresses, and the connections to it.
pub struct Cluster {
    pub(crate) config: KafkaConfig,
    connections: Mutex<HashMap<(String, Lane), Arc<Connection>>>,
    /// Addresses that the cluster reported; tried before the bootstrap list.
    brokers: Mutex<Vec<String>>,
    topics: Mutex<HashMap<String, (Instant, Arc<Topic>)>>,
    coordinators: Mutex<HashMap<(i8, String), String>>,
    turn: AtomicUsize,
    readers: AtomicU32,
    reach: Arc<Reach>,
    refusals: Refusals,
}

impl Cluster {
    /// Connects to nothing yet.
    pub fn new(config: KafkaConfig) -> Cluster {
        Cluster {
            config,
            connections: Mutex::default(),
            brokers: Mutex::default(),
            topics: Mutex::default(),
            coordinators: Mutex::default(),
            turn: AtomicUsize::new(0),
            readers: AtomicU32::new(0),
            reach: Arc::default(),
            refusals: Refusals::default(),
        }
    }
    /// A backoff with the configured deadline, for an operation that begins now.
    pub fn backoff(&self, operation: &'static str) -> Backoff {
        let KafkaConfig { retry_deadline, backoff, backoff_max, .. } = self.config;
        Backoff::new(operation, retry_deadline).between(backoff, backoff_max).from_now()
    }
    /// Whether brokers answer.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
    /// Who refused us lately.
    pub(in crate::kafka) fn refusals(&self) -> &Refusals {
        &self.refusals
    }
    /// A lane that no other reader has.
    pub fn reader_lane(&self) -> Lane {
        Lane::Fetch(self.readers.fetch_add(1, Ordering::Relaxed))
    }
    /// A lane that no other member has.
    pub fn join_lane(&self) -> Lane {
        Lane::Join(self.readers.fetch_add(1, Ordering::Relaxed))
    }

    /// The connection to `address` on `lane`, opened if there is none.
    pub async fn connect(&self, address: &str, lane: Lane) -> Result<Arc<Connection>, KafkaError> {
        let key = (address.to_owned(), lane);
        if let Some(connection) = lock(&self.connections).get(&key).filter(|c| c.is_open()) {
            return Ok(connection.clone());
        }
        self.refusals.check(address, Instant::now())?;
        let opened = Connection::open(address, &self.config, &self.reach, &self.refusals).await;
        let opened = Arc::new(opened.map_err(|error| self.refusals.note(address, error))?);
        self.refusals.note_welcome();
        let mut connections = lock(&self.connections);
        connections.retain(|_, connection| connection.is_open());
        Ok(connections.entry(key).or_insert(opened).clone()) // another task may have been faster
    }
    /// Closes the connection of a lane that nobody uses any more.
    pub fn disconnect(&self, lane: Lane) {
        lock(&self.connections).retain(|(_, of), _| *of != lane);
    }
    /// Where brokers may be: known addresses, then the bootstrap list, each time, so that a cluster that moved is found.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut addresses = lock(&self.brokers).clone();
        let turn = self.turn.load(Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(turn);
        for address in &self.config.bootstrap {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }
    /// A connection to any broker; after a failure the next call begins with another one.
    pub async fn any(&self) -> Result<Arc<Connection>, KafkaError> {
        let mut last = KafkaError::Connection { address: "(none)".into(), message: "no bootstrap address".into() };
        for address in self.addresses() {
            match self.connect(&address, Lane::Control).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    self.turn.fetch_add(1, Ordering::Relaxed);
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Names, ids and leaders of topics; never creates one. `None` asks for all topics.
    pub(crate) async fn metadata(
        &self,
        topics: Option<&[&str]>,
    ) -> Result<(Arc<Connection>, MetadataResponse), KafkaError> {
        let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request = MetadataRequest::default()
            .with_allow_auto_topic_creation(false)
            .with_topics(topics.map(|names| names.iter().map(named).collect()));
        let connection = self.any().await?;
        let answer = connection.call(&request, 12).await?;
        let addresses: Vec<String> = answer.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect();
        if !addresses.is_empty() {
            *lock(&self.brokers) = addresses;
        }
        Ok((connection, answer))
    }
    /// The topic as last seen, else as it is now. A missing topic is [`KafkaError::Topic`].
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, KafkaError> {
        if let Some((at, topic)) = lock(&self.topics).get(name)
            && at.elapsed() < self.config.metadata_max_age
        {
            return Ok(topic.clone());
        }
        let (connection, answer) = self.metadata(Some(&[name])).await?;
        let nodes: HashMap<i32, String> =
            answer.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect();
        let found = answer.topics.into_iter().next();
        let found = found.ok_or_else(|| connection.malformed::<MetadataRequest>("no topic in the answer"))?;
        if Code(found.error_code) == Code::UNKNOWN_TOPIC_OR_PARTITION {
            let message = "there is no such topic; create it first".into();
            return Err(KafkaError::Topic { topic: name.into(), message });
        }
        connection.check::<MetadataRequest>(found.error_code, None, Resource::topic(name))?;
        let leader = |p: &kafka_protocol::messages::metadata_response::MetadataResponsePartition| {
            let address = nodes.get(&p.leader_id.0)?.clone();
            Some((p.partition_index, Leader { address, epoch: p.leader_epoch }))
        };
        let topic = Arc::new(Topic {
            name: name.into(),
            id: found.topic_id,
            partitions: i32::try_from(found.partitions.len()).unwrap_or(i32::MAX),
            leaders: found.partitions.iter().filter_map(leader).collect(),
            nodes,
        });
        lock(&self.topics).insert(name.into(), (Instant::now(), topic.clone()));
        Ok(topic)
    }
    /// The next [`Cluster::topic`] asks the cluster again: a leader moved, or partitions came.
    pub fn forget_topic(&self, name: &str) {
        lock(&self.topics).remove(name);
    }
    /// The leader of a partition. On any error and on a wrong leader the caller forgets the topic and asks again.
    pub async fn leader(
        &self,
        partition: &TopicPartition,
        lane: Lane,
    ) -> Result<(Arc<Connection>, Arc<Topic>), KafkaError> {
        let mut topic = self.topic(&partition.topic).await?;
        if partition.partition >= topic.partitions {
            self.forget_topic(&topic.name); // partitions may have been added since the topic was last seen
            topic = self.topic(&partition.topic).await?;
        }
        let connected = match topic.leader(partition) {
            Ok(address) => self.connect(address, lane).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(connection) => Ok((connection, topic)),
            Err(error) => {
                self.forget_topic(&topic.name);
                Err(error)
            }
        }
    }
    /// Where a partition begins and ends; retries until the deadline.
    pub async fn bounds(&self, partition: &TopicPartition, isolation: Isolation) -> Result<Bounds, KafkaError> {
        let mut backoff = self.backoff("list offsets");
        loop {
            let bounds = async {
                let start = self.list_offset(partition, isolation, EARLIEST).await?;
                Ok(Bounds { start, end: self.list_offset(partition, isolation, LATEST).await? })
            };
            match bounds.await {
                Ok(bounds) => return Ok(bounds),
                Err(error) => {
                    self.forget_topic(&partition.topic);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    /// The first offset of a partition whose record is not older than `timestamp_ms`, -1 when all are; retries until the deadline.
    pub async fn offset_at(
        &self,
        partition: &TopicPartition,
        isolation: Isolation,
        timestamp_ms: i64,
    ) -> Result<Offset, KafkaError> {
        let mut backoff = self.backoff("list offsets");
        loop {
            match self.list_offset(partition, isolation, timestamp_ms).await {
                Ok(offset) => return Ok(offset),
                Err(error) => {
                    self.forget_topic(&partition.topic);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    /// Where records of a leader epoch and of those before it end; retries until the deadline.
    pub async fn end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, KafkaError> {
        let mut backoff = self.backoff("offset for leader epoch");
        loop {
            match self.try_end_of_epoch(partition, epoch).await {
                Ok(end) => return Ok(end),
                Err(error) => {
                    self.forget_topic(&partition.topic);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    async fn try_end_of_epoch(&self, partition: &TopicPartition, epoch: i32) -> Result<Offset, KafkaError> {
        let (leader, topic) = self.leader(partition, Lane::Control).await?;
        let asked = OffsetForLeaderPartition::default()
            .with_partition(partition.partition)
            .with_current_leader_epoch(topic.leader_epoch(partition.partition).unwrap_or(-1))
            .with_leader_epoch(epoch);
        let of =
            OffsetForLeaderTopic::default().with_topic(TopicName(text(&partition.topic))).with_partitions(vec![asked]);
        let request = OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![of]);
        let answer = leader.call(&request, 4).await?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let found =
            found.ok_or_else(|| leader.malformed::<OffsetForLeaderEpochRequest>("no partition in the answer"))?;
        leader.check::<OffsetForLeaderEpochRequest>(found.error_code, None, Resource::topic(&partition.topic))?;
        Ok(Offset(found.end_offset))
    }
    async fn list_offset(
        &self,
        partition: &TopicPartition,
        isolation: Isolation,
        timestamp: i64,
    ) -> Result<Offset, KafkaError> {
        let (leader, _) = self.leader(partition, Lane::Control).await?;
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(TopicName(text(&partition.topic))).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation as i8)
            .with_topics(vec![topic]);
        let answer = leader.call(&request, 7).await?;
        let found = answer.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| leader.malformed::<ListOffsetsRequest>("no partition in the answer"))?;
        leader.check::<ListOffsetsRequest>(found.error_code, None, Resource::topic(&partition.topic))?;
        Ok(Offset(found.offset))
    }

    /// The coordinator of a group. On any error and on a wrong coordinator the caller forgets it and asks again.
    pub async fn coordinator(&self, group: &str) -> Result<Arc<Connection>, KafkaError> {
        self.coordinator_of(CoordinatorOf::Group(group)).await
    }
    /// [`Cluster::coordinator`] on a connection of its own.
    pub async fn coordinator_on(&self, group: &str, lane: Lane) -> Result<Arc<Connection>, KafkaError> {
        self.connect_coordinator(CoordinatorOf::Group(group), lane).await
    }
    /// The next [`Cluster::coordinator`] asks the cluster again.
    pub fn forget_coordinator(&self, group: &str) {
        self.forget_coordinator_of(CoordinatorOf::Group(group));
    }
    /// [`Cluster::coordinator`] of whatever has one.
    pub async fn coordinator_of(&self, of: CoordinatorOf<'_>) -> Result<Arc<Connection>, KafkaError> {
        self.connect_coordinator(of, Lane::Group).await
    }
    async fn connect_coordinator(&self, of: CoordinatorOf<'_>, lane: Lane) -> Result<Arc<Connection>, KafkaError> {
        let known = lock(&self.coordinators).get(&of.key()).cloned();
        let address = match known {
            Some(address) => address,
            None => self.find_coordinator(of).await?,
        };
        let connected = self.connect(&address, lane).await;
        if connected.is_err() {
            self.forget_coordinator_of(of);
        }
        connected
    }
    /// The next [`Cluster::coordinator_of`] asks the cluster again.
    pub fn forget_coordinator_of(&self, of: CoordinatorOf<'_>) {
        lock(&self.coordinators).remove(&of.key());
    }
    async fn find_coordinator(&self, of: CoordinatorOf<'_>) -> Result<String, KafkaError> {
        let (kind, id) = of.key();
        let connection = self.any().await?;
        let request = FindCoordinatorRequest::default().with_key_type(kind);
        // Brokers before 3.0 are asked for one key at a time.
        let is_batched = connection.version::<FindCoordinatorRequest>(6)? >= 4;
        let request =
            if is_batched { request.with_coordinator_keys(vec![text(&id)]) } else { request.with_key(text(&id)) };
        let answer = connection.call(&request, 6).await?;
        let found = if is_batched {
            answer.coordinators.first().cloned()
        } else {
            let coordinator = Coordinator::default().with_host(answer.host).with_port(answer.port);
            Some(coordinator.with_error_code(answer.error_code).with_error_message(answer.error_message))
        };
        let found =
            found.ok_or_else(|| connection.malformed::<FindCoordinatorRequest>("no coordinator in the answer"))?;
        let resource = match of {
            CoordinatorOf::Group(group) => Resource::group(group),
            CoordinatorOf::Transaction(transaction) => Resource::transaction(transaction),
        };
        connection.check::<FindCoordinatorRequest>(found.error_code, found.error_message.as_ref(), resource)?;
        let address = format!("{}:{}", found.host, found.port);
        lock(&self.coordinators).insert(of.key(), address.clone());
        Ok(address)
    }
}

/// `ListOffsets` timestamps with a meaning of their own.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

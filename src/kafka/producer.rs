//! Writes records at least once: batches of a partition go out in order, numbered, so that the broker drops what a retry sends twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::admin::{TopicDescription, describe_topic, find_topic};
use super::clock::now_ms;
use super::deliveries::Deliveries;
use super::partition_writer::{PartitionWriter, Queued};
use super::partitioner::partition_for_key;
use super::transaction::Transaction;
use super::wire::batch_builder::BatchBuilder;
use super::wire::compression::Compression;
use super::{KafkaClient, KafkaError};
use crate::record::{Header, TopicPartition};
use crate::transport::{OutRecord, TransportError};

/// How soon a limit of a topic is asked for again when a record is above it: somebody may have raised it.
const LIMIT_AGE: Duration = Duration::from_secs(1);

/// How records are sent.
#[derive(Clone, Copy, Debug)]
pub struct ProducerConfig {
    /// Codec of the batches: none or LZ4.
    pub compression: Compression,
    /// A batch is sent when it reaches this size, or the topic's `max.message.bytes` if that is less.
    pub batch_bytes: usize,
    /// Bytes that may be unacknowledged; beyond them [`Producer::send`] waits.
    pub buffer_bytes: u32,
}

impl Default for ProducerConfig {
    fn default() -> ProducerConfig {
        ProducerConfig { compression: Compression::None, batch_bytes: 1_000_000, buffer_bytes: 16 << 20 }
    }
}

/// An idempotent producer. Its calls block; one thread owns it.
pub struct Producer {
    client: KafkaClient,
    config: ProducerConfig,
    topics: HashMap<Arc<str>, TopicLanes>,
    deliveries: Arc<Deliveries>,
    /// The transaction of all records, if there is one.
    transaction: Option<Arc<Transaction>>,
}

/// The lanes of one topic: one for each partition that was written to.
struct TopicLanes {
    /// The largest batch that the topic takes; `None` without the right to see it.
    record_bytes_max: Option<usize>,
    batch_bytes: usize,
    /// When the topic was asked for these limits.
    described: Instant,
    lanes: Vec<Option<Lane>>,
}

/// The batch of one partition that is being filled, and the way to its writer.
struct Lane {
    builder: BatchBuilder,
    timestamp_ms: i64,
    batches: UnboundedSender<Queued>,
}

impl KafkaClient {
    /// A producer; connects with its first record.
    pub fn producer(&self, config: ProducerConfig) -> Producer {
        self.producer_in(config, None)
    }
    /// A producer whose records are part of transactions; they must have begun.
    pub(super) fn producer_in(&self, config: ProducerConfig, transaction: Option<Arc<Transaction>>) -> Producer {
        let deliveries = Arc::new(Deliveries::new(config.buffer_bytes));
        Producer { client: self.clone(), config, topics: HashMap::new(), deliveries, transaction }
    }
}

impl Producer {
    /// Puts a record into its batch; sends the batch when it is full. `partition` of `None` is Kafka's murmur2 of the key, and for a record
    /// without key of the client id.
    ///
    /// An error may belong to any record since the last [`Producer::flush`]; what was not acknowledged is dropped.
    pub fn send(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), TransportError> {
        self.push(topic, partition, key, value, headers).map_err(|error| self.give_up(error))
    }
    /// [`Producer::send`] of an outbox record.
    pub fn send_record(&mut self, record: &OutRecord) -> Result<(), TransportError> {
        self.send(&record.topic, record.partition, record.key.as_deref(), Some(&record.value), &record.headers)
    }
    /// Sends what is collected and waits until everything is acknowledged by all in-sync replicas.
    pub fn flush(&mut self) -> Result<(), TransportError> {
        self.drain().map_err(|error| self.give_up(error))
    }
    /// Sends what is collected and waits for nothing.
    pub fn start(&mut self) -> Result<(), TransportError> {
        self.dispatch().map_err(|error| self.give_up(error))
    }
    /// True when nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.deliveries.room.available_permits() == self.config.buffer_bytes as usize
    }

    /// The largest batch that a topic takes, for a record of `bytes`; `None` without the right to see it.
    pub fn record_bytes_max(&mut self, topic: &Arc<str>, bytes: usize) -> Result<Option<usize>, TransportError> {
        if !self.topic(topic)?.takes(bytes) {
            self.look_for_a_higher_limit(topic)?;
        }
        Ok(self.topic(topic)?.record_bytes_max)
    }

    fn push(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), KafkaError> {
        let bytes = record_bytes(key, value, headers);
        let known = self.topic(topic)?;
        let (count, is_taken) = (known.partitions(), known.takes(bytes));
        if partition.is_some_and(|partition| partition >= count) {
            self.look_for_more_partitions(topic)?;
        }
        if !is_taken {
            self.look_for_a_higher_limit(topic)?;
        }
        let Producer { client, config, topics, deliveries, transaction } = self;
        let Some(lanes) = topics.get_mut(topic) else { return Ok(()) };
        let partition = partition.unwrap_or_else(|| {
            partition_for_key(key.unwrap_or(client.config().client_id.as_bytes()), lanes.partitions())
        });
        let count = lanes.partitions();
        let Some(lane) = usize::try_from(partition).ok().and_then(|index| lanes.lanes.get_mut(index)) else {
            let partition = TopicPartition { topic: topic.clone(), partition };
            return Err(KafkaError::Partition { partition, count });
        };
        let lane = lane.get_or_insert_with(|| {
            let at = TopicPartition { topic: topic.clone(), partition };
            Lane::open(client, at, lanes.batch_bytes, deliveries.clone(), transaction.clone())
        });
        if !lane.builder.is_empty() && lane.builder.len() + bytes > lanes.batch_bytes {
            lane.dispatch(topic, lanes.record_bytes_max, client, config, deliveries)?;
        }
        if lane.builder.is_empty() {
            lane.timestamp_ms = now_ms();
        }
        lane.builder.push(lane.timestamp_ms, key, value, headers);
        Ok(())
    }
    fn dispatch(&mut self) -> Result<(), KafkaError> {
        let Producer { client, config, topics, deliveries, .. } = self;
        for (topic, lanes) in topics {
            for lane in lanes.lanes.iter_mut().flatten().filter(|lane| !lane.builder.is_empty()) {
                lane.dispatch(topic, lanes.record_bytes_max, client, config, deliveries)?;
            }
        }
        Ok(())
    }
    fn drain(&mut self) -> Result<(), KafkaError> {
        self.dispatch()?;
        let Producer { client, config, deliveries, .. } = self;
        let everything = deliveries.room.acquire_many(config.buffer_bytes);
        drop(client.block_on(async { everything.await.map_err(|_| KafkaError::ShutDown) })?);
        deliveries.take_error()
    }
    fn topic(&mut self, topic: &Arc<str>) -> Result<&TopicLanes, KafkaError> {
        match self.topics.entry(topic.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let described = self.client.block_on(describe_topic(&self.client.cluster, topic))?;
                let lanes = (0..described.partitions).map(|_| None).collect();
                let topic = TopicLanes { record_bytes_max: None, batch_bytes: 0, described: Instant::now(), lanes };
                let topic = new.insert(topic);
                topic.limit(&described, &self.config);
                Ok(topic)
            }
        }
    }
    /// The limit may have been raised since the topic was described.
    fn look_for_a_higher_limit(&mut self, topic: &Arc<str>) -> Result<(), KafkaError> {
        if let Some(known) = self.topics.get_mut(topic)
            && known.described.elapsed() >= LIMIT_AGE
        {
            let described = self.client.block_on(describe_topic(&self.client.cluster, topic))?;
            known.limit(&described, &self.config);
        }
        Ok(())
    }
    /// Partitions may have been added since the topic was described.
    fn look_for_more_partitions(&mut self, topic: &Arc<str>) -> Result<(), KafkaError> {
        let found = self.client.block_on(find_topic(&self.client.cluster, topic))?;
        if let (Some(known), Ok(found)) = (self.topics.get_mut(topic), usize::try_from(found))
            && found > known.lanes.len()
        {
            known.lanes.resize_with(found, || None);
        }
        Ok(())
    }
    /// Leaves nothing behind that a later call would send; limits are asked for again, somebody may have raised them.
    fn give_up(&mut self, error: KafkaError) -> TransportError {
        self.topics.clear();
        error.into()
    }
}

impl TopicLanes {
    /// Takes over the limits of the topic as it is described now.
    fn limit(&mut self, topic: &TopicDescription, config: &ProducerConfig) {
        self.record_bytes_max = topic.max_message_bytes;
        self.batch_bytes = topic.max_message_bytes.map_or(config.batch_bytes, |max| max.min(config.batch_bytes));
        self.described = Instant::now();
    }
    fn takes(&self, bytes: usize) -> bool {
        self.record_bytes_max.is_none_or(|max| bytes <= max)
    }
    fn partitions(&self) -> i32 {
        i32::try_from(self.lanes.len()).unwrap_or(i32::MAX)
    }
}

impl Lane {
    fn open(
        client: &KafkaClient,
        at: TopicPartition,
        batch_bytes: usize,
        deliveries: Arc<Deliveries>,
        transaction: Option<Arc<Transaction>>,
    ) -> Lane {
        let (batches, queue) = unbounded_channel();
        let writer = PartitionWriter::new(client.cluster.clone(), at, queue, deliveries, transaction);
        client.handle.spawn(writer.run());
        Lane { builder: BatchBuilder::new(batch_bytes), timestamp_ms: 0, batches }
    }
    /// Hands the batch to the partition's writer, once there is room.
    fn dispatch(
        &mut self,
        topic: &str,
        record_bytes_max: Option<usize>,
        client: &KafkaClient,
        config: &ProducerConfig,
        deliveries: &Deliveries,
    ) -> Result<(), KafkaError> {
        deliveries.take_error()?;
        let batch = self.builder.finish(config.compression);
        let bytes = batch.bytes().len();
        if let Some(limit) = record_bytes_max.filter(|limit| bytes > *limit) {
            return Err(KafkaError::TooLarge { topic: topic.into(), bytes, limit: limit.to_string() });
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(config.buffer_bytes);
        let permit = deliveries.room.clone().acquire_many_owned(permits);
        let permit = client.block_on(async { permit.await.map_err(|_| KafkaError::ShutDown) })?;
        self.batches.send(Queued { batch, permit }).map_err(|_| KafkaError::ShutDown)
    }
}

/// At least the bytes that a record takes in a batch.
fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    let of = |field: Option<&[u8]>| 5 + field.map_or(0, <[u8]>::len);
    let headers: usize = headers.iter().map(|h| 5 + h.name.len() + of(h.value.as_deref())).sum();
    20 + of(key) + of(value) + headers
}

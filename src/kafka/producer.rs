//! Writes records at least once: batches of a partition go out in order, numbered, so that the broker drops what a retry sends twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::admin::describe_topic;
use super::partition_writer::{PartitionWriter, Queued};
use super::partitioner::partition_for_key;
use super::wire::batch_builder::BatchBuilder;
use super::wire::compression::Compression;
use super::{KafkaClient, KafkaError};
use crate::record::{Header, TopicPartition};
use crate::transport::{OutRecord, TransportError};

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

/// What became of the batches.
pub(super) struct Deliveries {
    /// One permit a byte; all are here when nothing is on its way.
    room: Arc<Semaphore>,
    records: AtomicU64,
    bytes: AtomicU64,
    /// The first failure since it was last taken.
    error: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    pub(super) fn acknowledge(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
    pub(super) fn fail(&self, error: KafkaError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
    fn take_error(&self) -> Result<(), KafkaError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// An idempotent producer. Its calls block; one thread owns it.
pub struct Producer {
    client: KafkaClient,
    config: ProducerConfig,
    topics: HashMap<Arc<str>, TopicLimits>,
    partitions: HashMap<TopicPartition, Lane>,
    deliveries: Arc<Deliveries>,
}

struct TopicLimits {
    partitions: i32,
    record_bytes_max: Option<usize>,
}

struct Lane {
    builder: BatchBuilder,
    timestamp_ms: i64,
    batches: UnboundedSender<Queued>,
}

impl KafkaClient {
    /// A producer; connects with its first record.
    pub fn producer(&self, config: ProducerConfig) -> Producer {
        let deliveries = Deliveries {
            room: Arc::new(Semaphore::new(config.buffer_bytes as usize)),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            error: Mutex::default(),
        };
        let (topics, partitions) = (HashMap::new(), HashMap::new());
        Producer { client: self.clone(), config, topics, partitions, deliveries: Arc::new(deliveries) }
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
    /// Records acknowledged so far.
    pub fn records_acknowledged(&self) -> u64 {
        self.deliveries.records()
    }
    /// Bytes of acknowledged batches so far, as they went over the wire.
    pub fn bytes_acknowledged(&self) -> u64 {
        self.deliveries.bytes.load(Ordering::Relaxed)
    }
    /// The partition that `key` goes to.
    pub fn partition_for(&mut self, topic: &Arc<str>, key: &[u8]) -> Result<i32, TransportError> {
        Ok(self.limits(topic).map(|limits| partition_for_key(key, limits.partitions))?)
    }

    fn push(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), KafkaError> {
        let batch_bytes_max = self.config.batch_bytes;
        let limits = self.limits(topic)?;
        let batch_bytes = limits.record_bytes_max.map_or(batch_bytes_max, |max| max.min(batch_bytes_max));
        let partitions = limits.partitions;
        let partition = partition
            .unwrap_or_else(|| partition_for_key(key.unwrap_or(self.client.config().client_id.as_bytes()), partitions));
        let at = TopicPartition { topic: topic.clone(), partition };
        let record_bytes = record_bytes(key, value, headers);
        let lane = self.lane(&at, batch_bytes);
        if !lane.builder.is_empty() && lane.builder.len() + record_bytes > batch_bytes {
            self.dispatch(&at)?;
        }
        let lane = self.lane(&at, batch_bytes);
        if lane.builder.is_empty() {
            lane.timestamp_ms = now_ms();
        }
        lane.builder.push(lane.timestamp_ms, key, value, headers);
        Ok(())
    }
    fn drain(&mut self) -> Result<(), KafkaError> {
        let waiting: Vec<_> =
            self.partitions.iter().filter(|(_, lane)| !lane.builder.is_empty()).map(|(at, _)| at.clone()).collect();
        waiting.iter().try_for_each(|at| self.dispatch(at))?;
        let everything = self.deliveries.room.acquire_many(self.config.buffer_bytes);
        self.client.handle.block_on(everything).map_err(|_| KafkaError::ShutDown)?;
        self.deliveries.take_error()
    }
    /// Hands a partition's batch to its writer, once there is room.
    fn dispatch(&mut self, at: &TopicPartition) -> Result<(), KafkaError> {
        self.deliveries.take_error()?;
        let limit = self.topics.get(&at.topic).and_then(|limits| limits.record_bytes_max);
        let Some(lane) = self.partitions.get_mut(at) else { return Ok(()) };
        let batch = lane.builder.finish(self.config.compression);
        let bytes = batch.bytes().len();
        if let Some(limit) = limit.filter(|limit| bytes > *limit) {
            return Err(KafkaError::TooLarge { topic: at.topic.to_string(), bytes, limit: limit.to_string() });
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.config.buffer_bytes);
        let permit = self.deliveries.room.clone().acquire_many_owned(permits);
        let permit = self.client.handle.block_on(permit).map_err(|_| KafkaError::ShutDown)?;
        lane.batches.send(Queued { batch, permit }).map_err(|_| KafkaError::ShutDown)
    }
    fn lane(&mut self, at: &TopicPartition, batch_bytes: usize) -> &mut Lane {
        if !self.partitions.contains_key(at) {
            let (batches, queue) = unbounded_channel();
            let writer = PartitionWriter::new(self.client.cluster.clone(), at.clone(), queue, self.deliveries.clone());
            self.client.handle.spawn(writer.run());
            let lane = Lane { builder: BatchBuilder::new(batch_bytes), timestamp_ms: 0, batches };
            self.partitions.insert(at.clone(), lane);
        }
        self.partitions.get_mut(at).expect("inserted above")
    }
    fn limits(&mut self, topic: &Arc<str>) -> Result<&TopicLimits, KafkaError> {
        if !self.topics.contains_key(topic) {
            let described = self.client.handle.block_on(describe_topic(&self.client.cluster, topic))?;
            let limits =
                TopicLimits { partitions: described.partitions, record_bytes_max: described.max_message_bytes };
            self.topics.insert(topic.clone(), limits);
        }
        Ok(&self.topics[topic])
    }
    /// Leaves nothing behind that a later call would send; limits are asked for again, somebody may have raised them.
    fn give_up(&mut self, error: KafkaError) -> TransportError {
        self.partitions.values_mut().for_each(|lane| lane.builder.clear());
        self.topics.clear();
        error.into()
    }
}

/// At least the bytes that a record takes in a batch.
fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> usize {
    let of = |field: Option<&[u8]>| 5 + field.map_or(0, <[u8]>::len);
    let headers: usize = headers.iter().map(|h| 5 + h.name.len() + of(h.value.as_deref())).sum();
    20 + of(key) + of(value) + headers
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(-1, |since| since.as_millis() as i64)
}

//! Writes the batches of one partition in their order and once each, whatever fails on the way, as long as the broker remembers the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId, TopicName, TransactionalId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;

use super::clock::now_ms;
use super::deliveries::Deliveries;
use super::transaction::Transaction;
use super::wire::backoff::Backoff;
use super::wire::batch_builder::{EncodedBatch, ProducerStamp};
use super::wire::cluster::{Cluster, Lane};
use super::wire::connection::{Connection, Pending};
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, KafkaError};
use crate::record::TopicPartition;

/// Batches sent and not yet acknowledged; brokers recognise a resend among the last five of a producer.
const IN_FLIGHT_MAX: usize = 5;
/// The last version that names topics.
const PRODUCE_VERSION_MAX: i16 = 12;
/// Before a transaction is written to again whose predecessor's marker is still on its way.
const MARKER_WAIT: Duration = Duration::from_millis(2);
/// The last version before writing adds a partition to a transaction by itself (KIP-890).
const EXPLICIT_VERSION_MAX: i16 = 11;
/// How long the broker may wait for its replicas, in request timeouts; we wait one more.
const REPLICATION_PATIENCE: u32 = 2;

/// A batch and its share of the producer's buffer, which comes back when the batch is dropped.
pub(super) struct Queued {
    pub batch: EncodedBatch,
    pub permit: OwnedSemaphorePermit,
}

/// One partition's writer: a task that lives as long as its producer.
pub(super) struct PartitionWriter {
    cluster: Arc<Cluster>,
    partition: TopicPartition,
    queue: UnboundedReceiver<Queued>,
    /// In order; the first are in flight.
    unacknowledged: VecDeque<Queued>,
    /// Producer id and epoch, ours alone; `None` after an outcome that the broker no longer knows.
    identity: Option<(i64, i16)>,
    /// A batch under this identity was acknowledged.
    is_known: bool,
    /// Number of the next record.
    sequence: i32,
    deliveries: Arc<Deliveries>,
    /// The transaction that batches are part of; then the identity is that of the transaction.
    transaction: Option<Arc<Transaction>>,
}

impl PartitionWriter {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        partition: TopicPartition,
        queue: UnboundedReceiver<Queued>,
        deliveries: Arc<Deliveries>,
        transaction: Option<Arc<Transaction>>,
    ) -> PartitionWriter {
        let unacknowledged = VecDeque::new();
        PartitionWriter {
            cluster,
            partition,
            queue,
            unacknowledged,
            identity: None,
            is_known: false,
            sequence: 0,
            deliveries,
            transaction,
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(queued) = self.queue.recv().await {
            self.accept(queued);
            if let Err(error) = self.deliver().await {
                // Nobody knows which records were written under these numbers: begin anew. A transaction knows the acknowledged ones.
                self.identity = None;
                self.deliveries.fail(error);
                self.unacknowledged.clear();
                while self.queue.try_recv().is_ok() {}
            }
        }
    }

    /// Until everything that waits is acknowledged.
    async fn deliver(&mut self) -> Result<(), KafkaError> {
        let config = &self.cluster.config;
        let mut backoff = Backoff::new("produce", config.retry_deadline.min(config.delivery_timeout));
        if self.transaction.is_some() {
            backoff = backoff.starting_at(MARKER_WAIT);
        }
        loop {
            let before = self.deliveries.records();
            let Err(error) = self.attempt().await else { return Ok(()) };
            if self.deliveries.records() > before {
                backoff.reset();
            }
            self.cluster.forget_topic(&self.partition.topic);
            match error.code() {
                Some(
                    Code::OUT_OF_ORDER_SEQUENCE
                    | Code::UNKNOWN_PRODUCER_ID
                    | Code::INVALID_PRODUCER_EPOCH
                    | Code::INVALID_PRODUCER_ID_MAPPING,
                ) if self.transaction.is_none() && self.identity.take().is_some() => {
                    tracing::warn!(partition = %self.partition, %error, "the broker forgot this producer; batches in flight may be written twice");
                    let leaderless = KafkaError::Leaderless(self.partition.clone());
                    backoff.wait(leaderless).await?;
                }
                _ => backoff.wait(error).await?,
            }
        }
    }

    /// Sends everything that is not acknowledged, in order, over one connection, and what is queued meanwhile. After an error the answers
    /// on their way are not waited for: the same bytes go out again, and the broker knows them by their numbers.
    async fn attempt(&mut self) -> Result<(), KafkaError> {
        if self.identity.is_none() && self.transaction.is_none() {
            self.identify().await?;
        }
        let (leader, _) = self.cluster.leader(&self.partition, Lane::Produce).await?;
        let mut in_flight: VecDeque<Pending<ProduceRequest>> = VecDeque::with_capacity(IN_FLIGHT_MAX);
        loop {
            while in_flight.len() < self.in_flight_max() {
                if in_flight.len() == self.unacknowledged.len() {
                    let Ok(queued) = self.queue.try_recv() else { break };
                    self.accept(queued);
                }
                in_flight.push_back(self.send(&leader, in_flight.len()).await?);
            }
            let room = in_flight.len() < self.in_flight_max();
            let Some(first) = in_flight.front_mut() else { return Ok(()) };
            tokio::select! {
                answer = first.answer() => {
                    in_flight.pop_front();
                    self.acknowledge(&leader, answer?)?;
                }
                Some(queued) = self.queue.recv(), if room => self.accept(queued),
            }
        }
    }

    /// One until the broker knows this producer: it takes any number as a producer's first, so that a second batch could be written while
    /// the first is refused by a leader that is not yet one.
    fn in_flight_max(&self) -> usize {
        if self.is_known { IN_FLIGHT_MAX } else { 1 }
    }

    /// Takes a batch into the order: its numbers are fixed before it is sent for the first time.
    fn accept(&mut self, mut queued: Queued) {
        if let Some(transaction) = self.transaction.clone() {
            queued.batch.make_transactional();
            self.follow(&transaction);
        }
        if let Some(identity) = self.identity {
            self.stamp(identity, &mut queued.batch);
        }
        self.unacknowledged.push_back(queued);
    }
    /// Takes the identity of a transaction. The numbers continue behind the records of the transaction, whichever writer wrote them.
    fn follow(&mut self, transaction: &Transaction) {
        let identity = transaction.identity().ok();
        if self.identity != identity {
            (self.identity, self.is_known) = (identity, false);
            self.sequence = transaction.sequence(&self.partition);
        }
    }
    fn stamp(&mut self, (id, epoch): (i64, i16), batch: &mut EncodedBatch) {
        batch.stamp(ProducerStamp { id, epoch, sequence: self.sequence });
        self.sequence = self.sequence.wrapping_add(batch.count) & i32::MAX;
    }
    /// A new producer id; everything that is not acknowledged is numbered anew.
    async fn identify(&mut self) -> Result<(), KafkaError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let broker = self.cluster.any().await?;
        let answer = broker.call(&request, 5).await?;
        broker.check::<InitProducerIdRequest>(answer.error_code, None, Resource::CLUSTER)?;
        let identity = (answer.producer_id.0, answer.producer_epoch);
        self.identity = Some(identity);
        self.sequence = 0;
        self.is_known = false;
        let mut unacknowledged = std::mem::take(&mut self.unacknowledged);
        unacknowledged.iter_mut().for_each(|queued| self.stamp(identity, &mut queued.batch));
        self.unacknowledged = unacknowledged;
        Ok(())
    }

    async fn send(&self, leader: &Connection, index: usize) -> Result<Pending<ProduceRequest>, KafkaError> {
        if let Some(transaction) = &self.transaction {
            transaction.add(&self.partition).await?; // each time: the one before may have ended meanwhile
        }
        let batch = self.unacknowledged.get(index).map(|queued| queued.batch.bytes().clone());
        let data = PartitionProduceData::default().with_index(self.partition.partition).with_records(batch);
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(&self.partition.topic)))
            .with_partition_data(vec![data]);
        let patience = self.cluster.config.request_timeout * REPLICATION_PATIENCE;
        let request = ProduceRequest::default()
            .with_transactional_id(self.transaction.as_ref().map(|of| TransactionalId(text(of.id()))))
            .with_acks(-1)
            .with_timeout_ms(i32::try_from(patience.as_millis()).unwrap_or(i32::MAX))
            .with_topic_data(vec![topic]);
        let is_explicit = self.transaction.as_ref().is_some_and(|transaction| !transaction.is_implicit());
        let version_max = if is_explicit { EXPLICIT_VERSION_MAX } else { PRODUCE_VERSION_MAX };
        leader.start(&request, version_max, patience + self.cluster.config.request_timeout).await
    }

    /// Takes the answer to the first batch in flight.
    fn acknowledge(
        &mut self,
        leader: &Connection,
        answer: kafka_protocol::messages::ProduceResponse,
    ) -> Result<(), KafkaError> {
        leader.throttle::<ProduceRequest>(answer.throttle_time_ms);
        let answered = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let answered = answered.ok_or_else(|| leader.malformed::<ProduceRequest>("no partition in the answer"))?;
        match Code(answered.error_code) {
            Code::DUPLICATE_SEQUENCE => (), // written before, its answer was lost
            Code::MESSAGE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE => {
                let bytes = self.unacknowledged.front().map_or(0, |queued| queued.batch.bytes().len());
                let (topic, limit) = (self.partition.topic.to_string(), "less".into());
                return Err(KafkaError::TooLarge { topic, bytes, limit });
            }
            Code::INVALID_TIMESTAMP => {
                return Err(KafkaError::Clock { topic: self.partition.topic.to_string(), time_ms: now_ms() });
            }
            code => {
                let resource = Resource::topic(&self.partition.topic)
                    .and_transaction(self.transaction.as_ref().map_or("", |transaction| transaction.id()));
                leader.check::<ProduceRequest>(code.0, answered.error_message.as_ref(), resource)?;
            }
        }
        self.is_known = true;
        if let Some(Queued { batch, permit }) = self.unacknowledged.pop_front() {
            if let Some(transaction) = &self.transaction {
                transaction.acknowledge(&self.partition, batch.count);
            }
            self.deliveries.acknowledge(batch.count as u64);
            drop(permit);
        }
        Ok(())
    }
}

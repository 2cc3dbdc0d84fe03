//! The wire reader: one partition read with our own client, under either isolation. It understands transactions, takes a bad record or
//! batch for itself, and notices when the log is another (KIP-516) or was cut (KIP-320).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, TopicName};
use tokio::time::Instant;
use uuid::Uuid;

use super::nearest::Nearest;
use super::wire::batch::Batch;
use super::wire::cluster::{Cluster, Lane, Topic};
use super::wire::connection::Connection;
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, Isolation, KafkaError};
use crate::record::{LogId, Offset, TopicPartition};
use crate::transport::{Fetched, ReadFrom};

/// Bytes asked for at once; the broker sends a larger first batch whole.
const FETCH_BYTES: i32 = 1 << 20;
/// Memory that the records of one answer take, about; the rest of the answer is asked for again.
const ANSWER_COST_MAX: usize = 8 << 20;
/// Last version before the one with sessions' newer fields; 13 and later name topics by id.
const FETCH_VERSION_MAX: i16 = 17;
const TOPIC_ID_VERSION: i16 = 13;

/// Reads one partition.
pub struct PartitionReader {
    cluster: Arc<Cluster>,
    partition: TopicPartition,
    isolation: Isolation,
    from: ReadFrom,
    lane: Lane,
    nearest: Nearest,
    /// As of the last answer with records; -1 before the first.
    high_watermark: Offset,
    log_start: Offset,
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        self.cluster.disconnect(self.lane);
    }
}

impl PartitionReader {
    /// Reads `partition` from a place on. Another log than `from` says, or one that was cut below it, is an error at the first fetch.
    pub fn new(
        cluster: Arc<Cluster>,
        partition: TopicPartition,
        from: impl Into<ReadFrom>,
        isolation: Isolation,
    ) -> PartitionReader {
        let lane = cluster.reader_lane();
        let (high_watermark, log_start) = (Offset(-1), Offset(-1));
        let (from, nearest) = (from.into(), Nearest::default());
        PartitionReader { cluster, partition, isolation, from, lane, nearest, high_watermark, log_start }
    }
    /// Where the next fetch begins.
    pub fn next(&self) -> Offset {
        self.from.next
    }
    /// Where the next fetch begins, with what it relies on.
    pub fn position(&self) -> ReadFrom {
        self.from
    }
    /// Continues elsewhere in the same log.
    pub fn seek(&mut self, next: Offset) {
        (self.from.next, self.from.leader_epoch) = (next, None);
    }

    /// One fetch, which the broker holds back up to `wait` while there is nothing. After a transient error the next call looks for the
    /// leader again; the waiting between is the caller's. Where another copy fails, the next call asks the leader.
    pub async fn fetch(&mut self, wait: Duration) -> Result<Fetched, KafkaError> {
        if let Some(node) = self.nearest.follower(Instant::now()) {
            let topic = self.cluster.topic(&self.partition.topic).await?;
            check_log(&topic, &self.partition, &mut self.from)?;
            match self.fetch_from_copy(node, &topic, wait).await {
                Ok(fetched) => return Ok(fetched),
                // Whatever it is: a copy may be behind, and only the leader knows where the log begins and ends.
                Err(error) => {
                    tracing::info!(partition = %self.partition, node, %error, "the nearest copy does not serve; the leader is read");
                    self.nearest.give_up(Instant::now(), self.cluster.config.metadata_max_age);
                }
            }
        }
        let fetched = self.fetch_from_leader(wait).await;
        if let Err(error) = &fetched {
            let moved = error.code().is_none_or(Code::is_wrong_broker);
            if moved && error.is_transient() {
                self.cluster.forget_topic(&self.partition.topic);
            }
        }
        fetched
    }

    async fn fetch_from_copy(&mut self, node: i32, topic: &Topic, wait: Duration) -> Result<Fetched, KafkaError> {
        let address = topic.node(node).ok_or_else(|| KafkaError::Leaderless(self.partition.clone()))?;
        let copy = self.cluster.connect(address, self.lane).await?;
        self.ask(&copy, topic, wait).await
    }

    async fn fetch_from_leader(&mut self, wait: Duration) -> Result<Fetched, KafkaError> {
        let (leader, topic) = self.cluster.leader(&self.partition, self.lane).await?;
        check_log(&topic, &self.partition, &mut self.from)?;
        self.ask(&leader, &topic, wait).await
    }

    async fn ask(&mut self, broker: &Connection, topic: &Topic, wait: Duration) -> Result<Fetched, KafkaError> {
        let by_id = broker.version::<FetchRequest>(FETCH_VERSION_MAX)? >= TOPIC_ID_VERSION;
        let request = self.request(by_id.then_some(topic.id), topic.leader_epoch(self.partition.partition), wait);
        let limit = wait + self.cluster.config.request_timeout;
        let answer = broker.call_within(&request, FETCH_VERSION_MAX, limit).await?;
        let resource = Resource::topic(&self.partition.topic);
        broker.check::<FetchRequest>(answer.error_code, None, resource)?;
        broker.throttle::<FetchRequest>(answer.throttle_time_ms);
        let answered = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let Some(answered) = answered else {
            if answer.throttle_time_ms > 0 {
                return Ok(self.nothing_new()); // KIP-219: a throttled fetch is answered without records
            }
            return Err(broker.malformed::<FetchRequest>("no partition in the answer"));
        };
        broker.check::<FetchRequest>(answered.error_code, None, resource)?;
        let diverges = answered.diverging_epoch.end_offset >= 0;
        if !by_id && (diverges || answered.records.as_ref().is_some_and(|records| !records.is_empty())) {
            confirm_log(&self.cluster, &self.partition, &mut self.from).await?;
        }
        if diverges {
            let (partition, read_to) = (self.partition.clone(), self.from.next);
            let end = Offset(answered.diverging_epoch.end_offset).min(read_to);
            return Err(KafkaError::Truncated { partition, read_to, end });
        }
        // An answer that names a copy has no records.
        let named = answered.preferred_read_replica.0;
        if named >= 0 && self.nearest.is_wanted() {
            tracing::info!(partition = %self.partition, node = named, rack = self.cluster.config.client_rack, "the nearest copy is read");
            self.nearest.name(named, Instant::now(), self.cluster.config.metadata_max_age);
        }
        Ok(self.accept(answered))
    }

    fn request(&self, topic_id: Option<Uuid>, leader_epoch: Option<i32>, wait: Duration) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(self.partition.partition)
            .with_current_leader_epoch(leader_epoch.unwrap_or(-1))
            .with_fetch_offset(self.from.next.0)
            .with_last_fetched_epoch(self.from.leader_epoch.unwrap_or(-1))
            .with_log_start_offset(-1)
            .with_partition_max_bytes(FETCH_BYTES);
        let topic = FetchTopic::default().with_partitions(vec![partition]);
        let topic = match topic_id {
            Some(id) => topic.with_topic_id(id),
            None => topic.with_topic(TopicName(text(&self.partition.topic))),
        };
        let rack = if self.nearest.is_wanted() { self.cluster.config.client_rack.as_str() } else { "" };
        FetchRequest::default()
            .with_rack_id(text(rack))
            .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES)
            .with_isolation_level(self.isolation as i8)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }

    /// The result of an answer without records.
    fn nothing_new(&self) -> Fetched {
        let ReadFrom { next, log, leader_epoch } = self.from;
        let (high_watermark, log_start) = (self.high_watermark, self.log_start);
        Fetched { next, log, leader_epoch, high_watermark, log_start, ..Fetched::default() }
    }

    /// Takes an answer in: markers and, when committed records are asked for, those of aborted transactions are passed over without
    /// being gaps.
    fn accept(&mut self, answer: PartitionData) -> Fetched {
        (self.high_watermark, self.log_start) = (Offset(answer.high_watermark), Offset(answer.log_start_offset));
        let mut fetched = self.nothing_new();
        // Every transaction that was aborted and reaches into this answer, by its first offset.
        let aborted = answer.aborted_transactions.iter().flatten().map(|a| Reverse((a.first_offset, a.producer_id.0)));
        let mut aborted: BinaryHeap<_> = aborted.collect();
        let mut open = HashSet::new();
        let mut records = answer.records.unwrap_or_default();
        let mut budget = ANSWER_COST_MAX;
        while let Some(batch) = Batch::next(&mut records) {
            let (base, last) = match &batch {
                Ok(batch) => (batch.base, batch.last),
                // Not even its length can be trusted, but nothing lies beyond the end of the log.
                Err(bad) => (bad.base, bad.last.min(Offset(answer.high_watermark - 1)).max(bad.base)),
            };
            if last < self.from.next {
                continue;
            }
            if base > self.from.next {
                fetched.lost.push(self.from.next..base);
            }
            let from = self.from.next.max(base);
            self.from.next = last.next();
            if let Ok(batch) = &batch {
                self.from.leader_epoch = Some(batch.leader_epoch).filter(|epoch| *epoch >= 0);
            }
            match batch {
                Err(bad) => {
                    tracing::error!(partition = %self.partition, %base, %last, why = %bad.rejection.message, "unreadable batch");
                    bad.poison(from, last, &mut fetched);
                }
                Ok(batch) => {
                    while let Some(Reverse((_, producer))) = aborted.peek().filter(|a| a.0.0 <= last.0).copied() {
                        open.insert(producer);
                        aborted.pop();
                    }
                    if batch.is_control() {
                        if batch.is_abort() {
                            open.remove(&batch.producer_id);
                        }
                    } else if !(batch.is_transactional() && open.contains(&batch.producer_id)) {
                        self.from.next = batch.decode(from, &mut budget, &mut fetched);
                    }
                    if budget == 0 {
                        break;
                    }
                }
            }
        }
        (fetched.next, fetched.leader_epoch) = (self.from.next, self.from.leader_epoch);
        fetched
    }
}

/// The log behind the partition's name, as the cluster has it now. What was fetched by name before this call is of the log that `from` is a
/// place in, unless this is an error.
pub(super) async fn confirm_log(
    cluster: &Cluster,
    partition: &TopicPartition,
    from: &mut ReadFrom,
) -> Result<Option<LogId>, KafkaError> {
    cluster.forget_topic(&partition.topic);
    check_log(&*cluster.topic(&partition.topic).await?, partition, from)
}

/// A topic of the same name is another log when its id is another.
fn check_log(topic: &Topic, partition: &TopicPartition, from: &mut ReadFrom) -> Result<Option<LogId>, KafkaError> {
    let Some(now) = topic.log() else { return Ok(None) };
    match *from.log.get_or_insert(now) {
        was if was != now => Err(KafkaError::AnotherLog { partition: partition.clone(), was, now }),
        _ => Ok(Some(now)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::ProducerId;
    use kafka_protocol::messages::fetch_response::AbortedTransaction;

    use super::*;
    use crate::kafka::KafkaConfig;
    use crate::kafka::wire::batch_builder::{BatchBuilder, ProducerStamp};
    use crate::kafka::wire::compression::Compression;

    const PLAIN: u8 = 0;
    const TRANSACTIONAL: u8 = 0x10;
    const MARKER: u8 = 0x30;

    /// A batch as the log has it, of (key, value).
    fn batch(base: i64, producer: i64, attributes: u8, records: &[(&[u8], &str)]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(100);
        records.iter().for_each(|(key, value)| builder.push(0, Some(key), Some(value.as_bytes()), &[]));
        let mut batch = builder.finish(Compression::None);
        batch.stamp(ProducerStamp { id: producer, epoch: 0, sequence: 0 });
        let mut bytes = BytesMut::from(&batch.bytes()[..]);
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[22] |= attributes;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes.to_vec()
    }
    fn rows(base: i64, producer: i64, attributes: u8, values: &[&str]) -> Vec<u8> {
        batch(base, producer, attributes, &values.iter().map(|value| (&b"k"[..], *value)).collect::<Vec<_>>())
    }
    fn abort(base: i64, producer: i64) -> Vec<u8> {
        batch(base, producer, MARKER, &[(&[0, 0, 0, 0], "")])
    }
    fn commit(base: i64, producer: i64) -> Vec<u8> {
        batch(base, producer, MARKER, &[(&[0, 0, 0, 1], "")])
    }
    fn accept(from: i64, aborted: &[(i64, i64)], batches: &[Vec<u8>]) -> Fetched {
        let partition = TopicPartition { topic: "rows".into(), partition: 0 };
        let cluster = Arc::new(Cluster::new(KafkaConfig::new(["nowhere:9092"], "test")));
        let mut reader = PartitionReader::new(cluster, partition, Offset(from), Isolation::ReadCommitted);
        let aborted = aborted.iter().map(|(producer, first)| {
            AbortedTransaction::default().with_producer_id(ProducerId(*producer)).with_first_offset(*first)
        });
        reader.accept(
            PartitionData::default()
                .with_high_watermark(100)
                .with_aborted_transactions(Some(aborted.collect()))
                .with_records(Some(Bytes::from(batches.concat()))),
        )
    }
    fn offsets(fetched: &Fetched) -> Vec<i64> {
        fetched.records.iter().map(|record| record.offset.0).collect()
    }

    #[test]
    fn aborted_rows_and_markers_are_neither_records_nor_gaps() {
        let log = [
            rows(0, 1, TRANSACTIONAL, &["aborted", "aborted"]),
            rows(2, 2, TRANSACTIONAL, &["committed"]),
            rows(3, -1, PLAIN, &["plain"]),
            abort(4, 1),
            commit(5, 2),
            rows(6, 1, TRANSACTIONAL, &["the same producer, its next transaction"]),
            commit(7, 1),
        ];
        let fetched = accept(0, &[(1, 0)], &log);
        assert_eq!(offsets(&fetched), [2, 3, 6]);
        assert_eq!((fetched.next, fetched.lost.len(), fetched.poisoned.len()), (Offset(8), 0, 0));
    }

    #[test]
    fn a_transaction_that_began_before_the_fetch_is_known_by_the_brokers_list() {
        let fetched = accept(10, &[(1, 3)], &[rows(9, 1, TRANSACTIONAL, &["read before", "aborted"]), abort(11, 1)]);
        assert_eq!((offsets(&fetched), fetched.next), (vec![], Offset(12)));
    }

    #[test]
    fn offsets_that_are_missing_between_batches_are_lost() {
        let fetched = accept(0, &[], &[rows(3, -1, PLAIN, &["d"]), rows(7, -1, PLAIN, &["h"])]);
        assert_eq!(fetched.lost, [Offset(0)..Offset(3), Offset(4)..Offset(7)]);
        assert_eq!(offsets(&fetched), [3, 7]);
    }

    #[test]
    fn a_corrupt_batch_is_passed_and_the_next_is_read() {
        let mut corrupt = rows(0, -1, PLAIN, &["a", "b"]);
        corrupt[70] ^= 1;
        let fetched = accept(1, &[], &[corrupt, rows(2, -1, PLAIN, &["c"])]);
        assert_eq!(fetched.poisoned.iter().map(|(offset, _)| offset.0).collect::<Vec<_>>(), [1]);
        assert_eq!((offsets(&fetched), fetched.next), (vec![2], Offset(3)));
    }
}

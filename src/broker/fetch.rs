//! Serves reads: Fetch with its long poll, and the ends of logs.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response as fetched;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    BrokerId, DeleteRecordsRequest, DeleteRecordsResponse, FetchRequest, FetchResponse, ListOffsetsRequest,
    ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProducerId,
};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::faults::Operation;
use super::log::{Log, Slice};
use super::topics::Topics;
use crate::kafka::wire::batch::Batch;
use crate::record::Offset;
use crate::transport::Fetched;

/// From this version on topics go by id.
const TOPIC_ID_VERSION: i16 = 13;
/// Longest a fetch is held back and most it carries, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_secs(60);
const BYTES_MAX: usize = 64 << 20;
/// Bytes that are read at once in search of a timestamp.
const SEARCH_BYTES: usize = 1 << 20;

/// `ListOffsets` timestamps with a meaning of their own.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// Answers when there is enough to send, something is wrong, or the client's patience is over.
/// A throttled fetch is answered at once and without topics (KIP-219).
pub(super) async fn fetch(shared: &Shared, request: FetchRequest, version: i16, throttle: Duration) -> FetchResponse {
    if !throttle.is_zero() {
        return FetchResponse::default().with_throttle_time_ms(i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX));
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    loop {
        let mut written = std::pin::pin!(shared.data.notified());
        written.as_mut().enable(); // before looking, so that nothing is written unseen
        let look = look(shared, &request, version);
        if look.is_final || look.bytes >= enough || Instant::now() >= deadline {
            return FetchResponse::default().with_responses(look.topics);
        }
        // Over time: one more look, and that is the answer.
        timeout_at(deadline, written).await.ok();
    }
}

#[derive(Default)]
struct Look {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    is_final: bool,
}

fn look(shared: &Shared, request: &FetchRequest, version: i16) -> Look {
    let committed_only = request.isolation_level == 1;
    let bytes_max = usize::try_from(request.max_bytes).unwrap_or(0).min(BYTES_MAX);
    let mut look = Look::default();
    for topic in &request.topics {
        let by_id = version >= TOPIC_ID_VERSION;
        let (name, unknown) = if by_id {
            let name = shared.state().topics.name(topic.topic_id).map(str::to_owned);
            (name, ResponseError::UnknownTopicId)
        } else {
            (Some(topic.topic.to_string()), ResponseError::UnknownTopicOrPartition)
        };
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let room = bytes_max.saturating_sub(look.bytes);
            let data = match &name {
                Some(name) => read(shared, name, wanted, committed_only, room, look.bytes == 0),
                None => refused(unknown),
            };
            look.bytes += data.records.as_ref().map_or(0, Bytes::len);
            look.is_final |= data.error_code != 0 || data.diverging_epoch.end_offset >= 0;
            partitions.push(data.with_partition_index(wanted.partition).with_preferred_read_replica(BrokerId(-1)));
        }
        let answer = FetchableTopicResponse::default().with_partitions(partitions);
        look.topics.push(if by_id {
            answer.with_topic_id(topic.topic_id)
        } else {
            answer.with_topic(topic.topic.clone())
        });
    }
    look
}

/// The answer for one partition. Only the first of an answer may exceed the room that is left, by one batch.
fn read(
    shared: &Shared,
    topic: &str,
    wanted: &FetchPartition,
    committed_only: bool,
    room: usize,
    is_first: bool,
) -> PartitionData {
    let partition = shared.state().topics.partition(topic, wanted.partition).cloned();
    let Some(partition) = partition else { return refused(ResponseError::UnknownTopicOrPartition) };
    if shared.faults.is_denied(topic, Operation::Read) {
        return refused(ResponseError::TopicAuthorizationFailed);
    }
    if shared.faults.is_leaderless(topic, wanted.partition) {
        return refused(ResponseError::NotLeaderOrFollower);
    }
    let log = partition.log();
    // KIP-320: what a client knows of the leader must be true, and what it has read must still be there.
    match wanted.current_leader_epoch {
        ..0 => {}
        known if known < log.epoch() => return refused(ResponseError::FencedLeaderEpoch),
        known if known > log.epoch() => return refused(ResponseError::UnknownLeaderEpoch),
        _ => {}
    }
    let bounds = PartitionData::default()
        .with_high_watermark(log.end())
        .with_last_stable_offset(log.stable())
        .with_log_start_offset(log.start())
        .with_records(Some(Bytes::new()));
    if wanted.last_fetched_epoch >= 0 {
        let (epoch, end) = log.end_of_epoch(wanted.last_fetched_epoch);
        if epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset {
            let diverging = fetched::EpochEndOffset::default().with_epoch(epoch).with_end_offset(end);
            return bounds.with_diverging_epoch(diverging);
        }
    }
    let slice = match log.slice(wanted.fetch_offset, committed_only) {
        Ok(slice) => slice,
        Err(refusal) => return bounds.with_error_code(refusal.code()),
    };
    drop(log);
    let Some(slice) = slice.filter(|_| is_first || room > 0) else {
        return bounds.with_aborted_transactions(committed_only.then(Vec::new));
    };
    let bytes_max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(room);
    let (records, last) = match slice.read(bytes_max) {
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(topic, %error, "records could not be read");
            return bounds.with_error_code(ResponseError::KafkaStorageError.code());
        }
    };
    let aborted = committed_only.then(|| {
        let log = partition.log();
        let reported = log.aborted(wanted.fetch_offset, last).map(|aborted| {
            AbortedTransaction::default()
                .with_producer_id(ProducerId(aborted.producer))
                .with_first_offset(aborted.first)
        });
        reported.collect()
    });
    bounds.with_records(Some(shared.faults.read(records))).with_aborted_transactions(aborted)
}

fn refused(refusal: ResponseError) -> PartitionData {
    PartitionData::default().with_high_watermark(-1).with_error_code(refusal.code())
}

/// Where logs begin and end, or where a time begins in them.
pub(super) fn list_offsets(shared: &Shared, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let committed_only = request.isolation_level == 1;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_timestamp(-1)
                .with_offset(-1);
            let partition = shared.state().topics.partition(&topic.name, asked.partition_index).cloned();
            let Some(partition) = partition else {
                return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
            };
            if shared.faults.is_leaderless(&topic.name, asked.partition_index) {
                return answer.with_error_code(ResponseError::NotLeaderOrFollower.code());
            }
            let log = partition.log();
            let leader_epoch = log.epoch();
            let (offset, timestamp) = match asked.timestamp {
                LATEST => (if committed_only { log.stable() } else { log.end() }, -1),
                EARLIEST | EARLIEST_LOCAL => (log.start(), -1),
                LATEST_TIERED => (-1, -1),
                at => {
                    let at = if at == MAX_TIMESTAMP { log.max_timestamp() } else { at };
                    let slice = log.slice_at_time(at);
                    drop(log);
                    slice.and_then(|slice| first_since(slice, at, &partition.log())).unwrap_or((-1, -1))
                }
            };
            let epoch = if version >= 4 && offset >= 0 { leader_epoch } else { -1 };
            answer.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(epoch)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and time of the first record from `slice` on that is not older than `timestamp`.
fn first_since(mut slice: Slice, timestamp: i64, log: &Log) -> Option<(i64, i64)> {
    loop {
        let (mut bytes, last) = slice.read(SEARCH_BYTES).ok()?;
        while let Some(Ok(batch)) = Batch::next(&mut bytes) {
            let mut fetched = Fetched::default();
            batch.decode(Offset(log.start()), &mut { usize::MAX }, &mut fetched);
            if let Some(found) = fetched.records.iter().find(|record| record.timestamp_ms >= timestamp) {
                return Some((found.offset.0, found.timestamp_ms));
            }
        }
        slice = log.slice(last + 1, false).ok()??;
    }
}

/// Where an epoch ended: there has only been one.
pub(super) fn offset_for_leader_epoch(
    shared: &Shared,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let end = |topics: &Topics, topic: &str, partition: i32, asked: i32| {
        let answer = EpochEndOffset::default().with_partition(partition);
        match topics.partition(topic, partition) {
            Some(found) => {
                let (epoch, end) = found.log().end_of_epoch(asked);
                answer.with_leader_epoch(epoch).with_end_offset(end)
            }
            None => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
        }
    };
    let state = shared.state();
    let topics = request.topics.into_iter().map(|topic| {
        let ends = topic
            .partitions
            .iter()
            .map(|asked| end(&state.topics, &topic.topic, asked.partition, asked.leader_epoch))
            .collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(ends)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

/// Forgets records below an offset; -1 means all of them.
pub(super) fn delete_records(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            let partition = shared.state().topics.partition(&topic.name, asked.partition_index).cloned();
            let Some(partition) = partition else {
                return answer.with_low_watermark(-1).with_error_code(ResponseError::UnknownTopicOrPartition.code());
            };
            let mut log = partition.log();
            let below = if asked.offset == -1 { log.end() } else { asked.offset };
            if !(0..=log.end()).contains(&below) {
                return answer.with_low_watermark(-1).with_error_code(ResponseError::OffsetOutOfRange.code());
            }
            log.delete_below(below);
            answer.with_low_watermark(log.start())
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

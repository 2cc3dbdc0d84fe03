//! Serves Produce: appends batches to logs, as long as there is room.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::batch::BatchHeader;
use super::call::Call;
use super::faults::Operation;
use super::{Shared, State};
use crate::kafka::wire::text::text;
use crate::record::Offset;
use crate::transport::Progress;

/// From this version on a produced batch adds its partition to the transaction by itself (KIP-890).
const IMPLICIT_VERSION: i16 = 12;
/// A producer that is refused for want of room comes back not sooner than this.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// `None` for a request that wants no answer.
pub(super) fn produce(shared: &Shared, call: &mut Call, request: ProduceRequest) -> Option<ProduceResponse> {
    let version = call.version();
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let records = data.records.unwrap_or_default();
            let written = match call.refusal.and_then(ResponseError::try_from_code) {
                Some(refusal) => Err(refusal),
                None => append(shared, &topic.name, data.index, records, version >= IMPLICIT_VERSION),
            };
            let answer = PartitionProduceResponse::default().with_index(data.index).with_log_append_time_ms(-1);
            partitions.push(match written {
                Ok((base, start)) => {
                    answer.with_base_offset(base).with_log_start_offset(if version >= 5 { start } else { -1 })
                }
                Err(refusal) => {
                    if refusal == ResponseError::KafkaStorageError {
                        call.throttle = call.throttle.max(FULL_WAIT);
                    }
                    let message = (version >= 8).then(|| text(&explain(shared, refusal)));
                    answer.with_base_offset(-1).with_error_code(refusal.code()).with_error_message(message)
                }
            });
        }
        topics.push(TopicProduceResponse::default().with_name(topic.name).with_partition_responses(partitions));
    }
    shared.data.notify_waiters();
    call.throttle = call.throttle.max(shared.space.throttle());
    let throttle_ms = i32::try_from(call.throttle.as_millis()).unwrap_or(i32::MAX);
    (request.acks != 0).then(|| ProduceResponse::default().with_responses(topics).with_throttle_time_ms(throttle_ms))
}

fn explain(shared: &Shared, refusal: ResponseError) -> String {
    if refusal == ResponseError::KafkaStorageError {
        let limit = shared.space.limit() >> 20;
        return format!(
            "the in-process broker holds {limit} MiB at most, and rows that are still needed take them; start it with a higher --max-mib, or delete topics"
        );
    }
    refusal.to_string()
}

/// Base offset and start of the log.
fn append(
    shared: &Shared,
    topic: &str,
    index: i32,
    records: Bytes,
    implicit: bool,
) -> Result<(i64, i64), ResponseError> {
    let (partition, batch_bytes_max) = {
        let state = shared.state();
        let of = state.topics.get(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = state.topics.partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        (partition.clone(), of.configs.max_message_bytes())
    };
    if shared.faults.is_denied(topic, Operation::Write) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if shared.faults.is_leaderless(topic, index) {
        return Err(ResponseError::NotLeaderOrFollower);
    }
    make_room(shared, topic, records.len() as u64)?;
    let batches = BatchHeader::accept(records, batch_bytes_max)?;
    if batches.is_empty() {
        return Err(ResponseError::InvalidRecord);
    }
    // A transaction must not end between its check and its batch; other batches need nothing but their log.
    let transactional = batches.iter().any(|(header, _)| header.is_transactional());
    let mut held = transactional.then(|| shared.state());
    if let Some(state) = &mut held {
        for (header, _) in &batches {
            state.transactions.admit(header, topic, index, implicit)?;
        }
    }
    let mut log = partition.log();
    let mut base = -1;
    for (header, batch) in &batches {
        let written = log.append(header, batch)?;
        base = if base < 0 { written } else { base };
    }
    let start = log.start();
    drop(log);
    drop(held);
    Ok((base, start))
}

fn make_room(shared: &Shared, topic: &str, bytes: u64) -> Result<(), ResponseError> {
    if !shared.space.is_scarce() && shared.space.has_room(bytes) {
        return Ok(());
    }
    release(&shared.state());
    if shared.space.has_room(bytes) {
        return Ok(());
    }
    let limit_mib = shared.space.limit() >> 20;
    tracing::warn!(topic, limit_mib, "full: rows that are still needed fill the broker");
    Err(ResponseError::KafkaStorageError)
}

/// Drops rows that every group with an offset is done with. A group of ours says in its commit from where it would have to read again;
/// partitions that no group reads are left alone.
fn release(state: &State) {
    for (name, topic) in state.topics.iter() {
        for (index, partition) in (0..).zip(&topic.partitions) {
            let commits = state.groups.iter().filter_map(|(_, group)| group.offsets.get(name, index));
            let needed = commits.map(|committed| {
                let progress = Progress::parse(Offset(committed.offset), &committed.metadata);
                progress.map_or(committed.offset, |progress| progress.replay_from.0)
            });
            if let Some(needed) = needed.min() {
                partition.log().release_below(needed);
            }
        }
    }
}

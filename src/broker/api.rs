//! The requests that are served, their versions, and their handlers.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::call::{Call, write};
use super::faults::Fault;
use super::frame::{Frame, FrameError};
use super::{FETCH_VERSION, Shared, admin, fetch, groups, membership, offsets, produce, transactions};
use crate::kafka::wire::text::text;

/// Served versions. Topics go by name where a version would want ids, except in Fetch.
const SERVED: [(ApiKey, i16, i16); 30] = [
    // librdkafka takes a broker that does not list version 0 of Produce for one that cannot compress.
    (ApiKey::Produce, 0, 12),
    (ApiKey::Fetch, 4, FETCH_VERSION),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::TxnOffsetCommit, 0, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::DescribeCluster, 0, 1),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
];

/// Features as brokers support them: 2 of the first are the transactions of KIP-890, 1 of the second the groups of KIP-848.
const FEATURES: [(&str, i16); 2] = [("transaction.version", 2), ("group.version", 1)];

/// The answer to a request.
pub(super) struct Answer {
    /// The whole frame; none for a Produce that wants no answer.
    pub frame: Option<Bytes>,
    /// How long the connection is quiet afterwards.
    pub throttle: Duration,
}

/// Serves one request. An error closes the connection.
pub(super) async fn answer(shared: &Shared, mut frame: Frame, fault: Option<Fault>) -> Result<Answer, FrameError> {
    let throttle = if let Some(Fault::Throttle(throttle)) = fault { throttle } else { Duration::ZERO };
    let refusal = if let Some(Fault::Refuse(code)) = fault { Some(code) } else { None };
    let served = served(shared).find(|(api, _, _)| *api == frame.api);
    let is_served = served.is_some_and(|(_, min, max)| (min..=max).contains(&frame.version));
    if !is_served || (frame.api == ApiKey::Produce && frame.version < 3) {
        if frame.api != ApiKey::ApiVersions {
            return Err(FrameError::Malformed(frame.api, frame.version, "not served".into()));
        }
        // A client that is newer than we are asks again in the oldest version.
        let response = versions(shared, 0).with_error_code(ResponseError::UnsupportedVersion.code());
        return Ok(Answer { frame: Some(write(&frame, 0, &response)?), throttle });
    }
    let header = frame.header()?;
    let mut call = Call { frame, header, throttle, refusal };
    let frame = dispatch(shared, &mut call).await?;
    Ok(Answer { frame, throttle: call.throttle })
}

async fn dispatch(shared: &Shared, call: &mut Call) -> Result<Option<Bytes>, FrameError> {
    let version = call.version();
    match call.frame.api {
        ApiKey::ApiVersions => call.serve(|_: ApiVersionsRequest| versions(shared, version)),
        ApiKey::Produce => {
            let request = call.read()?;
            match produce::produce(shared, call, request) {
                Some(response) => call.write(&response),
                None => Ok(None),
            }
        }
        ApiKey::Fetch => {
            let response = fetch::fetch(shared, call.read()?, version, call.throttle).await;
            call.write(&response)
        }
        ApiKey::ListOffsets => call.serve(|request| fetch::list_offsets(shared, request, version)),
        ApiKey::OffsetForLeaderEpoch => call.serve(|request| fetch::offset_for_leader_epoch(shared, request)),
        ApiKey::DeleteRecords => call.serve(|request| fetch::delete_records(shared, request)),
        ApiKey::Metadata => call.serve(|request| admin::metadata(shared, request, version)),
        ApiKey::DescribeCluster => call.serve(|request| admin::describe_cluster(shared, request)),
        ApiKey::CreateTopics => call.serve(|request| admin::create_topics(shared, request, version)),
        ApiKey::DeleteTopics => call.serve(|request| admin::delete_topics(shared, request, version)),
        ApiKey::CreatePartitions => call.serve(|request| admin::create_partitions(shared, request)),
        ApiKey::DescribeConfigs => call.serve(|request| admin::describe_configs(shared, request, version)),
        ApiKey::IncrementalAlterConfigs => call.serve(|request| admin::alter_configs(shared, request)),
        ApiKey::FindCoordinator => call.serve(|request| groups::find_coordinator(shared, request, version)),
        ApiKey::ListGroups => call.serve(|request| groups::list(shared, request, version)),
        ApiKey::DescribeGroups => call.serve(|request| groups::describe(shared, request, version)),
        ApiKey::DeleteGroups => call.serve(|request| groups::delete(shared, request)),
        ApiKey::ConsumerGroupHeartbeat => {
            let request = call.read()?;
            let response = membership::consumer_heartbeat(shared, request, call.client_id());
            call.write(&response)
        }
        ApiKey::ConsumerGroupDescribe => call.serve(|request| membership::consumer_describe(shared, request, version)),
        ApiKey::JoinGroup => {
            let request = call.read()?;
            let response = membership::join(shared, request, version, call.client_id()).await;
            call.write(&response)
        }
        ApiKey::SyncGroup => {
            let response = membership::sync(shared, call.read()?, version).await;
            call.write(&response)
        }
        ApiKey::Heartbeat => call.serve(|request| membership::heartbeat(shared, request)),
        ApiKey::LeaveGroup => call.serve(|request| membership::leave(shared, request, version)),
        ApiKey::OffsetCommit => call.serve(|request| offsets::commit(shared, request)),
        ApiKey::OffsetFetch => call.serve(|request| offsets::fetch(shared, request, version)),
        ApiKey::TxnOffsetCommit => call.serve(|request| transactions::commit_offsets(shared, request, version)),
        ApiKey::InitProducerId => call.serve(|request| transactions::init_producer(shared, request, version)),
        ApiKey::AddPartitionsToTxn => call.serve(|request| transactions::add_partitions(shared, request)),
        ApiKey::AddOffsetsToTxn => call.serve(|request| transactions::add_offsets(shared, request)),
        ApiKey::EndTxn => call.serve(|request| transactions::end(shared, request, version)),
        other => Err(FrameError::Malformed(other, version, "not served".into())),
    }
}

/// Served versions, as the broker is set up.
fn served(shared: &Shared) -> impl Iterator<Item = (ApiKey, i16, i16)> {
    let fetch_max = shared.config.fetch_version;
    SERVED
        .into_iter()
        .map(move |(api, min, max)| (api, min, if api == ApiKey::Fetch { max.min(fetch_max) } else { max }))
}

fn versions(shared: &Shared, version: i16) -> ApiVersionsResponse {
    let version_of = |(api, min, max): (ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(api as i16).with_min_version(min).with_max_version(max)
    };
    let response = ApiVersionsResponse::default().with_api_keys(served(shared).map(version_of).collect());
    if version < 3 {
        return response;
    }
    let supported = FEATURES.map(|(name, max)| {
        SupportedFeatureKey::default().with_name(text(name)).with_min_version(1).with_max_version(max)
    });
    let finalized = FEATURES.map(|(name, level)| {
        let level = match name {
            "transaction.version" => shared.config.transaction_version,
            "group.version" => shared.config.group_version,
            _ => level,
        };
        FinalizedFeatureKey::default().with_name(text(name)).with_min_version_level(1).with_max_version_level(level)
    });
    response
        .with_supported_features(supported.to_vec())
        .with_finalized_features_epoch(1)
        .with_finalized_features(finalized.into_iter().filter(|feature| feature.max_version_level > 0).collect())
}

//! Serves the requests of members, in the classic protocol and in that of KIP-848: finds the group, and answers in the version asked for.

use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response as described;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::classic_group::{ClassicGroup, sync_refused};
use super::consumer_group::{ASSIGNORS, ConsumerGroup};
use super::groups::{Group, Members, UNKNOWN_OPERATIONS};
use super::{Shared, State, code};
use crate::kafka::wire::text::text;

/// The classic group of a name; the name of a group of the other kind is refused.
fn classic<'a>(state: &'a mut State, name: &str) -> Result<&'a mut ClassicGroup, ResponseError> {
    match state.groups.get_mut(name) {
        Some(Group { members: Members::Classic(group), .. }) => Ok(group),
        Some(_) | None => Err(ResponseError::UnknownMemberId),
    }
}

fn join_refused(refusal: ResponseError, id: &str) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refusal.code())
        .with_generation_id(-1)
        .with_member_id(text(id))
        .with_protocol_name(Some(StrBytes::default()))
}

/// Answers when the generation begins.
pub(super) async fn join(
    shared: &Shared,
    request: JoinGroupRequest,
    version: i16,
    client_id: &str,
) -> JoinGroupResponse {
    let begun = {
        let mut state = shared.state();
        let group = match state.groups.obtain(&request.group_id) {
            Ok(group) => group,
            Err(refusal) => return join_refused(refusal, &request.member_id),
        };
        if !matches!(group.members, Members::Classic(_)) {
            if !group.is_empty() {
                return join_refused(ResponseError::InconsistentGroupProtocol, &request.member_id);
            }
            group.members = Members::Classic(ClassicGroup::default());
        }
        let Members::Classic(classic) = &mut group.members else {
            return join_refused(ResponseError::InconsistentGroupProtocol, &request.member_id);
        };
        classic.join(&request, version, client_id, Instant::now())
    };
    let mut response = match begun {
        Ok(response) => response,
        Err(Err((refusal, id))) => join_refused(refusal, &id),
        Err(Ok(joined)) => {
            joined.await.unwrap_or_else(|_| join_refused(ResponseError::UnknownMemberId, &request.member_id))
        }
    };
    if version < 7 {
        response.protocol_type = None;
    }
    if version < 5 {
        response.members.iter_mut().for_each(|member| member.group_instance_id = None);
    }
    response
}

/// Answers when the leader has assigned.
pub(super) async fn sync(shared: &Shared, request: SyncGroupRequest, version: i16) -> SyncGroupResponse {
    let begun = {
        let mut state = shared.state();
        let name = request.group_id.clone();
        classic(&mut state, &name).and_then(|group| group.sync(request, Instant::now()))
    };
    let mut response = match begun {
        Ok(Ok(response)) => response,
        Ok(Err(synced)) => synced.await.unwrap_or_else(|_| sync_refused(ResponseError::RebalanceInProgress)),
        Err(refusal) => sync_refused(refusal),
    };
    if version < 5 {
        (response.protocol_type, response.protocol_name) = (None, None);
    }
    response
}

pub(super) fn heartbeat(shared: &Shared, request: HeartbeatRequest) -> HeartbeatResponse {
    let mut state = shared.state();
    let beat = classic(&mut state, &request.group_id)
        .and_then(|group| group.heartbeat(&request.member_id, request.generation_id, Instant::now()));
    HeartbeatResponse::default().with_error_code(code(&beat))
}

pub(super) fn leave(shared: &Shared, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let single = (request.member_id, None);
    let leaving: Vec<(StrBytes, Option<StrBytes>)> = if version < 3 {
        vec![single]
    } else {
        request.members.into_iter().map(|member| (member.member_id, member.group_instance_id)).collect()
    };
    let mut state = shared.state();
    let group = match classic(&mut state, &request.group_id) {
        Ok(group) => group,
        Err(refusal) => return LeaveGroupResponse::default().with_error_code(refusal.code()),
    };
    let left = group.leave(leaving, Instant::now());
    if version < 3 {
        LeaveGroupResponse::default().with_error_code(left.first().map_or(0, |member| member.error_code))
    } else {
        LeaveGroupResponse::default().with_members(left)
    }
}

/// Joins, keeps or ends a membership.
pub(super) fn consumer_heartbeat(
    shared: &Shared,
    request: ConsumerGroupHeartbeatRequest,
    client_id: &str,
) -> ConsumerGroupHeartbeatResponse {
    let beat = || {
        if request.member_id.is_empty() {
            return Err((ResponseError::InvalidRequest, "a member chooses its own id"));
        }
        if request.subscribed_topic_regex.as_ref().is_some_and(|regex| !regex.is_empty()) {
            return Err((ResponseError::InvalidRegularExpression, "the in-process broker knows topics by name only"));
        }
        if request.server_assignor.as_ref().is_some_and(|name| !ASSIGNORS.contains(&name.as_str())) {
            return Err((ResponseError::UnsupportedAssignor, "the in-process broker assigns uniformly"));
        }
        let mut state = shared.state();
        let state = &mut *state;
        let group = state.groups.obtain(&request.group_id).map_err(|refusal| (refusal, ""))?;
        if !matches!(group.members, Members::Consumer(_)) {
            if !group.is_empty() {
                return Err((ResponseError::GroupIdNotFound, "the group speaks the classic protocol"));
            }
            group.members = Members::Consumer(ConsumerGroup::default());
        }
        let Members::Consumer(members) = &mut group.members else { return Err((ResponseError::GroupIdNotFound, "")) };
        members.heartbeat(shared, &state.topics, &request, client_id).map_err(|refusal| (refusal, ""))
    };
    beat().unwrap_or_else(|(refusal, message)| {
        let message = if message.is_empty() { refusal.to_string() } else { message.to_owned() };
        ConsumerGroupHeartbeatResponse::default()
            .with_error_code(refusal.code())
            .with_error_message(Some(text(&message)))
    })
}

pub(super) fn consumer_describe(
    shared: &Shared,
    request: ConsumerGroupDescribeRequest,
    version: i16,
) -> ConsumerGroupDescribeResponse {
    let state = shared.state();
    let groups = request.group_ids.into_iter().map(|id| {
        let answer = described::DescribedGroup::default().with_authorized_operations(UNKNOWN_OPERATIONS);
        let described = match state.groups.get(&id).map(|group| &group.members) {
            Some(Members::Consumer(group)) => group.describe(&state.topics, answer, version),
            Some(Members::None | Members::Classic(_)) | None => {
                answer.with_error_code(ResponseError::GroupIdNotFound.code())
            }
        };
        described.with_group_id(id)
    });
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
}

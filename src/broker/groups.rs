//! Consumer groups: each has offsets, a name and a state, whichever protocol its members speak.

use std::collections::BTreeMap;
use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListGroupsRequest, ListGroupsResponse,
};
use uuid::Uuid;

use super::assignor::Slot;
use super::classic_group::ClassicGroup;
use super::consumer_group::ConsumerGroup;
use super::offsets::Offsets;
use super::topics::Topics;
use super::{NODE, Shared, code};
use crate::kafka::wire::text::text;

/// From this version on a request names several groups or transactions.
const BATCHED_VERSION: i16 = 4;
/// Groups at a time.
const GROUPS_MAX: usize = 10_000;
/// Rights of the client on a group, where they are not asked for.
pub(super) const UNKNOWN_OPERATIONS: i32 = i32::MIN;

/// One group.
#[derive(Default)]
pub(super) struct Group {
    pub members: Members,
    pub offsets: Offsets,
}

/// The protocol of the members; a group without members may change it.
#[derive(Default)]
pub(super) enum Members {
    /// Nobody ever joined: a group of offsets.
    #[default]
    None,
    /// The protocol in which one of the members assigns.
    Classic(ClassicGroup),
    /// KIP-848: the broker assigns.
    Consumer(ConsumerGroup),
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        match &self.members {
            Members::None => true,
            Members::Classic(group) => group.is_empty(),
            Members::Consumer(group) => group.is_empty(),
        }
    }
    /// Whether a commit under a membership counts. A commit without one is for groups without members.
    pub(super) fn check_commit(&mut self, member: &str, epoch: i32, slot: Option<Slot>) -> Result<(), ResponseError> {
        if member.is_empty() && epoch < 0 {
            return if self.is_empty() { Ok(()) } else { Err(ResponseError::UnknownMemberId) };
        }
        match &mut self.members {
            Members::None => Err(ResponseError::IllegalGeneration),
            Members::Classic(group) => group.check_commit(member, epoch, Instant::now()),
            Members::Consumer(group) => group.check_commit(member, epoch, slot),
        }
    }
    fn state(&self) -> &'static str {
        match &self.members {
            Members::None => "Empty",
            Members::Classic(group) => group.state(),
            Members::Consumer(group) => group.state(),
        }
    }
    fn kind(&self) -> &'static str {
        match &self.members {
            Members::None | Members::Classic(_) => "classic",
            Members::Consumer(_) => "consumer",
        }
    }
    fn protocol_type(&self) -> &str {
        match &self.members {
            Members::None => "",
            Members::Classic(group) => group.protocol_type(),
            Members::Consumer(_) => "consumer",
        }
    }
}

/// All groups, by name.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, Group>);

impl Groups {
    pub(super) fn get(&self, name: &str) -> Option<&Group> {
        self.0.get(name)
    }
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.0.get_mut(name)
    }
    /// The group, made if there is none.
    pub(super) fn obtain(&mut self, name: &str) -> Result<&mut Group, ResponseError> {
        if name.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        if self.0.len() >= GROUPS_MAX && !self.0.contains_key(name) {
            return Err(ResponseError::PolicyViolation);
        }
        Ok(self.0.entry(name.to_owned()).or_default())
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }
    /// Puts out members that have been silent for too long.
    pub(super) fn expire(&mut self, topics: &Topics, now: Instant) {
        for group in self.0.values_mut() {
            match &mut group.members {
                Members::None => (),
                Members::Classic(group) => group.expire(now),
                Members::Consumer(group) => group.expire(topics, now),
            }
        }
    }
    /// Topics came or grew: who subscribes to them is to have the partitions.
    pub(super) fn topics_changed(&mut self, topics: &Topics) {
        for group in self.0.values_mut() {
            if let Members::Consumer(group) = &mut group.members {
                group.assign(topics);
            }
        }
    }
    /// A topic is gone, and so are the offsets in it.
    pub(super) fn topic_deleted(&mut self, name: &str, id: Uuid, topics: &Topics) {
        for group in self.0.values_mut() {
            group.offsets.forget_topic(name);
            if let Members::Consumer(group) = &mut group.members {
                group.forget_topic(id);
                group.assign(topics);
            }
        }
    }
}

/// Everything is coordinated here.
pub(super) fn find_coordinator(
    shared: &Shared,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let (host, port) = (text(&shared.address.ip().to_string()), shared.address.port().into());
    if version < BATCHED_VERSION {
        return FindCoordinatorResponse::default().with_node_id(BrokerId(NODE)).with_host(host).with_port(port);
    }
    let coordinator =
        |key| Coordinator::default().with_key(key).with_node_id(BrokerId(NODE)).with_host(host.clone()).with_port(port);
    FindCoordinatorResponse::default()
        .with_coordinators(request.coordinator_keys.into_iter().map(coordinator).collect())
}

pub(super) fn list(shared: &Shared, request: ListGroupsRequest, version: i16) -> ListGroupsResponse {
    let state = shared.state();
    let passes = |filter: &[kafka_protocol::protocol::StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let wanted = state.groups.iter().filter(|(_, group)| {
        passes(&request.states_filter, group.state()) && passes(&request.types_filter, group.kind())
    });
    let listed = wanted.map(|(name, group)| {
        let listed =
            ListedGroup::default().with_group_id(GroupId(text(name))).with_protocol_type(text(group.protocol_type()));
        let listed = if version >= 4 { listed.with_group_state(text(group.state())) } else { listed };
        if version >= 5 { listed.with_group_type(text(group.kind())) } else { listed }
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}

/// Groups of the classic protocol and groups of offsets; to this request others do not exist.
pub(super) fn describe(shared: &Shared, request: DescribeGroupsRequest, version: i16) -> DescribeGroupsResponse {
    let state = shared.state();
    let groups = request.groups.into_iter().map(|id| {
        let answer = DescribedGroup::default().with_authorized_operations(UNKNOWN_OPERATIONS);
        let found = state.groups.get(&id);
        let described = match found.map(|group| (group, &group.members)) {
            Some((group, Members::None)) => answer.with_group_state(text(group.state())),
            Some((_, Members::Classic(classic))) => classic.describe(answer, version),
            Some((_, Members::Consumer(_))) | None if version >= 6 => {
                answer.with_group_state(text("Dead")).with_error_code(ResponseError::GroupIdNotFound.code())
            }
            Some((_, Members::Consumer(_))) | None => answer.with_group_state(text("Dead")),
        };
        described.with_group_id(id)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

pub(super) fn delete(shared: &Shared, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut state = shared.state();
    let results = request.groups_names.into_iter().map(|id| {
        let deleted = match state.groups.get(&id).map(Group::is_empty) {
            None => Err(ResponseError::GroupIdNotFound),
            Some(false) => Err(ResponseError::NonEmptyGroup),
            Some(true) => Ok(state.groups.0.remove(id.as_str())),
        };
        let error = code(&deleted);
        DeletableGroupResult::default().with_group_id(id).with_error_code(error)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

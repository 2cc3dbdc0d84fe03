//! Groups of the classic protocol: members say which protocols they know, the first of them assigns for all, and every change makes all of
//! them join again. Nobody is waited for who has not said he is coming: the first member of a group has its assignment at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::code;
use crate::kafka::wire::text::text;

const CLIENT_HOST: &str = "/127.0.0.1";
/// Longest session and rebalance, whatever a member asks for.
const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 60);

/// See the module.
#[derive(Default)]
pub(super) struct ClassicGroup {
    phase: Phase,
    generation: i32,
    protocol_type: StrBytes,
    protocol: StrBytes,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids of static members whose place another one has.
    replaced: BTreeSet<String>,
    /// In [`Phase::Joining`]: who has not joined by then is out.
    join_by: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Empty,
    /// Members join again.
    Joining,
    /// They wait for what the leader assigns.
    Syncing,
    Stable,
}

struct Member {
    instance: Option<StrBytes>,
    client_id: String,
    protocols: Vec<(StrBytes, Bytes)>,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    seen: Instant,
    assignment: Bytes,
    joining: Option<oneshot::Sender<JoinGroupResponse>>,
    syncing: Option<oneshot::Sender<SyncGroupResponse>>,
}

impl Member {
    fn metadata(&self, protocol: &StrBytes) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, data)| data.clone()).unwrap_or_default()
    }
}

impl ClassicGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    pub(super) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }
    pub(super) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Joining => "PreparingRebalance",
            Phase::Syncing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
    pub(super) fn check_commit(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), ResponseError> {
        self.check(id, generation, now)?;
        if self.phase == Phase::Syncing { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }
    /// Also the proof that the member lives.
    fn check(&mut self, id: &str, generation: i32, now: Instant) -> Result<&mut Member, ResponseError> {
        let current = self.generation;
        if self.replaced.contains(id) {
            return Err(ResponseError::FencedInstanceId);
        }
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        member.seen = now;
        if generation == current { Ok(member) } else { Err(ResponseError::IllegalGeneration) }
    }
    pub(super) fn expire(&mut self, now: Instant) {
        let before = self.members.len();
        self.members.retain(|_, member| {
            let waits = member.joining.is_some() || member.syncing.is_some();
            waits || now.saturating_duration_since(member.seen) < member.session_timeout
        });
        if self.members.len() < before {
            self.rebalance(now);
        }
        self.complete_join(now);
    }

    /// Everyone has to join again.
    fn rebalance(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.generation += 1;
            self.replaced.clear();
            return;
        }
        if self.phase == Phase::Joining {
            return;
        }
        self.phase = Phase::Joining;
        self.join_by = self.members.values().map(|member| now + member.rebalance_timeout).max();
        for member in self.members.values_mut() {
            if let Some(syncing) = member.syncing.take() {
                syncing.send(sync_refused(ResponseError::RebalanceInProgress)).ok(); // who hung up needs no answer
            }
        }
    }
    /// Begins the next generation when everyone has joined or has had the time to.
    fn complete_join(&mut self, now: Instant) {
        let everyone = self.members.values().all(|member| member.joining.is_some());
        if self.phase != Phase::Joining || !(everyone || self.join_by.is_none_or(|by| now >= by)) {
            return;
        }
        self.members.retain(|_, member| member.joining.is_some());
        let Some(first) = self.members.keys().next().cloned() else {
            self.phase = Phase::Empty;
            return;
        };
        self.generation += 1;
        self.phase = Phase::Syncing;
        if !self.members.contains_key(&self.leader) {
            self.leader = first;
        }
        let known =
            |name: &StrBytes| self.members.values().all(|member| member.protocols.iter().any(|(n, _)| n == name));
        let protocols = self.members.get(&self.leader).map(|leader| leader.protocols.as_slice()).unwrap_or_default();
        self.protocol = protocols.iter().map(|(name, _)| name).find(|name| known(name)).cloned().unwrap_or_default();
        let list = self.members.iter().map(|(id, member)| {
            JoinGroupResponseMember::default()
                .with_member_id(text(id))
                .with_group_instance_id(member.instance.clone())
                .with_metadata(member.metadata(&self.protocol))
        });
        let list: Vec<_> = list.collect();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.joined(&id, if id == self.leader { list.clone() } else { Vec::new() });
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
                member.seen = now;
                if let Some(joining) = member.joining.take() {
                    joining.send(response).ok(); // who hung up will be silent, and expire
                }
            }
        }
    }
    fn joined(&self, id: &str, members: Vec<JoinGroupResponseMember>) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(Some(self.protocol_type.clone()))
            .with_protocol_name(Some(self.protocol.clone()))
            .with_leader(text(&self.leader))
            .with_member_id(text(id))
            .with_members(members)
    }
    fn synced(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_assignment(assignment)
            .with_protocol_type(Some(self.protocol_type.clone()))
            .with_protocol_name(Some(self.protocol.clone()))
    }

    /// Gives the place of a static member to its next incarnation (KIP-345): in a stable group with its assignment, and without a rebalance.
    fn replace(&mut self, request: &JoinGroupRequest, id: &str, now: Instant) -> Option<JoinGroupResponse> {
        let held = |(_, member): &(&String, &Member)| member.instance == request.group_instance_id;
        let former = self.members.iter().find(held).map(|(former, _)| former.clone())?;
        let mut member = self.members.remove(&former)?;
        self.replaced.insert(former.clone());
        let knows = request.protocols.iter().any(|protocol| protocol.name == self.protocol);
        if self.phase != Phase::Stable || !knows {
            return None;
        }
        member.protocols = request.protocols.iter().map(|p| (p.name.clone(), p.metadata.clone())).collect();
        member.seen = now;
        self.members.insert(id.to_owned(), member);
        let answer = self.joined(id, Vec::new()); // names the former leader, so that this one does not assign
        if self.leader == former {
            self.leader = id.to_owned();
        }
        Some(answer)
    }

    /// An answer right away, or the promise of one.
    pub(super) fn join(
        &mut self,
        request: &JoinGroupRequest,
        version: i16,
        client_id: &str,
        now: Instant,
    ) -> Result<JoinGroupResponse, Result<oneshot::Receiver<JoinGroupResponse>, (ResponseError, String)>> {
        let mut id = request.member_id.to_string();
        if id.is_empty() {
            id = format!("{client_id}-{}", Uuid::new_v4());
            match &request.group_instance_id {
                // The instance came back without its id: the former one is out, and this one has its place.
                Some(_) => {
                    if let Some(joined) = self.replace(request, &id, now) {
                        return Ok(joined);
                    }
                }
                // From version 4 on a member joins with the id that it is given first, so that none is left behind by retries.
                None if version >= 4 => return Err(Err((ResponseError::MemberIdRequired, id))),
                None => (),
            }
        }
        let protocols: Vec<_> = request.protocols.iter().map(|p| (p.name.clone(), p.metadata.clone())).collect();
        let others: Vec<&Member> = self.members.iter().filter(|(other, _)| **other != id).map(|(_, m)| m).collect();
        let is_known = |name: &StrBytes| others.iter().all(|member| member.protocols.iter().any(|(n, _)| n == name));
        let common = protocols.iter().any(|(name, _)| is_known(name));
        let same_type = others.is_empty() || self.protocol_type == request.protocol_type;
        if !common || !same_type {
            return Err(Err((ResponseError::InconsistentGroupProtocol, id)));
        }
        if let Some(member) = self.members.get_mut(&id)
            && self.phase == Phase::Stable
            && self.leader != id
            && member.protocols == protocols
        {
            member.seen = now;
            return Ok(self.joined(&id, Vec::new())); // nothing changed; its answer was lost
        }
        self.protocol_type = request.protocol_type.clone();
        let timeout = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(TIMEOUT_MAX);
        let session_timeout = timeout(request.session_timeout_ms);
        let (joining, joined) = oneshot::channel();
        let member = Member {
            instance: request.group_instance_id.clone(),
            client_id: client_id.to_owned(),
            protocols,
            session_timeout,
            rebalance_timeout: if version == 0 { session_timeout } else { timeout(request.rebalance_timeout_ms) },
            seen: now,
            assignment: Bytes::new(),
            joining: Some(joining),
            syncing: None,
        };
        self.members.insert(id, member);
        self.rebalance(now);
        self.complete_join(now);
        Err(Ok(joined))
    }

    pub(super) fn sync(
        &mut self,
        request: SyncGroupRequest,
        now: Instant,
    ) -> Result<Result<SyncGroupResponse, oneshot::Receiver<SyncGroupResponse>>, ResponseError> {
        let id = request.member_id.to_string();
        let member = self.check(&id, request.generation_id, now)?;
        let assignment = member.assignment.clone();
        match self.phase {
            Phase::Empty | Phase::Joining => Err(ResponseError::RebalanceInProgress),
            Phase::Stable => Ok(Ok(self.synced(assignment))),
            Phase::Syncing => {
                let (syncing, synced) = oneshot::channel();
                if let Some(member) = self.members.get_mut(&id) {
                    member.syncing = Some(syncing);
                }
                if id == self.leader {
                    for assigned in request.assignments {
                        if let Some(member) = self.members.get_mut(assigned.member_id.as_str()) {
                            member.assignment = assigned.assignment;
                        }
                    }
                    self.phase = Phase::Stable;
                    let answer = self.synced(Bytes::new());
                    for member in self.members.values_mut() {
                        if let Some(syncing) = member.syncing.take() {
                            member.seen = now;
                            // Who hung up will be silent, and expire.
                            syncing.send(answer.clone().with_assignment(member.assignment.clone())).ok();
                        }
                    }
                }
                Ok(Err(synced))
            }
        }
    }

    /// Keeps a membership.
    pub(super) fn heartbeat(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), ResponseError> {
        self.check(id, generation, now)?;
        if self.phase == Phase::Joining { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Ends memberships, each of a member or of a static instance.
    pub(super) fn leave(&mut self, leaving: Vec<(StrBytes, Option<StrBytes>)>, now: Instant) -> Vec<MemberResponse> {
        let left = leaving.into_iter().map(|(id, instance)| {
            let of_instance = || {
                let mut members = self.members.iter();
                members.find(|(_, member)| member.instance == instance).map(|(id, _)| id.clone())
            };
            let found = if id.is_empty() { of_instance() } else { Some(id.to_string()) };
            let gone = found.and_then(|id| self.members.remove(&id)).ok_or(ResponseError::UnknownMemberId);
            MemberResponse::default().with_error_code(code(&gone)).with_member_id(id).with_group_instance_id(instance)
        });
        let left = left.collect();
        self.rebalance(now);
        self.complete_join(now);
        left
    }

    pub(super) fn describe(&self, answer: DescribedGroup, version: i16) -> DescribedGroup {
        let member = |(id, member): (&String, &Member)| {
            let instance = member.instance.clone().filter(|_| version >= 4);
            DescribedGroupMember::default()
                .with_member_id(text(id))
                .with_group_instance_id(instance)
                .with_client_id(text(&member.client_id))
                .with_client_host(text(CLIENT_HOST))
                .with_member_metadata(member.metadata(&self.protocol))
                .with_member_assignment(member.assignment.clone())
        };
        answer
            .with_group_state(text(self.state()))
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_data(self.protocol.clone())
            .with_members(self.members.iter().map(member).collect())
    }
}

pub(super) fn sync_refused(refusal: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(refusal.code())
}

//! Members that somebody else puts out of a group, as `kafka-streams-application-reset --force` does. One that is alive comes back.

use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, GroupId, LeaveGroupRequest};

use super::super::wire::cluster::Cluster;
use super::super::wire::rights::Resource;
use super::super::wire::streams_groups::StreamsGroupHeartbeatRequest;
use super::super::wire::text::text;
use super::super::{Code, KafkaClient, KafkaError};
use super::Protocol;
use super::heartbeat::LEAVE;
use super::roster::{CLASSIC, classic_group, members, streams_group};
use crate::transport::TransportError;

impl KafkaClient {
    /// Puts every member out of the group `id`, and says how many. Blocking.
    pub fn remove_members(&self, id: &str) -> Result<usize, TransportError> {
        Ok(self.block_on(async {
            let mut backoff = self.cluster.backoff("remove members");
            loop {
                match remove(&self.cluster, id).await {
                    Ok(removed) => return Ok(removed),
                    Err(error) => {
                        self.cluster.forget_coordinator(id);
                        backoff.wait(error).await?;
                    }
                }
            }
        })?)
    }
}

async fn remove(cluster: &Cluster, id: &str) -> Result<usize, KafkaError> {
    let coordinator = cluster.coordinator(id).await?;
    let mut removed = remove_streams(cluster, id).await?;
    let mut classic = Vec::new();
    let newer = match coordinator.group_protocol() {
        Protocol::Consumer => members(cluster, id).await?,
        Protocol::Classic | Protocol::Streams => Vec::new(),
    };
    for member in newer {
        if member.member_type == CLASSIC {
            classic.push((member.member_id, member.instance_id));
            continue;
        }
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(id)))
            .with_member_id(member.member_id)
            .with_member_epoch(LEAVE);
        let answer = coordinator.call(&request, 1).await?;
        if Code(answer.error_code) != Code::UNKNOWN_MEMBER_ID {
            let message = answer.error_message.as_ref();
            coordinator.check::<ConsumerGroupHeartbeatRequest>(answer.error_code, message, Resource::group(id))?;
            removed += 1;
        }
    }
    let of_classic = classic_group(cluster, id).await?.members;
    classic.extend(of_classic.into_iter().map(|member| (member.member_id, member.group_instance_id)));
    if classic.is_empty() {
        return Ok(removed);
    }
    let identity = |(member, name)| MemberIdentity::default().with_member_id(member).with_group_instance_id(name);
    let request = LeaveGroupRequest::default()
        .with_group_id(GroupId(text(id)))
        .with_members(classic.into_iter().map(identity).collect());
    let answer = coordinator.call(&request, 5).await?;
    coordinator.check::<LeaveGroupRequest>(answer.error_code, None, Resource::group(id))?;
    Ok(removed + answer.members.iter().filter(|member| member.error_code == 0).count())
}

async fn remove_streams(cluster: &Cluster, id: &str) -> Result<usize, KafkaError> {
    let coordinator = cluster.coordinator(id).await?;
    let mut removed = 0;
    for member in streams_group(cluster, id).await?.members {
        let request = StreamsGroupHeartbeatRequest {
            group_id: id.to_owned(),
            member_id: member.member_id,
            member_epoch: LEAVE,
            ..StreamsGroupHeartbeatRequest::default()
        };
        let answer = coordinator.call(&request, 0).await?;
        if Code(answer.error_code) != Code::UNKNOWN_MEMBER_ID {
            let message = answer.error_message.as_deref().map(text);
            coordinator.check::<StreamsGroupHeartbeatRequest>(
                answer.error_code,
                message.as_ref(),
                Resource::group(id),
            )?;
            removed += 1;
        }
    }
    Ok(removed)
}

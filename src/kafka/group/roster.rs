//! Who is in a group, by `ConsumerGroupDescribe`: who holds our name, and members that are none of ours.

use std::fmt;

use kafka_protocol::messages::consumer_group_describe_response::Member;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, GroupId};

use super::super::wire::cluster::Cluster;
use super::super::wire::rights::Resource;
use super::super::wire::text::text;
use super::super::{KafkaClient, KafkaError};
use crate::transport::TransportError;

/// How the ids of our members begin; a member of another name is foreign.
const OURS: &str = "sheetstream-";

/// The id of a member of ours: its process, and how often that has joined.
pub(super) fn member_id(incarnation: uuid::Uuid, joined: u32) -> String {
    format!("{OURS}{incarnation}-{joined}")
}

/// Whether `member` was made by that process.
pub(super) fn is_of(member: &str, incarnation: uuid::Uuid) -> bool {
    member.strip_prefix(OURS).is_some_and(|rest| rest.starts_with(&incarnation.to_string()))
}

/// A member of a group that is no sheetstream: partitions that it is given are not processed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ForeignMember {
    /// Its client id.
    pub client_id: String,
    /// Host that it connected from.
    pub host: String,
    /// Its member id.
    pub member_id: String,
    /// Partitions that it holds.
    pub partitions: usize,
}

impl fmt::Display for ForeignMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeignMember { client_id, host, member_id, partitions } = self;
        write!(f, "client \"{client_id}\" at {host} ({member_id}) holds {partitions} partitions")
    }
}

impl ForeignMember {
    fn of(member: &Member) -> ForeignMember {
        let held = member.assignment.topic_partitions.iter().map(|topic| topic.partitions.len());
        ForeignMember {
            client_id: member.client_id.to_string(),
            host: member.client_host.trim_start_matches('/').to_owned(),
            member_id: member.member_id.to_string(),
            partitions: held.sum(),
        }
    }
}

impl KafkaClient {
    /// Members of the group `id` that are none of ours. A group that does not exist has none. Blocking.
    pub fn foreign_members(&self, id: &str) -> Result<Vec<ForeignMember>, TransportError> {
        Ok(self.block_on(async {
            let mut backoff = self.cluster.backoff("describe group");
            loop {
                match members(&self.cluster, id).await {
                    Ok(members) => return Ok(foreign(&members)),
                    Err(error) => {
                        self.cluster.forget_coordinator(id);
                        backoff.wait(error).await?;
                    }
                }
            }
        })?)
    }
}

pub(super) fn foreign(members: &[Member]) -> Vec<ForeignMember> {
    members.iter().filter(|member| !member.member_id.starts_with(OURS)).map(ForeignMember::of).collect()
}

/// Members of a group; none of one that does not exist or is not of KIP-848.
pub(super) async fn members(cluster: &Cluster, id: &str) -> Result<Vec<Member>, KafkaError> {
    /// `GROUP_ID_NOT_FOUND`.
    const NOT_FOUND: i16 = 69;
    let coordinator = cluster.coordinator(id).await?;
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(id))]);
    let answer = coordinator.call(&request, 1).await?;
    let group = answer.groups.into_iter().next();
    let group = group.ok_or_else(|| coordinator.malformed::<ConsumerGroupDescribeRequest>("no group in the answer"))?;
    if group.error_code == NOT_FOUND {
        return Ok(Vec::new());
    }
    let resource = Resource::group(id);
    coordinator.check::<ConsumerGroupDescribeRequest>(group.error_code, group.error_message.as_ref(), resource)?;
    Ok(group.members)
}

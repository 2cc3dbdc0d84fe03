//! The members of a group, by `ConsumerGroupDescribe`, by `StreamsGroupDescribe` or, in the classic protocol, by `DescribeGroups`: who holds
//! what, the holder of our name, and foreign members.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use kafka_protocol::messages::consumer_group_describe_response::Member;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, GroupId,
};

use super::super::wire::cluster::Cluster;
use super::super::wire::rights::Resource;
use super::super::wire::streams_groups::{
    StreamsGroupDescribeRequest, StreamsGroupDescribeResponse, StreamsMember, Tasks,
};
use super::super::wire::text::text;
use super::super::{Code, KafkaClient, KafkaError};
use super::Protocol;
use super::embedded::{PROTOCOL, decode};
use crate::record::TopicPartition;
use crate::transport::TransportError;

/// How the ids of our members begin; a member of another name is foreign.
const OURS: &str = "sheetstream-";
/// `memberType` of a member of the classic protocol in a group of KIP-848.
pub(super) const CLASSIC: i8 = 0;
/// Client id of `run` unless an option names another.
const CLIENT_ID: &str = "sheetstream";

/// The id of a member of ours: its process, and how often that has joined.
pub(super) fn member_id(incarnation: uuid::Uuid, joined: u32) -> String {
    format!("{OURS}{incarnation}-{joined}")
}

/// The process that made the id of a member of ours.
pub(super) fn process_of(member: &str) -> Option<uuid::Uuid> {
    let (process, _) = member.strip_prefix(OURS)?.rsplit_once('-')?;
    process.parse().ok()
}

/// The members of a group.
#[derive(Default)]
pub struct Roster {
    /// Those that are ours.
    pub ours: Vec<Holder>,
    /// The others.
    pub foreign: Vec<ForeignMember>,
}

/// A member of ours, in this process or in another one.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its member id.
    pub member: Box<str>,
    /// Its `--instance-id`; its member id where the group has no names of members.
    pub name: Box<str>,
    /// The partitions that it holds.
    pub partitions: BTreeSet<TopicPartition>,
}

impl Holder {
    fn of(member: &Member) -> Holder {
        let held = member.assignment.topic_partitions.iter();
        let held = held.map(|topic| (topic.topic_name.as_str(), &topic.partitions[..]));
        Holder::new(&member.member_id, member.instance_id.as_deref(), held)
    }
    fn of_classic(member: &DescribedGroupMember) -> Holder {
        let held = decode::<ConsumerProtocolAssignment>(&member.member_assignment).unwrap_or_default();
        let held = held.assigned_partitions.iter();
        let held = held.map(|topic| (topic.topic.as_str(), &topic.partitions[..]));
        Holder::new(&member.member_id, member.group_instance_id.as_deref(), held)
    }
    fn new<'a>(member: &str, name: Option<&str>, held: impl Iterator<Item = (&'a str, &'a [i32])>) -> Holder {
        let of = |(topic, partitions): (&str, &'a [i32])| {
            let topic: Arc<str> = topic.into();
            partitions.iter().map(move |partition| TopicPartition { topic: topic.clone(), partition: *partition })
        };
        Holder { member: member.into(), name: name.unwrap_or(member).into(), partitions: held.flat_map(of).collect() }
    }
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

impl ForeignMember {
    fn of_classic(member: &DescribedGroupMember) -> ForeignMember {
        let held = decode::<ConsumerProtocolAssignment>(&member.member_assignment).unwrap_or_default();
        ForeignMember {
            client_id: member.client_id.to_string(),
            host: member.client_host.trim_start_matches('/').to_owned(),
            member_id: member.member_id.to_string(),
            partitions: held.assigned_partitions.iter().map(|topic| topic.partitions.len()).sum(),
        }
    }
}

impl KafkaClient {
    /// The members of the group `id`. A group that does not exist has none. Blocking.
    pub fn members(&self, id: &str) -> Result<Roster, TransportError> {
        Ok(self.block_on(async {
            let mut backoff = self.cluster.backoff("describe group");
            loop {
                match look(&self.cluster, id).await {
                    Ok(roster) => return Ok(roster),
                    Err(error) => {
                        self.cluster.forget_coordinator(id);
                        backoff.wait(error).await?;
                    }
                }
            }
        })?)
    }
}

/// The members of a group, whichever protocol it has: the brokers are asked, for not every command is given the settings of `run`.
pub(super) async fn look(cluster: &Cluster, id: &str) -> Result<Roster, KafkaError> {
    if cluster.coordinator(id).await?.group_protocol() == Protocol::Consumer {
        let members = members(cluster, id).await?;
        if !members.is_empty() {
            let (ours, foreign): (Vec<_>, Vec<_>) =
                members.iter().partition(|member| is_ours(member, &cluster.config.client_id));
            let foreign = foreign.into_iter().map(ForeignMember::of).collect();
            return Ok(Roster { ours: ours.into_iter().map(Holder::of).collect(), foreign });
        }
    }
    let group = streams_group(cluster, id).await?;
    if !group.members.is_empty() {
        return Ok(Roster { ours: group.members.iter().map(|member| group.holder(member)).collect(), foreign: vec![] });
    }
    let group = classic_group(cluster, id).await?;
    // All members of a classic group have one protocol: with ours, all are ours.
    Ok(match group.protocol_data.as_str() {
        PROTOCOL => Roster { ours: group.members.iter().map(Holder::of_classic).collect(), foreign: vec![] },
        _ => Roster { ours: vec![], foreign: group.members.iter().map(ForeignMember::of_classic).collect() },
    })
}

/// While a group goes over from the classic protocol to KIP-848, the broker has given the members that have yet to go their ids: those are
/// known by the client id and by having a name.
fn is_ours(member: &Member, client_id: &str) -> bool {
    let is_older = member.member_type == CLASSIC
        && member.instance_id.is_some()
        && [CLIENT_ID, client_id].contains(&member.client_id.as_str());
    member.member_id.starts_with(OURS) || is_older
}

/// A group of the classic protocol, with what each member said when it joined; without members if it does not exist or is of KIP-848.
pub(super) async fn classic_group(cluster: &Cluster, id: &str) -> Result<DescribedGroup, KafkaError> {
    let coordinator = cluster.coordinator(id).await?;
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(id))]);
    let answer = coordinator.call(&request, 6).await?;
    let group = answer.groups.into_iter().next();
    let group = group.ok_or_else(|| coordinator.malformed::<DescribeGroupsRequest>("no group in the answer"))?;
    if Code(group.error_code) == Code::GROUP_ID_NOT_FOUND {
        return Ok(DescribedGroup::default());
    }
    coordinator.check::<DescribeGroupsRequest>(group.error_code, group.error_message.as_ref(), Resource::group(id))?;
    Ok(group)
}

impl StreamsGroupDescribeResponse {
    fn holder(&self, member: &StreamsMember) -> Holder {
        let mut topics: BTreeMap<usize, Arc<str>> = BTreeMap::new();
        for part in &self.topology {
            let read = part.source_topics.iter().chain(part.repartition_source_topics.iter().map(|(topic, _)| topic));
            topics.extend(part.id.parse().ok().zip(read.map(|topic| topic.as_str().into()).next()));
        }
        let topics: Vec<Arc<str>> = topics.into_values().collect(); // ids count from 0
        let member_id: Box<str> = member.member_id.as_str().into();
        let partitions = partitions_of(&member.active_tasks, &topics);
        Holder { name: member_id.clone(), member: member_id, partitions }
    }
}

/// The partitions of tasks, where a subtopology is the number of a topic.
pub(super) fn partitions_of(tasks: &Tasks, topics: &[Arc<str>]) -> BTreeSet<TopicPartition> {
    let topic = |id: &String| id.parse::<usize>().ok().and_then(|at| topics.get(at));
    let of = |(id, partitions): &(String, Vec<i32>)| {
        let at = |topic: &Arc<str>| {
            let topic = topic.clone();
            partitions.iter().map(move |partition| TopicPartition { topic: topic.clone(), partition: *partition })
        };
        topic(id).map(at).into_iter().flatten().collect::<Vec<_>>()
    };
    tasks.iter().flat_map(of).collect()
}

/// A streams group; without members if it does not exist or is of another protocol, or the cluster has no such groups.
pub(super) async fn streams_group(cluster: &Cluster, id: &str) -> Result<StreamsGroupDescribeResponse, KafkaError> {
    let coordinator = cluster.coordinator(id).await?;
    if !coordinator.has_streams_groups() {
        return Ok(StreamsGroupDescribeResponse::default());
    }
    let group = coordinator.call(&StreamsGroupDescribeRequest { group_id: id.to_owned() }, 0).await?;
    if Code(group.error_code) == Code::GROUP_ID_NOT_FOUND {
        return Ok(StreamsGroupDescribeResponse::default());
    }
    let message = group.error_message.as_deref().map(text);
    coordinator.check::<StreamsGroupDescribeRequest>(group.error_code, message.as_ref(), Resource::group(id))?;
    Ok(group)
}

/// Members of a group; none of one that does not exist or is not of KIP-848.
pub(super) async fn members(cluster: &Cluster, id: &str) -> Result<Vec<Member>, KafkaError> {
    let coordinator = cluster.coordinator(id).await?;
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(id))]);
    let answer = coordinator.call(&request, 1).await?;
    let group = answer.groups.into_iter().next();
    let group = group.ok_or_else(|| coordinator.malformed::<ConsumerGroupDescribeRequest>("no group in the answer"))?;
    if Code(group.error_code) == Code::GROUP_ID_NOT_FOUND {
        return Ok(Vec::new());
    }
    let resource = Resource::group(id);
    coordinator.check::<ConsumerGroupDescribeRequest>(group.error_code, group.error_message.as_ref(), resource)?;
    Ok(group.members)
}

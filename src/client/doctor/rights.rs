//! The least rights that each command needs on a cluster with ACLs. `docs/kafka.md` has the same list.

use crate::kafka::acls::Operation::{Create, Delete, Describe, Read, Write};
use crate::kafka::acls::{Operation, ResourceType, Right};
use crate::topology::Topology;
use crate::transport::Guarantee;

/// The purpose of a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// `run`.
    Run,
    /// `run` with the page and its API.
    Http,
    /// `publish`.
    Publish,
    /// `fetch`.
    Fetch,
    /// `status`, `topics list` and `doctor`.
    Look,
    /// `topics create`.
    CreateTopics,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 6] =
        [Purpose::Run, Purpose::Http, Purpose::Publish, Purpose::Fetch, Purpose::Look, Purpose::CreateTopics];

    /// The commands that need it.
    pub fn commands(self) -> &'static str {
        match self {
            Purpose::Run => "run",
            Purpose::Http => "run --http, in addition",
            Purpose::Publish => "publish",
            Purpose::Fetch => "fetch",
            Purpose::Look => "status, topics list, doctor",
            Purpose::CreateTopics => "topics create",
        }
    }
}

/// How the transactional ids of a topology begin: each of its tasks has one.
pub(super) fn transactional_ids(topology: &Topology) -> String {
    format!("{}-", topology.name)
}

/// What `purpose` needs for a topology.
pub fn rights(topology: &Topology, purpose: Purpose) -> Vec<Right> {
    let sink = &topology.sink;
    let right =
        |resource, name: &str, operations| Right { resource, name: name.to_owned(), is_prefix: false, operations };
    let topic = |name: &str, operations: &'static [Operation]| right(ResourceType::Topic, name, operations);
    let group = |operations: &'static [Operation]| right(ResourceType::Group, &topology.name, operations);
    let (rows, workbooks, status, letters) =
        (&topology.source.topic, &sink.topic, &sink.status_topic, &sink.dead_letter_topic);
    let repartition = Some(topology.source.upload_topic()).filter(|topic| *topic != rows);
    match purpose {
        Purpose::Run => {
            let mut rights: Vec<_> = topology.source.topics().iter().map(|rows| topic(rows, &[Read])).collect();
            rights.extend(repartition.map(|name| topic(name, &[Read, Write, Delete])));
            rights.extend([
                group(&[Read]),
                topic(workbooks, &[Write]),
                topic(letters, &[Write]),
                topic(status, &[Read, Write]),
            ]);
            if topology.guarantee != Some(Guarantee::AtLeastOnce) {
                let ids = right(ResourceType::TransactionalId, &transactional_ids(topology), &[Write]);
                rights.push(Right { is_prefix: true, ..ids });
            }
            rights
        }
        Purpose::Http => vec![topic(rows, &[Write]), topic(workbooks, &[Read]), topic(letters, &[Read])],
        Purpose::Publish => vec![topic(rows, &[Write])],
        Purpose::Fetch => vec![
            topic(workbooks, &[Read]),
            topic(status, &[Read]),
            topic(letters, &[Read]),
            topic(rows, &[Describe]),
            group(&[Describe]),
        ],
        Purpose::Look => vec![
            topic(status, &[Read]),
            topic(rows, &[Describe]),
            topic(workbooks, &[Describe]),
            topic(letters, &[Describe]),
            group(&[Describe]),
        ],
        Purpose::CreateTopics => {
            let names = topology.source.topics().iter().chain(repartition).chain([workbooks, status, letters]);
            names.map(|name| topic(name, &[Create, Describe])).collect()
        }
    }
}

//! Rights on a cluster with ACLs, given over the wire as `kafka-acls --add` gives them.

use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;

use super::wire::cluster::Cluster;
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{KafkaClient, KafkaError};
use crate::transport::TransportError;

/// `AclPermissionType` and `PatternType` of the protocol.
const ALLOW: i8 = 3;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
/// Any host.
const ANYWHERE: &str = "*";

/// What a right is on, by the numbers of `ResourceType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceType {
    /// A topic.
    Topic = 2,
    /// A consumer group.
    Group = 3,
    /// A transactional id.
    TransactionalId = 5,
}

impl ResourceType {
    /// The option of `kafka-acls`.
    pub fn option(self) -> &'static str {
        match self {
            ResourceType::Topic => "--topic",
            ResourceType::Group => "--group",
            ResourceType::TransactionalId => "--transactional-id",
        }
    }
}

/// What a right allows, by the numbers of `AclOperation`; its `Debug` is Kafka's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Includes Describe.
    Read = 3,
    /// Includes Describe.
    Write = 4,
    /// Of topics.
    Create = 5,
    /// Of topics and their records; includes Describe.
    Delete = 6,
    /// That it is there, and how it is.
    Describe = 8,
}

/// Rights on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Kind of the resource.
    pub resource: ResourceType,
    /// Its name, or what the names of several begin with.
    pub name: String,
    /// Whether `name` is what names begin with.
    pub is_prefix: bool,
    /// What is allowed.
    pub operations: &'static [Operation],
}

impl Right {
    /// The command that grants it to `principal`, as `User:alice`.
    pub fn command(&self, principal: &str, bootstrap: &str) -> String {
        let operations: String =
            self.operations.iter().map(|operation| format!(" --operation {operation:?}")).collect();
        let (option, name) = (self.resource.option(), &self.name);
        let pattern = if self.is_prefix { " --resource-pattern-type prefixed" } else { "" };
        format!(
            "kafka-acls --bootstrap-server {bootstrap} --add --allow-principal {principal}{operations}{pattern} {option} {name}"
        )
    }
}

impl KafkaClient {
    /// Grants rights to a principal, as `User:alice`; one that it has already stays. Blocking.
    pub fn grant(&self, principal: &str, rights: &[Right]) -> Result<(), TransportError> {
        Ok(self.block_on(async {
            let mut backoff = self.cluster.backoff("create ACLs");
            loop {
                match grant(&self.cluster, principal, rights).await {
                    Ok(()) => return Ok(()),
                    Err(error) => backoff.wait(error).await?,
                }
            }
        })?)
    }
}

async fn grant(cluster: &Cluster, principal: &str, rights: &[Right]) -> Result<(), KafkaError> {
    let creation = |right: &Right, operation: Operation| {
        AclCreation::default()
            .with_resource_type(right.resource as i8)
            .with_resource_name(text(&right.name))
            .with_resource_pattern_type(if right.is_prefix { PREFIXED } else { LITERAL })
            .with_principal(text(principal))
            .with_host(text(ANYWHERE))
            .with_operation(operation as i8)
            .with_permission_type(ALLOW)
    };
    let creations = rights.iter().flat_map(|right| right.operations.iter().map(move |of| creation(right, *of)));
    let request = CreateAclsRequest::default().with_creations(creations.collect());
    let broker = cluster.any().await?;
    for result in broker.call(&request, 3).await?.results {
        broker.check::<CreateAclsRequest>(result.error_code, result.error_message.as_ref(), Resource::CLUSTER)?;
    }
    Ok(())
}

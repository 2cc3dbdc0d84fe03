//! The right that a refused request lacks: resource and operation of Kafka's ACLs, and the command that grants it
//! (<https://kafka.apache.org/documentation/#operations_resources_and_protocols>).

use super::super::Code;

/// The resource that a request is about. A request may name several; the error code says which one was refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    topic: Option<&'a str>,
    group: Option<&'a str>,
    transaction: Option<&'a str>,
}

impl<'a> Resource<'a> {
    /// The cluster itself.
    pub const CLUSTER: Resource<'static> = Resource { topic: None, group: None, transaction: None };

    /// A topic.
    pub fn topic(name: &'a str) -> Resource<'a> {
        Resource { topic: Some(name), ..Resource::default() }
    }
    /// A consumer group.
    pub fn group(id: &'a str) -> Resource<'a> {
        Resource { group: Some(id), ..Resource::default() }
    }
    /// A transactional id.
    pub fn transaction(id: &'a str) -> Resource<'a> {
        Resource { transaction: Some(id), ..Resource::default() }
    }
    /// The same request names a topic, too.
    pub fn and_topic(self, name: &'a str) -> Resource<'a> {
        Resource { topic: Some(name), ..self }
    }
    /// The same request names a transactional id, too.
    pub fn and_transaction(self, id: &'a str) -> Resource<'a> {
        Resource { transaction: Some(id), ..self }
    }

    /// The right that `api` lacks when a broker answers `code`; `None` for codes that are about something else.
    pub(crate) fn missing_right(&self, api: &str, code: Code) -> Option<String> {
        let (kind, option, name) = match code {
            Code::TOPIC_AUTHORIZATION_FAILED => ("topic", "--topic", self.topic),
            Code::GROUP_AUTHORIZATION_FAILED => ("group", "--group", self.group),
            Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => ("transactional id", "--transactional-id", self.transaction),
            Code::CLUSTER_AUTHORIZATION_FAILED => ("cluster", "--cluster", Some("")),
            _ => return None,
        };
        let operation = operation(api, code);
        let name = name.unwrap_or("NAME");
        let (of, argument) = match code {
            Code::CLUSTER_AUTHORIZATION_FAILED => (String::new(), String::new()),
            // Each task has an id of its own, which ends with the number of its partition.
            Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
                let prefix = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
                (format!(" {name}"), format!(" {prefix} --resource-pattern-type prefixed"))
            }
            _ => (format!(" {name}"), format!(" {name}")),
        };
        Some(format!(
            "the right to {operation} {kind}{of} is missing; grant it with \
             kafka-acls --add --allow-principal User:NAME --operation {operation} {option}{argument}"
        ))
    }
}

/// The operation that `api` asks for on the kind of resource that `code` is about.
fn operation(api: &str, code: Code) -> &'static str {
    match (code, api) {
        (Code::TOPIC_AUTHORIZATION_FAILED, "Produce" | "AddPartitionsToTxn") => "Write",
        (Code::TOPIC_AUTHORIZATION_FAILED, "Fetch" | "OffsetCommit" | "TxnOffsetCommit") => "Read",
        (Code::TOPIC_AUTHORIZATION_FAILED | Code::CLUSTER_AUTHORIZATION_FAILED, "CreateTopics") => "Create",
        (Code::TOPIC_AUTHORIZATION_FAILED, "DeleteRecords") => "Delete",
        (Code::TOPIC_AUTHORIZATION_FAILED, "DescribeConfigs") => "DescribeConfigs",
        (
            Code::GROUP_AUTHORIZATION_FAILED,
            "OffsetFetch" | "FindCoordinator" | "ConsumerGroupDescribe" | "StreamsGroupDescribe",
        ) => "Describe",
        (Code::GROUP_AUTHORIZATION_FAILED, _) => "Read",
        (Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, _) => "Write", // it includes Describe
        (Code::CLUSTER_AUTHORIZATION_FAILED, "InitProducerId") => "IdempotentWrite",
        (Code::CLUSTER_AUTHORIZATION_FAILED, "CreateAcls") => "Alter",
        _ => "Describe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_names_resource_operation_and_the_command_that_grants_it() {
        let resource = Resource::group("places").and_topic("places.rows").and_transaction("places-0");
        let missing = |api, code| resource.missing_right(api, code).expect("a right");
        let said = missing("Produce", Code::TOPIC_AUTHORIZATION_FAILED);
        assert!(said.starts_with("the right to Write topic places.rows is missing"), "{said}");
        assert!(said.ends_with("--operation Write --topic places.rows"), "{said}");
        let said = missing("DeleteRecords", Code::TOPIC_AUTHORIZATION_FAILED);
        assert!(said.ends_with("--operation Delete --topic places.rows"), "{said}");
        let said = missing("ConsumerGroupHeartbeat", Code::GROUP_AUTHORIZATION_FAILED);
        assert!(said.ends_with("--operation Read --group places"), "{said}");
        let said = missing("InitProducerId", Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        assert!(said.contains("the right to Write transactional id places-0 is missing"), "{said}");
        let prefixed = "--operation Write --transactional-id places- --resource-pattern-type prefixed";
        assert!(said.ends_with(prefixed), "{said}");
        let said = missing("InitProducerId", Code::CLUSTER_AUTHORIZATION_FAILED);
        assert!(said.ends_with("--operation IdempotentWrite --cluster"), "{said}");
        assert_eq!(resource.missing_right("Fetch", Code::OFFSET_OUT_OF_RANGE), None);
    }
}

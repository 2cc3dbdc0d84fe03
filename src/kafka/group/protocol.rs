//! The protocols that consumer groups have.

/// How members and the coordinator agree on who owns what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// KIP-848: the broker assigns. From Kafka 4.0 on, where the feature `group.version` is on.
    Consumer,
    /// KIP-1071: the broker assigns, and knows the topology. From Kafka 4.2 on, where the feature `streams.version` is on.
    Streams,
    /// Members join, and one of them assigns: every other cluster.
    Classic,
}

//! What heartbeats say and bring, whatever they look like.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::record::TopicPartition;

/// Epoch of a member that joins.
pub(super) const JOIN: i32 = 0;
/// Epoch of a member that leaves for good.
pub(super) const LEAVE: i32 = -1;

/// What a heartbeat says.
#[derive(Clone, Copy)]
pub(super) struct Heartbeat<'a> {
    pub(super) member: &'a str,
    /// [`JOIN`], [`LEAVE`], or what the broker gave.
    pub(super) epoch: i32,
    /// What we hold; `None` where the broker knows.
    pub(super) held: Option<&'a BTreeSet<TopicPartition>>,
}

/// What the answer brings.
pub(super) struct Answer {
    pub(super) epoch: i32,
    /// When the next heartbeat is due.
    pub(super) interval: Duration,
    /// What we should hold; `None` for what was said before.
    pub(super) target: Option<BTreeSet<TopicPartition>>,
}

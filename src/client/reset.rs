//! Where a group begins again, as Kafka's own `kafka-streams-application-reset` sets it: an offset without our metadata, which beats the
//! local state.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::kafka::KafkaClient;
use crate::kafka::group::Roster;
use crate::record::{Offset, TopicPartition};
use crate::topology::Topology;
use crate::transport::{Committed, TransportError};

/// How long a member that was put out has to come back: above the longest heartbeat interval that brokers allow by default.
const RETURN: Duration = Duration::from_secs(20);
/// Between two looks for one that has.
const LOOK: Duration = Duration::from_millis(500);

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The start of the log.
    Earliest,
    /// Its end.
    Latest,
    /// An offset.
    Offset(i64),
    /// By so many records from where it is.
    ShiftBy(i64),
    /// The first record from this moment on, in milliseconds since 1970.
    Moment(i64),
    /// The first record within the last period.
    Ago(Duration),
    /// An offset for each of these partitions; the others stay where they are.
    Each(HashMap<TopicPartition, i64>),
}

/// A partition that is set.
#[derive(Clone, Debug, Serialize)]
pub struct Reset {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The committed offset; `None` for none.
    pub from: Option<i64>,
    /// The offset that the reset commits.
    pub to: i64,
    /// First offset of the log.
    pub log_start: i64,
    /// Its end.
    pub log_end: i64,
}

/// Where each partition of the source would be set. Changes nothing. Blocks.
pub fn plan(client: &KafkaClient, topology: &Topology, target: &Target) -> Result<Vec<Reset>, TransportError> {
    let mut all = Vec::new();
    for topic in topology.source.topics() {
        let partitions = 0..client.partitions(topic)?;
        all.extend(partitions.map(|partition| TopicPartition { topic: topic.clone(), partition }));
    }
    let committed = client.group(&topology.name).fetch_committed(all.iter().cloned())?;
    let mut resets = Vec::new();
    for at in all {
        let bounds = client.bounds(&at)?;
        let from = match committed.get(&at) {
            Some(Committed::Ours(progress)) => Some(progress.next),
            Some(Committed::Reset(offset)) => Some(*offset),
            Some(Committed::None) | None => None,
        };
        let since = |ms| Ok::<_, TransportError>(client.offset_at(&at, ms)?.unwrap_or(bounds.end));
        let to = match target {
            Target::Earliest => bounds.start,
            Target::Latest => bounds.end,
            Target::Offset(offset) => Offset(*offset),
            Target::ShiftBy(by) => Offset(from.unwrap_or(bounds.start).0.saturating_add(*by)),
            Target::Moment(ms) => since(*ms)?,
            Target::Ago(duration) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                since(i64::try_from(now.saturating_sub(*duration).as_millis()).unwrap_or(i64::MAX))?
            }
            Target::Each(offsets) => match offsets.get(&at) {
                Some(offset) => Offset(*offset),
                None => continue,
            },
        };
        let to = to.clamp(bounds.start, bounds.end);
        let (from, to) = (from.map(|offset| offset.0), to.0);
        let (log_start, log_end) = (bounds.start.0, bounds.end.0);
        resets.push(Reset { topic: at.topic.to_string(), partition: at.partition, from, to, log_start, log_end });
    }
    Ok(resets)
}

/// Puts members that are left over out of the group. One that is alive comes back, which is waited for. Returns whether one did. Blocks.
pub fn put_out(client: &KafkaClient, topology: &Topology) -> Result<bool, TransportError> {
    let group = &topology.name;
    let removed = client.remove_members(group)?;
    tracing::info!(%group, removed, "members were put out of the group");
    let deadline = Instant::now() + RETURN;
    while removed > 0 && Instant::now() < deadline {
        std::thread::sleep(LOOK);
        let Roster { ours, foreign } = client.members(group)?;
        if !(ours.is_empty() && foreign.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sets them. The group must have no member. Blocks.
pub fn apply(client: &KafkaClient, topology: &Topology, resets: &[Reset]) -> Result<(), TransportError> {
    let group = client.group(&topology.name);
    resets.iter().try_for_each(|reset| {
        let at = TopicPartition { topic: reset.topic.as_str().into(), partition: reset.partition };
        group.reset(&at, Offset(reset.to))
    })
}

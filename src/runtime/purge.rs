//! Cleans the repartition topic up behind its reader, as Kafka Streams does: deletes records that no restart reads again.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::kafka::KafkaClient;
use crate::record::{Offset, TopicPartition};

/// Commits between two deletions; with the usual interval of a second that is Kafka Streams' `repartition.purge.interval.ms`.
const COMMITS: u32 = 30;

/// Deletes the records of one partition.
pub struct Purge {
    client: KafkaClient,
    partition: TopicPartition,
    every: Duration,
    at: Instant,
    below: Offset,
}

impl Purge {
    /// Of a partition whose task commits at this interval.
    pub fn new(client: &KafkaClient, partition: TopicPartition, commit_interval: Duration) -> Purge {
        let every = commit_interval * COMMITS;
        Purge { client: client.clone(), partition, every, at: Instant::now() + every, below: Offset(0) }
    }

    /// A commit says that no restart reads below `below`. Waits for nothing: what is not deleted now is deleted later.
    pub fn committed(&mut self, below: Offset) {
        let now = Instant::now();
        if below <= self.below || now < self.at {
            return;
        }
        (self.below, self.at) = (below, now + self.every);
        let (client, partition) = (self.client.clone(), self.partition.clone());
        self.client.handle.spawn(async move {
            if let Err(error) = client.delete_records(&partition, below).await {
                warn!(%partition, %below, %error, "records that were consumed are not deleted; the topic grows");
            }
        });
    }
}

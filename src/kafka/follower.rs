//! Follows a whole topic from its start, outside any group, for as long as somebody wants to know what it says: the index of uploads.
//! Whatever fails is tried again; a follower that is behind says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::admin::find_topic;
use super::read_committed::PartitionReader;
use super::wire::cluster::Cluster;
use super::{Code, KafkaClient, KafkaError};
use crate::record::{Record, TopicPartition};

/// Longest wait of one fetch at the end of a partition.
const WAIT: Duration = Duration::from_secs(10);
/// Before a partition that failed, or a topic that is missing, is looked for again.
const RETRY: Duration = Duration::from_secs(1);
/// How often new partitions are looked for.
const LOOK: Duration = Duration::from_secs(60);

/// Takes each record; the number is its partition.
pub type Each = Arc<dyn Fn(i32, Record) + Send + Sync>;

/// A topic that is followed until this is dropped.
pub struct Follower {
    following: JoinHandle<()>,
    behind: watch::Receiver<Option<usize>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Follower {
    /// Whether everything has been read that was there when the following began.
    pub fn has_caught_up(&self) -> bool {
        *self.behind.borrow() == Some(0)
    }
}

impl KafkaClient {
    /// Hands every record of `topic` to `each`, a partition's in order, from the start on. Returns at once.
    pub fn follow(&self, topic: &Arc<str>, each: Each) -> Follower {
        let (behind, watched) = watch::channel(None);
        let following = self.handle.spawn(follow_topic(self.cluster.clone(), topic.clone(), each, Arc::new(behind)));
        Follower { following, behind: watched }
    }
}

/// Partitions that have yet to be read to the end they had in the beginning; `None` until they are known.
type Behind = Arc<watch::Sender<Option<usize>>>;

async fn follow_topic(cluster: Arc<Cluster>, topic: Arc<str>, each: Each, behind: Behind) {
    let mut followed = HashSet::new();
    let mut partitions = JoinSet::new();
    loop {
        match find_topic(&cluster, &topic).await {
            Ok(count) => {
                let new: Vec<i32> = (0..count).filter(|partition| followed.insert(*partition)).collect();
                behind.send_modify(|behind| *behind = Some(behind.unwrap_or(0) + new.len()));
                for partition in new {
                    let at = TopicPartition { topic: topic.clone(), partition };
                    partitions.spawn(follow_partition(cluster.clone(), at, each.clone(), behind.clone()));
                }
                sleep(LOOK).await;
            }
            Err(error) => {
                tracing::debug!(%topic, %error, "topic cannot be followed yet");
                sleep(RETRY).await;
            }
        }
    }
}

async fn follow_partition(cluster: Arc<Cluster>, partition: TopicPartition, each: Each, behind: Behind) {
    let mut is_behind = true;
    let mut next = None;
    loop {
        let outcome = async {
            let isolation = cluster.config.isolation;
            let bounds = cluster.bounds(&partition, isolation).await?;
            let from = next.filter(|next| (bounds.start..=bounds.end).contains(next)).unwrap_or(bounds.start);
            let mut reader = PartitionReader::new(cluster.clone(), partition.clone(), from, isolation);
            loop {
                if is_behind && reader.next() >= bounds.end {
                    is_behind = false;
                    behind.send_modify(|behind| *behind = behind.map(|behind| behind.saturating_sub(1)));
                }
                let fetched = reader.fetch(WAIT).await?;
                next = Some(reader.next());
                fetched.records.into_iter().for_each(|record| each(partition.partition, record));
            }
        };
        let outcome: Result<(), KafkaError> = outcome.await;
        if let Err(error) = outcome {
            tracing::debug!(%partition, %error, "following again");
            if error.code() == Some(Code::OFFSET_OUT_OF_RANGE) {
                next = None;
            }
        }
        sleep(RETRY).await;
    }
}

//! Uploads that somebody waits for: how far they are, and which of them ended without a workbook.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::uploads::{Upload, UploadIndex, UploadKey, UploadPhase};
use crate::kafka::KafkaClient;
use crate::kafka::group::Group;
use crate::record::{Offset, TopicPartition};
use crate::topology::Topology;
use crate::transport::{Committed, TransportError};

/// How long a failure stands before it is believed: the status of what was published since may be on its way.
const SETTLED: Duration = Duration::from_secs(1);

/// The uploads of one topology, listened to since this was made.
pub struct Awaited {
    index: Arc<UploadIndex>,
    topology: Arc<str>,
    topic: Arc<str>,
    group: Group,
    /// Ends of the source partitions when this was made.
    ends: Vec<Offset>,
    /// Failures that nothing published before can change, by id: which status record, and since when.
    failures: HashMap<String, (i64, Instant)>,
}

impl Awaited {
    /// Begins to listen.
    pub fn of(client: &KafkaClient, topology: &Topology) -> Result<Awaited, TransportError> {
        let topic = topology.source.topic.clone();
        let end =
            |partition| client.bounds(&TopicPartition { topic: topic.clone(), partition }).map(|bounds| bounds.end);
        let ends = (0..client.partitions(&topic)?).map(end).collect::<Result<_, _>>()?;
        let index = Arc::new(UploadIndex::default());
        index.follow(client, [topology.sink.status_topic.clone()]);
        let group = client.group(&topology.name);
        Ok(Awaited { index, topology: topology.name.clone(), topic, group, ends, failures: HashMap::new() })
    }

    /// How an upload stands, if anything was heard of it.
    pub fn standing(&self, id: &str) -> Option<Upload> {
        self.index.get(&UploadKey { topology: self.topology.to_string(), id: id.to_owned() })
    }

    /// The upload, if it ended without a workbook. A failure of which the rows were published again since is none: everything that
    /// was in the topic when this was made has to be processed first.
    pub fn failed(&mut self, id: &str) -> Result<Option<Upload>, TransportError> {
        let failed =
            |upload: &Upload| matches!(upload.state, UploadPhase::Failed | UploadPhase::Aborted | UploadPhase::Expired);
        let Some(upload) = self.standing(id).filter(failed) else {
            self.failures.remove(id);
            return Ok(None);
        };
        let Some(partition) = upload.status.as_ref().map(|status| status.partition) else { return Ok(None) };
        if !self.is_processed(partition)? {
            return Ok(None);
        }
        let now = Instant::now();
        let since = self.failures.entry(id.to_owned()).or_insert((upload.updated_at_ms, now));
        if since.0 != upload.updated_at_ms {
            *since = (upload.updated_at_ms, now);
        }
        Ok((now - since.1 >= SETTLED).then_some(upload))
    }

    fn is_processed(&self, partition: i32) -> Result<bool, TransportError> {
        let end = usize::try_from(partition).ok().and_then(|partition| self.ends.get(partition)).copied();
        let partition = TopicPartition { topic: self.topic.clone(), partition };
        let committed = self.group.fetch_committed([partition.clone()])?.remove(&partition);
        Ok(match (committed, end) {
            (Some(Committed::Ours(progress)), Some(end)) => progress.next >= end,
            _ => false,
        })
    }
}

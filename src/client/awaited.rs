//! Uploads that somebody waits for: whether their published records are processed, and their outcomes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::client::uploads::{Upload, UploadIndex, UploadKey, UploadPhase};
use crate::kafka::KafkaClient;
use crate::kafka::group::Group;
use crate::kafka::partitioner::partition_for_key;
use crate::kafka::topic_reader::TopicReader;
use crate::record::{Offset, TopicPartition};
use crate::topology::Topology;
use crate::transport::{Committed, Fetcher, TransportError};

/// Longest wait of one fetch of what is there already.
const WAIT: Duration = Duration::from_millis(500);

/// The state of an upload that is awaited.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// Records that were in the topic at the beginning are not processed yet; or it is open. With what was heard of it.
    Pending(Option<Box<Upload>>),
    /// Everything is processed, and it was never heard of: nothing of it was published, or every record of it was refused.
    Unheard,
    /// Its newest revision has a workbook.
    Published(Box<Upload>),
    /// Its newest revision ended without a workbook.
    Ended(Box<Upload>),
}

/// Uploads of one topology, as they are published up to the moment in which this is made.
pub struct Waiting {
    index: UploadIndex,
    topology: Arc<str>,
    group: Group,
    /// Source partitions, with their ends in the beginning.
    source: Vec<(TopicPartition, Offset)>,
    /// By partition: the offset up to which it is processed.
    processed: Vec<Option<Offset>>,
    /// Ends of the partitions of uploads that were published since, by id.
    expected: HashMap<String, Offset>,
    /// With `placement = "spread"`: the topic that brings the rows together.
    repartition: Option<Repartition>,
    status: Vec<TopicReader>,
    client: KafkaClient,
}

/// The topic that brings the rows of an upload together.
struct Repartition {
    partitions: Vec<TopicPartition>,
    /// Their ends when all of the source was passed on.
    ends: Option<Vec<Offset>>,
    /// All of that is processed.
    is_processed: bool,
}

impl Waiting {
    /// Notes how far the source topic goes.
    pub fn begin(client: &KafkaClient, topology: &Topology) -> Result<Waiting, TransportError> {
        let partitions = |topic: &Arc<str>| -> Result<Vec<TopicPartition>, TransportError> {
            let count = client.partitions(topic)?;
            Ok((0..count).map(|partition| TopicPartition { topic: topic.clone(), partition }).collect())
        };
        let mut source = Vec::new();
        for partition in topology.source.topics().iter().map(partitions).collect::<Result<Vec<_>, _>>()?.concat() {
            let end = client.bounds(&partition)?.end;
            source.push((partition, end));
        }
        let upload_topic = topology.source.upload_topic();
        let repartition = match *upload_topic == topology.source.topic {
            true => None,
            false => {
                let partitions = partitions(upload_topic)?;
                Some(Repartition { partitions, ends: None, is_processed: false })
            }
        };
        let status = partitions(&topology.sink.status_topic)?.into_iter().map(|partition| {
            let start = client.bounds(&partition)?.start;
            Ok(client.reader(partition, start))
        });
        Ok(Waiting {
            index: UploadIndex::default(),
            topology: topology.name.clone(),
            group: client.group(&topology.name),
            processed: vec![None; source.len()],
            expected: HashMap::new(),
            source,
            repartition,
            status: status.collect::<Result<_, TransportError>>()?,
            client: client.clone(),
        })
    }

    /// Waits from now on for all records of an upload that are published up to now.
    pub fn expect(&mut self, id: &str) -> Result<(), TransportError> {
        if let Some((partition, _)) = self.source.get(self.partition_of(id)) {
            self.expected.insert(id.to_owned(), self.client.bounds(partition)?.end);
        }
        Ok(())
    }

    /// Nothing more is asked of an upload.
    pub fn forget(&mut self, id: &str) {
        self.expected.remove(id);
    }

    fn partition_of(&self, id: &str) -> usize {
        let partition = partition_for_key(id.as_bytes(), i32::try_from(self.source.len()).unwrap_or(i32::MAX));
        usize::try_from(partition).unwrap_or_default()
    }

    /// Looks at the group's progress first and at the status topic then: what is processed has its status there.
    pub fn look(&mut self) -> Result<(), TransportError> {
        let committed = self.group.fetch_committed(self.source.iter().map(|(partition, _)| partition.clone()))?;
        for ((partition, _), processed) in self.source.iter().zip(&mut self.processed) {
            *processed = match committed.get(partition) {
                Some(Committed::Ours(progress)) => Some(progress.next),
                Some(Committed::Reset(_) | Committed::None) | None => None,
            };
        }
        self.look_behind()?;
        for reader in &mut self.status {
            let end = self.client.bounds(reader.partition())?.end;
            while reader.next() < end {
                reader.fetch(WAIT)?.records.iter().for_each(|record| self.index.take(record));
            }
        }
        Ok(())
    }

    /// Records that were passed on are processed when the group has committed the ends of the repartition topic that were seen after.
    fn look_behind(&mut self) -> Result<(), TransportError> {
        let is_passed_on = (0..self.source.len()).all(|at| self.is_processed(at, None));
        let Some(repartition) = self.repartition.as_mut().filter(|_| is_passed_on) else { return Ok(()) };
        if repartition.ends.is_none() {
            let end = |partition| Ok(self.client.bounds(partition)?.end);
            repartition.ends = Some(repartition.partitions.iter().map(end).collect::<Result<_, TransportError>>()?);
        }
        let committed = self.group.fetch_committed(repartition.partitions.iter().cloned())?;
        let mut ends = repartition.partitions.iter().zip(repartition.ends.iter().flatten());
        repartition.is_processed = ends.all(|(partition, end)| match committed.get(partition) {
            Some(Committed::Ours(progress)) => progress.next >= *end,
            Some(Committed::Reset(_) | Committed::None) | None => *end == Offset(0),
        });
        Ok(())
    }

    /// The state of an upload as of the last look.
    pub fn upload(&self, id: &str) -> Awaited {
        let upload = self.index.get(&UploadKey { topology: self.topology.to_string(), id: id.to_owned() });
        let is_processed = match &self.repartition {
            Some(repartition) => repartition.is_processed,
            None => {
                let by_key = self.partition_of(id);
                let by_status =
                    upload.as_ref().and_then(|upload| upload.status.as_ref()).map(|status| status.partition);
                let by_status = by_status.map(|partition| usize::try_from(partition).unwrap_or(usize::MAX));
                let expected = self.expected.get(id).copied();
                self.is_processed(by_key, expected)
                    && by_status.is_none_or(|partition| self.is_processed(partition, None))
            }
        };
        if !is_processed {
            return Awaited::Pending(upload.map(Box::new));
        }
        let Some(upload) = upload.map(Box::new) else { return Awaited::Unheard };
        match upload.state {
            UploadPhase::Published => Awaited::Published(upload),
            UploadPhase::Failed | UploadPhase::Aborted | UploadPhase::Expired => Awaited::Ended(upload),
            UploadPhase::Publishing
            | UploadPhase::Pending
            | UploadPhase::Receiving
            | UploadPhase::Incomplete
            | UploadPhase::Stalled => Awaited::Pending(Some(upload)),
        }
    }

    /// Records that are waited for and not processed yet.
    pub fn behind(&self) -> i64 {
        let mut ends: Vec<Offset> = self.source.iter().map(|(_, end)| *end).collect();
        for (id, expected) in &self.expected {
            let at = self.partition_of(id);
            ends[at] = ends[at].max(*expected);
        }
        let behind = |(end, processed): (Offset, &Option<Offset>)| {
            processed.map_or(end.0, |processed| (end.0 - processed.0).max(0))
        };
        ends.into_iter().zip(&self.processed).map(behind).sum()
    }

    /// A partition that was empty in the beginning has nothing to process.
    fn is_processed(&self, partition: usize, end: Option<Offset>) -> bool {
        let known = self.source.get(partition).zip(self.processed.get(partition));
        known.is_some_and(|((_, end_then), processed)| {
            let end = end.unwrap_or(*end_then);
            end.0 == 0 || processed.is_some_and(|processed| processed >= end)
        })
    }
}

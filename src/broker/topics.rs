//! Topics and their partitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::configs::Configs;
use super::log::Log;
use super::{Shared, lock};

/// Partitions of one topic; each costs memory and, once written to, a file.
const PARTITIONS_MAX: usize = 1_000;
const TOPICS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 249;

/// A partition. Lives on while a request uses it, though its topic be deleted.
pub(super) struct Partition(Mutex<Log>);

impl Partition {
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.0)
    }
}

pub(super) struct Topic {
    pub id: Uuid,
    pub partitions: Vec<Arc<Partition>>,
    pub configs: Configs,
}

/// All topics, by name.
#[derive(Default)]
pub(super) struct Topics {
    topics: BTreeMap<String, Topic>,
    names: HashMap<Uuid, String>,
}

impl Topics {
    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }
    pub(super) fn configs_mut(&mut self, name: &str) -> Option<&mut Configs> {
        self.topics.get_mut(name).map(|topic| &mut topic.configs)
    }
    pub(super) fn name(&self, id: Uuid) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.topics.iter().map(|(name, topic)| (name.as_str(), topic))
    }
    pub(super) fn partition(&self, name: &str, index: i32) -> Option<&Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.topics.get(name)?.partitions.get(index)
    }

    /// Checks what a new topic would be.
    pub(super) fn check_new(&self, name: &str, partitions: i32) -> Result<usize, ResponseError> {
        if self.topics.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || matches!(name, "." | "..") || !name.chars().all(legal) {
            return Err(ResponseError::InvalidTopicException);
        }
        let partitions = usize::try_from(partitions).ok().filter(|count| (1..=PARTITIONS_MAX).contains(count));
        match partitions {
            Some(_) if self.topics.len() >= TOPICS_MAX => Err(ResponseError::PolicyViolation),
            Some(partitions) => Ok(partitions),
            None => Err(ResponseError::InvalidPartitions),
        }
    }
    /// Creates a topic; its id comes back.
    pub(super) fn create(
        &mut self,
        shared: &Shared,
        name: &str,
        partitions: i32,
        configs: Configs,
    ) -> Result<Uuid, ResponseError> {
        let partitions = self.check_new(name, partitions)?;
        let id = Uuid::new_v4();
        let partitions = (0..partitions).map(|_| new_partition(shared)).collect();
        self.topics.insert(name.to_owned(), Topic { id, partitions, configs });
        self.names.insert(id, name.to_owned());
        Ok(id)
    }
    /// Adds partitions until there are `count`.
    pub(super) fn grow(&mut self, shared: &Shared, name: &str, count: i32, dry: bool) -> Result<(), ResponseError> {
        let topic = self.topics.get_mut(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= PARTITIONS_MAX);
        let count = count.filter(|count| *count > topic.partitions.len()).ok_or(ResponseError::InvalidPartitions)?;
        if !dry {
            topic.partitions.resize_with(count, || new_partition(shared));
        }
        Ok(())
    }
    pub(super) fn delete(&mut self, name: &str) -> Result<Uuid, ResponseError> {
        let topic = self.topics.remove(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.names.remove(&topic.id);
        Ok(topic.id)
    }
}

fn new_partition(shared: &Shared) -> Arc<Partition> {
    Arc::new(Partition(Mutex::new(Log::new(shared.space.clone(), shared.config.segment_bytes))))
}

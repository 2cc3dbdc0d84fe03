//! Outputs and progress of one task, at least once or exactly once.

use std::sync::Arc;

use super::KafkaClient;
use super::group::Group;
use super::producer::{Producer, ProducerConfig};
use super::transaction::Transaction;
use crate::record::{TopicPartition, UploadHash};
use crate::transport::{Fence, OpenUploads, OutRecord, Outbox, Progress, TransportError};

/// At least once: records are acknowledged by the brokers before the offset is committed.
pub struct KafkaOutbox {
    producer: Producer,
    group: Group,
    /// Nothing was published since the last hint.
    hinted: bool,
    others: Others,
}

impl KafkaOutbox {
    /// Writes through `client` and commits to `group`. Connects with the first record.
    pub fn new(client: &KafkaClient, group: &Group) -> KafkaOutbox {
        KafkaOutbox {
            producer: client.producer(ProducerConfig::default()),
            group: group.clone(),
            hinted: false,
            others: Others::default(),
        }
    }

    /// Holds no more bytes than this that are not acknowledged. To be said before anything is sent.
    pub fn within(self, buffer_bytes: u32) -> KafkaOutbox {
        let config = ProducerConfig { buffer_bytes, ..ProducerConfig::default() };
        KafkaOutbox { producer: self.group.client.producer(config), ..self }
    }

    /// Waits for a hint. Otherwise its outcome would be taken for that of the next record.
    fn settle_hint(&mut self) {
        if std::mem::take(&mut self.hinted)
            && let Err(error) = self.producer.flush()
        {
            tracing::debug!(%error, "a status in between was lost");
        }
    }
}

impl Outbox for KafkaOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        self.settle_hint();
        for record in records {
            self.producer.send_record(&record)?;
        }
        self.producer.flush()
    }
    fn record_bytes_max(&mut self, topic: &Arc<str>, bytes: usize) -> Result<Option<usize>, TransportError> {
        self.producer.record_bytes_max(topic, bytes)
    }
    /// One is on its way at a time, by the producer of everything else: so it cannot come after the end of its upload. A process that was
    /// stopped meanwhile sends none: its successor may have ended the upload.
    fn send_best_effort(&mut self, record: OutRecord) {
        if !self.producer.is_idle() || !self.is_vouched_for() {
            return;
        }
        self.settle_hint();
        self.hinted = true;
        if let Err(error) = self.producer.send_record(&record).and_then(|()| self.producer.start()) {
            tracing::debug!(%error, "a status in between was lost");
        }
    }
    fn is_vouched_for(&self) -> bool {
        self.group.is_vouched_for()
    }
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        self.others.forget();
        self.group.commit(partition, progress, fence)
    }
    fn open_elsewhere(
        &mut self,
        partition: &TopicPartition,
        partitions: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        self.others.find(&self.group, partition, partitions, upload)
    }
}

/// Exactly once, for whoever reads committed records: what is published and the offset are one transaction a commit. A new outbox under the
/// same transactional id fences the former one.
pub struct TransactionalOutbox {
    transaction: Arc<Transaction>,
    producer: Producer,
    group: Group,
    client: KafkaClient,
    /// Goes with what is published next.
    hint: Option<OutRecord>,
    others: Others,
}

impl TransactionalOutbox {
    /// Takes the transactional id `id` over and settles what its former holder left open: offsets are read after this. Blocks.
    pub fn begin(client: &KafkaClient, group: &Group, id: &str) -> Result<TransactionalOutbox, TransportError> {
        let transaction = Arc::new(Transaction::new(client.cluster.clone(), id.to_owned()));
        client.block_on(transaction.begin())?;
        let producer = client.producer_in(ProducerConfig::default(), Some(transaction.clone()));
        Ok(TransactionalOutbox {
            transaction,
            producer,
            group: group.clone(),
            client: client.clone(),
            hint: None,
            others: Others::default(),
        })
    }

    /// Holds no more bytes than this that are not acknowledged. To be said before anything is sent.
    pub fn within(self, buffer_bytes: u32) -> TransactionalOutbox {
        let config = ProducerConfig { buffer_bytes, ..ProducerConfig::default() };
        TransactionalOutbox { producer: self.client.producer_in(config, Some(self.transaction.clone())), ..self }
    }
}

impl Outbox for TransactionalOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        self.transaction.identity()?;
        let mut records = self.hint.take().into_iter().chain(records);
        let sent = records.try_for_each(|record| self.producer.send_record(&record));
        sent.and_then(|()| self.producer.flush()).map_err(|error| self.transaction.explain(error))
    }
    fn record_bytes_max(&mut self, topic: &Arc<str>, bytes: usize) -> Result<Option<usize>, TransportError> {
        self.producer.record_bytes_max(topic, bytes)
    }
    /// Opens no transaction: it is written before what is published next, or with the commit.
    fn send_best_effort(&mut self, record: OutRecord) {
        self.hint = Some(record);
    }
    fn is_transactional(&self) -> bool {
        true
    }
    /// A commit of nothing but the offset needs no transaction: the member epoch fences it.
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        self.others.forget();
        if self.hint.is_some() {
            self.publish(&mut std::iter::empty())?;
        }
        self.transaction.identity()?;
        if !self.transaction.is_open() {
            return self.group.commit(partition, progress, fence);
        }
        let committed = self.client.block_on(self.transaction.commit(&self.group, partition, progress, fence));
        committed.map_err(|error| self.transaction.explain(error.into()))
    }
    fn open_elsewhere(
        &mut self,
        partition: &TopicPartition,
        partitions: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        self.others.find(&self.group, partition, partitions, upload)
    }
}

/// What the group's commits say of the other partitions of a topic. They are asked for once between two commits of our own.
#[derive(Default)]
struct Others(Option<Vec<(i32, OpenUploads)>>);

impl Others {
    fn forget(&mut self) {
        self.0 = None;
    }

    /// The partitions besides `at` that have the upload open.
    fn find(
        &mut self,
        group: &Group,
        at: &TopicPartition,
        partitions: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        let others = match &mut self.0 {
            Some(others) => others,
            None => {
                let partition = |partition| TopicPartition { topic: at.topic.clone(), partition };
                self.0.insert(group.fetch_open((0..partitions).filter(|other| *other != at.partition).map(partition))?)
            }
        };
        Ok(others.iter().filter(|(_, open)| open.contains(upload)).map(|(partition, _)| *partition).collect())
    }
}

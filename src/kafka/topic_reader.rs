//! Reads a partition outside any group, as long as somebody asks: for the ledger after a loss of state, for `fetch`, for tests.

use std::time::Duration;

use super::read_committed::PartitionReader;
use super::wire::backoff::Backoff;
use super::{Code, Isolation, KafkaClient, KafkaError};
use crate::record::{Offset, Record, TopicPartition};
use crate::transport::{Fetched, Fetcher, TransportError};

/// Longest wait of one fetch while the end is not reached.
const WAIT: Duration = Duration::from_millis(500);

/// A blocking reader over the wire reader.
pub struct TopicReader {
    client: KafkaClient,
    partition: TopicPartition,
    reader: PartitionReader,
    backoff: Backoff,
}

impl KafkaClient {
    /// Reads `partition` from `from` on, under the client's isolation.
    pub fn reader(&self, partition: TopicPartition, from: Offset) -> TopicReader {
        self.reader_under(self.config().isolation, partition, from)
    }
    fn reader_under(&self, isolation: Isolation, partition: TopicPartition, from: Offset) -> TopicReader {
        let reader = PartitionReader::new(self.cluster.clone(), partition.clone(), from, isolation);
        TopicReader { client: self.clone(), partition, reader, backoff: self.cluster.backoff("fetch") }
    }
    /// Every record of `partition` from the log's start to its present end, which is returned, under the client's isolation. Blocking.
    pub fn read_all(&self, partition: &TopicPartition, each: &mut dyn FnMut(Record)) -> Result<Offset, TransportError> {
        self.read_under(self.config().isolation, partition, Offset(0), each)
    }
    /// The same of committed records from `from` on, whatever the client's isolation: what was aborted never was.
    pub fn read_committed(
        &self,
        partition: &TopicPartition,
        from: Offset,
        each: &mut dyn FnMut(Record),
    ) -> Result<Offset, TransportError> {
        self.read_under(Isolation::ReadCommitted, partition, from, each)
    }
    /// The end of `partition` for readers of all records, whether they are committed or not. Blocking.
    pub fn end_of_all(&self, partition: &TopicPartition) -> Result<Offset, TransportError> {
        Ok(self.block_on(self.cluster.bounds(partition, Isolation::ReadUncommitted))?.end)
    }
    fn read_under(
        &self,
        isolation: Isolation,
        partition: &TopicPartition,
        from: Offset,
        each: &mut dyn FnMut(Record),
    ) -> Result<Offset, TransportError> {
        let bounds = self.block_on(self.cluster.bounds(partition, isolation))?;
        let mut reader = self.reader_under(isolation, partition.clone(), from.max(bounds.start));
        while reader.next() < bounds.end {
            let fetched = reader.fetch(WAIT)?;
            fetched.records.into_iter().filter(|record| record.offset < bounds.end).for_each(&mut *each);
        }
        Ok(bounds.end)
    }
}

impl TopicReader {
    /// The partition that is read.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }
    /// Where the next fetch begins.
    pub fn next(&self) -> Offset {
        self.reader.next()
    }
    async fn read(&mut self, wait: Duration) -> Result<Fetched, KafkaError> {
        loop {
            match self.reader.fetch(wait).await {
                Ok(fetched) => {
                    self.backoff.reset();
                    return Ok(fetched);
                }
                Err(error) if error.code() == Some(Code::OFFSET_OUT_OF_RANGE) => {
                    let bounds = self.client.cluster.bounds(&self.partition, Isolation::ReadUncommitted).await?;
                    let (partition, at) = (self.partition.clone(), self.reader.next());
                    return Err(KafkaError::OutOfRange { partition, at, start: bounds.start, end: bounds.end });
                }
                Err(error) => self.backoff.wait(error).await?,
            }
        }
    }
}

impl Fetcher for TopicReader {
    fn fetch(&mut self, wait: Duration) -> Result<Fetched, TransportError> {
        let client = self.client.clone();
        Ok(client.block_on(self.read(wait))?)
    }
}

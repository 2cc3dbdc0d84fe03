//! Publishes a file to the topic: one upload, in the one partition that its key leads to.

use std::sync::Arc;
use std::time::Duration;

use crate::file::FileError;
use crate::file::upload::UploadRecords;
use crate::kafka::partitioner::partition_for_key;
use crate::kafka::producer::ProducerConfig;
use crate::kafka::{KafkaClient, KafkaConfig};
use crate::record::{Header, Record, TopicPartition};
use crate::source::UploadFrom;
use crate::topology::Topology;
use crate::transport::{Fetcher, TransportError};

/// Clocks of this machine and of brokers are apart by less than this.
const EARLIER_MS: i64 = 10 * 60_000;
/// Longest wait of one fetch.
const WAIT: Duration = Duration::from_millis(500);

/// Why an upload was not published. Without its end-of-file marker no workbook comes of it; publishing again voids what was sent.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The broker.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A topology that does not read the key as the upload's id, which is where we write it.
#[derive(Debug, thiserror::Error)]
#[error("topology \"{0}\" takes no files: `upload` of its source is neither \"auto\" nor \"key\"")]
pub struct TakesNoFiles(Arc<str>);

/// Refuses a topology that takes no files.
pub fn check_takes_files(topology: &Topology) -> Result<(), TakesNoFiles> {
    match topology.source.upload {
        UploadFrom::Auto | UploadFrom::Key => Ok(()),
        UploadFrom::Header(_) | UploadFrom::Partition => Err(TakesNoFiles(topology.name.clone())),
    }
}

/// Gives an upload up: the marker that ends it without a workbook, if it is open. It goes to the partition of the upload's rows; `None` is
/// the one that the key leads to. With an attempt, only if that is the open one. Blocks.
pub fn abort(
    client: &KafkaClient,
    topic: &str,
    partition: Option<i32>,
    id: &str,
    attempt: Option<&str>,
) -> Result<(), TransportError> {
    let mut producer = client.producer(ProducerConfig::default());
    let mut marker = vec![Header::new("ss-type", "abort")];
    marker.extend(attempt.map(|attempt| Header::new("ss-attempt", attempt.to_owned())));
    producer.send(&topic.into(), partition, Some(id.as_bytes()), Some(b""), &marker)?;
    producer.flush()
}

/// Whether all of a publication is in the topic: its end-of-file marker is the last record of it, and sent behind all others. It began at
/// `begun_ms`, in milliseconds since 1970. Blocks.
pub fn is_published(
    client: &KafkaClient,
    topic: &str,
    id: &str,
    attempt: &str,
    begun_ms: i64,
) -> Result<bool, TransportError> {
    let partition = partition_for_key(id.as_bytes(), client.partitions(topic)?);
    let partition = TopicPartition { topic: topic.into(), partition };
    let bounds = client.bounds(&partition)?;
    let Some(from) = client.offset_at(&partition, begun_ms - EARLIER_MS)? else { return Ok(false) };
    let mut reader = client.reader(partition, from.max(bounds.start));
    while reader.next() < bounds.end {
        let is_end = |record: &Record| {
            let has = |name: &str, value: &str| {
                let mut headers = record.headers.iter().filter(|header| &*header.name == name);
                headers.any(|header| header.value.as_deref() == Some(value.as_bytes()))
            };
            record.key.as_deref() == Some(id.as_bytes()) && has("ss-type", "eof") && has("ss-attempt", attempt)
        };
        if reader.fetch(WAIT)?.records.iter().any(is_end) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sends all records of `upload` under `id` and waits until every one of them is acknowledged. `progress` gets the number of rows sent so
/// far. Blocks.
pub fn publish(
    client: &KafkaClient,
    topic: &str,
    id: &str,
    mut upload: UploadRecords,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, PublishError> {
    let topic: Arc<str> = topic.into();
    let KafkaConfig { compression, batch_bytes, .. } = *client.config();
    let mut producer = client.producer(ProducerConfig { compression, batch_bytes, ..ProducerConfig::default() });
    while let Some(record) = upload.next_record()? {
        producer.send(&topic, None, Some(id.as_bytes()), Some(&record.value), &record.headers)?;
        progress(upload.rows());
    }
    producer.flush()?;
    Ok(upload.rows())
}

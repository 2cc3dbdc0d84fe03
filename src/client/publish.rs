//! A file onto the topic: one upload, in the one partition that its key leads to.

use std::sync::Arc;

use crate::file::FileError;
use crate::file::upload::UploadRecords;
use crate::kafka::producer::ProducerConfig;
use crate::kafka::{KafkaClient, KafkaConfig};
use crate::record::Header;
use crate::transport::TransportError;

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

/// Gives an upload up: the marker that ends it without a workbook, if it is open. With an attempt, only if that is the open one. Blocks.
pub fn abort(client: &KafkaClient, topic: &str, id: &str, attempt: Option<&str>) -> Result<(), TransportError> {
    let mut producer = client.producer(ProducerConfig::default());
    let mut marker = vec![Header::new("ss-type", "abort")];
    marker.extend(attempt.map(|attempt| Header::new("ss-attempt", attempt.to_owned())));
    producer.send(&topic.into(), None, Some(id.as_bytes()), Some(b""), &marker)?;
    producer.flush()
}

/// Sends all records of `upload` under `id` and waits until every one of them is acknowledged. `progress` is told the rows sent so far.
/// Blocks.
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

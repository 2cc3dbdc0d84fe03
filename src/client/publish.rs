//! A file onto the topic: one upload, in the one partition that its key leads to.

use std::sync::Arc;

use crate::file::FileError;
use crate::file::upload::UploadRecords;
use crate::kafka::KafkaClient;
use crate::kafka::producer::ProducerConfig;
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
    let mut producer = client.producer(ProducerConfig::default());
    while let Some(record) = upload.next_record()? {
        producer.send(&topic, None, Some(id.as_bytes()), Some(&record.value), &record.headers)?;
        progress(upload.rows());
    }
    producer.flush()?;
    Ok(upload.rows())
}

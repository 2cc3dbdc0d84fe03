//! Replays an upload: its records are appended once more behind a new beginning, so that it becomes the next revision under the topology
//! that runs now. Earlier workbooks stay as they are.

use std::sync::Arc;
use std::time::Duration;

use super::statuses;
use crate::kafka::KafkaClient;
use crate::kafka::producer::ProducerConfig;
use crate::record::{Header, LogId, Offset, TopicPartition};
use crate::sink::status::{StatusRecord, UploadState};
use crate::source::{Placement, upload_of};
use crate::topology::Topology;
use crate::transport::{Fetcher, TransportError};

/// Longest wait of one fetch.
const WAIT: Duration = Duration::from_millis(500);

/// An upload that has ended, and where its records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The upload.
    pub upload: String,
    /// Its last revision.
    pub revision: u32,
    /// How that ended.
    pub state: UploadState,
    /// Where its records are.
    pub partition: TopicPartition,
    /// First of them.
    pub first: Offset,
    /// Last of them.
    pub completion: Offset,
}

/// Why an upload cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No status names it.
    #[error("no status in {topic} is of upload \"{upload}\"")]
    Unknown {
        /// The upload.
        upload: String,
        /// Where statuses are.
        topic: String,
    },
    /// Its rows are anywhere.
    #[error(
        "rows of upload \"{upload}\" may be in any partition (placement = \"spread\"), among those of other uploads: publish it again; `sheetstream reset` passes all uploads on again"
    )]
    Spread {
        /// The upload.
        upload: String,
    },
    /// It has not ended.
    #[error("upload \"{upload}\" is still open: its end comes first")]
    Open {
        /// The upload.
        upload: String,
    },
    /// It ended without an end of its own, so that a replay would stay open.
    #[error("upload \"{upload}\" has no end-of-file marker on the topic ({state:?}): publish it again")]
    Endless {
        /// The upload.
        upload: String,
        /// How it ended.
        state: UploadState,
    },
    /// Retention, or a topic that was made anew.
    #[error(
        "records {first} to {last} of {partition}, which upload \"{upload}\" is in, are gone from the log: publish it again"
    )]
    Gone {
        /// The upload.
        upload: String,
        /// Where it was.
        partition: TopicPartition,
        /// First of its records.
        first: Offset,
        /// Last of its records.
        last: Offset,
    },
    /// The cluster.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// How the upload `wanted` ended last, and where its records are. Blocks.
pub fn ended(client: &KafkaClient, topology: &Topology, wanted: &str) -> Result<Ended, ReplayError> {
    if topology.source.placement != Placement::Keyed {
        return Err(ReplayError::Spread { upload: wanted.to_owned() });
    }
    let mut last: Option<StatusRecord> = None;
    statuses::read(client, topology, &mut |status| {
        if status.upload == wanted && last.as_ref().is_none_or(|last| last.revision <= status.revision) {
            last = Some(status);
        }
    })?;
    let upload = wanted.to_owned();
    let Some(status) = last else {
        return Err(ReplayError::Unknown { upload, topic: topology.sink.status_topic.to_string() });
    };
    let Some(completion) = status.offsets.completion else { return Err(ReplayError::Open { upload }) };
    let partition = TopicPartition { topic: topology.source.topic.clone(), partition: status.partition };
    let first = status.offsets.first;
    let bounds = client.bounds(&partition)?;
    let is_of_today = match (status.topic_id.as_deref().and_then(LogId::parse), client.log(&partition.topic)?) {
        (Some(then), Some(now)) => then == now,
        _ => true,
    };
    if !is_of_today || first < bounds.start || bounds.end <= completion {
        return Err(ReplayError::Gone { upload, partition, first, last: completion });
    }
    if matches!(status.state, UploadState::Expired | UploadState::Aborted) {
        return Err(ReplayError::Endless { upload, state: status.state });
    }
    Ok(Ended { upload, revision: status.revision, state: status.state, partition, first, completion })
}

/// Appends the records of an upload again, behind a new beginning. Returns how many there are. Blocks until all are acknowledged.
pub fn replay(client: &KafkaClient, topology: &Topology, ended: &Ended) -> Result<u64, ReplayError> {
    let topic: &Arc<str> = &ended.partition.topic;
    let at = Some(ended.partition.partition);
    let mut producer = client.producer(ProducerConfig::default());
    let mut reader = client.reader(ended.partition.clone(), ended.first);
    let mut records = 0;
    while reader.next() <= ended.completion {
        for record in reader.fetch(WAIT)?.records {
            if record.offset > ended.completion || upload_of(&topology.source, &record).as_ref() != Some(&ended.upload)
            {
                continue;
            }
            if records == 0 {
                // It names the upload as its records do, by key or by header.
                let mut headers: Vec<Header> =
                    record.headers.iter().filter(|header| !is_of_one_record(&header.name)).cloned().collect();
                headers.push(Header::new("ss-type", "begin"));
                producer.send(topic, at, record.key.as_deref(), Some(b""), &headers)?;
            }
            producer.send(topic, at, record.key.as_deref(), record.value.as_deref(), &record.headers)?;
            records += 1;
        }
    }
    producer.flush()?;
    Ok(records)
}

/// Headers of ours that describe one record's rows or marker, and not the upload.
fn is_of_one_record(name: &str) -> bool {
    matches!(
        name,
        "ss-type"
            | "ss-row"
            | "ss-rows"
            | "ss-sha256"
            | "ss-partitions"
            | "ss-format"
            | "ss-encoding"
            | "ss-escape"
            | "ss-delimiter"
    )
}

//! One workbook from its topic into a file: its chunks in order, its checksum verified, never more than a record of it in memory.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::client::fetch::ChunkHead;
use crate::client::folder::Label;
use crate::client::uploads::Upload;
use crate::kafka::KafkaClient;
use crate::kafka::partitioner::partition_for_key;
use crate::record::{Record, TopicPartition};
use crate::sink::digest::Digest;
use crate::transport::{Fetcher, TransportError};

/// A workbook is in the topic before its status says so, by less than this on any sane clock.
const EARLIER_MS: i64 = 10 * 60_000;
/// Longest wait of one fetch.
const WAIT: Duration = Duration::from_millis(500);

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The topic does not hold it, or not all of it.
    #[error("the topic no longer holds the workbook; its retention is too short, or it was deleted")]
    Gone,
    /// The cluster.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The file.
    #[error("the workbook cannot be written to a temporary file: {0}")]
    File(#[from] std::io::Error),
}

/// A workbook that is looked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its topic.
    pub topic: String,
    /// Id of its upload, which leads to its partition.
    pub upload: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// When its status said that it is there, in milliseconds since 1970: where the search begins.
    pub published_ms: i64,
}

impl Wanted {
    /// The workbook of a published upload, and what is known of it; `None` where its status names none.
    pub fn of(upload: &Upload) -> Option<(Label, Wanted)> {
        let workbook = upload.workbook.as_ref()?;
        let label = Label {
            upload: upload.id.clone(),
            revision: upload.revision.unwrap_or(1),
            filename: workbook.filename.clone(),
            sha256: workbook.sha256.to_string(),
            all_rejected: upload.accounting.all_rejected(),
        };
        let wanted = Wanted {
            topic: workbook.topic.clone(),
            upload: upload.id.clone(),
            sha256: workbook.sha256,
            published_ms: upload.updated_at_ms,
        };
        Some((label, wanted))
    }
}

/// Writes the workbook into `file`; its length comes back. Blocks. Whoever has read its status may come before the workbook is committed: the
/// markers of a transaction are written to one partition after the other. So it is read up to the end of all records.
pub fn download(client: &KafkaClient, wanted: &Wanted, file: &mut File) -> Result<u64, DownloadError> {
    let partition = partition_for_key(wanted.upload.as_bytes(), client.partitions(&wanted.topic)?);
    let partition = TopicPartition { topic: wanted.topic.as_str().into(), partition };
    let (start, end) = (client.bounds(&partition)?.start, client.end_of_all(&partition)?);
    let hint = client.offset_at(&partition, wanted.published_ms - EARLIER_MS)?;
    let hint = hint.filter(|hint| *hint > start);
    for from in hint.into_iter().chain([start]) {
        let mut joining = Joining::begin(file)?;
        let mut reader = client.reader(partition.clone(), from);
        while reader.next() < end {
            for record in reader.fetch(WAIT)?.records {
                if let Some(bytes) = joining.take(wanted, &record, file)? {
                    return Ok(bytes);
                }
            }
        }
    }
    Err(DownloadError::Gone)
}

/// Chunks 1 to `next` - 1 of the workbook, in the file.
#[derive(Default)]
struct Joining {
    next: u32,
    bytes: u64,
    hash: Sha256,
}

impl Joining {
    /// Of a file that is empty then.
    fn begin(file: &mut File) -> std::io::Result<Joining> {
        file.set_len(0)?;
        file.rewind()?;
        Ok(Joining::default())
    }

    /// Takes the chunk that is due and passes over all else: a set that was sent twice is the same bytes, and within a partition each set is
    /// in order. The length comes back with the last one.
    fn take(&mut self, wanted: &Wanted, record: &Record, file: &mut File) -> Result<Option<u64>, DownloadError> {
        let Ok(head) = ChunkHead::of(record) else { return Ok(None) };
        let is_due = head.number == self.next + 1 && Some(wanted.sha256) == Digest::parse(head.sha256);
        if !is_due || head.upload != wanted.upload {
            return Ok(None);
        }
        let value = record.value.as_deref().unwrap_or_default();
        file.write_all(value)?;
        self.hash.update(value);
        self.bytes += value.len() as u64;
        self.next += 1;
        if self.next < head.count {
            return Ok(None);
        }
        if Digest(std::mem::take(&mut self.hash).finalize().into()) == wanted.sha256 {
            return Ok(Some(self.bytes));
        }
        tracing::warn!(upload = wanted.upload, "the chunks of a workbook are not its bytes; looking for others");
        *self = Joining::begin(file)?;
        Ok(None)
    }
}

/// The newest workbook of an upload that its topic holds whole, and its SHA-256. Used where the status of the upload names no workbook.
pub fn newest(client: &KafkaClient, topic: &str, upload: &str) -> Result<Option<(Label, Digest)>, TransportError> {
    let partition = partition_for_key(upload.as_bytes(), client.partitions(topic)?);
    let mut found = None;
    client.read_all(&TopicPartition { topic: topic.into(), partition }, &mut |record| {
        if let Ok(head) = ChunkHead::of(&record)
            && head.upload == upload
            && head.number == head.count
        {
            let label = || Label {
                upload: upload.to_owned(),
                revision: head.revision,
                filename: head.filename.to_owned(),
                sha256: head.sha256.to_owned(),
                all_rejected: head.accounting.all_rejected(),
            };
            found = Digest::parse(head.sha256).map(|sha256| (label(), sha256)).or(found.take());
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::record::{Header, Offset};

    fn chunk(whole: &[u8], part: &'static [u8], chunk: &'static str) -> Record {
        let headers = vec![
            Header::new("ss-upload", "a"),
            Header::new("ss-revision", "1"),
            Header::new("ss-sha256", Digest(Sha256::digest(whole).into()).to_string()),
            Header::new("ss-chunk", chunk),
        ];
        Record { offset: Offset(0), value: Some(part.into()), headers, ..Record::default() }
    }

    #[test]
    fn a_set_that_was_cut_and_sent_again_is_joined_once() {
        let wanted = Wanted {
            topic: "books".into(),
            upload: "a".into(),
            sha256: Digest(Sha256::digest(b"onetwothree").into()),
            published_ms: 0,
        };
        let whole = b"onetwothree";
        let mut file = tempfile::tempfile().expect("a file");
        let mut joining = Joining::default();
        let mut lengths = Vec::new();
        for record in [
            chunk(whole, b"two", "2/3"), // the search began in the middle of it
            chunk(whole, b"one", "1/3"),
            chunk(b"another", b"x", "2/3"),
            chunk(whole, b"two", "2/3"),
            chunk(whole, b"one", "1/3"),
            chunk(whole, b"two", "2/3"),
            chunk(whole, b"three", "3/3"),
        ] {
            lengths.extend(joining.take(&wanted, &record, &mut file).expect("written"));
        }
        assert_eq!(lengths, [11]);
        file.rewind().expect("rewound");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, whole);
    }

    #[test]
    fn chunks_with_other_bytes_than_the_checksum_are_no_workbook() {
        let wanted = Wanted {
            topic: "books".into(),
            upload: "a".into(),
            sha256: Digest(Sha256::digest(b"good").into()),
            published_ms: 0,
        };
        let mut file = tempfile::tempfile().expect("a file");
        let mut joining = Joining::default();
        assert_eq!(joining.take(&wanted, &chunk(b"good", b"evil", "1/1"), &mut file).expect("written"), None);
        assert_eq!(joining.take(&wanted, &chunk(b"good", b"good", "1/1"), &mut file).expect("written"), Some(4));
        assert_eq!(file.metadata().expect("a length").len(), 4);
    }
}

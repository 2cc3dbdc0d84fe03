//! Dead letters: records that name a refused row and the reason (contract 14). Header names are as in KIP-1034, then our own.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::record::{Header, Offset, Rejection, SourcePlace, TopicPartition, UploadId};
use crate::sink::digest::Digest;
use crate::transport::OutRecord;

/// Bytes of a value, a key or an upload id that a dead letter carries; together they stay below what brokers take by default. A topic that
/// takes less gets less.
pub const CLIP_BYTES: usize = 64 << 10;
/// Bytes of a message, which may quote a value.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// A row, or a whole record, that was refused.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Offset of the record in the partition that is read.
    pub offset: Offset,
    /// Its key.
    pub key: Option<&'a Bytes>,
    /// The row's bytes, or the record's; `None` when nothing of it could be read.
    pub value: Option<&'a [u8]>,
    /// Upload it belongs to, if it said so.
    pub upload: Option<&'a UploadId>,
    /// 1-based number of the data row, if it is a row.
    pub row: Option<u64>,
    /// 1-based number of the row among those of its record, if the record does not number them: a header is one of them, a blank line is not.
    pub line: Option<u32>,
    /// Where the record was passed on from, if it was: that is where its publisher finds it.
    pub passed_from: Option<&'a SourcePlace>,
    /// Why.
    pub rejection: &'a Rejection,
}

impl<'a> DeadLetter<'a> {
    /// A record of which nothing could be read.
    pub fn of_record(offset: Offset, rejection: &'a Rejection) -> DeadLetter<'a> {
        DeadLetter { offset, key: None, value: None, upload: None, row: None, line: None, passed_from: None, rejection }
    }

    /// The record for the topic of dead letters, for a row of the partition `source`. It goes where its key leads, or to partition 0 without a
    /// key. It is clipped until its batch has at most `bytes_max`; `None` when even the least of it has more.
    pub fn to_record(&self, topic: &Arc<str>, source: &TopicPartition, bytes_max: usize) -> Option<OutRecord> {
        let clips = iter::successors(Some(CLIP_BYTES), |clip| (*clip > 0).then_some(clip / 2));
        let mut records = clips.map(|clip| self.clipped(topic, source, clip));
        records.find(|record| record.batch_bytes_max() <= bytes_max)
    }

    /// The record with at most `clip` bytes of each thing that may be long.
    fn clipped(&self, topic: &Arc<str>, source: &TopicPartition, clip: usize) -> OutRecord {
        let message_max = MESSAGE_BYTES_MAX.min(clip);
        let reason = self.rejection.reason.code();
        let message = self.rejection.message.to_string();
        let (topic_of, partition, offset) = match self.passed_from {
            Some(place) => (&place.topic, place.partition, place.offset),
            None => (&source.topic, source.partition, self.offset),
        };
        let mut headers = vec![
            Header::new("__streams.errors.topic", topic_of.to_string()),
            Header::new("__streams.errors.partition", partition.to_string()),
            Header::new("__streams.errors.offset", offset.to_string()),
            Header::new("__streams.errors.exception", reason),
            Header::new("__streams.errors.message", clip_text(&message, message_max).to_owned()),
            Header::new("ss-reason", reason),
        ];
        if let Some(upload) = self.upload {
            headers.push(Header::new("ss-upload", clip_text(upload.as_str(), clip).to_owned()));
        }
        if let Some(row) = self.row {
            headers.push(Header::new("ss-row", row.to_string()));
        }
        if let Some(line) = self.line {
            headers.push(Header::new("ss-line", line.to_string()));
        }
        if self.passed_from.is_some() {
            headers.push(Header::new("ss-repartition", format!("{}:{}", source.partition, self.offset)));
        }
        if let Some(column) = &self.rejection.column {
            headers.push(Header::new("ss-column", clip_text(column, message_max).to_owned()));
        }
        let details = self.rejection.message.to_json();
        if details.len() <= message_max {
            headers.push(Header::new("ss-message", details));
        }
        let whole = self.value.unwrap_or_default();
        let value = &whole[..whole.len().min(clip)];
        if value.len() < whole.len() {
            headers.push(Header::new("ss-clipped", whole.len().to_string()));
            headers.push(Header::new("ss-sha256", Digest(Sha256::digest(whole).into()).to_string()));
        }
        OutRecord {
            topic: Arc::clone(topic),
            partition: if self.key.is_none() { Some(0) } else { None },
            key: self.key.map(|key| key.slice(..key.len().min(clip))),
            value: Bytes::copy_from_slice(value),
            headers: headers.into(),
        }
    }
}

/// As many whole characters as fit.
pub(super) fn clip_text(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Message, Quoted};

    fn header<'a>(record: &'a OutRecord, name: &str) -> Option<&'a str> {
        let found = record.headers.iter().find(|header| &*header.name == name)?;
        std::str::from_utf8(found.value.as_deref()?).ok()
    }

    fn partition() -> TopicPartition {
        TopicPartition { topic: "rows".into(), partition: 3 }
    }

    #[test]
    fn a_refused_row_says_where_it_was_and_why() {
        let (partition, upload) = (partition(), UploadId::new("seoul.csv"));
        let rejection =
            Rejection::new(Message::NotANumber { value: Quoted::new("12 6.9"), hint: None }).in_column("경도");
        let key = Bytes::from_static(b"seoul.csv");
        let letter = DeadLetter {
            offset: Offset(77),
            key: Some(&key),
            value: Some(b"a,12 6.9"),
            upload: Some(&upload),
            row: Some(12),
            line: Some(3),
            passed_from: None,
            rejection: &rejection,
        };
        let record = letter.to_record(&"dead".into(), &partition, usize::MAX).expect("it fits");
        let expected = [
            ("__streams.errors.topic", "rows"),
            ("__streams.errors.partition", "3"),
            ("__streams.errors.offset", "77"),
            ("__streams.errors.exception", "number.format"),
            ("__streams.errors.message", "\"12 6.9\" is not a number"),
            ("ss-reason", "number.format"),
            ("ss-upload", "seoul.csv"),
            ("ss-row", "12"),
            ("ss-line", "3"),
            ("ss-column", "경도"),
            ("ss-message", r#"{"not_a_number":{"value":"12 6.9","hint":null}}"#),
        ];
        for (name, value) in expected {
            assert_eq!(header(&record, name), Some(value), "{name}");
        }
        assert_eq!(record.headers.len(), expected.len());
        assert_eq!((&*record.topic, record.partition), ("dead", None));
        assert_eq!((record.key, &*record.value), (Some(key), &b"a,12 6.9"[..]));
    }

    #[test]
    fn what_does_not_fit_a_topic_is_clipped_and_says_so() {
        let partition = partition();
        let (value, key) = (vec![b'x'; 1 << 20], Bytes::from(vec![b'k'; 1 << 20]));
        let upload = UploadId::new("가".repeat(100_000));
        let rejection =
            Rejection::new(Message::WorkbookFailed { why: "값".repeat(100_000) }).in_column("열".repeat(100_000));
        let letter = DeadLetter {
            offset: Offset(0),
            key: Some(&key),
            value: Some(&value),
            upload: Some(&upload),
            row: None,
            line: None,
            passed_from: None,
            rejection: &rejection,
        };
        let record = letter.to_record(&"dead".into(), &partition, usize::MAX).expect("it fits");
        assert_eq!(record.value.len(), CLIP_BYTES);
        assert_eq!(header(&record, "ss-clipped"), Some("1048576"));
        assert_eq!(header(&record, "ss-sha256"), Some(&*Digest(Sha256::digest(&value).into()).to_string()));
        let headers: usize = record.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len)).sum();
        assert!(record.value.len() + record.key.map_or(0, |key| key.len()) + headers < 256 << 10);
    }

    #[test]
    fn a_letter_is_clipped_to_what_its_topic_takes() {
        let partition = partition();
        let (value, key) = (vec![b'x'; 5_000], Bytes::from_static(b"seoul.csv"));
        let rejection = Rejection::new(Message::NotANumber { value: Quoted::new("12 6.9"), hint: None });
        let upload = UploadId::new("seoul.csv");
        let letter = DeadLetter {
            offset: Offset(77),
            key: Some(&key),
            value: Some(&value),
            upload: Some(&upload),
            row: Some(12),
            line: Some(3),
            passed_from: None,
            rejection: &rejection,
        };
        let fitted = |bytes_max| letter.to_record(&"dead".into(), &partition, bytes_max);
        for bytes_max in [6_000, 2_000, 900, 600] {
            let record = fitted(bytes_max).expect("it is clipped");
            assert!(record.batch_bytes_max() <= bytes_max, "{bytes_max}");
            assert_eq!(header(&record, "ss-clipped").is_some(), bytes_max < 6_000, "{bytes_max}");
            assert_eq!(
                (header(&record, "ss-upload"), record.key.as_ref()),
                (Some("seoul.csv"), Some(&key)),
                "{bytes_max}"
            );
        }
        assert!(fitted(200).is_none());
    }

    #[test]
    fn a_record_that_could_not_be_read_has_an_empty_value() {
        let partition = partition();
        let rejection = Rejection::new(Message::RecordCorrupt { why: "checksum".to_owned() });
        let letter = DeadLetter::of_record(Offset(5), &rejection);
        let record = letter.to_record(&"dead".into(), &partition, usize::MAX).expect("it fits");
        assert_eq!((record.partition, &record.key, record.value.len()), (Some(0), &None, 0));
        assert_eq!(header(&record, "ss-clipped"), None);
    }
}

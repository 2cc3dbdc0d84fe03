//! Reads back the refused rows of an upload from the topic of dead letters.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::kafka::KafkaClient;
use crate::kafka::partitioner::partition_for_key;
use crate::record::{Lang, Message, Offset, Record, SourcePlace, TopicPartition};
use crate::transport::{Fetcher, TransportError};

/// Rows that are read at most.
pub const REJECTS_MAX: usize = 1_000;
/// Bytes of a row that are shown.
const RAW_BYTES_MAX: usize = 4 << 10;
/// A row is refused after its upload began, by clocks that may differ by this much.
const EARLIER_MS: i64 = 60_000;
/// Longest wait of one fetch.
const WAIT: Duration = Duration::from_millis(500);

/// Whose rows are looked for.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The topic of dead letters.
    pub topic: String,
    /// Id of the upload.
    pub upload: String,
    /// Partition that the upload was read from, as its status says.
    pub partition: i32,
    /// Its first offset there: letters of lower ones are of earlier revisions.
    pub first: Offset,
    /// How many there are.
    pub count: u64,
    /// When the upload began, in milliseconds since 1970, if that is known: where the search begins.
    pub begun_ms: Option<i64>,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reject {
    /// Number of the row, from 1; `None` for a record that is no row.
    pub row: Option<u64>,
    /// Number of the row among those of its record, from 1, if the record does not number them.
    pub line: Option<u32>,
    /// Column at fault.
    pub column: Option<String>,
    /// Reason code.
    pub reason: String,
    /// The fault, in one sentence.
    pub message: String,
    /// The same as data, unless it is a message of a later release.
    #[serde(skip)]
    pub details: Option<Message>,
    /// The row as it came, its first 4 KiB; bytes that are not UTF-8 are shown as U+FFFD.
    pub raw: String,
    /// Whether the row is longer than what is shown.
    pub is_clipped: bool,
}

impl Reject {
    /// Says what is wrong in this language, if the message is known to this release.
    pub fn translate(&mut self, lang: Lang) {
        if let Some(details) = &self.details {
            self.message = details.say(lang);
        }
    }
}

/// Rows that were refused, by number.
#[derive(Clone, Debug, Serialize)]
pub struct Rejects {
    /// The first of them.
    pub rejects: Vec<Reject>,
    /// Whether these are all of them: there may be more than are read at most, or the search took too long.
    pub is_complete: bool,
}

/// Reads them, until `limit` has passed. The partition that the upload's key leads to is read first, others only for letters that are not
/// there. Blocks.
pub fn rejects(client: &KafkaClient, refused: &Refused, limit: Duration) -> Result<Rejects, TransportError> {
    let deadline = Instant::now() + limit;
    let count = client.partitions(&refused.topic)?;
    let first = partition_for_key(refused.upload.as_bytes(), count);
    let others = (0..count).filter(|partition| *partition != first);
    let mut found: Vec<Reject> = Vec::new();
    let mut seen = HashSet::new();
    for partition in std::iter::once(first).chain(others) {
        let partition = TopicPartition { topic: refused.topic.as_str().into(), partition };
        let bounds = client.bounds(&partition)?;
        let hint = match refused.begun_ms {
            Some(begun) => client.offset_at(&partition, begun - EARLIER_MS)?.unwrap_or(bounds.end),
            None => bounds.start,
        };
        let mut reader = client.reader(partition, hint.max(bounds.start));
        while reader.next() < bounds.end {
            let is_enough = found.len() >= REJECTS_MAX || found.len() as u64 >= refused.count;
            if is_enough || Instant::now() > deadline {
                break;
            }
            for record in reader.fetch(WAIT)?.records {
                // After a crash a letter may have been sent twice.
                if let Some((mark, reject)) = read(refused, &record)
                    && seen.insert(mark)
                {
                    found.push(reject);
                }
            }
        }
    }
    found.sort_by_key(|reject| (reject.row, reject.line));
    found.truncate(REJECTS_MAX);
    let is_complete = found.len() as u64 >= refused.count;
    Ok(Rejects { rejects: found, is_complete })
}

/// The first dead letter of an upload that nothing else is known of, and how many there are: records that were refused before they were
/// rows of it, at most [`REJECTS_MAX`]. `None` when there is none, or none was found until `limit` had passed. Blocks.
pub fn refused_whole(
    client: &KafkaClient,
    topic: &str,
    upload: &str,
    limit: Duration,
) -> Result<Option<(Reject, usize)>, TransportError> {
    let deadline = Instant::now() + limit;
    let (mut first, mut letters) = (None, 0);
    for partition in 0..client.partitions(topic)? {
        let partition = TopicPartition { topic: topic.into(), partition };
        let bounds = client.bounds(&partition)?;
        let mut reader = client.reader(partition, bounds.start);
        while reader.next() < bounds.end && Instant::now() < deadline && letters < REJECTS_MAX {
            for record in reader.fetch(WAIT)?.records {
                let of = record.headers.iter().find(|header| &*header.name == "ss-upload");
                let is_of = of.and_then(|header| header.value.as_deref()) == Some(upload.as_bytes())
                    || of.is_none() && record.key.as_deref() == Some(upload.as_bytes());
                if let Some(letter) = is_of.then(|| letter(&record)).flatten() {
                    letters += 1;
                    first.get_or_insert(letter);
                }
            }
        }
    }
    Ok(first.map(|first| (first, letters)))
}

/// What no other letter has: place, row and line.
type Mark = (SourcePlace, Option<u64>, Option<u32>);

/// A letter of this upload.
fn read(refused: &Refused, record: &Record) -> Option<(Mark, Reject)> {
    let place = place(record)?;
    // A record that was passed on is of the upload that it was gathered for.
    let (partition, offset) = match header(record, "ss-repartition") {
        Some(gathered) => gathered.split_once(':').and_then(|(at, offset)| at.parse().ok().zip(offset.parse().ok()))?,
        None => (place.partition, place.offset.0),
    };
    let is_of = header(record, "ss-upload")? == refused.upload && partition == refused.partition;
    if !is_of || offset < refused.first.0 {
        return None;
    }
    let reject = letter(record)?;
    Some(((place, reject.row, reject.line), reject))
}

/// Where the refused record is.
pub(super) fn place(letter: &Record) -> Option<SourcePlace> {
    Some(SourcePlace {
        topic: header(letter, "__streams.errors.topic")?.into(),
        partition: header(letter, "__streams.errors.partition")?.parse().ok()?,
        offset: Offset(header(letter, "__streams.errors.offset")?.parse().ok()?),
    })
}

pub(super) fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let header = record.headers.iter().find(|header| &*header.name == name)?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

/// The reject that a dead letter describes.
pub(super) fn letter(record: &Record) -> Option<Reject> {
    let text = |name| header(record, name);
    let raw = record.value.as_deref().unwrap_or_default();
    let shown = &raw[..raw.len().min(RAW_BYTES_MAX)];
    Some(Reject {
        row: text("ss-row").and_then(|row| row.parse().ok()),
        line: text("ss-line").and_then(|line| line.parse().ok()),
        column: text("ss-column").map(str::to_owned),
        reason: text("ss-reason")?.to_owned(),
        message: text("__streams.errors.message").unwrap_or_default().to_owned(),
        details: text("ss-message").and_then(Message::from_json),
        raw: String::from_utf8_lossy(shown).into_owned(),
        is_clipped: shown.len() < raw.len() || text("ss-clipped").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Quoted, Rejection, UploadId};
    use crate::sink::dead_letter::DeadLetter;

    fn letter(upload: &str, offset: i64, value: &[u8]) -> Record {
        letter_from(None, upload, offset, value)
    }

    fn letter_from(passed_from: Option<&SourcePlace>, upload: &str, offset: i64, value: &[u8]) -> Record {
        let (partition, upload) = (TopicPartition { topic: "rows".into(), partition: 3 }, UploadId::new(upload));
        let rejection =
            Rejection::new(Message::NotANumber { value: Quoted::new("12 6.9"), hint: None }).in_column("경도");
        let letter = DeadLetter {
            offset: Offset(offset),
            key: None,
            value: Some(value),
            upload: Some(&upload),
            row: Some(12),
            line: Some(3),
            passed_from,
            rejection: &rejection,
        };
        let record = letter.to_record(&"dead".into(), &partition, usize::MAX).expect("it fits");
        Record { value: Some(record.value), headers: record.headers.to_vec(), ..Record::default() }
    }

    #[test]
    fn letters_of_this_revision_of_this_upload_are_read() {
        let refused = Refused {
            topic: "dead".into(),
            upload: "a".into(),
            partition: 3,
            first: Offset(10),
            count: 1,
            begun_ms: None,
        };
        let (place, reject) = read(&refused, &letter("a", 10, b"a,12 6.9")).expect("one of its rows");
        let at =
            |topic: &str, partition, offset| SourcePlace { topic: topic.into(), partition, offset: Offset(offset) };
        assert_eq!(place, (at("rows", 3, 10), Some(12), Some(3)));
        let publisher = at("t.rows", 0, 4);
        let (place, _) = read(&refused, &letter_from(Some(&publisher), "a", 10, b"")).expect("one that was passed on");
        assert_eq!(place.0, publisher);
        assert!(read(&refused, &letter_from(Some(&publisher), "a", 9, b"")).is_none(), "an earlier revision");
        assert_eq!(
            (reject.row, reject.line, reject.column.as_deref(), reject.reason.as_str()),
            (Some(12), Some(3), Some("경도"), "number.format")
        );
        assert_eq!((reject.raw.as_str(), reject.is_clipped), ("a,12 6.9", false));
        let mut translated = reject.clone();
        translated.translate(Lang::Ko);
        assert_eq!(
            (&*reject.message, &*translated.message),
            ("\"12 6.9\" is not a number", "\"12 6.9\"는 숫자가 아닙니다")
        );
        assert!(read(&refused, &letter("a", 10, &[b'x'; 100_000])).expect("a long row").1.is_clipped);
        assert!(read(&refused, &letter("b", 10, b"")).is_none());
        assert!(read(&refused, &letter("a", 9, b"")).is_none(), "an earlier revision");
        assert!(read(&Refused { partition: 4, ..refused.clone() }, &letter("a", 10, b"")).is_none());
        assert!(read(&refused, &Record::default()).is_none());
    }
}

//! Reads back the topic of dead letters: their numbers by reason, and the letters of one upload.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rejects::{Reject, header, letter, place};
use crate::kafka::KafkaClient;
use crate::record::{Record, TopicPartition};
use crate::transport::TransportError;

/// A dead letter.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    /// The upload that it names; `None` for a record that belongs to none.
    pub upload: Option<String>,
    /// Source topic.
    pub topic: String,
    /// Partition of it.
    pub partition: i32,
    /// Offset of the record there.
    pub offset: i64,
    /// The refused row or record, and the reason.
    #[serde(flatten)]
    pub reject: Reject,
}

impl Letter {
    fn read(record: &Record) -> Option<Letter> {
        let place = place(record)?;
        Some(Letter {
            upload: header(record, "ss-upload").map(str::to_owned),
            topic: place.topic.to_string(),
            partition: place.partition,
            offset: place.offset.0,
            reject: letter(record)?,
        })
    }
}

/// Letters of one upload with one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Pile {
    /// The upload.
    pub upload: Option<String>,
    /// The reason code.
    pub reason: String,
    /// How many; a letter that was sent twice after a crash counts twice.
    pub letters: u64,
    /// The message of the last of them.
    pub message: String,
}

/// Reads all letters of a topic, a partition after the other. Blocks.
pub fn read(client: &KafkaClient, topic: &str, each: &mut dyn FnMut(Letter)) -> Result<(), TransportError> {
    for partition in 0..client.partitions(topic)? {
        client.read_all(&TopicPartition { topic: topic.into(), partition }, &mut |record| {
            Letter::read(&record).into_iter().for_each(&mut *each);
        })?;
    }
    Ok(())
}

/// How many letters there are, by upload and reason; the most first. Of a million uploads with letters, each has its pile: read with care.
pub fn piles(client: &KafkaClient, topic: &str) -> Result<Vec<Pile>, TransportError> {
    let mut piles: BTreeMap<(Option<String>, String), Pile> = BTreeMap::new();
    read(client, topic, &mut |letter| {
        let Letter { upload, reject, .. } = letter;
        let pile = piles.entry((upload.clone(), reject.reason.clone())).or_insert_with(|| Pile {
            upload,
            reason: reject.reason,
            letters: 0,
            message: String::new(),
        });
        pile.letters += 1;
        pile.message = reject.message;
    })?;
    let mut piles: Vec<Pile> = piles.into_values().collect();
    piles.sort_by_key(|pile| std::cmp::Reverse(pile.letters));
    Ok(piles)
}

//! Reads back the topic of dead letters: their numbers by reason, and the letters of one upload. Those of revisions that a newer one has
//! taken the place of are left out, and a letter that was sent again, after a crash or a reset, is read once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

use super::rejects::{Reject, header, letter, place};
use super::statuses;
use crate::kafka::KafkaClient;
use crate::record::{Offset, Record, TopicPartition};
use crate::source::Placement;
use crate::topology::Topology;
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

    /// What no other letter has, in 64 bits: there may be millions of them.
    fn mark(&self, hasher: &RandomState) -> u64 {
        let Reject { row, line, reason, raw, .. } = &self.reject;
        hasher.hash_one((&self.topic, self.partition, self.offset, row, line, reason, raw))
    }
}

/// Letters of one upload with one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Pile {
    /// The upload.
    pub upload: Option<String>,
    /// The reason code.
    pub reason: String,
    /// How many.
    pub letters: u64,
    /// The message of the last of them.
    pub message: String,
}

/// Where the newest revision of each upload begins.
struct Newest {
    topic: String,
    /// Revision, partition and first offset by upload.
    begins: HashMap<String, (u32, i32, Offset)>,
}

impl Newest {
    fn read(client: &KafkaClient, topology: &Topology) -> Result<Newest, TransportError> {
        let topic = topology.source.topic.to_string();
        let mut begins: HashMap<String, (u32, i32, Offset)> = HashMap::new();
        if topology.source.placement == Placement::Keyed {
            statuses::read(client, topology, &mut |status| {
                let begin = (status.revision, status.partition, status.offsets.first);
                let newest = begins.entry(status.upload).or_insert(begin);
                *newest = begin.max(*newest);
            })?;
        }
        Ok(Newest { topic, begins })
    }

    /// Whether a letter is of a revision before the newest one of its upload. Of spread uploads nobody knows.
    fn is_superseded(&self, letter: &Letter) -> bool {
        let newest = letter.upload.as_ref().and_then(|upload| self.begins.get(upload));
        letter.topic == self.topic
            && newest.is_some_and(|(_, partition, first)| letter.partition == *partition && letter.offset < first.0)
    }
}

/// Reads the letters of a topology, a partition after the other. Blocks.
pub fn read(client: &KafkaClient, topology: &Topology, each: &mut dyn FnMut(Letter)) -> Result<(), TransportError> {
    let newest = Newest::read(client, topology)?;
    let topic = &topology.sink.dead_letter_topic;
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    for partition in 0..client.partitions(topic)? {
        client.read_all(&TopicPartition { topic: topic.clone(), partition }, &mut |record| {
            let letter = Letter::read(&record).filter(|letter| !newest.is_superseded(letter));
            letter.into_iter().filter(|letter| seen.insert(letter.mark(&hasher))).for_each(&mut *each);
        })?;
    }
    Ok(())
}

/// How many letters there are, by upload and reason; the most first. Of a million uploads with letters, each has its pile: read with care.
pub fn piles(client: &KafkaClient, topology: &Topology) -> Result<Vec<Pile>, TransportError> {
    let mut piles: BTreeMap<(Option<String>, String), Pile> = BTreeMap::new();
    read(client, topology, &mut |letter| {
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

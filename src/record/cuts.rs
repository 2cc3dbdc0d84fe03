//! The ends, in each partition of a source, of an upload that may have rows in all of them (`placement = "spread"`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the records of an upload end, by source topic and partition. Records before that place that have come are counted. They are not
/// counted again when they are passed on a second time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cuts(BTreeMap<String, BTreeMap<i32, Cut>>);

/// A place in one reading of a source partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Which reading: another one begins when the topic is made anew, when its log is cut, and when its offset is reset.
    pub era: i64,
    /// First offset that is not the upload's.
    pub next: i64,
    /// Only timestamps of publishers say so, and the upload that follows may begin elsewhere.
    pub guessed: bool,
}

impl Cuts {
    /// Whether a record is below.
    pub fn cover(&self, topic: &str, partition: i32, era: i64, offset: i64) -> bool {
        self.of(topic, partition).is_some_and(|cut| cut.era == era && offset < cut.next)
    }

    /// Everything below `next` is the upload's, too.
    pub fn raise(&mut self, topic: &str, partition: i32, era: i64, next: i64) {
        let partitions = match self.0.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.0.entry(topic.to_owned()).or_default(),
        };
        let cut = partitions.entry(partition).or_insert(Cut { era, next, guessed: false });
        *cut = match cut.era == era {
            true => Cut { next: cut.next.max(next), ..*cut },
            false => Cut { era, next, guessed: false },
        };
    }

    /// The cut of a partition is no more than a guess.
    pub fn guess(&mut self, topic: &str, partition: i32) {
        if let Some(cut) = self.0.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition)) {
            cut.guessed = true;
        }
    }

    /// Whether any of them is no more than a guess.
    pub fn are_guessed(&self) -> bool {
        self.iter().any(|(.., cut)| cut.guessed)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, Cut)> {
        self.0.iter().flat_map(|(topic, cuts)| cuts.iter().map(|(partition, cut)| (topic.as_str(), *partition, *cut)))
    }

    fn of(&self, topic: &str, partition: i32) -> Option<&Cut> {
        self.0.get(topic)?.get(&partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_covers_what_is_below_in_its_own_era() {
        let mut cuts = Cuts::default();
        cuts.raise("rows", 1, 7, 10);
        cuts.raise("rows", 1, 7, 4);
        let covered = [("rows", 1, 7, 9), ("rows", 1, 7, 10), ("rows", 1, 8, 9), ("rows", 0, 7, 9), ("more", 1, 7, 9)];
        let covered = covered.map(|(topic, partition, era, offset)| cuts.cover(topic, partition, era, offset));
        assert_eq!(covered, [true, false, false, false, false]);
        cuts.raise("rows", 1, 8, 2);
        assert!(cuts.cover("rows", 1, 8, 1) && !cuts.cover("rows", 1, 7, 1));
    }
}

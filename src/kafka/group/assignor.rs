//! Which member of a classic group gets which partition. The assignment is sticky, balanced and cooperative (KIP-429): a member keeps what
//! it owns as far as that is fair, and a partition that moves is given to nobody until its owner has let it go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::record::TopicPartition;

/// The claim of a member when it joins.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    /// Topics that it processes.
    pub(super) topics: BTreeSet<Arc<str>>,
    /// Partitions that it owns.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// Generation of the group in which they were its own; -1 if it owns nothing.
    pub(super) generation: i32,
}

/// Partitions for each member, for topics of so many partitions.
pub(super) fn assign(
    members: &BTreeMap<String, Claim>,
    topics: &BTreeMap<Arc<str>, i32>,
) -> BTreeMap<String, BTreeSet<TopicPartition>> {
    let owners = owners(members, topics);
    let mut wanted: BTreeMap<&str, BTreeSet<TopicPartition>> =
        members.keys().map(|member| (member.as_str(), BTreeSet::new())).collect();
    for (partition, owner) in &owners {
        wanted.entry(owner).or_default().insert(partition.clone());
    }
    for (topic, partitions) in topics {
        for partition in (0..*partitions).map(|partition| TopicPartition { topic: topic.clone(), partition }) {
            if owners.contains_key(&partition) {
                continue;
            }
            let takers = members.iter().filter(|(_, claim)| claim.topics.contains(topic));
            if let Some((taker, _)) = takers.min_by_key(|(member, _)| wanted[member.as_str()].len()) {
                wanted.entry(taker).or_default().insert(partition);
            }
        }
    }
    while let Some((from, to, partition)) = move_one(members, &wanted) {
        wanted.entry(from).or_default().remove(&partition);
        wanted.entry(to).or_default().insert(partition);
    }
    // A partition that moves is withheld: its owner sees that it must let it go, and joins again when it has.
    let given = |member: &str, partition: &TopicPartition| owners.get(partition).is_none_or(|owner| *owner == member);
    let mut assigned = BTreeMap::new();
    for (member, partitions) in wanted {
        let partitions = partitions.into_iter().filter(|partition| given(member, partition)).collect();
        assigned.insert(member.to_owned(), partitions);
    }
    assigned
}

/// Who owns what: of two that claim a partition the one of the later generation, and neither of the same one.
fn owners<'a>(
    members: &'a BTreeMap<String, Claim>,
    topics: &BTreeMap<Arc<str>, i32>,
) -> BTreeMap<TopicPartition, &'a str> {
    let mut claims: BTreeMap<&TopicPartition, Vec<(i32, &str)>> = BTreeMap::new();
    for (member, claim) in members {
        let exists = |at: &&TopicPartition| topics.get(&at.topic).is_some_and(|count| at.partition < *count);
        let valid = claim.owned.iter().filter(exists).filter(|partition| claim.topics.contains(&partition.topic));
        for partition in valid {
            claims.entry(partition).or_default().push((claim.generation, member.as_str()));
        }
    }
    let mut owners = BTreeMap::new();
    for (partition, mut claims) in claims {
        claims.sort_unstable();
        if let Some((generation, owner)) = claims.pop()
            && claims.last().is_none_or(|(other, _)| *other < generation)
        {
            owners.insert(partition.clone(), owner);
        }
    }
    owners
}

/// A partition that goes from a member with more to one with at least two less. Every move evens the group out, so that there is a last
/// one.
fn move_one<'a>(
    members: &'a BTreeMap<String, Claim>,
    wanted: &BTreeMap<&'a str, BTreeSet<TopicPartition>>,
) -> Option<(&'a str, &'a str, TopicPartition)> {
    for (to, claim) in members {
        let fewer = wanted[to.as_str()].len() + 1;
        let richest = members.keys().filter(|from| wanted[from.as_str()].len() > fewer);
        let mut richest: Vec<&String> = richest.collect();
        richest.sort_by_key(|from| std::cmp::Reverse(wanted[from.as_str()].len()));
        for from in richest {
            let movable = wanted[from.as_str()].iter().rev().find(|partition| claim.topics.contains(&partition.topic));
            if let Some(partition) = movable {
                return Some((from, to, partition.clone()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Assignment = BTreeMap<String, BTreeSet<TopicPartition>>;

    fn topics(counts: &[(&str, i32)]) -> BTreeMap<Arc<str>, i32> {
        counts.iter().map(|(name, count)| ((*name).into(), *count)).collect()
    }

    fn at(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    fn joins(members: &mut BTreeMap<String, Claim>, name: &str, topics: &[&str]) {
        let topics = topics.iter().map(|topic| (*topic).into()).collect();
        members.insert(name.into(), Claim { topics, owned: BTreeSet::new(), generation: -1 });
    }

    /// Rebalances until nothing moves, as members do; gives every assignment on the way.
    fn settle(members: &mut BTreeMap<String, Claim>, topics: &BTreeMap<Arc<str>, i32>) -> Vec<Assignment> {
        let mut rounds: Vec<Assignment> = Vec::new();
        for generation in 1.. {
            assert!(generation < 10, "it does not settle: {rounds:?}");
            let assigned = assign(members, topics);
            let mut taken = BTreeSet::new();
            for (name, claim) in members.iter_mut() {
                // A member keeps what it is to give up until the next round begins, when it has let it go.
                for partition in assigned[name].union(&claim.owned) {
                    assert!(taken.insert(partition.clone()), "{partition} has two owners");
                }
            }
            let is_same = members.iter().all(|(name, claim)| claim.owned == assigned[name]);
            for (name, claim) in members.iter_mut() {
                (claim.owned, claim.generation) = (assigned[name].clone(), generation);
            }
            rounds.push(assigned);
            if is_same {
                break;
            }
        }
        rounds
    }

    #[test]
    fn members_come_and_go_and_keep_what_they_can() {
        let topics = topics(&[("rows", 6)]);
        let mut members = BTreeMap::new();
        joins(&mut members, "a", &["rows"]);
        settle(&mut members, &topics);
        assert_eq!(members["a"].owned.len(), 6);

        joins(&mut members, "b", &["rows"]);
        let rounds = settle(&mut members, &topics);
        assert!(rounds[0]["b"].is_empty(), "nothing is given before it is let go");
        assert_eq!((members["a"].owned.len(), members["b"].owned.len()), (3, 3));

        joins(&mut members, "c", &["rows"]);
        let before = members.clone();
        settle(&mut members, &topics);
        assert!(members.values().all(|claim| claim.owned.len() == 2));
        assert!(members["a"].owned.is_subset(&before["a"].owned) && members["b"].owned.is_subset(&before["b"].owned));

        members.remove("a");
        settle(&mut members, &topics);
        assert!(members.values().all(|claim| claim.owned.len() == 3));
    }

    #[test]
    fn partitions_go_to_members_that_process_their_topic() {
        let topics = topics(&[("left", 4), ("right", 2), ("nobody's", 3)]);
        let mut members = BTreeMap::new();
        joins(&mut members, "a", &["left", "right"]);
        joins(&mut members, "b", &["right"]);
        settle(&mut members, &topics);
        assert_eq!(members["a"].owned, (0..4).map(|partition| at("left", partition)).collect());
        assert_eq!(members["b"].owned, (0..2).map(|partition| at("right", partition)).collect());
    }

    #[test]
    fn of_two_claims_the_later_generation_counts() {
        let topics = topics(&[("rows", 2)]);
        let mut members = BTreeMap::new();
        joins(&mut members, "a", &["rows"]);
        joins(&mut members, "b", &["rows"]);
        members.insert("a".into(), Claim { owned: [at("rows", 0)].into(), generation: 3, ..members["a"].clone() });
        members.insert("b".into(), Claim { owned: [at("rows", 0)].into(), generation: 4, ..members["b"].clone() });
        let assigned = assign(&members, &topics);
        assert_eq!(assigned["b"], [at("rows", 0)].into());
        assert_eq!(assigned["a"], [at("rows", 1)].into());
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_the_group_is_even(
            counts in proptest::collection::vec(1..8i32, 1..4),
            names in proptest::collection::btree_set("[a-f]", 1..6),
            later in proptest::collection::btree_set("[g-k]", 0..4),
        ) {
            let topics: BTreeMap<Arc<str>, i32> =
                counts.iter().enumerate().map(|(n, count)| (format!("t{n}").into(), *count)).collect();
            let subscribed: Vec<&str> = topics.keys().map(|topic| &**topic).collect();
            let mut members = BTreeMap::new();
            names.iter().for_each(|name| joins(&mut members, name, &subscribed));
            settle(&mut members, &topics);
            later.iter().for_each(|name| joins(&mut members, name, &subscribed));
            settle(&mut members, &topics);
            let total: usize = members.values().map(|claim| claim.owned.len()).sum();
            prop_assert_eq!(total, counts.iter().sum::<i32>() as usize);
            let sizes: BTreeSet<usize> = members.values().map(|claim| claim.owned.len()).collect();
            prop_assert!(sizes.last().unwrap_or(&0) - sizes.first().unwrap_or(&0) <= 1);
        }
    }
}

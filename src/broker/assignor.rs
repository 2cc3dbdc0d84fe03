//! Assigns partitions to members: evenly, and with as few moves as possible.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A partition by its topic's id.
pub(super) type Slot = (Uuid, i32);

/// Shares `slots` out among members, each with the topics it subscribes to. Begins with `current`, gives what nobody has to who has least,
/// and then moves partitions only from who has at least two more.
pub(super) fn assign(
    slots: &BTreeSet<Slot>,
    members: &BTreeMap<&str, BTreeSet<Uuid>>,
    current: &BTreeMap<&str, BTreeSet<Slot>>,
) -> BTreeMap<String, BTreeSet<Slot>> {
    let mut shares: BTreeMap<&str, BTreeSet<Slot>> = members.keys().map(|member| (*member, BTreeSet::new())).collect();
    let mut free = slots.clone();
    for (member, subscribed) in members {
        for slot in current.get(member).into_iter().flatten().filter(|slot| subscribed.contains(&slot.0)) {
            if free.remove(slot)
                && let Some(share) = shares.get_mut(member)
            {
                share.insert(*slot);
            }
        }
    }
    let may_have = |member: &&str, slot: &Slot| members.get(member).is_some_and(|topics| topics.contains(&slot.0));
    for slot in free {
        let least =
            shares.iter_mut().filter(|(member, _)| may_have(member, &slot)).min_by_key(|(_, share)| share.len());
        if let Some((_, share)) = least {
            share.insert(slot);
        }
    }
    while let Some((from, to, slot)) = shares.iter().find_map(|(from, share)| {
        let to = |slot: &Slot| {
            let fewer = shares.iter().filter(|(_, other)| other.len() + 2 <= share.len());
            fewer.filter(|(member, _)| may_have(member, slot)).min_by_key(|(_, other)| other.len())
        };
        share.iter().rev().find_map(|slot| to(slot).map(|(to, _)| (*from, *to, *slot)))
    }) {
        shares.entry(from).or_default().remove(&slot);
        shares.entry(to).or_default().insert(slot);
    }
    shares.into_iter().map(|(member, share)| (member.to_owned(), share)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }
    fn slots(topic: Uuid, count: i32) -> BTreeSet<Slot> {
        (0..count).map(|partition| (topic, partition)).collect()
    }

    #[test]
    fn a_second_member_takes_half_and_the_first_keeps_what_it_keeps() {
        let topics = BTreeSet::from([topic(1)]);
        let members = BTreeMap::from([("a", topics.clone()), ("b", topics)]);
        let all = slots(topic(1), 6);
        let shares = assign(&all, &members, &BTreeMap::from([("a", all.clone())]));
        assert_eq!(shares["a"].len(), 3);
        assert!(shares["a"].iter().all(|slot| all.contains(slot)));
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_shares_differ_by_one_at_most(
            partitions in 1..40, members in 1usize..6, former in prop::collection::vec(0usize..8, 40),
        ) {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let all = slots(topic(1), partitions);
            let topics = BTreeSet::from([topic(1)]);
            let members: BTreeMap<&str, _> = names.iter().take(members).map(|name| (*name, topics.clone())).collect();
            let mut current: BTreeMap<&str, BTreeSet<Slot>> = BTreeMap::new();
            for (slot, owner) in all.iter().zip(&former) {
                current.entry(names[*owner]).or_default().insert(*slot);
            }
            let shares = assign(&all, &members, &current);
            let owned: Vec<_> = shares.values().flatten().collect();
            prop_assert_eq!(owned.len(), all.len());
            prop_assert_eq!(owned.into_iter().collect::<BTreeSet<_>>().len(), all.len());
            let (least, most) = (shares.values().map(BTreeSet::len).min(), shares.values().map(BTreeSet::len).max());
            prop_assert!(most.unwrap_or(0) <= least.unwrap_or(0) + 1);
            prop_assert_eq!(assign(&all, &members, &shares.iter().map(|(m, s)| (m.as_str(), s.clone())).collect()), shares);
        }
    }
}

//! Who is a standby of whom. Every process works it out from the members of the group, and so does `status`; while they see the group
//! differently, a partition has one standby more or one less, which harms nothing.

use crate::kafka::group::Holder;
use crate::record::TopicPartition;

/// The members that have to be behind `partition`, if each is to have `count` standbys: those that come after its owner's place have it, by
/// turns from partition to partition. None while nobody owns it.
pub fn standbys_of<'a>(partition: &TopicPartition, holders: &'a [Holder], count: usize) -> Vec<&'a Holder> {
    let Some(owner) = holders.iter().find(|holder| holder.partitions.contains(partition)) else { return vec![] };
    let mut others: Vec<&Holder> = holders.iter().filter(|holder| holder.member != owner.member).collect();
    others.sort_unstable_by(|one, other| one.member.cmp(&other.member));
    let first = usize::try_from(partition.partition).unwrap_or(0);
    others.iter().cycle().skip(first % others.len().max(1)).take(count.min(others.len())).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(member: &str, partitions: &[i32]) -> Holder {
        Holder { member: member.into(), name: member.into(), partitions: partitions.iter().map(at).collect() }
    }

    fn at(partition: &i32) -> TopicPartition {
        TopicPartition { topic: "rows".into(), partition: *partition }
    }

    fn names(partition: i32, holders: &[Holder], count: usize) -> Vec<&str> {
        standbys_of(&at(&partition), holders, count).iter().map(|holder| &*holder.member).collect()
    }

    #[test]
    fn every_partition_has_as_many_standbys_as_asked_for_and_its_owner_is_none_of_them() {
        let holders = [holder("b", &[0, 3, 4]), holder("a", &[1, 5]), holder("c", &[2])];
        for (count, each) in [(0, 0), (1, 1), (2, 2), (5, 2)] {
            for owner in &holders {
                for partition in &owner.partitions {
                    let standbys = names(partition.partition, &holders, count);
                    assert_eq!(standbys.len(), each, "{count}");
                    assert!(!standbys.contains(&&*owner.member) && standbys.iter().all(|name| "abc".contains(*name)));
                }
            }
        }
        assert!(names(0, &[holder("a", &[0, 1])], 1).is_empty(), "alone");
        assert!(names(7, &holders, 1).is_empty(), "nobody owns it");
    }

    #[test]
    fn standbys_are_spread_over_the_members() {
        let holders = [holder("a", &[0, 1, 2, 3, 4, 5]), holder("c", &[]), holder("b", &[])];
        let behind: Vec<_> = (0..6).flat_map(|partition| names(partition, &holders, 1)).collect();
        assert_eq!(behind, ["b", "c", "b", "c", "b", "c"]);
    }
}

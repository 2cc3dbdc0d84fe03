//! Which copy of a partition a reader asks: the leader, or the one in its rack that the leader has named (KIP-392).

use std::time::Duration;

use tokio::time::Instant;

/// What is known of the copies of one partition.
#[derive(Debug, Default)]
pub(super) struct Nearest {
    /// Node of the copy that the leader named.
    follower: Option<i32>,
    /// Until when that counts, or, without one, until when the leader is asked for records and not for a name.
    until: Option<Instant>,
}

impl Nearest {
    /// The node to ask in the place of the leader, as of `now`.
    pub(super) fn follower(&mut self, now: Instant) -> Option<i32> {
        if self.until.is_some_and(|until| until <= now) {
            *self = Nearest::default();
        }
        self.follower
    }
    /// Whether the leader may name another copy.
    pub(super) fn is_wanted(&self) -> bool {
        self.until.is_none()
    }
    /// The leader has named one; it is asked for so long.
    pub(super) fn name(&mut self, follower: i32, now: Instant, age: Duration) {
        *self = Nearest { follower: Some(follower), until: now.checked_add(age) };
    }
    /// The one that was named does not serve; the leader does for so long.
    pub(super) fn give_up(&mut self, now: Instant, age: Duration) {
        *self = Nearest { follower: None, until: now.checked_add(age) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(300);

    #[test]
    fn a_copy_is_asked_until_it_is_old_and_the_leader_for_a_while_after_it_failed() {
        let (start, mut nearest) = (Instant::now(), Nearest::default());
        assert_eq!((nearest.follower(start), nearest.is_wanted()), (None, true));
        nearest.name(2, start, AGE);
        let later = start + AGE - Duration::from_secs(1);
        assert_eq!((nearest.follower(later), nearest.is_wanted()), (Some(2), false));
        assert_eq!((nearest.follower(start + AGE), nearest.is_wanted()), (None, true), "the leader names it again");
        nearest.name(2, start, AGE);
        nearest.give_up(start, AGE);
        assert_eq!((nearest.follower(later), nearest.is_wanted()), (None, false));
        assert_eq!((nearest.follower(start + AGE), nearest.is_wanted()), (None, true));
    }
}

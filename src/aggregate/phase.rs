//! The purposes for which a task reads records. A task goes through the phases in order and never back, but for a standby, which replays
//! again whenever the owner has committed; one batch of records never spans two of them.

use crate::record::Offset;

/// The purpose for which a task reads records.
///
/// A restart with local state restores, then replays if the group's commit is ahead of the state, then is live. A restart without state
/// replays from the oldest open upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Records below `until` were processed before. They only fill the open pages of restored uploads.
    Restoring {
        /// First offset that the state does not cover.
        until: Offset,
        /// The committed offset; see [`Phase::Replaying`].
        emit_from: Offset,
    },
    /// Records below `emit_from`, the committed offset, are processed again to rebuild state. Their outputs are in the topics already
    /// (contract 16).
    Replaying {
        /// First offset whose outputs are emitted.
        emit_from: Offset,
    },
    /// Records are new, and their outputs are emitted.
    Live {
        /// First offset whose outputs were emitted by this task.
        emit_from: Offset,
    },
}

impl Phase {
    /// The phase of a task whose next record is `next`.
    pub fn at(next: Offset, emit_from: Offset) -> Phase {
        if next < emit_from { Phase::Replaying { emit_from } } else { Phase::Live { emit_from } }
    }

    /// The phase after everything below `next` was taken.
    pub fn advance(self, next: Offset) -> Phase {
        match self {
            Phase::Restoring { until, .. } if next < until => self,
            Phase::Restoring { emit_from, .. } | Phase::Replaying { emit_from } => Phase::at(next, emit_from),
            Phase::Live { .. } => self,
        }
    }

    /// The phase of a standby whose next record is `next` and whose owner has committed up to `emit_from`.
    pub fn follow(self, next: Offset, emit_from: Offset) -> Phase {
        match self {
            Phase::Restoring { until, .. } => Phase::Restoring { until, emit_from },
            Phase::Replaying { .. } | Phase::Live { .. } => Phase::at(next, emit_from),
        }
    }

    /// Where the phase ends; a batch must not cross it. A live phase has no end.
    pub fn border(self) -> Option<Offset> {
        match self {
            Phase::Restoring { until, .. } => Some(until),
            Phase::Replaying { emit_from } => Some(emit_from),
            Phase::Live { .. } => None,
        }
    }

    /// First offset whose outputs are emitted.
    pub fn emit_from(self) -> Offset {
        match self {
            Phase::Restoring { emit_from, .. } | Phase::Replaying { emit_from } | Phase::Live { emit_from } => {
                emit_from
            }
        }
    }

    /// True while open pages are being filled and nothing else happens.
    pub fn is_restoring(self) -> bool {
        matches!(self, Phase::Restoring { .. })
    }

    /// True when records are new.
    pub fn is_live(self) -> bool {
        matches!(self, Phase::Live { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_and_never_come_back() {
        let emit_from = Offset(20);
        let restoring = Phase::Restoring { until: Offset(10), emit_from };
        assert_eq!(restoring.advance(Offset(9)), restoring);
        assert_eq!(restoring.advance(Offset(10)), Phase::Replaying { emit_from });
        assert_eq!(restoring.advance(Offset(20)), Phase::Live { emit_from });
        let replaying = Phase::at(Offset(10), emit_from);
        assert_eq!((replaying, replaying.border()), (Phase::Replaying { emit_from }, Some(emit_from)));
        let live = replaying.advance(emit_from);
        assert_eq!((live, live.border(), live.advance(Offset(3))), (Phase::Live { emit_from }, None, live));
    }
}

//! Decides where a task starts reading, and from which offset on its outputs count. It is a pure function of the state, the group's commit
//! and the log (contract 16 and 17).

use std::fmt;

use crate::record::{LedgerEntry, LogId, Offset};
use crate::state::keys::TaskState;
use crate::transport::{Committed, Progress, Work};

/// How a task starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryPlan {
    /// The local state is good: fill its open pages from `restore_from`, then continue at `position`.
    Resume {
        /// First offset to read.
        restore_from: Offset,
        /// First record that is not in the state.
        position: Offset,
        /// Outputs of events below this offset are out already.
        emit_from: Offset,
    },
    /// Throw the local state away and build it again from the log.
    Rebuild {
        /// First offset to read.
        replay_from: Offset,
        /// Outputs of events below this offset are out already.
        emit_from: Offset,
        /// Why there is no usable state, for the log; `None` when nothing was ever processed.
        reason: Option<ReplayReason>,
    },
}

/// Why state has to be built again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayReason {
    /// There is none.
    Lost,
    /// Another topology or version made it.
    Topology,
    /// Another instance went on meanwhile.
    Overtaken,
    /// Somebody set the committed offset.
    Reset,
    /// The topic was deleted and made anew.
    Recreated,
    /// The log was cut below what was committed, or is in the state.
    Truncated,
}

impl ReplayReason {
    /// A word for metric labels.
    pub fn code(self) -> &'static str {
        match self {
            ReplayReason::Lost => "lost",
            ReplayReason::Topology => "topology",
            ReplayReason::Overtaken => "overtaken",
            ReplayReason::Reset => "reset",
            ReplayReason::Recreated => "recreated",
            ReplayReason::Truncated => "truncated",
        }
    }
}

impl fmt::Display for ReplayReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplayReason::Lost => "there is no state",
            ReplayReason::Topology => "the state is of another topology or version",
            ReplayReason::Overtaken => "the state is older than the group's progress",
            ReplayReason::Reset => "the committed offset was set by somebody else",
            ReplayReason::Recreated => {
                "topic.recreated: the topic was deleted and made anew; it is read from its start"
            }
            ReplayReason::Truncated => "log.truncated: the log was cut below what was read",
        })
    }
}

/// The facts about the partition's log, from the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFacts {
    /// Its id, if it has one.
    pub id: Option<LogId>,
    /// Its first offset.
    pub start: Offset,
    /// Its end.
    pub end: Offset,
    /// Where it was cut below the committed offset, if it was.
    pub cut_at: Option<Offset>,
    /// It was cut below what the state has, and others have gone on behind the cut.
    pub state_is_cut: bool,
}

/// Whether offsets of the one log are offsets of the other. A log without an id may be any.
pub(super) fn is_same_log(one: Option<LogId>, other: Option<LogId>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// From which offset on uploads are known to have lost no first rows: what the state says, if it is of this log, or a commit of this log.
/// When it is read for the first time, or from an offset that somebody set, it is the log's end if anything lies in front.
pub fn whole_from(local: Option<&TaskState>, committed: &Committed, log: &LogFacts) -> Offset {
    let of_all = if log.start > Offset(0) { log.end } else { Offset(0) };
    if let Committed::Reset(offset) = committed {
        return if *offset > log.start { log.end } else { of_all };
    }
    let local = local.filter(|state| is_same_log(state.log, log.id)).map(|state| state.whole_from);
    let committed = match committed {
        Committed::Ours(Progress { work: Work::Uploads { whole_from, .. }, .. }) => Some(*whole_from),
        Committed::Ours(_) | Committed::Reset(_) | Committed::None => None,
    };
    let known = local.into_iter().chain(committed).max();
    known.unwrap_or(of_all)
}

/// How many commits there were before this start, as far as anybody knows.
pub fn commits(local: Option<&TaskState>, committed: &Committed) -> u64 {
    let committed = match committed {
        Committed::Ours(progress) => progress.commits(),
        Committed::Reset(_) | Committed::None => None,
    };
    let known = local.map(|state| state.commits).into_iter().chain(committed);
    known.max().unwrap_or(0)
}

/// What the group says of the log that is read: a commit of another log is none.
pub(super) fn of_log<'a>(committed: &'a Committed, log: &LogFacts) -> &'a Committed {
    match committed {
        Committed::Ours(progress) if !is_same_log(progress.log, log.id) => &Committed::None,
        Committed::Ours(_) | Committed::Reset(_) | Committed::None => committed,
    }
}

/// The local state, if the topology about to run made it of this log; else why it is not believed.
fn believe<'a>(
    local: Option<&'a TaskState>,
    topology_hash: &str,
    committed: &Committed,
    log: &LogFacts,
) -> Result<&'a TaskState, ReplayReason> {
    let is_recreated = is_recreated(local, committed, log);
    let is_ahead = |state: &TaskState| !matches!(committed, Committed::Ours(progress) if state.offset <= progress.next);
    match local {
        _ if is_recreated => Err(ReplayReason::Recreated),
        _ if log.cut_at.is_some() => Err(ReplayReason::Truncated),
        // The log was cut below what nobody has committed.
        Some(_) if log.state_is_cut => Err(ReplayReason::Truncated),
        Some(state) if is_ahead(state) && log.end < state.offset => Err(ReplayReason::Truncated),
        Some(state) if state.topology == topology_hash => Ok(state),
        Some(_) => Err(ReplayReason::Topology),
        None => Err(ReplayReason::Lost),
    }
}

/// Whether the commit or the state is of a topic that is no more.
fn is_recreated(local: Option<&TaskState>, committed: &Committed, log: &LogFacts) -> bool {
    let committed_to = match committed {
        Committed::Ours(progress) => progress.log,
        Committed::Reset(_) | Committed::None => None,
    };
    let logs = [committed_to, local.and_then(|state| state.log)];
    logs.into_iter().any(|former| !is_same_log(former, log.id))
}

/// Whether the local state is good and has every end of an upload that matters, so that nobody else is asked: the newest commit was made
/// with it. One that is ahead may not have what others have said, and neither may one that another process has committed after, even if
/// no record came in between.
pub fn is_complete(local: Option<&TaskState>, topology_hash: &str, committed: &Committed, log: &LogFacts) -> bool {
    let Ok(state) = believe(local, topology_hash, committed, log) else { return false };
    let is_of_commit = match committed {
        Committed::Ours(progress) => progress.next == state.offset && progress.commits() == Some(state.commits),
        Committed::Reset(_) | Committed::None => false,
    };
    // At least once, more may have been said than was committed, of records that are gone since.
    is_of_commit && (log.start..=log.end).contains(&state.offset)
}

/// Decides how a task starts.
///
/// `local` is the task's own record of its state, `topology_hash` that of the topology about to run, `committed` what the group says, `log`
/// what the cluster says, `ledger` the terminal status records of this task (only asked for when the state does not remember them).
pub fn plan(
    local: Option<&TaskState>,
    topology_hash: &str,
    committed: &Committed,
    log: &LogFacts,
    ledger: &[LedgerEntry],
) -> RecoveryPlan {
    let log_start = log.start;
    let local = believe(local, topology_hash, committed, log);
    let committed = of_log(committed, log);
    if let (Committed::Ours(progress), Some(cut)) = (committed, log.cut_at) {
        let replay_from = progress.replay_from.min(cut).max(log_start);
        return RecoveryPlan::Rebuild { replay_from, emit_from: cut, reason: Some(ReplayReason::Truncated) };
    }
    match (committed, local) {
        (Committed::Reset(offset), _) => {
            RecoveryPlan::Rebuild { replay_from: *offset, emit_from: *offset, reason: Some(ReplayReason::Reset) }
        }
        (Committed::Ours(progress), Ok(state)) => {
            // Another instance went on meanwhile, and its open uploads all begin later than what we would read again.
            if state.offset < progress.next && state.restore_from < progress.replay_from {
                RecoveryPlan::Rebuild {
                    replay_from: progress.replay_from,
                    emit_from: progress.next,
                    reason: Some(ReplayReason::Overtaken),
                }
            } else {
                RecoveryPlan::Resume {
                    restore_from: state.restore_from,
                    position: state.offset,
                    emit_from: progress.next,
                }
            }
        }
        (Committed::Ours(progress), Err(reason)) => {
            let reason = Some(reason);
            RecoveryPlan::Rebuild { replay_from: progress.replay_from, emit_from: progress.next, reason }
        }
        (Committed::None, Ok(state)) => {
            RecoveryPlan::Resume { restore_from: state.restore_from, position: state.offset, emit_from: state.offset }
        }
        // Everything up to the newest completion was processed, or its status would not be there.
        (Committed::None, Err(reason)) => {
            let ends = ledger.iter().filter(|entry| !entry.is_of_former_log());
            let processed = ends.map(|entry| entry.completion_offset.next()).max();
            RecoveryPlan::Rebuild {
                replay_from: log_start,
                emit_from: processed.unwrap_or(log_start).min(log.end).max(log_start),
                reason: Some(reason).filter(|reason| *reason == ReplayReason::Recreated || processed.is_some()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Accounting, Outcome};
    use crate::transport::OpenUploads;

    fn state(offset: i64, restore_from: i64) -> TaskState {
        let [offset, restore_from] = [Offset(offset), Offset(restore_from)];
        TaskState {
            offset,
            commits: 0,
            restore_from,
            replay_from: restore_from,
            topology: "t".into(),
            waiting: vec![],
            log: None,
            leader_epoch: None,
            whole_from: Offset(0),
        }
    }
    fn log() -> LogFacts {
        LogFacts { start: Offset(5), end: Offset(1_000), ..LogFacts::default() }
    }
    fn ours(next: i64, replay_from: i64) -> Committed {
        Committed::Ours(Progress { next: Offset(next), replay_from: Offset(replay_from), ..Progress::default() })
    }
    fn start(local: Option<TaskState>, committed: Committed) -> (&'static str, i64, i64) {
        match plan(local.as_ref(), "t", &committed, &log(), &[]) {
            RecoveryPlan::Resume { restore_from, emit_from, .. } => ("resume", restore_from.0, emit_from.0),
            RecoveryPlan::Rebuild { replay_from, emit_from, .. } => ("rebuild", replay_from.0, emit_from.0),
        }
    }

    #[test]
    fn state_is_resumed_when_it_is_as_new_as_the_commit() {
        assert_eq!(start(Some(state(100, 90)), ours(100, 20)), ("resume", 90, 100));
    }

    #[test]
    fn state_ahead_of_the_commit_is_resumed() {
        assert_eq!(start(Some(state(120, 90)), ours(100, 20)), ("resume", 90, 100));
    }

    #[test]
    fn state_ahead_of_the_commit_is_dropped_when_the_log_was_cut_below_it() {
        let cut = LogFacts { end: Offset(110), ..log() };
        let reason = Some(ReplayReason::Truncated);
        let rebuild = |replay_from, emit_from| RecoveryPlan::Rebuild { replay_from, emit_from, reason };
        let start = |committed| plan(Some(&state(120, 90)), "t", &committed, &cut, &[]);
        assert_eq!(start(ours(100, 20)), rebuild(Offset(20), Offset(100)));
        assert!(matches!(start(ours(120, 20)), RecoveryPlan::Resume { .. }), "the leader epoch of the commit decides");
    }

    #[test]
    fn state_of_records_that_were_cut_off_is_dropped_wherever_the_commit_is() {
        let cut = LogFacts { state_is_cut: true, ..log() };
        let reason = Some(ReplayReason::Truncated);
        for next in [100, 120, 500] {
            let plan = plan(Some(&state(120, 90)), "t", &ours(next, 20), &cut, &[]);
            let rebuild = RecoveryPlan::Rebuild { replay_from: Offset(20), emit_from: Offset(next), reason };
            assert_eq!(plan, rebuild);
        }
    }

    #[test]
    fn state_that_others_overtook_is_resumed_while_it_saves_reading() {
        assert_eq!(start(Some(state(80, 70)), ours(100, 20)), ("resume", 70, 100));
        assert_eq!(start(Some(state(80, 70)), ours(500, 490)), ("rebuild", 490, 500));
    }

    #[test]
    fn lost_state_is_rebuilt_from_the_oldest_open_upload() {
        assert_eq!(start(None, ours(100, 20)), ("rebuild", 20, 100));
    }

    #[test]
    fn state_of_another_topology_is_rebuilt() {
        let mut local = state(100, 90);
        local.topology = "other".into();
        assert_eq!(start(Some(local), ours(100, 20)), ("rebuild", 20, 100));
    }

    #[test]
    fn a_reset_offset_beats_the_state() {
        assert_eq!(start(Some(state(100, 90)), Committed::Reset(Offset(7))), ("rebuild", 7, 7));
    }

    #[test]
    fn an_expired_commit_leaves_the_state_in_charge() {
        assert_eq!(start(Some(state(100, 90)), Committed::None), ("resume", 90, 100));
    }

    #[test]
    fn nothing_of_a_former_log_counts_in_a_topic_that_was_made_anew() {
        let (former, today) = (Some(LogId([1; 16])), LogFacts { id: Some(LogId([2; 16])), ..log() });
        let local = TaskState { log: former, ..state(100, 90) };
        let Committed::Ours(progress) = ours(100, 20) else { unreachable!("as made") };
        let committed = Committed::Ours(Progress { log: former, ..progress });
        let expected = |reason| RecoveryPlan::Rebuild { replay_from: Offset(5), emit_from: Offset(5), reason };
        let recreated = expected(Some(ReplayReason::Recreated));
        for (local, committed) in [(Some(&local), &committed), (None, &committed), (Some(&local), &Committed::None)] {
            assert_eq!(plan(local, "t", committed, &today, &[]), recreated);
        }
        let same = LogFacts { id: former, ..log() };
        assert!(matches!(plan(Some(&local), "t", &committed, &same, &[]), RecoveryPlan::Resume { .. }));
    }

    #[test]
    fn a_state_is_complete_only_if_it_is_resumed() {
        let (former, today) = (Some(LogId([1; 16])), LogFacts { id: Some(LogId([2; 16])), ..log() });
        let local = TaskState { log: today.id, ..state(100, 90) };
        let Committed::Ours(progress) = ours(100, 20) else { unreachable!("as made") };
        let of = |log| Committed::Ours(Progress { log, ..progress.clone() });
        let cut = LogFacts { cut_at: Some(Offset(40)), ..today };
        for (committed, log, complete) in [
            (of(today.id), today, true),
            (ours(50, 20), today, false),
            (of(former), today, false),
            (of(today.id), cut, false),
            (Committed::None, today, false),
            (Committed::Reset(Offset(50)), today, false),
        ] {
            assert_eq!(is_complete(Some(&local), "t", &committed, &log), complete, "{committed:?} {log:?}");
            let plan = plan(Some(&local), "t", &committed, &log, &[]);
            assert!(!complete || matches!(plan, RecoveryPlan::Resume { .. }), "{plan:?}");
        }
        assert!(!is_complete(Some(&local), "other", &of(today.id), &today));
        let older = TaskState { offset: Offset(40), ..local.clone() };
        assert!(!is_complete(Some(&older), "t", &of(today.id), &today));
    }

    #[test]
    fn a_state_is_complete_only_if_the_newest_commit_was_made_with_it() {
        let commit = |commits| {
            let Committed::Ours(progress) = ours(100, 20) else { unreachable!("as made") };
            let work = Work::Uploads { commits, whole_from: Offset(0), open: OpenUploads::default() };
            Committed::Ours(Progress { work, ..progress })
        };
        let local = TaskState { commits: 7, ..state(100, 90) };
        let is_complete = |commits| is_complete(Some(&local), "t", &commit(commits), &log());
        assert_eq!([is_complete(6), is_complete(7), is_complete(8)], [false, true, false]);
        let next = |local, committed| commits(local, &committed);
        assert_eq!(
            [next(Some(&local), commit(9)), next(Some(&local), Committed::None), next(None, commit(9))],
            [9, 7, 9]
        );
    }

    #[test]
    fn a_log_that_was_cut_is_replayed_up_to_the_cut_and_counts_from_there() {
        let cut = LogFacts { cut_at: Some(Offset(60)), ..log() };
        let RecoveryPlan::Rebuild { replay_from, emit_from, reason } =
            plan(Some(&state(100, 90)), "t", &ours(100, 20), &cut, &[])
        else {
            panic!("state of records that are gone")
        };
        assert_eq!((replay_from, emit_from, reason), (Offset(20), Offset(60), Some(ReplayReason::Truncated)));
    }

    #[test]
    fn what_a_log_lost_before_it_was_read_is_remembered() {
        let cut = LogFacts { start: Offset(5), end: Offset(80), ..LogFacts::default() };
        assert_eq!(whole_from(None, &Committed::None, &cut), Offset(80));
        assert_eq!(whole_from(None, &Committed::None, &LogFacts { start: Offset(0), ..cut }), Offset(0));
        let is_reset = |to| whole_from(None, &Committed::Reset(Offset(to)), &LogFacts { start: Offset(0), ..cut });
        assert_eq!((is_reset(0), is_reset(7)), (Offset(0), Offset(80)));
        let Committed::Ours(progress) = ours(100, 20) else { unreachable!("as made") };
        let committed = {
            let work = Work::Uploads { commits: 3, whole_from: Offset(60), open: OpenUploads::default() };
            Committed::Ours(Progress { work, ..progress })
        };
        assert_eq!(whole_from(None, &committed, &cut), Offset(60));
        let local = TaskState { whole_from: Offset(70), ..state(100, 90) };
        assert_eq!(whole_from(Some(&local), &committed, &cut), Offset(70));
    }

    #[test]
    fn nothing_at_all_starts_at_the_log_start() {
        assert_eq!(start(None, Committed::None), ("rebuild", 5, 5));
    }

    #[test]
    fn the_ledger_silences_what_was_published_before_everything_was_lost() {
        let entry = LedgerEntry {
            id: "a".into(),
            outcome: Outcome::Published,
            revision: 1,
            first_offset: Offset(6),
            completion_offset: Offset(40),
            rows_sha256: None,
            topology: "t".into(),
            is_rest: false,
            taken: 0,
            accounting: Accounting::default(),
            leader_epoch: None,
            header: None,
            crs: None,
            cuts: None,
        };
        let RecoveryPlan::Rebuild { replay_from, emit_from, .. } = plan(None, "t", &Committed::None, &log(), &[entry])
        else {
            panic!("no state to resume")
        };
        assert_eq!((replay_from, emit_from), (Offset(5), Offset(41)));
    }
}

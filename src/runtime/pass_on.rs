//! The task of one source partition under `placement = "spread"`: passes its records on to the repartition topic, and reports how far it
//! has come. It has no state but its offset.

use std::sync::Arc;

use crate::kafka::partitioner::partition_for_key;
use crate::metrics::{TaskMetrics, TaskMoment, TaskNames, Unusable, commit_failures};
use crate::record::{LogId, Offset, TaskId, TopicPartition};
use crate::runtime::task::TaskError;
use crate::sink::dead_letter::DeadLetter;
use crate::source::spread::Router;
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, OutRecord, Outbox, Progress, TransportError, Work};

/// The present ends of all partitions of the source topic.
pub(super) type Ends = Box<dyn FnMut() -> Result<Vec<i64>, TransportError> + Send>;

/// The facts that a task that passes on needs before it reads.
pub(super) struct PassOnStart {
    /// The commit, from the group's coordinator.
    pub(super) committed: Committed,
    /// First offset of the log, and its end.
    pub(super) bounds: (Offset, Offset),
    /// The log of today, if it has an id.
    pub(super) log: Option<LogId>,
    /// Where the log was cut below the committed offset, if it was.
    pub(super) cut_at: Option<Offset>,
    /// The repartition topic of today, and its partitions.
    pub(super) to: (Option<LogId>, i32),
    /// The membership under which the task is ours.
    pub(super) fence: Fence,
    /// Milliseconds since 1970.
    pub(super) now_ms: i64,
}

/// Passes the records of one source partition on.
pub(super) struct PassOn {
    source: TopicPartition,
    topology: Arc<Topology>,
    router: Router,
    outbox: Box<dyn Outbox>,
    ends: Ends,
    fence: Fence,
    /// First record that is not passed on.
    position: Offset,
    /// No record below is passed on again.
    committed: Offset,
    committed_progress: Option<Progress>,
    log: Option<LogId>,
    leader_epoch: Option<i32>,
    era: i64,
    /// The repartition topic's log, and its partitions: part of every commit.
    to: (Option<LogId>, u32),
    metrics: TaskMetrics,
}

/// A number for a log that JSON keeps as it is.
fn number_of(log: Option<LogId>) -> i64 {
    let head = log.and_then(|log| log.0.first_chunk::<8>().copied()).map_or(0, u64::from_be_bytes);
    i64::try_from(head >> 11).unwrap_or_default()
}

impl PassOn {
    /// The task; it reads from [`PassOn::position`] on.
    pub(super) fn start(
        id: TaskId,
        source: TopicPartition,
        topology: Arc<Topology>,
        (outbox, ends): (Box<dyn Outbox>, Ends),
        start: PassOnStart,
    ) -> Result<PassOn, TransportError> {
        let (log_start, log_end) = start.bounds;
        let (log, to) = (number_of(start.log), (start.to.0, start.to.1.unsigned_abs()));
        let gone = (log_start > Offset(0)).then_some((Offset(0)..log_start, log_end));
        let before = match &start.committed {
            Committed::Ours(Progress { work: Work::Repartition { to, partitions, era }, .. }) => {
                (*to, *partitions, *era)
            }
            _ => (None, 0, 0),
        };
        // Records that were passed on from another log, or behind a cut, do not count any more; nor do they after a reset of the offset.
        let (next, era, lost) = match (&start.committed.within(log_end), start.cut_at) {
            // What was passed on of a former topic under this name, nobody knows.
            (Committed::None, _) => (log_start, 0, gone.or(Some((Offset(0)..Offset(0), Offset(0))))),
            (Committed::Reset(offset), _) => {
                let next = (*offset).max(log_start);
                // Uploads that begin behind it may have lost their first rows. What of others it skips shows at the other end.
                (next, start.now_ms, (next > Offset(0)).then_some((next..next, log_end)))
            }
            (Committed::Ours(progress), _) if progress.log != start.log => {
                (log_start, 0, Some((Offset(0)..progress.next, Offset(0))))
            }
            // Records that were passed on are gone with the former repartition topic.
            (Committed::Ours(progress), _) if progress.open().is_some() || before.0 != to.0 => {
                (log_start, before.2, gone)
            }
            (Committed::Ours(_), _) if before.1 != to.1 => {
                let (topic, before, now) = (topology.source.upload_topic(), before.1, to.1);
                let message = format!(
                    "{topic} had {before} partitions and has {now}, so that uploads would be in parts: `sheetstream reset` passes all rows on again"
                );
                return Err(TransportError::Topic(message));
            }
            (Committed::Ours(progress), Some(cut)) => (cut, start.now_ms, Some((cut..progress.next, cut))),
            (Committed::Ours(progress), None) if progress.next < log_start => {
                (log_start, before.2, Some((progress.next..log_start, log_end)))
            }
            (Committed::Ours(progress), None) => (progress.next, before.2, None),
        };
        let config = Arc::new(topology.source.clone());
        let mut router = Router::new(config, source.clone(), (log, era), start.to.1, partition_for_key);
        if let Some((lost, end)) = lost {
            router.lose(lost, end);
        }
        let names = TaskNames {
            source: &topology.source.node,
            maps: vec![],
            aggregate: &topology.aggregate.node,
            sink: &topology.sink.node,
        };
        Ok(PassOn {
            metrics: TaskMetrics::counted(&id, &source, &names, Some(next)),
            source,
            topology,
            router,
            outbox,
            ends,
            fence: start.fence,
            position: next,
            committed: next,
            committed_progress: None,
            log: start.log,
            leader_epoch: None,
            era,
            to,
        })
    }

    /// First record that is not passed on.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// The task commits under this fence from now on.
    pub(super) fn set_fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    /// Passes the records of one fetch on.
    pub(super) fn process(&mut self, fetched: Fetched) -> Result<(), TaskError> {
        self.log = fetched.log_of(&self.source, self.log)?;
        let end = fetched.high_watermark.max(fetched.next);
        let last_ms = fetched.records.last().map(|record| record.timestamp_ms);
        self.metrics.fetch_begins(fetched.records.len(), last_ms);
        let mut out = Vec::new();
        let mut ends = None;
        let mut lost = fetched.lost.into_iter().peekable();
        for record in fetched.records {
            while let Some(lost) = lost.next_if(|lost| lost.start <= record.offset) {
                self.lose(lost, end, &mut ends, &mut out)?;
            }
            let behind = record.offset.next();
            if let Some(at) = self.router.push(record)
                && self.router.is_full(at)
            {
                out.push(self.seal(at, behind, &mut ends)?);
                if out.len() >= 8 {
                    self.outbox.publish(&mut out.drain(..))?;
                }
            }
        }
        for lost in lost {
            self.lose(lost, end, &mut ends, &mut out)?;
        }
        for (offset, rejection) in fetched.poisoned {
            self.metrics.refused(rejection.reason);
            let letter = DeadLetter::of_record(offset, &rejection);
            let topic = &self.topology.sink.dead_letter_topic;
            out.extend(self.outbox.within_limit(topic, |most| letter.to_record(topic, &self.source, most))?.ok());
        }
        self.position = self.position.max(fetched.next);
        for at in (0..self.router.partitions()).filter(|at| self.router.is_filling(*at)).collect::<Vec<_>>() {
            out.push(self.seal(at, self.position, &mut ends)?);
        }
        if !out.is_empty() {
            self.outbox.publish(&mut out.into_iter())?;
        }
        self.leader_epoch = fetched.leader_epoch;
        self.metrics.fetch_ends();
        Ok(())
    }

    fn lose(
        &mut self,
        lost: std::ops::Range<Offset>,
        end: Offset,
        ends: &mut Option<Vec<i64>>,
        out: &mut Vec<OutRecord>,
    ) -> Result<(), TaskError> {
        // Uploads that begin behind have lost nothing by it.
        for at in (0..self.router.partitions()).filter(|at| self.router.is_filling(*at)).collect::<Vec<_>>() {
            out.push(self.seal(at, lost.start, ends)?);
        }
        self.metrics.unusable(Unusable::Missing, (lost.end.0 - lost.start.0).unsigned_abs());
        self.router.lose(lost, end);
        Ok(())
    }

    /// The run for one partition. Where the topic ends is asked once a fetch, after all of its records were read.
    fn seal(&mut self, at: usize, to: Offset, ends: &mut Option<Vec<i64>>) -> Result<OutRecord, TaskError> {
        let barrier = match self.router.has_end(at) {
            false => vec![],
            true => match ends {
                Some(ends) => ends.clone(),
                None => ends.insert((self.ends)()?).clone(),
            },
        };
        Ok(OutRecord {
            topic: self.topology.source.upload_topic().clone(),
            partition: i32::try_from(at).ok(),
            key: None,
            value: self.router.seal(at, to, self.committed, barrier),
            headers: Arc::new([]),
        })
    }

    /// Writes how far it has come, and commits the offset.
    pub(super) fn commit(&mut self) -> Result<(), TaskError> {
        let progress = Progress {
            next: self.position,
            replay_from: self.position,
            log: self.log,
            leader_epoch: self.leader_epoch,
            work: Work::Repartition { to: self.to.0, partitions: self.to.1, era: self.era },
        };
        let owed: Vec<usize> =
            (0..self.router.partitions()).filter(|at| self.router.owes(*at, self.position)).collect();
        if owed.is_empty() && self.committed_progress.as_ref() == Some(&progress) {
            return Ok(());
        }
        let committed = self.say(owed).and_then(|()| {
            fail::fail_point!("pass-on-before-offset");
            Ok(self.outbox.commit(&self.source, &progress, &self.fence)?)
        });
        if let Err(error) = &committed {
            commit_failures(error.code()).inc();
        }
        committed?;
        (self.committed, self.committed_progress) = (progress.next, Some(progress));
        Ok(())
    }

    fn say(&mut self, owed: Vec<usize>) -> Result<(), TaskError> {
        let mut out = Vec::new();
        for at in owed {
            out.push(self.seal(at, self.position, &mut None)?);
        }
        Ok(self.outbox.publish(&mut out.into_iter())?)
    }

    /// Reports the state of the task to the metrics.
    pub(super) fn report_metrics(&mut self, (log_start, end): (Offset, Option<Offset>), buffered_bytes: usize) {
        self.metrics.report(TaskMoment {
            committed: self.committed_progress.as_ref().map(|committed| committed.next),
            position: self.position,
            replay_from: self.position,
            log_start,
            end,
            state_bytes: 0,
            buffered_bytes: buffered_bytes as u64,
            pages_cut: 0,
            rows_waiting: 0,
            uploads: [0; 4],
            oldest_upload_age_ms: None,
        });
    }
}

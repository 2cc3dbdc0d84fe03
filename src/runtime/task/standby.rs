//! A task behind the one that owns its partition: it reads what the owner has committed, keeps its state up to date, and says nothing. It
//! is a replay without an end: each commit of the owner moves the end of the replay, and taking over is reading the rest.

use tracing::info;

use super::metrics as task_metrics;
use super::sought::Sought;
use super::{StreamTask, TaskError, TaskStart};
use crate::record::{LedgerEntry, Offset};
use crate::runtime::ledger::Statuses;
use crate::transport::{Committed, Outbox, Progress, Work};

impl StreamTask {
    /// Whether a standby can be behind this commit: it was made by an owner, of the log that is read, and nothing was read beyond it.
    pub fn is_behind(&self, committed: &Committed) -> bool {
        match committed {
            Committed::Ours(progress) => {
                progress.open().is_some() && progress.log == self.log && self.position <= progress.next
            }
            Committed::Reset(_) | Committed::None => false,
        }
    }

    /// The ends that the status topic has named, of uploads that this task has not read to their ends.
    pub fn ends_ahead(&self) -> Vec<LedgerEntry> {
        self.aggregate.ends_ahead(self.position)
    }

    /// The owner has committed `progress`, which the standby is behind. `ends` are what the status topic has got since the last call: all
    /// uploads that had ended by then are among them.
    pub fn follow(
        &mut self,
        progress: &Progress,
        log_start: Offset,
        ends: Vec<LedgerEntry>,
        now_ms: u64,
    ) -> Result<(), TaskError> {
        self.follow_ledger(ends, log_start, now_ms)?;
        if let Work::Uploads { commits, whole_from, open } = &progress.work {
            self.commits = *commits;
            self.aggregate.doubt_below(*whole_from);
            self.sought = Some(Sought::many(open.count));
        }
        self.named_below = progress.next;
        self.phase = self.phase.follow(self.read_from, progress.next);
        self.finish_read(self.read_from)
    }

    /// Takes up ends from the status topic, of a log that begins at `log_start`. An upload that had ended below the position is open no longer.
    pub(super) fn follow_ledger(
        &mut self,
        ends: Vec<LedgerEntry>,
        log_start: Offset,
        now_ms: u64,
    ) -> Result<(), TaskError> {
        let waiting: Vec<_> = self.source.waiting_uploads().map(|(id, first)| (id.clone(), first)).collect();
        let mut over = Vec::new();
        // What is still being restored is a state as of that position: its ledger never goes back.
        let position = self.position;
        self.call_aggregate(now_ms, |aggregate, ctx| {
            over = aggregate.follow_ledger(ends, (log_start, position), &waiting, ctx)?;
            Ok(())
        })?;
        over.iter().for_each(|upload| self.source.forget(upload));
        self.drain(now_ms)?;
        self.forget_closed();
        Ok(())
    }

    /// Becomes the owner of a partition whose commit the standby is behind: starts as `start` says, and writes to `outbox`.
    pub fn take_over(
        mut self,
        outbox: Box<dyn Outbox>,
        start: TaskStart,
        statuses: Statuses,
    ) -> Result<StreamTask, TaskError> {
        let metrics = task_metrics::of(&self.id, &self.partition, &self.topology, Some(&start.committed));
        self.outputs.take_over(outbox, metrics);
        self.outputs.set_log(self.log);
        if let Committed::Ours(progress) = &start.committed {
            let records = progress.next.0 - self.position.0;
            info!(task = %self.id, position = %self.position, records, "taking over from the standby");
            // The log may have lost records before this standby had read them.
            let sought = Sought::of(&start.committed, &start.facts(), statuses.open, &statuses.ends);
            self.follow(progress, start.log_start, statuses.ends, 0)?;
            self.sought = Some(sought);
            self.finish_read(self.read_from)?;
        }
        (self.fence, self.committed_progress) = (start.fence, None);
        self.aggregate.join(start.siblings);
        start.partition_count.into_iter().for_each(|count| self.set_partition_count(count));
        Ok(self)
    }

    /// Makes the state so far durable, and commits nothing. A state that is still being restored stays as it is, and so does one that others
    /// would have to complete.
    pub fn keep(&mut self) -> Result<(), TaskError> {
        let progress = self.progress();
        if self.phase.is_restoring() || self.lacks_some || self.committed_progress.as_ref() == Some(&progress) {
            return Ok(());
        }
        let batch = self.state_batch(&progress)?;
        self.store.commit(batch)?;
        self.aggregate.take_finished(&mut self.finished);
        self.committed_progress = Some(progress); // by the owner
        Ok(())
    }
}

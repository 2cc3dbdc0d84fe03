//! How a task commits: its outputs, its state and its offset, in the order that a crash cannot harm.

use std::time::Instant;

use crate::metrics::{commit_duration, commit_failures};
use crate::source::spread::Gather;
use crate::state::WriteBatch;
use crate::state::keys::{self, StateKey, TaskState};
use crate::transport::{OpenUploads, Progress, Work};

use super::spread::with_held;
use super::{StreamTask, TaskError};

impl StreamTask {
    /// Makes everything so far durable (contract 17): outputs acknowledged, then the state, then the Kafka offset; in a transaction outputs
    /// and offset, then the state. Uploads that ended are deleted from the state by the commit after that.
    pub fn commit(&mut self) -> Result<(), TaskError> {
        if !self.phase.is_live() {
            return Ok(()); // nothing new has been read, and a commit never goes back
        }
        if self.sought.is_some() {
            return Ok(()); // a state that is as new as the commit seeks nothing
        }
        self.name_open()?;
        self.outputs.publish()?;
        let progress = self.progress();
        let has_news = self.commit_due() || self.outputs.is_hinted();
        if self.committed_progress.as_ref() == Some(&progress) && self.finished.entries.is_empty() && !has_news {
            return Ok(());
        }
        let begun = Instant::now();
        let durable = self.make_durable(progress);
        commit_duration().observe(begun.elapsed().as_secs_f64());
        if let Err(error) = &durable {
            commit_failures(error.code()).inc();
        }
        durable
    }

    /// A state that is built again from the log gets what would be too much to hold until its first commit. Before that it does not say of
    /// what topology it is, so that a start in between throws it away.
    pub(super) fn save_part(&mut self) -> Result<(), TaskError> {
        let commits = self.phase.is_live() && self.sought.is_none();
        if commits || !self.aggregate.is_heavy() || !self.store.scan(&StateKey::Task.encode())?.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        self.aggregate.write_state(self.position, &mut *self.store, &mut batch)?;
        self.aggregate.take_finished(&mut batch);
        Ok(self.store.commit(batch)?)
    }

    /// Says of each upload that this commit leaves open, and the one before did not, that it is: a process that has neither the state nor
    /// the records knows by it what it misses.
    fn name_open(&mut self) -> Result<(), TaskError> {
        if self.named_below == self.position || !self.outputs.is_vouched_for() {
            return Ok(());
        }
        let waiting: Vec<_> = self.source.waiting_uploads().map(|(id, first)| (id.clone(), first)).collect();
        let (since, outputs) = (self.named_below, &mut self.outputs);
        for status in self.aggregate.begun(since, &waiting, &*self.store)? {
            outputs.name(with_held(status, self.gather.as_ref()))?;
        }
        self.named_below = self.position;
        Ok(())
    }

    /// The state as of now, and what it no longer needs.
    pub(super) fn state_batch(&mut self, progress: &Progress) -> Result<WriteBatch, TaskError> {
        let mut batch = std::mem::take(&mut self.finished);
        batch.ends_uploads = self.aggregate.has_finished();
        batch.drop_segments.extend(self.gather.as_mut().map_or_else(Vec::new, Gather::take_dropped));
        self.aggregate.write_state(self.position, &mut *self.store, &mut batch)?;
        let unread = self.aggregate.restore_from().into_iter().chain(self.source.oldest_waiting()).min();
        let state = TaskState {
            offset: self.position,
            commits: self.commits,
            restore_from: unread.unwrap_or(self.position),
            replay_from: progress.replay_from,
            topology: self.topology.hash.to_string(),
            waiting: self.source.waiting_uploads().map(|(id, from)| (id.as_str().to_owned(), from)).collect(),
            log: self.log,
            leader_epoch: self.leader_epoch,
            whole_from: self.aggregate.whole_from(),
        };
        // Once a commit, in release builds too: a state that could not be restored must not be written.
        assert!(
            state.restore_from <= state.offset && state.replay_from <= state.offset,
            "a commit goes back: {state:?}"
        );
        batch.put(StateKey::Task.encode(), keys::encode(&state));
        Ok(batch)
    }

    fn make_durable(&mut self, progress: Progress) -> Result<(), TaskError> {
        fail::fail_point!("task-before-state");
        self.commits += 1;
        let progress = progress.numbered(self.commits);
        let batch = self.state_batch(&progress)?;
        if self.outputs.is_transactional() {
            // State that is behind the commit catches up silently; state that is ahead of it would take outputs for sent that never
            // counted.
            self.outputs.commit(&progress, &self.fence)?;
            fail::fail_point!("task-after-offset");
            self.store.commit(batch)?;
        } else {
            self.store.commit(batch)?;
            fail::fail_point!("task-before-offset");
            self.outputs.commit(&progress, &self.fence)?;
            fail::fail_point!("task-after-offset");
        }
        self.aggregate.take_finished(&mut self.finished);
        self.aggregate.committed();
        self.committed_progress = Some(progress);
        Ok(())
    }

    /// The commit as of now.
    pub fn progress(&self) -> Progress {
        let open = self.aggregate.replay_from().into_iter().chain(self.source.oldest_waiting());
        let held = self.gather.as_ref().and_then(Gather::replay_from);
        let open = open.chain(held).chain(self.awaited.replay_from()).min();
        Progress {
            next: self.position,
            replay_from: open.unwrap_or(self.position).min(self.position),
            log: self.log,
            leader_epoch: self.leader_epoch,
            work: Work::Uploads {
                commits: self.commits,
                whole_from: self.aggregate.whole_from(),
                open: OpenUploads::new(self.open_count(), self.aggregate.placed_uploads().into_iter()),
            },
        }
    }

    /// Open uploads, and those whose rows wait for a header.
    pub(super) fn open_count(&self) -> u32 {
        let count = self.aggregate.open_uploads() + self.source.waiting_uploads().count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

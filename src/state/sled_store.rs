//! The state of one task on disk: small values in the shared index, page bytes in segments of its own.

use std::path::PathBuf;
use std::sync::Arc;

use super::held::HeldDirectory;
use super::index_writer::Commit;
use super::keys::{IndexKey, TaskHash};
use super::segment::Segments;
use super::sled::{Changes, TaskChanges};
use super::{Entry, IdFilter, PagePosition, RebuildReason, StateError, StateStore, WriteBatch, ended_in};
use crate::record::UploadHash;

/// One task's share of a [`super::StateDir`].
#[derive(Debug)]
pub struct SledStore {
    held: Arc<HeldDirectory>,
    task: TaskHash,
    fingerprint: String,
    epoch: u64,
    segments: Segments,
    /// Uploads whose ends the state has, as found when it was opened; `None` once that has changed.
    ended: Option<IdFilter>,
}

impl SledStore {
    pub(super) fn open(
        held: Arc<HeldDirectory>,
        task: TaskHash,
        pages: PathBuf,
        fingerprint: &str,
    ) -> Result<SledStore, StateError> {
        let segments = Segments::empty(pages, held.files.clone());
        let mut store = SledStore { held, task, fingerprint: fingerprint.to_owned(), epoch: 0, segments, ended: None };
        if store.held.distrusted.take(task) {
            store.clear()?;
            return Ok(store);
        }
        match store.restore() {
            Err(StateError::Damaged(what)) => {
                store.held.rebuilds.count(RebuildReason::Damaged, &what);
                store.clear()?;
            }
            Ok(Some(other)) if other != fingerprint => {
                store.held.rebuilds.count(RebuildReason::Topology, &format!("made by {other}, not {fingerprint}"));
                store.clear()?;
            }
            restored => drop(restored?),
        }
        Ok(store)
    }

    /// Checks what is there and gives its fingerprint.
    fn restore(&mut self) -> Result<Option<String>, StateError> {
        let task = self.task;
        let (index, epoch) = self.held.thread.call(move |writer| writer.task(task))?;
        self.epoch = epoch;
        self.segments.restore(index.segments)?;
        self.ended = Some(index.ended);
        Ok(index.fingerprint)
    }

    /// Everything between the last commit and now, as one atomic change.
    fn changes(&self, batch: WriteBatch) -> Commit {
        let mut changes = Changes::new();
        let mut bytes = 0;
        for (key, value) in batch.entries {
            bytes += (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
            changes.insert(IndexKey::Value(&key).encode(self.task), value);
        }
        let mut segments = Vec::new();
        let mut births = None;
        for dirty in self.segments.dirty().filter(|dirty| !batch.drop_segments.contains(&dirty.upload)) {
            let key = IndexKey::Segment(dirty.upload).encode(self.task);
            changes.insert(key, Some(dirty.length.to_be_bytes().to_vec()));
            segments.push(dirty.path);
            births = births.or_else(|| dirty.born.then(|| self.segments.dir().to_owned()));
        }
        for upload in &batch.drop_segments {
            changes.insert(IndexKey::Segment(*upload).encode(self.task), None);
        }
        let changes = TaskChanges { task: self.task, fingerprint: self.fingerprint.clone(), changes };
        let frees = batch.ends_uploads || !batch.drop_segments.is_empty();
        Commit { epoch: self.epoch, changes, segments, births, bytes, frees }
    }

    /// Damage is counted where it is found; what follows is up to the task, which clears the state and replays, or ends.
    fn noticed<T>(&self, result: Result<T, StateError>) -> Result<T, StateError> {
        if let Err(StateError::Damaged(what)) = &result {
            self.held.rebuilds.count(RebuildReason::Damaged, what);
        }
        result
    }
}

impl StateStore for SledStore {
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StateError> {
        let (epoch, task, prefix) = (self.epoch, self.task, prefix.to_vec());
        self.noticed(self.held.thread.call(move |writer| writer.scan(epoch, task, &prefix)))
    }

    fn ended(&mut self) -> Result<IdFilter, StateError> {
        match self.ended.take() {
            Some(ended) => Ok(ended),
            None => ended_in(self),
        }
    }

    fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError> {
        let appended = self.segments.append(upload, page);
        self.noticed(appended)
    }

    fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
        let read = self.segments.read(upload, at, into);
        if let Err(StateError::Damaged(_)) = &read {
            self.held.distrusted.add(self.task);
        }
        self.noticed(read)
    }

    fn commit(&mut self, batch: WriteBatch) -> Result<(), StateError> {
        self.ended = None;
        let finished = batch.drop_segments.clone();
        let commit = self.changes(batch);
        self.noticed(self.held.thread.commit(commit))?;
        self.segments.committed();
        fail::fail_point!("state-before-unlink");
        finished.into_iter().for_each(|upload| self.segments.remove(upload));
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StateError> {
        self.ended = None;
        let task = self.task;
        self.epoch = self.held.thread.call(move |writer| writer.clear(task))?;
        self.segments.clear()
    }

    fn bytes(&self) -> u64 {
        self.segments.bytes()
    }
}

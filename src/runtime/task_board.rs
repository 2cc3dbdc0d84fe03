//! The tasks that this process has at work, for those who ask how it is: its own, and the standbys of others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::{Offset, TaskId};

/// What a task does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The partition is ours.
    Active,
    /// Another member owns it, and we keep its state up to date.
    Standby,
}

/// A task at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// What it does.
    pub role: Role,
    /// First record that is not processed.
    pub position: Offset,
    /// End of the partition, once it was read from.
    pub end: Option<Offset>,
}

impl AtWork {
    /// Records between its position and the end.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end.0 - self.position.0).max(0))
    }
}

/// What each task reported last.
#[derive(Debug, Default)]
pub struct TaskBoard(Mutex<BTreeMap<TaskId, AtWork>>);

impl TaskBoard {
    /// A task is so far.
    pub(super) fn note(&self, id: &TaskId, at_work: AtWork) {
        self.tasks().insert(id.clone(), at_work);
    }

    /// A task is no longer at work here.
    pub(super) fn forget(&self, id: &TaskId) {
        self.tasks().remove(id);
    }

    /// The tasks of a topology, in the order of their ids.
    pub fn of(&self, topology: &str) -> Vec<(TaskId, AtWork)> {
        let tasks = self.tasks();
        let ours = tasks.iter().filter(|(id, _)| *id.topology == *topology);
        ours.map(|(id, at_work)| (id.clone(), *at_work)).collect()
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, AtWork>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

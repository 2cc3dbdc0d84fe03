//! Interactive queries, as in Kafka Streams: any thread may ask the tasks of this process for their state. The stream thread answers
//! between two fetches, so that nothing is locked, and no query sees work that is half done.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::{TaskId, UploadId};
use crate::runtime::stream_thread::QuerySender;
use crate::runtime::task::StreamTask;
use crate::sink::preview::Preview;
use crate::sink::status::StatusRecord;

/// How long a thread may take to come round to a query.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the tasks of one [`Streams`](crate::runtime::streams::Streams). Clones ask the same.
#[derive(Clone, Default)]
pub struct Queries(Arc<Mutex<Option<BTreeMap<TaskId, QuerySender>>>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The streams have not started yet or have ended.
    #[error("the streams are not running")]
    NotRunning,
    /// A task did not come round to it: it waits for the broker or the disk.
    #[error("a task is busy; ask again")]
    Busy,
}

impl Queries {
    /// Every upload that is open in a task of this process, by topology, partition and id.
    pub fn uploads(&self) -> Result<Vec<StatusRecord>, QueryError> {
        let open = self.ask(None, |task| Some(task.open_uploads()))?;
        let mut open: Vec<StatusRecord> = open.into_iter().flatten().collect();
        open.sort_by(|a, b| (&a.topology, a.partition, &a.upload).cmp(&(&b.topology, b.partition, &b.upload)));
        Ok(open)
    }

    /// The first rows of an open upload; `None` when no task of this process has it open.
    pub fn preview(&self, topology: &str, upload: &str) -> Result<Option<Preview>, QueryError> {
        let upload = UploadId::new(upload);
        // State that cannot be read is noticed by the task itself, and rebuilt.
        let found = self.ask(Some(topology), move |task| task.preview(&upload).ok().flatten())?;
        Ok(found.into_iter().next())
    }

    /// What `query` makes of every task that is running, of one topology or of all.
    pub fn ask<T: Send + 'static>(
        &self,
        topology: Option<&str>,
        query: impl Fn(&mut StreamTask) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>, QueryError> {
        let query = Arc::new(query);
        let (answers, inbox) = channel();
        let mut asked = 0;
        let is_asked = |(id, _): &(&TaskId, _)| topology.is_none_or(|topology| *id.topology == *topology);
        for (_, sender) in self.tasks().as_ref().ok_or(QueryError::NotRunning)?.iter().filter(is_asked) {
            let (query, answers) = (query.clone(), answers.clone());
            sender.ask(Box::new(move |task| {
                answers.send(task.and_then(|task| query(task))).ok(); // whoever asked may have lost patience
            }));
            asked += 1;
        }
        drop(answers);
        let deadline = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        for _ in 0..asked {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(answer) => found.extend(answer),
                Err(RecvTimeoutError::Timeout) => return Err(QueryError::Busy),
                Err(RecvTimeoutError::Disconnected) => break, // the others have ended
            }
        }
        if self.tasks().is_some() { Ok(found) } else { Err(QueryError::NotRunning) }
    }

    /// From now on there is an answer.
    pub(super) fn begin(&self) {
        *self.tasks() = Some(BTreeMap::new());
    }
    /// From now on there is none.
    pub(super) fn end(&self) {
        *self.tasks() = None;
    }
    /// The thread of a task is asked from now on, or with `None` no longer.
    pub(super) fn set(&self, id: &TaskId, sender: Option<QuerySender>) {
        if let Some(tasks) = self.tasks().as_mut() {
            match sender {
                Some(sender) => tasks.insert(id.clone(), sender),
                None => tasks.remove(id),
            };
        }
    }
    fn tasks(&self) -> MutexGuard<'_, Option<BTreeMap<TaskId, QuerySender>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

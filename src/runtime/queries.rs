//! Interactive queries, as Kafka Streams has them: any thread may ask the tasks of this process how they stand. A query is answered by the
//! stream thread between two fetches, so that nothing is locked and nothing read that is half done.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
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
pub struct Queries(Arc<Mutex<Vec<QuerySender>>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The streams have not started yet or have ended.
    #[error("the streams are not running")]
    NotRunning,
    /// A thread did not come round to it: it waits for the broker or the disk.
    #[error("a stream thread is busy; ask again")]
    Busy,
}

impl Queries {
    /// Every upload that is open in a task of this process, by topology, partition and id.
    pub fn uploads(&self) -> Result<Vec<StatusRecord>, QueryError> {
        let open = self.ask(|task| Some(task.open_uploads()))?;
        let mut open: Vec<StatusRecord> = open.into_iter().flatten().collect();
        open.sort_by(|a, b| (&a.topology, a.partition, &a.upload).cmp(&(&b.topology, b.partition, &b.upload)));
        Ok(open)
    }

    /// The first rows of an open upload; `None` when no task of this process has it open.
    pub fn preview(&self, topology: &str, upload: &str) -> Result<Option<Preview>, QueryError> {
        let (topology, upload) = (topology.to_owned(), UploadId::new(upload));
        let found = self.ask(move |task| {
            let TaskId { topology: name, .. } = task.id();
            // State that cannot be read is noticed by the task itself, and rebuilt.
            if **name == *topology { task.preview(&upload).ok().flatten() } else { None }
        })?;
        Ok(found.into_iter().next())
    }

    /// What `query` makes of every task that is running.
    pub fn ask<T: Send + 'static>(
        &self,
        query: impl Fn(&mut StreamTask) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>, QueryError> {
        let query = Arc::new(query);
        let (answers, inbox) = channel();
        let mut asked = 0;
        for sender in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (query, answers) = (query.clone(), answers.clone());
            sender.ask(Box::new(move |tasks| {
                let found: Vec<T> = tasks.filter_map(|task| query(task)).collect();
                let _ = answers.send(found); // whoever asked has lost patience
            }));
            asked += 1;
        }
        drop(answers);
        if asked == 0 {
            return Err(QueryError::NotRunning);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        for _ in 0..asked {
            let answer = inbox.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            found.extend(answer.map_err(|error| match error {
                RecvTimeoutError::Timeout => QueryError::Busy,
                RecvTimeoutError::Disconnected => QueryError::NotRunning,
            })?);
        }
        Ok(found)
    }

    /// From now on these threads are asked.
    pub(super) fn set(&self, senders: Vec<QuerySender>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = senders;
    }
}

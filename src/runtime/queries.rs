//! Interactive queries, as Kafka Streams has them: any thread may ask the tasks of this process how they stand. A question is answered by the
//! stream thread between two fetches, so that nothing is locked and nothing read that is half done.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::{TaskId, UploadId};
use crate::runtime::stream_task::StreamTask;
use crate::runtime::stream_thread::Asker;
use crate::sink::preview::SheetPreview;
use crate::sink::status::StatusRecord;

/// How long a thread may take to come round to a question.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the tasks of one [`Streams`](crate::runtime::streams::Streams). Clones ask the same.
#[derive(Clone, Default)]
pub struct Queries(Arc<Mutex<Vec<Asker>>>);

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

/// What an open upload would show if it were complete now.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Preview {
    /// How it stands.
    pub status: StatusRecord,
    /// The first sheets and their first rows.
    pub sheets: Vec<SheetPreview>,
    /// How many sheets there are.
    pub sheets_total: usize,
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

    /// What `question` makes of every task that is running.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&mut StreamTask) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>, QueryError> {
        let question = Arc::new(question);
        let (answers, inbox) = channel();
        let mut asked = 0;
        for asker in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (question, answers) = (question.clone(), answers.clone());
            asker.ask(Box::new(move |tasks| {
                let found: Vec<T> = tasks.filter_map(|task| question(task)).collect();
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
    pub(super) fn set(&self, askers: Vec<Asker>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = askers;
    }
}

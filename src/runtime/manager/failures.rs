//! What fails, and when it is tried again: a task, or a topology that is in no group. A topology that fails, fails alone.

use std::sync::Arc;
use std::time::Instant;

use tracing::{error, warn};

use super::{Manager, Waiting, lose};
use crate::metrics;
use crate::record::TaskId;
use crate::runtime::error::StreamsError;
use crate::runtime::retry::{self, Retry};
use crate::runtime::task::TaskError;
use crate::topology::Topology;
use crate::transport::TransportError;

impl Manager {
    pub(super) fn on_failure(&mut self, id: TaskId, error: TaskError) -> Result<(), StreamsError> {
        self.reading.remove(&id);
        // A task that is being let go is so all the same, without a commit.
        let Some(app) = self.applications.iter_mut().find(|app| app.tasks.contains(&id)) else { return Ok(()) };
        warn!(task = %id, %error, "task failed");
        let reason = error.code();
        let failures = app.failing.get(&id).copied().unwrap_or(0);
        let Some(pause) = retry::after_task(&error, failures) else { return Err(StreamsError::Task(id, error)) };
        if matches!(error, TaskError::Transport(TransportError::Topic(_))) {
            // Brokers take the partitions of a topic that is gone away from us, and then no task of it is left to fail.
            app.has_bad_topic = true;
            self.count_at = Instant::now();
        }
        if error.concerns_topology() {
            app.failing.insert(id.clone(), failures + 1);
            self.fail(&id.topology, reason);
        }
        metrics::pauses(reason).inc();
        metrics::tasks_paused(reason).inc();
        self.retries.push(Retry { at: Instant::now() + pause, id, reason });
        Ok(())
    }

    /// The topics of a topology that runs were looked at.
    pub(super) fn on_source(&mut self, topology: &str, found: Result<i32, TransportError>) {
        let Some(app) = self.applications.iter_mut().find(|app| *app.topology.name == *topology) else { return };
        app.is_looked_at = false;
        match found {
            Ok(count) => {
                app.has_bad_topic = false;
                self.count_partitions(topology, count);
            }
            Err(error @ TransportError::Topic(_)) => {
                let name = app.topology.name.clone();
                if !std::mem::replace(&mut app.has_bad_topic, true) {
                    warn!(topology = %name, %error, "a topic cannot serve");
                }
                self.fail(&name, TaskError::from(error).code());
            }
            Err(_) => {} // its tasks find out what is wrong
        }
    }

    fn fail(&self, topology: &Arc<str>, reason: &'static str) {
        if self.parts.health.fail(topology, reason) {
            error!(%topology, reason, "the topology has FAILED and is tried again; others are not affected");
        }
    }

    /// The membership of a topology has ended.
    pub(super) fn expel(&mut self, at: usize, error: TransportError) -> Result<(), StreamsError> {
        let app = self.applications.remove(at);
        for id in app.tasks.iter().chain(&app.revoking).chain(&app.standbys) {
            lose(id, &self.threads, &mut self.reading);
        }
        self.wait(app.topology, 0, error)
    }

    /// Has a topology that is in no group tried again later.
    pub(super) fn wait(
        &mut self,
        topology: Arc<Topology>,
        failures: u32,
        error: TransportError,
    ) -> Result<(), StreamsError> {
        let pause = retry::after(&error, failures);
        let Some(pause) = pause.filter(|_| self.has_started || !self.applications.is_empty()) else {
            return Err(error.into()); // it concerns the process, or there is nothing else to do for it
        };
        warn!(topology = %topology.name, %error, "topology failed");
        self.fail(&topology.name, TaskError::from(error).code());
        self.waiting.push(Waiting { topology, at: Instant::now() + pause, failures });
        Ok(())
    }
}

//! Runs a topology on files: the same task, a file for a log, and no state that outlives the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::file::log::{FileLog, FileOutbox, SharedOutbox};
use crate::file::upload::UploadRecords;
use crate::record::{Offset, TaskId};
use crate::runtime::ledger::Statuses;
use crate::runtime::task::{Questions, StreamTask, TaskError, TaskStart};
use crate::sink::status::StatusRecord;
use crate::source::UploadFrom;
use crate::state::{InMemoryStore, StateStore};
use crate::topology::Topology;
use crate::transport::{Fetcher, Outbox, TransportError};

/// The outcome of a conversion.
#[derive(Debug)]
pub struct Converted {
    /// The status that the upload would have had over Kafka.
    pub status: StatusRecord,
    /// Refused rows by reason code.
    pub rejected: BTreeMap<String, u64>,
    /// The first refused row of each reason code, in English.
    pub first_rejected: BTreeMap<String, String>,
    /// Whether there is a workbook.
    pub has_workbook: bool,
}

/// Runs `topology` on one upload and writes its workbook to `out`. `id` is the upload's id; `progress` gets the number of rows read so far.
pub fn convert(
    mut topology: Topology,
    id: &str,
    upload: UploadRecords,
    out: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Converted, TaskError> {
    let failed =
        |error: std::io::Error| TaskError::Transport(TransportError::Failed(format!("{}: {error}", out.display())));
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    topology.source.upload = UploadFrom::Key; // the file is the upload, whatever distinguishes uploads on a topic
    let sink = &topology.sink;
    let outbox = SharedOutbox::new(FileOutbox::new(out, sink.topic.clone(), sink.dead_letter_topic.clone()));
    let mut log = FileLog::new(id, upload).map_err(failed)?;
    let task = TaskId { topology: topology.name.clone(), source: None, partition: 0 };
    let ends: (Box<dyn StateStore>, Box<dyn Outbox>) =
        (Box::new(InMemoryStore::spooled(folder)), Box::new(outbox.clone()));
    let start = TaskStart { partition_count: Some(1), ..TaskStart::default() };
    let nothing_ended = Questions {
        statuses: &mut || Ok(Statuses::default()),
        leader_epoch: &mut || Ok(None),
        end_of_epoch: &mut |_| Ok(Offset(-1)),
    };
    let (mut task, _) = StreamTask::start(task, Arc::new(topology), ends, start, nothing_ended)?;
    loop {
        let fetched = log.fetch(Duration::MAX)?;
        if fetched.records.is_empty() {
            break;
        }
        task.process(fetched, 0)?;
        progress(task.rows_received());
    }
    let mut outbox = outbox.lock();
    let status = outbox.status().and_then(|status| StatusRecord::parse(status));
    let status = status.ok_or_else(|| failed(std::io::Error::other("the file ended without a result")))?;
    let (rejected, first_rejected) = (outbox.rejected().clone(), outbox.first_rejected().clone());
    let has_workbook = outbox.finish().map_err(failed)?;
    Ok(Converted { status, rejected, first_rejected, has_workbook })
}

//! Notes when the stages of a task worked on each upload, and sends the trace of an upload that has ended.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::context::{TraceContext, hex};
use super::exporter::{self, Sender};
use super::trace::{Stage, StageSpan, Trace, Value};
use crate::record::{Accounting, UploadId};

/// How an upload ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Its trace, if its records carried one.
    pub traceparent: Option<&'a str>,
    /// Its revision.
    pub revision: u32,
    /// State by its name in the status.
    pub state: &'a str,
    /// Reason code of a failure.
    pub failure: Option<&'a str>,
    /// The fates of its rows.
    pub accounting: Accounting,
}

/// The notes about an open upload, from its first rows in this process on.
#[derive(Debug)]
struct OpenTrace {
    /// Counts unless the records carry one.
    context: TraceContext,
    begun: SystemTime,
    read_to: SystemTime,
    stages: Vec<StageSpan>,
}

/// The uploads of one task. Without a collector it notes nothing.
#[derive(Debug)]
pub struct UploadTraces {
    to: Option<Sender>,
    topology: String,
    topic: String,
    open: HashMap<UploadId, OpenTrace>,
}

impl UploadTraces {
    /// For a task that reads `topic`; sends where this process sends traces.
    pub fn new(topology: &str, topic: &str) -> UploadTraces {
        let (topology, topic) = (topology.to_owned(), topic.to_owned());
        UploadTraces { to: exporter::sender(), topology, topic, open: HashMap::new() }
    }

    /// Whether anything is noted.
    pub fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Rows of an upload have come, and the maps took so long for them until now.
    pub fn rows(&mut self, upload: &UploadId, mapped: Duration) {
        if self.is_on() {
            let now = SystemTime::now();
            let begun = now.checked_sub(mapped).unwrap_or(now);
            let open = self.open.entry(upload.clone()).or_insert_with(|| OpenTrace::new(begun));
            open.read_to = open.read_to.max(begun);
            open.took(Stage::Map, mapped, now);
        }
    }

    /// A stage worked on an upload until now; one that has ended meanwhile is not begun again.
    pub fn took(&mut self, upload: &UploadId, stage: Stage, took: Duration) {
        if let Some(open) = self.open.get_mut(upload) {
            open.took(stage, took, SystemTime::now());
        }
    }

    /// The id of an upload's trace, as logs carry it.
    pub fn id(&self, upload: &UploadId, traceparent: Option<&str>) -> Option<String> {
        self.to.as_ref()?;
        let own = || self.open.get(upload).map(|open| open.context);
        traceparent.and_then(TraceContext::parse).or_else(own).map(|context| hex(&context.trace))
    }

    /// An upload has ended: its trace is sent.
    pub fn ended(&mut self, upload: &UploadId, how: Ended<'_>) {
        let Some(to) = &self.to else { return };
        let now = SystemTime::now();
        let open = self.open.remove(upload).unwrap_or_else(|| OpenTrace::new(now));
        let context = how.traceparent.and_then(TraceContext::parse).unwrap_or(open.context);
        if !context.is_sampled {
            return;
        }
        let text = |text: &str| Value::Text(text.to_owned());
        let Accounting { rows_in, written, rejected, .. } = how.accounting;
        let attributes = vec![
            ("messaging.system", text("kafka")),
            ("messaging.destination.name", text(&self.topic)),
            ("messaging.consumer.group.name", text(&self.topology)),
            ("sheetstream.topology", text(&self.topology)),
            ("sheetstream.upload", text(upload.as_str())),
            ("sheetstream.revision", Value::Count(how.revision.into())),
            ("sheetstream.state", text(how.state)),
            ("sheetstream.rows.in", Value::Count(rows_in)),
            ("sheetstream.rows.written", Value::Count(written)),
            ("sheetstream.rows.rejected", Value::Count(rejected)),
        ];
        let OpenTrace { begun, read_to, stages, .. } = open;
        let failure = how.failure.map(ToOwned::to_owned);
        to.send(Trace { context, begun, read_to, ended: now, stages, failure, attributes });
    }

    /// An upload is open here no more.
    pub fn forget(&mut self, upload: &UploadId) {
        self.open.remove(upload);
    }
}

impl OpenTrace {
    fn new(begun: SystemTime) -> OpenTrace {
        OpenTrace { context: TraceContext::new(), begun, read_to: begun, stages: Vec::new() }
    }
    fn took(&mut self, stage: Stage, took: Duration, now: SystemTime) {
        match self.stages.iter_mut().find(|span| span.stage == stage) {
            Some(span) => (span.ended, span.busy) = (now, span.busy + took),
            None => {
                let begun = now.checked_sub(took).unwrap_or(now);
                self.stages.push(StageSpan { stage, begun, ended: now, busy: took });
            }
        }
    }
}

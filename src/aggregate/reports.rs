//! The status records of an upload: its open states, and its end as the ledger remembers it.

use std::sync::Arc;

use super::Aggregate;
use super::context::AggregateContext;
use super::upload::OpenUpload;
use crate::record::{LedgerEntry, Offset, Outcome, Rejection};
use crate::sink::digest::Digest;
use crate::sink::output::OutputError;
use crate::sink::status::{StatusFailure, StatusOffsets, StatusRecord, StatusWorkbook, UploadState};

impl Aggregate {
    /// Fails an upload that stays open until its end, and reports it.
    pub(super) fn fail_open(
        &self,
        upload: &mut OpenUpload,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let status = self.failed(upload, rejection);
        ctx.status(status, offset)
    }

    /// The same for records that were lost since they were processed: reported even while a replay emits nothing.
    pub(super) fn fail_for_lost_records(
        &self,
        upload: &mut OpenUpload,
        rejection: Rejection,
        offset: Offset,
        ctx: &mut AggregateContext,
    ) -> Result<(), OutputError> {
        let status = self.failed(upload, rejection);
        ctx.output.status(status, offset)
    }

    fn failed(&self, upload: &mut OpenUpload, rejection: Rejection) -> StatusRecord {
        upload.fail(rejection.clone());
        self.status(upload, UploadState::Failed, Some(&rejection))
    }

    /// The status of an open upload.
    pub(super) fn status(&self, upload: &OpenUpload, state: UploadState, failure: Option<&Rejection>) -> StatusRecord {
        let entry = upload.ledger(Outcome::Failed, Offset(0), &self.settings.topology_hash);
        StatusRecord {
            state,
            offsets: StatusOffsets { first: upload.first_offset, completion: None },
            header: None,
            cuts: None,
            ..self.ended(upload, &entry, None, failure)
        }
    }

    /// The status of an upload that ends as `entry` says.
    pub(super) fn ended(
        &self,
        upload: &OpenUpload,
        entry: &LedgerEntry,
        workbook: Option<StatusWorkbook>,
        failure: Option<&Rejection>,
    ) -> StatusRecord {
        let announced = &upload.attempt.announced;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        StatusRecord {
            state: UploadState::from(entry.outcome),
            upload: entry.id.clone(),
            revision: entry.revision,
            name: text(&announced.name),
            rows_announced: announced.rows,
            crs: text(&announced.crs),
            traceparent: text(&upload.attempt.traceparent),
            topology: self.settings.task.topology.to_string(),
            topology_hash: entry.topology.clone(),
            partition: self.settings.task.partition,
            offsets: StatusOffsets { first: entry.first_offset, completion: Some(entry.completion_offset) },
            topic_id: None, // the task's to say
            accounting: entry.accounting,
            header: entry.header.clone(),
            rows_sha256: entry.rows_sha256.map(Digest),
            cuts: entry.cuts.clone(),
            workbook,
            failure: failure.map(StatusFailure::from),
        }
    }
}

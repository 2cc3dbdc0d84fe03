//! The status records of an upload: its open states, and its end as the ledger remembers it.

use std::sync::Arc;

use super::context::AggregateContext;
use super::upload::OpenUpload;
use super::{Aggregate, UploadCounts};
use crate::record::{LedgerEntry, Offset, Outcome, Rejection, UploadId};
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

    /// Counts the open uploads by state.
    pub fn counts(&self) -> UploadCounts {
        let mut counts = UploadCounts::default();
        for upload in self.open.values() {
            let count = match upload.open_state() {
                UploadState::Failed => &mut counts.failed,
                UploadState::Stalled => &mut counts.stalled,
                UploadState::Incomplete => &mut counts.incomplete,
                _ => &mut counts.receiving,
            };
            *count += 1;
            counts.rows_waiting += upload.accounting.waiting;
            counts.oldest_ms = counts.oldest_ms.into_iter().chain(upload.begun_ms).min();
        }
        counts
    }

    /// The status of the upload that received rows last, if it is open.
    pub fn receiving(&self) -> Option<StatusRecord> {
        Some(self.status(self.receiving_upload()?, UploadState::Receiving, None))
    }

    /// The status of an open upload that has not failed.
    pub fn receiving_of(&self, id: &UploadId) -> Option<StatusRecord> {
        let upload = self.open.get(id).filter(|upload| upload.attempt.failed.is_none())?;
        Some(self.status(upload, UploadState::Receiving, None))
    }
}

//! When an upload is complete (contract 7), and what its workbook is made from.

use super::AggregateSettings;
use super::intake::{Desk, Halt};
use super::sheets::Pager;
use super::upload::{OpenUpload, PendingEof};
use crate::record::{ColumnType, Offset, Reason, Rejection};
use crate::sink::CompleteUpload;
use crate::state::StateError;

/// Ranges of missing rows that a message names.
const GAPS_SHOWN: usize = 10;

/// What an end-of-file marker says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndOfFile {
    pub(super) offset: Offset,
    pub(super) rows: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
    /// The publisher vouches that the upload stands in one partition.
    pub(super) one_partition: bool,
}

/// Whether an upload is whole.
pub(super) enum Verdict {
    /// It is.
    Whole,
    /// Count or checksum are not met. With `hopeful`, rows that come may still mend it.
    Incomplete { rejection: Rejection, hopeful: bool },
}

impl OpenUpload {
    /// Holds the upload against an end-of-file marker. When its rows are there they are all written, in order.
    pub(super) fn judge(&mut self, eof: &EndOfFile, desk: &mut Desk) -> Result<Verdict, Halt> {
        let incomplete = |reason, message: String, hopeful| {
            Ok(Verdict::Incomplete { rejection: Rejection::new(reason, message), hopeful })
        };
        let is_split = desk.settings.partition_count.is_some_and(|count| count > 1) && !eof.one_partition;
        if self.id.as_str().is_empty() && is_split {
            let message = "an upload without an id on a topic with several partitions may have rows in the others: give its records a \
                           key, or vouch for one partition with partitions=1 on the end-of-file marker";
            return incomplete(Reason::UploadSplit, message.to_owned(), false);
        }
        let have = self.accounting.distinct();
        match eof.rows {
            Some(want) if have < want => {
                let message = format!(
                    "{have} of {want} rows are here{}: publish the missing ones, or all again",
                    self.missing(want)
                );
                return incomplete(Reason::UploadIncomplete, message, true);
            }
            Some(want) if have > want => {
                let message =
                    format!("{have} rows are here and the end-of-file marker announces {want}: publish it again");
                return incomplete(Reason::UploadIncomplete, message, false);
            }
            None if !self.waiting.is_empty() => {
                let message = format!("rows are missing between others{}: publish them, or all again", self.missing(0));
                return incomplete(Reason::RowGap, message, true);
            }
            Some(_) | None => {}
        }
        self.flush(desk)?;
        match eof.sha256 {
            Some(want) if want != self.checksum.digest() => {
                let (have, want) = (hex(&self.checksum.digest()), hex(&want));
                let message = format!(
                    "its {} rows have sha256 {have} and the end-of-file marker says {want}: it is over the rows in UTF-8, each followed \
                     by LF, without the header; publish it again",
                    self.accounting.distinct()
                );
                incomplete(Reason::UploadIncomplete, message, false)
            }
            Some(_) | None => Ok(Verdict::Whole),
        }
    }

    /// Lets the end-of-file marker wait for rows that may still come.
    pub(super) fn hold(&mut self, eof: EndOfFile) {
        let EndOfFile { offset, rows, sha256, .. } = eof;
        self.eof = Some(PendingEof { offset, rows, sha256 });
        self.changed = true;
    }

    /// `; missing: 3-4, 9`, for an upload with numbered rows that should have `want`.
    fn missing(&self, want: u64) -> String {
        if !self.numbered {
            return String::new();
        }
        let mut gaps = self.waiting.gaps(self.next_index, GAPS_SHOWN + 1);
        let highest = self.waiting.last().unwrap_or(self.next_index - 1);
        if highest < want {
            gaps.push((highest + 1, want));
        }
        let more = if gaps.len() > GAPS_SHOWN { ", …" } else { "" };
        let gaps: Vec<_> = gaps
            .iter()
            .take(GAPS_SHOWN)
            .map(|&(a, b)| if a == b { format!("{a}") } else { format!("{a}-{b}") })
            .collect();
        if gaps.is_empty() { String::new() } else { format!("; missing: {}{more}", gaps.join(", ")) }
    }

    /// Gives up what was gathered for the workbook.
    pub(super) fn assemble(
        &mut self,
        completion_offset: Offset,
        incomplete: bool,
        desk: &mut Desk,
    ) -> Result<CompleteUpload, StateError> {
        let errors = std::mem::take(&mut self.errors).collect(self.hash, desk.ctx.store)?;
        let sheets = std::mem::take(&mut self.sheets);
        Ok(CompleteUpload {
            upload: self.id.clone(),
            revision: self.revision,
            source_name: self.source_name(desk.settings),
            key: self.key.clone(),
            traceparent: self.traceparent.clone(),
            columns: self.columns.clone().unwrap_or_else(|| self.published_columns(desk.settings)),
            sheets: {
                let mut pager = Pager { press: desk.press, store: desk.ctx.store };
                sheets.complete(desk.settings.aggregate.sheet_order, self.hash, &mut pager)?
            },
            errors,
            operations: None,
            accounting: self.accounting,
            rows_sha256: self.checksum.digest(),
            incomplete,
            first_offset: self.first_offset,
            completion_offset,
        })
    }

    fn source_name(&self, settings: &AggregateSettings) -> String {
        let name = self.announced.name.as_deref().or(Some(self.id.as_str()).filter(|id| !id.is_empty()));
        name.unwrap_or(&settings.topology).to_owned()
    }

    /// Without rows no map has told its columns: those of the header.
    fn published_columns(&self, settings: &AggregateSettings) -> std::sync::Arc<[(String, ColumnType)]> {
        let kind = |name: &String| settings.source.columns.get(name).copied().unwrap_or(ColumnType::Auto);
        self.header.iter().flat_map(|header| header.iter()).map(|name| (name.clone(), kind(name))).collect()
    }
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

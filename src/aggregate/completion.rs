//! Decides whether an upload is complete (contract 7), and gathers the parts of its workbook.

use super::config::AggregateSettings;
use super::halt::Halt;
use super::sheets::Pager;
use super::upload::OpenUpload;
use super::upload_context::UploadContext;
use crate::record::{ColumnType, Message, MissingRows, Offset, Part, Parts, Rejection};
use crate::sink::CompleteUpload;
use crate::sink::digest::Digest;
use crate::source::Incomplete;
use crate::state::StateError;
use crate::state::keys::{EndOfFile, PendingEof};

/// Ranges of missing rows that a message names.
const GAPS_SHOWN: usize = 10;

/// Whether an upload is whole.
pub(super) enum Verdict {
    /// It is.
    Whole,
    /// Count or checksum are not met. With `hopeful`, rows that come may still mend it.
    Incomplete { rejection: Rejection, hopeful: bool },
}

impl OpenUpload {
    /// Compares the upload with an end-of-file marker. When its rows are there they are all written, in order. `ended_before` says, in a
    /// replay, whether the marker ended the upload when it was new: what other partitions had then nobody knows any more.
    pub(super) fn judge(
        &mut self,
        eof: &EndOfFile,
        ended_before: Option<bool>,
        context: &mut UploadContext,
    ) -> Result<Verdict, Halt> {
        let incomplete = |message, hopeful| Ok(Verdict::Incomplete { rejection: Rejection::new(message), hopeful });
        let is_spread = context.settings.partition_count.is_some_and(|count| count > 1) && !eof.one_partition;
        let is_spread = is_spread && ended_before != Some(true);
        let parts = match is_spread {
            true => context.settings.siblings.elsewhere(&self.id, context.settings.task.partition),
            false => Parts::default(),
        };
        let parts = match eof.rows {
            None if is_spread && parts.is_empty() => self.elsewhere_in_group(context)?,
            Some(_) | None => parts,
        };
        let have = self.accounting.distinct();
        match eof.rows {
            Some(want) if have < want && !parts.is_empty() => {
                return incomplete(Message::SplitRows { have, want, parts }, true);
            }
            // Its end did not overtake its rows: they are gone, and what comes is of another upload. One that was held when it was new is
            // held.
            Some(want) if have < want && self.lacks_first_rows() && ended_before != Some(false) => {
                return self.judge_doubt(Incomplete::Fail);
            }
            Some(want) if have == 0 && want > 0 => return incomplete(Message::NoRowsYet { want }, true),
            Some(want) if have > want => {
                return incomplete(Message::TooManyRows { have, want }, false);
            }
            // Numbered rows that are enough, and are not those from 1 on, are of another upload, too.
            Some(want) if have < want || !self.attempt.waiting.is_empty() => {
                return incomplete(Message::RowsMissing { have, want, missing: self.missing(want) }, true);
            }
            None if is_spread && self.id.as_str().is_empty() => return incomplete(Message::Split {}, false),
            None if !parts.is_empty() => return incomplete(Message::SplitParts { parts }, false),
            None if is_spread && !self.attempt.keyed => return incomplete(Message::SplitKeys {}, false),
            // Numbers show missing rows, but not rows that belong to another upload.
            None if self.doubts() => return self.judge_doubt(context.settings.source.incomplete),
            None if !self.attempt.waiting.is_empty() => {
                return incomplete(Message::RowsMissingBetween { missing: self.missing(0) }, true);
            }
            // Nothing is missing here: it was held for what lay in other partitions.
            None if is_spread && ended_before == Some(false) => return incomplete(Message::SplitKeys {}, false),
            Some(_) | None => {}
        }
        self.flush(context)?;
        match eof.sha256 {
            Some(want) if want != self.attempt.checksum.digest() => {
                let (have, want) = (Digest(self.attempt.checksum.digest()).to_string(), Digest(want).to_string());
                incomplete(Message::OtherChecksum { rows: self.accounting.distinct(), have, want }, false)
            }
            Some(_) | None => self.check_rejected(context.settings).map(|()| Verdict::Whole),
        }
    }

    /// The partitions in which other processes of the group have the upload open. In a replay nobody is asked again.
    fn elsewhere_in_group(&self, context: &mut UploadContext) -> Result<Parts, Halt> {
        let (settings, partitions) = (context.settings, context.settings.partition_count.unwrap_or(1));
        if !context.ctx.emits() || settings.siblings.has_all(partitions) {
            return Ok(Parts::default());
        }
        let elsewhere = context.ctx.output.open_elsewhere(self.id.hash(), partitions)?;
        Ok(Parts(elsewhere.into_iter().map(|partition| Part::Elsewhere { partition }).collect()))
    }

    /// Whether its first rows may be gone from the log, and no numbers show that they are there.
    pub(super) fn lacks_first_rows(&self) -> bool {
        !self.attempt.numbered && matches!(self.attempt.doubt.as_deref(), Some(Message::FirstRowsLost { .. }))
    }

    fn doubts(&self) -> bool {
        match self.attempt.doubt.as_deref() {
            Some(Message::BorderGuessed {}) => true,
            Some(_) => !self.attempt.numbered,
            None => false,
        }
    }

    /// Lost rows do not come any more, nor does anything that distinguishes two uploads. For the rest of an expired upload a publisher may
    /// vouch.
    fn judge_doubt(&self, incomplete: Incomplete) -> Result<Verdict, Halt> {
        match self.attempt.doubt.as_deref().cloned() {
            Some(lost @ Message::FirstRowsLost { .. }) => Err(Halt::Upload(Rejection::new(lost))),
            Some(guess @ Message::BorderGuessed {}) if incomplete != Incomplete::Emit => {
                Err(Halt::Upload(Rejection::new(guess)))
            }
            Some(doubt) => Ok(Verdict::Incomplete { rejection: Rejection::new(doubt), hopeful: false }),
            None => Ok(Verdict::Whole),
        }
    }

    /// Lets the end-of-file marker wait for rows that may still come.
    pub(super) fn hold(&mut self, end: EndOfFile) {
        self.attempt.eof = Some(Box::new(PendingEof { end, overtaking: None }));
        self.mark_changed();
    }

    /// Numbers of the missing rows of an upload with numbered rows that should have `want`.
    fn missing(&self, want: u64) -> Option<MissingRows> {
        if !self.attempt.numbered {
            return None;
        }
        let mut gaps = self.attempt.waiting.gaps(self.attempt.next_index, GAPS_SHOWN + 1);
        let highest = self.attempt.waiting.last().unwrap_or(self.attempt.next_index - 1);
        if highest < want {
            gaps.push((highest + 1, want));
        }
        let more = if gaps.len() > GAPS_SHOWN { ", …" } else { "" };
        let gaps: Vec<_> = gaps
            .iter()
            .take(GAPS_SHOWN)
            .map(|&(a, b)| if a == b { format!("{a}") } else { format!("{a}-{b}") })
            .collect();
        (!gaps.is_empty()).then(|| MissingRows::Numbers { numbers: format!("{}{more}", gaps.join(", ")) })
    }

    /// Hands over the parts of the workbook.
    pub(super) fn assemble(
        &mut self,
        completion_offset: Offset,
        incomplete: bool,
        context: &mut UploadContext,
    ) -> Result<CompleteUpload, StateError> {
        let errors = std::mem::take(&mut self.attempt.errors).collect(self.hash, context.ctx.store)?;
        let sheets = std::mem::take(&mut self.attempt.sheets);
        Ok(CompleteUpload {
            upload: self.id.clone(),
            revision: self.revision,
            source_name: self.source_name(context.settings),
            key: self.attempt.key.clone(),
            traceparent: self.attempt.traceparent.clone(),
            columns: self.attempt.columns.clone().unwrap_or_else(|| self.published_columns(context.settings)),
            sheets: {
                let order = context.settings.aggregate.sheet_order;
                let mut pager = Pager::of(context, self.attempt.announced.extras);
                sheets.complete(order, self.hash, &mut pager)?
            },
            header: self.attempt.header.clone().unwrap_or_default(),
            errors,
            crs: self.attempt.announced.crs.clone(),
            extras: self.attempt.announced.extras,
            coordinates: self.attempt.announced.coordinates,
            titles: self.attempt.announced.titles.clone(),
            pairs: None,
            operations: std::mem::take(&mut self.attempt.operations),
            accounting: self.accounting,
            rows_sha256: self.attempt.checksum.digest(),
            incomplete,
            first_offset: self.first_offset,
            completion_offset,
        })
    }

    fn source_name(&self, settings: &AggregateSettings) -> String {
        let name = self.attempt.announced.name.as_deref().or(Some(self.id.as_str()).filter(|id| !id.is_empty()));
        name.unwrap_or(&settings.task.topology).to_owned()
    }

    /// The columns of an upload without rows: no map has shown others, so they are those of the header.
    fn published_columns(&self, settings: &AggregateSettings) -> std::sync::Arc<[(String, ColumnType)]> {
        let kind = |name: &String| settings.source.columns.get(name).copied().unwrap_or(ColumnType::Auto);
        self.attempt.header.iter().flat_map(|header| header.iter()).map(|name| (name.clone(), kind(name))).collect()
    }
}

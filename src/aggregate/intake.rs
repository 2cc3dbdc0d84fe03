//! Takes rows into an open upload: each one is written, rejected, filtered out, a duplicate, or waits for a lower index (contract 5).

use super::config::AggregateSettings;
use super::halt::Halt;
use super::rows::{Fate, Rows, WaitingFate, WaitingRow};
use super::segment::scratch_segment;
use super::sheets::Pager;
use super::upload::OpenUpload;
use super::upload_context::UploadContext;
use crate::record::{Message, Offset, Rejection, RowBatch, RowKey};
use crate::sink::output::OutputError;
use crate::source::{OnError, RejectedMax, SourceConfig};
use crate::state::StateError;
use crate::state::keys::decode;

/// How far an upload took rows.
pub(super) enum Taken {
    /// All of them.
    All,
    /// Up to row `next`: with the row before it, at `offset`, the count of the waiting end-of-file marker is met.
    CountMet { next: usize, offset: Offset },
    /// Up to row `next`: the row before it, at `offset`, fails the upload.
    Failed { next: usize, offset: Offset, rejection: Rejection },
}

impl OpenUpload {
    /// Takes rows `at..to` of a batch that was admitted.
    pub(super) fn take(
        &mut self,
        rows: &Rows,
        at: usize,
        to: usize,
        context: &mut UploadContext,
    ) -> Result<Taken, OutputError> {
        let offsets = &rows.batch.offsets;
        let mut next = at;
        while next < to {
            let run = self.run_length(rows, next, to);
            let mut done = next;
            let written = match run {
                0 => {
                    done += 1;
                    self.park_or_drop_duplicate(rows, next, context)
                }
                _ => {
                    self.attempt.checksum.rows(rows.batch.raw.span(next..next + run));
                    (next..next + run).try_for_each(|row| {
                        done += 1;
                        self.write_next(rows, row, context)
                    })
                }
            };
            let written = written.and_then(|()| self.write_ready(context));
            debug_assert!(self.accounting.balances());
            let offset = offsets[done - 1];
            match written {
                Ok(()) => {}
                Err(Halt::World(error)) => return Err(error),
                Err(Halt::Upload(rejection)) => return Ok(Taken::Failed { next: done, offset, rejection }),
            }
            next = done;
            if self.count_is_met() {
                return Ok(Taken::CountMet { next, offset });
            }
        }
        Ok(Taken::All)
    }

    /// How many rows from `at` on are the very next ones in order, and not more than a waiting end-of-file marker asks for.
    fn run_length(&self, rows: &Rows, at: usize, to: usize) -> usize {
        let asked_for = self.attempt.eof.as_ref().and_then(|eof| eof.end.rows?.checked_sub(self.accounting.distinct()));
        let most = asked_for.map_or(to - at, |rows| usize::try_from(rows).unwrap_or(usize::MAX).min(to - at));
        if !self.attempt.numbered {
            return most;
        }
        // A row that waits already is the first with its index: the run ends before it.
        let below = self.attempt.waiting.first().unwrap_or(u64::MAX);
        let keys = &rows.batch.keys[at..at + most];
        keys.iter().zip(self.attempt.next_index..below).take_while(|(key, index)| key.index == *index).count()
    }

    /// Whether the rows that the waiting end-of-file marker asks for are there.
    fn count_is_met(&self) -> bool {
        match &self.attempt.eof {
            Some(eof) if eof.overtaking.is_some() => false,
            Some(eof) => {
                eof.end.rows.map_or(self.attempt.waiting.is_empty(), |rows| self.accounting.distinct() == rows)
            }
            None => false,
        }
    }

    /// Writes the next row in order, lists it as rejected, or counts it as filtered.
    fn write_next(&mut self, rows: &Rows, row: usize, context: &mut UploadContext) -> Result<(), Halt> {
        let number = self.attempt.next_index;
        self.attempt.next_index += 1;
        self.accounting.rows_in += 1;
        match rows.fate(row) {
            Fate::Rejected(rejection) => {
                self.attempt.errors.push(number, rejection.clone(), rows.batch.raw.get(row), rows.batch.delimiter);
                return self.reject(rows, row, number, rejection, context);
            }
            Fate::Filtered => {
                self.accounting.filtered += 1;
                return Ok(());
            }
            Fate::Live => self.accounting.written += 1,
        }
        self.note_way(rows.batch, row);
        let mut scratch = String::new();
        let sheet = self.sheet(rows.sheet(row, &mut scratch), context)?;
        let (key, offset) = (rows.batch.keys[row], rows.batch.offsets[row]);
        let mut pager = Pager::of(context, self.attempt.announced.extras);
        self.attempt.sheets.row(sheet, key, offset, |page| rows.write(row, page), self.hash, &mut pager)?;
        Ok(())
    }

    /// Remembers how a row that did not fail came to its place, whether that is a likely one, and whether it has one.
    fn note_way(&mut self, batch: &RowBatch, row: usize) {
        self.attempt.note_operations(batch, row);
        let holds = |rows: &[u32]| u64::from(rows.binary_search(&(row as u32)).is_ok());
        self.accounting.distant += holds(&batch.distant);
        self.accounting.unplaced += holds(&batch.unplaced);
    }

    /// A row that is not the next one: it comes again, or it waits.
    fn park_or_drop_duplicate(&mut self, rows: &Rows, row: usize, context: &mut UploadContext) -> Result<(), Halt> {
        let index = rows.batch.keys[row].index;
        self.accounting.rows_in += 1;
        if index < self.attempt.next_index || self.attempt.waiting.contains(index) {
            self.accounting.duplicate += 1;
            return Ok(());
        }
        self.wait(rows, row, context)?;
        match rows.fate(row) {
            Fate::Rejected(rejection) => self.reject(rows, row, index, rejection, context)?,
            Fate::Filtered => self.accounting.filtered += 1,
            Fate::Live => {
                self.accounting.waiting += 1;
                self.note_way(rows.batch, row);
            }
        }
        let source = &context.settings.source;
        let room = source.numbers_open_max().saturating_sub(context.numbers_elsewhere).max(SourceConfig::PARTS_OF_EACH);
        match self.attempt.waiting.numbers() <= room {
            true => Ok(()),
            false => Err(Halt::Upload(Rejection::new(Message::NoRoom { limit: source.parts_open_max() }))),
        }
    }

    /// Lets a row wait, on disk when there is no more room in memory.
    pub(super) fn wait(&mut self, rows: &Rows, row: usize, context: &mut UploadContext) -> Result<(), StateError> {
        let (index, offset) = (rows.batch.keys[row].index, rows.batch.offsets[row]);
        let is_settled = !matches!(rows.fate(row), Fate::Live);
        self.attempt.waiting.insert(index, offset, rows.waiting(row), is_settled);
        if self.attempt.waiting.bytes() > context.limits.upload {
            self.attempt.waiting.spill(scratch_segment(self.hash), context.ctx.store)?;
        }
        Ok(())
    }

    fn reject(
        &mut self,
        rows: &Rows,
        row: usize,
        number: u64,
        rejection: &Rejection,
        context: &mut UploadContext,
    ) -> Result<(), Halt> {
        self.accounting.rejected += 1;
        context.ctx.row_letter(rows.batch, row, Some(number), rejection)?;
        let source = &context.settings.source;
        match source.on_error {
            OnError::Fail => {
                Err(Halt::Upload(rejection.clone().because(|why| Message::RowFailsUpload { row: number, why })))
            }
            OnError::Continue => match source.rejected_max {
                Some(limit) if limit.is_spent(self.accounting.rejected) => Err(self.too_many_rejected(limit)),
                Some(_) | None => Ok(()),
            },
        }
    }

    /// All rows are there: whether as few of them were rejected as may be.
    pub(super) fn check_rejected(&self, settings: &AggregateSettings) -> Result<(), Halt> {
        let (rejected, rows) = (self.accounting.rejected, self.accounting.distinct());
        match settings.source.rejected_max {
            Some(limit) if limit.is_exceeded(rejected, rows) => Err(self.too_many_rejected(limit)),
            Some(_) | None => Ok(()),
        }
    }

    fn too_many_rejected(&self, limit: RejectedMax) -> Halt {
        let (rejected, rows) = (self.accounting.rejected, self.accounting.distinct());
        Halt::Upload(Rejection::new(Message::TooManyRejected { rejected, rows, limit: limit.to_string() }))
    }

    fn sheet(&mut self, value: &str, context: &UploadContext) -> Result<usize, Halt> {
        let (settings, sheets) = (context.settings, &mut self.attempt.sheets);
        let limit = settings.source.parts_open_max().saturating_sub(context.sheets_elsewhere);
        let room = u32::try_from(limit.max(SourceConfig::PARTS_OF_EACH)).unwrap_or(u32::MAX);
        let sheets_max = settings.aggregate.sheets_max;
        let refusal = || match sheets_max <= room {
            true => Message::TooManySheets { limit: sheets_max },
            false => Message::NoRoom { limit: settings.source.parts_open_max() },
        };
        sheets.find_or_add(value, sheets_max.min(room)).ok_or_else(|| Halt::Upload(Rejection::new(refusal())))
    }

    /// Writes waiting rows whose turn has come.
    fn write_ready(&mut self, context: &mut UploadContext) -> Result<(), Halt> {
        while self.attempt.waiting.first() == Some(self.attempt.next_index) {
            self.write_parked(context)?;
        }
        Ok(())
    }

    /// Writes every waiting row: what is missing between them will not come.
    pub(super) fn flush(&mut self, context: &mut UploadContext) -> Result<(), Halt> {
        while !self.attempt.waiting.is_empty() {
            self.write_parked(context)?;
        }
        debug_assert!(self.accounting.balances());
        Ok(())
    }

    /// The same, for a workbook that is not all that was announced.
    pub(super) fn flush_and_check(&mut self, context: &mut UploadContext) -> Result<(), Halt> {
        self.flush(context)?;
        self.check_rejected(context.settings)
    }

    fn write_parked(&mut self, context: &mut UploadContext) -> Result<(), Halt> {
        let segment = scratch_segment(self.hash);
        let Some((index, bytes)) = self.attempt.waiting.pop(segment, context.ctx.store)? else { return Ok(()) };
        let row: WaitingRow =
            decode(&bytes).ok_or_else(|| StateError::Damaged(format!("row {index} waits and cannot be read")))?;
        self.attempt.next_index = index + 1;
        self.attempt.checksum.row(row.raw);
        match row.fate {
            WaitingFate::Rejected { column, message, delimiter } => {
                let column = column.map(Into::into);
                let rejection = Rejection { column, ..Rejection::new(message.into_owned()) };
                self.attempt.errors.push(index, rejection, row.raw, delimiter);
            }
            WaitingFate::Filtered => {}
            WaitingFate::Write { sheet, cells } => {
                self.accounting.waiting -= 1;
                self.accounting.written += 1;
                let sheet = self.sheet(sheet, context)?;
                let mut pager = Pager::of(context, self.attempt.announced.extras);
                let columns = self.attempt.columns.as_deref().unwrap_or_default();
                let write = |page: &mut _| WaitingRow::write(&cells, columns, page);
                self.attempt.sheets.row(sheet, RowKey { index, line: 0 }, row.offset, write, self.hash, &mut pager)?;
            }
        }
        Ok(())
    }
}

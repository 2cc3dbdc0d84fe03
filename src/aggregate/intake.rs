//! Rows into an open upload: each one is written, rejected, a duplicate, or waits for a lower index (contract 5).

use super::order::MemoryLimits;
use super::press::Press;
use super::rows::{Rows, WaitingFate, WaitingRow};
use super::sheets::Pager;
use super::upload::{OpenUpload, scratch_segment};
use super::{AggregateContext, AggregateEvent, AggregateSettings};
use crate::record::{Message, Offset, Rejection, RowBatch, RowKey};
use crate::source::OnError;
use crate::state::StateError;
use crate::state::keys::decode;

/// What an upload works with while it takes rows.
pub(super) struct Desk<'d, 'c> {
    pub(super) settings: &'d AggregateSettings,
    pub(super) press: &'d mut Press,
    pub(super) limits: MemoryLimits,
    /// Bytes of waiting rows that the task's other uploads hold in memory.
    pub(super) waiting_elsewhere: usize,
    pub(super) ctx: &'d mut AggregateContext<'c>,
}

/// How far an upload took rows.
pub(super) enum Taken {
    /// All of them.
    All,
    /// Up to row `next`: with the row before it, at `offset`, the count of the waiting end-of-file marker is met.
    CountMet { next: usize, offset: Offset },
    /// Up to row `next`: the row before it, at `offset`, fails the upload.
    Failed { next: usize, offset: Offset, rejection: Rejection },
}

/// Why a row cannot be taken.
pub(super) enum Halt {
    /// The world is bad.
    State(StateError),
    /// The upload is.
    Upload(Rejection),
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Halt {
        Halt::State(error)
    }
}

impl OpenUpload {
    /// Takes rows `at..to` of a batch that was admitted.
    pub(super) fn take(&mut self, rows: &Rows, at: usize, to: usize, desk: &mut Desk) -> Result<Taken, StateError> {
        let offsets = &rows.batch.offsets;
        let mut next = at;
        while next < to {
            let run = self.run_length(rows, next, to);
            let mut done = next;
            let landed = match run {
                0 => {
                    done += 1;
                    self.early_or_again(rows, next, desk)
                }
                _ => {
                    self.checksum.rows(rows.batch.raw.span(next..next + run));
                    (next..next + run).try_for_each(|row| {
                        done += 1;
                        self.land(rows, row, desk)
                    })
                }
            };
            let landed = landed.and_then(|()| self.release(desk));
            debug_assert!(self.accounting.balances());
            let offset = offsets[done - 1];
            match landed {
                Ok(()) => {}
                Err(Halt::State(error)) => return Err(error),
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
        let asked_for = self.eof.as_ref().and_then(|eof| eof.rows?.checked_sub(self.accounting.distinct()));
        let most = asked_for.map_or(to - at, |rows| usize::try_from(rows).unwrap_or(usize::MAX).min(to - at));
        if !self.numbered {
            return most;
        }
        // A row that waits already is the first with its index: the run ends before it.
        let below = self.waiting.first().unwrap_or(u64::MAX);
        let keys = &rows.batch.keys[at..at + most];
        keys.iter().zip(self.next_index..below).take_while(|(key, index)| key.index == *index).count()
    }

    /// Whether the rows that the waiting end-of-file marker asks for are there.
    fn count_is_met(&self) -> bool {
        match &self.eof {
            Some(eof) => eof.rows.map_or(self.waiting.is_empty(), |rows| self.accounting.distinct() == rows),
            None => false,
        }
    }

    /// Writes the next row in order, or lists it as rejected.
    fn land(&mut self, rows: &Rows, row: usize, desk: &mut Desk) -> Result<(), Halt> {
        let number = self.next_index;
        self.next_index += 1;
        self.accounting.rows_in += 1;
        if let Some(rejection) = rows.rejection(row) {
            self.errors.push(number, rejection.clone(), rows.batch.raw.get(row));
            return self.reject(rows, row, number, rejection, desk);
        }
        self.accounting.written += 1;
        let mut scratch = String::new();
        let sheet = self.sheet(rows.sheet(row, &mut scratch), desk.settings)?;
        let (key, offset) = (rows.batch.keys[row], rows.batch.offsets[row]);
        let mut pager = Pager { press: desk.press, store: desk.ctx.store };
        self.sheets.row(sheet, key, offset, |page| rows.write(row, page), self.hash, &mut pager)?;
        Ok(())
    }

    /// A row that is not the next one: it comes again, or it waits.
    fn early_or_again(&mut self, rows: &Rows, row: usize, desk: &mut Desk) -> Result<(), Halt> {
        let index = rows.batch.keys[row].index;
        self.accounting.rows_in += 1;
        if index < self.next_index || self.waiting.contains(index) {
            self.accounting.duplicate += 1;
            return Ok(());
        }
        let rejection = rows.rejection(row);
        self.wait(rows, row, desk)?;
        match rejection {
            Some(rejection) => self.reject(rows, row, index, rejection, desk),
            None => {
                self.accounting.waiting += 1;
                Ok(())
            }
        }
    }

    /// Lets a row wait, on disk when there is no more room in memory.
    pub(super) fn wait(&mut self, rows: &Rows, row: usize, desk: &mut Desk) -> Result<(), StateError> {
        let (index, offset) = (rows.batch.keys[row].index, rows.batch.offsets[row]);
        self.waiting.insert(index, offset, rows.waiting(row), rows.rejection(row).is_some());
        let bytes = self.waiting.bytes();
        if bytes > desk.limits.upload || bytes + desk.waiting_elsewhere > desk.limits.task {
            self.waiting.spill(scratch_segment(self.hash), desk.ctx.store)?;
        }
        Ok(())
    }

    fn reject(
        &mut self,
        rows: &Rows,
        row: usize,
        number: u64,
        rejection: &Rejection,
        desk: &mut Desk,
    ) -> Result<(), Halt> {
        self.accounting.rejected += 1;
        desk.ctx.dead_letter(rows.batch, row, Some(number), rejection);
        match desk.settings.source.on_error {
            OnError::Continue => Ok(()),
            OnError::Fail => {
                Err(Halt::Upload(rejection.clone().because(|why| Message::RowFailsUpload { row: number, why })))
            }
        }
    }

    fn sheet(&mut self, value: &str, settings: &AggregateSettings) -> Result<usize, Halt> {
        let sheets_max = settings.aggregate.sheets_max;
        self.sheets
            .find_or_add(value, sheets_max)
            .ok_or_else(|| Halt::Upload(Rejection::new(Message::TooManySheets { limit: sheets_max })))
    }

    /// Writes waiting rows whose turn has come.
    fn release(&mut self, desk: &mut Desk) -> Result<(), Halt> {
        while self.waiting.first() == Some(self.next_index) {
            self.land_waiting(desk)?;
        }
        Ok(())
    }

    /// Writes every waiting row: what is missing between them will not come.
    pub(super) fn flush(&mut self, desk: &mut Desk) -> Result<(), Halt> {
        while !self.waiting.is_empty() {
            self.land_waiting(desk)?;
        }
        debug_assert!(self.accounting.balances());
        Ok(())
    }

    fn land_waiting(&mut self, desk: &mut Desk) -> Result<(), Halt> {
        let segment = scratch_segment(self.hash);
        let Some((index, bytes)) = self.waiting.pop(segment, desk.ctx.store)? else { return Ok(()) };
        let row: WaitingRow =
            decode(&bytes).ok_or_else(|| StateError::Damaged(format!("row {index} waits and cannot be read")))?;
        self.next_index = index + 1;
        self.checksum.row(row.raw);
        match row.fate {
            WaitingFate::Rejected { column, message } => {
                let column = column.map(Into::into);
                let rejection = Rejection { column, ..Rejection::new(message.into_owned()) };
                self.errors.push(index, rejection, row.raw);
            }
            WaitingFate::Write { sheet, cells } => {
                self.accounting.waiting -= 1;
                self.accounting.written += 1;
                let sheet = self.sheet(sheet, desk.settings)?;
                let mut pager = Pager { press: desk.press, store: desk.ctx.store };
                let columns = self.columns.as_deref().unwrap_or_default();
                let write = |page: &mut _| WaitingRow::write(&cells, columns, page);
                self.sheets.row(sheet, RowKey { index, line: 0 }, row.offset, write, self.hash, &mut pager)?;
            }
        }
        Ok(())
    }
}

impl AggregateContext<'_> {
    /// Tells of a row that goes to the dead letters.
    pub(super) fn dead_letter(&mut self, batch: &RowBatch, row: usize, number: Option<u64>, rejection: &Rejection) {
        let offset = batch.offsets[row];
        if self.is_loud(offset) {
            self.out.push(AggregateEvent::DeadLetter {
                upload: batch.upload.clone(),
                offset,
                row: number,
                key: batch.record_key(row as u32).cloned(),
                raw: batch.raw.get(row).to_vec(),
                rejection: rejection.clone(),
            });
        }
    }
}

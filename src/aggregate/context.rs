//! The arguments of a call of the aggregate: the store, the moment, and the outputs.

use super::phase::Phase;
use crate::record::{Offset, Rejection, RowBatch};
use crate::sink::dead_letter::DeadLetter;
use crate::sink::output::{Output, OutputError};
use crate::sink::status::StatusRecord;
use crate::state::StateStore;

/// The moment of a call.
pub struct AggregateContext<'a> {
    /// Where pages go.
    pub store: &'a mut dyn StateStore,
    /// The purpose for which these records are read.
    pub phase: Phase,
    /// Monotonic clock in milliseconds.
    pub now_ms: u64,
    /// First offset of the batch of records that the call belongs to; for a tick, the next record to be processed.
    pub position: Offset,
    /// Topic that the rows came from.
    pub topic: &'a str,
    /// Where outputs go.
    pub output: &'a mut dyn Output,
}

impl AggregateContext<'_> {
    /// Whether outputs of these records are emitted; below the committed offset they are in the topics already.
    pub(super) fn emits(&self) -> bool {
        self.phase.is_live()
    }

    /// Emits a change of an upload's state that happened at `offset`.
    pub(super) fn status(&mut self, status: StatusRecord, offset: Offset) -> Result<(), OutputError> {
        if self.emits() { self.output.status(status, offset) } else { Ok(()) }
    }

    /// Emits a refused marker or row.
    pub(super) fn dead_letter(&mut self, letter: &DeadLetter<'_>) -> Result<(), OutputError> {
        if self.emits() { self.output.dead_letter(letter) } else { Ok(()) }
    }

    /// Emits row `row` of `batch`, which was refused; `number` is its 1-based place in the upload, where it is known.
    pub(super) fn row_letter(
        &mut self,
        batch: &RowBatch,
        row: usize,
        number: Option<u64>,
        rejection: &Rejection,
    ) -> Result<(), OutputError> {
        self.dead_letter(&DeadLetter {
            offset: batch.offsets[row],
            key: batch.record_key(row as u32),
            value: Some(batch.published(row)),
            upload: Some(&batch.upload),
            row: number,
            line: (!batch.numbered).then(|| batch.keys[row].line.saturating_add(1)),
            passed_from: batch.passed_from(row as u32),
            rejection,
        })
    }
}

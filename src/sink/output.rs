//! The only output of the aggregate. Kafka Streams calls the implementation a record collector; ours is in `runtime/task/outputs.rs`.

use crate::record::{Offset, Rejection, UploadHash};
use crate::sink::CompleteUpload;
use crate::sink::dead_letter::DeadLetter;
use crate::sink::status::{StatusRecord, StatusWorkbook};
use crate::state::{StateError, StateStore};
use crate::transport::TransportError;

/// Takes what an aggregate forwards, in order. Every call returns the outcome, so that nothing is remembered as sent that was not.
pub trait Output {
    /// Assembles the workbook of `complete` from its pages in `store` and publishes it, after everything that was forwarded before.
    fn workbook(&mut self, complete: CompleteUpload, store: &dyn StateStore) -> Result<Delivery, OutputError>;
    /// Publishes a change of an upload's state, which happened at `offset`.
    fn status(&mut self, status: StatusRecord, offset: Offset) -> Result<(), OutputError>;
    /// The other partitions in which the group has an upload open, as of the last commits. The source topic has `partitions` of them.
    fn open_elsewhere(&mut self, _upload: UploadHash, _partitions: i32) -> Result<Vec<i32>, OutputError> {
        Ok(Vec::new())
    }
    /// Publishes a refused row or marker.
    fn dead_letter(&mut self, letter: &DeadLetter<'_>) -> Result<(), OutputError>;
}

/// The outcome of publishing a workbook.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// Every record of it is acknowledged.
    Sent(StatusWorkbook),
    /// It cannot be assembled, or its topic does not take it. Its upload has failed.
    Refused(Rejection),
}

/// Why an output could not be published. The task starts again from its last commit.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Pages could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The broker could not be reached, or refused.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

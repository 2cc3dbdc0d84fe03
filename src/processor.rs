//! The seam between nodes: what a map is to the task that runs it.

use crate::record::RowBatch;

/// A node that works on whole columns of one batch, in place.
///
/// A row that fails gets its fate through [`RowBatch::reject`] and stays in its place; only a bad *world* is an error.
/// Not `Send`: a task builds its nodes on the stream thread that runs them, for PROJ's objects belong to one thread.
pub trait Processor {
    /// Name of the node in the topology.
    fn name(&self) -> &str;
    /// Works on one batch.
    fn process(&mut self, batch: &mut RowBatch) -> Result<(), ProcessError>;
}

/// A node cannot go on, whatever the rows are.
#[derive(Debug, thiserror::Error)]
#[error("node '{node}': {message}")]
pub struct ProcessError {
    /// Node that failed.
    pub node: String,
    /// What happened.
    pub message: String,
}

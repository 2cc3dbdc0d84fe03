//! Maps: one file an operator, each with its configuration, its code and its tests.

mod area;
pub mod geometry;
mod number;
mod own_crs;
mod points;
pub mod reproject;
mod reproject_config;
pub mod select;

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use crate::record::{AnyOf, ColumnType, Message, Names, Rejection, RowBatch};

pub use own_crs::OwnCrs;
pub use reproject::Reproject;
pub use reproject_config::{CoordinateInput, ReprojectConfig};
pub use select::{Select, SelectConfig};

/// A map that works on whole columns of one batch, in place.
///
/// A row that fails gets its fate through [`RowBatch::reject`] and stays in its place; an error means that no row could be mapped.
/// Not `Send`: a task builds its nodes on the stream thread that runs them, for PROJ's objects belong to one thread.
pub trait Map {
    /// Name of the node in the topology.
    fn name(&self) -> &str;
    /// Works on one batch.
    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError>;
}

/// A map cannot continue, whatever the rows are.
#[derive(Debug, thiserror::Error)]
#[error("node '{node}': {message}")]
pub struct NodeError {
    /// Node that failed.
    pub node: String,
    /// What happened.
    pub message: String,
}

/// A map as the topology describes it, proven.
#[derive(Clone, Debug, PartialEq)]
pub enum MapConfig {
    /// Coordinates from one CRS to another.
    Reproject(ReprojectConfig),
    /// Choose, order and rename columns.
    Select(SelectConfig),
}

/// The node that does what `config` says, for the thread that builds it.
pub fn build(config: &MapConfig) -> Result<Box<dyn Map>, NodeError> {
    Ok(match config {
        MapConfig::Reproject(config) => Box::new(Reproject::new(config)?),
        MapConfig::Select(config) => Box::new(Select::new(config)),
    })
}

/// The shape of a batch: what a node's plan depends on.
struct Shape {
    schema: SchemaRef,
    types: Arc<[ColumnType]>,
}

impl Shape {
    fn of(batch: &RowBatch) -> Shape {
        Shape { schema: batch.columns.schema(), types: batch.types.clone() }
    }
    /// Two pointer comparisons as long as the batches of one upload follow each other.
    fn fits(&self, batch: &RowBatch) -> bool {
        let schema = batch.columns.schema_ref();
        (Arc::ptr_eq(&self.schema, schema) || self.schema == *schema)
            && (Arc::ptr_eq(&self.types, &batch.types) || self.types == batch.types)
    }
}

/// The first of `candidates` that is a column; else why the upload cannot be mapped.
fn find(schema: &Schema, candidates: &[String]) -> Result<usize, Rejection> {
    if let Some(index) = candidates.iter().find_map(|name| schema.index_of(name).ok()) {
        return Ok(index);
    }
    let header = Names::of(schema.fields().iter().map(|field| field.name().as_str()));
    let rejection = Rejection::new(Message::ColumnMissing { candidates: AnyOf(candidates.to_vec()), header });
    Err(match candidates.first() {
        Some(first) => rejection.in_column(first.as_str()),
        None => rejection,
    })
}

/// Gives every row of the batch the same fate.
fn reject_all(batch: &mut RowBatch, rejection: &Rejection) {
    let rows = batch.len() as u32;
    batch.reject((0..rows).map(|row| (row, rejection.clone())).collect());
}

#[cfg(test)]
mod tests;

//! Maps: one file an operator, each with its configuration, its code and its tests.

mod area;
pub mod cast;
pub mod compute;
pub mod expression;
pub mod filter;
pub mod geometry;
pub mod link;
pub mod notation;
mod number;
mod own_crs;
mod points;
pub mod reproject;
mod reproject_config;
pub mod select;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema, SchemaRef};

use crate::record::{ColumnType, CoordinateForm, Rejection, RowBatch, TemplatePart};

pub use cast::{Cast, CastColumn, CastConfig};
pub use compute::{Compute, ComputeConfig};
pub use filter::{Filter, FilterConfig};
pub use link::{Link, LinkConfig};
pub use own_crs::OwnCrs;
pub use reproject::Reproject;
pub use reproject_config::{CoordinateInput, ReprojectConfig};
pub use select::{Select, SelectConfig, Selection};

/// A map that works on whole columns of one batch, in place.
///
/// It looks at live rows only. A row that fails, or is taken out, gets its fate through [`RowBatch`] and stays in its place; an error means
/// that no row could be mapped. Not `Send`: a task builds its nodes on the stream thread that runs them, for PROJ's objects belong to one
/// thread.
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
    /// The error.
    pub message: String,
}

/// A map as the topology describes it, proven.
#[derive(Clone, Debug, PartialEq)]
pub enum MapConfig {
    /// Coordinates from one CRS to another.
    Reproject(ReprojectConfig),
    /// Choose, order, rename and drop columns.
    Select(SelectConfig),
    /// Keep some of the rows.
    Filter(FilterConfig),
    /// Add columns.
    Compute(ComputeConfig),
    /// Give columns another type.
    Cast(CastConfig),
    /// Add a column of links.
    Link(LinkConfig),
}

impl MapConfig {
    /// Name of the node.
    pub fn node(&self) -> &Arc<str> {
        match self {
            MapConfig::Reproject(config) => &config.node,
            MapConfig::Select(config) => &config.node,
            MapConfig::Filter(config) => &config.node,
            MapConfig::Compute(config) => &config.node,
            MapConfig::Cast(config) => &config.node,
            MapConfig::Link(config) => &config.node,
        }
    }

    /// The `reproject` map that it is.
    pub fn as_reproject(&self) -> Option<&ReprojectConfig> {
        match self {
            MapConfig::Reproject(config) => Some(config),
            _ => None,
        }
    }

    /// Columns that it cannot do without, each by all names it may have.
    pub fn reads(&self) -> Vec<Vec<String>> {
        let one = |name: &String| vec![name.clone()];
        match self {
            MapConfig::Reproject(config) => {
                config.input.columns().into_iter().chain(&config.crs_column).cloned().collect()
            }
            MapConfig::Select(config) => config.selection.reads().map(one).collect(),
            MapConfig::Filter(config) => config.condition.columns().map(one).collect(),
            MapConfig::Compute(config) => {
                config.columns.iter().flat_map(|(_, expression)| expression.columns()).map(one).collect()
            }
            MapConfig::Cast(config) => config.columns.iter().map(|column| one(&column.name)).collect(),
            MapConfig::Link(config) => {
                let needed = config.address.iter().filter_map(|part| match part {
                    TemplatePart::Column(name) => Some(name),
                    TemplatePart::Literal(_) | TemplatePart::ColumnOr(..) => None,
                });
                needed.map(one).collect()
            }
        }
    }

    /// Names of the columns that are there because of it.
    pub fn makes(&self) -> Vec<&String> {
        match self {
            MapConfig::Reproject(config) => config.into.iter().collect(),
            MapConfig::Select(config) => config.selection.makes().collect(),
            MapConfig::Compute(config) => config.columns.iter().map(|(name, _)| name).collect(),
            MapConfig::Link(config) => vec![&config.into],
            MapConfig::Filter(_) | MapConfig::Cast(_) => Vec::new(),
        }
    }

    /// Every name of a column in it, to be changed.
    pub fn names_mut(&mut self) -> Vec<&mut String> {
        match self {
            MapConfig::Reproject(config) => {
                let read = config.input.columns_mut().into_iter().chain(&mut config.crs_column);
                read.flatten().chain(&mut config.into).collect()
            }
            MapConfig::Select(config) => config.selection.names_mut(),
            MapConfig::Filter(config) => config.condition.columns_mut().collect(),
            MapConfig::Compute(config) => {
                let mut names = Vec::new();
                for (name, expression) in config.columns.iter_mut().map(|(name, expression)| (name, expression)) {
                    names.push(name);
                    names.extend(expression.columns_mut());
                }
                names
            }
            MapConfig::Cast(config) => config.columns.iter_mut().map(|column| &mut column.name).collect(),
            MapConfig::Link(config) => config.names_mut(),
        }
    }
}

/// The node that does what `config` says, for the thread that builds it.
pub fn build(config: &MapConfig) -> Result<Box<dyn Map>, NodeError> {
    Ok(match config {
        MapConfig::Reproject(config) => Box::new(Reproject::new(config)?),
        MapConfig::Select(config) => Box::new(Select::new(config)),
        MapConfig::Filter(config) => Box::new(Filter::new(config)),
        MapConfig::Compute(config) => Box::new(Compute::new(config)),
        MapConfig::Cast(config) => Box::new(Cast::new(config)),
        MapConfig::Link(config) => Box::new(Link::new(config)),
    })
}

/// The shape of a batch: what a node's plan depends on.
struct Shape {
    schema: SchemaRef,
    types: Arc<[ColumnType]>,
    coordinates: CoordinateForm,
}

impl Shape {
    fn of(batch: &RowBatch) -> Shape {
        Shape { schema: batch.columns.schema(), types: batch.types.clone(), coordinates: batch.coordinates }
    }
    /// Two pointer comparisons as long as the batches of one upload follow each other.
    fn fits(&self, batch: &RowBatch) -> bool {
        let schema = batch.columns.schema_ref();
        (Arc::ptr_eq(&self.schema, schema) || self.schema == *schema)
            && (Arc::ptr_eq(&self.types, &batch.types) || self.types == batch.types)
            && self.coordinates == batch.coordinates
    }
}

/// The plan of a node for batches of one shape, kept until one of another shape comes.
struct Planned<P>(Option<(Shape, P)>);

impl<P> Planned<P> {
    fn none() -> Planned<P> {
        Planned(None)
    }

    /// The plan for `batch`; `plan` makes it where the one that is kept does not fit.
    fn of(&mut self, batch: &RowBatch, plan: impl FnOnce() -> P) -> &P {
        let kept = self.0.take().filter(|(shape, _)| shape.fits(batch));
        let (_, plan) = self.0.insert(kept.unwrap_or_else(|| (Shape::of(batch), plan())));
        plan
    }
}

/// Columns of a schema and their types, as a node leaves them.
struct Layout {
    schema: SchemaRef,
    types: Arc<[ColumnType]>,
}

impl Layout {
    fn new(fields: Vec<FieldRef>, types: impl Into<Arc<[ColumnType]>>) -> Layout {
        Layout { schema: Arc::new(Schema::new(fields)), types: types.into() }
    }

    /// Puts `columns` in the place of those of `batch`, which has as many rows.
    fn put(&self, batch: &mut RowBatch, columns: Vec<ArrayRef>, node: &str) -> Result<(), NodeError> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        batch.columns = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| NodeError { node: node.to_owned(), message: error.to_string() })?;
        batch.types = self.types.clone();
        Ok(())
    }
}

/// The first of `candidates` that is a column; else why the upload cannot be mapped.
fn find(schema: &Schema, candidates: &[String]) -> Result<usize, Rejection> {
    if let Some(index) = candidates.iter().find_map(|name| schema.index_of(name).ok()) {
        return Ok(index);
    }
    Err(Rejection::column_missing(candidates, schema.fields().iter().map(|field| field.name().as_str())))
}

/// Where columns are that all have to be there.
fn find_all<'n>(schema: &Schema, names: impl Iterator<Item = &'n String>) -> Result<Vec<usize>, Rejection> {
    names.map(|name| find(schema, std::slice::from_ref(name))).collect()
}

/// A name for a further column: `name`, or `name_2` and so on where that is taken.
fn free_name(fields: &[FieldRef], name: &str) -> String {
    let is_taken = |name: &String| fields.iter().any(|field| field.name() == name);
    let mut names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}_{n}")));
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

/// The live rows of a batch in blocks whose values stay in the caches of a processor.
fn blocks(batch: &RowBatch) -> impl Iterator<Item = Vec<u32>> {
    const ROWS: usize = 1_024;
    let mut live = batch.live_rows();
    std::iter::from_fn(move || Some(live.by_ref().take(ROWS).collect::<Vec<_>>()).filter(|rows| !rows.is_empty()))
}

/// Rejects rows, each for the first of its faults.
fn reject_first(batch: &mut RowBatch, mut faults: Vec<(u32, Rejection)>) {
    faults.sort_by_key(|(row, _)| *row);
    faults.dedup_by_key(|(row, _)| *row);
    batch.reject(faults);
}

/// Gives every row of the batch the same fate.
fn reject_all(batch: &mut RowBatch, rejection: &Rejection) {
    let rows = batch.len() as u32;
    batch.reject((0..rows).map(|row| (row, rejection.clone())).collect());
}

#[cfg(test)]
mod tests;

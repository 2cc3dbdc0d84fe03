//! Adds columns that expressions compute.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_schema::{DataType, Field};

use super::expression::{Evaluation, Expression};
use super::{Layout, Map, NodeError, Planned, blocks, find_all, free_name, reject_first};
use crate::record::{Rejection, RowBatch};

/// `compute = { density = "round(people / area, 2)" }`
#[derive(Clone, Debug, PartialEq)]
pub struct ComputeConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// (name of the column, what it is computed by), in the order of the result.
    pub columns: Vec<(String, Expression)>,
}

/// The `compute` map: appends columns whose cells are written as those of rows are. An expression sees the columns before the map.
pub struct Compute {
    config: ComputeConfig,
    plan: Planned<Plan>,
}

/// The work of a `compute` on batches of one shape.
struct Plan {
    /// Of each expression the places of its columns, or why no row can be mapped.
    places: Vec<Result<Vec<usize>, Rejection>>,
    layout: Layout,
}

impl Compute {
    /// The map that `config` describes.
    pub fn new(config: &ComputeConfig) -> Compute {
        Compute { config: config.clone(), plan: Planned::none() }
    }
}

impl ComputeConfig {
    fn plan(&self, batch: &RowBatch) -> Plan {
        let input = batch.columns.schema_ref();
        let mut fields = input.fields().to_vec();
        let mut types = batch.types.to_vec();
        let mut places = Vec::with_capacity(self.columns.len());
        for (name, expression) in &self.columns {
            places.push(find_all(input, expression.columns()));
            fields.push(Arc::new(Field::new(free_name(&fields, name), DataType::Utf8, false)));
            types.push(expression.kind().column());
        }
        Plan { places, layout: Layout::new(fields, types) }
    }
}

impl Map for Compute {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let plan = self.plan.of(batch, || self.config.plan(batch));
        let mut columns = batch.columns.columns().to_vec();
        let mut found = Vec::new();
        for ((name, expression), places) in self.config.columns.iter().zip(&plan.places) {
            let mut cells = StringBuilder::with_capacity(batch.len(), 8 * batch.len());
            match places {
                Ok(places) => {
                    let mut evaluation = Evaluation::new(expression, places, &batch.columns, &batch.types);
                    write_cells(batch, expression, &mut evaluation, &mut cells);
                    let faults = evaluation.into_faults().into_iter();
                    // A fault that is not one column's is that of the computed one.
                    found.extend(faults.map(|(row, rejection)| match rejection.column {
                        Some(_) => (row, rejection),
                        None => (row, rejection.in_column(name.as_str())),
                    }));
                }
                Err(missing) => found.extend((0..batch.len() as u32).map(|row| (row, missing.clone()))),
            }
            (cells.len()..batch.len()).for_each(|_| cells.append_value(""));
            let cells: ArrayRef = Arc::new(cells.finish());
            columns.push(cells);
        }
        plan.layout.put(batch, columns, &self.config.node)?;
        reject_first(batch, found);
        Ok(())
    }
}

/// Appends the value of every row; rows that are not live have a blank one.
fn write_cells(batch: &RowBatch, expression: &Expression, evaluation: &mut Evaluation, cells: &mut StringBuilder) {
    let kind = expression.kind().column();
    let mut cell = String::new();
    for rows in blocks(batch) {
        let values = evaluation.values(&rows);
        for (at, row) in rows.iter().enumerate() {
            while cells.len() < *row as usize {
                cells.append_value("");
            }
            cell.clear();
            values.write(at, kind, &mut cell);
            cells.append_value(&cell);
        }
    }
}

//! Gives columns another type, and checks their cells against it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, StringArray};
use arrow_schema::{DataType, Field};

use super::{Layout, Map, NodeError, Planned, find_all, reject_all, reject_first};
use crate::page::forms::CellForm;
use crate::page::of_type;
use crate::record::{ColumnType, Rejection, RowBatch};

/// `cast = { area = "number" }`
#[derive(Clone, Debug, PartialEq)]
pub struct CastConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// Columns, and how their cells are read from here on.
    pub columns: Vec<CastColumn>,
}

/// One column of a `cast`.
#[derive(Clone, Debug, PartialEq)]
pub struct CastColumn {
    /// Its name.
    pub name: String,
    /// Its new type.
    pub kind: ColumnType,
    /// How its cells are written, where that is not the plain form of the type.
    pub form: Option<CellForm>,
}

/// The `cast` map. A cell that is not of the new type rejects its row, as it does in the source.
pub struct Cast {
    config: CastConfig,
    plan: Planned<Result<Plan, Rejection>>,
}

/// The work of a `cast` on batches of one shape.
struct Plan {
    places: Vec<usize>,
    layout: Layout,
}

impl Cast {
    /// The map that `config` describes.
    pub fn new(config: &CastConfig) -> Cast {
        Cast { config: config.clone(), plan: Planned::none() }
    }
}

impl CastConfig {
    fn plan(&self, batch: &RowBatch) -> Result<Plan, Rejection> {
        let input = batch.columns.schema_ref();
        let places = find_all(input, self.columns.iter().map(|column| &column.name))?;
        let (mut fields, mut types) = (input.fields().to_vec(), batch.types.to_vec());
        for (column, place) in self.columns.iter().zip(&places) {
            fields[*place] = Arc::new(Field::new(fields[*place].name(), DataType::Utf8, false));
            types[*place] = column.kind;
        }
        Ok(Plan { places, layout: Layout::new(fields, types) })
    }
}

impl Map for Cast {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let plan = match self.plan.of(batch, || self.config.plan(batch)) {
            Ok(plan) => plan,
            Err(missing) => {
                reject_all(batch, missing);
                return Ok(());
            }
        };
        let mut columns = batch.columns.columns().to_vec();
        let mut found = Vec::new();
        for (column, place) in self.config.columns.iter().zip(&plan.places) {
            let cells = texts(batch, *place);
            columns[*place] = read_cells(batch, cells, column, &mut found);
        }
        plan.layout.put(batch, columns, &self.config.node)?;
        reject_first(batch, found);
        Ok(())
    }
}

/// The cells of a column as texts; computed numbers as they would be shown.
fn texts(batch: &RowBatch, place: usize) -> ArrayRef {
    let column = batch.columns.column(place);
    let (Some(numbers), ColumnType::Computed { decimals }) =
        (column.as_any().downcast_ref::<Float64Array>(), batch.types[place])
    else {
        return Arc::clone(column);
    };
    let text = |number: &f64| match number.is_nan() {
        true => String::new(),
        false => format!("{number:.*}", usize::from(decimals)),
    };
    Arc::new(StringArray::from_iter_values(numbers.values().iter().map(text)))
}

/// Reads the cells of the live rows as the column says. Cells that are written in the plain form already stay where they are.
fn read_cells(batch: &RowBatch, cells: ArrayRef, column: &CastColumn, found: &mut Vec<(u32, Rejection)>) -> ArrayRef {
    let texts = cells.as_string::<i32>();
    let mut rewritten: Vec<(usize, String)> = Vec::new();
    for row in batch.live_rows() {
        match of_type::read(texts.value(row as usize), column.kind, column.form.as_ref()) {
            Ok(None) => {}
            Ok(Some(plain)) => rewritten.push((row as usize, plain)),
            Err(message) => found.push((row, Rejection::new(message).in_column(column.name.as_str()))),
        }
    }
    if rewritten.is_empty() {
        return cells;
    }
    let mut rewritten = rewritten.into_iter().peekable();
    let cell = |row: usize| match rewritten.next_if(|(rewritten, _)| *rewritten == row) {
        Some((_, plain)) => std::borrow::Cow::Owned(plain),
        None => std::borrow::Cow::Borrowed(texts.value(row)),
    };
    Arc::new(StringArray::from_iter_values((0..texts.len()).map(cell)))
}

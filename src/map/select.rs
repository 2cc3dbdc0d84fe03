//! Chooses, orders and renames columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Map, NodeError, Shape, find, reject_all};
use crate::record::{ColumnType, Rejection, RowBatch};

/// `select = ["name", { from = "x", as = "east" }]`
#[derive(Clone, Debug, PartialEq)]
pub struct SelectConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// (source column, name it gets), in the order of the result.
    pub columns: Vec<(String, String)>,
}

/// The `select` map: moves columns, copies nothing.
pub struct Select {
    config: SelectConfig,
    plan: Option<(Shape, Plan)>,
}

/// What a `select` does to batches of one shape.
struct Plan {
    /// Where each column of the result comes from; `None` for one that is missing.
    sources: Vec<Option<usize>>,
    schema: SchemaRef,
    types: Arc<[ColumnType]>,
    /// Why no row can be mapped: the first column that is missing.
    missing: Option<Rejection>,
}

impl Select {
    /// The map that `config` describes.
    pub fn new(config: &SelectConfig) -> Select {
        Select { config: config.clone(), plan: None }
    }

    fn plan(&self, batch: &RowBatch) -> Plan {
        let input = batch.columns.schema_ref();
        let mut missing = None;
        let mut sources = Vec::with_capacity(self.config.columns.len());
        let mut fields = Vec::with_capacity(self.config.columns.len());
        let mut types = Vec::with_capacity(self.config.columns.len());
        for (from, name) in &self.config.columns {
            let source = find(input, std::slice::from_ref(from)).map_err(|why| missing.get_or_insert(why).reason).ok();
            let absent = || Field::new(name, DataType::Utf8, false);
            fields.push(source.map_or_else(absent, |index| input.field(index).clone().with_name(name)));
            types.push(source.map_or(ColumnType::Text, |index| batch.types[index]));
            sources.push(source);
        }
        Plan { sources, schema: Arc::new(Schema::new(fields)), types: types.into(), missing }
    }
}

impl Map for Select {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let kept = self.plan.take().filter(|(shape, _)| shape.fits(batch));
        let planned = kept.unwrap_or_else(|| (Shape::of(batch), self.plan(batch)));
        let (_, plan) = self.plan.insert(planned);
        let empty = || -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", batch.len()))) };
        let columns =
            plan.sources.iter().map(|source| source.map_or_else(empty, |index| batch.columns.column(index).clone()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        let columns = RecordBatch::try_new_with_options(plan.schema.clone(), columns.collect(), &options)
            .map_err(|error| NodeError { node: self.config.node.to_string(), message: error.to_string() })?;
        batch.columns = columns;
        batch.types = plan.types.clone();
        if let Some(missing) = &plan.missing {
            reject_all(batch, missing);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::tests::{batch, column, reasons};
    use crate::record::{Message, Reason};

    fn select(columns: &[(&str, &str)]) -> Select {
        let columns = columns.iter().map(|&(from, name)| (from.to_owned(), name.to_owned())).collect();
        Select::new(&SelectConfig { node: "pick".into(), columns })
    }

    #[test]
    fn columns_are_chosen_ordered_renamed_and_repeated() {
        let mut batch = batch(&["a", "b", "c"], &[&["1", "2", "3"], &["4", "5", "6"]]);
        batch.types = [ColumnType::Text, ColumnType::Integer, ColumnType::Date].into();
        select(&[("c", "c"), ("a", "에이"), ("c", "again")]).process(&mut batch).unwrap();
        let names: Vec<_> = batch.columns.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["c", "에이", "again"]);
        assert_eq!(column(&batch, "에이"), ["1", "4"]);
        assert_eq!(column(&batch, "again"), ["3", "6"]);
        assert_eq!(*batch.types, [ColumnType::Date, ColumnType::Text, ColumnType::Date]);
        assert!(batch.rejected.is_empty());
    }

    #[test]
    fn a_missing_column_rejects_every_row_and_keeps_the_shape() {
        let mut batch = batch(&["a", "b"], &[&["1", "2"], &["4", "5"]]);
        batch.rejected = vec![(1, Rejection::new(Message::CellTooLong { characters: 40_000, limit: 32_767 }))];
        select(&[("b", "b"), ("z", "last"), ("y", "y")]).process(&mut batch).unwrap();
        assert_eq!(reasons(&batch), [(0, Reason::ColumnMissing), (1, Reason::CellTooLong)]);
        assert_eq!(batch.rejected[0].1.message.to_string(), "no column \"z\"; the header has \"a\", \"b\"");
        assert_eq!(batch.rejected[0].1.column.as_deref(), Some("z"));
        assert_eq!(batch.columns.num_columns(), 3);
        assert_eq!(column(&batch, "last"), ["", ""]);
    }

    #[test]
    fn batches_of_two_uploads_may_take_turns() {
        let mut select = select(&[("name", "n")]);
        for turn in 0..4 {
            let mut batch = match turn % 2 {
                0 => batch(&["id", "name"], &[&["1", "x"]]),
                _ => batch(&["name", "id"], &[&["x", "1"]]),
            };
            select.process(&mut batch).unwrap();
            assert_eq!(column(&batch, "n"), ["x"]);
        }
    }
}

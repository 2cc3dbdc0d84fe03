//! Chooses, orders, renames and drops columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field, FieldRef};

use super::{Layout, Map, NodeError, Planned, find, find_all, free_name, reject_all};
use crate::record::{ColumnType, Rejection, RowBatch};

/// A `select`, `rename` or `drop` map.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// Its effect.
    pub selection: Selection,
}

/// The effect on the columns.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// `select = ["name", { from = "x", as = "east" }]`: these and no others; (source column, name it gets), in the order of the result.
    Keep(Vec<(String, String)>),
    /// `rename = { x = "east" }`: these get other names, and all stay in their place; (source column, name it gets).
    Rename(Vec<(String, String)>),
    /// `drop = ["phone"]`: all but these.
    Drop(Vec<String>),
}

impl Selection {
    /// Columns that have to be there.
    pub(super) fn reads(&self) -> impl Iterator<Item = &String> {
        let (pairs, names): (&[_], &[_]) = match self {
            Selection::Keep(pairs) | Selection::Rename(pairs) => (pairs, &[]),
            Selection::Drop(names) => (&[], names),
        };
        pairs.iter().map(|(from, _)| from).chain(names)
    }

    /// Names that columns get.
    pub(super) fn makes(&self) -> impl Iterator<Item = &String> {
        let pairs: &[_] = match self {
            Selection::Keep(pairs) | Selection::Rename(pairs) => pairs,
            Selection::Drop(_) => &[],
        };
        pairs.iter().map(|(_, name)| name)
    }

    /// Every name in it, to be changed.
    pub(super) fn names_mut(&mut self) -> Vec<&mut String> {
        match self {
            Selection::Keep(pairs) | Selection::Rename(pairs) => {
                pairs.iter_mut().flat_map(|(from, name)| [from, name]).collect()
            }
            Selection::Drop(names) => names.iter_mut().collect(),
        }
    }
}

/// The maps `select`, `rename` and `drop`: they move columns and copy nothing.
pub struct Select {
    config: SelectConfig,
    plan: Planned<Plan>,
}

/// The work of a `select` on batches of one shape.
struct Plan {
    /// Where each column of the result comes from; `None` for one that is missing.
    sources: Vec<Option<usize>>,
    layout: Layout,
    /// Why no row can be mapped: the first column that is missing.
    missing: Option<Rejection>,
}

impl Select {
    /// The map that `config` describes.
    pub fn new(config: &SelectConfig) -> Select {
        Select { config: config.clone(), plan: Planned::none() }
    }
}

impl Selection {
    fn plan(&self, batch: &RowBatch) -> Plan {
        let input = batch.columns.schema_ref();
        match self {
            Selection::Keep(columns) => keep(columns, batch),
            Selection::Rename(columns) => {
                let missing = find_all(input, columns.iter().map(|(from, _)| from)).err();
                let renamed: HashMap<&String, &String> = columns.iter().map(|(from, name)| (from, name)).collect();
                let mut taken: Vec<_> =
                    input.fields().iter().filter(|field| !renamed.contains_key(field.name())).cloned().collect();
                let fields: Vec<FieldRef> = input
                    .fields()
                    .iter()
                    .map(|field| match renamed.get(field.name()) {
                        Some(name) => {
                            taken.push(Arc::new(Field::clone(field).with_name(free_name(&taken, name))));
                            taken[taken.len() - 1].clone()
                        }
                        None => field.clone(),
                    })
                    .collect();
                let sources = (0..fields.len()).map(Some).collect();
                Plan { sources, layout: Layout::new(fields, batch.types.clone()), missing }
            }
            Selection::Drop(names) => {
                let missing = find_all(input, names.iter()).err();
                let kept: Vec<_> =
                    (0..input.fields().len()).filter(|place| !names.contains(input.field(*place).name())).collect();
                let fields = kept.iter().map(|place| input.fields()[*place].clone()).collect();
                let types: Vec<_> = kept.iter().map(|place| batch.types[*place]).collect();
                Plan { layout: Layout::new(fields, types), sources: kept.into_iter().map(Some).collect(), missing }
            }
        }
    }
}

fn keep(columns: &[(String, String)], batch: &RowBatch) -> Plan {
    let input = batch.columns.schema_ref();
    let mut missing = None;
    let mut sources = Vec::with_capacity(columns.len());
    let mut fields = Vec::with_capacity(columns.len());
    let mut types = Vec::with_capacity(columns.len());
    for (from, name) in columns {
        let source = find(input, std::slice::from_ref(from)).map_err(|why| missing.get_or_insert(why).reason).ok();
        let absent = || Field::new(name, DataType::Utf8, false);
        fields.push(Arc::new(source.map_or_else(absent, |index| input.field(index).clone().with_name(name))));
        types.push(source.map_or(ColumnType::Text, |index| batch.types[index]));
        sources.push(source);
    }
    Plan { sources, layout: Layout::new(fields, types), missing }
}

impl Map for Select {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let plan = self.plan.of(batch, || self.config.selection.plan(batch));
        let empty = || -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n("", batch.len()))) };
        let columns =
            plan.sources.iter().map(|source| source.map_or_else(empty, |index| batch.columns.column(index).clone()));
        let columns = columns.collect();
        plan.layout.put(batch, columns, &self.config.node)?;
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
        Select::new(&SelectConfig { node: "pick".into(), selection: Selection::Keep(columns) })
    }

    fn names(batch: &RowBatch) -> Vec<&str> {
        batch.columns.schema_ref().fields().iter().map(|field| field.name().as_str()).collect()
    }

    #[test]
    fn columns_are_renamed_in_their_place_and_dropped() {
        let map = |selection| Select::new(&SelectConfig { node: "pick".into(), selection });
        let pair = |from: &str, name: &str| (from.to_owned(), name.to_owned());
        let mut batch = batch(&["a", "b", "c"], &[&["1", "2", "3"]]);
        map(Selection::Rename(vec![pair("b", "비"), pair("a", "c")])).process(&mut batch).unwrap();
        assert_eq!(names(&batch), ["c_2", "비", "c"], "a name that is taken is not taken twice");
        map(Selection::Rename(vec![pair("c_2", "비"), pair("비", "c_2")])).process(&mut batch).unwrap();
        assert_eq!(names(&batch), ["비", "c_2", "c"], "names may be exchanged");
        map(Selection::Drop(vec!["비".into()])).process(&mut batch).unwrap();
        assert_eq!((names(&batch), column(&batch, "c_2")), (vec!["c_2", "c"], vec!["2".to_owned()]));
        map(Selection::Drop(vec!["phone".into()])).process(&mut batch).unwrap();
        assert_eq!(reasons(&batch), [(0, Reason::ColumnMissing)]);
        assert_eq!(batch.columns.num_columns(), 2);
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
        assert_eq!(
            reasons(&batch),
            [(0, Reason::ColumnMissing), (1, Reason::ColumnMissing)],
            "what failed before, too"
        );
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

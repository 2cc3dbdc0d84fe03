//! Adds a column of links to web pages, such as the place of each row on a map. The address is a template; a value goes into it
//! percent-encoded, so that it stays one word of the address whatever it is.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};
use percent_encoding::utf8_percent_encode;

use super::{Layout, Map, NodeError, Planned, find, free_name, reject_all};
use crate::record::address::IN_VALUES;
use crate::record::{ColumnType, Lang, Rejection, RowBatch, TemplatePart, is_added_as};

/// Decimals of a computed number in an address: a tenth of a metre in degrees.
const DECIMALS_MAX: u8 = 6;

/// `map_link = "https://maps.example/{name},{lat},{lon}"`
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Name of the node.
    pub node: Arc<str>,
    /// The address; literal parts are percent-encoded.
    pub address: Vec<TemplatePart>,
    /// Name of the column that is added.
    pub into: String,
    /// Language of the text that is shown.
    pub lang: Lang,
}

impl LinkConfig {
    /// The host that the links lead to.
    pub fn host(&self) -> &str {
        let Some(TemplatePart::Literal(start)) = self.address.first() else { return "" };
        let behind_scheme = start.split_once("://").map_or("", |(_, rest)| rest);
        behind_scheme.split(['/', '?', '#']).next().unwrap_or_default()
    }

    /// Every name of a column in it, to be changed.
    pub fn names_mut(&mut self) -> Vec<&mut String> {
        self.address.iter_mut().filter_map(TemplatePart::column_mut).chain([&mut self.into]).collect()
    }

    fn plan(&self, batch: &RowBatch) -> Plan {
        let schema = batch.columns.schema_ref();
        // What a map computed has given way to a column of the file, if that had its name.
        let is_computed = |at: &usize| matches!(batch.types[*at], ColumnType::Computed { .. });
        let computed = |name: &str| {
            (0..schema.fields().len()).rev().filter(is_computed).find(|at| is_added_as(schema.field(*at).name(), name))
        };
        let place = |name: &String| computed(name).map_or_else(|| find(schema, std::slice::from_ref(name)), Ok);
        let part = |part: &TemplatePart| match part {
            TemplatePart::Literal(text) => Ok(Part::Literal(text.clone())),
            TemplatePart::Column(name) => place(name).map(|column| Part::Value { column, otherwise: String::new() }),
            TemplatePart::ColumnOr(name, text) => Ok(match place(name) {
                Ok(column) => Part::Value { column, otherwise: text.clone() },
                Err(_) => Part::Literal(utf8_percent_encode(text, IN_VALUES).to_string()),
            }),
        };
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(free_name(&fields, &self.into), DataType::Utf8, false)));
        let types: Vec<_> = batch.types.iter().copied().chain([ColumnType::Link { lang: self.lang }]).collect();
        Plan { parts: self.address.iter().map(part).collect(), layout: Layout::new(fields, types) }
    }
}

/// The `map_link` map. A row that has no value for one of its columns has no link.
pub struct Link {
    config: LinkConfig,
    plan: Planned<Plan>,
}

/// The work of a `map_link` on batches of one shape.
struct Plan {
    /// The address, or why no row can be mapped.
    parts: Result<Vec<Part>, Rejection>,
    layout: Layout,
}

enum Part {
    Literal(String),
    /// The value in this place, or the text instead of an empty one.
    Value {
        column: usize,
        otherwise: String,
    },
}

impl Link {
    /// The map that `config` describes.
    pub fn new(config: &LinkConfig) -> Link {
        Link { config: config.clone(), plan: Planned::none() }
    }
}

impl Map for Link {
    fn name(&self) -> &str {
        &self.config.node
    }

    fn process(&mut self, batch: &mut RowBatch) -> Result<(), NodeError> {
        let plan = self.plan.of(batch, || self.config.plan(batch));
        let mut cells = StringBuilder::with_capacity(batch.len(), 64 * batch.len());
        if let Ok(parts) = &plan.parts {
            let mut address = String::new();
            for row in batch.live_rows() {
                (cells.len()..row as usize).for_each(|_| cells.append_value(""));
                address.clear();
                let is_whole =
                    parts.iter().all(|part| push(part, &batch.columns, &batch.types, row as usize, &mut address));
                cells.append_value(if is_whole { &address } else { "" });
            }
        }
        (cells.len()..batch.len()).for_each(|_| cells.append_value(""));
        let mut columns = batch.columns.columns().to_vec();
        let links: ArrayRef = Arc::new(cells.finish());
        columns.push(links);
        plan.layout.put(batch, columns, &self.config.node)?;
        if let Err(missing) = &plan.parts {
            reject_all(batch, missing);
        }
        Ok(())
    }
}

/// Appends a part to an address; false if there is no value for it.
fn push(part: &Part, columns: &RecordBatch, types: &[ColumnType], row: usize, address: &mut String) -> bool {
    let (column, otherwise) = match part {
        Part::Literal(text) => {
            address.push_str(text);
            return true;
        }
        Part::Value { column, otherwise } => (*column, otherwise),
    };
    let cells = columns.column(column).as_any();
    let number =
        cells.downcast_ref::<Float64Array>().map(|numbers| numbers.value(row)).filter(|number| number.is_finite());
    let text = cells.downcast_ref::<StringArray>().map_or("", |texts| texts.value(row)).trim();
    match (number, types[column]) {
        (Some(number), ColumnType::Computed { decimals }) => push_number(number, decimals, address),
        _ if text.is_empty() && otherwise.is_empty() => return false,
        _ => address.extend(utf8_percent_encode(if text.is_empty() { otherwise } else { text }, IN_VALUES)),
    }
    true
}

/// A number without zeros at its end.
fn push_number(number: f64, decimals: u8, address: &mut String) {
    let start = address.len();
    write!(address, "{number:.*}", usize::from(decimals.min(DECIMALS_MAX))).expect("a String takes any text");
    if address[start..].contains('.') {
        address.truncate(address.trim_end_matches('0').trim_end_matches('.').len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::tests::{batch, column, reasons};
    use crate::record::Reason;

    fn link(address: Vec<TemplatePart>) -> Link {
        Link::new(&LinkConfig { node: "link".into(), address, into: "지도".into(), lang: Lang::Ko })
    }

    fn parts() -> Vec<TemplatePart> {
        let column = |name: &str| TemplatePart::Column(name.into());
        let literal = |text: &str| TemplatePart::Literal(text.into());
        vec![literal("https://map.example/to/"), column("name"), literal(","), column("lat")]
    }

    #[test]
    fn a_value_stays_one_word_of_the_address() {
        let rows: &[&[&str]] =
            &[&["가/나", "37.5"], &["\")&HYPERLINK(\"", "1"], &[" a b ", "2"], &["", "3"], &["x", " "]];
        let mut rows = batch(&["name", "lat"], rows);
        link(parts()).process(&mut rows).unwrap();
        assert_eq!(
            column(&rows, "지도"),
            [
                "https://map.example/to/%EA%B0%80%2F%EB%82%98,37.5",
                "https://map.example/to/%22%29%26HYPERLINK%28%22,1",
                "https://map.example/to/a%20b,2",
                "",
                "",
            ]
        );
        assert_eq!(rows.types[2], ColumnType::Link { lang: Lang::Ko });
    }

    #[test]
    fn another_text_stands_in_for_a_column_or_a_value() {
        let mut address = parts();
        address[1] = TemplatePart::ColumnOr("name".into(), "이곳".into());
        let expected = "https://map.example/to/%EC%9D%B4%EA%B3%B3,1";
        for (header, row) in [(&["name", "lat"][..], &["", "1"][..]), (&["lat"], &["1"])] {
            let mut rows = batch(header, &[row]);
            link(address.clone()).process(&mut rows).unwrap();
            assert_eq!(column(&rows, "지도"), [expected]);
        }
    }

    #[test]
    fn a_column_of_that_name_stays_and_a_missing_one_rejects_the_rows() {
        let mut rows = batch(&["name", "lat", "지도"], &[&["a", "1", "old"]]);
        link(parts()).process(&mut rows).unwrap();
        assert_eq!((column(&rows, "지도"), column(&rows, "지도_2").len()), (vec!["old".to_owned()], 1));
        let mut rows = batch(&["lat"], &[&["1"], &["2"]]);
        link(parts()).process(&mut rows).unwrap();
        assert_eq!(reasons(&rows), [(0, Reason::ColumnMissing), (1, Reason::ColumnMissing)]);
        assert_eq!(column(&rows, "지도"), ["", ""]);
    }

    #[test]
    fn computed_numbers_are_as_short_as_they_can_be() {
        let written = |number, decimals| {
            let mut address = String::new();
            push_number(number, decimals, &mut address);
            address
        };
        assert_eq!(written(126.978_400_000, 9), "126.9784");
        assert_eq!(written(37.123_456_789, 9), "37.123457");
        assert_eq!(written(200.0, 9), "200");
        assert_eq!(written(200.0, 0), "200");
    }

    #[test]
    fn the_host_is_known() {
        assert_eq!(link(parts()).config.host(), "map.example");
    }
}

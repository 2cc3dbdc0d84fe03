//! The rows of a batch as the aggregate reads them: columns resolved once, the value that names a row's sheet, and the form in which a row
//! that came early waits.

use std::borrow::Cow;
use std::fmt::Write;

use arrow_array::{Array, Float64Array, StringArray};
use serde::{Deserialize, Serialize};

use super::SheetKey;
use crate::page::OpenPage;
use crate::record::{ColumnType, Hint, Message, Names, Nearest, Offset, Rejection, RowBatch, TemplatePart};

/// A batch with its columns resolved.
pub(super) struct Rows<'a> {
    pub(super) batch: &'a RowBatch,
    columns: Vec<Column<'a>>,
    sheet: Vec<NamePart<'a>>,
}

enum Column<'a> {
    Text(&'a StringArray, ColumnType),
    Number(&'a Float64Array, u8),
}

/// The fate of a row whose turn has come.
pub(super) enum Fate<'a> {
    /// It is written.
    Live,
    Rejected(&'a Rejection),
    Filtered,
}

enum NamePart<'a> {
    Literal(&'a str),
    Column(usize),
}

impl<'a> Rows<'a> {
    /// Finds the columns that name the sheet of rows that came from `topic`. Fails if one of them is missing, which is the upload's fault.
    pub(super) fn resolve(batch: &'a RowBatch, key: &'a SheetKey, topic: &'a str) -> Result<Rows<'a>, Rejection> {
        let schema = batch.columns.schema_ref();
        let find = |name: &str| schema.index_of(name).map_err(|_| missing(name, &batch.header));
        let sheet = match key {
            SheetKey::Topic => vec![NamePart::Literal(topic)],
            SheetKey::Column(name) => vec![NamePart::Column(find(name)?)],
            SheetKey::Template(parts) => parts
                .iter()
                .map(|part| match part {
                    TemplatePart::Literal(text) => Ok(NamePart::Literal(text)),
                    TemplatePart::Column(name) => find(name).map(NamePart::Column),
                    TemplatePart::ColumnOr(name, text) => {
                        Ok(schema.index_of(name).map_or(NamePart::Literal(text), NamePart::Column))
                    }
                })
                .collect::<Result<_, _>>()?,
        };
        let columns = batch.columns.columns().iter().zip(batch.types.iter());
        let columns = columns.map(|(array, &kind)| Column::resolve(array.as_ref(), kind)).collect();
        Ok(Rows { batch, columns, sheet })
    }

    /// The value that names the sheet of `row`; `scratch` holds it when it has to be put together.
    pub(super) fn sheet<'s>(&'s self, row: usize, scratch: &'s mut String) -> &'s str {
        if let [NamePart::Column(column)] = self.sheet[..]
            && let Column::Text(array, _) = &self.columns[column]
        {
            return array.value(row);
        }
        scratch.clear();
        for part in &self.sheet {
            match part {
                NamePart::Literal(text) => scratch.push_str(text),
                NamePart::Column(column) => match &self.columns[*column] {
                    Column::Text(array, _) => scratch.push_str(array.value(row)),
                    Column::Number(array, _) if array.value(row).is_nan() => {} // a blank cell
                    Column::Number(array, decimals) => {
                        write!(scratch, "{:.*}", usize::from(*decimals), array.value(row))
                            .expect("a String takes any text");
                    }
                },
            }
        }
        scratch
    }

    /// Appends the cells of `row`.
    pub(super) fn write(&self, row: usize, page: &mut OpenPage) {
        for column in &self.columns {
            match column {
                Column::Text(array, kind) => page.cell(array.value(row), *kind),
                Column::Number(array, decimals) => page.float(array.value(row), *decimals),
            }
        }
    }

    /// The decision of the maps about `row`.
    pub(super) fn fate(&self, row: usize) -> Fate<'a> {
        let RowBatch { rejected, filtered, .. } = self.batch;
        if let Ok(at) = rejected.binary_search_by_key(&row, |(row, _)| *row as usize) {
            return Fate::Rejected(&rejected[at].1);
        }
        match filtered.binary_search_by_key(&row, |row| *row as usize) {
            Ok(_) => Fate::Filtered,
            Err(_) => Fate::Live,
        }
    }

    /// `row` as it waits for its turn.
    pub(super) fn waiting(&self, row: usize) -> Vec<u8> {
        let mut scratch = String::new();
        let fate = match self.fate(row) {
            Fate::Rejected(Rejection { column, message, .. }) => {
                let delimiter = self.batch.delimiter;
                WaitingFate::Rejected { column: column.as_deref(), message: Cow::Borrowed(&**message), delimiter }
            }
            Fate::Filtered => WaitingFate::Filtered,
            Fate::Live => {
                let cells = self.columns.iter().map(|column| match column {
                    Column::Text(array, _) => WaitingCell::Text(array.value(row)),
                    Column::Number(array, _) => WaitingCell::Number(array.value(row)),
                });
                WaitingFate::Write { sheet: self.sheet(row, &mut scratch), cells: cells.collect() }
            }
        };
        let row = WaitingRow { offset: self.batch.offsets[row], raw: self.batch.raw.get(row), fate };
        crate::state::keys::encode(&row)
    }
}

impl<'a> Column<'a> {
    fn resolve(array: &'a dyn Array, kind: ColumnType) -> Column<'a> {
        let any = array.as_any();
        match (any.downcast_ref::<StringArray>(), any.downcast_ref::<Float64Array>(), kind) {
            (Some(text), _, _) => Column::Text(text, kind),
            (_, Some(numbers), ColumnType::Computed { decimals }) => Column::Number(numbers, decimals),
            (_, Some(numbers), _) => Column::Number(numbers, 0),
            (None, None, _) => unreachable!("columns of a RowBatch are Utf8 or Float64"),
        }
    }
}

/// Similarity of the name of a column to the one that is missing, below which it is no hint, and characters of a name that is one.
const NEAR_MIN: f64 = 0.7;
const NEAR_CHARS_MAX: usize = 60;

/// Why rows have no sheet: the header lacks the column that names it.
fn missing(name: &str, header: &[String]) -> Rejection {
    let wanted = name.to_lowercase();
    // A header that was read with another delimiter is one long name, and near to nothing.
    let names = header.iter().filter(|column| column.chars().count() <= NEAR_CHARS_MAX && header.len() > 1);
    let near = names.map(|column| (strsim::jaro_winkler(&column.to_lowercase(), &wanted), column));
    let nearest = near.filter(|(near, _)| *near >= NEAR_MIN).max_by(|(a, _), (b, _)| a.total_cmp(b));
    let message = Message::SheetColumnMissing {
        column: name.to_owned(),
        header: Names::of(header.iter().map(String::as_str)),
        nearest: nearest.map(|(_, name)| Nearest::Column { name: name.clone() }),
        hint: Hint::of_header(header),
    };
    Rejection::new(message).in_column(name)
}

/// A row that waits for a lower index.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct WaitingRow<'a> {
    pub(super) offset: Offset,
    pub(super) raw: &'a [u8],
    #[serde(borrow)]
    pub(super) fate: WaitingFate<'a>,
}

/// The fate of a row that waits.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum WaitingFate<'a> {
    Write {
        sheet: &'a str,
        #[serde(borrow)]
        cells: Vec<WaitingCell<'a>>,
    },
    Rejected {
        column: Option<&'a str>,
        message: Cow<'a, Message>,
        /// The delimiter of its text.
        delimiter: u8,
    },
    Filtered,
}

/// A cell of it, before it is rendered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum WaitingCell<'a> {
    Text(&'a str),
    Number(f64),
}

impl WaitingRow<'_> {
    /// Appends `cells` under the types of their columns.
    pub(super) fn write(cells: &[WaitingCell<'_>], columns: &[(String, ColumnType)], page: &mut OpenPage) {
        for (cell, (_, kind)) in cells.iter().zip(columns) {
            match (cell, kind) {
                (WaitingCell::Text(text), kind) => page.cell(text, *kind),
                (WaitingCell::Number(number), ColumnType::Computed { decimals }) => page.float(*number, *decimals),
                (WaitingCell::Number(number), _) => page.float(*number, 0),
            }
        }
    }
}

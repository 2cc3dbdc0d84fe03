//! Whether a cell is of the type of its column, and what is wrong with one that is not. The source asks for the rows of the topic, maps ask
//! for what they make of them.

use super::cells::{parse_boolean, parse_date, parse_datetime, parse_integer, parse_number};
use super::forms::CellForm;
use crate::record::{ColumnType, Hint, Message, Quoted};

/// Reads a cell of a column of this type, written in this form: `Some` is its plain form, where that is something else. An empty cell is
/// empty in any type.
pub fn read(cell: &str, kind: ColumnType, form: Option<&CellForm>) -> Result<Option<String>, Message> {
    if cell.is_empty() {
        return Ok(None);
    }
    let refused = || not_of_type(kind, cell, form.is_some());
    match form {
        None => is_of_type(kind, cell).then_some(None).ok_or_else(refused),
        Some(form) => form.plain(cell, kind).filter(|plain| is_of_type(kind, plain)).map(Some).ok_or_else(refused),
    }
}

fn is_of_type(kind: ColumnType, cell: &str) -> bool {
    match kind {
        ColumnType::Auto | ColumnType::Text | ColumnType::Computed { .. } | ColumnType::Link { .. } => true,
        ColumnType::Number => parse_number(cell).is_some(),
        ColumnType::Integer => parse_integer(cell).is_some(),
        ColumnType::Date => parse_date(cell).is_some(),
        ColumnType::DateTime => parse_datetime(cell).is_some(),
        ColumnType::Boolean => parse_boolean(cell).is_some(),
    }
}

/// The message for a cell that is not of its column's type. Where the column names no form, the message says that it can.
pub fn not_of_type(kind: ColumnType, cell: &str, has_form: bool) -> Message {
    let value = Quoted::new(cell);
    let hint = |fits: bool, hint| Some(hint).filter(|_| fits && !has_form);
    match kind {
        ColumnType::Number | ColumnType::Integer if is_not_finite(cell) => Message::NotFinite { value },
        ColumnType::Integer => Message::NotAnInteger { value, hint: hint(cell.contains(','), Hint::NumberOptions {}) },
        ColumnType::Date => Message::NotADate { value },
        ColumnType::DateTime => {
            let has_zone = parse_datetime(cell.split(['Z', '+']).next().unwrap_or_default()).is_some();
            Message::NotADateTime { value, hint: hint(has_zone, Hint::ZoneOption {}) }
        }
        ColumnType::Boolean => Message::NotABoolean { value },
        ColumnType::Number
        | ColumnType::Auto
        | ColumnType::Text
        | ColumnType::Computed { .. }
        | ColumnType::Link { .. } => {
            let is_angle = cell.contains(['°', '′', '도']) || cell.trim_end().ends_with(['N', 'S', 'E', 'W']);
            let options = if is_angle { Hint::AngleOption {} } else { Hint::NumberOptions {} };
            Message::NotANumber { value, hint: hint(is_angle || cell.contains(','), options) }
        }
    }
}

/// True for the spellings of NaN and infinity, and for numbers beyond a double.
fn is_not_finite(cell: &str) -> bool {
    cell.trim().parse::<f64>().is_ok_and(|number| !number.is_finite())
}

//! Whether a cell is of the type of its column, and what is wrong with one that is not. The source asks for the rows of the topic, maps ask
//! for what they make of them.

use super::cells::{is_before_1900, parse_boolean, parse_date, parse_datetime, parse_integer, parse_number};
use super::forms::{Angle, CellForm, Thousands};
use crate::record::{ColumnType, Hint, Message, Quoted, is_no_value};

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
    let other = || blank_hint(cell);
    match kind {
        ColumnType::Number | ColumnType::Integer if is_not_finite(cell) => Message::NotFinite { value, hint: other() },
        ColumnType::Integer => Message::NotAnInteger { value, hint: number_hint(cell, has_form) },
        ColumnType::Date | ColumnType::DateTime if is_before_1900(cell) => Message::DateBeforeCalendar { value },
        ColumnType::Date => Message::NotADate { value, hint: other() },
        ColumnType::DateTime => {
            let has_zone = parse_datetime(cell.split(['Z', '+']).next().unwrap_or_default()).is_some();
            let zone = Some(Hint::ZoneOption {}).filter(|_| has_zone && !has_form);
            Message::NotADateTime { value, hint: zone.or_else(other) }
        }
        ColumnType::Boolean => Message::NotABoolean { value, hint: other() },
        ColumnType::Number
        | ColumnType::Auto
        | ColumnType::Text
        | ColumnType::Computed { .. }
        | ColumnType::Link { .. } => Message::NotANumber { value, hint: number_hint(cell, has_form) },
    }
}

/// Advice about a text that is nearly a number: the option of its column that reads it, unless the column has options already, or else
/// the spelling to use instead.
pub fn number_hint(cell: &str, has_form: bool) -> Option<Hint> {
    let text = cell.trim();
    let reads =
        |form: CellForm| form.plain(text, ColumnType::Number).is_some_and(|plain| parse_number(&plain).is_some());
    let separators = [Thousands::None, Thousands::Comma, Thousands::Point, Thousands::Blank, Thousands::Apostrophe];
    let has_separators = || {
        let mut forms = [false, true].into_iter().flat_map(|decimal_comma| {
            separators.map(|thousands| CellForm { decimal_comma, thousands, ..CellForm::default() })
        });
        forms.any(reads)
    };
    let is_unit = |c: char| c.is_alphabetic() || "°%₩$€".contains(c);
    let without_unit = text.trim_matches(|c: char| is_unit(c) || c.is_whitespace() || "'\"".contains(c));
    if parse_number(text).is_some() {
        let is_packed = has_form && reads(CellForm { angle: Angle::Packed, ..CellForm::default() });
        is_packed.then_some(Hint::PackedOption {})
    } else if let Some(hint) = blank_hint(text) {
        Some(hint)
    } else if text.contains(|c: char| !c.is_ascii() && c.is_numeric()) {
        Some(Hint::HalfWidthDigits {})
    } else if !has_form && has_separators() {
        Some(Hint::NumberOptions {})
    } else if text.strip_prefix('−').is_some_and(|text| parse_number(text).is_some()) {
        Some(Hint::HyphenMinus {})
    } else if !has_form && reads(CellForm { angle: Angle::Dms, ..CellForm::default() }) {
        Some(Hint::AngleOption {})
    } else if parse_number(&without_unit.replace(',', "")).is_some() {
        Some(Hint::NumberAlone {})
    } else {
        None
    }
}

/// Advice about a text that means no value.
fn blank_hint(cell: &str) -> Option<Hint> {
    let text = cell.trim();
    let is_none = !text.is_empty() && (is_no_value(text) || text == "0000-00-00");
    is_none.then(|| Hint::BlankOption { value: text.to_owned() })
}

/// True for the spellings of NaN and infinity, and for numbers beyond a double.
fn is_not_finite(cell: &str) -> bool {
    cell.trim().parse::<f64>().is_ok_and(|number| !number.is_finite())
}

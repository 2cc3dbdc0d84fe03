//! A value or a file that is one JSON document with its rows inside: the answer of a web service, a GeoJSON collection. Whether it is one is
//! decided here; [`Elements`] finds the rows. And the table that pandas wrote by columns, which has no rows.

use std::ops::Range;

use memchr::memchr_iter;

use super::json::{Element, Elements, Nesting, end_of_value, first_member, members, names_of};
use super::{HeaderFrom, SourceConfig, column_names, is_known};
use crate::record::{Message, Rejection};

/// Keys of the arrays that collections and web services have their rows in.
const ROWS_KEYS: [&str; 17] = [
    "content",
    "data",
    "documents",
    "elements",
    "features",
    "item",
    "items",
    "list",
    "record",
    "records",
    "result",
    "results",
    "row",
    "rows",
    "value",
    "values",
    "자료",
];

/// A document with rows inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document {
    /// The first byte of the first row.
    pub rows_from: usize,
    /// Whether it has room for rows, and no row.
    pub is_empty: bool,
    /// Whether its rows have more of the columns that are needed than the document itself.
    pub is_certain: bool,
}

/// The document that the beginning of a text is; `None` for any other text. `cut` says that more text follows.
///
/// # Errors
/// A table that pandas wrote by columns or by its index, whose rows are in no array.
pub fn look(text: &[u8], cut: bool, config: &SourceConfig) -> Result<Option<Document>, Rejection> {
    if text.trim_ascii_start().starts_with(b"[") {
        return Ok(None); // an array of rows
    }
    let mut values = Elements::resume(text, Nesting::default(), cut).filter(|row| !row.is_blank());
    let around = values.next();
    // A value that more text could change is not given: it is the document as far as it is known, or a very long row.
    let is_alone = values.next().is_none() && (around.is_some() || cut);
    if !is_alone || around.as_ref().is_some_and(|around| !around.is_object() && !around.is_broken()) {
        return Ok(None);
    }
    let whole = |name: &str| is_known(config, name);
    let found = rows(text, cut, |row| count(config, &names_of(text, row, &whole)));
    let is_table = || around.as_ref().is_none_or(Element::is_object) && is_table_by_columns(text);
    if found.is_none() && is_table() {
        return Err(Rejection::new(Message::JsonColumns {}));
    }
    let around = around.filter(Element::is_object);
    let is_whole = around.is_some();
    let own = around.map_or(0, |around| count(config, &names_of(text, &around, &whole)));
    Ok(match found {
        Some((rows_from, named)) => {
            (own <= named).then_some(Document { rows_from, is_empty: false, is_certain: named > own })
        }
        None => room_for_rows(text, true).filter(|_| is_whole && own == 0).map(|rows_from| Document {
            rows_from,
            is_empty: true,
            is_certain: false,
        }),
    })
}

/// Behind the bracket of the first empty array in an object that could hold rows: it has a usual key, or nothing is beside it (`is_alone`).
fn room_for_rows(text: &[u8], is_alone: bool) -> Option<usize> {
    let members = members(text)?;
    let is_alone = is_alone && members.len() == 1;
    members.iter().find_map(|(key, at)| match text.get(at.start) {
        Some(b'{') => room_for_rows(&text[at.clone()], is_alone).map(|inside| at.start + inside),
        Some(b'[') if is_alone || ROWS_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known.as_bytes())) => {
            text[at.start + 1..].trim_ascii_start().starts_with(b"]").then_some(at.start + 1)
        }
        Some(_) | None => None,
    })
}

/// The rows in the value of a record: those inside of a document if they alone have columns that are needed, else the value.
///
/// # Errors
/// A table that pandas wrote by columns or by its index.
pub(super) fn rows_of_value<'a>(text: &'a [u8], config: &SourceConfig) -> Result<&'a [u8], Rejection> {
    let has_objects_in_arrays = || {
        let mut arrays = memchr_iter(b'[', text).map(|at| text[at + 1..].trim_ascii_start());
        arrays.any(|inside| inside.starts_with(b"{"))
    };
    if !text.trim_ascii_start().starts_with(b"{") {
        return Ok(text);
    }
    if is_table_by_columns(text) && has_columns_alone(text) {
        return Err(Rejection::new(Message::JsonColumns {}));
    }
    if config.needed.is_empty() || !has_objects_in_arrays() {
        return Ok(text);
    }
    let document = look(text, false, config).ok().flatten().filter(|document| document.is_certain);
    let array = document.and_then(|document| text[..document.rows_from].iter().rposition(|byte| *byte == b'['));
    Ok(array.map_or(text, |array| &text[array..end_of_value(text, array)]))
}

/// The first array whose objects name most of the columns that are needed: where its first object begins, and how many they name. What
/// describes the rows, `"schema"` in front of them, has no rows.
fn rows(text: &[u8], cut: bool, count: impl Fn(&Element) -> usize) -> Option<(usize, usize)> {
    let behind_schema =
        first_member(text, 0).filter(|(key, _)| *key == b"schema").map_or(0, |(_, at)| end_of_value(text, at));
    let mut arrays: Vec<(usize, usize)> = Vec::new();
    let mut end = 0;
    for row in Elements::resume(text, Nesting::document(), cut).filter(Element::is_object) {
        let between = &text[end..row.start()];
        let is_next = end > 0 && between.iter().all(|byte| *byte == b',' || byte.is_ascii_whitespace());
        end = row.start() + row.bytes(text).len();
        match arrays.last_mut().filter(|_| is_next) {
            Some((_, named)) => *named = count(&row).max(*named),
            None if row.start() >= behind_schema => arrays.push((row.start(), count(&row))),
            None => {}
        }
    }
    let most = arrays.iter().map(|(_, named)| *named).max()?;
    arrays.into_iter().find(|(_, named)| *named == most)
}

/// How many of the columns that the topology needs, or declares, are among these names.
fn count(config: &SourceConfig, names: &[String]) -> usize {
    let names = column_names(names, config.exact_names);
    let declared = match &config.header {
        HeaderFrom::Declared(declared) => declared.iter().filter(|name| names.contains(name)).count(),
        HeaderFrom::First => 0,
    };
    declared + config.needed.iter().filter(|needed| needed.iter().any(|name| names.contains(name))).count()
}

/// The key of the array that begins behind `before`, as it is written.
pub fn array_name(before: &[u8]) -> String {
    let before = String::from_utf8_lossy(before.trim_ascii_end());
    let key = before.strip_suffix('[').and_then(|before| before.trim_end().strip_suffix(':')).map(str::trim_end);
    let key = key.and_then(|key| key.strip_suffix('"')).and_then(|key| key.rsplit('"').next());
    key.map_or_else(String::new, |key| format!("\"{}\"", key.escape_debug()))
}

/// Whether a text begins as what `DataFrame.to_json` of pandas writes by default: an object of columns, each an object from the index.
fn is_table_by_columns(text: &[u8]) -> bool {
    let is_object = |at: usize| text.get(at) == Some(&b'{');
    let by_column = |at: usize| is_object(at) && first_member(text, at).is_some_and(|(key, _)| is_index(key));
    let is_split = |key: &[u8]| key == b"columns";
    first_member(text, 0).is_some_and(|(key, at)| {
        (is_index(key) && is_object(at)) || by_column(at) || (is_split(key) && text[at] == b'[')
    })
}

/// Whether a whole object of that beginning has no other members than such a table: a row could have one of them.
fn has_columns_alone(text: &[u8]) -> bool {
    let is_column = |(key, at): &(&[u8], Range<usize>)| match text.get(at.start) {
        Some(b'{') => is_index(key) || first_member(text, at.start).is_some_and(|(key, _)| is_index(key)),
        Some(b'[') => matches!(*key, b"columns" | b"index" | b"data"),
        Some(_) | None => false,
    };
    members(text).is_some_and(|members| members.iter().all(is_column))
}

fn is_index(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(u8::is_ascii_digit)
}

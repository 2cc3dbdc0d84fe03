//! JSON values into rows (RFC 8259): objects, arrays of objects or of arrays, and any number of them one behind the other. Knows nothing of
//! uploads, nor of what a cell may hold.

mod cells;
mod elements;
mod scan;
#[cfg(test)]
mod tests;

pub use cells::{CellReader, Escapes, Names, names_of};
pub use elements::{Element, Elements, Nesting};

use memchr::memchr2_iter;

use elements::{ElementKind, RECORD_SEPARATOR, is_line_end};
use scan::{Fault, behind_blanks, value};

use crate::record::{Message, Rejection};

/// Whether a value of unknown form is JSON: an object, an array, or several of these. A row of CSV hardly ever is. Where some of them are
/// broken, the others decide; an array of one number, or of none, could be a cell of CSV.
pub fn is_json(text: &[u8]) -> bool {
    is_all_json(text) || is_mostly_json(text, false)
}

/// Whether most rows of a text are objects or arrays on lines of their own, and the others are lines of anything else: NDJSON with a line
/// of a log in it. Each of them holds a quote, which a cell of CSV would begin with. `cut` says that more text follows.
pub fn is_mostly_json(text: &[u8], cut: bool) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | &RECORD_SEPARATOR);
    let begins_line = |at: usize| text[..at].iter().rev().find(|byte| !is_blank(byte)).is_none_or(is_line_end);
    let ends_line = |at: usize| text[at..].iter().find(|byte| !is_blank(byte)).is_none_or(is_line_end);
    if !memchr2_iter(b'{', b'[', text).any(begins_line) {
        return false;
    }
    let (mut rows, mut others) = (0, 0);
    for row in Elements::resume(text, Nesting::default(), cut).filter(|row| !row.is_blank()) {
        let is_row =
            !row.is_broken() && begins_line(row.start) && ends_line(row.end) && row.bytes(text).contains(&b'"');
        *if is_row { &mut rows } else { &mut others } += 1;
    }
    rows > others
}

/// Whether a text is JSON, or was meant to be JSON in each of its rows.
fn is_all_json(text: &[u8]) -> bool {
    if !begins_like_json(text) {
        return are_arrays_of_cells(text);
    }
    let is_array = text.trim_ascii_start().starts_with(b"[");
    let (mut has_object, mut has_row, mut has_blank, mut has_broken) = (false, false, false, false);
    for row in Elements::new(text) {
        match row.kind {
            ElementKind::Broken(_) => {
                let above = &text[..row.start];
                let begins_line =
                    || above.rsplit(|byte| *byte == b'\n').next().is_none_or(|line| line.trim_ascii().is_empty());
                let is_next = matches!(above.trim_ascii_end().last(), Some(b'[' | b','));
                let is_like_a_row = match text.get(row.start) {
                    Some(b'{' | b'[') => is_next || begins_line(),
                    // A word among the objects of an array, and the end that it does not have.
                    Some(_) => is_array && has_object && is_next,
                    None => is_array,
                };
                if !is_like_a_row {
                    return false;
                }
                has_broken = true;
            }
            ElementKind::Object => (has_object, has_row) = (true, true),
            ElementKind::Array => has_row = true,
            ElementKind::Blank => has_blank = true,
        }
    }
    has_row || (has_blank && !has_broken)
}

/// Whether a text is nothing but arrays, each of two values or more, or of a text.
fn are_arrays_of_cells(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let mut rows = serde_json::Deserializer::from_slice(text).into_iter::<Vec<serde_json::Value>>();
    let is_row = |row: Vec<_>| row.len() > 1 || row.first().is_some_and(serde_json::Value::is_string);
    text.starts_with(b"[") && rows.all(|row| row.is_ok_and(is_row))
}

/// Whether a text begins as objects do, or arrays of objects or of arrays, or is an empty array.
pub fn begins_like_json(text: &[u8]) -> bool {
    let text = text.strip_prefix(&[RECORD_SEPARATOR]).unwrap_or(text);
    let first = behind_blanks(text, 0);
    match text.get(first) {
        Some(b'{') => true,
        Some(b'[') => {
            let second = behind_blanks(text, first + 1);
            let is_empty = || text.get(second) == Some(&b']') && behind_blanks(text, second + 1) == text.len();
            matches!(text.get(second), Some(b'{' | b'[')) || is_empty()
        }
        Some(_) | None => false,
    }
}

/// Why text that was taken for CSV and is none is no JSON either, if it looks like JSON: an object or an array, and a quote soon after.
pub fn fault_instead_of_csv(text: &[u8]) -> Option<Rejection> {
    let looks_like_it = begins_like_json(text) && {
        let mut letters = text.iter().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'{' | b'['));
        matches!(letters.next(), Some(b'"' | b'\'') | None)
    };
    let broken = Elements::new(text).next().filter(|_| looks_like_it)?;
    fault_of(text, &broken)
}

/// The fault of a row that is broken, and its place.
pub fn fault_of(text: &[u8], row: &Element) -> Option<Rejection> {
    let ElementKind::Broken(Fault { at, why }) = &row.kind else { return None };
    let before = String::from_utf8_lossy(&text[row.start..(*at).clamp(row.start, row.end.max(row.start))]);
    let line = before.matches('\n').count() + 1;
    let character = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some(Rejection::new(Message::JsonSyntax { line, character, why: why.clone() }))
}

/// The end of the value that begins at `at`, or of the text.
pub fn end_of_value(text: &[u8], at: usize) -> usize {
    value(text, at).map_or(text.len(), |extent| extent.end)
}

/// The first member of the object that begins at `at`, blanks aside, of text that may end anywhere: its key as written, and where its
/// value is.
pub fn first_member(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = behind_blanks(text, at);
    let key = behind_blanks(text, (text.get(start) == Some(&b'{')).then_some(start + 1)?);
    let (key_end, value) = scan::value_of_key(text, key).ok()?;
    (value < text.len()).then(|| (&text[key + 1..key_end - 1], value))
}

/// The text of a value that is one JSON string.
pub(super) fn text_of_string(text: &[u8]) -> Option<Vec<u8>> {
    let at = behind_blanks(text, 0);
    let extent = value(text, at).ok().filter(|_| text.get(at) == Some(&b'"'))?;
    if behind_blanks(text, extent.end) < text.len() {
        return None;
    }
    let mut unescaped = Vec::with_capacity(extent.end - at);
    scan::unescape(&text[at + 1..extent.end - 1], &mut unescaped);
    Some(unescaped)
}

/// The members of a value that is one object: each key as it is written, and where its value is.
pub(super) fn members(text: &[u8]) -> Option<Vec<(&[u8], std::ops::Range<usize>)>> {
    let start = behind_blanks(text, 0);
    let extent = value(text, start).ok().filter(|_| text.get(start) == Some(&b'{'))?;
    if behind_blanks(text, extent.end) < text.len() {
        return None;
    }
    let mut members = Vec::new();
    let mut at = behind_blanks(text, start + 1);
    while let Ok((key_end, value_at)) = scan::value_of_key(text, at) {
        let end = value(text, value_at).ok()?.end;
        members.push((&text[at + 1..key_end - 1], value_at..end));
        at = behind_blanks(text, end);
        match text.get(at) {
            Some(b',') => at = behind_blanks(text, at + 1),
            Some(_) | None => break,
        }
    }
    Some(members)
}

//! Writes fields as the text of a row.

use super::rows::BOM;

/// Appends a row without line end: fields are quoted only where a reader needs it, so that what is written reads back as the same fields.
pub fn write_row<'a>(fields: impl IntoIterator<Item = &'a [u8]>, delimiter: u8, into: &mut Vec<u8>) {
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            into.push(delimiter);
        }
        let special = |byte: &u8| matches!(*byte, b'"' | b'\n' | b'\r') || *byte == delimiter;
        // A number sign in front could be taken for a text marker, and a byte order mark would be dropped.
        let first = index == 0 && (field.starts_with(b"#") || field.starts_with(BOM));
        if !first && !field.iter().any(special) {
            into.extend_from_slice(field);
            continue;
        }
        write_quoted(field, into);
    }
}

/// Appends a field in quotes.
pub fn write_quoted(field: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for piece in field.split_inclusive(|byte| *byte == b'"') {
        into.extend_from_slice(piece);
        if piece.ends_with(b"\"") {
            into.push(b'"');
        }
    }
    into.push(b'"');
}

//! What messages quote of a record: the beginning. Messages are copied, and escaped they are six times as long.

/// Bytes of a header or a term that a message quotes.
const QUOTED_BYTES_MAX: usize = 1_024;

/// A header's value, escaped.
pub(super) fn escaped(value: &[u8]) -> String {
    let kept = &value[..value.len().min(QUOTED_BYTES_MAX)];
    format!("{}{}", kept.escape_ascii(), if kept.len() < value.len() { "…" } else { "" })
}

/// A term as it is.
pub(super) fn quoted(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(QUOTED_BYTES_MAX)];
    format!("{kept}{}", if kept.len() < text.len() { "…" } else { "" })
}

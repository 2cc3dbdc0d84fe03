//! Text of strangers on a terminal. Names, ids and messages come from publishers, and everything that a command writes of them goes through
//! here: nothing may steer the terminal, forge a line, or turn the direction of writing.

use std::fmt::Write;

use serde::Serialize;

/// Characters of one value that fit a line.
const CHARS_MAX: usize = 200;

/// A value, escaped, and no more of it than fits a line.
pub(super) fn shown(text: &str) -> String {
    let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(end, _)| end);
    let mut escaped = escaped(&text[..end]);
    if end < text.len() {
        escaped.push('…');
    }
    escaped
}

/// All of a text, escaped: `\u{1b}` for what a terminal would obey.
pub(super) fn escaped(text: &str) -> String {
    let mut into = String::with_capacity(text.len());
    escape(text, &mut into);
    into
}

/// A text of several lines, each of them escaped.
pub(super) fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// Appends a text, escaped.
pub(super) fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        let written = if is_harmless(c) { write!(into, "{c}") } else { write!(into, "{}", c.escape_default()) };
        written.expect("a string takes everything");
    }
}

/// A value as JSON on several lines. Texts in it have `\\u202e` for what a terminal would obey: JSON itself asks that of a few only.
pub(super) fn json(value: &impl Serialize) -> String {
    in_json(&serde_json::to_string_pretty(value).expect("plain data always encodes"))
}

/// The same on one line.
pub(super) fn json_line(value: &impl Serialize) -> String {
    in_json(&serde_json::to_string(value).expect("plain data always encodes"))
}

/// JSON whose texts are escaped; it is the same value.
pub(super) fn in_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_harmless(c) || c == '\n' => escaped.push(c),
            c => write!(escaped, "\\u{:04x}", u32::from(c)).expect("a String takes any text"), // all of them are in the first plane
        }
    }
    escaped
}

/// False for what a terminal would obey: control characters steer it or begin a line of their own; the others change the direction of writing, or separate lines.
pub(super) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown("\x1b]0;pwned\x07\r\n"), "\\u{1b}]0;pwned\\u{7}\\r\\n");
        assert_eq!(shown("서울 ₩ \"quoted\" C:\\"), "서울 ₩ \"quoted\" C:\\");
        for turns in
            ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2028}', '\u{2066}', '\u{2069}', '\u{9b}']
        {
            assert!(!shown(&format!("a{turns}b")).contains(turns), "{}", turns.escape_unicode());
        }
    }

    #[test]
    fn a_long_value_is_cut_and_a_message_is_not() {
        let long = "가".repeat(300);
        assert_eq!(shown(&long).chars().count(), CHARS_MAX + 1);
        assert_eq!(escaped(&long), long);
    }
}

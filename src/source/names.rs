//! Names of columns: when two of them are the same, and how each gets a name of its own.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A name as it is compared and shown: composed (Unicode NFC, as macOS decomposes Hangul), without characters that cannot be seen, every kind
/// of space a plain one, and none at either end. Line ends inside a name stay.
pub fn clean_name(name: &str) -> Cow<'_, str> {
    let trimmed = name.trim();
    let is_clean = trimmed.is_ascii()
        || (is_nfc_quick(trimmed.chars()) == IsNormalized::Yes
            && !trimmed.chars().any(|c| is_invisible(c) || is_odd_space(c)));
    if is_clean {
        return Cow::Borrowed(trimmed);
    }
    let visible = name.chars().filter(|c| !is_invisible(*c)).map(|c| if is_odd_space(c) { ' ' } else { c });
    Cow::Owned(visible.nfc().collect::<String>().trim().to_owned())
}

/// Format characters that take no room: zero-width spaces and joiners, marks of direction, soft hyphens, byte order marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A space that is not the plain one: no-break, ideographic and the like. Line ends and tabs are not meant.
fn is_odd_space(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

/// The columns that a header row names: its cells cleaned, unless `exact`, and each made unique.
pub fn column_names<N: AsRef<str>>(cells: &[N], exact: bool) -> Vec<String> {
    let clean = |cell: &N| if exact { cell.as_ref().to_owned() } else { clean_name(cell.as_ref()).into_owned() };
    unique_names(&cells.iter().map(clean).collect::<Vec<_>>())
}

/// Gives every column a name of its own: an empty name becomes `column_3` (its place, from 1), one that is taken `x_2`, `x_3` and so on.
pub(super) fn unique_names(names: &[String]) -> Vec<String> {
    let mut taken = HashSet::with_capacity(names.len());
    let mut repeats: HashMap<String, usize> = HashMap::new();
    let mut unique = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let base = if name.is_empty() { format!("column_{}", index + 1) } else { name.clone() };
        let mut candidate = base.clone();
        while !taken.insert(candidate.clone()) {
            let repeat = repeats.entry(base.clone()).or_insert(1);
            *repeat += 1;
            candidate = format!("{base}_{repeat}");
        }
        unique.push(candidate);
    }
    unique
}

/// Names as a message lists them: in quotes, the first twenty of them.
pub fn list_names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    const LISTED_MAX: usize = 20;

    let mut names = names.into_iter();
    let mut listed: Vec<_> = names.by_ref().take(LISTED_MAX).map(|name| format!("\"{}\"", name.as_ref())).collect();
    let more = names.count();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_the_same() {
        for name in [
            "X좌표",
            " X좌표 ",
            "\u{a0}X좌표\u{200b}",
            "\u{feff}X좌표",
            "X\u{110c}\u{116a}\u{1111}\u{116d}",
            "X\u{200d}좌표\u{3000}",
            "X좌\u{ad}표",
        ] {
            assert_eq!(clean_name(name), "X좌표", "{}", name.escape_unicode());
        }
        assert_eq!(clean_name("a\u{a0}b"), "a b");
        assert_eq!(clean_name("X\r\n좌표"), "X\r\n좌표");
        assert_eq!(clean_name("e\u{301}"), "\u{e9}");
    }

    #[test]
    fn exact_names_stay_as_they_are() {
        assert_eq!(column_names(&["k ", "k", ""], true), ["k ", "k", "column_3"]);
        assert_eq!(column_names(&["k ", "k", "\u{200b}"], false), ["k", "k_2", "column_3"]);
    }

    #[test]
    fn a_list_of_names_has_an_end() {
        assert_eq!(list_names(["a", "b"]), "\"a\", \"b\"");
        assert!(list_names((0..50).map(|n| n.to_string())).ends_with("\"19\", 30 more"));
    }
}

//! One case-insensitive namer for sanitising, clashes and overflow. The names follow from the values and their order alone.

use std::collections::HashMap;

use unicode_normalization::char::is_combining_mark;

use crate::record::{Lang, SheetName};

/// Gives every sheet of one workbook a name that Excel accepts and no other sheet has.
#[derive(Debug)]
pub struct SheetNamer {
    /// Names that are taken, folded, with the last number that was tried behind them.
    taken: HashMap<String, u32>,
    /// Name of a sheet whose value is empty.
    blank: &'static str,
}

/// Excel refuses a sheet of this name (it had one for change tracking).
const HISTORY: &str = "History";

impl SheetNamer {
    /// A namer for a workbook in this language that has sheets of these names already.
    pub fn new(reserved: &[&str], lang: Lang) -> SheetNamer {
        let taken = reserved.iter().chain(&[HISTORY]).map(|name| (fold(name), 1)).collect();
        let blank = match lang {
            Lang::En => "(blank)",
            Lang::Ko => "(빈 값)",
        };
        SheetNamer { taken, blank }
    }

    /// The name of the next sheet with this value: the value itself if possible, else as near as Excel allows. Asked again for the same
    /// value, or one that differs in case only, it numbers: `name (2)`, `name (3)`.
    pub fn name(&mut self, value: &str) -> SheetName {
        let base = if value.is_empty() { self.blank.to_owned() } else { sanitise(value) };
        let mut name = fit(&base, "");
        let first = fold(&name);
        let mut number = self.taken.get(&first).copied().unwrap_or(0);
        let mut key = first.clone();
        while self.taken.contains_key(&key) {
            number += 1;
            name = fit(&base, &format!(" ({number})"));
            key = fold(&name);
        }
        self.taken.insert(first, number.max(1));
        self.taken.entry(key).or_insert(1);
        SheetName::parse(&name).expect("a sanitised name of at most 31 units is a sheet name")
    }
}

/// `base` cut so that it fits with `suffix` behind it. Code points that a reader sees as one character stay together.
fn fit(base: &str, suffix: &str) -> String {
    let room = SheetName::UNITS_MAX - suffix.len();
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= room
    };
    let kept: usize = base.chars().take_while(fits).map(char::len_utf8).sum();
    let mut cut = kept;
    while base[cut..].starts_with(continues_character) && cut > 0 {
        cut -= base[..cut].chars().next_back().map_or(0, char::len_utf8);
    }
    // A character that alone is longer than a name is cut all the same.
    let mut name = base[..if cut == 0 { kept } else { cut }].to_owned();
    name.push_str(suffix);
    if name.ends_with('\'') {
        name.pop();
        name.push('_');
    }
    name
}

/// True for what makes one character with the one before: accents and vowel signs, letters within a Hangul syllable, variants and skins of
/// pictures (Unicode Standard Annex 29, without its tables).
fn continues_character(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c, '\u{1160}'..='\u{11FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}')
}

/// Replaces what Excel, or XML, does not take in a sheet name.
fn sanitise(value: &str) -> String {
    let allowed = |c: char| match c {
        '[' | ']' | ':' | '*' | '?' | '/' | '\\' | '\u{fffe}' | '\u{ffff}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let mut name: String = value.chars().map(allowed).collect();
    if name.starts_with('\'') {
        name.replace_range(..1, "_");
    }
    // Readers differ on whether `_x0041_` in a name means `A` (ST_Xstring, ECMA-376 part 1, 22.9.2.19), so no name has it.
    let mut from = 0;
    while let Some(found) = name[from..].find("_x") {
        let at = from + found;
        let is_escape = name.as_bytes()[at + 2..]
            .split_first_chunk::<4>()
            .is_some_and(|(digits, rest)| digits.iter().all(u8::is_ascii_hexdigit) && rest.first() == Some(&b'_'));
        if is_escape {
            name.replace_range(at..=at, "-");
        }
        from = at + 1;
    }
    name
}

/// Folds a name, so that two names that Excel takes for the same become equal. Full upper case first, so that ς and σ, ß and ss meet: too
/// much is harmless.
fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(values: &[&str]) -> Vec<String> {
        let mut namer = SheetNamer::new(&["About", "Errors"], Lang::En);
        values.iter().map(|value| namer.name(value).to_string()).collect()
    }

    #[test]
    fn single_values_become_names() {
        let long = "가".repeat(40);
        let cases = [
            ("강남구", "강남구"),
            ("", "(blank)"),
            (" ", " "),
            ("a/b\\c:d*e?f[g]h", "a_b_c_d_e_f_g_h"),
            ("tab\tline\n\u{7f}\u{85}", "tab_line___"),
            ("'quoted'", "_quoted_"),
            ("'", "_"),
            ("it's", "it's"),
            ("=1+1", "=1+1"),
            ("<&\">", "<&\">"),
            ("\u{fffe}x\u{ffff}", "_x_"),
            ("_x0041_", "-x0041_"),
            ("a_x0041_x0042_", "a-x0041-x0042_"),
            ("_x004_ _xGGGG_", "_x004_ _xGGGG_"),
            ("About", "About (2)"),
            ("ERRORS", "ERRORS (2)"),
            ("history", "history (2)"),
            (long.as_str(), &long[..31 * 3]),
            // 15 pairs of surrogates are 30 units; half of the next one would not do.
            ("😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀", "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀"),
            ("123456789012345678901234567890'tail", "123456789012345678901234567890_"),
            // An accent stays with its letter, a skin with its picture.
            ("123456789012345678901234567890x\u{323}\u{302}", "123456789012345678901234567890"),
            ("12345678901234567890123456789👍🏽", "12345678901234567890123456789"),
        ];
        for (value, name) in cases {
            assert_eq!(names(&[value]), [name], "{value:?}");
        }
    }

    #[test]
    fn an_accent_that_never_ends_is_cut() {
        let accents = "\u{301}".repeat(40);
        assert_eq!(names(&[&accents]), [&accents[..31 * 2]]);
    }

    #[test]
    fn clashes_are_numbered_whatever_their_case() {
        assert_eq!(names(&["Seoul", "SEOUL", "seoul"]), ["Seoul", "SEOUL (2)", "seoul (3)"]);
        assert_eq!(names(&["a/b", "a:b", "a_b"]), ["a_b", "a_b (2)", "a_b (3)"]);
        assert_eq!(names(&["ΟΔΟΣ", "οδος", "straße", "STRASSE"]), ["ΟΔΟΣ", "οδος (2)", "straße", "STRASSE (2)"]);
    }

    #[test]
    fn a_name_that_a_number_took_is_numbered_itself() {
        assert_eq!(names(&["a", "a", "a (2)", "a"]), ["a", "a (2)", "a (2) (2)", "a (3)"]);
        assert_eq!(names(&["a", "a (2)", "a"]), ["a", "a (2)", "a (3)"]);
    }

    #[test]
    fn numbers_fit_into_long_names() {
        let long = "abcdefghijklmnopqrstuvwxyz0123456789";
        let names = names(&[long; 12]);
        assert_eq!(names[0], "abcdefghijklmnopqrstuvwxyz01234");
        assert_eq!(names[1], "abcdefghijklmnopqrstuvwxyz0 (2)");
        assert_eq!(names[11], "abcdefghijklmnopqrstuvwxyz (12)");
    }

    proptest! {
        #[test]
        fn any_values_get_distinct_names_that_excel_takes(values in proptest::collection::vec("\\PC{0,40}|[aA'/ ]{0,3}", 0..40)) {
            let mut namer = SheetNamer::new(&["About", "Errors"], Lang::En);
            let mut seen = std::collections::HashSet::from(["about".to_owned(), "errors".to_owned(), "history".to_owned()]);
            for value in &values {
                let name = namer.name(value);
                prop_assert!(rust_xlsxwriter::utility::check_sheet_name(name.as_str()).is_ok());
                prop_assert!(seen.insert(name.as_str().to_lowercase()), "{} twice", name);
            }
        }
    }
}

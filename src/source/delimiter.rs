//! Delimiters of fields: found in a file, named by people, or announced by a spreadsheet's line `sep=;`.

use crate::source::csv::{Fields, Rows};
use crate::source::names::column_names;

/// Rows that decide the delimiter.
const DELIMITER_ROWS: usize = 100;
/// Delimiters that are looked for, the likelier first.
pub const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Delimiters that only the columns of a topology find: in text they are anything else.
const RARE_DELIMITERS: [u8; 6] = [b'^', b'~', b':', b'!', 0x01, 0x1F];

/// The delimiter of UTF-8 text. In this order: the one under which the first row names most of the `needed` columns; the one that gives
/// most of the first rows as many fields as the first row has; tab or pipe, which are rare in text; the one with most fields; a semicolon,
/// for commas are decimal points elsewhere. A comma when none separates anything. `cut` says that the last row may be incomplete.
pub fn find_delimiter(text: &[u8], cut: bool, needed: &[Vec<String>]) -> u8 {
    let mut best = (b',', None);
    for delimiter in DELIMITERS {
        let mut rows = Rows::new(text, delimiter, None);
        let mut fields = Fields::default();
        let (mut columns, mut alike, mut seen, mut named) = (0, 0, 0, 0);
        while let Some(row) = rows.next_row(&mut fields) {
            if row.blank || (cut && !row.ended && seen > 0) {
                continue;
            }
            if seen == 0 {
                columns = fields.len();
                named = count_named(&fields, text, needed);
            }
            alike += usize::from(row.defect.is_none() && fields.len() == columns);
            seen += 1;
            if seen == DELIMITER_ROWS {
                break;
            }
        }
        let is_rare = matches!(delimiter, b'\t' | b'|');
        let score = Some((named, alike, is_rare, columns, delimiter == b';'));
        if columns > 1 && score > best.1 {
            best = (delimiter, score);
        }
    }
    match best.1 {
        Some((named, ..)) if named > 0 || needed.is_empty() => best.0,
        Some(_) | None => rare_delimiter(text, needed).unwrap_or(best.0),
    }
}

/// A delimiter that is hardly ever one, if the first row names every needed column under it.
fn rare_delimiter(text: &[u8], needed: &[Vec<String>]) -> Option<u8> {
    let mut fields = Fields::default();
    let mut names_all = |delimiter: u8| {
        let mut rows = Rows::new(text, delimiter, None);
        let row = std::iter::from_fn(|| rows.next_row(&mut fields)).find(|row| !row.blank);
        row.is_some() && fields.len() > 1 && count_named(&fields, text, needed) == needed.len()
    };
    RARE_DELIMITERS.into_iter().filter(|_| !needed.is_empty()).find(|delimiter| names_all(*delimiter))
}

/// How many of the needed columns a row names.
pub fn count_named(fields: &Fields, text: &[u8], needed: &[Vec<String>]) -> usize {
    if needed.is_empty() {
        return 0;
    }
    let names = column_names(&fields.iter(text).map(String::from_utf8_lossy).collect::<Vec<_>>(), false);
    needed.iter().filter(|candidates| candidates.iter().any(|name| names.contains(name))).count()
}

/// The delimiter that the line `sep=;` announces, in quotes or not.
pub fn separator_line(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter).filter(|byte| is_delimiter(*byte)),
        _ => None,
    }
}

/// One ASCII character, or the word `tab`.
pub fn parse_delimiter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] => Some(*byte).filter(|byte| is_delimiter(*byte)),
        b"tab" | b"\\t" => Some(b'\t'),
        _ => None,
    }
}

/// True for what can separate fields.
pub fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0)
}

/// A delimiter as messages name it.
pub fn delimiter_name(delimiter: u8) -> String {
    match delimiter {
        b',' => "comma".to_owned(),
        b';' => "semicolon".to_owned(),
        b'\t' => "tab".to_owned(),
        b'|' => "pipe".to_owned(),
        other => format!("'{}'", other.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_by_consistency() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b;c\n1,5;2,5;x\n2,5;3,5;y\n", b';'),
            ("a\tb\n1,2\t3\n", b'\t'),
            ("a|b\n\"x|y\n,\"|2\n", b'|'),
            ("a, the first;b\n1;2\n3;4\n", b';'),
            ("name\nx;y\n", b','),
            ("", b','),
            ("k\tx;y\n1\t2;3\n", b'\t'),
            ("k;x,m;y,m\na;200000,5;500000,5\n", b';'),
            ("a,b;c,d\n1,2;3,4\n", b','),
        ] {
            assert_eq!(find_delimiter(text.as_bytes(), false, &[]), delimiter, "{text:?}");
        }
    }

    #[test]
    fn the_columns_that_are_needed_decide() {
        let needed = [vec!["kind".to_owned(), "종류".to_owned()]];
        let text = "name;remark, long, kind,x\na;b, c, d,e\n";
        assert_eq!(find_delimiter(text.as_bytes(), false, &needed), b',');
        assert_eq!(find_delimiter("이름;종류\na;b,c\n".as_bytes(), false, &needed), b';');
        for (text, delimiter) in
            [("name^kind\na^b\n", b'^'), ("name\u{1}kind\n", 1), ("a,b^kind^c\n", b'^'), ("a^b\n", b',')]
        {
            assert_eq!(find_delimiter(text.as_bytes(), false, &needed), delimiter, "{text}");
        }
    }

    #[test]
    fn a_line_that_announces_the_delimiter() {
        for (line, delimiter) in [
            ("sep=;", Some(b';')),
            ("\"sep=,\"", Some(b',')),
            ("SEP=\t", Some(b'\t')),
            ("sep=", None),
            ("sep=;;", None),
        ] {
            assert_eq!(separator_line(line.as_bytes()), delimiter, "{line}");
        }
    }
}

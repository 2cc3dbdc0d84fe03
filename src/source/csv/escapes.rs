//! Rewrites backslash escapes, as MySQL and MariaDB have them in rows (`SELECT ... INTO OUTFILE`, `mysqldump --tab`), into the quotes of
//! RFC 4180. All other code reads those alone.

use super::rows::BOM;
use super::write::write_quoted;

/// Rewrites text piece by piece. JSON and lines that begin with `#` stay as they are.
#[derive(Debug)]
pub struct Unescaper {
    delimiter: u8,
    place: Place,
    /// The byte before was a backslash.
    escaped: bool,
    field: Vec<u8>,
    quoted: bool,
    /// The field so far is `\N`.
    null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Nothing but blanks so far.
    Beginning,
    RowStart,
    FieldStart,
    Field,
    Quoted,
    /// Behind a quote within a quoted field: it closes the field, or another one follows.
    Closed,
    /// A line that stays as it is.
    Line,
    /// The whole text stays as it is.
    Json,
}

impl Unescaper {
    /// For fields with this delimiter between them.
    pub fn new(delimiter: u8) -> Unescaper {
        Unescaper { delimiter, place: Place::Beginning, escaped: false, field: Vec::new(), quoted: false, null: false }
    }

    /// The whole of a text.
    pub fn rewrite(text: &[u8], delimiter: u8) -> Vec<u8> {
        let mut unescaper = Unescaper::new(delimiter);
        let mut into = Vec::with_capacity(text.len() + text.len() / 16);
        unescaper.push(text.strip_prefix(BOM).unwrap_or(text), &mut into);
        unescaper.finish(&mut into);
        into
    }

    /// Appends the next piece of the text.
    pub fn push(&mut self, piece: &[u8], into: &mut Vec<u8>) {
        piece.iter().for_each(|byte| self.byte(*byte, into));
    }

    /// Appends what the text ended with. A quote that is not closed stays open.
    pub fn finish(&mut self, into: &mut Vec<u8>) {
        if std::mem::take(&mut self.escaped) {
            self.field.push(b'\\');
        }
        if self.place == Place::Quoted {
            write_quoted(&std::mem::take(&mut self.field), into);
            into.pop();
        } else {
            self.end_field(into);
        }
    }

    fn byte(&mut self, byte: u8, into: &mut Vec<u8>) {
        if std::mem::take(&mut self.escaped) {
            self.null = byte == b'N' && self.field.is_empty() && !self.quoted;
            self.field.push(unescaped(byte));
            return;
        }
        let is_line_end = matches!(byte, b'\n' | b'\r');
        match self.place {
            Place::Json => into.push(byte),
            Place::Line => {
                into.push(byte);
                self.place = if is_line_end { Place::RowStart } else { Place::Line };
            }
            Place::Beginning if matches!(byte, b'{' | b'[') => {
                into.append(&mut self.field);
                into.push(byte);
                self.place = Place::Json;
            }
            Place::Beginning if byte == b' ' => self.field.push(byte),
            Place::Beginning | Place::RowStart if byte == b'#' && self.field.is_empty() => {
                into.push(byte);
                self.place = Place::Line;
            }
            Place::Beginning | Place::RowStart | Place::FieldStart if byte == b'"' && self.field.is_empty() => {
                (self.place, self.quoted) = (Place::Quoted, true);
            }
            Place::Quoted if byte == b'"' => self.place = Place::Closed,
            Place::Quoted if byte != b'\\' => self.field.push(byte),
            Place::Closed if byte == b'"' => {
                self.field.push(byte);
                self.place = Place::Quoted;
            }
            _ if byte == b'\\' => {
                self.escaped = true;
                if self.place != Place::Quoted {
                    self.place = Place::Field;
                }
            }
            _ if byte == self.delimiter || is_line_end => {
                self.end_field(into);
                into.push(byte);
                self.place = if is_line_end { Place::RowStart } else { Place::FieldStart };
            }
            _ => {
                self.null = false;
                self.field.push(byte);
                self.place = Place::Field;
            }
        }
    }

    fn end_field(&mut self, into: &mut Vec<u8>) {
        let (quoted, null) = (std::mem::take(&mut self.quoted), std::mem::take(&mut self.null));
        let is_special = |byte: &u8| matches!(*byte, b'"' | b'\n' | b'\r') || *byte == self.delimiter;
        if !null && (quoted || self.field.iter().any(is_special)) {
            write_quoted(&self.field, into);
        } else if !null {
            into.extend_from_slice(&self.field);
        }
        self.field.clear();
    }
}

/// The byte that a byte behind a backslash means (MySQL 8.4 Reference Manual, LOAD DATA).
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::csv::{Fields, Rows};

    fn rewritten(text: &str, delimiter: u8) -> String {
        String::from_utf8(Unescaper::rewrite(text.as_bytes(), delimiter)).unwrap()
    }

    #[test]
    fn escapes_become_quotes() {
        for (text, plain) in [
            (r#""a","say \"hi\"",1"#, r#""a","say ""hi""",1"#),
            (r#""b","back\\slash",2"#, r#""b","back\slash",2"#),
            (r"c,\N,3", "c,,3"),
            (r"\N,x\N,\Nx,\\N", r",xN,Nx,\N"),
            (r"a\,b,c", r#""a,b",c"#),
            ("a\\\nb,c\nd,e", "\"a\nb\",c\nd,e"),
            (r"a\nb,c\td", "\"a\nb\",c\td"),
            ("a,\"b\"\"c\"\r\n,\n", "a,\"b\"\"c\"\r\n,\n"),
            ("#EOF rows=2 name=\"a\\b\"\na", "#EOF rows=2 name=\"a\\b\"\na"),
            (r#"{"a": "x\ny"}"#, r#"{"a": "x\ny"}"#),
            (r#"a,"open\" b"#, r#"a,"open"" b"#),
            ("24\" pizza,b", "\"24\"\" pizza\",b"),
            ("a\\", "a\\"),
            ("\u{feff}\"a\",b", "\"a\",b"),
            ("", ""),
        ] {
            assert_eq!(rewritten(text, b','), plain, "{text}");
        }
        assert_eq!(rewritten("1\t\\N\ta\\\tb\n", b'\t'), "1\t\t\"a\tb\"\n");
    }

    /// A field as MySQL writes it, with `FIELDS OPTIONALLY ENCLOSED BY '"'` or without.
    fn escaped(field: Option<&str>, delimiter: char, enclosed: bool) -> String {
        let Some(field) = field else { return "\\N".to_owned() };
        let mut text = String::new();
        for c in field.chars() {
            match c {
                '\\' | '\n' | '"' => text.extend(['\\', c]),
                c if c == delimiter && !enclosed => text.extend(['\\', c]),
                c => text.push(c),
            }
        }
        if enclosed { format!("\"{text}\"") } else { text }
    }

    proptest! {
        #[test]
        fn any_rows_read_back_in_any_pieces(
            rows in prop::collection::vec(prop::collection::vec(prop::option::of("[a-zN,\t\"\\\\\n서#]{0,6}"), 2..4), 1..6),
            delimiter in prop::sample::select(vec![',', '\t']),
            enclosed: bool,
            cut in 0_usize..40,
        ) {
            let rows: Vec<Vec<Option<String>>> =
                rows.into_iter().map(|row| [vec![Some("k".to_owned())], row].concat()).collect();
            let line = |row: &Vec<Option<String>>| {
                let fields = row.iter().map(|field| escaped(field.as_deref(), delimiter, enclosed));
                fields.collect::<Vec<_>>().join(&delimiter.to_string()) + "\n"
            };
            let text: String = rows.iter().map(line).collect();
            let cut = cut.min(text.len());
            let (mut unescaper, mut plain) = (Unescaper::new(delimiter as u8), Vec::new());
            unescaper.push(&text.as_bytes()[..cut], &mut plain);
            unescaper.push(&text.as_bytes()[cut..], &mut plain);
            unescaper.finish(&mut plain);
            let (mut read, mut fields, mut found) = (Rows::new(&plain, delimiter as u8, None), Fields::default(), Vec::new());
            while let Some(row) = read.next_row(&mut fields) {
                prop_assert_eq!(row.defect, None);
                found.push(fields.iter(&plain).map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>());
            }
            let blank = |field: Option<String>| field.unwrap_or_default();
            prop_assert_eq!(found, rows.into_iter().map(|row| row.into_iter().map(blank).collect()).collect::<Vec<Vec<_>>>());
        }
    }
}

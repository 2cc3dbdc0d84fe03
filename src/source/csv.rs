//! Text into rows and rows into fields (RFC 4180), as byte ranges. Knows nothing of columns, charsets or uploads.
//!
//! A row ends at LF, CRLF or CR outside quotes. A byte order mark in front of it is dropped, for files get joined. A field is quoted when its
//! very first byte is a quote; a doubled quote inside stands for one. Blanks before that quote are a defect, which can be overlooked when
//! the quote is closed on the same line and only blanks follow it (`a, "x, y"`).
//!
//! **Broken quotes never swallow a row that can be read.** When a row that crosses a line end is broken (its quote is never closed, there is
//! text behind a closing quote, it has another number of fields than the header, or it is larger than [`ROW_BYTES_MAX`]), it ends before
//! the first of its later lines that *reads alone*: a line that is a sound row by itself with as many fields as the header. Only when no
//! line does, the row keeps all of them. The rule looks at nothing behind the row and does not depend on options, so that text cut in two
//! at any row boundary gives the same rows.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memchr3_iter};

/// Largest row that is read, in bytes; a larger one is rejected unread.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// Fields of one row that may turn out not to be quoted text behind blanks: looking further would take too long in a row made for that.
const BLANKS_TRIED_MAX: usize = 64;

/// UTF-8 byte order mark.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with the quotes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A quote was opened and never closed, or closed in a later row.
    UnclosedQuote,
    /// Text stands behind a closing quote.
    TextAfterQuote,
    /// A quote stands inside a field that is not quoted.
    StrayQuote,
    /// Blanks stand before a quoted field.
    BlanksBeforeQuote,
}

/// One row of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its bytes, without line end.
    pub bytes: &'a [u8],
    /// What is wrong with its quotes, and in which field, from 0. All but an unclosed quote can be overlooked: the fields are there.
    pub defect: Option<(Defect, usize)>,
    /// Empty, or nothing but empty fields.
    pub blank: bool,
    /// False when the text ended before the row did, so that more text could change it.
    pub ended: bool,
}

/// The fields of one row. Valid until the next row is read into it.
#[derive(Debug, Default)]
pub struct Fields {
    spans: Vec<Span>,
    /// Fields that do not stand in the text as they are: doubled quotes made single, repaired cells.
    rewritten: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    rewritten: bool,
}

impl Fields {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }
    /// True without fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
    /// The fields, out of the text that the row was read from.
    pub fn iter<'a>(&'a self, text: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.spans.iter().map(move |span| self.resolve(*span, text))
    }
    /// The fields as text, for a row that is known to be UTF-8: `valid` is the text itself if all of it is.
    pub(super) fn cells<'a>(&'a self, text: &'a [u8], valid: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        self.spans.iter().map(move |span| match valid.filter(|_| !span.rewritten) {
            Some(valid) => valid.get(span.start..span.end).unwrap_or_default(),
            None => std::str::from_utf8(self.resolve(*span, text)).unwrap_or_default(),
        })
    }
    /// One field; empty when there is none at that place.
    pub fn get<'a>(&'a self, field: usize, text: &'a [u8]) -> &'a [u8] {
        self.spans.get(field).map_or(&[], |span| self.resolve(*span, text))
    }
    /// Makes the fields `count`: fills up with empty ones, drops surplus ones.
    pub fn resize(&mut self, count: usize) {
        self.spans.resize(count, Span { start: 0, end: 0, rewritten: false });
    }
    /// Puts other text in the place of a field.
    pub fn replace(&mut self, field: usize, with: &[u8]) {
        let start = self.rewritten.len();
        self.rewritten.extend_from_slice(with);
        if let Some(span) = self.spans.get_mut(field) {
            *span = Span { start, end: self.rewritten.len(), rewritten: true };
        }
    }
    fn resolve<'a>(&'a self, span: Span, text: &'a [u8]) -> &'a [u8] {
        let from = if span.rewritten { &self.rewritten } else { text };
        from.get(span.start..span.end).unwrap_or_default()
    }
    fn clear(&mut self) {
        self.spans.clear();
        self.rewritten.clear();
    }
    fn push(&mut self, range: Range<usize>) {
        self.spans.push(Span { start: range.start, end: range.end, rewritten: false });
    }
    /// A quoted field: what is inside its quotes, and text that stands behind them.
    fn push_quoted(&mut self, text: &[u8], inside: Range<usize>, doubled: bool, behind: Range<usize>) {
        if !doubled && behind.is_empty() {
            return self.push(inside);
        }
        let cell = self.rewritten.len();
        undouble(&text[inside], &mut self.rewritten);
        self.rewritten.extend_from_slice(&text[behind]);
        self.spans.push(Span { start: cell, end: self.rewritten.len(), rewritten: true });
    }
    /// Splits a line at every delimiter, quotes taken as text; `start` is its place in the text.
    pub(super) fn split_plainly(&mut self, line: &[u8], start: usize, delimiter: u8) {
        self.clear();
        let mut field = 0;
        for at in memchr::memchr_iter(delimiter, line).chain([line.len()]) {
            self.push(start + field..start + at);
            field = at + 1;
        }
    }
    fn are_empty(&self) -> bool {
        self.spans.iter().all(|span| span.start == span.end)
    }
}

/// Reads the rows of a text one after the other.
#[derive(Debug)]
pub struct Rows<'a> {
    text: &'a [u8],
    at: usize,
    delimiter: u8,
    fields_expected: Option<usize>,
    /// The first quote at or behind `at`, or the length of the text: a row that ends before it needs no care.
    next_quote: usize,
}

/// Where a row that was read with care for quotes ends, and what came up.
struct Scan {
    end: usize,
    next: usize,
    defect: Option<(Defect, usize)>,
    /// The first field with a line end in it.
    crosses_line_end: Option<usize>,
    ended: bool,
}

impl<'a> Rows<'a> {
    /// `fields_expected` is the header's number of fields, if there is a header yet; it only serves the rule for broken quotes.
    pub fn new(text: &'a [u8], delimiter: u8, fields_expected: Option<usize>) -> Rows<'a> {
        Rows { text, at: 0, delimiter, fields_expected, next_quote: memchr(b'"', text).unwrap_or(text.len()) }
    }

    /// Where the next row begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// From here on the header's number of fields is known.
    pub fn expect_fields(&mut self, count: usize) {
        self.fields_expected = Some(count);
    }

    /// The next row, blank ones too; its fields go to `fields`.
    pub fn next_row(&mut self, fields: &mut Fields) -> Option<Row<'a>> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = behind_bom(self.text, self.at);
        if self.next_quote < start {
            self.next_quote = find(self.text, start, |rest| memchr(b'"', rest));
        }
        if let Some((end, next)) = self.split(start, fields) {
            self.at = next;
            // Without quotes, a row as long as its delimiters holds nothing else.
            let blank = end - start + 1 == fields.len();
            return Some(Row { bytes: &self.text[start..end], defect: None, blank, ended: next > end });
        }
        let mut scan = self.scan(start, fields);
        let miscounted = self.fields_expected.is_some_and(|count| count != fields.len());
        let too_big = scan.end - start > ROW_BYTES_MAX;
        if let Some(field) = scan.crosses_line_end
            && (scan.defect.is_some() || miscounted || too_big)
            && let Some(next) = self.first_line_that_reads_alone(start, scan.end)
        {
            let end = before_line_end(self.text, next);
            scan = Scan { end, next, defect: Some((Defect::UnclosedQuote, field)), ..scan };
        }
        self.at = scan.next;
        let blank = scan.defect.is_none() && fields.are_empty();
        Some(Row { bytes: &self.text[start..scan.end], defect: scan.defect, blank, ended: scan.ended })
    }

    /// A row that ends before the next quote: (its end, the next row). `None` when a quote comes first.
    fn split(&self, start: usize, fields: &mut Fields) -> Option<(usize, usize)> {
        fields.clear();
        let mut field = start;
        let unquoted = &self.text[start..self.next_quote];
        for at in memchr3_iter(self.delimiter, b'\n', b'\r', unquoted) {
            let at = start + at;
            fields.push(field..at);
            if self.text[at] != self.delimiter {
                return Some((at, after_line_end(self.text, at)));
            }
            field = at + 1;
        }
        if self.next_quote < self.text.len() {
            return None;
        }
        fields.push(field..self.text.len());
        Some((self.text.len(), self.text.len()))
    }

    /// A row with quotes. Misplaced quotes are text, as spreadsheets read them, and noted as a defect.
    fn scan(&self, start: usize, fields: &mut Fields) -> Scan {
        fields.clear();
        let text = self.text;
        let (mut at, mut defect, mut crosses_line_end) = (start, None, None);
        let mut tries = BLANKS_TRIED_MAX;
        loop {
            let field = fields.len();
            if text.get(at) == Some(&b'"') {
                let opened = at + 1;
                let (closed, doubled) = close_quote(text, opened);
                let inside = opened..closed.unwrap_or(text.len());
                if memchr2(b'\n', b'\r', &text[inside.clone()]).is_some() {
                    crosses_line_end = crosses_line_end.or(Some(field));
                }
                let Some(closed) = closed else {
                    // A line end that ends the text is none of the row.
                    let (end, next) = (before_line_end(text, text.len()), text.len());
                    fields.push(inside);
                    let defect = Some((Defect::UnclosedQuote, field));
                    return Scan { end, next, defect, crosses_line_end, ended: false };
                };
                at = self.field_end(closed + 1);
                let behind = closed + 1..at;
                if !behind.is_empty() {
                    defect = defect.or(Some((Defect::TextAfterQuote, field)));
                }
                fields.push_quoted(text, inside, doubled, behind);
            } else {
                let end = self.field_end(at);
                let has_quote = memchr(b'"', &text[at..end]).is_some();
                let quoted = if has_quote && tries > 0 { self.quoted_behind_blanks(at) } else { None };
                if let Some((inside, doubled, end)) = quoted {
                    defect = defect.or(Some((Defect::BlanksBeforeQuote, field)));
                    fields.push_quoted(text, inside, doubled, end..end);
                    at = end;
                } else {
                    if has_quote {
                        defect = defect.or(Some((Defect::StrayQuote, field)));
                        tries = tries.saturating_sub(1);
                    }
                    fields.push(at..end);
                    at = end;
                }
            }
            match text.get(at) {
                Some(byte) if *byte == self.delimiter => at += 1,
                Some(_) => {
                    let next = after_line_end(text, at);
                    return Scan { end: at, next, defect, crosses_line_end, ended: true };
                }
                None => return Scan { end: at, next: at, defect, crosses_line_end, ended: false },
            }
        }
    }

    /// A field of blanks, a quoted text on one line, and blanks again: what is inside, whether quotes are doubled there, and its end.
    fn quoted_behind_blanks(&self, start: usize) -> Option<(Range<usize>, bool, usize)> {
        let is_blank = |byte: &u8| matches!(*byte, b' ' | b'\t') && *byte != self.delimiter;
        let behind_blanks = |from: usize| from + self.text[from..].iter().take_while(|byte| is_blank(byte)).count();
        let quote = behind_blanks(start);
        if quote == start || self.text.get(quote) != Some(&b'"') {
            return None;
        }
        let (closed, doubled) = close_quote(self.text, quote + 1);
        let inside = quote + 1..closed?;
        let end = behind_blanks(inside.end + 1);
        let is_end = self.text.get(end).is_none_or(|byte| *byte == self.delimiter || matches!(byte, b'\n' | b'\r'));
        let is_one_line = memchr2(b'\n', b'\r', &self.text[inside.clone()]).is_none();
        (is_end && is_one_line).then_some((inside, doubled, end))
    }

    /// The next delimiter, line end or end of the text.
    fn field_end(&self, from: usize) -> usize {
        find(self.text, from, |rest| memchr3(self.delimiter, b'\n', b'\r', rest))
    }

    fn first_line_that_reads_alone(&self, start: usize, end: usize) -> Option<usize> {
        let mut fields = Fields::default();
        let line_end = |from| find(&self.text[..end], from, |rest| memchr2(b'\n', b'\r', rest));
        let mut line = after_line_end(self.text, line_end(start));
        while line < end {
            let until = line_end(line);
            let alone = &self.text[behind_bom(self.text, line).min(until)..until];
            let alone = Rows::new(alone, self.delimiter, None).scan(0, &mut fields);
            let counted = self.fields_expected.is_none_or(|count| count == fields.len());
            if alone.defect.is_none() && counted && !fields.are_empty() {
                return Some(line);
            }
            line = after_line_end(self.text, until);
        }
        None
    }
}

/// Where a row at `at` begins, byte order marks passed over.
fn behind_bom(text: &[u8], mut at: usize) -> usize {
    while text[at..].starts_with(BOM) {
        at += BOM.len();
    }
    at
}

/// Where a quote that was opened before `from` is closed, and whether doubled quotes stand in between.
fn close_quote(text: &[u8], mut from: usize) -> (Option<usize>, bool) {
    let mut doubled = false;
    loop {
        let quote = find(text, from, |rest| memchr(b'"', rest));
        if quote == text.len() {
            return (None, doubled);
        }
        if text.get(quote + 1) != Some(&b'"') {
            return (Some(quote), doubled);
        }
        doubled = true;
        from = quote + 2;
    }
}

/// Copies the inside of a quoted field, each doubled quote made single.
fn undouble(mut inside: &[u8], into: &mut Vec<u8>) {
    while let Some(quote) = memchr(b'"', inside) {
        into.extend_from_slice(&inside[..=quote]);
        inside = inside.get(quote + 2..).unwrap_or_default();
    }
    into.extend_from_slice(inside);
}

/// Position of what `search` finds from `from` on, or the length of the text.
fn find(text: &[u8], from: usize, search: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    search(rest).map_or(text.len(), |found| from + found)
}

/// The place behind the line end at `at`, CRLF taken as one; the length of the text when there is none.
fn after_line_end(text: &[u8], at: usize) -> usize {
    let length = if text[at..].starts_with(b"\r\n") { 2 } else { 1 };
    (at + length).min(text.len())
}

/// `at` without the line end right before it, if there is one.
fn before_line_end(text: &[u8], at: usize) -> usize {
    let before = &text[..at];
    let line_end = [&b"\r\n"[..], b"\n", b"\r"].into_iter().find(|line_end| before.ends_with(line_end));
    at - line_end.map_or(0, <[u8]>::len)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows that are not blank, their fields joined by `·`, broken ones as `!` and their bytes.
    fn read(text: &[u8], expected: Option<usize>) -> Vec<String> {
        let mut rows = Rows::new(text, b',', expected);
        let mut fields = Fields::default();
        let mut read = Vec::new();
        while let Some(row) = rows.next_row(&mut fields) {
            let cells: Vec<_> = fields.iter(text).map(String::from_utf8_lossy).collect();
            match row.defect {
                _ if row.blank => {}
                None => read.push(cells.join("·")),
                Some(_) => read.push(format!("!{}", String::from_utf8_lossy(row.bytes))),
            }
        }
        read
    }

    #[test]
    fn rows_and_fields() {
        for (text, rows) in [
            ("1,2,3", vec!["1·2·3"]),
            ("1,2\n3,4\n", vec!["1·2", "3·4"]),
            ("1,2\r\n3,4\r5,6", vec!["1·2", "3·4", "5·6"]),
            (" 1 , 2 ", vec![" 1 · 2 "]),
            ("a,\"x,y\",b", vec!["a·x,y·b"]),
            ("\"say \"\"hi\"\"\",2", vec!["say \"hi\"·2"]),
            ("\"two\nlines\",2\n3,4", vec!["two\nlines·2", "3·4"]),
            ("\"\",\"2\"\n", vec!["·2"]),
            ("1,\n,2\n", vec!["1·", "·2"]),
            ("1,2,\"\"\r\n", vec!["1·2·"]),
            ("\n\n1,2\n,\n\"\",\"\"\n\r\n", vec!["1·2"]),
            ("", vec![]),
            ("\u{feff}1,2\n\u{feff}\"3\",4\n\u{feff}", vec!["1·2", "3·4"]),
            ("#EOF,2", vec!["#EOF·2"]),
        ] {
            assert_eq!(read(text.as_bytes(), None), rows, "{text:?}");
        }
    }

    #[test]
    fn broken_quotes_never_swallow_a_row_that_can_be_read() {
        for (text, rows) in [
            // Never closed.
            ("a,\"b\n1,2\n3,4", vec!["!a,\"b", "1·2", "3·4"]),
            ("a,\"b", vec!["!a,\"b"]),
            // Closed by the quote of a later row.
            ("a,\"b\n1,2\nc,\"d\"\n3,4", vec!["!a,\"b", "1·2", "c·d", "3·4"]),
            // Closed, but with the wrong number of fields.
            ("a,\"b\n1,2\n\",c,d\n3,4", vec!["!a,\"b", "1·2", "!\",c,d", "3·4"]),
            // A sound row over two lines, each of which would read alone.
            ("a,\"1,2\n3,4\"\n5,6", vec!["a·1,2\n3,4", "5·6"]),
            // A miscounted row over two lines that do not read alone stays one row.
            ("a,\"b\nc\",d\n1,2", vec!["a·b\nc·d", "1·2"]),
            // Within one line nothing is swallowed anyway.
            ("\"x\"y,2\n1,2", vec!["!\"x\"y,2", "1·2"]),
            ("x\"y,2\n1,2", vec!["!x\"y,2", "1·2"]),
        ] {
            assert_eq!(read(text.as_bytes(), Some(2)), rows, "{text:?}");
        }
    }

    #[test]
    fn misplaced_quotes_can_be_read_as_text() {
        let text = b"\"x\"y,a\"b\n";
        let mut fields = Fields::default();
        let row = Rows::new(text, b',', None).next_row(&mut fields).map(|row| row.defect);
        assert_eq!(row, Some(Some((Defect::TextAfterQuote, 0))));
        assert_eq!(fields.iter(text).collect::<Vec<_>>(), [&b"xy"[..], b"a\"b"]);
    }

    #[test]
    fn quoted_fields_behind_blanks_can_be_overlooked() {
        let mut fields = Fields::default();
        for (text, defect, cells) in [
            ("a, \"x, y\"\n", Some((Defect::BlanksBeforeQuote, 1)), vec!["a", "x, y"]),
            ("\t\"say \"\"hi\"\"\" ,b", Some((Defect::BlanksBeforeQuote, 0)), vec!["say \"hi\"", "b"]),
            ("a, \"x\" y", Some((Defect::StrayQuote, 1)), vec!["a", " \"x\" y"]),
            ("a, \"x\n\",b", Some((Defect::StrayQuote, 1)), vec!["a", " \"x"]),
            ("a, b", None, vec!["a", " b"]),
        ] {
            let row = Rows::new(text.as_bytes(), b',', None).next_row(&mut fields).map(|row| row.defect);
            assert_eq!(row, Some(defect), "{text:?}");
            let read: Vec<_> = fields.iter(text.as_bytes()).map(String::from_utf8_lossy).collect();
            assert_eq!(read, cells, "{text:?}");
        }
    }

    #[test]
    fn a_row_of_blanks_and_quotes_takes_no_longer_than_its_length() {
        let mut text = " \"\"\",".repeat(ROW_BYTES_MAX / 5).into_bytes();
        text.extend_from_slice(b"x\n1,2\n");
        let mut fields = Fields::default();
        let mut rows = Rows::new(&text, b',', Some(2));
        assert_eq!(std::iter::from_fn(|| rows.next_row(&mut fields).map(|row| row.defect.is_some())).count(), 2);
    }

    #[test]
    fn the_line_end_behind_a_quote_that_is_never_closed_is_none_of_the_row() {
        for text in ["\"a,b", "\"a,b\n", "\"a,b\r\n", "\"a,b\r"] {
            let row = Rows::new(text.as_bytes(), b',', Some(2)).next_row(&mut Fields::default());
            assert_eq!(row.map(|row| row.bytes), Some(&b"\"a,b"[..]), "{text:?}");
        }
    }

    #[test]
    fn a_huge_field_that_is_never_closed_costs_one_row() {
        let mut text = b"\"".to_vec();
        text.resize(2 * ROW_BYTES_MAX, b'x');
        text.extend_from_slice(b"\n1,2\n");
        assert_eq!(read(&text, Some(2)).len(), 2);
    }

    /// Text in which everything that means something is frequent.
    pub(crate) fn messy_text() -> impl Strategy<Value = Vec<u8>> {
        let piece =
            prop::sample::select(vec![",", ",", "\n", "\n", "\"", "\"", "\r\n", "\r", "1", "x", "가", "\"\"", "#EOF"]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
    }

    /// Start and end of every row, blank ones too.
    fn extents(text: &[u8], expected: usize) -> Vec<(usize, usize)> {
        let mut rows = Rows::new(text, b',', Some(expected));
        let mut fields = Fields::default();
        let mut extents = Vec::new();
        loop {
            let start = rows.position();
            if rows.next_row(&mut fields).is_none() {
                return extents;
            }
            extents.push((start, rows.position()));
        }
    }

    proptest! {
        #[test]
        fn rows_cover_any_text(text in prop::collection::vec(any::<u8>(), 0..200), expected in 1_usize..4) {
            let extents = extents(&text, expected);
            prop_assert!(extents.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[1].0 < pair[1].1));
            prop_assert_eq!(extents.last().map_or(0, |last| last.1), text.len());
        }

        #[test]
        fn text_cut_at_any_row_boundary_gives_the_same_rows(text in messy_text(), expected in 1_usize..4) {
            let whole = extents(&text, expected);
            for &(_, cut) in &whole {
                let mut parts = extents(&text[..cut], expected);
                parts.extend(extents(&text[cut..], expected).into_iter().map(|(start, end)| (start + cut, end + cut)));
                prop_assert_eq!(&parts, &whole, "cut at {}", cut);
            }
        }

        #[test]
        fn what_is_written_reads_back(cells in prop::collection::vec("[a,;\"\n\r# 가]{0,6}", 1..6)) {
            let mut text = Vec::new();
            write_row(cells.iter().map(|cell| cell.as_bytes()), b',', &mut text);
            let mut fields = Fields::default();
            let row = Rows::new(&text, b',', Some(cells.len())).next_row(&mut fields);
            let row = row.map(|row| (row.bytes, row.defect));
            if text.is_empty() {
                prop_assert_eq!(row, None);
            } else {
                prop_assert_eq!(row, Some((&text[..], None)));
                let read: Vec<_> = fields.iter(&text).collect();
                prop_assert_eq!(read, cells.iter().map(|cell| cell.as_bytes()).collect::<Vec<_>>());
            }
        }
    }
}

//! Reads rows from a text, one after the other.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3, memchr3_iter};

use super::fields::Fields;

/// Largest row that is read, in bytes; a larger one is rejected unread.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// Fields of one row that may turn out not to be quoted text behind blanks: looking further would take too long in a row made for that.
const BLANKS_TRIED_MAX: usize = 64;

/// UTF-8 byte order mark.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// A fault of the quotes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A quote was opened and never closed, or closed in a later row.
    UnclosedQuote,
    /// There is text behind a closing quote.
    TextAfterQuote,
    /// There is a quote inside a field that is not quoted.
    StrayQuote,
    /// There are blanks before a quoted field.
    BlanksBeforeQuote,
    /// A field is `="0012"`, with which files make Excel keep leading zeros. It may be all that is wrong: any other defect comes first.
    ExcelText,
}

/// One row of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its bytes, without line end.
    pub bytes: &'a [u8],
    /// The fault of its quotes, and the field, from 0. All but an unclosed quote can be overlooked: the fields are there.
    pub defect: Option<(Defect, usize)>,
    /// Nothing but fields that are blank, see [`is_blank`].
    pub blank: bool,
    /// False when the text ended before the row did, so that more text could change it.
    pub ended: bool,
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
            let bytes = &self.text[start..end];
            let blank = bytes.iter().all(|byte| *byte == self.delimiter || is_padding(*byte));
            return Some(Row { bytes, defect: None, blank, ended: next > end });
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
                    defect = worse(defect, Defect::TextAfterQuote, field);
                }
                fields.push_quoted(text, inside, doubled, behind);
            } else {
                let excel_text = self.excel_text_end(at);
                let end = excel_text.unwrap_or_else(|| self.field_end(at));
                let has_quote = memchr(b'"', &text[at..end]).is_some();
                let quoted = if has_quote && tries > 0 { self.quoted_behind_blanks(at) } else { None };
                if excel_text.is_some() {
                    defect = defect.or(Some((Defect::ExcelText, field)));
                    fields.push(at..end);
                    at = end;
                } else if let Some((inside, doubled, end)) = quoted {
                    defect = worse(defect, Defect::BlanksBeforeQuote, field);
                    fields.push_quoted(text, inside, doubled, end..end);
                    at = end;
                } else {
                    if has_quote {
                        defect = worse(defect, Defect::StrayQuote, field);
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

    /// The end of a field that is `="…"` on one line, if it is one.
    fn excel_text_end(&self, start: usize) -> Option<usize> {
        let inside = self.text[start..].strip_prefix(b"=\"")?;
        let length = inside.iter().position(|byte| matches!(byte, b'"' | b'\n' | b'\r'))?;
        let end = start + 2 + length + 1;
        let is_end = self.text.get(end).is_none_or(|byte| *byte == self.delimiter || matches!(byte, b'\n' | b'\r'));
        (inside[length] == b'"' && is_end).then_some(end)
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

/// The defect of a row in which one more is found: the first one, and Excel's text form only where there is no other.
fn worse(known: Option<(Defect, usize)>, found: Defect, field: usize) -> Option<(Defect, usize)> {
    known.filter(|(defect, _)| *defect != Defect::ExcelText).or(Some((found, field)))
}

/// True for a field without quotes that holds nothing, or blanks and padding alone: a row of such fields is none.
pub fn is_blank(field: &[u8]) -> bool {
    field.iter().copied().all(is_padding)
}

/// Blanks, and what programs of DOS and disks that are written ahead leave at the end of a file (SUB, NUL).
fn is_padding(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x1A | 0)
}

/// Where a row at `at` begins, byte order marks passed over.
fn behind_bom(text: &[u8], mut at: usize) -> usize {
    while text[at..].starts_with(BOM) {
        at += BOM.len();
    }
    at
}

/// Where a quote that was opened before `from` is closed, and whether there are doubled quotes in between.
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

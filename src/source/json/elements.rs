//! The rows of a JSON text: objects and arrays one behind the other (NDJSON, pretty-printed or not), or in one array around them.
//!
//! **A broken row never swallows a row that can be read.** It ends where its brackets do, if that is on its line and a comma, the end of
//! the array or of the line follows. Else it ends before the next line that is not indented further than the line it begins on, and from
//! which a whole object or array can be read. Only when there is no such line it keeps all that follows. A row that is too deep is broken
//! down to the depth that is too much. Text that begins with no bracket, such as a line of a log, ends with its line.

use memchr::memchr2;

use super::scan::{Fault, behind_blanks, end_of_brackets, string_end, value, value_with};
use crate::record::JsonFault;
use crate::source::csv::BOM;

/// Arrays around the rows that are entered although what is in them is broken. To find that out may cost a look at all of it, each time.
const AROUND_MAX: usize = 8;

/// ASCII RS.
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

/// One row, as positions in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: ElementKind,
}

/// The kind of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ElementKind {
    Object,
    Array,
    /// No JSON, or no row.
    Broken(Fault),
    /// Null in all places, or empty: no row.
    Blank,
}

impl Element {
    /// Its bytes.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        if self.start == self.end { b"[" } else { &text[self.start..self.end] }
    }
    /// Where it begins in its text.
    pub fn start(&self) -> usize {
        self.start
    }
    /// True for a row that is none: it is neither counted nor refused.
    pub fn is_blank(&self) -> bool {
        self.kind == ElementKind::Blank
    }
    /// True for a row that is an object, with a name for each cell.
    pub fn is_object(&self) -> bool {
        self.kind == ElementKind::Object
    }
    /// True for a row that is an array of cells.
    pub fn is_array(&self) -> bool {
        self.kind == ElementKind::Array
    }
    /// True for a row that cannot be read.
    pub fn is_broken(&self) -> bool {
        matches!(self.kind, ElementKind::Broken(_))
    }
}

/// The place of a reader in the structure of a text. Another reader can continue from it with the text that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nesting {
    /// Arrays around the rows: one, more where they are broken.
    depth: usize,
    /// A row has just ended, and a comma may follow.
    behind_row: bool,
    /// The text is one document: its rows are the objects in its arrays, and what is around them is none.
    in_document: bool,
}

impl Nesting {
    /// The beginning of a document with rows somewhere inside, as answers of web services and GeoJSON are.
    pub fn document() -> Nesting {
        Nesting { in_document: true, ..Nesting::default() }
    }

    /// In front of a row of such a document.
    pub fn among_rows() -> Nesting {
        Nesting { depth: 1, ..Nesting::document() }
    }
}

/// Reads the rows of a text one after the other.
#[derive(Debug)]
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    nesting: Nesting,
    /// More text follows: a value that ends with this text could continue in the next.
    is_cut: bool,
}

impl<'a> Elements<'a> {
    /// The rows of a text that is there as a whole.
    pub fn new(text: &'a [u8]) -> Elements<'a> {
        Elements::resume(text, Nesting::default(), false)
    }

    /// The rows of a piece of text. While it `is_cut`, a row that more text could change is not given.
    pub fn resume(text: &'a [u8], nesting: Nesting, is_cut: bool) -> Elements<'a> {
        Elements { text, at: 0, nesting, is_cut }
    }

    /// How far the text was read, and where in its structure that is.
    pub fn position(&self) -> (usize, Nesting) {
        (self.at, self.nesting)
    }

    fn broken(&mut self, start: usize, fault: Fault) -> Option<Element> {
        if let Some(end) = self.end_on_its_line(start) {
            (self.at, self.nesting.behind_row) = (end, true);
            return Some(Element { start, end, kind: ElementKind::Broken(fault) });
        }
        if let Some(until) = self.end_of_text_line(start) {
            let end = start + self.text[start..until].trim_ascii_end().len();
            (self.at, self.nesting.behind_row) = (until, false);
            return Some(Element { start, end, kind: ElementKind::Broken(fault) });
        }
        let next = self.next_that_reads(start);
        if next.is_none() && self.is_cut {
            return None;
        }
        let until = next.unwrap_or(self.text.len());
        let end = start + self.text[start..until].trim_ascii_end().len();
        self.at = until;
        let depth = if next.is_some() { self.nesting.depth } else { 0 };
        self.nesting = Nesting { depth, behind_row: false, ..self.nesting };
        Some(Element { start, end, kind: ElementKind::Broken(fault) })
    }

    /// The end of the line of text that begins with no bracket, if more text is behind it.
    fn end_of_text_line(&self, start: usize) -> Option<usize> {
        let has_bracket = matches!(self.text.get(start), Some(b'{' | b'['));
        let end = start + memchr2(b'\n', b'\r', &self.text[start..]).filter(|_| !has_bracket)?;
        (behind_blanks(self.text, end) < self.text.len()).then_some(end)
    }

    /// Where a broken row ends on the line that it begins on: an object or array, or in an array a word.
    fn end_on_its_line(&self, start: usize) -> Option<usize> {
        let text = self.text;
        let is_of_a_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
        let end = match text.get(start)? {
            b'{' | b'[' => end_of_brackets(text, start)?,
            b'"' if self.nesting.depth > 0 => string_end(text, start).ok()?,
            _ if self.nesting.depth > 0 => start + text[start..].iter().take_while(is_of_a_word).count(),
            _ => return None,
        };
        let behind = text[end..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        let ends = behind.map_or(!self.is_cut, |byte| matches!(byte, b',' | b']' | b'\n' | b'\r'));
        (end > start && ends).then_some(end)
    }

    /// The next line from which a row can be read, see above. Each byte is read once: of what is read from one line, the lines below it
    /// that are whole are known, and whatever is open at its fault is broken by the same fault.
    fn next_that_reads(&self, start: usize) -> Option<usize> {
        let text = self.text;
        let indent = start - self.begin_of_line(start);
        let mut from = start + 1;
        loop {
            let first = self.next_bracket_of_a_line(from, indent)?;
            let mut next: Option<usize> = None;
            let read = value_with(text, first, &mut |begin, end| {
                if self.begins_line(begin, indent) && self.is_followed_as_a_row(end) {
                    next = Some(next.map_or(begin, |next| next.min(begin)));
                }
            });
            if next.is_some() {
                return next;
            }
            from = read.map_or_else(|fault| fault.at, |row| row.end);
        }
    }

    /// The first bracket at or behind `from` that begins a line which is indented by `indent` at most.
    fn next_bracket_of_a_line(&self, from: usize, indent: usize) -> Option<usize> {
        let text = self.text;
        let mut line = self.begin_of_line(from);
        loop {
            let first = line + text[line..].iter().take_while(|byte| is_blank(byte)).count();
            if first >= from && first - line <= indent && matches!(text.get(first), Some(b'{' | b'[')) {
                return Some(first);
            }
            line = first + text[first..].iter().position(is_line_end)? + 1;
        }
    }

    /// Whether nothing but an indentation of `indent` at most is in front of `at`.
    fn begins_line(&self, at: usize, indent: usize) -> bool {
        let blanks = self.text[..at].iter().rev().take(indent + 1).take_while(|byte| is_blank(byte)).count();
        blanks <= indent && (blanks == at || is_line_end(&self.text[at - blanks - 1]))
    }

    /// Whether a row that ends at `end` is followed by the end of the line, or by what follows one in an array.
    fn is_followed_as_a_row(&self, end: usize) -> bool {
        let behind = self.text[end..].iter().find(|byte| !is_blank(byte));
        behind.is_none_or(|byte| is_line_end(byte) || matches!(byte, b',' | b']'))
    }

    fn begin_of_line(&self, at: usize) -> usize {
        self.text[..at].iter().rposition(is_line_end).map_or(0, |end| end + 1)
    }

    /// Enters the next array of objects of a document; `None` without one.
    fn skip_to_rows(&mut self) -> Option<()> {
        loop {
            match self.text.get(self.at)? {
                b'"' => match string_end(self.text, self.at) {
                    Ok(end) => self.at = end,
                    Err(fault) if self.is_cut && fault.why == (JsonFault::TextEnds {}) => return None,
                    Err(_) => self.at += 1,
                },
                b'[' => match self.text.get(behind_blanks(self.text, self.at + 1)) {
                    Some(b'{') => {
                        self.at += 1;
                        self.nesting = Nesting { depth: 1, behind_row: false, ..self.nesting };
                        return Some(());
                    }
                    None if self.is_cut => return None,
                    Some(_) | None => self.at += 1,
                },
                _ => self.at += 1,
            }
        }
    }

    /// An array around rows begins with one.
    fn is_around_rows(&self, at: usize) -> bool {
        matches!(self.text.get(behind_blanks(self.text, at + 1)), Some(b'{' | b'['))
    }
}

impl Iterator for Elements<'_> {
    type Item = Element;

    fn next(&mut self) -> Option<Element> {
        loop {
            if self.nesting.in_document && self.nesting.depth == 0 {
                self.skip_to_rows()?;
            }
            let start = behind_blanks(self.text, self.at);
            let Some(first) = self.text.get(start) else {
                if self.is_cut || self.nesting.depth == 0 {
                    return None;
                }
                // The rest of the array is missing, and so may be rows.
                (self.at, self.nesting) = (start, Nesting { depth: 0, behind_row: false, ..self.nesting });
                let kind = ElementKind::Broken(Fault::new(start, JsonFault::TextEnds {}));
                return Some(Element { start, end: start, kind });
            };
            match first {
                b',' if self.nesting.behind_row => {
                    self.nesting.behind_row = false;
                    self.at = start + 1;
                    continue;
                }
                b']' if self.nesting.depth > 0 => {
                    let depth = self.nesting.depth - 1;
                    self.nesting = Nesting { depth, behind_row: depth > 0, ..self.nesting };
                    self.at = start + 1;
                    continue;
                }
                b'[' if self.nesting.depth == 0 && self.is_around_rows(start) => {
                    self.nesting = Nesting { depth: 1, behind_row: false, ..self.nesting };
                    self.at = start + 1;
                    continue;
                }
                // RFC 7464 puts it in front of each row.
                &RECORD_SEPARATOR if self.nesting.depth == 0 => {
                    self.at = start + 1;
                    continue;
                }
                _ if self.text[start..].starts_with(BOM) => {
                    self.at = start + BOM.len();
                    continue;
                }
                _ => {}
            }
            let row = match first {
                b'{' | b'[' => value(self.text, start),
                _ => Err(Fault::new(start, JsonFault::NoRow {})),
            };
            return match row {
                Ok(extent) => {
                    self.at = extent.end;
                    self.nesting.behind_row = true;
                    let kind = match first {
                        _ if extent.is_blank => ElementKind::Blank,
                        b'{' => ElementKind::Object,
                        _ => ElementKind::Array,
                    };
                    Some(Element { start, end: extent.end, kind })
                }
                Err(fault) if self.is_cut && fault.why == (JsonFault::TextEnds {}) => None,
                Err(_) if *first == b'[' && self.nesting.depth < AROUND_MAX && self.is_around_rows(start) => {
                    self.nesting = Nesting { depth: self.nesting.depth + 1, behind_row: false, ..self.nesting };
                    self.at = start + 1;
                    continue;
                }
                Err(fault) => self.broken(start, fault),
            };
        }
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

//! The fields of one row, as ranges of its text. A field that is not in the row as it is has its text here.

use std::ops::Range;

use memchr::memchr;

use crate::page::forms::excel_text;

/// The fields of one row. Valid until the next row is read into it.
#[derive(Debug, Default)]
pub struct Fields {
    spans: Vec<Span>,
    /// Fields that are not in the text as they are: doubled quotes made single, repaired cells.
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
    pub(in crate::source) fn cells<'a>(
        &'a self,
        text: &'a [u8],
        valid: Option<&'a str>,
    ) -> impl Iterator<Item = &'a str> {
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
    /// Makes the fields `count` empty ones.
    pub(in crate::source) fn reset(&mut self, count: usize) {
        self.clear();
        self.resize(count);
    }
    /// Takes a part of the text for a field.
    pub(in crate::source) fn set(&mut self, field: usize, range: Range<usize>) {
        self.spans[field] = Span { start: range.start, end: range.end, rewritten: false };
    }
    /// Puts other text in the place of a field.
    pub fn replace(&mut self, field: usize, with: &[u8]) {
        let start = self.rewritten.len();
        self.rewritten.extend_from_slice(with);
        if let Some(span) = self.spans.get_mut(field) {
            *span = Span { start, end: self.rewritten.len(), rewritten: true };
        }
    }
    /// Takes the text inside for each field that is `="…"`.
    pub fn unwrap_excel_text(&mut self, text: &[u8]) {
        for field in 0..self.spans.len() {
            let span = self.spans[field];
            if let Some(inside) = excel_text(self.resolve(span, text)) {
                let (start, end) = (span.start + inside.start, span.start + inside.end);
                self.spans[field] = Span { start, end, ..span };
            }
        }
    }
    fn resolve<'a>(&'a self, span: Span, text: &'a [u8]) -> &'a [u8] {
        let from = if span.rewritten { &self.rewritten } else { text };
        from.get(span.start..span.end).unwrap_or_default()
    }
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.rewritten.clear();
    }
    pub(super) fn push(&mut self, range: Range<usize>) {
        self.spans.push(Span { start: range.start, end: range.end, rewritten: false });
    }
    /// A quoted field: the text inside its quotes, and any text behind them.
    pub(super) fn push_quoted(&mut self, text: &[u8], inside: Range<usize>, doubled: bool, behind: Range<usize>) {
        if !doubled && behind.is_empty() {
            return self.push(inside);
        }
        let cell = self.rewritten.len();
        undouble(&text[inside], &mut self.rewritten);
        self.rewritten.extend_from_slice(&text[behind]);
        self.spans.push(Span { start: cell, end: self.rewritten.len(), rewritten: true });
    }
    /// Splits a line at every delimiter, quotes taken as text; `start` is its place in the text.
    pub(in crate::source) fn split_plainly(&mut self, line: &[u8], start: usize, delimiter: u8) {
        self.clear();
        let mut field = 0;
        for at in memchr::memchr_iter(delimiter, line).chain([line.len()]) {
            self.push(start + field..start + at);
            field = at + 1;
        }
    }
    pub(super) fn are_empty(&self) -> bool {
        self.spans.iter().all(|span| span.start == span.end)
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

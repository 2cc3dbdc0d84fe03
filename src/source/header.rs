//! Gives an upload its header: from its first row or a marker, at once or after a doubt. Rows wait until then.

use std::sync::Arc;

use memchr::memchr2;

use crate::record::{
    Delimiter, EarlierHeader, Marker, MarkerRecord, Message, Offset, Reason, Rejection, StreamElement,
};
use crate::source::delimiter::DELIMITERS;
use crate::source::fate;
use crate::source::header_row::names_of_row;
use crate::source::headerless::{ALL_BYTES_MAX, BYTES_MAX, DOUBT_ROWS, Origin, ROWS_MAX};
use crate::source::json::{self, Element, Elements};
use crate::source::kind::{KIND_BYTES, text_kind};
use crate::source::names::column_names;
use crate::source::row_format::RowFormat;
use crate::source::table_head::{TableHead, has_names_of, is_header_of};
use crate::source::upload::{Doubt, HeaderRead, SourceContext, Upload};
use crate::source::{HeaderFrom, columns::Layout};

impl Upload {
    /// Takes the head of the table for the header, and returns how many rows that was and the text behind it; `None` when there is nothing
    /// left to read.
    pub(super) fn take_head<'a>(
        &mut self,
        context: &mut SourceContext,
        origin: Origin<'_>,
        delimiter: u8,
        text: &'a [u8],
    ) -> Option<(u32, &'a [u8])> {
        let TableHead { row, names, behind, rows } =
            TableHead::read(&context.config, delimiter, text, &mut context.fields)?;
        let behind = &text[behind..];
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        // What Python's str(row) writes has no double quotes, and so no defect.
        let is_suspicious = row.defect.is_some() || row.bytes.starts_with(b"{'");
        let names = match Some(text).filter(|_| is_suspicious).and_then(fate::json_instead_of_header) {
            Some(instead) if instead.reason == Reason::JsonFormat => {
                // A broken row of JSON costs itself: the next one has the same keys.
                self.wait(context, Origin { format: RowFormat::Json, ..origin }, text);
                return None;
            }
            Some(instead) => Err(instead),
            None => match text_kind(&text[..text.len().min(KIND_BYTES)]) {
                Some(kind) => Err(Rejection::new(Message::NotText { kind })),
                None => names,
            },
        };
        let is_taken = self.take_names(context, origin, names, Origin { line: origin.line + rows, ..origin }, behind);
        is_taken.then_some((rows, behind))
    }

    /// Takes the header that the topology declares. If the text begins with a header line nevertheless, as files have one, that is none of
    /// the rows, and its names count where they are others or in another order. Returns how many rows it has and the text behind it; `None`
    /// when there is nothing left to read.
    pub(super) fn take_declared<'a>(
        &mut self,
        context: &mut SourceContext,
        layout: Arc<Layout>,
        origin: Origin<'_>,
        text: &'a [u8],
    ) -> Option<(u32, &'a [u8])> {
        let config = Arc::clone(&context.config);
        let exact = config.exact_names;
        let (mut rows, mut behind, mut other) = (0, text, None);
        if let (RowFormat::Csv(delimiter), None, HeaderFrom::Declared(declared)) =
            (origin.format, origin.first_row, &config.header)
            && let Some(head) = TableHead::read(&config, delimiter, text, &mut context.fields)
            && let Ok(names) = head.names
            && is_header_of(declared, &names, exact)
        {
            (rows, behind) = (u32::try_from(head.rows).unwrap_or(u32::MAX), &text[head.behind..]);
            other = Some(names).filter(|names| !has_names_of(declared, names, exact));
        }
        let is_taken = match other {
            Some(names) => {
                self.take_names(context, origin, Ok(names), Origin { line: origin.line + rows, ..origin }, behind)
            }
            None => {
                self.header = Some(HeaderRead { layout, offset: None, doubted: None });
                true
            }
        };
        is_taken.then_some((rows, behind))
    }

    /// After a restart, a record is read again whose first rows were the header of this upload, with titles above it: they are no rows.
    pub(super) fn pass_over_head<'o, 'a>(
        &self,
        context: &mut SourceContext,
        origin: Origin<'o>,
        text: &'a [u8],
    ) -> (Origin<'o>, &'a [u8]) {
        let config = Arc::clone(&context.config);
        let has_lines = memchr2(b'\n', b'\r', text.trim_ascii_end()).is_some();
        let known = self.own_layout().filter(|_| has_lines && self.is_restored() && origin.first_row.is_none());
        let (Some(layout), RowFormat::Csv(delimiter)) = (known, origin.format) else { return (origin, text) };
        let head = TableHead::read(&config, delimiter, text, &mut context.fields);
        let names = |head: &TableHead| head.names.as_ref().ok().map(|names| column_names(names, config.exact_names));
        match head.filter(|head| head.rows > 1 && names(head).is_some_and(|names| *names == *layout.header)) {
            Some(TableHead { behind, rows, .. }) => {
                let line = origin.line + u32::try_from(rows).unwrap_or(u32::MAX);
                (Origin { line, ..origin }, &text[behind..])
            }
            None => (origin, text),
        }
    }

    /// Takes the keys of the first JSON object for the header, or the cells of the first JSON array. Returns how many rows that were;
    /// `None` when there is nothing left to read.
    pub(super) fn take_keys(&mut self, context: &mut SourceContext, origin: Origin<'_>, text: &[u8]) -> Option<u32> {
        let mut rows = Elements::new(text).filter(|row| !row.is_blank());
        let mut first = rows.next()?;
        if first.is_broken() {
            first = rows.find(|row| !row.is_broken()).filter(Element::is_object).unwrap_or(first);
        }
        let consumed = u32::from(!first.is_object());
        let names = match json::fault_of(text, &first) {
            Some(_) if !first.bytes(text).starts_with(b"[") => None,
            // An array of cells has its number, or it is the header.
            _ if origin.first_row.is_some() && consumed > 0 => None,
            Some(fault) => Some(Err(fault)),
            None => Some(names_of_row(&context.config, text, &first)),
        };
        let Some(names) = names else {
            self.wait(context, origin, text);
            return None;
        };
        let behind = Origin { line: origin.line + consumed, ..origin };
        self.take_names(context, origin, names, behind, text).then_some(consumed)
    }

    /// Takes the names of the first row for the header: it is a header marker to all who follow. If they cannot be names, what is behind
    /// that row is passed on unread.
    fn take_names(
        &mut self,
        context: &mut SourceContext,
        origin: Origin<'_>,
        names: Result<Vec<String>, Rejection>,
        behind: Origin<'_>,
        text: &[u8],
    ) -> bool {
        let is_known = self.header.is_some();
        self.header_follows = false;
        let accepted = names.and_then(|names| {
            let marker = MarkerRecord {
                upload: self.id.clone(),
                offset: origin.offset,
                read_at: origin.offset,
                marker: Marker::Header(names.into()),
                attempt: origin.attempt.map(Arc::from),
                traceparent: origin.traceparent.map(Arc::from),
                key: origin.key.cloned(),
                value: None,
                passed_from: origin.passed_from.cloned(),
            };
            match is_known {
                true => {
                    self.take_header(context, origin.format, marker);
                    Ok(())
                }
                false => self.accept_header(context, origin.format, marker),
            }
        });
        match accepted {
            Ok(()) => match self.failed.clone() {
                // It was named otherwise before.
                Some(reason) => {
                    self.pass_unread(context, behind, text, &reason);
                    false
                }
                None => {
                    self.read_waiting(context, origin.offset);
                    true
                }
            },
            Err(rejection) => {
                let rejection = rejection.because(|why| Message::FirstRowIsNoHeader { why });
                self.fail(context, origin.offset, rejection.clone());
                self.pass_unread(context, behind, text, &rejection);
                false
            }
        }
    }

    fn accept_header(
        &mut self,
        context: &mut SourceContext,
        format: RowFormat,
        marker: MarkerRecord,
    ) -> Result<(), Rejection> {
        let Marker::Header(names) = &marker.marker else { return Ok(()) };
        let layout = context.layouts.of(names, &context.config)?;
        context.layouts.check_room(&layout, &context.config)?;
        let offset = Some(marker.offset);
        let guess = match format {
            RowFormat::Csv(delimiter) => other_delimiter(&layout.header, delimiter).map(|guess| (guess, delimiter)),
            RowFormat::Json | RowFormat::Opaque => None,
        };
        let doubted = match guess {
            Some((guess, delimiter)) => Some(Box::new(Doubt { guess, delimiter, marker })),
            None => {
                self.show_header(context, marker);
                None
            }
        };
        self.header = Some(HeaderRead { layout, offset, doubted });
        Ok(())
    }

    /// Hands a header over. The upload begins with its first row, though that waited for the header: a replay has to find it.
    fn show_header(&self, context: &mut SourceContext, mut marker: MarkerRecord) {
        let first = self.waiting.as_ref().and_then(|waiting| waiting.since());
        marker.offset = first.map_or(marker.offset, |first| first.min(marker.offset));
        context.out.push_back(StreamElement::Marker(marker));
    }

    pub(super) fn take_header(&mut self, context: &mut SourceContext, format: RowFormat, marker: MarkerRecord) {
        let Marker::Header(names) = &marker.marker else { return };
        let offset = marker.offset;
        let Some(header) = &self.header else {
            return match self.accept_header(context, format, marker) {
                Ok(()) => self.read_waiting(context, offset),
                Err(rejection) => self.fail(context, offset, rejection),
            };
        };
        if *column_names(names, context.config.exact_names) != *header.layout.header {
            let earlier = header.offset.map(|offset| EarlierHeader::At { offset });
            self.fail(context, offset, Rejection::new(Message::OtherHeader { offset, earlier }));
        } else if header.doubted.is_none() {
            context.out.push_back(StreamElement::Marker(marker));
        }
    }

    /// `#HEADER` as a line of its own. It waits for the row that names the columns, so that a restart reads it again.
    pub(super) fn expect_header(&mut self, context: &mut SourceContext, marker: Origin<'_>) {
        self.flush(context);
        let is_foreign = self.is_of_another_attempt(marker.attempt);
        if is_foreign || self.failed.is_some() {
            return;
        }
        self.adopt_attempt(marker.attempt);
        self.header_follows = true;
        self.waiting.get_or_insert_default().push(marker, &[], 0);
    }

    /// A header marker that cannot be read: no other will do, so that the upload fails, and by the true reason.
    pub(super) fn take_unfit_header(&mut self, context: &mut SourceContext, offset: Offset, rejection: Rejection) {
        if self.failed.is_none() && !self.is_restored() {
            self.fail(context, offset, rejection);
        }
    }

    /// Keeps rows until the header is known.
    pub(super) fn wait(&mut self, context: &mut SourceContext, origin: Origin<'_>, text: &[u8]) {
        let offset = origin.offset;
        let rows = origin.format.count_rows(text, &mut context.fields);
        if rows == 0 {
            return;
        }
        let waiting = self.waiting.get_or_insert_default();
        waiting.push(origin, text, rows);
        let full = waiting.bytes > BYTES_MAX || context.waiting_bytes + text.len() > ALL_BYTES_MAX;
        if self.header.is_some() {
            if full || waiting.rows >= DOUBT_ROWS {
                self.settle_doubt(context, offset);
            }
        } else if full || waiting.rows > ROWS_MAX {
            let message = Message::TooManyRowsWithoutHeader { rows: waiting.rows, bytes: waiting.bytes };
            self.fail(context, offset, Rejection::new(message));
        }
    }

    /// The header is known: reads what waited for it.
    fn read_waiting(&mut self, context: &mut SourceContext, offset: Offset) {
        let Some(header) = &self.header else { return };
        if header.doubted.is_some() {
            if self.waiting_rows() >= DOUBT_ROWS {
                self.settle_doubt(context, offset);
            }
            return;
        }
        let layout = Arc::clone(&header.layout);
        for record in self.waiting.take().unwrap_or_default().records {
            self.read_rows(context, Arc::clone(&layout), record.origin(), &record.text, None);
        }
    }

    /// Believes a doubted header, or fails the upload, by the rows that have come.
    pub(super) fn settle_doubt(&mut self, context: &mut SourceContext, offset: Offset) {
        let first = self.waiting_since();
        let Some(header) = &mut self.header else { return };
        let Some(doubt) = header.doubted.take() else { return };
        let Doubt { guess, delimiter, marker } = *doubt;
        if !self.waiting.as_ref().is_some_and(|waiting| waiting.speaks_for(guess, &mut context.fields)) {
            self.show_header(context, marker);
            return self.read_waiting(context, offset);
        }
        let message = Message::OtherDelimiter { delimiter: Delimiter(delimiter), guess: Delimiter(guess) };
        self.fail(context, first.map_or(offset, |first| first.min(offset)), Rejection::new(message));
    }
}

/// The delimiter that a header of one column seems to be written with.
fn other_delimiter(header: &[String], delimiter: u8) -> Option<u8> {
    let [name] = header else { return None };
    let count = |guess: u8| name.bytes().filter(|byte| *byte == guess).count();
    let likeliest =
        DELIMITERS.into_iter().filter(|guess| *guess != delimiter).rev().max_by_key(|guess| count(*guess))?;
    (count(likeliest) > 0).then_some(likeliest)
}

//! Identifies records: their upload ids, and markers (contract 1 and 6). Knows nothing of columns. Of a repeated header the last value that
//! is not null counts; other headers are ignored.

mod connect;
mod headers;
mod marker;
mod quoted;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use crate::record::{IdPlace, Marker, Message, Reason, Record, Rejection, UploadId};
use crate::source::charset::Charset;
use crate::source::csv::{BOM, Fields, ROW_BYTES_MAX, Rows, Unescaper};
use crate::source::delimiter::parse_delimiter;
use crate::source::header_row::{check_names, marker_names};
use crate::source::row_format::RowFormat;
use crate::source::{Format, Markers, SourceConfig, UploadFrom};
use connect::Payload;
use marker::{Kind, Terms};
use quoted::escaped;

pub(super) use headers::ControlHeaders;
pub use marker::NAME_BYTES_MAX;
pub(super) use marker::is_marker;

/// Longest upload id, in bytes: it is key and content of status records, which have to fit their topic.
pub(super) const ID_BYTES_MAX: usize = 16 << 10;
/// Longest `ss-attempt`, in bytes.
const ATTEMPT_BYTES_MAX: usize = 1_024;
/// Longest `traceparent`; the W3C's have 55 characters.
const TRACEPARENT_BYTES_MAX: usize = 512;

/// A record, understood.
#[derive(Debug, PartialEq)]
pub(super) struct Envelope<'a> {
    pub(super) upload: &'a str,
    pub(super) attempt: Option<Cow<'a, str>>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) content: Content<'a>,
    /// The lines below a marker. They are read as if they were the next record. Empty where there are none.
    pub(super) below: &'a [u8],
}

/// The content of a record.
#[derive(Debug, PartialEq)]
pub(super) enum Content<'a> {
    Rows {
        /// CSV or JSON, without byte order mark.
        text: &'a [u8],
        /// `ss-row` of the first row; the rows that follow it in the record count on.
        first_row: Option<u64>,
        /// The delimiter of fields: `ss-delimiter`, else that of the topology.
        delimiter: u8,
    },
    Marker(Marker, RowFormat),
    /// `#HEADER` as a line of its own: the next row names the columns.
    HeaderFollows,
    /// A header marker with a cell that cannot name a column.
    UnfitHeader(Rejection),
}

/// A record that cannot be understood.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) upload: Option<UploadId>,
    pub(super) rejection: Rejection,
}

/// The value of a record in UTF-8, taken out of its envelope.
pub(super) struct Plain<'a> {
    pub(super) value: Option<Cow<'a, Bytes>>,
    /// How its rows are written, if that is known.
    pub(super) format: Format,
}

/// The value in UTF-8 (header `ss-encoding`, else what the topology says), taken out of Connect's envelope. A marker in plain text is one
/// in every charset.
pub(super) fn plain<'a>(
    config: &SourceConfig,
    record: &'a Record,
    headers: &ControlHeaders<'_>,
) -> Result<Plain<'a>, Rejection> {
    let charset = match headers.encoding {
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            Some(
                name.parse()
                    .map_err(|_| Rejection::new(Message::EncodingHeader { value: escaped(name.as_bytes()) }))?,
            )
        }
        None => config.encoding,
    };
    let format = match headers.format {
        None => config.format,
        Some(b"csv") => Format::Csv,
        Some(b"json") => Format::Json,
        Some(other) => return Err(Rejection::new(Message::FormatHeader { value: escaped(other) })),
    };
    let Some(value) = &record.value else { return Ok(Plain { value: None, format }) };
    let decode = |value: &Bytes| {
        let charset = charset.filter(|charset| *charset != Charset::UTF_8 && Kind::of_text(value).is_none());
        charset.map(|charset| Bytes::from(charset.decode(value).into_owned()))
    };
    let decoded = decode(value);
    let payload = match format {
        Format::Csv => None,
        Format::Auto | Format::Json => {
            // Who names a delimiter writes CSV.
            let delimiter = headers.delimiter.is_none().then(|| config.topic_delimiter());
            connect::payload(decoded.as_ref().unwrap_or(value), format, delimiter)
        }
    };
    let payload = payload.map(|payload| match payload {
        Payload::Text(text) => text,
        Payload::Bytes(bytes) => decode(&bytes).unwrap_or(bytes),
    });
    // A payload is a line of a file or a row, whatever is around it.
    let format = if payload.is_some() { Format::Auto } else { format };
    let mut value = payload.or(decoded).map_or(Cow::Borrowed(value), Cow::Owned);
    if has_escapes(config, headers)? && format != Format::Json && Kind::of_text(&value).is_none() {
        let delimiter = delimiter(config, headers)?;
        value = Cow::Owned(Bytes::from(Unescaper::rewrite(&value, delimiter)));
    }
    Ok(Plain { value: Some(value), format })
}

/// Whether rows of CSV in the record have backslash escapes.
fn has_escapes(config: &SourceConfig, headers: &ControlHeaders<'_>) -> Result<bool, Rejection> {
    match headers.escape {
        None => Ok(config.backslash_escapes),
        Some(b"none") => Ok(false),
        Some(b"backslash") => Ok(true),
        Some(other) => Err(Rejection::new(Message::EscapeHeader { value: escaped(other) })),
    }
}

/// Reads the headers, the key and the beginning of the value. `None` is a null value that has nothing to abort.
pub(super) fn open<'a>(
    config: &SourceConfig,
    record: &'a Record,
    headers: &ControlHeaders<'a>,
    plain: &'a Plain<'_>,
) -> Result<Option<Envelope<'a>>, Refusal> {
    let tombstone = record.value.is_none() && headers.kind.is_none();
    // A null value means the upload of its key; without a key, or where keys mean nothing, it means none.
    if tombstone && (config.upload == UploadFrom::Partition || (record.key.is_none() && headers.upload.is_none())) {
        return Ok(None);
    }
    let upload = upload_of(config, record, headers).map_err(|rejection| Refusal { upload: None, rejection })?;
    envelope_of(config, plain, headers, upload)
        .map(Some)
        .map_err(|rejection| Refusal { upload: Some(UploadId::new(upload)), rejection })
}

/// Contract 1.
fn upload_of<'a>(
    config: &SourceConfig,
    record: &'a Record,
    headers: &ControlHeaders<'a>,
) -> Result<&'a str, Rejection> {
    let text = |id: &'a [u8], place: IdPlace| {
        if id.len() > ID_BYTES_MAX {
            return Err(Rejection::new(Message::IdTooLong { place, bytes: id.len(), limit: ID_BYTES_MAX }));
        }
        let bytes = || escaped(id);
        std::str::from_utf8(id).map_err(|_| Rejection::new(Message::IdNotUtf8 { place, bytes: bytes() }))
    };
    let key = record.key.as_deref().map(|key| text(key, IdPlace::Key {}));
    match &config.upload {
        UploadFrom::Auto => match headers.upload {
            Some((name, id)) => text(id, IdPlace::Header { name: name.to_owned() }),
            None => key.unwrap_or(Ok("")),
        },
        UploadFrom::Key => key.unwrap_or_else(|| Err(Rejection::new(Message::KeyMissing {}))),
        UploadFrom::Header(name) => match headers.upload {
            Some((_, id)) => text(id, IdPlace::Header { name: name.to_string() }),
            None => Err(Rejection::new(Message::IdHeaderMissing { name: name.to_string() })),
        },
        UploadFrom::Partition => Ok(""),
    }
}

fn envelope_of<'a>(
    config: &SourceConfig,
    plain: &'a Plain<'_>,
    headers: &ControlHeaders<'a>,
    upload: &'a str,
) -> Result<Envelope<'a>, Rejection> {
    let (value, format) = (plain.value.as_deref().map(|value| &**value), plain.format);
    let text = value.map_or(&[][..], |value| value.strip_prefix(BOM).unwrap_or(value));
    let mut terms = Terms::from_headers(headers)?;
    let delimiter = delimiter(config, headers)?;
    let traceparent = traceparent(headers);
    let mut below = &[][..];
    let (kind, names) = match headers.kind {
        Some(kind) => (Kind::of_header(kind)?, text),
        None if value.is_none() => (Some(Kind::Abort), text),
        None if config.markers == Markers::Headers => (None, text),
        None => match Kind::of_text(text) {
            Some((kind, rest)) => {
                let (mut names, lines) = terms.read(kind, rest)?;
                below = lines;
                if kind == Kind::Header && names.is_empty() && terms.columns.is_none() {
                    (names, below) = first_row_of(lines, delimiter, format);
                    if names.is_empty() {
                        let attempt = terms.attempt.take();
                        return Ok(Envelope { upload, attempt, traceparent, content: Content::HeaderFollows, below });
                    }
                }
                (Some(kind), names)
            }
            None if format == Format::Csv => (None, text),
            None => (terms.read_json(text)?, &[][..]),
        },
    };
    let attempt = terms.attempt.take();
    if let Some(bytes) = attempt.as_ref().map(|attempt| attempt.len()).filter(|bytes| *bytes > ATTEMPT_BYTES_MAX) {
        return Err(Rejection::new(Message::AttemptTooLong { bytes, limit: ATTEMPT_BYTES_MAX }));
    }
    let written = RowFormat::Csv(delimiter);
    let content = match kind {
        Some(Kind::Begin) => Content::Marker(Marker::Begin(terms.announcement()?), written),
        Some(Kind::Header) => {
            let listed = terms.columns.take().or_else(|| list_of_names(names).filter(|_| format != Format::Csv));
            let (names, written) = match listed {
                Some(listed) => (check_names(config, &listed), RowFormat::Json),
                None => (marker_names(config, delimiter, names), written),
            };
            match names {
                Ok(names) => Content::Marker(Marker::Header(names.into()), written),
                Err(rejection) if rejection.reason == Reason::MarkerFormat => return Err(rejection),
                Err(rejection) => Content::UnfitHeader(rejection),
            }
        }
        Some(Kind::Eof) => Content::Marker(terms.eof()?, written),
        Some(Kind::Abort) => Content::Marker(Marker::Abort, written),
        None => Content::Rows { text, first_row: first_row(headers)?, delimiter },
    };
    Ok(Envelope { upload, attempt, traceparent, content, below })
}

/// Splits the lines below `#HEADER`: the first row, which names the columns, and the text behind it.
fn first_row_of(lines: &[u8], delimiter: u8, format: Format) -> (&[u8], &[u8]) {
    if format != Format::Csv && list_of_names(lines).is_some() {
        return (lines, &[]);
    }
    let (mut rows, mut fields) = (Rows::new(lines, delimiter, None), Fields::default());
    while let Some(row) = rows.next_row(&mut fields) {
        if !row.blank {
            let behind = &lines[rows.position()..];
            return (row.bytes, if behind.trim_ascii().is_empty() { &[] } else { behind });
        }
    }
    (&[], &[])
}

/// Names of columns as a JSON array of texts.
fn list_of_names(text: &[u8]) -> Option<Vec<String>> {
    let is_list = text.len() <= ROW_BYTES_MAX && text.trim_ascii_start().starts_with(b"[");
    is_list.then(|| serde_json::from_slice(text).ok()).flatten()
}

fn delimiter(config: &SourceConfig, headers: &ControlHeaders<'_>) -> Result<u8, Rejection> {
    let Some(written) = headers.delimiter else { return Ok(config.topic_delimiter()) };
    let delimiter = utf8_or_none(Some(written)).and_then(parse_delimiter);
    delimiter.ok_or_else(|| Rejection::new(Message::DelimiterHeader { value: escaped(written) }))
}

/// The highest number of a row: rows behind it in the same record have numbers, too.
const ROW_NUMBER_MAX: u64 = i64::MAX as u64;

fn first_row(headers: &ControlHeaders<'_>) -> Result<Option<u64>, Rejection> {
    let Some(row) = headers.row else { return Ok(None) };
    let number = utf8_or_none(Some(row)).and_then(|row| row.trim().parse().ok());
    let number = number.filter(|row| (1..=ROW_NUMBER_MAX).contains(row));
    number.map(Some).ok_or_else(|| Rejection::new(Message::RowNumberFormat { value: escaped(row) }))
}

fn traceparent<'a>(headers: &ControlHeaders<'a>) -> Option<&'a str> {
    utf8_or_none(headers.traceparent).filter(|text| text.len() <= TRACEPARENT_BYTES_MAX)
}

fn utf8_or_none(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

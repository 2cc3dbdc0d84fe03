//! Whose record it is and what it is: upload ids and markers (contract 1 and 6). Knows nothing of columns.
//!
//! Of a header that is there several times the last one that is not null counts; headers with other names are no business of ours.

use std::borrow::Cow;

use bytes::Bytes;

use crate::record::{Announcement, Header, IdPlace, Marker, Message, Reason, Record, Rejection, UploadId};
use crate::source::charset::Charset;
use crate::source::csv::BOM;
use crate::source::delimiter::parse_delimiter;
use crate::source::header_row::marker_names;
use crate::source::{Markers, SourceConfig, UploadFrom};

/// Longest upload id, in bytes: it is key and content of status records, which have to fit their topic.
pub const ID_BYTES_MAX: usize = 16 << 10;
/// Longest file name (`ss-name`), in bytes: it stands in the status of its upload and in every list of uploads. A longer one is cut.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Longest `ss-attempt`, in bytes.
const ATTEMPT_BYTES_MAX: usize = 1_024;
/// Longest `traceparent`; the W3C's have 55 characters.
const TRACEPARENT_BYTES_MAX: usize = 512;

/// A record, understood.
#[derive(Debug, PartialEq)]
pub(super) struct Envelope<'a> {
    pub(super) upload: &'a str,
    pub(super) attempt: Option<Cow<'a, str>>,
    pub(super) content: Content<'a>,
}

/// What a record is.
#[derive(Debug, PartialEq)]
pub(super) enum Content<'a> {
    Rows {
        /// CSV text, without byte order mark.
        text: &'a [u8],
        /// `ss-row` of the first row; the rows that follow it in the record count on.
        first_row: Option<u64>,
        traceparent: Option<&'a str>,
        /// What the fields are separated by: `ss-delimiter`, else what the topology says.
        delimiter: u8,
    },
    Marker(Marker, u8),
    /// A header marker with a cell that cannot name a column.
    UnfitHeader(Rejection),
}

/// A record that cannot be understood.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) upload: Option<UploadId>,
    pub(super) rejection: Rejection,
}

/// Reads the headers, the key and the beginning of the value. `None` is a null value that has nothing to abort.
pub(super) fn open<'a>(config: &SourceConfig, record: &'a Record) -> Result<Option<Envelope<'a>>, Refusal> {
    let headers = ControlHeaders::among(&record.headers, config);
    let tombstone = record.value.is_none() && headers.kind.is_none();
    // A null value means the upload of its key; without a key, or where keys mean nothing, it means none.
    if tombstone && (config.upload == UploadFrom::Partition || (record.key.is_none() && headers.upload.is_none())) {
        return Ok(None);
    }
    let upload = upload_of(config, record, &headers).map_err(|rejection| Refusal { upload: None, rejection })?;
    content_of(config, record, &headers)
        .map(|(content, attempt)| Some(Envelope { upload, attempt, content }))
        .map_err(|rejection| Refusal { upload: Some(UploadId::new(upload)), rejection })
}

/// The record with its value in UTF-8: header `ss-encoding`, else what the topology says. A marker in plain text is one in every charset.
pub(super) fn in_utf8<'a>(config: &SourceConfig, record: &'a Record) -> Result<Cow<'a, Record>, Rejection> {
    let named = record.headers.iter().rev().filter(|header| &*header.name == "ss-encoding");
    let charset = match named.filter_map(|header| header.value.as_deref()).next() {
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            Some(name.parse().map_err(|_| Rejection::new(Message::EncodingHeader { value: shown(name.as_bytes()) }))?)
        }
        None => config.encoding,
    };
    let Some((charset, value)) = charset.zip(record.value.as_ref()) else { return Ok(Cow::Borrowed(record)) };
    if charset == Charset::UTF_8 || Kind::of_text(value).is_some() {
        return Ok(Cow::Borrowed(record));
    }
    let value = Bytes::from(charset.decode(value).into_owned());
    Ok(Cow::Owned(Record { value: Some(value), ..record.clone() }))
}

/// The headers that mean something here.
#[derive(Default)]
struct ControlHeaders<'a> {
    upload: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    row: Option<&'a [u8]>,
    attempt: Option<&'a [u8]>,
    rows: Option<&'a [u8]>,
    sha256: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    crs: Option<&'a [u8]>,
    partitions: Option<&'a [u8]>,
    delimiter: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
}

impl<'a> ControlHeaders<'a> {
    fn among(headers: &'a [Header], config: &SourceConfig) -> ControlHeaders<'a> {
        let upload_header = match &config.upload {
            UploadFrom::Header(name) => name,
            UploadFrom::Auto | UploadFrom::Key | UploadFrom::Partition => "ss-upload",
        };
        let mut found = ControlHeaders::default();
        for header in headers {
            let Some(value) = header.value.as_deref() else { continue };
            let slot = match &*header.name {
                name if name == upload_header => &mut found.upload,
                "ss-type" => &mut found.kind,
                "ss-row" => &mut found.row,
                "ss-attempt" => &mut found.attempt,
                "ss-rows" => &mut found.rows,
                "ss-sha256-rows" => &mut found.sha256,
                "ss-name" => &mut found.name,
                "ss-crs" => &mut found.crs,
                "ss-partitions" => &mut found.partitions,
                "ss-delimiter" => &mut found.delimiter,
                "traceparent" => &mut found.traceparent,
                _ => continue,
            };
            *slot = Some(value);
        }
        found
    }
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
        let bytes = || id.escape_ascii().to_string();
        std::str::from_utf8(id).map_err(|_| Rejection::new(Message::IdNotUtf8 { place, bytes: bytes() }))
    };
    let key = record.key.as_deref().map(|key| text(key, IdPlace::Key {}));
    match &config.upload {
        UploadFrom::Auto => match headers.upload {
            Some(id) => text(id, IdPlace::Header { name: "ss-upload".to_owned() }),
            None => key.unwrap_or(Ok("")),
        },
        UploadFrom::Key => key.unwrap_or_else(|| Err(Rejection::new(Message::KeyMissing {}))),
        UploadFrom::Header(name) => match headers.upload {
            Some(id) => text(id, IdPlace::Header { name: name.to_string() }),
            None => Err(Rejection::new(Message::IdHeaderMissing { name: name.to_string() })),
        },
        UploadFrom::Partition => Ok(""),
    }
}

fn content_of<'a>(
    config: &SourceConfig,
    record: &'a Record,
    headers: &ControlHeaders<'a>,
) -> Result<(Content<'a>, Option<Cow<'a, str>>), Rejection> {
    let value = record.value.as_deref();
    let text = value.map_or(&[][..], |value| value.strip_prefix(BOM).unwrap_or(value));
    let mut terms = Terms::from_headers(headers)?;
    let (kind, names) = match headers.kind {
        Some(kind) => (Kind::of_header(kind)?, text),
        None if value.is_none() => (Some(Kind::Abort), text),
        None if config.markers == Markers::Headers => (None, text),
        None => match Kind::of_text(text) {
            Some((kind, rest)) => (Some(kind), terms.read(kind, rest)?),
            None => (None, text),
        },
    };
    let attempt = terms.attempt.take();
    if let Some(bytes) = attempt.as_ref().map(|attempt| attempt.len()).filter(|bytes| *bytes > ATTEMPT_BYTES_MAX) {
        return Err(Rejection::new(Message::AttemptTooLong { bytes, limit: ATTEMPT_BYTES_MAX }));
    }
    let delimiter = delimiter(config, headers)?;
    let content = match kind {
        Some(Kind::Begin) => Content::Marker(Marker::Begin(terms.announcement()?), delimiter),
        Some(Kind::Header) => match marker_names(config, delimiter, names) {
            Ok(names) => Content::Marker(Marker::Header(names.into()), delimiter),
            Err(rejection) if rejection.reason == Reason::MarkerFormat => return Err(rejection),
            Err(rejection) => Content::UnfitHeader(rejection),
        },
        Some(Kind::Eof) => Content::Marker(terms.eof()?, delimiter),
        Some(Kind::Abort) => Content::Marker(Marker::Abort, delimiter),
        None => Content::Rows { text, first_row: first_row(headers)?, traceparent: traceparent(headers), delimiter },
    };
    Ok((content, attempt))
}

fn delimiter(config: &SourceConfig, headers: &ControlHeaders<'_>) -> Result<u8, Rejection> {
    let Some(written) = headers.delimiter else { return Ok(config.topic_delimiter()) };
    let delimiter = utf8_or_none(Some(written)).and_then(parse_delimiter);
    delimiter.ok_or_else(|| Rejection::new(Message::DelimiterHeader { value: shown(written) }))
}

fn first_row(headers: &ControlHeaders<'_>) -> Result<Option<u64>, Rejection> {
    let Some(row) = headers.row else { return Ok(None) };
    let number = utf8_or_none(Some(row)).and_then(|row| row.trim().parse().ok()).filter(|row| *row > 0);
    number.map(Some).ok_or_else(|| Rejection::new(Message::RowNumberFormat { value: shown(row) }))
}

fn traceparent<'a>(headers: &ControlHeaders<'a>) -> Option<&'a str> {
    utf8_or_none(headers.traceparent).filter(|text| text.len() <= TRACEPARENT_BYTES_MAX)
}

fn shown(value: &[u8]) -> String {
    value.escape_ascii().to_string()
}

fn utf8_or_none(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Begin,
    Header,
    Eof,
    Abort,
}

impl Kind {
    /// `ss-type`; `None` for `row`.
    fn of_header(kind: &[u8]) -> Result<Option<Kind>, Rejection> {
        match kind {
            b"begin" => Ok(Some(Kind::Begin)),
            b"header" => Ok(Some(Kind::Header)),
            b"eof" => Ok(Some(Kind::Eof)),
            b"abort" => Ok(Some(Kind::Abort)),
            b"row" => Ok(None),
            _ => Err(Rejection::new(Message::MarkerKind { value: kind.escape_ascii().to_string() })),
        }
    }

    /// A marker in text, and what stands behind its word.
    fn of_text(text: &[u8]) -> Option<(Kind, &[u8])> {
        const WORDS: [(&[u8], Kind); 4] =
            [(b"#BEGIN", Kind::Begin), (b"#HEADER", Kind::Header), (b"#EOF", Kind::Eof), (b"#ABORT", Kind::Abort)];
        let (rest, kind) = WORDS.iter().find_map(|(word, kind)| Some((text.strip_prefix(*word)?, *kind)))?;
        let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        ends.then_some((kind, rest))
    }
}

/// What markers say beyond their kind, in either spelling.
#[derive(Default)]
struct Terms<'a> {
    rows: Option<Cow<'a, str>>,
    sha256: Option<Cow<'a, str>>,
    attempt: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    crs: Option<Cow<'a, str>>,
    partitions: Option<Cow<'a, str>>,
}

impl<'a> Terms<'a> {
    fn from_headers(headers: &ControlHeaders<'a>) -> Result<Terms<'a>, Rejection> {
        let text = |name: &str, value: Option<&'a [u8]>| {
            value
                .map(|value| std::str::from_utf8(value).map(Cow::Borrowed))
                .transpose()
                .map_err(|_| Rejection::new(Message::MarkerHeaderNotUtf8 { name: name.to_owned() }))
        };
        Ok(Terms {
            rows: text("ss-rows", headers.rows)?,
            sha256: text("ss-sha256-rows", headers.sha256)?,
            attempt: text("ss-attempt", headers.attempt)?,
            name: text("ss-name", headers.name)?,
            crs: text("ss-crs", headers.crs)?,
            partitions: text("ss-partitions", headers.partitions)?,
        })
    }

    /// Reads what stands behind the word of a text marker: ` key=value` pairs, values with blanks in double quotes, and for `#HEADER` the
    /// names: on the lines below, or behind ` columns=`, or behind `attempt=`, or just so. Returns the names.
    fn read(&mut self, kind: Kind, rest: &'a [u8]) -> Result<&'a [u8], Rejection> {
        let rest = std::str::from_utf8(rest).map_err(|_| Rejection::new(Message::MarkerNotUtf8 {}))?;
        let (mut line, below) = match rest.find(['\r', '\n']) {
            Some(end) => (&rest[..end], rest[end..].trim_matches(['\r', '\n', ' ', '\t'])),
            None => (rest, ""),
        };
        if kind != Kind::Header && !below.is_empty() {
            return Err(Rejection::new(Message::TextBelowMarker {}));
        }
        loop {
            line = line.trim_start_matches([' ', '\t']);
            if line.is_empty() {
                return Ok(below.as_bytes());
            }
            if kind == Kind::Header && below.is_empty() {
                if let Some(names) = line.strip_prefix("columns=") {
                    return Ok(names.as_bytes());
                }
                if !line.starts_with("attempt=") {
                    return Ok(line.as_bytes());
                }
            }
            line = self.read_pair(line)?;
        }
    }

    /// Reads one pair and returns what follows.
    fn read_pair(&mut self, line: &'a str) -> Result<&'a str, Rejection> {
        let not_a_pair = || Rejection::new(Message::NotAPair { text: line.escape_debug().to_string() });
        let (key, rest) = line.split_once('=').ok_or_else(not_a_pair)?;
        if key.is_empty() || key.contains([' ', '\t', '"']) {
            return Err(not_a_pair());
        }
        let (value, rest) = read_value(rest).ok_or_else(not_a_pair)?;
        match key {
            "rows" => self.rows = Some(value),
            "sha256" => self.sha256 = Some(value),
            "attempt" => self.attempt = Some(value),
            "name" => self.name = Some(value),
            "crs" => self.crs = Some(value),
            "partitions" => self.partitions = Some(value),
            _ => {}
        }
        Ok(rest)
    }

    fn announcement(&self) -> Result<Announcement, Rejection> {
        let crs = self.crs.as_deref().map(str::trim).filter(|crs| !crs.is_empty());
        Ok(Announcement {
            name: self.name.as_deref().map(|name| name[..name.floor_char_boundary(NAME_BYTES_MAX)].into()),
            rows: number("rows", &self.rows)?,
            crs: crs.map(Into::into),
        })
    }

    fn eof(&self) -> Result<Marker, Rejection> {
        Ok(Marker::Eof {
            rows: number("rows", &self.rows)?,
            sha256: self.sha256.as_deref().map(sha256).transpose()?,
            partitions: number("partitions", &self.partitions)?,
        })
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &Option<Cow<'_, str>>) -> Result<Option<N>, Rejection> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || Rejection::new(Message::MarkerNumber { name: name.to_owned(), text: text.to_string() });
    text.trim().parse().map(Some).map_err(|_| wrong())
}

/// A value up to the next blank, or in double quotes (a doubled quote inside stands for one), and what follows.
fn read_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].into(), &text[end..]));
    };
    let mut value = String::new();
    loop {
        let (inside, behind) = rest.split_once('"')?;
        value.push_str(inside);
        match behind.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Some((value.into(), behind)),
        }
    }
}

/// 64 hexadecimal digits.
fn sha256(text: &str) -> Result<[u8; 32], Rejection> {
    let digits = text.trim().as_bytes();
    let mut sum = [0; 32];
    let mut well_formed = digits.len() == 64;
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) => *byte = value,
            None => well_formed = false,
        }
    }
    well_formed.then_some(sum).ok_or_else(|| Rejection::new(Message::MarkerSha256 { text: text.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::config;
    use proptest::prelude::*;

    fn record(headers: &[(&str, &str)], key: Option<&'static str>, value: Option<&'static str>) -> Record {
        Record {
            headers: headers.iter().map(|(name, value)| Header::new(name, value.as_bytes().to_vec())).collect(),
            key: key.map(|key| Bytes::from_static(key.as_bytes())),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
            ..Record::default()
        }
    }

    fn opened(config: &SourceConfig, record: &Record) -> String {
        match open(config, record) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(Envelope { upload, attempt, content })) => {
                let attempt = attempt.map_or(String::new(), |attempt| format!(" attempt {attempt}"));
                match content {
                    Content::Marker(marker, _) => format!("{upload}: {marker:?}{attempt}"),
                    Content::Rows { first_row, .. } => format!("{upload}: rows {first_row:?}{attempt}"),
                    Content::UnfitHeader(rejection) => format!("{upload}: unfit header {}", rejection.reason),
                }
            }
            Err(Refusal { rejection, .. }) => rejection.reason.code().to_owned(),
        }
    }

    #[test]
    fn upload_ids() {
        let header = |id| vec![("ss-upload", id)];
        for (from, headers, key, id) in [
            (UploadFrom::Auto, header("h"), Some("k"), "h"),
            (UploadFrom::Auto, vec![], Some("k"), "k"),
            (UploadFrom::Auto, vec![], None, ""),
            (UploadFrom::Key, header("h"), Some("k"), "k"),
            (UploadFrom::Key, header("h"), None, "record.no_id"),
            (UploadFrom::Header("file".into()), vec![("file", "f")], Some("k"), "f"),
            (UploadFrom::Header("file".into()), header("h"), Some("k"), "record.no_id"),
            (UploadFrom::Partition, header("h"), Some("k"), ""),
            (UploadFrom::Auto, vec![], Some("../../CON\u{0}😀"), "../../CON\u{0}😀"),
        ] {
            let config = SourceConfig { upload: from.clone(), ..config() };
            let found = opened(&config, &record(&headers, key, Some("1,2")));
            let expected = if id == "record.no_id" { id.to_owned() } else { format!("{id}: rows None") };
            assert_eq!(found, expected, "{from:?} {headers:?} {key:?}");
        }
    }

    #[test]
    fn an_id_has_a_length_that_a_status_record_takes() {
        let id = |length: usize| {
            let key = Some(Bytes::from("x".repeat(length)));
            opened(&config(), &Record { key, value: Some(Bytes::from_static(b"1")), ..Record::default() })
        };
        assert!(id(ID_BYTES_MAX).ends_with(": rows None"));
        assert_eq!(id(ID_BYTES_MAX + 1), "record.no_id");
    }

    #[test]
    fn a_key_that_is_no_text_names_no_upload() {
        let record = Record {
            key: Some(Bytes::from_static(b"\xff")),
            value: Some(Bytes::from_static(b"1")),
            ..Record::default()
        };
        assert_eq!(opened(&config(), &record), "record.no_id");
    }

    #[test]
    fn both_spellings_of_a_marker_mean_the_same() {
        let sum = "ab".repeat(32);
        let eof_text: &'static str = format!("#EOF rows=3 sha256={sum} attempt=7 partitions=1").leak();
        type Headers<'a> = &'a [(&'a str, &'a str)];
        let pairs: [(Headers, &'static str, &'static str); 6] = [
            (
                &[
                    ("ss-type", "eof"),
                    ("ss-rows", "3"),
                    ("ss-sha256-rows", &sum),
                    ("ss-attempt", "7"),
                    ("ss-partitions", "1"),
                ],
                "",
                eof_text,
            ),
            (&[("ss-type", "eof")], "", "#EOF\n"),
            (
                &[("ss-type", "begin"), ("ss-name", "a \"b\".csv"), ("ss-rows", "7"), ("ss-crs", "EPSG:5181")],
                "",
                "#BEGIN name=\"a \"\"b\"\".csv\" rows=7 crs=EPSG:5181 colour=red",
            ),
            (&[("ss-type", "header"), ("ss-attempt", "7")], "a,\"b,c\"", "#HEADER attempt=7\r\na,\"b,c\"\r\n"),
            (&[("ss-type", "header")], "a,x y", "#HEADER a,x y"),
            (&[("ss-type", "abort")], "", "#ABORT"),
        ];
        for (headers, value, text) in pairs {
            let by_headers = opened(&config(), &record(headers, Some("k"), Some(value)));
            assert_eq!(opened(&config(), &record(&[], Some("k"), Some(text))), by_headers, "{text}");
            assert!(by_headers.starts_with("k: "), "{by_headers}");
        }
        let config = config();
        assert_eq!(
            opened(&config, &record(&[], Some("k"), Some("#HEADER attempt=7 columns=a=b,c"))),
            opened(&config, &record(&[("ss-type", "header"), ("ss-attempt", "7")], Some("k"), Some("a=b,c"))),
        );
    }

    #[test]
    fn names_and_attempts_have_a_length() {
        let long = |header: &'static str, bytes: usize| {
            let text: &'static str = "가".repeat(bytes / 3).leak();
            opened(&config(), &record(&[("ss-type", "begin"), (header, text)], Some("k"), Some("")))
        };
        let name = |bytes| long("ss-name", bytes).matches('가').count();
        assert_eq!((name(999), name(900_000)), (333, NAME_BYTES_MAX / 3), "a name is cut, between characters");
        assert!(long("ss-attempt", 999).ends_with(&"가".repeat(333)));
        assert_eq!(long("ss-attempt", 900_000), "marker.format");
    }

    #[test]
    fn what_only_looks_like_a_marker_is_data() {
        let rows = "k: rows None";
        for value in ["\"#EOF\"", "#EOFX", "#eof", " #EOF", "##EOF", "1,2\n#EOF"] {
            assert_eq!(opened(&config(), &record(&[], Some("k"), Some(value))), rows, "{value}");
        }
        assert_eq!(opened(&config(), &record(&[("ss-type", "row")], Some("k"), Some("#EOF"))), rows);
        let headers_only = SourceConfig { markers: Markers::Headers, ..config() };
        assert_eq!(opened(&headers_only, &record(&[], Some("k"), Some("#EOF"))), rows);
    }

    #[test]
    fn malformed_markers_are_refused() {
        for value in [
            "#EOF rows=x",
            "#EOF rows=-1",
            "#EOF three",
            "#EOF sha256=12",
            "#EOF\n1,2",
            "#BEGIN name=\"open",
            "#BEGIN rows=many",
            "#HEADER",
            "#HEADER\na,b\nc,d",
        ] {
            assert_eq!(opened(&config(), &record(&[], Some("k"), Some(value))), "marker.format", "{value}");
        }
        for headers in [("ss-type", "end"), ("ss-row", "0"), ("ss-row", "x"), ("ss-delimiter", "||")] {
            assert_eq!(opened(&config(), &record(&[headers], Some("k"), Some("1"))), "marker.format", "{headers:?}");
        }
    }

    #[test]
    fn a_header_says_what_is_wrong_with_it() {
        for (value, reason) in [("#HEADER \"a", "csv.unclosed_quote"), ("#HEADER a,b\u{b}", "text.control")] {
            assert_eq!(
                opened(&config(), &record(&[], Some("k"), Some(value))),
                format!("k: unfit header {reason}"),
                "{value}"
            );
        }
    }

    #[test]
    fn null_duplicate_and_unknown_headers_do_no_harm() {
        let mut record = record(&[("ss-row", "1"), ("x", "y"), ("ss-row", "5")], Some("k"), Some("1,2"));
        record.headers.push(Header { name: "ss-row".into(), value: None });
        record.headers.push(Header { name: "ss-type".into(), value: None });
        assert_eq!(opened(&config(), &record), "k: rows Some(5)");
    }

    #[test]
    fn a_null_value_aborts_the_upload_of_its_key() {
        assert_eq!(opened(&config(), &record(&[], Some("k"), None)), "k: Abort");
        assert_eq!(opened(&config(), &record(&[], None, None)), "nothing");
        let partition = SourceConfig { upload: UploadFrom::Partition, ..config() };
        assert_eq!(opened(&partition, &record(&[], Some("k"), None)), "nothing");
    }

    proptest! {
        /// Any bytes in any place are read: as rows, as a marker or as a refusal with a reason.
        #[test]
        fn any_record_is_read(
            kind in prop::sample::select(vec!["", "#BEGIN", "#HEADER", "#EOF", "#ABORT", "#EO"]),
            rest in prop::collection::vec(
                prop::sample::select(vec![" ", "rows=", "sha256=", "name=", "crs=", "\"", "\"\"", "7", "x", "가", "\n", "=", "\0", "\u{feff}"]), 0..12),
            tail in prop::collection::vec(any::<u8>(), 0..12),
            headers in prop::collection::vec((
                prop::sample::select(vec!["ss-type", "ss-rows", "ss-sha256-rows", "ss-attempt", "ss-name", "ss-crs", "ss-row", "ss-partitions"]),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..6)),
            ), 0..5),
        ) {
            let value = [kind.as_bytes(), rest.concat().as_bytes(), &tail].concat();
            let headers = headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.map(Into::into) });
            let record = Record { value: Some(value.into()), key: Some("k".into()), headers: headers.collect(), ..Record::default() };
            match open(&config(), &record) {
                Ok(envelope) => prop_assert_eq!(envelope.map(|envelope| envelope.upload), Some("k")),
                Err(refusal) => prop_assert!(!refusal.rejection.message.to_string().is_empty()),
            }
        }

        /// The two spellings say the same, whatever a name holds.
        #[test]
        fn a_name_reads_the_same_from_a_header_and_from_text(name in "[ -~가-힣\"]{1,20}", rows in prop::option::of(any::<u64>())) {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            let rows_text = rows.map_or(String::new(), |rows| format!(" rows={rows}"));
            let text = Record { value: Some(format!("#BEGIN name={quoted}{rows_text}").into()), ..Record::default() };
            let mut headers = vec![Header::new("ss-type", "begin"), Header::new("ss-name", name)];
            headers.extend(rows.map(|rows| Header::new("ss-rows", rows.to_string())));
            let header = Record { value: Some(Bytes::new()), headers, ..Record::default() };
            prop_assert_eq!(open(&config(), &text), open(&config(), &header));
        }
    }
}

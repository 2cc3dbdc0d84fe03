//! Markers (contract 6): their kinds and their terms, in headers and in text.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::headers::ControlHeaders;
use super::quoted::{escaped, quoted};
use crate::record::{Announcement, CoordinateForm, Extras, Marker, Message, Rejection, Titles};
use crate::source::csv::ROW_BYTES_MAX;

/// Longest file name (`ss-name`), in bytes: the status of its upload and every list of uploads contain it. A longer one is cut.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Longest `ss-titles`, in bytes: an open upload holds them.
const TITLES_BYTES_MAX: usize = 16 << 10;

/// The kind of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Begin,
    Header,
    Eof,
    Abort,
}

impl Kind {
    /// `ss-type`; `None` for `row`.
    pub(super) fn of_header(kind: &[u8]) -> Result<Option<Kind>, Rejection> {
        match kind {
            b"begin" => Ok(Some(Kind::Begin)),
            b"header" => Ok(Some(Kind::Header)),
            b"eof" => Ok(Some(Kind::Eof)),
            b"abort" => Ok(Some(Kind::Abort)),
            b"row" => Ok(None),
            _ => Err(Rejection::new(Message::MarkerKind { value: escaped(kind) })),
        }
    }

    /// The marker that a text begins with, and the text behind the marker's word.
    pub(super) fn of_text(text: &[u8]) -> Option<(Kind, &[u8])> {
        const WORDS: [(&[u8], Kind); 4] =
            [(b"#BEGIN", Kind::Begin), (b"#HEADER", Kind::Header), (b"#EOF", Kind::Eof), (b"#ABORT", Kind::Abort)];
        let (rest, kind) = WORDS.iter().find_map(|(word, kind)| Some((text.strip_prefix(*word)?, *kind)))?;
        let ends = rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        ends.then_some((kind, rest))
    }
}

/// Whether a text begins as a marker does.
pub(in crate::source) fn is_marker(text: &[u8]) -> bool {
    Kind::of_text(text).is_some()
}

/// The terms of a marker, in either spelling.
#[derive(Default)]
pub(super) struct Terms<'a> {
    rows: Option<Cow<'a, str>>,
    sha256: Option<Cow<'a, str>>,
    pub(super) attempt: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    crs: Option<Cow<'a, str>>,
    summary: Option<Cow<'a, str>>,
    map_link: Option<Cow<'a, str>>,
    coordinates: Option<Cow<'a, str>>,
    titles: Option<Cow<'a, str>>,
    partitions: Option<Cow<'a, str>>,
    /// Names of a header that come as a list.
    pub(super) columns: Option<Vec<String>>,
}

impl<'a> Terms<'a> {
    pub(super) fn from_headers(headers: &ControlHeaders<'a>) -> Result<Terms<'a>, Rejection> {
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
            summary: text("ss-summary", headers.summary)?,
            map_link: text("ss-map-link", headers.map_link)?,
            coordinates: text("ss-coordinates", headers.coordinates)?,
            titles: text("ss-titles", headers.titles)?,
            partitions: text("ss-partitions", headers.partitions)?,
            columns: None,
        })
    }

    /// Reads the text behind the word of a text marker: ` key=value` pairs, with values that contain blanks in double quotes. On `#HEADER`
    /// names follow: behind ` columns=`, behind `attempt=`, or directly behind the word. Returns the names on its line, and the lines
    /// below.
    pub(super) fn read(&mut self, kind: Kind, rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Rejection> {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, below) = rest.split_at(end);
        let lines = below.iter().take_while(|byte| matches!(**byte, b'\r' | b'\n')).count();
        let below = if below.trim_ascii().is_empty() { &[][..] } else { &below[lines..] };
        if matches!(kind, Kind::Eof | Kind::Abort) && !below.is_empty() {
            return Err(Rejection::new(Message::TextBelowMarker {}));
        }
        if line.len() > ROW_BYTES_MAX {
            return Err(Rejection::new(Message::RowTooBig { limit: ROW_BYTES_MAX }));
        }
        let mut line = std::str::from_utf8(line).map_err(|_| Rejection::new(Message::MarkerNotUtf8 {}))?;
        loop {
            line = line.trim_start_matches([' ', '\t']);
            if line.is_empty() {
                return Ok((&[], below));
            }
            if kind == Kind::Header {
                if let Some(names) = line.strip_prefix("columns=") {
                    return Ok((names.as_bytes(), below));
                }
                // A name may hold an equals sign. Where the names are on the lines below, there are none here.
                if !line.starts_with("attempt=") && (below.is_empty() || !line.contains('=')) {
                    return Ok((line.as_bytes(), below));
                }
            }
            line = self.read_pair(line)?;
        }
    }

    /// Reads the marker `{"$ss": "eof", "rows": 20000}`; `None` for a value that is none.
    pub(super) fn read_json(&mut self, text: &[u8]) -> Result<Option<Kind>, Rejection> {
        const NAME: &[u8] = b"\"$ss\"";
        // Its members take many times their bytes.
        let is_small = text.len() <= ROW_BYTES_MAX;
        if !is_small || !text.trim_ascii_start().starts_with(b"{") || memchr::memmem::find(text, NAME).is_none() {
            return Ok(None);
        }
        let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(text) else { return Ok(None) };
        let Some(word) = members.remove("$ss") else { return Ok(None) };
        let refused = |name: &str, value: &Value| {
            let (name, value) = (quoted(name), quoted(&value.to_string()));
            Rejection::new(Message::JsonMarker { name, value })
        };
        let kind = match word.as_str() {
            Some("begin") => Kind::Begin,
            Some("header") => Kind::Header,
            Some("eof") => Kind::Eof,
            Some("abort") => Kind::Abort,
            Some(_) | None => return Err(refused("$ss", &word)),
        };
        for (name, value) in members {
            if name == "columns" {
                let names = serde_json::from_value(value.clone()).map_err(|_| refused(&name, &value))?;
                self.columns = Some(names);
                continue;
            }
            let Some(slot) = self.slot(&name) else { continue };
            *slot = match value {
                Value::Object(_) if name == "titles" => Some(value.to_string().into()),
                Value::String(text) => Some(text.into()),
                Value::Number(number) => Some(number.to_string().into()),
                Value::Bool(value) => Some(value.to_string().into()),
                Value::Null => None,
                other => return Err(refused(&name, &other)),
            };
        }
        Ok(Some(kind))
    }

    /// Reads one pair and returns what follows.
    fn read_pair(&mut self, line: &'a str) -> Result<&'a str, Rejection> {
        let not_a_pair = || Rejection::new(Message::NotAPair { text: quoted(line).escape_debug().to_string() });
        let (key, rest) = line.split_once('=').ok_or_else(not_a_pair)?;
        if key.is_empty() || key.contains([' ', '\t', '"']) {
            return Err(not_a_pair());
        }
        let (value, rest) = read_value(rest).ok_or_else(not_a_pair)?;
        if let Some(slot) = self.slot(key) {
            *slot = Some(value);
        }
        Ok(rest)
    }

    /// The field for a term of a text marker.
    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match key {
            "rows" => Some(&mut self.rows),
            "sha256" => Some(&mut self.sha256),
            "attempt" => Some(&mut self.attempt),
            "name" => Some(&mut self.name),
            "crs" => Some(&mut self.crs),
            "summary" => Some(&mut self.summary),
            "map_link" => Some(&mut self.map_link),
            "coordinates" => Some(&mut self.coordinates),
            "titles" => Some(&mut self.titles),
            "partitions" => Some(&mut self.partitions),
            _ => None,
        }
    }

    pub(super) fn announcement(&self) -> Result<Announcement, Rejection> {
        let crs = self.crs.as_deref().map(str::trim).filter(|crs| !crs.is_empty());
        Ok(Announcement {
            name: self.name.as_deref().map(|name| name[..name.floor_char_boundary(NAME_BYTES_MAX)].into()),
            rows: number("rows", &self.rows)?,
            crs: crs.map(Into::into),
            extras: Extras { summary: flag("summary", &self.summary)?, map_link: flag("map_link", &self.map_link)? },
            coordinates: self.coordinates.as_deref().map_or_else(|| Ok(CoordinateForm::default()), coordinates)?,
            titles: self.titles.as_deref().map_or_else(|| Ok(Arc::default()), titles)?,
        })
    }

    pub(super) fn eof(&self) -> Result<Marker, Rejection> {
        Ok(Marker::Eof {
            rows: number("rows", &self.rows)?,
            sha256: self.sha256.as_deref().map(sha256).transpose()?,
            partitions: number("partitions", &self.partitions)?,
        })
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &Option<Cow<'_, str>>) -> Result<Option<N>, Rejection> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || Rejection::new(Message::MarkerNumber { name: name.to_owned(), text: quoted(text) });
    text.trim().parse().map(Some).map_err(|_| wrong())
}

fn flag(name: &str, text: &Option<Cow<'_, str>>) -> Result<bool, Rejection> {
    match text.as_deref().map(str::trim) {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(text) => Err(Rejection::new(Message::MarkerFlag { name: name.to_owned(), text: quoted(text) })),
    }
}

fn coordinates(text: &str) -> Result<CoordinateForm, Rejection> {
    CoordinateForm::of_name(text.trim())
        .ok_or_else(|| Rejection::new(Message::MarkerCoordinates { text: quoted(text) }))
}

fn titles(text: &str) -> Result<Arc<Titles>, Rejection> {
    let titles =
        Some(text).filter(|text| text.len() <= TITLES_BYTES_MAX).and_then(|text| serde_json::from_str(text).ok());
    titles.map(Arc::new).ok_or_else(|| Rejection::new(Message::MarkerTitles { limit: TITLES_BYTES_MAX }))
}

/// A value up to the next blank, or in double quotes (a doubled quote inside is one quote), and the text that follows.
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
    well_formed.then_some(sum).ok_or_else(|| Rejection::new(Message::MarkerSha256 { text: quoted(text) }))
}

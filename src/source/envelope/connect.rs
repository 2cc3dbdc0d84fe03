//! Values in a wrapping of JSON: Kafka Connect's envelope `{"schema": ..., "payload": ...}` as its `JsonConverter` writes it, where the
//! payload is a line of a file (`FileStreamSource`) or an object (connectors that read the file's columns); and a text as one JSON string,
//! as the same converter writes lines without schemas, and `json.dumps(line)` of Python.
//!
//! Headers name the file: `file.name` and `file.path` of the spooldir connectors, `connect.file.name` and `connect.file.uri` of FilePulse.
//! `file.offset` is no row number: it counts lines of the file, the header and the lines within quotes among them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::source::Format;
use crate::source::csv::BOM;
use crate::source::json::{members, text_of_string};

/// The headers that name the file of a record, the best one first.
pub(super) const FILE_HEADERS: [&str; 4] = ["connect.file.name", "file.name", "connect.file.uri", "file.path"];

/// The content of a wrapping.
#[derive(Debug, PartialEq)]
pub(super) enum Payload {
    /// Text in UTF-8, as all JSON is.
    Text(Bytes),
    /// Bytes as they were before they became JSON, in whatever charset.
    Bytes(Bytes),
}

/// The content of the wrapping, if the value is one. A value that is one JSON string is the text in it where every value is JSON; where it
/// may be CSV with this delimiter, only if the text is no plain field.
pub(super) fn payload(value: &Bytes, format: Format, delimiter: Option<u8>) -> Option<Payload> {
    let text = value.strip_prefix(BOM).unwrap_or(value);
    let is_plain_field = |inside: &[u8], delimiter| {
        !inside.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b'"') || *byte == delimiter)
    };
    let is_enveloped = || {
        let first = text.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
        (first.starts_with(b"\"schema\"") || first.starts_with(b"\"payload\"")).then_some(())
    };
    match text.trim_ascii_start().first() {
        Some(b'"') => {
            let inside = text_of_string(text)?;
            let is_text = delimiter.is_some_and(|delimiter| !is_plain_field(&inside, delimiter));
            (format == Format::Json || is_text).then(|| Payload::Text(inside.into()))
        }
        Some(b'{') => {
            is_enveloped()?;
            let members = members(text)?;
            let find = |name: &[u8]| members.iter().find(|(key, _)| *key == name).map(|(_, at)| &text[at.clone()]);
            let (schema, inside) = (find(b"schema")?, find(b"payload")?);
            if members.len() != 2 || !(schema.starts_with(b"{") || schema == b"null") {
                return None;
            }
            Some(match inside.first() {
                Some(b'"') if is_of_bytes(schema) => {
                    Payload::Bytes(STANDARD.decode(text_of_string(inside)?).ok()?.into())
                }
                Some(b'"') => Payload::Text(text_of_string(inside)?.into()),
                Some(b'n') => Payload::Text(Bytes::new()),
                Some(_) | None => Payload::Text(value.slice_ref(inside)),
            })
        }
        Some(_) | None => None,
    }
}

/// Whether a schema is that of bytes, which the converter writes in base64.
fn is_of_bytes(schema: &[u8]) -> bool {
    let kind = members(schema).and_then(|members| {
        let (_, at) = members.into_iter().find(|(key, _)| *key == b"type")?;
        text_of_string(&schema[at])
    });
    kind.as_deref() == Some(b"bytes")
}

//! Values as Kafka Connect's `JsonConverter` writes them: `{"schema": ..., "payload": ...}`, where the payload is a line of a file
//! (`FileStreamSource`) or an object (connectors that read the file's columns).
//!
//! Headers name the file: `file.name` and `file.path` of the spooldir connectors, `connect.file.name` and `connect.file.uri` of FilePulse.
//! `file.offset` is no row number: it counts lines of the file, the header and the lines within quotes among them.

use bytes::Bytes;

use crate::source::Format;
use crate::source::csv::BOM;
use crate::source::json::{members, text_of_string};

/// The headers that name the file of a record, the best one first.
pub(super) const FILE_HEADERS: [&str; 4] = ["connect.file.name", "file.name", "connect.file.uri", "file.path"];

/// The content of the envelope, if the value is one. Where every value is JSON, a JSON string is the line that it contains, as without
/// schemas.
pub(super) fn payload(value: &Bytes, format: Format) -> Option<Bytes> {
    let text = value.strip_prefix(BOM).unwrap_or(value);
    let is_enveloped = || {
        let first = text.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
        (first.starts_with(b"\"schema\"") || first.starts_with(b"\"payload\"")).then_some(())
    };
    match text.trim_ascii_start().first() {
        Some(b'"') if format == Format::Json => text_of_string(text).map(Bytes::from),
        Some(b'{') => {
            is_enveloped()?;
            let members = members(text)?;
            let find = |name: &[u8]| members.iter().find(|(key, _)| *key == name).map(|(_, at)| &text[at.clone()]);
            let (schema, inside) = (find(b"schema")?, find(b"payload")?);
            if members.len() != 2 || !(schema.starts_with(b"{") || schema == b"null") {
                return None;
            }
            Some(match inside.first() {
                Some(b'"') => text_of_string(inside)?.into(),
                Some(b'n') => Bytes::new(),
                Some(_) | None => value.slice_ref(inside),
            })
        }
        Some(_) | None => None,
    }
}

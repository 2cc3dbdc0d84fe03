//! Why a single row is rejected: its size, bytes, quotes, number of fields, and cells. Whole uploads fail elsewhere.

use std::borrow::Cow;

use encoding_rs::UTF_8;

use crate::page::cells::{parse_boolean, parse_date, parse_datetime, parse_integer, parse_number};
use crate::record::{Binary, ColumnType, Delimiter, Hint, Message, Quoted, Reason, Rejection};
use crate::source::SourceConfig;
use crate::source::columns::Layout;
use crate::source::csv::{Defect, Fields, ROW_BYTES_MAX, Row};

/// Longest cell, in UTF-16 code units (Excel specifications and limits).
pub const CELL_UNITS_MAX: usize = 32_767;

/// The text of a record, and what holds for all of it, so that its rows need not be asked one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// The same, if it is UTF-8 as a whole.
    valid: Option<&'a str>,
    /// False when there may be a character that XML forbids.
    is_clean: bool,
}

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Text<'a> {
        // One pass without a branch, which compilers turn into vector code. 0xEF leads U+FFFE and U+FFFF, and little else.
        let suspicious = |byte: &u8| (*byte < 0x20) & !matches!(*byte, b'\t' | b'\n' | b'\r') | (*byte == 0xEF);
        let is_clean = !bytes.iter().fold(false, |found, byte| found | suspicious(byte));
        // Decodes nothing: it is a faster check than the standard library's.
        let valid = match UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(Cow::Borrowed(valid)) => Some(valid),
            Some(Cow::Owned(_)) | None => None,
        };
        Text { bytes, valid, is_clean }
    }

    /// The cells of a row that [`judge`] let pass.
    pub(super) fn cells<'f>(self, fields: &'f Fields) -> impl Iterator<Item = &'f str>
    where
        'a: 'f,
    {
        fields.cells(self.bytes, self.valid)
    }
}

/// Finds the row's fate. On success `fields` are its cells, as many as the header has names, valid UTF-8 and fit for XML.
pub(super) fn judge(
    config: &SourceConfig,
    layout: &Layout,
    row: &Row<'_>,
    text: Text<'_>,
    fields: &mut Fields,
) -> Result<(), Rejection> {
    check_form(config, row, text)?;
    check_count(config, layout, row, text.bytes, fields)?;
    if layout.is_repeated_by(fields, text.bytes) {
        return Err(Rejection::new(Message::RepeatedHeader {}));
    }
    let name = |column: usize| layout.header.get(column).map_or("", String::as_str);
    check_cells(config, row, text, fields, name)?;
    check_types(layout, text.bytes, fields)
}

/// Size, bytes and quotes of a row.
pub(super) fn check_form(config: &SourceConfig, row: &Row<'_>, text: Text<'_>) -> Result<(), Rejection> {
    if row.bytes.len() > ROW_BYTES_MAX {
        return Err(Rejection::new(Message::RowTooBig { bytes: row.bytes.len(), limit: ROW_BYTES_MAX }));
    }
    if text.valid.is_none()
        && let Err(error) = std::str::from_utf8(row.bytes)
    {
        return Err(Rejection::new(Message::NotUtf8 { byte: error.valid_up_to() + 1 }));
    }
    match row.defect {
        None => Ok(()),
        Some(Defect::UnclosedQuote) => Err(Rejection::new(Message::UnclosedQuote {})),
        Some(Defect::TextAfterQuote | Defect::StrayQuote) if config.lenient_quotes => Ok(()),
        Some(Defect::TextAfterQuote) => Err(Rejection::new(Message::TextAfterQuote {})),
        Some(Defect::StrayQuote) => Err(Rejection::new(Message::StrayQuote {})),
    }
}

fn check_count(
    config: &SourceConfig,
    layout: &Layout,
    row: &Row<'_>,
    text: &[u8],
    fields: &mut Fields,
) -> Result<(), Rejection> {
    let (have, want) = (fields.len(), layout.header.len());
    if have == want {
        return Ok(());
    }
    if config.pad_fields && fields.iter(text).skip(want).all(<[u8]>::is_empty) {
        fields.resize(want);
        return Ok(());
    }
    let hint = if row.bytes.starts_with(b"#") && have == 1 {
        Some(Hint::MarkerOfItsOwn {})
    } else {
        let guess = [b',', b';', b'\t', b'|'].into_iter().find(|guess| {
            *guess != config.delimiter && row.bytes.iter().filter(|byte| *byte == guess).count() + 1 == want
        });
        guess
            .filter(|_| have == 1 && want > 1)
            .map(|guess| Hint::WithDelimiter { delimiter: Delimiter(guess), fields: want })
    };
    Err(Rejection::new(Message::FieldCount { have, want, hint }))
}

/// Characters and lengths of cells; mends what the topology wants mended.
pub(super) fn check_cells<'n>(
    config: &SourceConfig,
    row: &Row<'_>,
    text: Text<'_>,
    fields: &mut Fields,
    name: impl Fn(usize) -> &'n str,
) -> Result<(), Rejection> {
    let could_be_long = row.bytes.len() > CELL_UNITS_MAX;
    if text.is_clean && !could_be_long {
        return Ok(());
    }
    for column in 0..fields.len() {
        let cell = String::from_utf8_lossy(fields.get(column, text.bytes));
        let mut mended = None;
        if let Some(found) = cell.chars().find(|c| is_forbidden(*c)) {
            if !config.strip_control {
                let character = format!("U+{:04X}", u32::from(found));
                return Err(Rejection::new(Message::ControlCharacter { character }).in_column(name(column)));
            }
            mended = Some(cell.replace(is_forbidden, ""));
        }
        let kept = mended.as_deref().unwrap_or(&cell);
        if kept.len() > CELL_UNITS_MAX && kept.encode_utf16().count() > CELL_UNITS_MAX {
            if !config.truncate_cells {
                let characters = kept.encode_utf16().count();
                let message = Message::CellTooLong { characters, limit: CELL_UNITS_MAX };
                return Err(Rejection::new(message).in_column(name(column)));
            }
            mended = Some(truncate(kept).to_owned());
        }
        if let Some(mended) = mended {
            fields.replace(column, mended.as_bytes());
        }
    }
    Ok(())
}

/// Characters outside `Char` of XML 1.0 (2.2) that a Rust string can hold.
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

/// The longest beginning that a cell holds.
fn truncate(text: &str) -> &str {
    let mut units = 0;
    let cut = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > CELL_UNITS_MAX
    });
    cut.map_or(text, |(at, _)| &text[..at])
}

/// Cells of strict columns; an empty cell is empty in any type.
fn check_types(layout: &Layout, text: &[u8], fields: &Fields) -> Result<(), Rejection> {
    for (column, kind) in &layout.strict {
        let cell = std::str::from_utf8(fields.get(*column, text)).unwrap_or_default();
        if cell.is_empty() {
            continue;
        }
        let reads = match kind {
            ColumnType::Auto | ColumnType::Text | ColumnType::Computed { .. } => true,
            ColumnType::Number => parse_number(cell).is_some(),
            ColumnType::Integer => parse_integer(cell).is_some(),
            ColumnType::Date => parse_date(cell).is_some(),
            ColumnType::DateTime => parse_datetime(cell).is_some(),
            ColumnType::Boolean => parse_boolean(cell).is_some(),
        };
        if reads {
            continue;
        }
        let value = Quoted::new(cell);
        let message = match kind {
            ColumnType::Number | ColumnType::Integer if is_not_finite(cell) => Message::NotFinite { value },
            ColumnType::Integer => Message::NotAnInteger { value },
            ColumnType::Date => Message::NotADate { value },
            ColumnType::DateTime => Message::NotADateTime { value },
            ColumnType::Boolean => Message::NotABoolean { value },
            ColumnType::Number | ColumnType::Auto | ColumnType::Text | ColumnType::Computed { .. } => {
                Message::NotANumber { value, hint: None }
            }
        };
        return Err(Rejection::new(message).in_column(layout.header[*column].as_str()));
    }
    Ok(())
}

/// True for the spellings of NaN and infinity, and for numbers beyond a double.
fn is_not_finite(cell: &str) -> bool {
    cell.trim().parse::<f64>().is_ok_and(|number| !number.is_finite())
}

/// What bytes are that are no text at all, by how they begin.
pub fn binary_kind(beginning: &[u8]) -> Option<Binary> {
    const KINDS: [(&[u8], Binary); 7] = [
        (b"\0", Binary::ZeroByte {}),
        (b"PK\x03\x04", Binary::Zip {}),
        (b"\x1f\x8b", Binary::Gzip {}),
        (b"PAR1", Binary::Parquet {}),
        (b"\xd0\xcf\x11\xe0", Binary::OldOffice {}),
        (b"\xff\xfe", Binary::Utf16 {}),
        (b"\xfe\xff", Binary::Utf16 {}),
    ];
    KINDS.into_iter().find(|(magic, _)| beginning.starts_with(magic)).map(|(_, kind)| kind)
}

/// True when a row is no row because the whole value is a JSON object.
pub(super) fn is_json_instead(rejection: &Rejection, value: &[u8]) -> bool {
    matches!(rejection.reason, Reason::CsvFieldCount | Reason::CsvBadQuote | Reason::CsvUnclosedQuote)
        && is_json_object(value)
}

/// True when the whole value is one JSON object.
pub(super) fn is_json_object(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{")
        && value.trim_ascii_end().ends_with(b"}")
        && serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok()
}

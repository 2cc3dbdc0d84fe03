//! Reasons why a single row is rejected: its size, bytes, quotes, number of fields, and cells. Whole uploads fail elsewhere.

use memchr::memchr2;

use crate::page::cells::CELL_UNITS_MAX;
use crate::page::of_type;
use crate::record::{Delimiter, Hint, Message, Reason, Rejection};
use crate::source::SourceConfig;
use crate::source::columns::Layout;
use crate::source::csv::{Defect, Fields, ROW_BYTES_MAX, Row};
use crate::source::delimiter::DELIMITERS;
use crate::source::envelope::is_marker;
use crate::source::json::{Escapes, fault_instead_of_csv, is_json};
use crate::source::totals::is_total;

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
        let valid = simdutf8::basic::from_utf8(bytes).ok();
        Text { bytes, valid, is_clean }
    }

    /// The same text, with cells that may hold what it does not.
    pub(super) fn with_escapes(self, escapes: Escapes) -> Text<'a> {
        Text { is_clean: self.is_clean && !escapes.0, ..self }
    }

    /// The cells of a row that [`judge`] let pass.
    pub(super) fn cells<'f>(self, fields: &'f Fields) -> impl Iterator<Item = &'f str>
    where
        'a: 'f,
    {
        fields.cells(self.bytes, self.valid)
    }
}

/// Why a row fails, and in which of its fields, from 0.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) rejection: Rejection,
    pub(super) field: Option<usize>,
}

impl Fault {
    fn new(message: Message) -> Fault {
        Fault { rejection: Rejection::new(message), field: None }
    }
    fn in_field(self, field: usize) -> Fault {
        Fault { field: Some(field), ..self }
    }
}

/// Finds the row's fate. On success `fields` are its cells, as many as the header has names, valid UTF-8 and fit for XML.
pub(super) fn judge(
    config: &SourceConfig,
    layout: &Layout,
    row: &Row<'_>,
    delimiter: u8,
    text: Text<'_>,
    fields: &mut Fields,
) -> Result<(), Rejection> {
    let in_column = |fault: Fault| match fault.field.and_then(|field| layout.header.get(field)) {
        Some(name) => fault.rejection.in_column(name.as_str()),
        None => fault.rejection,
    };
    let reads_excel_text = config.excel_text || layout.reads_excel_text;
    let is_fine = matches!(row.defect, Some((Defect::ExcelText, _))) && reads_excel_text;
    if !is_fine && !is_read_plainly(config, layout, row, delimiter, text, fields) {
        check_form(config, row, text).map_err(in_column)?;
    }
    check_count(config, layout, row, delimiter, text.bytes, fields)?;
    if config.excel_text {
        fields.unwrap_excel_text(text.bytes);
    }
    if layout.is_repeated_by(fields, text.bytes) {
        return Err(Rejection::new(Message::RepeatedHeader {}));
    }
    check_cells(config, row, text, fields).map_err(in_column)?;
    empty_blanks(&config.blank, text.bytes, fields);
    if config.rejects_totals && layout.lacks_needed(fields, text.bytes) && is_total(text.cells(fields)) {
        return Err(Rejection::new(Message::TotalsRow {}));
    }
    check_types(layout, text.bytes, fields)
}

/// With lenient quotes, a row of one line whose quote is never closed is read as if quotes meant nothing, if that gives the fields wanted.
fn is_read_plainly(
    config: &SourceConfig,
    layout: &Layout,
    row: &Row<'_>,
    delimiter: u8,
    text: Text<'_>,
    fields: &mut Fields,
) -> bool {
    let is_candidate = config.lenient_quotes
        && matches!(row.defect, Some((Defect::UnclosedQuote, _)))
        && row.bytes.len() <= ROW_BYTES_MAX
        && memchr2(b'\n', b'\r', row.bytes).is_none()
        && std::str::from_utf8(row.bytes).is_ok();
    if is_candidate {
        let start = row.bytes.as_ptr() as usize - text.bytes.as_ptr() as usize;
        fields.split_plainly(row.bytes, start, delimiter);
    }
    is_candidate && fields.len() == layout.header.len()
}

/// Size, bytes and quotes of a row.
pub(super) fn check_form(config: &SourceConfig, row: &Row<'_>, text: Text<'_>) -> Result<(), Fault> {
    if row.bytes.len() > ROW_BYTES_MAX {
        return Err(Fault::new(Message::RowTooBig { limit: ROW_BYTES_MAX }));
    }
    if text.valid.is_none()
        && let Err(error) = std::str::from_utf8(row.bytes)
    {
        let characters = String::from_utf8_lossy(&row.bytes[..error.valid_up_to()]).chars().count();
        return Err(Fault::new(Message::NotOfTheCharset { characters }));
    }
    let Some((defect, field)) = row.defect else { return Ok(()) };
    let message = match defect {
        Defect::UnclosedQuote => Message::UnclosedQuote {},
        _ if config.lenient_quotes => return Ok(()),
        Defect::ExcelText => Message::ExcelTextQuote {},
        _ if memchr::memmem::find(row.bytes, b"\\\"").is_some() => Message::BackslashQuote {},
        Defect::TextAfterQuote => Message::TextAfterQuote {},
        Defect::StrayQuote => Message::StrayQuote {},
        Defect::BlanksBeforeQuote => Message::BlanksBeforeQuote {},
    };
    Err(Fault::new(message).in_field(field))
}

fn check_count(
    config: &SourceConfig,
    layout: &Layout,
    row: &Row<'_>,
    delimiter: u8,
    text: &[u8],
    fields: &mut Fields,
) -> Result<(), Rejection> {
    let (have, want) = (fields.len(), layout.header.len());
    if have == want {
        return Ok(());
    }
    let pad_mends = have < want || fields.iter(text).skip(want).all(<[u8]>::is_empty);
    let is_whole = |guess: &u8| row.bytes.iter().filter(|byte| *byte == guess).count() + 1 == want;
    let guess = DELIMITERS.into_iter().filter(|guess| *guess != delimiter && have == 1 && want > 1).find(is_whole);
    // A whole row of another delimiter is not its first field; of two columns, one may hold such a character.
    if config.pad_fields && pad_mends && (guess.is_none() || want == 2) {
        fields.resize(want);
        return Ok(());
    }
    let hint = match guess {
        _ if have == 1 && row.bytes.starts_with(b"\"") && is_marker(fields.get(0, text)) => {
            Some(Hint::MarkerInQuotes {})
        }
        _ if is_marker(row.bytes) && have == 1 => Some(Hint::MarkerOfItsOwn {}),
        Some(guess) => Some(Hint::WithDelimiter { delimiter: Delimiter(guess), fields: want }),
        None if row.bytes.ends_with(b"\\") => Some(Hint::EscapeOption {}),
        None => pad_mends.then_some(Hint::Pad {}),
    };
    Err(Rejection::new(Message::FieldCount { have, want, hint }))
}

/// Characters and lengths of cells; mends what the topology wants mended.
pub(super) fn check_cells(
    config: &SourceConfig,
    row: &Row<'_>,
    text: Text<'_>,
    fields: &mut Fields,
) -> Result<(), Fault> {
    let could_be_long = row.bytes.len() > CELL_UNITS_MAX;
    if text.is_clean && !could_be_long {
        return Ok(());
    }
    for column in 0..fields.len() {
        let cell = String::from_utf8_lossy(fields.get(column, text.bytes));
        if let Some(mended) = mend_cell(config, &cell).map_err(|fault| fault.in_field(column))? {
            fields.replace(column, mended.as_bytes());
        }
    }
    Ok(())
}

/// The cell as the topology lets it be changed; `None` when it is fit as it is.
pub(super) fn mend_cell(config: &SourceConfig, cell: &str) -> Result<Option<String>, Fault> {
    let mut mended = None;
    if let Some(found) = cell.chars().find(|c| is_forbidden(*c)) {
        if !config.strip_control {
            let character = format!("U+{:04X}", u32::from(found));
            return Err(Fault::new(Message::ControlCharacter { character }));
        }
        mended = Some(cell.replace(is_forbidden, ""));
    }
    let kept = mended.as_deref().unwrap_or(cell);
    if kept.len() > CELL_UNITS_MAX && kept.encode_utf16().count() > CELL_UNITS_MAX {
        if !config.truncate_cells {
            let characters = kept.encode_utf16().count();
            return Err(Fault::new(Message::CellTooLong { characters, limit: CELL_UNITS_MAX }));
        }
        mended = Some(truncate(kept).to_owned());
    }
    Ok(mended)
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

/// Empties the cells that mean no value.
fn empty_blanks(blank: &[String], text: &[u8], fields: &mut Fields) {
    if blank.is_empty() {
        return;
    }
    for column in 0..fields.len() {
        let cell = fields.get(column, text).trim_ascii();
        if blank.iter().any(|known| known.as_bytes() == cell) {
            fields.replace(column, b"");
        }
    }
}

/// Cells of strict columns, brought into the plain form of their type; an empty cell is empty in any type.
fn check_types(layout: &Layout, text: &[u8], fields: &mut Fields) -> Result<(), Rejection> {
    for (column, kind, form) in &layout.strict {
        let cell = std::str::from_utf8(fields.get(*column, text)).unwrap_or_default();
        let plain = of_type::read(cell, *kind, form.as_ref());
        let in_column = |message| Rejection::new(message).in_column(layout.header[*column].as_str());
        if let Some(plain) = plain.map_err(in_column)? {
            fields.replace(*column, plain.as_bytes());
        }
    }
    Ok(())
}

/// Why a first row with misplaced quotes is no header: it is JSON, or was meant to be.
pub(super) fn json_instead_of_header(value: &[u8]) -> Option<Rejection> {
    if is_json(value) { Some(Rejection::new(Message::JsonRows {})) } else { fault_instead_of_csv(value) }
}

/// Why a value that was read as CSV is refused if it is JSON, or was meant to be.
pub(super) fn json_instead(rejection: &Rejection, value: &[u8]) -> Option<Rejection> {
    match rejection.reason {
        Reason::CsvFieldCount | Reason::CsvBadQuote | Reason::CsvUnclosedQuote => json_instead_of_header(value),
        _ => None,
    }
}

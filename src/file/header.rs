//! The beginning of a file: a line `sep=;`, lines above the header, the delimiter, and which row is the header.

use memchr::memchr2;

use super::{FileError, Options};
use crate::record::counted;
use crate::source::csv::{Fields, Rows};
use crate::source::delimiter::{find_delimiter, separator_line};
use crate::source::table_head::{Cells, first_row, has_names_of, is_header_of, merged_rows, row_below_titles};
use crate::source::{HeaderFrom, SourceConfig, read_names};

/// Lines that a header is chosen from, and characters of each.
const FIRST_LINES: usize = 12;
const FIRST_LINE_CHARS: usize = 100;
/// Characters of a skipped line that a note quotes.
const QUOTED_CHARS: usize = 40;

/// The facts that the beginning of a file shows.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) delimiter: u8,
    /// Names of the columns as they are published: those of the header line, else declared or numbered ones.
    pub(super) names: Vec<String>,
    /// Whether the names are the topology's own, so that no record has to name them.
    pub(super) is_declared: bool,
    /// Line of the header, from 1; 0 without one. A line `sep=;` is not counted, as it is not where lines are skipped.
    pub(super) header_line: u32,
    /// Where the first row of data begins.
    pub(super) rows_from: usize,
    /// Remarks for the person.
    pub(super) notes: Vec<String>,
}

/// Reads the beginning. `cut` says that more text follows. `None` when more of it is needed.
pub(super) fn read(text: &[u8], cut: bool, options: &Options) -> Result<Option<Beginning>, FileError> {
    let config = &*options.source;
    let mut notes = Vec::new();
    let (announced, table_from) = separator(text);
    let mut at = skip_lines(text, table_from, options.skip_lines.unwrap_or(config.skip_lines));
    let given = options.delimiter.or(announced).or(config.delimiter);
    let mut fields = Fields::default();
    let declared = match &config.header {
        HeaderFrom::First => None,
        HeaderFrom::Declared(names) => Some(&**names),
    };
    let mut delimiter = given.unwrap_or_else(|| find_delimiter(&text[at..], cut, &config.needed));
    if !options.no_header
        && options.skip_lines.is_none()
        && let Some((found, row)) = row_below_titles(&text[at..], given, delimiter, &config.needed)
        && declared.is_none_or(|names| {
            let table = &text[at + row..];
            first_row(table, found, &mut fields).is_some()
                && is_header_of(names, &cells(&fields, table), config.exact_names)
        })
    {
        (delimiter, at) = (found, at + row);
    }
    let Some((extent, ended)) = first_row(&text[at..], delimiter, &mut fields) else {
        notes.extend(skipped_note(&text[table_from..at]));
        return if cut { Ok(None) } else { nothing(config, options, delimiter, text.len(), notes).map(Some) };
    };
    if cut && !ended {
        return Ok(None);
    }
    let header_line = 1 + line_ends(&text[table_from..at + extent.start]);
    let (above, text) = text.split_at(at);
    let (first, behind) = (at + extent.start, at + extent.end);
    let mut header_from = at;
    let (names, is_declared, header_line, rows_from) = match declared {
        Some(names) if options.no_header || !is_header_of(names, &cells(&fields, text), config.exact_names) => {
            (names.to_vec(), true, 0, first)
        }
        None if options.no_header => {
            let names = (1..=fields.len()).map(|column| format!("column_{column}")).collect();
            notes.push("it has no header line: its columns are named column_1, column_2 and so on".to_owned());
            (names, false, 0, first)
        }
        declared => {
            let row = Rows::new(&text[extent.start..extent.end], delimiter, None).next_row(&mut fields);
            let row = row.ok_or_else(|| FileError::Header("the file is empty".to_owned()))?;
            let names = read_names(config, &row, &text[extent.start..extent.end], &mut fields);
            let names = names.map_err(|why| FileError::Header(format!("{}: {}", why.reason, why.message)))?;
            let own = declared.filter(|declared| has_names_of(declared, &names, config.exact_names));
            let (names, is_declared) = own.map_or((names, false), |declared| (declared.to_vec(), true));
            let header = Cells { texts: names, rows: extent };
            match merged_rows(&above[table_from..], text, &header, delimiter).filter(|_| !is_declared) {
                Some((names, upper, behind)) => {
                    header_from = upper.map_or(at, |upper| table_from + upper);
                    (names, false, header_line, at + behind)
                }
                None => (header.texts, is_declared, header_line, behind),
            }
        }
    };
    notes.extend(skipped_note(&above[table_from..header_from]));
    Ok(Some(Beginning { delimiter, names, is_declared, header_line, rows_from, notes }))
}

/// The delimiter that a line `sep=;` announces, and where the line behind it begins.
fn separator(text: &[u8]) -> (Option<u8>, usize) {
    let (first, behind) = line(text, 0);
    separator_line(first).map_or((None, 0), |delimiter| (Some(delimiter), behind))
}

/// A file without any row: no columns either, unless the topology declares them.
fn nothing(
    config: &SourceConfig,
    options: &Options,
    delimiter: u8,
    rows_from: usize,
    notes: Vec<String>,
) -> Result<Beginning, FileError> {
    match &config.header {
        HeaderFrom::Declared(names) if rows_from > 0 || options.no_header => {
            Ok(Beginning { delimiter, names: names.to_vec(), is_declared: true, header_line: 0, rows_from, notes })
        }
        HeaderFrom::Declared(_) | HeaderFrom::First => Err(FileError::Header("the file is empty".to_owned())),
    }
}

/// The line that begins at `at`, without line end, and where the next one begins.
fn line(text: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &text[at..];
    let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
    (&rest[..end], (at + end + width).min(text.len()))
}

/// Where the line begins that is so many lines behind the one at `from`.
fn skip_lines(text: &[u8], from: usize, count: u32) -> usize {
    (0..count).fold(from, |at, _| line(text, at).1)
}

/// The remark about lines that are left out, unless all are blank.
fn skipped_note(skipped: &[u8]) -> Option<String> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < skipped.len() {
        let (line, next) = line(skipped, at);
        lines.push(String::from_utf8_lossy(line).chars().take(QUOTED_CHARS).collect::<String>());
        at = next;
    }
    let shown: Vec<_> = lines.iter().filter(|line| !line.trim().is_empty()).take(3).collect();
    let shown = shown.iter().map(|line| format!("'{}'", line.escape_debug())).collect::<Vec<_>>().join(", ");
    let count = counted(lines.len() as u64, "line");
    (!shown.is_empty()).then(|| format!("{count} above the header left out: {shown}"))
}

/// The cells of a row as text.
fn cells(fields: &Fields, text: &[u8]) -> Vec<String> {
    fields.iter(text).map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

/// The first lines of a text, cut short, as they are counted: without a line `sep=;`.
pub(super) fn first_lines(text: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let (_, mut at) = separator(text);
    while at < text.len() && lines.len() < FIRST_LINES {
        let (found, next) = line(text, at);
        lines.push(String::from_utf8_lossy(found).chars().take(FIRST_LINE_CHARS).collect());
        at = next;
    }
    lines
}

/// Ends of lines in a text.
fn line_ends(text: &[u8]) -> u32 {
    let (mut at, mut ends) = (0, 0);
    while at < text.len() {
        at = line(text, at).1;
        ends += 1;
    }
    ends
}

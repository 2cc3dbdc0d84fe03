//! The beginning of a file: a line `sep=;`, lines above the header, the delimiter, and which row is the header.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::{FileError, Options};
use crate::source::csv::{Fields, Rows};
use crate::source::delimiter::{DELIMITERS, count_named, find_delimiter, separator_line};
use crate::source::{HeaderFrom, SourceConfig, clean_name, read_names};

/// Rows among which the header is looked for when the first one names no column that the topology needs.
const TITLE_ROWS_MAX: usize = 30;
/// Part of the columns that have a name in a header, and that have a cell in a title line: tenths.
const NAMED_MIN: usize = 7;
const TITLED_MAX: usize = 4;
/// Columns of a table that may have a title above it.
const TITLED_COLUMNS_MIN: usize = 3;
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
    /// Line of the header, from 1; 0 without one.
    pub(super) header_line: u32,
    /// Where the first row of data begins.
    pub(super) rows_from: usize,
    /// Remarks for the person.
    pub(super) notes: Vec<String>,
}

/// Where the first row that is not blank lies, and whether more text could change it; `None` when there is no row yet.
pub(super) fn first_row(text: &[u8], delimiter: u8, fields: &mut Fields) -> Option<(Range<usize>, bool)> {
    let mut rows = Rows::new(text, delimiter, None);
    loop {
        let start = rows.position();
        let row = rows.next_row(fields)?;
        if !row.blank {
            return Some((start..rows.position(), row.ended));
        }
    }
}

/// Reads the beginning. `cut` says that more text follows. `None` when more of it is needed.
pub(super) fn read(text: &[u8], cut: bool, options: &Options) -> Result<Option<Beginning>, FileError> {
    let config = &*options.source;
    let mut notes = Vec::new();
    let mut at = 0;
    let announced = separator_line(line(text, 0).0);
    if announced.is_some() {
        at = line(text, 0).1;
    }
    at = skip_lines(text, at, options.skip_lines.unwrap_or(config.skip_lines), &mut notes);
    let given = options.delimiter.or(announced).or(config.delimiter);
    let mut delimiter = given.unwrap_or_else(|| find_delimiter(&text[at..], cut, &config.needed));
    if !options.no_header
        && options.skip_lines.is_none()
        && let Some((found, row)) = row_below_titles(&text[at..], given, delimiter, config)
    {
        note_skipped(&text[at..at + row], &mut notes);
        (delimiter, at) = (found, at + row);
    }
    let mut fields = Fields::default();
    let Some((extent, ended)) = first_row(&text[at..], delimiter, &mut fields) else {
        return if cut { Ok(None) } else { nothing(config, options, delimiter, text.len(), notes).map(Some) };
    };
    if cut && !ended {
        return Ok(None);
    }
    let header_line = 1 + line_ends(&text[..at + extent.start]);
    let (above, text) = text.split_at(at);
    let (first, behind) = (at + extent.start, at + extent.end);
    let beginning = |names, is_declared, (header_line, rows_from), notes| Beginning {
        delimiter,
        names,
        is_declared,
        header_line,
        rows_from,
        notes,
    };
    let declared = match &config.header {
        HeaderFrom::First => None,
        HeaderFrom::Declared(names) => Some(names.to_vec()),
    };
    match declared {
        Some(names) if options.no_header || !names_half_of(&names, &fields, text, config) => {
            Ok(Some(beginning(names, true, (0, first), notes)))
        }
        None if options.no_header => {
            let names = (1..=fields.len()).map(|column| format!("column_{column}")).collect();
            notes.push("it has no header line: its columns are named column_1, column_2 and so on".to_owned());
            Ok(Some(beginning(names, false, (0, first), notes)))
        }
        declared => {
            let row = Rows::new(&text[extent.start..extent.end], delimiter, None).next_row(&mut fields);
            let row = row.ok_or_else(|| FileError::Header("the file is empty".to_owned()))?;
            let names = read_names(config, &row, &text[extent.start..extent.end], &mut fields);
            let names = names.map_err(|why| FileError::Header(format!("{}: {}", why.reason, why.message)))?;
            let is_declared = declared.is_some_and(|declared| are_alike(&declared, &names, config));
            let (names, rows_from) = match is_declared {
                true => (names, behind),
                false => {
                    // A header of merged cells is two rows: this one, and the one below or above.
                    let header = Cells { texts: names, rows: extent };
                    let below = Cells::first(text, header.rows.end, delimiter);
                    let two = below.as_ref().and_then(|below| Some((merged(&header, below)?, at + below.rows.end)));
                    let two = two.or_else(|| Some((merged(&Cells::last(above, delimiter)?, &header)?, behind)));
                    two.unwrap_or((header.texts, behind))
                }
            };
            Ok(Some(beginning(names, is_declared, (header_line, rows_from), notes)))
        }
    }
}

/// The cells of a row, and where it lies.
struct Cells {
    texts: Vec<String>,
    rows: Range<usize>,
}

impl Cells {
    /// The first row that is not blank from `at` on.
    fn first(text: &[u8], at: usize, delimiter: u8) -> Option<Cells> {
        let mut fields = Fields::default();
        let (row, ended) = first_row(&text[at..], delimiter, &mut fields)?;
        let texts = fields.iter(&text[at..]).map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
        ended.then_some(Cells { texts, rows: at + row.start..at + row.end })
    }

    /// The last row that is not blank.
    fn last(text: &[u8], delimiter: u8) -> Option<Cells> {
        let mut next = Cells::first(text, 0, delimiter)?;
        while let Some(row) = Cells::first(text, next.rows.end, delimiter) {
            next = row;
        }
        Some(next)
    }
}

/// The names of a header of merged cells, which is two rows: in the upper one the names, and in the place of some a name for several columns,
/// which have their own names in the lower one. `None` for rows that do not complete each other so.
fn merged(upper: &Cells, lower: &Cells) -> Option<Vec<String>> {
    let (upper, lower) = (&upper.texts, &lower.texts);
    if upper.len() != lower.len() || lower.iter().any(|cell| cell.parse::<f64>().is_ok()) {
        return None;
    }
    let (mut is_grouped, mut names, mut singles) = (false, Vec::with_capacity(upper.len()), 0);
    for column in 0..upper.len() {
        let begins_group = upper.get(column + 1).is_some_and(String::is_empty) && !lower[column + 1].is_empty();
        is_grouped = match (upper[column].is_empty(), lower[column].is_empty()) {
            (false, false) if begins_group => true,
            (true, false) if is_grouped => true,
            (false, true) => {
                singles += 1;
                false
            }
            (true, true) => false,
            (_, false) => return None,
        };
        names.push(if lower[column].is_empty() { &upper[column] } else { &lower[column] }.clone());
    }
    (singles > 0 && lower.iter().any(|cell| !cell.is_empty())).then_some(names)
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

fn skip_lines(text: &[u8], from: usize, count: u32, notes: &mut Vec<String>) -> usize {
    let mut at = from;
    for _ in 0..count {
        at = line(text, at).1;
    }
    if count > 0 {
        note_skipped(&text[from..at], notes);
    }
    at
}

fn note_skipped(skipped: &[u8], notes: &mut Vec<String>) {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < skipped.len() {
        let (line, next) = line(skipped, at);
        lines.push(String::from_utf8_lossy(line).chars().take(QUOTED_CHARS).collect::<String>());
        at = next;
    }
    let shown: Vec<_> = lines.iter().filter(|line| !line.trim().is_empty()).take(3).collect();
    let shown = shown.iter().map(|line| format!("'{}'", line.escape_debug())).collect::<Vec<_>>().join(", ");
    let count = if lines.len() == 1 { "the line".to_owned() } else { format!("{} lines", lines.len()) };
    notes.push(format!("{count} above the header left out: {shown}"));
}

/// If the first row has none of the topology's columns: the first row that has them all, as its delimiter and its first byte.
fn row_below_titles(text: &[u8], given: Option<u8>, delimiter: u8, config: &SourceConfig) -> Option<(u8, usize)> {
    let needed = &config.needed;
    let mut fields = Fields::default();
    let (first, _) = first_row(text, delimiter, &mut fields)?;
    if needed.is_empty() || count_named(&fields, &text[..first.end], needed) > 0 {
        return None;
    }
    let named = fields.iter(text).filter(|cell| !cell.trim_ascii().is_empty()).count();
    let all = DELIMITERS;
    let tried: Cow<'_, [u8]> = given.map_or(Cow::Borrowed(&all), |given| Cow::Owned(vec![given]));
    let needed_row = tried.iter().find_map(|delimiter| {
        let mut rows = Rows::new(text, *delimiter, None);
        for _ in 0..TITLE_ROWS_MAX {
            let start = rows.position();
            let row = rows.next_row(&mut fields)?;
            if row.ended && count_named(&fields, text, needed) == needed.len() {
                return Some((*delimiter, start));
            }
        }
        None
    });
    needed_row.or_else(|| {
        let found = tried.iter().filter_map(|delimiter| wide_row_below_titles(text, *delimiter));
        // A first row that names as many columns is no title.
        let widest = found.max_by_key(|(columns, ..)| *columns).filter(|(columns, ..)| *columns > named);
        widest.map(|(_, delimiter, start)| (delimiter, start))
    })
}

/// The first row with a name for most columns, below lines that have a cell or two: its columns, the delimiter, and its first byte.
/// This finds titles whatever the columns are called.
fn wide_row_below_titles(text: &[u8], delimiter: u8) -> Option<(usize, u8, usize)> {
    let mut fields = Fields::default();
    let mut rows = Rows::new(text, delimiter, None);
    let (mut seen, mut columns) = (Vec::new(), 0);
    while seen.len() < TITLE_ROWS_MAX {
        let start = rows.position();
        let Some(row) = rows.next_row(&mut fields).filter(|row| row.ended) else { break };
        let filled: Vec<&[u8]> = fields.iter(text).filter(|cell| !cell.trim_ascii().is_empty()).collect();
        let is_number = |cell: &&[u8]| std::str::from_utf8(cell).is_ok_and(|cell| cell.trim().parse::<f64>().is_ok());
        columns = columns.max(filled.len());
        if !row.blank {
            seen.push((filled.len(), filled.iter().any(is_number), start));
        }
    }
    let (titled, ..) = seen.first()?;
    if columns < TITLED_COLUMNS_MIN || 10 * titled > TITLED_MAX * columns {
        return None;
    }
    let is_header = |(filled, has_number, _): &&(usize, bool, usize)| 10 * filled >= NAMED_MIN * columns && !has_number;
    let (.., start) = seen.iter().skip(1).find(is_header)?;
    Some((columns, delimiter, *start))
}

/// The first lines of a text, cut short.
pub(super) fn first_lines(text: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = 0;
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

/// True when a row names half of the declared columns or more: it is a header line, and no data.
fn names_half_of(declared: &[String], fields: &Fields, text: &[u8], config: &SourceConfig) -> bool {
    let clean = |name: &[u8]| -> String {
        let name = String::from_utf8_lossy(name);
        if config.exact_names { name.into_owned() } else { clean_name(&name).into_owned() }
    };
    let found: Vec<String> = fields.iter(text).map(clean).collect();
    2 * declared.iter().filter(|name| found.contains(name)).count() >= declared.len()
}

fn are_alike(declared: &[String], names: &[String], config: &SourceConfig) -> bool {
    declared == crate::source::column_names(names, config.exact_names)
}

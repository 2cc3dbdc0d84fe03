//! The head of a table: lines of a title above it, and the header, which is one row or, where cells are merged, several. Of files, and of
//! records that hold a file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::record::Rejection;
use crate::source::SourceConfig;
use crate::source::csv::{Fields, Row, Rows};
use crate::source::delimiter::{DELIMITERS, count_named};
use crate::source::header_row::read_names;
use crate::source::names::{clean_name, column_names};
use crate::source::row_format::RowFormat;

/// Rows among which the header is looked for when the first one names no column that the topology needs.
const TITLE_ROWS_MAX: usize = 30;
/// Part of the columns that have a name in a header, and that have a cell in a title line: tenths.
const NAMED_MIN: usize = 7;
const TITLED_MAX: usize = 4;
/// Columns of a table that may have a title above it.
const TITLED_COLUMNS_MIN: usize = 3;

/// The head of the table that a record holds.
#[derive(Debug)]
pub(super) struct TableHead<'a> {
    /// The row that is the header.
    pub(super) row: Row<'a>,
    /// The names of the columns, as published.
    pub(super) names: Result<Vec<String>, Rejection>,
    /// Where the rows of the table begin.
    pub(super) behind: usize,
    /// Rows up to there.
    pub(super) rows: u64,
}

impl<'a> TableHead<'a> {
    /// `None` for a text without a row.
    pub(super) fn read(
        config: &SourceConfig,
        delimiter: u8,
        text: &'a [u8],
        fields: &mut Fields,
    ) -> Option<TableHead<'a>> {
        let titled = row_below_titles(text, Some(delimiter), delimiter, &config.needed);
        let (above, table) = text.split_at(titled.map_or(0, |(_, at)| at));
        let (extent, _) = first_row(table, delimiter, fields)?;
        let row = Rows::new(&table[extent.clone()], delimiter, None).next_row(fields)?;
        let names = read_names(config, &row, &table[extent.clone()], fields);
        let header = names.map(|texts| Cells { texts, rows: extent.clone() });
        let merged = header.as_ref().ok().and_then(|header| merged_rows(above, table, header, delimiter));
        let (names, behind) = match merged {
            Some((names, _, behind)) => (Ok(names), behind),
            None => (header.map(|header| header.texts), extent.end),
        };
        let behind = above.len() + behind;
        let rows = RowFormat::Csv(delimiter).count_rows(&text[..behind], fields);
        Some(TableHead { row, names, behind, rows })
    }
}

/// Whether the cells of a row are a header although the topology declares the columns: half of the columns are named, and two of several.
pub fn is_header_of(declared: &[String], cells: &[String], exact: bool) -> bool {
    let found: Vec<String> = cells.iter().map(|cell| comparable(cell, exact)).collect();
    let named = declared.iter().filter(|name| found.contains(&comparable(name, exact))).count();
    2 * named >= declared.len() && named >= declared.len().min(2)
}

/// Whether the cells of a row are the names of all declared columns, in their order.
pub fn has_names_of(declared: &[String], cells: &[String], exact: bool) -> bool {
    let comparable = |name: &String| comparable(name, exact);
    declared.iter().map(comparable).eq(column_names(cells, exact).iter().map(comparable))
}

/// A name in the spelling that a header line is recognized by, which may be in capitals.
fn comparable(name: &str, exact: bool) -> String {
    if exact { name.to_owned() } else { clean_name(name).to_lowercase() }
}

/// Where the first row that is not blank lies, and whether more text could change it; `None` when there is no row yet.
pub fn first_row(text: &[u8], delimiter: u8, fields: &mut Fields) -> Option<(Range<usize>, bool)> {
    let mut rows = Rows::new(text, delimiter, None);
    loop {
        let start = rows.position();
        let row = rows.next_row(fields)?;
        if !row.blank {
            return Some((start..rows.position(), row.ended));
        }
    }
}

/// The cells of a row, and where it lies.
#[derive(Debug)]
pub struct Cells {
    /// The texts.
    pub texts: Vec<String>,
    /// From its first byte to the one behind its last.
    pub rows: Range<usize>,
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

/// A header of merged cells is several rows: `header`, the first row of `text`, and the rows below it, or the last one `above`. Returns the
/// names, where the upper row begins if that is above, and where the rows of the table begin in `text`.
pub fn merged_rows(
    above: &[u8],
    text: &[u8],
    header: &Cells,
    delimiter: u8,
) -> Option<(Vec<String>, Option<usize>, usize)> {
    let mut found = None;
    while let at = found.as_ref().unwrap_or(header)
        && let Some(below) = Cells::first(text, at.rows.end, delimiter)
        && let Some(texts) = merged(&at.texts, &below.texts)
    {
        found = Some(Cells { texts, rows: below.rows });
    }
    if let Some(Cells { texts, rows }) = found {
        return Some((texts, None, rows.end));
    }
    let upper = Cells::last(above, delimiter)?;
    Some((merged(&upper.texts, &header.texts)?, Some(upper.rows.start), header.rows.end))
}

/// The names of a header of merged cells, which is two rows: in the upper one the names, and in the place of some a name for several columns,
/// which have their own names in the lower one. A name that is merged over both rows may be in both, as rows of a workbook have it; where
/// one is, a name for several columns may be above each of them. Names that say nothing without that name have it in front: those that come
/// twice, and years. `None` for rows that do not complete each other so.
fn merged(upper: &[String], lower: &[String]) -> Option<Vec<String>> {
    if upper.len() != lower.len() || lower.iter().any(|cell| is_number(cell) && !is_year(cell)) {
        return None;
    }
    let is_filled = upper.iter().zip(lower).any(|(upper, lower)| !upper.is_empty() && upper == lower);
    let reaches = |above: &str, column: usize| {
        let next = upper.get(column).zip(lower.get(column)).filter(|(_, lower)| !lower.is_empty());
        next.is_some_and(|(upper, lower)| upper.is_empty() || is_filled && upper == above && lower != above)
    };
    let (mut group, mut names, mut has_single, mut has_group) = (None, Vec::with_capacity(upper.len()), false, false);
    for (column, (above, below)) in upper.iter().zip(lower).enumerate() {
        let is_wide = reaches(above, column + 1);
        let name;
        (group, name) = match (above.is_empty(), below.is_empty()) {
            (false, true) => (None, above),
            (false, false) if above == below => (None, above),
            (false, false) if is_wide || is_filled => (Some(above), below),
            (true, false) if group.is_some() => (group, below),
            (true, true) => (None, below),
            (_, false) => return None,
        };
        has_single |= group.is_none() && !name.is_empty();
        has_group |= group.is_some() && is_wide;
        names.push((group, name));
    }
    if !(has_single && has_group) {
        return None;
    }
    let mut count: HashMap<&str, usize> = HashMap::new();
    names.iter().for_each(|(_, name)| *count.entry(name).or_default() += 1);
    let names = names.iter().map(|(group, name)| match group {
        Some(group) if is_year(name) || count[name.as_str()] > 1 => format!("{group} {name}"),
        Some(_) | None => (*name).clone(),
    });
    Some(names.collect())
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
}

fn is_year(cell: &str) -> bool {
    cell.len() == 4 && cell.parse().is_ok_and(|year: u32| (1900..2100).contains(&year))
}

/// If the first row has none of the topology's columns: the first row that has them all, as its delimiter and its first byte.
pub fn row_below_titles(text: &[u8], given: Option<u8>, delimiter: u8, needed: &[Vec<String>]) -> Option<(u8, usize)> {
    let mut fields = Fields::default();
    let (first, _) = first_row(text, delimiter, &mut fields)?;
    if needed.is_empty() || count_named(&fields, &text[..first.end], needed) > 0 {
        return None;
    }
    let named = count_filled(&fields, text);
    let all = DELIMITERS;
    let tried: Cow<'_, [u8]> = given.map_or(Cow::Borrowed(&all), |given| Cow::Owned(vec![given]));
    let needed_row = tried.iter().find_map(|delimiter| {
        let mut rows = Rows::new(text, *delimiter, None);
        for _ in 0..TITLE_ROWS_MAX {
            let start = rows.position();
            let row = rows.next_row(&mut fields)?;
            if row.ended && count_named(&fields, text, needed) == needed.len() {
                // Names that come again are values, and so are those below a row that names as many columns and above none.
                let is_header = count_filled(&fields, text) > named
                    || rows.next_row(&mut fields).is_some() && count_named(&fields, text, needed) < needed.len();
                return is_header.then_some((*delimiter, start));
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

/// Cells of a row that are not blank.
fn count_filled(fields: &Fields, text: &[u8]) -> usize {
    fields.iter(text).filter(|cell| !cell.trim_ascii().is_empty()).count()
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
        let is_number = |cell: &&[u8]| std::str::from_utf8(cell).is_ok_and(|cell| is_number(cell.trim()));
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

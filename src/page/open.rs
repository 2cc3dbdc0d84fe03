//! Rows of one sheet that wait for their page, in about as many bytes as they had as CSV.

use crate::record::{ColumnLook, ColumnType, NumberRange};

use super::styles::{DECIMALS_MAX, StyleId};
use super::width::width;
use super::{PAGE_BYTES_MAX, PAGE_ROWS, cells, link};

/// Rows below their sheet's last page, cell by cell in the order of their columns. Empty it is three words; it grows with its rows.
#[derive(Clone, Debug, Default)]
pub struct OpenPage {
    /// Cells one behind the other: a tag, and unless it is [`BLANK`] or [`ROW_END`] (it is a style's index then), the length of the value
    /// (one byte, or [`LONG`] and four) and the value.
    cells: Vec<u8>,
    rows: u32,
    /// Bytes of its first cells, which were put away.
    away: usize,
}

const ROW_END: u8 = 0xff;
const BLANK: u8 = 0xfe;
const LONG: u8 = 0xff;

/// The items of the buffer, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A cell without a value.
    Blank,
    /// A cell: its style and its text (UTF-8, not escaped).
    Cell(StyleId, &'a [u8]),
    /// The end of a row.
    RowEnd,
}

impl OpenPage {
    /// Appends a cell of a source column; empty text is a blank. Text that a strict type does not know stays text, as do integers of more
    /// than 15 digits, which a spreadsheet would round.
    pub fn cell(&mut self, text: &str, column: ColumnType) {
        if text.is_empty() {
            return self.blank();
        }
        let (style, value) = match column {
            ColumnType::Text => (StyleId::TEXT, text),
            ColumnType::Auto | ColumnType::Number | ColumnType::Computed { .. } => match cells::plain_number(text) {
                Some(decimals) => (StyleId::number(decimals), text),
                None if column == ColumnType::Auto => (StyleId::TEXT, text),
                None => match cells::decimal(text) {
                    Some(number) => (StyleId::number(number.decimals), number.digits),
                    None => (StyleId::TEXT, text),
                },
            },
            ColumnType::Integer => match cells::parse_integer(text) {
                Some(value) if cells::is_exact(value) => {
                    return self.push(StyleId::number(0), itoa::Buffer::new().format(value));
                }
                _ => (StyleId::TEXT, text),
            },
            ColumnType::Date => match cells::parse_date(text) {
                Some(day) => return self.push(StyleId::DATE, itoa::Buffer::new().format(day)),
                None => (StyleId::TEXT, text),
            },
            ColumnType::DateTime => match cells::parse_datetime(text) {
                Some(moment) => return self.push(StyleId::DATETIME, without_zero(zmij::Buffer::new().format(moment))),
                None => (StyleId::TEXT, text),
            },
            ColumnType::Link { lang } => match link::formula(text, lang) {
                Some(formula) => return self.push(StyleId::LINK, &formula),
                None => (StyleId::TEXT, text),
            },
            ColumnType::Boolean => match cells::parse_boolean(text) {
                Some(value) => (StyleId::BOOLEAN, if value { "1" } else { "0" }),
                None => (StyleId::TEXT, text),
            },
        };
        self.push(style, value);
    }

    /// Appends a computed number, rounded to `decimals` (15 at most) and shown with as many. A number that is not finite is a blank.
    pub fn float(&mut self, value: f64, decimals: u8) {
        let decimals = decimals.min(DECIMALS_MAX);
        if !value.is_finite() {
            return self.blank();
        }
        let scaled = value * POWERS_OF_TEN[usize::from(decimals)];
        let nearest = scaled.round();
        // The product is off by half a unit in its last place at most. Only this near to a tie could that matter.
        if 0.5 - (scaled - nearest).abs() > scaled.abs() * (f64::EPSILON / 2.0) {
            let mut text = [0; DECIMAL_LENGTH_MAX];
            return self.push(StyleId::number(decimals), scaled_decimal(nearest as i64, decimals, &mut text));
        }
        let text = format!("{value:.*}", usize::from(decimals));
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        self.push(StyleId::number(decimals), if text == "-0" { "0" } else { text });
    }

    /// Appends a cell without a value.
    pub fn blank(&mut self) {
        self.cells.push(BLANK);
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        self.cells.push(ROW_END);
        self.rows += 1;
    }

    /// Rows that have ended.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Bytes of its cells, those that were put away included.
    pub fn bytes(&self) -> usize {
        self.away + self.cells.len()
    }

    /// Bytes that are in memory.
    pub fn bytes_in_memory(&self) -> usize {
        self.cells.len()
    }

    /// Gives its cells away to be kept elsewhere, between two rows. It still counts them; before it is cut they have to be
    /// [brought back](OpenPage::reload).
    pub fn spill(&mut self) -> Vec<u8> {
        self.away += self.cells.len();
        std::mem::take(&mut self.cells)
    }

    /// Takes back all that was put away, in its order.
    pub fn reload(&mut self, mut cells: Vec<u8>) {
        debug_assert_eq!(cells.len(), self.away);
        cells.append(&mut self.cells);
        (self.cells, self.away) = (cells, 0);
    }

    /// True when the page is due: it has [`PAGE_ROWS`] rows or [`PAGE_BYTES_MAX`] bytes.
    pub fn is_full(&self) -> bool {
        self.rows >= PAGE_ROWS || self.bytes() >= PAGE_BYTES_MAX
    }

    /// Adds the look of its cells to that of the columns.
    pub fn looks(&self, into: &mut Vec<ColumnLook>) {
        let mut column = 0;
        for item in self.items() {
            if item == Item::RowEnd {
                column = 0;
                continue;
            }
            if into.len() <= column {
                into.resize(column + 1, ColumnLook::default());
            }
            if let Item::Cell(style, value) = item {
                let look = &mut into[column];
                look.width = look.width.max(width(style, value));
                let is_number = style.num_format().is_some();
                look.has_numbers |= is_number;
                look.has_texts |= !is_number;
            }
            column += 1;
        }
    }

    /// Widens the ranges of the columns by its numbers.
    pub fn ranges(&self, into: &mut Vec<Option<NumberRange>>) {
        let mut column = 0;
        for item in self.items() {
            if item == Item::RowEnd {
                column = 0;
                continue;
            }
            if let Item::Cell(style, value) = item
                && let (Some(decimals), Some(number)) = (style.decimals(), number(value))
            {
                into.resize(into.len().max(column + 1), None);
                let range = into[column].get_or_insert(NumberRange { min: number, max: number, decimals });
                range.min = range.min.min(number);
                range.max = range.max.max(number);
                range.decimals = range.decimals.max(decimals);
            }
            column += 1;
        }
    }

    /// The cells in order.
    pub(super) fn items(&self) -> Items<'_> {
        Items { rest: &self.cells }
    }

    /// Forgets its rows; a large buffer is given back.
    pub(super) fn clear(&mut self) {
        *self = OpenPage::default();
    }

    #[inline]
    fn push(&mut self, style: StyleId, value: &str) {
        let tag = style.index() as u8;
        match u8::try_from(value.len()) {
            Ok(length) if length < LONG => self.cells.extend_from_slice(&[tag, length]),
            _ => {
                self.cells.extend_from_slice(&[tag, LONG]);
                self.cells.extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
        }
        self.cells.extend_from_slice(value.as_bytes());
    }
}

/// Walks an [`OpenPage`].
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        if tag >= BLANK {
            return Some(if tag == BLANK { Item::Blank } else { Item::RowEnd });
        }
        let (&short, rest) = rest.split_first()?;
        let (length, rest) = if short == LONG {
            let (long, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*long) as usize, rest)
        } else {
            (usize::from(short), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Item::Cell(StyleId::from_index(tag), value))
    }
}

const POWERS_OF_TEN: [f64; DECIMALS_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Sign, point, 16 digits, and leading zeros up to the point.
const DECIMAL_LENGTH_MAX: usize = 24;

/// `scaled / 10^decimals` in decimal notation, without trailing zeros behind the point.
fn scaled_decimal(scaled: i64, decimals: u8, text: &mut [u8; DECIMAL_LENGTH_MAX]) -> &str {
    let (mut rest, mut decimals) = (scaled.unsigned_abs(), decimals);
    if rest == 0 {
        return "0";
    }
    while decimals > 0 && rest % 10 == 0 {
        rest /= 10;
        decimals -= 1;
    }
    let mut at = text.len();
    let mut put = |byte: u8| {
        at -= 1;
        text[at] = byte;
    };
    for _ in 0..decimals {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    if decimals > 0 {
        put(b'.');
    }
    loop {
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if scaled < 0 {
        put(b'-');
    }
    std::str::from_utf8(&text[at..]).unwrap_or_default()
}

fn number(value: &[u8]) -> Option<f64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A double's text without the `.0` of a whole number.
fn without_zero(text: &str) -> &str {
    text.strip_suffix(".0").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(fill: impl FnOnce(&mut OpenPage)) -> Vec<(StyleId, String)> {
        let mut page = OpenPage::default();
        fill(&mut page);
        page.items()
            .map(|item| match item {
                Item::Cell(style, value) => (style, String::from_utf8(value.to_vec()).expect("UTF-8")),
                other => (StyleId::TEXT, format!("{other:?}")),
            })
            .collect()
    }

    #[test]
    fn cells_are_read_by_their_columns_type() {
        let read = |text, column| cells(|page| page.cell(text, column)).remove(0);
        let cell = |style, value: &str| (style, value.to_owned());
        assert_eq!(read("1.50", ColumnType::Auto), cell(StyleId::number(2), "1.50"));
        assert_eq!(read("0012", ColumnType::Auto), cell(StyleId::TEXT, "0012"));
        assert_eq!(read("1e3", ColumnType::Auto), cell(StyleId::TEXT, "1e3"));
        assert_eq!(read("12", ColumnType::Text), cell(StyleId::TEXT, "12"));
        assert_eq!(read(" +1.5e-1 ", ColumnType::Number), cell(StyleId::number(2), "1.5e-1"));
        assert_eq!(read("12.x", ColumnType::Number), cell(StyleId::TEXT, "12.x"));
        assert_eq!(read(" 007 ", ColumnType::Integer), cell(StyleId::number(0), "7"));
        assert_eq!(read("1234567890123456", ColumnType::Integer), cell(StyleId::TEXT, "1234567890123456"));
        assert_eq!(read("1900-03-01", ColumnType::Date), cell(StyleId::DATE, "61"));
        assert_eq!(read("1900-03-01 00:00", ColumnType::DateTime), cell(StyleId::DATETIME, "61"));
        assert_eq!(read("2024-01-05 12:00", ColumnType::DateTime), cell(StyleId::DATETIME, "45296.5"));
        assert_eq!(read("Yes", ColumnType::Boolean), cell(StyleId::BOOLEAN, "1"));
        assert_eq!(read("", ColumnType::Text), cell(StyleId::TEXT, "Blank"));
    }

    #[test]
    fn the_numbers_of_columns_have_ranges() {
        let mut page = OpenPage::default();
        for (number, text) in [(3.5, "7"), (-1.25, "x"), (2.0, "9.10")] {
            page.float(number, 2);
            page.cell(text, ColumnType::Auto);
            page.cell("2024-01-05", ColumnType::Date);
            page.end_row();
        }
        let mut ranges = vec![Some(NumberRange { min: 0.0, max: 3.0, decimals: 1 })];
        page.ranges(&mut ranges);
        let range = |min, max, decimals| Some(NumberRange { min, max, decimals });
        assert_eq!(ranges, [range(-1.25, 3.5, 2), range(7.0, 9.1, 2)]);
    }

    #[test]
    fn computed_numbers_are_rounded_and_never_have_an_exponent() {
        let shown = |value, decimals| cells(|page| page.float(value, decimals)).remove(0);
        for (value, decimals, text) in [
            (127.123_456_789_4, 9, "127.123456789"),
            (-0.5, 1, "-0.5"),
            (1.0, 9, "1"),
            (100.0, 0, "100"),
            (-0.000_000_000_1, 9, "0"),
            (-0.5, 0, "0"),
            (0.125, 2, "0.12"),
            (172_706.333_333_333_34, 10, "172706.3333333333"),
            (-0.0, 3, "0"),
            (0.001, 3, "0.001"),
            (1e-15, 15, "0.000000000000001"),
            (1e20, 6, "100000000000000000000"),
            (1e300, 0, &format!("1{}", "0".repeat(300))),
        ] {
            let (style, found) = shown(value, decimals);
            assert_eq!(style, StyleId::number(decimals));
            if value < 1e300 { assert_eq!(found, text) } else { assert!(!found.contains('e')) }
        }
        assert_eq!(shown(f64::NAN, 3).1, "Blank");
    }

    #[test]
    fn long_values_come_back_whole() {
        for length in [0, 1, 254, 255, 256, 70_000] {
            let text = "x".repeat(length);
            let found = cells(|page| page.push(StyleId::TEXT, &text));
            assert_eq!(found, [(StyleId::TEXT, text)]);
        }
    }

    #[test]
    fn columns_look_as_their_cells_do() {
        let mut page = OpenPage::default();
        page.cell("서울A", ColumnType::Auto);
        page.float(127.5, 9);
        page.end_row();
        page.cell("ab", ColumnType::Auto);
        page.blank();
        page.cell("2024-01-05", ColumnType::Date);
        page.cell(&"긴".repeat(50), ColumnType::Auto);
        page.end_row();
        let mut looks = vec![ColumnLook { width: 9, ..ColumnLook::default() }];
        page.looks(&mut looks);
        let look = |width, has_numbers, has_texts| ColumnLook { width, has_numbers, has_texts };
        assert_eq!(looks, [look(9, false, true), look(13, true, false), look(10, true, false), look(60, false, true)]);
    }
}

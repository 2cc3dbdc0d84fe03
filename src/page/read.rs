//! Reads rows back, for whoever wants to see them before a spreadsheet does: out of open pages, and out of the XML that this crate wrote
//! and no other. A preview reads the beginning of a page, so what ends in the middle of a row is taken up to the row before.

use flate2::{Decompress, FlushDecompress};

use super::cells::date_text;
use super::link;
use super::open::{Item, OpenPage};
use super::styles::{StyleId, Styles};

/// A cell as a spreadsheet shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ShownCell {
    /// The text that it shows.
    pub text: String,
    /// Its kind.
    pub kind: CellKind,
}

/// The kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Nothing.
    Blank,
    /// Text.
    Text,
    /// A number.
    Number,
    /// A day, with or without a time.
    Date,
    /// True or false.
    Boolean,
}

/// Bytes of XML that are read for a few rows: rows that need more are not shown.
const XML_BYTES_MAX: usize = 4 << 20;
const ROW_END: &[u8] = b"</row>";

impl ShownCell {
    /// A cell without a value.
    pub fn blank() -> ShownCell {
        ShownCell { text: String::new(), kind: CellKind::Blank }
    }

    fn new(style: StyleId, value: &str) -> ShownCell {
        let (text, kind) = match style {
            StyleId::TEXT => (value.to_owned(), CellKind::Text),
            StyleId::BOOLEAN => (if value == "1" { "TRUE" } else { "FALSE" }.to_owned(), CellKind::Boolean),
            StyleId::LINK => (link::shown(value).to_owned(), CellKind::Text),
            StyleId::DATE | StyleId::DATETIME => (moment(value, style == StyleId::DATETIME), CellKind::Date),
            number => (with_decimals(value, number.decimals().unwrap_or(0)), CellKind::Number),
        };
        ShownCell { text, kind }
    }
}

impl OpenPage {
    /// Its first rows, their trailing blanks left out.
    pub fn head(&self, rows_max: usize) -> Vec<Vec<ShownCell>> {
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        for item in self.items() {
            if rows.len() == rows_max {
                break;
            }
            match item {
                Item::Blank => row.push(ShownCell::blank()),
                Item::Cell(style, value) => row.push(ShownCell::new(style, &String::from_utf8_lossy(value))),
                Item::RowEnd => rows.push(without_blanks(std::mem::take(&mut row))),
            }
        }
        rows
    }
}

/// The XML of the first `rows` rows that raw deflate `bytes` begin with, and perhaps some more of it.
pub fn inflate_rows(bytes: &[u8], rows: usize) -> Vec<u8> {
    let mut inflate = Decompress::new(false);
    let (mut xml, mut ends, mut looked_at) = (Vec::new(), 0, 0);
    while ends < rows && xml.len() < XML_BYTES_MAX {
        xml.reserve(64 << 10);
        let (read, made) = (inflate.total_in(), xml.len());
        let rest = usize::try_from(read).ok().and_then(|read| bytes.get(read..)).unwrap_or_default();
        let is_over = inflate.decompress_vec(rest, &mut xml, FlushDecompress::None).is_err();
        if is_over || (inflate.total_in() == read && xml.len() == made) {
            break;
        }
        while let Some(at) = memchr::memmem::find(&xml[looked_at..], ROW_END) {
            ends += 1;
            looked_at += at + ROW_END.len();
        }
        looked_at = looked_at.max(xml.len().saturating_sub(ROW_END.len() - 1));
    }
    xml
}

/// The first rows in XML of rows, their trailing blanks left out; `None` when it has cells that we do not write.
pub fn rows(xml: &[u8], style_of: impl Fn(u16) -> StyleId, rows_max: usize) -> Option<Vec<Vec<ShownCell>>> {
    let xml = match std::str::from_utf8(xml) {
        Ok(xml) => xml,
        Err(error) => std::str::from_utf8(&xml[..error.valid_up_to()]).unwrap_or_default(),
    };
    let mut rows = Vec::new();
    let mut rest = xml;
    while rows.len() < rows_max {
        let Some((row, behind)) = element(rest, "row") else { break };
        rest = behind;
        let (mut cells, mut inside) = (Vec::new(), row.content);
        while let Some((cell, behind)) = element(inside, "c") {
            inside = behind;
            if let Some(column) = cell.attribute("r").and_then(column) {
                cells.resize(column, ShownCell::blank());
            }
            let style = style_of(cell.attribute("s").and_then(|style| style.parse().ok()).unwrap_or(0));
            cells.push(match cell.attribute("t") {
                _ if cell.content.is_empty() => ShownCell::blank(),
                // The formula of a link was made of its shown text.
                Some("str") => ShownCell::new(StyleId::TEXT, &unescape(element(cell.content, "v")?.0.content)),
                Some("inlineStr") => ShownCell::new(StyleId::TEXT, &unescape(element(cell.content, "t")?.0.content)),
                Some("b") => ShownCell::new(StyleId::BOOLEAN, element(cell.content, "v")?.0.content),
                None => ShownCell::new(style, element(cell.content, "v")?.0.content),
                Some(_) => return None,
            });
        }
        rows.push(without_blanks(cells));
    }
    Some(rows)
}

fn without_blanks(mut row: Vec<ShownCell>) -> Vec<ShownCell> {
    let filled = row.iter().rposition(|cell| cell.kind != CellKind::Blank).map_or(0, |last| last + 1);
    row.truncate(filled);
    row
}

impl Styles {
    /// The style that cells with `s="index"` have.
    pub fn style_of(&self, index: u16) -> StyleId {
        StyleId::all().find(|style| index > 0 && self.index(*style) == index).unwrap_or(StyleId::TEXT)
    }
}

/// An element of XML.
pub struct Element<'a> {
    attributes: &'a str,
    /// The text between its tags.
    pub content: &'a str,
}

/// The first whole element of this name, and the text that follows it. Elements of this name are not nested in each other.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<(Element<'a>, &'a str)> {
    let mut from = 0;
    loop {
        let start = from + xml[from..].find(&format!("<{name}"))?;
        let behind = &xml[start + 1 + name.len()..];
        if !behind.starts_with([' ', '>', '/']) {
            from = start + 1;
            continue;
        }
        let (attributes, behind) = behind.split_once('>')?;
        if let Some(attributes) = attributes.strip_suffix('/') {
            return Some((Element { attributes, content: "" }, behind));
        }
        let end = format!("</{name}>");
        let (content, behind) = behind.split_once(&end)?;
        return Some((Element { attributes, content }, behind));
    }
}

impl<'a> Element<'a> {
    /// The value of an attribute, not unescaped.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let start = self.attributes.find(&format!(" {name}=\""))? + name.len() + 3;
        self.attributes[start..].split('"').next()
    }
}

/// Text as it was before it was written as XML.
pub fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    let (mut plain, mut rest) = (String::with_capacity(text.len()), &*text);
    while let Some(at) = rest.find("_x") {
        let character = rest.get(at + 2..at + 7).and_then(|code| code.strip_suffix('_'));
        let character = character.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let character = character.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        let (kept, length) = if character.is_some() { (at, 7) } else { (at + 2, 2) };
        plain.push_str(&rest[..kept]);
        plain.extend(character);
        rest = &rest[at + length..];
    }
    plain + rest
}

/// The place, from 0, of a column in a reference like `AB12`.
pub fn column(reference: &str) -> Option<usize> {
    let letters = reference.bytes().take_while(u8::is_ascii_uppercase);
    letters.fold(0, |column, letter| column * 26 + usize::from(letter - b'A') + 1).checked_sub(1)
}

/// A number with as many decimals as its format shows.
fn with_decimals(value: &str, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    match value.split_once('.').map_or(0, |(_, fraction)| fraction.len()) {
        _ if value.contains(['e', 'E']) => {
            value.parse().map_or_else(|_| value.to_owned(), |value: f64| format!("{value:.decimals$}"))
        }
        have if have >= decimals => value.to_owned(),
        0 => format!("{value}.{}", "0".repeat(decimals)),
        have => format!("{value}{}", "0".repeat(decimals - have)),
    }
}

/// A day of the 1900 calendar of spreadsheets as `2024-01-05`, and the time of it.
fn moment(value: &str, with_time: bool) -> String {
    let Ok(serial) = value.parse::<f64>() else { return value.to_owned() };
    let seconds = (serial * 86_400.0).round() as i64;
    let (serial_day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let date = i32::try_from(serial_day).map_or_else(|_| value.to_owned(), date_text);
    if !with_time {
        return date;
    }
    format!("{date} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_shown_as_a_spreadsheet_shows_them() {
        let shown = |style, value| ShownCell::new(style, value).text;
        for (style, value, text) in [
            (StyleId::TEXT, "=1+1", "=1+1"),
            (StyleId::BOOLEAN, "1", "TRUE"),
            (StyleId::DATE, "61", "1900-03-01"),
            (StyleId::DATE, "59", "1900-02-28"),
            (StyleId::DATE, "45296", "2024-01-05"),
            (StyleId::DATE, "2958465", "9999-12-31"),
            (StyleId::DATETIME, "45296.5", "2024-01-05 12:00:00"),
            (StyleId::DATETIME, "45296.999988425925", "2024-01-05 23:59:59"),
            (StyleId::number(2), "1.50", "1.50"),
            (StyleId::number(9), "127.5", "127.500000000"),
            (StyleId::number(3), "7", "7.000"),
            (StyleId::number(2), "1.5e-1", "0.15"),
            (StyleId::number(0), "-12", "-12"),
        ] {
            assert_eq!(shown(style, value), text);
        }
    }

    #[test]
    fn what_ends_in_the_middle_of_a_row_is_taken_up_to_the_row_before() {
        let xml = "<row><c t=\"inlineStr\"><is><t>가</t></is></c></row><row><c><v>12</v></c></row>".as_bytes();
        let read = |end: usize| rows(&xml[..end], |_| StyleId::number(0), 9).map(|rows| rows.len());
        let first = xml.len() - "<row><c><v>12</v></c></row>".len();
        for end in 0..=xml.len() {
            assert_eq!(read(end), Some(usize::from(end >= first) + usize::from(end == xml.len())), "{end}");
        }
    }

    #[test]
    fn cells_of_others_are_not_read() {
        assert_eq!(rows(b"<row><c t=\"s\"><v>1</v></c></row>", |_| StyleId::TEXT, 1), None);
    }
}

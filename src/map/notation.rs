//! Reads coordinates as people write them, where the text has one meaning only. What could mean two things is not read.

use std::borrow::Cow;

use super::number;
use crate::page::cells::parse_number;
use crate::page::forms::{CellForm, Thousands, degrees};
use crate::record::ColumnType;

/// Separators of thousands, each with the decimal separators that it leaves.
const FORMS: [(Thousands, bool); 6] = [
    (Thousands::Comma, false),
    (Thousands::Blank, false),
    (Thousands::Apostrophe, false),
    (Thousands::Point, true),
    (Thousands::Blank, true),
    (Thousands::Apostrophe, true),
];
/// Units behind a coordinate in metres.
const UNITS: [&str; 3] = ["미터", "m", "M"];

/// The two coordinates of a point. Degrees may have minutes and seconds, a hemisphere or a decimal comma; metres may have separators of
/// thousands, a decimal comma and a unit. Both coordinates are written alike, so that one of them may decide for both. `None` when there is
/// no such reading, or more than one.
pub fn point(x: &str, y: &str, in_degrees: bool) -> Option<(f64, f64)> {
    let (x, y) = (half_width(x), half_width(y));
    if in_degrees {
        return Some((degrees(&x)?, degrees(&y)?));
    }
    let (x, y) = (without_unit(&x), without_unit(&y));
    let mut readings = FORMS.iter().filter_map(|(thousands, decimal_comma)| {
        let form = CellForm { thousands: *thousands, decimal_comma: *decimal_comma, ..CellForm::default() };
        let read = |text| parse_number(&form.plain(text, ColumnType::Number)?);
        Some((read(x)?, read(y)?))
    });
    let plain = parse_number(x).zip(parse_number(y));
    let first = plain.or_else(|| readings.next())?;
    (plain.is_some() || readings.all(|other| other == first)).then_some(first)
}

/// Both coordinates of a cell such as `37.57, 126.98` or `37°34'N 126°59'E`, in their order.
pub fn pair(cell: &str) -> Option<(f64, f64)> {
    let (first, second) = number::pair(cell).ok()?;
    let plain = number::coordinate(first).ok().zip(number::coordinate(second).ok());
    plain.or_else(|| point(first, second, true))
}

/// The text in half-width characters, with a hyphen for a minus sign, and without the apostrophe by which spreadsheets keep a text.
fn half_width(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let text = text.strip_prefix('\'').unwrap_or(text);
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '−' => '-',
        '\u{3000}' | '\u{A0}' => ' ',
        other => other,
    };
    Cow::Owned(text.chars().filter(|c| *c != '\u{200B}' && *c != '\u{FEFF}').map(narrow).collect())
}

fn without_unit(text: &str) -> &str {
    UNITS.iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(text).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metres_with_separators_and_units() {
        for (x, y) in [
            ("953900.5", "1952030"),
            ("953,900.5", "1,952,030"),
            ("953900,5", "1952030"),
            ("953.900,5", "1.952.030"),
            ("953 900,5", "1 952 030"),
            ("953'900.5", "1'952'030"),
            ("953,900.5 m", "1,952,030m"),
            ("９５３９００．５", "１９５２０３０"),
            ("'953900.5", "1952030미터"),
            ("9.539005E5", "1.95203e+06"),
        ] {
            assert_eq!(point(x, y, false), Some((953_900.5, 1_952_030.0)), "{x} {y}");
        }
        assert_eq!(point("953,900", "1,952,030", false), Some((953_900.0, 1_952_030.0)), "one decides for both");
        for (x, y) in [
            ("198,056", "451,885"),
            ("953,900.5", "1.952.030,5"),
            ("95,39,00", "1952030"),
            ("x", "1"),
            ("", "1"),
            ("126°58'", "37°33'"),
            ("953900 km", "1"),
        ] {
            assert_eq!(point(x, y, false), None, "{x} {y}");
        }
    }

    #[test]
    fn degrees_with_commas_minutes_and_hemispheres() {
        for (x, y) in [
            ("126,978", "37,5"),
            ("１２６．９７８", "37.5"),
            ("126.978°E", "N37.5"),
            ("126°58′40.8″", "37°30′"),
            ("126°58'40,8\"E", "37°30'00,0\"N"),
            ("동경 126도58분40.8초", "북위 37도 30분"),
        ] {
            let (lon, lat) = point(x, y, true).expect(x);
            assert!((lon - 126.978).abs() < 1e-9 && (lat - 37.5).abs() < 1e-9, "{x} {y}: {lon} {lat}");
        }
        for cell in [
            "37°30'N 126°58'40.8\"E",
            "N 37° 30′ E 126° 58′ 40.8″",
            "북위 37도 30분 동경 126도 58분 40.8초",
            "37.5°N, 126.978°E",
        ] {
            let (lat, lon) = pair(cell).expect(cell);
            assert!((lon - 126.978).abs() < 1e-9 && (lat - 37.5).abs() < 1e-9, "{cell}: {lat} {lon}");
        }
        for cell in ["37°30'", "37° 30' 126° 58'", "N 37° 30′ E 126° 58′ E", "EW"] {
            assert_eq!(pair(cell), None, "{cell}");
        }
        assert_eq!(point("−74.006", "40,5", true), Some((-74.006, 40.5)));
        for (x, y) in [("126,978,1", "37"), ("1.126,5", "37"), ("126,978", ""), ("953900,5", "37,5")] {
            assert_eq!(point(x, y, true), None, "{x} {y}");
        }
    }
}

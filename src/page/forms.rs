//! How the cells of a column are written where that is not the plain form of their type: decimal commas, thousands separators, degrees with
//! minutes and seconds, times with a zone, Excel's `="0012"`. A topology says so of a column; nothing here is guessed.

use std::borrow::Cow;
use std::ops::Range;

use crate::page::cells::{date_text, parse_date, parse_datetime, parse_number};
use crate::record::ColumnType;

/// The separator of groups of three digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thousands {
    /// Nothing.
    #[default]
    None,
    /// `1,234`
    Comma,
    /// `1.234`
    Point,
    /// `1 234`
    Blank,
    /// `1'234`
    Apostrophe,
}

impl Thousands {
    /// The character, if there is one.
    pub fn separator(self) -> Option<char> {
        match self {
            Thousands::None => None,
            Thousands::Comma => Some(','),
            Thousands::Point => Some('.'),
            Thousands::Blank => Some(' '),
            Thousands::Apostrophe => Some('\''),
        }
    }
}

/// How angles are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Angle {
    /// Decimal degrees, as any number.
    #[default]
    Decimal,
    /// Degrees, minutes and seconds, with a hemisphere or a sign.
    Dms,
    /// The same in digits without separators: `1265840.8`, or degrees and minutes as GPS receivers write them, `12658.68`.
    Packed,
}

/// How the cells of one column are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellForm {
    /// The decimal separator is a comma.
    pub decimal_comma: bool,
    /// The separator of groups of three digits.
    pub thousands: Thousands,
    /// How angles are written.
    pub angle: Angle,
    /// The zone that times are shown in, in minutes east of UTC; times that name a zone are converted to it.
    pub zone_minutes: Option<i32>,
    /// `="0012"` is the text 0012.
    pub excel_text: bool,
}

impl CellForm {
    /// The cell in the plain form of its type; `None` if it is not written as the column says.
    pub fn plain(&self, cell: &str, kind: ColumnType) -> Option<String> {
        let inside = if self.excel_text { excel_text(cell.as_bytes()) } else { None };
        let cell = inside.map_or(cell, |inside| &cell[inside]);
        match kind {
            ColumnType::Number | ColumnType::Integer if self.angle == Angle::Dms => degrees(cell).map(degrees_text),
            ColumnType::Number | ColumnType::Integer if self.angle == Angle::Packed => packed(cell).map(degrees_text),
            ColumnType::Number | ColumnType::Integer if self.decimal_comma || self.thousands != Thousands::None => {
                self.number(cell.trim_matches([' ', '\t']))
            }
            ColumnType::DateTime => self.zone_minutes.map_or_else(|| Some(cell.to_owned()), |zone| local(cell, zone)),
            ColumnType::Number
            | ColumnType::Integer
            | ColumnType::Date
            | ColumnType::Boolean
            | ColumnType::Text
            | ColumnType::Auto
            | ColumnType::Computed { .. }
            | ColumnType::Link { .. } => Some(cell.to_owned()),
        }
    }

    /// A number with this column's separators as one with a decimal point. Groups have three digits, the first one to three.
    fn number(&self, text: &str) -> Option<String> {
        let decimal = if self.decimal_comma { ',' } else { '.' };
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => ("-", unsigned),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = unsigned.split_once(decimal).map_or((unsigned, None), |(w, f)| (w, Some(f)));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let digits = match self.thousands.separator().filter(|separator| whole.contains(*separator)) {
            Some(separator) => {
                let groups: Vec<&str> = whole.split(separator).collect();
                let lengths_fit = groups.iter().enumerate().all(|(n, group)| match n {
                    0 => (1..=3).contains(&group.len()),
                    _ => group.len() == 3,
                });
                lengths_fit.then(|| groups.concat())?
            }
            None => whole.to_owned(),
        };
        if !is_digits(&digits) || !fraction.is_none_or(is_digits) {
            return None;
        }
        Some(fraction.map_or_else(|| format!("{sign}{digits}"), |fraction| format!("{sign}{digits}.{fraction}")))
    }
}

/// The place of the text inside `="…"`, with which Excel is made to keep leading zeros; `None` for any other cell.
pub fn excel_text(cell: &[u8]) -> Option<Range<usize>> {
    let inside = cell.strip_prefix(b"=\"")?.strip_suffix(b"\"")?;
    (!inside.contains(&b'"')).then(|| 2..2 + inside.len())
}

/// Degrees with twelve decimals at most, finer than any angle is written: a sum of fractions has none of its own.
fn degrees_text(degrees: f64) -> String {
    ((degrees * 1e12).round() / 1e12).to_string()
}

/// Decimal degrees of `37°33'59.2"N`, `N 37 33 59,2`, `126도 58분 40초`, `-37:33:59`, `37-33-59.2`, `37.33.59.2`, `37.5665 N`, `37,5665` and
/// the like: one to three numbers, the last one with a fraction if any, degrees up to 360, minutes and seconds below 60, and a sign or a
/// hemisphere. A comma can only be a decimal one: an angle has no thousands.
pub fn degrees(text: &str) -> Option<f64> {
    if let Some(plain) = parse_number(text) {
        return (plain.abs() <= 360.0).then_some(plain);
    }
    let with_point = match (text.matches(',').count(), text.matches('.').count()) {
        (0, _) => Cow::Borrowed(text),
        (1, 0 | 2) => Cow::Owned(text.replace(',', ".")),
        _ => return None,
    };
    let (is_negative, rest) = signed(&with_point)?;
    let is_mark = |c: char| " \t:°º˚'′´’\"″˝”도분초dms-".contains(c);
    let parts: Vec<&str> = match rest.matches('.').count() {
        // Points between all parts, and a last one in front of the fraction.
        2 | 3 if !rest.contains(is_mark) => rest.splitn(3, '.').collect(),
        _ => rest.split(is_mark).filter(|part| !part.is_empty()).collect(),
    };
    if !(1..=3).contains(&parts.len()) || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut degrees = 0.0;
    for (n, part) in parts.iter().enumerate() {
        let is_last = n + 1 == parts.len();
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit() || (is_last && byte == b'.'));
        let fits = |value: &f64| if n == 0 { *value <= 360.0 } else { *value < 60.0 };
        let value = part.parse::<f64>().ok().filter(|value| is_number && fits(value))?;
        degrees += value / [1.0, 60.0, 3_600.0][n];
    }
    Some(if is_negative { -degrees } else { degrees })
}

/// Decimal degrees of `1265840.8` (degrees, two digits of minutes, two of seconds) and of `12658.68` (degrees and minutes, as in sentences
/// of NMEA 0183), with a sign or a hemisphere. Six or seven digits in front of the point have seconds, fewer have none.
fn packed(text: &str) -> Option<f64> {
    let (is_negative, rest) = signed(text)?;
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() > 7 {
        return None;
    }
    let digits: f64 = rest.parse().ok()?;
    let (minutes, seconds) = match whole.len() {
        6 | 7 => ((digits / 100.0).trunc(), digits % 100.0),
        _ => (digits, 0.0),
    };
    let (degrees, minutes) = ((minutes / 100.0).trunc(), minutes % 100.0);
    let degrees = (minutes < 60.0 && seconds < 60.0).then_some(degrees + minutes / 60.0 + seconds / 3_600.0)?;
    Some(if is_negative { -degrees } else { degrees })
}

/// Whether an angle is negative, by a sign or a hemisphere, and what is left of its text; `None` where it has both.
fn signed(text: &str) -> Option<(bool, &str)> {
    let (hemisphere, rest) = hemisphere(text.trim());
    let (minus, rest) = match rest.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('+').unwrap_or(rest)),
    };
    let is_negative = minus || hemisphere == Some(true);
    (!minus || hemisphere.is_none()).then_some((is_negative, rest))
}

/// Whether a hemisphere in front of or behind an angle is the negative one, and what is left of the text.
fn hemisphere(text: &str) -> (Option<bool>, &str) {
    const NAMES: [(&str, bool); 12] = [
        ("N", false),
        ("E", false),
        ("S", true),
        ("W", true),
        ("북위", false),
        ("동경", false),
        ("남위", true),
        ("서경", true),
        ("북", false),
        ("동", false),
        ("남", true),
        ("서", true),
    ];
    for (name, is_negative) in NAMES {
        if let Some(rest) = text.strip_prefix(name).or_else(|| text.strip_suffix(name)) {
            return (Some(is_negative), rest.trim());
        }
    }
    (None, text)
}

/// A date and time in the zone of the column: one that ends with `Z` or `+09:00` is converted, one without a zone is there already.
fn local(text: &str, zone_minutes: i32) -> Option<String> {
    let text = text.trim();
    let Some((naive, offset_minutes)) = offset(text) else { return Some(text.to_owned()) };
    parse_datetime(naive)?;
    let (date, time) = naive.trim_end().rsplit_once(['T', ' '])?;
    let (hour, rest) = time.split_once(':')?;
    let (minute, seconds) = rest.split_at_checked(2)?;
    let minutes = hour.parse::<i32>().ok()? * 60 + minute.parse::<i32>().ok()? + zone_minutes - offset_minutes;
    let day = parse_date(date)? + minutes.div_euclid(24 * 60);
    let of_day = minutes.rem_euclid(24 * 60);
    Some(format!("{}T{:02}:{:02}{seconds}", date_text(day), of_day / 60, of_day % 60))
}

/// The text before a zone, and the zone's minutes east of UTC.
fn offset(text: &str) -> Option<(&str, i32)> {
    if let Some(naive) = text.strip_suffix(['Z', 'z']) {
        return Some((naive, 0));
    }
    // Behind the time of day; a date has hyphens too.
    let colon = text.find(':')?;
    let sign = colon + text[colon..].find(['+', '-'])?;
    Some((&text[..sign], zone(&text[sign..])?))
}

/// Minutes of `Z`, `+09:00`, `+0900` or `+09`.
pub fn zone(text: &str) -> Option<i32> {
    if matches!(text, "Z" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit()) && matches!(digits.len(), 2 | 4);
    let (hours, minutes) = (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().unwrap_or(0));
    let minutes = (is_digits && hours <= 18 && minutes < 60).then_some(hours * 60 + minutes)?;
    match sign {
        "+" => Some(minutes),
        "-" => Some(-minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_the_separators_of_their_column() {
        let form = |decimal_comma, thousands| CellForm { decimal_comma, thousands, ..CellForm::default() };
        for (form, text, plain) in [
            (form(true, Thousands::None), "1234,5", Some("1234.5")),
            (form(true, Thousands::Point), "-1.234.567,50", Some("-1234567.50")),
            (form(true, Thousands::Point), "1.5", None),
            (form(true, Thousands::None), "1.5", None),
            (form(true, Thousands::Blank), "+1 234,5", Some("1234.5")),
            (form(false, Thousands::Comma), "1,234.5", Some("1234.5")),
            (form(false, Thousands::Comma), "1,23", None),
            (form(false, Thousands::Comma), "1234", Some("1234")),
            (form(false, Thousands::Comma), "12,345,67", None),
            (form(false, Thousands::Apostrophe), "1'234", Some("1234")),
            (form(true, Thousands::None), "확인중", None),
        ] {
            assert_eq!(form.plain(text, ColumnType::Number).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn degrees_in_many_spellings() {
        let sixty = 37.0 + 33.0 / 60.0 + 59.2 / 3600.0;
        for text in [
            "37°33'59.2\"N",
            "N37 33 59.2",
            "37:33:59.2",
            "37° 33′ 59.2″ N",
            "북위 37도 33분 59.2초",
            "37d33m59.2s",
            "37-33-59.2",
            "37.33.59.2",
            "37˚33´59.2˝",
            "37°33′59.2″ 북",
        ] {
            assert_eq!(degrees(text), Some(sixty), "{text}");
        }
        assert_eq!(degrees("58°24'S"), Some(-58.4));
        assert_eq!(degrees("-58 24"), Some(-58.4));
        assert_eq!(degrees("-58-24"), Some(-58.4));
        assert_eq!(degrees("58.24.00"), Some(58.4));
        for (text, value) in [
            ("126.978E", 126.978),
            ("126,978", 126.978),
            ("1.26978E+02", 126.978),
            ("+126,5°", 126.5),
            ("37.33.59,2", sixty),
        ] {
            assert_eq!(degrees(text), Some(value), "{text}");
        }
        for text in [
            "",
            "N",
            "37°60'",
            "37.5°10'",
            "-37°S",
            "1 2 3 4",
            "x37",
            "37°33'59\"N 126°58'",
            "NaN",
            "1.2.3.4.5",
            "37..5",
            "37.33,5",
            "1,234,5",
            "1.234,5",
            "361",
        ] {
            assert_eq!(degrees(text), None, "{text}");
        }
    }

    #[test]
    fn degrees_without_separators() {
        for (text, value) in [
            ("1265840.8", 126.0 + 58.0 / 60.0 + 40.8 / 3600.0),
            ("373359", 37.0 + 33.0 / 60.0 + 59.0 / 3600.0),
            ("12658.6800", 126.0 + 58.68 / 60.0),
            ("0122.5S", -(1.0 + 22.5 / 60.0)),
            ("-2230.0", -22.5),
            ("0000.0", 0.0),
        ] {
            assert!(packed(text).is_some_and(|read| (read - value).abs() < 1e-9), "{text}");
        }
        for text in ["", "126.58.40", "1266840", "126584.", "12658408", "12:58", "1e5", "12660.0"] {
            assert_eq!(packed(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_moved_to_the_zone_of_the_column() {
        for (text, there) in [
            ("2024-12-31T20:30:00Z", "2025-01-01T05:30:00"),
            ("2024-01-01T03:00:00.250+12:00", "2024-01-01T00:00:00.250"),
            ("2024-03-01 00:10-0100", "2024-03-01T10:10"),
            ("2024-01-05T09:00:00+09", "2024-01-05T09:00:00"),
            ("2024-01-05T09:00:00", "2024-01-05T09:00:00"),
            ("2024-01-05", "2024-01-05"),
        ] {
            assert_eq!(local(text, 540).as_deref(), Some(there), "{text}");
        }
        assert_eq!(local("nonsenseZ", 0), None);
        assert_eq!(
            [zone("+09:00"), zone("Z"), zone("-0330"), zone("+25:00"), zone("KST")],
            [Some(540), Some(0), Some(-210), None, None]
        );
    }

    #[test]
    fn the_text_trick_of_spreadsheets_is_undone() {
        let form = CellForm { excel_text: true, ..CellForm::default() };
        assert_eq!(form.plain("=\"0012\"", ColumnType::Text).as_deref(), Some("0012"));
        assert_eq!(form.plain("=\"a\"&\"b\"", ColumnType::Text).as_deref(), Some("=\"a\"&\"b\""));
        assert_eq!(form.plain("=1+1", ColumnType::Text).as_deref(), Some("=1+1"));
    }
}

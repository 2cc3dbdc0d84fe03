//! Reads numbers from text cells: coordinates that people typed.

use crate::page::of_type::not_of_type;
use crate::record::{ColumnType, Message, Quoted, Rejection};

/// Reads a coordinate: a plain decimal number or one with an exponent, blanks around it allowed.
///
/// An empty cell is `coord.missing`, NaN and infinity are `number.not_finite`, and whatever needs a guess (a comma, degrees and
/// minutes, digits of another script) is `number.format`.
pub(super) fn coordinate(cell: &str) -> Result<f64, Rejection> {
    let text = cell.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Err(_) if text.is_empty() => Err(Rejection::new(Message::CoordinateEmpty {})),
        Ok(_) | Err(_) => Err(Rejection::new(not_of_type(ColumnType::Number, text, false))),
    }
}

/// Words for hemispheres.
const HEMISPHERES: [&str; 8] = ["N", "S", "E", "W", "북위", "남위", "동경", "서경"];

/// The texts of two coordinates in one cell: `37.57, 126.98`, `(37.57 126.98)`, `[37.57; 126.98]`, `N 37° 34' E 126° 59'`. Between them is
/// a semicolon, else a comma, else blanks, else the name of a hemisphere; around them is at most one pair of brackets.
pub(super) fn pair(cell: &str) -> Result<(&str, &str), Rejection> {
    let text = cell.trim();
    let inside =
        [('(', ')'), ('[', ']')].into_iter().find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    let inside = inside.unwrap_or(text).trim();
    let parts: Vec<&str> = match [';', ','].into_iter().find(|separator| inside.contains(*separator)) {
        Some(separator) => inside.split(separator).collect(),
        None => match inside.split_whitespace().collect::<Vec<_>>() {
            parts if parts.len() == 2 => parts,
            parts => by_hemisphere(inside).map_or(parts, Vec::from),
        },
    };
    match parts[..] {
        [first, second] => Ok((first, second)),
        _ => Err(Rejection::new(Message::NotTwoNumbers { value: Quoted::new(text) })),
    }
}

/// Two coordinates, each with its hemisphere in front or behind.
fn by_hemisphere(text: &str) -> Option<[&str; 2]> {
    let words = HEMISPHERES.iter().flat_map(|word| text.match_indices(word));
    let mut words: Vec<(usize, &str)> = words.collect();
    words.sort_unstable();
    let [(first, word), (second, _)] = words[..] else { return None };
    let (one, other) = text.split_at(if first == 0 { second } else { first + word.len() });
    Some([one.trim(), other.trim()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Reason;

    #[test]
    fn plain_exponent_and_padded_numbers_are_read() {
        for (cell, value) in [
            ("127.5", 127.5),
            ("1e3", 1000.0),
            ("9.5E5", 950_000.0),
            (".5", 0.5),
            ("5.", 5.0),
            (" 127 ", 127.0),
            ("\t127\u{a0}", 127.0),
            ("-0", 0.0),
            ("-12.25", -12.25),
            ("+127.5", 127.5),
            ("0127.5", 127.5),
            ("126.97798693598331", 126.97798693598331),
        ] {
            assert_eq!(coordinate(cell), Ok(value), "{cell:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use Reason::{CoordMissing, NumberFormat, NumberNotFinite};
        for (cell, reason) in [
            ("", CoordMissing),
            ("  ", CoordMissing),
            ("1,234.5", NumberFormat),
            ("1.234,5", NumberFormat),
            ("37,5665", NumberFormat),
            ("１２７", NumberFormat),
            ("+", NumberFormat),
            (".", NumberFormat),
            ("0x1F", NumberFormat),
            ("127°30'10\"E", NumberFormat),
            ("127도 30분", NumberFormat),
            ("12 6.9", NumberFormat),
            ("1_000", NumberFormat),
            ("null", NumberFormat),
            ("1.2.3", NumberFormat),
            ("--1", NumberFormat),
            ("NaN", NumberNotFinite),
            ("inf", NumberNotFinite),
            ("-Infinity", NumberNotFinite),
            ("1e999", NumberNotFinite),
        ] {
            assert_eq!(coordinate(cell).map_err(|rejection| rejection.reason), Err(reason), "{cell:?}");
        }
    }

    #[test]
    fn two_coordinates_in_one_cell_are_read() {
        let numbers = |cell| pair(cell).and_then(|(first, second)| Ok((coordinate(first)?, coordinate(second)?)));
        for cell in ["37.5, 127", "(37.5,127)", " ( 37.5 , 127 ) ", "[37.5 127.0]", "37.5\t127", "+37.5;1.27e2"] {
            assert_eq!(numbers(cell), Ok((37.5, 127.0)), "{cell:?}");
        }
        use Reason::{CoordMissing, GeometryFormat, NumberFormat, NumberNotFinite};
        for (cell, reason) in [
            ("37.5", GeometryFormat),
            ("37,5, 127,0", GeometryFormat),
            ("37,5; 127,0", NumberFormat),
            ("1 2 3", GeometryFormat),
            ("()", GeometryFormat),
            ("(37.5, 127", NumberFormat),
            ("37.5, x", NumberFormat),
            ("37.5,", CoordMissing),
            ("37.5, NaN", NumberNotFinite),
        ] {
            assert_eq!(numbers(cell).map_err(|rejection| rejection.reason), Err(reason), "{cell:?}");
        }
    }

    #[test]
    fn messages_quote_the_value_and_name_the_option_that_reads_it() {
        let message = |cell: &str| coordinate(cell).unwrap_err().message.to_string();
        for (cell, advice) in [
            ("37,5665", "`thousands`"),
            ("953,201.33", "`thousands`"),
            ("953'900", "`thousands`"),
            ("1.952.030,5", "`thousands`"),
            ("１２７", "half width"),
            ("127°30'10\"E", "angle = \"dms\""),
            ("37-33-59.5", "angle = \"dms\""),
            ("127.02°E", "angle = \"dms\""),
            ("−953900", "hyphen"),
            ("953201.33 m", "without a unit"),
            ("953,201.33 m", "without a unit"),
            ("'953900", "without a unit"),
            ("\\N", "\"\\N\" is not a number; blank = ['\\N']"),
            ("NULL", "blank = ['NULL']"),
            ("nan", "blank = ['nan']"),
            ("없음", "blank = ['없음']"),
        ] {
            assert!(message(cell).contains(advice), "{cell}: {}", message(cell));
        }
        assert_eq!(message("x"), "\"x\" is not a number");
        assert!(message(&"x".repeat(5000)).len() < 100);
        assert!(message("\u{1b}[31m").starts_with("\"\\u{1b}[31m\""));
    }
}

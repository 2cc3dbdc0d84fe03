//! Reads numbers from text cells: coordinates that people typed.

use crate::record::{Hint, Message, Quoted, Rejection};

/// Reads a coordinate: a plain decimal number or one with an exponent, blanks around it allowed.
///
/// An empty cell is `coord.missing`, NaN and infinity are `number.not_finite`, and whatever needs a guess (a comma, degrees and
/// minutes, digits of another script) is `number.format`.
pub(super) fn coordinate(cell: &str) -> Result<f64, Rejection> {
    let text = cell.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(Rejection::new(Message::NotFinite { value: Quoted::new(text) })),
        Err(_) if text.is_empty() => Err(Rejection::new(Message::CoordinateEmpty {})),
        Err(_) => Err(Rejection::new(Message::NotANumber { value: Quoted::new(text), hint: hint(text) })),
    }
}

/// Reads two coordinates out of one cell: `37.57, 126.98`, `(37.57 126.98)`, `[37.57; 126.98]`. Between them is a comma, a semicolon or
/// blanks, around them at most one pair of brackets.
pub(super) fn pair(cell: &str) -> Result<(f64, f64), Rejection> {
    let text = cell.trim();
    let inside =
        [('(', ')'), ('[', ']')].into_iter().find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    let inside = inside.unwrap_or(text).trim();
    let parts: Vec<&str> = match inside.contains([',', ';']) {
        true => inside.split([',', ';']).collect(),
        false => inside.split_whitespace().collect(),
    };
    match parts[..] {
        [first, second] => Ok((coordinate(first)?, coordinate(second)?)),
        _ => Err(Rejection::new(Message::NotTwoNumbers { value: Quoted::new(text) })),
    }
}

/// Advice about a text that is nearly a number.
fn hint(text: &str) -> Option<Hint> {
    if text.contains(',') {
        Some(Hint::DecimalPoint {})
    } else if text.contains(['°', '′', '″', '\'', '"', '도', '분', '초']) || text.ends_with(['N', 'S', 'E', 'W'])
    {
        Some(Hint::DecimalDegrees {})
    } else if text.contains(|c: char| !c.is_ascii() && c.is_numeric()) {
        Some(Hint::HalfWidthDigits {})
    } else {
        None
    }
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
        for cell in ["37.5, 127", "(37.5,127)", " ( 37.5 , 127 ) ", "[37.5 127.0]", "37.5\t127", "+37.5;1.27e2"] {
            assert_eq!(pair(cell), Ok((37.5, 127.0)), "{cell:?}");
        }
        use Reason::{CoordMissing, GeometryFormat, NumberFormat, NumberNotFinite};
        for (cell, reason) in [
            ("37.5", GeometryFormat),
            ("37,5, 127,0", GeometryFormat),
            ("1 2 3", GeometryFormat),
            ("()", GeometryFormat),
            ("(37.5, 127", NumberFormat),
            ("37.5, x", NumberFormat),
            ("37.5,", CoordMissing),
            ("37.5, NaN", NumberNotFinite),
        ] {
            assert_eq!(pair(cell).map_err(|rejection| rejection.reason), Err(reason), "{cell:?}");
        }
    }

    #[test]
    fn messages_quote_the_value_and_say_what_to_write() {
        let message = |cell: &str| coordinate(cell).unwrap_err().message.to_string();
        assert_eq!(
            message("37,5665"),
            "\"37,5665\" is not a number; write a decimal point and no thousands separators, 1234.5"
        );
        assert!(message("１２７").contains("half width"));
        assert!(message("127°30'10\"E").contains("decimal degrees"));
        assert!(message(&"x".repeat(5000)).len() < 100);
        assert!(message("\u{1b}[31m").starts_with("\"\\u{1b}[31m\""));
    }
}

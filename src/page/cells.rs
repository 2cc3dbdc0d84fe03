//! Recognizes the text of a cell: plain numbers by the `auto` rule, and the strict types. The source validates with these functions and
//! pages render with them, so that both agree.

use super::styles::DECIMALS_MAX;

/// Longest cell, in UTF-16 code units (Excel specifications and limits).
pub const CELL_UNITS_MAX: usize = 32_767;

/// Digits that survive a double, and that Excel keeps.
const SIGNIFICANT_MAX: usize = 15;

/// Decimals of a text that is a number under the `auto` rule: written back from a spreadsheet it would be the same text. No leading
/// zero but `0.`, no plus sign, exponent, blank, `-0`, `.5` or `5.`, at most 15 significant digits and 15 decimals.
pub fn plain_number(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let mut point = digits.len();
    for (at, byte) in digits.iter().enumerate() {
        if !byte.is_ascii_digit() {
            if *byte != b'.' || point < digits.len() {
                return None;
            }
            point = at;
        }
    }
    let decimals = digits.len().saturating_sub(point + 1);
    let first = digits.first()?;
    if *first != b'0' {
        let well_formed = point > 0 && point + 1 != digits.len();
        return (well_formed && point + decimals <= SIGNIFICANT_MAX).then_some(decimals as u8);
    }
    // 0, or 0 and a fraction; a negative one must not be 0.
    if digits.len() > 1 && (point != 1 || decimals == 0) {
        return None;
    }
    let behind_point = digits.get(2..).unwrap_or_default();
    let significant = behind_point.iter().position(|byte| *byte != b'0').map_or(0, |zeros| decimals - zeros);
    let fits = significant <= SIGNIFICANT_MAX && decimals <= usize::from(DECIMALS_MAX);
    (fits && (significant > 0 || digits.len() == text.len())).then_some(decimals as u8)
}

/// A number in decimal notation as a spreadsheet may hold it (`xsd:double`), and how to show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decimal<'a> {
    /// The digits as they were, without blanks around them and without a plus sign.
    pub(super) digits: &'a str,
    /// Decimals, [`DECIMALS_MAX`] at most.
    pub(super) decimals: u8,
}

/// What [`parse_number`] takes, as it is to be written.
pub(super) fn decimal(text: &str) -> Option<Decimal<'_>> {
    let text = text.trim_matches([' ', '\t']);
    let digits = text.strip_prefix('+').unwrap_or(text);
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], digits[at + 1..].parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let unsigned = if digits.len() == text.len() { mantissa.strip_prefix('-').unwrap_or(mantissa) } else { mantissa };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let decimals = (fraction.len() as i64 - i64::from(exponent)).clamp(0, i64::from(DECIMALS_MAX)) as u8;
    digits.parse().is_ok_and(f64::is_finite).then_some(Decimal { digits, decimals })
}

/// A finite decimal number: sign, digits with an optional point, optional exponent; blanks around it are ignored.
pub fn parse_number(text: &str) -> Option<f64> {
    decimal(text)?.digits.parse().ok()
}

/// A whole number without an exponent; blanks around it are ignored, and a fraction of zeros, as pandas writes it.
pub fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim_matches([' ', '\t']);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    whole.parse().ok().filter(|_| is_whole)
}

/// True when the number is exact in a spreadsheet, which keeps 15 digits.
pub(super) fn is_exact(value: i64) -> bool {
    value.unsigned_abs() < 10_u64.pow(SIGNIFICANT_MAX as u32)
}

/// Serial day of a date (see `civil_date`) in the 1900 date system: 1 is 1900-01-01, and 60 is the
/// 1900-02-29 that never was, so that 61 is 1900-03-01 (ECMA-376 part 1, 18.17.4.1). Earlier days and days that do not exist are `None`.
pub fn parse_date(text: &str) -> Option<i32> {
    let (year, month, day) = civil_date(text.trim_matches([' ', '\t']))?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1900 || day < 1 || day > days {
        return None;
    }
    // Days since 0000-03-01, with the year beginning in March (Hinnant, "chrono-compatible low-level date algorithms").
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let since_march_0 = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    const MARCH_1_1900: i32 = 1900 * 365 + 1900 / 4 - 1900 / 100 + 1900 / 400;
    let serial = since_march_0 - MARCH_1_1900 + 61;
    Some(if serial < 61 { serial - 1 } else { serial })
}

/// The day of a serial number (see [`parse_date`]) as `2024-01-05`.
pub fn date_text(serial: i32) -> String {
    // Days since 1970-01-01; the calendar has a 1900-02-29 that never was.
    civil(i64::from(serial) - if serial > 60 { 25_569 } else { 25_568 })
}

/// The date of a day since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(day: i64) -> String {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day as people write them, from the year down, so that nothing is guessed: `2024-01-05`, `2024.01.05`, `2024/01/05`,
/// `20240105`, without leading zeros `2024-1-5`, `2024. 1. 5.`, `2024년 1월 5일`, and any of them with a midnight behind it.
fn civil_date(text: &str) -> Option<(i32, i32, i32)> {
    full_date(text).or_else(|| loose_date(text)).or_else(|| midnight(text))
}

fn full_date(text: &str) -> Option<(i32, i32, i32)> {
    let (year, month, day) = match text.as_bytes() {
        [y @ .., s, m0, m1, t, d0, d1] if y.len() == 4 && s == t && b"-./".contains(s) => (y, [*m0, *m1], [*d0, *d1]),
        [y @ .., m0, m1, d0, d1] if y.len() == 4 => (y, [*m0, *m1], [*d0, *d1]),
        _ => return None,
    };
    Some((whole(year)?, whole(&month)?, whole(&day)?))
}

fn loose_date(text: &str) -> Option<(i32, i32, i32)> {
    if text.contains('년') {
        return three(text.strip_suffix('일')?.split(['년', '월']));
    }
    let separator = text.find(['-', '.', '/']).and_then(|at| text[at..].chars().next())?;
    let text = if separator == '.' { text.strip_suffix('.').unwrap_or(text) } else { text };
    three(text.split(separator))
}

/// The parts of a date: a year of four digits, a month and a day of one or two.
fn three<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<(i32, i32, i32)> {
    let mut next = |lengths: std::ops::RangeInclusive<usize>| {
        let part = parts.next()?.trim_matches(' ').as_bytes();
        lengths.contains(&part.len()).then(|| whole(part))?
    };
    let date = (next(4..=4)?, next(1..=2)?, next(1..=2)?);
    parts.next().is_none().then_some(date)
}

/// A date with a time that is midnight.
fn midnight(text: &str) -> Option<(i32, i32, i32)> {
    let (date, time) = split_time(text)?;
    let is_midnight = time_of_day(time)? == 0.0;
    if is_midnight { civil_date(date) } else { None }
}

/// Halves of the day as clocks of twelve hours name them, in front of the time in Korean and behind it in English.
const FORENOON: [&str; 2] = ["오전", "AM"];
const AFTERNOON: [&str; 2] = ["오후", "PM"];

/// Cuts where the time of day begins: at a `T`, in front of 오전 or 오후, behind a day of eight digits, or at the last blank that is not
/// in front of AM or PM.
fn split_time(text: &str) -> Option<(&str, &str)> {
    if text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.split_at_checked(8);
    }
    if let Some(half) = text.find("오전").or_else(|| text.find("오후")) {
        return Some((text[..half].trim_end_matches(' '), &text[half..]));
    }
    let clock = text.strip_suffix(['m', 'M']).and_then(|text| text.strip_suffix(['a', 'A', 'p', 'P']));
    let clock = clock.unwrap_or(text).trim_end_matches(' ');
    let (date, time) = clock.split_once('T').or_else(|| clock.rsplit_once(' '))?;
    Some((date.trim_end_matches(' '), &text[clock.len() - time.len()..]))
}

/// Seconds of a time of day: `HH:MM`, `HH:MM:SS`, `HH:MM:SS.ddd`, an hour of one digit as spreadsheets write it, `HHMMSS` and `HHMM`,
/// 오후 3:05 and 3:05 PM. `24:00` is the end of the day.
fn time_of_day(text: &str) -> Option<f64> {
    let half = |names: [&str; 2]| {
        let behind = text.len().checked_sub(2).and_then(|at| text.split_at_checked(at));
        let behind = behind.filter(|(_, half)| half.eq_ignore_ascii_case(names[1])).map(|(clock, _)| clock);
        text.strip_prefix(names[0]).or(behind).map(|clock| clock.trim_matches(' '))
    };
    match (half(FORENOON), half(AFTERNOON)) {
        (Some(clock), _) => clock_of_twelve(clock),
        (None, Some(clock)) => Some(clock_of_twelve(clock)? + 43_200.0),
        (None, None) => clock_seconds(text),
    }
}

/// Seconds since midnight or noon on a clock of twelve hours.
fn clock_of_twelve(text: &str) -> Option<f64> {
    let seconds = clock_seconds(text)?;
    (3_600.0..46_800.0).contains(&seconds).then_some(if seconds < 43_200.0 { seconds } else { seconds - 43_200.0 })
}

fn clock_seconds(text: &str) -> Option<f64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let (hour, minute, second) = match clock.as_bytes() {
        [h @ .., b':', m0, m1] if clock.len() == text.len() && (1..=2).contains(&h.len()) => (h, [*m0, *m1], *b"00"),
        [h @ .., b':', m0, m1, b':', s0, s1] if (1..=2).contains(&h.len()) => (h, [*m0, *m1], [*s0, *s1]),
        [h @ .., m0, m1] if text.len() == 4 => (h, [*m0, *m1], *b"00"),
        [h @ .., m0, m1, s0, s1] if text.len() == 6 => (h, [*m0, *m1], [*s0, *s1]),
        _ => return None,
    };
    let (hour, minute, second) = (whole(hour)?, whole(&minute)?, whole(&second)?);
    let is_digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.parse::<f64>().ok().filter(|_| is_digits)? / 10f64.powi(fraction.len() as i32);
    let seconds = f64::from(hour * 3600 + minute * 60 + second) + fraction;
    (minute <= 59 && second <= 59 && (hour <= 23 || seconds == 86_400.0)).then_some(seconds)
}

/// Serial day and fraction of a date (see [`parse_date`]) and a time of day, with a `T`, a blank or nothing between; a date alone is its
/// midnight.
pub fn parse_datetime(text: &str) -> Option<f64> {
    let text = text.trim_matches([' ', '\t']);
    if let Some((date, time)) = split_time(text)
        && let Some(seconds) = time_of_day(time)
    {
        return Some(f64::from(parse_date(date)?) + seconds / 86_400.0);
    }
    parse_date(text).map(f64::from)
}

/// Whether the text is a date, with or without a time, of a year before 1900, where the calendar of workbooks begins.
pub(super) fn is_before_1900(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    let date = split_time(text).filter(|(_, time)| time_of_day(time).is_some()).map_or(text, |(date, _)| date);
    civil_date(date)
        .is_some_and(|(year, month, day)| year < 1900 && (1..=12).contains(&month) && (1..=31).contains(&day))
}

/// `true/false`, `t/f`, `yes/no`, `y/n`, `1/0`, `O/X` in any case, ○/×, 예/아니오(아니요), 참/거짓, 있음/없음, 유/무; blanks around it are
/// ignored.
pub fn parse_boolean(text: &str) -> Option<bool> {
    const YES: [&str; 12] = ["true", "t", "yes", "y", "1", "o", "○", "예", "네", "참", "있음", "유"];
    const NO: [&str; 12] = ["false", "f", "no", "n", "0", "x", "×", "아니오", "아니요", "거짓", "없음", "무"];
    let text = text.trim_matches([' ', '\t']);
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&YES) { Some(true) } else { is_one_of(&NO).then_some(false) }
}

/// A few ASCII digits as a number.
fn whole(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_what_reads_back_as_the_same_text() {
        for (text, decimals) in [
            ("0", 0),
            ("7", 0),
            ("-5", 0),
            ("0.0", 1),
            ("1.50", 2),
            ("-0.5", 1),
            ("999999999999999", 0),
            ("126.978275264000", 12),
            ("0.000000000000001", 15),
        ] {
            assert_eq!(plain_number(text), Some(decimals), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "-0.00",
            ".5",
            "5.",
            "-.5",
            "+5",
            "007",
            "00",
            "-01",
            "1e3",
            " 5",
            "5 ",
            "1,000",
            "1.2.3",
            "--5",
            "0x1F",
            "１２７",
            "NaN",
            "1000000000000000",
            "0.0000000000000001",
            "123456789.12345678",
        ] {
            assert_eq!(plain_number(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_may_be_padded_signed_and_have_an_exponent() {
        for (text, value, decimals) in [
            (" 127 ", 127.0, 0),
            ("+5", 5.0, 0),
            ("-1.50", -1.5, 2),
            ("1e3", 1000.0, 0),
            ("1.25E-3", 0.00125, 5),
            (".5", 0.5, 1),
            ("5.", 5.0, 0),
            ("007", 7.0, 0),
            ("1e-300", 1e-300, 15),
        ] {
            assert_eq!(parse_number(text), Some(value), "{text}");
            assert_eq!(decimal(text).map(|found| found.decimals), Some(decimals), "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "+-5",
            "1,234.5",
            "37,5665",
            "１２７",
            "NaN",
            "inf",
            "1e999",
            "0x1F",
            "12 6.9",
            "127°30'10\"E",
            "1e",
            "e5",
            "1e+-5",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn integers_have_no_fraction() {
        assert_eq!(parse_integer(" -42 "), Some(-42));
        assert_eq!(parse_integer("+7"), Some(7));
        assert_eq!([parse_integer("1.0"), parse_integer("-12.00")], [Some(1), Some(-12)]);
        for text in ["", "1.5", "1.", ".0", "1.0.0", "1e3", "9223372036854775808", "x"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
        assert!(is_exact(-999_999_999_999_999) && !is_exact(1_000_000_000_000_000));
    }

    #[test]
    fn serial_days_are_those_of_excel() {
        for (text, serial) in [
            ("1900-01-01", 1),
            ("1900-02-28", 59),
            ("1900-03-01", 61),
            ("1970-01-01", 25_569),
            ("2000.02.29", 36_585),
            ("2024/12/31", 45_657),
            ("20240229", 45_351),
            ("9999-12-31", 2_958_465),
            ("2024-1-5", 45_296),
            ("2024.1.5", 45_296),
            ("2024. 1. 5.", 45_296),
            ("2024. 01. 05", 45_296),
            ("2024/1/05", 45_296),
            ("2024년 1월 5일", 45_296),
            ("2024-01-05 00:00:00", 45_296),
            ("2024-01-05T00:00:00.000", 45_296),
        ] {
            assert_eq!(parse_date(text), Some(serial), "{text}");
        }
        for text in [
            "",
            "1899-12-31",
            "1900-02-29",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-04-31",
            "2024-01-00",
            "2024-01-05 00:00:01",
            "2024. 1.",
            "2024-1-5-",
            "2024-1-",
            "5-1-2024",
            "2024년 1월",
            "2024-01.05",
            "24-01-05",
            "12024-01-05",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_datetime_is_a_day_and_a_fraction() {
        assert_eq!(parse_datetime("2024-01-05T12:00"), Some(45_296.5));
        assert_eq!(parse_datetime("20240105 06:00:00"), Some(45_296.25));
        assert_eq!(parse_datetime("2024-01-05 23:59:59"), Some(45_296.0 + 86_399.0 / 86_400.0));
        assert_eq!(parse_datetime("2018-08-31 23:59:59.0"), parse_datetime("2018-08-31 23:59:59"));
        assert_eq!(parse_datetime("2024. 1. 5. 12:00:00.500"), Some(45_296.0 + 43_200.5 / 86_400.0));
        assert_eq!(parse_datetime("2024-01-05"), Some(45_296.0));
        for (text, hours) in [
            ("2024-01-05 9:05", 9.0 + 5.0 / 60.0),
            ("2024. 1. 5. 9:30:00", 9.5),
            ("20240105183000", 18.5),
            ("202401051830", 18.5),
            ("20240105 1830", 18.5),
            ("2024-01-05 24:00", 24.0),
            ("2024-01-05 오후 3:30", 15.5),
            ("2024년 1월 5일 오전 12:30:00", 0.5),
            ("2024-01-05 오후 12:00:00", 12.0),
            ("2024-01-05 3:30:00 PM", 15.5),
            ("2024-01-05 11:30am", 11.5),
        ] {
            let found = parse_datetime(text).expect(text);
            assert!((found - 45_296.0 - hours / 24.0).abs() < 1e-9, "{text}: {found}");
        }
        assert_eq!(
            [is_before_1900("1899-12-31"), is_before_1900("1395. 1. 5."), is_before_1900("1900-01-01")],
            [true, true, false]
        );
        assert!(is_before_1900("1899-12-31 오후 1:00") && !is_before_1900("1899-13-31") && !is_before_1900("x"));
        for text in [
            "2024-01-05 24:01",
            "2024-01-05 12:60",
            "2024-01-05 123:00",
            "2024-01-05 :00",
            "2024-01-05 오후 13:00",
            "2024-01-05 0:30 PM",
            "20240105245959",
            "2024010518305",
            "2024-01-05T12:00Z",
            "2024-01-05T12:00:00.",
            "2024-01-05T12:00.5",
        ] {
            assert_eq!(parse_datetime(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_in_any_case() {
        for text in ["true", "YES", "y", "1", " True ", "t", "O", "예", "네", "있음", "참"] {
            assert_eq!(parse_boolean(text), Some(true), "{text}");
        }
        for text in ["FALSE", "no", "N", "0", "f", "X", "아니오", "없음"] {
            assert_eq!(parse_boolean(text), Some(false), "{text}");
        }
        assert_eq!(parse_boolean("2"), None);
        assert_eq!(parse_boolean(""), None);
    }
}

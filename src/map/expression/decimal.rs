//! Decimal numbers with up to 38 digits. An operation gives the exact result or none; only a quotient is rounded, to a stated place.

use std::cmp::Ordering;
use std::fmt;

/// `units` / 10^`scale`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    units: i128,
    scale: u8,
}

/// Digits of a number: 10^38 is the largest power of ten below 2^127.
pub(super) const DIGITS_MAX: u8 = 38;
/// Decimals of a quotient, and the most that a cell shows.
pub(super) const DECIMALS_MAX: u8 = 15;

impl Decimal {
    pub(super) const ZERO: Decimal = Decimal { units: 0, scale: 0 };

    fn new(units: i128, scale: u8) -> Option<Decimal> {
        (units.unsigned_abs() < POWERS[DIGITS_MAX as usize].unsigned_abs() && scale <= DIGITS_MAX)
            .then_some(Decimal { units, scale })
    }

    /// A whole number.
    pub(super) fn whole(number: i64) -> Decimal {
        Decimal { units: number.into(), scale: 0 }
    }

    /// A float that was rounded to so many decimals; `None` for NaN and for what a double cannot hold to that place.
    pub(super) fn of_float(value: f64, decimals: u8) -> Option<Decimal> {
        /// From here on a double has no decimals.
        const WHOLE: f64 = 9_007_199_254_740_992.0;
        let units = (value * 10f64.powi(decimals.into())).round();
        if units.abs() < WHOLE { Decimal::new(units as i128, decimals) } else { Decimal::parse(&value.to_string()) }
    }

    /// Reads what a cell of a number column may be: a sign, digits with an optional point, an optional exponent, and blanks around them.
    /// `None` for anything else, and for what needs more than 38 digits.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let text = text.trim_matches([' ', '\t']);
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        // Most numbers are short, and 64 bits are enough for them.
        let mut short = 0u64;
        let mut units = None;
        let (mut point, mut exponent, mut seen) = (None, 0i32, 0u32);
        for (at, byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    let digit = byte - b'0';
                    seen += 1;
                    if seen <= 19 {
                        short = short * 10 + u64::from(digit);
                    } else {
                        let longer = units.unwrap_or(i128::from(short)).checked_mul(10)?;
                        units = Some(longer.checked_add(digit.into())?);
                    }
                }
                b'.' if point.is_none() => point = Some(seen),
                b'e' | b'E' if seen > 0 => {
                    exponent = std::str::from_utf8(&digits[at + 1..]).ok()?.parse().ok()?;
                    break;
                }
                _ => return None,
            }
        }
        if seen == 0 {
            return None;
        }
        let units = units.unwrap_or(i128::from(short));
        let decimals = i64::from(seen - point.unwrap_or(seen)) - i64::from(exponent);
        let number = Decimal { units: if negative { -units } else { units }, scale: 0 };
        match u8::try_from(decimals) {
            Ok(scale) => Decimal::new(number.units, scale).or_else(|| Decimal { scale, ..number }.shorten()),
            Err(_) if units == 0 => Some(Decimal::ZERO),
            Err(_) if decimals < 0 => Decimal::new(number.units.checked_mul(power(decimals.unsigned_abs())?)?, 0),
            Err(_) => None,
        }
    }

    /// Without the zeros at its end, for numbers that need them away to fit.
    fn shorten(self) -> Option<Decimal> {
        let mut number = self;
        while number.scale > 0 {
            // Dividing 64 bits is many times faster.
            let (tenth, rest) = match i64::try_from(number.units) {
                Ok(short) => (i128::from(short / 10), i128::from(short % 10)),
                Err(_) => (number.units / 10, number.units % 10),
            };
            if rest != 0 {
                break;
            }
            number = Decimal { units: tenth, scale: number.scale - 1 };
        }
        Decimal::new(number.units, number.scale)
    }

    /// The same number with exactly so many decimals, at least as many as it has.
    fn widen(self, scale: u8) -> Option<i128> {
        if scale == self.scale {
            return Some(self.units);
        }
        let by = power((scale - self.scale).into())?;
        match (i64::try_from(self.units), i64::try_from(by)) {
            // 128 bits hold the product of any two numbers of 64.
            (Ok(units), Ok(by)) => Some(i128::from(units) * i128::from(by)),
            _ => self.units.checked_mul(by),
        }
    }

    pub(super) fn negative(self) -> Decimal {
        Decimal { units: -self.units, ..self }
    }

    pub(super) fn abs(self) -> Decimal {
        Decimal { units: self.units.abs(), ..self }
    }

    pub(super) fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        Decimal::new(self.widen(scale)?.checked_add(other.widen(scale)?)?, scale)
    }

    pub(super) fn times(self, other: Decimal) -> Option<Decimal> {
        let product = Decimal { units: self.units.checked_mul(other.units)?, scale: self.scale + other.scale };
        Decimal::new(product.units, product.scale).or_else(|| product.shorten())
    }

    /// The quotient with up to 15 decimals, halves away from zero; `other` is not zero.
    pub(super) fn over(self, other: Decimal) -> Option<Decimal> {
        let shift = i32::from(DECIMALS_MAX) + i32::from(other.scale) - i32::from(self.scale);
        let by = power(shift.unsigned_abs().into())?;
        let (dividend, divisor) = match shift >= 0 {
            true => (self.units.checked_mul(by)?, other.units),
            false => (self.units, other.units.checked_mul(by)?),
        };
        Decimal { units: divide(dividend, divisor), scale: DECIMALS_MAX }.shorten()
    }

    /// With exactly so many decimals, halves away from zero.
    pub(super) fn round(self, decimals: u8) -> Option<Decimal> {
        match self.scale <= decimals {
            true => Decimal::new(self.widen(decimals)?, decimals),
            false => Decimal::new(divide(self.units, power((self.scale - decimals).into())?), decimals),
        }
    }

    /// The largest whole number that is not above it.
    pub(super) fn floor(self) -> Decimal {
        let by = power(self.scale.into()).expect("a scale is 38 at most");
        Decimal { units: self.units.div_euclid(by), scale: 0 }
    }

    pub(super) fn is_zero(self) -> bool {
        self.units == 0
    }

    /// As a whole number, if it is one that fits.
    pub(super) fn to_whole(self) -> Option<i64> {
        let number = self.shorten()?;
        (number.scale == 0).then(|| i64::try_from(number.units).ok())?
    }

    /// Appends it in the plain notation of a cell, `-0.50`; never `-0`.
    pub(super) fn write(self, into: &mut String) {
        let mut text = [0; 41];
        let mut at = text.len();
        let mut rest = self.units.unsigned_abs();
        let mut digits = 0;
        while rest > 0 || digits <= self.scale {
            if digits == self.scale && digits > 0 {
                at -= 1;
                text[at] = b'.';
            }
            at -= 1;
            // Dividing 64 bits is many times faster.
            let digit = match u64::try_from(rest) {
                Ok(short) => {
                    rest = u128::from(short / 10);
                    (short % 10) as u8
                }
                Err(_) => {
                    let digit = (rest % 10) as u8;
                    rest /= 10;
                    digit
                }
            };
            text[at] = b'0' + digit;
            digits += 1;
        }
        if self.units < 0 {
            at -= 1;
            text[at] = b'-';
        }
        into.push_str(std::str::from_utf8(&text[at..]).expect("ASCII"));
    }
}

/// The powers of ten that 128 bits hold.
const POWERS: [i128; DIGITS_MAX as usize + 1] = {
    let mut powers = [1; DIGITS_MAX as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// 10^`exponent`, if 128 bits hold it.
fn power(exponent: u64) -> Option<i128> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// Halves away from zero.
fn divide(dividend: i128, divisor: i128) -> i128 {
    let quotient = match (i64::try_from(dividend), i64::try_from(divisor)) {
        // The smallest number by -1 is the only quotient that 64 bits do not hold.
        (Ok(dividend), Ok(divisor)) if divisor > 0 => i128::from(dividend / divisor),
        _ => dividend / divisor,
    };
    // A second division takes as long as the first one.
    let rest = dividend - quotient * divisor;
    let is_half = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    if is_half { quotient + (dividend.signum() * divisor.signum()) } else { quotient }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.widen(scale), other.widen(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // A number that does not fit is larger than any that does.
            (None, _) => self.units.cmp(&0),
            (_, None) => 0.cmp(&other.units),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("1.50", "1.50"),
            (" +007 ", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0.05", "-0.05"),
            ("1e3", "1000"),
            ("1.25E-3", "0.00125"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
            ("-0.00000000000000000000000000000000000001", "-0.00000000000000000000000000000000000001"),
            ("0e99", "0"),
        ] {
            assert_eq!(decimal(text).to_string(), written, "{text}");
        }
        for text in
            ["", ".", "-", "1,5", "1.2.3", "e5", "1e", "NaN", "１", "1e39", "1e-39", "0x1", "1 2", &"9".repeat(39)]
        {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn sums_and_products_are_exact_or_refused() {
        assert_eq!(decimal("0.1").plus(decimal("0.2")), Some(decimal("0.3")));
        assert_eq!(decimal("1.10").times(decimal("-3")).map(|n| n.to_string()).as_deref(), Some("-3.30"));
        assert_eq!(decimal("9e37").plus(decimal("9e37")), None);
        assert_eq!(decimal("1e30").plus(decimal("1e-20")), None);
        assert_eq!(decimal("1e20").times(decimal("1e20")), None);
        assert_eq!(decimal("1.000000000000000000").times(decimal("1.00000000000000000000")), Some(decimal("1")));
    }

    #[test]
    fn quotients_and_rounding_go_away_from_zero_at_a_half() {
        let over = |a: &str, b: &str| decimal(a).over(decimal(b)).map(|n| n.to_string());
        assert_eq!(over("1", "3").as_deref(), Some("0.333333333333333"));
        assert_eq!(over("2", "-3").as_deref(), Some("-0.666666666666667"));
        assert_eq!(over("10", "4").as_deref(), Some("2.5"));
        assert_eq!(over("1e-30", "1e-30").as_deref(), Some("1"));
        assert_eq!(over("1e37", "0.1"), None);
        let round = |a: &str, n| decimal(a).round(n).map(|n| n.to_string());
        assert_eq!(round("2.5", 0).as_deref(), Some("3"));
        assert_eq!(round("-2.345", 2).as_deref(), Some("-2.35"));
        assert_eq!(round("2.3449999", 2).as_deref(), Some("2.34"));
        assert_eq!(round("2", 2).as_deref(), Some("2.00"));
        assert_eq!(decimal("-1.5").floor(), decimal("-2"));
    }

    #[test]
    fn numbers_compare_by_value() {
        assert_eq!(decimal("1.50"), decimal("1.5"));
        assert!(decimal("1e37") > decimal("1e-38") && decimal("-1e37") < decimal("1e-38"));
        assert!(decimal("1e-38") < decimal("1e37"));
    }

    #[test]
    fn computed_floats_are_the_decimals_that_are_shown() {
        assert_eq!(Decimal::of_float(126.978275264, 9).map(|n| n.to_string()).as_deref(), Some("126.978275264"));
        assert_eq!(Decimal::of_float(-0.0, 2).map(|n| n.to_string()).as_deref(), Some("0.00"));
        assert_eq!(Decimal::of_float(f64::NAN, 2), None);
        assert_eq!(Decimal::of_float(1e20, 2).map(|n| n.to_string()).as_deref(), Some("100000000000000000000"));
    }

    proptest! {
        /// Against 128-bit arithmetic that has room to spare.
        #[test]
        fn arithmetic_agrees_with_whole_numbers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000,
            p in 0u8..9, q in 0u8..9) {
            let (x, y) = (Decimal::new(a.into(), p).unwrap(), Decimal::new(b.into(), q).unwrap());
            let at = |n: i64, scale: u8| i128::from(n) * 10i128.pow(u32::from(9 - scale));
            prop_assert_eq!(x.plus(y), Decimal::new(at(a, p) + at(b, q), 9));
            prop_assert_eq!(x.times(y), Decimal::new(at(a, p) * at(b, q), 18));
            prop_assert_eq!(x.cmp(&y), at(a, p).cmp(&at(b, q)));
            prop_assert_eq!(Decimal::parse(&x.to_string()), Some(x));
            let (x, y) = (Decimal::new((a % 1_000_000).into(), p).unwrap(), Decimal::new((b % 1_000_000).into(), q).unwrap());
            if !y.is_zero() {
                let quotient = x.over(y).unwrap();
                let back = quotient.times(y).and_then(|n| n.plus(x.negative())).unwrap().abs();
                prop_assert!(back.times(Decimal::whole(2)).unwrap() <= y.abs().times(Decimal::parse("1e-15").unwrap()).unwrap());
            }
        }
    }
}

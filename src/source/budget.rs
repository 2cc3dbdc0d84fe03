//! Limits the rejected rows of an upload: `rejected_max = 100` or `rejected_max = "1%"`.

use std::fmt;
use std::str::FromStr;

/// The most rejected rows of one upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedMax {
    /// So many.
    Rows(u64),
    /// So many of a million rows.
    Share(u32),
}

impl RejectedMax {
    /// Whether `rejected` rows are too many, whatever comes: a share is known at the end only.
    pub fn is_spent(self, rejected: u64) -> bool {
        matches!(self, RejectedMax::Rows(limit) if rejected > limit)
    }

    /// Whether `rejected` of all `rows` of an upload are too many.
    pub fn is_exceeded(self, rejected: u64, rows: u64) -> bool {
        match self {
            RejectedMax::Rows(limit) => rejected > limit,
            RejectedMax::Share(limit) => u128::from(rejected) * 1_000_000 > u128::from(rows) * u128::from(limit),
        }
    }
}

impl fmt::Display for RejectedMax {
    /// As a topology writes it: `100`, `1%`, `0.25%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectedMax::Rows(rows) => write!(f, "{rows}"),
            RejectedMax::Share(millionths) => {
                let text = format!("{}.{:04}", millionths / 10_000, millionths % 10_000);
                write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

impl FromStr for RejectedMax {
    type Err = ();

    /// A number of rows, or a percentage up to 100 with four decimals at most.
    fn from_str(text: &str) -> Result<RejectedMax, ()> {
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let Some(percent) = text.strip_suffix('%') else {
            return Some(text)
                .filter(|text| is_digits(text))
                .and_then(|text| text.parse().ok())
                .map(RejectedMax::Rows)
                .ok_or(());
        };
        let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
        if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 4 {
            return Err(());
        }
        let millionths = format!("{whole}{fraction:0<4}").parse().map_err(|_| ())?;
        if millionths <= 1_000_000 { Ok(RejectedMax::Share(millionths)) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_percentages_are_read_and_written_back() {
        for (text, limit) in [
            ("0", RejectedMax::Rows(0)),
            ("250", RejectedMax::Rows(250)),
            ("1%", RejectedMax::Share(10_000)),
            ("0.25%", RejectedMax::Share(2_500)),
            ("100%", RejectedMax::Share(1_000_000)),
            ("0%", RejectedMax::Share(0)),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
            assert_eq!(limit.to_string(), text);
        }
        for text in ["", "%", "-1", "1.5", "101%", "1 %", "0.00001%", ".5%", "1.%", "1%%", "+1", "18446744073709551616"]
        {
            assert_eq!(text.parse::<RejectedMax>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_share_is_exceeded_by_the_first_row_above_it() {
        let one_percent = RejectedMax::Share(10_000);
        assert!(
            !one_percent.is_exceeded(10, 1_000)
                && one_percent.is_exceeded(10, 999)
                && one_percent.is_exceeded(11, 1_000)
        );
        assert!(!one_percent.is_exceeded(0, 0) && !one_percent.is_spent(1_000));
        assert!(RejectedMax::Rows(2).is_spent(3) && !RejectedMax::Rows(2).is_spent(2));
        assert!(RejectedMax::Share(0).is_exceeded(1, u64::MAX));
    }
}

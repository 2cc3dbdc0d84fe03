//! Formats of numbers that are codes: `00000` shows the postal code 1234 as 01234. The zeros are a part of the code, and only the format
//! has them.

/// Zeros, with hyphens between them: `00000`, `000-0000-0000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CodeFormat {
    pattern: String,
    zeros: usize,
}

impl CodeFormat {
    /// Of a format as it is written; `None` for any other format than one of two zeros or more (ECMA-376 part 1, 18.8.31).
    pub(super) fn read(format: &str) -> Option<CodeFormat> {
        let pattern: String = format.chars().filter(|letter| !matches!(letter, '\\' | '"')).collect();
        let zeros = pattern.bytes().filter(|byte| *byte == b'0').count();
        let is_code = zeros >= 2 && pattern.starts_with('0') && pattern.bytes().all(|byte| matches!(byte, b'0' | b'-'));
        is_code.then_some(CodeFormat { pattern, zeros })
    }

    /// The code of a whole number; `None` for a number that is none.
    pub(super) fn shown(&self, number: f64) -> Option<String> {
        let is_code = number.fract() == 0.0 && (0.0..1e15).contains(&number);
        if !is_code {
            return None;
        }
        let digits = format!("{number:0width$.0}", width = self.zeros);
        let (more, digits) = digits.split_at(digits.len() - self.zeros);
        let mut digits = digits.chars();
        let shown = self.pattern.chars().filter_map(|letter| if letter == '0' { digits.next() } else { Some(letter) });
        Some(more.chars().chain(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_with_its_zeros() {
        for (format, number, shown) in [
            ("00000", 1_234.0, "01234"),
            ("00000", 0.0, "00000"),
            ("00000", 123_456.0, "123456"),
            ("000\\-0000\\-0000", 1_012_345_678.0, "010-1234-5678"),
            ("000\"-\"000", 7_123.0, "007-123"),
        ] {
            let format = CodeFormat::read(format).expect("a format of a code");
            assert_eq!(format.shown(number).as_deref(), Some(shown));
        }
        let five = CodeFormat::read("00000").expect("a format of a code");
        assert_eq!([1.5, -1.0, 1e15].map(|number| five.shown(number)), [None, None, None]);
        for format in ["0", "0.00", "#,##0", "General", "yyyy-mm-dd", "-00", "00;00", "@", "00%"] {
            assert_eq!(CodeFormat::read(format), None, "{format}");
        }
    }
}

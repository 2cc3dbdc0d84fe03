//! How numbers look: which formats are of dates, times, durations and codes.

use crate::file::code_format::CodeFormat;

/// How a format shows a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Number,
    Moment,
    Duration,
    Code(CodeFormat),
}

impl Look {
    /// Of a format that has a number and no text ([MS-XLS] 2.4.126, ECMA-376 part 1, 18.8.30).
    pub(super) fn of_built_in(format: u16) -> Look {
        match format {
            14..=22 | 27..=36 | 45 | 47 | 50..=58 => Look::Moment,
            46 => Look::Duration,
            _ => Look::Number,
        }
    }

    /// Of a format that is written out: letters of dates and times outside of quotes; hours in brackets are of a duration.
    pub(super) fn of_format(format: &str) -> Look {
        if ["general", "standard"].iter().any(|name| format.eq_ignore_ascii_case(name)) {
            return Look::Number;
        }
        if let Some(code) = CodeFormat::read(format) {
            return Look::Code(code);
        }
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            match letter.to_ascii_lowercase() {
                '"' => letters.by_ref().find(|letter| *letter == '"').map_or((), drop),
                '\\' | '_' | '*' => letters.next().map_or((), drop),
                '[' => {
                    let inside: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
                    let is_time = |letter: char| matches!(letter.to_ascii_lowercase(), 'h' | 'm' | 's');
                    if !inside.is_empty() && inside.chars().all(is_time) {
                        return Look::Duration;
                    }
                }
                ';' => return Look::Number,
                'y' | 'm' | 'd' | 'h' | 's' => return Look::Moment,
                _ => {}
            }
        }
        Look::Number
    }
}

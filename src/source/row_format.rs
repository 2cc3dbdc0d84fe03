//! The format of the rows of a value: found out here, read elsewhere.

use crate::source::config::Format;
use crate::source::csv::{Fields, Rows};
use crate::source::json::{Elements, is_json};

/// How the rows of a value are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowFormat {
    /// CSV with this delimiter.
    Csv(u8),
    /// JSON.
    Json,
    /// No text at all: the value is one row that nobody reads.
    Opaque,
}

impl RowFormat {
    /// The form of a value: what its record or the topology says, else JSON if it is that.
    pub(super) fn of(format: Format, delimiter: u8, text: &[u8]) -> RowFormat {
        match format {
            Format::Csv => RowFormat::Csv(delimiter),
            Format::Json => RowFormat::Json,
            Format::Auto if is_json(text) => RowFormat::Json,
            Format::Auto => RowFormat::Csv(delimiter),
        }
    }

    /// The delimiter of a row as CSV.
    pub(super) fn delimiter(self) -> u8 {
        match self {
            RowFormat::Csv(delimiter) => delimiter,
            RowFormat::Json | RowFormat::Opaque => b',',
        }
    }

    /// Rows of a text that are not blank.
    pub(super) fn count_rows(self, text: &[u8], fields: &mut Fields) -> u64 {
        match self {
            RowFormat::Csv(delimiter) => {
                let mut rows = Rows::new(text, delimiter, None);
                let mut count = 0;
                while let Some(row) = rows.next_row(fields) {
                    count += u64::from(!row.blank);
                }
                count
            }
            RowFormat::Json => Elements::new(text).filter(|row| !row.is_blank()).count() as u64,
            RowFormat::Opaque => 1,
        }
    }
}

//! Text into rows and rows into fields (RFC 4180), as byte ranges. Knows nothing of columns, charsets or uploads.
//!
//! A row ends at LF, CRLF or CR outside quotes. A byte order mark in front of it is dropped, for files get joined. A field is quoted when its
//! very first byte is a quote; a doubled quote inside is one quote. Blanks before that quote are a defect, which can be overlooked when
//! the quote is closed on the same line and only blanks follow it (`a, "x, y"`).
//!
//! **Broken quotes never swallow a row that can be read.** When a row that crosses a line end is broken (its quote is never closed, there is
//! text behind a closing quote, it has another number of fields than the header, or it is larger than [`ROW_BYTES_MAX`]), it ends before
//! the first of its later lines that *reads alone*: a line that is a sound row by itself with as many fields as the header. Only when no
//! line does, the row keeps all of them. The rule looks at nothing behind the row and does not depend on options, so that text cut in two
//! at any row boundary gives the same rows.

mod escapes;
mod fields;
mod rows;
#[cfg(test)]
mod tests;
mod write;

pub use escapes::Unescaper;
pub use fields::Fields;
pub use rows::{BOM, Defect, ROW_BYTES_MAX, Row, Rows, is_blank};
pub use write::{write_quoted, write_row};

//! The same transport over files: reads files of rows as values that are ready to be records.

mod edits;
mod header;
mod json;
pub mod log;
mod notes;
mod options;
pub mod reader;
mod ready;
mod transcode;
pub mod upload;

pub use options::Options;

use crate::record::Binary;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system says no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It holds no rows of text.
    #[error("it is {0}")]
    NotText(Binary),
    /// Its charset is not told by its bytes.
    #[error("{0}")]
    Charset(String),
    /// There is no header row, or it cannot be read.
    #[error("the header cannot be read: {0}")]
    Header(String),
}

//! The same transport over files: reads CSV files as values that are ready to be records.

pub mod log;
pub mod reader;
mod transcode;
pub mod upload;

use crate::record::Binary;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system says no.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no text.
    #[error("it is {0}; save it as CSV first")]
    NotText(Binary),
    /// There is no header row, or it cannot be read.
    #[error("the header cannot be read: {0}")]
    Header(String),
}

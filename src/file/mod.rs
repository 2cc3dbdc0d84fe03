//! The same transport over files: reads files of rows as values that are ready to be records.

mod archive;
pub mod book;
mod code_format;
mod edits;
mod header;
mod hidden;
mod json;
pub mod log;
mod notes;
mod options;
pub mod packed;
mod parts;
pub mod reader;
mod ready;
mod sheet_rows;
mod transcode;
pub mod upload;
mod xls;
mod zip_directory;

pub use options::Options;

use std::io::ErrorKind;

use crate::record::Binary;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused to open or read it.
    #[error("{0}")]
    Io(std::io::Error),
    /// It does not contain rows of text.
    #[error("it is {0}")]
    NotText(Binary),
    /// Its bytes do not show its charset.
    #[error("{0}")]
    Charset(String),
    /// It is packed and cannot be unpacked, or it is a workbook that no rows can be read from.
    #[error("it cannot be unpacked: {0}")]
    Packed(String),
    /// There is no header row, or it cannot be read.
    #[error("the header cannot be read: {0}")]
    Header(String),
}

impl From<std::io::Error> for FileError {
    /// An error of a decoder about its input is not a fault of the operating system.
    fn from(error: std::io::Error) -> FileError {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
                FileError::Packed(error.to_string())
            }
            _ => FileError::Io(error),
        }
    }
}

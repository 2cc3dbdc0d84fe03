//! A person's settings for reading a file: its charset, its delimiter, and the line of the header.

use serde::Serialize;

use super::InspectError;
use crate::crs::columns::number;
use crate::file::Options;
use crate::file::book::Book;
use crate::file::reader::CsvFile;
use crate::source::charset::Charset;
use crate::source::delimiter::parse_delimiter;
use crate::source::{HeaderFrom, SourceConfig};

/// Names that make a header line look like data.
const NUMBERS_MIN: usize = 2;

/// A person's settings for reading; settings that are left out are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Charset of the file.
    pub charset: Option<Charset>,
    /// Delimiter, an ASCII byte.
    pub delimiter: Option<u8>,
    /// Line of the header, from 1; 0 when the first line is data.
    pub header_line: Option<u32>,
}

/// Facts about a file, found or given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileFacts {
    /// Charset, `ASCII` while all bytes are ASCII.
    pub charset: String,
    /// Delimiter.
    pub delimiter: String,
    /// Line of the header, from 1; 0 without one.
    pub header_line: u32,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// The workbook that the rows are from; null for a file of text.
    pub book: Option<Book>,
    /// The archive that the file is in, and its other files of rows; null without one.
    pub archive: Option<Book>,
    /// Bytes that were looked at, or all of the file.
    pub bytes: u64,
    /// The first lines, to choose the header from; none of JSON.
    pub lines: Vec<String>,
    /// Remarks for the person.
    pub notes: Vec<String>,
}

impl Reading {
    /// Reads what a request or a command line says; empty text says nothing.
    ///
    /// # Errors
    /// A text that names no charset, delimiter or line.
    pub fn parse(charset: &str, delimiter: &str, header_line: &str) -> Result<Reading, InspectError> {
        let wrong = |field, message: String| InspectError::Reading { field, message };
        let charset = said(charset).map(|name| name.parse::<Charset>().map_err(|error| wrong("charset", error)));
        // A tab is a delimiter, and no blank around one.
        let delimiter = Some(delimiter).filter(|text| !text.is_empty()).map(|text| {
            let message = format!("the delimiter {text:?} is neither one ASCII character nor \"tab\"");
            parse_delimiter(text).ok_or_else(|| wrong("delimiter", message))
        });
        let header_line = said(header_line).map(|text| {
            let message = format!("the header line {text:?} is no number of a line; 0 says that there is none");
            text.parse::<u32>().map_err(|_| wrong("header_line", message))
        });
        Ok(Reading {
            charset: charset.transpose()?,
            delimiter: delimiter.transpose()?,
            header_line: header_line.transpose()?,
        })
    }

    /// How a file for this source is read.
    pub fn options(&self, source: &SourceConfig) -> Options {
        let options = Options::for_source(source);
        Options {
            charset: self.charset,
            delimiter: self.delimiter,
            no_header: self.header_line == Some(0),
            skip_lines: self.header_line.and_then(|line| line.checked_sub(1)),
            ..options
        }
    }

    /// The same, for a file without a header: two numbers with decimals are no names of columns.
    pub fn or_found(self, csv: &CsvFile, source: &SourceConfig) -> Reading {
        let is_number = |name: &&String| name.contains('.') && number(name).is_some();
        let is_data = csv.header().iter().filter(is_number).count() >= NUMBERS_MIN;
        let is_found = self.header_line.is_none() && source.header == HeaderFrom::First && is_data;
        if is_found { Reading { header_line: Some(0), ..self } } else { self }
    }

    /// A text of the given settings, which make the content another one; empty where all are found.
    pub fn signature(&self) -> String {
        let mut signature = String::new();
        if let Some(charset) = self.charset {
            signature += &format!("charset {charset}\0");
        }
        if let Some(delimiter) = self.delimiter {
            signature += &format!("delimiter {delimiter}\0");
        }
        if let Some(line) = self.header_line {
            signature += &format!("header {line}\0");
        }
        signature
    }
}

fn said(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

impl FileFacts {
    /// Whether its rows are JSON.
    pub fn is_json(&self) -> bool {
        self.lines.is_empty()
    }

    /// The facts about an open file of `bytes` bytes.
    pub fn of(csv: &CsvFile, bytes: u64) -> FileFacts {
        FileFacts {
            charset: csv.charset().map_or("ASCII".to_owned(), |charset| charset.to_string()),
            delimiter: char::from(csv.delimiter()).to_string(),
            header_line: csv.header_line(),
            columns: csv.columns(),
            book: csv.book().cloned(),
            archive: csv.archive().cloned(),
            bytes,
            lines: csv.first_lines().to_vec(),
            notes: csv.notes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn open(text: &str, reading: Reading) -> CsvFile {
        let options = reading.options(&SourceConfig::of_topic("t"));
        CsvFile::from_reader(Box::new(Cursor::new(text.to_owned())), options).expect("a header")
    }

    #[test]
    fn what_is_said_is_obeyed_and_is_part_of_the_content() {
        let reading = Reading::parse(" cp949 ", "tab", "3").expect("a reading");
        assert_eq!((reading.charset, reading.delimiter), (Some(Charset::EUC_KR), Some(b'\t')));
        let separated = open("sep=;\na;b\n1;2\n", Reading::default());
        assert_eq!((separated.header_line(), separated.first_lines()[0].as_str()), (1, "a;b"));
        let titled = open("sep=;\ntitle\na;b\n1;2\n", Reading::parse("", "", "2").expect("a reading"));
        assert_eq!((titled.header_line(), titled.columns()), (2, vec!["a".to_owned(), "b".to_owned()]));
        let reading = Reading::parse("", "\t", "3").expect("a reading");
        let csv = open("title\n\na\tb\n1\t2\n", reading);
        assert_eq!((csv.header(), csv.header_line()), (&["a".to_owned(), "b".to_owned()][..], 3));
        assert_ne!(reading.signature(), Reading::parse("", "\t", "2").expect("a reading").signature());
        assert_eq!(Reading::default().signature(), "");
        for (charset, delimiter, line) in [("klingon", "", ""), ("", "two", ""), ("", "", "first")] {
            assert!(Reading::parse(charset, delimiter, line).is_err());
        }
    }

    #[test]
    fn a_file_that_begins_with_numbers_has_no_header() {
        let source = SourceConfig::of_topic("t");
        let text = "1,198056.37,451885.53\n2,198100.5,451700.25\n";
        let found = Reading::default().or_found(&open(text, Reading::default()), &source);
        assert_eq!(found.header_line, Some(0));
        let csv = open(text, found);
        assert_eq!(
            (csv.columns(), csv.header_line()),
            (["column_1", "column_2", "column_3"].map(String::from).to_vec(), 0)
        );
        let named = open("id,x,2024.5\n1,2,3\n", Reading::default());
        assert_eq!(Reading::default().or_found(&named, &source), Reading::default());
    }
}

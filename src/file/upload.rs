//! Files of rows as the records of one upload: a begin, the header, rows, an end (contract, "On the wire from our own publish"). What `publish` sends
//! and what `convert` reads is made here, so that both give the same workbook.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::FileError;
use super::edits::Edits;
use super::reader::{Block, CsvFile};
use crate::record::{CoordinateForm, Extras, Header, Titles};
use crate::sink::digest::Digest;
use crate::source::csv::write_row;
use crate::source::list_names;

/// One record of an upload, without key.
#[derive(Clone, Debug)]
pub struct UploadRecord {
    /// Its value.
    pub value: Bytes,
    /// Its headers.
    pub headers: Vec<Header>,
    /// Rows in it.
    pub rows: u32,
}

/// The records of one upload, read from files as they are asked for.
pub struct UploadRecords {
    files: VecDeque<CsvFile>,
    /// Names of the columns, unless the topology declares them, and the delimiter that they are written with.
    header: Option<(Vec<String>, u8)>,
    edits: Edits,
    name: String,
    attempt: String,
    /// Further headers of the begin.
    announced: Vec<Header>,
    rows: u64,
    /// SHA-256 of the rows so far, each followed by LF, for whoever may doubt that they arrive.
    checksum: Option<Sha256>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Begin,
    Header,
    Rows,
    Done,
}

impl UploadRecords {
    /// The records of `files`, one file after the other; their headers must be the same. The workbook names `name` as its source. `attempt`
    /// distinguishes this publication from others under the same id.
    pub fn new(files: Vec<CsvFile>, name: &str, attempt: &str) -> Result<UploadRecords, FileError> {
        let header = files.first().filter(|file| !file.has_declared_columns());
        let header = header.map(|file| (file.header().to_vec(), file.delimiter()));
        let columns = files.first().map(CsvFile::columns).unwrap_or_default();
        if let Some(other) = files.iter().find(|file| file.columns() != columns) {
            let (first, other) = (list_names(columns), list_names(other.columns()));
            return Err(FileError::Header(format!("the files have different columns: {first}; and {other}")));
        }
        Ok(UploadRecords {
            files: files.into(),
            header,
            edits: Edits::default(),
            name: name.to_owned(),
            attempt: attempt.to_owned(),
            announced: Vec::new(),
            rows: 0,
            checksum: Some(Sha256::new()),
            stage: Stage::Begin,
        })
    }

    /// Puts a header on the begin: where the upload comes from, or what [`UploadRecords::with_crs`] does.
    pub fn announce(mut self, name: &str, value: impl Into<Bytes>) -> UploadRecords {
        self.announced.push(Header::new(name, value));
        self
    }

    /// Its coordinates are in this CRS, and not in the topology's.
    pub fn with_crs(self, crs: Option<&str>) -> UploadRecords {
        match crs {
            Some(crs) => self.announce("ss-crs", crs.to_owned()),
            None => self,
        }
    }

    /// Its coordinates are written so.
    pub fn with_coordinates(self, form: CoordinateForm) -> UploadRecords {
        match form {
            CoordinateForm::Columns => self,
            form => self.announce("ss-coordinates", form.name()),
        }
    }

    /// Its workbook calls columns so.
    pub fn with_titles(self, titles: &Titles) -> UploadRecords {
        if titles.is_empty() {
            return self;
        }
        self.announce("ss-titles", serde_json::json!(titles).to_string())
    }

    /// Its workbook is to have these parts too.
    pub fn with_extras(self, extras: Extras) -> UploadRecords {
        extras.asked().fold(self, |upload, (_, header)| upload.announce(header, "true"))
    }

    /// Publishes the columns under these names, one for each, and not under those of the files. With `kept`, only these columns of the files,
    /// by their numbers from 0.
    pub fn under_header(mut self, header: Vec<String>, kept: Option<Vec<usize>>) -> UploadRecords {
        let file = self.files.front();
        let columns = kept.as_ref().map_or_else(|| file.map_or(0, |file| file.header().len()), Vec::len);
        assert_eq!(header.len(), columns, "a name for each column");
        let delimiter = file.map_or(b',', CsvFile::delimiter);
        self.edits.kept = kept;
        UploadRecords { header: Some((header, delimiter)), ..self }
    }

    /// Publishes these fields for the rows of these numbers, from 1.
    pub fn corrected(mut self, rows: BTreeMap<u64, Vec<String>>) -> UploadRecords {
        self.edits.corrected = rows;
        self
    }

    /// Leaves the checksum out of the end-of-file marker: nothing lies between the file and its reader.
    pub fn unchecked(mut self) -> UploadRecords {
        self.checksum = None;
        self
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next record; `None` behind the end-of-file marker.
    pub fn next_record(&mut self) -> Result<Option<UploadRecord>, FileError> {
        Ok(match self.stage {
            Stage::Begin => {
                self.stage = Stage::Header;
                let mut headers = vec![Header::new("ss-name", self.name.clone())];
                headers.append(&mut self.announced);
                Some(self.record("begin", Bytes::new(), 0, headers))
            }
            Stage::Header => {
                self.stage = Stage::Rows;
                let Some((names, delimiter)) = &self.header else { return self.next_record() };
                let mut text = Vec::new();
                write_row(names.iter().map(String::as_bytes), *delimiter, &mut text);
                let headers = [delimiter_header(*delimiter), Header::new("ss-format", "csv")];
                Some(self.record("header", text.into(), 0, headers))
            }
            Stage::Rows => match self.next_block()? {
                Some((block, delimiter)) => {
                    let first = Header::new("ss-row", (self.rows + 1).to_string());
                    self.rows += u64::from(block.rows);
                    if let Some(checksum) = &mut self.checksum {
                        checksum.update(&block.text);
                    }
                    let format = if block.is_json { "json" } else { "csv" };
                    let headers = [first, delimiter_header(delimiter), Header::new("ss-format", format)];
                    Some(self.record("row", block.text, block.rows, headers))
                }
                None => {
                    self.stage = Stage::Done;
                    let mut headers = vec![Header::new("ss-rows", self.rows.to_string())];
                    if let Some(checksum) = self.checksum.take() {
                        headers.push(Header::new("ss-sha256-rows", Digest(checksum.finalize().into()).to_string()));
                    }
                    Some(self.record("eof", Bytes::new(), 0, headers))
                }
            },
            Stage::Done => None,
        })
    }

    /// The next rows, and their delimiter.
    fn next_block(&mut self) -> Result<Option<(Block, u8)>, FileError> {
        while let Some(file) = self.files.front_mut() {
            if let Some(block) = file.next_block()? {
                let delimiter = file.delimiter();
                let block = self.edits.apply(block, delimiter);
                if block.rows > 0 {
                    return Ok(Some((block, delimiter)));
                }
                continue;
            }
            self.files.pop_front();
        }
        Ok(None)
    }

    fn record(&self, kind: &str, value: Bytes, rows: u32, more: impl IntoIterator<Item = Header>) -> UploadRecord {
        let mut headers =
            vec![Header::new("ss-type", kind.to_owned()), Header::new("ss-attempt", self.attempt.clone())];
        // Whatever the file and the topic are in, this is transcoded.
        headers.extend([Header::new("ss-encoding", "utf-8"), Header::new("ss-escape", "none")]);
        headers.extend(more);
        UploadRecord { value, headers, rows }
    }
}

/// The delimiter of the rows of a record, which wins over the one of the topology.
fn delimiter_header(delimiter: u8) -> Header {
    Header::new("ss-delimiter", vec![delimiter])
}

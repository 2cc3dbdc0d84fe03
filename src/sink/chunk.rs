//! A workbook as records of limited size (contract 11), one chunk in memory at a time.

use std::sync::Arc;

use bytes::Bytes;

use crate::record::Header;
use crate::sink::digest::Digest;
use crate::sink::package::WorkbookReader;
use crate::sink::workbook::Workbook;
use crate::sink::{AboutFacts, CompleteUpload, SinkConfig};
use crate::state::{StateError, StateStore};
use crate::transport::OutRecord;

/// Media type of a workbook.
pub const CONTENT_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Longest file name, in bytes; file systems take 255.
const FILENAME_LENGTH_MAX: usize = 200;
const EXTENSION: &str = ".xlsx";

/// The records of a workbook in order, to be handed to an outbox. After the last one, or when the outbox has had enough, [`Chunks::finish`]
/// says whether they were all of it.
pub struct Chunks<'a> {
    topic: Arc<str>,
    key: Bytes,
    headers: Vec<Header>,
    reader: WorkbookReader<'a>,
    /// Bytes read and not sent.
    rest: Vec<u8>,
    bytes_max: usize,
    left: u64,
    next: u32,
    count: u32,
    error: Option<StateError>,
}

impl<'a> Chunks<'a> {
    /// The records of `workbook`, whose file has this SHA-256, all with the upload's id as their key and so in one partition.
    pub fn new(
        config: &SinkConfig,
        about: &AboutFacts,
        complete: &CompleteUpload,
        workbook: &'a Workbook,
        sha256: [u8; 32],
        store: &'a dyn StateStore,
    ) -> Chunks<'a> {
        let id = complete.upload.as_str();
        let mut headers = vec![
            Header::new("content-type", CONTENT_TYPE),
            Header::new("ss-upload", id.to_owned()),
            Header::new("ss-filename", filename(&complete.source_name)),
            Header::new("ss-revision", complete.revision.to_string()),
            Header::new("ss-rows", complete.accounting.written.to_string()),
            Header::new("ss-rejected", complete.accounting.rejected.to_string()),
            Header::new("ss-bytes", workbook.length().to_string()),
            Header::new("ss-sha256", Digest(sha256).to_string()),
            Header::new("ss-topology", format!("{} {}", about.topology, about.topology_hash)),
        ];
        if complete.accounting.filtered > 0 {
            headers.push(Header::new("ss-filtered", complete.accounting.filtered.to_string()));
        }
        if let Some(traceparent) = &complete.traceparent {
            headers.push(Header::new("traceparent", traceparent.to_string()));
        }
        let bytes_max = config.record_bytes_max.max(1);
        Chunks {
            topic: Arc::clone(&config.topic),
            key: Bytes::copy_from_slice(id.as_bytes()),
            headers,
            reader: workbook.read(store),
            rest: Vec::new(),
            bytes_max,
            left: workbook.length(),
            next: 1,
            count: count(workbook, bytes_max),
            error: None,
        }
    }

    /// How many records there are in all.
    pub fn total(&self) -> u32 {
        self.count
    }

    /// The error that ended the records early, if one did.
    pub fn finish(self) -> Result<(), StateError> {
        self.error.map_or(Ok(()), Err)
    }

    /// The next `length` bytes of the file.
    fn take(&mut self, length: usize) -> Result<Bytes, StateError> {
        let mut value = std::mem::take(&mut self.rest);
        value.reserve_exact(length.saturating_sub(value.len()));
        while value.len() < length {
            let Some(bytes) = self.reader.next()? else { break };
            let (now, later) = bytes.split_at(bytes.len().min(length - value.len()));
            value.extend_from_slice(now);
            self.rest.extend_from_slice(later);
        }
        if value.len() > length {
            self.rest = value.split_off(length);
        }
        Ok(Bytes::from(value))
    }
}

impl Iterator for Chunks<'_> {
    type Item = OutRecord;

    fn next(&mut self) -> Option<OutRecord> {
        if self.left == 0 || self.error.is_some() {
            return None;
        }
        let length = self.left.min(self.bytes_max as u64) as usize;
        let value = self.take(length).map_err(|error| self.error = Some(error)).ok()?;
        self.left -= length as u64;
        let mut headers = self.headers.clone();
        if self.count > 1 {
            headers.push(Header::new("ss-chunk", format!("{}/{}", self.next, self.count)));
        }
        self.next += 1;
        let (topic, key, headers) = (Arc::clone(&self.topic), Some(self.key.clone()), headers.into());
        Some(OutRecord { topic, partition: None, key, value, headers })
    }
}

/// Records that a workbook takes.
fn count(workbook: &Workbook, bytes_max: usize) -> u32 {
    u32::try_from(workbook.length().div_ceil(bytes_max as u64)).unwrap_or(u32::MAX)
}

/// A name for the file: the last component of the source name with `.xlsx` for its extension, without control characters, marks that
/// turn the direction of writing, leading dots and characters that file systems forbid.
pub fn filename(source_name: &str) -> String {
    let forbidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name = source_name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let name: String = name.chars().filter(|c| !forbidden(*c)).collect();
    let name = name.replace(['<', '>', ':', '"', '|', '?', '*'], "_");
    let is_extension = |end: &str| {
        (1..=4).contains(&end.len())
            && end.starts_with(|c: char| c.is_ascii_alphabetic())
            && end.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let stem = name.rsplit_once('.').filter(|(_, end)| is_extension(end)).map_or(name.as_str(), |(stem, _)| stem);
    let stem = stem.trim_start_matches('.').trim();
    let stem = &stem[..stem.floor_char_boundary(FILENAME_LENGTH_MAX - EXTENSION.len())];
    format!("{}{EXTENSION}", if stem.is_empty() { "workbook" } else { stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_end_in_xlsx() {
        let long = "가".repeat(100);
        let cases = [
            ("seoul.csv", "seoul.xlsx"),
            ("서울 상권.CSV", "서울 상권.xlsx"),
            ("report v1.2", "report v1.2.xlsx"),
            ("a.b.tsv", "a.b.xlsx"),
            ("data/2024/seoul.csv", "seoul.xlsx"),
            ("C:\\data\\seoul.csv", "seoul.xlsx"),
            ("../../etc/passwd", "passwd.xlsx"),
            ("..", "workbook.xlsx"),
            ("/", "workbook.xlsx"),
            ("", "workbook.xlsx"),
            (".csv", "workbook.xlsx"),
            ("a\r\nb\0.csv", "ab.xlsx"),
            ("gnp\u{202e}v\u{61c}sc.csv", "gnpvsc.xlsx"),
            ("what?*.csv", "what__.xlsx"),
            (long.as_str(), &format!("{}.xlsx", "가".repeat(65))),
        ];
        for (source, name) in cases {
            assert_eq!(filename(source), name, "{source:?}");
        }
    }
}

//! Serves a file as a log of one partition: the transport of `convert`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::FileError;
use super::upload::{UploadRecord, UploadRecords};
use crate::record::{Lang, Message, Offset, Record, TopicPartition};
use crate::transport::{Fence, Fetched, Fetcher, OutRecord, Outbox, Progress, TransportError};

/// Records that are read ahead.
const AHEAD: usize = 16;

/// Reads an upload; a thread of its own decodes the file.
pub struct FileLog {
    key: Bytes,
    records: Receiver<Result<UploadRecord, FileError>>,
    next: Offset,
}

impl FileLog {
    /// The records of one upload, under `key`.
    pub fn new(key: &str, mut upload: UploadRecords) -> std::io::Result<FileLog> {
        let (sender, records) = sync_channel(AHEAD);
        std::thread::Builder::new().name("file".into()).spawn(move || {
            while let Some(record) = upload.next_record().transpose() {
                let failed = record.is_err();
                if sender.send(record).is_err() || failed {
                    break; // nobody listens any more, or nothing more can be read
                }
            }
        })?;
        Ok(FileLog { key: Bytes::copy_from_slice(key.as_bytes()), records, next: Offset(0) })
    }
}

impl Fetcher for FileLog {
    /// One record a fetch, so that pages are cut while the file is read; none means the end.
    fn fetch(&mut self, _: Duration) -> Result<Fetched, TransportError> {
        let mut fetched = Fetched { next: self.next, ..Fetched::default() };
        if let Ok(record) = self.records.recv() {
            let UploadRecord { value, headers, .. } =
                record.map_err(|error| TransportError::Failed(error.to_string()))?;
            let (key, offset) = (Some(self.key.clone()), self.next);
            fetched.records.push(Record {
                offset,
                timestamp_ms: -1,
                key,
                value: Some(value),
                headers,
                ..Record::default()
            });
            self.next = self.next.next();
            fetched.next = self.next;
        }
        Ok(fetched)
    }
}

/// Writes the workbook beside its place and counts what was refused. Nothing is visible before [`FileOutbox::finish`].
pub struct FileOutbox {
    workbooks: Arc<str>,
    dead_letters: Arc<str>,
    path: PathBuf,
    beside: PathBuf,
    file: Option<BufWriter<File>>,
    rejected: BTreeMap<String, u64>,
    first_rejected: BTreeMap<String, String>,
    status: Option<Bytes>,
}

impl FileOutbox {
    /// An outbox for one workbook at `path`; the other names are the topology's topics.
    pub fn new(path: &Path, workbooks: Arc<str>, dead_letters: Arc<str>) -> FileOutbox {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        FileOutbox {
            workbooks,
            dead_letters,
            path: path.to_owned(),
            beside,
            file: None,
            rejected: BTreeMap::new(),
            first_rejected: BTreeMap::new(),
            status: None,
        }
    }

    /// Refused rows so far, by reason code.
    pub fn rejected(&self) -> &BTreeMap<String, u64> {
        &self.rejected
    }

    /// The first refused row of each reason code, in English: "row 12: the coordinate is empty".
    pub fn first_rejected(&self) -> &BTreeMap<String, String> {
        &self.first_rejected
    }

    /// The last status record.
    pub fn status(&self) -> Option<&Bytes> {
        self.status.as_ref()
    }

    /// Brings the workbook to its place; false when there is none.
    pub fn finish(&mut self) -> std::io::Result<bool> {
        let Some(mut file) = self.file.take() else { return Ok(false) };
        file.flush()?;
        drop(file);
        fs::rename(&self.beside, &self.path)?;
        Ok(true)
    }

    fn write(&mut self, record: OutRecord) -> std::io::Result<()> {
        if record.topic == self.workbooks {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(BufWriter::new(File::create(&self.beside)?)),
            };
            file.write_all(&record.value)?;
        } else if record.topic == self.dead_letters {
            let value = |name: &str| {
                let header = record.headers.iter().find(|header| &*header.name == name);
                String::from_utf8_lossy(header.and_then(|header| header.value.as_deref()).unwrap_or_default())
            };
            let count = self.rejected.entry(value("ss-reason").into_owned()).or_default();
            *count += 1;
            if let (1, Some(message)) = (*count, Message::from_json(&value("ss-message"))) {
                let first = format!("row {}: {}", value("ss-row"), message.say(Lang::En));
                self.first_rejected.insert(value("ss-reason").into_owned(), first);
            }
        } else {
            self.status = Some(record.value);
        }
        Ok(())
    }
}

impl Drop for FileOutbox {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A workbook that was not finished is of no use to anybody.
            fs::remove_file(&self.beside).ok();
        }
    }
}

/// A [`FileOutbox`] that the task writes to and the caller finishes.
#[derive(Clone)]
pub struct SharedOutbox(Arc<Mutex<FileOutbox>>);

impl SharedOutbox {
    /// Shares an outbox.
    pub fn new(outbox: FileOutbox) -> SharedOutbox {
        SharedOutbox(Arc::new(Mutex::new(outbox)))
    }

    /// The outbox itself.
    pub fn lock(&self) -> MutexGuard<'_, FileOutbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for SharedOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        let mut outbox = self.lock();
        for record in records {
            let written = outbox.write(record);
            written.map_err(|error| TransportError::Failed(format!("{}: {error}", outbox.path.display())))?;
        }
        Ok(())
    }
    /// The command shows its own progress.
    fn send_best_effort(&mut self, _: OutRecord) {}
    /// A file is read from its beginning each time.
    fn commit(&mut self, _: &TopicPartition, _: &Progress, _: &Fence) -> Result<(), TransportError> {
        Ok(())
    }
}

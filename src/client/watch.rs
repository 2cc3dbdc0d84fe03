//! Files of a folder to uploads, and their workbooks back: each whole file is published once, whenever and however often this process ends.
//!
//! A file may have been on its way when the process before ended. Its end-of-file marker is looked for in the log. If the marker is there,
//! nothing is published again. If not, the file is published anew, which voids the records that were sent before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::awaited::{Awaited, Waiting};
use super::download::{DownloadError, Wanted, download};
use super::folder::{Folder, Layout};
use super::inbox::{Inbox, InboxError, Sending};
use super::publish::{PublishError, is_published, publish};
use super::rejects::refused_whole;
use super::uploads::Upload;
use crate::file::FileError;
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::kafka::KafkaClient;
use crate::kafka::clock::now_ms;
use crate::record::Accounting;
use crate::topology::Topology;
use crate::transport::TransportError;

/// Longest search for dead letters.
const LETTERS_LIMIT: Duration = Duration::from_secs(5);

/// Why the watch cannot continue at present.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// A file in it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The cluster.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// An event of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// All its rows are in the topic.
    Published {
        /// Name of the file.
        name: String,
        /// Its rows; `None` where an earlier process had published it.
        rows: Option<u64>,
    },
    /// It has its workbook.
    Done {
        /// Name of the file.
        name: String,
        /// Where the workbook is.
        workbook: PathBuf,
        /// Its rows.
        accounting: Accounting,
    },
    /// It has none.
    Failed {
        /// Name of the file.
        name: String,
        /// Why.
        why: String,
        /// Where it was put.
        moved: PathBuf,
    },
}

/// How a file is read.
pub type OpenFile<'a> = Box<dyn Fn(&Path) -> Result<CsvFile, FileError> + 'a>;

/// A folder under watch.
pub struct FolderWatch<'a> {
    client: KafkaClient,
    topology: &'a Topology,
    open: OpenFile<'a>,
    crs: Option<String>,
    inbox: Inbox,
    workbooks: Folder,
    waiting: Waiting,
    under_way: Vec<UnderWay>,
}

struct UnderWay {
    sending: Sending,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it was sent.
    Taken,
    /// Perhaps all of it was sent, or a part.
    Uncertain,
    /// All of it is in the topic.
    Sent,
}

impl<'a> FolderWatch<'a> {
    /// Takes the folder, and what a process before left on its way. `open` reads a file, `crs` is that of the coordinates of all files,
    /// where it is not the topology's.
    ///
    /// # Errors
    /// The folder cannot be had, or the cluster does not answer.
    pub fn begin(
        client: &KafkaClient,
        topology: &'a Topology,
        inbox: Inbox,
        open: OpenFile<'a>,
        crs: Option<String>,
    ) -> Result<FolderWatch<'a>, WatchError> {
        let left = inbox.left_behind()?.into_iter().map(|sending| UnderWay { sending, stage: Stage::Uncertain });
        Ok(FolderWatch {
            client: client.clone(),
            topology,
            open,
            crs,
            workbooks: Folder::open(&inbox.done(), Layout::Name, false)?,
            waiting: Waiting::begin(client, topology)?,
            under_way: left.collect(),
            inbox,
        })
    }

    /// Whether no file is on its way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Records of the source topic that are not processed yet.
    pub fn behind(&self) -> i64 {
        self.waiting.behind()
    }

    /// One look:
    /// 1. Takes files that are whole, unless a file of the same name is on its way.
    /// 2. Publishes the files that were taken.
    /// 3. Fetches the workbooks of published files.
    ///
    /// After an error another look continues where this one ended.
    ///
    /// # Errors
    /// The folder or the cluster.
    pub fn look(&mut self, report: &mut dyn FnMut(WatchEvent)) -> Result<(), WatchError> {
        for file in self.inbox.whole_files()? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.under_way.iter().all(|under_way| under_way.sending.name != name) {
                let sending = self.inbox.take(&file, &Uuid::new_v4().to_string(), now_ms())?;
                self.under_way.push(UnderWay { sending, stage: Stage::Taken });
            }
        }
        let mut at = 0;
        while at < self.under_way.len() {
            if self.under_way[at].stage != Stage::Sent && self.send(at, report)? {
                continue;
            }
            at += 1;
        }
        if self.under_way.is_empty() {
            return Ok(());
        }
        self.waiting.look()?;
        let mut at = 0;
        while at < self.under_way.len() {
            match self.ended(at)? {
                Some(event) => {
                    self.waiting.forget(&self.under_way.remove(at).sending.name);
                    report(event);
                }
                None => at += 1,
            }
        }
        Ok(())
    }

    /// Publishes a file, unless that is done; true when it cannot be published at all, and is on its way no more.
    fn send(&mut self, at: usize, report: &mut dyn FnMut(WatchEvent)) -> Result<bool, WatchError> {
        let UnderWay { sending, stage } = &mut self.under_way[at];
        let topic = &self.topology.source.topic;
        let is_there = *stage == Stage::Uncertain
            && is_published(&self.client, topic, &sending.name, &sending.attempt, sending.begun_ms)?;
        let rows = if is_there {
            None
        } else {
            if *stage == Stage::Uncertain {
                // Records that were sent under the attempt before are void as soon as another one begins.
                *sending = self.inbox.take(&sending.file, &Uuid::new_v4().to_string(), now_ms())?;
            }
            *stage = Stage::Uncertain;
            let records = (self.open)(&sending.file)
                .and_then(|file| UploadRecords::new(vec![file], &sending.name, &sending.attempt));
            let sent = records.map_err(PublishError::from).and_then(|records| {
                let records = records.with_crs(self.crs.as_deref());
                publish(&self.client, topic, &sending.name, records, &mut |_| ())
            });
            match sent {
                Ok(rows) => Some(rows),
                Err(PublishError::Transport(error)) => return Err(error.into()),
                Err(PublishError::File(error)) => {
                    let why = error.to_string();
                    let moved = self.inbox.put_aside(sending, &why)?;
                    report(WatchEvent::Failed { name: sending.name.clone(), why, moved });
                    self.under_way.remove(at);
                    return Ok(true);
                }
            }
        };
        self.waiting.expect(&sending.name)?;
        *stage = Stage::Sent;
        report(WatchEvent::Published { name: sending.name.clone(), rows });
        Ok(false)
    }

    /// The outcome of a file that was published, once there is one.
    fn ended(&mut self, at: usize) -> Result<Option<WatchEvent>, WatchError> {
        let sending = self.under_way[at].sending.clone();
        let failed = |why: String| -> Result<Option<WatchEvent>, WatchError> {
            let moved = self.inbox.put_aside(&sending, &why)?;
            Ok(Some(WatchEvent::Failed { name: sending.name.clone(), why, moved }))
        };
        match self.waiting.upload(&sending.name) {
            Awaited::Pending(_) => Ok(None),
            Awaited::Published(upload) => self.fetch(&sending, &upload).map(Some),
            Awaited::Ended(upload) => failed(upload.failure.as_ref().map_or_else(
                || "its upload was given up".to_owned(),
                |failure| format!("{}: {}", failure.reason, failure.message),
            )),
            Awaited::Unheard => {
                let topic = &self.topology.sink.dead_letter_topic;
                let letter = refused_whole(&self.client, topic, &sending.name, LETTERS_LIMIT)?;
                failed(letter.map_or_else(
                    || "the topology has processed its records and says nothing of it".to_owned(),
                    |(letter, _)| format!("{}: {}", letter.reason, letter.message),
                ))
            }
        }
    }

    fn fetch(&mut self, sending: &Sending, upload: &Upload) -> Result<WatchEvent, WatchError> {
        let name = sending.name.clone();
        let Some((label, wanted)) = Wanted::of(upload) else {
            let why = "its workbook is of an earlier publication; `sheetstream fetch` has it".to_owned();
            let moved = self.inbox.put_aside(sending, &why)?;
            return Ok(WatchEvent::Failed { name, why, moved });
        };
        let mut unreachable = None;
        let saved = self.workbooks.save(&label, |file| match download(&self.client, &wanted, file) {
            Ok(_) => Ok(()),
            Err(DownloadError::File(error)) => Err(error),
            Err(DownloadError::Gone) => Err(std::io::Error::other(DownloadError::Gone.to_string())),
            Err(DownloadError::Transport(error)) => Err(std::io::Error::other(unreachable.insert(error).to_string())),
        });
        if let Some(error) = unreachable {
            return Err(error.into());
        }
        let workbook = saved?.path().to_owned();
        self.inbox.put_beside(sending, &workbook)?;
        Ok(WatchEvent::Done { name, workbook, accounting: upload.accounting })
    }
}

//! An index of uploads, from the status topics and from the publications of this process. It has the uploads of all instances, also after
//! a restart, since it is read from the topics. It is bounded: see `entries`.

mod entries;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use self::entries::{Entries, Place};
use crate::kafka::KafkaClient;
use crate::kafka::clock::now_ms;
use crate::kafka::follower::Follower;
use crate::record::{Accounting, Record};
use crate::sink::status::{StatusFailure, StatusRecord, StatusWorkbook, UploadState};

/// Samples that the rate of an upload is taken over.
const RATE_SAMPLES: usize = 10;
/// An upload of somebody else that was heard of within this time is under way; later, its publisher may be gone.
const UNDER_WAY_MS: i64 = 10_000;

/// The phase of an upload, from the first row on its way to the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UploadPhase {
    /// This process is sending its rows to the topic.
    Publishing,
    /// All its rows are in the topic; the topology has said nothing of it yet.
    Pending,
    /// As [`UploadState::Receiving`].
    Receiving,
    /// As [`UploadState::Incomplete`].
    Incomplete,
    /// As [`UploadState::Stalled`].
    Stalled,
    /// As [`UploadState::Published`].
    Published,
    /// As [`UploadState::Failed`]; or its rows could not be brought to the topic.
    Failed,
    /// As [`UploadState::Aborted`].
    Aborted,
    /// As [`UploadState::Expired`].
    Expired,
}

impl UploadPhase {
    /// Nothing more will come of it.
    pub fn is_final(self) -> bool {
        match self {
            UploadPhase::Published | UploadPhase::Failed | UploadPhase::Aborted | UploadPhase::Expired => true,
            UploadPhase::Publishing
            | UploadPhase::Pending
            | UploadPhase::Receiving
            | UploadPhase::Incomplete
            | UploadPhase::Stalled => false,
        }
    }
}

impl From<UploadState> for UploadPhase {
    fn from(state: UploadState) -> UploadPhase {
        match state {
            UploadState::Receiving => UploadPhase::Receiving,
            UploadState::Incomplete => UploadPhase::Incomplete,
            UploadState::Stalled => UploadPhase::Stalled,
            UploadState::Published => UploadPhase::Published,
            UploadState::Failed => UploadPhase::Failed,
            UploadState::Aborted => UploadPhase::Aborted,
            UploadState::Expired => UploadPhase::Expired,
        }
    }
}

/// An upload of a topology. Two topologies may well have uploads of the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadKey {
    /// Name of the topology.
    pub topology: String,
    /// Id of the upload.
    pub id: String,
}

/// An upload as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// Name of its topology.
    pub topology: String,
    /// Its revision, from 1; `None` while nothing was heard of it.
    pub revision: Option<u32>,
    /// Its phase.
    pub state: UploadPhase,
    /// Name of its file.
    pub name: Option<String>,
    /// CRS of its coordinates, if it is its own.
    pub crs: Option<String>,
    /// Its rows.
    pub accounting: Accounting,
    /// Rows that it is to have.
    pub rows_announced: Option<u64>,
    /// Rows that this process has sent to the topic.
    pub rows_published: Option<u64>,
    /// How fast rows are taken in at present.
    pub rows_per_second: Option<f64>,
    /// When its last row should be taken in, in milliseconds since 1970.
    pub estimated_end_ms: Option<i64>,
    /// When this process began to publish it, in milliseconds since 1970.
    pub begun_at_ms: Option<i64>,
    /// When it was last heard of, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// Its workbook.
    pub workbook: Option<StatusWorkbook>,
    /// Why it is held or failed.
    pub failure: Option<StatusFailure>,
    /// Partition and offsets in the source topic, hash of the topology: what finds its dead letters.
    #[serde(skip)]
    pub status: Option<StatusRecord>,
}

/// A publication of this process.
#[derive(Debug)]
struct Publication {
    name: String,
    crs: Option<String>,
    topology_hash: String,
    begun_ms: i64,
    rows: u64,
    is_complete: bool,
    failure: Option<StatusFailure>,
    cancel: Arc<AtomicBool>,
    /// Records of this revision and below are of earlier publications.
    after_revision: u32,
}

#[derive(Debug, Default)]
struct Entry {
    status: Option<StatusRecord>,
    publication: Option<Publication>,
    /// Times and rows of the present revision.
    samples: VecDeque<(i64, u64)>,
    /// Bytes of its status, about.
    bytes: usize,
    place: Place,
}

/// Uploads that were asked for.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Those within the limit.
    pub uploads: Vec<Upload>,
    /// How many more are remembered.
    pub more: usize,
    /// Whether others were forgotten.
    pub has_forgotten: bool,
}

/// The index of uploads.
pub struct UploadIndex {
    entries: Mutex<Entries>,
    version: watch::Sender<u64>,
    followers: Mutex<HashMap<Arc<str>, Follower>>,
}

impl Default for UploadIndex {
    fn default() -> UploadIndex {
        UploadIndex { entries: Mutex::default(), version: watch::channel(0).0, followers: Mutex::default() }
    }
}

/// The answer to publishing an upload that may be known already.
pub enum Claim {
    /// It is not known: publish it, and report the progress.
    New(Publishing),
    /// It is there, or under way.
    Known(Box<Upload>),
}

impl UploadIndex {
    /// Listens to these status topics from their start, and to no others.
    pub fn follow(self: &Arc<UploadIndex>, client: &KafkaClient, topics: impl IntoIterator<Item = Arc<str>>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *followers);
        for topic in topics {
            let follower = before.remove(&topic).unwrap_or_else(|| {
                let index = Arc::downgrade(self);
                let each = move |_, record: Record| {
                    if let Some(index) = index.upgrade() {
                        index.take(&record);
                    }
                };
                client.follow(&topic, Arc::new(each))
            });
            followers.insert(topic, follower);
        }
    }

    /// Whether all has been read that the topics held when the following began.
    pub fn has_caught_up(&self) -> bool {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).values().all(Follower::has_caught_up)
    }

    /// Changes whenever something was heard.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// One upload.
    pub fn get(&self, key: &UploadKey) -> Option<Upload> {
        self.lock().get(key).map(|entry| entry.show(key))
    }

    /// The upload of that id that was heard of last, whatever its topology.
    pub fn find(&self, id: &str) -> Option<Upload> {
        let entries = self.lock();
        let (key, entry) = entries.latest().find(|(key, _)| key.id == id)?;
        Some(entry.show(key))
    }

    /// Uploads of the topologies that `is_of` names, the one heard of last first.
    pub fn latest(&self, is_of: impl Fn(&str) -> bool, limit: usize) -> Listed {
        let entries = self.lock();
        let has_forgotten = entries.has_forgotten_open() || entries.has_forgotten_ended();
        listed(entries.latest().filter(|(key, _)| is_of(&key.topology)), limit, has_forgotten)
    }

    /// Those of them that have not ended, the one without news for longest first.
    pub fn open(&self, is_of: impl Fn(&str) -> bool, limit: usize) -> Listed {
        let entries = self.lock();
        listed(entries.open().filter(|(key, _)| is_of(&key.topology)), limit, entries.has_forgotten_open())
    }

    /// Takes in a record of a status topic. Foreign ones are passed over.
    pub fn take(&self, record: &Record) {
        let Some(value) = record.value.as_deref() else { return };
        let Some(status) = StatusRecord::parse(value) else { return };
        let key = UploadKey { topology: status.topology.clone(), id: status.upload.clone() };
        self.change(key, record.timestamp_ms, |entry| {
            entry.bytes = value.len();
            entry.take(status, record.timestamp_ms);
        });
    }

    /// Begins a publication, unless the same content is there or under way already; `anew` publishes over what has ended.
    /// [`UploadIndex::cancel`] sets `cancel`.
    pub fn claim(
        self: &Arc<UploadIndex>,
        key: UploadKey,
        name: &str,
        crs: Option<&str>,
        topology_hash: &str,
        anew: bool,
        cancel: &Arc<AtomicBool>,
    ) -> Claim {
        let now = now_ms();
        let mut entries = self.lock();
        let holds = |entry: &&Entry| entry.holds(topology_hash, now) && !(anew && entry.phase().is_final());
        if let Some(entry) = entries.get(&key).filter(holds) {
            return Claim::Known(Box::new(entry.show(&key)));
        }
        entries.change(key.clone(), now, |entry| {
            // An open revision continues under a new attempt; the next revision follows an ended one.
            let heard = entry.status.as_ref();
            let after_revision = heard.map_or(0, |status| match status.state.outcome() {
                Some(_) => status.revision,
                None => status.revision.saturating_sub(1),
            });
            entry.samples.clear();
            entry.publication = Some(Publication {
                name: name.to_owned(),
                crs: crs.map(str::to_owned),
                topology_hash: topology_hash.to_owned(),
                begun_ms: now,
                rows: 0,
                is_complete: false,
                failure: None,
                cancel: cancel.clone(),
                after_revision,
            });
        });
        drop(entries);
        self.version.send_modify(|version| *version += 1);
        Claim::New(Publishing { index: self.clone(), key })
    }

    /// Stops a publication of this process; false when there is none under way.
    pub fn cancel(&self, key: &UploadKey) -> bool {
        let entries = self.lock();
        let publication = entries.get(key).and_then(|entry| entry.publication.as_ref());
        let under_way = publication.filter(|publication| !publication.is_complete && publication.failure.is_none());
        under_way.inspect(|publication| publication.cancel.store(true, Ordering::Relaxed)).is_some()
    }

    fn change(&self, key: UploadKey, at_ms: i64, change: impl FnOnce(&mut Entry)) {
        self.lock().change(key, at_ms, change);
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn take(&mut self, mut status: StatusRecord, at_ms: i64) {
        // Rows that come in one partition do not hide that rows are missing in another.
        let is_part =
            |before: &StatusRecord| before.state == UploadState::Incomplete && before.partition != status.partition;
        if matches!(status.state, UploadState::Receiving | UploadState::Stalled)
            && self.status.as_ref().is_some_and(is_part)
        {
            return;
        }
        let before = self.status.as_ref().filter(|before| before.revision == status.revision);
        if before.is_none_or(|before| status.accounting.rows_in < before.accounting.rows_in) {
            self.samples.clear();
        }
        // A revision that was answered from the ledger has the workbook of the one before.
        if let (UploadState::Published, None, Some(before)) = (status.state, &status.workbook, &self.status)
            && before.rows_sha256 == status.rows_sha256
        {
            status.workbook.clone_from(&before.workbook);
        }
        if self.samples.len() == RATE_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((at_ms, status.accounting.rows_in));
        self.status = Some(status);
    }

    /// The publication, while the topic has said nothing of it.
    fn unheard(&self) -> Option<&Publication> {
        let heard = self.status.as_ref().map_or(0, |status| status.revision);
        self.publication.as_ref().filter(|publication| heard <= publication.after_revision)
    }

    /// Whether this content, under this topology, is in the topic or on its way there.
    fn holds(&self, topology_hash: &str, now: i64) -> bool {
        if let Some(publication) = self.unheard() {
            return publication.failure.is_none() && publication.topology_hash == topology_hash;
        }
        let Some(status) = self.status.as_ref().filter(|status| status.topology_hash == topology_hash) else {
            return false;
        };
        let is_mine = self.publication.as_ref().is_some_and(|publication| publication.failure.is_none());
        match status.state {
            UploadState::Published => true,
            UploadState::Receiving => is_mine || now - self.place.0 < UNDER_WAY_MS,
            UploadState::Incomplete
            | UploadState::Stalled
            | UploadState::Failed
            | UploadState::Aborted
            | UploadState::Expired => false,
        }
    }

    fn phase(&self) -> UploadPhase {
        match (self.unheard(), &self.status) {
            (Some(Publication { failure: Some(_), .. }), _) => UploadPhase::Failed,
            (Some(Publication { is_complete: true, .. }), _) => UploadPhase::Pending,
            (None, Some(status)) => status.state.into(),
            (Some(_), _) | (None, None) => UploadPhase::Publishing,
        }
    }

    fn show(&self, key: &UploadKey) -> Upload {
        let publication = self.publication.as_ref();
        let unheard = self.unheard();
        let status = self.status.as_ref().filter(|_| unheard.is_none());
        let state = self.phase();
        let published = publication.filter(|publication| publication.is_complete).map(|publication| publication.rows);
        let rows_announced = status.and_then(|status| status.rows_announced).or(published);
        let accounting = status.map(|status| status.accounting).unwrap_or_default();
        let rows_per_second = self.rate().filter(|_| state == UploadPhase::Receiving);
        let left = rows_announced.map(|rows| rows.saturating_sub(accounting.rows_in));
        let estimated_end_ms = rows_per_second.filter(|rate| *rate > 0.0).zip(left);
        let estimated_end_ms = estimated_end_ms.map(|(rate, left)| self.place.0 + (left as f64 / rate * 1e3) as i64);
        let name = status.and_then(|status| status.name.clone());
        let crs = status.and_then(|status| status.crs.clone());
        let failure = unheard.and_then(|publication| publication.failure.clone());
        Upload {
            id: key.id.clone(),
            topology: key.topology.clone(),
            revision: status.map(|status| status.revision),
            state,
            name: name.or_else(|| publication.map(|publication| publication.name.clone())),
            crs: crs.or_else(|| publication.and_then(|publication| publication.crs.clone())),
            accounting,
            rows_announced,
            rows_published: publication.map(|publication| publication.rows),
            rows_per_second,
            estimated_end_ms,
            begun_at_ms: publication.map(|publication| publication.begun_ms),
            updated_at_ms: self.place.0,
            workbook: status.and_then(|status| status.workbook.clone()),
            failure: failure.or_else(|| status.and_then(|status| status.failure.clone())),
            status: status.cloned(),
        }
    }

    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let ms = last.0 - first.0;
        (ms > 0).then(|| last.1.saturating_sub(first.1) as f64 / ms as f64 * 1e3)
    }
}

fn listed<'e>(
    mut found: impl Iterator<Item = (&'e UploadKey, &'e Entry)>,
    limit: usize,
    has_forgotten: bool,
) -> Listed {
    let uploads = found.by_ref().take(limit).map(|(key, entry)| entry.show(key)).collect();
    Listed { uploads, more: found.count(), has_forgotten }
}

/// A publication that is under way; reports its progress to the index. Dropped without an end, it has failed.
pub struct Publishing {
    index: Arc<UploadIndex>,
    key: UploadKey,
}

impl Publishing {
    /// Rows that are on their way.
    pub fn rows(&self, rows: u64) {
        self.change(|publication| publication.rows = rows);
    }

    /// All rows and the end are acknowledged.
    pub fn complete(self, rows: u64) -> Option<Upload> {
        self.change(|publication| {
            publication.rows = rows;
            publication.is_complete = true;
        });
        self.index.get(&self.key)
    }

    /// It came to nothing.
    pub fn fail(self, failure: StatusFailure) {
        self.change(|publication| publication.failure = Some(failure));
    }

    fn change(&self, change: impl FnOnce(&mut Publication)) {
        self.index.change(self.key.clone(), now_ms(), |entry| {
            if let Some(publication) = &mut entry.publication {
                change(publication);
            }
        });
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.change(|publication| {
            if !publication.is_complete && publication.failure.is_none() {
                let message = "the upload was given up half-way; send it again".to_owned();
                publication.failure =
                    Some(StatusFailure { reason: "upload.not_published".to_owned(), message, details: None });
            }
        });
    }
}

#[cfg(test)]
mod tests;

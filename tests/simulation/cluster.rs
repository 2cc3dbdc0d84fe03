//! The brokers: the source, what was written, transactions, the group and its offsets; and what becomes of a call. The two guarantees are
//! two outboxes, which refuse and lose what brokers and networks do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheetstream::record::TopicPartition;
use sheetstream::record::UploadHash;
use sheetstream::state::{Entry, InMemoryStore, PagePosition, StateError, StateStore, WriteBatch};
use sheetstream::transport::{Committed, Fence, OutRecord, Outbox, Progress, TransportError};

use super::log::Topic;

/// A process, by its number.
pub type Process = usize;

/// Brokers that all processes share.
#[derive(Clone)]
pub struct Brokers(Arc<Mutex<Cluster>>);

impl Brokers {
    pub fn new(source: Topic) -> Brokers {
        Brokers(Arc::new(Mutex::new(Cluster {
            source,
            written: Vec::new(),
            producers: BTreeMap::new(),
            group: Group::default(),
            trouble: None,
            dead: BTreeSet::new(),
            now_ms: 0,
        })))
    }
    fn open_elsewhere(
        &self,
        process: Process,
        partition: &TopicPartition,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        let ask = |cluster: &mut Cluster| Ok(cluster.group.open_elsewhere(number(partition), upload));
        self.lock().call(process, unavailable, ask)
    }
    pub fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Cluster {
    pub source: Topic,
    /// Outputs in the order in which they came.
    pub written: Vec<Written>,
    producers: BTreeMap<String, Producer>,
    pub group: Group,
    /// What one of the next calls meets.
    pub trouble: Option<Trouble>,
    /// Processes that died in a call.
    pub dead: BTreeSet<Process>,
    pub now_ms: u64,
}

/// A record in an output topic.
pub struct Written {
    pub record: OutRecord,
    pub seen: Seen,
    /// Whose transaction wrote it.
    id: Option<String>,
    /// At least once: the partition was no longer its writer's.
    pub is_late: bool,
}

impl Written {
    fn show(&mut self) {
        if matches!(self.seen, Seen::From(_)) {
            self.seen = Seen::Yes;
        }
    }
}

/// Whether a reader of committed records sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    NotYet,
    /// Its transaction has ended, and the partition learns it at this time, ms.
    From(u64),
    Yes,
    Never,
}

/// A transactional id at its coordinator.
#[derive(Default)]
struct Producer {
    epoch: i32,
    /// Places in `written` of the open transaction.
    open: Vec<usize>,
    begun_ms: u64,
}

/// Until a partition that was written to learns how a transaction ended: the offset may count before.
const MARKER_MS: u64 = 60;
/// Longest transaction: the coordinator aborts it, and fences its producer.
const TRANSACTION_MS_MAX: u64 = 3_000;

/// The group of the topology, as KIP-848 has it.
#[derive(Default)]
pub struct Group {
    pub epoch: i32,
    /// Of each partition the member, and its epoch when it was given to it.
    pub owners: BTreeMap<usize, (String, i32)>,
    pub committed: BTreeMap<usize, Committed>,
}

/// One of the next calls of a process does not go well.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub process: Process,
    /// Calls that go well before.
    pub after: usize,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Not obeyed, and no answer.
    Unheard,
    /// Obeyed, and no answer.
    Unanswered,
    /// The process dies before it.
    DiesBefore,
    /// The process dies after it.
    DiesAfter,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Unheard, Kind::Unanswered, Kind::DiesBefore, Kind::DiesAfter];
}

impl Cluster {
    /// Takes a call of a process to whoever obeys it, if it gets there; and the answer back, if that does.
    fn call<T, E>(
        &mut self,
        process: Process,
        lost: impl FnOnce() -> E,
        obey: impl FnOnce(&mut Cluster) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.dead.contains(&process) {
            return Err(lost());
        }
        let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.process == process) else {
            return obey(self);
        };
        if trouble.after > 0 {
            trouble.after -= 1;
            return obey(self);
        }
        let kind = trouble.kind;
        self.trouble = None;
        let is_heard = matches!(kind, Kind::Unanswered | Kind::DiesAfter);
        if is_heard {
            obey(self)?;
        }
        if matches!(kind, Kind::DiesBefore | Kind::DiesAfter) {
            self.dead.insert(process);
        }
        Err(lost())
    }

    fn write(&mut self, record: OutRecord, id: Option<&str>) -> usize {
        let seen = if id.is_some() { Seen::NotYet } else { Seen::Yes };
        self.written.push(Written { record, seen, id: id.map(str::to_owned), is_late: false });
        self.written.len() - 1
    }

    fn settle(&mut self, id: &str, seen: Seen) {
        let open = self.producers.get_mut(id).map(|producer| std::mem::take(&mut producer.open));
        open.into_iter().flatten().for_each(|place| self.written[place].seen = seen);
    }

    /// InitProducerId: the new epoch. Transactions of before have ended everywhere.
    fn begin(&mut self, id: &str) -> i32 {
        self.settle(id, Seen::Never);
        self.written.iter_mut().filter(|written| written.id.as_deref() == Some(id)).for_each(Written::show);
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    fn producer(&mut self, id: &str, epoch: i32) -> Result<&mut Producer, TransportError> {
        match self.producers.get_mut(id) {
            Some(producer) if producer.epoch == epoch => Ok(producer),
            _ => Err(TransportError::Fenced(format!("{id}: another holder"))),
        }
    }

    /// Transactions that lasted too long are aborted, and ends become known.
    pub fn end_old_transactions(&mut self) {
        let is_due = |written: &&mut Written| matches!(written.seen, Seen::From(at) if at <= self.now_ms);
        self.written.iter_mut().filter(is_due).for_each(Written::show);
        let is_old =
            |producer: &Producer| !producer.open.is_empty() && self.now_ms > producer.begun_ms + TRANSACTION_MS_MAX;
        let old: Vec<String> =
            self.producers.iter().filter(|(_, producer)| is_old(producer)).map(|(id, _)| id.clone()).collect();
        for id in old {
            self.begin(&id);
        }
    }

    /// What was written to a partition of an output topic.
    pub fn records_of(&self, at: &TopicPartition) -> impl Iterator<Item = &Written> {
        let is_there = |record: &OutRecord| record.topic == at.topic && record.partition == Some(at.partition);
        self.written.iter().filter(move |written| is_there(&written.record))
    }

    /// The records of it from offset `from` on that a reader of committed records sees, and where it waits for the end of a transaction.
    pub fn read_committed(&self, at: &TopicPartition, from: i64) -> (impl Iterator<Item = &OutRecord>, i64) {
        let is_open = |written: &Written| matches!(written.seen, Seen::NotYet | Seen::From(_));
        let end = self.records_of(at).position(is_open).unwrap_or_else(|| self.records_of(at).count());
        let from = usize::try_from(from).expect("an offset");
        let seen = self.records_of(at).take(end).skip(from).filter(|written| written.seen == Seen::Yes);
        (seen.map(|written| &written.record), end as i64)
    }

    /// Transactions that nobody has ended.
    pub fn open_transactions(&self) -> impl Iterator<Item = &str> {
        self.producers.iter().filter(|(_, producer)| !producer.open.is_empty()).map(|(id, _)| id.as_str())
    }
}

impl Group {
    /// Partitions besides `partition` in which an upload is open, as of the commits.
    fn open_elsewhere(&self, partition: usize, upload: UploadHash) -> Vec<i32> {
        let is_open = |committed: &Committed| match committed {
            Committed::Ours(progress) => progress.open().is_some_and(|open| open.contains(upload)),
            Committed::None | Committed::Reset(_) => false,
        };
        let others = self.committed.iter().filter(|(other, committed)| **other != partition && is_open(committed));
        others.map(|(other, _)| i32::try_from(*other).expect("few")).collect()
    }

    fn is_owner(&self, process: Process, partition: i32) -> bool {
        let owner = usize::try_from(partition).ok().and_then(|partition| self.owners.get(&partition));
        owner.is_some_and(|(member, _)| member.split('.').next() == Some(process.to_string().as_str()))
    }

    fn commit(&mut self, partition: usize, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        match self.owners.get(&partition) {
            Some((member, since)) if *member == fence.member && *since <= fence.epoch => {
                self.committed.insert(partition, Committed::Ours(progress.clone()));
                Ok(())
            }
            owner => Err(TransportError::Fenced(format!("{fence:?} is not {owner:?}"))),
        }
    }
}

fn unavailable() -> TransportError {
    TransportError::Unavailable("no answer".into())
}

fn number(partition: &TopicPartition) -> usize {
    usize::try_from(partition.partition).expect("partitions are counted from 0")
}

/// At least once.
pub struct PlainOutbox {
    pub brokers: Brokers,
    pub process: Process,
    /// The group still vouches for the process, as far as that knows.
    pub vouched: Arc<std::sync::atomic::AtomicBool>,
}

impl Outbox for PlainOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        for record in records {
            self.brokers.lock().call(self.process, unavailable, |cluster| {
                let is_late =
                    record.partition.is_some_and(|partition| !cluster.group.is_owner(self.process, partition));
                let place = cluster.write(record, None);
                cluster.written[place].is_late = is_late;
                Ok(())
            })?;
        }
        Ok(())
    }
    fn send_best_effort(&mut self, record: OutRecord) {
        if self.is_vouched_for() {
            match self.publish(&mut std::iter::once(record)) {
                Ok(()) | Err(_) => {} // it may be lost
            }
        }
    }
    fn is_vouched_for(&self) -> bool {
        self.vouched.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        let commit = |cluster: &mut Cluster| cluster.group.commit(number(partition), progress, fence);
        self.brokers.lock().call(self.process, unavailable, commit)
    }
    fn open_elsewhere(
        &mut self,
        partition: &TopicPartition,
        _: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        self.brokers.open_elsewhere(self.process, partition, upload)
    }
}

/// Exactly once.
pub struct TransactionalOutbox {
    brokers: Brokers,
    process: Process,
    id: String,
    /// `None` when the outcome of an end is not known.
    epoch: Option<i32>,
    is_open: bool,
    hint: Option<OutRecord>,
}

impl TransactionalOutbox {
    pub fn begin(brokers: &Brokers, process: Process, id: String) -> Result<TransactionalOutbox, TransportError> {
        let epoch = brokers.lock().call(process, unavailable, |cluster| Ok(cluster.begin(&id)))?;
        let brokers = brokers.clone();
        Ok(TransactionalOutbox { brokers, process, id, epoch: Some(epoch), is_open: false, hint: None })
    }

    fn epoch(&self) -> Result<i32, TransportError> {
        self.epoch.ok_or_else(|| TransportError::Unavailable("how the last transaction ended is not known".into()))
    }
}

impl Outbox for TransactionalOutbox {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        let epoch = self.epoch()?;
        for record in self.hint.take().into_iter().chain(records) {
            self.is_open = true;
            self.brokers.lock().call(self.process, unavailable, |cluster| {
                let now_ms = cluster.now_ms;
                cluster.producer(&self.id, epoch)?;
                let place = cluster.write(record, Some(&self.id));
                let producer = cluster.producer(&self.id, epoch)?;
                if producer.open.is_empty() {
                    producer.begun_ms = now_ms;
                }
                producer.open.push(place);
                Ok(())
            })?;
        }
        Ok(())
    }
    fn send_best_effort(&mut self, record: OutRecord) {
        self.hint = Some(record);
    }
    fn is_transactional(&self) -> bool {
        true
    }
    /// The offset, then the end: two calls. What became of an end without an answer, nobody knows.
    fn commit(&mut self, partition: &TopicPartition, progress: &Progress, fence: &Fence) -> Result<(), TransportError> {
        if self.hint.is_some() {
            self.publish(&mut std::iter::empty())?;
        }
        let epoch = self.epoch()?;
        let partition = number(partition);
        let mut cluster = self.brokers.lock();
        if !self.is_open {
            return cluster.call(self.process, unavailable, |cluster| cluster.group.commit(partition, progress, fence));
        }
        self.epoch = None;
        // The offset counts with the end; what may refuse it is looked at first.
        cluster.call(self.process, unavailable, |cluster| {
            cluster.producer(&self.id, epoch)?;
            let before = cluster.group.committed.get(&partition).cloned();
            cluster.group.commit(partition, progress, fence)?;
            match before {
                Some(before) => cluster.group.committed.insert(partition, before),
                None => cluster.group.committed.remove(&partition),
            };
            Ok(())
        })?;
        cluster.call(self.process, unavailable, |cluster| {
            cluster.producer(&self.id, epoch)?;
            cluster.settle(&self.id, Seen::From(cluster.now_ms + MARKER_MS));
            cluster.group.committed.insert(partition, Committed::Ours(progress.clone()));
            Ok(())
        })?;
        (self.epoch, self.is_open) = (Some(epoch), false);
        Ok(())
    }
    fn open_elsewhere(
        &mut self,
        partition: &TopicPartition,
        _: i32,
        upload: UploadHash,
    ) -> Result<Vec<i32>, TransportError> {
        self.brokers.open_elsewhere(self.process, partition, upload)
    }
}

/// The state of a task on the disk of its process.
#[derive(Clone)]
pub struct Store {
    brokers: Brokers,
    process: Process,
    state: Arc<Mutex<InMemoryStore>>,
}

impl Store {
    pub fn new(brokers: &Brokers, process: Process) -> Store {
        Store { brokers: brokers.clone(), process, state: Arc::default() }
    }
    /// A task begins with what is on the disk.
    pub fn settle(&self) {
        let mut state = self.lock();
        *state = state.crash();
    }
    /// What is on the disk: a task that ended without a commit leaves what was committed.
    pub fn reopen(&self) -> Store {
        Store { state: Arc::new(Mutex::new(self.lock().crash())), ..self.clone() }
    }
    fn lock(&self) -> MutexGuard<'_, InMemoryStore> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn call<T>(&self, obey: impl FnOnce(&mut InMemoryStore) -> Result<T, StateError>) -> Result<T, StateError> {
        let full = || StateError::DiskFull("no room".into());
        self.brokers.lock().call(self.process, full, |_| obey(&mut self.lock()))
    }
}

impl StateStore for Store {
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Entry>, StateError> {
        self.lock().scan(prefix)
    }
    fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError> {
        self.lock().append(upload, page)
    }
    fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
        self.lock().read(upload, at, into)
    }
    fn commit(&mut self, batch: WriteBatch) -> Result<(), StateError> {
        self.call(|state| state.commit(batch))
    }
    fn clear(&mut self) -> Result<(), StateError> {
        self.call(|state| state.clear())
    }
    fn bytes(&self) -> u64 {
        self.lock().bytes()
    }
}

//! `TopologyTestDriver`: a topology under test with the real task, and with neither a broker nor threads nor a wall clock.
//!
//! ```
//! use sheetstream::test_driver::TopologyTestDriver;
//! use sheetstream::topology::Topology;
//!
//! let topology = Topology::parse(
//!     r#"
//!     name = "places"
//!     [[source]]
//!     name = "rows"
//!     header = ["name", "kind"]
//!     [[aggregate]]
//!     name = "by-kind"
//!     sheet = "kind"
//!     [[sink]]
//!     name = "workbooks"
//!     "#,
//!     "places.toml",
//!     &|_| None,
//! )
//! .unwrap();
//! let mut driver = TopologyTestDriver::new(topology);
//! driver.pipe("a.csv", "Blue House,museum");
//! driver.pipe("a.csv", "#EOF rows=1");
//! assert_eq!(driver.workbook("a.csv").unwrap()[..2], *b"PK");
//! ```

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::client::fetch::ChunkJoiner;
use crate::record::{Header, Offset, Record, Rejection, TaskId, TopicPartition, UploadHash};
use crate::runtime::ledger::Statuses;
use crate::runtime::task::{Questions, StreamTask, TaskError, TaskStart};
use crate::sink::status::{StatusRecord, UploadState};
use crate::state::{InMemoryStore, PagePosition, StateError, StateStore, WriteBatch};
use crate::topology::Topology;
use crate::transport::{Committed, Fence, Fetched, OutRecord, Outbox, Progress, TransportError};

/// Runs a topology without a broker. A crash of the driver keeps the input log, the outputs, the group's commit and, if wanted, the state.
pub struct TopologyTestDriver {
    topology: Arc<Topology>,
    store: SharedStore,
    task: Option<StreamTask>,
    standby: Option<Standby>,
    log: Vec<Record>,
    poisoned: Vec<(Offset, Rejection)>,
    /// First offset behind the last one without a record.
    unseen_end: Offset,
    log_start: Offset,
    read: Offset,
    now_ms: u64,
    partition_count: i32,
    broker: Broker,
}

/// The output side: every record that was acknowledged, and the commit.
#[derive(Clone, Default)]
struct Broker(Arc<Mutex<BrokerState>>);

#[derive(Default)]
struct BrokerState {
    outputs: Vec<OutRecord>,
    /// Outputs that may be lost. A second run need not give them again.
    hints: Vec<OutRecord>,
    committed: Committed,
    /// Calls that succeed before one fails, if one shall.
    fail_after: Option<u32>,
    /// Records of this topic are refused with this error.
    refusal: Option<(Arc<str>, TransportError)>,
}

impl Broker {
    fn call<T>(&self, call: impl FnOnce(&mut BrokerState) -> T) -> Result<T, TransportError> {
        let mut state = self.0.lock().expect("no test panics while it holds the lock");
        match &mut state.fail_after {
            Some(0) => return Err(TransportError::Unavailable("the test says so".into())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(call(&mut state))
    }
}

impl Outbox for Broker {
    fn publish(&mut self, records: &mut dyn Iterator<Item = OutRecord>) -> Result<(), TransportError> {
        for record in records {
            self.call(|state| match &state.refusal {
                Some((topic, error)) if *topic == record.topic => Err(error.clone()),
                Some(_) | None => {
                    state.outputs.push(record);
                    Ok(())
                }
            })??;
        }
        Ok(())
    }
    fn send_best_effort(&mut self, record: OutRecord) {
        self.0.lock().expect("see Broker::call").hints.push(record);
    }
    fn commit(&mut self, _: &TopicPartition, progress: &Progress, _: &Fence) -> Result<(), TransportError> {
        self.call(|state| state.committed = Committed::Ours(progress.clone()))
    }
}

/// Another process's task behind the one that runs.
struct Standby {
    task: StreamTask,
    store: SharedStore,
    read: Offset,
    /// Statuses that it knows. It was told of the ends among them but for these.
    statuses: Statuses,
}

/// A store that outlives the task it is lent to.
#[derive(Clone, Default)]
struct SharedStore(Arc<Mutex<InMemoryStore>>);

impl SharedStore {
    fn lock(&self) -> MutexGuard<'_, InMemoryStore> {
        self.0.lock().expect("see Broker::call")
    }
    fn crash(&self) -> SharedStore {
        SharedStore(Arc::new(Mutex::new(self.lock().crash())))
    }
}

impl StateStore for SharedStore {
    fn scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StateError> {
        self.lock().scan(prefix)
    }
    fn append(&mut self, upload: UploadHash, page: &[u8]) -> Result<PagePosition, StateError> {
        self.lock().append(upload, page)
    }
    fn read(&self, upload: UploadHash, at: PagePosition, into: &mut Vec<u8>) -> Result<(), StateError> {
        self.lock().read(upload, at, into)
    }
    fn commit(&mut self, batch: WriteBatch) -> Result<(), StateError> {
        self.lock().commit(batch)
    }
    fn clear(&mut self) -> Result<(), StateError> {
        self.lock().clear()
    }
    fn bytes(&self) -> u64 {
        self.lock().bytes()
    }
}

impl TopologyTestDriver {
    /// A driver with an empty log and no state.
    pub fn new(topology: Topology) -> TopologyTestDriver {
        TopologyTestDriver {
            topology: Arc::new(topology),
            store: SharedStore::default(),
            task: None,
            standby: None,
            log: Vec::new(),
            poisoned: Vec::new(),
            unseen_end: Offset(0),
            log_start: Offset(0),
            read: Offset(0),
            now_ms: 0,
            partition_count: 1,
            broker: Broker::default(),
        }
    }

    /// Pretends that the source topic has this many partitions; the driver is the first of them.
    pub fn with_partitions(mut self, partitions: i32) -> TopologyTestDriver {
        self.partition_count = partitions;
        self
    }

    /// Appends a record and processes it.
    pub fn pipe(&mut self, key: &str, value: impl Into<Bytes>) {
        self.pipe_record(Record {
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: Some(value.into()),
            ..Record::default()
        });
    }

    /// Appends a record with headers and processes it.
    pub fn pipe_with(&mut self, key: &str, value: impl Into<Bytes>, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| Header::new(name, value.as_bytes().to_vec())).collect();
        let key = Some(Bytes::copy_from_slice(key.as_bytes()));
        self.pipe_record(Record { key, value: Some(value.into()), headers, ..Record::default() });
    }

    /// Appends any record (its offset is set here) and processes it.
    pub fn pipe_record(&mut self, record: Record) {
        self.append(record);
        self.run(usize::MAX).expect("the driver's own broker and state do not fail unless a test makes them");
    }

    /// Appends a record without processing it; the offset is returned.
    pub fn append(&mut self, mut record: Record) -> Offset {
        record.offset = self.end();
        let offset = record.offset;
        self.log.push(record);
        offset
    }

    /// Appends a record that no client can decode.
    pub fn append_poisoned(&mut self, rejection: Rejection) {
        let offset = self.end();
        self.poisoned.push((offset, rejection));
    }

    /// Appends what no reader of committed records sees: the end of a transaction, or a record of one that was aborted.
    pub fn append_unseen(&mut self) {
        self.unseen_end = self.end().next();
    }

    fn end(&self) -> Offset {
        let record = self.log.last().map(|record| record.offset.next());
        let poisoned = self.poisoned.last().map(|(offset, _)| offset.next());
        [record, poisoned].into_iter().flatten().fold(self.log_start.max(self.unseen_end), Offset::max)
    }

    /// Retention: the log begins at `offset` from now on.
    pub fn delete_records_before(&mut self, offset: Offset) {
        self.log.retain(|record| record.offset >= offset);
        self.log_start = offset;
    }

    /// Processes what was appended, in fetches of at most `records`, and commits after each of them.
    pub fn run(&mut self, records: usize) -> Result<(), TaskError> {
        self.start()?;
        while self.read < self.end() {
            self.step(records)?;
            self.commit()?;
        }
        self.commit()
    }

    /// Processes one fetch of at most `records` and does not commit.
    pub fn step(&mut self, records: usize) -> Result<(), TaskError> {
        self.start()?;
        let (from, end) = (self.read, self.end());
        let next = Offset(from.0.saturating_add(i64::try_from(records).unwrap_or(i64::MAX)).min(end.0));
        let fetched = self.fetch(from..next);
        let task = self.task.as_mut().expect("started above");
        task.process(fetched, self.now_ms)?;
        self.read = next;
        Ok(())
    }

    fn fetch(&self, range: Range<Offset>) -> Fetched {
        Fetched {
            records: self.log.iter().filter(|record| range.contains(&record.offset)).cloned().collect(),
            poisoned: self.poisoned.iter().filter(|(offset, _)| range.contains(offset)).cloned().collect(),
            lost: Vec::new(),
            next: range.end,
            high_watermark: self.end(),
            log_start: self.log_start,
            ..Fetched::default()
        }
    }

    /// Begins a standby in another process, or ends one and begins another. It follows every commit.
    pub fn stand_by(&mut self) -> Result<(), TaskError> {
        let Committed::Ours(progress) = self.committed() else { return Ok(()) };
        let store = SharedStore::default();
        let silent = Broker::default();
        silent.0.lock().expect("see Broker::call").fail_after = Some(0);
        let ends: (Box<dyn StateStore>, Box<dyn Outbox>) = (Box::new(store.clone()), Box::new(silent));
        let (mut task, read) = self.start_on(ends)?;
        task.follow(&progress, self.log_start, Vec::new(), self.now_ms)?;
        let mut statuses = self.all_statuses();
        statuses.ends.clear();
        self.standby = Some(Standby { task, store, read, statuses });
        self.follow()
    }

    fn follow(&mut self) -> Result<(), TaskError> {
        let (Some(mut standby), Committed::Ours(progress)) = (self.standby.take(), self.committed()) else {
            return Ok(());
        };
        self.read_statuses(&mut standby.statuses);
        let ends = std::mem::take(&mut standby.statuses.ends);
        standby.task.follow(&progress, self.log_start, ends, self.now_ms)?;
        if standby.read < progress.next {
            standby.task.process(self.fetch(standby.read..progress.next), self.now_ms)?;
            standby.read = progress.next;
        }
        standby.task.keep()?;
        self.standby = Some(standby);
        Ok(())
    }

    /// Reads on in the status topic.
    fn read_statuses(&self, known: &mut Statuses) {
        let records = self.records(&self.topology.sink.status_topic);
        let read = usize::try_from(known.next.0).expect("an offset");
        let parsed = records[read..].iter().filter_map(|record| StatusRecord::parse(&record.value));
        parsed.for_each(|status| known.note(status, None));
        known.next = Offset(i64::try_from(records.len()).expect("a test's log fits"));
    }

    fn all_statuses(&self) -> Statuses {
        let mut all = Statuses::default();
        self.read_statuses(&mut all);
        all
    }

    /// kill -9 while there is a standby: it takes over, with what it has in memory.
    pub fn fail_over(&mut self) -> Result<(), TaskError> {
        let Some(Standby { task, store, read, mut statuses }) = self.standby.take() else {
            self.crash(false);
            return Ok(());
        };
        self.crash(false);
        self.read_statuses(&mut statuses);
        self.task = Some(task.take_over(Box::new(self.broker.clone()), self.facts(), statuses)?);
        (self.store, self.read) = (store, read);
        Ok(())
    }

    fn committed(&self) -> Committed {
        self.broker.0.lock().expect("see Broker::call").committed.clone()
    }

    /// Makes everything so far durable.
    pub fn commit(&mut self) -> Result<(), TaskError> {
        match &mut self.task {
            Some(task) => task.commit()?,
            None => return Ok(()),
        }
        self.follow()
    }

    /// Moves the clock on and lets the task notice.
    pub fn advance_wall_clock_time(&mut self, by: std::time::Duration) {
        self.now_ms += u64::try_from(by.as_millis()).expect("a test's clock fits");
        self.start().expect("see pipe_record");
        let task = self.task.as_mut().expect("started above");
        task.tick(self.now_ms).expect("see pipe_record");
        self.commit().expect("see pipe_record");
    }

    /// kill -9: what was not committed is gone; with `keep_state` false the state directory too. The next call starts again.
    pub fn crash(&mut self, keep_state: bool) {
        self.task = None;
        self.store = if keep_state { self.store.crash() } else { SharedStore::default() };
        self.broker.0.lock().expect("see Broker::call").fail_after = None;
    }

    /// Entries of the local state, those of a state that is being built again included.
    pub fn state_entries(&self) -> usize {
        self.store.scan(&[]).map_or(0, |entries| entries.len())
    }

    /// The broker fails after `calls` more records or commits, until the next crash.
    pub fn fail_broker_after(&mut self, calls: u32) {
        self.broker.0.lock().expect("see Broker::call").fail_after = Some(calls);
    }

    /// The broker refuses every record of `topic` with `error`. `None` ends that.
    pub fn fail_publish_with(&mut self, topic: &str, error: Option<TransportError>) {
        self.broker.0.lock().expect("see Broker::call").refusal = error.map(|error| (topic.into(), error));
    }

    /// The topology is another one from the next start on, as after an upgrade.
    pub fn replace_topology(&mut self, topology: Topology) {
        self.topology = Arc::new(topology);
    }

    /// Somebody sets the group's offset.
    pub fn reset_offset(&mut self, offset: Offset) {
        self.broker.0.lock().expect("see Broker::call").committed = Committed::Reset(offset);
    }

    /// The group's commit expires.
    pub fn expire_offset(&mut self) {
        self.broker.0.lock().expect("see Broker::call").committed = Committed::None;
    }

    fn start(&mut self) -> Result<(), TaskError> {
        if self.task.is_some() {
            return Ok(());
        }
        let (task, from) = self.start_on((Box::new(self.store.clone()), Box::new(self.broker.clone())))?;
        (self.task, self.read) = (Some(task), from);
        Ok(())
    }

    fn start_on(&self, ends: (Box<dyn StateStore>, Box<dyn Outbox>)) -> Result<(StreamTask, Offset), TaskError> {
        let id = TaskId { topology: self.topology.name.clone(), source: None, partition: 0 };
        let ask = Questions {
            statuses: &mut || Ok(self.all_statuses()),
            leader_epoch: &mut || Ok(None),
            end_of_epoch: &mut |_| Ok(Offset(-1)),
        };
        StreamTask::start(id, self.topology.clone(), ends, self.facts(), ask)
    }

    fn facts(&self) -> TaskStart {
        TaskStart {
            committed: self.committed(),
            log_start: self.log_start,
            log_end: self.end(),
            partition_count: Some(self.partition_count),
            gathers: self.topology.source.upload_topic() != &self.topology.source.topic,
            fence: Fence::default(),
            ..TaskStart::default()
        }
    }

    /// The running task.
    pub fn task(&mut self) -> Option<&mut StreamTask> {
        self.task.as_mut()
    }

    /// Every acknowledged record of a topic, in order.
    pub fn records(&self, topic: &str) -> Vec<OutRecord> {
        let state = self.broker.0.lock().expect("see Broker::call");
        state.outputs.iter().filter(|record| *record.topic == *topic).cloned().collect()
    }

    /// The status records, in order, but for those that only say that rows come: they follow the commits and the clock.
    pub fn statuses(&self) -> Vec<StatusRecord> {
        let is_news = |status: &StatusRecord| status.state != UploadState::Receiving || status.failure.is_some();
        let records = self.records(&self.topology.sink.status_topic);
        records.iter().filter_map(|record| StatusRecord::parse(&record.value)).filter(is_news).collect()
    }

    /// The status records of rows on their way, which are not among [`TopologyTestDriver::statuses`]: they follow the clock.
    pub fn receiving(&self) -> Vec<StatusRecord> {
        let state = self.broker.0.lock().expect("see Broker::call");
        state.hints.iter().filter_map(|record| StatusRecord::parse(&record.value)).collect()
    }

    /// The dead letters, in order.
    pub fn dead_letters(&self) -> Vec<OutRecord> {
        self.records(&self.topology.sink.dead_letter_topic)
    }

    /// Every workbook of an upload that was published whole, in order.
    pub fn workbooks(&self, upload: &str) -> Vec<Vec<u8>> {
        let mut joiner = ChunkJoiner::default();
        let records = self.records(&self.topology.sink.topic);
        let joined = records.into_iter().filter_map(|OutRecord { key, value, headers, .. }| {
            let record = Record { key, value: Some(value), headers: headers.to_vec(), ..Record::default() };
            joiner.join(&record).expect("a sink writes readable headers")
        });
        joined.filter(|book| book.label.upload == upload).map(|book| book.chunks.concat()).collect()
    }

    /// The newest workbook of an upload.
    pub fn workbook(&self, upload: &str) -> Option<Vec<u8>> {
        self.workbooks(upload).pop()
    }
}

/// The text of a record's header.
pub fn header(record: &OutRecord, name: &str) -> Option<String> {
    let header = record.headers.iter().find(|header| &*header.name == name)?;
    Some(String::from_utf8_lossy(header.value.as_deref()?).into_owned())
}

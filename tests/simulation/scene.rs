//! Short stories that end the same every time: who processes what, and what happens to the log.

use std::sync::Arc;
use std::time::Instant;

use sheetstream::record::{Header, Offset, Record};
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::transport::{Committed, Fence, Guarantee};

use super::cluster::Brokers;
use super::log::Topic;
use super::oracle;
use super::process::{Application, Process};
use super::publisher::HeaderFrom;
use super::world::{IDLE, PLENTY, topology};

pub const GUARANTEES: [Guarantee; 2] = [Guarantee::AtLeastOnce, Guarantee::ExactlyOnceV2];

/// One partition, and processes that are told what to do.
pub struct Scene {
    pub app: Application,
    pub now_ms: u64,
}

impl Scene {
    pub fn new(guarantee: Guarantee, open_uploads_max: usize) -> Scene {
        let topology = Arc::new(topology(HeaderFrom::Topology, 65_536, open_uploads_max));
        let app = Application { topology, guarantee, brokers: Brokers::new(Topic::new(1, 1)), epoch: Instant::now() };
        Scene { app, now_ms: 0 }
    }

    pub fn write(&self, upload: &'static str, values: &[&'static str]) {
        let mut cluster = self.app.brokers.lock();
        for value in values {
            let (key, value) = (Some(upload.into()), Some((*value).into()));
            cluster.source.partitions[0].append(Record { key, value, ..Record::default() });
        }
    }

    /// The topology names no columns, and the row has its number: it waits for its header.
    pub fn write_waiting(&mut self, upload: &'static str) {
        self.app.topology = Arc::new(topology(HeaderFrom::FirstRow, 65_536, PLENTY));
        let (key, value) = (Some(upload.into()), Some("s,1,a".into()));
        let headers = vec![Header::new("ss-row", "1")];
        let record = Record { key, value, headers, ..Record::default() };
        self.app.brokers.lock().source.partitions[0].append(record);
    }

    pub fn cut(&self, offset: i64) {
        self.app.brokers.lock().source.partitions[0].cut(offset);
    }

    /// What no reader of committed records sees.
    pub fn write_unseen(&self, count: usize) {
        let mut cluster = self.app.brokers.lock();
        (0..count).for_each(|_| cluster.source.partitions[0].append_unseen());
    }

    pub fn delete_below(&self, offset: i64) {
        self.app.brokers.lock().source.partitions[0].delete_below(offset);
    }

    /// The group gives the partition to a process.
    pub fn assign(&self, to: &mut Process) {
        let member = to.member();
        let mut cluster = self.app.brokers.lock();
        cluster.group.epoch += 1;
        let epoch = cluster.group.epoch;
        cluster.group.owners.insert(0, (member.clone(), epoch));
        drop(cluster);
        to.assign(0, Fence { member, epoch });
    }

    /// The owner and a standby take turns until both have nothing to do.
    pub fn rest(&mut self, owner: &mut Process, standby: Option<&mut Process>) {
        let mut standby = standby;
        for _ in 0..40 {
            self.now_ms += 200;
            self.app.brokers.lock().now_ms = self.now_ms;
            self.app.brokers.lock().end_old_transactions();
            owner.turn(0, &self.app, self.now_ms, 50, true);
            if let Some(standby) = &mut standby {
                standby.follow(0, self.now_ms, 50);
            }
        }
        assert!(owner.is_at_rest(0, &self.app));
    }

    /// Somebody sets the offset from which the group reads.
    pub fn set_offset(&self, offset: i64) {
        self.app.brokers.lock().group.committed.insert(0, Committed::Reset(Offset(offset)));
    }

    /// The group gives the partition to a process, which reads all that there is.
    pub fn hand_to(&mut self, process: &mut Process) {
        self.assign(process);
        self.rest(process, None);
    }

    /// The group takes the partition from one process and gives it to another, which reads all that there is.
    pub fn hand_over(&mut self, from: &mut Process, to: &mut Process) {
        from.revoke(0);
        self.hand_to(to);
    }

    /// The group has taken the partition from a process that does not know it: its state is ahead of the commit by what it reads until then,
    /// at most `records`.
    pub fn replace(&mut self, owner: &mut Process, records: usize) {
        self.app.brokers.lock().group.owners.clear();
        let is_fenced = (0..40).any(|_| {
            self.now_ms += 200;
            self.app.brokers.lock().now_ms = self.now_ms;
            owner.turn(0, &self.app, self.now_ms, records, true).contains("fenced")
        });
        assert!(is_fenced);
    }

    /// Nothing more comes of an upload: its owner says how it ended.
    pub fn last_without_more(&mut self, owner: &mut Process, upload: &str) -> StatusRecord {
        self.fall_silent(owner);
        self.last_of(upload)
    }

    /// Nothing comes for the idle timeout.
    pub fn fall_silent(&mut self, owner: &mut Process) {
        self.now_ms += IDLE.as_millis() as u64 + 1_000;
        self.rest(owner, None);
    }

    /// An owner who has begun reads one record more, and then nothing until what is open stalls.
    pub fn pause(&mut self, owner: &mut Process) {
        for records in [0, 1, 0, 0] {
            self.now_ms += IDLE.as_millis() as u64 / 10;
            self.app.brokers.lock().now_ms = self.now_ms;
            owner.turn(0, &self.app, self.now_ms, records, true);
        }
    }

    /// First record that the group has not processed.
    pub fn committed(&self) -> Option<Offset> {
        match self.app.brokers.lock().group.committed.get(&0)? {
            Committed::Ours(progress) => Some(progress.next),
            Committed::Reset(_) | Committed::None => None,
        }
    }

    /// The last status of an upload.
    pub fn last_of(&self, upload: &str) -> StatusRecord {
        let cluster = self.app.brokers.lock();
        oracle::statuses(&cluster, &self.app.topology)
            .filter(|status| status.upload == upload)
            .last()
            .expect("a status")
    }

    /// First offset and revision of each end that was said of an id.
    pub fn revisions(&self, upload: &str) -> Vec<(i64, u32)> {
        let cluster = self.app.brokers.lock();
        let ends = oracle::statuses(&cluster, &self.app.topology)
            .filter(|status| status.upload == upload && status.state.outcome().is_some());
        ends.map(|status| (status.offsets.first.0, status.revision)).collect()
    }

    pub fn ends(&self) -> Vec<(String, UploadState, u64)> {
        let cluster = self.app.brokers.lock();
        let ends = oracle::statuses(&cluster, &self.app.topology).filter(|status| status.state.outcome().is_some());
        ends.map(|StatusRecord { upload, state, accounting, .. }| (upload, state, accounting.written)).collect()
    }
}

/// The end of an upload that has failed.
pub fn failed(upload: &str) -> (String, UploadState, u64) {
    (upload.to_owned(), UploadState::Failed, 0)
}

//! Faults on purpose, for tests of clients: they are planned beforehand, so that a test is the same test every time.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use super::lock;

/// The fault of a request or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is obeyed, and its answer says that the client is throttled for this long (Produce and Fetch).
    Throttle(Duration),
    /// The request is refused with this error code, and nothing is done (Produce).
    Refuse(i16),
    /// The request is obeyed, and the connection is closed instead of an answer.
    DropAnswer,
    /// The request is obeyed at once and answered late.
    LateAnswer(Duration),
    /// The request is neither obeyed nor answered; the connection stays open.
    Silence,
    /// The answer trickles: so many bytes, then a pause.
    SlowBytes {
        /// Bytes at a time.
        bytes: usize,
        /// Between them.
        pause: Duration,
    },
}

/// Requests that a test may aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Writing records.
    Produce,
    /// Reading records.
    Fetch,
    /// Looking topics up.
    Metadata,
    /// Membership by KIP-848.
    ConsumerGroupHeartbeat,
    /// Committing offsets.
    OffsetCommit,
    /// Reading them back.
    OffsetFetch,
    /// Ending a transaction.
    EndTxn,
}

impl Request {
    fn is(self, api: ApiKey) -> bool {
        let of = match self {
            Request::Produce => ApiKey::Produce,
            Request::Fetch => ApiKey::Fetch,
            Request::Metadata => ApiKey::Metadata,
            Request::ConsumerGroupHeartbeat => ApiKey::ConsumerGroupHeartbeat,
            Request::OffsetCommit => ApiKey::OffsetCommit,
            Request::OffsetFetch => ApiKey::OffsetFetch,
            Request::EndTxn => ApiKey::EndTxn,
        };
        of == api
    }
}

/// Operations on a topic that may be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Seeing that it is there.
    Describe,
    /// Reading records.
    Read,
    /// Writing records.
    Write,
}

/// The script of a broker.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    leaderless: Mutex<BTreeSet<(String, i32)>>,
    denied: Mutex<BTreeSet<(String, Operation)>>,
    rotten: Mutex<Vec<Vec<u8>>>,
    frozen: watch::Sender<bool>,
}

#[derive(Debug)]
struct Rule {
    request: Request,
    skip: u32,
    times: u32,
    fault: Fault,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            rules: Mutex::default(),
            leaderless: Mutex::default(),
            denied: Mutex::default(),
            rotten: Mutex::default(),
            frozen: watch::Sender::new(false),
        }
    }
}

impl Faults {
    /// The next `times` requests of a kind meet a fault, after `skip` that do not.
    pub fn script(&self, request: Request, skip: u32, times: u32, fault: Fault) {
        lock(&self.rules).push(Rule { request, skip, times, fault });
    }
    /// Takes a partition's leader away or gives it back.
    pub fn set_leaderless(&self, topic: &str, partition: i32, leaderless: bool) {
        let at = (topic.to_owned(), partition);
        let mut all = lock(&self.leaderless);
        if leaderless {
            all.insert(at)
        } else {
            all.remove(&at)
        };
    }
    /// Nobody has the right to `operation` on a topic any more.
    pub fn deny(&self, topic: &str, operation: Operation) {
        lock(&self.denied).insert((topic.to_owned(), operation));
    }
    /// From now on records that hold `text` are read with another first letter of it, and the checksum of their batch is as it was.
    pub fn rot(&self, text: &[u8]) {
        lock(&self.rotten).push(text.to_owned());
    }
    /// Nothing is answered any more, connections stay open: as a stopped process.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }
    /// Lets it continue where it was.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// The fault that this request meets.
    pub(super) fn meet(&self, api: ApiKey) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| rule.request.is(api) && rule.times > 0)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }
    /// Records as they are read.
    pub(super) fn read(&self, records: Bytes) -> Bytes {
        let rotten = lock(&self.rotten);
        if rotten.is_empty() {
            return records;
        }
        let mut records = records.to_vec();
        for text in rotten.iter() {
            while let Some(at) = memchr::memmem::find(&records, text) {
                records[at] ^= 1;
            }
        }
        records.into()
    }
    pub(super) fn is_leaderless(&self, topic: &str, partition: i32) -> bool {
        let leaderless = lock(&self.leaderless);
        !leaderless.is_empty() && leaderless.contains(&(topic.to_owned(), partition))
    }
    pub(super) fn is_denied(&self, topic: &str, operation: Operation) -> bool {
        let denied = lock(&self.denied);
        !denied.is_empty() && denied.contains(&(topic.to_owned(), operation))
    }
    /// Returns at once unless frozen.
    pub(super) async fn thawed(&self) {
        // The sender lives as long as the broker; when it goes the connection goes too.
        self.frozen.subscribe().wait_for(|frozen| !frozen).await.ok();
    }
}

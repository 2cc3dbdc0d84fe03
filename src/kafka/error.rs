//! Errors between us and a broker, and the errors of the transport that they become.

use std::fmt;
use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::record::{LogId, Offset, TopicPartition};
use crate::transport::TransportError;

/// Name of codes that the protocol does not have.
const UNKNOWN: &str = "UNKNOWN";

/// An error code of the Kafka protocol; prints as its name and number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub i16);

impl Code {
    pub(crate) const OFFSET_OUT_OF_RANGE: Code = Code(1);
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: Code = Code(3);
    pub(crate) const MESSAGE_TOO_LARGE: Code = Code(10);
    pub(crate) const RECORD_LIST_TOO_LARGE: Code = Code(18);
    pub(crate) const NOT_ENOUGH_REPLICAS: Code = Code(19);
    pub(crate) const NOT_ENOUGH_REPLICAS_AFTER_APPEND: Code = Code(20);
    pub(crate) const ILLEGAL_GENERATION: Code = Code(22);
    pub(crate) const INCONSISTENT_GROUP_PROTOCOL: Code = Code(23);
    pub(crate) const REBALANCE_IN_PROGRESS: Code = Code(27);
    pub(crate) const UNSUPPORTED_SASL_MECHANISM: Code = Code(33);
    pub(crate) const ILLEGAL_SASL_STATE: Code = Code(34);
    pub(crate) const UNKNOWN_MEMBER_ID: Code = Code(25);
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: Code = Code(29);
    pub(crate) const OFFSET_METADATA_TOO_LARGE: Code = Code(12);
    pub(crate) const GROUP_AUTHORIZATION_FAILED: Code = Code(30);
    pub(crate) const CLUSTER_AUTHORIZATION_FAILED: Code = Code(31);
    pub(crate) const INVALID_TIMESTAMP: Code = Code(32);
    pub(crate) const UNSUPPORTED_VERSION: Code = Code(35);
    pub(crate) const TOPIC_ALREADY_EXISTS: Code = Code(36);
    pub(crate) const OUT_OF_ORDER_SEQUENCE: Code = Code(45);
    pub(crate) const DUPLICATE_SEQUENCE: Code = Code(46);
    pub(crate) const UNKNOWN_PRODUCER_ID: Code = Code(59);
    pub(crate) const MEMBER_ID_REQUIRED: Code = Code(79);
    pub(crate) const FENCED_INSTANCE_ID: Code = Code(82);
    pub(crate) const INVALID_PRODUCER_EPOCH: Code = Code(47);
    pub(crate) const INVALID_PRODUCER_ID_MAPPING: Code = Code(49);
    pub(crate) const INVALID_TRANSACTION_TIMEOUT: Code = Code(50);
    pub(crate) const CONCURRENT_TRANSACTIONS: Code = Code(51);
    pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Code = Code(53);
    pub(crate) const UNKNOWN_TOPIC_ID: Code = Code(100);
    pub(crate) const FENCED_MEMBER_EPOCH: Code = Code(110);
    pub(crate) const UNRELEASED_INSTANCE_ID: Code = Code(111);
    pub(crate) const GROUP_ID_NOT_FOUND: Code = Code(69);
    pub(crate) const STALE_MEMBER_EPOCH: Code = Code(113);
    pub(crate) const STREAMS_INVALID_TOPOLOGY: Code = Code(130);
    pub(crate) const STREAMS_INVALID_TOPOLOGY_EPOCH: Code = Code(131);
    pub(crate) const STREAMS_TOPOLOGY_FENCED: Code = Code(132);

    /// `Ok` for 0.
    pub(crate) fn check(code: i16) -> Result<(), Code> {
        if code == 0 { Ok(()) } else { Err(Code(code)) }
    }
    /// A state that passes by itself: elections, loading coordinators, overload, a marker that is still being written.
    pub fn is_transient(self) -> bool {
        matches!(
            self.0,
            3 | 5 | 6 | 7 | 8 | 9 | 13 | 14 | 15 | 16 | 19 | 20 | 41 | 51 | 56 | 74 | 75 | 78 | 88 | 89 | 100 | 103
        )
    }
    /// The place we asked is no longer the right one.
    pub(crate) fn is_wrong_broker(self) -> bool {
        matches!(self.0, 3 | 5 | 6 | 9 | 15 | 16 | 41 | 56 | 74 | 75 | 100 | 103)
    }
    /// The protocol's name for it; `UNKNOWN` for a number that the protocol does not have, so that names are a closed list.
    pub fn name(self) -> String {
        let known = ResponseError::try_from_code(self.0).filter(|error| !matches!(error, ResponseError::Unknown(_)));
        let Some(error) = known else { return UNKNOWN.to_owned() };
        let mut name = String::new();
        for c in format!("{error:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
        name
    }
    fn is_fenced(self) -> bool {
        matches!(self.0, 22 | 25 | 47 | 82 | 90 | 110 | 113)
    }
    /// A right or a proof of who we are is missing.
    pub(crate) fn is_unauthorised(self) -> bool {
        matches!(self.0, 29 | 30 | 31 | 33 | 34 | 53 | 58 | 65)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            name if name == UNKNOWN => write!(f, "({})", self.0),
            name => write!(f, "{name} ({})", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What follows a code: the broker's message, or what to do about a code that comes without one.
fn why(code: Code, message: &str) -> String {
    match (code, message) {
        (Code::NOT_ENOUGH_REPLICAS | Code::NOT_ENOUGH_REPLICAS_AFTER_APPEND, "") => {
            ": fewer replicas are in sync than min.insync.replicas wants; bring brokers back, or wait until a reassignment is done".into()
        }
        (Code::CONCURRENT_TRANSACTIONS, "") => {
            ": the transaction before has not ended yet; if that lasts, the log of the broker that coordinates it says why, and its restart helps".into()
        }
        (_, "") => String::new(),
        _ => format!(": {message}"),
    }
}

/// Why a call to Kafka failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KafkaError {
    /// No connection, or it broke.
    #[error("{address}: {message}")]
    Connection {
        /// Broker, `host:port`.
        address: String,
        /// The error of the operating system.
        message: String,
    },
    /// The two ends do not agree on TLS or SASL, or one does not believe the other: certificates, credentials, the kind of listener.
    #[error("{address}: {message}")]
    Security {
        /// Broker, `host:port`, or where a token comes from.
        address: String,
        /// The fault and the remedy.
        message: String,
    },
    /// User and password, or a token, were refused.
    #[error("{address}: {message}")]
    Credentials {
        /// Broker, `host:port`, or where a token comes from.
        address: String,
        /// Who refused whom, and what to do.
        message: String,
    },
    /// A broker took the request and did not answer.
    #[error("{address}: no answer to {api} within {limit:?}")]
    Silent {
        /// Broker, `host:port`.
        address: String,
        /// Request.
        api: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// A broker refused.
    #[error("{address}: {api}: {code}{}", why(*code, message))]
    Refused {
        /// Broker, `host:port`.
        address: String,
        /// Request.
        api: &'static str,
        /// Its error code.
        code: Code,
        /// The broker's own message; may be empty.
        message: String,
    },
    /// Bytes that are not what the protocol says.
    #[error("{address}: {api}: {message}")]
    Malformed {
        /// Broker, `host:port`.
        address: String,
        /// Request.
        api: &'static str,
        /// The finding.
        message: String,
    },
    /// Broker and client share no version of an API.
    #[error(
        "{address}: {api}: the broker serves versions {served}, this client {ours}; docs/kafka.md has the versions that serve all of them"
    )]
    Version {
        /// Broker, `host:port`.
        address: String,
        /// Request.
        api: &'static str,
        /// Versions that the broker serves.
        served: String,
        /// Versions that this client speaks.
        ours: String,
    },
    /// A topic is missing, or is not what it must be.
    #[error("{topic}: {message}")]
    Topic {
        /// Topic.
        topic: String,
        /// The fault and the remedy.
        message: String,
    },
    /// A partition that the broker we asked does not know, or not yet: added ones are known everywhere after a moment.
    #[error("{partition}: the topic has {count} partitions")]
    Partition {
        /// The partition.
        partition: TopicPartition,
        /// Partitions of the topic, as that broker knows it.
        count: i32,
    },
    /// No leader is known for a partition.
    #[error("{0}: no leader at present")]
    Leaderless(TopicPartition),
    /// An offset that the log does not hold.
    #[error("{partition}: offset {at} is outside the log, {start} to {end}")]
    OutOfRange {
        /// Which log.
        partition: TopicPartition,
        /// Offset that was asked for.
        at: Offset,
        /// First offset of the log.
        start: Offset,
        /// End of the log.
        end: Offset,
    },
    /// A record that the topic does not take.
    #[error("{topic}: a record of {bytes} bytes; the topic takes {limit}: raise its max.message.bytes")]
    TooLarge {
        /// Topic.
        topic: String,
        /// Size of the batch that holds the record alone.
        bytes: usize,
        /// `max.message.bytes` of the topic, or "less".
        limit: String,
    },
    /// Another process has joined a group under our instance id.
    #[error(
        "another process joined group {group} as instance \"{instance}\" and took our place: give each process an --instance-id of its own"
    )]
    Replaced {
        /// The group.
        group: String,
        /// The name.
        instance: String,
    },
    /// A broker does not take the time of our records.
    #[error(
        "{topic}: the broker refuses records of this machine's time, {time_ms} ms since 1970: it is further from the broker's clock than the topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms allow; set the clocks by NTP, or raise these settings: `sheetstream doctor` looks at both"
    )]
    Clock {
        /// Topic.
        topic: String,
        /// Our time when it was refused, in milliseconds since 1970.
        time_ms: i64,
    },
    /// A topic under its name is another than the one that was read.
    #[error("{partition} is of topic id {now}, and {was} was read before: the topic was deleted and made anew")]
    AnotherLog {
        /// The partition.
        partition: TopicPartition,
        /// The id of the topic that was read.
        was: LogId,
        /// The id that the topic has now.
        now: LogId,
    },
    /// The log was cut below what was read.
    #[error("{partition} was cut at {end}, and had been read up to {read_to}")]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// First offset that was not read yet.
        read_to: Offset,
        /// First offset from which on the log is another.
        end: Offset,
    },
    /// It is not known whether a transaction was committed; only a new producer under its id finds out.
    #[error(
        "the outcome of the last transaction of {id} is not known; its task begins anew and reads what was committed"
    )]
    Transaction {
        /// Transactional id.
        id: String,
    },
    /// rskafka's words for any of the above.
    #[error("rskafka: {message}")]
    Rskafka {
        /// Its error text.
        message: String,
        /// True when another try may help.
        transient: bool,
    },
    /// The retries of one operation took too long.
    #[error("{operation}: gave up after {} s: {last}", after.as_secs())]
    Deadline {
        /// The operation.
        operation: &'static str,
        /// Since the first failure.
        after: Duration,
        /// The last failure.
        last: Box<KafkaError>,
    },
    /// The client is being closed, or the runtime behind it is gone.
    #[error("the Kafka client is shutting down")]
    ShutDown,
}

impl KafkaError {
    /// Worth another try, elsewhere or later.
    pub fn is_transient(&self) -> bool {
        match self {
            KafkaError::Connection { .. }
            | KafkaError::Silent { .. }
            | KafkaError::Partition { .. }
            | KafkaError::Leaderless(_) => true,
            KafkaError::Refused { code, .. } => code.is_transient(),
            KafkaError::Rskafka { transient, .. } => *transient,
            KafkaError::Security { .. }
            | KafkaError::Credentials { .. }
            | KafkaError::Malformed { .. }
            | KafkaError::Version { .. }
            | KafkaError::Topic { .. }
            | KafkaError::OutOfRange { .. }
            | KafkaError::TooLarge { .. }
            | KafkaError::Replaced { .. }
            | KafkaError::Clock { .. }
            | KafkaError::AnotherLog { .. }
            | KafkaError::Truncated { .. }
            | KafkaError::Transaction { .. }
            | KafkaError::Deadline { .. }
            | KafkaError::ShutDown => false,
        }
    }
    /// A word for metric labels: the name of the broker's code, or what went wrong before there was one.
    pub fn label(&self) -> String {
        match self {
            KafkaError::Refused { code, .. } => code.name(),
            KafkaError::Connection { .. } => "connection".into(),
            KafkaError::Security { .. } => "security".into(),
            KafkaError::Credentials { .. } => "credentials".into(),
            KafkaError::Silent { .. } => "timeout".into(),
            KafkaError::Malformed { .. } => "malformed".into(),
            KafkaError::Version { .. } => "version".into(),
            KafkaError::Topic { .. }
            | KafkaError::Partition { .. }
            | KafkaError::Leaderless(_)
            | KafkaError::OutOfRange { .. }
            | KafkaError::TooLarge { .. }
            | KafkaError::Replaced { .. }
            | KafkaError::Clock { .. }
            | KafkaError::AnotherLog { .. }
            | KafkaError::Truncated { .. }
            | KafkaError::Transaction { .. }
            | KafkaError::Rskafka { .. }
            | KafkaError::Deadline { .. }
            | KafkaError::ShutDown => "other".into(),
        }
    }
    /// The code, if a broker gave one.
    pub fn code(&self) -> Option<Code> {
        match self {
            KafkaError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<KafkaError> for TransportError {
    fn from(error: KafkaError) -> TransportError {
        let text = error.to_string();
        match error {
            KafkaError::Connection { .. }
            | KafkaError::Silent { .. }
            | KafkaError::Partition { .. }
            | KafkaError::Leaderless(_)
            | KafkaError::Transaction { .. }
            | KafkaError::Deadline { .. }
            | KafkaError::ShutDown
            | KafkaError::Rskafka { transient: true, .. } => TransportError::Unavailable(text),
            KafkaError::Security { .. } | KafkaError::Credentials { .. } => TransportError::Unauthorised(text),
            KafkaError::Refused { code, .. } if code.is_fenced() => TransportError::Fenced(text),
            KafkaError::Refused { code, .. } if code.is_unauthorised() => TransportError::Unauthorised(text),
            KafkaError::Refused { code, .. } if code.is_transient() => TransportError::Unavailable(text),
            KafkaError::Topic { .. } => TransportError::Topic(text),
            KafkaError::TooLarge { .. } => TransportError::TooLarge(text),
            KafkaError::Replaced { .. } => TransportError::Replaced(text),
            KafkaError::Clock { .. } => TransportError::Clock(text),
            KafkaError::AnotherLog { .. } => TransportError::AnotherLog(text),
            KafkaError::Truncated { partition, read_to, end } => TransportError::Truncated { partition, read_to, end },
            KafkaError::OutOfRange { at, start, partition, .. } => TransportError::OutOfRange {
                at,
                log_start: start,
                hint: format!(
                    "{partition} no longer holds it: raise retention.ms or retention.bytes of the topic above the longest time an upload stays open"
                ),
            },
            KafkaError::Refused { .. }
            | KafkaError::Malformed { .. }
            | KafkaError::Version { .. }
            | KafkaError::Rskafka { transient: false, .. } => TransportError::Failed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_broker_s_message_or_what_to_do() {
        let refused = |code, message: &str| KafkaError::Refused {
            address: "a:1".into(),
            api: "Produce",
            code: Code(code),
            message: message.into(),
        };
        let last = Box::new(refused(19, ""));
        let gave_up = KafkaError::Deadline { operation: "produce", after: Duration::from_millis(11_234), last };
        assert_eq!(
            TransportError::from(gave_up).to_string(),
            "Kafka is unavailable: produce: gave up after 11 s: a:1: Produce: NOT_ENOUGH_REPLICAS (19): fewer replicas are in sync than \
             min.insync.replicas wants; bring brokers back, or wait until a reassignment is done"
        );
        assert_eq!(refused(19, "no").to_string(), "a:1: Produce: NOT_ENOUGH_REPLICAS (19): no");
        assert_eq!(refused(7, "").to_string(), "a:1: Produce: REQUEST_TIMED_OUT (7)");
    }

    #[test]
    fn codes_print_their_protocol_name() {
        assert_eq!(Code(6).to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(Code(113).to_string(), "STALE_MEMBER_EPOCH (113)");
        assert_eq!(Code(9999).to_string(), "(9999)");
    }

    #[test]
    fn a_refused_commit_of_a_former_owner_is_fenced() {
        for code in [22, 25, 110, 113] {
            let refused = KafkaError::Refused {
                address: "b:9092".into(),
                api: "OffsetCommit",
                code: Code(code),
                message: String::new(),
            };
            assert!(matches!(TransportError::from(refused), TransportError::Fenced(_)), "{code}");
        }
    }
}

//! Reads the input. Committed records are read by the wire reader. Under `read_uncommitted` rskafka fetches a partition for as long as it can;
//! what it cannot read (transaction markers, null headers, damaged batches) or does not survive (a leader that falls silent, a quota) makes
//! the partition go over to the wire reader for good.

use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::ClientBuilder;
use rskafka::client::error::{Error as RskafkaError, ProtocolError, RequestError};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::record::RecordAndOffset;
use tokio::time::{Instant, timeout};

pub use super::ingest_buffer::{IngestHandle, Waker};

use super::ingest_buffer::IngestBuffer;
use super::read_committed::{PartitionReader, confirm_log};
use super::wire::cluster::Cluster;
use super::wire::frame::FRAME_BYTES_MAX;
use super::wire::rights::Resource;
use super::{Code, Isolation, KafkaClient, KafkaError};
use crate::metrics;
use crate::record::{Header, Offset, Record, TopicPartition};
use crate::transport::{Fetched, ReadFrom};

/// How long the broker holds an empty answer back.
const WAIT: Duration = Duration::from_millis(500);
/// Bytes asked for at once; the broker sends a larger first batch whole.
const FETCH_BYTES: i32 = 1 << 20;
/// How often the start of the log is asked for; only a refresh, since a fetch below it fails.
const LOG_START_EVERY: Duration = Duration::from_secs(5);
/// Empty answers below the high watermark before rskafka is believed to be stuck in front of something it skips.
const STARVED_MAX: u32 = 3;

/// Starts to read `partition` from `from` on the client's runtime. `waker` is called whenever [`IngestHandle::try_next`] has something.
///
/// A `from` that the log does not hold is [`crate::transport::TransportError::OutOfRange`]; a log that shrinks from below while it is read
/// is [`Fetched::lost`]. When `bytes_max` wait, nothing more is fetched.
pub fn spawn(
    client: &KafkaClient,
    partition: TopicPartition,
    from: impl Into<ReadFrom>,
    waker: Waker,
    bytes_max: usize,
) -> IngestHandle {
    let from = from.into();
    let buffer = IngestBuffer::new(waker, metrics::fetched_bytes(&partition.topic), bytes_max);
    let ingest = Ingest {
        source: match client.config().isolation {
            Isolation::ReadUncommitted => Source::Rskafka(Box::new(RskafkaReader::new(client, &partition, from))),
            Isolation::ReadCommitted => Source::wire(&client.cluster, &partition, from),
        },
        cluster: client.cluster.clone(),
        partition,
        buffer: buffer.clone(),
    };
    let task = client.handle.spawn(async move {
        let buffer = ingest.buffer.clone();
        if let Err(error) = ingest.run(from.next).await {
            buffer.push(Err(error.into()), true);
        }
    });
    IngestHandle::new(buffer, task.abort_handle())
}

struct Ingest {
    cluster: Arc<Cluster>,
    partition: TopicPartition,
    source: Source,
    buffer: Arc<IngestBuffer>,
}

enum Source {
    Rskafka(Box<RskafkaReader>),
    Wire(PartitionReader),
}

enum Trouble {
    /// rskafka will never get past this.
    HandOver(String),
    Kafka(KafkaError),
}

impl Trouble {
    /// Our own requests are counted by their connection; this one is of rskafka's.
    fn count(&self) {
        let label = match self {
            Trouble::HandOver(_) => "malformed".to_owned(),
            Trouble::Kafka(error) => error.label(),
        };
        metrics::kafka_request_errors("Fetch", &label).inc();
    }
}

impl Source {
    fn wire(cluster: &Arc<Cluster>, partition: &TopicPartition, from: ReadFrom) -> Source {
        let isolation = cluster.config.isolation;
        Source::Wire(PartitionReader::new(cluster.clone(), partition.clone(), from, isolation))
    }
    async fn fetch(&mut self) -> Result<Fetched, Trouble> {
        match self {
            Source::Rskafka(reader) => reader.fetch().await,
            Source::Wire(reader) => reader.fetch(WAIT).await.map_err(Trouble::Kafka),
        }
    }
    fn position(&self) -> ReadFrom {
        match self {
            Source::Rskafka(reader) => reader.from,
            Source::Wire(reader) => reader.position(),
        }
    }
    fn seek(&mut self, next: Offset) {
        match self {
            Source::Rskafka(reader) => reader.from.next = next,
            Source::Wire(reader) => reader.seek(next),
        }
    }
}

impl Ingest {
    /// Reads until an error that does not pass.
    async fn run(mut self, from: Offset) -> Result<(), KafkaError> {
        let mut backoff = self.cluster.backoff("fetch");
        let (mut next, mut begun) = (from, false);
        loop {
            self.buffer.room().await;
            match self.source.fetch().await {
                Ok(fetched) => {
                    backoff.reset();
                    begun = true;
                    let moved = fetched.next > next;
                    next = fetched.next;
                    self.buffer.push(Ok(fetched), moved);
                }
                Err(Trouble::HandOver(reason)) => {
                    tracing::warn!(partition = %self.partition, offset = %next, reason, "rskafka cannot read on; the wire reader takes over");
                    let from = ReadFrom { next, ..self.source.position() };
                    self.source = Source::wire(&self.cluster, &self.partition, from);
                }
                Err(Trouble::Kafka(error)) if error.code() == Some(Code::OFFSET_OUT_OF_RANGE) => {
                    match self.beyond_bounds(next, begun).await {
                        Ok(fetched) => {
                            next = fetched.next;
                            self.buffer.push(Ok(fetched), true);
                        }
                        Err(error) => backoff.wait(error).await?,
                    }
                }
                Err(Trouble::Kafka(error)) => backoff.wait(error).await?,
            }
        }
    }

    /// The log does not hold `next`: continues behind records that were deleted while it was read, or says what has become of it.
    async fn beyond_bounds(&mut self, next: Offset, begun: bool) -> Result<Fetched, KafkaError> {
        let bounds = self.cluster.bounds(&self.partition, Isolation::ReadUncommitted).await?;
        // Who asks by name was answered by whatever log has the name, and so were we.
        confirm_log(&self.cluster, &self.partition, &mut self.source.position()).await?;
        let (partition, start, end) = (self.partition.clone(), bounds.start, bounds.end);
        if (start..=end).contains(&next) {
            // A replica that does not hold it yet has just become the leader.
            return Err(KafkaError::Leaderless(partition));
        }
        if next > end {
            return Err(KafkaError::Truncated { partition, read_to: next, end });
        }
        if !begun {
            return Err(KafkaError::OutOfRange { partition, at: next, start, end });
        }
        tracing::error!(%partition, from = %next, to = %start, "records were deleted before they were read");
        self.source.seek(start);
        let lost = vec![next..start];
        Ok(Fetched { lost, next: start, high_watermark: end, log_start: start, ..Fetched::default() })
    }
}

/// One partition through rskafka. After any error the connection is made anew: that refreshes the leader, which rskafka by itself would
/// take from its first look at the cluster.
struct RskafkaReader {
    cluster: Arc<Cluster>,
    partition: TopicPartition,
    from: ReadFrom,
    connection: Option<PartitionClient>,
    log_start: Offset,
    log_start_at: Option<Instant>,
    starved: u32,
    requests: metrics::Counter,
}

impl RskafkaReader {
    fn new(client: &KafkaClient, partition: &TopicPartition, from: ReadFrom) -> RskafkaReader {
        RskafkaReader {
            cluster: client.cluster.clone(),
            partition: partition.clone(),
            from,
            connection: None,
            log_start: Offset(0),
            log_start_at: None,
            starved: 0,
            requests: metrics::kafka_requests("Fetch"),
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, Trouble> {
        let limit = self.cluster.config.request_timeout;
        if self.cluster.config.security.tls.is_some() && self.cluster.addresses().iter().any(|a| a.starts_with('[')) {
            return Err(Trouble::HandOver(
                "it does not speak TLS with brokers that are named by an IPv6 address".into(),
            ));
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(limit).await.map_err(Trouble::Kafka)?,
        };
        if self.log_start_at.is_none_or(|at| at.elapsed() > LOG_START_EVERY) {
            let bounds = self.cluster.bounds(&self.partition, Isolation::ReadUncommitted).await;
            self.log_start = bounds.map_err(Trouble::Kafka)?.start;
            self.log_start_at = Some(Instant::now());
        }
        let at = self.from.next;
        self.requests.inc();
        // rskafka itself waits for ever on a socket that stays silent.
        let fetch = connection.fetch_records(at.0, 1..FETCH_BYTES, WAIT.as_millis() as i32);
        let (records, high_watermark) = match timeout(WAIT + limit, fetch).await {
            Ok(answer) => answer.map_err(|error| trouble(error, &self.partition.topic)).inspect_err(Trouble::count)?,
            Err(_) => return Err(Trouble::HandOver(format!("the leader was silent for {:?}", WAIT + limit))),
        };
        let mut fetched =
            Fetched { high_watermark: Offset(high_watermark), log_start: self.log_start, ..Fetched::default() };
        fetched.records.reserve(records.len());
        for record in records {
            let offset = Offset(record.offset);
            if offset > self.from.next {
                fetched.lost.push(self.from.next..offset);
            }
            self.from.next = offset.next();
            fetched.records.push(own(record));
        }
        fetched.next = self.from.next;
        if self.from.next > at {
            // rskafka asks by name.
            let log = confirm_log(&self.cluster, &self.partition, &mut self.from).await;
            fetched.log = log.map_err(Trouble::Kafka)?;
        }
        self.starved = if self.from.next == at && at.0 < high_watermark { self.starved + 1 } else { 0 };
        if self.starved >= STARVED_MAX {
            return Err(Trouble::HandOver("no records come although the log has more".into()));
        }
        self.connection = Some(connection);
        Ok(fetched)
    }

    async fn connect(&mut self, limit: Duration) -> Result<PartitionClient, KafkaError> {
        // Asked first, because rskafka's own look-up would create a missing topic.
        confirm_log(&self.cluster, &self.partition, &mut self.from).await?;
        let config = &self.cluster.config;
        let backoff = BackoffConfig {
            max_backoff: Duration::from_secs(2),
            base: 2.,
            deadline: Some(Duration::from_secs(4)), // ours, above it, is the one that counts
            ..BackoffConfig::default()
        };
        let connect = async {
            let mut builder = ClientBuilder::new(self.cluster.addresses())
                .client_id(config.client_id.as_str())
                .max_message_size(FRAME_BYTES_MAX)
                .backoff_config(backoff);
            if let Some(tls) = &config.security.tls {
                builder = builder.tls_config(tls.config());
            }
            if let Some(sasl) = &config.security.sasl {
                builder = builder.sasl_config(sasl.for_rskafka());
            }
            let client = builder.build().await?;
            let topic = self.partition.topic.to_string();
            client.partition_client(topic, self.partition.partition, UnknownTopicHandling::Error).await
        };
        let silent = |_| KafkaError::Rskafka { message: format!("no connection within {limit:?}"), transient: true };
        timeout(limit, connect).await.map_err(silent)?.map_err(|error| match trouble(error, &self.partition.topic) {
            Trouble::Kafka(error) => error,
            Trouble::HandOver(message) => KafkaError::Rskafka { message, transient: true },
        })
    }
}

fn own(RecordAndOffset { record, offset }: RecordAndOffset) -> Record {
    let header = |(name, value): (String, Vec<u8>)| Header { name: name.into(), value: Some(value.into()) };
    Record {
        offset: Offset(offset),
        timestamp_ms: record.timestamp.timestamp_millis(),
        is_append_time: false, // rskafka does not say
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: record.headers.into_iter().map(header).collect(),
        passed_from: None,
    }
}

/// Sorts rskafka's errors: what it cannot decode it will never decode.
fn trouble(error: RskafkaError, topic: &str) -> Trouble {
    let refused = |code| {
        let message = Resource::topic(topic).missing_right("Fetch", code).unwrap_or_default();
        let address = "rskafka".into();
        Trouble::Kafka(KafkaError::Refused { address, api: "Fetch", code, message })
    };
    match error {
        RskafkaError::Request(
            RequestError::ReadVersionedError(_) | RequestError::ReadError(_) | RequestError::TooMuchData { .. },
        )
        | RskafkaError::InvalidResponse(_)
        | RskafkaError::ServerError { protocol_error: ProtocolError::CorruptMessage, .. } => {
            Trouble::HandOver(error.to_string())
        }
        RskafkaError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. } => {
            refused(Code::OFFSET_OUT_OF_RANGE)
        }
        RskafkaError::ServerError { protocol_error: ProtocolError::TopicAuthorizationFailed, .. } => {
            refused(Code::TOPIC_AUTHORIZATION_FAILED)
        }
        error => Trouble::Kafka(KafkaError::Rskafka { message: error.to_string(), transient: true }),
    }
}

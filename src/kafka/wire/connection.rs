//! One connection to one broker: correlation ids, versions, and a deadline on every call. Who to ask is `cluster`'s business, who
//! either end is `security`'s.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::{Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::frame::{self, api_name};
use super::listener::{self, Expectation};
use super::reach::Reach;
use super::refusals::Refusals;
use super::rights::Resource;
use super::socket::Socket;
use super::text::text;
use crate::kafka::group::Protocol;
use crate::kafka::security::Security;
use crate::kafka::{Code, KafkaConfig, KafkaError};
use crate::metrics;

/// Requests that wait for the socket; more than this many callers wait with them.
const QUEUE: usize = 16;

/// Answers come in the order of the requests.
type Awaited = Arc<Mutex<VecDeque<(i32, oneshot::Sender<Bytes>)>>>;

struct Outgoing {
    correlation: i32,
    frame: Bytes,
    answer: oneshot::Sender<Bytes>,
}

/// A connection. It closes when it is dropped. A call that times out closes it too, since a late answer cannot be distinguished from a
/// stall.
pub struct Connection {
    peer: Arc<Peer>,
    client_id: StrBytes,
    timeout: Duration,
    outgoing: mpsc::Sender<Outgoing>,
    task: AbortHandle,
    next: AtomicI32,
    reach: Arc<Reach>,
    versions: HashMap<i16, (i16, i16)>,
    /// Levels of the cluster's finalised features.
    features: HashMap<String, i16>,
    quiet: Quiet,
    /// When another connection has to take over: the broker ends this one's session soon after (KIP-368).
    renew_at: Option<Instant>,
}

/// Until when the broker serves nothing more on a connection: it said so in an answer (KIP-219).
#[derive(Clone, Debug, Default)]
struct Quiet(Arc<Mutex<Option<Instant>>>);

impl Quiet {
    fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn extend(&self, until: Instant) {
        let mut quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet = (*quiet).max(Some(until));
    }
}

/// The other end, and how it went so far.
struct Peer {
    address: Arc<str>,
    security: Security,
    /// Answers so far.
    answers: AtomicU64,
    /// Why the connection ended, where TLS or the listener said so.
    ended: Mutex<Option<KafkaError>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects, proves who both ends are, and learns which versions the broker serves. `reach` hears of every request; `refusals` says
    /// when credentials may be shown.
    pub(in crate::kafka) async fn open(
        address: &str,
        config: &KafkaConfig,
        reach: &Arc<Reach>,
        refusals: &Refusals,
    ) -> Result<Connection, KafkaError> {
        let socket = Socket::connect(address, &config.security, config.connect_timeout).await;
        let socket = match socket {
            Err(error) if error.is_transient() && config.security.tls.is_some() => {
                Err(listener::explain(address, &config.security, Expectation::Tls).await.unwrap_or(error))
            }
            socket => socket,
        };
        let socket = socket.or_else(|error| reach.note("Connect", Err(error)))?;
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let peer = Arc::new(Peer {
            address: address.into(),
            security: config.security.clone(),
            answers: AtomicU64::new(0),
            ended: Mutex::default(),
        });
        let mut connection = Connection {
            peer: peer.clone(),
            client_id: text(&config.client_id),
            timeout: config.request_timeout,
            outgoing,
            task: tokio::spawn(serve(peer, socket, queue)).abort_handle(),
            next: 1.into(),
            reach: reach.clone(),
            versions: HashMap::new(),
            features: HashMap::new(),
            quiet: Quiet::default(),
            renew_at: None,
        };
        let hello = connection.send(&frame::hello(), frame::HELLO_VERSION, config.request_timeout).await;
        let answer = hello?.answer().await?;
        connection.check::<ApiVersionsRequest>(answer.error_code, None, Resource::CLUSTER)?;
        connection.features =
            answer.finalized_features.iter().map(|f| (f.name.to_string(), f.max_version_level)).collect();
        connection.versions = answer.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version))).collect();
        if let Some(sasl) = &config.security.sasl {
            let shown = refusals.show(address).await?;
            let authenticated = sasl.authenticate(&connection).await;
            let authenticated = authenticated.map_err(|error| refusals.note(address, error));
            let lifetime = authenticated.or_else(|error| reach.note("SaslAuthenticate", Err(error)))?;
            refusals.note_welcome();
            drop(shown);
            // Before four fifths are over, as clients of Kafka do at the earliest.
            connection.renew_at = lifetime.map(|lifetime| Instant::now() + lifetime * 4 / 5);
        }
        Ok(connection)
    }

    /// Broker, `host:port`.
    pub fn address(&self) -> &str {
        &self.peer.address
    }
    /// False once the socket broke, a call timed out, or the session is about to end.
    pub fn is_open(&self) -> bool {
        !self.outgoing.is_closed() && self.renew_at.is_none_or(|at| Instant::now() < at)
    }

    /// Level of a finalised feature of the cluster, 0 for one that is off (KIP-584). A broker serves requests of features that are off, and
    /// refuses them.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The newest protocol of consumer groups that the cluster has.
    pub fn group_protocol(&self) -> Protocol {
        if self.feature("group.version") > 0 { Protocol::Consumer } else { Protocol::Classic }
    }

    /// Whether the cluster has streams groups (KIP-1071).
    pub fn has_streams_groups(&self) -> bool {
        self.feature("streams.version") > 0
    }

    /// One request and its answer, in the highest version that both sides speak and that is not above `version_max`.
    pub async fn call<R: Request>(&self, request: &R, version_max: i16) -> Result<R::Response, KafkaError> {
        self.call_within(request, version_max, self.timeout).await
    }
    /// [`Connection::call`] with a limit of its own, for long polls.
    pub async fn call_within<R: Request>(
        &self,
        request: &R,
        version_max: i16,
        limit: Duration,
    ) -> Result<R::Response, KafkaError> {
        self.start(request, version_max, limit).await?.answer().await
    }
    /// Sends a request and does not wait for its answer: the way to have several in flight.
    pub async fn start<R: Request>(
        &self,
        request: &R,
        version_max: i16,
        limit: Duration,
    ) -> Result<Pending<R>, KafkaError> {
        self.send(request, self.version::<R>(version_max)?, limit).await
    }
    /// The version that [`Connection::call`] would use.
    pub fn version<R: Request>(&self, version_max: i16) -> Result<i16, KafkaError> {
        let ours = R::VERSIONS.min..=R::VERSIONS.max.min(version_max);
        let served = self.versions.get(&R::KEY).copied();
        let common = served.map(|(min, max)| (min.max(*ours.start()), max.min(*ours.end())));
        common.filter(|(min, max)| min <= max).map(|(_, max)| max).ok_or_else(|| KafkaError::Version {
            address: self.peer.address.to_string(),
            api: api_name::<R>(),
            served: served.map_or("none".into(), |(min, max)| format!("{min} to {max}")),
            ours: format!("{} to {}", ours.start(), ours.end()),
        })
    }
    /// Turns an error code of an answer to `R` into an error; one about rights says which right on `resource` is missing.
    pub fn check<R: Request>(
        &self,
        code: i16,
        message: Option<&StrBytes>,
        resource: Resource<'_>,
    ) -> Result<(), KafkaError> {
        Code::check(code).map_err(|code| {
            let api = api_name::<R>();
            metrics::kafka_request_errors(api, &code.name()).inc();
            let said = message.map(ToString::to_string).unwrap_or_default();
            let message = resource.missing_right(api, code).unwrap_or(said);
            KafkaError::Refused { address: self.peer.address.to_string(), api, code, message }
        })
    }
    /// Obeys the `throttle_time_ms` of an answer to `R`: for that long nothing is sent on this connection, and no answer is missed.
    pub fn throttle<R: Request>(&self, throttle_time_ms: i32) {
        let throttle = Duration::from_millis(u64::try_from(throttle_time_ms).unwrap_or(0));
        metrics::kafka_throttle(api_name::<R>()).inc_by(throttle.as_secs_f64());
        if !throttle.is_zero() {
            tracing::debug!(address = %self.peer.address, ?throttle, "a quota of the broker slows this client down");
            self.quiet.extend(Instant::now() + throttle);
        }
    }
    /// Two ends that do not agree on TLS or SASL.
    pub(in crate::kafka) fn insecure(&self, message: String) -> KafkaError {
        KafkaError::Security { address: self.peer.address.to_string(), message }
    }
    /// An answer to `R` that is not what it must be.
    pub fn malformed<R: Request>(&self, message: impl ToString) -> KafkaError {
        KafkaError::Malformed {
            address: self.peer.address.to_string(),
            api: api_name::<R>(),
            message: message.to_string(),
        }
    }

    async fn send<R: Request>(&self, request: &R, version: i16, limit: Duration) -> Result<Pending<R>, KafkaError> {
        if let Some(quiet) = self.quiet.until() {
            sleep_until(quiet).await;
        }
        let correlation = self.next.fetch_add(1, Ordering::Relaxed);
        metrics::kafka_requests(api_name::<R>()).inc();
        let frame = frame::encode(request, version, correlation, &self.client_id);
        let frame = frame.map_err(|error| self.malformed::<R>(error))?;
        let (answer, answered) = oneshot::channel();
        let pending = Pending {
            peer: self.peer.clone(),
            task: self.task.clone(),
            reach: self.reach.clone(),
            answered,
            version,
            limit,
            until: Instant::now() + limit,
            quiet: self.quiet.clone(),
            request: PhantomData,
        };
        match timeout_at(pending.until, self.outgoing.send(Outgoing { correlation, frame, answer })).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(_)) => self.reach.note(api_name::<R>(), Err(self.peer.why_closed().await)),
            Err(_) => self.reach.note(api_name::<R>(), Err(pending.silent())),
        }
    }
}

/// A request on its way. Dropped, its answer is ignored.
pub struct Pending<R> {
    peer: Arc<Peer>,
    task: AbortHandle,
    reach: Arc<Reach>,
    answered: oneshot::Receiver<Bytes>,
    version: i16,
    limit: Duration,
    until: Instant,
    quiet: Quiet,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Pending<R> {
    /// Waits for the answer, up to the limit that the request was sent with.
    /// May be dropped and called again; not after it has returned.
    pub async fn answer(&mut self) -> Result<R::Response, KafkaError> {
        let answered = self.wait().await;
        self.reach.note(api_name::<R>(), answered)
    }
    async fn wait(&mut self) -> Result<R::Response, KafkaError> {
        let frame = loop {
            match timeout_at(self.until, &mut self.answered).await {
                Ok(Ok(frame)) => break frame,
                Ok(Err(_)) => return Err(self.peer.why_closed().await),
                Err(_) => {
                    match self.quiet.until().map(|quiet| quiet + self.limit).filter(|until| *until > self.until) {
                        Some(later) => self.until = later, // an answer before it said that the broker is quiet for a while
                        None => return Err(self.silent()),
                    }
                }
            }
        };
        frame::decode::<R>(frame, self.version).map_err(|message| KafkaError::Malformed {
            address: self.peer.address.to_string(),
            api: api_name::<R>(),
            message,
        })
    }
    fn silent(&self) -> KafkaError {
        self.task.abort();
        KafkaError::Silent { address: self.peer.address.to_string(), api: api_name::<R>(), limit: self.limit }
    }
}

impl Peer {
    /// Why a connection broke. One that broke when it had hardly begun was a misunderstanding, perhaps: the listener is asked.
    async fn why_closed(&self) -> KafkaError {
        let known = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(error) = known {
            return error;
        }
        let expectation = match self.answers.load(Ordering::Relaxed) {
            0 if self.security.tls.is_none() => Some(Expectation::Plaintext),
            1 if self.security.sasl.is_none() => Some(Expectation::NoSasl),
            _ => None,
        };
        let explained = match expectation {
            Some(expectation) => listener::explain(&self.address, &self.security, expectation).await,
            None => None,
        };
        let closed =
            || KafkaError::Connection { address: self.address.to_string(), message: "connection closed".into() };
        explained.unwrap_or_else(closed)
    }
    fn end(&self, error: KafkaError) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Writes requests and hands answers out until either side ends; then everyone who waits sees a closed connection.
async fn serve(peer: Arc<Peer>, socket: Socket, mut queue: mpsc::Receiver<Outgoing>) {
    let awaited = Awaited::default();
    let (read, write) = socket.into_split();
    let ended = tokio::select! {
        ended = write_requests(write, &mut queue, &awaited) => ended,
        ended = read_answers(read, &peer, &awaited) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, %error, "connection closed");
        if let Some(error) = peer.security.tls.as_ref().and_then(|tls| tls.explain(&peer.address, &error)) {
            peer.end(error);
        }
    }
}

async fn write_requests(
    mut socket: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<Outgoing>,
    awaited: &Awaited,
) -> std::io::Result<()> {
    while let Some(Outgoing { correlation, frame, answer }) = queue.recv().await {
        lock(awaited).push_back((correlation, answer));
        socket.write_all(&frame).await?;
        socket.flush().await?;
    }
    Ok(())
}

async fn read_answers(mut socket: impl AsyncRead + Unpin, peer: &Peer, awaited: &Awaited) -> std::io::Result<()> {
    let invalid = |message: String| std::io::Error::new(std::io::ErrorKind::InvalidData, message);
    loop {
        let length = socket.read_i32().await?;
        if peer.answers.load(Ordering::Relaxed) == 0 && listener::is_tls(length) {
            peer.end(listener::speaks_tls(&peer.address, &peer.security));
            return Err(invalid("an alert of TLS".into()));
        }
        let frame = frame::read_rest(&mut socket, length).await?;
        peer.answers.fetch_add(1, Ordering::Relaxed);
        let correlation = frame::correlation(&frame);
        let first = lock(awaited).pop_front();
        match first {
            // Nobody may be waiting any more: the caller was dropped.
            Some((expected, answer)) if expected == correlation => drop(answer.send(frame)),
            other => {
                let expected = other.map(|(id, _)| id);
                return Err(invalid(format!("answer {correlation}, expected {expected:?}")));
            }
        }
    }
}

fn lock(awaited: &Awaited) -> std::sync::MutexGuard<'_, VecDeque<(i32, oneshot::Sender<Bytes>)>> {
    awaited.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listening() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        (listener, address)
    }

    fn patient(request_timeout: Duration) -> KafkaConfig {
        KafkaConfig { request_timeout, ..KafkaConfig::default() }
    }

    #[tokio::test]
    async fn a_silent_broker_is_given_up_at_the_limit() {
        let (listener, address) = listening().await;
        let accepted = tokio::spawn(async move { listener.accept().await });
        let error =
            Connection::open(&address, &patient(Duration::from_millis(50)), &Arc::default(), &Refusals::default())
                .await
                .err();
        assert!(matches!(error, Some(KafkaError::Silent { api: "ApiVersions", .. })), "{error:?}");
        drop(accepted);
    }

    #[tokio::test]
    async fn an_absurd_frame_closes_the_connection() {
        let (listener, address) = listening().await;
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a client");
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("open socket");
            socket.read_buf(&mut Vec::new()).await.ok();
        });
        let error = Connection::open(&address, &patient(Duration::from_secs(5)), &Arc::default(), &Refusals::default())
            .await
            .err();
        assert!(matches!(error, Some(KafkaError::Connection { .. })), "{error:?}");
    }
}

//! The page's and everybody's API over HTTP. A runtime and threads of its own: a slow client waits here, and nothing else waits for it.
//!
//! A file here is a noun of the API with a `routes` function; all of them are merged in `router`. Every request passes `guard` first.
//! Errors are problem documents ([`problem`]): `application/problem+json` with `type` (`urn:sheetstream:problem:KIND`), `title`, `status`,
//! `detail` and, where one is at fault, `field`.
//!
//! `docs/http.md` and `docs/openapi.json` describe every operation; `tests/openapi.rs` checks the answers against them. Names are
//! `snake_case`, times are milliseconds since 1970 and end in `_ms`.

mod app_state;
mod archive;
mod body;
mod crs;
mod events;
mod form;
mod guard;
mod inspect;
mod listener;
mod observe;
mod operations;
mod page;
mod places;
mod points;
pub mod problem;
mod rate_limiter;
mod sessions;
mod spool;
mod topologies;
mod uploads;
mod version;
mod workbook_cache;
mod workbooks;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::post;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

pub use app_state::AppState;

use crate::kafka::{KafkaClient, KafkaConfig};
use crate::runtime::health::Health;
use crate::runtime::queries::Queries;
use crate::topology::Topology;
use problem::Problem;

/// State of every router here.
pub type SharedState = Arc<AppState>;

/// Longest time that open requests are given when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that one operation of the cluster may take with all its retries.
const BROKER_PATIENCE: Duration = Duration::from_secs(20);
/// Open files that are enough for every connection, and for what else the process does.
const FILES_WANTED: u64 = 65_536;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Characters of a token that nobody guesses.
const TOKEN_CHARS_MIN: usize = 16;
/// Files that are read or published at a time; others wait for a thread.
const BLOCKING_THREADS_MAX: usize = 32;

/// Where and how the server listens.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who has it may use the API. Needed on any address but loopback.
    pub token: Option<String>,
    /// Names that the server goes by, besides `localhost` and its addresses.
    pub hosts: Vec<String>,
    /// Largest body of an upload.
    pub upload_bytes_max: u64,
    /// Folder of the temporary files of uploads and downloads.
    pub spool_dir: PathBuf,
}

impl HttpConfig {
    /// The defaults: no token, no further names, 2 GiB an upload, the system's folder for temporary files.
    pub fn new(address: SocketAddr) -> HttpConfig {
        HttpConfig {
            address,
            token: None,
            hosts: Vec::new(),
            upload_bytes_max: 2 << 30,
            spool_dir: std::env::temp_dir(),
        }
    }
}

/// The parts that the server shows and uses.
pub struct HttpParts {
    /// The topologies that run.
    pub topologies: Vec<Arc<Topology>>,
    /// The cluster. The server has connections of its own.
    pub kafka: KafkaConfig,
    /// How the process is.
    pub health: Arc<Health>,
    /// Asks the tasks of this process.
    pub queries: Queries,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not ours.
    #[error("HTTP cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// Everybody on the network could read and write.
    #[error(
        "HTTP on {0} would be open to the network: set SHEETSTREAM_HTTP_TOKEN to a long random text (openssl rand -hex 32), or listen on 127.0.0.1"
    )]
    NoToken(SocketAddr),
    /// Somebody could guess it.
    #[error(
        "SHEETSTREAM_HTTP_TOKEN has {0} characters and needs {TOKEN_CHARS_MIN} at least, blanks around it not counted: set it to a long random text (openssl rand -hex 32)"
    )]
    ShortToken(usize),
    /// Threads could not be started.
    #[error("HTTP cannot start: {0}")]
    Start(#[from] io::Error),
}

/// A server that runs. Dropping it ends it at once; [`HttpServer::stop`] lets open requests end.
pub struct HttpServer {
    address: SocketAddr,
    app: SharedState,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    runtime: Runtime,
    kafka_runtime: Runtime,
}

/// Starts the server: listens when this returns.
pub fn start(config: HttpConfig, parts: HttpParts) -> Result<HttpServer, HttpError> {
    if config.token.is_none() && !config.address.ip().is_loopback() {
        return Err(HttpError::NoToken(config.address));
    }
    if let Some(length) = config.token.as_ref().map(|token| token.trim().chars().count())
        && length < TOKEN_CHARS_MIN
    {
        return Err(HttpError::ShortToken(length));
    }
    raise_file_limit();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("http")
        .enable_all()
        .build()?;
    let kafka_runtime = Builder::new_multi_thread().worker_threads(1).thread_name("http-kafka").enable_all().build()?;
    let mut kafka = parts.kafka.clone();
    // Somebody waits for an answer: better none soon than one after minutes.
    kafka.retry_deadline = kafka.retry_deadline.min(BROKER_PATIENCE);
    let kafka = KafkaClient::new(kafka_runtime.handle().clone(), kafka);
    let listener = {
        let _context = runtime.enter();
        let listen = || {
            let socket = if config.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(config.address)?;
            socket.listen(BACKLOG)
        };
        listen().map_err(|error| HttpError::Bind(config.address, error))?
    };
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let app = Arc::new(AppState::new(config, parts, kafka, stopping.clone()));
    runtime.spawn(observe::watch_spool(app.clone()));
    let serving = runtime.spawn(listener::serve(listener, router(app.clone()), stopping));
    info!(%address, "HTTP is served");
    Ok(HttpServer { address, app, stop, serving, runtime, kafka_runtime })
}

/// A connection is an open file, and 1,024 of them are a usual limit; most systems let a process have more if it asks.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES_WANTED, |maximum| maximum.min(FILES_WANTED));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!(%error, "the limit of open files stays; many slow clients may use it up");
        }
    }
}

impl HttpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows and takes uploads for these from now on; uploads under way end as they began.
    pub fn replace_topologies(&self, topologies: Vec<Arc<Topology>>) {
        self.app.replace_topologies(topologies);
    }

    /// Shows the problems of a topology's file beside the topology, which keeps running as it was; `None` removes them.
    pub fn show_problems(&self, topology: &str, problems: Option<String>) {
        self.app.show_problems(topology, problems);
    }

    /// Accepts nothing more, ends streams of events, gives open requests a few seconds.
    pub fn stop(self) {
        self.stop.send(true).ok();
        let serving = self.serving;
        // A client that does not go away is cut off.
        self.runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, serving).await }).ok();
        self.runtime.shutdown_timeout(STOP_TIMEOUT);
        self.kafka_runtime.shutdown_background();
    }
}

/// All routes, behind the guard.
fn router(app: SharedState) -> Router {
    Router::new()
        .merge(version::routes())
        .merge(operations::routes())
        .merge(topologies::routes())
        .merge(uploads::routes())
        .merge(events::routes())
        .merge(workbooks::routes())
        .merge(archive::routes())
        .merge(points::routes())
        .merge(inspect::routes())
        .merge(crs::routes())
        .merge(page::routes())
        .route("/session", post(guard::session_begin).delete(guard::session_end))
        .fallback(async || Problem::not_found("not-found", "there is nothing under this path"))
        .method_not_allowed_fallback(async || Problem::of_status(StatusCode::METHOD_NOT_ALLOWED, String::new()))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(from_fn(observe::count))
        .with_state(app)
}

/// Reads what anybody may send to `POST /uploads`, in pieces of `piece` bytes, with the boundary `b`. Panics where it is neither a form nor
/// a problem of the one who sent it. For fuzz/.
#[cfg(feature = "fuzz")]
pub fn read_any_form(body: &[u8], piece: usize) {
    form::in_pieces::read_any_form(body, piece);
}

//! `run`: runs topologies over Kafka until a signal stops it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use sheetstream::http::{self, HttpParts};
use sheetstream::runtime::config::{Guarantee, StreamsConfig};
use sheetstream::runtime::memory::MEMORY_BYTES_MIN;
use sheetstream::runtime::streams::{Streams, StreamsError};
use sheetstream::runtime::task::TaskError;
use sheetstream::state::StateError;
use sheetstream::traces::{self, TraceSettings};
use tokio::signal::unix::{SignalKind, signal};

use super::broker::{self, Broker};
use super::http::Http;
use super::topologies::Topologies;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream run topology/places-5179.toml
  sheetstream run topology/places-5179.toml --http 127.0.0.1:8080        with the page
  sheetstream run topology --brokers kafka-1:9092,kafka-2:9092 --state-dir /var/lib/sheetstream
";

const ISOLATION: &str = "SHEETSTREAM_ISOLATION";

/// Run topologies until SIGTERM or Ctrl-C, which commit and leave in order; all share the threads and the state directory
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    topologies: Topologies,
    #[command(flatten)]
    broker: Broker,
    /// Local state: a cache that may be deleted while nothing runs, one process at a time
    #[arg(long, env = "SHEETSTREAM_STATE_DIR", default_value = "state", value_name = "DIR")]
    state_dir: PathBuf,
    /// Partitions that are processed at the same time; one that waits for a broker does not count [default: one a processor]
    #[arg(long, env = "SHEETSTREAM_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Memory that the process may take, as 256MiB or 1GiB: divided between fetched records, waiting rows, open pages and outputs; 192MiB
    /// at least [default: the best amount for each partition]
    #[arg(long, env = "SHEETSTREAM_MEMORY_MAX", value_name = "SIZE", value_parser = memory)]
    memory_max: Option<u64>,
    /// Longest time between two commits
    #[arg(long, env = "SHEETSTREAM_COMMIT_INTERVAL_MS", default_value_t = 1_000, value_name = "MS")]
    commit_interval_ms: u64,
    /// Stable name of this instance; after a restart under the same name it gets its partitions at once [default: machine, host and state
    /// directory]
    #[arg(long, env = "SHEETSTREAM_INSTANCE_ID", value_name = "NAME")]
    instance_id: Option<String>,
    /// Which records of transactions are read; read_uncommitted takes rows of aborted ones, too [default: isolation.level of the
    /// settings, else read_committed]
    #[arg(long, env = ISOLATION, value_enum, value_name = "LEVEL")]
    isolation: Option<IsolationLevel>,
    /// How often an output may appear: again after a crash, or once for readers of committed records [default: that of each topology,
    /// else exactly_once_v2 where the brokers can keep a transaction log]
    #[arg(long, env = "SHEETSTREAM_GUARANTEE", value_enum, value_name = "GUARANTEE")]
    guarantee: Option<GuaranteeLevel>,
    /// Other instances that keep the state of each partition up to date, to take it over at once when its owner fails (Kafka Streams'
    /// num.standby.replicas) [default: that of each topology, else 0]
    #[arg(long, env = "SHEETSTREAM_STANDBY", value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    standby: Option<u32>,
    /// Keep the state through power cuts too, at the price of syncing its file system with every commit
    #[arg(long, env = "SHEETSTREAM_POWER_SAFE")]
    power_safe: bool,
    /// How long to keep the state of a task that has moved to another process, in case it comes back
    #[arg(long, env = "SHEETSTREAM_STATE_CLEANUP_DELAY_MS", default_value_t = 600_000, value_name = "MS")]
    state_cleanup_delay_ms: u64,
    /// Collector that a trace of each upload is sent to by OTLP/HTTP, as http://127.0.0.1:4318 or https://collector:4318
    /// [env: OTEL_EXPORTER_OTLP_ENDPOINT, and the other variables of OpenTelemetry]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    http: Http,
}

/// Kafka's isolation levels.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

/// The guarantees by the names that Kafka Streams uses.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum GuaranteeLevel {
    AtLeastOnce,
    #[value(name = "exactly_once_v2")]
    ExactlyOnceV2,
}

/// Bytes, written with a unit or without.
fn memory(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let found = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (number, shift) = found.unwrap_or((text, 0));
    let bytes = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    match bytes {
        Some(bytes) if bytes >= MEMORY_BYTES_MIN => Ok(bytes),
        Some(_) => Err(format!("it has to be {}MiB at least", MEMORY_BYTES_MIN >> 20)),
        None => Err("write it as 256MiB".to_owned()),
    }
}

impl Run {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let topologies = self.topologies.load()?;
        let isolation = self.isolation.and_then(|level| level.to_possible_value()).map(|level| {
            let level = level.get_name();
            ("isolation.level", broker::origin(ISOLATION, "--isolation", level), level.to_owned())
        });
        let kafka = self.broker.config_with("sheetstream", isolation.into_iter().collect())?;
        let mut config = StreamsConfig::new(kafka, self.state_dir.clone());
        config.threads = self.threads.unwrap_or(config.threads);
        config.memory_max = self.memory_max;
        config.commit_interval = Duration::from_millis(self.commit_interval_ms);
        config.instance_id.clone_from(&self.instance_id);
        config.guarantee = self.guarantee.map(|level| match level {
            GuaranteeLevel::AtLeastOnce => Guarantee::AtLeastOnce,
            GuaranteeLevel::ExactlyOnceV2 => Guarantee::ExactlyOnceV2,
        });
        config.standby = self.standby;
        config.power_safe = self.power_safe;
        config.state_cleanup_delay = Duration::from_millis(self.state_cleanup_delay_ms);
        let traces = TraceSettings::read(self.otlp_endpoint.as_deref(), |name| std::env::var(name).ok());
        let traces = traces.map_err(|problem| anyhow::anyhow!("traces: {problem}"))?;
        let _traces = traces.map(traces::start).transpose()?;
        let stop = stop_on_signal()?;
        let shown = topologies.iter().cloned().map(Arc::new).collect();
        let kafka = config.kafka.clone();
        let streams = Streams::new(topologies, config);
        let parts = HttpParts { topologies: shown, kafka, health: streams.health(), queries: streams.queries() };
        let server = self.http.config(None).map(|config| http::start(config, parts)).transpose()?;
        let outcome = streams.run(&stop);
        if let Some(server) = server {
            server.stop();
        }
        match outcome {
            Ok(()) => Ok(Exit::Ok),
            Err(
                error @ (StreamsError::State(StateError::Io(_))
                | StreamsError::Task(_, TaskError::State(StateError::Io(_)))),
            ) => {
                let dir = self.state_dir.display();
                let what = format!("the state directory {dir} (--state-dir) cannot be used, or was deleted");
                Err(anyhow::Error::from(error).context(what))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Set by the first SIGTERM or SIGINT; the second ends the process as it is, which loses nothing.
pub(super) fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything else happens: whoever starts us may stop us at once.
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let mut next = async || tokio::select! { _ = terminate.recv() => 143, _ = interrupt.recv() => 130 };
            next().await;
            tracing::info!("stopping: committing and leaving the groups");
            flag.store(true, Ordering::Relaxed);
            std::process::exit(next().await);
        });
    })?;
    Ok(stop)
}

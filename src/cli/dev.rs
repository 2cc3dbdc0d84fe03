//! `dev`: runs broker, topologies and page in one process, and takes up topology files as they are saved.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sheetstream::broker::{Broker, BrokerConfig};
use sheetstream::http::{self, HttpParts, HttpServer};
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::health::Health;
use sheetstream::runtime::queries::Queries;
use sheetstream::runtime::streams::Streams;
use sheetstream::topology::{Problems, Together, Topology};

use super::broker_command::BrokerSize;
use super::http::Http;
use super::out::say;
use super::run::stop_on_signal;
use super::running::Running;
use super::topologies::OptionalTopologies;
use super::{EXAMPLES_FIRST, Exit, Global, complain, sample, topics};

const EXAMPLES: &str = "Examples:
  sheetstream dev                                 a sample topology, one for any file with coordinates,
                                                  and a page to drop CSV files on
  sheetstream dev topology/seoul-markets.toml     your own: edit it, save it, drop the file again
";

/// Where the broker and the page are, unless somebody else is there.
const BROKER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9_092);
const PAGE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8_080);
/// Between two looks at files, topologies and the stop flag.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks at the files. A changed file is read when it has stayed the same for one more look.
const LOOK_AT_FILES: Duration = Duration::from_millis(200);
/// A commit shows on the page; here it costs next to nothing.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

/// Run a Kafka, topologies (or samples) and the page in this process, for trying out: nothing is left when it ends. A topology is taken up
/// again whenever it is saved
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Dev {
    #[command(flatten)]
    topologies: OptionalTopologies,
    /// Where the broker listens [default: 127.0.0.1:9092, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    size: BrokerSize,
    #[command(flatten)]
    http: Http,
}

impl Dev {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let stop = stop_on_signal()?;
        let mut files = Files::new(self.topologies.files()?);
        let topologies = files.load().map_err(|(_, problems)| problems)?;

        let runtime = super::io_runtime()?;
        let broker = self.start_broker(runtime.handle()).context("the in-process broker")?;
        let kafka = KafkaConfig::new([broker.address().to_string()], "sheetstream-dev");
        let state = tempfile::Builder::new().prefix("sheetstream-dev-").tempdir()?;
        let mut config = StreamsConfig::new(kafka.clone(), state.path().join("state"));
        config.commit_interval = COMMIT_INTERVAL;
        let mut bench = Bench {
            client: KafkaClient::new(runtime.handle().clone(), kafka.clone()),
            workbook_bytes: self.size.config().bytes_max / 4,
            health: Arc::new(Health::default()),
            queries: Queries::default(),
            config,
        };
        let parts =
            HttpParts { topologies: Vec::new(), kafka, health: bench.health.clone(), queries: bench.queries.clone() };
        bench.create_topics(&topologies)?;
        let server = self.start_server(parts)?;
        let page = format!("http://{}/", server.address());
        if global.json {
            writeln!(io::stdout(), "{}", json!({ "page": page, "brokers": broker.address().to_string() }))?;
        } else {
            writeln!(io::stdout(), "{page}")?;
        }
        say!(
            "dev: the page is {page} and the broker {}; both end with this process, and so do their data",
            broker.address()
        );
        let served = bench.serve(topologies, &mut files, &server, &stop, begun);
        server.stop();
        served.map(|()| Exit::Ok)
    }

    fn start_broker(&self, runtime: &tokio::runtime::Handle) -> io::Result<Broker> {
        let at = |listen| Broker::start(runtime, BrokerConfig { listen, ..self.size.config() });
        match self.listen {
            Some(listen) => at(listen),
            None => at(BROKER).or_else(|_| at(free(BROKER))),
        }
    }
    fn start_server(&self, parts: HttpParts) -> anyhow::Result<HttpServer> {
        if let Some(config) = self.http.config(None) {
            return Ok(http::start(config, parts)?);
        }
        let taken = std::net::TcpListener::bind(PAGE).is_err();
        let config = self.http.config(Some(if taken { free(PAGE) } else { PAGE }));
        Ok(http::start(config.context("an address for the page")?, parts)?)
    }
}

/// The same address, any port.
fn free(mut address: SocketAddr) -> SocketAddr {
    address.set_port(0);
    address
}

/// The parts that stay while topologies come and go.
struct Bench {
    client: KafkaClient,
    config: StreamsConfig,
    health: Arc<Health>,
    queries: Queries,
    /// Bytes that the topic of workbooks keeps; the oldest go first.
    workbook_bytes: u64,
}

impl Bench {
    fn create_topics(&self, topologies: &[Topology]) -> anyhow::Result<()> {
        for topology in topologies {
            let mut wanted = topics::wanted(topology, 1, 1);
            for topic in wanted.iter_mut().filter(|topic| topic.name == *topology.sink.topic) {
                let share = self.workbook_bytes / u64::try_from(topic.partitions.max(1)).unwrap_or(1);
                topic.configs.push(("retention.bytes".into(), share.to_string()));
            }
            self.client.create_topics(&wanted)?;
        }
        Ok(())
    }

    /// Runs the topologies until `stop` is set, and starts them again when their files change.
    fn serve(
        &mut self,
        mut topologies: Vec<Topology>,
        files: &mut Files,
        server: &HttpServer,
        stop: &AtomicBool,
        begun: Instant,
    ) -> anyhow::Result<()> {
        let mut since = begun;
        loop {
            server.replace_topologies(topologies.iter().cloned().map(Arc::new).collect());
            let names: Vec<String> = topologies.iter().map(describe).collect();
            let streams = Streams::new(topologies, self.config.clone());
            let mut running = Running::start(streams.watched_by(self.queries.clone(), self.health.clone()))?;
            let mut reported = false;
            topologies = loop {
                if stop.load(Ordering::Relaxed) {
                    return running.stop();
                }
                running.check()?;
                if !reported && self.health.missing().is_empty() {
                    reported = true;
                    say!("dev: {} (ready after {:.1} s)", names.join("; "), since.elapsed().as_secs_f64());
                }
                if let Some(loaded) = files.changed() {
                    match loaded.map_err(|(file, problems)| (file, anyhow::Error::from(problems))) {
                        Ok(loaded) => match self.create_topics(&loaded) {
                            Ok(()) => break loaded,
                            Err(error) => complain(&error.context("the topologies that were running continue")),
                        },
                        Err((file, problems)) => {
                            complain(&problems);
                            say!("dev: {} is broken; the topology keeps running as it was", file.display());
                            if let Some(name) = files.name_of(&file) {
                                server.show_problems(name, Some(problems.to_string()));
                            }
                        }
                    }
                }
                std::thread::sleep(LOOK);
            };
            since = Instant::now();
            running.stop()?;
            for topology in &topologies {
                server.show_problems(&topology.name, None);
            }
        }
    }
}

fn describe(topology: &Topology) -> String {
    format!("{} makes workbooks of {}", topology.name, topology.source.topic)
}

/// Time and length of a file at one look.
type Stamp = Option<(SystemTime, u64)>;

/// Topology files under watch.
struct Files {
    paths: Vec<PathBuf>,
    /// As they were when they were last read, and as they were seen last.
    read: Vec<Stamp>,
    seen: Vec<Stamp>,
    looked: Instant,
    /// Names of the topologies that they last held.
    names: Vec<String>,
}

impl Files {
    fn new(paths: Vec<PathBuf>) -> Files {
        Files { paths, read: Vec::new(), seen: Vec::new(), looked: Instant::now(), names: Vec::new() }
    }
    /// The topologies as the files are now, or the first file that is wrong.
    fn load(&mut self) -> Result<Vec<Topology>, (PathBuf, Problems)> {
        self.read = self.look();
        if self.paths.is_empty() {
            return sample::topologies().map_err(|error| (sample::TOPOLOGY_FILE.into(), error));
        }
        let mut together = Together::default();
        for path in &self.paths {
            together.load(path).map_err(|problems| (path.clone(), problems))?;
        }
        let loaded = together.into_topologies();
        self.names = loaded.iter().map(|topology| topology.name.to_string()).collect();
        Ok(loaded)
    }
    /// `Some` when a file was saved, and has not changed since the last look.
    fn changed(&mut self) -> Option<Result<Vec<Topology>, (PathBuf, Problems)>> {
        if self.looked.elapsed() < LOOK_AT_FILES {
            return None;
        }
        self.looked = Instant::now();
        let now = self.look();
        let is_news = now != self.read && now == self.seen;
        self.seen = now;
        is_news.then(|| self.load())
    }
    /// The topology that runs of this file.
    fn name_of(&self, file: &Path) -> Option<&str> {
        let at = self.paths.iter().position(|path| path == file)?;
        self.names.get(at).map(String::as_str)
    }
    fn look(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len()))).ok();
        self.paths.iter().map(stamp).collect()
    }
}

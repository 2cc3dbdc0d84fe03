//! Apache Kafka for tests, by `script/kafka serve`: a broker of its own on a free loopback port, gone when the test process is,
//! however that ends. Where Java or the jars are missing a test prints one `skipped:` line and passes, or fails with
//! `SHEETSTREAM_REQUIRE_KAFKA=1`.

#![allow(dead_code)] // each test binary uses its part

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use tokio::runtime::Runtime;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/script/kafka");
const START_LIMIT: Duration = Duration::from_secs(60);

/// A broker.
pub struct Kafka {
    /// `host:port`.
    pub bootstrap: String,
    dir: PathBuf,
    /// `script/kafka serve`; ends with its standard input.
    serving: Child,
}

impl Kafka {
    /// The broker that the tests of one binary share; topics and groups have names of their own.
    pub fn shared() -> Option<&'static Kafka> {
        static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
        SHARED.get_or_init(|| Kafka::start(&[])).as_ref()
    }
    /// A broker that the test may stop and kill, with settings of its own.
    pub fn start(settings: &[&str]) -> Option<Kafka> {
        let mut kafka = Kafka::prepare(settings)?;
        kafka.boot();
        Some(kafka)
    }
    /// A broker that is not running yet.
    pub fn prepare(settings: &[&str]) -> Option<Kafka> {
        if library().is_none() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!("skipped: {test} needs Java 17 and Apache Kafka; run script/kafka-jars");
            assert!(std::env::var_os("SHEETSTREAM_REQUIRE_KAFKA").is_none(), "{test} was required to run");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener); // Java binds it next
        let dir = std::env::temp_dir().join(format!("sheetstream-kafka-{}", uuid::Uuid::new_v4()));
        let serving = Command::new(SCRIPT)
            .arg("serve")
            .arg(&dir)
            .arg(port.to_string())
            .args(settings)
            .stdin(Stdio::piped())
            .spawn()
            .expect("bash");
        Some(Kafka { bootstrap: format!("127.0.0.1:{port}"), dir, serving })
    }
    /// Starts it and waits until it serves.
    pub fn boot(&mut self) {
        let _ = std::fs::remove_file(self.dir.join("log"));
        self.say("START");
        let (log, since) = (self.dir.join("log"), Instant::now());
        let started = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Kafka Server started"));
        while !started() {
            assert!(since.elapsed() < START_LIMIT, "{}", std::fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// `kill -9`.
    pub fn kill(&mut self) {
        self.say("KILL");
        while std::net::TcpStream::connect(&self.bootstrap).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    /// Stops the process without ending it: sockets stay open, nothing is answered.
    pub fn freeze(&mut self) {
        self.say("STOP");
    }
    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.say("CONT");
    }
    fn say(&mut self, word: &str) {
        let to = self.serving.stdin.as_mut().expect("piped");
        writeln!(to, "{word}").expect("script/kafka serve is running");
    }

    /// Configuration of a client; change what the test needs.
    pub fn config(&self, client_id: &str) -> KafkaConfig {
        KafkaConfig::new([&self.bootstrap], client_id)
    }
    /// A client with the defaults.
    pub fn client(&self, client_id: &str) -> KafkaClient {
        connect(self.config(client_id))
    }
    /// A topic with a name that no other test has.
    pub fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> std::sync::Arc<str> {
        let name = format!("{name}.{}", uuid::Uuid::new_v4().simple());
        let configs = configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let topic = NewTopic { name: name.clone(), partitions, replication: 1, configs };
        self.client("test").create_topics(&[topic]).expect("topic created");
        name.into()
    }
    /// A command line tool of Kafka's by its name in `script/kafka tool`, with its broker given.
    pub fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(SCRIPT);
        tool.args(["tool", name, "--bootstrap-server", &self.bootstrap]);
        tool
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.serving.stdin.take());
        let _ = self.serving.wait();
    }
}

/// A client on the runtime that the tests of one binary share.
pub fn connect(config: KafkaConfig) -> KafkaClient {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    });
    KafkaClient::new(runtime.handle().clone(), config)
}

/// The directory of Kafka's jars, if it is there and Java too.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let given = std::env::var_os("SHEETSTREAM_KAFKA_LIB").map(PathBuf::from);
        let lib = given.or_else(|| {
            let home = PathBuf::from(std::env::var_os("HOME")?);
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
            Some(cache.join("sheetstream/kafka-4.3.1"))
        })?;
        let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
        (lib.is_dir() && java.is_ok_and(|status| status.success())).then_some(lib)
    };
    LIBRARY.get_or_init(find).as_deref()
}

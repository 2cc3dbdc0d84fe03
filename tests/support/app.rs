//! One application on a broker: its topology file, its topics, its files, and the real binary that runs it.

#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sheetstream::client::fetch::ChunkJoiner;
use sheetstream::record::TopicPartition;
use sheetstream::sink::status::{StatusRecord, UploadState};

use crate::kafka::Kafka;

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(120);

const TOPOLOGY: &str = r#"
name = "NAME"
[[source]]
name = "rows"
header = "first"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
record_bytes_max = 100000
"#;

/// One application: its topology file, its topics, its state directory.
pub struct App {
    pub kafka: &'static Kafka,
    pub folder: tempfile::TempDir,
    pub name: String,
}

impl App {
    pub fn new(kafka: &'static Kafka, name: &str, partitions: u32) -> App {
        let app = App {
            kafka,
            folder: tempfile::tempdir().expect("a temporary folder"),
            name: format!("{name}-{}", uuid::Uuid::new_v4().simple()),
        };
        fs::write(app.topology(), TOPOLOGY.replace("NAME", &app.name)).expect("a topology");
        let partitions = partitions.to_string();
        let created =
            app.command(&["topics", "create", "--partitions", &partitions, "-t"]).arg(app.topology()).output();
        let created = created.expect("topics are created");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        app
    }
    pub fn topology(&self) -> PathBuf {
        self.folder.path().join("topology.toml")
    }
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        command.args(arguments).env("SHEETSTREAM_BROKERS", &self.kafka.bootstrap).stdin(Stdio::null());
        command
    }
    /// `run` with the state in `state`, its log in `<state>.log`.
    pub fn run(&self, state: &str) -> Running {
        self.run_with(state, &[], &[])
    }
    pub fn run_with(&self, state: &str, options: &[&str], environment: &[(&str, &str)]) -> Running {
        let log = self.folder.path().join(format!("{state}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut command = self.command(&["run", "--threads", "2", "--commit-interval-ms", "100"]);
        command.args(options).arg(self.topology()).arg("--state-dir").arg(self.folder.path().join(state)).stderr(log);
        Running(command.envs(environment.iter().copied()).spawn().expect("run starts"))
    }
    pub fn log(&self, state: &str) -> String {
        fs::read_to_string(self.folder.path().join(format!("{state}.log"))).unwrap_or_default()
    }
    /// Where a `run` with `--http 127.0.0.1:0` listens.
    pub fn http_address(&self, state: &str) -> SocketAddr {
        let begun = Instant::now();
        loop {
            let log = self.log(state);
            let served = log.lines().find_map(|line| line.split_once("HTTP is served address=")?.1.trim().parse().ok());
            if let Some(address) = served {
                return address;
            }
            assert!(begun.elapsed() < LIMIT, "HTTP is not served: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    pub fn csv(&self, name: &str, rows: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut file = std::io::BufWriter::new(fs::File::create(&path).expect("a file"));
        writeln!(file, "id,name,kind,x,y").expect("written");
        for n in 1..=rows {
            let kind = ["museum", "park", "school"][usize::try_from(n * n % 7 % 3).expect("small")];
            let x = if n % 997 == 5 { "none".to_owned() } else { format!("{}.{:02}", 953_000 + n % 900, n % 100) };
            writeln!(file, "{n},Place {} of {name},{kind},{x},{}", n % 1000, 1_952_000 + n % 700).expect("written");
        }
        file.flush().expect("written");
        path
    }
    pub fn publish(&self, files: &[&Path]) {
        let published = self.command(&["publish", "-t"]).arg(self.topology()).args(files).output().expect("publish");
        assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    }
    /// The workbook that `convert` makes of a file.
    pub fn converted(&self, file: &Path) -> Vec<u8> {
        let out = file.with_extension("xlsx");
        let converted =
            self.command(&["convert", "-t"]).arg(self.topology()).arg(file).arg("--force").arg("-o").arg(&out).output();
        let converted = converted.expect("convert");
        assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
        fs::read(out).expect("a workbook")
    }
    pub fn each(&self, topic: &str, mut each: impl FnMut(sheetstream::record::Record)) {
        let client = self.kafka.client("test");
        let topic: std::sync::Arc<str> = format!("{}.{topic}", self.name).into();
        for partition in 0..client.partitions(&topic).expect("the topic is there") {
            client.read_all(&TopicPartition { topic: topic.clone(), partition }, &mut each).expect("read");
        }
    }
    /// Every workbook that was published, by upload.
    pub fn workbooks(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let mut joiner = ChunkJoiner::default();
        let mut books: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        self.each("workbooks", |record| {
            if let Some(book) = joiner.join(&record).expect("a workbook record") {
                books.entry(book.label.upload).or_default().push(book.chunks.concat());
            }
        });
        books
    }
    pub fn statuses(&self) -> Vec<StatusRecord> {
        let mut statuses = Vec::new();
        self.each("status", |record| statuses.extend(record.value.as_deref().and_then(StatusRecord::parse)));
        statuses
    }
    /// Waits until every upload is published: its status is there, and its workbook, for the markers of their transaction are written to one
    /// partition after the other.
    pub fn wait_for(&self, uploads: &[&str], state: &str) {
        let begun = Instant::now();
        loop {
            let statuses = self.statuses();
            let done =
                |upload: &&str| statuses.iter().any(|s| s.upload == **upload && s.state == UploadState::Published);
            if uploads.iter().all(done) {
                let books = self.workbooks();
                if uploads.iter().all(|upload| books.contains_key(*upload)) {
                    return;
                }
            }
            assert!(begun.elapsed() < LIMIT, "{uploads:?} never came: {statuses:?}\n{}", self.log(state));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// All copies of every workbook are the expected bytes, and all accounts balance.
    pub fn assert_right(&self, expected: &[(&str, &[u8])]) {
        let books = self.workbooks();
        for (upload, book) in expected {
            let copies = books.get(*upload).unwrap_or_else(|| panic!("{upload} has no workbook"));
            assert!(copies.iter().all(|copy| copy == book), "{upload} differs from what convert makes");
        }
        assert_eq!(books.len(), expected.len());
        for status in self.statuses() {
            assert!(status.accounting.balances(), "{status:?}");
            assert_eq!(status.revision, 1, "{status:?}");
        }
    }
}

/// A `run` that ends with the test.
pub struct Running(pub Child);

impl Running {
    pub fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
    /// SIGTERM; the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let signalled = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill");
        assert!(signalled.success());
        self.0.wait().expect("gone").code()
    }
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.0.wait().expect("gone")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

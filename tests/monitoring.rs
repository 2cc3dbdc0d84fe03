//! A real Prometheus with our configuration and rules, its intervals short, scrapes a real `run`: every query of every panel and variable has
//! an answer, and alerts fire when rows are refused, the broker is gone, an upload stalls, and the state's disk is full.
//!
//! Each alert says how long it took from its cause; `script/bench alerts` has the intervals and rules as they are shipped.

#[path = "support/app.rs"]
mod app;
#[path = "support/dashboards.rs"]
mod dashboards;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/small_disk.rs"]
mod small_disk;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use app::App;
use dashboards::{alerts, list, panel_queries, path, read, tool, variable_queries};
use kafka::Kafka;
use serde_json::Value;
use small_disk::SmallDisk;

/// Panels that are empty while nothing is wrong.
const NEEDS_MORE: [&str; 2] = ["Failed requests", "Age of the oldest open upload"];
/// After so long without a record an upload expires; after a tenth of it, it has stalled.
const IDLE_SECONDS: u64 = 100;

/// Whether intervals and rules are as shipped, and not short.
fn as_shipped() -> bool {
    std::env::var_os("SHEETSTREAM_ALERTS_AS_SHIPPED").is_some()
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a loopback port")
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let limit = Duration::from_secs(if as_shipped() { 900 } else { 120 });
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < limit, "{what} never came");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Prometheus over one `run`.
struct Prometheus {
    address: SocketAddr,
    _process: Ends,
}

impl Prometheus {
    /// With its files in `folder`; it scrapes what is served at `served`, and was successful.
    fn over(served: SocketAddr, folder: &Path) -> Prometheus {
        let (mut config, mut rules) = (read("prometheus/prometheus.yml"), read("prometheus/rules/sheetstream.yml"));
        config = config.replace("sheetstream:8080", &served.to_string());
        if !as_shipped() {
            config = config.replace("15s", "1s").replace("10s", "1s");
            for time in ["1m", "2m", "5m"] {
                rules = rules.replace(&format!("for: {time}"), "for: 1s");
            }
        }
        fs::create_dir(folder.join("rules")).expect("a folder");
        fs::write(folder.join("prometheus.yml"), config).expect("written");
        fs::write(folder.join("rules/sheetstream.yml"), rules).expect("written");
        let address = free_address();
        let mut command = Command::new("prometheus");
        command.current_dir(folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
        let prometheus = Prometheus { address, _process: Ends(command.spawn().expect("prometheus")) };
        until("Prometheus", || {
            std::net::TcpStream::connect(address).is_ok() && http::get(address, "/-/ready").status == 200
        });
        until("a first scrape", || prometheus.has("sheetstream_ready == 1"));
        prometheus
    }

    /// The answer of its API; an error fails the test.
    fn api(&self, what: &str, parameter: &str, value: &str) -> Value {
        let variables = ["$job", "$instance", "$topology"];
        let value = variables.iter().fold(value.to_owned(), |value, name| value.replace(name, ".+"));
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = http::get(self.address, &format!("/api/v1/{what}?{parameter}={encoded}"));
        assert_eq!(answer.status, 200, "{value}: {}", answer.text());
        answer.json()["data"].take()
    }

    /// What it answers to a query.
    fn ask(&self, query: &str) -> Vec<Value> {
        let range = if as_shipped() { "60s" } else { "10s" };
        let data = self.api("query", "query", &query.replace("$__rate_interval", range));
        list(&data["result"]).to_vec()
    }

    fn has(&self, query: &str) -> bool {
        !self.ask(query).is_empty()
    }

    fn is_firing(&self, alert: &str) -> bool {
        self.has(&format!(r#"ALERTS{{alertname="{alert}", alertstate="firing"}}"#))
    }

    /// Waits until an alert fires, and says how long that took.
    fn until_firing(&self, alert: &str, cause: Instant) {
        until(alert, || self.is_firing(alert));
        let took = cause.elapsed().as_secs_f64();
        let rule = alerts().into_iter().find(|rule| rule.name == alert).expect("the rule");
        let shipped = rule.text.split("for: ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("for");
        let (wait, scrape) = if as_shipped() { (shipped, "15s") } else { ("1s", "1s") };
        eprintln!("{alert}: fires {took:.1} s after its cause (for: {wait}, a scrape every {scrape})");
    }
}

#[test]
fn prometheus_answers_every_panel_and_alerts_fire() {
    if tool("prometheus", &["--version"]).is_none() {
        return;
    }
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topology = path("topology/facilities.toml");
    let sheetstream = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        command.args(arguments).env("SHEETSTREAM_BROKERS", &kafka.bootstrap).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let created = sheetstream(&["topics", "create", "-t"]).arg(&topology).status().expect("topics");
    assert!(created.success());
    let served = free_address();
    let mut run = sheetstream(&["run", "--http", &served.to_string(), "--state-dir"]);
    let _run = Ends(run.arg(folder.path().join("state")).arg(&topology).spawn().expect("run"));
    let prometheus = Prometheus::over(served, folder.path());

    for (at, selector, label) in variable_queries() {
        let series = prometheus.api("series", "match[]", &selector);
        let values =
            list(&series).iter().filter(|series| series[&label].as_str().is_some_and(|value| !value.is_empty()));
        assert!(values.count() > 0, "{at}: {selector} has no {label}: {series}");
    }

    // Every panel, while uploads come; five rows of each are refused.
    let begun = Instant::now();
    let mut upload = 0;
    until("an answer to every panel", || {
        upload += 1;
        let mut publish = sheetstream(&["publish", "--id", &format!("u{upload}"), "-t"]);
        let published = publish.arg(&topology).arg(path("examples/data/places-cp949.csv")).status().expect("publish");
        assert!(published.success());
        let queries = panel_queries().into_iter().filter(|(at, _)| !NEEDS_MORE.iter().any(|panel| at.ends_with(panel)));
        queries.into_iter().all(|(_, query)| prometheus.has(&query))
    });
    prometheus.until_firing("SheetstreamDeadLetters", begun);
    assert!(!prometheus.is_firing("SheetstreamNoBroker"));

    kafka.kill();
    prometheus.until_firing("SheetstreamNoBroker", Instant::now());
    assert!(prometheus.has("sheetstream_kafka_request_errors_total"));
}

#[test]
fn a_stalled_upload_and_a_full_disk_fire_their_alerts() {
    if tool("prometheus", &["--version"]).is_none() {
        return;
    }
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "alerts", 1);
    let topology = fs::read_to_string(app.topology()).expect("the topology");
    // As shipped, the alert's own five minutes have to fit in.
    let idle = if as_shipped() { 6 * IDLE_SECONDS } else { IDLE_SECONDS };
    let timed = format!("header = \"first\"\nidle_timeout = \"{idle}s\"");
    fs::write(app.topology(), topology.replace("header = \"first\"", &timed)).expect("written");
    let state = app.folder.path().join("state");
    fs::create_dir(&state).expect("a folder");
    // A little more than the reserve, which is 256 MiB.
    let disk = SmallDisk::mounted_at(&state, 288 << 20);
    let served = free_address();
    let running = app.run_with("state", &["--http", &served.to_string()], &[]);
    let prometheus = Prometheus::over(served, app.folder.path());
    for alert in ["SheetstreamUploadStalled", "SheetstreamPausedForDisk"] {
        assert!(!prometheus.is_firing(alert), "{alert}");
    }

    // A publisher that neither goes on nor ends; what it has not sent yet is less than a record.
    let rows = fs::read(app.csv("half.csv", 60_000)).expect("a file");
    let mut publish = app.command(&["publish", "-", "--id", "half", "-t"]);
    publish.arg(app.topology()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut publisher = Ends(publish.spawn().expect("publish"));
    publisher.0.stdin.as_mut().expect("piped").write_all(&rows).expect("written");
    let told = Instant::now();
    prometheus.until_firing("SheetstreamUploadStalled", told + Duration::from_secs(idle / 10));

    let Some(disk) = disk else { return };
    let ballast = state.join("ballast");
    let mut file = fs::File::create(&ballast).expect("a file");
    while file.write_all(&[0; 1 << 16]).is_ok() {}
    let full = Instant::now();
    app.publish(&[&app.csv("waits.csv", 20_000)]);
    prometheus.until_firing("SheetstreamPausedForDisk", full);
    until("a task that waits for room", || prometheus.has(r#"sheetstream_tasks_paused{reason="disk_full"} > 0"#));
    let mut told = Value::Null;
    until("a disk that is short in /healthz", || {
        let answer = http::get(served, "/healthz");
        assert_eq!(answer.status, 200, "a restart would not help");
        told = answer.json();
        told["status"] == "degraded" && told["degraded"][0]["what"] == "disk"
    });
    assert!(told["degraded"][0]["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{told}");
    assert!(told["degraded"][0]["why"].as_str().is_some_and(|why| why.contains("make room")), "{told}");

    drop(file);
    fs::remove_file(&ballast).expect("room");
    app.wait_for(&["waits.csv"], "state");
    until("the end of the alert", || !prometheus.is_firing("SheetstreamPausedForDisk"));
    until("health", || http::get(served, "/healthz").json()["status"] == "ok");
    assert_eq!(running.stop(), Some(0));
    drop(disk);
}

on_the_in_process_broker! {
    prometheus_answers_every_panel_and_alerts_fire,
    a_stalled_upload_and_a_full_disk_fire_their_alerts,
}

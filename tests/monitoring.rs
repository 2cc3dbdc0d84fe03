//! A real Prometheus with our configuration and rules, its intervals short, scrapes a real `run`: every query of every panel has an answer, and
//! alerts fire when rows are refused and when the broker is gone.

#[path = "support/dashboards.rs"]
mod dashboards;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dashboards::{list, panel_queries, path, read, tool};
use kafka::Kafka;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
/// Panels that are empty while nothing is wrong.
const NEEDS_MORE: [&str; 2] = ["Failed requests", "Age of the oldest open upload"];

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

/// What Prometheus answers to a query; an error of the query fails the test.
fn ask(prometheus: SocketAddr, query: &str) -> Vec<Value> {
    let query = query.replace("$__rate_interval", "10s");
    let query = ["$job", "$instance", "$topology"].iter().fold(query, |query, name| query.replace(name, ".+"));
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = http::get(prometheus, &format!("/api/v1/query?query={encoded}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    list(&answer.json()["data"]["result"]).to_vec()
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < LIMIT, "{what} never came");
        std::thread::sleep(Duration::from_millis(200));
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
    let (served, prometheus) = (free_address(), free_address());
    let mut run = sheetstream(&["run", "--http", &served.to_string(), "--state-dir"]);
    let _run = Ends(run.arg(folder.path().join("state")).arg(&topology).spawn().expect("run"));

    let config = read("prometheus/prometheus.yml").replace("15s", "1s").replace("10s", "1s");
    let config = config.replace("sheetstream:8080", &served.to_string());
    fs::create_dir(folder.path().join("rules")).expect("a folder");
    fs::write(folder.path().join("prometheus.yml"), config).expect("written");
    let rules = ["1m", "2m", "5m"].iter().fold(read("prometheus/rules/sheetstream.yml"), |rules, time| {
        rules.replace(&format!("for: {time}"), "for: 1s")
    });
    fs::write(folder.path().join("rules/sheetstream.yml"), rules).expect("written");
    let mut command = Command::new("prometheus");
    command.current_dir(folder.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address={prometheus}")).stdout(Stdio::null()).stderr(Stdio::null());
    let _prometheus = Ends(command.spawn().expect("prometheus"));
    until("Prometheus", || std::net::TcpStream::connect(prometheus).is_ok());
    until("a first scrape", || !ask(prometheus, "sheetstream_ready == 1").is_empty());

    // Every panel, while uploads come; five rows of each are refused.
    let mut upload = 0;
    until("an answer to every panel", || {
        upload += 1;
        let mut publish = sheetstream(&["publish", "--id", &format!("u{upload}"), "-t"]);
        let published = publish.arg(&topology).arg(path("examples/data/places-cp949.csv")).status().expect("publish");
        assert!(published.success());
        let queries = panel_queries().into_iter().filter(|(at, _)| !NEEDS_MORE.iter().any(|panel| at.ends_with(panel)));
        queries.into_iter().all(|(_, query)| !ask(prometheus, &query).is_empty())
    });
    let firing =
        |alert: &str| !ask(prometheus, &format!(r#"ALERTS{{alertname="{alert}", alertstate="firing"}}"#)).is_empty();
    until("the alert of dead letters", || firing("SheetstreamDeadLetters"));
    assert!(!firing("SheetstreamNoBroker"));

    kafka.kill();
    until("the alert of a broker that is gone", || firing("SheetstreamNoBroker"));
    assert!(!ask(prometheus, "sheetstream_kafka_request_errors_total").is_empty());
}

on_the_in_process_broker! {
    prometheus_answers_every_panel_and_alerts_fire,
}

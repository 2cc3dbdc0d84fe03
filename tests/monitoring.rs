//! A real Prometheus with our configuration and rules watches a real `run`: every query of every panel and variable has an answer. And the
//! drill: a real Alertmanager beside it passes each critical alert on to whoever is on call, when its cause comes.

#[path = "support/dashboards.rs"]
mod dashboards;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dashboards::{RULES, alerts, list, panel_queries, path, read, tool, variable_queries};
use kafka::Kafka;
use serde_json::Value;

/// Panels that are empty while nothing is wrong.
const NEEDS_MORE: [&str; 9] = [
    "Failed requests",
    "Age of the oldest open upload",
    "Firing alerts",
    "Connections refused",
    "Foreign members",
    "Topologies that have stopped",
    "Standbys behind",
    "Logs that changed",
    "Largest workbook",
];
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(120);

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a loopback port")
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < LIMIT, "{what} never came");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Prometheus over one `run`.
struct Prometheus {
    address: SocketAddr,
    _process: Ends,
}

impl Prometheus {
    /// With its files in `folder`; it scrapes what is served at `served` each second, and was successful.
    fn over(served: SocketAddr, folder: &Path) -> Prometheus {
        let config = read("prometheus/prometheus.yml").replace("sheetstream:8080", &served.to_string());
        let config = config.replace("alertmanager:9093", &free_address().to_string());
        fs::create_dir(folder.join("rules")).expect("a folder");
        fs::write(folder.join("prometheus.yml"), config.replace("15s", "1s").replace("10s", "1s")).expect("written");
        for file in RULES {
            fs::write(folder.join("rules").join(file), read(&format!("prometheus/rules/{file}"))).expect("written");
        }
        let address = free_address();
        let mut command = Command::new("prometheus");
        command.current_dir(folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        // What Prometheus 3 does without being asked.
        command.arg("--enable-feature=expand-external-labels");
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

    fn has(&self, query: &str) -> bool {
        let query = query.replace("$__rate_interval", "10s").replace("$__range", "5m");
        !list(&self.api("query", "query", &query)["result"]).is_empty()
    }
}

#[test]
fn prometheus_answers_every_panel() {
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
    let mut upload = 0;
    until("an answer to every panel", || {
        upload += 1;
        let mut publish = sheetstream(&["publish", "--id", &format!("u{upload}"), "-t"]);
        let published = publish.arg(&topology).arg(path("examples/data/places-cp949.csv")).status().expect("publish");
        assert!(published.success());
        assert_eq!(http::get(served, "/topologies").status, 200);
        let queries = panel_queries().into_iter().filter(|(at, _)| !NEEDS_MORE.iter().any(|panel| at.ends_with(panel)));
        queries.into_iter().all(|(_, query)| prometheus.has(&query))
    });
    kafka.kill();
    until("failed requests", || prometheus.has("sheetstream_kafka_request_errors_total"));
}

/// Every alert that wakes somebody, from its cause to the webhook, by `script/drill`. Only times of the rules are shorter there.
#[test]
fn every_critical_alert_comes_to_whoever_is_on_call_and_its_runbook_finds_the_cause() {
    // Debian calls it by another name.
    let alertmanagers = ["prometheus-alertmanager", "alertmanager"];
    let has_alertmanager = alertmanagers.iter().any(|name| Command::new(name).arg("--version").output().is_ok());
    let needed = if has_alertmanager { "prometheus" } else { "prometheus-alertmanager" };
    if tool(needed, &["--version"]).is_none() || kafka::library().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let table = folder.path().join("table.json");
    let mut drill = Command::new("python3");
    drill.arg(path("script/drill")).arg("--folder").arg(folder.path()).arg("--json").arg(&table);
    let drill = drill.env("SHEETSTREAM_BIN", env!("CARGO_BIN_EXE_sheetstream")).output().expect("python3");
    let said = format!("{}{}", String::from_utf8_lossy(&drill.stdout), String::from_utf8_lossy(&drill.stderr));
    eprintln!("{said}");
    assert!(drill.status.success());

    let table: Value = serde_json::from_slice(&fs::read(table).expect("a table")).expect("JSON");
    for alert in alerts().iter().filter(|alert| alert.text.contains("severity: critical")) {
        let steps: Vec<&Value> = list(&table).iter().filter(|step| step["alert"] == alert.name.as_str()).collect();
        assert!(!steps.is_empty(), "no step has {} as its alert", alert.name);
        for step in steps {
            match step["left_out"].as_str() {
                Some(why) => eprintln!("skipped: {}: {why}", alert.name),
                None => assert!(step["told_s"].is_number() && step["found"] == true, "{step}"),
            }
        }
    }
    let mut shorter = 0;
    for file in RULES {
        let (shipped, tried) = (read(&format!("prometheus/rules/{file}")), folder.path().join("rules").join(file));
        let tried = fs::read_to_string(tried).expect("the rules of the drill");
        assert_eq!(shipped.lines().count(), tried.lines().count(), "{file}");
        for (shipped, tried) in shipped.lines().zip(tried.lines()).filter(|(shipped, tried)| shipped != tried) {
            let is_for = tried.trim() == "for: 1s" && shipped.trim_start().starts_with("for: ");
            let is_heartbeat =
                tried == shipped.replace("heartbeat_timestamp_seconds > 60", "heartbeat_timestamp_seconds > 5");
            assert!(is_for || is_heartbeat, "{file}: {shipped:?} is {tried:?} in the drill");
            shorter += 1;
        }
    }
    assert!(shorter > 10, "{shorter}");
}

on_the_in_process_broker! {
    prometheus_answers_every_panel,
}

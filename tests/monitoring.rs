//! A real Prometheus and a real Alertmanager with our configuration and rules, their intervals short, watch a real `run`: every query of every
//! panel and variable has an answer, and alerts fire, and come to whoever is on call, when rows are refused, the broker is gone, an upload
//! stalls, the state's disk is full, and the process dies once or again and again.
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
use dashboards::{RULES, alerts, list, panel_queries, path, read, tool, variable_queries};
use kafka::Kafka;
use serde_json::Value;
use small_disk::SmallDisk;

/// Panels that are empty while nothing is wrong.
const NEEDS_MORE: [&str; 9] = [
    "Failed requests",
    "Age of the oldest open upload",
    "Firing alerts",
    "Connections refused",
    "Foreign members",
    "Topologies that have stopped",
    "Transactions",
    "Logs that changed",
    "Largest workbook",
];
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
        self.0.kill().ok();
        self.0.wait().ok();
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

/// The receiver of alerts, and the Alertmanager before it.
struct OnCall {
    receiver: SocketAddr,
    alertmanager: SocketAddr,
    _processes: [Ends; 2],
}

impl OnCall {
    /// With its files in `folder`; `None` where there is no Alertmanager.
    fn start(folder: &Path) -> Option<OnCall> {
        // Debian calls it by another name.
        let is_debian = Command::new("prometheus-alertmanager").arg("--version").output().is_ok();
        let program = if is_debian { "prometheus-alertmanager" } else { "alertmanager" };
        tool(program, &["--version"])?;
        let (receiver, alertmanager) = (free_address(), free_address());
        let mut command = Command::new("python3");
        command.arg(path("prometheus/alerts.py")).arg(receiver.to_string()).arg(path("docs")).stdout(Stdio::null());
        let received = Ends(command.spawn().expect("python3"));
        let mut config = read("prometheus/alertmanager.yml");
        config = config.replace("url_file: /tmp/webhook", &format!("url: http://{receiver}/"));
        if !as_shipped() {
            config = config.replace("group_wait: 15s", "group_wait: 1s").replace("group_wait: 5m", "group_wait: 1s");
            config = config.replace("group_interval: 2m", "group_interval: 1s");
        }
        fs::write(folder.join("alertmanager.yml"), config).expect("written");
        let mut command = Command::new(program);
        command.current_dir(folder).args(["--config.file=alertmanager.yml", "--storage.path=alerts"]);
        command.arg(format!("--web.listen-address={alertmanager}")).arg("--cluster.listen-address=");
        let sends = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("Alertmanager");
        let on_call = OnCall { receiver, alertmanager, _processes: [received, Ends(sends)] };
        until("Alertmanager", || {
            let is_up = |address| std::net::TcpStream::connect(address).is_ok();
            is_up(receiver) && is_up(alertmanager) && http::get(alertmanager, "/-/ready").status == 200
        });
        Some(on_call)
    }

    /// Waits until an alert has come, and follows its link to the runbook.
    fn until_notified(&self, alert: &str) {
        let mut runbook = String::new();
        until(&format!("{alert} at the webhook"), || {
            let received = http::get(self.receiver, "/").json();
            let is_it = |notice: &&Value| notice["labels"]["alertname"] == alert && notice["status"] == "firing";
            let Some(notice) = list(&received).iter().find(is_it) else { return false };
            assert!(notice["labels"]["runbooks"].is_null(), "{notice}");
            runbook = notice["annotations"]["runbook_url"].as_str().expect("a link").to_owned();
            true
        });
        let (page, anchor) = runbook.split_once('#').expect("an anchor");
        let page = page.strip_prefix(&format!("http://{}", self.receiver)).expect("an absolute link to the documents");
        let text = http::get(self.receiver, page).text();
        assert!(text.contains(&format!("<b id=\"{anchor}\">## {alert}</b>")), "{runbook}");
    }
}

/// Prometheus over one `run`.
struct Prometheus {
    address: SocketAddr,
    on_call: Option<OnCall>,
    _process: Ends,
}

impl Prometheus {
    /// With its files in `folder`; it scrapes what is served at `served`, and was successful.
    fn over(served: SocketAddr, folder: &Path) -> Prometheus {
        let on_call = OnCall::start(folder);
        let mut config = read("prometheus/prometheus.yml").replace("sheetstream:8080", &served.to_string());
        let alertmanager = on_call.as_ref().map_or_else(free_address, |on_call| on_call.alertmanager);
        config = config.replace("alertmanager:9093", &alertmanager.to_string());
        if !as_shipped() {
            config = config.replace("15s", "1s").replace("10s", "1s");
        }
        fs::create_dir(folder.join("rules")).expect("a folder");
        fs::write(folder.join("prometheus.yml"), config).expect("written");
        for file in RULES {
            let mut rules = read(&format!("prometheus/rules/{file}"));
            for time in ["1m", "2m", "5m", "10m", "15m", "30m"].iter().filter(|_| !as_shipped()) {
                rules = rules.replace(&format!("for: {time}\n"), "for: 1s\n");
            }
            fs::write(folder.join("rules").join(file), rules).expect("written");
        }
        let documents = on_call.as_ref().map_or_else(free_address, |on_call| on_call.receiver);
        let address = free_address();
        let mut command = Command::new("prometheus");
        command.current_dir(folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        // What Prometheus 3 does without being asked.
        command.arg("--enable-feature=expand-external-labels");
        command.env("SHEETSTREAM_RUNBOOKS", format!("http://{documents}/runbooks"));
        command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
        let prometheus = Prometheus { address, on_call, _process: Ends(command.spawn().expect("prometheus")) };
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
        let query = query.replace("$__rate_interval", range).replace("$__range", "5m");
        let data = self.api("query", "query", &query);
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
        if let Some(on_call) = &self.on_call {
            on_call.until_notified(alert);
        }
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
        assert_eq!(http::get(served, "/topologies").status, 200);
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

    // A publisher that neither continues nor ends; it still holds less than a record of unsent rows.
    let rows = fs::read(app.csv("half.csv", 60_000)).expect("a file");
    let mut publish = app.command(&["publish", "-", "--id", "half", "-t"]);
    publish.arg(app.topology()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut publisher = Ends(publish.spawn().expect("publish"));
    publisher.0.stdin.as_mut().expect("piped").write_all(&rows).expect("written");
    let sent = Instant::now();
    prometheus.until_firing("SheetstreamUploadStalled", sent + Duration::from_secs(idle / 10));

    let Some(disk) = disk else { return };
    let ballast = state.join("ballast");
    let mut file = fs::File::create(&ballast).expect("a file");
    while file.write_all(&[0; 1 << 16]).is_ok() {}
    let full = Instant::now();
    app.publish(&[&app.csv("waits.csv", 20_000)]);
    prometheus.until_firing("SheetstreamPausedForDisk", full);
    until("a task that waits for room", || prometheus.has(r#"sheetstream_tasks_paused{reason="disk_full"} > 0"#));
    let mut health = Value::Null;
    until("a disk that is short in /healthz", || {
        let answer = http::get(served, "/healthz");
        assert_eq!(answer.status, 200, "a restart would not help");
        health = answer.json();
        health["status"] == "degraded" && health["degraded"][0]["what"] == "disk"
    });
    assert!(health["degraded"][0]["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{health}");
    assert!(health["degraded"][0]["why"].as_str().is_some_and(|why| why.contains("make room")), "{health}");

    drop(file);
    fs::remove_file(&ballast).expect("room");
    app.wait_for(&["waits.csv"], "state");
    until("the end of the alert", || !prometheus.is_firing("SheetstreamPausedForDisk"));
    until("health", || http::get(served, "/healthz").json()["status"] == "ok");
    assert_eq!(running.stop(), Some(0));
    drop(disk);
}

#[test]
fn a_process_that_dies_is_reported_and_so_is_one_that_dies_again_and_again() {
    if tool("prometheus", &["--version"]).is_none() {
        return;
    }
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "dies", 1);
    let served = free_address();
    let run = || app.run_with("state", &["--http", &served.to_string()], &[]);
    let mut running = run();
    let prometheus = Prometheus::over(served, app.folder.path());
    for alert in ["SheetstreamTargetDown", "SheetstreamAbsent", "SheetstreamCrashLoop"] {
        until("an end of what was before the first scrape", || !prometheus.is_firing(alert));
    }
    drop(running); // by SIGKILL
    let dead = Instant::now();
    prometheus.until_firing("SheetstreamTargetDown", dead);
    prometheus.until_firing("SheetstreamAbsent", dead);

    for _ in 0..3 {
        running = run();
        until("a scrape", || prometheus.has("up == 1"));
        drop(running);
        until("an end", || prometheus.has("up == 0"));
    }
    let last = Instant::now();
    prometheus.until_firing("SheetstreamCrashLoop", last);
}

on_the_in_process_broker! {
    a_process_that_dies_is_reported_and_so_is_one_that_dies_again_and_again,
    prometheus_answers_every_panel_and_alerts_fire,
    a_stalled_upload_and_a_full_disk_fire_their_alerts,
}

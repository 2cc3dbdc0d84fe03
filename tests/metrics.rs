//! The metrics as an operator meets them: documented, clean to promtool, and in agreement with the status topic and with Kafka's own tool.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use app::{App, LIMIT};
use kafka::Kafka;
use sheetstream::broker::BrokerConfig;
use sheetstream::broker::faults::{Fault, Request};
use sheetstream::metrics::{self, Description};
use sheetstream::record::Accounting;
use sheetstream::sink::status::UploadState;

/// Every label there is. All have a closed list of values, or as many as there are topologies, nodes, topics, partitions and threads.
const LABELS: [&str; 19] = [
    "change",
    "limit",
    "method",
    "route",
    "api",
    "code",
    "condition",
    "consumergroup",
    "node",
    "outcome",
    "partition",
    "proj_version",
    "reason",
    "result",
    "state",
    "thread",
    "topic",
    "topology",
    "version",
];

/// Series of a scrape: name and labels as written, and value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        (name.to_owned(), value.parse().expect("a number"))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn scrape(to: SocketAddr) -> BTreeMap<String, f64> {
    let answer = http::get(to, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    series(&answer.text())
}

#[test]
fn every_metric_says_what_it_is_and_what_to_do() {
    let all = metrics::descriptions();
    let names: BTreeSet<&str> = all.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), all.len(), "a name is given twice");
    for Description { name, kind, labels, help } in all {
        assert!(help.len() > 80 && help.ends_with('.'), "{name}: {help}");
        assert!(help.matches(['.', ':']).count() >= 2, "{name} says what it is, and then what to do: {help}");
        assert!(name.starts_with("sheetstream_") || name.starts_with("kafka_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == *"counter", "{name}: only counters are totals");
        assert!(labels.iter().all(|label| LABELS.contains(label)), "{name}: is {labels:?} bounded?");
    }
}

/// A row of the table in `docs/metrics.md`.
fn row(metric: &Description) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} | {} |", metric.name, metric.kind, labels.join(", "), metric.help)
}

#[test]
fn the_documentation_names_every_metric_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(path).expect("docs/metrics.md");
    let all = metrics::descriptions();
    let missing: Vec<String> = all.iter().map(row).filter(|row| !text.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks these rows:\n{}", missing.join("\n"));

    let known: BTreeSet<&str> = all.iter().map(|metric| metric.name).collect();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words =
        text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("sheetstream_") || word.starts_with("kafka_"));
    for word in words.filter(|word| *word != "kafka_exporter") {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        assert!(known.contains(word) || known.contains(base), "docs/metrics.md names {word}, which is no metric");
    }
}

#[test]
fn a_command_explains_metrics() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        command.arg("metrics").args(arguments).output().expect("it runs")
    };
    let listed: serde_json::Value = serde_json::from_slice(&run(&["--json"]).stdout).expect("JSON");
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|metric| metric["name"].as_str()).collect();
    assert_eq!(names, metrics::descriptions().iter().map(|metric| Some(metric.name)).collect::<Vec<_>>());
    let one = String::from_utf8(run(&["sheetstream_rows_total"]).stdout).expect("UTF-8");
    assert!(one.starts_with("sheetstream_rows_total (counter by topology, result)\n  "), "{one}");
    let none = run(&["sheetstream_nothing"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("no metric"), "{none:?}");
}

/// Runs `promtool check metrics` on a scrape; false, loudly, where there is none.
fn check_with_promtool(scrape: &str) -> bool {
    let tool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut tool) = tool else {
        eprintln!("skipped: promtool is not installed; script/bootstrap installs it on Debian");
        assert!(std::env::var_os("SHEETSTREAM_REQUIRE_TOOLS").is_none(), "promtool was required");
        return false;
    };
    tool.stdin.take().expect("piped").write_all(scrape.as_bytes()).expect("promtool reads");
    let ran = tool.wait_with_output().expect("promtool ends");
    let result = (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned());
    assert_eq!(result, (true, String::new()), "{scrape}");
    true
}

/// What `kafka-consumer-groups --describe` says of a group: committed offset, end and lag of each partition.
fn described(tool: &mut Command, group: &str) -> BTreeMap<i32, (i64, i64, i64)> {
    let output = tool.output().expect("the tool runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |text: &str| text.parse::<i64>().ok();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [found, _, partition, committed, end, lag, ..] = words[..] else { return None };
        (found == group).then_some(())?;
        Some((partition.parse().ok()?, (number(committed)?, number(end)?, number(lag)?)))
    };
    text.lines().filter_map(line).collect()
}

/// What our metrics say of the same.
fn exported(scrape: &BTreeMap<String, f64>, group: &str, topic: &str) -> BTreeMap<i32, (i64, i64, i64)> {
    let value = |name: &str, labels: &str, partition: i32| {
        scrape.get(&format!(r#"{name}{{{labels}topic="{topic}",partition="{partition}"}}"#)).map(|value| *value as i64)
    };
    let group = format!(r#"consumergroup="{group}","#);
    let partition = |partition| {
        let committed = value("kafka_consumergroup_current_offset", &group, partition)?;
        let end = value("kafka_topic_partition_current_offset", "", partition)?;
        Some((partition, (committed, end, value("kafka_consumergroup_lag", &group, partition)?)))
    };
    (0..16).filter_map(partition).collect()
}

/// What `status` says of the same; a partition without a commit is at its start.
fn status(app: &App) -> BTreeMap<i32, (i64, i64, i64)> {
    let output = app.command(&["status", "--json"]).arg(app.topology()).output().expect("status");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let partition = |at: &serde_json::Value| {
        let number = |name: &str| at[name].as_i64();
        let place = number("partition").expect("a number") as i32;
        let (end, lag) = (number("end").expect("a number"), number("lag").expect("a number"));
        (place, (number("committed").unwrap_or(0), end, lag))
    };
    report["topologies"][0]["partitions"].as_array().expect("partitions").iter().map(partition).collect()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what} never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_run_under_load_agrees_with_kafka_and_the_status_topic() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "metrics", 2);
    let Some(mut tool) = kafka.tool("consumer-groups") else { return };
    tool.args(["--describe", "--group", &app.name]);
    let topic = format!("{}.rows", app.name);
    let files: Vec<_> = (0..4).map(|n| app.csv(&format!("{n}.csv"), 20_000 + n)).collect();
    app.publish(&files.iter().map(|file| &**file).collect::<Vec<_>>());
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let http = app.http_address("state");

    // While it drains, what is committed only grows, and both see it between the same bounds.
    let before =
        until("a commit", || Some(exported(&scrape(http), &app.name, &topic)).filter(|offsets| !offsets.is_empty()));
    let (theirs, ours) = (described(&mut tool, &app.name), status(&app));
    // A commit is in the metrics a moment after Kafka has it.
    let after = until("what is committed", || {
        let offsets = exported(&scrape(http), &app.name, &topic);
        let has = |partition| offsets.get(partition).map_or(0, |(committed, ..)| *committed);
        theirs.iter().chain(&ours).all(|(partition, (committed, ..))| has(partition) >= *committed).then_some(offsets)
    });
    for (partition, (committed, end, lag)) in theirs.iter().chain(&ours) {
        let least = before.get(partition).map_or(0, |(committed, ..)| *committed);
        assert!(*committed >= least, "{partition}: {committed} is less than {least}");
        let ours = after.get(partition).map_or(*end, |(_, end, _)| *end);
        assert_eq!((*lag, ours), (end - committed, *end));
    }
    app.wait_for(&["0.csv", "1.csv", "2.csv", "3.csv"], "state");

    // At rest they are the same. Whether all is ready is looked at once a second, and the rows may be through before.
    let at_rest = until("lag 0", || {
        let scrape = scrape(http);
        let offsets = exported(&scrape, &app.name, &topic);
        let is_ready = scrape.get("sheetstream_ready") == Some(&1.0);
        (is_ready && offsets.len() == 2 && offsets.values().all(|(_, _, lag)| *lag == 0)).then_some((scrape, offsets))
    });
    assert_eq!(at_rest.1, described(&mut tool, &app.name));
    assert_eq!(at_rest.1, status(&app));

    // Rows by fate are those of the statuses.
    let scraped = at_rest.0;
    let statuses: Vec<_> = app.statuses().into_iter().filter(|status| status.state == UploadState::Published).collect();
    assert_eq!(statuses.len(), 4);
    let total = |count: fn(&Accounting) -> u64| statuses.iter().map(|status| count(&status.accounting)).sum::<u64>();
    let value = |series: &str| scraped.get(series).copied().unwrap_or_else(|| panic!("no {series}")) as u64;
    let rows = |result: &str| value(&format!(r#"sheetstream_rows_total{{result="{result}",topology="{}"}}"#, app.name));
    assert_eq!(rows("written"), total(|rows| rows.written));
    assert_eq!(rows("rejected"), total(|rows| rows.rejected));
    assert!(rows("rejected") > 0);
    for result in ["duplicate", "late", "filtered", "voided"] {
        assert_eq!(rows(result), 0, "{result}");
    }
    let of_node = |name: &str, node: &str| value(&format!(r#"{name}{{node="{node}",topology="{}"}}"#, app.name));
    assert_eq!(of_node("sheetstream_node_rows_total", "rows"), total(|rows| rows.rows_in));
    assert_eq!(of_node("sheetstream_node_rows_total", "workbooks"), total(|rows| rows.written));
    assert_eq!(of_node("sheetstream_node_rows_rejected_total", "wgs84"), total(|rows| rows.rejected));
    let letters =
        format!(r#"sheetstream_dead_letters_total{{node="wgs84",reason="number.format",topology="{}"}}"#, app.name);
    assert_eq!(value(&letters), total(|rows| rows.rejected));
    let uploads = format!(r#"sheetstream_uploads_total{{outcome="published",topology="{}"}}"#, app.name);
    assert_eq!(value(&uploads), 4);

    // Every metric of the documentation is there, but for what has not happened.
    let names: BTreeSet<&str> = scraped.keys().map(|series| series.split('{').next().expect("a name")).collect();
    for Description { name, kind, .. } in metrics::descriptions() {
        let sample = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
        let needs_more = [
            "sheetstream_oldest_open_upload_timestamp_seconds", // an upload that is open
            "sheetstream_kafka_request_errors_total",           // an error
            "sheetstream_http_requests_total",                  // a request that is no probe
            "sheetstream_http_request_duration_seconds",
            "sheetstream_http_connections_refused_total", // more connections than there are places
            "sheetstream_group_foreign_members",          // somebody else in our group
            "sheetstream_log_changes_total",              // another log
            "sheetstream_topology_failed",                // a topology that stopped alone
            "sheetstream_outputs_refused_total",          // a topic that takes next to nothing
            "sheetstream_standby_lag",                    // another instance
        ];
        assert!(names.contains(&*sample) || needs_more.contains(&name), "{name}");
    }
    let text = http::get(http, "/metrics").text();
    assert!(!text.contains(".csv"), "an upload's name is in a label:\n{text}");
    check_with_promtool(&text);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn the_time_that_quotas_cost_is_counted_by_request() {
    let kafka: &'static Kafka = Box::leak(Box::new(Kafka::of(BrokerConfig::default())));
    let app = App::new(kafka, "quota", 1);
    app.publish(&[&app.csv("a.csv", 10)]);
    kafka.script(Request::Fetch, 2, Fault::Throttle(Duration::from_millis(250)));
    kafka.script(Request::Produce, 1, Fault::Throttle(Duration::from_millis(750)));
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let http = app.http_address("state");
    let published = format!(r#"sheetstream_uploads_total{{outcome="published",topology="{}"}}"#, app.name);
    let scraped =
        until("a workbook", || Some(scrape(http)).filter(|scraped| scraped.get(&published).is_some_and(|n| *n == 1.0)));
    let waited = |api: &str| scraped.get(&format!(r#"sheetstream_kafka_throttle_seconds_total{{api="{api}"}}"#));
    assert_eq!((waited("Fetch"), waited("Produce")), (Some(&0.5), Some(&0.75)));
    assert_eq!(running.stop(), Some(0));
}

/// Asks until the answer is as `wanted` says; gives it.
fn until_answer(to: SocketAddr, path: &str, wanted: impl Fn(&http::Answer) -> bool) -> serde_json::Value {
    until(path, || Some(http::get(to, path)).filter(&wanted)).json()
}

#[test]
fn health_says_what_is_missing_and_since_when() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "health", 1);
    let running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let to = app.http_address("state");
    let ready = until_answer(to, "/readyz", |answer| answer.status == 200);
    assert_eq!((&ready["ready"], ready["missing"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    let health = |to: SocketAddr, path: &str| {
        let asked = app.command(&["health", "--url", &format!("http://{to}{path}")]).output().expect("health");
        asked.status.code()
    };
    assert_eq!(health(to, "/readyz"), Some(0));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    assert_eq!(health(gone, "/healthz"), Some(1));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_broker_that_goes_away_makes_the_process_degraded_until_it_is_back() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let topology = {
        let (bootstrap, folder) = (kafka.bootstrap.clone(), folder.path().to_owned());
        let file = folder.join("t.toml");
        let text = "name = \"away\"\n[[source]]\nname = \"rows\"\nheader = \"first\"\n[[aggregate]]\nname = \"all\"\nsheet = \"kind\"\n[[sink]]\nname = \"workbooks\"\n";
        fs::write(&file, text).expect("written");
        move |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
            command.args(arguments).arg(&file).env("SHEETSTREAM_BROKERS", &bootstrap).current_dir(&folder);
            command
        }
    };
    assert!(topology(&["topics", "create", "-t"]).output().expect("topics").status.success());
    let mut run = topology(&["run", "--http", "127.0.0.1:0", "--log-format", "json"]);
    let mut child = run.stderr(Stdio::piped()).spawn().expect("run starts");
    let log = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let running = app::Running(child);
    // The log is read to its end, so that the process never waits for us.
    let (address, addresses) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in std::io::BufRead::lines(log).map_while(Result::ok) {
            let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
            if line["message"] == "HTTP is served" {
                address.send(line["address"].as_str().expect("text").parse().expect("an address")).ok();
            }
        }
    });
    let to: SocketAddr = addresses.recv_timeout(LIMIT).expect("HTTP is served");
    until_answer(to, "/readyz", |answer| answer.status == 200);

    kafka.kill();
    let away = until_answer(to, "/readyz", |answer| answer.status == 503);
    assert_eq!(away["missing"][0]["condition"], "broker", "{away}");
    assert!(away["missing"][0]["advice"].as_str().is_some_and(|advice| advice.contains("doctor")), "{away}");
    let health = until_answer(to, "/healthz", |answer| answer.json()["status"] == "degraded");
    assert_eq!(health["degraded"][0]["what"], "broker", "{health}");
    assert!(health["degraded"][0]["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{health}");
    assert_eq!(http::get(to, "/healthz").status, 200, "a restart would not help");
    let text = http::get(to, "/metrics").text();
    assert_eq!(series(&text)[r#"sheetstream_degraded{reason="broker"}"#], 1.0);
    assert!(!health.to_string().contains(&kafka.bootstrap), "an address is shown to everybody: {health}");

    kafka.boot();
    until_answer(to, "/readyz", |answer| answer.status == 200);
    until_answer(to, "/healthz", |answer| answer.json()["status"] == "ok");
    assert_eq!(running.stop(), Some(0));
    reader.join().expect("every line is JSON");
}

on_the_in_process_broker! {
    health_says_what_is_missing_and_since_when,
    a_broker_that_goes_away_makes_the_process_degraded_until_it_is_back,
    a_run_under_load_agrees_with_kafka_and_the_status_topic,
}

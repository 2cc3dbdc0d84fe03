//! `doctor` against brokers that are well and brokers that are not.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use app::App;
use kafka::Kafka;
use serde_json::Value;

/// What `doctor` says: exit code and findings.
struct Report {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Report {
    fn of(output: Output) -> Report {
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        let findings = report["findings"].as_array().cloned().expect("findings");
        for finding in &findings {
            let advised = finding["advice"].as_str().is_some_and(|advice| advice.len() > 10);
            assert_eq!(advised, finding["verdict"] != "ok", "what is wrong comes with what to do: {finding}");
        }
        assert_eq!(report["exit"], output.status.code().expect("an exit code"));
        Report { code: output.status.code(), findings }
    }
    fn with(&self, verdict: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["verdict"] == verdict).collect()
    }
    /// The one finding of that check that is not well, as text.
    fn trouble(&self, check: &str) -> String {
        let found: Vec<&Value> = self.findings.iter().filter(|f| f["check"] == check && f["verdict"] != "ok").collect();
        assert_eq!(found.len(), 1, "{check}: {:#?}", self.findings);
        let [what, advice] = ["what", "advice"].map(|key| found[0][key].as_str().expect("text"));
        format!("{what}; {advice}")
    }
}

fn doctor(brokers: &str, arguments: &[&str]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(["doctor", "--json", "--brokers", brokers]).args(arguments);
    Report::of(command.output().expect("doctor"))
}

/// Apache Kafka with settings of its own; the in-process broker has none of them.
fn apache(settings: &[&str]) -> Option<Kafka> {
    Kafka::start(settings)
}

#[test]
fn a_cluster_that_is_well_has_no_failures() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "doctor", 2);
    let state = app.folder.path().join("state");
    let topology = app.topology();
    let report = doctor(
        &kafka.bootstrap,
        &["-t", topology.to_str().expect("a path"), "--state-dir", state.to_str().expect("a path")],
    );
    assert_eq!(report.code, Some(0), "{:#?}", report.findings);
    assert_eq!(report.with("fail").len(), 0);
    for warning in report.with("warn") {
        let expected = ["copies", "file system"]; // one broker; temporary folders may be in memory
        assert!(expected.contains(&warning["check"].as_str().expect("a name")), "{warning}");
    }
    for check in ["bootstrap", "versions", "exists", "cleanup", "size", "partitions", "group", "writable", "disk"] {
        assert!(report.with("ok").iter().any(|finding| finding["check"] == check), "{check}: {:#?}", report.findings);
    }
    assert!(!state.exists(), "doctor made the state directory");

    let plain = Command::new(env!("CARGO_BIN_EXE_sheetstream"))
        .args(["doctor", "--brokers", &kafka.bootstrap])
        .output()
        .expect("doctor");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.lines().count() >= 2 && plain.lines().all(|line| line.starts_with("ok ")), "{plain}");
}

#[test]
fn a_missing_topic_is_named_with_the_command_that_makes_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let topology = folder.path().join("t.toml");
    let name = format!("missing-{}", uuid::Uuid::new_v4().simple());
    let text = format!(
        "name = \"{name}\"\n[[source]]\nname = \"rows\"\nheader = \"first\"\n[[aggregate]]\nname = \"all\"\nsheet = \"kind\"\n[[sink]]\nname = \"workbooks\"\n"
    );
    fs::write(&topology, text).expect("written");
    let report = doctor(&kafka.bootstrap, &["-t", topology.to_str().expect("a path")]);
    assert_eq!(report.code, Some(78), "{:#?}", report.findings);
    let missing = report.with("fail");
    assert_eq!(missing.len(), 4);
    assert!(missing.iter().all(|finding| finding["advice"].as_str().is_some_and(|a| a.contains("topics create"))));
}

#[test]
fn a_listener_that_leads_nowhere_is_named() {
    // A port that was free a moment ago: nobody listens on it.
    let nowhere = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let Some(kafka) = apache(&[&format!("advertised.listeners=PLAINTEXT://{nowhere}")]) else { return };
    let report = doctor(&kafka.bootstrap, &[]);
    assert_eq!(report.code, Some(69), "{:#?}", report.findings);
    let trouble = report.trouble("advertised");
    assert!(trouble.contains(&format!("sends clients to {nowhere}")), "{trouble}");
    assert!(trouble.contains("advertised.listeners") && trouble.contains(&kafka.bootstrap), "{trouble}");
}

#[test]
fn a_broker_that_is_not_there_or_says_nothing_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("bound").to_string();
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string();
    let report = doctor(&format!("{gone},{silent_address}"), &[]);
    assert_eq!(report.code, Some(69));
    let failures: Vec<String> = report.with("fail").iter().map(|finding| finding["what"].to_string()).collect();
    assert!(
        failures.len() == 2 && failures[0].contains(&gone) && failures[1].contains(&silent_address),
        "{failures:?}"
    );
}

#[test]
fn topics_that_lose_rows_or_refuse_workbooks_are_named() {
    let Some(kafka) = apache(&[]) else { return };
    let kafka: &'static Kafka = Box::leak(Box::new(kafka));
    let app = App::new(kafka, "bad-topics", 3);
    let alter = |topic: &str, configs: &str| {
        let Some(mut tool) = kafka.tool("configs") else { return };
        let name = format!("{}.{topic}", app.name);
        tool.args(["--alter", "--entity-type", "topics", "--entity-name", &name, "--add-config", configs]);
        let altered = tool.output().expect("the tool");
        assert!(altered.status.success(), "{}", String::from_utf8_lossy(&altered.stderr));
    };
    alter("rows", "cleanup.policy=compact,retention.ms=3600000");
    alter("workbooks", "max.message.bytes=50000");
    alter("status", "message.timestamp.before.max.ms=5");
    alter("dead-letters", "min.insync.replicas=2");
    let topology = app.topology();
    let report = doctor(&kafka.bootstrap, &["-t", topology.to_str().expect("a path")]);
    assert_eq!(report.code, Some(78), "{:#?}", report.findings);
    assert!(report.trouble("cleanup").contains("cleanup.policy=[delete]"));
    let timestamps = report.trouble("timestamps");
    assert!(timestamps.contains("status refuses records that are dated 5 ms from its clock"), "{timestamps}");
    assert!(timestamps.contains("--add-config message.timestamp.before.max.ms=60000"), "{timestamps}");
    let size = report.trouble("size");
    assert!(size.contains("takes 50000 bytes") && size.contains("lower record_bytes_max to"), "{size}");
    let retention = report.trouble("retention");
    assert!(retention.contains("after 3600 s") && retention.contains("86400 s"), "{retention}");
    let warnings = report.with("warn");
    let said = |finding: &&Value| finding["what"].as_str().is_some_and(|what| what.contains("min.insync.replicas=2"));
    let copies = warnings.into_iter().find(said).expect("a warning of copies");
    assert!(copies["what"].as_str().is_some_and(|what| what.contains("dead-letters has 1 copies")), "{copies}");
}

/// Three copies of the log of transactions and one broker: a producer would wait for ever.
#[test]
fn a_cluster_that_cannot_keep_transactions_serves_at_least_once_and_says_so() {
    let Some(kafka) = apache(&["transaction.state.log.replication.factor=3"]) else { return };
    let kafka: &'static Kafka = Box::leak(Box::new(kafka));
    let app = App::new(kafka, "no-transactions", 1);
    let topology = app.topology();
    let path = topology.to_str().expect("a path");
    let report = doctor(&kafka.bootstrap, &["-t", path]);
    assert_eq!(report.code, Some(0), "{:#?}", report.findings);
    let trouble = report.trouble("transactions");
    assert!(trouble.contains("transaction.state.log.replication.factor is 3 and there are 1 brokers"), "{trouble}");
    assert!(trouble.contains("at least once"), "{trouble}");

    let running = app.run("state");
    app.publish(&[&app.csv("a.csv", 20)]);
    app.wait_for(&["a.csv"], "state");
    assert_eq!(running.stop(), Some(0), "{}", app.log("state"));
    let log = app.log("state");
    assert!(log.contains("at least once") && log.contains("transaction.state.log.replication.factor is 3"), "{log}");

    // One that is told to deliver once says so at once, and ends, for nothing else runs in it.
    let mut running = app.run_with("told", &["--guarantee", "exactly_once_v2"], &[]);
    assert_eq!(running.0.wait().expect("it ends").code(), Some(78), "{}", app.log("told"));
    assert!(app.log("told").contains("transaction.state.log.replication.factor is 3"), "{}", app.log("told"));

    let text = fs::read_to_string(&topology).expect("the topology");
    let (name, rest) = text.split_once("\n[[").expect("a name, then tables");
    fs::write(&topology, format!("{name}\nguarantee = \"exactly_once_v2\"\n[[{rest}")).expect("written");
    let report = doctor(&kafka.bootstrap, &["-t", path]);
    assert_eq!(report.code, Some(78), "{:#?}", report.findings);
    assert!(report.trouble("transactions").contains("does not start"), "{:#?}", report.findings);
}

#[test]
fn a_state_directory_that_cannot_serve_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no directory").expect("written");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string();
    let report = doctor(&gone, &["--state-dir", file.join("state").to_str().expect("a path")]);
    assert!(report.trouble("writable").contains("cannot be written"), "{:#?}", report.findings);

    let held = folder.path().join("held");
    let _dir = sheetstream::state::StateDir::open(&held, sheetstream::state::StateOptions::default()).expect("opens");
    let report = doctor(&gone, &["--state-dir", held.to_str().expect("a path")]);
    assert!(report.trouble("lock").contains(&format!("process {}", std::process::id())));
}

on_the_in_process_broker! {
    a_cluster_that_is_well_has_no_failures,
    a_missing_topic_is_named_with_the_command_that_makes_it,
}

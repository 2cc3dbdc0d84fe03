//! `run` as operators meet it: the broker away, topics missing, rows deleted, several topologies in one process, state that is no longer
//! needed, uploads of every size.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use app::{App, LIMIT};
use kafka::Kafka;
use sheetstream::client::reset;
use sheetstream::kafka::KafkaConfig;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::metrics;
use sheetstream::record::{Offset, Record, TopicPartition};
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::streams::{Streams, StreamsError};
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::topology::Topology;
use sheetstream::transport::TransportError;

/// A topology whose name is not used twice.
fn topology(name: &str) -> Topology {
    let text = topology_text(&format!("{name}-{}", uuid::Uuid::new_v4().simple()));
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn topology_text(name: &str) -> String {
    format!(
        r#"
name = "{name}"
[[source]]
name = "rows"
header = ["name", "kind"]
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    )
}

fn create_topics(kafka: &Kafka, name: &str, topics: &[&str]) {
    let topic = |of: &&str| NewTopic { name: format!("{name}.{of}"), partitions: 1, replication: 1, configs: vec![] };
    kafka.client("test").create_topics(&topics.iter().map(topic).collect::<Vec<_>>()).expect("topics");
}

fn publish(kafka: &Kafka, name: &str, upload: &str, values: &[&str]) {
    let topic: Arc<str> = format!("{name}.rows").into();
    let mut producer = kafka.client("test").producer(ProducerConfig::default());
    for value in values {
        producer.send(&topic, None, Some(upload.as_bytes()), Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

fn statuses(kafka: &Kafka, name: &str) -> Vec<StatusRecord> {
    let (client, topic): (_, Arc<str>) = (kafka.client("test"), format!("{name}.status").into());
    let mut statuses = Vec::new();
    let mut each = |record: sheetstream::record::Record| {
        statuses.extend(record.value.as_deref().and_then(StatusRecord::parse));
    };
    for partition in 0..client.partitions(&topic).expect("the topic is there") {
        client.read_all(&TopicPartition { topic: topic.clone(), partition }, &mut each).expect("read");
    }
    statuses
}

fn wait_for(kafka: &Kafka, name: &str, upload: &str, state: UploadState) -> StatusRecord {
    let begun = Instant::now();
    loop {
        let all = statuses(kafka, name);
        let found = all.iter().rfind(|status| status.upload == upload && status.state == state);
        if let Some(found) = found {
            return found.clone();
        }
        assert!(begun.elapsed() < LIMIT, "{upload} is never {state:?}: {all:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A topology that runs on a thread of this process.
struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), StreamsError>>,
}

impl Running {
    fn start(topology: Topology, kafka: KafkaConfig, state: &tempfile::TempDir) -> Running {
        let mut config = StreamsConfig::new(kafka, state.path().join("state"));
        config.commit_interval = Duration::from_millis(100);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::spawn(move || Streams::new(vec![topology], config).run(&flag));
        Running { stop, thread }
    }
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic").expect("stopped in order");
    }
    /// It ends by itself.
    fn end(self) -> StreamsError {
        self.thread.join().expect("no panic").expect_err("an error")
    }
}

fn patient(kafka: &Kafka, deadline_s: u64) -> KafkaConfig {
    let (request_timeout, retry_deadline) = (Duration::from_secs(1), Duration::from_secs(deadline_s));
    KafkaConfig { request_timeout, retry_deadline, ..kafka.config("run") }
}

#[test]
fn without_a_broker_it_ends_at_its_deadline_and_names_the_address() {
    let Some(kafka) = Kafka::prepare(&[]) else { return };
    let state = tempfile::tempdir().expect("a temporary folder");
    let error = Running::start(topology("nobody"), patient(&kafka, 2), &state).end();
    assert!(matches!(&error, StreamsError::Transport(TransportError::Unavailable(_))), "{error}");
    assert!(error.to_string().contains(&kafka.bootstrap), "{error}");
}

#[test]
fn a_broker_that_is_away_at_the_start_and_in_the_middle_is_waited_for() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let state = tempfile::tempdir().expect("a temporary folder");
    let topology = topology("away");
    let name = topology.name.to_string();
    create_topics(&kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
    publish(&kafka, &name, "a.csv", &["Blue House,museum", "Red House,museum"]);
    kafka.kill();
    let running = Running::start(topology, patient(&kafka, 100), &state);
    std::thread::sleep(Duration::from_secs(2));
    kafka.boot();
    let receiving = wait_for(&kafka, &name, "a.csv", UploadState::Receiving);
    assert_eq!(receiving.accounting.written, 2);
    kafka.kill();
    std::thread::sleep(Duration::from_secs(4)); // several request timeouts, as minutes are several of the usual ones
    kafka.boot();
    publish(&kafka, &name, "a.csv", &["White House,museum", "#EOF rows=3"]);
    let end = wait_for(&kafka, &name, "a.csv", UploadState::Published);
    assert_eq!((end.accounting.written, end.accounting.balances(), end.revision), (3, true, 1));
    running.stop();
}

/// Topics are looked at every ten seconds: a question that waits for the broker is not asked again.
#[test]
fn a_broker_that_is_away_is_not_asked_more_and_more() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = format!("asked-{}", uuid::Uuid::new_v4().simple());
    create_topics(&kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
    let [topology, log] = ["t.toml", "log"].map(|file| folder.path().join(file));
    fs::write(&topology, topology_text(&name)).expect("written");
    let mut run = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    run.arg("run").arg(&topology).args(["--brokers", &kafka.bootstrap, "--state-dir"]).arg(folder.path().join("state"));
    let run = app::Running(run.stderr(fs::File::create(&log).expect("a log")).spawn().expect("run starts"));
    publish(&kafka, &name, "a.csv", &["Blue House,museum", "#EOF"]);
    wait_for(&kafka, &name, "a.csv", UploadState::Published);
    kafka.kill();
    let said = |of: &str| fs::read_to_string(&log).expect("a log").matches(of).count();
    let begun = Instant::now();
    while said("operation=\"find topic\" failing_s=3") == 0 {
        assert!(begun.elapsed() < LIMIT, "{}", fs::read_to_string(&log).expect("a log"));
        std::thread::sleep(Duration::from_millis(100));
    }
    // One question of the manager, and one of the task that begins again.
    assert!(said("operation=\"find topic\" failing_s=1 ") <= 2, "{}", fs::read_to_string(&log).expect("a log"));
    kafka.boot();
    publish(&kafka, &name, "b.csv", &["Red House,museum", "#EOF"]);
    wait_for(&kafka, &name, "b.csv", UploadState::Published);
    assert_eq!(run.stop(), Some(0));
}

#[test]
fn partitions_that_are_added_while_it_runs_are_taken_up() {
    let Some(kafka) = Kafka::shared() else { return };
    let state = tempfile::tempdir().expect("a temporary folder");
    let topology = topology("grows");
    let name = topology.name.to_string();
    create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
    let running = Running::start(topology, kafka.config("run"), &state);
    publish(kafka, &name, "before.csv", &["Blue House,museum", "#EOF"]);
    wait_for(kafka, &name, "before.csv", UploadState::Published);
    for topic in ["status", "rows"] {
        kafka::add_partitions(&kafka.bootstrap, &format!("{name}.{topic}"), 4);
    }
    let rows: Arc<str> = format!("{name}.rows").into();
    let mut producer = kafka.client("test").producer(ProducerConfig::default());
    let uploads = ["a.csv", "b.csv", "c.csv", "d.csv", "e.csv", "f.csv"];
    for upload in uploads {
        for value in ["Red House,museum", "#EOF"] {
            producer.send(&rows, None, Some(upload.as_bytes()), Some(value.as_bytes()), &[]).expect("sent");
        }
    }
    producer.flush().expect("acknowledged");
    let partitions: BTreeSet<i32> =
        uploads.iter().map(|upload| wait_for(kafka, &name, upload, UploadState::Published).partition).collect();
    assert!(partitions.len() > 1, "all of them lie in one partition");
    running.stop();
}

#[test]
fn uploads_of_a_topic_that_was_made_anew_are_published_once_and_whole() {
    let Some(kafka) = Kafka::shared() else { return };
    for (is_running, keeps_state) in [(false, true), (false, false), (true, true)] {
        let topology = topology("anew");
        let name = topology.name.to_string();
        create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
        let (state, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let rows = |count: usize| [vec!["Blue House,museum"; count], vec!["#EOF"]].concat();
        let mut running = Some(Running::start(topology.clone(), kafka.config("run"), &state));
        publish(kafka, &name, "old.csv", &rows(9));
        publish(kafka, &name, "open.csv", &["Red House,museum"]);
        assert_eq!(wait_for(kafka, &name, "old.csv", UploadState::Published).revision, 1);
        wait_for(kafka, &name, "open.csv", UploadState::Receiving);
        if let Some(running) = running.take_if(|_| !is_running) {
            running.stop();
        }
        kafka::recreate_topic(kafka, &format!("{name}.rows"));
        publish(kafka, &name, "new.csv", &rows(40));
        publish(kafka, &name, "old.csv", &rows(5));
        let state = if keeps_state { &state } else { &other };
        let running = running.unwrap_or_else(|| Running::start(topology, kafka.config("run"), state));
        let new = wait_for(kafka, &name, "new.csv", UploadState::Published);
        assert_eq!((new.accounting.written, new.revision), (40, 1), "running {is_running}, state {keeps_state}");
        let begun = Instant::now();
        let again = loop {
            let all = statuses(kafka, &name);
            let found = all.iter().find(|status| status.upload == "old.csv" && status.accounting.rows_in == 5);
            if let Some(found) = found.filter(|status| status.state == UploadState::Published) {
                break found.clone();
            }
            assert!(begun.elapsed() < LIMIT, "{all:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!((again.accounting.written, again.failure), (5, None), "running {is_running}, state {keeps_state}");
        if !keeps_state {
            assert_eq!(again.revision, 2, "the status topic remembers the revision before");
        }
        let gone = wait_for(kafka, &name, "open.csv", UploadState::Failed);
        assert_eq!(gone.failure.expect("a reason").reason, "topic.recreated");
        assert_ne!(gone.topic_id, again.topic_id, "it was in the topic that is no more");
        publish(kafka, &name, "open.csv", &rows(1));
        let rest = wait_for(kafka, &name, "open.csv", UploadState::Incomplete);
        assert_eq!(rest.failure.expect("a reason").reason, "upload.remainder");
        publish(kafka, &name, "open.csv", &[vec!["#BEGIN"], rows(2)].concat());
        assert_eq!(wait_for(kafka, &name, "open.csv", UploadState::Published).accounting.written, 2);
        running.stop();
    }
}

/// Everything of an open upload is deleted, or somebody sets the offset behind it, while nothing runs.
#[test]
fn the_rest_of_an_upload_that_is_gone_or_skipped_is_no_upload_of_its_own() {
    let Some(kafka) = Kafka::shared() else { return };
    for (is_deleted, keeps_state) in [(true, false), (true, true), (false, false), (false, true)] {
        let topology = topology("rest");
        let name = topology.name.to_string();
        create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
        let (state, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let running = Running::start(topology.clone(), kafka.config("run"), &state);
        publish(kafka, &name, "open.csv", &["Blue House,museum"]);
        wait_for(kafka, &name, "open.csv", UploadState::Receiving);
        running.stop();
        let (client, rows) =
            (kafka.client("test"), TopicPartition { topic: format!("{name}.rows").into(), partition: 0 });
        match is_deleted {
            true => kafka::delete_records(kafka, &rows, client.bounds(&rows).expect("bounds").end.0),
            false => {
                let resets = reset::plan(&client, &topology, &reset::Target::Latest).expect("a plan");
                reset::apply(&client, &topology, &resets).expect("nobody is in the group");
            }
        }
        let running = Running::start(topology, kafka.config("run"), if keeps_state { &state } else { &other });
        let what = format!("deleted {is_deleted}, state {keeps_state}");
        let gone = wait_for(kafka, &name, "open.csv", UploadState::Failed);
        assert_eq!(gone.failure.expect("a reason").reason, "log.gap", "{what}");
        publish(kafka, &name, "open.csv", &["Red House,museum", "#EOF"]);
        publish(kafka, &name, "next.csv", &["Red House,museum", "#EOF"]);
        wait_for(kafka, &name, "next.csv", UploadState::Published);
        let ends: Vec<_> = statuses(kafka, &name).into_iter().filter(|s| s.offsets.completion.is_some()).collect();
        let end = ends.iter().find(|status| status.upload == "open.csv").expect("an end");
        assert_eq!((end.state, end.accounting.written), (UploadState::Failed, 0), "{what}");
        publish(kafka, &name, "open.csv", &["Blue House,museum", "Red House,museum", "#EOF"]);
        assert_eq!(wait_for(kafka, &name, "open.csv", UploadState::Published).accounting.written, 2, "{what}");
        running.stop();
    }
}

#[test]
fn a_missing_output_topic_is_reported_before_anything_is_read() {
    let Some(kafka) = Kafka::shared() else { return };
    for missing in ["workbooks", "status", "dead-letters", "rows"] {
        let state = tempfile::tempdir().expect("a temporary folder");
        let topology = topology("missing");
        let name = topology.name.to_string();
        let topics: Vec<&str> =
            ["rows", "workbooks", "status", "dead-letters"].into_iter().filter(|topic| *topic != missing).collect();
        create_topics(kafka, &name, &topics);
        let error = Running::start(topology, patient(kafka, 20), &state).end();
        assert!(matches!(&error, StreamsError::Transport(TransportError::Topic(_))), "{error}");
        let said = error.to_string();
        assert!(said.contains(&format!("{name}.{missing}")) && said.contains("topics create"), "{said}");
    }
}

#[test]
fn a_workbook_that_its_topic_does_not_take_fails_its_upload_only() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("large");
    let name = topology.name.to_string();
    create_topics(kafka, &name, &["rows", "status", "dead-letters"]);
    let small = vec![("max.message.bytes".to_owned(), "3000".to_owned())];
    let workbooks = NewTopic { name: format!("{name}.workbooks"), partitions: 1, replication: 1, configs: small };
    kafka.client("test").create_topics(&[workbooks]).expect("a topic");
    let state = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(topology, patient(kafka, 60), &state);
    for upload in ["a.csv", "b.csv"] {
        publish(kafka, &name, upload, &["Blue House,museum", "#EOF"]);
        let failure = wait_for(kafka, &name, upload, UploadState::Failed).failure.expect("a reason");
        assert_eq!(failure.reason, "workbook.too_large");
        assert!(failure.message.contains("max.message.bytes"), "{}", failure.message);
    }
    running.stop();
}

#[test]
fn dead_letters_and_statuses_are_clipped_to_what_their_topics_take() {
    let Some(kafka) = Kafka::shared() else { return };
    let too_many = format!("too,many,{}", "x".repeat(5_000));
    for (letter_bytes, letters) in [("600", 1), ("150", 0)] {
        let topology = topology("clipped");
        let name = topology.name.to_string();
        create_topics(kafka, &name, &["rows", "workbooks"]);
        let topic = |of: &str, bytes: &str| NewTopic {
            name: format!("{name}.{of}"),
            partitions: 1,
            replication: 1,
            configs: vec![("max.message.bytes".to_owned(), bytes.to_owned())],
        };
        let topics = [topic("dead-letters", letter_bytes), topic("status", "900")];
        kafka.client("test").create_topics(&topics).expect("topics");
        let state = tempfile::tempdir().expect("a temporary folder");
        let running = Running::start(topology, patient(kafka, 60), &state);
        publish(kafka, &name, "a.csv", &["Blue House,museum", &too_many, "#EOF"]);
        let end = wait_for(kafka, &name, "a.csv", UploadState::Published);
        assert_eq!((end.accounting.written, end.accounting.rejected), (1, 1));
        // A long message: the names of 40 missing rows.
        let rows: Vec<String> = (0..40).map(|row| format!("{row},museum")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).chain(["#EOF rows=3"]).collect();
        publish(kafka, &name, "b.csv", &rows);
        let held = wait_for(kafka, &name, "b.csv", UploadState::Incomplete).failure.expect("a reason");
        assert_eq!(held.reason, "upload.incomplete");
        let mut found = 0;
        let partition = TopicPartition { topic: format!("{name}.dead-letters").into(), partition: 0 };
        kafka.client("test").read_all(&partition, &mut |_| found += 1).expect("read");
        assert_eq!(found, letters, "{letter_bytes}");
        let refused = metrics::outputs_refused(&name, &partition.topic).get();
        assert_eq!(refused, 1 - letters, "{letter_bytes}");
        running.stop();
    }
}

/// The limits are set while the process makes records by the former ones.
#[test]
fn letters_and_statuses_follow_the_limits_of_their_topics() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("limits");
    let name = topology.name.to_string();
    create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
    let state = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(topology, patient(kafka, 60), &state);
    let too_many = format!("too,many,{}", "x".repeat(2_000));
    let limits = [("whole", "100000"), ("lower", "900"), ("none", "150"), ("higher", "900"), ("all", "100000")];
    for (upload, limit) in limits {
        for topic in ["status", "dead-letters"].map(|of| format!("{name}.{of}")) {
            kafka::configure_topic(kafka, &topic, "max.message.bytes", limit);
        }
        std::thread::sleep(Duration::from_secs(1)); // a limit is asked for once a second at most
        publish(kafka, &name, upload, &["Blue House,museum", &too_many, "#EOF"]);
        if upload == "none" {
            let refused = metrics::outputs_refused(&name, &format!("{name}.status"));
            let begun = Instant::now();
            while refused.get() == 0 {
                assert!(begun.elapsed() < LIMIT, "no status is refused");
                std::thread::sleep(Duration::from_millis(20));
            }
        } else {
            wait_for(kafka, &name, upload, UploadState::Published);
        }
    }
    running.stop();
    let mut letters = BTreeMap::new();
    let partition = TopicPartition { topic: format!("{name}.dead-letters").into(), partition: 0 };
    let mut note = |letter: Record| {
        let key = String::from_utf8(letter.key.expect("the upload").to_vec()).expect("text");
        letters.insert(key, letter.value.map_or(0, |value| value.len()));
    };
    kafka.client("test").read_all(&partition, &mut note).expect("read");
    let uploads: Vec<_> = letters.keys().map(String::as_str).collect();
    assert_eq!(uploads, ["all", "higher", "lower", "whole"]);
    assert!(letters["whole"] == too_many.len() && letters["all"] == too_many.len(), "{letters:?}");
    assert!(letters["lower"] < 900 && letters["higher"] < 900, "{letters:?}");
}

/// Nothing is fetched meanwhile: the upload waits, and so does its publisher.
#[test]
fn retention_that_reaches_an_open_upload_shows_within_seconds() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("headroom");
    let name = topology.name.to_string();
    create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
    let state = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(topology, kafka.config("run"), &state);
    publish(kafka, &name, "a.csv", &["Blue House,museum", "Red House,museum"]);
    wait_for(kafka, &name, "a.csv", UploadState::Receiving);
    let headroom = || {
        let series = format!("sheetstream_retention_headroom_records{{topology=\"{name}\"}} ");
        let rendered = metrics::render();
        rendered.lines().find_map(|line| Some(line.strip_prefix(&series)?.to_owned()))
    };
    let rows = TopicPartition { topic: format!("{name}.rows").into(), partition: 0 };
    kafka::delete_records(kafka, &rows, 1);
    let begun = Instant::now();
    while headroom().as_deref() != Some("0") {
        assert!(begun.elapsed() < LIMIT, "{:?}", headroom());
        std::thread::sleep(Duration::from_millis(20));
    }
    running.stop();
}

#[test]
fn rows_deleted_during_a_stop_fail_their_upload_and_no_other() {
    let Some(kafka) = Kafka::shared() else { return };
    for keep_state in [true, false] {
        let topology = topology("retention");
        let name = topology.name.to_string();
        create_topics(kafka, &name, &["rows", "workbooks", "status", "dead-letters"]);
        let state = tempfile::tempdir().expect("a temporary folder");
        let running = Running::start(topology.clone(), patient(kafka, 60), &state);
        publish(kafka, &name, "old.csv", &["Blue House,museum", "Red House,museum"]);
        assert_eq!(wait_for(kafka, &name, "old.csv", UploadState::Receiving).offsets.first, Offset(0));
        running.stop();
        let rows = TopicPartition { topic: format!("{name}.rows").into(), partition: 0 };
        kafka::delete_records(kafka, &rows, 1);
        publish(kafka, &name, "old.csv", &["White House,museum", "#EOF"]);
        publish(kafka, &name, "new.csv", &["Green House,museum", "#EOF"]);
        let other = tempfile::tempdir().expect("a temporary folder");
        let running = Running::start(topology, patient(kafka, 60), if keep_state { &state } else { &other });
        let failure = wait_for(kafka, &name, "old.csv", UploadState::Failed).failure.expect("a reason");
        assert_eq!(failure.reason, "log.gap");
        assert!(failure.message.contains("retention"), "{}", failure.message);
        assert_eq!(wait_for(kafka, &name, "new.csv", UploadState::Published).accounting.written, 1);
        running.stop();
    }
}

#[test]
fn three_topologies_share_a_process_and_the_state_of_two_goes_when_they_are_gone() {
    let Some(kafka) = Kafka::shared() else { return };
    let apps = ["one", "two", "three"].map(|name| App::new(kafka, name, 2));
    let files = [&apps[0], &apps[1], &apps[2]].map(|app| app.csv("a.csv", 3_000));
    let others = [1, 2].map(|app: usize| apps[app].topology().display().to_string());
    let running = apps[0].run_with("state", &[&others[0], &others[1]], &[]);
    for (app, file) in apps.iter().zip(&files) {
        app.publish(&[file]);
    }
    for (app, file) in apps.iter().zip(&files) {
        app.wait_for(&["a.csv"], "state");
        app.assert_right(&[("a.csv", &app.converted(file))]);
    }
    assert_eq!(running.stop(), Some(0));
    let running = apps[0].run_with("state", &["--state-cleanup-delay-ms", "300"], &[]);
    let begun = Instant::now();
    let removed = || apps[0].log("state").matches("has not been ours for a while").count();
    while removed() < 4 {
        assert!(begun.elapsed() < LIMIT, "{}", apps[0].log("state"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let file = apps[0].csv("b.csv", 100);
    apps[0].publish(&[&file]);
    apps[0].wait_for(&["a.csv", "b.csv"], "state");
    assert_eq!((running.stop(), removed()), (Some(0), 4), "its own two are kept");
}

#[test]
fn uploads_of_no_row_one_row_five_and_2_000_sheets_are_what_convert_makes() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "sizes", 2);
    let file = |name: &str, rows: usize, sheets: usize| {
        let mut text = "id,name,kind,x,y\n".to_owned();
        for row in 0..rows {
            writeln!(text, "{row},Place {row},kind {},{},{}", row % sheets, 953_000 + row % 900, 1_952_000 + row % 700)
                .expect("memory takes it");
        }
        let path = app.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let files =
        [file("none.csv", 0, 1), file("one.csv", 1, 1), file("five.csv", 5_000, 5), file("many.csv", 4_000, 2_000)];
    let running = app.run("state");
    app.publish(&files.each_ref().map(|file| file.as_path()));
    app.wait_for(&["none.csv", "one.csv", "five.csv", "many.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let books = files.each_ref().map(|file| app.converted(file));
    app.assert_right(&[
        ("none.csv", &books[0]),
        ("one.csv", &books[1]),
        ("five.csv", &books[2]),
        ("many.csv", &books[3]),
    ]);
    let preview = sheetstream::sink::preview::read_workbook(&books[0]).expect("a workbook");
    assert_eq!((preview.len(), preview[0].rows, preview[0].columns.len()), (1, 0, 7));
}

on_the_in_process_broker! {
    without_a_broker_it_ends_at_its_deadline_and_names_the_address,
    a_broker_that_is_away_at_the_start_and_in_the_middle_is_waited_for,
    a_broker_that_is_away_is_not_asked_more_and_more,
    a_missing_output_topic_is_reported_before_anything_is_read,
    partitions_that_are_added_while_it_runs_are_taken_up,
    uploads_of_a_topic_that_was_made_anew_are_published_once_and_whole,
    a_workbook_that_its_topic_does_not_take_fails_its_upload_only,
    dead_letters_and_statuses_are_clipped_to_what_their_topics_take,
    letters_and_statuses_follow_the_limits_of_their_topics,
    retention_that_reaches_an_open_upload_shows_within_seconds,
    rows_deleted_during_a_stop_fail_their_upload_and_no_other,
    the_rest_of_an_upload_that_is_gone_or_skipped_is_no_upload_of_its_own,
    three_topologies_share_a_process_and_the_state_of_two_goes_when_they_are_gone,
    uploads_of_no_row_one_row_five_and_2_000_sheets_are_what_convert_makes,
}

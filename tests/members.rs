//! Who owns a partition: standbys that take it over, and streams groups, by the real binary.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::{App, LIMIT, Running};
use kafka::Kafka;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::{Offset, TopicPartition};
use sheetstream::transport::Committed;

const STREAMS: [(&str, &str); 1] = [("SHEETSTREAM_KAFKA_GROUP_PROTOCOL", "streams")];

fn wait_until(what: &str, is_so: impl Fn() -> bool, log: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rows(app: &App, partition: i32) -> TopicPartition {
    TopicPartition { topic: format!("{}.rows", app.name).into(), partition }
}

/// Publishes values of one upload to partition 0.
fn send(app: &App, upload: &str, values: &[&str]) {
    let topic: Arc<str> = format!("{}.rows", app.name).into();
    let mut producer = app.kafka.client("test").producer(ProducerConfig::default());
    for value in values {
        producer.send(&topic, Some(0), Some(upload.as_bytes()), Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

/// Waits until everything in partition 0 is committed.
fn wait_for_commit(app: &App, state: &str) {
    let client = app.kafka.client("test");
    let end = client.bounds(&rows(app, 0)).expect("bounds").end;
    let committed = || -> Offset {
        let found = client.group(&app.name).fetch_committed([rows(app, 0)]).expect("commits");
        match found.into_values().next() {
            Some(Committed::Ours(progress)) => progress.next,
            _ => Offset(0),
        }
    };
    wait_until("nothing is committed", || committed() >= end, || app.log(state));
}

/// The owner of the only partition is killed while an upload is open, and one has ended: the standby takes over and publishes the open one.
fn a_standby_takes_over(guarantee: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "standby", 1);
    let options = ["--standby", "1", "--guarantee", guarantee];
    let owner = app.run_with("owner", &options, &[]);
    wait_until("no task", || app.log("owner").contains("task running"), || app.log("owner"));
    let other = app.run_with("other", &options, &[]);
    let ended = app.csv("ended.csv", 700);
    app.publish(&[&ended]);
    app.wait_for(&["ended.csv"], "owner");
    let open = app.csv("open.csv", 5_000);
    let text = fs::read_to_string(&open).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    send(&app, "open.csv", &lines);
    wait_for_commit(&app, "owner");
    wait_until("no standby", || app.log("other").contains("standby running"), || app.log("other"));
    owner.kill();
    send(&app, "open.csv", &["#EOF rows=5000"]);
    app.wait_for(&["open.csv"], "other");
    let log = app.log("other");
    assert!(log.contains("taking over from the standby"), "{log}");
    assert!(!log.contains("rebuilding state from the log"), "{log}");
    app.assert_right(&[("ended.csv", &app.converted(&ended)), ("open.csv", &app.converted(&open))]);
    assert_eq!(app.workbooks().into_values().map(|copies| copies.len()).sum::<usize>(), 2);
    assert_eq!(other.stop(), Some(0));
}

#[test]
fn a_standby_takes_over_what_its_owner_has_left_open() {
    a_standby_takes_over("at_least_once");
}

#[test]
fn a_standby_takes_over_in_transactions_and_nothing_comes_twice() {
    a_standby_takes_over("exactly_once_v2");
}

/// What a command says.
fn said(command: &mut std::process::Command) -> String {
    let output = command.output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    out.into_owned()
}

/// It is shown while it is one, and how far it is; whoever stops in order leaves its partitions to it.
#[test]
fn a_standby_shows_how_far_it_is_behind() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "standby-lag", 1);
    let topology = fs::read_to_string(app.topology()).expect("the topology");
    fs::write(app.topology(), topology.replacen("[[source]]", "standby = 1\n[[source]]", 1)).expect("written");
    let owner = app.run_with("owner", &["--instance-id", "one"], &[]);
    wait_until("no task", || app.log("owner").contains("task running"), || app.log("owner"));
    let other = app.run_with("other", &["--instance-id", "two", "--http", "127.0.0.1:0"], &[]);
    let address = app.http_address("other");
    send(&app, "open.csv", &["id,name,kind,x,y", "1,a,b,953000,1952000"]);
    let metrics = || http::get(address, "/metrics").text();
    let lag = format!("sheetstream_standby_lag{{partition=\"0\",topology=\"{}\"}} 0\n", app.name);
    wait_until("no lag", || metrics().contains(&lag), || format!("{}\n{}", metrics(), app.log("other")));
    assert!(!metrics().contains("kafka_consumergroup_current_offset{"), "it commits nothing: {}", metrics());
    let tasks = || http::get(address, "/topologies").json()[0]["tasks"].clone();
    let role = |role: &str| serde_json::json!([{ "topic": format!("{}.rows", app.name), "partition": 0, "role": role, "position": 2, "lag": 0 }]);
    wait_until("no standby", || tasks() == role("standby"), || tasks().to_string());
    let top = || said(&mut app.command(&["top", "--once", "--server", &format!("http://{address}")]));
    assert!(top().contains("  partition 0: standby, 0 records behind"), "{}", top());
    let status = |options: &[&str]| said(app.command(&["status"]).arg(app.topology()).args(options));
    let line = |status: &str| {
        let line = status.lines().find(|line| line.starts_with(&*app.name)).expect("a line");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let [shown, none] = [status(&[]), status(&["--standby", "0"])].map(|status| line(&status));
    assert_eq!(shown[1..5], ["0", "2", "2", "0"]);
    assert_eq!([&shown[5..], &none[5..]], [["one", "two"], ["one", "-"]]);
    assert_eq!(owner.stop(), Some(0));
    send(&app, "open.csv", &["#EOF"]);
    app.wait_for(&["open.csv"], "other");
    assert!(!metrics().contains("sheetstream_standby_lag{"), "{}", metrics());
    assert_eq!(tasks()[0]["role"], "active");
    assert!(!top().contains("standby,"), "{}", top());
    assert_eq!(other.stop(), Some(0));
}

/// True where the broker has streams groups; where it has none, `run` says so.
fn has_streams_groups(app: &App) -> bool {
    let client = app.kafka.client("test");
    let probed =
        client.probe(std::slice::from_ref(&app.kafka.bootstrap)).pop().expect("one address").1.expect("it answers");
    if probed.has_streams_groups {
        return true;
    }
    let refused = app.run_with("refused", &[], &STREAMS);
    assert!(!refused.wait().success());
    let log = app.log("refused");
    assert!(log.contains("has no streams groups (KIP-1071)") && log.contains("feature streams.version=1"), "{log}");
    false
}

#[test]
fn members_of_a_streams_group_share_tasks_and_no_consumer_joins() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "streams", 4);
    if !has_streams_groups(&app) {
        return;
    }
    let first = app.run_with("first", &[], &STREAMS);
    wait_until("no tasks", || app.log("first").matches("task running").count() == 4, || app.log("first"));
    let second = app.run_with("second", &[], &STREAMS);
    wait_until("no tasks", || app.log("second").matches("task running").count() == 2, || app.log("second"));
    let files: Vec<_> = (0..8).map(|n| app.csv(&format!("{n}.csv"), 50)).collect();
    app.publish(&files.iter().map(|file| &**file).collect::<Vec<_>>());
    let names: Vec<String> = (0..8).map(|n| format!("{n}.csv")).collect();
    app.wait_for(&names.iter().map(|name| &**name).collect::<Vec<_>>(), "second");

    // A command asks the brokers which protocol the group has.
    let status = said(app.command(&["status"]).arg(app.topology()));
    assert_eq!(status.matches(" sheetstream-").count(), 4, "{status}");

    // A consumer is refused, whichever protocol it has.
    for protocol in ["consumer", "classic"] {
        let mut tool = kafka.tool("console-consumer").expect("this broker is Apache's");
        tool.args(["--topic", &format!("{}.rows", app.name), "--group", &app.name, "--from-beginning"]);
        tool.args(["--timeout-ms", "60000", "--command-property", &format!("group.protocol={protocol}")]);
        let told = tool.output().expect("the tool runs");
        let error = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.stdout.is_empty() && error.contains("Exception"), "{protocol}: {error}");
    }

    // Kafka's own tool shows members, tasks and lag.
    let describe = |what: &str| {
        let mut tool = kafka.tool("streams-groups").expect("this broker is Apache's");
        let told = tool.args(["--describe", "--group", &app.name, what]).output().expect("the tool runs");
        String::from_utf8_lossy(&told.stdout).into_owned()
    };
    let members = describe("--members");
    assert_eq!(members.matches("ACTIVE").count(), 2, "{members}");
    let lag = || {
        let offsets = describe("--offsets");
        let of = offsets.lines().filter(|line| line.contains(&format!("{}.rows", app.name)));
        of.map(|line| line.split_whitespace().last().unwrap_or_default().to_owned()).collect::<BTreeSet<_>>()
    };
    wait_until("lag", || lag() == BTreeSet::from(["0".to_owned()]), || describe("--offsets"));

    // kill -9 and a start at once: what the dead process had is its successor's before the session is over.
    second.kill();
    let again = app.run_with("second", &[], &STREAMS);
    wait_until("no tasks", || app.log("second").matches("task running").count() == 4, || app.log("second"));
    let left = first.stop();
    wait_until("no tasks", || app.log("second").matches("task running").count() >= 6, || app.log("second"));
    assert_eq!((left, again.stop()), (Some(0), Some(0)));
    let books = app.workbooks();
    assert!(names.iter().all(|name| books[name].len() == 1), "{:?}", books.keys());
}

#[test]
fn a_streams_group_knows_the_repartition_topic() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "streams-spread", 2);
    if !has_streams_groups(&app) {
        return;
    }
    let topology = fs::read_to_string(app.topology()).expect("the topology");
    let spread = topology.replacen("name = \"rows\"", "name = \"rows\"\nplacement = \"spread\"", 1);
    fs::write(app.topology(), spread).expect("written");
    let created = app.command(&["topics", "create", "--partitions", "2", "-t"]).arg(app.topology()).status();
    assert!(created.expect("topics create").success());
    let run: Running = app.run_with("only", &["--guarantee", "exactly_once_v2"], &STREAMS);
    let file = app.csv("a.csv", 300);
    app.publish(&[&file]);
    app.wait_for(&["a.csv"], "only");
    let mut tool = kafka.tool("streams-groups").expect("this broker is Apache's");
    let told = tool.args(["--describe", "--group", &app.name, "--offsets"]).output().expect("the tool runs");
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(told.contains("-repartition"), "{told}");
    assert_eq!(run.stop(), Some(0));
}

on_the_in_process_broker! {
    a_standby_takes_over_what_its_owner_has_left_open,
    a_standby_takes_over_in_transactions_and_nothing_comes_twice,
    a_standby_shows_how_far_it_is_behind,
    members_of_a_streams_group_share_tasks_and_no_consumer_joins,
    a_streams_group_knows_the_repartition_topic,
}

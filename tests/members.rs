//! Who owns a partition: streams groups, by the real binary.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use app::{App, LIMIT, Running};
use kafka::Kafka;

const STREAMS: [(&str, &str); 1] = [("SHEETSTREAM_KAFKA_GROUP_PROTOCOL", "streams")];

fn wait_until(what: &str, is_so: impl Fn() -> bool, log: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
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
    members_of_a_streams_group_share_tasks_and_no_consumer_joins,
    a_streams_group_knows_the_repartition_topic,
}

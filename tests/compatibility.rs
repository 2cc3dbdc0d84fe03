//! Other people's clients: librdkafka (kcat and confluent-kafka) and Kafka's own command line. On Apache Kafka these tests show that they ask
//! for the right thing, on ours that it is one more Kafka.

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/tool.rs"]
mod tool;

use std::io::Write;
use std::process::{Command, Stdio};

use kafka::Kafka;
use tool::tool;

/// Runs to the end with `input`; what it printed.
fn run(mut command: Command, input: &str) -> String {
    let mut running =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    running.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let ran = running.wait_with_output().expect("it ends");
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("UTF-8")
}

/// One check of `tests/support/librdkafka.py` on a topic of its own.
fn confluent(check: &str, partitions: i32) {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(mut python) = tool::python("confluent_kafka") else { return };
    let topic = kafka.topic("librdkafka", partitions, &[]);
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/librdkafka.py"));
    python.args([check, &kafka.bootstrap, &topic]);
    run(python, "");
}

#[test]
fn librdkafka_writes_in_every_codec_and_reads_in_a_classic_group() {
    confluent("classic", 4);
}

#[test]
fn librdkafka_reads_in_a_group_of_kip_848() {
    confluent("kip-848", 4);
}

#[test]
fn librdkafkas_members_of_a_classic_group_share_partitions() {
    confluent("shared-classic", 4);
}

#[test]
fn librdkafkas_members_of_a_group_of_kip_848_share_partitions() {
    confluent("shared-kip-848", 4);
}

#[test]
fn librdkafkas_transactions_commit_abort_and_fence() {
    confluent("transactions", 2);
}

#[test]
fn librdkafka_administers_topics_and_groups() {
    confluent("administer", 1);
}

#[test]
fn kcat_lists_writes_and_reads() {
    let Some(kafka) = Kafka::shared() else { return };
    if tool("kcat", &["-V"]).is_none() {
        return;
    }
    let topic = kafka.topic("kcat", 1, &[]);
    let kcat = |arguments: &[&str]| {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &kafka.bootstrap]).args(arguments);
        kcat
    };
    assert!(run(kcat(&["-L"]), "").contains(&format!("topic \"{topic}\" with 1 partitions")));
    run(kcat(&["-P", "-t", &topic, "-K", "|", "-H", "ss-type=row"]), "a|1\nb|2\n");
    let read = run(kcat(&["-C", "-t", &topic, "-o", "beginning", "-e", "-q", "-f", "%o %k %s %h\n"]), "");
    assert_eq!(read, "0 a 1 ss-type=row\n1 b 2 ss-type=row\n");
    let group = format!("group.{topic}");
    let read =
        run(kcat(&["-G", &group, "-c", "2", "-q", "-X", "auto.offset.reset=earliest", "-f", "%s\n", &topic]), "");
    assert_eq!(read, "1\n2\n");
    let at_time = run(kcat(&["-Q", "-t", &format!("{topic}:0:1")]), "");
    assert!(at_time.contains("offset 0"), "the first record is younger than 1970: {at_time}");
}

#[test]
fn kafkas_console_consumer_reads_in_both_kinds_of_group_and_its_tool_shows_them() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("console", 2, &[]);
    let Some(mut producer) = kafka.tool("console-producer") else { return };
    producer.args(["--topic", &topic]);
    run(producer, "one\ntwo\nthree\n");
    for protocol in ["classic", "consumer"] {
        let group = format!("{protocol}.{topic}");
        let Some(mut consumer) = kafka.tool("console-consumer") else { return };
        consumer.args(["--topic", &topic, "--group", &group, "--from-beginning", "--max-messages", "3"]);
        consumer.args(["--timeout-ms", "60000", "--command-property", &format!("group.protocol={protocol}")]);
        let read = run(consumer, "");
        let mut lines: Vec<&str> = read.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["one", "three", "two"], "{protocol}");

        let Some(mut describe) = kafka.tool("consumer-groups") else { return };
        describe.args(["--describe", "--group", &group]);
        let described = run(describe, "");
        let rows: Vec<Vec<&str>> = described
            .lines()
            .map(|line| line.split_whitespace().collect())
            .filter(|row: &Vec<&str>| row.first() == Some(&group.as_str()))
            .collect();
        assert_eq!(rows.len(), 2, "{described}");
        assert!(rows.iter().all(|row| row[5] == "0"), "no lag is left: {described}");
    }
    let Some(mut list) = kafka.tool("consumer-groups") else { return };
    list.arg("--list");
    let listed = run(list, "");
    assert!(listed.lines().filter(|line| line.ends_with(&*topic)).count() == 2, "{listed}");
}

#[test]
fn kafkas_topics_tool_makes_grows_describes_and_deletes() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = format!("tool.{}", uuid::Uuid::new_v4().simple());
    let Some(mut create) = kafka.tool("topics") else { return };
    create.args(["--create", "--topic", &topic, "--partitions", "2", "--config", "max.message.bytes=2000000"]);
    run(create, "");
    let tool = |arguments: &[&str]| {
        let mut tool = kafka.tool("topics").expect("it was there before");
        tool.args(arguments);
        run(tool, "")
    };
    tool(&["--alter", "--topic", &topic, "--partitions", "3"]);
    let described = tool(&["--describe", "--topic", &topic]);
    assert!(described.contains("PartitionCount: 3") && described.contains("max.message.bytes=2000000"), "{described}");
    tool(&["--delete", "--topic", &topic]);
    assert!(!tool(&["--list"]).contains(&topic));
}

on_the_in_process_broker! {
    librdkafka_writes_in_every_codec_and_reads_in_a_classic_group,
    librdkafka_reads_in_a_group_of_kip_848,
    librdkafkas_members_of_a_classic_group_share_partitions,
    librdkafkas_members_of_a_group_of_kip_848_share_partitions,
    librdkafkas_transactions_commit_abort_and_fence,
    librdkafka_administers_topics_and_groups,
    kcat_lists_writes_and_reads,
    kafkas_console_consumer_reads_in_both_kinds_of_group_and_its_tool_shows_them,
    kafkas_topics_tool_makes_grows_describes_and_deletes,
}

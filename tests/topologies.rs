//! Several topologies in one process: the trouble of one is its own. The process has one worker, so that whoever waits holds it if anybody can.

#[path = "support/kafka.rs"]
mod kafka;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka::Kafka;
use sheetstream::kafka::KafkaConfig;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::metrics;
use sheetstream::record::TopicPartition;
use sheetstream::runtime::config::{Guarantee, StreamsConfig};
use sheetstream::runtime::health::Health;
use sheetstream::runtime::queries::Queries;
use sheetstream::runtime::streams::{Streams, StreamsError};
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::topology::Topology;

const LIMIT: Duration = Duration::from_secs(60);
const OUTPUTS: [&str; 3] = ["workbooks", "status", "dead-letters"];

/// A topology whose name is not used twice.
fn topology(name: &str) -> Topology {
    topology_with(name, "", "")
}

/// One with further keys at its top and in its sink.
fn topology_with(name: &str, top: &str, sink: &str) -> Topology {
    let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
    parsed(&name, top, "header = [\"name\", \"kind\"]", sink)
}

/// One of this name, with further keys at its top, in its source and in its sink.
fn parsed(name: &str, top: &str, source: &str, sink: &str) -> Topology {
    let text = format!(
        r#"
name = "{name}"
{top}
[[source]]
name = "rows"
{source}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
{sink}
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn create(kafka: &Kafka, topics: impl IntoIterator<Item = String>) {
    let topic = |name| NewTopic { name, partitions: 1, replication: 1, configs: vec![] };
    kafka.client("test").create_topics(&topics.into_iter().map(topic).collect::<Vec<_>>()).expect("topics");
}

/// An upload of one row that is written and one that is rejected.
fn publish(kafka: &Kafka, topology: &str, upload: &str) {
    let values = ["Blue House,museum", "too,many,fields", "#EOF"];
    send(kafka, &format!("{topology}.rows"), upload, &values);
}

fn send(kafka: &Kafka, topic: &str, upload: &str, values: &[&str]) {
    let topic: Arc<str> = topic.into();
    let mut producer = kafka.client("test").producer(ProducerConfig::default());
    for value in values {
        producer.send(&topic, None, Some(upload.as_bytes()), Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

fn read(kafka: &Kafka, topic: String) -> Vec<sheetstream::record::Record> {
    let mut records = Vec::new();
    let partition = TopicPartition { topic: topic.into(), partition: 0 };
    kafka.client("test").read_all(&partition, &mut |record| records.push(record)).expect("read");
    records
}

fn statuses(kafka: &Kafka, topology: &str, upload: &str) -> Vec<StatusRecord> {
    let statuses = read(kafka, format!("{topology}.status")).into_iter();
    let statuses = statuses.filter_map(|record| record.value.as_deref().and_then(StatusRecord::parse));
    statuses.filter(|status| status.upload == upload).collect()
}

fn published(kafka: &Kafka, topology: &str, upload: &str) -> usize {
    statuses(kafka, topology, upload).iter().filter(|status| status.state == UploadState::Published).count()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Topologies that run in a thread of the test.
struct Running {
    stop: Arc<AtomicBool>,
    health: Arc<Health>,
    queries: Queries,
    thread: JoinHandle<Result<(), StreamsError>>,
    _state: tempfile::TempDir,
}

impl Running {
    fn start(kafka: &Kafka, topologies: Vec<Topology>, guarantee: impl Into<Option<Guarantee>>) -> Running {
        let state = tempfile::tempdir().expect("a temporary folder");
        let kafka = KafkaConfig { delivery_timeout: Duration::from_secs(1), ..kafka.config("run") };
        let mut config = StreamsConfig::new(kafka, state.path().join("state"));
        (config.commit_interval, config.threads, config.guarantee) = (Duration::from_millis(100), 1, guarantee.into());
        let stop = Arc::new(AtomicBool::new(false));
        let streams = Streams::new(topologies, config);
        let (flag, health, queries) = (stop.clone(), streams.health(), streams.queries());
        Running { stop, health, queries, thread: std::thread::spawn(move || streams.run(&flag)), _state: state }
    }
    /// It ends by itself.
    fn end(self) -> StreamsError {
        self.thread.join().expect("no panic").expect_err("an error")
    }
    /// Why a topology has failed, if it has.
    fn failure(&self, topology: &str) -> Option<&'static str> {
        let failures = self.health.failures();
        failures.iter().find(|(name, _)| **name == *topology).map(|(_, failure)| failure.reason)
    }
    fn wait_for_failure(&self, topology: &str, reason: &str) {
        wait_until(&format!("{topology} never fails for {reason}"), || self.failure(topology) == Some(reason));
        assert_eq!(metrics::topology_failed(topology, reason).get(), 1.0);
    }
    fn wait_for_recovery(&self, topology: &str) {
        wait_until(&format!("{topology} never recovers"), || self.failure(topology).is_none());
        for reason in ["topic", "unavailable"] {
            assert_eq!(metrics::topology_failed(topology, reason).get(), 0.0);
        }
    }
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic").expect("stopped in order");
    }
}

/// What befalls an output topic, and what mends it.
#[derive(Clone, Copy)]
enum Trouble {
    Deleted,
    Leaderless,
}

impl Trouble {
    fn begin(self, kafka: &Kafka, topic: &str) {
        match self {
            Trouble::Deleted => kafka::delete_topic(kafka, topic),
            Trouble::Leaderless => kafka.set_leaderless(topic, true),
        }
    }
    fn end(self, kafka: &Kafka, topic: &str) {
        match self {
            Trouble::Deleted => create(kafka, [topic.to_owned()]),
            Trouble::Leaderless => kafka.set_leaderless(topic, false),
        }
    }
    fn reason(self) -> &'static str {
        match self {
            Trouble::Deleted => "topic",
            Trouble::Leaderless => "unavailable",
        }
    }
}

fn the_trouble_of_one_output_is_its_topologys_own(guarantee: Guarantee, troubles: &[(Trouble, &str)]) {
    let Some(kafka) = Kafka::shared() else { return };
    let (ill, well) = (topology("ill"), topology("well"));
    let (ill_name, well_name) = (ill.name.to_string(), well.name.to_string());
    for name in [&ill_name, &well_name] {
        create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
    }
    let running = Running::start(kafka, vec![ill, well], guarantee);
    for name in [&ill_name, &well_name] {
        publish(kafka, name, "before.csv");
        wait_until("nothing is published before", || published(kafka, name, "before.csv") == 1);
    }
    for (number, (trouble, output)) in troubles.iter().enumerate() {
        let (upload, topic) = (format!("{number}.csv"), format!("{ill_name}.{output}"));
        trouble.begin(kafka, &topic);
        publish(kafka, &ill_name, &upload);
        running.wait_for_failure(&ill_name, trouble.reason());
        publish(kafka, &well_name, &upload);
        wait_until("the well one does not process", || published(kafka, &well_name, &upload) == 1);
        assert_eq!(running.failure(&well_name), None);
        wait_until("the process is not ready", || running.health.missing().is_empty());
        assert_eq!(running.health.hanging(), []);
        trouble.end(kafka, &topic);
        wait_until("the ill one stays ill", || published(kafka, &ill_name, &upload) == 1);
        running.wait_for_recovery(&ill_name);
    }
    running.stop();
}

#[test]
fn an_output_topic_that_is_deleted_stops_its_topology_until_it_is_there_again() {
    let troubles = OUTPUTS.map(|output| (Trouble::Deleted, output));
    the_trouble_of_one_output_is_its_topologys_own(Guarantee::AtLeastOnce, &troubles);
}

#[test]
fn an_output_topic_that_takes_no_writes_stops_its_topology_and_no_thread() {
    kafka::in_process(|| {
        let troubles = OUTPUTS.map(|output| (Trouble::Leaderless, output));
        the_trouble_of_one_output_is_its_topologys_own(Guarantee::AtLeastOnce, &troubles);
        the_trouble_of_one_output_is_its_topologys_own(Guarantee::ExactlyOnceV2, &troubles[..1]);
    });
}

#[test]
fn outputs_that_are_deleted_stop_their_topology_in_transactions_too() {
    let troubles = OUTPUTS.map(|output| (Trouble::Deleted, output));
    the_trouble_of_one_output_is_its_topologys_own(Guarantee::ExactlyOnceV2, &troubles);
}

/// Brokers take the partitions away from the process, which then has no task that could fail.
#[test]
fn a_source_topic_that_is_deleted_stops_its_topology_until_it_is_there_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("sourceless");
    let (name, rows) = (topology.name.to_string(), format!("{}.rows", topology.name));
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
    let running = Running::start(kafka, vec![topology], None);
    publish(kafka, &name, "before.csv");
    wait_until("nothing is published before", || published(kafka, &name, "before.csv") == 1);
    kafka::delete_topic(kafka, &rows);
    wait_until("the partition stays", || running.queries.ask(None, |_| Some(())).unwrap_or_default().is_empty());
    running.wait_for_failure(&name, "topic");
    create(kafka, [rows]);
    running.wait_for_recovery(&name);
    publish(kafka, &name, "after.csv");
    wait_until("it is not processed again", || published(kafka, &name, "after.csv") == 1);
    running.stop();
}

/// One of two topics goes while an upload has rows in both of them.
#[test]
fn an_upload_does_not_become_whole_without_a_topic_that_was_made_anew() {
    let Some(kafka) = Kafka::shared() else { return };
    let name = format!("several-{}", uuid::Uuid::new_v4().simple());
    let topics = ["a", "b"].map(|topic| format!("{name}.{topic}"));
    let source = format!("placement = \"spread\"\ntopics = {topics:?}\nheader = [\"name\", \"kind\"]");
    let topology = parsed(&name, "", &source, "");
    let repartition = format!("{name}-by-kind-repartition");
    create(
        kafka,
        OUTPUTS.map(|topic| format!("{name}.{topic}")).into_iter().chain(topics.clone()).chain([repartition]),
    );
    let running = Running::start(kafka, vec![topology], None);
    let send_all = |upload: &str, values: &[&str]| topics.iter().for_each(|topic| send(kafka, topic, upload, values));
    send_all("open.csv", &["Blue House,museum"]);
    wait_until("it is not open", || !statuses(kafka, &name, "open.csv").is_empty());
    kafka::delete_topic(kafka, &topics[1]);
    running.wait_for_failure(&name, "topic");
    create(kafka, [topics[1].clone()]);
    running.wait_for_recovery(&name);
    send_all("after.csv", &["Blue House,museum", "#EOF"]);
    wait_until("nothing is published after", || published(kafka, &name, "after.csv") == 1);
    send_all("open.csv", &["#EOF"]);
    let ended = || statuses(kafka, &name, "open.csv").into_iter().find(|status| status.offsets.completion.is_some());
    wait_until("it has no end", || ended().is_some());
    let end = ended().expect("waited for");
    assert_eq!((end.state, end.failure.map(|why| why.reason).as_deref()), (UploadState::Failed, Some("log.gap")));
    running.stop();
}

/// Nothing is sent at all while no status could follow a workbook.
#[test]
fn a_status_topic_that_is_made_anew_with_too_few_partitions_stops_its_topology() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("short");
    let (name, status) = (topology.name.to_string(), format!("{}.status", topology.name));
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
    for topic in ["status", "rows"] {
        kafka::add_partitions(&kafka.bootstrap, &format!("{name}.{topic}"), 2);
    }
    let rows: Arc<str> = format!("{name}.rows").into();
    let publish = |upload: &str| {
        let mut producer = kafka.client("test").producer(ProducerConfig::default());
        for value in ["Blue House,museum", "#EOF"] {
            producer.send(&rows, Some(1), Some(upload.as_bytes()), Some(value.as_bytes()), &[]).expect("sent");
        }
        producer.flush().expect("acknowledged");
    };
    let ended = |upload: &str| {
        let (mut ends, partition) = (0, TopicPartition { topic: status.as_str().into(), partition: 1 });
        let mut look = |record: sheetstream::record::Record| {
            let status = record.value.as_deref().and_then(StatusRecord::parse);
            ends += usize::from(status.is_some_and(|of| of.upload == upload && of.state == UploadState::Published));
        };
        kafka.client("test").read_all(&partition, &mut look).expect("read");
        ends
    };
    let running = Running::start(kafka, vec![topology], Guarantee::AtLeastOnce);
    publish("before.csv");
    wait_until("nothing is published before", || ended("before.csv") == 1);
    kafka::recreate_topic(kafka, &status);
    publish("meanwhile.csv");
    running.wait_for_failure(&name, "topic");
    publish("late.csv");
    kafka::add_partitions(&kafka.bootstrap, &status, 2);
    wait_until("it does not continue", || ended("late.csv") == 1);
    running.wait_for_recovery(&name);
    running.stop();
    let mut sent = BTreeMap::<String, usize>::new();
    for record in read(kafka, format!("{name}.workbooks")) {
        let upload = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        *sent.entry(upload).or_default() += 1;
    }
    assert_eq!((sent["before.csv"], sent["late.csv"]), (1, 1), "{sent:?}");
    assert!(sent["meanwhile.csv"] <= 2, "{sent:?}");
}

/// Records that are there yet are read: more of them would be lost if nobody read them.
#[test]
fn a_topic_that_is_compacted_while_it_is_used_fails_its_topology_which_continues() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("compacted");
    let name = topology.name.to_string();
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
    let running = Running::start(kafka, vec![topology], None);
    publish(kafka, &name, "before.csv");
    wait_until("nothing is published before", || published(kafka, &name, "before.csv") == 1);
    for topic in ["rows", "workbooks"] {
        let (upload, topic) = (format!("{topic}.csv"), format!("{name}.{topic}"));
        kafka::configure_topic(kafka, &topic, "cleanup.policy", "compact");
        running.wait_for_failure(&name, "topic");
        publish(kafka, &name, &upload);
        wait_until("it does not continue", || published(kafka, &name, &upload) == 1);
        kafka::configure_topic(kafka, &topic, "cleanup.policy", "delete");
        running.wait_for_recovery(&name);
    }
    running.stop();
}

#[test]
fn a_topology_without_its_topics_joins_when_they_are_there() {
    let Some(kafka) = Kafka::shared() else { return };
    let (early, well) = (topology("early"), topology("well"));
    let (early_name, well_name) = (early.name.to_string(), well.name.to_string());
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{well_name}.{topic}")));
    let running = Running::start(kafka, vec![early, well], Guarantee::AtLeastOnce);
    running.wait_for_failure(&early_name, "topic");
    publish(kafka, &well_name, "a.csv");
    wait_until("the well one does not start", || published(kafka, &well_name, "a.csv") == 1);
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{early_name}.{topic}")));
    publish(kafka, &early_name, "a.csv");
    wait_until("the early one never starts", || published(kafka, &early_name, "a.csv") == 1);
    running.wait_for_recovery(&early_name);
    running.stop();
}

/// A transaction leaves its end on the log, where no reader is shown it.
#[test]
fn the_guarantee_is_that_of_the_topology_unless_the_process_has_another() {
    let Some(kafka) = Kafka::shared() else { return };
    let with = |guarantee| topology_with(guarantee, &format!("guarantee = \"{guarantee}\""), "");
    for (topology, given, ends) in [
        (topology("plain"), None, 1),
        (with("at_least_once"), None, 0),
        (with("at_least_once"), Some(Guarantee::ExactlyOnceV2), 1),
        (with("exactly_once_v2"), Some(Guarantee::AtLeastOnce), 0),
    ] {
        let name = topology.name.to_string();
        create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
        let running = Running::start(kafka, vec![topology], given);
        publish(kafka, &name, "a.csv");
        wait_until("it does not start", || published(kafka, &name, "a.csv") == 1);
        running.stop();
        let workbooks = TopicPartition { topic: format!("{name}.workbooks").into(), partition: 0 };
        let end = kafka.client("test").bounds(&workbooks).expect("the topic is there").end.0;
        assert_eq!((end, read(kafka, workbooks.topic.to_string()).len()), (1 + ends, 1));
    }
}

#[test]
fn a_status_topic_belongs_to_one_topology() {
    let Some(kafka) = Kafka::shared() else { return };
    let first = topology("first");
    let (first_name, shared) = (first.name.to_string(), format!("{}.status", first.name));
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{first_name}.{topic}")));
    let running = Running::start(kafka, vec![first.clone()], None);
    publish(kafka, &first_name, "a.csv");
    wait_until("the first does not start", || published(kafka, &first_name, "a.csv") == 1);
    running.stop();

    let second = topology_with("second", "", &format!("status_topic = \"{shared}\""));
    let second_name = second.name.to_string();
    create(kafka, ["rows", "workbooks", "dead-letters"].map(|topic| format!("{second_name}.{topic}")));
    let said = Running::start(kafka, vec![second.clone()], None).end().to_string();
    assert!(said.contains(&shared) && said.contains(&first_name) && said.contains("status_topic"), "{said}");

    // Beside one that is well it fails alone.
    let running = Running::start(kafka, vec![first, second], None);
    running.wait_for_failure(&second_name, "topic");
    publish(kafka, &first_name, "b.csv");
    wait_until("the first does not process", || published(kafka, &first_name, "b.csv") == 1);
    running.stop();
}

#[test]
fn a_thread_that_panics_ends_the_streams_and_names_its_task() {
    let Some(kafka) = Kafka::shared() else { return };
    let topology = topology("panics");
    let name = topology.name.to_string();
    create(kafka, ["rows"].iter().chain(&OUTPUTS).map(|topic| format!("{name}.{topic}")));
    let running = Running::start(kafka, vec![topology], Guarantee::AtLeastOnce);
    publish(kafka, &name, "a.csv");
    wait_until("it does not start", || published(kafka, &name, "a.csv") == 1);
    let asked = running.queries.ask(None, |_| -> Option<()> { panic!("as a fault of ours would") });
    assert_eq!(asked.unwrap_or_default(), [], "the streams may have ended before the question did");
    let error = running.end();
    assert!(matches!(&error, StreamsError::Panicked(id) if *id.topology == *name), "{error}");
    assert!(error.to_string().contains(&format!("{name}/0")), "{error}");
}

on_the_in_process_broker! {
    a_thread_that_panics_ends_the_streams_and_names_its_task,
    the_guarantee_is_that_of_the_topology_unless_the_process_has_another,
    a_status_topic_belongs_to_one_topology,
    an_output_topic_that_is_deleted_stops_its_topology_until_it_is_there_again,
    outputs_that_are_deleted_stop_their_topology_in_transactions_too,
    a_source_topic_that_is_deleted_stops_its_topology_until_it_is_there_again,
    a_status_topic_that_is_made_anew_with_too_few_partitions_stops_its_topology,
    a_topic_that_is_compacted_while_it_is_used_fails_its_topology_which_continues,
    a_topology_without_its_topics_joins_when_they_are_there,
    an_upload_does_not_become_whole_without_a_topic_that_was_made_anew,
}

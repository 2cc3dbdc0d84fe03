//! Brokers for tests. A test is written once, for Apache Kafka, and `on_the_in_process_broker!` runs it on ours too, so that ours never
//! becomes the judge of itself; `tests/layers.rs` checks that none is left out.
//!
//! Apache Kafka comes by `script/kafka serve`: a broker of its own on a free loopback port, gone when the test process is, however that
//! ends. Where Java or the jars are missing a test prints one `skipped:` line and passes, or fails with `SHEETSTREAM_REQUIRE_KAFKA=1`.

#![allow(dead_code)] // each test binary uses its part

use std::cell::Cell;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use sheetstream::broker::faults::{Fault, Request};
use sheetstream::broker::{Broker, BrokerConfig};
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::wire::cluster::{Cluster, Lane};
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use sheetstream::record::TopicPartition;
use tokio::runtime::Runtime;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/script/kafka");
const START_LIMIT: Duration = Duration::from_secs(60);

thread_local! {
    /// Which broker the test on this thread asks for.
    static IN_PROCESS: Cell<bool> = const { Cell::new(false) };
}

/// Tests by name, once more on the in-process broker.
#[macro_export]
macro_rules! on_the_in_process_broker {
    ($($(#[$when:meta])* $test:ident),* $(,)?) => {
        mod in_process {
            $($(#[$when])*
            #[test]
            fn $test() {
                super::kafka::in_process(super::$test);
            })*
        }
    };
}

/// Runs `test` with the in-process broker in the place of Apache Kafka.
pub fn in_process(test: fn()) {
    IN_PROCESS.set(true);
    test();
}

/// A broker.
pub struct Kafka {
    /// `host:port`.
    pub bootstrap: String,
    kind: Kind,
}

enum Kind {
    Apache {
        dir: PathBuf,
        /// `script/kafka serve`; ends with its standard input.
        serving: Child,
    },
    InProcess(Broker),
}

impl Kafka {
    /// The broker that the tests of one binary share; topics and groups have names of their own.
    pub fn shared() -> Option<&'static Kafka> {
        static SHARED: [OnceLock<Option<Kafka>>; 2] = [const { OnceLock::new() }; 2];
        SHARED[usize::from(IN_PROCESS.get())].get_or_init(|| Kafka::start(&[])).as_ref()
    }
    /// A broker that the test may stop and kill, with settings of its own.
    pub fn start(settings: &[&str]) -> Option<Kafka> {
        let mut kafka = Kafka::prepare(settings)?;
        kafka.boot();
        Some(kafka)
    }
    /// A broker of another version of Apache Kafka, if it is at hand. It is fetched where tests are required to run.
    pub fn start_version(version: &str, settings: &[&str]) -> Option<Kafka> {
        let cache = library()?.with_file_name(format!("kafka-{version}"));
        if !cache.is_dir() && std::env::var_os("SHEETSTREAM_REQUIRE_KAFKA").is_none() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!(
                "skipped: {test} needs Apache Kafka {version}; run SHEETSTREAM_KAFKA_VERSION={version} script/kafka-jars"
            );
            return None;
        }
        let mut kafka = Kafka::prepare_version(Some(version), settings)?;
        kafka.boot();
        Some(kafka)
    }
    /// The in-process broker, set up so.
    pub fn of(config: BrokerConfig) -> Kafka {
        let broker = Broker::start(runtime().handle(), config).expect("a loopback port");
        Kafka { bootstrap: broker.address().to_string(), kind: Kind::InProcess(broker) }
    }
    /// A broker that is not running yet.
    pub fn prepare(settings: &[&str]) -> Option<Kafka> {
        Kafka::prepare_version(None, settings)
    }
    fn prepare_version(version: Option<&str>, settings: &[&str]) -> Option<Kafka> {
        if IN_PROCESS.get() {
            let mut kafka = Kafka::of(BrokerConfig::default());
            kafka.kill();
            return Some(kafka);
        }
        library()?;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener); // Java binds it next
        let dir = std::env::temp_dir().join(format!("sheetstream-kafka-{}", uuid::Uuid::new_v4()));
        let serving = Command::new(SCRIPT)
            .envs(version.map(|version| ("SHEETSTREAM_KAFKA_VERSION", version)))
            .arg("serve")
            .arg(&dir)
            .arg(port.to_string())
            .args(settings)
            .stdin(Stdio::piped())
            .spawn()
            .expect("bash");
        Some(Kafka { bootstrap: format!("127.0.0.1:{port}"), kind: Kind::Apache { dir, serving } })
    }
    /// Starts it and waits until it serves.
    pub fn boot(&mut self) {
        let log = match &mut self.kind {
            Kind::InProcess(broker) => return broker.connect().expect("its port is still free"),
            Kind::Apache { dir, .. } => dir.join("log"),
        };
        std::fs::remove_file(&log).ok();
        self.say("START");
        let since = Instant::now();
        let started = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Kafka Server started"));
        while !started() {
            assert!(since.elapsed() < START_LIMIT, "{}", std::fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// `kill -9`; the in-process broker keeps its records, as a disk does.
    pub fn kill(&mut self) {
        if let Kind::InProcess(broker) = &mut self.kind {
            return broker.disconnect();
        }
        self.say("KILL");
        while std::net::TcpStream::connect(&self.bootstrap).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    /// Stops the process without ending it: sockets stay open, nothing is answered.
    pub fn freeze(&mut self) {
        match &self.kind {
            Kind::InProcess(broker) => broker.faults().freeze(),
            Kind::Apache { .. } => self.say("STOP"),
        }
    }
    /// Changes a letter of `text` where a topic of one partition has it, as a bad disk would.
    pub fn rot(&self, topic: &str, text: &str) {
        match &self.kind {
            Kind::InProcess(broker) => broker.faults().rot(text.as_bytes()),
            Kind::Apache { dir, .. } => {
                let log = dir.join(format!("data/{topic}-0/00000000000000000000.log"));
                let at = memchr::memmem::find(&std::fs::read(&log).expect("a segment"), text.as_bytes());
                let file = std::fs::OpenOptions::new().write(true).open(&log).expect("the segment");
                let other = [text.as_bytes()[0] ^ 1];
                file.write_all_at(&other, at.expect("the text is there") as u64).expect("written");
            }
        }
    }
    /// Takes the leader of partition 0 of a topic away or gives it back; a cluster of one cannot do that.
    pub fn set_leaderless(&self, topic: &str, leaderless: bool) {
        match &self.kind {
            Kind::InProcess(broker) => broker.faults().set_leaderless(topic, 0, leaderless),
            Kind::Apache { .. } => panic!("the in-process broker does this"),
        }
    }
    /// The next `times` requests of a kind meet a fault.
    pub fn script(&self, request: Request, times: u32, fault: Fault) {
        match &self.kind {
            Kind::InProcess(broker) => broker.faults().script(request, 0, times, fault),
            Kind::Apache { .. } => panic!("the in-process broker does this"),
        }
    }
    /// Lets it continue.
    pub fn thaw(&mut self) {
        match &self.kind {
            Kind::InProcess(broker) => broker.faults().thaw(),
            Kind::Apache { .. } => self.say("CONT"),
        }
    }
    fn say(&mut self, word: &str) {
        let Kind::Apache { serving, .. } = &mut self.kind else { return };
        let to = serving.stdin.as_mut().expect("piped");
        writeln!(to, "{word}").expect("script/kafka serve is running");
    }

    /// Configuration of a client; change what the test needs.
    pub fn config(&self, client_id: &str) -> KafkaConfig {
        KafkaConfig::new([&self.bootstrap], client_id)
    }
    /// A client with the defaults.
    pub fn client(&self, client_id: &str) -> KafkaClient {
        connect(self.config(client_id))
    }
    /// A topic with a name that no other test has.
    pub fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> std::sync::Arc<str> {
        let name = format!("{name}.{}", uuid::Uuid::new_v4().simple());
        let configs = configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let topic = NewTopic { name: name.clone(), partitions, replication: 1, configs };
        self.client("test").create_topics(&[topic]).expect("topic created");
        name.into()
    }
    /// A command line tool of Kafka's by its name in `script/kafka tool`, with its broker given. `None`, and the test is skipped, without
    /// Java.
    pub fn tool(&self, name: &str) -> Option<Command> {
        library()?;
        let mut tool = Command::new(SCRIPT);
        tool.args(["tool", name, "--bootstrap-server", &self.bootstrap]);
        Some(tool)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Kind::Apache { serving, .. } = &mut self.kind {
            drop(serving.stdin.take());
            serving.wait().ok();
        }
    }
}

/// Retention, at once: the partition begins at `below` from now on.
pub fn delete_records(kafka: &Kafka, partition: &TopicPartition, below: i64) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let cluster = Cluster::new(kafka.config("delete"));
        let (leader, _) = cluster.leader(partition, Lane::Control).await.expect("a leader");
        let of = DeleteRecordsPartition::default().with_partition_index(partition.partition).with_offset(below);
        let topic = DeleteRecordsTopic::default()
            .with_name(TopicName(StrBytes::from_string(partition.topic.to_string())))
            .with_partitions(vec![of]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = leader.call(&request, 2).await.expect("answered");
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    });
}

/// Deletes a topic.
pub fn delete_topic(kafka: &Kafka, topic: &str) {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let cluster = Cluster::new(kafka.config("delete"));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![DeleteTopicState::default().with_name(Some(name))])
            .with_timeout_ms(10_000);
        let answer = cluster.any().await.expect("connected").call(&request, 6).await.expect("answered");
        assert_eq!(answer.responses[0].error_code, 0);
    });
}

/// Deletes a topic of one partition and makes it anew under its name.
pub fn recreate_topic(kafka: &Kafka, topic: &str) {
    delete_topic(kafka, topic);
    let topic = NewTopic { name: topic.to_owned(), partitions: 1, replication: 1, configs: Vec::new() };
    kafka.client("recreate").create_topics(&[topic]).expect("made anew");
}

/// Sets an option of a topic, as `kafka-configs --alter` does.
pub fn configure_topic(kafka: &Kafka, topic: &str, option: &str, value: &str) {
    const TOPIC: i8 = 2;
    const SET: i8 = 0;
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let cluster = Cluster::new(kafka.config("configure"));
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_string(option.to_owned()))
            .with_config_operation(SET)
            .with_value(Some(StrBytes::from_string(value.to_owned())));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = cluster.any().await.expect("connected").call(&request, 1).await.expect("answered");
        assert_eq!(answer.responses[0].error_code, 0);
    });
}

/// More partitions for a topic, as `kafka-topics --alter` adds them.
pub fn add_partitions(bootstrap: &str, topic: &str, count: i32) {
    let name = topic.to_owned();
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let cluster = Cluster::new(KafkaConfig::new([bootstrap], "add-partitions"));
        let topic = CreatePartitionsTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = cluster.any().await.expect("connected").call(&request, 3).await.expect("answered");
        assert_eq!(answer.results[0].error_code, 0);
        // The broker reports them a moment later.
        loop {
            cluster.forget_topic(&name);
            if cluster.topic(&name).await.expect("the topic").partitions == count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// The runtime that the tests of one binary share.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// A client on that runtime.
pub fn connect(config: KafkaConfig) -> KafkaClient {
    KafkaClient::new(runtime().handle().clone(), config)
}

/// The directory of Kafka's jars. Without it or Java the test is skipped, and says so.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let given = std::env::var_os("SHEETSTREAM_KAFKA_LIB").map(PathBuf::from);
        let lib = given.or_else(|| {
            let home = PathBuf::from(std::env::var_os("HOME")?);
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
            Some(cache.join("sheetstream/kafka-4.3.1"))
        })?;
        let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
        (lib.is_dir() && java.is_ok_and(|status| status.success())).then_some(lib)
    };
    let found = LIBRARY.get_or_init(find).as_deref();
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("skipped: {test} needs Java 17 and Apache Kafka; run script/kafka-jars");
        assert!(std::env::var_os("SHEETSTREAM_REQUIRE_KAFKA").is_none(), "{test} was required to run");
    }
    found
}

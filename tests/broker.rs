//! What only the in-process broker does: it fills up, goes wrong on purpose, and shrugs at nonsense.

#[path = "support/kafka.rs"]
mod kafka;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::{connect, runtime};
use sheetstream::broker::faults::{Fault, Operation, Request};
use sheetstream::broker::{Broker, BrokerConfig};
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::outbox::TransactionalOutbox;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::kafka::{KafkaClient, KafkaConfig, ingest};
use sheetstream::record::{Offset, TopicPartition};
use sheetstream::transport::{Committed, Fence, OutRecord, Outbox, Progress, ReadFrom, TransportError};

fn broker(config: BrokerConfig) -> Broker {
    Broker::start(runtime().handle(), config).expect("a loopback port")
}

fn patient(broker: &Broker, request_timeout: Duration, retry_deadline: Duration) -> KafkaClient {
    let config = KafkaConfig::new([broker.address().to_string()], "test");
    connect(KafkaConfig { request_timeout, retry_deadline, ..config })
}

fn client(broker: &Broker) -> KafkaClient {
    patient(broker, Duration::from_secs(10), Duration::from_secs(60))
}

fn topic(client: &KafkaClient) -> TopicPartition {
    let topic = NewTopic { name: "rows".into(), partitions: 1, replication: 1, configs: Vec::new() };
    client.create_topics(&[topic]).expect("created");
    TopicPartition { topic: "rows".into(), partition: 0 }
}

fn send(client: &KafkaClient, to: &TopicPartition, values: &[&str]) -> Result<(), TransportError> {
    let mut producer = client.producer(ProducerConfig { batch_bytes: 50_000, ..ProducerConfig::default() });
    for value in values {
        producer.send(&to.topic, Some(0), None, Some(value.as_bytes()), &[])?;
    }
    producer.flush()
}

fn values(client: &KafkaClient, of: &TopicPartition) -> Vec<String> {
    let mut values = Vec::new();
    let mut each = |record: sheetstream::record::Record| {
        values.push(String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("UTF-8"));
    };
    client.read_all(of, &mut each).expect("read");
    values
}

#[test]
fn at_the_limit_producers_get_an_error_and_rows_of_open_uploads_stay() {
    let limits = BrokerConfig { bytes_max: 4 << 20, segment_bytes: 256 << 10, ..BrokerConfig::default() };
    let broker = broker(limits);
    let eager = patient(&broker, Duration::from_secs(10), Duration::from_millis(100));
    let rows = topic(&eager);
    let value = "x".repeat(40_000);
    let mut written = 0;
    let error = loop {
        match send(&eager, &rows, &[&value]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the limit never came");
    };
    assert!(matches!(&error, TransportError::Unavailable(why) if why.contains("--max-mib")), "{error}");
    assert!(written * value.len() <= 4 << 20, "{written} records are more than the limit");
    assert_eq!(values(&eager, &rows).len(), written, "everything that was acknowledged is there");

    // An upload is open from row 10 on: what lies before it may go, and nothing else.
    let group = eager.group("readers");
    let fence = Fence { member: String::new(), epoch: -1 };
    let progress = Progress { next: Offset(written as i64), replay_from: Offset(10), ..Progress::default() };
    group.commit(&rows, &progress, &fence).expect("committed");
    while send(&eager, &rows, &[&value]).is_ok() {}
    let start = eager.bounds(&rows).expect("bounds").start.0;
    assert!(0 < start && start <= 10, "rows from {start} on are kept");

    // The upload is done with: there is room again, without end.
    let progress = Progress {
        next: eager.bounds(&rows).expect("bounds").end,
        replay_from: Offset(written as i64),
        ..Progress::default()
    };
    group.commit(&rows, &progress, &fence).expect("committed");
    send(&client(&broker), &rows, &[value.as_str(); 20]).expect("there is room again");
}

/// Sends through a fault: what is sent arrives once and in order.
fn survives(request: Request, fault: Fault) {
    let broker = broker(BrokerConfig::default());
    let client = patient(&broker, Duration::from_millis(500), Duration::from_secs(60));
    let rows = topic(&client);
    send(&client, &rows, &["before"]).expect("acknowledged");
    broker.faults().script(request, 0, 2, fault);
    let during: Vec<String> = (0..300).map(|n| format!("{n} {}", "x".repeat(1_000))).collect();
    let during: Vec<&str> = during.iter().map(String::as_str).collect();
    send(&client, &rows, &during).expect("acknowledged in the end");
    let mut expected = vec!["before"];
    expected.extend(during);
    assert_eq!(values(&client, &rows), expected, "{fault:?} of {request:?}");
}

#[test]
fn rows_arrive_once_whatever_becomes_of_the_answers() {
    for fault in [
        Fault::DropAnswer,
        Fault::LateAnswer(Duration::from_millis(100)),
        Fault::LateAnswer(Duration::from_secs(2)), // longer than the client waits
        Fault::Silence,
        Fault::Throttle(Duration::from_millis(50)),
        Fault::Throttle(Duration::from_millis(700)), // longer than the client waits for an answer
        Fault::SlowBytes { bytes: 3, pause: Duration::from_millis(5) },
    ] {
        survives(Request::Produce, fault);
    }
}

#[test]
fn rows_are_read_whatever_becomes_of_the_answers() {
    for fault in [
        Fault::DropAnswer,
        Fault::Silence,
        Fault::Throttle(Duration::from_millis(50)),
        Fault::Throttle(Duration::from_millis(700)),
        Fault::SlowBytes { bytes: 40_000, pause: Duration::from_millis(5) },
    ] {
        survives(Request::Fetch, fault);
        survives(Request::Metadata, fault);
    }
}

#[test]
fn a_partition_without_a_leader_is_waited_for() {
    let broker = Arc::new(broker(BrokerConfig::default()));
    let client = client(&broker);
    let rows = topic(&client);
    send(&client, &rows, &["before"]).expect("acknowledged");
    broker.faults().set_leaderless("rows", 0, true);
    let elected = std::thread::spawn({
        let broker = broker.clone();
        move || {
            std::thread::sleep(Duration::from_millis(300));
            broker.faults().set_leaderless("rows", 0, false);
        }
    });
    send(&client, &rows, &["during"]).expect("acknowledged");
    elected.join().expect("no panic");
    assert_eq!(values(&client, &rows), ["before", "during"]);
}

#[test]
fn a_partition_that_is_added_is_found_by_clients_that_knew_the_topic_before() {
    let broker = broker(BrokerConfig::default());
    let client = client(&broker);
    let rows = topic(&client);
    let mut producer = client.producer(ProducerConfig::default());
    producer.send(&rows.topic, Some(0), None, Some(b"first"), &[]).expect("sent");
    producer.flush().expect("acknowledged");
    kafka::add_partitions(&broker.address().to_string(), &rows.topic, 3);
    let added = TopicPartition { topic: rows.topic.clone(), partition: 2 };
    assert_eq!(client.bounds(&added).expect("found").end, Offset(0));
    producer.send(&rows.topic, Some(0), None, Some(b"second"), &[]).expect("sent");
    producer.send(&added.topic, Some(2), None, Some(b"third"), &[]).expect("sent");
    producer.flush().expect("acknowledged");
    assert_eq!(
        (values(&client, &rows), values(&client, &added)),
        (vec!["first".into(), "second".into()], vec!["third".into()])
    );
}

#[test]
fn a_log_that_was_cut_is_noticed_though_it_has_grown_past_the_reader_again() {
    for resumed in [false, true] {
        let broker = broker(BrokerConfig::default());
        let client = client(&broker);
        let rows = topic(&client);
        for n in 0..10 {
            send(&client, &rows, &[&n.to_string()]).expect("acknowledged");
        }
        let (wake, woken) = std::sync::mpsc::channel();
        let waker: ingest::Waker = Arc::new(move || _ = wake.send(()));
        let mut reading = ingest::spawn(&client, rows.clone(), Offset(0), waker.clone(), 8 << 20);
        let mut next = || loop {
            if let Some(read) = reading.try_next() {
                break read;
            }
            woken.recv_timeout(Duration::from_secs(60)).expect("something to read");
        };
        let mut read = next().expect("readable");
        while read.next < Offset(10) {
            read = next().expect("readable");
        }
        let from = ReadFrom { next: read.next, log: read.log, leader_epoch: read.leader_epoch };
        broker.truncate("rows", 0, 4).expect("cut");
        for n in 0..20 {
            send(&client, &rows, &[&format!("other {n}")]).expect("acknowledged");
        }
        assert_eq!(values(&client, &rows)[3..5], ["3", "other 0"]);
        if resumed {
            drop(reading);
            reading = ingest::spawn(&client, rows.clone(), from, waker, 8 << 20);
        }
        let cut = loop {
            if let Some(read) = reading.try_next() {
                break read;
            }
            woken.recv_timeout(Duration::from_secs(60)).expect("something to read");
        };
        assert!(
            matches!(cut, Err(TransportError::Truncated { read_to: Offset(10), end: Offset(4), .. })),
            "resumed: {resumed}: {cut:?}"
        );
    }
}

#[test]
fn an_end_whose_answer_is_lost_is_settled_by_a_new_beginning_and_never_guessed() {
    for (fault, is_committed, version) in [
        (Fault::DropAnswer, true, 2),
        (Fault::Silence, false, 2),
        (Fault::DropAnswer, true, 0),
        (Fault::Silence, false, 0),
    ] {
        let broker = broker(BrokerConfig { transaction_version: version, ..BrokerConfig::default() });
        let client = patient(&broker, Duration::from_millis(500), Duration::from_secs(60));
        let rows = topic(&client);
        let out = NewTopic { name: "out".into(), partitions: 1, replication: 1, configs: Vec::new() };
        client.create_topics(&[out]).expect("created");
        let out = TopicPartition { topic: "out".into(), partition: 0 };
        let record = |value: &'static str| OutRecord {
            topic: out.topic.clone(),
            partition: Some(0),
            key: None,
            value: value.into(),
            headers: Arc::new([]),
        };
        let group = client.group("readers");
        let fence = Fence { member: String::new(), epoch: -1 };
        let progress = |next| Progress { next: Offset(next), replay_from: Offset(0), ..Progress::default() };
        let mut outbox = TransactionalOutbox::begin(&client, &group, "readers-0").expect("begun");
        for (value, next) in [("first", 1), ("second", 2)] {
            outbox.publish(&mut [record(value)].into_iter()).expect("acknowledged");
            outbox.commit(&rows, &progress(next), &fence).expect("committed");
        }
        broker.faults().script(Request::EndTxn, 0, 1, fault);
        outbox.publish(&mut [record("unclear")].into_iter()).expect("acknowledged");
        let unclear = outbox.commit(&rows, &progress(3), &fence);
        assert!(matches!(unclear, Err(TransportError::Unavailable(_))), "{unclear:?}");
        let refused = outbox.publish(&mut [record("too early")].into_iter());
        assert!(matches!(&refused, Err(TransportError::Unavailable(why)) if why.contains("not known")), "{refused:?}");
        let mut outbox = TransactionalOutbox::begin(&client, &group, "readers-0").expect("begun anew");
        let committed = group.fetch_committed([rows.clone()]).expect("fetched").remove(&rows);
        let next = if is_committed { 3 } else { 2 };
        assert_eq!(committed, Some(Committed::Ours(progress(next))), "{fault:?}");
        outbox.publish(&mut [record("last")].into_iter()).expect("acknowledged");
        outbox.commit(&rows, &progress(4), &fence).expect("committed");
        let mut expected = vec!["first", "second"];
        expected.extend(is_committed.then_some("unclear"));
        expected.push("last");
        assert_eq!(values(&client, &out), expected, "{fault:?}, transaction.version {version}");
    }
}

#[test]
fn a_clock_that_the_broker_does_not_take_is_named() {
    let broker = broker(BrokerConfig::default());
    let client = client(&broker);
    let rows = topic(&client);
    broker.faults().script(Request::Produce, 0, 1, Fault::Refuse(32)); // INVALID_TIMESTAMP
    let error = send(&client, &rows, &["from the future"]);
    assert!(matches!(&error, Err(TransportError::Clock(why)) if why.contains("NTP")), "{error:?}");
    send(&client, &rows, &["by a clock that was set"]).expect("acknowledged");
}

#[test]
fn a_missing_right_is_named_with_its_resource_and_operation() {
    for (operation, said) in [
        (Operation::Describe, "--operation Describe --topic rows"),
        (Operation::Read, "--operation Read --topic rows"),
        (Operation::Write, "--operation Write --topic rows"),
    ] {
        let broker = broker(BrokerConfig::default());
        let rows = topic(&client(&broker));
        send(&client(&broker), &rows, &["before"]).expect("acknowledged");
        broker.faults().deny("rows", operation);
        let client = client(&broker);
        let error = match operation {
            Operation::Describe => client.describe_topic("rows").map(drop),
            Operation::Read => client.read_all(&rows, &mut |_| ()).map(drop),
            Operation::Write => send(&client, &rows, &["after"]),
        };
        assert!(matches!(&error, Err(TransportError::Unauthorised(why)) if why.contains(said)), "{error:?}");
    }
}

#[test]
fn nonsense_ends_its_connection_and_harms_nobody() {
    let broker = broker(BrokerConfig::default());
    let nonsense: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        // Metadata 1 with two billion topics, and with bytes that end too early.
        &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 11, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 7],
        // An API that nobody knows, and a version that nobody speaks.
        &[0, 0, 0, 10, 0x7f, 0xff, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
    ];
    for bytes in nonsense {
        let mut socket = TcpStream::connect(broker.address()).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        socket.write_all(bytes).expect("sent");
        let closed = socket.read(&mut [0; 16]);
        assert!(!matches!(closed, Ok(1..)), "{bytes:02x?} was answered");
        assert!(!matches!(&closed, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{bytes:02x?} waits");
    }
    // A head that promises 100 MB and no more: it may wait, for it costs nothing.
    let mut slow = TcpStream::connect(broker.address()).expect("it listens");
    slow.write_all(&[0x06, 0x40, 0, 0, 0, 0, 0, 9]).expect("sent");
    let begun = Instant::now();
    let client = client(&broker);
    send(&client, &topic(&client), &["fine"]).expect("acknowledged");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_batch_that_is_none_is_refused_and_the_next_one_is_taken() {
    let broker = broker(BrokerConfig::default());
    let client = client(&broker);
    let rows = topic(&client);
    // Produce 3 to partition 0 of `rows`, without a transaction, for acknowledgement by all.
    let mut request = vec![0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff];
    request.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, b'r', b'o', b'w', b's', 0, 0, 0, 1]);
    request.extend([0, 0, 0, 0, 0, 0, 0, 100]);
    request.extend([0xee; 100]);
    let mut socket = TcpStream::connect(broker.address()).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    socket.write_all(&(request.len() as u32).to_be_bytes()).expect("sent");
    socket.write_all(&request).expect("sent");
    // Size, correlation id, one topic with its name, one partition, its index.
    let mut answer = [0; 4 + 4 + 4 + 6 + 4 + 4 + 2];
    socket.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer.last_chunk(), Some(&43i16.to_be_bytes()), "UNSUPPORTED_FOR_MESSAGE_FORMAT");
    send(&client, &rows, &["fine"]).expect("acknowledged");
    assert_eq!(values(&client, &rows), ["fine"]);
}

/// `publish` gives up: what the brokers can still be told, they are told, and the message says what becomes of the upload.
#[test]
fn an_upload_that_is_not_acknowledged_to_its_end_is_aborted() {
    // The second kind meets the marker that gives the upload up, too.
    for (fault, times, said) in [(Fault::Refuse(32), 1, "ends ABORTED"), (Fault::Silence, 1_000, "is open")] {
        let broker = broker(BrokerConfig::default());
        let client = client(&broker);
        let rows = topic(&client);
        broker.faults().script(Request::Produce, 0, times, fault);
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.csv");
        std::fs::write(&file, "id,kind\n1,park\n").expect("written");
        let mut publish = std::process::Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        publish
            .args(["publish", "--topic", "rows", "--timeout", "1", "--brokers", &broker.address().to_string()])
            .arg(&file);
        let output = publish.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(said) && stderr.contains("publish it again"), "{stderr}");
        let mut types = Vec::new();
        let mut each = |record: sheetstream::record::Record| {
            let kind = record.headers.iter().find(|header| &*header.name == "ss-type");
            types.extend(kind.and_then(|header| header.value.clone()));
        };
        client.read_all(&rows, &mut each).expect("read");
        assert_eq!(types, if times == 1 { vec![&b"abort"[..]] } else { vec![] });
    }
}

//! The Kafka transport against Apache Kafka itself.

#[path = "support/kafka.rs"]
mod kafka;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, EndTxnRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Request, StrBytes};
use sha2::{Digest as _, Sha256};
use sheetstream::broker::BrokerConfig;
use sheetstream::client::download::{Wanted, download};
use sheetstream::kafka::admin::{Creation, NewTopic};
use sheetstream::kafka::group::{GroupMember, Instance, Protocol};
use sheetstream::kafka::ingest::{self, IngestHandle};
use sheetstream::kafka::outbox::{KafkaOutbox, TransactionalOutbox};
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::kafka::wire::batch_builder::{BatchBuilder, ProducerStamp};
use sheetstream::kafka::wire::cluster::{Cluster, Lane};
use sheetstream::kafka::wire::compression::Compression;
use sheetstream::kafka::{Isolation, KafkaClient, KafkaConfig};
use sheetstream::record::{Header, Offset, Record, TopicPartition};
use sheetstream::sink::digest::Digest;
use sheetstream::transport::{
    Committed, Fence, Fetched, GroupEvent, Membership, OutRecord, Outbox, Progress, ReadFrom, TransportError,
};
use uuid::Uuid;

use kafka::{Kafka, connect};

/// Bytes of a partition that may wait.
const BUFFER_BYTES_MAX: usize = 8 << 20;
const LIMIT: Duration = Duration::from_secs(60);

fn at(topic: &Arc<str>, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.clone(), partition }
}

fn group_name(topic: &str) -> String {
    format!("group.{topic}")
}

fn send(client: &KafkaClient, topic: &Arc<str>, values: &[&str]) {
    let mut producer = client.producer(ProducerConfig::default());
    for value in values {
        producer.send(topic, Some(0), None, Some(value.as_bytes()), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

/// A partition that is being read, and how its thread is woken.
struct Reading {
    ingest: IngestHandle,
    woken: Receiver<()>,
}

impl Reading {
    fn from(client: &KafkaClient, partition: TopicPartition, from: i64) -> Reading {
        Reading::resume(client, partition, Offset(from).into())
    }
    fn resume(client: &KafkaClient, partition: TopicPartition, from: ReadFrom) -> Reading {
        Reading::within(client, partition, from, BUFFER_BYTES_MAX)
    }
    fn within(client: &KafkaClient, partition: TopicPartition, from: ReadFrom, bytes_max: usize) -> Reading {
        let (wake, woken) = channel();
        let waker = Arc::new(move || _ = wake.send(()));
        Reading { ingest: ingest::spawn(client, partition, from, waker, bytes_max), woken }
    }
    fn next(&mut self) -> Result<Fetched, TransportError> {
        loop {
            if let Some(read) = self.ingest.try_next() {
                return read;
            }
            self.woken.recv_timeout(LIMIT).expect("something to read");
        }
    }
    /// Everything up to offset `end`.
    fn until(&mut self, end: i64) -> Fetched {
        let mut all = Fetched::default();
        while all.next < Offset(end) {
            let read = self.next().expect("readable");
            all.records.extend(read.records);
            all.poisoned.extend(read.poisoned);
            all.lost.extend(read.lost);
            (all.next, all.high_watermark, all.log_start) = (read.next, read.high_watermark, read.log_start);
            (all.log, all.leader_epoch) = (read.log, read.leader_epoch);
        }
        all
    }
}

fn values(records: &[Record]) -> Vec<&str> {
    records.iter().map(|r| std::str::from_utf8(r.value.as_deref().unwrap_or_default()).expect("UTF-8")).collect()
}

/// A member that obeys: what it holds, and under which fence.
struct Obedient {
    member: GroupMember,
    held: BTreeSet<TopicPartition>,
    fence: Fence,
    ended: Option<TransportError>,
}

/// A process that has the name `name` in its groups.
fn process(name: &str, former: Option<Uuid>) -> Instance {
    Instance { name: name.to_owned(), incarnation: Uuid::new_v4(), former }
}

/// A process with a name that no other has.
fn other() -> Instance {
    process(&Uuid::new_v4().to_string(), None)
}

/// A client whose groups have `protocol`.
fn client_of(kafka: &Kafka, name: &str, protocol: Protocol) -> KafkaClient {
    connect(KafkaConfig {
        group_protocol: Some(protocol),
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_millis(500),
        ..kafka.config(name)
    })
}

const BOTH: [Protocol; 2] = [Protocol::Consumer, Protocol::Classic];

/// A heartbeat by hand, as a client that is none of ours sends it, or an operator's tool.
fn heartbeat(kafka: &Kafka, group: &str, member: &str, epoch: i32, instance: Option<&str>, topic: Option<&str>) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_instance_id(instance.map(text))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(topic.map(|topic| vec![TopicName(text(topic))]))
        .with_topic_partitions(topic.map(|_| Vec::new()));
    assert_eq!(ask(kafka, group, &request).error_code, 0);
}

/// A request to the coordinator of `group`, as a client that is none of ours sends it.
fn ask<R: Request>(kafka: &Kafka, group: &str, request: &R) -> R::Response {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let cluster = Cluster::new(kafka.config("console-consumer"));
        // A cluster that has no groups yet makes the topic of their offsets first.
        let coordinator = loop {
            match cluster.coordinator(group).await {
                Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
                found => break found.expect("a coordinator"),
            }
        };
        coordinator.call(request, R::VERSIONS.max).await.expect("answered")
    })
}

impl Obedient {
    fn new(member: GroupMember) -> Obedient {
        Obedient { member, held: BTreeSet::new(), fence: Fence::default(), ended: None }
    }
    fn turn(&mut self) {
        match self.member.next(Duration::from_millis(20)) {
            None => (),
            Some(GroupEvent::Assigned(partitions, fence)) => {
                self.held.extend(partitions);
                self.fence = fence;
            }
            Some(GroupEvent::Epoch(fence)) => self.fence = fence,
            Some(GroupEvent::Revoked(partitions)) => {
                self.held.retain(|held| !partitions.contains(held));
                self.member.released(&partitions);
            }
            Some(GroupEvent::Lost(partitions)) => self.held.retain(|held| !partitions.contains(held)),
            Some(GroupEvent::Fatal(error)) => {
                self.held.clear();
                self.ended = Some(error);
            }
        }
    }
}

/// Serves all members until `done`; no partition is ever held by two.
fn serve(members: &mut [&mut Obedient], done: impl Fn(&[&mut Obedient]) -> bool) {
    let since = std::time::Instant::now();
    while !done(members) {
        let ended: Vec<_> = members.iter().filter_map(|member| member.ended.as_ref()).collect();
        assert!(since.elapsed() < LIMIT, "not settled; ended: {ended:?}");
        members.iter_mut().for_each(|member| member.turn());
        let held: usize = members.iter().map(|member| member.held.len()).sum();
        let distinct: BTreeSet<_> = members.iter().flat_map(|member| &member.held).collect();
        assert_eq!(held, distinct.len(), "a partition is held twice");
    }
}

fn holds(counts: &[usize]) -> impl Fn(&[&mut Obedient]) -> bool + '_ {
    |members| members.iter().map(|member| member.held.len()).eq(counts.iter().copied())
}

#[test]
fn partitions_are_shared_given_up_and_taken_over() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let topic = kafka.topic("rows", 6, &[]);
        let group = client_of(kafka, "group", protocol).group(&group_name(&topic));
        let join = || Obedient::new(group.join(other(), [topic.clone()]));

        let mut a = join();
        serve(&mut [&mut a], holds(&[6]));
        let mut b = join();
        serve(&mut [&mut a, &mut b], holds(&[3, 3]));
        b.member.leave();
        serve(&mut [&mut a], holds(&[6]));

        let mut c = join();
        serve(&mut [&mut a, &mut c], holds(&[3, 3]));
        drop(c); // no leave: as after kill -9, the session has to expire
        serve(&mut [&mut a], holds(&[6]));
    }
}

#[test]
fn a_restarted_member_is_given_its_partitions_back_without_a_rebalance() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let topic = kafka.topic("rows", 4, &[]);
        let group = client_of(kafka, "group", protocol).group(&group_name(&topic));
        let name = Uuid::new_v4().to_string();
        let killed = process(&name, None);
        let mut first = Obedient::new(group.join(killed.clone(), [topic.clone()]));
        serve(&mut [&mut first], holds(&[4]));
        let fence = first.fence.clone();
        drop(first);
        let mut second = Obedient::new(group.join(process(&name, Some(killed.incarnation)), [topic.clone()]));
        serve(&mut [&mut second], holds(&[4]));
        assert_eq!(second.fence.epoch, fence.epoch, "same instance, same epoch");
        assert_ne!(second.fence.member, fence.member, "what the former one still sends is refused");
        let progress = Progress { next: Offset(0), replay_from: Offset(0), ..Progress::default() };
        let refused = group.commit(&at(&topic, 0), &progress, &fence);
        assert!(matches!(refused, Err(TransportError::Fenced(_))), "{refused:?}");
    }
}

#[test]
fn the_newer_of_two_processes_with_one_instance_id_takes_the_place_of_the_older() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let topic = kafka.topic("rows", 4, &[]);
        let client = client_of(kafka, "group", protocol);
        let mut others = Obedient::new(client.group(&group_name(&topic)).join(other(), [topic.clone()]));
        let mut older = Obedient::new(client.group(&group_name(&topic)).join(process("twin", None), [topic.clone()]));
        serve(&mut [&mut others, &mut older], holds(&[2, 2]));
        let mut newer = Obedient::new(client.group(&group_name(&topic)).join(process("twin", None), [topic.clone()]));
        serve(&mut [&mut others, &mut older, &mut newer], holds(&[2, 0, 2]));
        let Some(TransportError::Replaced(why)) = &older.ended else { panic!("{:?}", older.ended) };
        assert!(why.contains("\"twin\"") && why.contains("--instance-id"), "{why}");
        assert!(others.ended.is_none() && newer.ended.is_none());
    }
}

#[test]
fn a_member_that_is_none_of_ours_is_seen_and_named() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let name = group_name(&topic);
    heartbeat(kafka, &name, "stranger", 0, None, Some(&topic));
    let group = kafka.client("group").group(&name);
    let mut member = Obedient::new(group.join(other(), [topic.clone()]));
    let seen = || group.foreign_members().into_iter().map(|foreign| (foreign.client_id, foreign.member_id)).next();
    serve(&mut [&mut member], |_| seen().is_some());
    assert_eq!(seen(), Some(("console-consumer".to_owned(), "stranger".to_owned())));
    let asked = kafka.client("status").members(&name).expect("described").foreign;
    assert_eq!((asked.len(), asked[0].host.as_str()), (1, "127.0.0.1"));
}

#[test]
fn a_member_that_was_put_out_loses_everything_and_comes_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let client = kafka.client("group");
    let instance = other();
    let mut member = Obedient::new(client.group(&group_name(&topic)).join(instance.clone(), [topic.clone()]));
    serve(&mut [&mut member], holds(&[2]));
    heartbeat(kafka, &group_name(&topic), &member.fence.member, -1, Some(&instance.name), None); // leaves on its behalf
    let lost = Cell::new(false);
    serve(&mut [&mut member], |members| {
        lost.set(lost.get() || members[0].held.is_empty());
        lost.get() && members[0].held.len() == 2
    });
}

#[test]
fn a_classic_member_that_was_put_out_loses_everything_and_comes_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let client = client_of(kafka, "group", Protocol::Classic);
    let instance = other();
    let mut member = Obedient::new(client.group(&group_name(&topic)).join(instance.clone(), [topic.clone()]));
    serve(&mut [&mut member], holds(&[2]));
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let leaves = MemberIdentity::default().with_group_instance_id(Some(text(&instance.name)));
    let leaves =
        LeaveGroupRequest::default().with_group_id(GroupId(text(&group_name(&topic)))).with_members(vec![leaves]);
    let answer = ask(kafka, &group_name(&topic), &leaves);
    assert_eq!((answer.error_code, answer.members[0].error_code), (0, 0));
    let lost = Cell::new(false);
    serve(&mut [&mut member], |members| {
        lost.set(lost.get() || members[0].held.is_empty());
        lost.get() && members[0].held.len() == 2
    });
}

#[test]
fn members_are_put_out_by_whoever_resets_the_group() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let topic = kafka.topic("rows", 2, &[]);
        let group = client_of(kafka, "group", protocol).group(&group_name(&topic));
        let mut member = Obedient::new(group.join(other(), [topic.clone()]));
        serve(&mut [&mut member], holds(&[2]));
        let removed = client_of(kafka, "reset", protocol).remove_members(&group_name(&topic));
        assert_eq!(removed.expect("removed"), 1, "{protocol:?}");
        // It is alive, and comes back.
        let lost = Cell::new(false);
        serve(&mut [&mut member], |members| {
            lost.set(lost.get() || members[0].held.is_empty());
            lost.get() && members[0].held.len() == 2
        });
        let nobody = client_of(kafka, "reset", protocol).remove_members(&format!("no-{}", group_name(&topic)));
        assert_eq!(nobody.expect("no group"), 0, "{protocol:?}");
    }
}

/// Apache Kafka translates between the protocols of a group; the in-process broker keeps the one that a group began with.
fn translating() -> Option<&'static Kafka> {
    Kafka::shared()
}

#[test]
fn a_group_goes_over_to_the_newer_protocol_member_by_member_and_back() {
    let Some(kafka) = translating() else { return };
    let topic = kafka.topic("rows", 4, &[]);
    let name = group_name(&topic);
    // As `run` calls itself.
    let join = |protocol, instance| {
        let group = client_of(kafka, "sheetstream", protocol).group(&name);
        Obedient::new(group.join(process(instance, None), [topic.clone()]))
    };
    let mut first = join(Protocol::Classic, "first");
    let mut second = join(Protocol::Classic, "second");
    serve(&mut [&mut first, &mut second], holds(&[2, 2]));
    for protocol in [Protocol::Consumer, Protocol::Classic] {
        second.member.leave();
        second = join(protocol, "second");
        serve(&mut [&mut first, &mut second], holds(&[2, 2]));
        let foreign = kafka.client("status").members(&name).expect("described").foreign;
        assert_eq!(foreign, [], "a member of the other protocol is ours");
        first.member.leave();
        first = join(protocol, "first");
        serve(&mut [&mut first, &mut second], holds(&[2, 2]));
    }
}

#[test]
fn a_consumer_in_a_classic_group_is_named_and_keeps_us_out_until_it_leaves() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let name = group_name(&topic);
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let range = JoinGroupRequestProtocol::default().with_name(text("range"));
    let joins = JoinGroupRequest::default()
        .with_group_id(GroupId(text(&name)))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_group_instance_id(Some(text("stranger")))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![range]);
    const STARTING: [i16; 3] = [14, 15, 16];
    let mut joined = std::iter::repeat_with(|| ask(kafka, &name, &joins).error_code);
    assert_eq!(joined.find(|code| !STARTING.contains(code)), Some(0));

    let group = client_of(kafka, "group", Protocol::Classic).group(&name);
    let mut member = Obedient::new(group.join(other(), [topic.clone()]));
    serve(&mut [&mut member], |_| !group.foreign_members().is_empty());
    assert_eq!(group.foreign_members()[0].client_id, "console-consumer");
    assert!(member.held.is_empty() && !group.is_settled());

    let leaves = MemberIdentity::default().with_group_instance_id(Some(text("stranger")));
    let leaves = LeaveGroupRequest::default().with_group_id(GroupId(text(&name))).with_members(vec![leaves]);
    assert_eq!(ask(kafka, &name, &leaves).error_code, 0);
    serve(&mut [&mut member], holds(&[2]));
    serve(&mut [&mut member], |_| group.foreign_members().is_empty());
}

#[test]
fn partitions_that_are_added_are_taken_up_by_a_classic_group() {
    let Some(broker) = Kafka::shared() else { return };
    let topic = broker.topic("rows", 2, &[]);
    let client = client_of(broker, "group", Protocol::Classic);
    let join = || Obedient::new(client.group(&group_name(&topic)).join(other(), [topic.clone()]));
    let (mut a, mut b) = (join(), join());
    serve(&mut [&mut a, &mut b], holds(&[1, 1]));
    kafka::add_partitions(&broker.bootstrap, &topic, 4);
    serve(&mut [&mut a, &mut b], holds(&[2, 2]));
}

#[test]
fn progress_comes_back_as_committed_and_a_reset_is_noticed() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let client = kafka.client("commit");
    send(&client, &topic, &["a", "b", "c"]);
    let name = group_name(&topic);
    let group = client.group(&name);
    let committed =
        |partition| group.fetch_committed([at(&topic, partition)]).expect("fetched")[&at(&topic, partition)].clone();
    assert_eq!(committed(0), Committed::None);

    let mut member = Obedient::new(group.join(other(), [topic.clone()]));
    serve(&mut [&mut member], holds(&[2]));
    let progress = Progress { next: Offset(3), replay_from: Offset(1), ..Progress::default() };
    group.commit(&at(&topic, 0), &progress, &member.fence).expect("committed");
    assert_eq!(committed(0), Committed::Ours(progress));
    assert_eq!(committed(1), Committed::None);

    member.member.leave();
    let Some(mut reset) = kafka.tool("consumer-groups") else { return };
    let reset = reset
        .args(["--group", &name, "--topic", &topic, "--reset-offsets", "--to-offset", "2", "--execute"])
        .output()
        .expect("the tool runs");
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stdout));
    assert_eq!(committed(0), Committed::Reset(Offset(2)));
}

#[test]
fn a_former_owners_commit_is_fenced() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let topic = kafka.topic("rows", 2, &[]);
        let client = client_of(kafka, "fence", protocol);
        let group = client.group(&group_name(&topic));
        let mut a = Obedient::new(group.join(other(), [topic.clone()]));
        serve(&mut [&mut a], holds(&[2]));
        let former = a.fence.clone();
        // Another handle of the same group, as another process would have it.
        let mut b = Obedient::new(client.group(&group_name(&topic)).join(other(), [topic.clone()]));
        serve(&mut [&mut a, &mut b], holds(&[1, 1]));
        let (kept, lost) = (a.held.first().expect("one"), b.held.first().expect("one"));
        let progress = Progress { next: Offset(0), replay_from: Offset(0), ..Progress::default() };
        group.commit(kept, &progress, &former).expect("still ours");
        let refused = group.commit(lost, &progress, &former);
        assert!(matches!(refused, Err(TransportError::Fenced(_))), "{refused:?}");
        let unknown = Fence { member: Uuid::new_v4().to_string(), epoch: 1 };
        assert!(matches!(group.commit(kept, &progress, &unknown), Err(TransportError::Fenced(_))));
    }
}

#[test]
fn a_missing_topic_is_fatal_to_a_member_and_is_not_created() {
    let Some(kafka) = Kafka::shared() else { return };
    let client = kafka.client("missing");
    let missing: Arc<str> = "no.such.topic".into();
    let mut member = client.group("group.missing").join(other(), [missing.clone()]);
    assert!(matches!(member.next(LIMIT), Some(GroupEvent::Fatal(TransportError::Topic(_)))));
    let mut reading = Reading::from(&client, at(&missing, 0), 0);
    assert!(matches!(reading.next(), Err(TransportError::Topic(_))));
    assert!(matches!(client.describe_topic(&missing), Err(TransportError::Topic(_))));
}

#[test]
fn topics_are_created_once_and_described() {
    let Some(kafka) = Kafka::shared() else { return };
    let client = kafka.client("topics");
    let name = format!("status.{}", Uuid::new_v4().simple());
    let configs = vec![
        ("cleanup.policy".to_string(), "compact,delete".to_string()),
        ("max.message.bytes".to_string(), "2000000".to_string()),
    ];
    let wanted = NewTopic { name: name.clone(), partitions: 3, replication: -1, configs };
    assert_eq!(client.create_topics(std::slice::from_ref(&wanted)).expect("created")[&name], Creation::Created);
    assert_eq!(client.create_topics(std::slice::from_ref(&wanted)).expect("there")[&name], Creation::Existed);
    let other = NewTopic { partitions: 4, ..wanted };
    assert!(matches!(client.create_topics(&[other]), Err(TransportError::Topic(_))));
    let described = client.describe_topic(&name).expect("described");
    assert_eq!((described.partitions, described.max_message_bytes), (3, Some(2_000_000)));
    assert!(matches!(described.check_uncompacted(), Err(TransportError::Topic(_))));
    assert_eq!(client.partitions(&name).expect("there"), 3);
}

#[test]
fn a_workbook_of_85_mb_goes_out_in_chunks_and_comes_back_in_order() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("workbooks", 3, &[]);
    let client = kafka.client("outbox");
    let mut outbox = KafkaOutbox::new(&client, &client.group(&group_name(&topic)));
    let chunk = |i: usize| Bytes::from(vec![i as u8; 900 << 10]);
    let record = |i: usize| OutRecord {
        topic: topic.clone(),
        partition: None,
        key: Some(Bytes::from_static(b"21")),
        value: chunk(i),
        headers: Arc::new([Header::new("ss-chunk", format!("{}/94", i + 1))]),
    };
    outbox.publish(&mut (0..94).map(record)).expect("acknowledged");
    let partition = at(&topic, (-973_932_308 & i32::MAX) % 3); // murmur2("21")
    let mut found = Vec::new();
    client.read_all(&partition, &mut |record| found.push(record)).expect("read");
    assert_eq!(found.len(), 94);
    for (i, record) in found.iter().enumerate() {
        assert_eq!(record.headers, [Header::new("ss-chunk", format!("{}/94", i + 1))]);
        assert_eq!(record.value, Some(chunk(i)));
    }
}

#[test]
fn a_record_the_topic_does_not_take_is_too_large_and_harms_no_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("workbooks", 1, &[]);
    let client = kafka.client("large");
    let mut outbox = KafkaOutbox::new(&client, &client.group(&group_name(&topic)));
    let record = |bytes: usize| OutRecord {
        topic: topic.clone(),
        partition: Some(0),
        key: None,
        value: vec![7; bytes].into(),
        headers: Arc::new([]),
    };
    let refused = outbox.publish(&mut [record(1_100_000)].into_iter());
    assert!(matches!(&refused, Err(TransportError::TooLarge(why)) if why.contains("1048588")), "{refused:?}");
    outbox.publish(&mut [record(1_000_000), record(40_000), record(1_000)].into_iter()).expect("acknowledged");
    assert_eq!(client.bounds(&at(&topic, 0)).expect("bounds").end, Offset(3));
}

#[test]
fn a_producer_continues_after_a_flush_and_numbers_every_partition_by_itself() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let client = kafka.client("flush");
    let small = ProducerConfig { batch_bytes: 200, compression: Compression::Lz4, ..ProducerConfig::default() };
    let mut producer = client.producer(small);
    for round in 0..3 {
        for i in 0..100 {
            let value = format!("{round}.{i}");
            producer.send(&topic, Some(i % 2), None, Some(value.as_bytes()), &[]).expect("sent");
        }
        producer.flush().expect("acknowledged");
    }
    for partition in 0..2 {
        let read = Reading::from(&client, at(&topic, partition), 0).until(150);
        let sent: Vec<String> = (0..3)
            .flat_map(|round| (0..100).map(move |i| (round, i)))
            .filter(|(_, i)| i % 2 == partition)
            .map(|(round, i)| format!("{round}.{i}"))
            .collect();
        assert_eq!(values(&read.records), sent);
    }
}

#[test]
fn rows_come_in_order_from_anywhere_in_the_log_whatever_the_codec() {
    let Some(kafka) = Kafka::shared() else { return };
    let client = connect(KafkaConfig { isolation: Isolation::ReadUncommitted, ..kafka.config("codecs") });
    let committed = connect(KafkaConfig { isolation: Isolation::ReadCommitted, ..kafka.config("codecs") });
    let rows: Vec<String> = (0..5_000).map(|i| format!("{i},127.0276,37.4979")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    for codec in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let topic = kafka.topic("rows", 1, &[("compression.type", codec)]);
        send(&client, &topic, &rows);
        for reader in [&client, &committed] {
            let read = Reading::from(reader, at(&topic, 0), 1_234).until(5_000);
            assert_eq!(values(&read.records), rows[1_234..], "{codec}");
            assert_eq!(read.records[0].offset, Offset(1_234));
            assert_eq!((read.high_watermark, read.log_start), (Offset(5_000), Offset(0)));
            assert!(read.lost.is_empty() && read.poisoned.is_empty());
        }
    }
}

#[test]
fn a_null_header_is_delivered_by_the_wire_reader() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let client = connect(KafkaConfig { isolation: Isolation::ReadUncommitted, ..kafka.config("null-header") });
    send(&client, &topic, &["before"]);
    let mut producer = client.producer(ProducerConfig::default());
    let header = Header { name: "traceparent".into(), value: None };
    producer.send(&topic, Some(0), Some(b"k"), Some(b"null"), std::slice::from_ref(&header)).expect("sent");
    producer.flush().expect("acknowledged");
    send(&client, &topic, &["after"]);
    let read = Reading::from(&client, at(&topic, 0), 0).until(3);
    assert_eq!(values(&read.records), ["before", "null", "after"]);
    assert_eq!(read.records[1].headers, [header]);
}

/// Transactions by hand, as another producer would write them.
struct Transactions {
    cluster: Cluster,
    partition: TopicPartition,
    id: TransactionalId,
    producer: (ProducerId, i16),
    sequence: i32,
}

impl Transactions {
    async fn begin(kafka: &Kafka, partition: TopicPartition) -> Transactions {
        let cluster = Cluster::new(kafka.config("transactions"));
        let id = TransactionalId(StrBytes::from_string(Uuid::new_v4().to_string()));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let broker = cluster.any().await.expect("connected");
        let find = FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![id.0.clone()]);
        let answer = loop {
            broker.call(&find, 4).await.expect("answered"); // makes the broker create its topic of transactions
            let answer = broker.call(&request, 5).await.expect("answered");
            match answer.error_code {
                14..=16 | 51 => tokio::time::sleep(Duration::from_millis(20)).await,
                code => break (code == 0).then_some(answer).expect("a producer id"),
            }
        };
        Transactions { cluster, partition, id, producer: (answer.producer_id, answer.producer_epoch), sequence: 0 }
    }
    async fn write(&mut self, values: &[&str]) {
        let mut builder = BatchBuilder::new(1_000);
        values.iter().for_each(|value| builder.push(1, None, Some(value.as_bytes()), &[]));
        let mut batch = builder.finish(Compression::None);
        batch.stamp(ProducerStamp { id: self.producer.0.0, epoch: self.producer.1, sequence: self.sequence });
        self.sequence += values.len() as i32;
        let mut bytes = BytesMut::from(&batch.bytes()[..]);
        bytes[22] |= 0x10; // transactional
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let data = PartitionProduceData::default().with_index(0).with_records(Some(bytes.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(self.partition.topic.to_string())))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        let (leader, _) = self.cluster.leader(&self.partition, Lane::Produce).await.expect("a leader");
        loop {
            let answer = leader.call(&request, 12).await.expect("answered");
            match answer.responses[0].partition_responses[0].error_code {
                51 => tokio::time::sleep(Duration::from_millis(10)).await,
                code => break assert_eq!(code, 0),
            }
        }
    }
    async fn end(&mut self, commit: bool) {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer.0)
            .with_producer_epoch(self.producer.1)
            .with_committed(commit);
        let broker = self.cluster.any().await.expect("connected");
        let answer = broker.call(&request, 5).await.expect("answered");
        assert_eq!(answer.error_code, 0);
        self.producer = (answer.producer_id, answer.producer_epoch);
        self.sequence = 0;
    }
}

fn out_record(topic: &Arc<str>, partition: i32, value: impl Into<Bytes>) -> OutRecord {
    OutRecord {
        topic: topic.clone(),
        partition: Some(partition),
        key: None,
        value: value.into(),
        headers: Arc::new([]),
    }
}

fn committed_values(client: &KafkaClient, topic: &Arc<str>) -> Vec<String> {
    let mut values = Vec::new();
    for partition in 0..client.partitions(topic).expect("there") {
        let mut each =
            |record: Record| values.push(String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned());
        client.read_all(&at(topic, partition), &mut each).expect("read");
    }
    values
}

/// Markers are written after the answer to the end of a transaction.
fn wait_for_values(client: &KafkaClient, topic: &Arc<str>, expected: &[&str]) {
    let since = std::time::Instant::now();
    while committed_values(client, topic) != expected {
        let found = committed_values(client, topic);
        assert!(since.elapsed() < LIMIT, "{found:?} and not {expected:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn outputs_and_offset_of_a_transaction_count_together_or_not_at_all() {
    let Some(kafka) = Kafka::shared() else { return };
    for protocol in BOTH {
        let (rows, out) = (kafka.topic("rows", 1, &[]), kafka.topic("out", 2, &[]));
        let client = client_of(kafka, "exactly-once", protocol);
        let group = client.group(&group_name(&rows));
        let mut member = Obedient::new(group.join(other(), [rows.clone()]));
        serve(&mut [&mut member], holds(&[1]));
        let committed = || group.fetch_committed([at(&rows, 0)]).expect("fetched")[&at(&rows, 0)].clone();
        let id = format!("{rows}-0");

        let mut outbox = TransactionalOutbox::begin(&client, &group, &id).expect("begun");
        let progress = |next| Progress { next: Offset(next), replay_from: Offset(0), ..Progress::default() };
        outbox.commit(&at(&rows, 0), &progress(1), &member.fence).expect("an offset alone");
        assert_eq!(committed(), Committed::Ours(progress(1)));
        let mut records = ["a", "b", "c"].iter().zip([0, 1, 0]).map(|(value, to)| out_record(&out, to, *value));
        outbox.publish(&mut records).expect("acknowledged");
        assert_eq!(committed_values(&client, &out), [""; 0], "not yet");
        outbox.commit(&at(&rows, 0), &progress(3), &member.fence).expect("committed");
        assert_eq!(committed(), Committed::Ours(progress(3)));
        wait_for_values(&client, &out, &["a", "c", "b"]);

        // A record that the topic does not take harms no other of its transaction.
        outbox.publish(&mut [out_record(&out, 0, "d")].into_iter()).expect("acknowledged");
        let large = outbox.publish(&mut [out_record(&out, 0, vec![7; 1_100_000])].into_iter());
        assert!(matches!(large, Err(TransportError::TooLarge(_))), "{large:?}");
        outbox.send_best_effort(out_record(&out, 0, "e"));
        outbox.commit(&at(&rows, 0), &progress(4), &member.fence).expect("committed");
        wait_for_values(&client, &out, &["a", "c", "d", "e", "b"]);

        // Whoever dies in the middle has written nothing.
        outbox
            .publish(&mut [out_record(&out, 0, "lost"), out_record(&out, 1, "lost")].into_iter())
            .expect("acknowledged");
        drop(outbox);
        let mut outbox = TransactionalOutbox::begin(&client, &group, &id).expect("begun");
        assert_eq!(committed(), Committed::Ours(progress(4)));
        outbox.publish(&mut [out_record(&out, 1, "f")].into_iter()).expect("acknowledged");
        outbox.commit(&at(&rows, 0), &progress(5), &member.fence).expect("committed");
        wait_for_values(&client, &out, &["a", "c", "d", "e", "b", "f"]);
    }
}

#[test]
fn a_workbook_is_waited_for_until_its_transaction_has_ended() {
    let Some(kafka) = Kafka::shared() else { return };
    let (rows, out) = (kafka.topic("rows", 1, &[]), kafka.topic("books", 1, &[]));
    let client = client_of(kafka, "download", Protocol::Classic);
    let group = client.group(&group_name(&rows));
    let mut member = Obedient::new(group.join(other(), [rows.clone()]));
    serve(&mut [&mut member], holds(&[1]));
    let mut outbox = TransactionalOutbox::begin(&client, &group, &format!("{rows}-0")).expect("begun");
    let sha256 = Digest(Sha256::digest("book").into());
    let headers = [("ss-upload", "a"), ("ss-revision", "1"), ("ss-sha256", &sha256.to_string())];
    let headers = headers.map(|(name, value)| Header::new(name, value.to_owned()));
    let chunk = OutRecord { headers: Arc::new(headers), ..out_record(&out, 0, "book") };
    outbox.publish(&mut [chunk].into_iter()).expect("acknowledged");
    let wanted = Wanted { topic: out.to_string(), upload: "a".into(), sha256, published_ms: 0 };
    std::thread::scope(|scope| {
        let reader = client.clone();
        let downloading = scope.spawn(move || {
            let mut file = tempfile::tempfile().expect("a file");
            download(&reader, &wanted, &mut file).map_err(|error| error.to_string())
        });
        std::thread::sleep(Duration::from_millis(300));
        let progress = Progress { next: Offset(1), replay_from: Offset(0), ..Progress::default() };
        outbox.commit(&at(&rows, 0), &progress, &member.fence).expect("committed");
        assert_eq!(downloading.join().expect("no panic"), Ok(4));
    });
}

#[test]
fn a_former_owner_of_a_transactional_id_is_fenced_at_its_next_write() {
    let Some(kafka) = Kafka::shared() else { return };
    let (rows, out) = (kafka.topic("rows", 1, &[]), kafka.topic("out", 1, &[]));
    let client = kafka.client("zombie");
    let group = client.group(&group_name(&rows));
    let mut member = Obedient::new(group.join(other(), [rows.clone()]));
    serve(&mut [&mut member], holds(&[1]));
    let id = format!("{rows}-0");
    let progress = Progress { next: Offset(1), replay_from: Offset(0), ..Progress::default() };
    let mut former = TransactionalOutbox::begin(&client, &group, &id).expect("begun");
    former.publish(&mut [out_record(&out, 0, "of the former")].into_iter()).expect("acknowledged");
    let mut present = TransactionalOutbox::begin(&client, &group, &id).expect("taken over");
    let refused = former.publish(&mut [out_record(&out, 0, "of a zombie")].into_iter());
    assert!(matches!(refused, Err(TransportError::Fenced(_))), "{refused:?}");
    let refused = former.commit(&at(&rows, 0), &progress, &member.fence);
    assert!(matches!(refused, Err(TransportError::Fenced(_))), "{refused:?}");
    present.publish(&mut [out_record(&out, 0, "of the present")].into_iter()).expect("acknowledged");
    // A commit of somebody who is no member any more is refused with all that belongs to it.
    let stranger = Fence { member: "nobody".into(), epoch: 1 };
    let refused = present.commit(&at(&rows, 0), &progress, &stranger);
    assert!(matches!(refused, Err(TransportError::Fenced(_))), "{refused:?}");
    let refused = present.publish(&mut [out_record(&out, 0, "after a refusal")].into_iter());
    assert!(matches!(refused, Err(TransportError::Unavailable(_))), "{refused:?}");
    let mut last = TransactionalOutbox::begin(&client, &group, &id).expect("taken over");
    last.publish(&mut [out_record(&out, 0, "of the last")].into_iter()).expect("acknowledged");
    last.commit(&at(&rows, 0), &progress, &member.fence).expect("committed");
    wait_for_values(&client, &out, &["of the last"]);
}

/// The brokers abort it, and answer as if its id had been taken over.
#[test]
fn a_transaction_that_takes_too_long_is_named_with_its_setting() {
    let Some(kafka) = Kafka::shared() else { return };
    let (rows, out) = (kafka.topic("rows", 1, &[]), kafka.topic("out", 1, &[]));
    let config = KafkaConfig { transaction_timeout: Duration::from_secs(1), ..kafka.config("slow") };
    let client = connect(config);
    let mut outbox =
        TransactionalOutbox::begin(&client, &client.group(&group_name(&rows)), &format!("{rows}-0")).expect("begun");
    let begun = Instant::now();
    let refused = loop {
        match outbox.publish(&mut [out_record(&out, 0, "chunk")].into_iter()) {
            Ok(()) => assert!(begun.elapsed() < LIMIT, "it is never aborted"),
            Err(error) => break error,
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let TransportError::Failed(text) = &refused else { panic!("{refused:?}") };
    assert!(text.contains("set transaction.timeout.ms higher"), "{text}");
}

#[test]
fn a_transaction_timeout_that_the_brokers_do_not_take_is_named_with_its_setting() {
    let Some(kafka) = Kafka::shared() else { return };
    let rows = kafka.topic("rows", 1, &[]);
    let config = KafkaConfig { transaction_timeout: Duration::from_secs(86_400), ..kafka.config("patient") };
    let client = connect(config);
    let refused = TransactionalOutbox::begin(&client, &client.group(&group_name(&rows)), &format!("{rows}-0")).err();
    let said = refused.expect("above transaction.max.timeout.ms").to_string();
    assert!(
        said.contains("transaction.timeout.ms=86400000 is above the brokers' transaction.max.timeout.ms"),
        "{said}"
    );
}

#[test]
fn transactions_are_read_in_both_isolations() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let client = connect(KafkaConfig { isolation: Isolation::ReadUncommitted, ..kafka.config("plain") });
    send(&client, &topic, &["plain 0"]);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let mut transactions = Transactions::begin(kafka, at(&topic, 0)).await;
        for (values, commit) in [
            (["committed 1", "committed 2"], true),
            (["aborted 4", "aborted 5"], false),
            (["committed 7", "committed 8"], true),
        ] {
            transactions.write(&values).await;
            transactions.end(commit).await;
        }
        // The last marker is written after the answer to EndTxn: the next transaction waits for it.
        transactions.write(&["open 10"]).await;
    });
    send(&client, &topic, &["plain 11"]);

    let read = Reading::from(&client, at(&topic, 0), 0).until(12);
    let all = [
        "plain 0",
        "committed 1",
        "committed 2",
        "aborted 4",
        "aborted 5",
        "committed 7",
        "committed 8",
        "open 10",
        "plain 11",
    ];
    assert_eq!(values(&read.records), all);
    assert!(read.lost.is_empty(), "markers are not gaps: {:?}", read.lost);

    let committed = connect(KafkaConfig { isolation: Isolation::ReadCommitted, ..kafka.config("committed") });
    let read = Reading::from(&committed, at(&topic, 0), 0).until(10);
    assert_eq!(values(&read.records), ["plain 0", "committed 1", "committed 2", "committed 7", "committed 8"]);
    assert!(read.lost.is_empty(), "aborted rows are not gaps: {:?}", read.lost);
    let mut seen = Vec::new();
    let end = committed.read_all(&at(&topic, 0), &mut |record| seen.push(record.offset.0)).expect("read");
    assert_eq!((end, seen), (Offset(10), vec![0, 1, 2, 7, 8]), "up to the open transaction");
}

#[test]
fn an_offset_below_the_log_is_out_of_range_and_names_the_setting() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let client = kafka.client("range");
    send(&client, &topic, &["a", "b", "c"]);
    kafka::delete_records(kafka, &at(&topic, 0), 2);
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let client = connect(KafkaConfig { isolation, ..kafka.config("range") });
        match Reading::from(&client, at(&topic, 0), 1).next() {
            Err(TransportError::OutOfRange { at: Offset(1), log_start: Offset(2), hint }) => {
                assert!(hint.contains("retention.ms"), "{hint}");
            }
            other => panic!("{other:?}"),
        }
        match Reading::from(&client, at(&topic, 0), 9).next() {
            Err(TransportError::Truncated { read_to: Offset(9), end: Offset(3), .. }) => (),
            other => panic!("{other:?}"),
        }
    }
}

/// A topic of which four records were read is made anew, with these rows. Its reader is at rest meanwhile, for its buffer is full.
fn make_anew(kafka: &Kafka, isolation: Isolation, rows: &[&str]) {
    let topic = kafka.topic("rows", 1, &[]);
    let client = connect(KafkaConfig { isolation, ..kafka.config("recreated") });
    send(&client, &topic, &["a", "b", "c"]);
    let mut reading = Reading::within(&client, at(&topic, 0), Offset(0).into(), 1);
    reading.until(3);
    send(&client, &topic, &["d"]);
    while reading.ingest.buffered_bytes() == 0 {
        reading.woken.recv_timeout(LIMIT).expect("the fourth record");
    }
    kafka::recreate_topic(kafka, &topic);
    send(&kafka.client("other"), &topic, rows);
    let read = reading.until(4);
    send(&kafka.client("other"), &topic, &["more"]); // a log that is as long as the other was read is no other yet
    match reading.next() {
        Err(TransportError::AnotherLog(why)) => assert!(why.contains("made anew"), "{why}"),
        other => panic!("{isolation:?}, {} rows: {other:?}", rows.len()),
    }
    let from = ReadFrom { next: read.next, log: read.log, leader_epoch: read.leader_epoch };
    let resumed = Reading::resume(&client, at(&topic, 0), from).next();
    assert!(read.log.is_some() && matches!(resumed, Err(TransportError::AnotherLog(_))), "{resumed:?}");
    let all: Vec<&str> = rows.iter().copied().chain(["more"]).collect();
    assert_eq!(values(&Reading::from(&client, at(&topic, 0), 0).until(all.len() as i64).records), all);
}

const ROWS_ANEW: [&[&str]; 4] =
    [&[], &["shorter"], &["of", "the", "same", "length"], &["longer", "by", "one", "row", "!"]];

#[test]
fn a_topic_that_was_made_anew_is_another_log_however_far_it_goes() {
    let Some(kafka) = Kafka::shared() else { return };
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        ROWS_ANEW.iter().for_each(|rows| make_anew(kafka, isolation, rows));
    }
}

#[test]
fn a_topic_that_was_made_anew_is_another_log_though_it_is_asked_for_by_name() {
    let kafka = Kafka::of(BrokerConfig { fetch_version: 12, ..BrokerConfig::default() });
    ROWS_ANEW.iter().for_each(|rows| make_anew(&kafka, Isolation::ReadCommitted, rows));
}

#[test]
fn records_deleted_while_they_wait_to_be_read_are_lost_and_the_rest_is_read() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 1, &[]);
    for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
        let client = connect(KafkaConfig { isolation, ..kafka.config("lost") });
        let start = client.bounds(&at(&topic, 0)).expect("bounds").end.0;
        let value = "x".repeat(900_000);
        send(&client, &topic, &vec![value.as_str(); 20]);
        let mut reading = Reading::from(&client, at(&topic, 0), start);
        while reading.ingest.buffered_bytes() < BUFFER_BYTES_MAX {
            reading.woken.recv_timeout(LIMIT).expect("the buffer fills");
        }
        kafka::delete_records(kafka, &at(&topic, 0), start + 18);
        let read = reading.until(start + 20);
        let [lost] = &read.lost[..] else { panic!("{:?}", read.lost) };
        assert_eq!(lost.end, Offset(start + 18));
        assert_eq!(read.records.len() as i64, lost.start.0 - start + 2);
    }
}

#[test]
fn a_full_buffer_stops_its_partition_and_no_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 2, &[]);
    let client = kafka.client("buffer");
    let mut producer = client.producer(ProducerConfig::default());
    let value = vec![b'x'; 900_000];
    for _ in 0..40 {
        producer.send(&topic, Some(0), None, Some(&value), &[]).expect("sent");
    }
    producer.send(&topic, Some(1), None, Some(b"other"), &[]).expect("sent");
    producer.flush().expect("acknowledged");
    let mut full = Reading::from(&client, at(&topic, 0), 0);
    while full.ingest.buffered_bytes() < BUFFER_BYTES_MAX {
        full.woken.recv_timeout(LIMIT).expect("the buffer fills");
    }
    assert_eq!(values(&Reading::from(&client, at(&topic, 1), 0).until(1).records), ["other"]);
    assert!(full.ingest.buffered_bytes() < BUFFER_BYTES_MAX + (2 << 20));
    assert_eq!(full.ingest.high_watermark(), Some(Offset(40)));
    assert_eq!(full.until(40).records.len(), 40);
}

#[test]
fn a_frozen_broker_is_waited_for() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let client = connect(KafkaConfig { request_timeout: Duration::from_millis(700), ..kafka.config("frozen") });
    send(&client, &topic, &["before"]);
    let mut reading = Reading::from(&client, at(&topic, 0), 0);
    assert_eq!(values(&reading.until(1).records), ["before"]);
    let mut producer = client.producer(ProducerConfig::default());
    kafka.freeze();
    let written = std::thread::spawn({
        let topic = topic.clone();
        move || {
            producer.send(&topic, Some(0), None, Some(b"during"), &[])?;
            producer.flush()
        }
    });
    std::thread::sleep(Duration::from_millis(3_000)); // long enough for every deadline on the way to pass
    kafka.thaw();
    written.join().expect("no panic").expect("acknowledged");
    assert_eq!(values(&reading.until(2).records), ["during"], "once, although it was sent again");
    send(&client, &topic, &["after"]);
    assert_eq!(values(&reading.until(3).records), ["after"]);
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let Some(mut kafka) = Kafka::start(&[]) else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let client = kafka.client("down");
    send(&client, &topic, &["a"]);
    kafka.kill();
    let client = kafka.client("down");
    let mut reading = Reading::from(&client, at(&topic, 0), 0);
    let mut member = Obedient::new(client.group("group").join(other(), [topic.clone()]));
    let written = std::thread::spawn({
        let (client, topic) = (client.clone(), topic.clone());
        move || send(&client, &topic, &["b"])
    });
    kafka.boot();
    assert_eq!(values(&reading.until(2).records), ["a", "b"]);
    serve(&mut [&mut member], holds(&[1]));
    written.join().expect("acknowledged");
}

#[test]
fn past_the_deadline_a_broker_is_unavailable() {
    let Some(kafka) = Kafka::prepare(&[]) else { return };
    let config = KafkaConfig { retry_deadline: Duration::from_millis(300), ..kafka.config("nowhere") };
    let client = connect(config);
    let topic: Arc<str> = "rows".into();
    assert!(matches!(client.bounds(&at(&topic, 0)), Err(TransportError::Unavailable(_))));
    assert!(matches!(Reading::from(&client, at(&topic, 0), 0).next(), Err(TransportError::Unavailable(_))));
    let mut member = client.group("group").join(other(), [topic.clone()]);
    assert!(matches!(member.next(LIMIT), Some(GroupEvent::Fatal(TransportError::Unavailable(_)))));
}

#[test]
fn lines_of_the_console_producer_arrive() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = kafka.topic("rows", 1, &[]);
    let Some(mut console) = kafka.tool("console-producer") else { return };
    let mut console = console
        .args(["--topic", &topic, "--reader-property", "parse.key=true", "--reader-property", "key.separator=|"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the tool runs");
    let mut lines = console.stdin.take().expect("piped");
    std::io::Write::write_all(&mut lines, "seoul.csv|강남역,127.0276\nseoul.csv|#EOF\n".as_bytes()).expect("open");
    drop(lines);
    assert!(console.wait().expect("ended").success());
    let read = Reading::from(&kafka.client("console"), at(&topic, 0), 0).until(2);
    let lines: BTreeMap<_, _> =
        read.records.iter().map(|r| (r.offset.0, (r.key.as_deref(), r.value.as_deref()))).collect();
    assert_eq!(lines[&0], (Some(&b"seoul.csv"[..]), Some("강남역,127.0276".as_bytes())));
    assert_eq!(lines[&1], (Some(&b"seoul.csv"[..]), Some(&b"#EOF"[..])));
}

on_the_in_process_broker! {
    partitions_are_shared_given_up_and_taken_over,
    a_restarted_member_is_given_its_partitions_back_without_a_rebalance,
    the_newer_of_two_processes_with_one_instance_id_takes_the_place_of_the_older,
    a_member_that_is_none_of_ours_is_seen_and_named,
    a_member_that_was_put_out_loses_everything_and_comes_back,
    a_classic_member_that_was_put_out_loses_everything_and_comes_back,
    members_are_put_out_by_whoever_resets_the_group,
    a_consumer_in_a_classic_group_is_named_and_keeps_us_out_until_it_leaves,
    partitions_that_are_added_are_taken_up_by_a_classic_group,
    progress_comes_back_as_committed_and_a_reset_is_noticed,
    a_former_owners_commit_is_fenced,
    a_missing_topic_is_fatal_to_a_member_and_is_not_created,
    topics_are_created_once_and_described,
    a_workbook_of_85_mb_goes_out_in_chunks_and_comes_back_in_order,
    a_record_the_topic_does_not_take_is_too_large_and_harms_no_other,
    a_producer_continues_after_a_flush_and_numbers_every_partition_by_itself,
    rows_come_in_order_from_anywhere_in_the_log_whatever_the_codec,
    a_null_header_is_delivered_by_the_wire_reader,
    a_workbook_is_waited_for_until_its_transaction_has_ended,
    outputs_and_offset_of_a_transaction_count_together_or_not_at_all,
    a_former_owner_of_a_transactional_id_is_fenced_at_its_next_write,
    a_transaction_that_takes_too_long_is_named_with_its_setting,
    a_transaction_timeout_that_the_brokers_do_not_take_is_named_with_its_setting,
    transactions_are_read_in_both_isolations,
    an_offset_below_the_log_is_out_of_range_and_names_the_setting,
    a_topic_that_was_made_anew_is_another_log_however_far_it_goes,
    records_deleted_while_they_wait_to_be_read_are_lost_and_the_rest_is_read,
    a_full_buffer_stops_its_partition_and_no_other,
    a_frozen_broker_is_waited_for,
    a_broker_that_is_down_at_the_start_is_waited_for,
    past_the_deadline_a_broker_is_unavailable,
    lines_of_the_console_producer_arrive,
}

//! Checks the topics of a topology: they are there, have leaders and rights, and neither lose nor refuse records by their settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::rights::{Purpose, rights, transactional_ids};
use super::{Findings, Subject};
use crate::kafka::KafkaClient;
use crate::kafka::acls::ResourceType;
use crate::kafka::inspect::TopicInspection;
use crate::record::{Reason, TaskId, TopicPartition};
use crate::sink::dead_letter::CLIP_BYTES;
use crate::sink::status::StatusRecord;
use crate::topology::Topology;
use crate::transport::{Guarantee, TransportError};

/// Bytes of a batch around a workbook chunk: headers of the batch, of the record and ours.
const BATCH_OVERHEAD: i64 = 4 << 10;
/// Bytes of the largest dead letter: value, key and id clipped, and the rest.
const DEAD_LETTER_BYTES: i64 = 3 * CLIP_BYTES as i64 + (16 << 10);
/// How far clocks may be apart.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// The role of a topic in a topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Source,
    /// Brings the rows of an upload together.
    Repartition,
    Workbooks,
    Status,
    DeadLetters,
}

pub(super) fn check_topology(client: &KafkaClient, topology: &Topology, findings: &mut Findings) {
    let sink = &topology.sink;
    let rows = topology.source.topics().iter().map(|topic| (Role::Source, topic));
    let upload_topic = topology.source.upload_topic();
    let repartition = (*upload_topic != topology.source.topic).then_some((Role::Repartition, upload_topic));
    let topics = rows.chain(repartition).chain([
        (Role::Workbooks, &sink.topic),
        (Role::Status, &sink.status_topic),
        (Role::DeadLetters, &sink.dead_letter_topic),
    ]);
    let needed = rights(topology, Purpose::Run);
    let bootstrap = findings.bootstrap.clone();
    // What `run` needs of a resource, whatever of it is missing.
    let grant = |resource, name: &str| {
        let right = needed.iter().find(|right| right.resource == resource && right.name == name);
        right.map(|right| right.command("User:NAME", &bootstrap)).unwrap_or_default()
    };
    let mut partitions = None;
    for (role, name) in topics {
        let topic = match client.inspect_topic(name) {
            Ok(Some(topic)) => topic,
            Ok(None) => {
                let advice = format!("`sheetstream topics create` makes the topics of {}", topology.name);
                findings.fail(Subject::Topic, "exists", format!("there is no topic {name}"), advice);
                continue;
            }
            Err(TransportError::Unauthorised(_)) => {
                findings.fail(
                    Subject::Rights,
                    "rights",
                    format!("we have no right to see {name}"),
                    grant(ResourceType::Topic, name),
                );
                continue;
            }
            Err(error) => {
                report_error(name, &error, findings);
                continue;
            }
        };
        findings.ok(Subject::Topic, "exists", format!("{name} has {} partitions", topic.partitions));
        check_leaders(name, &topic, findings);
        check_rights(role, name, &topic, &grant(ResourceType::Topic, name), findings);
        check_cleanup(role, name, &topic, findings);
        check_size(role, name, &topic, sink.record_bytes_max, findings);
        check_retention(role, name, &topic, topology.source.idle_timeout, findings);
        check_copies(name, &topic, findings);
        check_timestamps(name, &topic, findings);
        match role {
            Role::Source => {
                partitions = Some(topic.partitions);
                check_clock(client, name, findings);
            }
            Role::Status => {
                check_partitions(name, topic.partitions, partitions, findings);
                check_keys(client, name, topic.partitions, findings);
            }
            // Task k writes partition k of the status topic.
            Role::Repartition => partitions = Some(topic.partitions),
            Role::Workbooks | Role::DeadLetters => {}
        }
    }
    if topology.guarantee != Some(Guarantee::AtLeastOnce) {
        let grant = grant(ResourceType::TransactionalId, &transactional_ids(topology));
        check_transactional_ids(client, topology, &grant, findings);
    }
    match client.transaction_log_shortage() {
        Ok(None) => {}
        Ok(Some(shortage)) => {
            let (subject, check) = (Subject::Topic, "transactions");
            match topology.guarantee {
                Some(Guarantee::ExactlyOnceV2) => {
                    findings.fail(subject, check, shortage, "else the topology does not start");
                }
                Some(Guarantee::AtLeastOnce) => findings.ok(subject, check, shortage),
                None => findings.warn(subject, check, shortage, "until then its workbooks are sent at least once"),
            }
        }
        Err(error) => report_error(&topology.name, &error, findings),
    }
    match client.members(&topology.name).map(|members| members.foreign) {
        Ok(members) => {
            for member in members {
                let what = format!("{member} of group {} and is no sheetstream", topology.name);
                let advice = "stop it, or give it a group of its own: uploads in its partitions are not processed";
                findings.fail(Subject::Rights, "members", what, advice);
            }
        }
        Err(TransportError::Unauthorised(_)) => {
            let what = format!("we have no right to group {}", topology.name);
            return findings.fail(Subject::Rights, "rights", what, grant(ResourceType::Group, &topology.name));
        }
        Err(error) => report_error(&topology.name, &error, findings),
    }
    let partition = TopicPartition { topic: upload_topic.clone(), partition: 0 };
    match client.group(&topology.name).fetch_committed([partition]) {
        Ok(_) => findings.ok(Subject::Rights, "group", format!("group {} can be read", topology.name)),
        Err(error) => report_error(&topology.name, &error, findings),
    }
}

fn check_transactional_ids(client: &KafkaClient, topology: &Topology, grant: &str, findings: &mut Findings) {
    let first = TaskId { topology: topology.name.clone(), source: None, partition: 0 }.transactional_id();
    match client.may_see_transactions(&first) {
        Ok(true) => {}
        Ok(false) => {
            let what = format!("we have no right to transactional ids such as {first}");
            findings.fail(Subject::Rights, "rights", what, grant);
        }
        Err(error) => report_error(&topology.name, &error, findings),
    }
}

/// Open uploads at which a process noticed that nearly every row opens one.
fn check_keys(client: &KafkaClient, name: &Arc<str>, partitions: i32, findings: &mut Findings) {
    let read = || {
        let mut standing = BTreeMap::new();
        for partition in 0..partitions {
            let at = TopicPartition { topic: name.clone(), partition };
            client.read_all(&at, &mut |record| {
                if let Some(status) = record.value.as_deref().and_then(StatusRecord::parse) {
                    standing.insert((partition, status.upload), status.failure);
                }
            })?;
        }
        Ok::<_, TransportError>(standing)
    };
    let standing = match read() {
        Ok(standing) => standing,
        Err(error) => return report_error(name, &error, findings),
    };
    let mut failures = standing.into_values().flatten();
    if let Some(failure) = failures.find(|failure| failure.reason == Reason::UploadTooMany.code()) {
        findings.warn(Subject::Topic, "keys", failure.message, "set `upload` on the source of the topology");
    }
}

fn report_error(name: &str, error: &TransportError, findings: &mut Findings) {
    let what = format!("{name}: {error}");
    match error {
        TransportError::Unauthorised(_) => {
            findings.fail(
                Subject::Rights,
                "rights",
                what,
                "grant the right with kafka-acls --add, or use another user",
            );
        }
        TransportError::Topic(_) => findings.fail(Subject::Topic, "exists", what, "see `sheetstream topics create`"),
        _ => findings.fail(Subject::Broker, "answers", what, "is that broker well? Try again, and look at its log"),
    }
}

fn check_leaders(name: &str, topic: &TopicInspection, findings: &mut Findings) {
    if !topic.leaderless.is_empty() {
        let what = format!("nobody leads partitions {:?} of {name}", topic.leaderless);
        findings.fail(Subject::Broker, "leaders", what, "start the brokers that hold them");
    }
}

fn check_rights(role: Role, name: &str, topic: &TopicInspection, grant: &str, findings: &mut Findings) {
    let (read, write) = (("read", topic.may_read), ("write", topic.may_write));
    let needs: &[(&str, Option<bool>)] = match role {
        Role::Source => &[read],
        Role::Repartition => &[read, write, ("delete records of", topic.may_delete)],
        Role::Status => &[read, write],
        Role::Workbooks | Role::DeadLetters => &[write],
    };
    for (operation, allowed) in needs {
        if *allowed == Some(false) {
            findings.fail(Subject::Rights, "rights", format!("we have no right to {operation} {name}"), grant);
        }
    }
}

fn check_cleanup(role: Role, name: &str, topic: &TopicInspection, findings: &mut Findings) {
    let Some(policy) = topic.configs.get("cleanup.policy") else { return };
    let is_compacted = policy.split(',').any(|word| word.trim() == "compact");
    match role {
        Role::Source | Role::Repartition | Role::Workbooks if is_compacted => {
            let what = format!("{name} has cleanup.policy={policy}, which deletes records whose key comes again");
            findings.fail(Subject::Topic, "cleanup", what, findings.set(name, "cleanup.policy=[delete]"));
        }
        Role::Status if !is_compacted => {
            let what = format!("{name} has cleanup.policy={policy}: how uploads ended is forgotten with retention");
            findings.warn(Subject::Topic, "cleanup", what, findings.set(name, "cleanup.policy=[compact,delete]"));
        }
        _ => findings.ok(Subject::Topic, "cleanup", format!("{name} has cleanup.policy={policy}")),
    }
}

fn check_size(role: Role, name: &str, topic: &TopicInspection, record_bytes_max: usize, findings: &mut Findings) {
    let Some(limit) = topic.number("max.message.bytes") else { return };
    let record_bytes_max = i64::try_from(record_bytes_max).unwrap_or(i64::MAX);
    let (needed, lower) = match role {
        Role::Workbooks => {
            let fits = (limit - BATCH_OVERHEAD).max(0);
            (record_bytes_max.saturating_add(BATCH_OVERHEAD), format!(", or lower record_bytes_max to {fits}"))
        }
        Role::DeadLetters => (DEAD_LETTER_BYTES, String::new()),
        Role::Source | Role::Repartition | Role::Status => return,
    };
    if role == Role::DeadLetters && limit < needed {
        let what =
            format!("{name} takes {limit} bytes at once (max.message.bytes): longer dead letters are clipped to it");
        findings.warn(Subject::Topic, "size", what, format!("{needed} are enough for all of them"));
    } else if limit < needed {
        let what = format!("{name} takes {limit} bytes at once (max.message.bytes), and up to {needed} are sent");
        let advice = findings.set(name, format!("max.message.bytes={needed}{lower}"));
        findings.fail(Subject::Topic, "size", what, advice);
    } else {
        findings.ok(Subject::Topic, "size", format!("{name} takes {limit} bytes at once, {needed} are needed"));
    }
}

fn check_retention(role: Role, name: &str, topic: &TopicInspection, idle: Duration, findings: &mut Findings) {
    if role != Role::Source {
        return;
    }
    let idle_ms = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
    match topic.number("retention.ms") {
        Some(ms) if (0..idle_ms).contains(&ms) => {
            let what = format!(
                "{name} deletes rows after {} s, and an upload may stay open without any for {} s (idle_timeout)",
                ms / 1_000,
                idle_ms / 1_000
            );
            let longer = idle_ms.saturating_mul(2);
            let advice = findings.set(name, format!("retention.ms={longer}, or lower idle_timeout"));
            findings.warn(Subject::Topic, "retention", what, advice);
        }
        Some(_) => findings.ok(Subject::Topic, "retention", format!("{name} keeps rows for longer than idle_timeout")),
        None => {}
    }
    if let Some(bytes) = topic.number("retention.bytes").filter(|bytes| *bytes >= 0) {
        let what = format!("{name} keeps {bytes} bytes a partition (retention.bytes), however old its rows are");
        let advice =
            "more than the uploads that are open at a time have to fit; watch sheetstream_retention_headroom_records";
        findings.warn(Subject::Topic, "retention", what, advice);
    }
}

fn check_copies(name: &str, topic: &TopicInspection, findings: &mut Findings) {
    let copies = topic.replicas;
    let needed = topic.number("min.insync.replicas").and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    if needed > copies {
        // Since 3.7, a leader wants no more copies than there are.
        let what = format!(
            "{name} has {copies} copies and min.insync.replicas={needed}: brokers before Kafka 3.7 acknowledge no write"
        );
        let advice = findings.set(name, format!("min.insync.replicas={copies}"));
        findings.warn(Subject::Topic, "copies", what, advice);
    } else if copies == 1 {
        let what = format!("{name} has one copy: with the disk of its broker its records are gone");
        let advice = "fine for trying out; else replication factor 3 with min.insync.replicas=2";
        findings.warn(Subject::Topic, "copies", what, advice);
    } else if copies >= 3 && needed == 1 {
        let what =
            format!("{name} has {copies} copies and min.insync.replicas=1: one is enough to acknowledge a write");
        let advice = findings.set(name, "min.insync.replicas=2");
        findings.warn(Subject::Topic, "copies", what, advice);
    } else {
        findings.ok(Subject::Topic, "copies", format!("{name} has {copies} copies, {needed} acknowledge a write"));
    }
}

/// Records are dated by the clock of who writes them, unless the broker dates them.
fn check_timestamps(name: &str, topic: &TopicInspection, findings: &mut Findings) {
    if topic.configs.get("message.timestamp.type").is_some_and(|of| of == "LogAppendTime") {
        return;
    }
    for setting in ["message.timestamp.before.max.ms", "message.timestamp.after.max.ms"] {
        let needed = CLOCK_SKEW_MAX.as_millis() as i64;
        if let Some(ms) = topic.number(setting).filter(|ms| *ms < needed) {
            let what = format!("{name} refuses records that are dated {ms} ms from its clock ({setting})");
            findings.fail(Subject::Clock, "timestamps", what, findings.set(name, format!("{setting}={needed}")));
        }
    }
}

fn check_partitions(status: &str, found: i32, source: Option<i32>, findings: &mut Findings) {
    let Some(wanted) = source else { return };
    if found < wanted {
        let what = format!("{status} has {found} partitions and the source {wanted}; task k writes its partition k");
        let bootstrap = &findings.bootstrap;
        let advice =
            format!("kafka-topics --bootstrap-server {bootstrap} --alter --topic {status} --partitions {wanted}");
        findings.fail(Subject::Topic, "partitions", what, advice);
    } else {
        findings.ok(
            Subject::Topic,
            "partitions",
            format!("{status} has a partition for each of the source's {wanted}"),
        );
    }
}

/// Records from the future mean that the clock of this machine is behind, or that of a publisher or broker ahead.
fn check_clock(client: &KafkaClient, topic: &Arc<str>, findings: &mut Findings) {
    let partition = TopicPartition { topic: topic.clone(), partition: 0 };
    let Ok(Some(newest)) = client.newest_timestamp(&partition) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let ahead = Duration::from_millis(u64::try_from(newest - now).unwrap_or(0));
    if ahead > CLOCK_SKEW_MAX {
        let what = format!("{topic} has a record from {} s in the future", ahead.as_secs());
        findings.warn(Subject::Clock, "clock", what, "set the clocks of this machine and of the publisher, by NTP");
    } else {
        findings.ok(Subject::Clock, "clock", format!("{topic} has no record from the future"));
    }
}

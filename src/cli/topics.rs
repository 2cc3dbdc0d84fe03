//! `topics`: lists the topics of a topology, and makes missing ones.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sheetstream::kafka::KafkaClient;
use sheetstream::kafka::admin::{Creation, NewTopic};
use sheetstream::source::Placement;
use sheetstream::topology::Topology;
use sheetstream::transport::TransportError;

use super::broker::Broker;
use super::grant::{Users, grant};
use super::patience::Patience;
use super::topologies::Topologies;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream topics create -t topology/places-5179.toml --dry-run
  sheetstream topics create -t topology/places-5179.toml --partitions 6 --replication-factor 3
  sheetstream topics create -t topology                                         of every topology in the folder
  sheetstream topics list -t topology/places-5179.toml
  sheetstream topics grant -t topology/places-5179.toml --run User:sheetstream --fetch User:office
";

/// Create or list the topics of topologies, or grant rights on them
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Topics {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create those that are missing; the others stay as they are
    Create {
        #[command(flatten)]
        of: Of,
        /// Partitions of the source topic, and so of the status topic [default: those of the source topic, else 1]
        #[arg(long, value_name = "N")]
        partitions: Option<i32>,
        /// Copies of each partition [default: the brokers' default]
        #[arg(long, default_value_t = -1, hide_default_value = true, value_name = "N", allow_hyphen_values = true)]
        replication_factor: i16,
        /// Say what would be created, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Grant users the least rights on them that a command needs, where the cluster has ACLs
    Grant {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        users: Users,
        /// Say what would be granted, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List them as they are; exits with 78 when one is missing
    List {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Args, Debug)]
struct Of {
    #[command(flatten)]
    topologies: Topologies,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

impl Topics {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let (Action::Create { of, .. } | Action::Grant { of, .. } | Action::List { of }) = &self.action;
        let topologies = of.topologies.load()?;
        of.patience.run(of.broker.config("sheetstream-topics")?, |client| self.act(global, client, &topologies))
    }

    fn act(&self, global: &Global, client: &KafkaClient, topologies: &[Topology]) -> anyhow::Result<Exit> {
        let mut results = Vec::new();
        for topology in topologies {
            results.extend(match &self.action {
                Action::Create { partitions, replication_factor, dry_run, .. } => {
                    let topics = wanted(topology, partitions.unwrap_or(1), *replication_factor);
                    let commands = creation_commands(client, &topics);
                    let created = create_missing(global, client, topology, topics, partitions.is_none(), *dry_run);
                    created.inspect_err(|error| {
                        if Exit::from(error) == Exit::Unauthorised {
                            // Where stderr is closed there is nobody left to help.
                            writeln!(io::stderr(), "An administrator makes the topics with\n{commands}").ok();
                        }
                    })?
                }
                Action::Grant { users, dry_run, .. } => grant(global, client, topology, users, *dry_run)?,
                Action::List { .. } => list(global, client, topology)?,
            });
        }
        if global.json {
            writeln!(out::stdout(), "{:#}", json!(results))?;
        }
        let is_missing = results.iter().any(|topic| topic["missing"] == true);
        Ok(if is_missing { Exit::Config } else { Exit::Ok })
    }
}

/// The commands that an administrator can run in our stead.
fn creation_commands(client: &KafkaClient, topics: &[NewTopic]) -> String {
    let bootstrap = client.config().bootstrap.join(",");
    let command = |topic: &NewTopic| {
        let copies = match topic.replication {
            -1 => String::new(),
            copies => format!(" --replication-factor {copies}"),
        };
        let configs: String = topic.configs.iter().map(|(key, value)| format!(" --config {key}={value}")).collect();
        let (name, partitions) = (&topic.name, topic.partitions);
        format!(
            "  kafka-topics --bootstrap-server {bootstrap} --create --if-not-exists --topic {name} --partitions {partitions}{copies}{configs}"
        )
    };
    topics.iter().map(command).collect::<Vec<_>>().join("\n")
}

/// The topics that `run` needs. The status topic has a partition for each of the source's: task k writes partition k, and its terminal
/// records are the ledger, which must outlive the rows.
pub(super) fn wanted(topology: &Topology, partitions: i32, replication: i16) -> Vec<NewTopic> {
    let sink = &topology.sink;
    let topic = |name: &str, partitions: i32, configs: &[(&str, &str)]| NewTopic {
        name: name.to_owned(),
        partitions,
        replication,
        configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let delete = [("cleanup.policy", "delete")];
    let mut topics: Vec<_> = topology.source.topics().iter().map(|source| topic(source, partitions, &delete)).collect();
    if let Placement::Spread(spread) = &topology.source.placement {
        // As Kafka Streams has its repartition topics: records stay until they are deleted, which their reader does.
        let configs = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("max.message.bytes", "16777216")];
        topics.push(topic(&spread.repartition_topic, partitions, &configs));
    }
    topics.extend([
        topic(&sink.topic, sink.partitions.unwrap_or(partitions), &delete),
        topic(&sink.status_topic, partitions, &[("cleanup.policy", "compact,delete"), ("retention.ms", "2592000000")]),
        topic(&sink.dead_letter_topic, partitions, &delete),
    ]);
    topics
}

/// Nobody said how many partitions: topics keep what they have, and new ones get what the source topic has.
fn keep_partitions(client: &KafkaClient, topology: &Topology, topics: &mut [NewTopic]) -> Result<(), TransportError> {
    let existing = |topic: &str| match client.partitions(topic) {
        Ok(partitions) => Ok(Some(partitions)),
        Err(TransportError::Topic(_)) => Ok(None),
        Err(error) => Err(error),
    };
    let source = existing(&topology.source.topic)?.unwrap_or(1);
    for topic in topics {
        let declared = topology.sink.partitions.filter(|_| topic.name == *topology.sink.topic);
        topic.partitions = match declared {
            Some(declared) => declared,
            // Task k writes partition k.
            None if topic.name == *topology.sink.status_topic => {
                existing(topology.source.upload_topic())?.unwrap_or(source)
            }
            None => existing(&topic.name)?.unwrap_or(source),
        };
    }
    Ok(())
}

fn create_missing(
    global: &Global,
    client: &KafkaClient,
    topology: &Topology,
    mut topics: Vec<NewTopic>,
    keeps_partitions: bool,
    dry_run: bool,
) -> anyhow::Result<Vec<Value>> {
    if keeps_partitions {
        keep_partitions(client, topology, &mut topics)?;
    }
    create(global, client, topics, dry_run)
}

fn create(global: &Global, client: &KafkaClient, topics: Vec<NewTopic>, dry_run: bool) -> anyhow::Result<Vec<Value>> {
    let mut results = Vec::new();
    for topic in topics {
        let result = if dry_run {
            match client.describe_topic(&topic.name) {
                Ok(found) if found.partitions == topic.partitions => "exists",
                Ok(_) => "exists with another number of partitions",
                Err(TransportError::Topic(_)) => "would be created",
                Err(error) => return Err(error.into()),
            }
        } else {
            match client.create_topics(std::slice::from_ref(&topic))?.get(&topic.name) {
                Some(Creation::Created) => "created",
                Some(Creation::Existed) | None => "exists",
            }
        };
        if !global.json {
            let configs: Vec<String> = topic.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let (name, partitions) = (&topic.name, topic.partitions);
            writeln!(out::stdout(), "{name}: {result} ({partitions} partitions, {})", configs.join(", "))?;
        }
        results.push(json!({ "topic": topic.name, "partitions": topic.partitions, "result": result }));
    }
    Ok(results)
}

fn list(global: &Global, client: &KafkaClient, topology: &Topology) -> anyhow::Result<Vec<Value>> {
    let mut results = Vec::new();
    for topic in wanted(topology, 1, -1) {
        match client.describe_topic(&topic.name) {
            Ok(found) => {
                let policy = found.cleanup_policy.as_deref().unwrap_or("unknown");
                if !global.json {
                    writeln!(
                        out::stdout(),
                        "{}: {} partitions, cleanup.policy={policy}",
                        found.name,
                        found.partitions
                    )?;
                }
                results.push(json!({ "topic": found.name, "partitions": found.partitions, "cleanup_policy": policy }));
            }
            Err(TransportError::Topic(_)) => {
                if !global.json {
                    writeln!(out::stdout(), "{}: missing; sheetstream topics create makes it", topic.name)?;
                }
                results.push(json!({ "topic": topic.name, "missing": true }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(results)
}

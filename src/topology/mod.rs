//! A topology: a topology file, proven. Plain data; nothing here connects to anything.
//!
//! `keys.rs` and `map_keys.rs` list every key, `reader.rs` reads TOML by such a table, `spec.rs` is what the file says, `compile.rs` what
//! it means (`maps.rs` and `column_maps.rs` are both for `[[map]]`); `together.rs` has those of one process; `describe.rs` describes one
//! topology to people, `graph.rs` draws it, `reference.rs` has all that a topology can say.

mod chain;
mod column_maps;
mod column_types;
mod columns;
mod compile;
mod describe;
mod describe_source;
mod expressions;
mod graph;
mod hash;
mod interpolate;
mod keys;
mod map_keys;
mod map_link;
mod maps;
mod needed;
mod problem;
mod reader;
mod reference;
mod shared_keys;
mod sheet;
mod spec;
mod table;
mod template;
mod together;
mod words;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

pub use describe::{Description, Fact, NodeDescription, NodeKind};
pub use graph::{Graph, GraphBox};
pub use problem::{Position, Problem, Problems};
pub use reference::{markdown, schema};
pub use together::Together;

use crate::aggregate::AggregateConfig;
use crate::map::{LinkConfig, MapConfig};
use crate::record::{Extras, TaskId, TopicPartition};
use crate::sink::{AboutFacts, SinkConfig};
use crate::source::{Placement, SourceConfig};
use crate::transport::Guarantee;
use problem::Findings;
use reader::Reader;

/// Largest topology file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A topology that is known to make sense: names resolved, CRSs found, columns checked as far as they are declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Application id: consumer group, state, member id, metrics label.
    pub name: Arc<str>,
    /// 16 hex digits of SHA-256 over everything that shapes a workbook: page and state formats, product version, the name and all
    /// nodes, but neither the names of nodes and topics nor partition counts, record sizes and the idle timeout.
    pub hash: Arc<str>,
    /// How often an output may appear; `None`: once, where the brokers can keep a transaction log.
    pub guarantee: Option<Guarantee>,
    /// Other processes that keep the state of each partition up to date, to take it over quickly.
    pub standby: u32,
    /// Where rows come from.
    pub source: SourceConfig,
    /// The maps that rows go through, in order.
    pub maps: Vec<MapConfig>,
    /// The aggregate that gathers them.
    pub aggregate: AggregateConfig,
    /// Where workbooks go.
    pub sink: SinkConfig,
    /// The column of links that an upload may ask for (`ss-map-link`): follows from the maps.
    pub link: Option<LinkConfig>,
}

impl Topology {
    /// Reads and proves a file; `${VAR}` comes from the environment of the process.
    pub fn load(path: &Path) -> Result<Topology, Problems> {
        let file_name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return Err(Problems::of_file(&file_name, "the file cannot be read", error.to_string()));
        }
        if bytes.len() > FILE_BYTES_MAX {
            let why = "a topology has 1 MiB at most; is this a data file?";
            return Err(Problems::of_file(&file_name, "the file is too large", why));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Topology::parse(text, &file_name, &|name| std::env::var(name).ok()),
            Err(error) => Err(not_utf8(&file_name, &bytes, error)),
        }
    }

    /// Proves the text of a file. `file_name` is for messages only; `env` gives the values of `${VAR}`. A leading byte order mark is
    /// dropped. The error contains all problems at once; for a text that is not TOML it contains only that one.
    pub fn parse(text: &str, file_name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Topology, Problems> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, env, findings: Findings::default() };
        for error in errors {
            reader.findings.add(error.span().unwrap_or(0..0), error.message(), "the file is not valid TOML");
        }
        reader.findings.keep_first_of_each_line(text);
        if !reader.findings.is_empty() {
            return Err(reader.findings.into_problems(file_name, text));
        }
        let spec = spec::read(&mut reader, table.get_ref());
        let mut findings = reader.findings;
        match compile::compile(&spec, &mut findings) {
            Some(topology) if findings.is_empty() => Ok(topology),
            _ => Err(findings.into_problems(file_name, text)),
        }
    }
}

impl Topology {
    /// The partition that a task of this topology reads.
    pub fn partition_of(&self, task: &TaskId) -> TopicPartition {
        let topic = task.source.as_ref().unwrap_or(self.source.upload_topic());
        TopicPartition { topic: topic.clone(), partition: task.partition }
    }

    /// Standbys of each of its partitions, where processes were given the number `given`, which beats its own.
    pub fn standbys(&self, given: Option<u32>) -> usize {
        match self.source.placement {
            Placement::Keyed => given.unwrap_or(self.standby) as usize,
            Placement::Spread(_) => 0, // what a task holds is read from the repartition topic, whatever there is on disk
        }
    }

    /// The task of this topology that reads a partition.
    pub fn task_of(&self, partition: &TopicPartition) -> TaskId {
        let source = (partition.topic != *self.source.upload_topic()).then(|| partition.topic.clone());
        TaskId { topology: self.name.clone(), source, partition: partition.partition }
    }

    /// All topics that are read: those of rows, and with `placement = "spread"` the one that brings the rows of an upload together.
    pub fn read_topics(&self) -> Vec<Arc<str>> {
        let mut topics = self.source.topics().to_vec();
        if !topics.contains(self.source.upload_topic()) {
            topics.push(self.source.upload_topic().clone());
        }
        topics
    }

    /// Of the extras that an upload asks for, those that it would not have anyway, and can have.
    pub fn extras(&self, asked: Extras) -> Extras {
        Extras {
            summary: asked.summary && !self.sink.workbook.summary,
            map_link: asked.map_link && self.link.is_some(),
        }
    }

    /// The facts that the *About* sheet of its workbooks shows.
    pub fn about(&self) -> AboutFacts {
        let crs = self.maps.iter().filter_map(MapConfig::as_reproject).map(|reproject| reproject.crs.clone());
        let links = self.maps.iter().filter_map(|map| match map {
            MapConfig::Link(link) => Some(link.host().to_owned()),
            _ => None,
        });
        AboutFacts {
            topology: self.name.clone(),
            topology_hash: self.hash.clone(),
            crs: crs.collect(),
            coordinates: self
                .maps
                .iter()
                .rev()
                .find_map(MapConfig::as_reproject)
                .map(|reproject| reproject.into.clone()),
            links: links.collect(),
            link_on_request: self.link.as_ref().map(|link| link.host().to_owned()),
        }
    }
}

/// Says where the first byte is that is not UTF-8.
fn not_utf8(file_name: &str, bytes: &[u8], error: std::str::Utf8Error) -> Problems {
    let mut findings = Findings::default();
    let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
    let what = format!("the byte 0x{:02x} is not UTF-8", bytes[error.valid_up_to()]);
    findings.add(
        valid.len()..valid.len(),
        what,
        "save the file as UTF-8; it looks like another encoding, such as CP949",
    );
    findings.into_problems(file_name, &valid)
}

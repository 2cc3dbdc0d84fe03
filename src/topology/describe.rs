//! Describes a topology to people, in the form of Kafka Streams' `Topology.describe()` (`TopologyDescription.toString`) so that tools which
//! draw that form can draw this one; what a node does and what the topology promises is added on lines of its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Topology, words};
use crate::aggregate::{AggregateConfig, SheetKey, SheetOrder};
use crate::crs::zones::Zone;
use crate::crs::{CrsInfo, Operation, OwnAxes};
use crate::map::CoordinateInput;
use crate::map::expression::Expression;
use crate::map::{CastColumn, MapConfig, ReprojectConfig, Selection};
use crate::page::forms::CellForm;
use crate::record::TemplatePart;
use crate::sink::{Lang, SinkConfig};
use crate::source::{Incomplete, Placement};
use crate::transport::Guarantee;

/// A topology as people and their tools read it. Displays in the form of `Topology.describe()`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// Name of the topology.
    pub topology: String,
    /// Its hash.
    pub hash: String,
    /// Nodes from source to sink.
    pub nodes: Vec<NodeDescription>,
    /// Facts that hold for every upload.
    pub guarantees: Vec<Fact>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NodeDescription {
    /// Its kind, in the words of Kafka Streams.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// The node that feeds it.
    pub parent: Option<String>,
    /// The node it feeds.
    pub child: Option<String>,
    /// The facts about its work.
    pub facts: Vec<Fact>,
}

/// The kind of a node, in the words of Kafka Streams.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// Reads a topic.
    Source {
        /// The topic.
        topic: String,
    },
    /// Works on rows.
    Processor {
        /// Name of its store, if it has one.
        store: Option<String>,
    },
    /// Writes a topic.
    Sink {
        /// The topic.
        topic: String,
    },
}

/// One line about a node or a topology.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fact {
    /// Its subject.
    pub about: &'static str,
    /// Its text.
    pub text: String,
}

pub(super) fn fact(about: &'static str, text: impl Into<String>) -> Fact {
    Fact { about, text: text.into() }
}

/// Bounds in degrees.
fn area([west, south, east, north]: [f64; 4]) -> String {
    format!("longitude {west} to {east}, latitude {south} to {north}")
}

/// A length of time as `idle_timeout` is written, in the largest unit that leaves no rest.
fn duration(length: Duration) -> String {
    let length_ms = length.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(unit_ms, _)| length_ms.is_multiple_of(*unit_ms));
    let (unit_ms, unit) = unit.unwrap_or((1, "ms"));
    format!("{}{unit}", length_ms / unit_ms)
}

impl Topology {
    /// Everything that is known of the topology without a broker.
    pub fn describe(&self) -> Description {
        let topics = self.source.topics().join(", ");
        let source = (NodeKind::Source { topic: topics }, &self.source.node, self.source.facts());
        let maps = self.maps.iter().map(|map| (NodeKind::Processor { store: None }, map.node(), map.facts()));
        let store = Some(self.aggregate.node.to_string());
        let aggregate = (NodeKind::Processor { store }, &self.aggregate.node, self.aggregate.facts());
        let sink = (NodeKind::Sink { topic: self.sink.topic.to_string() }, &self.sink.node, self.sink.facts());

        let chain: Vec<_> = [source].into_iter().chain(maps).chain([aggregate, sink]).collect();
        let names: Vec<String> = chain.iter().map(|(_, name, _)| name.to_string()).collect();
        let describe = |(n, (kind, name, facts)): (usize, (NodeKind, &Arc<str>, Vec<Fact>))| NodeDescription {
            kind,
            name: name.to_string(),
            parent: n.checked_sub(1).map(|before| names[before].clone()),
            child: names.get(n + 1).cloned(),
            facts,
        };
        Description {
            topology: self.name.to_string(),
            hash: self.hash.to_string(),
            nodes: chain.into_iter().enumerate().map(describe).collect(),
            guarantees: self.guarantees(),
        }
    }

    fn standby_text(&self) -> String {
        match (self.standby, &self.source.placement) {
            (0, _) => "none: whoever takes a partition over reads its open uploads again".to_owned(),
            (_, Placement::Spread(_)) => {
                "none: uploads that may be in any partition are read from the repartition topic again".to_owned()
            }
            (1, Placement::Keyed) => "one other process keeps each partition's state up to date".to_owned(),
            (count, Placement::Keyed) => format!("{count} other processes keep each partition's state up to date"),
        }
    }

    fn guarantees(&self) -> Vec<Fact> {
        let incomplete = match self.source.incomplete {
            Incomplete::Hold => "waits for the missing rows until it is idle for too long",
            Incomplete::Emit => "is published as it is, flagged as incomplete",
            Incomplete::Fail => "fails at once",
        };
        let delivery = match self.guarantee {
            Some(Guarantee::AtLeastOnce) => "at least once; a workbook that is sent twice is the same bytes",
            Some(Guarantee::ExactlyOnceV2) => "exactly once, for readers with isolation.level=read_committed",
            None => {
                "exactly once, for readers with isolation.level=read_committed; at least once where the brokers cannot keep a transaction log"
            }
        };
        vec![
            fact("delivery", delivery),
            fact(
                "accounting",
                "rows in = written + rejected + duplicate + late + filtered + voided + waiting, at every moment",
            ),
            fact("order", self.source.order()),
            fact("duplicates", "the first row of an index is written, others are counted"),
            fact(
                "completion",
                format!(
                    "at the end-of-file marker, when all rows that it counts are there; one without a count that comes before its rows waits for them for {}",
                    duration(self.source.eof_settle)
                ),
            ),
            fact("incomplete", format!("an upload whose count or checksum is not met {incomplete}")),
            fact("idle", format!("an upload without news for {} expires", duration(self.source.idle_timeout))),
            fact(
                "open",
                format!(
                    "{} uploads of a partition at once; for another one the oldest of a single record is turned away, or else the new one",
                    self.source.open_uploads_max
                ),
            ),
            fact("parallel", self.source.parallel()),
            fact("recovery", "from the offset of the oldest open upload; local state is only a cache"),
            fact("standby", self.standby_text()),
        ]
    }
}

impl MapConfig {
    fn facts(&self) -> Vec<Fact> {
        let pairs = |pairs: &[(String, String)]| {
            let column = |(from, name): &(String, String)| match from == name {
                true => name.clone(),
                false => format!("{name} (was {from})"),
            };
            pairs.iter().map(column).collect::<Vec<_>>().join(", ")
        };
        match self {
            MapConfig::Reproject(config) => config.facts(),
            MapConfig::Select(config) => vec![match &config.selection {
                Selection::Keep(columns) => fact("select", pairs(columns)),
                Selection::Rename(columns) => fact("rename", pairs(columns)),
                Selection::Drop(names) => fact("drop", names.join(", ")),
            }],
            MapConfig::Filter(config) => vec![
                fact("keeps rows with", config.condition.text()),
                fact("other rows", "are counted as filtered; they are neither written nor rejected"),
            ],
            MapConfig::Compute(config) => {
                let column = |(name, expression): &(String, Expression)| {
                    fact("adds", format!("{name} = {} ({})", expression.text(), expression.kind().name()))
                };
                config.columns.iter().map(column).collect()
            }
            MapConfig::Link(config) => {
                vec![
                    fact("adds", format!("{} (link)", config.into)),
                    fact("links to", config.address.iter().map(TemplatePart::to_string).collect::<String>()),
                ]
            }
            MapConfig::Cast(config) => {
                let column = |CastColumn { name, kind, form }: &CastColumn| {
                    let form = form.as_ref().map_or_else(String::new, CellForm::to_string);
                    format!("{name} {}{form}", (words::COLUMN_TYPE.word)(kind))
                };
                vec![fact("column types", config.columns.iter().map(column).collect::<Vec<_>>().join(", "))]
            }
        }
    }
}

impl ReprojectConfig {
    fn facts(&self) -> Vec<Fact> {
        let crs = |crs: &CrsInfo| format!("{} ({})", crs.label(), crs.name);
        let input = match &self.input {
            CoordinateInput::Columns { x, y } => format!("x from {}; y from {}", x.join(" or "), y.join(" or ")),
            CoordinateInput::Geometry(candidates) => format!("points from {}", candidates.join(" or ")),
            CoordinateInput::Xy(candidates) => format!("x and y, in one cell, from {}", candidates.join(" or ")),
            CoordinateInput::Yx(candidates) => format!("y and x, in one cell, from {}", candidates.join(" or ")),
        };
        if let Some(column) = &self.crs_column {
            let column = column.join(" or ");
            let from = format!("the CRS that {column} names in each row to {}", crs(&self.crs.to));
            return [
                vec![
                    fact("reproject", from),
                    fact("operation", "the best one of each CRS; a CRS that is unknown is a bad row"),
                ],
                axes(&[&self.crs.to]),
                self.output_facts(
                    input,
                    if self.check_area { "that of each CRS; a point outside is a bad row" } else { "not checked" }
                        .to_owned(),
                ),
            ]
            .concat();
        }
        let area_of_use = match (self.check_area, self.crs.from.area) {
            (false, _) => "not checked".to_owned(),
            (true, None) => "not known, not checked".to_owned(),
            (true, Some(bounds)) => {
                let description = self.crs.from.area_description.as_deref().unwrap_or_default();
                let beside =
                    if Zone::of(bounds, description).is_some() { ", and land of its country beside it" } else { "" };
                format!("{}{beside}; a point outside is a bad row", area(bounds))
            }
        };
        [
            vec![fact("reproject", format!("{} to {}", crs(&self.crs.from), crs(&self.crs.to)))],
            self.operations(),
            axes(&[&self.crs.from, &self.crs.to]),
            self.output_facts(input, area_of_use),
        ]
        .concat()
    }

    /// One operation and its accuracy, or all of them, one of which each point takes.
    fn operations(&self) -> Vec<Fact> {
        let accuracy = |operation: &Operation| match operation.accuracy_m {
            _ if operation.ballpark => {
                "unknown: a ballpark operation, datums may be hundreds of metres apart".to_owned()
            }
            Some(metres) if operation.area == self.crs.from.area => format!("{metres} m"),
            Some(metres) => format!("{metres} m within {}", operation.area.map_or("an unknown area".into(), area)),
            None => "not stated by the authority".to_owned(),
        };
        let (known, ballpark): (Vec<_>, Vec<_>) = self.crs.operations.iter().partition(|operation| !operation.ballpark);
        if let [only] = self.crs.operations.as_slice() {
            return vec![fact("operation", &only.name), fact("accuracy", accuracy(only))];
        }
        let elsewhere = match ballpark.first() {
            Some(operation) if self.allow_ballpark => format!("{}: {}", operation.name, accuracy(operation)),
            _ if !self.check_area && ballpark.is_empty() => known[0].name.clone(),
            _ => "a point is a bad row".to_owned(),
        };
        let first =
            fact("operation", format!("of these {} each point takes the most accurate one where it is", known.len()));
        let each = known.iter().map(|operation| fact("", format!("{}: {}", operation.name, accuracy(operation))));
        std::iter::once(first).chain(each).chain([fact("elsewhere", elsewhere)]).collect()
    }

    fn output_facts(&self, input: String, area_of_use: String) -> Vec<Fact> {
        vec![
            fact("area of use", area_of_use),
            fact("coordinates", if self.any_notation { format!("{input}, in any notation") } else { input }),
            fact(
                "a row without coordinates",
                if self.blank_missing { "stays, with blank columns" } else { "is a bad row" },
            ),
            fact("adds", format!("{} and {}, {} decimals", self.into[0], self.into[1], self.decimals)),
        ]
    }
}

/// CRSs whose own axes do not run to the east and the north.
fn axes(systems: &[&CrsInfo]) -> Vec<Fact> {
    let mut systems: Vec<_> = systems.iter().filter_map(|crs| Some((crs.label(), crs.axes.as_ref()?))).collect();
    systems.dedup();
    let axes = |(label, axes): (String, &OwnAxes)| {
        let [east, north] = axes.signed();
        let text = format!("{label} itself counts {}; here x is east, {east}, and y is north, {north}", axes.names());
        fact("axes", text)
    };
    systems.into_iter().map(axes).collect()
}

impl AggregateConfig {
    fn facts(&self) -> Vec<Fact> {
        let sheet = match &self.sheet {
            SheetKey::Topic => "one for each topic of the source".to_owned(),
            SheetKey::Column(column) => format!("one for each value of {column}"),
            template @ SheetKey::Template(_) => format!("one for each \"{template}\""),
        };
        let order = match self.sheet_order {
            SheetOrder::First => "by first row",
            SheetOrder::Name => "by name",
        };
        vec![fact("sheets", format!("{sheet}, {order}, {} at most", self.sheets_max))]
    }
}

impl SinkConfig {
    fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            fact("status topic", self.status_topic.as_ref()),
            fact("dead letter topic", self.dead_letter_topic.as_ref()),
            fact("chunks", format!("a workbook above {} bytes is sent in several records", self.record_bytes_max)),
        ];
        facts.extend(self.partitions.map(|partitions| fact("partitions", partitions.to_string())));
        let look = &self.workbook;
        let shown = [
            (look.freeze_header, "frozen header"),
            (look.autofilter, "filter buttons"),
            (look.cell_refs, "cell references"),
            (look.summary, "Summary sheet"),
            (look.about, "About sheet"),
        ];
        let shown = shown.iter().filter(|(on, _)| *on).map(|(_, what)| *what);
        let language = match look.lang {
            Lang::En => "in English",
            Lang::Ko => "in Korean",
        };
        facts.push(fact("workbook", shown.chain([language]).collect::<Vec<_>>().join(", ")));
        facts
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Topologies:\n   Sub-topology: 0")?;
        for node in &self.nodes {
            write!(f, "{node}")?;
        }
        writeln!(f, "\nGuarantees of {} ({})", self.topology, self.hash)?;
        self.guarantees.iter().try_for_each(|fact| writeln!(f, "  {}: {}", fact.about, fact.text))
    }
}

impl fmt::Display for NodeDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            NodeKind::Source { topic } => writeln!(f, "    Source: {} (topics: [{topic}])", self.name)?,
            NodeKind::Processor { store } => {
                writeln!(f, "    Processor: {} (stores: [{}])", self.name, store.as_deref().unwrap_or(""))?
            }
            NodeKind::Sink { topic } => writeln!(f, "    Sink: {} (topic: {topic})", self.name)?,
        }
        if let Some(child) = &self.child {
            writeln!(f, "      --> {child}")?;
        }
        if let Some(parent) = &self.parent {
            writeln!(f, "      <-- {parent}")?;
        }
        self.facts.iter().try_for_each(|fact| writeln!(f, "        {}: {}", fact.about, fact.text))
    }
}

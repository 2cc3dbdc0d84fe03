//! What flows: a topology file, proven. Plain data; nothing here connects to anything.

use std::sync::Arc;

use crate::aggregate::AggregateConfig;
use crate::map::MapConfig;
use crate::sink::SinkConfig;
use crate::source::SourceConfig;

/// A topology that is known to make sense: names resolved, CRSs found, columns checked as far as they are declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Application id: consumer group, state, member id, metrics label.
    pub name: Arc<str>,
    /// 16 hex digits of SHA-256 over everything that shapes a workbook: page and state formats, product version and all nodes, but
    /// neither topic names, partition counts nor record sizes.
    pub hash: Arc<str>,
    /// Where rows come from.
    pub source: SourceConfig,
    /// What happens to them, in order.
    pub maps: Vec<MapConfig>,
    /// What gathers them.
    pub aggregate: AggregateConfig,
    /// Where workbooks go.
    pub sink: SinkConfig,
}

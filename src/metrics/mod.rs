//! Every metric of the process: its name once, a function each (`catalog`), and the metrics of a running task (`task`). Code that counts
//! resolves its labels once and keeps the counter; nothing here is called per row.
//!
//! Labels are names out of topology files, partitions, thread names, and words of closed lists. Ids of uploads, names of files and of
//! sheets come from publishers and are never a label.

mod catalog;
mod process;
mod scrape;
mod task;

pub use catalog::*;
pub use task::{NodeMetrics, Outcome, PAUSES, TaskMetrics, TaskMoment, TaskNames, Unusable, forget_task};

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Encoder, Registry, TextEncoder};
pub use prometheus::{Gauge, IntCounter as Counter};

/// Media type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// A metric as the documentation names it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What Prometheus calls its type.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Its meaning, and the remedy when it is bad.
    pub help: &'static str,
}

/// Every metric of ours, by name. The `process_` metrics of Prometheus' client library come on top.
pub fn descriptions() -> Vec<Description> {
    let mut all: Vec<Description> = catalog::DESCRIPTIONS.iter().chain(scrape::DESCRIPTIONS).copied().collect();
    all.sort_by_key(|description| description.name);
    all
}

/// The registry behind [`render`].
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    let own = catalog::collectors().into_iter().chain([scrape::collector()]);
    for collector in own.chain([process::collector()]) {
        registry.register(collector).expect("every metric has a name of its own");
    }
    registry
});

/// All metrics in Prometheus' text format.
pub fn render() -> String {
    let mut families = REGISTRY.gather();
    families.retain(|family| !family.get_metric().is_empty());
    let mut text = Vec::new();
    let encoded = TextEncoder::new().encode(&families, &mut text);
    encoded.expect("metrics are text, and memory takes them");
    String::from_utf8(text).expect("metrics are UTF-8")
}

/// Seconds since 1970: the clock of `_timestamp_seconds`.
pub fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

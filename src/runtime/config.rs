//! Where topologies run. None of it shapes a workbook, so none of it stands in a topology file.

use std::path::PathBuf;
use std::time::Duration;

use crate::kafka::KafkaConfig;

/// Settings of one process.
#[derive(Clone, Debug)]
pub struct StreamsConfig {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// Directory of the local state; one process at a time.
    pub state_dir: PathBuf,
    /// Tasks that work at the same time. Every task has a thread of its own, and one that waits for a broker does not count.
    pub threads: usize,
    /// How often an output may appear.
    pub guarantee: Guarantee,
    /// Longest time between two commits of a task.
    pub commit_interval: Duration,
    /// Stable name of this instance for its member id; by default machine id, host name and state directory.
    pub instance_id: Option<String>,
    /// State survives power cuts too, at the price of one `syncfs` a commit; otherwise it is rebuilt after one.
    pub power_safe: bool,
    /// How long the state of a task is kept that is not ours any more, in case it comes back.
    pub state_cleanup_delay: Duration,
}

/// How often an output may appear, by the names that Kafka Streams uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Once; after a crash or a change of owner perhaps again, with the same bytes.
    #[default]
    AtLeastOnce,
    /// Once, for readers of committed records (`isolation.level=read_committed`).
    ExactlyOnceV2,
}

impl StreamsConfig {
    /// The defaults for a cluster and a state directory: as many tasks at work as processors, a commit a second.
    pub fn new(kafka: KafkaConfig, state_dir: PathBuf) -> StreamsConfig {
        StreamsConfig {
            kafka,
            state_dir,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            guarantee: Guarantee::default(),
            commit_interval: Duration::from_millis(1_000),
            instance_id: None,
            power_safe: false,
            state_cleanup_delay: Duration::from_secs(600),
        }
    }
}

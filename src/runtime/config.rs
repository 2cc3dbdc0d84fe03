//! Settings of the process that runs topologies. They do not shape a workbook, so they are not in a topology file.

use std::path::PathBuf;
use std::time::Duration;

use crate::kafka::KafkaConfig;
pub use crate::transport::Guarantee;

/// Settings of one process.
#[derive(Clone, Debug)]
pub struct StreamsConfig {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// Directory of the local state; one process at a time.
    pub state_dir: PathBuf,
    /// Tasks that work at the same time. Every task has a thread of its own, and one that waits for a broker does not count.
    pub threads: usize,
    /// How often an output may appear, whatever the topologies say; `None` leaves it to them and to what the brokers can keep.
    pub guarantee: Option<Guarantee>,
    /// Standbys of each partition, whatever the topologies say; `None` leaves it to them.
    pub standby: Option<u32>,
    /// Memory that the process may take, in bytes, divided between its tasks; `None` leaves each task what it is best with.
    pub memory_max: Option<u64>,
    /// Longest time between two commits of a task.
    pub commit_interval: Duration,
    /// Stable name of this instance for its member id; by default machine id, host name and state directory.
    pub instance_id: Option<String>,
    /// State survives power cuts too, at the price of one `syncfs` a commit; otherwise it is rebuilt after one.
    pub power_safe: bool,
    /// How long the state of a task is kept that is not ours any more, in case it comes back.
    pub state_cleanup_delay: Duration,
}

impl StreamsConfig {
    /// The defaults for a cluster and a state directory: as many tasks at work as processors, a commit a second.
    pub fn new(kafka: KafkaConfig, state_dir: PathBuf) -> StreamsConfig {
        StreamsConfig {
            kafka,
            state_dir,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            guarantee: None,
            standby: None,
            memory_max: None,
            commit_interval: Duration::from_millis(1_000),
            instance_id: None,
            power_safe: false,
            state_cleanup_delay: Duration::from_secs(600),
        }
    }
}

//! Options of every command that talks to a cluster.

use clap::Args;
use sheetstream::kafka::KafkaConfig;

/// Where the cluster is.
#[derive(Args, Debug)]
pub struct Broker {
    /// Brokers to begin with
    #[arg(
        long,
        env = "SHEETSTREAM_BROKERS",
        default_value = "localhost:9092",
        value_delimiter = ',',
        value_name = "HOST:PORT,..."
    )]
    brokers: Vec<String>,
    /// Name that an operator sees us under
    #[arg(long, env = "SHEETSTREAM_CLIENT_ID", value_name = "NAME")]
    client_id: Option<String>,
}

impl Broker {
    /// The configuration of a client, named `default_id` unless it was told otherwise.
    pub fn config(&self, default_id: &str) -> KafkaConfig {
        KafkaConfig::new(&self.brokers, self.client_id.as_deref().unwrap_or(default_id))
    }
}

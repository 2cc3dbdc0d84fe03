//! `broker`: the in-process Kafka alone, for other programs on this machine.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sheetstream::broker::{Broker, BrokerConfig};

use super::out::say;
use super::run::stop_on_signal;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream broker                          serves on localhost:9092 until Ctrl-C
  sheetstream broker --listen 127.0.0.1:0     on a free port, which it prints
  kcat -b localhost:9092 -L                   and, elsewhere, any Kafka client
";

/// Run a small Kafka of one node for trying things out: its records are gone when it ends
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct BrokerCommand {
    /// Where it listens; it has no security, so keep it on loopback
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    #[command(flatten)]
    size: BrokerSize,
}

/// How much the in-process broker holds.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct BrokerSize {
    /// Most that the broker keeps, in unlinked temporary files; producers are slowed down, then made to wait
    #[arg(long = "max-mib", default_value_t = 4_096, value_name = "MIB")]
    max_mib: u64,
}

impl BrokerSize {
    /// A broker of this size.
    pub(super) fn config(self) -> BrokerConfig {
        BrokerConfig { bytes_max: self.max_mib << 20, ..BrokerConfig::default() }
    }
}

impl BrokerCommand {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let runtime = super::io_runtime()?;
        let config = BrokerConfig { listen: self.listen, ..self.size.config() };
        let broker = Broker::start(runtime.handle(), config)?;
        let address = broker.address();
        if global.json {
            writeln!(io::stdout(), "{}", json!({ "brokers": address.to_string() }))?;
        } else {
            writeln!(io::stdout(), "{address}")?;
        }
        say!(
            "broker: one node, in memory of this process and its temporary files: for trying out, never for data that matters"
        );
        let stop = stop_on_signal()?;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Exit::Ok)
    }
}

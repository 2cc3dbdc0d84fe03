//! `pause` and `resume`: a topology stops processing, keeps its partitions, and later continues.

use clap::Args;
use percent_encoding::utf8_percent_encode;
use sheetstream::record::address::IN_VALUES;

use super::out::say;
use super::server::Servers;
use super::shown::shown;
use super::{EXAMPLES_FIRST, Exit, Global};

const PAUSE: &str = "Examples:
  sheetstream pause seoul-markets
  sheetstream pause seoul-markets --server http://10.0.0.7:8080 --server http://10.0.0.8:8080

Each instance is paused by itself, so name them all. It stays paused when it is restarted with its
state directory. Its partitions go to others when it leaves, and are processed there.
Rows wait on the topic meanwhile, and an upload does not expire.
";

const RESUME: &str = "Examples:
  sheetstream resume seoul-markets
";

/// Stop processing a topology in a running process until `resume`; it keeps its partitions
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = PAUSE)]
pub(crate) struct Pause {
    #[command(flatten)]
    of: Of,
}

/// Continue to process a topology that was paused
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = RESUME)]
pub(crate) struct Resume {
    #[command(flatten)]
    of: Of,
}

#[derive(Args, Debug)]
struct Of {
    /// Name of the topology
    #[arg(value_name = "NAME")]
    topology: String,
    #[command(flatten)]
    servers: Servers,
}

impl Of {
    fn post(&self, what: &str) -> anyhow::Result<Exit> {
        let name = utf8_percent_encode(&self.topology, IN_VALUES);
        for server in self.servers.each() {
            server.ask("POST", &format!("/topologies/{name}/{what}"))?;
            say!("{}: {what}d in {} alone; other instances stay as they are", shown(&self.topology), server.url());
        }
        Ok(Exit::Ok)
    }
}

impl Pause {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        self.of.post("pause")
    }
}

impl Resume {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        self.of.post("resume")
    }
}

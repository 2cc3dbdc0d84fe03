//! `replay`: processes an upload once more, into its next revision.

use std::io::Write;

use clap::Args;
use serde_json::json;
use sheetstream::client::replay::{ended, replay};
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::patience::Patience;
use super::shown::{json_line, shown};
use super::topologies::OneTopology;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream replay topology/seoul-markets.toml --upload seoul.csv
  sheetstream replay topology/seoul-markets.toml --upload seoul.csv --dry-run

Its records on the source topic are appended again behind a #BEGIN. `run` makes the next revision of
them, under the topology that runs now; the revisions before stay as they are. Under the same
topology the content is the same, and is answered with the revision that is there.
";

/// Process an upload that has ended once more, from its records on the topic, into its next revision
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Replay {
    #[command(flatten)]
    topology: OneTopology,
    /// Id of an upload; may be given several times
    #[arg(long, required = true, value_name = "ID")]
    upload: Vec<String>,
    /// Say what would be replayed, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

impl Replay {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = Topology::load(self.topology.path())?;
        self.patience.run(self.broker.config("sheetstream-replay")?, |client| {
            again(global, client, &topology, &self.upload, self.dry_run)
        })
    }
}

/// Replays each of `uploads`; the first that cannot be ends it.
pub(super) fn again(
    global: &Global,
    client: &sheetstream::kafka::KafkaClient,
    topology: &Topology,
    uploads: &[String],
    dry_run: bool,
) -> anyhow::Result<Exit> {
    for upload in uploads {
        let found = ended(client, topology, upload)?;
        let records = if dry_run { None } else { Some(replay(client, topology, &found)?) };
        let (at, first, last) = (&found.partition, found.first.0, found.completion.0);
        let (revision, name) = (found.revision, shown(upload));
        let mut out = out::stdout();
        if global.json {
            let (topic, partition) = (&*at.topic, at.partition);
            writeln!(
                out,
                "{}",
                json_line(
                    &json!({ "upload": upload, "revision": revision, "topic": topic, "partition": partition, "first": first, "last": last, "records": records })
                )
            )?;
        } else {
            match records {
                Some(records) => writeln!(
                    out,
                    "{name}: {records} records of revision {revision}, {at} {first} to {last}, appended again"
                )?,
                None => writeln!(
                    out,
                    "{name}: would append the records of revision {revision}, {at} {first} to {last}, again"
                )?,
            }
        }
    }
    Ok(Exit::Ok)
}

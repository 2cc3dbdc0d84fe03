//! `publish`: publishes files of CSV or JSON to the topic, one upload each.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sheetstream::client::publish::{PublishError, abort, check_takes_files, publish};
use sheetstream::file::upload::UploadRecords;
use sheetstream::kafka::KafkaClient;
use sheetstream::record::counted;
use sheetstream::source::SourceConfig;
use sheetstream::topology::Topology;
use uuid::Uuid;

use super::broker::Broker;
use super::exit::UsageError;
use super::input::{Input, Progress, upload_name};
use super::out::say;
use super::patience::Patience;
use super::shown::{json_line, shown};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream publish seoul.csv -t topology/seoul-markets.toml
  sheetstream publish *.csv --topic places.rows --brokers kafka-1:9092
  sheetstream publish old.csv -t topology/places-5179.toml --crs EPSG:5181
  unzip -p markets.zip | sheetstream publish - -t topology/seoul-markets.toml --id markets-2026
";

/// Publish files of CSV or JSON, one upload each; the key is the file's name
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Publish {
    /// CSV or JSON files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Topology whose source topic to write to
    #[arg(short, long, value_name = "TOPOLOGY", required_unless_present = "topic")]
    topology: Option<PathBuf>,
    /// Topic, instead of a topology
    #[arg(long, value_name = "TOPIC", conflicts_with = "topology")]
    topic: Option<String>,
    /// Upload id, for a single file [default: the file's name]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

impl Publish {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        if self.id.is_some() && self.files.len() > 1 {
            let files = self.files.len();
            return Err(UsageError(format!(
                "--id names one upload, and there are {files} files; publish them one by one"
            ))
            .into());
        }
        let topology = self.topology.as_deref().map(Topology::load).transpose()?;
        topology.as_ref().map(check_takes_files).transpose()?;
        let crs = self.input.crs(topology.as_ref())?;
        let source = topology.as_ref().map(|topology| &topology.source);
        let topic = match source {
            Some(source) => source.topic.to_string(),
            None => self.topic.clone().unwrap_or_default(),
        };
        let broker = self.broker.config("sheetstream-publish")?;
        self.patience.run(broker, |client| self.publish(global, client, source, &topic, crs))
    }

    fn publish(
        &self,
        global: &Global,
        client: &KafkaClient,
        source: Option<&SourceConfig>,
        topic: &str,
        crs: Option<&str>,
    ) -> anyhow::Result<Exit> {
        for path in &self.files {
            let name = upload_name(path);
            let id = self.id.as_ref().unwrap_or(&name);
            let attempt = Uuid::new_v4().to_string();
            let upload = UploadRecords::new(vec![self.input.open(path, source)?], &name, &attempt)?.with_crs(crs);
            let mut progress = Progress::new(&name);
            let mut has_begun = false;
            let sent = publish(client, topic, id, upload, &mut |rows| {
                has_begun = true;
                progress.rows(rows);
            });
            let rows = sent.map_err(|error| match has_begun {
                true => give_up(client, topic, id, &attempt, error),
                false => error.into(),
            })?;
            let seconds = progress.finish().as_secs_f64();
            let rate = rows as f64 / seconds.max(1e-3);
            if global.json {
                writeln!(out::stdout(), "{}", json_line(&json!({ "upload": id, "topic": topic, "rows": rows })))?;
            }
            let (name, id, rows) = (shown(&name), shown(id), counted(rows, "row"));
            say!("{name}: {rows} to {topic} as \"{id}\", {seconds:.2} s, {rate:.0} rows/s");
        }
        Ok(Exit::Ok)
    }
}

/// Gives up an upload that was not acknowledged to its end. The error says what becomes of it.
fn give_up(client: &KafkaClient, topic: &str, id: &str, attempt: &str, error: PublishError) -> anyhow::Error {
    let aborted = abort(client, topic, None, id, Some(attempt));
    let id = shown(id);
    let fate = match aborted {
        Ok(()) => format!(
            "upload \"{id}\" is given up: it ends ABORTED, or PUBLISHED if all of it had arrived, as `sheetstream status` says; publish it again"
        ),
        Err(_) => format!(
            "upload \"{id}\" is open, and nobody could be told that it is given up: it expires after the idle_timeout of its topology; publish it again, which voids what was sent"
        ),
    };
    anyhow::Error::from(error).context(fate)
}

//! `fetch`: workbooks from their topic into files.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sheetstream::client::awaited::Awaited;
use sheetstream::client::fetch::{ChunkJoiner, FetchedWorkbook, save};
use sheetstream::kafka::KafkaClient;
use sheetstream::kafka::topic_reader::TopicReader;
use sheetstream::record::TopicPartition;
use sheetstream::topology::Topology;
use sheetstream::transport::Fetcher;

use super::broker::Broker;
use super::watch::Watch;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream fetch -t topology/places-5179.toml --out books             all that are there
  sheetstream fetch seoul.csv -t topology/places-5179.toml --out books   wait for this one
  sheetstream fetch --topic places.workbooks --out books --follow        each as it appears
";

/// Fetch workbooks: chunks joined, checksums verified, files written whole
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub struct Fetch {
    /// Upload ids to wait for [default: every workbook that is there now]
    #[arg(value_name = "ID")]
    uploads: Vec<String>,
    /// Topology whose workbooks to fetch
    #[arg(short, long, value_name = "FILE", required_unless_present = "topic")]
    topology: Option<PathBuf>,
    /// Workbook topic, instead of a topology
    #[arg(long, value_name = "TOPIC", conflicts_with = "topology")]
    topic: Option<String>,
    /// Folder for the files; made if it is missing
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// Go on with workbooks that appear later, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// How long to wait for named uploads, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    broker: Broker,
}

impl Fetch {
    pub fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = self.topology.as_deref().map(Topology::load).transpose()?;
        let topic = match (&topology, &self.topic) {
            (Some(topology), _) => topology.sink.topic.to_string(),
            (None, topic) => topic.clone().unwrap_or_default(),
        };
        std::fs::create_dir_all(&self.out).with_context(|| format!("folder {}", self.out.display()))?;
        let runtime = super::io_runtime()?;
        let client = KafkaClient::new(runtime.handle().clone(), self.broker.config("sheetstream-fetch"));

        let mut missing: BTreeSet<&str> = self.uploads.iter().map(String::as_str).collect();
        let mut awaited = match &topology {
            Some(topology) if !missing.is_empty() => Some(Awaited::of(&client, topology)?),
            _ => None,
        };
        let mut watch = match &topology {
            Some(topology) if self.waits_for_more(&missing) => Some(Watch::open(&client, &topology.sink.status_topic)?),
            Some(_) | None => None,
        };
        let mut exit = Exit::Ok;
        let mut partitions = (0..client.partitions(&topic)?)
            .map(|partition| {
                let partition = TopicPartition { topic: topic.as_str().into(), partition };
                let bounds = client.bounds(&partition)?;
                Ok((client.reader(partition, bounds.start), bounds.end, ChunkJoiner::default()))
            })
            .collect::<Result<Vec<_>, sheetstream::transport::TransportError>>()?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        loop {
            let mut behind = false;
            for (reader, end, joiner) in &mut partitions {
                // At the end only a short look, so that many partitions take turns.
                let wait = if reader.next() < *end { Duration::from_millis(500) } else { Duration::from_millis(50) };
                if !self.waits_for_more(&missing) && reader.next() >= *end {
                    continue;
                }
                self.take(global, reader, joiner, wait, &mut missing, watch.as_ref())?;
                behind |= reader.next() < *end;
            }
            if let Some(watch) = &mut watch {
                watch.look(|upload| self.wants(upload))?;
            }
            if behind || self.follow {
                continue;
            }
            if let Some(awaited) = &mut awaited {
                exit = exit.max(drop_failed(awaited, &mut missing)?);
            }
            if missing.is_empty() {
                return Ok(exit);
            }
            if Instant::now() > deadline {
                let standing = |id: &&str| match awaited.as_ref().and_then(|awaited| awaited.standing(id)) {
                    Some(upload) => format!("{id} ({} rows so far)", upload.accounting.rows_in),
                    None => format!("{id} (nothing was heard of it: was it published, does the topology run?)"),
                };
                let ids: Vec<String> = missing.iter().map(standing).collect();
                anyhow::bail!("no workbook within {} s of: {}", self.timeout, ids.join(", "));
            }
        }
    }

    fn wants(&self, upload: &str) -> bool {
        self.uploads.is_empty() || self.uploads.iter().any(|wanted| wanted == upload)
    }

    fn waits_for_more(&self, missing: &BTreeSet<&str>) -> bool {
        self.follow || !missing.is_empty()
    }

    /// One fetch of one partition.
    fn take(
        &self,
        global: &Global,
        reader: &mut TopicReader,
        joiner: &mut ChunkJoiner,
        wait: Duration,
        missing: &mut BTreeSet<&str>,
        watch: Option<&Watch>,
    ) -> anyhow::Result<()> {
        for record in reader.fetch(wait)?.records {
            match joiner.join(&record) {
                Ok(Some(workbook)) if self.wants(&workbook.upload) => {
                    let save = || self.save(global, &workbook);
                    watch.map_or_else(save, |watch| watch.pause(save))?;
                    missing.remove(workbook.upload.as_str());
                }
                Ok(_) => {}
                Err(error) => writeln!(io::stderr(), "warning: {error}")?,
            }
        }
        Ok(())
    }

    fn save(&self, global: &Global, workbook: &FetchedWorkbook) -> anyhow::Result<()> {
        let path = save(workbook, &self.out, self.force)?;
        let path = path.display().to_string();
        if global.json {
            let (upload, revision, sha256) = (&workbook.upload, workbook.revision, &workbook.sha256);
            writeln!(
                io::stdout(),
                "{}",
                json!({ "upload": upload, "revision": revision, "sha256": sha256, "path": path })
            )?;
        } else {
            writeln!(io::stdout(), "{path}")?;
        }
        Ok(())
    }
}

/// Says of which uploads no workbook will come, and why; waits for them no longer.
fn drop_failed(awaited: &mut Awaited, missing: &mut BTreeSet<&str>) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    for id in missing.clone() {
        let Some(upload) = awaited.failed(id)? else { continue };
        missing.remove(id);
        exit = Exit::DataRejected;
        let why = upload.failure.map_or_else(
            || "its publisher gave it up".to_owned(),
            |failure| format!("{}: {}", failure.reason, failure.message),
        );
        writeln!(io::stderr(), "error: no workbook of {id}: {why}")?;
    }
    Ok(exit)
}

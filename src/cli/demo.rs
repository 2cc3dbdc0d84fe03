//! `demo`: makes a sample workbook over Kafka, with everything in this process.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sheetstream::broker::{Broker, BrokerConfig};
use sheetstream::client::fetch::{ChunkJoiner, FetchedWorkbook};
use sheetstream::client::folder::{Folder, Layout};
use sheetstream::client::publish::publish;
use sheetstream::file::upload::UploadRecords;
use sheetstream::kafka::topic_reader::TopicReader;
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use sheetstream::record::{Offset, TopicPartition};
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::streams::Streams;
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::topology::Topology;
use sheetstream::transport::Fetcher;
use uuid::Uuid;

use super::input::Progress;
use super::out::say;
use super::running::Running;
use super::{EXAMPLES_FIRST, Exit, Global, sample, topics};

const EXAMPLES: &str = "Examples:
  sheetstream demo
  xdg-open \"$(sheetstream demo --out /tmp)\"
";

/// How long the workbook may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for the next record before the rest is looked after.
const WAIT: Duration = Duration::from_millis(100);
/// Room for the sample many times over.
const BROKER_BYTES_MAX: u64 = 256 << 20;

/// Turn a sample CSV into a workbook over a Kafka inside this process; needs nothing and leaves the workbook
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Folder for the workbook; made if it is not there
    #[arg(long, default_value = "demo", value_name = "DIR")]
    out: PathBuf,
}

impl Demo {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let runtime = super::io_runtime()?;
        let config = BrokerConfig { bytes_max: BROKER_BYTES_MAX, ..BrokerConfig::default() };
        let broker = Broker::start(runtime.handle(), config).context("the in-process broker")?;
        let kafka = KafkaConfig::new([broker.address().to_string()], "sheetstream-demo");
        let client = KafkaClient::new(runtime.handle().clone(), kafka.clone());

        let topology = sample::topology()?;
        client.create_topics(&topics::wanted(&topology, 1, 1))?;
        let state = tempfile::Builder::new().prefix("sheetstream-demo-").tempdir()?;
        let config = StreamsConfig::new(kafka, state.path().join("state"));
        let mut running = Running::start(Streams::new(vec![topology.clone()], config))?;
        let rows = publish_sample(&client, &topology)?;
        let (status, workbook) = receive(&client, &topology, &mut running)?;
        running.stop()?;

        let mut folder = Folder::open(&self.out, Layout::Name, true).with_context(|| self.out.display().to_string())?;
        let saved = folder.save(&workbook.label, |file| workbook.write(file))?;
        let path = fs::canonicalize(saved.path()).unwrap_or_else(|_| saved.path().to_owned());
        report(rows, &topology, &status, &workbook, begun.elapsed());
        if global.json {
            let accounting = status.accounting;
            writeln!(io::stdout(), "{}", json!({ "path": path.display().to_string(), "accounting": accounting }))?;
        } else {
            writeln!(io::stdout(), "{}", path.display())?;
        }
        Ok(Exit::Ok)
    }
}

fn publish_sample(client: &KafkaClient, topology: &Topology) -> anyhow::Result<u64> {
    let upload =
        UploadRecords::new(vec![sample::file(&topology.source)?], sample::FILE_NAME, &Uuid::new_v4().to_string())?;
    let mut progress = Progress::new(sample::FILE_NAME);
    let rows = publish(client, &topology.source.topic, sample::FILE_NAME, upload, &mut |rows| progress.rows(rows))?;
    progress.finish();
    Ok(rows)
}

/// Waits for the last word on the upload and for its workbook.
fn receive(
    client: &KafkaClient,
    topology: &Topology,
    running: &mut Running,
) -> anyhow::Result<(StatusRecord, FetchedWorkbook)> {
    let reader = |topic: &Arc<str>| -> TopicReader {
        client.reader(TopicPartition { topic: topic.clone(), partition: 0 }, Offset(0))
    };
    let (mut statuses, mut workbooks) = (reader(&topology.sink.status_topic), reader(&topology.sink.topic));
    let (mut status, mut workbook, mut joiner) = (None, None, ChunkJoiner::default());
    let mut progress = Progress::new("rows in the workbook");
    let deadline = Instant::now() + PATIENCE;
    loop {
        for record in workbooks.fetch(WAIT)?.records {
            workbook = joiner.join(&record)?.or(workbook);
        }
        for record in statuses.fetch(if workbook.is_some() { WAIT } else { Duration::ZERO })?.records {
            let latest = record.value.as_deref().and_then(StatusRecord::parse);
            if let Some(latest) = latest {
                progress.rows(latest.accounting.written);
                if let Some(failure) = &latest.failure {
                    anyhow::bail!("the upload failed: {}", failure.message);
                }
                status = Some(latest);
            }
        }
        match (status.take_if(|status| status.state == UploadState::Published), workbook.take()) {
            (Some(status), Some(workbook)) => {
                progress.finish();
                return Ok((status, workbook));
            }
            (published, still) => (status, workbook) = (published.or(status), still),
        }
        running.check()?;
        if Instant::now() > deadline {
            anyhow::bail!("no workbook within {} s; is the machine very busy?", PATIENCE.as_secs());
        }
    }
}

/// Five lines: what happened, and what to do next.
fn report(rows: u64, topology: &Topology, status: &StatusRecord, workbook: &FetchedWorkbook, took: Duration) {
    let bytes: usize = workbook.chunks.iter().map(|chunk| chunk.len()).sum();
    let accounting = &status.accounting;
    say!(
        "demo: {rows} made-up places in CP949 went row by row over the topic {}, on a Kafka inside this process.",
        topology.source.topic
    );
    say!(
        "demo: {} of them were reprojected from EPSG:5179 to longitude and latitude and sorted into a sheet for each city; {} were refused.",
        accounting.written,
        accounting.rejected
    );
    say!(
        "demo: the workbook ({} KiB) came back after {:.1} s. Look at its sheets 오류 (errors: who was refused, and why) and 정보 (about: where the rest comes from).",
        bytes >> 10,
        took.as_secs_f64()
    );
    say!(
        "demo: next: sheetstream dev                   the same with a page to drop a CSV on, and topologies that reload"
    );
    say!(
        "demo: next: sheetstream convert FILE.csv -t {} -o BOOK.xlsx, and then with your own Kafka: sheetstream run",
        sample::TOPOLOGY_FILE
    );
}

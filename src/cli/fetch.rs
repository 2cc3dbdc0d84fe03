//! `fetch`: saves workbooks from their topic into files.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use sheetstream::client::awaited::{Awaited, Waiting};
use sheetstream::client::download::{self, DownloadError, Wanted, download};
use sheetstream::client::fetch::ChunkJoiner;
use sheetstream::client::folder::{Folder, Label, Layout, Saved};
use sheetstream::client::rejects::refused_whole;
use sheetstream::client::uploads::Upload;
use sheetstream::kafka::KafkaClient;
use sheetstream::kafka::topic_reader::TopicReader;
use sheetstream::record::{Offset, TopicPartition};
use sheetstream::sink::status::StatusFailure;
use sheetstream::topology::Topology;
use sheetstream::transport::{Fetcher, TransportError};

use super::broker::Broker;
use super::patience::run_within;
use super::shown::{json_line, shown};
use super::upload_progress::UploadProgress;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream fetch -t topology/places-5179.toml --out books             all that are there
  sheetstream fetch seoul.csv -t topology/places-5179.toml --out books   wait for this one
  sheetstream fetch --topic places.workbooks --out books --follow        each as it appears
  sheetstream fetch -t topology/places-5179.toml --layout id             a folder for each upload
";

/// Longest wait for brokers that do not answer.
const BROKER_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks for an upload that is awaited.
const LOOK: Duration = Duration::from_millis(200);
/// Longest search for dead letters.
const LETTERS_LIMIT: Duration = Duration::from_secs(5);

/// Fetch workbooks: chunks joined, checksums verified, files written whole
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// Upload ids to wait for: the newest revision of each, once all records that are published now are processed [default: every
    /// workbook that is there now]
    #[arg(value_name = "ID")]
    uploads: Vec<String>,
    /// Topology whose workbooks to fetch
    #[arg(short, long, value_name = "TOPOLOGY", required_unless_present = "topic")]
    topology: Option<PathBuf>,
    /// Workbook topic, instead of a topology; without a topology, newer workbooks on their way are not waited for
    #[arg(long, value_name = "TOPIC", conflicts_with = "topology")]
    topic: Option<String>,
    /// Folder for the files; made if it is missing
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// How files are named; with "name" another workbook of a name becomes "name (2).xlsx"
    #[arg(long, value_enum, default_value = "name", value_name = "LAYOUT")]
    layout: FileLayout,
    /// Continue with workbooks that appear later, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Replace files that exist, except those of other uploads that this run wrote
    #[arg(long)]
    force: bool,
    /// Exit with 65 when every row of an upload was rejected
    #[arg(long)]
    strict: bool,
    /// How long to wait for named uploads, in seconds; brokers that do not answer are waited for 10 s at most
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    broker: Broker,
}

/// [`Layout`] as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileLayout {
    /// As the published file is called
    Name,
    /// ID/rREVISION/NAME
    Id,
}

impl Fetch {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = self.topology.as_deref().map(Topology::load).transpose()?;
        let layout = match self.layout {
            FileLayout::Name => Layout::Name,
            FileLayout::Id => Layout::Id,
        };
        let folder =
            Folder::open(&self.out, layout, self.force).with_context(|| format!("folder {}", self.out.display()))?;
        let mut saving = Saving { global, folder, failed: Vec::new(), has_empty: false };
        let limit = Duration::from_secs(self.timeout);
        let exit = run_within(limit.min(BROKER_LIMIT), self.broker.config("sheetstream-fetch")?, |client| {
            match (&topology, &self.topic) {
                (Some(topology), _) if self.is_awaiting() => self.fetch_awaited(client, topology, &mut saving),
                (Some(topology), _) => self.fetch_all(client, &topology.sink.topic, Some(topology), &mut saving),
                (None, Some(topic)) if self.is_awaiting() => self.fetch_newest(client, topic, &mut saving),
                (None, topic) => self.fetch_all(client, topic.as_deref().unwrap_or_default(), None, &mut saving),
            }
        })?;
        Ok(exit.max(saving.finish(self.strict)?))
    }

    /// Named uploads, each of them once.
    fn is_awaiting(&self) -> bool {
        !self.uploads.is_empty() && !self.follow
    }

    /// Waits until what is published of the named uploads is processed, then takes their newest revisions.
    fn fetch_awaited(&self, client: &KafkaClient, topology: &Topology, saving: &mut Saving) -> anyhow::Result<Exit> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        let mut waiting = Waiting::begin(client, topology)?;
        let mut watch = UploadProgress::open(client, &topology.sink.status_topic)?;
        let mut missing: BTreeSet<&str> = self.uploads.iter().map(String::as_str).collect();
        let mut exit = Exit::Ok;
        loop {
            waiting.look()?;
            for id in missing.clone() {
                match waiting.upload(id) {
                    Awaited::Published(upload) => {
                        watch.pause(|| saving.published(client, &topology.sink.topic, &upload))?;
                        missing.remove(id);
                    }
                    Awaited::Ended(upload) => {
                        let why = upload.failure.as_ref().map_or("its publisher gave it up".to_owned(), said);
                        writeln!(io::stderr(), "error: no workbook of {}: {why}", shown(id))?;
                        exit = exit.max(Exit::DataRejected);
                        missing.remove(id);
                    }
                    Awaited::Unheard => {
                        let topic = &topology.sink.dead_letter_topic;
                        if let Some((letter, count)) = refused_whole(client, topic, id, LETTERS_LIMIT)? {
                            let why = format!("{}: {}", letter.reason, letter.message);
                            writeln!(
                                io::stderr(),
                                "error: no workbook of {}: all its records were refused, {count} of them are in {topic}; the first: {}",
                                shown(id),
                                shown(&why)
                            )?;
                            exit = exit.max(Exit::DataRejected);
                            missing.remove(id);
                        }
                    }
                    Awaited::Pending(_) => {}
                }
            }
            if missing.is_empty() {
                return Ok(exit);
            }
            if Instant::now() >= deadline {
                let standing: Vec<String> = missing.iter().map(|id| standing(&waiting, id)).collect();
                anyhow::bail!("no workbook within {} s of: {}", self.timeout, standing.join(", "));
            }
            watch.look(|upload| missing.contains(upload))?;
            std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
        }
    }

    /// Without a topology: the newest workbook of each named upload that the topic holds, waited for if there is none.
    fn fetch_newest(&self, client: &KafkaClient, topic: &str, saving: &mut Saving) -> anyhow::Result<Exit> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        let mut missing: BTreeSet<&str> = self.uploads.iter().map(String::as_str).collect();
        let mut seen = Vec::new();
        loop {
            let ends = ends(client, topic)?;
            if ends != seen {
                for id in missing.clone() {
                    if saving.newest(client, topic, id)? {
                        missing.remove(id);
                    }
                }
                seen = ends;
            }
            if missing.is_empty() {
                return Ok(Exit::Ok);
            }
            if Instant::now() >= deadline {
                let ids: Vec<String> = missing.iter().map(|id| shown(id)).collect();
                anyhow::bail!("no workbook in {topic} within {} s of: {}", self.timeout, ids.join(", "));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Every workbook that is there, and with `--follow` those that appear.
    fn fetch_all(
        &self,
        client: &KafkaClient,
        topic: &str,
        topology: Option<&Topology>,
        saving: &mut Saving,
    ) -> anyhow::Result<Exit> {
        let followed = topology.filter(|_| self.follow);
        let mut watch =
            followed.map(|topology| UploadProgress::open(client, &topology.sink.status_topic)).transpose()?;
        let mut partitions = (0..client.partitions(topic)?)
            .map(|partition| {
                let partition = TopicPartition { topic: topic.into(), partition };
                let bounds = client.bounds(&partition)?;
                Ok((client.reader(partition, bounds.start), bounds.end, ChunkJoiner::default()))
            })
            .collect::<Result<Vec<_>, TransportError>>()?;
        loop {
            let mut is_behind = false;
            for (reader, end, joiner) in &mut partitions {
                if reader.next() >= *end && !self.follow {
                    continue;
                }
                // At the end only a short look, so that many partitions take turns.
                let wait = Duration::from_millis(if reader.next() < *end { 500 } else { 50 });
                self.take(reader, joiner, wait, saving, watch.as_ref())?;
                is_behind |= reader.next() < *end;
            }
            if let Some(watch) = &mut watch {
                watch.look(|upload| self.wants(upload))?;
            }
            if !is_behind && !self.follow {
                return Ok(Exit::Ok);
            }
        }
    }

    fn wants(&self, upload: &str) -> bool {
        self.uploads.is_empty() || self.uploads.iter().any(|wanted| wanted == upload)
    }

    /// One fetch of one partition.
    fn take(
        &self,
        reader: &mut TopicReader,
        joiner: &mut ChunkJoiner,
        wait: Duration,
        saving: &mut Saving,
        watch: Option<&UploadProgress>,
    ) -> anyhow::Result<()> {
        for record in reader.fetch(wait)?.records {
            match joiner.join(&record) {
                Ok(Some(workbook)) if self.wants(&workbook.label.upload) => {
                    let mut save = || saving.save(&workbook.label, |file| workbook.write(file));
                    match watch {
                        Some(watch) => watch.pause(save)?,
                        None => save()?,
                    }
                }
                Ok(_) => {}
                Err(error) => writeln!(io::stderr(), "warning: {}", shown(&error.to_string()))?,
            }
        }
        Ok(())
    }
}

/// Where workbooks go, and those that could not be written: one of them must not keep the others.
struct Saving<'a> {
    global: &'a Global,
    folder: Folder,
    failed: Vec<String>,
    /// Whether one has no row, for all of them were rejected.
    has_empty: bool,
}

impl Saving<'_> {
    /// The workbook of a published upload, by its status.
    fn published(&mut self, client: &KafkaClient, topic: &str, upload: &Upload) -> anyhow::Result<()> {
        let Some((label, wanted)) = Wanted::of(upload) else {
            if !self.newest(client, topic, &upload.id)? {
                self.failed.push(format!("{}: {}", shown(&upload.id), DownloadError::Gone));
            }
            return Ok(());
        };
        self.download(client, &label, &wanted)
    }

    /// The newest workbook of an upload that the topic holds whole; false when there is none.
    fn newest(&mut self, client: &KafkaClient, topic: &str, upload: &str) -> anyhow::Result<bool> {
        let Some((label, sha256)) = download::newest(client, topic, upload)? else { return Ok(false) };
        let wanted = Wanted { topic: topic.to_owned(), upload: upload.to_owned(), sha256, published_ms: 0 };
        self.download(client, &label, &wanted)?;
        Ok(true)
    }

    fn download(&mut self, client: &KafkaClient, label: &Label, wanted: &Wanted) -> anyhow::Result<()> {
        let mut unreachable = None;
        let saved = self.save(label, |file| match download(client, wanted, file) {
            Ok(_) => Ok(()),
            Err(DownloadError::File(error)) => Err(error),
            Err(error @ DownloadError::Gone) => Err(io::Error::other(error.to_string())),
            Err(DownloadError::Transport(error)) => Err(io::Error::other(unreachable.insert(error).to_string())),
        });
        match unreachable {
            Some(error) => Err(error.into()),
            None => saved,
        }
    }

    fn save(&mut self, label: &Label, write: impl FnOnce(&mut std::fs::File) -> io::Result<()>) -> anyhow::Result<()> {
        let saved = match self.folder.save(label, write) {
            Ok(saved) => saved,
            Err(error) => {
                self.failed.push(format!("{} of {}: {error}", shown(&label.filename), shown(&label.upload)));
                return Ok(());
            }
        };
        match &saved {
            Saved::Beside(path) => writeln!(
                io::stderr(),
                "note: {} exists and is another workbook; this one is {}",
                shown(&label.filename),
                path.display()
            )?,
            Saved::Replaced(path) => writeln!(io::stderr(), "note: {} was replaced", path.display())?,
            Saved::Written(_) | Saved::Same(_) => {}
        }
        if let Some(rows) = label.all_rejected {
            let id = shown(&label.upload);
            writeln!(io::stderr(), "warning: {id}: all {rows} rows were rejected; its Errors sheet says why")?;
            self.has_empty = true;
        }
        let path = saved.path().display().to_string();
        if self.global.json {
            let (upload, revision, sha256) = (&label.upload, label.revision, &label.sha256);
            let line = json!({ "upload": upload, "revision": revision, "sha256": sha256, "path": path });
            writeln!(out::stdout(), "{}", json_line(&line))?;
        } else {
            writeln!(out::stdout(), "{path}")?;
        }
        Ok(())
    }

    /// Reports at the end the files that could not be written. With `strict` a workbook without a row is not a success.
    fn finish(self, strict: bool) -> io::Result<Exit> {
        for failed in &self.failed {
            writeln!(io::stderr(), "error: not written: {failed}")?;
        }
        Ok(match self.failed.is_empty() {
            true if strict && self.has_empty => Exit::DataRejected,
            true => Exit::Ok,
            false => Exit::Io,
        })
    }
}

/// The state of an upload that did not come in time.
fn standing(waiting: &Waiting, id: &str) -> String {
    let behind = waiting.behind();
    let unprocessed = format!("{behind} records of the topic are not processed yet: does the topology run?");
    match waiting.upload(id) {
        Awaited::Pending(Some(upload)) if behind > 0 && upload.state.is_final() => {
            format!("{} (revision {} is there; {unprocessed})", shown(id), upload.revision.unwrap_or(1))
        }
        Awaited::Pending(Some(upload)) => {
            let (state, rows) = (format!("{:?}", upload.state).to_uppercase(), upload.accounting.rows_in);
            let why = upload.failure.map(|failure| format!("; {}", said(&failure))).unwrap_or_default();
            format!("{} ({state}, {rows} rows so far{why})", shown(id))
        }
        Awaited::Pending(None) => format!("{} ({unprocessed})", shown(id)),
        Awaited::Unheard | Awaited::Published(_) | Awaited::Ended(_) => {
            format!("{} (nothing was heard of it: was it published?)", shown(id))
        }
    }
}

/// Why an upload is held or failed.
fn said(failure: &StatusFailure) -> String {
    shown(&format!("{}: {}", failure.reason, failure.message))
}

fn ends(client: &KafkaClient, topic: &str) -> Result<Vec<Offset>, TransportError> {
    let end = |partition| Ok(client.bounds(&TopicPartition { topic: topic.into(), partition })?.end);
    (0..client.partitions(topic)?).map(end).collect()
}

//! `status`: shows how far topologies are, and the states of their uploads. It reads topics only, so it works wherever `run` runs.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::HumanDuration;
use serde::Serialize;
use sheetstream::client::uploads::{Listed, Upload, UploadIndex};
use sheetstream::kafka::KafkaClient;
use sheetstream::kafka::clock::now_ms;
use sheetstream::kafka::group::{ForeignMember, Roster};
use sheetstream::page::width::columns_of;
use sheetstream::record::TopicPartition;
use sheetstream::runtime::standby_members::standbys_of;
use sheetstream::topology::Topology;
use sheetstream::transport::{Committed, TransportError};

use super::broker::Broker;
use super::patience::Patience;
use super::shown::{json, json_line, shown};
use super::topologies::Topologies;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream status topology/places-5179.toml
  sheetstream status topology/*.toml --watch
  sheetstream status topology/places-5179.toml --open
  sheetstream status topology/places-5179.toml --json | jq '.topologies[].lag'
";

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for what the status topics hold.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Show how far topologies are and the states of their uploads
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    topologies: Topologies,
    /// Look again every second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Number of uploads to show, the latest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Only uploads that have not ended, those without news for longest first
    #[arg(long)]
    open: bool,
    /// Standbys of each partition, if that was given to `run` [default: that of each topology, else 0]
    #[arg(long, env = "SHEETSTREAM_STANDBY", value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    standby: Option<u32>,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

/// One look.
#[derive(Serialize)]
struct Look {
    topologies: Vec<Standing>,
    uploads: Vec<Upload>,
    /// How many more there are: `--limit` left them out.
    uploads_more: usize,
    /// Whether there were others, which are not remembered.
    uploads_forgotten: bool,
}

/// How far a topology's group is.
#[derive(Serialize)]
struct Standing {
    name: String,
    /// Records that are not processed.
    lag: i64,
    /// Records that were processed a second since the look before.
    records_per_second: Option<f64>,
    partitions: Vec<Partition>,
    /// Members of its group that are no sheetstream: uploads in their partitions are not processed.
    foreign_members: Vec<ForeignMember>,
}

#[derive(Serialize)]
struct Partition {
    /// Of several topics that are read, which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    partition: i32,
    /// First record that is not processed; `None` before the first commit.
    committed: Option<i64>,
    end: i64,
    lag: i64,
    /// The instance that it belongs to; its member id, where members have no names.
    owner: Option<String>,
    /// The instances that keep its state up to date; how far each of them is, it says itself.
    standbys: Vec<String>,
}

impl Status {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topologies = self.topologies.load()?;
        self.patience.run(self.broker.config("sheetstream-status")?, |client| self.look(global, client, &topologies))
    }

    fn look(&self, global: &Global, client: &KafkaClient, topologies: &[Topology]) -> anyhow::Result<Exit> {
        let index = Arc::new(UploadIndex::default());
        let mut before: Option<(Instant, Look)> = None;
        loop {
            let at = Instant::now();
            let mut standings = Vec::new();
            for topology in topologies {
                let standing = standing(client, topology, self.standby);
                standings.push(standing.with_context(|| format!("topology {}", topology.name))?);
            }
            if before.is_none() {
                index.follow(client, topologies.iter().map(|topology| topology.sink.status_topic.clone()));
                wait_for(&index)?;
            }
            if let Some((since, before)) = &before {
                rate(&mut standings, &before.topologies, at.duration_since(*since));
            }
            let Listed { uploads, more, has_forgotten } = self.uploads(&index, topologies);
            let look = Look { topologies: standings, uploads, uploads_more: more, uploads_forgotten: has_forgotten };
            self.show(global, &look)?;
            if !self.watch {
                return Ok(Exit::Ok);
            }
            before = Some((at, look));
            std::thread::sleep(LOOK);
        }
    }

    /// The uploads to show, in their order.
    fn uploads(&self, index: &UploadIndex, topologies: &[Topology]) -> Listed {
        let is_of = |name: &str| topologies.iter().any(|topology| *topology.name == *name);
        match self.open {
            true => index.open(is_of, self.limit),
            false => index.latest(is_of, self.limit),
        }
    }

    fn show(&self, global: &Global, look: &Look) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        if global.json {
            // One document a line under --watch, so that a program can read them one by one.
            writeln!(stdout, "{}", if self.watch { json_line(look) } else { json(look) })?;
        } else {
            let clear = if self.watch && stdout.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
            write!(stdout, "{clear}{}", table(look, now_ms())?)?;
        }
        Ok(stdout.flush()?)
    }
}

/// Waits until the status topics are read as they were in the beginning.
fn wait_for(index: &UploadIndex) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !index.has_caught_up() {
        if begun.elapsed() > CATCH_UP {
            anyhow::bail!("the status topics could not be read within {} s", CATCH_UP.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn standing(client: &KafkaClient, topology: &Topology, standby: Option<u32>) -> Result<Standing, TransportError> {
    let topics = topology.read_topics();
    let mut all = Vec::new();
    for topic in &topics {
        let partitions = 0..client.partitions(topic)?;
        all.extend(partitions.map(|partition| TopicPartition { topic: topic.clone(), partition }));
    }
    let mut committed = client.group(&topology.name).fetch_committed(all.iter().cloned())?;
    let Roster { ours, foreign } = client.members(&topology.name)?;
    let standby = topology.standbys(standby);
    let mut partitions = Vec::new();
    for at in all {
        let bounds = client.bounds(&at)?;
        let committed = match committed.remove(&at) {
            Some(Committed::Ours(progress)) => Some(progress.next),
            Some(Committed::Reset(offset)) => Some(offset),
            Some(Committed::None) | None => None,
        };
        let lag = (bounds.end.0 - committed.unwrap_or(bounds.start).0).max(0);
        let committed = committed.map(|offset| offset.0);
        let topic = (topics.len() > 1).then(|| at.topic.to_string());
        let owner = ours.iter().find(|holder| holder.partitions.contains(&at)).map(|holder| holder.name.to_string());
        let standbys = standbys_of(&at, &ours, standby).iter().map(|holder| holder.name.to_string()).collect();
        let (partition, end) = (at.partition, bounds.end.0);
        partitions.push(Partition { topic, partition, committed, end, lag, owner, standbys });
    }
    let lag = partitions.iter().map(|partition| partition.lag).sum();
    let name = topology.name.to_string();
    Ok(Standing { name, lag, records_per_second: None, partitions, foreign_members: foreign })
}

/// Computes the rates from the commits since the look before.
fn rate(now: &mut [Standing], before: &[Standing], since: Duration) {
    let processed = |standing: &Standing| -> i64 { standing.partitions.iter().filter_map(|p| p.committed).sum() };
    for (now, before) in now.iter_mut().zip(before) {
        now.records_per_second = Some((processed(now) - processed(before)).max(0) as f64 / since.as_secs_f64());
    }
}

/// The look as plain text: columns two blanks apart, no colours, nothing that depends on the terminal. `now_ms` is in milliseconds since 1970.
fn table(look: &Look, now_ms: i64) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let mut rows = vec![["TOPOLOGY", "PARTITION", "COMMITTED", "END", "LAG", "OWNER", "STANDBY"].map(str::to_owned)];
    for standing in &look.topologies {
        for at in &standing.partitions {
            let committed = at.committed.map_or("-".to_owned(), |offset| offset.to_string());
            let partition = match &at.topic {
                Some(topic) => format!("{topic}-{}", at.partition),
                None => at.partition.to_string(),
            };
            let owner = at.owner.as_deref().map_or("-".to_owned(), shown);
            let standbys = if at.standbys.is_empty() { "-".to_owned() } else { shown(&at.standbys.join(", ")) };
            let (end, lag) = (at.end.to_string(), at.lag.to_string());
            rows.push([standing.name.clone(), partition, committed, end, lag, owner, standbys]);
        }
        if let Some(rate) = standing.records_per_second {
            writeln!(text, "{}: {rate:.0} records/s, {} to go", standing.name, standing.lag)?;
        }
    }
    text += &columns(&rows);
    for standing in &look.topologies {
        for member in &standing.foreign_members {
            let (name, member) = (&standing.name, shown(&member.to_string()));
            writeln!(text, "{name}: {member} and is no sheetstream: give it a group of its own")?;
        }
    }
    let mut rows = vec![
        ["STATE", "UPDATED", "REVISION", "ROWS", "OF", "REJECTED", "VOIDED", "ROWS/S", "LEFT", "CRS", "UPLOAD", "NAME"]
            .map(str::to_owned),
    ];
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    for upload in &look.uploads {
        let state = serde_json::to_value(upload.state).ok();
        let left = upload.estimated_end_ms.map(|end| (end - upload.updated_at_ms).max(0) as u64 / 1_000);
        let quiet = Duration::from_millis((now_ms - upload.updated_at_ms).max(0) as u64);
        rows.push([
            state.as_ref().and_then(|state| state.as_str()).unwrap_or("-").to_owned(),
            format!("{:#} ago", HumanDuration(quiet)),
            number(upload.revision.map(u64::from)),
            upload.accounting.distinct().to_string(),
            number(upload.rows_announced),
            upload.accounting.rejected.to_string(),
            upload.accounting.voided.to_string(),
            number(upload.rows_per_second.map(|rate| rate as u64)),
            left.map_or("-".to_owned(), |seconds| format!("{seconds} s")),
            shown(upload.crs.as_deref().unwrap_or("-")),
            shown(&upload.id),
            shown(upload.name.as_deref().unwrap_or("-")),
        ]);
    }
    text.push('\n');
    text += &columns(&rows);
    for upload in &look.uploads {
        if let Some(failure) = &upload.failure {
            writeln!(text, "{}: {}: {}", shown(&upload.id), shown(&failure.reason), shown(&failure.message))?;
        }
    }
    if look.uploads_more > 0 {
        writeln!(text, "{} more; --limit shows them", look.uploads_more)?;
    }
    if look.uploads_forgotten {
        writeln!(text, "there are others: those without news for longest are in the status topic only")?;
    }
    Ok(text)
}

fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| columns_of(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| cell.clone() + &" ".repeat(width - columns_of(cell))).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use sheetstream::record::{Accounting, Offset, Record};
    use sheetstream::sink::status::{StatusOffsets, StatusRecord, UploadState};

    #[test]
    fn rows_are_those_of_the_attempt_that_counts_and_the_age_is_that_of_the_last_news() {
        let status = StatusRecord {
            state: UploadState::Published,
            upload: "a.csv".into(),
            revision: 2,
            name: None,
            rows_announced: Some(2),
            crs: None,
            traceparent: None,
            topology: "t".into(),
            topology_hash: "h".into(),
            partition: 0,
            offsets: StatusOffsets { first: Offset(0), completion: Some(Offset(4)), leader_epoch: None },
            topic_id: None,
            accounting: Accounting { rows_in: 3, written: 2, voided: 1, ..Accounting::default() },
            header: None,
            rows_sha256: None,
            cuts: None,
            workbook: None,
            failure: None,
        };
        let index = UploadIndex::default();
        let value = Some(status.to_record(&"t.status".into()).value);
        index.take(&Record { value, timestamp_ms: 1_000, ..Record::default() });
        let uploads = index.latest(|_| true, 1).uploads;
        let look = Look { topologies: vec![], uploads, uploads_more: 3, uploads_forgotten: true };
        let table = table(&look, 1_000 + 3 * 3_600_000).expect("text");
        let [.., line, more, forgotten] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
        assert_eq!(more, "3 more; --limit shows them");
        assert!(forgotten.contains("without news for longest"), "{forgotten}");
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[..7], ["PUBLISHED", "3h ago", "2", "2", "2", "0", "1"], "{table}");
    }

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let rows = [["A", "B"], ["서울", "1"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "A     B\n서울  1\n");
    }
}

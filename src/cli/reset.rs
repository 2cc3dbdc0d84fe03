//! `reset`: sets the offset at which a topology begins again. Options are named as those of Kafka's `kafka-streams-application-reset`.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args};
use serde_json::json;
use sheetstream::client::reset::{Reset as Plan, Target, apply, plan, put_out};
use sheetstream::record::{TaskId, TopicPartition};
use sheetstream::state::keys::TaskHash;
use sheetstream::state::{StateDir, StateOptions};
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::patience::Patience;
use super::topologies::OneTopology;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream reset topology/seoul-markets.toml --dry-run          what would be set, and nothing else
  sheetstream reset topology/seoul-markets.toml --to-earliest --state-dir state
  sheetstream reset topology/seoul-markets.toml --by-duration P1DT12H
  sheetstream reset topology/seoul-markets.toml --from-file offsets.csv --force

Stop every instance first: a group with members cannot be reset. Uploads behind the new offset are
processed again: under the same topology they are answered with the revision that is there, under
another one they become the next revision.
";

/// Set where a topology reads its source topic, and drop its local state
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
#[command(group(ArgGroup::new("target").multiple(false)))]
pub(crate) struct Reset {
    #[command(flatten)]
    topology: OneTopology,
    /// To the first record that the topic holds; the default
    #[arg(long, group = "target")]
    to_earliest: bool,
    /// To the end of the topic: records that are there already are not processed
    #[arg(long, group = "target")]
    to_latest: bool,
    /// To this offset, in every partition
    #[arg(long, group = "target", value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// To the first record from this moment on, as 2026-11-28T09:30:00, which is UTC, or with +09:00
    #[arg(long, group = "target", value_name = "DATETIME", value_parser = moment)]
    to_datetime: Option<i64>,
    /// To the first record within the last period, as P1DT12H30M
    #[arg(long, group = "target", value_name = "DURATION", value_parser = duration)]
    by_duration: Option<Duration>,
    /// By this number of records from the present offset, backwards if negative
    #[arg(long, group = "target", value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the offsets in this file, each line TOPIC,PARTITION,OFFSET; other partitions stay where they are
    #[arg(long, group = "target", value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Put members that are left over out of the group first. One that is alive comes back within 20 s, which are waited for; then nothing
    /// is reset
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Say what would be set, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// State directory whose state of the topology is removed as well; without it the next start drops it
    #[arg(long, env = "SHEETSTREAM_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

impl Reset {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = Topology::load(self.topology.path())?;
        let target = self.target()?;
        self.patience.run(self.broker.config("sheetstream-reset")?, |client| {
            let resets = plan(client, &topology, &target)?;
            check_listed(&target, &resets)?;
            if !self.dry_run {
                // The directory first: while a process holds it, nothing is reset and nobody is put out.
                let state = self.state_dir.as_ref().filter(|dir| dir.exists());
                let state = state.map(|dir| StateDir::open(dir, StateOptions::default())).transpose()?;
                if self.force && put_out(client, &topology)? {
                    let group = &topology.name;
                    anyhow::bail!("a member of group {group} is alive and has come back; stop every instance");
                }
                apply(client, &topology, &resets).with_context(|| {
                    format!("group {} cannot be reset while it has members; stop every instance", topology.name)
                })?;
                if let Some(state) = state {
                    for reset in &resets {
                        let task = TaskId { topology: topology.name.clone(), source: None, partition: reset.partition };
                        state.remove(TaskHash::of(&task))?;
                    }
                    state.close()?;
                }
            }
            self.show(global, &topology, &resets)
        })
    }

    fn target(&self) -> anyhow::Result<Target> {
        let each = self.from_file.as_ref().map(|file| read_offsets(file)).transpose()?;
        let targets = [
            self.to_latest.then_some(Target::Latest),
            self.to_offset.map(Target::Offset),
            self.to_datetime.map(Target::Moment),
            self.by_duration.map(Target::Ago),
            self.shift_by.map(Target::ShiftBy),
            each.map(Target::Each),
        ];
        Ok(targets.into_iter().flatten().next().unwrap_or(Target::Earliest))
    }

    fn show(&self, global: &Global, topology: &Topology, resets: &[Plan]) -> anyhow::Result<Exit> {
        let mut out = out::stdout();
        if global.json {
            let (name, topic) = (&*topology.name, &*topology.source.topic);
            writeln!(
                out,
                "{:#}",
                json!({ "topology": name, "topic": topic, "dry_run": self.dry_run, "partitions": resets })
            )?;
            return Ok(Exit::Ok);
        }
        let verb = if self.dry_run { "would be set" } else { "set" };
        for reset in resets {
            let from = reset.from.map_or("nothing".to_owned(), |from| from.to_string());
            let (partition, to, start, end) = (reset.partition, reset.to, reset.log_start, reset.log_end);
            let topic = &reset.topic;
            writeln!(out, "{topic}-{partition}: {verb} from {from} to {to} (the log holds {start} to {end})")?;
        }
        Ok(Exit::Ok)
    }
}

/// The offsets of a file, as Kafka's tool takes them.
fn read_offsets(file: &Path) -> anyhow::Result<HashMap<TopicPartition, i64>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut offsets = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", file.display(), number + 1);
        let (at, offset) = read_offset(line).with_context(|| format!("{place}: write it as TOPIC,PARTITION,OFFSET"))?;
        anyhow::ensure!(offsets.insert(at.clone(), offset).is_none(), "{place}: {at} is there twice");
    }
    anyhow::ensure!(!offsets.is_empty(), "{}: it has no line TOPIC,PARTITION,OFFSET", file.display());
    Ok(offsets)
}

fn read_offset(line: &str) -> Option<(TopicPartition, i64)> {
    let [topic, partition, offset] = line.split(',').map(str::trim).collect::<Vec<_>>()[..] else { return None };
    let offset = offset.parse().ok().filter(|offset| *offset >= 0)?;
    Some((TopicPartition { topic: topic.into(), partition: partition.parse().ok()? }, offset))
}

/// What is listed and is no partition of the topology would be passed over silently.
fn check_listed(target: &Target, resets: &[Plan]) -> anyhow::Result<()> {
    let Target::Each(offsets) = target else { return Ok(()) };
    let is_set = |at: &TopicPartition| resets.iter().any(|to| *to.topic == *at.topic && to.partition == at.partition);
    match offsets.keys().find(|at| !is_set(at)) {
        Some(at) => anyhow::bail!("{at} is no partition of a source topic of this topology"),
        None => Ok(()),
    }
}

/// A moment in milliseconds since 1970 (RFC 3339); without a zone in UTC, as Kafka's tool takes it.
fn moment(text: &str) -> Result<i64, String> {
    read_moment(text)
        .ok_or_else(|| "write it as 2026-11-28T09:30:00, which is UTC, or with +09:00 behind it".to_owned())
}

fn read_moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let numbers = |text: &str, by: char| -> Option<Vec<i64>> { text.split(by).map(|n| n.parse().ok()).collect() };
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (time, zone) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None if !time.contains(['+', '-']) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let [hours, minutes] = numbers(&time[at + 1..], ':')?[..] else { return None };
            let minutes = hours * 60 + minutes;
            (&time[..at], if time[at..].starts_with('-') { -minutes } else { minutes })
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?[..] else { return None };
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..24).contains(&hour) || !(0..60).contains(&minute)
    {
        return None;
    }
    // Howard Hinnant's days_from_civil (https://howardhinnant.github.io/date_algorithms.html).
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 3_600 + (minute - zone) * 60 + second) * 1_000 + millis)
}

/// `PnDTnHnMnS` (ISO 8601), as Kafka's tool takes it.
fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "write it as P1DT12H30M5S".to_owned())
}

fn read_duration(text: &str) -> Option<Duration> {
    let (days, rest) = text.strip_prefix('P')?.split_once('T').unwrap_or((&text[1..], ""));
    let mut seconds = 0_u64;
    let mut read = |mut text: &str, units: &[(char, u64)]| -> Option<()> {
        for (unit, length) in units {
            if let Some((number, behind)) = text.split_once(*unit) {
                seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*length)?)?;
                text = behind;
            }
        }
        text.is_empty().then_some(())
    };
    read(days, &[('D', 86_400)])?;
    read(rest, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_durations_are_read_as_kafka_writes_them() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2024-02-29T23:59:59.250Z", Some(1_709_251_199_250)),
            ("2026-11-28T18:30:00+09:00", Some(1_795_858_200_000)),
            ("2026-11-28", None),
            ("2026-13-28T18:30:00Z", None),
            ("1970-01-01T00:00:01.500", Some(1_500)),
        ] {
            assert_eq!(read_moment(text), ms, "{text}");
        }
        let at = |partition| TopicPartition { topic: "t.rows".into(), partition };
        assert_eq!(read_offset("t.rows, 2,70"), Some((at(2), 70)));
        assert!(
            ["t.rows,2", "t.rows,2,-1", "t.rows,x,1", "t.rows,1,2,3"].iter().all(|line| read_offset(line).is_none())
        );
        for (text, seconds) in [
            ("P1D", Some(86_400)),
            ("P1DT12H30M5S", Some(131_405)),
            ("PT90M", Some(5_400)),
            ("P", None),
            ("90m", None),
            ("PT5X", None),
        ] {
            assert_eq!(read_duration(text).map(|found| found.as_secs()), seconds, "{text}");
        }
    }
}

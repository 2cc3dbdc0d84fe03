//! `top`: shows a running process at a glance, again and again.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::Value;

use super::server::Server;
use super::shown::shown;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream top
  sheetstream top --server http://10.0.0.7:8080 --every 5
  sheetstream top --once
";

/// Uploads that are shown.
const UPLOADS: usize = 15;

/// Watch a running process: its topologies, partitions, uploads and rates, until Ctrl-C
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Top {
    /// Look once and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600), value_name = "SECONDS")]
    every: u64,
    #[command(flatten)]
    server: Server,
}

/// One line of the metrics.
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// The metrics at one moment.
struct Scrape {
    at: Instant,
    samples: Vec<Sample>,
}

impl Top {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        let mut before: Option<Scrape> = None;
        loop {
            let now = Scrape { at: Instant::now(), samples: samples(&self.server.ask("GET", "/metrics")?) };
            let topologies: Value = serde_json::from_str(&self.server.ask("GET", "/topologies")?)?;
            let uploads: Value = serde_json::from_str(&self.server.ask("GET", &format!("/uploads?limit={UPLOADS}"))?)?;
            let mut out = out::stdout();
            let clear = if !self.once && io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
            write!(out, "{clear}{}", screen(&now, before.as_ref(), &topologies, &uploads)?)?;
            out.flush()?;
            if self.once {
                return Ok(Exit::Ok);
            }
            before = Some(now);
            std::thread::sleep(Duration::from_secs(self.every));
        }
    }
}

impl Scrape {
    /// The sum of a metric over what has these labels; `None` when there is none.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.iter().any(|(l, v)| l == label && v == value))
        };
        self.samples.iter().filter(has).map(|sample| sample.value).reduce(|one, other| one + other)
    }

    /// How much it grew a second since the look before.
    fn rate(&self, before: Option<&Scrape>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let before = before?;
        let grown = self.sum(name, labels)? - before.sum(name, labels)?;
        Some((grown / self.at.duration_since(before.at).as_secs_f64().max(1e-3)).max(0.0))
    }
}

fn screen(
    now: &Scrape,
    before: Option<&Scrape>,
    topologies: &Value,
    uploads: &Value,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let number = |found: Option<f64>| found.map_or("-".to_owned(), |found| format!("{found:.0}"));
    let born = now.sum("process_start_time_seconds", &[]);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let memory = now.sum("process_resident_memory_bytes", &[]).map(|bytes| bytes / f64::from(1 << 20));
    let processors = now.rate(before, "process_cpu_seconds_total", &[]);
    writeln!(
        text,
        "up {} s, {} MiB, {} processors, {} files",
        number(born.map(|born| clock - born)),
        number(memory),
        processors.map_or("-".to_owned(), |used| format!("{used:.2}")),
        number(now.sum("process_open_fds", &[])),
    )?;
    writeln!(text)?;
    writeln!(
        text,
        "{:<28} {:<8} {:>6} {:>7} {:>10} {:>10} {:>9} {:>6} {:>9} {:>9}",
        "TOPOLOGY", "STATE", "ACTIVE", "STANDBY", "LAG", "ROWS/S", "REJECT/S", "OPEN", "PUBLISHED", "FAILED"
    )?;
    for topology in topologies.as_array().into_iter().flatten() {
        let name = topology["name"].as_str().unwrap_or("-");
        let of = [("topology", name)];
        let has_failed = now.sum("sheetstream_topology_failed", &of).is_some_and(|failed| failed > 0.0);
        let state = match topology["paused"].as_bool() {
            _ if has_failed => "FAILED",
            Some(true) => "PAUSED",
            Some(false) | None => "RUNNING",
        };
        let rows = now.rate(before, "sheetstream_rows_total", &of);
        let rejected = now.rate(before, "sheetstream_node_rows_rejected_total", &of);
        let ended = |outcome| now.sum("sheetstream_uploads_total", &[("topology", name), ("outcome", outcome)]);
        let tasks = |role: &'static str| {
            let tasks = topology["tasks"].as_array().into_iter().flatten();
            tasks.filter(move |task| task["role"] == role)
        };
        writeln!(
            text,
            "{:<28} {:<8} {:>6} {:>7} {:>10} {:>10} {:>9} {:>6} {:>9} {:>9}",
            shown(name),
            state,
            tasks("active").count(),
            tasks("standby").count(),
            number(now.sum("kafka_consumergroup_lag", &[("consumergroup", name)])),
            number(rows),
            number(rejected),
            number(now.sum("sheetstream_uploads_open", &of)),
            number(ended("published")),
            number(ended("failed")),
        )?;
        for sample in now.samples.iter().filter(|sample| sample.name == "kafka_consumergroup_lag") {
            let label = |wanted: &str| sample.labels.iter().find(|(l, _)| l == wanted).map(|(_, value)| value.as_str());
            if label("consumergroup") == Some(name) && sample.value > 0.0 {
                writeln!(
                    text,
                    "  partition {}: {:.0} records to go",
                    shown(label("partition").unwrap_or("-")),
                    sample.value
                )?;
            }
        }
        for task in tasks("standby") {
            let behind = task["lag"].as_i64().map_or("not read yet".to_owned(), |lag| format!("{lag} records behind"));
            writeln!(text, "  partition {}: standby, {behind}", task["partition"])?;
        }
    }
    if topologies.as_array().into_iter().flatten().any(|topology| topology["paused"] == true) {
        writeln!(text, "PAUSED is this process alone: other instances stay as they are")?;
    }
    writeln!(text)?;
    writeln!(text, "{:<10} {:>10} {:>9} {:>10}  NAME", "UPLOAD", "ROWS", "REJECTED", "ROWS/S")?;
    for upload in uploads["uploads"].as_array().into_iter().flatten() {
        let count = |count: &Value| count.as_f64().map_or("-".to_owned(), |count| format!("{count:.0}"));
        writeln!(
            text,
            "{:<10} {:>10} {:>9} {:>10}  {}",
            shown(upload["state"].as_str().unwrap_or("-")),
            count(&upload["accounting"]["rows_in"]),
            count(&upload["accounting"]["rejected"]),
            count(&upload["rows_per_second"]),
            shown(upload["name"].as_str().or(upload["id"].as_str()).unwrap_or("-")),
        )?;
    }
    Ok(text)
}

/// The lines of the Prometheus text format, comments left out.
fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = head.split_once('{') else {
        return Some(Sample { name: head.to_owned(), labels: Vec::new(), value });
    };
    let mut rest = labels.strip_suffix('}')?;
    let mut labels = Vec::new();
    while let Some((label, behind)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut characters = behind.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        };
        labels.push((label.trim_start_matches(',').to_owned(), text));
        rest = &behind[end..];
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a b\na 1\nb{x=\"1\",y=\"a \\\"b\\\" \\\\ \\n\"} 2.5\nb{x=\"2\",y=\"\"} 3\n";
        let scrape = Scrape { at: Instant::now(), samples: samples(text) };
        assert_eq!(scrape.sum("a", &[]), Some(1.0));
        assert_eq!(scrape.sum("b", &[]), Some(5.5));
        assert_eq!(scrape.sum("b", &[("y", "a \"b\" \\ \n")]), Some(2.5));
        assert_eq!(scrape.sum("c", &[]), None);
    }
}

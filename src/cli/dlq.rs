//! `dlq`: shows the dead letters of a topology, and publishes their uploads once more after a fix.

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Args, Subcommand};
use sheetstream::client::dead_letters::{self, Letter};
use sheetstream::kafka::KafkaClient;
use sheetstream::topology::Topology;

use super::broker::Broker;
use super::out::say;
use super::patience::Patience;
use super::reasons::known;
use super::replay;
use super::shown::{escaped, json, json_line, shown};
use super::topologies::OneTopology;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream dlq list topology/seoul-markets.toml
  sheetstream dlq show topology/seoul-markets.toml --upload seoul.csv
  sheetstream dlq retry topology/seoul-markets.toml --reason number.format     after the topology was mended
";

/// List and show dead letters, and process their uploads again after a fix
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How many dead letters there are, by upload and reason; of an upload those of its newest revision
    List(Selection),
    /// The dead letters themselves
    Show {
        #[command(flatten)]
        selection: Selection,
        /// Largest number of letters to show
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Process the uploads that have dead letters once more, into their next revisions, as `replay` does
    Retry {
        #[command(flatten)]
        selection: Selection,
        /// Say which uploads would be processed, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which letters.
#[derive(Args, Debug)]
struct Selection {
    #[command(flatten)]
    topology: OneTopology,
    /// Letters of this upload only
    #[arg(long, value_name = "ID")]
    upload: Option<String>,
    /// Letters with this reason code only
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    patience: Patience,
}

impl Selection {
    fn takes(&self, upload: Option<&str>, reason: &str) -> bool {
        self.upload.as_deref().is_none_or(|wanted| upload == Some(wanted))
            && self.reason.as_deref().is_none_or(|wanted| reason == wanted)
    }

    /// Says that there is nothing; an empty screen could be a mistake.
    fn say_none(&self) {
        let of = self.upload.as_deref().map(|upload| format!(" of {}", shown(upload))).unwrap_or_default();
        let with = self.reason.as_deref().map(|reason| format!(" with {reason}")).unwrap_or_default();
        say!("no dead letters{of}{with}");
    }

    fn run(&self, command: impl FnOnce(&KafkaClient, &Topology) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
        self.reason.as_deref().map(known).transpose()?;
        let topology = Topology::load(self.topology.path())?;
        self.patience.run(self.broker.config("sheetstream-dlq")?, |client| command(client, &topology))
    }
}

impl Dlq {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        match &self.command {
            Command::List(selection) => selection.run(|client, topology| list(global, client, topology, selection)),
            Command::Show { selection, limit } => {
                selection.run(|client, topology| show(global, client, topology, selection, *limit))
            }
            Command::Retry { selection, dry_run } => {
                selection.run(|client, topology| retry(global, client, topology, selection, *dry_run))
            }
        }
    }
}

fn list(global: &Global, client: &KafkaClient, topology: &Topology, selection: &Selection) -> anyhow::Result<Exit> {
    let mut piles = dead_letters::piles(client, topology)?;
    piles.retain(|pile| selection.takes(pile.upload.as_deref(), &pile.reason));
    let mut out = out::stdout();
    if global.json {
        writeln!(out, "{}", json(&piles))?;
        return Ok(Exit::Ok);
    }
    if piles.is_empty() {
        selection.say_none();
    }
    for pile in piles {
        let upload = pile.upload.as_deref().map_or("-".to_owned(), shown);
        writeln!(out, "{:>8}  {}  {upload}: {}", pile.letters, shown(&pile.reason), shown(&pile.message))?;
    }
    Ok(Exit::Ok)
}

fn show(
    global: &Global,
    client: &KafkaClient,
    topology: &Topology,
    selection: &Selection,
    limit: usize,
) -> anyhow::Result<Exit> {
    let mut found: Vec<Letter> = Vec::new();
    let mut more = 0_u64;
    dead_letters::read(client, topology, &mut |letter| {
        if !selection.takes(letter.upload.as_deref(), &letter.reject.reason) {
        } else if found.len() < limit {
            found.push(letter);
        } else {
            more += 1;
        }
    })?;
    if found.is_empty() && more == 0 {
        selection.say_none();
    }
    let mut out = out::stdout();
    for letter in &found {
        if global.json {
            writeln!(out, "{}", json_line(letter))?;
            continue;
        }
        let reject = &letter.reject;
        let upload = letter.upload.as_deref().map_or("-".to_owned(), shown);
        let row = reject.row.map(|row| format!(" row {row}")).unwrap_or_default();
        let column = reject.column.as_deref().map(|column| format!(" column {}", shown(column))).unwrap_or_default();
        let line = reject.line.map(|line| format!("line {line} of ")).unwrap_or_default();
        let topic = shown(&letter.topic);
        writeln!(out, "{upload}{row}{column}, {line}offset {} of {topic}-{}", letter.offset, letter.partition)?;
        writeln!(out, "  {}: {}", shown(&reject.reason), escaped(&reject.message))?;
        writeln!(out, "  {}{}", escaped(&reject.raw), if reject.is_clipped { "…" } else { "" })?;
    }
    if more > 0 {
        say!("{more} more; --limit shows them");
    }
    Ok(Exit::Ok)
}

fn retry(
    global: &Global,
    client: &KafkaClient,
    topology: &Topology,
    selection: &Selection,
    dry_run: bool,
) -> anyhow::Result<Exit> {
    let mut uploads = BTreeSet::new();
    dead_letters::read(client, topology, &mut |letter| {
        if selection.takes(letter.upload.as_deref(), &letter.reject.reason) {
            uploads.extend(letter.upload);
        }
    })?;
    if uploads.is_empty() {
        selection.say_none();
    }
    let mut exit = Exit::Ok;
    for upload in uploads {
        // One that cannot be, because it is open or gone, holds up no other.
        if let Err(error) = replay::again(global, client, topology, &[upload], dry_run) {
            super::complain(&error);
            exit = Exit::Failure;
        }
    }
    Ok(exit)
}

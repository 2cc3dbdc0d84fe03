//! `watch`: files that are put into a folder become uploads, and their workbooks come back beside them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use sheetstream::client::inbox::Inbox;
use sheetstream::client::publish::check_takes_files;
use sheetstream::client::watch::{FolderWatch, WatchError, WatchEvent};
use sheetstream::kafka::KafkaClient;
use sheetstream::record::counted;
use sheetstream::topology::Topology;
use sheetstream::transport::TransportError;

use super::broker::Broker;
use super::input::Input;
use super::out::say;
use super::run::stop_on_signal;
use super::shown::{json_line, shown};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream watch inbox -t topology/facilities.toml              until Ctrl-C; the topology runs elsewhere
  sheetstream watch inbox -t topology/facilities.toml --once       what is there now, for cron
  cp export.csv inbox/.export.csv && mv inbox/.export.csv inbox/export.csv     never half a file

  inbox/export.csv           is published when it is whole
  inbox/done/export.csv      and export.xlsx: it has its workbook
  inbox/failed/export.csv    and export.csv.txt, which says why there is none
";

/// Between two looks at the folder.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks when the cluster does not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two words about records that nobody processes.
const REMIND: Duration = Duration::from_secs(60);

/// Watch a folder: publish each file that is put there, once, and fetch its workbook; a restart continues where it was
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Folder that files are put into
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Topology file; it runs elsewhere
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: PathBuf,
    /// End when every file that is there has its workbook or failed; exits with 65 when one failed
    #[arg(long)]
    once: bool,
    /// How long a file must stay as it is to count as whole, in milliseconds; a file that is renamed into the folder is whole at once
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    settle_ms: u64,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    broker: Broker,
}

impl Watch {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let stop = stop_on_signal()?;
        let topology = Topology::load(&self.topology)?;
        check_takes_files(&topology)?;
        let crs = self.input.crs(Some(&topology))?.map(str::to_owned);
        let inbox = Inbox::open(&self.folder, Duration::from_millis(self.settle_ms)).map_err(WatchError::from)?;
        let runtime = super::io_runtime()?;
        let client = KafkaClient::new(runtime.handle().clone(), self.broker.config("sheetstream-watch")?);
        let open = Box::new(|path: &std::path::Path| self.input.read(path, Some(&topology.source)));
        let mut watch = FolderWatch::begin(&client, &topology, inbox, open, crs)?;
        say!("watch: files put into {} are published to {}", self.folder.display(), topology.source.topic);
        self.watch(global, &mut watch, &stop)
    }

    fn watch(&self, global: &Global, watch: &mut FolderWatch<'_>, stop: &AtomicBool) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let (mut exit, mut reminded) = (Exit::Ok, Instant::now());
        while !stop.load(Ordering::Relaxed) {
            let mut pause = LOOK;
            let looked = watch.look(&mut |event| {
                if let WatchEvent::Failed { .. } = event {
                    exit = Exit::DataRejected;
                }
                report(global, &event);
                reminded = Instant::now();
            });
            match looked {
                Ok(()) => {}
                Err(WatchError::Transport(error @ TransportError::Unavailable(_))) => {
                    say!("warning: {error}; trying again");
                    pause = PAUSE;
                }
                Err(error) => return Err(error.into()),
            }
            let has_settled = begun.elapsed() > Duration::from_millis(self.settle_ms) + LOOK;
            if self.once && watch.is_idle() && has_settled {
                return Ok(exit);
            }
            if !watch.is_idle() && reminded.elapsed() > REMIND {
                say!("watch: {} records are not processed yet: does the topology run?", watch.behind());
                reminded = Instant::now();
            }
            std::thread::sleep(pause);
        }
        Ok(Exit::Ok)
    }
}

fn report(global: &Global, event: &WatchEvent) {
    let (line, json) = match event {
        WatchEvent::Published { name, rows: None } => {
            (format!("{}: was published before", shown(name)), json!({ "file": name, "event": "published" }))
        }
        WatchEvent::Published { name, rows: Some(rows) } => (
            format!("{}: {} published", shown(name), counted(*rows, "row")),
            json!({ "file": name, "event": "published", "rows": rows }),
        ),
        WatchEvent::Done { name, workbook, accounting } => {
            let path = workbook.display();
            let (written, rejected) = (accounting.written, accounting.rejected);
            let json = json!({ "file": name, "event": "done", "workbook": path.to_string(), "accounting": accounting });
            let written = counted(written, "row");
            (format!("{}: {written} written, {rejected} rejected: {path}", shown(name)), json)
        }
        WatchEvent::Failed { name, why, moved } => {
            let json = json!({ "file": name, "event": "failed", "why": why, "moved": moved.display().to_string() });
            (format!("{}: no workbook: {}; see {}", shown(name), shown(why), moved.display()), json)
        }
    };
    let line = if global.json { json_line(&json) } else { line };
    // A reader that went away takes nothing from the work.
    writeln!(out::stdout(), "{line}").ok();
}

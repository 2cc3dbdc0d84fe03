//! `plan`: shows the outcome of files, publishes nothing and leaves nothing behind.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use sheetstream::file::upload::UploadRecords;
use sheetstream::inspect::made::Made;
use sheetstream::record::counted;
use sheetstream::sink::preview::SheetPreview;
use sheetstream::topology::Topology;

use super::convert::rejected_lines;
use super::input::{Input, Progress, upload_name};
use super::shown::{json, shown};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream plan seoul.csv -t topology/facilities.toml
  sheetstream plan seoul.csv -t topology/facilities.toml --json | jq '.sheets[] | select(.rows > 100000)'
  sheetstream plan part-1.csv part-2.csv -t topology/facilities.toml --strict
";

/// Sheets that are listed; --json lists all.
const SHEETS_SHOWN: usize = 20;

/// Show the outcome of files beforehand: sheets, rows, rejects by reason, size and records of the workbook; no Kafka, no files left
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Plan {
    /// CSV or JSON files with the same columns; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Topology file
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: PathBuf,
    /// Exit with 65 when any row would be rejected; without it, only when all were
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    input: Input,
}

impl Plan {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = Topology::load(&self.topology)?;
        let lang = topology.sink.workbook.lang;
        let files = self.files.iter().map(|path| self.input.open(path, Some(&topology.source)));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = self.files.iter().map(|path| upload_name(path)).collect();
        let crs = self.input.crs(Some(&topology))?;
        let upload = UploadRecords::new(files, &names.join(" + "), "plan")?.with_crs(crs).unchecked();
        let record_bytes_max = topology.sink.record_bytes_max;
        let mut progress = Progress::new("plan");
        let made = Made::of(topology, upload, &mut |rows| progress.rows(rows))?;
        let took = progress.finish();
        let (sheets, _) = made.sheets(lang, 0, 0);
        let status = &made.converted.status;
        if global.json {
            let sheets: Vec<_> = sheets
                .iter()
                .map(|sheet| json!({ "name": sheet.name, "rows": sheet.rows, "columns": sheet.columns }))
                .collect();
            let all = json!({
                "status": status, "sheets": sheets, "rejected": made.converted.rejected, "seconds": took.as_secs_f64(),
            });
            writeln!(out::stdout(), "{}", json(&all))?;
        } else {
            report(&made, &sheets, record_bytes_max, took)?;
        }
        let rows = status.accounting;
        let is_rejected = rows.rejected > 0 && (self.strict || rows.written == 0);
        Ok(if status.failure.is_some() || is_rejected { Exit::DataRejected } else { Exit::Ok })
    }
}

fn report(made: &Made, sheets: &[SheetPreview], record_bytes_max: usize, took: Duration) -> anyhow::Result<()> {
    let mut out = out::stdout();
    let mut line = |label: &str, text: String| writeln!(out, "{label:<9} {text}");
    let status = &made.converted.status;
    if let Some(failure) = &status.failure {
        line("fails", format!("{}: {}", failure.reason, shown(&failure.message)))?;
    }
    let rows = status.accounting;
    line("rows", format!("{}: {} written, {} rejected", rows.rows_in, rows.written, rows.rejected))?;
    for rejected in rejected_lines(&made.converted) {
        line("", rejected)?;
    }
    line("sheets", sheets.len().to_string())?;
    for sheet in sheets.iter().take(SHEETS_SHOWN) {
        line("", format!("{}: {}", shown(&sheet.name), counted(sheet.rows, "row")))?;
    }
    if sheets.len() > SHEETS_SHOWN {
        line("", format!("and {} more; --json lists all", sheets.len() - SHEETS_SHOWN))?;
    }
    if let Some(workbook) = &status.workbook {
        let records = counted(workbook.chunks.into(), "record");
        line("workbook", format!("{} bytes, in {records} of {record_bytes_max} bytes at most", workbook.bytes))?;
    }
    let seconds = took.as_secs_f64();
    let rate = rows.rows_in as f64 / seconds.max(1e-3);
    line("time", format!("{seconds:.2} s here, {rate:.0} rows/s"))?;
    Ok(())
}

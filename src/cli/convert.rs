//! `convert`: runs a topology on files, without Kafka.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sheetstream::aggregate::ERRORS_MAX;
use sheetstream::file::upload::UploadRecords;
use sheetstream::record::{Lang, Reason, counted};
use sheetstream::runtime::convert::{Converted, convert};
use sheetstream::topology::Topology;
use tracing::subscriber::{NoSubscriber, with_default};

use super::exit::{Rejected, UsageError};
use super::found_topology::found_topology;
use super::input::{Input, Progress, upload_name};
use super::out::say;
use super::shown::{json, shown};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream convert list.csv -o list.xlsx           columns, sheets and CRS as they are found in the file
  sheetstream convert seoul.csv -t topology/seoul-markets.toml -o seoul.xlsx
  sheetstream convert part-1.csv part-2.csv -t topology/places-5179.toml -o places.xlsx --charset cp949
  sheetstream convert export.csv -t topology/seoul-markets.toml -o markets.xlsx --skip-lines 2 --strict
  sheetstream convert old.csv -t topology/places-5179.toml -o old.xlsx --crs EPSG:5181
  unzip -p markets.zip | sheetstream convert - -t topology/seoul-markets.toml -o - > markets.xlsx
";

/// Convert files of CSV or JSON to one workbook without Kafka: the same topology, the same bytes
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Convert {
    /// CSV or JSON files with the same columns; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Topology file [default: the one that `new --from FILE` writes]
    #[arg(short, long, value_name = "TOPOLOGY")]
    topology: Option<PathBuf>,
    /// Workbook to write; - is standard output
    #[arg(short, long, value_name = "BOOK.xlsx")]
    out: PathBuf,
    /// Replace the workbook if it exists
    #[arg(long)]
    force: bool,
    /// Exit with 65 when any row was rejected; without it, only when all were
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    input: Input,
}

impl Convert {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let topology = match &self.topology {
            Some(path) => Topology::load(path)?,
            None => found_topology(&self.files, &self.input)?,
        };
        let is_piped = self.out.as_os_str() == "-";
        if !is_piped {
            self.check_out()?;
        }
        // Standard output gets the workbook when it is whole, or nothing.
        let folder = is_piped.then(tempfile::tempdir).transpose()?;
        let path = folder.as_ref().map_or_else(|| self.out.clone(), |folder| folder.path().join("out.xlsx"));
        let files = self.files.iter().map(|path| self.input.open(path, Some(&topology.source)));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = self.files.iter().map(|path| upload_name(path)).collect();
        let upload = UploadRecords::new(files, &names.join(" + "), "convert")?
            .with_crs(self.input.crs(Some(&topology))?)
            .unchecked();

        let mut progress = Progress::new("convert");
        // The outcome of the upload is reported below, so the task's log adds nothing.
        let converted = with_default(NoSubscriber::default(), || {
            convert(topology, &names[0], upload, &path, &mut |rows| progress.rows(rows))
        })?;
        let seconds = progress.finish().as_secs_f64();

        let rows = converted.status.accounting;
        let out = self.out.display();
        if is_piped && converted.has_workbook {
            io::copy(&mut fs::File::open(&path)?, &mut out::stdout())?;
        } else if global.json {
            let workbook = converted.has_workbook.then(|| out.to_string());
            let all = json!({ "workbook": workbook, "status": converted.status });
            writeln!(out::stdout(), "{}", json(&all))?;
        }
        if let (false, Some(failure)) = (converted.has_workbook, &converted.status.failure) {
            return Err(Rejected(format!("no workbook: {}: {}", failure.reason, failure.message)).into());
        }
        let filtered = match rows.filtered {
            0 => String::new(),
            filtered => format!(", {filtered} left out by a filter"),
        };
        say!("{} written, {} rejected{filtered}, {seconds:.2} s", counted(rows.written, "row"), rows.rejected);
        rejected_lines(&converted).for_each(|line| say!("  {line}"));
        if rows.rejected > u64::from(ERRORS_MAX) {
            say!("  the sheet of errors lists the first {ERRORS_MAX} rejected rows");
        }
        if rows.distant > 0 {
            let (are, them) = if rows.distant == 1 { ("is", "its") } else { ("are", "their") };
            let distant = counted(rows.distant, "row");
            say!("  {distant} {are} far outside the area that the target CRS is for: look at {them} coordinates");
        }
        if rows.unplaced > 0 {
            let have = if rows.unplaced == 1 { "has" } else { "have" };
            say!("  {} {have} no coordinates: the columns of the target CRS are blank", counted(rows.unplaced, "row"));
        }
        let all_rejected = rows.written + rows.filtered == 0 && rows.rejected > 0;
        if all_rejected {
            say!("warning: no row was written, all {} were rejected", rows.rejected);
        } else if rows.rows_in == 0 {
            say!("warning: there is no row below the header");
        }
        if !global.json && !is_piped {
            writeln!(out::stdout(), "{out}")?;
        }
        Ok(if all_rejected || (self.strict && rows.rejected > 0) { Exit::DataRejected } else { Exit::Ok })
    }

    /// Whether the workbook may be written where it is wanted.
    fn check_out(&self) -> anyhow::Result<()> {
        let out = self.out.display();
        let is_xlsx = self.out.extension().is_some_and(|it| it.eq_ignore_ascii_case("xlsx"));
        // Excel warns of a file whose ending is not what it is, and so does whoever mistakes an option for a file.
        if self.out.extension().is_some() && !is_xlsx {
            return Err(UsageError(format!(
                "{out} does not end with .xlsx, and a workbook is written; -o - writes to standard output"
            ))
            .into());
        }
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::read_dir(folder).with_context(|| format!("folder {}", folder.display()))?;
        }
        let refused = match fs::metadata(&self.out) {
            Err(_) => return Ok(()),
            Ok(found) if !found.is_file() => {
                "is no regular file, and is not replaced by one; -o - writes to standard output"
            }
            Ok(_) if !self.force => "exists; --force replaces it",
            Ok(_) => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{out} {refused}")).into())
    }
}

/// For each reason code: how many rows were rejected, what to do, and the first of them.
pub(super) fn rejected_lines(converted: &Converted) -> impl Iterator<Item = String> {
    converted.rejected.iter().flat_map(|(reason, count)| {
        let explained = Reason::of_code(reason).map_or(String::new(), |reason| reason.explain(Lang::En));
        let first = converted.first_rejected.get(reason).map(|first| format!("  {}", shown(first)));
        [Some(format!("{count} {reason}: {explained}")), first].into_iter().flatten()
    })
}

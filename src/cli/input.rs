//! Options of the commands that read files of rows, and the bar that shows how far they are.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use sheetstream::crs::with_authority;
use sheetstream::file::reader::CsvFile;
use sheetstream::file::{FileError, Options};
use sheetstream::inspect::reading::Reading;
use sheetstream::map::OwnCrs;
use sheetstream::source::charset::Charset;
use sheetstream::source::delimiter::parse_delimiter;
use sheetstream::source::{Format, SourceConfig};
use sheetstream::topology::Topology;

use super::colours;
use super::exit::UsageError;
use super::out::say;
use super::shown::shown;

/// How to read files of rows.
#[derive(Args, Debug)]
pub(super) struct Input {
    /// Format of the files: csv or json (NDJSON, arrays, pretty-printed) [default: the topology's format, else found in the file]
    #[arg(help_heading = "How files are read", long, value_parser = format, value_name = "FORMAT")]
    format: Option<Format>,
    /// Charset, by any name: utf-8, cp949, utf-16le, windows-1252, shift_jis, gbk and so on [default: found in the file]
    #[arg(help_heading = "How files are read", long, value_name = "CHARSET")]
    charset: Option<Charset>,
    /// Field delimiter: one character, or "tab" [default: the topology's, else found in the file]
    #[arg(help_heading = "How files are read", long, value_parser = delimiter, value_name = "CHARACTER")]
    delimiter: Option<u8>,
    /// The first row is data: the columns are those that the topology declares, else column_1, column_2 and so on
    #[arg(help_heading = "How files are read", long)]
    no_header: bool,
    /// Lines above the header to leave out [default: the topology's skip_lines, else found by the columns that it needs]
    #[arg(help_heading = "How files are read", long, value_name = "LINES")]
    skip_lines: Option<u32>,
    /// Sheet of a workbook (.xlsx, .xls) whose rows are taken [default: its first visible one with a table], or file of a zip archive [default: the only one]
    #[arg(help_heading = "How files are read", long, value_name = "NAME")]
    worksheet: Option<String>,
    /// CRS of these coordinates, such as EPSG:5181 or 5181 [default: the topology's]
    #[arg(help_heading = "How files are read", long, value_parser = crs, value_name = "CRS")]
    crs: Option<String>,
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "csv" => Ok(Format::Csv),
        "json" | "ndjson" => Ok(Format::Json),
        _ => Err("csv or json".to_owned()),
    }
}

/// Reads a CRS; whether there is such a one is for PROJ to say.
pub(super) fn crs(text: &str) -> Result<String, Infallible> {
    Ok(with_authority(text))
}

fn delimiter(text: &str) -> Result<u8, String> {
    parse_delimiter(text).ok_or_else(|| "one ASCII character, or \"tab\"".to_owned())
}

impl Input {
    /// CRS of the coordinates, if it is not the topology's; one that the topology cannot use is refused here.
    pub(super) fn crs(&self, topology: Option<&Topology>) -> anyhow::Result<Option<&str>> {
        if let (Some(crs), Some(topology)) = (&self.crs, topology) {
            let found = OwnCrs::new(&topology.maps).pairs(crs);
            found.map_err(|rejection| UsageError(format!("--crs {crs}: {}", rejection.message)))?;
        }
        Ok(self.crs.as_deref())
    }

    /// How a file is read whose topology is not known yet.
    pub(super) fn reading(&self) -> Reading {
        let header_line = if self.no_header { Some(0) } else { self.skip_lines.map(|lines| lines + 1) };
        Reading { charset: self.charset, delimiter: self.delimiter, header_line }
    }

    /// The sheet of a workbook, or the file of an archive, that is taken.
    pub(super) fn worksheet(&self) -> Option<&str> {
        self.worksheet.as_deref()
    }

    /// Opens a file, `-` for standard input, as `source` wants it read, and says what was found in it.
    pub(super) fn open(&self, path: &Path, source: Option<&SourceConfig>) -> anyhow::Result<CsvFile> {
        if source.is_none() && self.no_header {
            return Err(UsageError("--no-header needs --topology, which says what the columns are".to_owned()).into());
        }
        let file = self.read(path, source).with_context(|| path.display().to_string())?;
        let name = path.display().to_string();
        say!("{}: {}", shown(&name), file.description());
        file.notes().iter().for_each(|note| say!("{}: {note}", shown(&name)));
        Ok(file)
    }

    /// The same without a word.
    pub(super) fn read(&self, path: &Path, source: Option<&SourceConfig>) -> Result<CsvFile, FileError> {
        let read_as = source.map_or_else(|| Options::for_topic(""), Options::for_source);
        let options = Options {
            format: self.format,
            charset: self.charset,
            delimiter: self.delimiter,
            no_header: self.no_header,
            skip_lines: self.skip_lines,
            worksheet: self.worksheet.clone(),
            ..read_as
        };
        match path.to_str() {
            Some("-") => CsvFile::from_reader(Box::new(io::stdin()), options),
            _ => CsvFile::open(path, options),
        }
    }
}

/// The name that a file gives its upload.
pub(super) fn upload_name(path: &Path) -> String {
    match path.file_name() {
        Some(name) if path != "-" => name.to_string_lossy().into_owned(),
        _ => "stdin.csv".to_owned(),
    }
}

/// Rows and rows a second: a moving line on a terminal, a plain line every five seconds elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    shown_at: Instant,
    is_terminal: bool,
    rows: u64,
}

impl Progress {
    pub(super) fn new(what: &str) -> Progress {
        let is_terminal = colours(&io::stderr());
        let bar = ProgressBar::with_draw_target(
            None,
            if is_terminal { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows, {rate}, {elapsed}") {
            let rate = |state: &ProgressState, into: &mut dyn std::fmt::Write| {
                // A string takes everything.
                write!(into, "{:.0} rows/s", state.per_sec()).ok();
            };
            bar.set_style(style.with_key("rate", rate));
        }
        bar.set_message(shown(what));
        let now = Instant::now();
        Progress { bar, begun: now, shown_at: now, is_terminal, rows: 0 }
    }

    pub(super) fn rows(&mut self, rows: u64) {
        self.rows = self.rows.max(rows);
        self.bar.set_position(self.rows);
        if !self.is_terminal && self.shown_at.elapsed() >= Duration::from_secs(5) {
            self.shown_at = Instant::now();
            say!("{}: {} rows", self.bar.message(), self.rows);
        }
    }

    /// Ends the line; the time taken comes back.
    pub(super) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.begun.elapsed()
    }
}

//! Options of the commands that read CSV files, and the bar that shows how far they are.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sheetstream::file::reader::{CsvFile, Options};
use sheetstream::map::OwnCrs;
use sheetstream::source::encoding::Charset;
use sheetstream::topology::Topology;

use super::colours;
use super::shown::shown;

/// How to read CSV files.
#[derive(Args, Debug)]
pub struct Input {
    /// Charset [default: found in the file]
    #[arg(long, value_enum, value_name = "CHARSET")]
    charset: Option<CharsetName>,
    /// Field delimiter: one character, or "tab" [default: found in the file]
    #[arg(long, value_parser = delimiter, value_name = "CHARACTER")]
    delimiter: Option<u8>,
    /// CRS of these coordinates, such as EPSG:5181 [default: the topology's]
    #[arg(long, value_name = "CRS")]
    crs: Option<String>,
}

/// Charsets by the names people give them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CharsetName {
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    /// EUC-KR with its extension, windows-949
    #[value(name = "cp949", aliases = ["euc-kr", "windows-949", "ms949", "uhc"])]
    Cp949,
    #[value(name = "utf-16le")]
    Utf16Le,
    #[value(name = "utf-16be")]
    Utf16Be,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        b"tab" | b"\\t" => Ok(b'\t'),
        _ => Err("one ASCII character, or \"tab\"".to_owned()),
    }
}

impl Input {
    /// CRS of the coordinates, if it is not the topology's; one that the topology cannot use is refused here.
    pub fn crs(&self, topology: Option<&Topology>) -> anyhow::Result<Option<&str>> {
        if let (Some(crs), Some(topology)) = (&self.crs, topology) {
            let found = OwnCrs::new(&topology.maps).operations(crs);
            found.map_err(|rejection| anyhow::anyhow!("--crs {crs}: {}", rejection.message))?;
        }
        Ok(self.crs.as_deref())
    }

    /// Opens a file, `-` for standard input, and says what was found in it.
    pub fn open(&self, path: &Path) -> anyhow::Result<CsvFile> {
        let charset = self.charset.map(|name| match name {
            CharsetName::Utf8 => Charset::Utf8,
            CharsetName::Cp949 => Charset::EucKr,
            CharsetName::Utf16Le => Charset::Utf16Le,
            CharsetName::Utf16Be => Charset::Utf16Be,
        });
        let options = Options { charset, delimiter: self.delimiter, ..Options::default() };
        let file = match path.to_str() {
            Some("-") => CsvFile::from_reader(Box::new(io::stdin()), options),
            _ => CsvFile::open(path, options),
        };
        let file = file.with_context(|| path.display().to_string())?;
        eprintln!("{}: {}", shown(&path.display().to_string()), file.description());
        Ok(file)
    }
}

/// The name that a file gives its upload.
pub fn upload_name(path: &Path) -> String {
    match path.file_name() {
        Some(name) if path != "-" => name.to_string_lossy().into_owned(),
        _ => "stdin.csv".to_owned(),
    }
}

/// Rows and rows a second: a moving line on a terminal, a plain line every five seconds elsewhere.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    told: Instant,
    is_terminal: bool,
    rows: u64,
}

impl Progress {
    pub fn new(what: &str) -> Progress {
        let is_terminal = colours(&io::stderr());
        let bar = ProgressBar::with_draw_target(
            None,
            if is_terminal { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() },
        );
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows, {per_sec:.0}, {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(shown(what));
        let now = Instant::now();
        Progress { bar, begun: now, told: now, is_terminal, rows: 0 }
    }

    pub fn rows(&mut self, rows: u64) {
        self.rows = self.rows.max(rows);
        self.bar.set_position(self.rows);
        if !self.is_terminal && self.told.elapsed() >= Duration::from_secs(5) {
            self.told = Instant::now();
            eprintln!("{}: {} rows", self.bar.message(), self.rows);
        }
    }

    /// Ends the line; the time taken comes back.
    pub fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.begun.elapsed()
    }
}

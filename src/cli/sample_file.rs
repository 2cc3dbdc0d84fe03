//! Options of the commands that inspect the beginning of a file and read it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use sheetstream::file::Options;
use sheetstream::file::book::Several;
use sheetstream::file::reader::CsvFile;
use sheetstream::inspect::columns::blank_columns;
use sheetstream::inspect::draft::Draft;
use sheetstream::inspect::reading::{FileFacts, Reading};
use sheetstream::inspect::sample::Sample;
use sheetstream::inspect::table::{Suggestion, Table};
use sheetstream::inspect::trial::{Asked, Tried, try_file};
use sheetstream::inspect::types::{keep_fitting, shown_types};
use sheetstream::inspect::used_columns::UsedColumns;
use sheetstream::record::{ColumnType, Extras};

use super::input::upload_name;
use super::sample;

/// Bytes that are looked at.
const SAMPLE_BYTES: u64 = 1 << 20;

/// How the file is read.
#[derive(Args, Debug)]
pub(super) struct SampleFile {
    /// Charset, by any name [default: found in the file]
    #[arg(
        help_heading = "How the file is read",
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "CHARSET"
    )]
    charset: String,
    /// Field delimiter: one character, or "tab" [default: found in the file]
    #[arg(
        help_heading = "How the file is read",
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "CHARACTER"
    )]
    delimiter: String,
    /// Line of the header, from 1; 0 when the first line is data [default: found in the file]
    #[arg(
        help_heading = "How the file is read",
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "LINE"
    )]
    header_line: String,
    /// Sheet of a workbook (.xlsx, .xls) that is looked at [default: its first visible one with a table], or file of a zip archive [default: the only one]
    #[arg(help_heading = "How the file is read", long, value_name = "NAME")]
    worksheet: Option<String>,
}

/// The findings about a file.
pub(super) struct Found {
    /// Its name.
    pub name: String,
    pub reading: Reading,
    pub file: FileFacts,
    pub table: Table,
    pub types: Vec<Option<ColumnType>>,
    pub used: UsedColumns,
    pub suggestion: Suggestion,
}

impl SampleFile {
    /// Looks at the beginning of the file.
    pub(super) fn look(&self, path: &Path) -> anyhow::Result<Found> {
        let reading = Reading::parse(&self.charset, &self.delimiter, &self.header_line)?;
        Found::in_file(path, reading, self.worksheet.as_deref())
    }
}

impl Found {
    /// Looks at the beginning of a file that is read so.
    pub(super) fn in_file(path: &Path, reading: Reading, worksheet: Option<&str>) -> anyhow::Result<Found> {
        let sample = read_beginning(path, worksheet)?;
        let reading = sample.reading(reading);
        let topology = Arc::new(sample::any_file()?);
        let asked = Asked { reading, ..Asked::default() };
        let Tried { mut file, table, mut trial } =
            try_file(&sample.bytes, &asked, &topology).with_context(|| path.display().to_string())?;
        let open = || {
            let options = Options { worksheet: worksheet.map(str::to_owned), ..reading.options(&topology.source) };
            CsvFile::open(path, options)
        };
        if !sample.is_whole && !trial.columns.blank.is_empty() {
            trial.columns.keep_blank_but(&blank_columns(open()?)?);
        }
        let mut types = shown_types(&table);
        if !sample.is_whole || table.is_full() {
            keep_fitting(&mut types, open()?)?;
        }
        if file.is_json() {
            file.columns = open()?.all_columns()?;
        }
        (file.book, file.archive) = (sample.book, sample.archive);
        let name = upload_name(path);
        let suggestion = Suggestion::of(&table, &trial.columns, &name);
        Ok(Found { name, reading, file, table, types, used: trial.columns, suggestion })
    }

    /// A topology for it, with coordinates in this CRS or the one that fits best.
    pub(super) fn draft<'a>(&'a self, crs: Option<&'a str>) -> Draft<'a> {
        Draft {
            file_name: &self.name,
            file: &self.file,
            reading: self.reading,
            table: &self.table,
            types: &self.types,
            used: &self.used,
            crs,
            extras: Extras::default(),
            suggestion: &self.suggestion,
        }
    }
}

/// The whole rows in the beginning of a file.
pub(super) fn read_beginning(path: &Path, worksheet: Option<&str>) -> anyhow::Result<Sample> {
    let shown = || path.display().to_string();
    let file = File::open(path).with_context(shown)?;
    Sample::read(Box::new(file), false, (worksheet, Several::Refused), SAMPLE_BYTES).with_context(shown)
}

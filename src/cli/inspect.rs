//! `inspect`: shows the findings about a file, the same as the page.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sheetstream::crs::ranking::{Certainty, Family};
use sheetstream::record::CoordinateForm;

use super::sample_file::SampleFile;
use super::shown::{json, shown};
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream inspect export.csv                charset, delimiter, header, columns, and the CRSs that fit
  sheetstream inspect export.csv --json | jq '.suggestion.ranking.families[0].systems[0]'
";

/// Inspect a CSV file: its format, the columns that contain coordinates, and the CRSs that fit them
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Inspect {
    /// CSV file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sample: SampleFile,
}

impl Inspect {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let found = self.sample.look(&self.file)?;
        let mut out = out::stdout();
        if global.json {
            let all = json!({ "file": found.file, "columns": found.used, "suggestion": found.suggestion });
            writeln!(out, "{}", json(&all))?;
            return Ok(Exit::Ok);
        }
        let mut line = |label: &str, text: &str| writeln!(out, "{label:<12} {}", shown(text));
        if let Some(archive) = &found.file.archive {
            line("archive", &format!("{} (files: {})", archive.sheet, archive.sheets.join(", ")))?;
        }
        match &found.file.book {
            Some(book) => line("sheet", &format!("{} (sheets: {})", book.sheet, book.sheets.join(", ")))?,
            None => {
                line("charset", &found.file.charset)?;
                line("delimiter", &format!("{:?}", found.file.delimiter))?;
            }
        }
        line(
            "header",
            &match found.file.header_line {
                0 => "none".to_owned(),
                number => format!("line {number}"),
            },
        )?;
        line("columns", &found.file.columns.join(", "))?;
        found.file.notes.iter().try_for_each(|note| line("note", note))?;
        let name = |column: &Option<String>| column.clone().unwrap_or_else(|| "none found".to_owned());
        let coordinates = match found.used.coordinates {
            CoordinateForm::Columns => format!("x {}, y {}", name(&found.used.x), name(&found.used.y)),
            CoordinateForm::None => "none found".to_owned(),
            form => format!("both in {} ({})", name(&found.used.x), form.name()),
        };
        line("coordinates", &coordinates)?;
        line("sheets", &name(&found.used.sheet))?;
        if let Some(column) = &found.suggestion.crs_column {
            line("CRS of rows", &format!("{}: {}", column.name, column.systems.join(", ")))?;
        }
        let Some(ranking) = &found.suggestion.ranking else { return Ok(Exit::Ok) };
        line(
            "certainty",
            match ranking.certainty {
                Certainty::Declared => "declared: the geometries or a column name the system",
                Certainty::Places => "places: points lie where their rows say, in no other family",
                Certainty::Header => "header: the header names the system, and its points lie on land",
                Certainty::Land => "land: the first family alone puts the points on land",
                Certainty::Ambiguous => "ambiguous: other families fit as well",
                Certainty::None => "none: no system fits",
            },
        )?;
        if let Some(contradiction) = ranking.contradiction() {
            line("doubt", &contradiction)?;
        }
        for (number, family) in (1..).zip(&ranking.families) {
            line(&format!("CRS {number}"), &of_family(family))?;
        }
        Ok(Exit::Ok)
    }
}

/// `EPSG:5181, EPSG:5174 (310 m apart): Seoul 40, Gyeonggi 2`.
fn of_family(family: &Family) -> String {
    let systems: Vec<&str> = family.systems.iter().take(4).map(|system| system.definition.as_str()).collect();
    let apart = if systems.len() > 1 { format!(" ({:.0} m apart)", family.spread_m) } else { String::new() };
    let swapped = if family.is_swapped { ", x and y swapped" } else { "" };
    let areas: Vec<String> = family.areas.iter().take(3).map(|area| format!("{} {}", area.en, area.points)).collect();
    format!("{}{apart}{swapped}: {}", systems.join(", "), areas.join(", "))
}

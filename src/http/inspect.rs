//! `POST /inspect`: what would become of a file, told by what becomes of its beginning: the first rows go through the very task that all of
//! them would go through, into a workbook that nobody keeps. Nothing is published.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::subscriber::{NoSubscriber, with_default};

use super::columns::{ChosenColumns, UsedColumns};
use super::points::{PointMap, to_lon_lat};
use super::problem::Problem;
use super::suggest::{Suggestion, Table};
use super::topologies::ShownCrs;
use super::uploads::{FileFacts, check_topology, file_problem, own_crs, stopped};
use super::{SharedState, body};
use crate::aggregate::{SheetKey, TemplatePart};
use crate::crs::columns::number;
use crate::file::Options;
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::map::CoordinateInput;
use crate::map::MapConfig;
use crate::page::read::{CellKind, ShownCell};
use crate::runtime::convert::{Converted, convert};
use crate::sink::Lang;
use crate::sink::preview::{ROWS_MAX, SHEETS_MAX, SheetPreview, errors_sheet, read_sheets};
use crate::sink::status::StatusFailure;
use crate::sink::words::EXPLAINING_COLUMNS;
use crate::topology::Topology;

/// Bytes of a file that are looked at, at most.
const SAMPLE_BYTES_MAX: u64 = 1 << 20;
/// Topologies that a file is tried on to find the one that fits.
const TRIED_MAX: usize = 20;
/// Refused rows that are shown.
const REJECTS_MAX: usize = 200;

pub(super) fn routes() -> Router<SharedState> {
    Router::new().route("/inspect", post(inspect))
}

#[derive(Deserialize)]
struct InspectQuery {
    /// Which topology to try; without it the one that fits best.
    topology: Option<String>,
    /// CRS of the coordinates, where that is not the topology's.
    crs: Option<String>,
    /// Columns of the file that take the place of the topology's; without them those that look like it where the file has not the topology's.
    x: Option<String>,
    y: Option<String>,
    sheet: Option<String>,
    /// True when the body is all of the file.
    #[serde(default)]
    whole: bool,
    /// Name of the file, which may name a place.
    #[serde(default)]
    name: String,
    /// Language of messages; without it the topology's.
    lang: Option<String>,
}

#[derive(Serialize)]
struct Inspection {
    file: FileFacts,
    /// The topology that was asked for, or fits best.
    topology: String,
    /// Whether the trial saw all of the file.
    is_whole: bool,
    /// All topologies, the one that fits best first.
    fits: Vec<Fit>,
    trial: Trial,
    /// What the file seems to be, whatever the topology.
    suggestion: Suggestion,
}

/// How well a topology fits.
#[derive(Serialize)]
struct Fit {
    topology: String,
    /// Part of the rows that fit, below 0 for a failure; null where it was not tried.
    share: Option<f64>,
}

/// What became of the beginning.
#[derive(Serialize)]
struct Trial {
    rows: u64,
    written: u64,
    rejected: u64,
    /// Refused rows by reason code.
    reasons: BTreeMap<String, u64>,
    /// Why the upload would fail.
    failure: Option<StatusFailure>,
    /// The transformation that was used.
    crs: Option<ShownCrs>,
    coordinates: Coordinates,
    /// The columns of the file that are used for coordinates and sheets.
    columns: UsedColumns,
    /// Columns that name the sheet of a row.
    sheet_columns: Vec<String>,
    /// The first sheets.
    sheets: Vec<SheetPreview>,
    sheets_total: usize,
    rejects: Vec<Reject>,
    /// Where the points are; null where the topology adds none.
    map: Option<PointMap>,
}

/// Columns with coordinates: those of the file, and those that are added.
#[derive(Default, Serialize)]
struct Coordinates {
    columns: Vec<String>,
    into: Vec<String>,
}

/// A refused row, as the sheet of errors shows it.
#[derive(Serialize)]
struct Reject {
    row: Option<u64>,
    column: Option<String>,
    reason: String,
    message: String,
    /// Its fields.
    cells: Vec<String>,
    /// Longitude and latitude of its point, if it has two numbers for one.
    at: Option<[f64; 2]>,
}

async fn inspect(
    State(app): State<SharedState>,
    Query(asked): Query<InspectQuery>,
    request: Request,
) -> Result<Json<Inspection>, Problem> {
    let (request, watch) = body::limit(request, SAMPLE_BYTES_MAX)?;
    let ended = |_| watch.problem_or(|| Problem::bad_request("body", "the body ended early").in_field("file"));
    let sample = to_bytes(request.into_body(), usize::MAX).await.map_err(ended)?;
    let sample = if asked.whole { sample } else { sample.slice(..whole_rows(&sample)) };
    let named = asked.topology.as_deref().filter(|name| !name.is_empty());
    let named = named.map(|name| app.topology(name)).transpose()?;
    let mut takes_files = app.topologies();
    takes_files.retain(|topology| check_topology(topology).is_ok());
    spawn_blocking(move || look(&sample, &asked, named.as_ref(), &takes_files)).await.map_err(stopped)?.map(Json)
}

/// Tries the topology that was asked for, or all of them.
fn look(
    sample: &Bytes,
    asked: &InspectQuery,
    named: Option<&Arc<Topology>>,
    takes_files: &[Arc<Topology>],
) -> Result<Inspection, Problem> {
    let candidates = named.map_or(takes_files, std::slice::from_ref);
    let mut tried = Vec::new();
    for topology in candidates.iter().take(TRIED_MAX) {
        check_topology(topology)?;
        let crs = own_crs(topology, asked.crs.clone().filter(|crs| !crs.is_empty()))?;
        let csv = open(sample, topology)?;
        let file = FileFacts::of(&csv, sample.len() as u64);
        let table = Table::read(csv)?;
        let chosen = asked.columns().or_found(topology, &table);
        tried.push((topology, file, table, try_on(sample, topology, crs, &chosen, asked.lang())?));
    }
    tried.sort_by(|(.., a), (.., b)| b.share().total_cmp(&a.share()));
    let mut fits: Vec<Fit> = tried.iter().map(|(topology, .., trial)| Fit::of(topology, Some(trial))).collect();
    let untried = takes_files.iter().filter(|other| tried.iter().all(|(topology, ..)| topology.name != other.name));
    fits.extend(untried.map(|topology| Fit::of(topology, None)));
    let none = || Problem::not_found("unknown-topology", "no topology here takes files").in_field("topology");
    let (best, file, table, trial) = tried.into_iter().next().ok_or_else(none)?;
    let suggestion = Suggestion::of(&table, &trial.columns.coordinates(), &asked.name);
    Ok(Inspection { file, topology: best.name.to_string(), is_whole: asked.whole, fits, trial, suggestion })
}

fn open(sample: &Bytes, topology: &Topology) -> Result<CsvFile, Problem> {
    let csv = CsvFile::from_reader(Box::new(Cursor::new(sample.clone())), Options::for_source(&topology.source));
    csv.map_err(|error| file_problem(&error))
}

/// Takes the beginning all the way through one topology.
fn try_on(
    sample: &Bytes,
    topology: &Arc<Topology>,
    crs: Option<String>,
    chosen: &ChosenColumns,
    lang: Option<Lang>,
) -> Result<Trial, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::unavailable("trial", format!("the trial failed: {error}"));
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let out = folder.path().join("trial.xlsx");
    let csv = open(sample, topology)?;
    let (header, columns) = chosen.apply(topology, &csv.columns())?;
    let upload = UploadRecords::new(vec![csv], "trial", "trial").map_err(|error| file_problem(&error))?;
    let mut upload = upload.with_crs(crs.as_deref());
    if !columns.signature().is_empty() {
        upload = upload.under_header(header.clone());
    }
    // The log does not mention uploads that nobody made.
    let mut trial = Topology::clone(topology);
    let lang = lang.unwrap_or(topology.sink.workbook.lang);
    trial.sink.workbook.lang = lang;
    let errors = errors_sheet(lang);
    let converted = with_default(NoSubscriber::default(), || convert(trial, "trial", upload, &out, &mut |_| ()));
    let converted = converted.map_err(|error| failed(&error))?;
    let workbook = if converted.has_workbook { std::fs::read(&out).map_err(|error| failed(&error))? } else { vec![] };
    let rows_max = |name: &str| if name == errors { REJECTS_MAX } else { ROWS_MAX };
    let mut sheets = read_sheets(&workbook, usize::MAX, rows_max).unwrap_or_default();
    let listed = sheets.iter().position(|sheet| sheet.name == errors).map(|at| sheets.remove(at));
    let map = PointMap::of_workbook(&workbook, topology);
    let mut trial = Trial::of(topology, &header, crs.as_deref(), &converted, sheets);
    trial.failure = trial.failure.map(|failure| failure.translate(lang));
    let rejects = listed.map(|sheet| sheet.head).unwrap_or_default();
    trial.rejects = rejects.iter().map(|row| Reject::of(row)).filter(|reject| !reject.reason.is_empty()).collect();
    trial.map = map;
    trial.columns = columns;
    trial.place_rejects(&header);
    Ok(trial)
}

impl InspectQuery {
    fn columns(&self) -> ChosenColumns {
        let chosen = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        ChosenColumns { x: chosen(&self.x), y: chosen(&self.y), sheet: chosen(&self.sheet) }
    }

    fn lang(&self) -> Option<Lang> {
        match self.lang.as_deref()? {
            "ko" => Some(Lang::Ko),
            _ => Some(Lang::En),
        }
    }
}

impl Trial {
    fn of(
        topology: &Topology,
        header: &[String],
        crs: Option<&str>,
        converted: &Converted,
        mut sheets: Vec<SheetPreview>,
    ) -> Trial {
        let accounting = converted.status.accounting;
        let sheets_total = sheets.len();
        sheets.truncate(SHEETS_MAX);
        Trial {
            rows: accounting.rows_in,
            written: accounting.written,
            rejected: accounting.rejected,
            reasons: converted.rejected.clone(),
            failure: converted.status.failure.clone(),
            crs: crs_of(topology, crs),
            coordinates: Coordinates::of(topology, header),
            columns: UsedColumns::default(),
            sheet_columns: sheet_columns(&topology.aggregate.sheet),
            sheets,
            sheets_total,
            rejects: Vec::new(),
            map: None,
        }
    }

    /// Puts refused rows on the map, where their numbers are somewhere on the earth.
    fn place_rejects(&mut self, header: &[String]) {
        let from = self.crs.as_ref().map(|crs| crs.from.as_str());
        let proj = from.and_then(to_lon_lat).and_then(|pipeline| crate::crs::open(&pipeline).ok());
        let place = |name: &String| header.iter().position(|column| column == name);
        let columns = match &self.coordinates.columns[..] {
            [x, y] => place(x).zip(place(y)),
            _ => None,
        };
        let (Some(proj), Some((x, y))) = (proj, columns) else { return };
        for reject in &mut self.rejects {
            let cell = |column: usize| reject.cells.get(column).and_then(|cell| number(cell));
            let point = cell(x).zip(cell(y)).filter(|point| *point != (0.0, 0.0));
            let lon_lat = point.and_then(|point| proj.convert(point).ok()).map(|(lon, lat)| [lon, lat]);
            reject.at = lon_lat.filter(|[lon, lat]| lon.abs() <= 180.0 && lat.abs() <= 90.0);
        }
    }

    /// Part of the rows that fit; a failure is worse than any row.
    fn share(&self) -> f64 {
        if self.failure.is_some() {
            return -1.0;
        }
        self.written as f64 / (self.written + self.rejected).max(1) as f64
    }
}

impl Fit {
    fn of(topology: &Topology, trial: Option<&Trial>) -> Fit {
        Fit { topology: topology.name.to_string(), share: trial.map(Trial::share) }
    }
}

fn crs_of(topology: &Topology, crs: Option<&str>) -> Option<ShownCrs> {
    let own = topology.about().crs.first()?.clone();
    let pair = match crs {
        Some(crs) => Arc::new(crate::crs::CrsPair::resolve(crs, &own.to.definition, own.ballpark).ok()?),
        None => own,
    };
    Some(ShownCrs::from(&*pair))
}

impl Coordinates {
    /// Of each list of candidates the first that the file has.
    fn of(topology: &Topology, header: &[String]) -> Coordinates {
        let mut found = Coordinates::default();
        for map in &topology.maps {
            let MapConfig::Reproject(reproject) = map else { continue };
            let lists = match &reproject.input {
                CoordinateInput::Columns { x, y } => vec![x, y],
                CoordinateInput::Geometry(names) => vec![names],
            };
            let present = |names: &Vec<String>| names.iter().find(|name| header.contains(name)).cloned();
            found.columns.extend(lists.into_iter().filter_map(present));
            found.into.extend(reproject.into.iter().cloned());
        }
        found
    }
}

fn sheet_columns(sheet: &SheetKey) -> Vec<String> {
    match sheet {
        SheetKey::Column(column) => vec![column.clone()],
        SheetKey::Template(parts) => parts
            .iter()
            .filter_map(|part| match part {
                TemplatePart::Column(column) => Some(column.clone()),
                TemplatePart::Literal(_) => None,
            })
            .collect(),
    }
}

impl Reject {
    /// A row of the sheet of errors: number, message, column, reason, then its fields.
    fn of(row: &[ShownCell]) -> Reject {
        let text = |at: usize| row.get(at).filter(|cell| cell.kind != CellKind::Blank).map(|cell| cell.text.clone());
        Reject {
            row: text(0).and_then(|number| number.parse().ok()),
            message: text(1).unwrap_or_default(),
            column: text(2),
            reason: text(3).unwrap_or_default(),
            cells: row.iter().skip(EXPLAINING_COLUMNS).map(|cell| cell.text.clone()).collect(),
            at: None,
        }
    }
}

/// Bytes of the whole rows in the beginning of a file: up to the last line break outside of quotes. In UTF-16 every byte that matters has a
/// zero beside it.
fn whole_rows(sample: &[u8]) -> usize {
    let width = if matches!(sample, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) { 2 } else { 1 };
    let is = |unit: &[u8], ascii: u8| unit.contains(&ascii) && unit.iter().filter(|byte| **byte != 0).count() == 1;
    let mut end = 0;
    let mut quoted = false;
    for (at, unit) in sample.chunks_exact(width).enumerate() {
        quoted ^= is(unit, b'"');
        if !quoted && is(unit, b'\n') {
            end = (at + 1) * width;
        }
    }
    if end == 0 { sample.len() } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_with_its_last_whole_row() {
        let utf16 = |text: &str| [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        for (sample, rows) in [
            (b"a,b\n1,2\n3,".to_vec(), b"a,b\n1,2\n".to_vec()),
            (b"a,b\n1,\"x\ny".to_vec(), b"a,b\n".to_vec()),
            (b"a,b\n1,\"x\"\"\ny\"\nz".to_vec(), b"a,b\n1,\"x\"\"\ny\"\n".to_vec()),
            (b"one long row".to_vec(), b"one long row".to_vec()),
            (utf16("시,\u{4e0a}\n가,나"), utf16("시,\u{4e0a}\n")),
        ] {
            assert_eq!(sample[..whole_rows(&sample)], rows, "{sample:?}");
        }
    }
}

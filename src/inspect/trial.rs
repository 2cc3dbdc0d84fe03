//! Tries the beginning of a file: the first rows go through the same task as the rows of a real upload, into a workbook that nobody keeps.
//! Nothing is published.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::InspectError;
use super::columns::{ChosenColumns, blank_columns};
use super::made::Made;
use super::points::{PointMap, to_lon_lat};
use super::reading::{FileFacts, Reading};
use super::table::Table;
use super::used_columns::UsedColumns;
use crate::aggregate::SheetKey;
use crate::crs::CrsPair;
use crate::crs::columns::number;
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::map::MapConfig;
use crate::page::read::{CellKind, ShownCell};
use crate::record::{CoordinateForm, Extras, Lang, TemplatePart};
use crate::runtime::convert::Converted;
use crate::sink::preview::{ROWS_MAX, SHEETS_MAX, SheetPreview};
use crate::sink::status::StatusFailure;
use crate::sink::words::EXPLAINING_COLUMNS;
use crate::topology::Topology;

/// Refused rows that are shown.
const REJECTS_MAX: usize = 200;

/// The settings of a trial.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// How it is read.
    pub reading: Reading,
    /// CRS of its coordinates, where that is not the topology's.
    pub crs: Option<String>,
    /// Columns that take the place of the topology's.
    pub columns: ChosenColumns,
    /// Parts of the workbook beside the topology's.
    pub extras: Extras,
    /// Language of messages; without it the topology's.
    pub lang: Option<Lang>,
}

/// A file that was tried on a topology.
#[derive(Debug)]
pub struct Tried {
    /// The facts about it.
    pub file: FileFacts,
    /// Its first rows.
    pub table: Table,
    /// The trial of these rows.
    pub trial: Trial,
}

/// Coordinate system pair of a topology, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ShownCrs {
    /// Definition of the CRS of the file.
    pub from: String,
    /// Its name.
    pub from_name: String,
    /// Definition of the CRS of the workbook.
    pub to: String,
    /// Its name.
    pub to_name: String,
    /// PROJ's name for the transformation, and how many more there are, each for a part of the area.
    pub operation: String,
    /// The accuracy of the least accurate of them in metres, where it is known.
    pub accuracy_m: Option<f64>,
}

impl From<&CrsPair> for ShownCrs {
    fn from(pair: &CrsPair) -> ShownCrs {
        ShownCrs {
            from: pair.from.definition.clone(),
            from_name: pair.from.name.clone(),
            to: pair.to.definition.clone(),
            to_name: pair.to.name.clone(),
            operation: pair.operation_names(),
            accuracy_m: pair.worst_accuracy_m(),
        }
    }
}

/// The outcome of the beginning.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// Rows of the beginning.
    pub rows: u64,
    /// Of them in sheets.
    pub written: u64,
    /// Of them refused.
    pub rejected: u64,
    /// Of them left out by a filter.
    pub filtered: u64,
    /// Of those written: far outside the area of use of the target CRS.
    pub distant: u64,
    /// Of those written: without coordinates.
    pub unplaced: u64,
    /// Refused rows by reason code.
    pub reasons: BTreeMap<String, u64>,
    /// Why the upload would fail.
    pub failure: Option<StatusFailure>,
    /// The transformation that was used.
    pub crs: Option<ShownCrs>,
    /// Columns with coordinates.
    pub coordinates: Coordinates,
    /// The columns of the file that are used for coordinates and sheets.
    pub columns: UsedColumns,
    /// Columns that name the sheet of a row.
    pub sheet_columns: Vec<String>,
    /// The first sheets.
    pub sheets: Vec<SheetPreview>,
    /// How many there are.
    pub sheets_total: usize,
    /// The first refused rows.
    pub rejects: Vec<Reject>,
    /// Where the points are; null where the topology adds none.
    pub map: Option<PointMap>,
}

/// Columns with coordinates: those of the file, and those that are added.
#[derive(Debug, Default, Serialize)]
pub struct Coordinates {
    /// Columns of the file, by its names.
    pub columns: Vec<String>,
    /// Columns that are added.
    pub into: Vec<String>,
}

/// A refused row, as the sheet of errors shows it.
#[derive(Debug, Serialize)]
pub struct Reject {
    /// Number of the data row, from 1.
    pub row: Option<u64>,
    /// Column at fault.
    pub column: Option<String>,
    /// Reason code.
    pub reason: String,
    /// The fault, in one sentence.
    pub message: String,
    /// Its fields.
    pub cells: Vec<String>,
    /// Longitude and latitude of its point, if it has two numbers for one.
    pub at: Option<[f64; 2]>,
}

/// Tries the beginning of a file, or all of it, on a topology that takes files.
///
/// # Errors
/// It cannot be read as it is asked for, or its CRS or columns cannot be used.
pub fn try_file(sample: &Bytes, asked: &Asked, topology: &Arc<Topology>) -> Result<Tried, InspectError> {
    let crs = super::own_crs(topology, asked.crs.as_deref())?;
    let reading = asked.reading.or_found(&open(sample, asked.reading, topology)?, &topology.source);
    let csv = open(sample, reading, topology)?;
    let mut file = FileFacts::of(&csv, sample.len() as u64);
    let table = Table::read(csv)?;
    file.notes.extend(table.cut_note().filter(|_| topology.source.truncate_cells));
    let blank = blank_columns(open(sample, reading, topology)?)?;
    let chosen = ChosenColumns { blank, ..asked.columns.or_found(topology, &table) };
    let asked = Asked { reading, crs, columns: chosen, ..asked.clone() };
    let trial = try_on(sample, &asked, topology)?;
    file.notes
        .extend(trial.columns.x.as_ref().zip(trial.columns.y.as_ref()).and_then(|(x, y)| table.notation_note([x, y])));
    Ok(Tried { file, table, trial })
}

fn open(sample: &Bytes, reading: Reading, topology: &Topology) -> Result<CsvFile, InspectError> {
    Ok(CsvFile::from_reader(Box::new(Cursor::new(sample.clone())), reading.options(&topology.source))?)
}

/// Takes the beginning all the way through one topology.
fn try_on(sample: &Bytes, asked: &Asked, topology: &Arc<Topology>) -> Result<Trial, InspectError> {
    let csv = open(sample, asked.reading, topology)?;
    let published = asked.columns.apply(topology, &csv.columns())?;
    let crs = asked.crs.as_deref();
    let upload = UploadRecords::new(vec![csv], "trial", "trial")?.with_crs(crs);
    let upload = upload.with_extras(super::own_extras(topology, asked.extras)?);
    let mut trial = Topology::clone(topology);
    let lang = asked.lang.unwrap_or(topology.sink.workbook.lang);
    trial.sink.workbook.lang = lang;
    let made = Made::of(trial, published.of(upload), &mut |_| ())?;
    let (sheets, errors) = made.sheets(lang, ROWS_MAX, REJECTS_MAX);
    let Made { converted, workbook } = made;
    let map = PointMap::of_workbook(&workbook, topology);
    let mut trial = Trial::of(topology, &published.header, crs, &converted, sheets);
    trial.failure = trial.failure.map(|failure| failure.translate(lang));
    let rejects = errors.map(|sheet| sheet.head).unwrap_or_default();
    trial.rejects = rejects.iter().map(|row| Reject::of(row)).filter(|reject| !reject.reason.is_empty()).collect();
    trial.map = map;
    trial.place_rejects(&published.header);
    trial.coordinates.call(&published.used);
    trial.columns = published.used;
    Ok(trial)
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
            filtered: accounting.filtered,
            distant: accounting.distant,
            unplaced: accounting.unplaced,
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

    /// Part of the rows that fit, and have a point where the topology adds one: a file of blank coordinates fits nothing. A failure is
    /// worse than any row.
    pub fn share(&self) -> f64 {
        if self.failure.is_some() {
            return -1.0;
        }
        let fitting = match &self.map {
            Some(map) => (map.points as u64).min(self.written),
            None if self.coordinates.into.is_empty() => self.written,
            None => 0,
        };
        fitting as f64 / (self.written + self.rejected).max(1) as f64
    }
}

fn crs_of(topology: &Topology, crs: Option<&str>) -> Option<ShownCrs> {
    let own = topology.about().crs.first()?.clone();
    let pair = match crs {
        Some(crs) => Arc::new(CrsPair::resolve(crs, &own.to.definition, own.first_operation().ballpark).ok()?),
        None => own,
    };
    Some(ShownCrs::from(&*pair))
}

impl Coordinates {
    /// Of each list of candidates the first that the file has.
    fn of(topology: &Topology, header: &[String]) -> Coordinates {
        let mut found = Coordinates::default();
        for reproject in topology.maps.iter().filter_map(MapConfig::as_reproject) {
            let present = |names: &Vec<String>| names.iter().find(|name| header.contains(name)).cloned();
            found.columns.extend(reproject.input.columns().into_iter().filter_map(present));
            found.into.extend(reproject.into.iter().cloned());
        }
        found
    }
}

impl Coordinates {
    /// Calls columns as the workbook does; without coordinates none is added.
    fn call(&mut self, used: &UsedColumns) {
        let titles = used.titles();
        self.columns.iter_mut().for_each(|name| *name = titles.get(name).unwrap_or(name).clone());
        if used.coordinates == CoordinateForm::None {
            self.into.clear();
        }
    }
}

fn sheet_columns(sheet: &SheetKey) -> Vec<String> {
    match sheet {
        SheetKey::Topic => vec![],
        SheetKey::Column(column) => vec![column.clone()],
        SheetKey::Template(parts) => parts.iter().filter_map(TemplatePart::column).map(str::to_owned).collect(),
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

//! Finds, without a topology, the columns of a file that contain its coordinates, and the CRSs that they may be in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::InspectError;
use super::used_columns::UsedColumns;
use crate::crs::columns::{CoordinateColumns, coordinate_columns, number};
use crate::crs::places::atlas;
use crate::crs::ranking::{Hints, RankedRow, Ranking, rank};
use crate::crs::systems::{ListedCrs, system};
use crate::file::reader::CsvFile;
use crate::map::{geometry, notation};
use crate::page::cells::{CELL_UNITS_MAX, parse_number};
use crate::record::{CoordinateForm, is_no_value};
use crate::source::csv::{Defect, Fields, Rows};

/// Rows that are looked at.
const ROWS_MAX: usize = 5_000;
/// Words in the name of a column of CRSs.
const CRS_WORDS: [&str; 4] = ["epsg", "srid", "crs", "좌표계"];
/// Rows that are enough to see whether a column names places, and the language of a file.
const NAMING_ROWS: usize = 60;
/// Columns that may name places, the first ones.
const NAMING_COLUMNS: usize = 4;

/// The rows of the beginning of a file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of its columns.
    pub header: Vec<String>,
    /// Sound rows, cell by cell.
    pub rows: Vec<Vec<String>>,
    /// EPSG's code of the CRS that the document names.
    pub crs: Option<u32>,
}

/// The findings about a file.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// The columns that hold coordinates.
    pub columns: Option<ShownColumns>,
    /// The evidence for each CRS; null without coordinates.
    pub ranking: Option<Ranking>,
    /// The column that names the CRS of each row, where that is not the same in all of them. One that is the same is in the ranking.
    pub crs_column: Option<CrsColumn>,
}

/// A column that names the CRS of each row.
#[derive(Debug, PartialEq, Serialize)]
pub struct CrsColumn {
    /// Its name.
    pub name: String,
    /// The systems that it names.
    pub systems: Vec<String>,
}

/// Columns that hold coordinates.
#[derive(Debug, Serialize)]
pub struct ShownColumns {
    /// Of x (east).
    pub x: String,
    /// Of y (north).
    pub y: String,
    /// Whether their names say so; else only their values do.
    pub by_name: bool,
}

impl Table {
    /// Reads a file to its end, or as far as rows are looked at.
    pub fn read(mut csv: CsvFile) -> Result<Table, InspectError> {
        let (header, delimiter, crs) = (csv.columns(), csv.delimiter(), csv.crs());
        let (mut rows, mut fields) = (Vec::new(), Fields::default());
        while rows.len() < ROWS_MAX
            && let Some(block) = csv.next_block()?
        {
            let mut read = Rows::new(&block.text, delimiter, Some(header.len()));
            while let Some(row) = read.next_row(&mut fields) {
                // Any fault of quotes but one that is never closed can be overlooked.
                if !row.blank && !matches!(row.defect, Some((Defect::UnclosedQuote, _))) {
                    fields.unwrap_excel_text(&block.text);
                    let cells = fields.iter(&block.text).map(|cell| String::from_utf8_lossy(cell).into_owned());
                    rows.push(cells.collect());
                }
            }
        }
        rows.truncate(ROWS_MAX);
        Ok(Table { header, rows, crs })
    }

    /// Whether there may be more rows than were read.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX
    }

    /// The remark that coordinates are not written as plain numbers, with the first that are not and how they are read.
    pub fn notation_note(&self, [x, y]: [&String; 2]) -> Option<String> {
        let place = |name: &String| self.header.iter().position(|column| column == name);
        let (x, y) = place(x).zip(place(y))?;
        self.rows.iter().find_map(|row| {
            let (x, y) = (row.get(x)?, row.get(y)?);
            let (lon, lat) = point(x, y).filter(|_| !is_plain(x) || !is_plain(y))?;
            Some(format!("coordinates are written in a notation of their own: {x} {y} is read as {lon} {lat}"))
        })
    }

    /// The remark that cells are longer than a workbook takes and lose their end.
    pub fn cut_note(&self) -> Option<String> {
        let is_long = |cell: &String| cell.len() > CELL_UNITS_MAX && cell.encode_utf16().count() > CELL_UNITS_MAX;
        let mut long =
            (1_u32..).zip(&self.rows).filter_map(|(number, row)| Some((number, row.iter().position(is_long)?)));
        let (number, column) = long.next()?;
        let name = self.header.get(column).map_or("", String::as_str);
        let more = if long.next().is_some() { ", and there are more such rows" } else { "" };
        Some(format!(
            "row {number} has more than {CELL_UNITS_MAX} characters in \"{name}\", which is cut to what a cell of Excel takes{more}"
        ))
    }

    /// Whether most rows have more cells than the header has names, and nothing in those.
    pub fn has_delimiters_behind(&self) -> bool {
        let columns = self.header.len();
        let is_such =
            |row: &&Vec<String>| row.len() > columns && row[columns..].iter().all(|cell| cell.trim().is_empty());
        2 * self.rows.iter().filter(is_such).count() > self.rows.len()
    }

    /// The first column but the `coordinates` in which most cells are a code of EPSG, with its authority or below a name that says so; and
    /// whether all of its cells name one system.
    fn crs_column(&self, coordinates: [usize; 2]) -> Option<(CrsColumn, bool)> {
        let mut columns = self.header.iter().enumerate().filter(|(column, _)| !coordinates.contains(column));
        columns.find_map(|(column, name)| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.trim());
            let is_named = CRS_WORDS.iter().any(|word| name.to_lowercase().contains(word));
            let code = |cell: &str| {
                let code = cell.to_uppercase().strip_prefix("EPSG:").map(str::to_owned);
                let code = code.or_else(|| is_named.then(|| cell.to_owned()))?;
                system(code.parse().ok()?).map(ListedCrs::definition)
            };
            let named: Vec<Option<String>> = cells.filter(|cell| !is_no_value(cell)).map(code).collect();
            let known = named.iter().flatten().count();
            let systems: BTreeSet<String> = named.iter().flatten().cloned().collect();
            let is_one = systems.len() == 1 && known == named.len();
            let column = CrsColumn { name: name.clone(), systems: systems.into_iter().collect() };
            (2 * known > named.len()).then_some((column, is_one))
        })
    }

    /// Definition of the CRS that most of the geometries in a column name, else of that which the document does.
    fn declared(&self, column: usize) -> Option<String> {
        let mut count: BTreeMap<u32, usize> = BTreeMap::new();
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.filter_map(|cell| geometry::srid(cell)).for_each(|code| *count.entry(code).or_default() += 1);
        let most = count.into_iter().max_by_key(|(_, rows)| *rows).map(|(code, _)| code);
        most.or(self.crs).and_then(system).map(ListedCrs::definition)
    }

    /// Whether the name of the file, a header or a cell is written in Korean.
    fn is_korean(&self, name: &str) -> bool {
        let is_hangul = |text: &str| text.contains(|c| ('가'..='힣').contains(&c));
        let cells = self.rows.iter().take(NAMING_ROWS).flatten();
        is_hangul(name) || self.header.iter().chain(cells).any(|text| is_hangul(text))
    }

    /// Columns in which a third of the cells names a place.
    pub fn naming_columns(&self) -> Vec<usize> {
        let atlas = atlas();
        let step = self.rows.len().div_ceil(NAMING_ROWS).max(1);
        let names = |column: &usize| {
            let cells =
                self.rows.iter().step_by(step).filter_map(|row| row.get(*column)).filter(|cell| !cell.is_empty());
            let (mut all, mut naming) = (0, 0);
            for cell in cells {
                all += 1;
                naming += usize::from(number(cell).is_none() && !atlas.named(cell).is_empty());
            }
            3 * naming >= all && naming > 0
        };
        (0..self.header.len()).filter(names).take(NAMING_COLUMNS).collect()
    }
}

impl Suggestion {
    /// Looks at the columns of coordinates that are `used`, where the file has them, else for some.
    pub fn of(table: &Table, used: &UsedColumns, name: &str) -> Suggestion {
        let place = |name: &String| table.header.iter().position(|column| column == name);
        let places = used.x.as_ref().and_then(place).zip(used.y.as_ref().and_then(place));
        let columns = places.map(|(x, y)| CoordinateColumns { x, y, by_name: true });
        let columns = match used.coordinates {
            CoordinateForm::None => None,
            _ => columns.or_else(|| coordinate_columns(&table.header, &table.rows)),
        };
        let Some(columns) = columns else { return Suggestion { columns: None, ranking: None, crs_column: None } };
        let mut naming = table.naming_columns();
        naming.retain(|column| *column != columns.x && *column != columns.y);
        let rows: Vec<RankedRow<'_>> = table
            .rows
            .iter()
            .map(|row| {
                let cell = |column: usize| row.get(column).map_or("", String::as_str);
                let (x, y) = (cell(columns.x), cell(columns.y));
                let point = match used.coordinates {
                    CoordinateForm::Xy => notation::pair(x),
                    CoordinateForm::Yx => notation::pair(x).map(|(y, x)| (x, y)),
                    CoordinateForm::Geometry => geometry::point(x, None).ok().flatten(),
                    CoordinateForm::Columns | CoordinateForm::None => point(x, y),
                };
                let point = point.filter(|point| *point != (0.0, 0.0));
                RankedRow { point, texts: naming.iter().map(|column| cell(*column)).collect() }
            })
            .collect();
        let headers = [&*table.header[columns.x], &*table.header[columns.y]];
        let shown = ShownColumns { x: headers[0].to_owned(), y: headers[1].to_owned(), by_name: columns.by_name };
        let is_geometry = used.coordinates == CoordinateForm::Geometry;
        let declared = is_geometry.then(|| table.declared(columns.x)).flatten();
        let (of_all, by_row) = match table.crs_column([columns.x, columns.y]) {
            Some((column, true)) => (Some(column), None),
            found => (None, found.map(|(column, _)| column)),
        };
        let hints = Hints {
            headers,
            file: name,
            geometries: declared.as_deref(),
            column: of_all.as_ref().map(|column| &*column.systems[0]),
            is_korean: table.is_korean(name),
        };
        Suggestion { columns: Some(shown), ranking: Some(rank(&rows, hints)), crs_column: by_row }
    }
}

/// Whether a cell is blank, or a number with a decimal point.
fn is_plain(cell: &str) -> bool {
    cell.trim().is_empty() || parse_number(cell.trim()).is_some()
}

/// A point in an unknown system: degrees where both can be such, else metres.
fn point(x: &str, y: &str) -> Option<(f64, f64)> {
    let degrees = notation::point(x, y, true).filter(|(x, y)| x.abs() <= 180.0 && y.abs() <= 180.0);
    degrees.or_else(|| notation::point(x, y, false)).or_else(|| number(x).zip(number(y)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::ranking::Certainty;

    #[test]
    fn a_licence_file_is_understood() {
        let header = ["사업장명", "소재지", "좌표정보x(epsg5174)", "좌표정보y(epsg5174)"].map(str::to_owned).to_vec();
        let row = |n: u32| {
            let (x, y) = (191_600.5 + f64::from(n * 20), 450_900.25 + f64::from(n * 10));
            let place = if n.is_multiple_of(5) { "" } else { "서울특별시 마포구 새길 1" };
            ["가게".to_owned(), place.to_owned(), x.to_string(), y.to_string()].to_vec()
        };
        let table = Table { header, rows: (0..40).map(row).collect(), crs: None };
        let suggestion = Suggestion::of(&table, &UsedColumns::default(), "");
        let ranking = suggestion.ranking.expect("coordinates");
        assert_eq!(suggestion.columns.expect("columns").x, "좌표정보x(epsg5174)");
        assert_eq!((ranking.certainty, ranking.points, ranking.named), (Certainty::Places, 40, 32));
        assert_eq!(ranking.families[0].systems[0].definition, "EPSG:5174");
        let named = |name: &str, cells: [&str; 2]| {
            let rows = cells.iter().map(|cell| vec![(*cell).to_owned()]).collect();
            let found = Table { header: vec![name.to_owned()], rows, crs: None }.crs_column([1, 2]);
            found.map(|(column, is_one)| (column.systems.join(" "), is_one))
        };
        let both = Some(("EPSG:5174 EPSG:5186".to_owned(), false));
        assert_eq!(named("원본", ["EPSG:5186", "epsg:5174"]), both);
        assert_eq!((named("좌표계", ["5186", "5174"]), named("값", ["5186", "5174"])), (both, None));
        let one = Some(("EPSG:5186".to_owned(), true));
        assert_eq!((named("좌표계", ["5186", "5186"]), named("좌표계", ["5186", "-"])), (one.clone(), one));
        assert_eq!(named("좌표계", ["5186", "GRS80"]), None, "not most of them");
        let none = Table { header: vec!["a".to_owned()], ..Table::default() };
        assert!(Suggestion::of(&none, &UsedColumns::default(), "").ranking.is_none());
    }
}

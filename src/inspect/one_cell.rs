//! Finds the column of a table that has both coordinates of a point in each cell: two degrees, or a geometry in any CRS.

use super::table::Table;
use crate::map::{geometry, notation};
use crate::record::{CoordinateForm, is_no_value};

/// Column with both coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneCell {
    /// Its name.
    pub column: String,
    /// How: [`CoordinateForm::Xy`], [`CoordinateForm::Yx`] or [`CoordinateForm::Geometry`].
    pub form: CoordinateForm,
}

impl OneCell {
    /// The first such column. Which of two degrees comes first is known by their values, else by the name of the column; where neither says
    /// so, there is no such column.
    pub fn find(table: &Table) -> Option<OneCell> {
        table.header.iter().find_map(|name| OneCell::in_column(table, name))
    }

    /// The same of one column.
    pub fn in_column(table: &Table, name: &str) -> Option<OneCell> {
        let column = table.header.iter().position(|known| known == name)?;
        let cells = table.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.trim());
        let cells: Vec<&str> = cells.filter(|cell| !is_no_value(cell)).collect();
        let form = if are_geometries(&cells) { CoordinateForm::Geometry } else { order(name, &cells)? };
        Some(OneCell { column: name.to_owned(), form })
    }
}

/// Geometries as WKT, WKB or GeoJSON, of which one is a point.
fn are_geometries(cells: &[&str]) -> bool {
    let is_point = |cell: &&str| matches!(geometry::point(cell, None), Ok(Some(_)));
    are_most(cells.iter().filter(|cell| geometry::is_geometry(cell)).count(), cells) && cells.iter().any(is_point)
}

/// Whether so many of the cells are nearly all: one that is broken costs its row, not the column.
fn are_most(found: usize, cells: &[&str]) -> bool {
    found > 0 && 10 * found >= 9 * cells.len()
}

fn order(name: &str, cells: &[&str]) -> Option<CoordinateForm> {
    let pairs: Vec<(f64, f64)> = cells.iter().filter_map(|cell| notation::pair(cell)).collect();
    if !are_most(pairs.len(), cells) {
        return None;
    }
    // Whole numbers may be sizes, or anything.
    let fractions = pairs.iter().filter(|(first, second)| first.fract() != 0.0 && second.fract() != 0.0).count();
    let most = |value: fn(&(f64, f64)) -> f64| pairs.iter().map(value).map(f64::abs).fold(0.0, f64::max);
    let (first, second) = (most(|pair| pair.0), most(|pair| pair.1));
    if 2 * fractions < pairs.len() || first > 180.0 || second > 180.0 {
        return None;
    }
    match (first > 90.0, second > 90.0) {
        (true, true) => None,
        (true, false) => Some(CoordinateForm::Xy),
        (false, true) => Some(CoordinateForm::Yx),
        (false, false) => {
            let name = name.to_lowercase();
            let place = |words: &[&str]| words.iter().find_map(|word| name.find(word));
            let (x, y) = place(&["경도", "lon", "lng"]).zip(place(&["위도", "lat"]))?;
            Some(if x < y { CoordinateForm::Xy } else { CoordinateForm::Yx })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, cells: &[&str]) -> Option<&'static str> {
        let rows = cells.iter().map(|cell| vec!["x".to_owned(), (*cell).to_owned()]).collect();
        let found = OneCell::find(&Table { header: vec!["name".to_owned(), name.to_owned()], rows, crs: None });
        found.map(|found| {
            assert_eq!(found.column, name);
            found.form.name()
        })
    }

    #[test]
    fn both_coordinates_are_found_where_their_order_is_known() {
        for (name, cells, expected) in [
            ("좌표", &["37.5665, 126.978", "", "(35.18 129.075)"][..], Some("yx")),
            ("위치", &["N 37°33′59.4″ E 126°58′40.8″"], Some("yx")),
            ("where", &["126.978,37.5665"], Some("xy")),
            ("lat/lon", &["52.52, 13.405", "48.8566, 2.3522"], Some("yx")),
            ("(lon, lat)", &["13.405 52.52"], Some("xy")),
            ("geom", &["POINT (126.978 37.5665)"], Some("geometry")),
            ("shape", &[r#"{"type":"Point","coordinates":[2.35,48.85]}"#], Some("geometry")),
            ("where", &["52.52, 13.405"], None),
            ("크기", &["120, 60", "100, 40"], None),
            ("where", &["953900.5, 1952030.5"], None),
            ("geom", &["POINT (953900.5 1952030.5)", "SRID=5179;POINT(953901 1952031)"], Some("geometry")),
            ("geom", &["LINESTRING (953900.5 1952030.5, 953901 1952031)"], None),
            (
                "geom",
                &["POINT (126.978 37.5665)", "POLYGON ((0 0, 1 0, 1 1, 0 0))", "MULTIPOINT EMPTY"],
                Some("geometry"),
            ),
            (
                "geom",
                &[r#"{"type":"Point","coordinates":[]}"#, r#"{"type":"Point","coordinates":[127,37]}"#],
                Some("geometry"),
            ),
            ("geom", &["POINT (126.978 37.5665)", "Point of interest"], None),
            ("좌표", &["37.5665, 126.978", "not known"], None),
            ("좌표", &["", "-"], None),
            ("좌표", &["37.5665, 126.978", "-", "없음"], Some("yx")),
            ("geom", &["POINT (126.978 37.5665)", "NULL", "POINT EMPTY"], Some("geometry")),
        ] {
            assert_eq!(key(name, cells), expected, "{name} {cells:?}");
        }
    }
}

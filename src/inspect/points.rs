//! The points of a workbook as a map shows them: longitude and latitude, by sheet, and which countries and provinces they are in. Many points
//! are put in cells of a grid, so that a map of a million stays small.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::crs::columns::number;
use crate::crs::places::{Atlas, atlas};
use crate::crs::ranking::AreaShare;
use crate::crs::{CrsKind, CrsPair, LonLat, open};
use crate::map::MapConfig;
use crate::page::read::ShownCell;
use crate::sink::points::{SheetPoints, read_points};
use crate::sink::preview::SheetPreview;
use crate::topology::Topology;

/// Points up to which each is shown for itself.
const POINTS_MAX: usize = 4_000;
/// Cells of the grid along the longer side of the points.
const CELLS: f64 = 160.0;
/// Decimals of a degree that a map needs.
const DEGREE: f64 = 1e5;

/// Points of a map.
#[derive(Debug, PartialEq, Serialize)]
pub struct PointMap {
    /// Points in all.
    pub points: usize,
    /// Whether points are put together in cells.
    is_gridded: bool,
    /// Countries and Korean provinces with their points, the one with most first; what is left is at sea.
    areas: Vec<AreaShare>,
    sheets: Vec<MapSheet>,
}

/// The points of one sheet.
#[derive(Debug, PartialEq, Serialize)]
struct MapSheet {
    name: String,
    points: usize,
    /// Longitude and latitude in units of 0.00001 degree, and how many points are there; one after the other.
    at: Vec<i64>,
}

impl PointMap {
    /// The points of a workbook that `topology` made; `None` where it adds no coordinates, or leaves them out later.
    pub fn of_workbook(workbook: &[u8], topology: &Topology) -> Option<PointMap> {
        let (columns, crs) = target(topology)?;
        let sheets = read_points(workbook, &columns).filter(|sheets| !sheets.is_empty())?;
        let proj = if crs.kind == CrsKind::Geographic { None } else { Some(open(&to_lon_lat(&crs.definition)?).ok()?) };
        let lon_lat = |[x, y]: [f64; 2]| match &proj {
            Some(proj) => proj.convert((x, y)).map_or([f64::NAN; 2], |(lon, lat)| [lon, lat]),
            None => [x, y],
        };
        let sheets = sheets.into_iter().map(|SheetPoints { name, points }| {
            let points = points.into_iter().map(lon_lat).filter(|[lon, lat]| lon.is_finite() && lat.is_finite());
            SheetPoints { name, points: points.collect() }
        });
        Some(PointMap::new(sheets.collect(), atlas()))
    }

    /// The points of the first rows of an open upload; `None` where its topology adds no coordinates. A grid is not needed for them.
    pub fn of_preview(sheets: &[SheetPreview], topology: &Topology) -> Option<PointMap> {
        let (columns, crs) = target(topology)?;
        let proj = if crs.kind == CrsKind::Geographic { None } else { Some(open(&to_lon_lat(&crs.definition)?).ok()?) };
        let points = |sheet: &SheetPreview| {
            let place = |name: &String| sheet.columns.iter().rposition(|column| column == name);
            let places = place(&columns[0]).zip(place(&columns[1]));
            let point = |row: &Vec<ShownCell>| {
                let (x, y) = places?;
                let point = (number(&row.get(x)?.text)?, number(&row.get(y)?.text)?);
                let (lon, lat) = proj.as_ref().map_or(Some(point), |proj| proj.convert(point).ok())?;
                Some([lon, lat])
            };
            SheetPoints { name: sheet.name.clone(), points: sheet.head.iter().filter_map(point).collect() }
        };
        Some(PointMap::new(sheets.iter().map(points).collect(), atlas()))
    }

    fn new(sheets: Vec<SheetPoints>, atlas: &Atlas) -> PointMap {
        let all = || sheets.iter().flat_map(|sheet| &sheet.points);
        let total = all().count();
        let mut areas: BTreeMap<u8, usize> = BTreeMap::new();
        all().filter_map(|[lon, lat]| atlas.area_at(*lon, *lat)).for_each(|area| *areas.entry(area).or_default() += 1);
        let is_gridded = total > POINTS_MAX;
        let side = |axis: usize| {
            let bounds =
                all().fold((f64::MAX, f64::MIN), |(low, high), point| (low.min(point[axis]), high.max(point[axis])));
            bounds.1 - bounds.0
        };
        let cell = if is_gridded { (side(0).max(side(1)) / CELLS).max(1.0 / DEGREE) } else { 1.0 / DEGREE };
        let place = |value: f64| ((value / cell).round() * cell * DEGREE).round() as i64;
        let sheets = sheets.iter().map(|SheetPoints { name, points }| {
            let mut cells: BTreeMap<[i64; 2], i64> = BTreeMap::new();
            points.iter().for_each(|[lon, lat]| *cells.entry([place(*lon), place(*lat)]).or_default() += 1);
            let at = cells.into_iter().flat_map(|([lon, lat], count)| [lon, lat, count]).collect();
            MapSheet { name: name.clone(), points: points.len(), at }
        });
        PointMap { points: total, is_gridded, areas: AreaShare::of(areas, atlas), sheets: sheets.collect() }
    }
}

/// The columns with the coordinates of a workbook, and their CRS: those in degrees, if there are several.
fn target(topology: &Topology) -> Option<([String; 2], crate::crs::CrsInfo)> {
    let reprojects = topology.maps.iter().filter_map(MapConfig::as_reproject);
    let added = reprojects.map(|map| (map.into.clone(), map.crs.to.clone()));
    let added: Vec<_> = added.collect();
    let in_degrees = added.iter().rfind(|(_, crs)| crs.kind == CrsKind::Geographic);
    in_degrees.or(added.last()).cloned()
}

/// The pipeline from a CRS to longitude and latitude.
pub fn to_lon_lat(definition: &str) -> Option<String> {
    let pair = CrsPair::resolve(definition, "OGC:CRS84", true).ok()?;
    Some(match pair.lon_lat.as_ref()? {
        LonLat::Source => "+proj=noop".to_owned(),
        LonLat::Target => pair.first_operation().pipeline.clone(),
        LonLat::Through(pipeline) => pipeline.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(points: Vec<[f64; 2]>) -> SheetPoints {
        SheetPoints { name: "a".to_owned(), points }
    }

    #[test]
    fn few_points_are_shown_one_by_one() {
        let map = PointMap::new(vec![sheet(vec![[126.978, 37.566], [126.978, 37.566], [127.009, 37.275]])], atlas());
        assert_eq!((map.points, map.is_gridded), (3, false));
        assert_eq!(map.sheets[0].at, [12_697_800, 3_756_600, 2, 12_700_900, 3_727_500, 1]);
        let areas: Vec<(&str, usize)> = map.areas.iter().map(|area| (area.ko.as_str(), area.points)).collect();
        assert_eq!(areas, [("서울", 2), ("경기", 1)]);
    }

    #[test]
    fn a_million_points_become_a_grid_and_none_is_lost() {
        let points =
            (0..1_000_000).map(|n| [126.0 + f64::from(n % 1_000) / 500.0, 35.0 + f64::from(n / 1_000) / 400.0]);
        let map = PointMap::new(vec![sheet(points.collect())], atlas());
        assert!(map.is_gridded && map.sheets[0].at.len() < 3 * 161 * 161);
        assert_eq!(map.sheets[0].at.chunks(3).map(|cell| cell[2]).sum::<i64>(), 1_000_000);
    }
}

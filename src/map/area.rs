//! Checks that a point lies in the area of use of its own CRS, and near that of the target. No other check distinguishes a wrong pair of
//! numbers from a right one.

use std::cell::OnceCell;

use proj::Proj;

use super::points::Point;
use crate::crs::zones::{self, Zone};
use crate::crs::{self, CrsError, CrsInfo, CrsKind, CrsPair, LonLat};

/// How far outside of the target's area of use a point is far, in degrees: a neighbouring zone is used now and then, and is as exact.
const FAR_DEGREES: f64 = 6.0;

/// The areas of use of a pair of CRSs, and how a point's longitude and latitude are had.
///
/// The cheapest way that is right: mostly the source coordinates or the result are the longitude and latitude already; between two
/// projected CRSs, and to a datum other than WGS 84, every point costs a second transformation.
pub(super) struct Areas {
    source: Option<Area>,
    target: Option<Area>,
    way: Way,
}

enum Way {
    Source,
    Target,
    Through(Proj),
}

/// An area of use.
struct Area {
    bounds: [f64; 4],
    description: String,
    /// Found when a point is out of bounds for the first time.
    zone: OnceCell<Option<Zone>>,
}

/// The area of a geographic CRS without an area of use.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

impl Areas {
    /// `None` if neither CRS states one (PROJ strings, most WKT), or one is not on the earth.
    pub(super) fn of(pair: &CrsPair) -> Result<Option<Areas>, CrsError> {
        let world = (pair.from.kind == CrsKind::Geographic).then_some(WORLD);
        let source = pair.from.area.or(world).map(|bounds| Area::of(bounds, &pair.from));
        let target = pair.to.area.map(|bounds| Area::of(bounds, &pair.to));
        let Some(way) = pair.lon_lat.as_ref().filter(|_| source.is_some() || target.is_some()) else { return Ok(None) };
        let way = match way {
            LonLat::Source => Way::Source,
            LonLat::Target => Way::Target,
            LonLat::Through(pipeline) => Way::Through(crs::open(pipeline)?),
        };
        Ok(Some(Areas { source, target, way }))
    }

    /// The area of the source as messages name it.
    pub(super) fn named(&self) -> Option<crate::record::Area> {
        let [west, south, east, north] = self.source.as_ref()?.bounds;
        Some(crate::record::Area::Bounds { west, south, east, north })
    }

    /// Longitude and latitude of the source point that was transformed into `target`, if it has any.
    pub(super) fn lon_lat(&self, source: Point, target: Point) -> Option<Point> {
        match &self.way {
            Way::Source => Some(source),
            Way::Target => Some(target),
            Way::Through(proj) => proj.convert(source).ok(),
        }
    }

    /// Whether a point that lies in the area of the source is far from that of the target; `None` for one that lies elsewhere. NaN and
    /// infinity do.
    pub(super) fn is_distant(&self, source: Point, target: Point) -> Option<bool> {
        let place = self.lon_lat(source, target);
        if self.source.as_ref().is_some_and(|area| !place.is_some_and(|place| area.holds(place, 0.0))) {
            return None;
        }
        let is_far = |area: &Area| place.is_some_and(|place| !area.holds(place, FAR_DEGREES));
        Some(self.target.as_ref().is_some_and(is_far))
    }
}

impl Area {
    fn of(bounds: [f64; 4], crs: &CrsInfo) -> Area {
        let description = crs.area_description.clone().unwrap_or_default();
        Area { bounds, description, zone: OnceCell::new() }
    }

    /// Whether a place lies inside, not further outside than so many degrees, or on land that the zone is used for.
    fn holds(&self, (lon, lat): Point, degrees: f64) -> bool {
        zones::holds(widened(self.bounds, degrees), lon, lat) || self.zone_reaches(lon, lat)
    }

    fn zone_reaches(&self, lon: f64, lat: f64) -> bool {
        let zone = self.zone.get_or_init(|| Zone::of(self.bounds, &self.description));
        zone.as_ref().is_some_and(|zone| zone.reaches(lon, lat))
    }
}

/// An area with so many degrees around it. West is greater than east across the antimeridian.
fn widened([west, south, east, north]: [f64; 4], degrees: f64) -> [f64; 4] {
    let (south, north) = (south - degrees, north + degrees);
    let width = if west <= east { east - west } else { east - west + 360.0 };
    if width + 2.0 * degrees >= 360.0 {
        return [-180.0, south, 180.0, north];
    }
    let [west, east] = [west - degrees, east + degrees];
    [if west < -180.0 { west + 360.0 } else { west }, south, if east > 180.0 { east - 360.0 } else { east }, north]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_widened_across_the_antimeridian_and_to_the_whole_earth() {
        for (bounds, degrees, expected) in [
            ([126.0, 33.0, 128.0, 38.0], 6.0, [120.0, 27.0, 134.0, 44.0]),
            ([174.0, -47.0, 179.0, -34.0], 6.0, [168.0, -53.0, -175.0, -28.0]),
            ([170.0, -47.0, -176.0, -34.0], 6.0, [164.0, -53.0, -170.0, -28.0]),
            ([-180.0, -80.0, 180.0, 84.0], 6.0, [-180.0, -86.0, 180.0, 90.0]),
            ([126.0, 33.0, 128.0, 38.0], 0.0, [126.0, 33.0, 128.0, 38.0]),
        ] {
            assert_eq!(widened(bounds, degrees), expected);
        }
    }
}

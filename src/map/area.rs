//! Checks that a point lies in the area of use of its own CRS. No other check distinguishes a wrong pair of numbers from a right one.

use std::cell::OnceCell;

use proj::Proj;

use super::points::Point;
use crate::crs::zones::{self, Zone};
use crate::crs::{self, CrsError, CrsKind, CrsPair, LonLat};

/// An area of use, and how a point's longitude and latitude are had.
///
/// The cheapest way that is right: mostly the source coordinates or the result are the longitude and latitude already; between two
/// projected CRSs, and to a datum other than WGS 84, every point costs a second transformation.
pub(super) struct Area {
    bounds: [f64; 4],
    description: String,
    /// Found when a point is out of bounds for the first time.
    zone: OnceCell<Option<Zone>>,
    way: Way,
}

enum Way {
    Source,
    Target,
    Through(Proj),
}

/// The area of a geographic CRS without an area of use.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];

impl Area {
    /// The source CRS's area of use; `None` if it states none (PROJ strings, most WKT) or is not on the earth.
    pub(super) fn of(pair: &CrsPair) -> Result<Option<Area>, CrsError> {
        let world = (pair.from.kind == CrsKind::Geographic).then_some(WORLD);
        let (Some(bounds), Some(way)) = (pair.from.area.or(world), &pair.lon_lat) else { return Ok(None) };
        let way = match way {
            LonLat::Source => Way::Source,
            LonLat::Target => Way::Target,
            LonLat::Through(pipeline) => Way::Through(crs::open(pipeline)?),
        };
        let description = pair.from.area_description.clone().unwrap_or_default();
        Ok(Some(Area { bounds, description, zone: OnceCell::new(), way }))
    }

    /// As messages name it.
    pub(super) fn named(&self) -> crate::record::Area {
        let [west, south, east, north] = self.bounds;
        crate::record::Area::Bounds { west, south, east, north }
    }

    /// Longitude and latitude of the source point that was transformed into `target`, if it has any.
    pub(super) fn lon_lat(&self, source: Point, target: Point) -> Option<Point> {
        match &self.way {
            Way::Source => Some(source),
            Way::Target => Some(target),
            Way::Through(proj) => proj.convert(source).ok(),
        }
    }

    /// Whether it lies inside, or on land that the zone is used for. NaN and infinity do not.
    pub(super) fn holds(&self, source: Point, target: Point) -> bool {
        let is_held = |(lon, lat)| zones::holds(self.bounds, lon, lat) || self.zone_reaches(lon, lat);
        self.lon_lat(source, target).is_some_and(is_held)
    }

    fn zone_reaches(&self, lon: f64, lat: f64) -> bool {
        let zone = self.zone.get_or_init(|| Zone::of(self.bounds, &self.description));
        zone.as_ref().is_some_and(|zone| zone.reaches(lon, lat))
    }
}

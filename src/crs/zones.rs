//! Countries whose places are published in one zone of a projected CRS. EPSG gives each belt of such a CRS an area of use between two
//! meridians, and agencies use one belt for the whole country: licences of all of Korea are in EPSG:5174, the belt from 126°E to 128°E.
//! Busan is at 129°E. PROJ's transverse Mercator is exact there too: thousands of kilometres from its meridian.
//!
//! Land is known by the outlines of [`places`](super::places), within a few kilometres in Korea and some twenty elsewhere.

use super::places::atlas;

/// Lowest strip that is a zone of a country, in degrees of latitude: a belt for one island is for that island.
const ZONE_LATITUDE_MIN: f64 = 2.0;
/// How far from its strip a zone is used, in degrees of longitude: Norway writes all of its places in the zone from 12°E to 18°E.
const REACH: f64 = 15.0;

/// A strip between meridians, and the countries that EPSG names for it.
#[derive(Clone, Debug)]
pub struct Zone {
    bounds: [f64; 4],
    is_korean: bool,
    /// Countries other than South Korea, as the atlas numbers them.
    countries: Vec<u8>,
}

impl Zone {
    /// The zone that an area of use is; `None` for one that EPSG does not describe as a strip ("between 126°E and 128°E").
    ///
    /// `bounds` are west, south, east, north in degrees, `description` is EPSG's. The first call takes some 20 ms.
    pub fn of(bounds: [f64; 4], description: &str) -> Option<Zone> {
        let [_, south, _, north] = bounds;
        if !is_strip(description) || north - south < ZONE_LATITUDE_MIN {
            return None;
        }
        let names: Vec<&str> = words(description).collect();
        let is_named = |name: &str| {
            let name: Vec<&str> = words(name).collect();
            names.windows(name.len()).any(|window| window == name)
        };
        let countries = atlas().countries().filter(|(_, name)| is_named(name)).map(|(number, _)| number).collect();
        Some(Zone { bounds, is_korean: is_named("South Korea"), countries })
    }

    /// Whether a point is on land of one of its countries, and not too far from the strip. Longitude and latitude in degrees.
    pub fn reaches(&self, lon: f64, lat: f64) -> bool {
        let [west, _, east, _] = self.bounds;
        let atlas = atlas();
        (west - REACH..=east + REACH).contains(&lon)
            && ((self.is_korean && atlas.is_in_korea(lon, lat))
                || self.countries.iter().any(|country| atlas.is_in_country(*country, lon, lat)))
    }
}

/// Whether an area of use holds a point. West is greater than east across the antimeridian; NaN and infinity are nowhere.
pub fn holds([west, south, east, north]: [f64; 4], lon: f64, lat: f64) -> bool {
    let between = match west <= east {
        true => west <= lon && lon <= east,
        false => (west <= lon && lon < f64::INFINITY) || (lon <= east && f64::NEG_INFINITY < lon),
    };
    between && south <= lat && lat <= north
}

/// Whether a description says "between" two meridians.
fn is_strip(description: &str) -> bool {
    let is_meridian = |word: &str| word.contains('°') && word.ends_with(['E', 'W']);
    description.split("between ").skip(1).any(|rest| rest.split([' ', ',', ':', '.']).next().is_some_and(is_meridian))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::{CrsPair, LON_LAT_CRS};

    fn zone(crs: &str) -> Option<Zone> {
        let pair = CrsPair::resolve(crs, LON_LAT_CRS, true).expect("PROJ knows it");
        Zone::of(pair.from.area?, pair.from.area_description.as_deref()?)
    }

    #[test]
    fn a_belt_of_korea_reaches_all_of_korea_and_no_sea() {
        for crs in ["EPSG:5174", "EPSG:5181", "EPSG:5186", "EPSG:2097", "EPSG:5187"] {
            let zone = zone(crs).expect("a zone");
            let places =
                [(129.06, 35.17), (128.6, 35.87), (126.53, 33.5), (124.71, 37.96), (130.9, 37.48), (131.87, 37.24)];
            for (lon, lat) in places {
                assert!(zone.reaches(lon, lat), "{crs} {lon} {lat}");
            }
            // The Yellow Sea, the strait, Japan, China, the North, and what is no number.
            let others = [(124.87, 32.57), (130.82, 34.32), (130.4, 33.6), (121.6, 38.9), (125.75, 39.03)];
            for (lon, lat) in others.into_iter().chain([(f64::NAN, 37.0), (127.0, f64::INFINITY)]) {
                assert!(!zone.reaches(lon, lat), "{crs} {lon} {lat}");
            }
        }
    }

    #[test]
    fn what_is_no_strip_of_a_country_is_no_zone() {
        // A whole country, an island, a county, the world, a geographic CRS.
        for crs in ["EPSG:5179", "EPSG:5182", "EPSG:2263", "EPSG:3857", "EPSG:4737"] {
            assert!(zone(crs).is_none(), "{crs}");
        }
    }

    #[test]
    fn a_zone_of_several_countries_reaches_each() {
        let zone = zone("EPSG:31467").expect("between 7°30'E and 10°30'E, former West Germany");
        assert!(zone.reaches(13.4, 52.5), "Berlin");
        assert!(!zone.reaches(2.35, 48.86), "Paris");
    }
}

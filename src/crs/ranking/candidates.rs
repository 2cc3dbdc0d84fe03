//! The systems that points may be in, ready to be tried.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError};

use proj::Proj;

use crate::crs::places::{Atlas, Place};
use crate::crs::systems::{ListedCrs, systems};
use crate::crs::zones::{Zone, holds};
use crate::crs::{CrsKind, CrsPair, KATEC, LON_LAT_CRS, open};

/// Systems of other countries that are tried.
const FOREIGN_MAX: usize = 80;
/// Belts that agencies publish all of Korea in.
const NATIONWIDE: [&str; 3] = ["EPSG:5186", "EPSG:5181", "EPSG:5174"];
/// Around the origin of a zone, numbers are more likely counts and prices: that of EPSG:5183 is on Jeju, far from its belt.
const ORIGIN_M: f64 = 10_000.0;
/// Korean systems in the order in which files use them; others come behind.
pub const USUAL: [u32; 14] = [4326, 5179, 5186, 5181, 5174, 5187, 5185, 5183, 5184, 5188, 5182, 5180, 2097, 3857];
/// Systems that Korean files use and that are not of Korea alone.
const SHARED: [u32; 4] = [4326, 3857, 32651, 32652];

/// A CRS that fits.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RankedSystem {
    /// As requests and topologies name it.
    pub definition: String,
    /// PROJ's name for it.
    pub name: String,
}

/// The place of a system among the usual ones.
pub(super) fn usual(definition: &str) -> usize {
    let code = definition.strip_prefix("EPSG:").and_then(|code| code.parse::<u32>().ok());
    USUAL.iter().position(|usual| Some(*usual) == code).unwrap_or(USUAL.len())
}

/// A system that could be meant, ready to transform.
pub(super) struct Candidate {
    pub(super) system: RankedSystem,
    facts: Facts,
    proj: Proj,
}

/// The facts about a definition.
#[derive(Clone)]
struct Facts {
    name: String,
    kind: CrsKind,
    area: Option<[f64; 4]>,
    zone: Option<Zone>,
    /// To longitude and latitude.
    pipeline: String,
}

impl Facts {
    fn of(definition: &str) -> Option<Facts> {
        let pair = CrsPair::resolve(definition, LON_LAT_CRS, true).ok()?;
        let pipeline = pair.first_operation().pipeline.clone();
        let from = pair.from;
        let zone = from.area.zip(from.area_description).and_then(|(area, described)| Zone::of(area, &described));
        Some(Facts { name: from.name, kind: from.kind, area: from.area, zone, pipeline })
    }
}

impl Candidate {
    /// Finds the way to longitude and latitude, or remembers that there is none.
    fn new(definition: &str) -> Option<Candidate> {
        static KNOWN: OnceLock<Mutex<HashMap<String, Option<Facts>>>> = OnceLock::new();
        let known = KNOWN.get_or_init(Mutex::default);
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lock().get(definition).cloned();
        let facts = found.unwrap_or_else(|| {
            let facts = Facts::of(definition);
            lock().insert(definition.to_owned(), facts.clone());
            facts
        })?;
        let proj = open(&facts.pipeline).ok()?;
        let system = RankedSystem { definition: definition.to_owned(), name: facts.name.clone() };
        Some(Candidate { system, facts, proj })
    }

    /// Longitude and latitude of a point; `None` as well for degrees in a projected system, and for metres in a geographic one.
    pub(super) fn place(&self, point: (f64, f64)) -> Option<[f64; 2]> {
        let (lon, lat) = self.proj.convert(point).ok().filter(|_| kind_of(point) == self.facts.kind)?;
        (lon.is_finite() && lat.is_finite()).then_some([lon, lat])
    }

    /// Whether files use the system for a point at that place: in its area of use, or on land that its zone is used for. A local belt is
    /// not used beside itself and with x and y swapped at once.
    pub(super) fn is_used_at(&self, (x, y): (f64, f64), [lon, lat]: [f64; 2], is_swapped: bool) -> bool {
        let Facts { area, zone, .. } = &self.facts;
        let is_at_origin = x.abs() < ORIGIN_M && y.abs() < ORIGIN_M;
        let is_likely = !is_at_origin && (!is_swapped || NATIONWIDE.contains(&&*self.system.definition));
        let reaches = |zone: &Zone| is_likely && zone.reaches(lon, lat);
        lon.is_finite() && area.is_none_or(|area| holds(area, lon, lat) || zone.as_ref().is_some_and(reaches))
    }
}

/// The kind of system that a point can be in.
pub(super) fn kind_of((x, y): (f64, f64)) -> CrsKind {
    if x.abs() <= 180.0 && y.abs() <= 180.0 { CrsKind::Geographic } else { CrsKind::Projected }
}

/// Systems that could be meant: those of Korea, those that are used where the rows say that they are, and what the header names.
pub(super) fn candidates(kind: CrsKind, named: &[Place], header: Option<&str>, atlas: &Atlas) -> Vec<Candidate> {
    let all = systems().unwrap_or_default();
    let is_korean =
        |system: &&ListedCrs| system.area_name.contains("Republic of Korea") || SHARED.contains(&system.code);
    let mut codes: Vec<u32> =
        all.iter().filter(is_korean).filter(|system| system.kind == kind).map(|system| system.code).collect();
    codes.sort_by_key(|code| usual(&format!("EPSG:{code}")));
    if kind == CrsKind::Projected {
        codes.extend(foreign(named, all, atlas));
    }
    let mut definitions: Vec<String> = codes.iter().map(|code| format!("EPSG:{code}")).collect();
    if kind == CrsKind::Projected {
        definitions.push(KATEC.to_owned());
    }
    if let Some(header) = header.filter(|header| !definitions.iter().any(|known| known == header)) {
        definitions.insert(0, header.to_owned());
    }
    definitions.iter().filter_map(|definition| Candidate::new(definition)).collect()
}

/// Projected systems of the places outside of Korea that rows name; those that EPSG lists for the country come first, then those whose area
/// of use is most like it.
fn foreign(named: &[Place], all: &[ListedCrs], atlas: &Atlas) -> Vec<u32> {
    let mut count: BTreeMap<u8, (usize, Place)> = BTreeMap::new();
    for place in named {
        let area = Atlas::area_of(*place);
        if !atlas.is_korean(area) {
            count.entry(area).or_insert((0, *place)).0 += 1;
        }
    }
    let Some((area, (_, place))) = count.into_iter().max_by_key(|(_, (count, _))| *count) else { return Vec::new() };
    let country = atlas.area(area);
    let size = |[west, south, east, north]: [f64; 4]| (east - west).rem_euclid(360.0) * (north - south);
    let is_there = |area: [f64; 4]| match place {
        Place::Area(_) => {
            let [west, south, east, north] = country.bounds;
            let both = [area[0].max(west), area[1].max(south), area[2].min(east), area[3].min(north)];
            both[0] < both[2] && both[1] < both[3] && 4.0 * size(both) > size(area)
        }
        Place::Box(..) | Place::City(..) => {
            let [lon, lat] = atlas.middle(place);
            holds(area, lon, lat)
        }
    };
    let mut found: Vec<(bool, f64, u32)> = Vec::new();
    for system in all.iter().filter(|system| system.kind == CrsKind::Projected && !system.is_deprecated) {
        if let Some(area) = system.area.filter(|area| is_there(*area)) {
            let unlike = (size(area) / size(country.bounds)).ln().abs();
            found.push((!system.area_name.starts_with(&country.en), unlike, system.code));
        }
    }
    found.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap_or(std::cmp::Ordering::Equal));
    // UTM on WGS 84 and on ETRS89 is used wherever there is no system of the country.
    let is_utm = |code: u32| matches!(code, 32_601..=32_660 | 32_701..=32_760 | 25_828..=25_838);
    let utm = found.iter().map(|(.., code)| *code).filter(|code| is_utm(*code));
    let others = found.iter().map(|(.., code)| *code).filter(|code| !is_utm(*code));
    utm.chain(others).take(FOREIGN_MAX).collect()
}

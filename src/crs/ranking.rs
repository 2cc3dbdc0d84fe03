//! Finds the CRS of the points of a file. Every system that could be meant is tried, and the evidence for it is counted: points lie on land
//! or at sea, and where their rows say that they are ("Mapo-gu") or elsewhere; headers name a CRS.
//!
//! No answer is "right". Systems that differ by a datum shift put points some 300 m apart, and no outline here is that fine. Such systems
//! are one *family*, and the distance is part of the answer. [`Certainty`] says how far the evidence goes.

use std::collections::BTreeMap;

use super::CrsKind;
use super::columns::named_system;
use super::places::{Area, Atlas, Place, atlas, distance_m};
use candidates::{Candidate, candidates, kind_of, usual};
pub use candidates::{RankedSystem, USUAL};

mod candidates;

/// Points that every system is tried on.
const POINTS_MAX: usize = 96;
/// Points of one family lie no farther apart than this: the datum shifts of Korea and Japan are 400 m.
const FAMILY_M: f64 = 1_000.0;
/// Families in an answer.
const FAMILIES_MAX: usize = 6;
/// Part of the points that must speak for a system before it is offered.
const FIT_MIN: f64 = 0.5;
/// Part of the points that must lie where their rows say, or the rows contradict the system.
const AS_NAMED_MIN: f64 = 0.5;
/// Families that differ by less than this count as equal.
const RIVAL: f64 = 0.1;

/// A row, for the ranking.
#[derive(Clone, Debug, Default)]
pub struct RankedRow<'a> {
    /// x and y as they are in the file.
    pub point: Option<(f64, f64)>,
    /// Texts of the row that may name a place.
    pub texts: Vec<&'a str>,
}

/// What a file says about its points outside of their rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// Names of the coordinate columns.
    pub headers: [&'a str; 2],
    /// Name of the file.
    pub file: &'a str,
    /// Definition of the CRS that its geometries name.
    pub geometries: Option<&'a str>,
    /// Definition of the CRS that a column names for all rows.
    pub column: Option<&'a str>,
    /// Whether it is written in Korean: then its points are more likely in Korea.
    pub is_korean: bool,
}

/// The evidence for the systems.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Ranking {
    /// Rows with two numbers for coordinates.
    pub points: usize,
    /// Rows that name a place.
    pub named: usize,
    /// Definition of the CRS that the file names: its geometries, else a column, else the names of its coordinate columns.
    pub header: Option<String>,
    /// Definition of the CRS that the points fit better by far than that one.
    pub contradicted_by: Option<String>,
    /// How far the evidence goes.
    pub certainty: Certainty,
    /// The systems that fit best, the best first. Empty when none fits.
    pub families: Vec<Family>,
}

impl Ranking {
    /// The sentence that the file names one system and its points fit another, or that its points are not where the rows say.
    pub fn contradiction(&self) -> Option<String> {
        let Some((named, fitting)) = self.header.as_ref().zip(self.contradicted_by.as_ref()) else {
            let first =
                self.families.first().filter(|first| first.as_named.is_some_and(|as_named| as_named < AS_NAMED_MIN))?;
            return Some(format!("most rows name other places than where {} puts them", first.systems[0].definition));
        };
        let what = if self.certainty == Certainty::Declared { "geometries name" } else { "columns point to" };
        Some(format!("the {what} {named}, but the points fit {fitting}"))
    }
}

/// How far the evidence for the first family goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Nothing fits.
    None,
    /// Other families fit as well, and nothing distinguishes them.
    Ambiguous,
    /// It alone puts the points on land, in a country whose systems were all tried.
    Land,
    /// The header names it, and its points lie on land, or inside its area of use where no system puts them on land.
    Header,
    /// Its points lie where their rows say, and those of no other family do.
    Places,
    /// The geometries of the file name it, or a column does and its points do not contradict.
    Declared,
}

/// Systems that put the points at the same places, but for a datum shift.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Family {
    /// Its systems, the likeliest first.
    pub systems: Vec<RankedSystem>,
    /// Metres between the points of its systems. The outlines are too coarse to show the difference.
    pub spread_m: f64,
    /// Whether x and y have to be swapped.
    pub is_swapped: bool,
    /// Part of the points on land.
    pub on_land: f64,
    /// Part of the points where the system is used: in its area of use, or on land of its country beside it.
    pub inside: f64,
    /// Part of the points that lie where their rows say; null when no row names a place.
    pub as_named: Option<f64>,
    /// The countries and Korean provinces that the points are in, the one with most points first.
    pub areas: Vec<AreaShare>,
    /// Part of the points on land outside of Korea.
    #[serde(skip)]
    abroad: f64,
    #[serde(skip)]
    score: f64,
    #[serde(skip)]
    places: Vec<[f64; 2]>,
}

/// Points in a country or a Korean province.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AreaShare {
    /// English name.
    pub en: String,
    /// Korean name.
    pub ko: String,
    /// Points in it, of those that were tried.
    pub points: usize,
}

impl AreaShare {
    /// Shares from points by the number of their area, the largest first.
    pub fn of(points: BTreeMap<u8, usize>, atlas: &Atlas) -> Vec<AreaShare> {
        let share = |(area, points)| {
            let Area { en, ko, .. } = atlas.area(area);
            AreaShare { en: en.clone(), ko: ko.clone(), points }
        };
        let mut shares: Vec<AreaShare> = points.into_iter().map(share).collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.points));
        shares
    }
}

/// Ranks the systems that the points may be in.
pub fn rank(rows: &[RankedRow<'_>], hints: Hints<'_>) -> Ranking {
    let atlas = atlas();
    let of_file = atlas.named(hints.file);
    let kind = main_kind(rows);
    let points = sample(rows, kind, atlas, &of_file);
    let named = points.iter().filter(|sampled| !sampled.named.is_empty()).count();
    let declared = hints.geometries.or(hints.column);
    let header = declared.map(str::to_owned).or_else(|| hints.headers.iter().find_map(|name| named_system(name)));
    let is_named_at_sea = |family: &Family| {
        !family.is_swapped && family.inside >= 0.9 && header.as_ref().is_some_and(|header| family.has(header))
    };
    let is_declared = |family: &Family| !family.is_swapped && declared.is_some_and(|declared| family.has(declared));
    let places: Vec<Place> = points.iter().flat_map(|sampled| &sampled.named).copied().collect();
    let names_abroad = places.iter().any(|place| !atlas.is_korean(Atlas::area_of(*place)));
    let is_korean = hints.is_korean && !names_abroad;
    let mut tried: Vec<Family> = candidates(kind, &places, header.as_deref(), atlas)
        .iter()
        .flat_map(|candidate| [false, true].map(|is_swapped| candidate.fit(&points, is_swapped, atlas)))
        .collect();
    tried.iter_mut().for_each(|family| family.weigh(family.as_named, is_korean));
    if !tried.iter().any(Family::fits) {
        // Names that contradict every system, as those of a head office do, are no evidence for one.
        tried.iter_mut().for_each(|family| family.weigh(None, is_korean));
    }
    tried.retain(|family| is_declared(family) || is_named_at_sea(family) || family.fits());
    for family in &mut tried {
        let is_header = Some(&family.systems[0].definition) == header.as_ref();
        family.score += if is_header { 0.15 } else { 0.0 };
    }
    tried.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut families = join(tried);
    for family in &mut families {
        // Their scores differ by points at borders, which is no evidence: the one that is used most comes first.
        family.systems.sort_by_key(|system| (header.as_ref() != Some(&system.definition), usual(&system.definition)));
    }
    let contradicted_by = contradiction(&families, header.as_deref());
    let certainty = match families.iter().position(is_declared) {
        Some(place) if hints.geometries.is_some() || contradicted_by.is_none() => {
            families[..=place].rotate_right(1);
            Certainty::Declared
        }
        _ => certainty(&families, header.as_deref(), kind == CrsKind::Projected, names_abroad),
    };
    if certainty == Certainty::Ambiguous {
        let best = families[0].score;
        let rivals = families.partition_point(|family| best - family.score < RIVAL);
        // Nothing in the points distinguishes them: those that files use most come first.
        families[..rivals].sort_by_key(|family| (family.is_swapped, usual(&family.systems[0].definition)));
    }
    families.truncate(FAMILIES_MAX);
    let points = rows.iter().filter(|row| row.point.is_some()).count();
    Ranking { points, named, header, contradicted_by, certainty, families }
}

/// The first system, where the one that is named puts the points elsewhere and has much less evidence.
fn contradiction(families: &[Family], named: Option<&str>) -> Option<String> {
    let first = families.first()?;
    let own = families.iter().find(|family| named.is_some_and(|named| family.has(named)));
    let is_likelier = own.is_none_or(|own| first.score - own.score >= RIVAL);
    (named.is_some() && is_likelier).then(|| first.systems[0].definition.clone())
}

impl Family {
    fn has(&self, definition: &str) -> bool {
        self.systems.iter().any(|system| system.definition == definition)
    }

    /// Scores it by where the points are, and where they are `as_named`.
    fn weigh(&mut self, as_named: Option<f64>, is_korean: bool) {
        let doubt = if is_korean { 0.5 * self.abroad } else { 0.0 };
        let on_land = self.on_land - doubt;
        let score = match as_named {
            Some(as_named) => 0.6 * as_named + 0.25 * on_land + 0.15 * self.inside,
            None => 0.7 * on_land + 0.3 * self.inside,
        };
        self.score = if self.is_swapped { score - 0.02 } else { score };
    }

    fn fits(&self) -> bool {
        self.score >= FIT_MIN && (self.inside > 0.0 || self.as_named > Some(0.0))
    }
}

/// A point of the sample and what its row names.
struct Sampled {
    point: (f64, f64),
    named: Vec<Place>,
}

/// Points of a kind, spread evenly over the rows. A row that names no place is where the file says.
fn sample(rows: &[RankedRow<'_>], kind: CrsKind, atlas: &Atlas, of_file: &[Place]) -> Vec<Sampled> {
    let with_point = rows.iter().filter_map(|row| Some((row.point?, row)));
    let with_point: Vec<_> = with_point.filter(|(point, _)| kind_of(*point) == kind).collect();
    let step = with_point.len().div_ceil(POINTS_MAX).max(1);
    let sampled = with_point.iter().step_by(step).map(|(point, row)| {
        // One text: a district may be in the province that another column names.
        let named = Some(atlas.named(&row.texts.join(", "))).filter(|places| !places.is_empty());
        let named = named.unwrap_or_else(|| of_file.to_vec());
        Sampled { point: *point, named }
    });
    sampled.collect()
}

impl Candidate {
    /// The evidence for it.
    fn fit(&self, points: &[Sampled], is_swapped: bool, atlas: &Atlas) -> Family {
        let place = |Sampled { point: (x, y), .. }: &Sampled| {
            let point = if is_swapped { (*y, *x) } else { (*x, *y) };
            self.place(point).unwrap_or([f64::NAN; 2])
        };
        let places: Vec<[f64; 2]> = points.iter().map(place).collect();
        let (mut on_land, mut inside, mut named, mut as_named) = (0, 0, 0, 0);
        let mut areas: BTreeMap<u8, usize> = BTreeMap::new();
        for (Sampled { point, named: names }, [lon, lat]) in points.iter().zip(&places) {
            if let Some(area) = atlas.area_at(*lon, *lat) {
                on_land += 1;
                *areas.entry(area).or_default() += 1;
            }
            inside += usize::from(self.is_used_at(*point, [*lon, *lat], is_swapped));
            named += usize::from(!names.is_empty());
            as_named += usize::from(names.iter().any(|place| atlas.holds(*place, *lon, *lat)));
        }
        let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
        let (on_land, inside) = (share(on_land, points.len()), share(inside, points.len()));
        let as_named = (named > 0).then(|| share(as_named, named));
        let abroad: usize = areas.iter().filter(|(area, _)| !atlas.is_korean(**area)).map(|(_, points)| points).sum();
        let abroad = share(abroad, points.len());
        let areas = AreaShare::of(areas, atlas);
        let systems = vec![self.system.clone()];
        Family { systems, spread_m: 0.0, is_swapped, on_land, inside, as_named, areas, abroad, score: 0.0, places }
    }
}

/// The kind of most points. The others are no evidence: degrees are next to the origin of every projected system.
fn main_kind(rows: &[RankedRow<'_>]) -> CrsKind {
    let kinds: Vec<CrsKind> = rows.iter().filter_map(|row| row.point.map(kind_of)).collect();
    let degrees = kinds.iter().filter(|kind| **kind == CrsKind::Geographic).count();
    if 2 * degrees > kinds.len() { CrsKind::Geographic } else { CrsKind::Projected }
}

/// Puts systems with the same points together, the best first.
fn join(tried: Vec<Family>) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for family in tried {
        let near = families.iter_mut().find_map(|known| {
            let apart = apart(&known.places, &family.places)?;
            (known.is_swapped == family.is_swapped && apart < FAMILY_M && known.score - family.score < RIVAL + 0.15)
                .then_some((apart, known))
        });
        match near {
            Some((apart, known)) => {
                known.spread_m = known.spread_m.max(apart);
                known.systems.extend(family.systems);
            }
            None => families.push(family),
        }
    }
    families
}

/// Metres between the points of two systems: the middle one of all distances.
fn apart(a: &[[f64; 2]], b: &[[f64; 2]]) -> Option<f64> {
    let mut distances: Vec<f64> =
        a.iter().zip(b).map(|(a, b)| distance_m(*a, *b)).filter(|apart| apart.is_finite()).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied()
}

fn certainty(families: &[Family], header: Option<&str>, is_projected: bool, names_abroad: bool) -> Certainty {
    let Some(first) = families.first() else { return Certainty::None };
    let is_rival = families.get(1).is_some_and(|second| first.score - second.score < RIVAL);
    let by_header = header.is_some_and(|header| first.has(header));
    match first.as_named {
        Some(as_named) if as_named >= 0.8 && !is_rival => Certainty::Places,
        _ if by_header && (first.on_land >= 0.8 || !families.iter().any(Family::fits)) => Certainty::Header,
        _ if is_rival => Certainty::Ambiguous,
        // The systems of other countries were not all tried.
        _ if is_projected && (first.abroad > 0.5 || names_abroad) => Certainty::Ambiguous,
        _ if first.on_land >= 0.9 => Certainty::Land,
        _ => Certainty::Ambiguous,
    }
}

#[cfg(test)]
mod tests;

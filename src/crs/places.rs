//! Outlines and names of places: which country or Korean province a point is in, and which place a text names. Good for saying whether points are
//! where their rows say that they are, within a few kilometres; no register of borders.
//!
//! The data is made by `script/outlines`; each file names its source.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer};

/// Outlines of the Korean provinces, which the page draws too.
pub const KOREA: &str = include_str!("outlines/korea.json");
/// Outlines of the other countries, which the page draws too.
pub const WORLD: &str = include_str!("outlines/world.json");
const PLACES: &str = include_str!("outlines/places.json");

/// Points this close to a city are in it.
const CITY_RADIUS_KM: f64 = 60.0;
/// Points this close to the box of a district are in it, in degrees: boxes are rounded to 0.01.
const BOX_MARGIN: f64 = 0.02;

/// A place that a text can name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// A country or a Korean province: its number in `Atlas::areas`.
    Area(u8),
    /// A Korean city, county or district: west, south, east, north, and the province it is in.
    Box([f64; 4], u8),
    /// A city elsewhere: longitude and latitude, and its country.
    City([f64; 2], u8),
}

/// A country or a Korean province.
#[derive(Clone, Debug, PartialEq)]
pub struct Area {
    /// ISO 3166 code of a country, two digits for a Korean province.
    pub code: String,
    /// English name.
    pub en: String,
    /// Korean name.
    pub ko: String,
    /// The box of its largest part: west, south, east, north in degrees.
    pub bounds: [f64; 4],
}

/// All places, and grids that say where a point is.
pub struct Atlas {
    areas: Vec<Area>,
    korea: Grid,
    world: Grid,
    names: HashMap<String, Vec<Place>>,
    /// Of South Korea, with their islands.
    districts: Vec<Place>,
}

/// Cells with the number of the area that their centre is in, above 0.
struct Grid {
    west: f64,
    south: f64,
    cell: f64,
    width: usize,
    cells: Vec<u8>,
}

/// Islands of South Korea outside of the boxes around their districts, 가거도 and 격렬비열도: west, south, east and north in degrees.
const FAR_ISLANDS: [[f64; 4]; 2] = [[125.06, 34.01, 125.17, 34.13], [125.5, 36.58, 125.6, 36.66]];

#[derive(Deserialize)]
struct Outlines {
    scale: f64,
    #[serde(deserialize_with = "read_arcs")]
    arcs: Vec<String>,
    areas: Vec<Outline>,
}

#[derive(Deserialize)]
struct Outline {
    code: String,
    /// The names of a country are among [`Names`], for the page draws none of them.
    #[serde(default)]
    en: String,
    #[serde(default)]
    ko: String,
    rings: Vec<Vec<i32>>,
}

#[derive(Deserialize)]
struct Names {
    districts: Vec<(String, String, f64, f64, f64, f64)>,
    cities: Vec<(String, String, f64, f64)>,
    /// Code, English and Korean name.
    countries: Vec<(String, String, String)>,
}

/// Suffixes that an address may put behind the short name of a province.
const PROVINCE_SUFFIXES: [&str; 7] = ["특별시", "광역시", "특별자치시", "특별자치도", "시", "도", ""];
/// Provinces with a long name that is not the short one and a suffix.
const LONG_PROVINCES: [(&str, &str); 8] = [
    ("충북", "충청북도"),
    ("충남", "충청남도"),
    ("전북", "전라북도"),
    ("전남", "전라남도"),
    ("경북", "경상북도"),
    ("경남", "경상남도"),
    ("전북", "전북특별자치도"),
    ("강원", "강원도"),
];

/// The atlas, made when it is first asked for; takes some 20 ms.
pub fn atlas() -> &'static Atlas {
    static ATLAS: OnceLock<Atlas> = OnceLock::new();
    ATLAS.get_or_init(|| {
        let read = |text| serde_json::from_str::<Outlines>(text).expect("our own outlines");
        let names = serde_json::from_str::<Names>(PLACES).expect("our own places");
        let mut world = read(WORLD);
        for country in &mut world.areas {
            let named = names.countries.iter().find(|(code, ..)| *code == country.code);
            let (_, en, ko) = named.expect("a name for each country");
            (country.en, country.ko) = (en.clone(), ko.clone());
        }
        Atlas::new(&read(KOREA), &world, &names)
    })
}

impl Atlas {
    fn new(korea: &Outlines, world: &Outlines, known: &Names) -> Atlas {
        let mut atlas = Atlas {
            areas: Vec::new(),
            korea: Grid::new([124.0, 32.5, 132.5, 39.0], 0.02),
            world: Grid::new([-180.0, -90.0, 180.0, 90.0], 0.25),
            names: HashMap::new(),
            districts: Vec::new(),
        };
        for (outlines, is_korea) in [(korea, true), (world, false)] {
            let mut rings = Vec::new();
            for Outline { code, en, ko, rings: arcs } in &outlines.areas {
                let number = atlas.areas.len() as u8 + 1;
                let size = |bounds: &[f64; 4]| (bounds[2] - bounds[0]) * (bounds[3] - bounds[1]);
                let from = rings.len();
                rings.extend(
                    arcs.iter().map(|arcs| outlines.ring(arcs)).map(|ring| (size(&bounds(&ring)), ring, number)),
                );
                let largest = rings[from..].iter().max_by(|(a, ..), (b, ..)| a.total_cmp(b));
                let bounds = largest.map(|(_, ring, _)| bounds(ring)).unwrap_or_default();
                atlas.areas.push(Area { code: code.clone(), en: en.clone(), ko: ko.clone(), bounds });
                atlas.name_area(number, is_korea);
            }
            // An area inside of another one, as Gwangju is, comes behind it.
            rings.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
            let grid = if is_korea { &mut atlas.korea } else { &mut atlas.world };
            rings.iter().for_each(|(_, ring, number)| grid.fill(ring, *number));
        }
        let number = |code: &str| atlas.areas.iter().position(|area| area.code == code).map(|at| at as u8 + 1);
        let mut named = Vec::new();
        for (province, name, west, south, east, north) in &known.districts {
            let Some(province) = number(province) else { continue };
            let place = Place::Box([*west, *south, *east, *north], province);
            atlas.districts.push(place);
            named.push((name.clone(), place));
            // A city or county goes by its name without the suffix too.
            if let Some(stem) = name.strip_suffix(['시', '군']).filter(|stem| stem.chars().count() >= 2) {
                named.push((stem.to_owned(), place));
            }
        }
        for (name, country, lon, lat) in &known.cities {
            let Some(country) = number(country) else { continue };
            named.push((name.to_lowercase(), Place::City([*lon, *lat], country)));
        }
        named.into_iter().for_each(|(name, place)| atlas.add_name(name, place));
        atlas
    }

    fn add_name(&mut self, name: String, place: Place) {
        self.names.entry(name).or_default().push(place);
    }

    fn name_area(&mut self, number: u8, is_korea: bool) {
        let Area { en, ko, .. } = self.areas[usize::from(number) - 1].clone();
        let mut names = vec![en.to_lowercase(), ko.clone()];
        if is_korea {
            names.extend(PROVINCE_SUFFIXES.iter().map(|suffix| format!("{ko}{suffix}")));
            names.extend(LONG_PROVINCES.iter().filter(|(short, _)| *short == ko).map(|(_, long)| (*long).to_owned()));
        }
        names.sort();
        names.dedup();
        names.into_iter().for_each(|name| self.add_name(name, Place::Area(number)));
    }

    /// The area of that number.
    pub fn area(&self, number: u8) -> &Area {
        &self.areas[usize::from(number) - 1]
    }

    /// Whether it is a Korean province.
    pub fn is_korean(&self, number: u8) -> bool {
        self.area(number).code.as_bytes().first().is_some_and(u8::is_ascii_digit)
    }

    /// The country, or the Korean province, that a point is in or next to; `None` at sea.
    pub fn area_at(&self, lon: f64, lat: f64) -> Option<u8> {
        let found = self.korea.at(lon, lat).or_else(|| self.korea.near(lon, lat).next());
        found.or_else(|| self.world.at(lon, lat)).or_else(|| self.world.near(lon, lat).next())
    }

    /// Countries other than South Korea: number and English name.
    pub fn countries(&self) -> impl Iterator<Item = (u8, &str)> {
        let numbered = (1..).zip(&self.areas).filter(|(number, _)| !self.is_korean(*number));
        numbered.map(|(number, area)| (number, area.en.as_str()))
    }

    /// Whether a point is on land of that country, or as close as the outlines can show.
    pub fn is_in_country(&self, country: u8, lon: f64, lat: f64) -> bool {
        self.holds(Place::Area(country), lon, lat)
    }

    /// Whether a point is on land of South Korea, or in the box around a district: the outlines leave small islands out.
    pub fn is_in_korea(&self, lon: f64, lat: f64) -> bool {
        let is_on_far_island =
            |[west, south, east, north]: &[f64; 4]| (*west..=*east).contains(&lon) && (*south..=*north).contains(&lat);
        self.korea.near(lon, lat).next().is_some()
            || self.districts.iter().any(|place| self.holds(*place, lon, lat))
            || FAR_ISLANDS.iter().any(is_on_far_island)
    }

    /// Whether a point is at this place, or as close as the outlines can show.
    pub fn holds(&self, place: Place, lon: f64, lat: f64) -> bool {
        match place {
            Place::Area(number) if self.is_korean(number) => self.korea.near(lon, lat).any(|near| near == number),
            Place::Area(number) => self.world.near(lon, lat).any(|near| near == number),
            Place::Box([west, south, east, north], _) => {
                (west - BOX_MARGIN..=east + BOX_MARGIN).contains(&lon)
                    && (south - BOX_MARGIN..=north + BOX_MARGIN).contains(&lat)
            }
            Place::City(at, _) => distance_m(at, [lon, lat]) < CITY_RADIUS_KM * 1e3,
        }
    }

    /// The places that a text may name, for the narrowest name in it: a district and no longer its province. Several when the name is that of
    /// several places, as 광주시 is.
    pub fn named(&self, text: &str) -> Vec<Place> {
        let lower = text.trim().to_lowercase();
        let words = |separators: &[char]| {
            let words = lower.split(|c: char| c.is_whitespace() || separators.contains(&c) || c.is_ascii_punctuation());
            words.map(str::to_owned).filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        let parts = lower.split([',', '/', '_', '(', ')']).map(|part| part.trim().to_owned());
        let texts = parts.chain(words(&[]));
        let named: Vec<&Vec<Place>> = texts.filter_map(|name| self.names.get(&name)).collect();
        let mut found: Vec<Place> = named.iter().copied().flatten().copied().collect();
        let is_area = |place: &Place| matches!(place, Place::Area(_));
        let areas: Vec<u8> = found.iter().filter(|place| is_area(place)).map(|place| Atlas::area_of(*place)).collect();
        let within = |place: &Place| match place {
            Place::Box(_, area) | Place::City(_, area) => areas.contains(area),
            Place::Area(_) => false,
        };
        if found.iter().any(within) {
            found.retain(within);
        } else if !areas.is_empty() {
            let of_areas = named.into_iter().filter(|places| places.iter().any(is_area));
            found = of_areas.flatten().copied().collect();
        }
        found.dedup();
        found
    }

    /// The number of the area that a place is, or is in.
    pub fn area_of(place: Place) -> u8 {
        match place {
            Place::Area(number) | Place::Box(_, number) | Place::City(_, number) => number,
        }
    }

    /// A point inside a place: the middle of its box.
    pub fn middle(&self, place: Place) -> [f64; 2] {
        let middle = |[west, south, east, north]: [f64; 4]| [f64::midpoint(west, east), f64::midpoint(south, north)];
        match place {
            Place::Area(number) => middle(self.area(number).bounds),
            Place::Box(bounds, _) => middle(bounds),
            Place::City(at, _) => at,
        }
    }
}

/// Metres between two points given as longitude and latitude, on a sphere.
pub fn distance_m([lon1, lat1]: [f64; 2], [lon2, lat2]: [f64; 2]) -> f64 {
    const EARTH_RADIUS_M: f64 = 6_371_000.0;
    let (lat1, lat2) = (lat1.to_radians(), lat2.to_radians());
    let (dlat, dlon) = (lat2 - lat1, (lon2 - lon1).to_radians());
    let half = (dlat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (dlon / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_M * half.sqrt().min(1.0).asin()
}

fn bounds(ring: &[[f64; 2]]) -> [f64; 4] {
    let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    ring.iter()
        .fold(nothing, |[west, south, east, north], [x, y]| [west.min(*x), south.min(*y), east.max(*x), north.max(*y)])
}

/// Arcs are one text, with a blank between.
fn read_arcs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let arcs = String::deserialize(deserializer)?;
    Ok(arcs.split(' ').map(str::to_owned).collect())
}

impl Outlines {
    /// The points of a ring, whose arcs may run backwards: `!n` is arc `n` from its end.
    fn ring(&self, arcs: &[i32]) -> Vec<[f64; 2]> {
        let mut ring = Vec::new();
        for arc in arcs {
            let forwards = *arc >= 0;
            let mut points = decode(&self.arcs[(if forwards { *arc } else { !*arc }) as usize], self.scale);
            if !forwards {
                points.reverse();
            }
            ring.extend(points);
        }
        ring
    }
}

/// An Encoded Polyline (Google): pairs of differences, zigzag, five bits a character.
fn decode(text: &str, scale: f64) -> Vec<[f64; 2]> {
    let (mut points, mut at) = (Vec::new(), [0_i64; 2]);
    let (mut axis, mut shift, mut value) = (0, 0, 0_i64);
    for byte in text.bytes() {
        let bits = i64::from(byte) - 63;
        value |= (bits & 0x1f) << shift;
        shift += 5;
        if bits < 0x20 {
            at[axis] += if value & 1 == 1 { !(value >> 1) } else { value >> 1 };
            if axis == 1 {
                points.push([at[0] as f64 / scale, at[1] as f64 / scale]);
            }
            (axis, shift, value) = (1 - axis, 0, 0);
        }
    }
    points
}

impl Grid {
    fn new([west, south, east, north]: [f64; 4], cell: f64) -> Grid {
        let (width, height) = (((east - west) / cell).ceil() as usize, ((north - south) / cell).ceil() as usize);
        Grid { west, south, cell, width, cells: vec![0; width * height] }
    }

    /// Fills the cells whose centres are inside of a ring, row by row.
    fn fill(&mut self, ring: &[[f64; 2]], number: u8) {
        let height = self.cells.len() / self.width;
        let mut crossings: Vec<Vec<f64>> = vec![Vec::new(); height];
        for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let row = |lat: f64| (((lat - self.south) / self.cell - 0.5).ceil().max(0.0) as usize).min(height);
            for (n, crossings) in crossings.iter_mut().enumerate().take(row(high[1])).skip(row(low[1])) {
                let lat = self.south + (n as f64 + 0.5) * self.cell;
                crossings.push(low[0] + (lat - low[1]) / (high[1] - low[1]) * (high[0] - low[0]));
            }
        }
        for (row, mut crossings) in crossings.into_iter().enumerate() {
            crossings.sort_by(f64::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let column =
                    |lon: f64| (((lon - self.west) / self.cell - 0.5).ceil().max(0.0) as usize).min(self.width);
                self.cells[row * self.width..][column(pair[0])..column(pair[1])].fill(number);
            }
        }
    }

    fn cell(&self, lon: f64, lat: f64) -> Option<(usize, usize)> {
        let (x, y) = ((lon - self.west) / self.cell, (lat - self.south) / self.cell);
        let height = self.cells.len() / self.width;
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f64 && y < height as f64;
        inside.then_some((x as usize, y as usize))
    }

    fn at(&self, lon: f64, lat: f64) -> Option<u8> {
        let (x, y) = self.cell(lon, lat)?;
        Some(self.cells[y * self.width + x]).filter(|number| *number > 0)
    }

    /// The areas of a cell and of those around it.
    fn near(&self, lon: f64, lat: f64) -> impl Iterator<Item = u8> {
        let around = [0, 1, 2].into_iter().flat_map(|dy| [0, 1, 2].map(|dx| (dx, dy)));
        let cell = self.cell(lon, lat);
        let found = around.filter_map(move |(dx, dy)| {
            let (x, y) = cell?;
            let (x, y) = ((x + dx).checked_sub(1)?, (y + dy).checked_sub(1)?);
            (x < self.width).then(|| self.cells.get(y * self.width + x).copied())?
        });
        found.filter(|number| *number > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_at(lon: f64, lat: f64) -> Option<&'static str> {
        atlas().area_at(lon, lat).map(|number| atlas().area(number).en.as_str())
    }

    #[test]
    fn points_are_in_their_provinces_and_countries() {
        for (lon, lat, name) in [
            (126.978, 37.566, Some("Seoul")),
            (127.009, 37.275, Some("Gyeonggi")),
            (126.531, 33.499, Some("Jeju")),
            (130.9, 37.5, Some("Gyeongbuk")), // Ulleungdo
            (129.075, 35.18, Some("Busan")),
            (124.9, 36.3, None), // the Yellow Sea
            (2.35, 48.86, Some("France")),
            (-73.98, 40.75, Some("United States")),
            (139.69, 35.69, Some("Japan")),
            (125.75, 39.03, Some("North Korea")),
            (0.0, 0.0, None),
        ] {
            assert_eq!(name_at(lon, lat), name, "{lon} {lat}");
        }
        assert_eq!(name_at(f64::NAN, f64::INFINITY), None);
    }

    #[test]
    fn a_text_names_places() {
        let holds = |text: &str, lon: f64, lat: f64| {
            let places = atlas().named(text);
            (!places.is_empty()).then(|| places.iter().any(|place| atlas().holds(*place, lon, lat)))
        };
        let mapo = (126.91, 37.56);
        for text in ["마포구", "서울 마포구", "서울특별시 마포구 새잎로 12", "서울", "서울특별시", "서울시"]
        {
            assert_eq!(holds(text, mapo.0, mapo.1), Some(true), "{text}");
            assert_eq!(holds(text, mapo.0, mapo.1 - 0.9), Some(false), "{text}");
        }
        assert_eq!(holds("부산광역시 중구", 126.997, 37.56), Some(false), "there is a district of that name in Seoul");
        assert_eq!(holds("중구", 126.997, 37.56), Some(true));
        for (text, lon, lat) in [
            ("대구광역시 군위군", 128.57, 36.24), // since 2023
            ("경상북도 군위군", 128.57, 36.24),
            ("광주시 경안동", 127.25, 37.43), // in Gyeonggi
            ("경기도, 광주시 경안동", 127.25, 37.43),
            ("광주시 북구", 126.91, 35.18),
            ("광주 충장로", 126.92, 35.15),
        ] {
            assert_eq!(holds(text, lon, lat), Some(true), "{text}");
        }
        assert_eq!(holds("광주광역시", 127.25, 37.43), Some(false));
        assert_eq!(holds("수원시 장안구", 127.0, 37.3), Some(true));
        assert_eq!(holds("Nairobi", 36.82, -1.29), Some(true));
        assert_eq!(holds("France", 2.35, 48.86), Some(true));
        assert_eq!(holds("France", 13.4, 52.5), Some(false));
        assert_eq!(holds("도서관", 127.0, 37.5), None);
    }
}

//! The ranking of CRSs, measured: made-up files in all Korean systems and in ten of other countries, which name their places in several ways.
//! The right family is to come first in 95 of 100; the misses are printed.

use sheetstream::crs::ranking::{Hints, RankedRow, Ranking, rank};
use sheetstream::crs::systems::{ListedCrs, system, systems};
use sheetstream::crs::{CrsPair, open};

/// Systems that Korean files use and that are not of Korea alone.
const SHARED: [u32; 4] = [4326, 3857, 32651, 32652];

/// Cities in Korea: province, district, and a point in it.
const KOREAN: [(&str, &str, f64, f64); 24] = [
    ("서울특별시", "마포구", 126.91, 37.56),
    ("서울특별시", "송파구", 127.11, 37.51),
    ("경기도", "수원시", 127.01, 37.27),
    ("경기도", "양평군", 127.49, 37.49),
    ("인천광역시", "부평구", 126.72, 37.50),
    ("강원특별자치도", "춘천시", 127.73, 37.88),
    ("강원특별자치도", "강릉시", 128.88, 37.75),
    ("충청북도", "청주시", 127.48, 36.64),
    ("충청남도", "천안시", 127.15, 36.81),
    ("대전광역시", "유성구", 127.35, 36.36),
    ("전북특별자치도", "전주시", 127.13, 35.83),
    ("전라남도", "목포시", 126.39, 34.80),
    ("전라남도", "순천시", 127.48, 34.95),
    ("광주광역시", "광산구", 126.79, 35.14),
    ("경상북도", "안동시", 128.73, 36.57),
    ("경상북도", "포항시", 129.36, 36.03),
    ("대구광역시", "수성구", 128.63, 35.85),
    ("경상남도", "진주시", 128.11, 35.18),
    ("부산광역시", "해운대구", 129.16, 35.17),
    ("울산광역시", "울주군", 129.14, 35.55),
    ("제주특별자치도", "제주시", 126.53, 33.48),
    ("제주특별자치도", "서귀포시", 126.56, 33.26),
    ("경상북도", "울릉군", 130.87, 37.50),
    ("경기도", "파주시", 126.78, 37.76),
];

/// A place and a point in it.
type Town = (&'static str, f64, f64);

/// Systems of other countries: code, country, and cities.
const FOREIGN: [(u32, &str, [Town; 3]); 10] = [
    (27700, "United Kingdom", [("London", -0.12, 51.5), ("Manchester", -2.24, 53.48), ("Leeds", -1.55, 53.8)]),
    (2154, "France", [("Paris", 2.35, 48.86), ("Lyon", 4.84, 45.76), ("Toulouse", 1.44, 43.6)]),
    (25832, "Germany", [("Hamburg", 9.99, 53.55), ("Frankfurt am Main", 8.68, 50.11), ("Stuttgart", 9.18, 48.78)]),
    (28992, "Netherlands", [("Amsterdam", 4.9, 52.37), ("Rotterdam", 4.48, 51.92), ("Utrecht", 5.12, 52.09)]),
    (2056, "Switzerland", [("Zürich", 8.54, 47.37), ("Bern", 7.45, 46.95), ("Basel", 7.59, 47.56)]),
    (3067, "Finland", [("Helsinki", 24.94, 60.17), ("Tampere", 23.76, 61.5), ("Oulu", 25.47, 65.01)]),
    (
        2193,
        "New Zealand",
        [("Auckland", 174.76, -36.85), ("Wellington", 174.78, -41.29), ("Christchurch", 172.64, -43.53)],
    ),
    (3826, "Taiwan", [("Taipei", 121.56, 25.04), ("Taichung", 120.68, 24.15), ("Kaohsiung", 120.31, 22.63)]),
    (21037, "Kenya", [("Nairobi", 36.82, -1.29), ("Mombasa", 39.67, -4.05), ("Machakos", 37.26, -1.52)]),
    (6677, "Japan", [("Tokyo", 139.69, 35.69), ("Yokohama", 139.64, 35.44), ("Chiba", 140.11, 35.6)]),
];

/// How the rows of a file name places.
#[derive(Clone, Copy, Debug)]
enum Naming {
    District,
    Address,
    Province,
    File,
}

/// A file of 15 rows in a system around the given points.
fn file(definition: &str, around: &[(String, f64, f64)]) -> Vec<(String, (f64, f64))> {
    let pair = CrsPair::resolve("OGC:CRS84", definition, true).expect("a known system");
    let proj = open(&pair.first_operation().pipeline).expect("a pipeline");
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    let row = |n: usize| {
        let (name, lon, lat) = &around[n % around.len()];
        let (x, y) = proj.convert((lon + 0.04 * random(), lat + 0.04 * random())).expect("a place in it");
        (name.clone(), (x, y))
    };
    (0..15).map(row).collect()
}

fn ranked(file: &[(String, (f64, f64))], headers: [&str; 2], context: &str) -> Ranking {
    let rows: Vec<RankedRow<'_>> =
        file.iter().map(|(name, point)| RankedRow { point: Some(*point), texts: vec![name] }).collect();
    let is_korean = file.iter().any(|(name, _)| name.contains(|c| ('가'..='힣').contains(&c)));
    rank(&rows, Hints { headers, file: context, is_korean, ..Hints::default() })
}

/// Whether the first family has that system.
fn is_first(ranking: &Ranking, definition: &str) -> bool {
    ranking.families.first().is_some_and(|first| first.systems.iter().any(|system| system.definition == definition))
}

/// A file of Korean places: its name, and what its rows say around which points.
struct KoreanFile {
    naming: Naming,
    context: String,
    around: Vec<(String, f64, f64)>,
}

fn korean_files(system: &ListedCrs) -> Vec<KoreanFile> {
    let area = system.area.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    let inside: Vec<_> = KOREAN.iter().filter(|(.., lon, lat)| holds(area, *lon, *lat)).collect();
    let mut files = Vec::new();
    for (n, chunk) in inside.chunks(3).enumerate() {
        let (province, _, lon, lat) = chunk[0];
        let named = |name: &dyn Fn(&str, &str) -> String| {
            chunk
                .iter()
                .map(|(province, district, lon, lat)| (name(province, district), *lon, *lat))
                .collect::<Vec<_>>()
        };
        // The ways of naming take turns, and begin with another one for each system.
        let (naming, context, around) = match (n + system.code as usize) % 4 {
            0 => (Naming::District, String::new(), named(&|_, district| district.to_owned())),
            1 => (
                Naming::Address,
                String::new(),
                named(&|province, district| format!("{province} {district} 새길 12 (가동)")),
            ),
            2 => (Naming::Province, String::new(), named(&|province, _| province.to_owned())),
            _ => (Naming::File, format!("{province}_공공시설.csv"), vec![(String::from("가"), *lon, *lat)]),
        };
        files.push(KoreanFile { naming, context, around });
    }
    files
}

fn holds([west, south, east, north]: [f64; 4], lon: f64, lat: f64) -> bool {
    west <= lon && lon <= east && south <= lat && lat <= north
}

#[test]
fn the_right_family_comes_first_in_files_that_name_a_place() {
    let korean = systems().unwrap().iter().filter(|system| system.area_name.contains("Republic of Korea"));
    let shared = SHARED.iter().filter_map(|code| system(*code));
    let (mut files, mut missed) = (0, Vec::new());
    for system in korean.chain(shared) {
        let definition = system.definition();
        for KoreanFile { naming, context, around } in korean_files(system) {
            files += 1;
            let ranking = ranked(&file(&definition, &around), ["x", "y"], &context);
            if !is_first(&ranking, &definition) {
                let first = ranking.families.first().map(|family| &family.systems);
                missed.push(format!("{definition} {naming:?} {around:?}: {first:?}"));
            }
        }
    }
    for (n, (code, country, cities)) in FOREIGN.into_iter().enumerate() {
        let definition = format!("EPSG:{code}");
        let around = cities.map(|(city, lon, lat)| (if n % 2 == 0 { country } else { city }.to_owned(), lon, lat));
        files += 1;
        let ranking = ranked(&file(&definition, &around), ["x", "y"], "");
        if !is_first(&ranking, &definition) {
            let first = ranking.families.first().map(|family| &family.systems);
            missed.push(format!("{definition} {country}: {first:?}"));
        }
    }
    println!("{} of {files} files missed:\n{}", missed.len(), missed.join("\n"));
    assert!(files > 80 && missed.len() * 20 <= files, "{} of {files} missed:\n{}", missed.len(), missed.join("\n"));
}

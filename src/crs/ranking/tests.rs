//! Made-up files in known systems, and what the ranking says of them.

use super::*;
use crate::crs::systems::systems;

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
    let pair = CrsPair::resolve(LON_LAT_CRS, definition, true).expect("a known system");
    let proj = open(&pair.pipeline).expect("a pipeline");
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
    rank(&rows, headers, context)
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
    for (n, chunk) in inside.chunks(3).enumerate().step_by(2) {
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

fn seoul(definition: &str) -> Vec<(String, (f64, f64))> {
    file(definition, &[("마포구".to_owned(), 126.91, 37.56)])
}

#[test]
fn systems_that_cannot_be_told_apart_are_one_family() {
    let ranking = ranked(&seoul("EPSG:5181"), ["X좌표", "Y좌표"], "");
    let first = &ranking.families[0];
    let codes: Vec<&str> = first.systems.iter().map(|system| system.definition.as_str()).collect();
    assert_eq!(codes[0], "EPSG:5181", "the one that is used most");
    assert!(codes.contains(&"EPSG:5174") && codes.contains(&"EPSG:2097"), "{codes:?}");
    assert!(!codes.contains(&"EPSG:5186"), "it is 100 km away: {codes:?}");
    assert!((200.0..500.0).contains(&first.spread_m), "{}", first.spread_m);
    assert_eq!((ranking.certainty, first.as_named, first.is_swapped), (Certainty::Places, Some(1.0), false));
    assert_eq!((first.areas[0].ko.as_str(), first.areas[0].points), ("서울", 15));
    assert_eq!(first.systems[0].name, "KGD2002 / Central Belt");
}

#[test]
fn a_header_that_names_a_system_decides_within_its_family() {
    for (headers, definition) in [
        (["좌표정보x(epsg5174)", "좌표정보y(epsg5174)"], "EPSG:5174"),
        (["좌표정보(X)", "좌표정보(Y)"], "EPSG:5174"),
        (["x_2097", "y_2097"], "EPSG:2097"),
    ] {
        let ranking = ranked(&seoul("EPSG:5174"), headers, "");
        assert_eq!(ranking.header.as_deref(), Some(definition));
        assert_eq!(ranking.families[0].systems[0].definition, definition, "{headers:?}");
    }
    let wrong = ranked(&seoul("EPSG:5186"), ["x(epsg5174)", "y(epsg5174)"], "");
    assert_eq!(wrong.families[0].systems[0].definition, "EPSG:5186", "the header is wrong by 100 km");
}

#[test]
fn without_names_what_fits_alike_is_said_to() {
    let rows: Vec<_> = seoul("EPSG:5186").into_iter().map(|(_, point)| ("가게".to_owned(), point)).collect();
    let ranking = ranked(&rows, ["x", "y"], "");
    assert_eq!((ranking.named, ranking.certainty), (0, Certainty::Ambiguous));
    assert!(ranking.families.iter().any(|family| family.systems[0].definition == "EPSG:5186"));
    let unified: Vec<_> = seoul("EPSG:5179").into_iter().map(|(_, point)| ("가게".to_owned(), point)).collect();
    let ranking = ranked(&unified, ["x", "y"], "");
    assert_eq!((ranking.families[0].systems[0].definition.as_str(), ranking.certainty), ("EPSG:5179", Certainty::Land));
}

#[test]
fn swapped_axes_are_noticed() {
    for definition in ["EPSG:5186", "EPSG:4326", "EPSG:5179"] {
        let rows: Vec<_> = seoul(definition).into_iter().map(|(name, (x, y))| (name, (y, x))).collect();
        let ranking = ranked(&rows, ["X", "Y"], "");
        assert!(ranking.families[0].is_swapped, "{definition}");
        assert_eq!(ranking.families[0].systems[0].definition, definition);
    }
}

#[test]
fn numbers_that_are_no_coordinates_fit_nothing() {
    let rows = vec![("가".to_owned(), (12.0, 3_000.0)); 20];
    let ranking = ranked(&rows, ["수량", "단가"], "");
    assert_eq!(ranking.certainty, Certainty::None, "{ranking:?}");
    assert_eq!(rank(&[], ["x", "y"], "").certainty, Certainty::None);
}

#[test]
fn a_header_names_a_system() {
    for (name, system) in [
        ("좌표정보x(epsg5174)", Some("EPSG:5174")),
        ("X좌표(EPSG:5186)", Some("EPSG:5186")),
        ("x_2154", Some("EPSG:2154")),
        ("WGS84경도", Some("EPSG:4326")),
        ("X(UTM-K)", Some("EPSG:5179")),
        ("X좌표", None),
        ("2024년x", None),
    ] {
        assert_eq!(named_system(name).as_deref(), system, "{name}");
    }
}

//! Files of all of Korea in one system, as agencies publish them: every province, and the islands that are farthest out. The system is found, and
//! no row is refused for being outside of a belt.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::crs::ranking::{Hints, RankedRow, rank};
use sheetstream::crs::{CrsPair, open};
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

/// Province, district and place, and a point there.
const PLACES: [(&str, &str, f64, f64); 36] = [
    ("서울특별시", "종로구 세종로", 126.978, 37.5665),
    ("부산광역시", "해운대구 중동", 129.16, 35.17),
    ("부산광역시", "강서구 가덕도", 128.83, 35.0),
    ("대구광역시", "군위군 군위읍", 128.57, 36.24),
    ("인천광역시", "옹진군 백령도", 124.70, 37.95),
    ("인천광역시", "옹진군 대청도", 124.71, 37.82),
    ("인천광역시", "옹진군 연평도", 125.69, 37.66),
    ("인천광역시", "강화군 교동면", 126.28, 37.78),
    ("광주광역시", "광산구 송정동", 126.79, 35.14),
    ("대전광역시", "유성구 봉명동", 127.35, 36.36),
    ("울산광역시", "울주군 서생면", 129.33, 35.36),
    ("세종특별자치시", "한솔동", 127.25, 36.48),
    ("경기도", "연천군 연천읍", 127.07, 38.09),
    ("경기도", "안산시 풍도", 126.39, 37.11),
    ("강원특별자치도", "고성군 현내면", 128.40, 38.50),
    ("강원특별자치도", "삼척시 원덕읍", 129.32, 37.17),
    ("충청북도", "단양군 단양읍", 128.37, 36.98),
    ("충청남도", "보령시 외연도", 126.08, 36.22),
    ("충청남도", "태안군 격렬비열도", 125.553, 36.625),
    ("전북특별자치도", "군산시 어청도", 125.98, 36.12),
    ("전북특별자치도", "부안군 위도", 126.28, 35.60),
    ("전라남도", "신안군 가거도", 125.12, 34.07),
    ("전라남도", "신안군 홍도", 125.20, 34.69),
    ("전라남도", "여수시 거문도", 127.31, 34.03),
    ("전라남도", "진도군 조도", 126.05, 34.30),
    ("전라남도", "완도군 청산도", 126.90, 34.18),
    ("경상북도", "울릉군 도동", 130.905, 37.484),
    ("경상북도", "울릉군 독도 서도", 131.8652, 37.2410),
    ("경상북도", "울릉군 독도 동도", 131.8700, 37.2390),
    ("경상북도", "포항시 호미곶", 129.567, 36.077),
    ("경상남도", "거제시 지심도", 128.75, 34.80),
    ("경상남도", "통영시 국도", 128.44, 34.54),
    ("제주특별자치도", "제주시 추자도", 126.30, 33.96),
    ("제주특별자치도", "제주시 우도", 126.95, 33.50),
    ("제주특별자치도", "서귀포시 마라도", 126.268, 33.118),
    ("제주특별자치도", "서귀포시 서귀동", 126.56, 33.25),
];

/// Systems that agencies publish all of Korea in.
const SYSTEMS: [&str; 7] = ["EPSG:5174", "EPSG:5179", "EPSG:5181", "EPSG:5186", "EPSG:2097", "EPSG:4326", "EPSG:3857"];

/// The points of the places in a system.
fn points(definition: &str) -> Vec<(f64, f64)> {
    let pair = CrsPair::resolve("OGC:CRS84", definition, true).expect("a known system");
    let proj = open(&pair.first_operation().pipeline).expect("a pipeline");
    let point = |(_, _, lon, lat): &(&str, &str, f64, f64)| {
        if definition == "EPSG:4326" { (*lon, *lat) } else { proj.convert((*lon, *lat)).expect("a place in it") }
    };
    PLACES.iter().map(point).collect()
}

#[test]
fn the_system_of_a_file_of_all_provinces_is_found() {
    for definition in SYSTEMS {
        let points = points(definition);
        let addresses: Vec<String> = PLACES.iter().map(|(province, place, ..)| format!("{province} {place}")).collect();
        for (headers, first) in [(["x", "y"], None), ([&*format!("x({definition})"), "y"], Some(definition))] {
            let rows: Vec<RankedRow<'_>> = points
                .iter()
                .zip(&addresses)
                .map(|(point, address)| RankedRow { point: Some(*point), texts: vec![address] })
                .collect();
            let ranking = rank(&rows, Hints { headers, is_korean: true, ..Hints::default() });
            let systems: Vec<&str> =
                ranking.families[0].systems.iter().map(|system| system.definition.as_str()).collect();
            assert!(systems.contains(&definition), "{definition} {headers:?}: {systems:?}");
            let usual = ["EPSG:4326", "EPSG:5179", "EPSG:5186", "EPSG:5181", "EPSG:3857"];
            assert!(
                first.map_or(usual.contains(&systems[0]), |first| systems[0] == first),
                "{definition}: {systems:?}"
            );
            assert!(ranking.families[0].as_named > Some(0.9), "{definition}: {:?}", ranking.families[0].as_named);
        }
    }
}

#[test]
fn no_row_of_a_file_of_all_provinces_is_outside() {
    for definition in SYSTEMS {
        let text = format!(
            "name = \"nationwide\"\n[[source]]\nname = \"rows\"\n[[map]]\nname = \"wgs84\"\n\
             reproject = {{ from = \"{definition}\", to = \"EPSG:4326\", x = \"x\", y = \"y\", into = [\"lon\", \"lat\"] }}\n\
             [[aggregate]]\nname = \"by-province\"\nsheet = \"시도\"\n[[sink]]\nname = \"workbooks\"\n"
        );
        let topology = Topology::parse(&text, "nationwide.toml", &|_| None).unwrap_or_else(|why| panic!("{why}"));
        let mut driver = TopologyTestDriver::new(topology);
        driver.pipe("k", "시도,주소,x,y");
        for ((province, place, ..), (x, y)) in PLACES.iter().zip(points(definition)) {
            driver.pipe("k", format!("{province},{place},{x:.6},{y:.6}"));
        }
        driver.pipe("k", "#EOF");
        let book = driver.workbook("k").unwrap_or_else(|| panic!("{:?}", driver.statuses()));
        let mut sheets = workbook::sheets(&book);
        assert_eq!(sheets.remove("Errors"), None, "{definition}");
        sheets.remove("About");
        for row in sheets.values().flat_map(|rows| &rows[1..]) {
            let (_, _, lon, lat) = PLACES.iter().find(|(_, place, ..)| row[1] == *place).expect("its place");
            let at = [&row[4], &row[5]].map(|cell| cell.parse::<f64>().expect("degrees"));
            // A datum shift is known to some metres.
            assert!((at[0] - lon).abs() < 1e-4 && (at[1] - lat).abs() < 1e-4, "{definition} {row:?}");
        }
        assert_eq!(sheets.len(), 17, "{definition}: a sheet for each province");
    }
}

//! CRS pairs with several operations, each for a part of the area: the lines of `describe`, the fates of rows, the operations in *About*.
//! That each point takes PROJ's own choice is shown beside the map; `tests/operations/` has the points.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::record::Reason;
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;

/// Places in the old Tokyo datum: Seoul, Busan, Osaka.
const ROWS: [&str; 3] = ["서울,a,126.98,37.57", "부산,a,129.07,35.17", "大阪,a,135.5,34.69"];

fn topology(from: &str, lang: &str) -> Topology {
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
header = ["name", "kind", "x", "y"]
[[map]]
name = "wgs84"
reproject = {{ {from}, to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
workbook = {{ lang = "{lang}" }}
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The facts of *About* under two labels.
fn about(driver: &TopologyTestDriver, upload: &str, labels: [&str; 2]) -> Vec<String> {
    let sheets = workbook::sheets(&driver.workbook(upload).expect("a workbook"));
    let about = sheets.get("About").or(sheets.get("정보")).expect("About");
    about.iter().filter(|row| labels.contains(&row[0].as_str())).map(|row| row[1].clone()).collect()
}

#[test]
fn about_names_the_operations_that_the_rows_went_through() {
    let mut driver = TopologyTestDriver::new(topology("from = \"EPSG:4301\"", "en"));
    driver.pipe("korea.csv", format!("{}\n{}", ROWS[0], ROWS[1]));
    driver.pipe("korea.csv", "#EOF rows=2");
    driver.pipe("all.csv", ROWS.join("\n"));
    driver.pipe("all.csv", "#EOF rows=3");
    let labels = ["Accuracy", "Operation"];
    assert_eq!(about(&driver, "korea.csv", labels), ["4 m", "Tokyo to WGS 84 (5)"]);
    assert_eq!(about(&driver, "all.csv", labels), ["9 m", "Tokyo to WGS 84 (108): 9 m", "Tokyo to WGS 84 (5): 4 m"]);
}

/// Rows out of order, a row that comes again with another place, in any batches, after a crash with and without the state: the same bytes.
#[test]
fn the_operations_of_an_upload_depend_on_its_rows_alone() {
    let publish = |driver: &mut TopologyTestDriver, rows: &[(&str, &'static str)]| {
        rows.iter().for_each(|(number, row)| driver.pipe_with("a.csv", *row, &[("ss-row", number)]));
    };
    let mut plain = TopologyTestDriver::new(topology("from = \"EPSG:4301\"", "en"));
    publish(&mut plain, &[("1", ROWS[0]), ("2", ROWS[2]), ("3", ROWS[1])]);
    plain.pipe("a.csv", "#EOF rows=3");
    let expected = plain.workbook("a.csv").expect("a workbook");
    for keep_state in [true, false] {
        let mut driver = TopologyTestDriver::new(topology("from = \"EPSG:4301\"", "en"));
        publish(&mut driver, &[("1", ROWS[0]), ("3", ROWS[1]), ("1", ROWS[0])]);
        driver.commit().expect("a commit");
        driver.crash(keep_state);
        publish(&mut driver, &[("2", ROWS[2])]);
        driver.pipe("a.csv", "#EOF rows=3");
        assert!(driver.workbook("a.csv").expect("a workbook") == expected, "state kept: {keep_state}");
    }
    // Rows that are void or duplicates are in no sheet.
    let mut driver = TopologyTestDriver::new(topology("from = \"EPSG:4301\"", "en"));
    publish(&mut driver, &[("1", ROWS[2])]);
    driver.pipe("a.csv", "#BEGIN attempt=2");
    for (number, row) in [("1", ROWS[0]), ("1", ROWS[2])] {
        driver.pipe_with("a.csv", row, &[("ss-row", number), ("ss-attempt", "2")]);
    }
    driver.pipe_with("a.csv", "#EOF rows=1", &[("ss-attempt", "2")]);
    assert_eq!(about(&driver, "a.csv", ["Accuracy", "Operation"]), ["4 m", "Tokyo to WGS 84 (5)"]);
}

#[test]
fn a_row_where_no_operation_is_known_is_rejected_with_what_to_do() {
    let mut driver = TopologyTestDriver::new(topology("from = \"EPSG:4267\"", "ko"));
    driver.pipe("a.csv", "Kansas,a,-98.5,39.2\nPacific,a,-170,30");
    driver.pipe("a.csv", "#EOF rows=2");
    let letters = driver.dead_letters();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(header(letter, "ss-reason").as_deref(), Some(Reason::CoordOperation.code()));
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    assert!(sheets["오류"][1][1].contains("allow_ballpark = true"), "{:?}", sheets["오류"]);
    assert_eq!(about(&driver, "a.csv", ["정확도", "변환 방법"]), ["7 m", "NAD27 to WGS 84 (6)"]);
}

#[test]
fn describe_lists_operations_and_says_what_holds_elsewhere() {
    let described = |from: &str| topology(from, "en").describe().to_string();
    let tokyo = described("from = \"EPSG:4301\"");
    for line in [
        "of these 5 each point takes the most accurate one where it is",
        "Tokyo to WGS 84 (5): 4 m within longitude 124.53 to 131.01, latitude 33.14 to 38.64",
        "elsewhere",
        "a point is a bad row",
    ] {
        assert!(tokyo.contains(line), "{line}: {tokyo}");
    }
    let britain = described("from = \"EPSG:27700\", allow_ballpark = true");
    assert!(britain.contains("unknown: a ballpark operation"), "{britain}");
    let korea = described("from = \"EPSG:5174\"");
    assert!(korea.contains("Korean 1985 to WGS 84 (1)") && !korea.contains("elsewhere"), "{korea}");
}

#[test]
fn where_each_row_names_its_crs_about_says_so_in_the_language_of_the_workbook() {
    for (lang, labels, expected) in [
        ("en", ["From", "Operation"], ["the system that kind names in each row", "the best one of each system"]),
        ("ko", ["원본 좌표계", "변환 방법"], ["행마다 kind 열에 적힌 좌표계", "좌표계마다 가장 정확한 방법"]),
    ] {
        let mut driver = TopologyTestDriver::new(topology("from = { column = \"kind\" }", lang));
        driver.pipe("a.csv", "한강,5186,198056.37,551885.03");
        driver.pipe("a.csv", "#EOF rows=1");
        assert_eq!(about(&driver, "a.csv", labels), expected);
    }
}

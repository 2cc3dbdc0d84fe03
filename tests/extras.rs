//! What an upload says of its workbook and its columns, and not its topology: `ss-summary`, `ss-map-link`, `ss-coordinates` and `ss-titles`.
//! The same bytes in every way.

#[path = "support/workbook.rs"]
mod workbook;

use std::collections::BTreeMap;

use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const MAP: &str = r#"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5181", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
"#;
/// Near Seoul City Hall, in EPSG:5181. The file has a column of its own that is called as one that is added.
const ROW: &str = "City Hall,office,198056.37,451885.03,here";

fn driver(maps: &str, sink: &str) -> TopologyTestDriver {
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
{maps}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
{sink}
"#
    );
    TopologyTestDriver::new(Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
}

fn publish(driver: &mut TopologyTestDriver, begin: &'static str) -> Vec<u8> {
    driver.pipe("a.csv", begin);
    driver.pipe("a.csv", "name,kind,x,y,lat");
    (0..3).for_each(|_| driver.pipe("a.csv", ROW));
    driver.pipe("a.csv", "#EOF");
    driver.workbook("a.csv").expect("a workbook")
}

#[test]
fn a_workbook_has_what_its_upload_asks_for_and_no_other_has() {
    let mut driver = driver(MAP, "");
    let book = publish(&mut driver, "#BEGIN summary=true map_link=true");
    let sheets = workbook::sheets(&book);
    assert_eq!(sheets["Summary"][1][..2], ["office", "3"]);
    assert!(sheets["Summary"][0].iter().any(|name| name == "lon least"), "{:?}", sheets["Summary"]);
    assert_eq!(sheets["office"][0].last().map(String::as_str), Some("Map"));
    let about = &sheets["About"];
    assert!(about.iter().any(|row| row[0] == "Links lead to" && row[1].contains("openstreetmap")), "{about:?}");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(book)).expect("a workbook");
    let mut xml = String::new();
    std::io::Read::read_to_string(&mut zip.by_name("xl/worksheets/sheet2.xml").expect("a sheet"), &mut xml)
        .expect("XML");
    assert!(xml.contains("mlat=37.566") && xml.contains("mlon=126.97"), "the place, not the file's own column: {xml}");

    driver.pipe("b.csv", "name,kind,x,y");
    driver.pipe("b.csv", "City Hall,office,198056.37,451885.03");
    driver.pipe("b.csv", "#EOF");
    let plain = workbook::sheets(&driver.workbook("b.csv").expect("a workbook"));
    assert_eq!(plain["office"][0], ["name", "kind", "x", "y", "lon", "lat"]);
    assert!(!plain.contains_key("Summary"));
}

#[test]
fn both_spellings_and_any_crash_give_the_same_bytes() {
    let expected = publish(&mut driver(MAP, ""), "#BEGIN summary=true map_link=true");
    for crash_at in 0..=5 {
        for keep_state in [true, false] {
            let mut driver = driver(MAP, "");
            driver.pipe_with("a.csv", "", &[("ss-type", "begin"), ("ss-summary", "true"), ("ss-map-link", " true ")]);
            for (at, record) in ["name,kind,x,y,lat", ROW, ROW, ROW, "#EOF"].into_iter().enumerate() {
                if at == crash_at {
                    driver.crash(keep_state);
                }
                driver.pipe("a.csv", record);
            }
            assert_eq!(driver.workbook("a.csv").as_ref(), Some(&expected), "{crash_at} {keep_state}");
        }
    }
}

#[test]
fn what_the_topology_gives_or_cannot_give_changes_nothing() {
    let sink = "workbook = { summary = true }";
    let linked = format!("{MAP}[[map]]\nname = \"l\"\nmap_link = \"https://map.example/{{lat}},{{lon}}\"\n");
    for (maps, sink) in [(linked.as_str(), sink), ("", sink)] {
        let with = publish(&mut driver(maps, sink), "#BEGIN summary=true map_link=true");
        assert_eq!(with, publish(&mut driver(maps, sink), "#BEGIN"), "{maps}");
    }
}

#[test]
fn the_same_rows_with_more_asked_for_are_other_content() {
    let mut driver = driver(MAP, "");
    publish(&mut driver, "#BEGIN attempt=1");
    publish(&mut driver, "#BEGIN attempt=2");
    assert_eq!(driver.workbooks("a.csv").len(), 1, "answered from the ledger");
    publish(&mut driver, "#BEGIN attempt=3 summary=true");
    assert_eq!(driver.workbooks("a.csv").len(), 2);
}

#[test]
fn what_is_neither_true_nor_false_is_refused() {
    let mut driver = driver(MAP, "");
    driver.pipe("a.csv", "#BEGIN map_link=maybe");
    let letter = driver.dead_letters().pop().expect("a dead letter");
    assert!(format!("{letter:?}").contains("marker.format"), "{letter:?}");
}

const COORDINATES: &str = r#"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:4326", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
"#;

/// The sheets of an upload with one row in the sheet "a".
fn sheets_of(
    maps: &str,
    begin: &'static str,
    header: &'static str,
    row: &'static str,
) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut driver = driver(maps, "");
    for record in [begin, header, row, "#EOF rows=1"] {
        driver.pipe("a.csv", record);
    }
    workbook::sheets(&driver.workbook("a.csv").expect("a workbook"))
}

#[test]
fn one_cell_may_hold_both_coordinates() {
    for (begin, row) in [
        ("#BEGIN coordinates=yx", "a,\"(37.5, 127)\""),
        ("#BEGIN coordinates=xy", "a,127 37.5"),
        ("#BEGIN coordinates=geometry", "a,POINT (127 37.5)"),
    ] {
        let sheet = &sheets_of(COORDINATES, begin, "kind,x", row)["a"];
        assert_eq!(sheet[0], ["kind", "x", "lon", "lat"], "{begin}");
        assert_eq!(sheet[1][2..], ["127", "37.5"], "{begin}");
    }
}

#[test]
fn an_upload_that_says_so_has_no_coordinates() {
    let sheets = sheets_of(COORDINATES, "#BEGIN coordinates=none map_link=true", "kind,address", "a,Long Street 1");
    assert_eq!(sheets["a"], [["kind", "address"], ["a", "Long Street 1"]]);
    let about = &sheets["About"];
    assert!(about.iter().any(|row| row[1].contains("The file has no coordinates")), "{about:?}");
    assert!(!about.iter().any(|row| row[0] == "Accuracy"), "nothing was transformed: {about:?}");

    let needed = COORDINATES.replace("into", "missing = \"reject\", into");
    let mut driver = driver(&needed, "");
    for record in ["#BEGIN coordinates=none", "kind,address", "a,Long Street 1", "#EOF"] {
        driver.pipe("a.csv", record);
    }
    assert_eq!(driver.workbook("a.csv"), None, "where rows without coordinates are rejected, there are none");
}

#[test]
fn the_workbook_calls_columns_as_the_upload_says() {
    let begin = r##"#BEGIN titles="{""kind"": ""분류"", ""y"": ""위도""}""##;
    let sheets = sheets_of(COORDINATES, begin, "kind,x,y", "a,127,x");
    assert_eq!(sheets["Errors"][0][4..], ["분류", "x", "위도"]);
    assert_eq!(sheets["Errors"][1][2], "위도");
    let json = r#"{"$ss": "begin", "titles": {"kind": "분류"}}"#;
    for begin in [r##"#BEGIN titles="{""kind"": ""분류""}""##, json] {
        let sheet = &sheets_of(COORDINATES, begin, "kind,x,y", "a,127,37")["a"];
        assert_eq!(sheet[0], ["분류", "x", "y", "lon", "lat"]);
    }
}

#[test]
fn titles_and_coordinates_survive_any_crash() {
    let book = |crash: Option<(usize, bool)>| {
        let mut driver = driver(COORDINATES, "");
        driver.pipe_with(
            "a.csv",
            "",
            &[("ss-type", "begin"), ("ss-coordinates", "yx"), ("ss-titles", r#"{"x": "where"}"#)],
        );
        for (at, record) in ["kind,x", "a,\"37, 127\"", "b,\"36, 128\"", "#EOF rows=2"].into_iter().enumerate() {
            if let Some((_, keep_state)) = crash.filter(|(crash_at, _)| *crash_at == at) {
                driver.crash(keep_state);
            }
            driver.pipe("a.csv", record);
        }
        driver.workbook("a.csv").expect("a workbook")
    };
    let expected = book(None);
    assert_eq!(workbook::sheets(&expected)["b"][1], ["b", "36, 128", "128", "36"]);
    for crash in (0..4).flat_map(|at| [(at, true), (at, false)]) {
        assert_eq!(book(Some(crash)), expected, "{crash:?}");
    }
}

#[test]
fn what_cannot_be_read_of_them_is_refused() {
    for begin in ["#BEGIN coordinates=zx", "#BEGIN titles=[]", "#BEGIN titles=x"] {
        let mut driver = driver(COORDINATES, "");
        driver.pipe("a.csv", begin);
        let letter = driver.dead_letters().pop().expect("a dead letter");
        assert!(format!("{letter:?}").contains("marker.format"), "{letter:?}");
    }
}

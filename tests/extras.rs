//! Parts of a workbook that an upload asks for, and not its topology: `ss-summary` and `ss-map-link`. The same bytes in every way.

#[path = "support/workbook.rs"]
mod workbook;

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

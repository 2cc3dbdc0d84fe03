//! An upload with a CRS of its own (`ss-crs`): reprojected from it, shown in *About*, the same bytes in every way, or refused at once.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

fn driver(maps: &str) -> TopologyTestDriver {
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
header = ["name", "kind", "x", "y"]
{maps}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    );
    TopologyTestDriver::new(Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
}

const FROM_5179: &str = r#"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
"#;
/// Near Seoul City Hall, in EPSG:5181.
const ROW: &str = "City Hall,office,198056.37,451885.03";

fn publish(driver: &mut TopologyTestDriver, begin: &'static str, rows: usize) {
    driver.pipe("a.csv", begin);
    (0..rows).for_each(|_| driver.pipe("a.csv", ROW));
    driver.pipe("a.csv", "#EOF");
}

fn ends(driver: &TopologyTestDriver) -> Vec<String> {
    let end = |status: sheetstream::sink::status::StatusRecord| match status.failure {
        Some(failure) => format!("{:?} {}", status.state, failure.reason),
        None => format!("{:?}", status.state),
    };
    driver.statuses().into_iter().map(end).collect()
}

#[test]
fn rows_are_reprojected_from_the_uploads_own_crs() {
    let mut driver = driver(FROM_5179);
    publish(&mut driver, "#BEGIN name=places.csv crs=EPSG:5181", 3);
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    let place = &sheets["office"][1];
    let [lon, lat] = [4, 5].map(|column: usize| place[column].parse::<f64>().expect("a number"));
    assert!((lon - 126.978).abs() < 1e-3 && (lat - 37.566).abs() < 1e-3, "{lon} {lat}");
    let about = &sheets["About"];
    let fact = |name: &str| about.iter().find(|row| row[0] == name).map(|row| row[1].as_str()).unwrap_or_default();
    assert!(fact("From").contains("EPSG:5181"), "{about:?}");
    assert!(fact("Operation").contains("Central Belt"), "{about:?}");
    let status = driver.statuses().pop().expect("a status");
    assert_eq!(status.crs.as_deref(), Some("EPSG:5181"));
    // the next upload is the topology's again
    driver.pipe("b.csv", "City Hall,office,953900,1952030");
    driver.pipe("b.csv", "#EOF");
    let sheets = workbook::sheets(&driver.workbook("b.csv").expect("a workbook"));
    assert!(sheets["About"].iter().any(|row| row[0] == "From" && row[1].contains("EPSG:5179")));
}

#[test]
fn both_spellings_and_any_crash_give_the_same_bytes() {
    let mut undisturbed = driver(FROM_5179);
    publish(&mut undisturbed, "#BEGIN crs=EPSG:5181", 40);
    let expected = undisturbed.workbook("a.csv").expect("a workbook");

    for crash_at in [0, 1, 20, 40] {
        for keep_state in [true, false] {
            let mut driver = driver(FROM_5179);
            driver.pipe_with("a.csv", "", &[("ss-type", "begin"), ("ss-crs", " EPSG:5181 ")]);
            for row in 0..40 {
                if row == crash_at {
                    driver.crash(keep_state);
                }
                driver.pipe("a.csv", ROW);
            }
            if crash_at == 40 {
                driver.crash(keep_state);
            }
            driver.pipe("a.csv", "#EOF");
            assert_eq!(driver.workbook("a.csv").as_ref(), Some(&expected), "{crash_at} {keep_state}");
        }
    }
}

#[test]
fn the_topologys_own_crs_changes_nothing() {
    let book = |begin: &'static str| {
        let mut driver = driver(FROM_5179);
        driver.pipe("a.csv", begin);
        driver.pipe("a.csv", "City Hall,office,953900,1952030");
        driver.pipe("a.csv", "#EOF");
        (driver.workbook("a.csv").expect("a workbook"), driver.statuses().pop().expect("a status").crs)
    };
    assert_eq!(book("#BEGIN crs=epsg:5179"), book("#BEGIN"));
}

#[test]
fn a_crs_that_cannot_be_used_fails_the_upload_at_once() {
    let cases = [
        ("EPSG:999999", "write an EPSG code"),
        ("EPSG:5193", "vertical"),
        ("\"+proj=tmerc +lat_0=38 +lon_0=128 +ellps=bessel +units=m\"", "ballpark"),
        ("nonsense", "write a code such as EPSG:5186"),
    ];
    for (crs, says) in cases {
        let mut driver = driver(FROM_5179);
        driver.pipe("a.csv", format!("#BEGIN crs={crs}"));
        assert_eq!(ends(&driver), ["Failed upload.crs"], "{crs}");
        let message = driver.statuses().pop().and_then(|status| status.failure).expect("a failure").message;
        assert!(message.contains(says), "{message}");
        driver.pipe("a.csv", ROW);
        driver.pipe("a.csv", "#EOF");
        assert_eq!(ends(&driver).len(), 2);
        assert!(driver.workbook("a.csv").is_none());
        let rows = driver.statuses().pop().expect("an end").accounting;
        assert_eq!((rows.voided, rows.balances()), (1, true));
        // and the next attempt is a new one
        driver.pipe("a.csv", "#BEGIN crs=EPSG:5181");
        driver.pipe("a.csv", ROW);
        driver.pipe("a.csv", "#EOF");
        assert!(driver.workbook("a.csv").is_some());
    }
    let mut driver = driver("");
    driver.pipe("a.csv", "#BEGIN crs=EPSG:5181");
    assert_eq!(ends(&driver), ["Failed upload.crs"], "nothing is reprojected");
}

#[test]
fn the_same_rows_under_another_crs_are_other_content() {
    let mut driver = driver(FROM_5179);
    let mut revisions = Vec::new();
    for begin in ["#BEGIN crs=EPSG:5181", "#BEGIN crs=EPSG:5181", "#BEGIN crs=EPSG:5186", "#BEGIN crs=EPSG:5181"] {
        publish(&mut driver, begin, 1);
        revisions.push(driver.statuses().pop().expect("a status").revision);
    }
    assert_eq!(revisions, [1, 1, 2, 3]);
    let books = driver.workbooks("a.csv");
    assert_eq!(books.len(), 3);
    assert_ne!(books[0], books[1]);
    assert_eq!(books[0], books[2]);
}

#[test]
fn only_maps_that_start_from_the_published_coordinates_change() {
    let chain = r#"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[map]]
name = "mercator"
reproject = { from = "EPSG:4326", to = "EPSG:3857", x = "lon", y = "lat", into = ["east", "north"] }
"#;
    let mut driver = driver(chain);
    publish(&mut driver, "#BEGIN crs=EPSG:5181", 1);
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    let from: Vec<&str> = sheets["About"].iter().filter(|row| row[0] == "From").map(|row| row[1].as_str()).collect();
    assert!(from.len() == 2 && from[0].contains("EPSG:5181") && from[1].contains("EPSG:4326"), "{from:?}");
    let [lon, east] = [4, 6].map(|column: usize| sheets["office"][1][column].parse::<f64>().expect("a number"));
    assert!((east - lon.to_radians() * 6_378_137.0).abs() < 0.01);
}

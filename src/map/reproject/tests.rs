//! What `reproject` makes of good and bad points.

use std::collections::HashMap;
use std::process::Command;

use proj::Proj;
use proptest::prelude::*;

use super::*;
use crate::map::tests::{batch, batch_of, column, numbers, reasons};
use crate::record::Reason;

fn config(from: &str, to: &str) -> ReprojectConfig {
    let crs = CrsPair::resolve(from, to, false).unwrap();
    ReprojectConfig {
        node: "there".into(),
        decimals: if crs.to.kind == CrsKind::Geographic { 9 } else { 6 },
        crs: Arc::new(crs),
        crs_column: None,
        input: CoordinateInput::Columns { x: vec!["x".into(), "엑스".into()], y: vec!["y".into()] },
        into: ["lon".into(), "lat".into()],
        check_area: true,
        allow_ballpark: false,
        blank_missing: false,
        any_notation: false,
        from_upload: true,
    }
}

fn reproject(from: &str, to: &str) -> Reproject {
    Reproject::new(&config(from, to)).unwrap()
}

/// What becomes of one point.
fn run(node: &mut Reproject, x: &str, y: &str) -> Result<Point, Rejection> {
    let mut batch = batch(&["x", "y"], &[&[x, y]]);
    node.process(&mut batch).unwrap();
    let point = (numbers(&batch, "lon")[0], numbers(&batch, "lat")[0]);
    match batch.rejected.pop() {
        None => Ok(point),
        Some((0, rejection)) if point.0.is_nan() && point.1.is_nan() => Err(rejection),
        Some(other) => panic!("{other:?} and {point:?}"),
    }
}

#[track_caller]
fn assert_near((x, y): Point, (to_x, to_y): Point, tolerance: f64) {
    assert!((x - to_x).abs() <= tolerance && (y - to_y).abs() <= tolerance, "({x}, {y}) is not ({to_x}, {to_y})");
}

#[test]
fn golden_points_land_where_proj_and_the_epsg_say() {
    for (from, x, y, lon, lat) in [
        ("EPSG:5179", "953900", "1952030", 126.97798693598331, 37.56648118539722),
        ("EPSG:5186", "198056.37", "551885.03", 126.97800003693517, 37.56649999470258),
        ("EPSG:5181", "198056.37", "451885.03", 126.97800003693517, 37.56649999470258),
        ("EPSG:5174", "198236.32", "453407.856", 126.98082038645744, 37.58297057802833),
        ("EPSG:2097", "234000", "315000", 127.37660679560825, 36.33520693960378),
    ] {
        assert_near(run(&mut reproject(from, "EPSG:4326"), x, y).unwrap(), (lon, lat), 1e-9);
    }
}

#[test]
fn results_are_those_of_proj_itself() {
    for (from, to, west, south, east, north) in [
        ("EPSG:5174", "EPSG:4326", 150_000.0, 250_000.0, 270_000.0, 500_000.0),
        ("EPSG:5181", "EPSG:4326", 150_000.0, 250_000.0, 270_000.0, 500_000.0),
        ("EPSG:5186", "EPSG:4326", 150_000.0, 350_000.0, 270_000.0, 600_000.0),
        ("EPSG:2097", "EPSG:4326", 150_000.0, 250_000.0, 270_000.0, 500_000.0),
        ("EPSG:5179", "EPSG:4326", 800_000.0, 1_500_000.0, 1_200_000.0, 2_000_000.0),
        ("EPSG:4326", "EPSG:5179", 126.0, 34.0, 129.5, 38.0),
        ("EPSG:4326", "EPSG:3857", -179.0, -85.0, 178.0, 84.0),
        ("EPSG:5174", "EPSG:5179", 150_000.0, 250_000.0, 270_000.0, 500_000.0),
        ("EPSG:27572", "EPSG:4326", 100_000.0, 1_700_000.0, 900_000.0, 2_600_000.0),
        ("EPSG:2230", "EPSG:4326", 6_200_000.0, 1_800_000.0, 6_900_000.0, 2_200_000.0),
    ] {
        let mut node = reproject(from, to);
        let judge = Proj::new_known_crs(from, to, None).unwrap();
        let step = |n: u32, low: f64, high: f64| low + (high - low) * f64::from(n) / 12.0;
        for (across, up) in (0..=12).flat_map(|across| (0..=12).map(move |up| (across, up))) {
            let point = (step(across, west, east), step(up, south, north));
            let Ok(found) = run(&mut node, &point.0.to_string(), &point.1.to_string()) else { continue };
            let tolerance = 0.5 * 0.1f64.powi(node.config.decimals.into()) + 1e-10;
            assert_near(found, judge.convert(point).unwrap(), tolerance);
        }
        let centre = (step(6, west, east), step(6, south, north));
        run(&mut node, &centre.0.to_string(), &centre.1.to_string()).unwrap();
    }
}

#[test]
fn bad_coordinates_are_refused_with_their_reason_and_a_hint() {
    use Reason::{CoordMissing, CoordRange, NumberFormat, NumberNotFinite};
    let mut nodes = HashMap::new();
    let cases = [
        // swapped: beyond the pole, elsewhere on the earth, and inside Korea but outside the belt
        ("EPSG:4326", "EPSG:5179", "37.5665", "126.978", CoordRange, "looks swapped"),
        ("EPSG:4326", "EPSG:3857", "37.5665", "126.978", CoordRange, "looks swapped"),
        ("EPSG:5179", "EPSG:4326", "1952030", "953900", CoordRange, "looks swapped"),
        ("EPSG:5186", "EPSG:4326", "551885.03", "198056.37", CoordRange, "longitude 130.8"),
        ("EPSG:5186", "EPSG:4326", "551885.03", "198056.37", CoordRange, "looks swapped"),
        ("EPSG:5174", "EPSG:5179", "453407.856", "198236.32", CoordRange, "looks swapped"),
        // outside the area
        ("EPSG:5181", "EPSG:4326", "953900", "1952030", CoordRange, "outside the area of EPSG:5181"),
        ("EPSG:5181", "EPSG:5179", "953900", "1952030", CoordRange, "outside the area of EPSG:5181"),
        ("EPSG:3857", "EPSG:5179", "14135000", "99999999", CoordRange, "outside the area of EPSG:3857"),
        ("EPSG:5179", "EPSG:4326", "1e15", "1e15", CoordRange, "not a place in EPSG:5179"),
        ("EPSG:5179", "EPSG:4326", "1e300", "-1e300", CoordRange, "(1e300, -1e300) is not a place in EPSG:5179"),
        ("EPSG:4326", "EPSG:3857", "200", "10", CoordRange, "outside the area"),
        ("EPSG:4326", "EPSG:3857", "900", "10", CoordRange, "not a place"),
        // a place on earth, in no way swapped, that the target cannot hold
        ("EPSG:4326", "EPSG:5186", "36.8172", "-1.2864", CoordRange, "is a place that EPSG:5186 cannot hold"),
        // zeros that were empty cells
        ("EPSG:4326", "EPSG:5179", "0", "0.0", CoordRange, "(0, 0) comes from empty cells"),
        ("EPSG:5179", "EPSG:4326", "0", "0", CoordRange, "(0, 0) comes from empty cells"),
        ("EPSG:27700", "EPSG:4326", "-0", "0", CoordRange, "(0, 0) comes from empty cells"),
        // the wrong unit
        ("EPSG:4326", "EPSG:5179", "953900", "1952030", CoordRange, "looks like metres"),
        ("EPSG:5179", "EPSG:4326", "126.978", "37.5665", CoordRange, "looks like degrees"),
        // no numbers
        ("EPSG:5179", "EPSG:4326", "", "1952030", CoordMissing, "empty"),
        ("EPSG:5179", "EPSG:4326", "953900", "  ", CoordMissing, "empty"),
        ("EPSG:5179", "EPSG:4326", "953,900", "1952030", NumberFormat, "\"953,900\""),
        ("EPSG:5179", "EPSG:4326", "953900", "NaN", NumberNotFinite, "\"NaN\""),
        ("EPSG:5179", "EPSG:4326", "inf", "1952030", NumberNotFinite, "\"inf\""),
    ];
    for (from, to, x, y, reason, hint) in cases {
        let node = nodes.entry((from, to)).or_insert_with(|| reproject(from, to));
        let rejection = run(node, x, y).unwrap_err();
        assert_eq!(rejection.reason, reason, "{from} {to} ({x}, {y}): {}", rejection.message);
        assert!(rejection.message.to_string().contains(hint), "{from} {to} ({x}, {y}): {}", rejection.message);
    }
}

#[test]
fn rows_without_coordinates_stay_blank_where_the_topology_says_so() {
    let mut node =
        Reproject::new(&ReprojectConfig { blank_missing: true, ..config("EPSG:5179", "EPSG:4326") }).unwrap();
    let mut batch = batch(&["x", "y"], &[&["", " "], &["953900", "1952030"], &["953900", ""], &["", "확인중"]]);
    node.process(&mut batch).unwrap();
    assert_eq!(reasons(&batch), [(2, Reason::CoordMissing), (3, Reason::CoordMissing)], "half a point is wrong");
    let lon = numbers(&batch, "lon");
    assert!(lon[0].is_nan() && (lon[1] - 126.978).abs() < 1e-3);
    // What was blank behind one map is blank behind the next.
    let input = CoordinateInput::Columns { x: vec!["lon".into()], y: vec!["lat".into()] };
    let back = ReprojectConfig {
        input,
        blank_missing: true,
        into: ["e".into(), "n".into()],
        ..config("EPSG:4326", "EPSG:5179")
    };
    Reproject::new(&back).unwrap().process(&mut batch).unwrap();
    assert!(numbers(&batch, "e")[0].is_nan() && (numbers(&batch, "e")[1] - 953_900.0).abs() < 0.01);
    assert_eq!(batch.rejected.len(), 2);
}

#[test]
fn in_any_notation_words_and_zeros_say_that_there_are_no_coordinates() {
    let config = ReprojectConfig { blank_missing: true, any_notation: true, ..config("EPSG:5181", "EPSG:4326") };
    let rows: [&[&str]; 7] = [
        &["-", "-"],
        &["NULL", ""],
        &["없음", "미상"],
        &["0", "0.00"],
        &["198,056.37", "451,885.03"],
        &["198056.37", "-"],
        &["-", "확인"],
    ];
    let run = |config: &ReprojectConfig| {
        let mut batch = batch(&["x", "y"], &rows);
        Reproject::new(config).unwrap().process(&mut batch).unwrap();
        batch
    };
    let found = run(&config);
    assert_eq!(found.unplaced, [0, 1, 2, 3]);
    assert_eq!(reasons(&found), [(5, Reason::CoordMissing), (6, Reason::CoordMissing)], "half a point is wrong");
    assert_eq!(found.rejected[0].1.column.as_deref(), Some("y"));
    assert!((numbers(&found, "lon")[4] - 126.978).abs() < 1e-6 && numbers(&found, "lon")[3].is_nan());

    let rejecting = run(&ReprojectConfig { blank_missing: false, ..config.clone() });
    assert_eq!(reasons(&rejecting)[2..4], [(2, Reason::CoordMissing), (3, Reason::CoordRange)]);
    let unchecked = run(&ReprojectConfig { check_area: false, ..config.clone() });
    assert_eq!(unchecked.unplaced, [0, 1, 2], "(0, 0) is a place of the system");
    let plain = run(&ReprojectConfig { any_notation: false, ..config });
    assert_eq!(reasons(&plain)[..2], [(0, Reason::NumberFormat), (1, Reason::NumberFormat)]);
}

#[test]
fn in_any_notation_one_cell_may_say_that_there_are_no_coordinates() {
    let found = |input: CoordinateInput, cells: &[&[&str]]| {
        let config =
            ReprojectConfig { input, blank_missing: true, any_notation: true, ..config("EPSG:4326", "EPSG:5179") };
        let mut batch = batch(&["at"], cells);
        Reproject::new(&config).unwrap().process(&mut batch).unwrap();
        (batch.unplaced.clone(), reasons(&batch))
    };
    let none = vec![(4, Reason::GeometryFormat)];
    let yx = CoordinateInput::Yx(vec!["at".into()]);
    let cells: [&[&str]; 5] = [&["-"], &["없음"], &["(0, 0)"], &["37.5, 127"], &["37.5"]];
    assert_eq!(found(yx, &cells), (vec![0, 1, 2], none.clone()));
    let geometry = CoordinateInput::Geometry(vec!["at".into()]);
    let cells: [&[&str]; 5] = [&["NULL"], &["POINT EMPTY"], &["POINT(0 0)"], &["POINT(127 37.5)"], &["127"]];
    assert_eq!(found(geometry, &cells), (vec![0, 1, 2], none));
}

#[test]
fn a_point_right_on_the_edge_or_across_the_antimeridian_is_inside() {
    let mut world = reproject("EPSG:4326", "EPSG:5179");
    for (x, y) in [("180", "10"), ("-180", "10"), ("127", "-0.5"), ("0", "0.000001")] {
        run(&mut world, x, y).unwrap();
    }
    // NZGD2000: 160.6 east to 171.2 west
    let mut zealand = reproject("EPSG:4167", "EPSG:4326");
    for (x, y, inside) in
        [("175", "-40", true), ("-175", "-40", true), ("185", "-40", true), ("0", "-40", false), ("-40", "175", false)]
    {
        assert_eq!(run(&mut zealand, x, y).is_ok(), inside, "({x}, {y})");
    }
}

#[test]
fn a_belt_of_a_country_takes_all_of_its_land() {
    for (crs, north) in [("EPSG:5174", 0.0), ("EPSG:5181", 0.0), ("EPSG:5186", 100_000.0)] {
        let mut node = reproject(crs, "EPSG:4326");
        // Busan, Daegu, Gangneung, Jeju and Baengnyeongdo, all outside of 126 to 128 degrees or of its latitudes.
        for (x, y, lon, lat) in [
            (388_000.0, 188_000.0, 129.06, 35.18),
            (344_000.0, 264_000.0, 128.59, 35.87),
            (366_000.0, 470_000.0, 128.88, 37.72),
            (155_000.0, 3_000.0, 126.51, 33.52),
            (-2_000.0, 498_000.0, 124.71, 37.95),
        ] {
            let point = run(&mut node, &x.to_string(), &(y + north).to_string());
            assert_near(point.unwrap_or_else(|rejection| panic!("{crs}: {}", rejection.message)), (lon, lat), 0.02);
        }
        // Degrees, Seoul swapped, and a point of EPSG:5179 lie at sea or in no country that has the belt.
        for (x, y, hint) in [
            (126.978, 37.5665, "looks like degrees"),
            (451_885.03 + north, 198_056.37, "looks swapped: x is east, y is north"),
            (953_900.0, 1_952_030.0, ""),
        ] {
            let rejection = run(&mut node, &x.to_string(), &y.to_string()).expect_err("no place in Korea");
            assert_eq!(rejection.reason, Reason::CoordRange);
            assert!(rejection.message.to_string().ends_with(hint), "{crs}: {}", rejection.message);
        }
    }
}

#[test]
fn a_place_far_from_the_area_of_the_target_is_written_and_counted() {
    let distant = |from: &str, to: &str, check_area: bool, points: &[(&str, &str)]| {
        let mut node = Reproject::new(&ReprojectConfig { check_area, ..config(from, to) }).unwrap();
        let rows: Vec<[&str; 2]> = points.iter().map(|(x, y)| [*x, *y]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
        let mut batch = batch(&["x", "y"], &rows);
        node.process(&mut batch).unwrap();
        assert!(batch.rejected.is_empty(), "{:?}", batch.rejected);
        batch.distant
    };
    // Seoul, Busan and Baengnyeongdo beside the belt, Fukuoka and Dalian in the next ones; Beijing and Manila.
    let places = [
        ("127", "37.5"),
        ("129.06", "35.17"),
        ("124.71", "37.96"),
        ("130.4", "33.6"),
        ("121.6", "38.9"),
        ("116.4", "39.9"),
        ("121", "14.6"),
    ];
    assert_eq!(distant("EPSG:4326", "EPSG:5186", true, &places), [5, 6]);
    assert_eq!(distant("EPSG:4326", "EPSG:5186", false, &places), [0_u32; 0]);
    assert_eq!(distant("EPSG:4326", "EPSG:3857", true, &places), [0_u32; 0]);
    // Between two projected systems: Seoul and Delhi.
    assert_eq!(distant("EPSG:3857", "EPSG:5186", true, &[("14135000", "4518000"), ("8593865", "3325000")]), [1]);
}

#[test]
fn without_the_area_check_only_what_proj_cannot_carry_fails() {
    let unchecked = |from, to| Reproject::new(&ReprojectConfig { check_area: false, ..config(from, to) }).unwrap();
    assert_near(run(&mut unchecked("EPSG:5179", "EPSG:4326"), "0", "0").unwrap(), (117.99, 19.69), 0.01);
    assert_near(run(&mut unchecked("EPSG:4326", "EPSG:3857"), "0", "0").unwrap(), (0.0, 0.0), 1e-6);
    let rejection = run(&mut unchecked("EPSG:4326", "EPSG:3857"), "37.5665", "126.978").unwrap_err();
    assert_eq!(rejection.reason, Reason::CoordRange);
    assert_eq!(rejection.message.to_string(), "(37.5665, 126.978) is not a place in EPSG:4326");
}

#[test]
fn a_crs_without_an_area_of_use_is_not_checked_against_one() {
    let katec = "+proj=tmerc +lat_0=38 +lon_0=128 +k=0.9999 +x_0=400000 +y_0=600000 +ellps=bessel +units=m \
                 +towgs84=-115.80,474.99,674.11,1.16,-2.31,-1.63,6.43";
    let mut node = reproject(katec, "EPSG:4326");
    assert_near(run(&mut node, "310000", "552000").unwrap(), (126.98, 37.56), 0.05);
    run(&mut node, "552000", "310000").unwrap();
    // that of longitude and latitude is the world
    let rejection = run(&mut reproject("+proj=longlat +datum=WGS84", "EPSG:4326"), "37.5665", "126.978").unwrap_err();
    assert!(rejection.message.to_string().ends_with("looks swapped: x is east, y is north"), "{}", rejection.message);
}

#[test]
fn two_columns_are_appended_and_the_rest_stays_as_it_was() {
    let mut batch = batch(
        &["id", "엑스", "y", "lon", "lon_2"],
        &[&["1", " 953900 ", "1952030", "a", "b"], &["2", "953900", "1952030", "c", "d"], &["3", "", "", "e", "f"]],
    );
    batch.rejected = vec![(1, Rejection::new(Message::CellTooLong { characters: 40_000, limit: 32_767 }))];
    reproject("EPSG:5179", "EPSG:4326").process(&mut batch).unwrap();
    let names: Vec<_> = batch.columns.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "엑스", "y", "lon", "lon_2", "lon_3", "lat"]);
    assert_eq!(column(&batch, "엑스"), [" 953900 ", "953900", ""]);
    assert_eq!(column(&batch, "lon"), ["a", "c", "e"]);
    assert_eq!(numbers(&batch, "lon_3")[0], 126.977986936);
    assert!(numbers(&batch, "lat")[1..].iter().all(|lat| lat.is_nan()));
    let computed = ColumnType::Computed { decimals: 9 };
    let auto = ColumnType::Auto;
    assert_eq!(*batch.types, [auto, auto, auto, auto, auto, computed, computed]);
    assert_eq!(reasons(&batch), [(1, Reason::CellTooLong), (2, Reason::CoordMissing)]);
    assert_eq!(batch.rejected[1].1.column.as_deref(), Some("엑스"));
}

#[test]
fn a_missing_column_rejects_every_row_with_one_message() {
    let mut batch = batch(&["id", "x", "north"], &[&["1", "953900", "1952030"], &["2", "", ""]]);
    reproject("EPSG:5179", "EPSG:4326").process(&mut batch).unwrap();
    assert_eq!(reasons(&batch), [(0, Reason::ColumnMissing), (1, Reason::ColumnMissing)]);
    assert_eq!(batch.rejected[0].1, batch.rejected[1].1);
    assert_eq!(batch.rejected[0].1.message.to_string(), "no column \"y\"; the header has \"id\", \"x\", \"north\"");
    assert!(numbers(&batch, "lon")[0].is_nan());
}

#[test]
fn points_come_from_a_geometry_column_too() {
    let input = CoordinateInput::Geometry(vec!["wkt".into(), "geom".into()]);
    let mut node = Reproject::new(&ReprojectConfig { input, ..config("EPSG:5179", "EPSG:4326") }).unwrap();
    let cells =
        ["POINT(953900 1952030)", "SRID=5179;POINT(953900 1952030)", "SRID=5181;POINT(953900 1952030)", "POINT EMPTY"];
    let rows: Vec<[&str; 1]> = cells.iter().map(|cell| [*cell]).collect();
    let mut batch = batch(&["geom"], &rows.iter().map(|row| row.as_slice()).collect::<Vec<_>>());
    node.process(&mut batch).unwrap();
    assert_eq!(numbers(&batch, "lon")[..2], [126.977986936, 126.977986936]);
    assert_eq!(reasons(&batch), [(2, Reason::GeometryFormat), (3, Reason::CoordMissing)]);
    assert_eq!(batch.rejected[0].1.column.as_deref(), Some("geom"));
}

#[test]
fn a_second_reproject_reads_what_the_first_computed() {
    let mut batch = batch(&["x", "y"], &[&["953900", "1952030"], &["", ""]]);
    reproject("EPSG:5179", "EPSG:4326").process(&mut batch).unwrap();
    let columns = |name: &str| vec![name.to_owned()];
    let input = CoordinateInput::Columns { x: columns("lon"), y: columns("lat") };
    let back = ReprojectConfig { input, into: ["e".into(), "n".into()], ..config("EPSG:4326", "EPSG:5179") };
    Reproject::new(&back).unwrap().process(&mut batch).unwrap();
    assert_near((numbers(&batch, "e")[0], numbers(&batch, "n")[0]), (953900.0, 1952030.0), 1e-3);
    assert_eq!(reasons(&batch), [(1, Reason::CoordMissing)]);
}

#[test]
fn a_crs_of_the_uploads_own_takes_the_place_of_the_source_crs() {
    let mut node = reproject("EPSG:5179", "EPSG:4326");
    let mut point = |own: Option<&str>, x: &str, y: &str| {
        let mut batch = batch(&["x", "y"], &[&[x, y]]);
        batch.crs = own.map(Arc::from);
        node.process(&mut batch).unwrap();
        let fate = batch.rejected.pop().map(|(_, rejection)| rejection.reason);
        (numbers(&batch, "lon")[0], numbers(&batch, "lat")[0], fate)
    };
    let (lon, lat, _) = point(None, "953900", "1952030");
    assert_eq!(point(Some("epsg:5179"), "953900", "1952030"), (lon, lat, None));
    let (own_lon, own_lat, fate) = point(Some("EPSG:5181"), "198056.37", "451885.03");
    assert_near((own_lon, own_lat), (126.97800003693517, 37.56649999470258), 1e-9);
    assert_eq!(fate, None);
    assert_eq!(point(Some("EPSG:5181"), "953900", "1952030").2, Some(Reason::CoordRange));
    assert_eq!(point(Some("EPSG:0"), "953900", "1952030").2, Some(Reason::UploadCrs));
    assert_eq!(point(None, "953900", "1952030"), (lon, lat, None));

    let fixed = ReprojectConfig { from_upload: false, ..config("EPSG:5179", "EPSG:4326") };
    let mut batch = batch(&["x", "y"], &[&["953900", "1952030"]]);
    batch.crs = Some("EPSG:5181".into());
    Reproject::new(&fixed).unwrap().process(&mut batch).unwrap();
    assert_eq!(numbers(&batch, "lon"), [lon]);
}

#[test]
fn results_are_rounded_and_never_minus_zero() {
    assert_eq!(round(126.97798693598331, 9), 126.977986936);
    assert_eq!(round(-126.97798693598331, 3), -126.978);
    assert_eq!(round(2.5, 0), 3.0);
    assert!(round(-0.0000001, 3).is_sign_positive());
    assert_eq!(round(1952030.123456789, 200), 1952030.123456789);
    assert_eq!(round(1e300, 9), 1e300);
}

/// Text that ends up in coordinate columns.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (800_000.0..1_200_000.0).prop_map(|x: f64| x.to_string()),
        3 => (1_500_000.0..2_100_000.0).prop_map(|y: f64| y.to_string()),
        1 => any::<f64>().prop_map(|x| x.to_string()),
        1 => "[0-9+eE., -]{0,8}",
        1 => Just("0".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn where_batches_are_cut_changes_nothing(
        rows in prop::collection::vec((cell(), cell()), 1..60),
        cuts in prop::collection::vec(1_usize..20, 60),
    ) {
        let mut node = reproject("EPSG:5179", "EPSG:4326");
        let rows: Vec<[&str; 2]> = rows.iter().map(|(x, y)| [x.as_str(), y.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(|row| row.as_slice()).collect();
        let mut whole = batch(&["x", "y"], &rows);
        let schema = whole.columns.schema();
        node.process(&mut whole).unwrap();

        let bits = |batch: &RowBatch| -> Vec<[u64; 2]> {
            std::iter::zip(numbers(batch, "lon"), numbers(batch, "lat")).map(|(x, y)| [x.to_bits(), y.to_bits()]).collect()
        };
        let (mut done, mut parts, mut fates) = (0, Vec::new(), Vec::new());
        for cut in cuts {
            let end = rows.len().min(done + cut);
            let mut part = batch_of(schema.clone(), &rows[done..end]);
            node.process(&mut part).unwrap();
            parts.extend(bits(&part));
            fates.extend(part.rejected.into_iter().map(|(row, rejection)| (row + done as u32, rejection)));
            done = end;
        }
        prop_assert_eq!(parts, bits(&whole));
        prop_assert_eq!(fates, whole.rejected);
    }
}

/// Every kind of point that makes PROJ complain, many times. Run by `proj_writes_nothing_to_stderr`.
#[test]
fn points_beyond_every_limit_fail_one_by_one() {
    let limits = [91.0, 126.978, 400.0, 1e4, 1e7, 1e9, 1e15, 1e300, f64::MAX, f64::MIN_POSITIVE, 0.0];
    for (from, to) in [
        ("EPSG:4326", "EPSG:3857"),
        ("EPSG:4326", "EPSG:5179"),
        ("EPSG:5179", "EPSG:4326"),
        ("EPSG:3857", "EPSG:5174"),
        ("EPSG:4087", "EPSG:3857"), // its inverse gives latitudes beyond the pole
    ] {
        let mut node = Reproject::new(&ReprojectConfig { check_area: false, ..config(from, to) }).unwrap();
        let values: Vec<String> = limits.iter().flat_map(|limit| [limit.to_string(), (-limit).to_string()]).collect();
        let rows: Vec<[&str; 2]> =
            values.iter().flat_map(|x| values.iter().map(move |y| [x.as_str(), y.as_str()])).collect();
        let mut batch = batch(&["x", "y"], &rows.iter().map(|row| row.as_slice()).collect::<Vec<_>>());
        node.process(&mut batch).unwrap();
        let finite = std::iter::zip(numbers(&batch, "lon"), numbers(&batch, "lat"));
        let finite = finite.filter(|(x, y)| x.is_finite() && y.is_finite()).count();
        assert_eq!(finite + batch.rejected.len(), rows.len());
        assert!(batch.rejected.iter().all(|(_, rejection)| rejection.reason == Reason::CoordRange));
    }
}

#[test]
fn proj_writes_nothing_to_stderr() {
    // The harness captures what Rust prints, not what C does: a process of its own shows it.
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "map::reproject::tests::points_beyond_every_limit_fail_one_by_one"])
        .env_remove("PROJ_DEBUG")
        .output()
        .unwrap();
    assert!(run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed"));
    assert_eq!(String::from_utf8_lossy(&run.stderr), "");
}

/// What becomes of one row of these columns.
fn run_row(node: &mut Reproject, header: &[&str], row: &[&str]) -> Result<Point, Rejection> {
    let mut batch = batch(header, &[row]);
    node.process(&mut batch).unwrap();
    match batch.rejected.pop() {
        None => Ok((numbers(&batch, "lon")[0], numbers(&batch, "lat")[0])),
        Some((_, rejection)) => Err(rejection),
    }
}

/// Points near the origin of systems that count to the west and the south: x is east and y north on both sides.
#[test]
fn axes_to_the_west_and_the_south_are_turned() {
    for (crs, lon, lat, east, north) in [
        ("EPSG:2053", 29.5, -25.0, 50_475.454_9, -2_766_147.180_4), // westing, southing; Hartebeesthoek94 / Lo29
        ("EPSG:5513", 14.42, 50.09, -742_852.0, -1_043_044.0),      // southing, westing; S-JTSK / Krovak
        ("EPSG:5514", 14.42, 50.09, -742_852.0, -1_043_044.0),      // the same to the east and the north
    ] {
        let there = run(&mut reproject("EPSG:4326", crs), &lon.to_string(), &lat.to_string()).unwrap();
        assert_near(there, (east, north), 500.0);
        let back = run(&mut reproject(crs, "EPSG:4326"), &there.0.to_string(), &there.1.to_string()).unwrap();
        assert_near(back, (lon, lat), 1e-7);
        assert!(run(&mut reproject(crs, "EPSG:4326"), &(-there.0).to_string(), &(-there.1).to_string()).is_err());
    }
    let krovak = run(&mut reproject("EPSG:4326", "EPSG:5513"), "14.42", "50.09").unwrap();
    assert_near(run(&mut reproject("EPSG:4326", "EPSG:5514"), "14.42", "50.09").unwrap(), krovak, 1e-6);
    assert_near(
        run(&mut reproject("EPSG:5513", "EPSG:5514"), &krovak.0.to_string(), &krovak.1.to_string()).unwrap(),
        krovak,
        1e-6,
    );
}

#[test]
fn both_coordinates_may_be_in_one_cell() {
    let with = |input| Reproject::new(&ReprojectConfig { input, ..config("EPSG:4326", "EPSG:5179") }).unwrap();
    let seoul = run(&mut reproject("EPSG:4326", "EPSG:5179"), "126.978", "37.5665").unwrap();
    let names = || vec!["at".to_owned()];
    let mut yx = with(CoordinateInput::Yx(names()));
    let mut xy = with(CoordinateInput::Xy(names()));
    assert_eq!(run_row(&mut yx, &["at"], &["(37.5665, 126.978)"]), Ok(seoul));
    assert_eq!(run_row(&mut xy, &["at"], &["126.978 37.5665"]), Ok(seoul));
    let rejection = run_row(&mut yx, &["at"], &["126.978, 37.5665"]).unwrap_err();
    assert!(rejection.message.to_string().contains("looks swapped"), "{}", rejection.message);
    let rejection = run_row(&mut yx, &["at"], &["서울"]).unwrap_err();
    assert_eq!((rejection.reason, rejection.column.as_deref()), (Reason::GeometryFormat, Some("at")));
    assert_eq!(run_row(&mut yx, &["at"], &[" "]).unwrap_err().reason, Reason::CoordMissing);
}

#[test]
fn each_row_may_name_its_crs() {
    let by_row = ReprojectConfig {
        crs: Arc::new(CrsPair::by_row("epsg", "EPSG:4326").unwrap()),
        crs_column: Some(vec!["epsg".into()]),
        blank_missing: true,
        ..config("EPSG:5179", "EPSG:4326")
    };
    let mut node = Reproject::new(&by_row).unwrap();
    let header = ["x", "y", "epsg"];
    let mut batch = batch(
        &header,
        &[
            &["953900", "1952030", "5179"],
            &["198056.37", "551885.03", "EPSG:5186"],
            &["953900", "1952030", "999999"],
            &["953900", "1952030", "서울"],
            &["953900", "1952030", ""],
            &["", "", ""],
            &["953900", "1952030", "5186"],
            &["953900", "1952030", " epsg:5179 "],
        ],
    );
    node.process(&mut batch).unwrap();
    let points: Vec<Point> = numbers(&batch, "lon").into_iter().zip(numbers(&batch, "lat")).collect();
    let one = run(&mut reproject("EPSG:5179", "EPSG:4326"), "953900", "1952030").unwrap();
    assert_eq!((points[0], points[7]), (one, one));
    assert_eq!(points[1], run(&mut reproject("EPSG:5186", "EPSG:4326"), "198056.37", "551885.03").unwrap());
    assert_eq!(
        reasons(&batch),
        [(2, Reason::CoordCrs), (3, Reason::CoordCrs), (4, Reason::CoordCrs), (6, Reason::CoordRange)]
    );
    assert!(batch.rejected[..3].iter().all(|(_, rejection)| rejection.column.as_deref() == Some("epsg")));
    assert!(points[5].0.is_nan(), "a row without coordinates needs no CRS");
    assert!(batch.rejected[0].1.message.to_string().contains("999999"), "{}", batch.rejected[0].1.message);

    // More systems than are remembered, twice: the results do not depend on what was opened before.
    let zones: Vec<String> = (32_601..=32_640).map(|zone| zone.to_string()).collect();
    let rows: Vec<[&str; 3]> = zones.iter().chain(&zones).map(|zone| ["500000", "4000000", zone.as_str()]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
    let mut batch = crate::map::tests::batch(&header, &rows);
    node.process(&mut batch).unwrap();
    assert!(batch.rejected.is_empty());
    let lon = numbers(&batch, "lon");
    assert_eq!(lon[..40], lon[40..]);
    assert_near((lon[0], lon[39]), (-177.0, 57.0), 1e-9);
    let missing = run_row(&mut node, &["x", "y"], &["1", "2"]).unwrap_err();
    assert_eq!(missing.reason, Reason::ColumnMissing);
}

/// A point that PROJ itself transformed: see `tests/operations/points.py`.
struct Judged<'a> {
    from: &'a str,
    to: &'a str,
    point: Point,
    target: Point,
    operation: &'a str,
}

fn judged() -> impl Iterator<Item = Judged<'static>> {
    const POINTS: &str = include_str!("../../../tests/operations/points.csv");
    POINTS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let [from, to, x, y, target_x, target_y, operation] = fields[..] else { panic!("{line}") };
        let number = |text: &str| text.parse().unwrap();
        let (point, target) = ((number(x), number(y)), (number(target_x), number(target_y)));
        Judged { from, to, point, target, operation }
    })
}

#[test]
fn each_point_takes_the_operation_that_proj_takes_there() {
    let mut nodes = HashMap::new();
    let mut several = 0;
    for Judged { from, to, point, target, operation } in judged() {
        let node = nodes.entry((from, to)).or_insert_with(|| {
            Reproject::new(&ReprojectConfig { allow_ballpark: true, check_area: false, ..config(from, to) }).unwrap()
        });
        let mut batch = batch(&["x", "y"], &[&[&point.0.to_string(), &point.1.to_string()]]);
        node.process(&mut batch).unwrap();
        assert!(batch.rejected.is_empty(), "{from} {to} {point:?}: {}", batch.rejected[0].1.message);
        let tolerance = if node.usual.crs.to.kind == CrsKind::Geographic { 1e-9 } else { 1e-6 };
        assert_near((numbers(&batch, "lon")[0], numbers(&batch, "lat")[0]), target, tolerance);
        let operations = &node.usual.crs.operations;
        let [taken] = &batch.operations[..] else { panic!("{:?}", batch.operations) };
        let taken = match &taken[..] {
            [] => &operations[0],
            [taken] => &operations[usize::from(taken.unwrap())],
            more => panic!("{more:?}"),
        };
        match operation {
            "ballpark" => assert!(taken.ballpark, "{from} {to} {point:?}: {}", taken.name),
            name => assert_eq!(taken.name, name, "{from} {to} {point:?}"),
        }
        several += usize::from(operations.len() > 1);
    }
    assert!(several > 100, "{several}");
}

#[test]
fn a_point_where_only_the_datum_shift_could_be_ignored_is_refused_unless_that_is_allowed() {
    for Judged { from, to, point, target, operation } in judged() {
        let (x, y) = (point.0.to_string(), point.1.to_string());
        if operation != "ballpark" {
            continue;
        }
        let rejection = run(&mut reproject(from, to), &x, &y).unwrap_err();
        assert_eq!(rejection.reason, Reason::CoordOperation, "{from} {to} {point:?}: {}", rejection.message);
        let allowed = ReprojectConfig { allow_ballpark: true, ..config(from, to) };
        assert_near(run(&mut Reproject::new(&allowed).unwrap(), &x, &y).unwrap(), target, 1e-6);
    }
    // A point outside of the source CRS's own area is a mistake of another kind.
    let rejection = run(&mut reproject("EPSG:4267", "EPSG:4326"), "39.2", "-98.5").unwrap_err();
    assert_eq!(rejection.reason, Reason::CoordRange);
    let rejection = run(&mut reproject("EPSG:27700", "EPSG:4326"), "-2000000", "180000").unwrap_err();
    assert_eq!(rejection.reason, Reason::CoordRange);
}

//! CRS pairs that work and the sentences for those that do not.

use super::*;

fn resolve(from: &str, to: &str) -> Result<CrsPair, CrsError> {
    CrsPair::resolve(from, to, false)
}

#[test]
fn korean_pairs_have_one_operation_a_metre_good() {
    for (from, to, name, area) in [
        ("EPSG:5179", "EPSG:4326", "KGD2002 / Unified CS", [122.71, 28.6, 134.28, 40.27]),
        ("EPSG:5181", "EPSG:4326", "KGD2002 / Central Belt", [126.0, 33.96, 128.0, 38.33]),
        ("EPSG:5186", "EPSG:4326", "KGD2002 / Central Belt 2010", [126.0, 33.14, 128.0, 38.33]),
        ("EPSG:5174", "EPSG:4326", "Korean 1985 / Modified Central Belt", [126.0, 33.96, 128.0, 38.33]),
        ("EPSG:2097", "EPSG:5179", "Korean 1985 / Central Belt", [126.0, 33.96, 128.0, 38.33]),
    ] {
        let pair = resolve(from, to).unwrap();
        let [operation] = &pair.operations[..] else { panic!("{from}: {:?}", pair.operations) };
        assert_eq!((operation.accuracy_m, operation.ballpark), (Some(1.0), false), "{from}");
        assert_eq!((pair.from.name.as_str(), pair.from.area), (name, Some(area)), "{from}");
        assert_eq!(pair.from.epsg.map(|code| format!("EPSG:{code}")).as_deref(), Some(from));
        assert_eq!(pair.from.kind, CrsKind::Projected);
    }
    let pair = resolve("EPSG:5174", "EPSG:4326").unwrap();
    assert!(pair.first_operation().pipeline.contains("+proj=molobadekas"));
}

#[test]
fn where_proj_knows_several_operations_a_pair_has_all_that_need_no_grid() {
    let britain = resolve("EPSG:27700", "EPSG:4326").unwrap();
    assert_eq!(britain.first_operation().accuracy_m, Some(2.0));
    assert!(britain.operation_names().contains("OSGB36 to WGS 84 (6)"), "{}", britain.operation_names());
    assert!(britain.operation_names().ends_with(", or one of 7 others where they are better"));
    let america = resolve("EPSG:4267", "EPSG:4326").unwrap();
    assert_eq!((america.operations.len(), america.worst_accuracy_m()), (31, Some(44.0)));
    assert!(america.operations.iter().all(|operation| !operation.pipeline.contains("grids=")));
    let ballpark: Vec<bool> = america.operations.iter().map(|operation| operation.ballpark).collect();
    assert!(ballpark[..30].iter().all(|ballpark| !ballpark) && ballpark[30], "what ignores the shift is last");
}

#[test]
fn longitude_and_latitude_are_had_the_cheapest_way() {
    let lon_lat = |from, to| resolve(from, to).unwrap().lon_lat;
    assert_eq!(lon_lat("EPSG:4326", "EPSG:5179"), Some(LonLat::Source));
    assert_eq!(lon_lat("EPSG:5181", "EPSG:4326"), Some(LonLat::Target));
    assert!(matches!(lon_lat("EPSG:5174", "EPSG:5179"), Some(LonLat::Through(_))));
    assert_eq!(lon_lat("IAU_2015:49900", "IAU_2015:49910"), None);
}

#[test]
fn every_spelling_of_a_crs_is_read() {
    let katec = KATEC.replace("+proj=tmerc", "+proj=tmerc +type=crs");
    let wkt = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],
        PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]"#;
    let projjson = Proj::new("EPSG:5179").unwrap().to_projjson(None, None, None).unwrap();
    for from in [
        "epsg:5179",
        " EPSG: 5179 ",
        "urn:ogc:def:crs:EPSG::5179",
        "KGD2002 / Unified CS",
        KATEC,
        &katec,
        wkt,
        &projjson,
    ] {
        resolve(from, "EPSG:3857").unwrap_or_else(|error| panic!("{from}: {error}"));
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    for (from, to, side, words) in [
        ("5179", "EPSG:4326", Side::From, "unknown CRS \"5179\": did you mean \"EPSG:5179\"?"),
        ("EPSG5181", "EPSG:4326", Side::From, "did you mean \"EPSG:5181\"?"),
        ("EPSG:4326", "+init=epsg:5179", Side::To, "did you mean \"EPSG:5179\"?"),
        ("EPSG:999999", "EPSG:4326", Side::From, "crs not found: EPSG:999999; write an EPSG code"),
        ("EPSG:4326", "EPSG:5191", Side::To, "crs not found"),
        ("katec", "EPSG:4326", Side::From, "+towgs84="),
        ("", "EPSG:4326", Side::From, "write an EPSG code"),
        ("EPSG:5179\0", "EPSG:4326", Side::From, "write an EPSG code"),
        ("Korea", "EPSG:4326", Side::From, "several objects matching this name"),
        ("+proj=nope", "EPSG:4326", Side::From, "Unknown projection"),
        ("+proj=pipeline +step +proj=noop", "EPSG:4326", Side::From, "not a horizontal CRS"),
        ("EPSG:5714", "EPSG:4326", Side::From, "(MSL height) is a vertical CRS, for heights only"),
        ("EPSG:4326", "EPSG:7405", Side::To, "use its horizontal part, \"EPSG:27700\""),
        ("EPSG:4978", "EPSG:4326", Side::From, "geocentric"),
        ("EPSG:5800", "EPSG:4326", Side::From, "engineering"),
        ("IAU_2015:49900", "EPSG:4326", Side::Pair, "do not belong to the same celestial body"),
        ("EPSG:4019", "EPSG:4326", Side::Pair, "allow_ballpark = true"),
        ("+proj=tmerc +lon_0=127 +ellps=bessel", "EPSG:4326", Side::Pair, "+towgs84="),
    ] {
        let error = resolve(from, to).unwrap_err();
        assert_eq!(error.side(), side, "{from}: {error}");
        assert!(error.to_string().contains(words), "{from}: {error}");
    }
}

#[test]
fn a_long_definition_is_cut_in_messages() {
    let error = resolve(&"GEOGCS[".repeat(1000), "EPSG:4326").unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn a_ballpark_operation_is_taken_when_it_is_allowed() {
    let pair = CrsPair::resolve("EPSG:4019", "EPSG:4326", true).unwrap();
    let [operation] = &pair.operations[..] else { panic!("{pair:?}") };
    assert!(operation.ballpark && operation.name.starts_with("Ballpark"));
    let pair = CrsPair::resolve("EPSG:5174", "EPSG:4326", true).unwrap();
    assert!(pair.operations.iter().all(|operation| !operation.ballpark));
}

#[test]
fn many_threads_resolve_and_open_at_once() {
    let first = resolve("EPSG:5174", "EPSG:4326").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let pair = resolve("EPSG:5174", "EPSG:4326").unwrap();
                    assert_eq!(pair, first);
                    assert!(open(&pair.first_operation().pipeline).unwrap().convert((198236.32, 453407.856)).is_ok());
                    assert!(resolve("EPSG:999999", "EPSG:4326").is_err());
                }
            });
        }
    });
}

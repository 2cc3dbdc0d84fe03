//! Rankings of single files. `tests/crs_ranking.rs` measures it over all systems.

use super::*;
use crate::crs::{CrsPair, LON_LAT_CRS, open};

/// A file of 15 rows in a system around the given points.
fn file(definition: &str, around: &[(String, f64, f64)]) -> Vec<(String, (f64, f64))> {
    let pair = CrsPair::resolve(LON_LAT_CRS, definition, true).expect("a known system");
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
    let is_korean = file.iter().any(|(name, _)| name.starts_with(|c| ('가'..='힣').contains(&c)));
    rank(&rows, Hints { headers, file: context, is_korean, ..Hints::default() })
}

fn seoul(definition: &str) -> Vec<(String, (f64, f64))> {
    file(definition, &[("마포구".to_owned(), 126.91, 37.56)])
}

#[test]
fn systems_that_cannot_be_distinguished_are_one_family() {
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
    assert_eq!(wrong.contradicted_by.as_deref(), Some("EPSG:5186"));
    assert_eq!(ranked(&seoul("EPSG:5186"), ["x_5186", "y_5186"], "").contradicted_by, None);
}

#[test]
fn what_geometries_name_comes_before_all_other_evidence() {
    let declared = |definition: &str, declared: &str| {
        let rows = seoul(definition);
        let rows: Vec<RankedRow<'_>> =
            rows.iter().map(|(name, point)| RankedRow { point: Some(*point), texts: vec![name] }).collect();
        rank(&rows, Hints { geometries: Some(declared), ..Hints::default() })
    };
    let right = declared("EPSG:5174", "EPSG:5174");
    let first = |ranking: &Ranking| ranking.families[0].systems[0].definition.clone();
    assert_eq!(
        (first(&right).as_str(), right.certainty, &right.contradicted_by),
        ("EPSG:5174", Certainty::Declared, &None)
    );
    for wrong in ["EPSG:5186", "EPSG:4326", "EPSG:2154"] {
        let ranking = declared("EPSG:5181", wrong);
        assert_eq!((first(&ranking).as_str(), ranking.certainty), (wrong, Certainty::Declared));
        assert_eq!(ranking.contradicted_by.as_deref(), Some("EPSG:5181"), "{wrong}");
    }
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

/// The definitions that stand for the families.
fn families(ranking: &Ranking) -> Vec<&str> {
    ranking.families.iter().map(|family| family.systems[0].definition.as_str()).collect()
}

#[test]
fn a_belt_is_used_for_all_of_the_country() {
    let places = [
        ("강릉", 128.88, 37.75),
        ("속초", 128.59, 38.2),
        ("포항", 129.36, 36.03),
        ("부산", 129.05, 35.17),
        ("대구", 128.6, 35.87),
        ("여수", 127.66, 34.76),
        ("목포", 126.39, 34.81),
        ("제주", 126.53, 33.49),
        ("울릉", 130.87, 37.5),
        ("서울", 126.99, 37.56),
    ];
    let nameless =
        |definition: &str, (_, lon, lat): (&str, f64, f64)| file(definition, &[("가게".to_owned(), lon, lat)]);
    let is_in = |family: &Family, definition: &str| family.has(definition) && !family.is_swapped;
    for place in places {
        for definition in ["EPSG:5179", "EPSG:5186", "EPSG:5181", "EPSG:5174"] {
            let ranking = ranked(&nameless(definition, place), ["x", "y"], "");
            let first = if ranking.certainty > Certainty::Ambiguous { 1 } else { 3 };
            assert!(
                ranking.families.iter().take(first).any(|family| is_in(family, definition)),
                "{place:?} in {definition}: {:?} {:?}",
                ranking.certainty,
                families(&ranking)
            );
        }
        for definition in ["EPSG:5187", "EPSG:5185", "EPSG:5183"] {
            let ranking = ranked(&nameless(definition, place), ["x", "y"], "");
            let is_wrong = ranking.certainty > Certainty::Ambiguous && !is_in(&ranking.families[0], definition);
            assert!(!is_wrong, "{place:?} in {definition}: {:?}", families(&ranking));
        }
    }
    let swapped: Vec<_> = nameless("EPSG:5186", places[0]).into_iter().map(|(name, (x, y))| (name, (y, x))).collect();
    let swapped = ranked(&swapped, ["x", "y"], "");
    assert!(swapped.families.iter().any(|family| family.has("EPSG:5186") && family.is_swapped));
    assert!(swapped.certainty <= Certainty::Ambiguous, "{:?}", families(&swapped));
    let jeju = ranked(&nameless("EPSG:5181", places[7]), ["x", "y"], "");
    assert_eq!((families(&jeju)[0], jeju.certainty), ("EPSG:5181", Certainty::Land));
    assert!(jeju.families[0].has("EPSG:5174"), "the points cannot show which");
    let jeju = ranked(&nameless("EPSG:5174", places[7]), ["좌표정보(X)", "좌표정보(Y)"], "");
    assert_eq!((jeju.certainty, jeju.contradicted_by.as_deref()), (Certainty::Header, None));
    assert_eq!(families(&jeju)[0], "EPSG:5174");
}

#[test]
fn names_that_contradict_every_system_leave_the_land_as_evidence() {
    let office = |definition: &str, name: &str, (lon, lat): (f64, f64), headers: [&str; 2]| {
        ranked(&file(definition, &[(name.to_owned(), lon, lat)]), headers, "")
    };
    let (gangnam, busan) = ("서울특별시 강남구 새길 1", (129.05, 35.17));
    for (definition, headers) in
        [("EPSG:4326", ["x", "y"]), ("EPSG:4326", ["경도", "위도"]), ("EPSG:5179", ["X좌표", "Y좌표"])]
    {
        let ranking = office(definition, gangnam, busan, headers);
        assert_eq!(families(&ranking)[0], definition);
        assert!(matches!(ranking.certainty, Certainty::Land | Certainty::Header), "{:?}", ranking.certainty);
        let said = ranking.contradiction().expect("the names contradict");
        assert!(said.contains("other places") && said.contains(definition), "{said}");
    }
    let many = office("EPSG:5186", gangnam, busan, ["x", "y"]);
    assert_eq!(many.certainty, Certainty::Ambiguous, "{:?}", families(&many));
    assert!(families(&many).contains(&"EPSG:5186"));
    let abroad = office("EPSG:5179", "Berlin", busan, ["x", "y"]);
    assert!(abroad.certainty <= Certainty::Ambiguous, "{:?}", families(&abroad));
    for (name, definition, lon, lat) in [
        ("대구광역시 군위군", "EPSG:5187", 128.57, 36.24),
        ("경상북도 군위군", "EPSG:5187", 128.57, 36.24),
        ("광주시 경안동", "EPSG:5186", 127.25, 37.43),
    ] {
        let ranking = office(definition, name, (lon, lat), ["x", "y"]);
        assert_eq!((families(&ranking)[0], ranking.certainty), (definition, Certainty::Places), "{name}");
        assert_eq!(ranking.contradiction(), None);
    }
}

#[test]
fn values_of_the_other_kind_are_no_evidence() {
    let metres: Vec<_> = (0..10).map(|n| (200_000.0 + 91.7 * f64::from(n), 450_000.0 + 37.1 * f64::from(n))).collect();
    let file = |points: &[(f64, f64)]| points.iter().map(|point| ("가게".to_owned(), *point)).collect::<Vec<_>>();
    let alone = ranked(&file(&metres), ["x", "y"], "");
    assert_eq!(alone.certainty, Certainty::Ambiguous);
    let mixed = ranked(&file(&[&metres[..], &[(126.9, 37.5); 3]].concat()), ["x", "y"], "");
    assert_eq!((mixed.points, mixed.certainty, families(&mixed)), (13, alone.certainty, families(&alone)));
    let degrees = ranked(&file(&[&metres[..3], &[(126.9, 37.5); 10]].concat()), ["x", "y"], "");
    assert_eq!((degrees.certainty, families(&degrees)[0]), (Certainty::Land, "EPSG:4326"));
    let named = ranked(&file(&[(126.9, 37.5); 10]), ["x_5183", "y_5183"], "");
    assert_eq!(named.contradicted_by.as_deref(), Some("EPSG:4326"), "{:?}", families(&named));
}

#[test]
fn points_abroad_are_not_certain_where_the_systems_of_that_country_were_not_tried() {
    // Paris in the system of France is on land in the Netherlands, too.
    let paris = file("EPSG:2154", &[(String::new(), 2.35, 48.86)]);
    assert_eq!(ranked(&paris, ["x", "y"], "").certainty, Certainty::Ambiguous);
    // Buoys in the Yellow Sea are on land in Indonesia.
    let buoys = file("EPSG:5186", &[("부이".to_owned(), 125.0, 36.0)]);
    assert!(ranked(&buoys, ["X", "Y"], "").certainty < Certainty::Land);
    let degrees = file("EPSG:4326", &[(String::new(), 2.35, 48.86)]);
    assert_eq!(ranked(&degrees, ["x", "y"], "").certainty, Certainty::Land, "degrees are the same everywhere");
}

#[test]
fn points_at_sea_are_where_the_names_of_their_columns_say() {
    let buoys = file("EPSG:4326", &[("부이".to_owned(), 126.2, 36.0)]);
    let ranking = ranked(&buoys, ["경도", "위도"], "");
    assert_eq!((ranking.certainty, ranking.contradicted_by.as_deref()), (Certainty::Header, None));
    assert_eq!(ranking.families[0].systems[0].definition, "EPSG:4326");
    assert_eq!(ranked(&buoys, ["X", "Y"], "").certainty, Certainty::None, "nothing says what they are");
    let metres = ranked(&seoul("EPSG:5181"), ["경도", "위도"], "");
    assert_eq!(metres.contradicted_by.as_deref(), Some("EPSG:5181"), "these are no degrees");
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
    assert_eq!(rank(&[], Hints::default()).certainty, Certainty::None);
}

//! Files that are converted without a topology: what is found in them, and what is said of it.

#[path = "support/workbook.rs"]
mod workbook;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What `convert` says of a file, and the sheets of its workbook by name.
fn convert(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> (String, BTreeMap<String, Vec<Vec<String>>>) {
    std::fs::write(folder.join(name), text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    let run = command.args(["convert", name, "-o", "book.xlsx", "--force", "--strict"]).current_dir(folder).output();
    let run = run.expect("the binary");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(0), "{name}: {said}");
    (said, workbook::sheets(&std::fs::read(folder.join("book.xlsx")).expect("a workbook")))
}

#[test]
fn what_a_file_says_of_its_coordinates_is_obeyed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let convert = |name: &str, text: &str| convert(folder.path(), name, text).0;
    for [x, y] in [["x(m)", "y(m)"], ["X좌표(EPSG5181)", "Y좌표(EPSG5181)"], ["X_5181", "Y_5181"]] {
        let said = convert("metres.csv", &format!("이름,구,{x},{y}\n가,마포구,192500.5,450700.25\n"));
        assert!(said.contains(&format!("coordinates in \"{x}\" and \"{y}\", EPSG:5181")), "{said}");
    }
    for [lon, lat] in [["경도[deg]", "위도[deg]"], ["lon (WGS84)", "lat (WGS84)"]] {
        let said = convert("degrees.csv", &format!("name,{lon},{lat}\nA,2.35,48.86\n"));
        assert!(said.contains(&format!("coordinates in \"{lon}\" and \"{lat}\", EPSG:4326")), "{said}");
    }
    let said = convert("names.csv", "이름,구,x_5186,y_5186\n가,마포구,192500.5,450700.25\n");
    assert!(said.contains("the columns point to EPSG:5186, but the points fit EPSG:5181"), "{said}");

    let rows = |code: &str, last: &str| {
        let rows: String = (0..12).map(|n| format!("가게,{code},{}.5,{}.25\n", 192_500 + n, 450_700 + n)).collect();
        format!("이름,좌표계,좌표정보(X),좌표정보(Y)\n{rows}{last}")
    };
    for code in ["EPSG:5181", "5186", "epsg:2097"] {
        let said = convert("column.csv", &rows(code, ""));
        assert!(said.contains(&format!("EPSG:{}", &code[code.len() - 4..])) && !said.contains("(or"), "{said}");
        let said = convert("blank.csv", &rows(code, "가게,-,192500.5,450700.25\n"));
        assert!(said.contains(&format!("EPSG:{}", &code[code.len() - 4..])), "{said}");
    }
    let said = convert("contradicted.csv", &rows("5186", "").replace("가게", "마포구"));
    assert!(said.contains("the columns point to EPSG:5186, but the points fit EPSG:5181"), "{said}");
    let said = convert("by-row.csv", &rows("5181", "가게,5174,192500.5,450700.25\n"));
    assert!(said.contains("the system that \"좌표계\" names"), "{said}");
    let said =
        convert("korean.csv", "상호명,전화번호,x,y\n가게,02-0,953000.00,1951000.00\n나게,02-1,953100.00,1951100.00\n");
    assert!(said.contains("EPSG:5179 (or EPSG:5178"), "{said}");
    let said = convert("offices.csv", "지점명,본사주소,x,y\n가게,서울특별시 강남구 새길 1,129.05,35.17\n");
    assert!(said.contains("most rows name other places than where EPSG:4326 puts them"), "{said}");

    let said = convert(
        "ewkt.csv",
        "name,geom\nA,SRID=5174;POINT(192500.5 450700.25)\nB,SRID=5174;POINT(192600.5 450700.25)\n",
    );
    assert!(said.contains("coordinates in \"geom\", EPSG:5174") && !said.contains("but the points"), "{said}");
    let said = convert("wrong.csv", "구,geom\n마포구,SRID=5186;POINT(192500.5 450700.25)\n");
    assert!(said.contains("the geometries name EPSG:5186, but the points fit EPSG:5181"), "{said}");
    let feature =
        r#"{"type":"Feature","properties":{"n":1},"geometry":{"type":"Point","coordinates":[192500.5,450700.25]}}"#;
    let crs = r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::5174"}}"#;
    let said =
        convert("old.json", &format!(r#"{{"type":"FeatureCollection","crs":{crs},"features":[{feature},{feature}]}}"#));
    assert!(said.contains("coordinates in \"geometry\", EPSG:5174"), "{said}");
}

#[test]
fn what_the_points_cannot_show_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let convert = |name: &str, text: &str| convert(folder.path(), name, text);
    // 300 m lie between systems on the old datum and on the new one, and a district is larger.
    let (said, _) = convert("shops.csv", "이름,구,X,Y\n가,마포구,192500.5,450700.25\n");
    assert!(said.contains("EPSG:5181 (or EPSG:5174 or EPSG:2097") && said.contains("--crs says it"), "{said}");
    let (said, _) = convert("named.csv", "이름,구,좌표정보(X),좌표정보(Y)\n가,마포구,192500.5,450700.25\n");
    assert!(said.contains("EPSG:5174, a sheet"), "a header decides: {said}");
    let (said, _) = convert("buoys.csv", "부이,경도,위도\n가,125.1,36.0\n나,125.2,36.1\n");
    assert!(said.contains("coordinates in \"경도\" and \"위도\", EPSG:4326"), "{said}");
    let (said, sheets) = convert("chart.csv", "label,x,y\na,12,3000.5\nb,13,3100.5\n");
    assert!(said.contains("\"x\" and \"y\" fit no coordinate system and stay as they are"), "{said}");
    assert_eq!(sheets["rows"], [["label", "x", "y"], ["a", "12", "3000.5"], ["b", "13", "3100.5"]]);
}

#[test]
fn a_bare_number_names_a_system_on_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_sheetstream")).args(args).current_dir(folder.path()).output();
        let run = run.expect("the binary");
        assert_eq!(run.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
    };
    std::fs::write(folder.path().join("in.csv"), "name,x,y\nA,192500.5,450700.25\n").expect("a file");
    let said = run(&["new", "--from", "in.csv", "--crs", "5181"]);
    assert!(said.contains("from = \"EPSG:5181\""), "{said}");
    let said = run(&["convert", "in.csv", "--crs", "5181", "-o", "found.xlsx"]);
    assert!(said.contains("coordinates in \"x\" and \"y\", EPSG:5181"), "{said}");
    std::fs::write(folder.path().join("t.toml"), run(&["new", "--from", "in.csv", "--crs", "5186"])).expect("a file");
    run(&["convert", "in.csv", "-t", "t.toml", "--crs", "5181", "-o", "own.xlsx"]);
}

#[test]
fn delimiters_at_the_end_of_rows_cost_no_row() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (said, sheets) = convert(folder.path(), "in.csv", "a,b\n1,2,,\n3,4,,\n");
    assert!(said.contains("2 rows written, 0 rejected"), "{said}");
    assert_eq!(sheets["rows"], [["a", "b"], ["1", "2"], ["3", "4"]]);
    // A value behind the last name is not dropped.
    std::fs::write(folder.path().join("more.csv"), "a,b\n1,2,\n3,4,\n5,6,7\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    let run = command.args(["convert", "more.csv", "-o", "more.xlsx"]).current_dir(folder.path()).output();
    let said = String::from_utf8_lossy(&run.expect("the binary").stderr).into_owned();
    assert!(said.contains("2 rows written, 1 rejected"), "{said}");
}

#[test]
fn a_cell_that_is_cut_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |characters: usize| format!("a,b\n1,x\n2,{}\n", "가".repeat(characters));
    let (said, sheets) = convert(folder.path(), "long.csv", text(40_000));
    assert!(said.contains("row 2 has more than 32767 characters in \"b\", which is cut"), "{said}");
    assert_eq!(sheets["rows"][2][1].chars().count(), 32_767);
    let (said, _) = convert(folder.path(), "fits.csv", text(32_767));
    assert!(!said.contains("32767"), "{said}");
}

#[test]
fn columns_without_name_and_value_are_left_out_of_any_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // More than is looked at to find the topology.
    let rows: String = (0..60_000).map(|n| format!("row number {n},{n},,,\n")).collect();
    for (last, columns) in [("", "a | b"), ("z,0,,late,\n", "a | b | column_4")] {
        let (_, sheets) = convert(folder.path(), "in.csv", format!("a,b,,,\n{rows}{last}"));
        let rows = &sheets["rows"];
        assert_eq!(rows[0].join(" | "), columns);
        assert!(last.is_empty() || rows[60_001].contains(&"late".to_owned()));
    }
}

#[test]
fn what_comes_late_in_a_file_is_not_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let convert = |name: &str, text: String| convert(folder.path(), name, text);
    let days = |count: usize| (0..count).map(|n| format!("가{n},2024-01-05,126.9,37.5\n")).collect::<String>();
    for count in [100, 6_000, 60_000] {
        let (_, sheets) = convert("days.csv", format!("이름,개방일자,x,y\n{}나,미상,126.9,37.5\n", days(count)));
        assert_eq!(sheets["자료"].last().expect("rows")[1], "미상", "{count} days before it");
    }
    for (begin, end, row) in [("", "", "\n"), ("[", "]", ","), (r#"{"items":["#, "]}", ",")] {
        let early: String = (0..2_500).map(|n| format!(r#"{{"k":"a{n}","x":126.9,"y":37.5}}{row}"#)).collect();
        let text = format!(r#"{begin}{early}{{"k":"b","x":126.9,"y":37.5,"late":"kept"}}{end}"#);
        let (said, sheets) = convert("late.json", text);
        assert!(said.contains("2501 rows written, 0 rejected"), "{said}");
        let rows = &sheets["rows"];
        assert_eq!((rows[0][3].as_str(), rows[2_501][3].as_str()), ("late", "kept"));
    }
}

#[test]
fn only_what_is_said_names_sheets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let convert = |name: &str, text: &str| convert(folder.path(), name, text);
    for (name, sheet) in [("자료", "자료"), ("rows", "rows"), ("x${A}", "rows"), ("a{b}|c", "rows")] {
        let rows: String = (0..9).map(|n| format!("{n},v{n}\n")).collect();
        let (said, sheets) = convert("one.csv", &format!("id,{name}\n{rows}"));
        assert!(said.contains("one sheet"), "{said}");
        assert_eq!(sheets[sheet].len(), 10, "{name}: {said}");
    }
    let rows: String = (0..9).map(|n| format!("{n},v{}\n", n % 2)).collect();
    let (said, sheets) = convert("braces.csv", &format!("id,시도{{b}}\n{rows}"));
    assert!(said.contains("a sheet for each \"시도{b}\""), "{said}");
    assert_eq!((sheets["v0"].len(), sheets["v1"].len()), (6, 5));
}

#[test]
fn features_without_properties_or_a_point_cost_the_others_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let feature = |properties: &str, geometry: &str| {
        format!(r#"{{"type":"Feature","properties":{properties},"geometry":{geometry}}}"#)
    };
    let point = r#"{"type":"Point","coordinates":[126.9,37.5]}"#;
    let named: Vec<String> = (1..6).map(|n| feature(&format!(r#"{{"name":"A{n}","k":{n}}}"#), point)).collect();
    let named = named.join(",");
    let rest = feature("null", point);
    let text = format!(r#"{{"type":"FeatureCollection","features":[{named},{rest}]}}"#);
    let (_, sheets) = convert(folder.path(), "properties.geojson", text);
    assert_eq!(
        (&sheets["rows"][0][..3], sheets["rows"][5][0].as_str()),
        (&["name", "k", "geometry"].map(String::from)[..], "A5")
    );

    for other in [
        r#"{"type":"MultiPoint","coordinates":[[126.9,37.5]]}"#,
        r#"{"type":"GeometryCollection","geometries":[]}"#,
        r#"{"type":"Point","coordinates":[]}"#,
    ] {
        let other = feature(r#"{"name":"B","k":2}"#, other);
        let text = format!(r#"{{"type":"FeatureCollection","features":[{named},{other}]}}"#);
        std::fs::write(folder.path().join("other.geojson"), text).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        let run = command.args(["convert", "other.geojson", "-o", "other.xlsx", "--force"]).current_dir(folder.path());
        let said = String::from_utf8_lossy(&run.output().expect("the binary").stderr).into_owned();
        assert!(said.contains("coordinates in \"geometry\"") && said.contains("1 geometry.format"), "{other}: {said}");
    }

    let (said, _) = convert(folder.path(), "none.geojson", r#"{"type":"FeatureCollection","features":[]}"#);
    assert!(said.contains("0 rows written, 0 rejected") && said.contains("there is no row"), "{said}");
}

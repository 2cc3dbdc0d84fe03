//! Workbooks and gzip files in the place of CSV: on the command line and over HTTP they become what their rows become as CSV.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use rust_xlsxwriter::{Format, Workbook, XlsxError};

const TOPOLOGY: &str = r#"name = "t"
[[source]]
name = "rows"
columns = { "코드" = "text", "날짜" = "date" }
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-city"
sheet = "시군"
[[sink]]
name = "workbooks"
"#;

const CSV: &str = "시군,코드,x,y,날짜\n서울,00123,953900.25,1952030,2024-01-05\n\"가, \"\"나\"\"\",7,953901,1952031,\n";

/// The same rows in a workbook, below a title, with another sheet in front.
fn book(path: &Path) -> Result<(), XlsxError> {
    let mut book = Workbook::new();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    book.add_worksheet().set_name("안내")?.write(0, 0, "이 파일은")?;
    let sheet = book.add_worksheet().set_name("자료")?;
    sheet.write(0, 0, "시설 현황")?;
    for (column, name) in (0..).zip(["시군", "코드", "x", "y", "날짜"]) {
        sheet.write(2, column, name)?;
    }
    sheet.write(3, 0, "서울")?.write(3, 1, "00123")?.write(3, 2, 953_900.25)?.write(3, 3, 1_952_030)?;
    sheet.write_with_format(3, 4, 45_296, &date)?;
    sheet.write(4, 0, "가, \"나\"")?.write(4, 1, 7)?.write(4, 2, 953_901)?.write(4, 3, 1_952_031)?;
    book.save(path)
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sheetstream")).args(arguments).current_dir(folder).output().expect("the binary")
}

/// The sheets and the counts of rows that `plan --json` reports.
fn cells(folder: &Path, file: &str, options: &[&str]) -> String {
    let planned = run(folder, &[&["plan", file, "-t", "t.toml", "--json"], options].concat());
    assert!(planned.status.success(), "{file}: {}", String::from_utf8_lossy(&planned.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    plan["sheets"].to_string()
}

fn convert(folder: &Path, file: &str, options: &[&str]) -> Vec<u8> {
    let made = run(folder, &[&["convert", file, "-t", "t.toml", "--force", "-o", "out.xlsx"], options].concat());
    assert!(made.status.success(), "{file}: {}", String::from_utf8_lossy(&made.stderr));
    fs::read(folder.join("out.xlsx")).expect("a workbook")
}

#[path = "support/workbook.rs"]
mod workbook;

#[test]
fn rows_of_a_workbook_and_of_gzip_become_what_they_become_as_csv() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("t.toml"), TOPOLOGY).expect("written");
    fs::write(at("a.csv"), CSV).expect("written");
    book(&at("a.xlsx")).expect("a workbook");
    let mut gzip =
        flate2::write::GzEncoder::new(fs::File::create(at("a.csv.gz")).expect("made"), flate2::Compression::fast());
    gzip.write_all(CSV.as_bytes()).expect("written");
    gzip.finish().expect("written");

    let sheets = |bytes: &[u8]| {
        let mut sheets = workbook::sheets(bytes);
        sheets.remove("About");
        sheets
    };
    let expected = sheets(&convert(folder.path(), "a.csv", &[]));
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["가, \"나\"", "서울"]);
    assert_eq!(sheets(&convert(folder.path(), "a.csv.gz", &[])), expected);
    assert_eq!(sheets(&convert(folder.path(), "a.xlsx", &["--worksheet", "자료"])), expected);
    assert_eq!(sheets(&convert(folder.path(), "a.xlsx", &[])), expected, "the first sheet that holds a table");
    assert_eq!(cells(folder.path(), "a.xlsx", &["--worksheet", "자료"]), cells(folder.path(), "a.csv", &[]));

    let said = run(folder.path(), &["inspect", "a.xlsx", "--worksheet", "자료"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("자료 (sheets: 안내, 자료)") && said.contains("line 3") && said.contains("x x, y y"),
        "{said}"
    );
    let missing = run(folder.path(), &["convert", "a.xlsx", "-t", "t.toml", "-o", "b.xlsx", "--worksheet", "없음"]);
    assert_eq!(missing.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("안내, 자료"));
    fs::write(at("cut.csv.gz"), &fs::read(at("a.csv.gz")).expect("there")[..30]).expect("written");
    let cut = run(folder.path(), &["convert", "cut.csv.gz", "-t", "t.toml", "-o", "b.xlsx"]);
    assert_eq!(cut.status.code(), Some(65), "{}", String::from_utf8_lossy(&cut.stderr));
}

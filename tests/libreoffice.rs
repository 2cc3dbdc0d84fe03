//! LibreOffice opens a workbook of ours and saves it again: every sheet, row and cell is still there. And a workbook of Excel 97 that
//! LibreOffice made is read. Where it is not installed the test prints
//! one `skipped:` line and passes, or fails with `SHEETSTREAM_REQUIRE_TOOLS=1`.

#[path = "support/tool.rs"]
mod tool;
#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use calamine::{Reader, Xlsx};
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;
use tool::tool;

const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
header = ["id", "name", "kind", "x", "y", "opened", "seen", "open", "price"]
columns = { id = "text", opened = "date", seen = "datetime", open = "boolean", price = "number" }
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[map]]
name = "map"
map_link = "https://map.kakao.com/link/map/{name},{lat},{lon}"
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
workbook = { lang = "ko", summary = true, summary_numbers = ["price"] }
"#;

/// LibreOffice writes numbers with 15 digits.
fn is_same(here: &str, there: &str) -> bool {
    match (here.parse::<f64>(), there.parse::<f64>()) {
        (Ok(here), Ok(there)) if here != there => ((here - there) / here).abs() < 1e-14,
        _ => here == there,
    }
}

/// The file that LibreOffice makes of `file` in `folder`, with these options.
fn saved(office: &mut Command, folder: &Path, file: &str, options: &[&str]) -> Vec<u8> {
    let out = folder.join("saved");
    let profile = format!("-env:UserInstallation=file://{}", folder.join("profile").display());
    office.args([&profile, "--headless"]).args(options).arg("--outdir").arg(&out).arg(folder.join(file));
    let output = office.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let made = fs::read_dir(&out).unwrap_or_else(|error| panic!("{error}: {said}")).next().expect("a file");
    fs::read(made.expect("a file").path()).expect("it is read")
}

/// The links of a workbook; LibreOffice writes truth values as formulas, too.
fn links(book: &[u8]) -> Vec<String> {
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(book)).expect("a workbook");
    let names = book.sheet_names();
    let sheets: Vec<_> = names.iter().map(|name| book.worksheet_formula(name).expect("its formulas")).collect();
    sheets
        .iter()
        .flat_map(|sheet| sheet.used_cells())
        .map(|(.., formula)| formula.clone())
        .filter(|formula| formula.starts_with("HYPERLINK("))
        .collect()
}

#[test]
fn libreoffice_keeps_every_cell() {
    let Some(mut office) = tool("soffice", &["--version"]) else { return };
    let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut driver = TopologyTestDriver::new(topology);
    let names =
        ["=1+2", "+82-2-123", "@home", "a <b> & \"c\"", "  blanks  ", "한빛나루 도서관", "_x0041_", "_x0041_ 가"];
    let rows = 3_000; // two pages of the larger sheet, and an open one
    for n in 1..=rows {
        let (name, kind) =
            (names[n % names.len()].replace('"', "\"\""), if n % 3 == 0 { "a/b" } else { "빵집 & 카페" });
        let (x, y) = (953_900 + n, if n % 997 == 0 { "none".to_owned() } else { format!("{}.25", 1_952_030 + n) });
        let (day, hour, open) = (1 + n % 28, n % 24, n % 2 == 0);
        let row =
            format!("{n:06},\"{name}\",{kind},{x},{y},2024-02-{day:02},2024-02-{day:02} {hour:02}:30:00,{open},-{n}.5");
        driver.pipe("a.csv", row);
    }
    driver.pipe("a.csv", format!("#EOF rows={rows}"));
    let ours = driver.workbook("a.csv").expect("a workbook");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    fs::write(place("ours.xlsx"), &ours).expect("a file");
    let theirs = saved(&mut office, folder.path(), "ours.xlsx", &["--convert-to", "xlsx:Calc MS Excel 2007 XML"]);

    for book in [&ours, &theirs] {
        let links = links(book);
        // Those of the rows, and on the summary those to two sheets.
        assert_eq!(links.len(), rows - 3 + 2);
        let is_one = |link: &&String| link.contains("HYPERLINK(\"https://map.kakao.com/link/map/%3D1%2B2,3");
        assert!(links.iter().filter(is_one).count() > rows / 9, "{:?}", links.first());
    }
    let (ours, theirs) = (workbook::sheets(&ours), workbook::sheets(&theirs));
    assert_eq!(ours["요약"].last().expect("a line for all sheets")[..2], ["전체", "2997"]);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours["a_b"].len() + ours["빵집 & 카페"].len() == 2 + rows - 3 && ours["오류"].len() == 1 + 3);
    for (name, rows) in &ours {
        assert_eq!(rows.len(), theirs[name].len(), "{name}");
        for (number, (here, there)) in rows.iter().zip(&theirs[name]).enumerate() {
            // What is blank at the end of a row need not be written.
            let trimmed = |row: &[String]| row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            let (here, there) = (&here[..trimmed(here)], &there[..trimmed(there)]);
            let same = here.len() == there.len() && here.iter().zip(there).all(|(here, there)| is_same(here, there));
            assert!(same, "{name}, row {}: {here:?} became {there:?}", number + 1);
        }
    }
}

const OLD_TOPOLOGY: &str = r#"
name = "old"
[[source]]
name = "rows"
header = "first"
columns = { opened = "date", code = "text" }
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#;

#[test]
fn a_workbook_of_excel_97_is_read_as_its_rows() {
    let Some(mut office) = tool("soffice", &["--version"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let mut csv = "code,kind,name,x,y,opened\n".to_owned();
    for n in 1..=2_000 {
        let kind = if n % 3 == 0 { "빵집 & 카페" } else { "서점" };
        csv += &format!(
            "A{n:05},{kind},\"{n}호점, 본관\",{}.25,{},2024-02-{:02}\n",
            953_900 + n,
            1_952_030 + n,
            1 + n % 28
        );
    }
    fs::write(place("shops.csv"), csv).expect("a file");
    fs::write(place("old.toml"), OLD_TOPOLOGY).expect("a file");
    // Commas, double quotes, UTF-8 (76), from the first line on.
    let options = ["--infilter=CSV:44,34,76,1", "--convert-to", "xls:MS Excel 97"];
    let old = saved(&mut office, folder.path(), "shops.csv", &options);
    assert!(old.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]), "a compound file");
    fs::write(place("shops.xls"), old).expect("a file");

    let convert = |file: &str| {
        let out = place(&format!("{file}.xlsx"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        command.current_dir(folder.path()).args(["convert", file, "-t", "old.toml", "--strict", "-o"]).arg(&out);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let mut sheets = workbook::sheets(&fs::read(out).expect("a workbook"));
        sheets.remove("About"); // it names the file
        sheets
    };
    assert_eq!(convert("shops.xls"), convert("shops.csv"));
}

//! Files as people publish them, each with the topology it is for and what `convert` makes of it: exit code, what it says, and every sheet.
//!
//! `tests/cases/NAME` holds `in.csv`, `in.json` or `in.xlsx`, `topology.toml` and `expected.txt`; `CASES_WRITE=1 cargo test --test cases` writes what is expected anew,
//! to be read before it is kept.

#[path = "support/workbook.rs"]
mod workbook;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Characters of a cell that are shown.
const CELL_CHARS: usize = 60;

#[test]
fn every_file_becomes_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    let mut cases: Vec<_> = fs::read_dir(&folder).expect("cases").map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    assert!(cases.len() > 40, "the cases are there");
    for case in cases {
        let found = convert(&case);
        let expected = case.join("expected.txt");
        if std::env::var_os("CASES_WRITE").is_some() {
            fs::write(&expected, &found).expect("it can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if found != expected {
            let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `convert` does with a case, as text.
fn convert(case: &Path) -> String {
    let out = tempfile::tempdir().expect("a folder");
    let book = out.path().join("book.xlsx");
    let file = ["in.csv", "in.json", "in.xlsx"].into_iter().find(|name| case.join(name).exists()).expect("a file");
    let run = Command::new(env!("CARGO_BIN_EXE_sheetstream"))
        .current_dir(case)
        .args(["convert", file, "-t", "topology.toml", "-o"])
        .arg(&book)
        .output()
        .expect("the command runs");
    let mut text = format!("exit {}\n", run.status.code().expect("an exit code"));
    for line in String::from_utf8_lossy(&run.stderr).lines() {
        // Only the code of a reason, whose sentence is in docs/reasons.md, and not how long it took.
        let line = line.split_once(": ").filter(|_| line.starts_with("  ")).map_or(line, |(code, _)| code);
        let line = line.rsplit_once(", ").filter(|(_, time)| time.ends_with(" s")).map_or(line, |(line, _)| line);
        writeln!(text, "{line}").expect("a text");
    }
    if let Ok(bytes) = fs::read(&book) {
        for (name, rows) in workbook::sheets(&bytes) {
            if name == "About" || name == "정보" {
                continue; // it names the topology's hash and the version
            }
            writeln!(text, "\n[{name}]").expect("a text");
            for row in rows {
                let cells: Vec<_> = row.iter().map(|cell| shown(cell)).collect();
                writeln!(text, "{}", cells.join(" | ").trim_end()).expect("a text");
            }
        }
    }
    text
}

/// A cell on one line, a long one by its beginning.
fn shown(cell: &str) -> String {
    let cut: String = cell.chars().take(CELL_CHARS).collect();
    let more = cell.chars().count() - cut.chars().count();
    let more = if more > 0 { format!("… and {more} more") } else { String::new() };
    format!("{}{more}", cut.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\"))
}

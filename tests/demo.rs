//! `demo`: one command, and a workbook is there.

#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn sheetstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

#[test]
fn the_demo_leaves_the_workbook_that_convert_makes_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (out, temporary, home) = (folder.path().join("out"), folder.path().join("tmp"), folder.path().join("home"));
    [&temporary, &home].into_iter().for_each(|folder| fs::create_dir(folder).expect("a folder"));
    let mut demo = sheetstream(&["demo", "--out"]);
    // Nothing is needed: no Java and no kcat on the path, no home.
    demo.arg(&out).env_clear().env("PATH", "/nowhere").env("HOME", &home).env("TMPDIR", &temporary);
    let ran = demo.output().expect("the demo runs");
    let (said, log) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(ran.status.code(), Some(0), "{log}");
    assert_eq!(log.lines().filter(|line| line.starts_with("demo: ")).count(), 5, "{log}");
    assert!(log.contains("2995") && log.contains("5 were refused"), "{log}");
    let path = Path::new(said.trim_end());
    assert_eq!(path, fs::canonicalize(out.join("places-cp949.xlsx")).expect("the workbook"));
    assert_eq!(fs::read_dir(&out).expect("the folder").count(), 1);
    assert_eq!(fs::read_dir(&temporary).expect("the folder").count(), 0, "state and records are gone");
    assert_eq!(fs::read_dir(&home).expect("the folder").count(), 0);

    let converted = folder.path().join("converted.xlsx");
    let csv = "examples/data/places-cp949.csv";
    let convert = sheetstream(&["convert", csv, "-t", "topology/facilities.toml", "-o"]).arg(&converted).output();
    assert!(convert.expect("convert runs").status.success());
    let book = fs::read(path).expect("the workbook");
    assert_eq!(book, fs::read(converted).expect("the other one"));
    let sheets = workbook::sheets(&book);
    let errors = sheets.keys().find(|name| sheets[*name].len() == 1 + 5).expect("a sheet of the five refused rows");
    assert!(sheets[errors].iter().flatten().any(|cell| cell.contains("coord")), "{:?}", sheets[errors]);
}

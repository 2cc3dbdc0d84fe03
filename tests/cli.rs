//! The command line where nothing but the binary is needed: what it says, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topology/facilities.toml");

fn sheetstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn a_missing_file_is_named_once_with_its_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.xlsx");
    let mut convert = sheetstream(&["convert", "no-such-file.csv", "-t", TOPOLOGY, "-o"]);
    let failed = convert.arg(&out).output().expect("convert");
    let message = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(74));
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
    assert!(message.contains("no-such-file.csv"), "{message}");
}

#[test]
fn a_run_that_finds_no_broker_stops_in_order_when_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = sheetstream(&["run", TOPOLOGY, "--brokers", "127.0.0.1:1", "--state-dir"]);
    let mut run = run.arg(folder.path().join("state")).stderr(Stdio::piped()).spawn().expect("run");
    let mut log = BufReader::new(run.stderr.take().expect("piped")).lines();
    let retrying = log.by_ref().map(|line| line.expect("text")).find(|line| line.contains("retrying"));
    assert!(retrying.is_some(), "it says what it waits for");
    let signalled = Command::new("kill").arg(run.id().to_string()).status().expect("kill");
    assert!(signalled.success());
    let rest: Vec<String> = log.map(|line| line.expect("text")).collect();
    assert_eq!(run.wait().expect("gone").code(), Some(0), "{rest:?}");
}

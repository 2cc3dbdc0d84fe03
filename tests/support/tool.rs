//! Programs of others. Where one is not there a test prints one `skipped:` line and passes, or fails with `SHEETSTREAM_REQUIRE_TOOLS=1`.

#![allow(dead_code)] // each test binary uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program, if it runs with the arguments `probe`.
pub fn tool(program: impl AsRef<Path>, probe: &[&str]) -> Option<Command> {
    let program = program.as_ref();
    let found = Command::new(program).args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(Command::new(program));
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("skipped: {test} needs {}; script/bootstrap installs it", program.display());
    assert!(std::env::var_os("SHEETSTREAM_REQUIRE_TOOLS").is_none(), "{test} was required to run");
    None
}

/// The Python that `script/bootstrap` sets up, if it has these modules.
pub fn python(modules: &str) -> Option<Command> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
    tool(cache.join("sheetstream/test-venv/bin/python"), &["-c", &format!("import {modules}")])
}

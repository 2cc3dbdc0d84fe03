//! PROJ reads nothing but what is inside the binary, whatever the environment says and whatever a CRS text names. That holds by how `src/crs.rs`
//! uses PROJ, not by how PROJ was built.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// `O_NONBLOCK` of Linux: opening a FIFO to write fails at once while nobody reads it.
const O_NONBLOCK: i32 = 0o4000;

fn convert(folder: &Path, out: &str, crs: Option<&str>) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.arg("convert").arg(root.join("examples/data/places-cp949.csv")).arg("-t");
    command.arg(root.join("topology/facilities.toml")).arg("-o").arg(folder.join(out));
    command.args(crs.map(|crs| ["--crs", crs]).into_iter().flatten()).stdin(Stdio::null());
    command
}

#[test]
fn files_that_the_environment_names_are_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("proj");
    fs::create_dir(&data).expect("a folder");
    fs::write(data.join("proj.db"), b"not a database").expect("a file");
    fs::write(data.join("proj.ini"), "[general]\ntmerc_algo = evenden_snyder\n").expect("a file");
    let ran = |command: &mut Command| {
        let output = command.output().expect("convert");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    ran(&mut convert(folder.path(), "calm.xlsx", None));
    let mut disturbed = convert(folder.path(), "disturbed.xlsx", None);
    for name in ["PROJ_DATA", "PROJ_LIB", "PROJ_USER_WRITABLE_DIRECTORY"] {
        disturbed.env(name, &data);
    }
    ran(disturbed.env("XDG_DATA_HOME", folder.path()).env("HOME", folder.path()));
    let [calm, disturbed] = ["calm.xlsx", "disturbed.xlsx"].map(|name| fs::read(folder.path().join(name)).expect("it"));
    assert!(calm == disturbed);
}

#[test]
fn a_crs_text_opens_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("grid");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let named = fifo.display();
    for crs in [
        format!("+proj=longlat +ellps=bessel +nadgrids={named} +no_defs"),
        format!("+proj=tmerc +lat_0=38 +lon_0=127 +ellps=bessel +nadgrids={named} +units=m"),
        format!("+proj=longlat +datum=WGS84 +geoidgrids={named} +no_defs"),
        format!("+init={named}:5179"),
    ] {
        let output = run_beside(&fifo, &mut convert(folder.path(), "out.xlsx", Some(&crs)));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() || crs.contains("geoidgrids"), "{crs} is not refused: {said}");
        fs::remove_file(folder.path().join("out.xlsx")).unwrap_or_default();
    }
}

/// Runs it. To open a FIFO is to wait for its other end, and whoever waits lets it be opened to write.
fn run_beside(fifo: &Path, command: &mut Command) -> Output {
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("convert");
    while running.try_wait().expect("it runs").is_none() {
        let opened = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(fifo).is_ok();
        if opened {
            running.kill().expect("it is ours");
            panic!("PROJ opened {}", fifo.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    running.wait_with_output().expect("it has ended")
}

//! `dev`: broker, topologies and page in one process, topology files that are taken up as they are saved, and nothing left at the end.

#[path = "support/http.rs"]
mod http;
#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn topology(sheet: &str) -> String {
    format!(
        r#"
name = "mine"
[[source]]
name = "rows"
header = "first"
[[aggregate]]
name = "sheets"
sheet = {sheet}
[[sink]]
name = "workbooks"
"#
    )
}

/// A `dev` in a folder of its own.
struct Dev {
    folder: tempfile::TempDir,
    process: Child,
    page: SocketAddr,
    brokers: String,
}

impl Dev {
    fn start(topologies: &[PathBuf], folder: tempfile::TempDir) -> Dev {
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).expect("a folder");
        let mut dev = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        dev.args(["dev", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(topologies);
        dev.env("TMPDIR", temporary).stdin(Stdio::null()).stdout(Stdio::piped());
        dev.stderr(fs::File::create(folder.path().join("log")).expect("a log"));
        let mut process = dev.spawn().expect("dev starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let first: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| first[name].as_str().expect("a text").to_owned();
        let page = text("page").trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        let dev = Dev { folder, process, page, brokers: text("brokers") };
        dev.until("ready", |dev| (http::get(dev.page, "/readyz").status == 200).then_some(()));
        dev
    }
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
    fn until<T>(&self, what: &str, mut look: impl FnMut(&Dev) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < LIMIT, "{what} never came\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// The only topology as the API shows it.
    fn shown(&self) -> Value {
        http::get(self.page, "/topologies").json()[0].clone()
    }
    fn sheetstream(&self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        let ran = command.args(arguments).env("SHEETSTREAM_BROKERS", &self.brokers).output().expect("it runs");
        assert!(ran.status.success(), "{}\n{}", String::from_utf8_lossy(&ran.stderr), self.log());
    }
    /// Publishes a file with the product's own command, and fetches its workbook.
    fn make(&self, csv: &Path, id: &str) -> Vec<u8> {
        let out = self.folder.path().join(id);
        fs::create_dir(&out).expect("a folder");
        let (csv, into) = (csv.display().to_string(), out.display().to_string());
        self.sheetstream(&["publish", &csv, "--topic", "mine.rows", "--id", id]);
        self.sheetstream(&["fetch", id, "--topic", "mine.workbooks", "--out", &into]);
        let books: Vec<_> = fs::read_dir(&out).expect("the folder").flatten().collect();
        fs::read(books[0].path()).expect("the workbook")
    }
    /// Ctrl-C; nothing is left.
    fn stop(mut self) {
        let interrupted = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        assert!(interrupted.expect("kill").success());
        assert_eq!(self.process.wait().expect("gone").code(), Some(0), "{}", self.log());
        let left = fs::read_dir(self.folder.path().join("tmp")).expect("the folder").count();
        assert_eq!(left, 0, "state and records are gone");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn sheet_names(book: &[u8]) -> Vec<String> {
    workbook::sheets(book).into_keys().filter(|name| !["About", "Errors"].contains(&name.as_str())).collect()
}

#[test]
fn saved_topologies_are_taken_up_and_broken_ones_are_shown_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, csv) = (folder.path().join("mine.toml"), folder.path().join("a.csv"));
    fs::write(&file, topology("\"kind\"")).expect("written");
    fs::write(&csv, "kind,town\nmuseum,Seoul\npark,Busan\n").expect("written");
    let dev = Dev::start(std::slice::from_ref(&file), folder);
    assert_eq!(sheet_names(&dev.make(&csv, "one")), ["museum", "park"]);

    fs::write(&file, topology("\"kind\nname = 1")).expect("saved");
    let problems = dev.until("the problem", |dev| dev.shown()["problems"].as_str().map(str::to_owned));
    assert!(problems.contains("mine.toml:8:14"), "{problems}");
    assert!(dev.log().contains(problems.lines().next().expect("a line")), "{}", dev.log());
    assert_eq!(sheet_names(&dev.make(&csv, "two")), ["museum", "park"], "it continues as it was");

    fs::write(&file, topology("\"town\"")).expect("saved");
    dev.until("the new topology", |dev| (dev.shown()["sheet"] == "town").then_some(()));
    assert_eq!(dev.shown()["problems"], Value::Null);
    assert_eq!(sheet_names(&dev.make(&csv, "three")), ["Busan", "Seoul"]);
    dev.stop();
}

#[test]
fn without_a_file_the_samples_run_and_the_page_is_there() {
    let dev = Dev::start(&[], tempfile::tempdir().expect("a temporary folder"));
    let running = http::get(dev.page, "/topologies").json();
    let names: Vec<_> = running.as_array().expect("a list").iter().map(|topology| topology["name"].clone()).collect();
    assert_eq!(names, ["facilities", "any-file", "any-file-ko"], "the sample, and one for whatever is dropped");
    let page = http::get(dev.page, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    dev.stop();
}

#[test]
fn a_broken_file_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("broken.toml");
    fs::write(&file, "name = \"x\"\n[[sauce]]\n").expect("written");
    let ran = Command::new(env!("CARGO_BIN_EXE_sheetstream")).arg("dev").arg(&file).output().expect("it runs");
    assert_eq!(ran.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("broken.toml:2"), "{ran:?}");
    assert!(ran.stdout.is_empty());
}

//! Uploads over HTTP against the real `run` and a real broker: what comes of a file, and of a file that does not arrive as it should.

#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::{get, send};
use kafka::Kafka;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

const TOPOLOGY: &str = r#"
name = "NAME"
[[source]]
name = "rows"
header = "first"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
record_bytes_max = 20000
"#;

/// A topology of its own with topics, and `run --http` over it.
struct Site {
    folder: tempfile::TempDir,
    name: String,
    address: SocketAddr,
    running: Child,
}

impl Site {
    fn start(name: &str) -> Option<Site> {
        Site::start_with(name, &[])
    }
    fn start_with(name: &str, environment: &[(&str, &str)]) -> Option<Site> {
        let kafka = Kafka::shared()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        let topology = folder.path().join("topology.toml");
        fs::write(&topology, TOPOLOGY.replace("NAME", &name)).expect("a topology");
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
            command.env("SHEETSTREAM_BROKERS", &kafka.bootstrap).stdin(Stdio::null());
            command
        };
        let created = command().args(["topics", "create", "--partitions", "2", "-t"]).arg(&topology).output();
        assert!(created.expect("it runs").status.success());
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        // The shell outlives neither its child nor this process, whose end is the end of its input.
        let mut run = Command::new("sh");
        run.args(["-c", r#""$@" </dev/null & child=$!; read -r _; kill -9 $child; wait $child"#, "sh"]);
        run.arg(env!("CARGO_BIN_EXE_sheetstream")).env("SHEETSTREAM_BROKERS", &kafka.bootstrap).stdin(Stdio::piped());
        run.args(["run", "--http", "127.0.0.1:0", "--commit-interval-ms", "100", "--state-dir"]);
        run.arg(folder.path().join("state")).arg(&topology).stderr(log).envs(environment.iter().copied());
        let running = run.spawn().expect("it starts");
        let address = address_in(&folder.path().join("log"));
        Some(Site { folder, name, address, running })
    }
    fn stop(&mut self) {
        drop(self.running.stdin.take());
        let _ = self.running.wait();
    }
    /// Uploads as a raw body.
    fn post(&self, query: &str, body: &[u8]) -> http::Answer {
        send(self.address, "POST", &format!("/uploads?{query}"), &[], body)
    }
    /// Waits until the upload has ended, and tells how.
    fn ended(&self, id: &str) -> Value {
        let since = Instant::now();
        loop {
            let answer = get(self.address, &format!("/uploads/{id}"));
            assert_eq!(answer.status, 200, "{answer:?}");
            let upload = answer.json();
            if ["PUBLISHED", "FAILED", "ABORTED", "EXPIRED"].contains(&upload["state"].as_str().expect("a state")) {
                return upload;
            }
            assert!(since.elapsed() < LIMIT, "{upload}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where the server says that it listens.
fn address_in(log: &std::path::Path) -> SocketAddr {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        let found = text.split("address=").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        if let Some(address) = found {
            return address;
        }
        assert!(since.elapsed() < LIMIT, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The site that most tests share.
fn shared() -> Option<&'static Site> {
    static SHARED: OnceLock<Option<Site>> = OnceLock::new();
    SHARED.get_or_init(|| Site::start("http")).as_ref()
}

/// A file of so many rows, one in a hundred of them bad; `mark` makes it another file.
fn csv(mark: &str, rows: usize) -> Vec<u8> {
    let mut text = "id,name,kind,x,y\n".to_owned();
    for n in 1..=rows {
        let kind = ["museum", "park"][n % 2];
        let x = if n % 100 == 7 { "none".to_owned() } else { format!("{}.5", 953_000 + n % 900) };
        text += &format!("{n},{mark} 장소 {n},{kind},{x},{}\n", 1_952_000 + n % 700);
    }
    text.into_bytes()
}

#[test]
fn a_file_becomes_a_workbook_and_the_same_file_is_not_published_again() {
    let Some(site) = shared() else { return };
    let file = csv("first", 1_000);
    let created = site.post("name=%EC%84%9C%EC%9A%B8.csv", &file);
    assert_eq!(created.status, 201, "{created:?}");
    let upload = created.json();
    let id = upload["id"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(created.header("location"), Some(format!("/uploads/{id}").as_str()));
    assert_eq!(upload["file"]["columns"], serde_json::json!(["id", "name", "kind", "x", "y"]));
    assert_eq!(upload["file"]["charset"], "UTF-8");

    let ended = site.ended(&id);
    assert_eq!(ended["state"], "PUBLISHED", "{ended}");
    assert_eq!((&ended["accounting"]["written"], &ended["accounting"]["rejected"]), (&990.into(), &10.into()));
    assert_eq!(ended["name"], "서울.csv");
    assert_eq!(ended["workbook"]["filename"], "서울.xlsx");

    let again = site.post("name=other.csv", &file);
    assert_eq!((again.status, &again.json()["id"]), (200, &id.clone().into()));
    assert_eq!(again.json()["state"], "PUBLISHED");
    let other = site.post(&format!("topology={}&crs=EPSG:5181", site.name), &file);
    assert_eq!(other.status, 201, "{other:?}");
    assert_ne!(other.json()["id"], id, "another CRS makes another workbook");

    let listed = get(site.address, "/uploads").json();
    let ids: Vec<&Value> = listed["uploads"].as_array().expect("a list").iter().map(|upload| &upload["id"]).collect();
    assert!(ids.contains(&&id.into()), "{listed}");
}

//! The compose file without an engine: read, and its services run by their lines and environment, with what a container has elsewhere put
//! where it is here.

#![allow(dead_code)] // each test binary uses its part

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::files::{list, path, text};
use crate::{http, tool};

/// Longest wait for a service.
pub const LIMIT: Duration = Duration::from_secs(120);
/// What `.env` would say.
const TOKEN: &str = "a secret of the office";

/// Python with the schema of the Compose Specification and a reader of YAML.
pub fn python(arguments: &[&str]) -> Option<Output> {
    let mut python = tool::python("check_jsonschema, ruamel.yaml")?;
    Some(python.args(arguments).current_dir(path("")).output().expect("it runs"))
}

/// A YAML file as JSON, anchors and merges resolved.
pub fn yaml(name: &str) -> Option<Value> {
    const SCRIPT: &str = "import json, sys; from ruamel.yaml import YAML; \
                          json.dump(YAML(typ='safe', pure=True).load(open(sys.argv[1])), sys.stdout)";
    let output = python(&["-c", SCRIPT, name])?;
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The compose file.
pub fn compose() -> Option<Value> {
    yaml("docker-compose.yml")
}

pub fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("services")
}

pub fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

/// Elements of a list that may be missing.
pub fn some(value: &Value) -> Vec<&str> {
    if value.is_null() { Vec::new() } else { texts(value) }
}

/// Source, target, and whether it is read only, of every mount of a service.
pub fn mounts<'a>(service: &'a Value) -> Vec<(&'a str, &'a str, bool)> {
    let parts = |mount: &'a str| {
        let parts: Vec<_> = mount.split(':').collect();
        match parts[..] {
            [source, target] => (source, target, false),
            [source, target, mode] => (source, target, mode == "ro"),
            _ => panic!("{mount} is no mount"),
        }
    };
    some(&service["volumes"]).into_iter().map(parts).collect()
}

/// Port on the host and in the container.
pub fn ports(service: &Value) -> Vec<(u16, u16)> {
    let number = |port: &str| port.parse().expect("a port");
    let publish = |port: &str| {
        let rest = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{port} is open to the network"));
        let (host, container) = rest.split_once(':').expect("two ports");
        (number(host), number(container))
    };
    some(&service["ports"]).into_iter().map(publish).collect()
}

pub fn environment<'a>(service: &'a Value, name: &str) -> &'a str {
    text(&service["environment"][name])
}

/// A loopback port that is free.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("bound").port()
}

/// Where something is that the file has elsewhere.
#[derive(Clone, Default)]
pub struct Places(Vec<(String, String)>);

impl Places {
    /// What is called `there` in the file is `here`. What is said last is looked for first.
    pub fn with(&self, there: impl Into<String>, here: impl ToString) -> Places {
        let mut places = self.0.clone();
        places.insert(0, (there.into(), here.to_string()));
        Places(places)
    }
    /// A text of the file with everything in its place; of each part of the text once, so that no place is looked for within another.
    pub fn here(&self, text: &str) -> String {
        let mut here = String::new();
        let mut rest = text;
        'text: while let Some(next) = rest.chars().next() {
            for (there, place) in &self.0 {
                if let Some(behind) = rest.strip_prefix(there.as_str()) {
                    here += place;
                    rest = behind;
                    continue 'text;
                }
            }
            here.push(next);
            rest = &rest[next.len_utf8()..];
        }
        here.replace("$$", "$")
    }
}

/// A service of sheetstream's by its line and environment; `state` is its volume.
pub fn service(compose: &Value, name: &str, places: &Places, state: &Path) -> Command {
    let service = &compose["services"][name];
    let places = places.with("0.0.0.0:8080", "127.0.0.1:0").with("/var/lib/sheetstream", state.display());
    let places = places.with("/topology", path("topology").display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    command.args(texts(&service["command"]).into_iter().map(|argument| places.here(argument))).stdin(Stdio::null());
    for (key, value) in service["environment"].as_object().expect("an environment") {
        // Interpolated from .env.
        let is_token = text(value).starts_with("${SHEETSTREAM_HTTP_TOKEN:?");
        command.env(key, if is_token { TOKEN.to_owned() } else { places.here(text(value)) });
    }
    command
}

/// `run` of a service, its log in a file.
pub struct Run {
    log: PathBuf,
    _process: Ends,
}

impl Run {
    pub fn start(compose: &Value, name: &str, places: &Places, state: &Path) -> Run {
        let log = state.join("log");
        let mut command = service(compose, name, places, state);
        let process = command.stderr(std::fs::File::create(&log).expect("a log")).spawn().expect("run");
        Run { log, _process: Ends(process) }
    }
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }
    /// Where its page is.
    pub fn address(&self) -> SocketAddr {
        let begun = Instant::now();
        loop {
            let log = self.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(served) = lines.find(|line| line["message"] == "HTTP is served") {
                return text(&served["address"]).parse().expect("an address");
            }
            assert!(begun.elapsed() < LIMIT, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    pub fn until_ready(&self) {
        let (address, begun) = (self.address(), Instant::now());
        while http::get(address, "/readyz").status != 200 {
            let ready = http::get(address, "/readyz").text();
            assert!(begun.elapsed() < LIMIT, "{ready}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A broker as its image would run it, with its data in a folder that goes with it.
pub struct KafkaContainer {
    process: Ends,
    dir: PathBuf,
}

impl KafkaContainer {
    pub fn start(compose: &Value, name: &str, places: &Places, folder: &Path) -> KafkaContainer {
        let dir = folder.join(name);
        let places = places.with("/var/lib/kafka/data", dir.join("data").display());
        let mut command = Command::new(path("script/kafka"));
        command.arg("image").arg(&dir).stdin(Stdio::piped());
        for (key, value) in compose["services"][name]["environment"].as_object().expect("an environment") {
            command.env(key, places.here(text(value)));
        }
        let mut process = Ends(command.spawn().expect("bash"));
        writeln!(process.0.stdin.as_mut().expect("piped"), "START").expect("script/kafka is running");
        KafkaContainer { process, dir }
    }
    pub fn until_started(&self) {
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            if log.contains("Kafka Server started") {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    pub fn kill(&mut self) {
        writeln!(self.process.0.stdin.as_mut().expect("piped"), "KILL").expect("script/kafka is running");
    }
}

impl Drop for KafkaContainer {
    fn drop(&mut self) {
        drop(self.process.0.stdin.take());
        self.process.0.wait().ok();
    }
}

/// A process that ends with the test.
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

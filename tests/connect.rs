//! A worker of Kafka Connect reads a file into the topic, with the converters that people have, and the workbook is that of the file.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use app::{App, Running};
use kafka::Kafka;
use sheetstream::sink::status::UploadState;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/script/kafka");
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Where the jars are, if they were fetched.
fn library() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
    let lib = Some(cache.join("sheetstream/connect-4.3.1")).filter(|lib| lib.is_dir());
    if lib.is_none() {
        eprintln!("skipped: Kafka Connect is not here; run script/kafka-jars connect");
        assert!(std::env::var_os("SHEETSTREAM_REQUIRE_CONNECT").is_none(), "Kafka Connect was required");
    }
    lib
}

/// A worker with one FileStreamSource, which reads until it is killed.
fn worker(app: &App, file: &Path, converter: &str, settings: &str) -> Running {
    let folder = app.folder.path();
    let path = |name: &str| folder.join(name);
    let bootstrap = &app.kafka.bootstrap;
    let worker = format!(
        "bootstrap.servers={bootstrap}\nkey.converter={STRING}\nvalue.converter={converter}\n{settings}\n\
         listeners=HTTP://127.0.0.1:0\noffset.storage.file.filename={}\n",
        path("offsets").display()
    );
    let connector = format!(
        "name=seoul\nconnector.class=org.apache.kafka.connect.file.FileStreamSourceConnector\ntasks.max=1\nfile={}\ntopic={}.rows\n",
        file.display(),
        app.name
    );
    fs::write(path("worker.properties"), worker).expect("written");
    fs::write(path("connector.properties"), connector).expect("written");
    let log = fs::File::create(path("worker.log")).expect("a log");
    let mut command = Command::new(SCRIPT);
    command.args(["tool", "connect-standalone"]).arg(path("worker.properties")).arg(path("connector.properties"));
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("a worker"))
}

/// Lines of a file, the last one its marker, by this converter into a topology without a format or with `format`.
fn lines_by(name: &str, converter: &str, settings: &str, format: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    if library().is_none() {
        return;
    }
    let app = App::new(kafka, name, 1);
    let topology = fs::read_to_string(app.topology()).expect("a topology");
    fs::write(app.topology(), topology.replace("header = \"first\"\n", &format!("header = \"first\"\n{format}\n")))
        .expect("written");
    // An upload without an id is named after the topology.
    let plain = app.csv(&app.name, 300);
    let file = app.folder.path().join("seoul.csv");
    fs::write(&file, fs::read_to_string(&plain).expect("rows") + "#EOF rows=300\n").expect("written");
    let running = app.run("state");
    let mut worker = worker(&app, &file, converter, settings);
    app.wait_for(&[""], "state");
    worker.0.kill().expect("it runs");
    assert_eq!(running.stop(), Some(0));
    let book = app.folder.path().join("book.xlsx");
    let mut convert = app.command(&["convert", "--format", "csv", "-t"]);
    let converted = convert.arg(app.topology()).arg(&plain).arg("-o").arg(&book).output().expect("convert");
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    app.assert_right(&[("", &fs::read(book).expect("a workbook"))]);
    assert!(app.statuses().iter().any(|status| status.state == UploadState::Published));
}

#[test]
fn lines_in_the_envelope_of_the_default_converter() {
    lines_by("connect-json", JSON, "value.converter.schemas.enable=true", "");
}

#[test]
fn lines_as_json_strings() {
    lines_by("connect-strings", JSON, "value.converter.schemas.enable=false", "format = \"json\"");
}

#[test]
fn lines_as_they_are() {
    lines_by("connect-lines", STRING, "", "");
}

on_the_in_process_broker! {
    lines_in_the_envelope_of_the_default_converter,
    lines_as_json_strings,
    lines_as_they_are,
}

//! A worker of Kafka Connect reads a file into the topic, with the converters that people have, and the workbook is that of the file.
//!
//! The connectors that read the columns of a file (spooldir, FilePulse) are not on Maven Central: their records are made here after their
//! documentation, value, key and headers alike.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use app::{App, Running};
use bytes::Bytes;
use kafka::Kafka;
use serde_json::{Value, json};
use sheetstream::record::{Header, Record};
use sheetstream::sink::status::UploadState;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

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

/// Rows of a file as a connector publishes them with `JsonConverter`: the schema, the payload, and what it says of the file.
fn by_columns(rows: &[[&str; 3]], headers: &[(&'static str, &str)], with_key: bool) -> Vec<Record> {
    let field = |name: &str| json!({ "type": "string", "optional": true, "field": name });
    let enveloped = |names: &[&str], payload: Value| {
        let fields: Vec<Value> = names.iter().map(|name| field(name)).collect();
        json!({ "schema": { "type": "struct", "fields": fields, "optional": false }, "payload": payload }).to_string()
    };
    let record = |(line, [name, kind, note]): (usize, &[&str; 3])| {
        let payload =
            json!({ "name": name, "kind": kind, "note": if note.is_empty() { Value::Null } else { json!(note) } });
        let offset = (line + 2).to_string();
        let value = Some(Bytes::from(enveloped(&["name", "kind", "note"], payload)));
        let headers = headers.iter().copied().chain([("file.offset", offset.as_str())]);
        Record {
            key: with_key.then(|| Bytes::from(enveloped(&["name"], json!({ "name": name })))),
            value,
            headers: headers.map(|(name, value)| Header::new(name, value.to_owned())).collect(),
            ..Record::default()
        }
    };
    rows.iter().enumerate().map(record).collect()
}

#[test]
fn records_of_spooldir_and_filepulse_are_rows_of_their_file() {
    const ROWS: [[&str; 3]; 3] =
        [["Blue Door", "cafe", "a, \"b\""], ["Red Kite", "bar", ""], ["푸른문", "cafe", "두\n줄"]];
    // https://jcustenborder.github.io/kafka-connect-documentation (SpoolDirSchemaLessJson, SpoolDirCsv: headers of `metadata.location`)
    let spooldir = [
        ("file.path", "/in/shops.csv"),
        ("file.parent.dir.name", "in"),
        ("file.name", "shops.csv"),
        ("file.name.without.extension", "shops"),
        ("file.length", "1024"),
        ("file.last.modified", "2026-01-31T09:30:00.000Z"),
        ("file.relative.path", "shops.csv"),
    ];
    // https://streamthoughts.github.io/kafka-connect-file-pulse (headers of `FileObjectMeta`)
    let filepulse = [
        ("connect.file.name", "shops.csv"),
        ("connect.file.uri", "file:/in/shops.csv"),
        ("connect.file.contentLength", "1024"),
        ("connect.file.lastModified", "1769851800000"),
        ("connect.file.contentDigest", "1466679696"),
        ("connect.file.hostname", "worker"),
    ];
    let topology = || {
        let text = "name = \"shops\"\n[[source]]\nname = \"rows\"\nheader = [\"name\", \"kind\", \"note\"]\n\
                    [[aggregate]]\nname = \"by-kind\"\nsheet = \"kind\"\n[[sink]]\nname = \"workbooks\"\n";
        Topology::parse(text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let workbook = |records: Vec<Record>| {
        let mut driver = TopologyTestDriver::new(topology());
        records.into_iter().for_each(|record| driver.pipe_record(record));
        driver.pipe("shops.csv", "#EOF rows=3");
        driver.workbook("shops.csv").unwrap_or_else(|| panic!("{:?}", driver.statuses()))
    };
    let mut plain = TopologyTestDriver::new(topology());
    plain.pipe("shops.csv", "Blue Door,cafe,\"a, \"\"b\"\"\"\nRed Kite,bar,\n푸른문,cafe,\"두\n줄\"");
    plain.pipe("shops.csv", "#EOF rows=3");
    let plain = plain.workbook("shops.csv").expect("a workbook");
    assert!(workbook(by_columns(&ROWS, &spooldir, true)) == plain, "spooldir, with a key");
    assert!(workbook(by_columns(&ROWS, &spooldir, false)) == plain, "spooldir");
    assert!(workbook(by_columns(&ROWS, &filepulse, false)) == plain, "FilePulse");
}

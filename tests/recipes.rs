//! The recipes of the README, each with the tool itself and nothing of ours in between: kcat, Kafka's console producer, Python, spreadsheets.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/tool.rs"]
mod tool;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use app::App;
use kafka::Kafka;
use tool::tool;

fn kcat() -> Option<Command> {
    tool("kcat", &["-V"])
}

/// Python with openpyxl and kafka-python.
fn python() -> Option<Command> {
    tool::python("kafka, openpyxl")
}

/// Runs a tool with this input; its output.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut running =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = running.stdin.take().expect("piped");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = running.wait_with_output().expect("it ends");
    let fed = feeding.join().expect("no panic");
    assert!(output.status.success() && fed.is_ok(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `kcat -P -t rows -k KEY`, with lines of standard input or a whole file.
fn produce(app: &App, key: &str, file: Option<&Path>, input: &[u8]) {
    let Some(mut kcat) = kcat() else { return };
    kcat.args(["-P", "-b", &app.kafka.bootstrap, "-t", &format!("{}.rows", app.name), "-k", key]).args(file);
    run(&mut kcat, input);
}

/// Sheets and rows of a workbook by openpyxl, as `sheet<TAB>rows<TAB>first data row` lines.
fn by_openpyxl(book: &Path) -> Option<String> {
    const SCRIPT: &str = r#"
import sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
for sheet in book:
    rows = list(sheet.iter_rows(values_only=True))
    print(sheet.title, len(rows) - 1, rows[1][1] if len(rows) > 1 and len(rows[1]) > 1 else None, sep="\t")
"#;
    let read = run(python()?.args(["-c", SCRIPT]).arg(book), b"");
    Some(String::from_utf8(read).expect("text"))
}

#[test]
fn kcat_publishes_line_by_line_and_as_a_whole_file_and_reads_the_workbook_back() {
    let Some(kafka) = Kafka::shared() else { return };
    if kcat().is_none() {
        return;
    }
    for whole in [false, true] {
        let app = App::new(kafka, "kcat", 1);
        let file = app.csv("seoul.csv", 3_000);
        let running = app.run("state");
        match whole {
            true => produce(&app, "seoul.csv", Some(&file), b""),
            false => produce(&app, "seoul.csv", None, &std::fs::read(&file).expect("the file")),
        }
        produce(&app, "seoul.csv", None, b"#EOF\n");
        app.wait_for(&["seoul.csv"], "state");
        assert_eq!(running.stop(), Some(0));
        let expected = app.converted(&file);
        app.assert_right(&[("seoul.csv", &expected)]);

        // `kcat -C ... -f '%s' > book.xlsx`
        let consume = |topic: &str, format: &str| {
            let mut kcat = kcat().expect("it was there");
            let topic = format!("{}.{topic}", app.name);
            run(
                kcat.args(["-C", "-q", "-b", &kafka.bootstrap, "-t", &topic, "-o", "beginning", "-e", "-f", format]),
                b"",
            )
        };
        let book = app.folder.path().join("book.xlsx");
        std::fs::write(&book, consume("workbooks", "%s")).expect("written");
        assert!(std::fs::read(&book).expect("the workbook") == expected, "the values in order are the file");
        let statuses = String::from_utf8(consume("status", "%k %s\n")).expect("text");
        let last = statuses.lines().last().expect("a status");
        assert!(last.starts_with("seoul.csv {") && last.contains("\"state\":\"PUBLISHED\""), "{last}");
        if let Some(sheets) = by_openpyxl(&book) {
            assert!(sheets.contains("museum\t") && sheets.contains("Errors\t4\t"), "{sheets}");
        }
    }
}

#[test]
fn keyless_lines_of_the_console_producer_are_one_upload() {
    let Some(kafka) = Kafka::shared() else { return };
    let Some(mut producer) = kafka.tool("console-producer") else { return };
    let app = App::new(kafka, "keyless", 1);
    let running = app.run("state");
    let lines = "id,name,kind,x,y\n1,Blue House,museum,953900,1952030\n2,Red House,museum,953901,1952031\n#EOF\n";
    run(producer.args(["--topic", &format!("{}.rows", app.name)]), lines.as_bytes());
    app.wait_for(&[""], "state");
    assert_eq!(running.stop(), Some(0));
    let status = app.statuses().pop().expect("a status");
    assert_eq!((status.accounting.written, status.upload.as_str()), (2, ""));
}

#[test]
fn a_json_consumer_in_python_reads_every_status() {
    const SCRIPT: &str = r#"
import json, sys
from kafka import KafkaConsumer
consumer = KafkaConsumer(sys.argv[2], bootstrap_servers=sys.argv[1], auto_offset_reset="earliest", consumer_timeout_ms=5000,
                         value_deserializer=json.loads)
for record in consumer:
    status = record.value
    print(record.key.decode(), status["state"], status["accounting"]["rows_in"], status.get("failure", {}).get("reason"))
"#;
    let Some(kafka) = Kafka::shared() else { return };
    let Some(mut python) = python() else { return };
    let app = App::new(kafka, "json", 1);
    let file = app.csv("a.csv", 10);
    let running = app.run("state");
    app.publish(&[&file]);
    app.wait_for(&["a.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let read = run(python.args(["-c", SCRIPT, &kafka.bootstrap, &format!("{}.status", app.name)]), b"");
    let read = String::from_utf8(read).expect("text");
    assert_eq!(read.lines().last(), Some("a.csv PUBLISHED 10 None"), "{read}");
    assert!(read.lines().all(|line| line.starts_with("a.csv ")), "{read}");
}

#[test]
fn openpyxl_and_libreoffice_open_what_convert_makes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = folder.path().join("places.xlsx");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    convert.arg("convert").arg(root.join("examples/data/places-cp949.csv")).arg("-t");
    run(convert.arg(root.join("topology/facilities.toml")).arg("-o").arg(&book), b"");
    let Some(sheets) = by_openpyxl(&book) else { return };
    assert!(sheets.lines().count() > 3 && sheets.contains("오류\t"), "{sheets}");

    // Not among what the tests require: half a gigabyte.
    let there = Command::new("soffice").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: LibreOffice is not installed");
    }
    let mut soffice = Command::new("soffice");
    soffice.args(["--headless", "--convert-to", "csv", "--outdir"]).arg(folder.path()).arg(&book);
    run(soffice.env("HOME", folder.path()), b"");
    let first = std::fs::read_to_string(folder.path().join("places.csv")).expect("the first sheet as CSV");
    let rows: usize = sheets.lines().next().and_then(|line| line.split('\t').nth(1)?.parse().ok()).expect("rows");
    assert_eq!(first.lines().count(), rows + 1);
}

on_the_in_process_broker! {
    kcat_publishes_line_by_line_and_as_a_whole_file_and_reads_the_workbook_back,
    keyless_lines_of_the_console_producer_are_one_upload,
    a_json_consumer_in_python_reads_every_status,
}

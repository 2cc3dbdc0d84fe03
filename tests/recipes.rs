//! The recipes of README.md and docs/contract.md: each block runs as a reader would copy it, with the tools that it names.

#[path = "support/app.rs"]
mod app;
#[path = "support/document.rs"]
mod document;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/tool.rs"]
mod tool;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use app::App;
use document::{Block, block, blocks};
use kafka::Kafka;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::sink::status::StatusRecord;
use tool::tool;

const CONTRACT: &str = "docs/contract.md";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Blocks that publish `seoul.csv` whole, so that its workbook is what `convert` makes of it.
const PUBLISH: [&str; 5] = ["console-producer", "kcat-lines", "kcat-file", "kcat-checked", "kafka-python"];
/// Blocks that publish it in another way, and blocks that read; each has a test of its own below.
const OTHERS: [&str; 11] = [
    "kafka-python-json",
    "kcat-ndjson",
    "console-producer-keyless",
    "filepulse-end",
    "kcat-headers",
    "kcat-workbook",
    "kcat-workbook-headers",
    "kcat-status",
    "kafka-python-status",
    "kcat-dead-letters",
    "status",
];

/// A shell whose path has `sheetstream`, and Kafka's scripts under their own names.
fn shell(folder: &Path, bootstrap: &str, script: &str) -> Command {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    let program = |name: &str, text: String| {
        let path = bin.join(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    };
    for tool in ["console-producer", "console-consumer"] {
        program(&format!("kafka-{tool}.sh"), format!("#!/bin/sh\nexec '{ROOT}/script/kafka' tool {tool} \"$@\"\n"));
    }
    program("sheetstream", format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_sheetstream")));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null());
    command.env("PATH", path).env("B", bootstrap).env("SHEETSTREAM_BROKERS", bootstrap);
    command
}

/// What the block printed; `None` without its tool.
fn run(app: &App, block: &Block) -> Option<String> {
    let script = block.text.replace("facilities.", &format!("{}.", app.name));
    let bootstrap = &app.kafka.bootstrap;
    let mut command = match block.language.as_str() {
        "python" => {
            let mut python = tool::python("kafka")?;
            python.arg("-c").arg(format!("B = '{bootstrap}'\n{script}")).current_dir(app.folder.path());
            python
        }
        "sh" => {
            if script.contains("kcat ") {
                tool("kcat", &["-V"])?;
            }
            if script.contains("jq ") {
                tool("jq", &["--version"])?;
            }
            if script.contains("kafka-console-") {
                app.kafka.tool("console-producer")?;
            }
            shell(app.folder.path(), bootstrap, &script)
        }
        other => panic!("{:?} is in {other}, which nothing here runs", block.name),
    };
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}: {errors}", block.name);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sheets and rows of a workbook by openpyxl, as `sheet<TAB>rows` lines.
fn by_openpyxl(book: &Path) -> Option<String> {
    const SCRIPT: &str = "
import sys, openpyxl
for sheet in openpyxl.load_workbook(sys.argv[1]):
    print(sheet.title, len(list(sheet.iter_rows())) - 1, sep='\\t')
";
    let read = tool::python("openpyxl")?.args(["-c", SCRIPT]).arg(book).output().expect("it runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Some(String::from_utf8(read.stdout).expect("text"))
}

#[test]
fn every_block_of_the_contract_runs_here() {
    let known: BTreeSet<&str> = PUBLISH.into_iter().chain(OTHERS).collect();
    let blocks = blocks(CONTRACT);
    for block in blocks.iter().filter(|block| block.language != "text") {
        let name = block.name.as_deref().unwrap_or_else(|| panic!("a block has no name:\n{}", block.text));
        assert!(known.contains(name), "no test runs the block {name}");
    }
    let named: BTreeSet<&str> = blocks.iter().filter_map(|block| block.name.as_deref()).collect();
    assert_eq!(named, known);
}

#[test]
fn every_way_to_publish_a_file_gives_the_workbook_that_convert_makes() {
    let Some(kafka) = Kafka::shared() else { return };
    for name in PUBLISH {
        let app = App::new(kafka, "publish", 1);
        let file = app.csv("seoul.csv", 3_000);
        let running = app.run("state");
        if run(&app, &block(CONTRACT, name)).is_none() {
            continue;
        }
        app.wait_for(&["seoul.csv"], "state");
        assert_eq!(running.stop(), Some(0));
        app.assert_right(&[("seoul.csv", &app.converted(&file))]);
    }
}

#[test]
fn keyless_lines_are_one_upload() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "keyless", 1);
    app.csv("seoul.csv", 2);
    let running = app.run("state");
    if run(&app, &block(CONTRACT, "console-producer-keyless")).is_none() {
        return;
    }
    app.wait_for(&[""], "state");
    assert_eq!(running.stop(), Some(0));
    let status = app.statuses().pop().expect("a status");
    assert_eq!((status.accounting.written, status.upload.as_str()), (2, ""));
}

#[test]
fn the_status_topic_of_filepulse_ends_uploads() {
    // https://github.com/streamthoughts/kafka-connect-file-pulse, docs/content/en/docs/Developer Guide/tracking-files-status.md
    const REPORTS: &str = r#"
for status in SCHEDULED STARTED READING COMPLETED COMMITTED CLEANED; do
  echo '{"hostname":"worker","status":"'$status'","metadata":{"name":"seoul.csv","path":"/in/seoul.csv","size":90},"offset":{"position":90,"rows":3}}'
done | kcat -P -b $B -t connect-file-pulse-status
echo '{"hostname":"worker","status":"READING","metadata":{"name":"busan.csv"},"offset":{}}' | kcat -P -b $B -t connect-file-pulse-status
for file in seoul busan; do kcat -P -b $B -t facilities.rows -H connect.file.name=$file.csv < $file.csv; done
"#;
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "filepulse", 1);
    let spread =
        fs::read_to_string(app.topology()).expect("written").replace("header =", "placement = \"spread\"\nheader =");
    fs::write(app.topology(), spread).expect("written");
    let created = app.command(&["topics", "create", "-t"]).arg(app.topology()).status().expect("topics are created");
    assert!(created.success());
    let client = kafka.client("test");
    let reports =
        NewTopic { name: "connect-file-pulse-status".to_owned(), partitions: 1, replication: 1, configs: vec![] };
    client.create_topics(&[reports]).expect("a topic");
    let file = app.csv("seoul.csv", 3);
    app.csv("busan.csv", 3);
    let running = app.run("state");
    let block = block(CONTRACT, "filepulse-end");
    if run(&app, &Block { text: REPORTS.to_owned() + &block.text, ..block }).is_none() {
        return;
    }
    app.wait_for(&["seoul.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    app.assert_right(&[("seoul.csv", &app.converted(&file))]);
    let is_open =
        |upload: &str| app.statuses().iter().all(|status| status.upload != upload || status.workbook.is_none());
    assert!(is_open("busan.csv") && !is_open("seoul.csv"));
}

#[test]
fn producers_may_compress_as_they_like_and_wait_for_no_answer() {
    const SCRIPT: &str = r##"
from confluent_kafka import Producer

for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    for acks in ("0", "1", "all"):
        upload = f"{codec}-{acks}"
        producer = Producer({"bootstrap.servers": B, "compression.type": codec, "acks": acks, "linger.ms": 50})
        for value in [*open(upload, encoding="utf-8").read().splitlines(), "#EOF"]:
            producer.produce("facilities.rows", value, upload)
        assert producer.flush(30) == 0
"##;
    let Some(kafka) = Kafka::shared() else { return };
    if tool::python("confluent_kafka").is_none() {
        return;
    }
    let app = App::new(kafka, "codecs", 1);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let uploads: Vec<String> =
        codecs.iter().flat_map(|codec| ["0", "1", "all"].map(|acks| format!("{codec}-{acks}"))).collect();
    let files: Vec<_> = uploads.iter().map(|upload| app.csv(upload, 300)).collect();
    let running = app.run("state");
    let block = Block { language: "python".to_owned(), name: None, text: SCRIPT.to_owned() };
    run(&app, &block).expect("confluent-kafka is here");
    let ids: Vec<&str> = uploads.iter().map(String::as_str).collect();
    app.wait_for(&ids, "state");
    assert_eq!(running.stop(), Some(0));
    let books: Vec<_> = files.iter().map(|file| app.converted(file)).collect();
    let expected: Vec<(&str, &[u8])> = ids.into_iter().zip(books.iter().map(Vec::as_slice)).collect();
    app.assert_right(&expected);
}

#[test]
fn numbered_rows_come_in_any_order_and_twice() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "numbered", 1);
    let file = app.csv("seoul.csv", 2);
    let running = app.run("state");
    if run(&app, &block(CONTRACT, "kcat-headers")).is_none() {
        return;
    }
    app.wait_for(&["seoul.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    app.assert_right(&[("seoul.csv", &app.converted(&file))]);
    let rows = app.statuses().pop().expect("a status").accounting;
    assert_eq!((rows.rows_in, rows.written, rows.duplicate), (3, 2, 1));
}

#[test]
fn a_program_that_knows_only_json_needs_no_change() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "json", 1);
    let running = app.run("state");
    if run(&app, &block(CONTRACT, "kafka-python-json")).is_none() {
        return;
    }
    app.wait_for(&[""], "state");
    assert_eq!(running.stop(), Some(0));
    let status = app.statuses().pop().expect("a status");
    assert_eq!((status.accounting.written, status.accounting.rejected), (100, 0));
    let read = run(&app, &block(CONTRACT, "kafka-python-status")).expect("kafka-python is here");
    assert_eq!(read.lines().last(), Some(" PUBLISHED 100"), "{read}");
}

#[test]
fn lines_of_json_give_the_workbook_of_the_same_rows_as_csv() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "ndjson", 1);
    let csv = fs::read_to_string(app.csv("seoul.csv", 3_000)).expect("rows");
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a header");
    let object = |cells: Vec<&str>| {
        // As a program would write them: numbers as numbers, and keys in any order.
        let members = names.iter().zip(cells).rev().map(|(name, cell)| match cell.parse::<f64>() {
            Ok(_) => format!("\"{name}\": {cell}"),
            Err(_) => format!("\"{name}\": \"{cell}\""),
        });
        format!("{{{}}}\n", members.collect::<Vec<_>>().join(", "))
    };
    let first = format!("[\"{}\"]", names.join("\", \""));
    let rows: String = lines.map(object).collect();
    fs::write(app.folder.path().join("seoul.ndjson"), rows).expect("written");
    let running = app.run("state");
    let header = format!(
        "echo '{{\"$ss\": \"header\", \"columns\": {first}}}' | kcat -P -b $B -t facilities.rows -k seoul.ndjson\n"
    );
    let block = block(CONTRACT, "kcat-ndjson");
    if run(&app, &Block { text: header + &block.text, ..block }).is_none() {
        return;
    }
    app.wait_for(&["seoul.ndjson"], "state");
    assert_eq!(running.stop(), Some(0));
    let same = app.folder.path().join("csv");
    fs::create_dir(&same).expect("a folder");
    let same = same.join("seoul.ndjson");
    fs::write(&same, csv).expect("written");
    app.assert_right(&[("seoul.ndjson", &app.converted(&same))]);
}

#[test]
fn everything_that_comes_out_can_be_read_with_plain_tools() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "read", 1);
    let file = app.csv("seoul.csv", 3_000);
    let running = app.run("state");
    app.publish(&[&file]);
    app.wait_for(&["seoul.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let read = |name| run(&app, &block(CONTRACT, name));

    if read("kcat-workbook").is_some() {
        let book = app.folder.path().join("book.xlsx");
        assert!(fs::read(&book).expect("the workbook") == app.converted(&file), "the values in order are the file");
        if let Some(sheets) = by_openpyxl(&book) {
            assert!(sheets.contains("museum\t") && sheets.contains("Errors\t4"), "{sheets}");
        }
    }
    if let Some(heads) = read("kcat-workbook-headers") {
        let first = heads.lines().next().expect("a record");
        let wanted = "content-type ss-upload ss-filename=seoul.xlsx ss-revision=1 ss-rows=2996 ss-rejected=4 ss-bytes ss-sha256 \
                      ss-topology ss-chunk=1/";
        assert!(wanted.split_whitespace().all(|header| first.contains(header)), "{first}");
    }
    if let Some(statuses) = read("kcat-status") {
        let last = statuses.lines().last().expect("a status");
        assert!(last.starts_with("seoul.csv {") && last.contains("\"state\":\"PUBLISHED\""), "{last}");
    }
    if let Some(statuses) = read("kafka-python-status") {
        assert_eq!(statuses.lines().last(), Some("seoul.csv PUBLISHED 3000"), "{statuses}");
        assert!(statuses.lines().all(|line| line.starts_with("seoul.csv ")), "{statuses}");
    }
    if let Some(letters) = read("kcat-dead-letters") {
        assert_eq!(letters.lines().count(), 4, "{letters}");
        let wanted = "__streams.errors.topic __streams.errors.partition=0 __streams.errors.offset __streams.errors.exception \
                      __streams.errors.message ss-reason=number.format ss-upload=seoul.csv ss-row ss-column=x";
        let has_all = |line: &str| wanted.split_whitespace().all(|header| line.contains(header));
        assert!(letters.lines().all(has_all), "{letters}");
    }
}

#[test]
fn the_status_of_the_contract_is_one_that_we_write() {
    let digest = "0123456789abcdef".repeat(4);
    let shown = block(CONTRACT, "status").text.replace('…', &digest);
    let status = StatusRecord::parse(shown.as_bytes()).expect("it has every field");
    assert!(status.accounting.balances());
    let written = status.to_record(&"status".into()).value;
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("JSON");
    assert_eq!(json(&written), json(shown.as_bytes()), "and no field that we do not know");
}

/// `Write your own topology`, from an empty folder: first without Kafka, then with `dev` and a publisher.
fn follow(readme: &str, columns: [&str; 2]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bash = |bootstrap: &str, name: &str| {
        let ran = shell(folder.path(), bootstrap, &block(readme, name).text).output().expect("bash");
        assert!(ran.status.success(), "{readme}, {name}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    };
    let described = bash("localhost:1", "first-topology");
    assert!(columns.iter().all(|column| described.contains(column)), "{described}");
    let converted = fs::read(folder.path().join("shops.xlsx")).expect("the workbook");

    assert_eq!(block(readme, "first-run").text, "sheetstream dev shops.toml\n");
    let mut dev = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    dev.args(["dev", "shops.toml", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    dev.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut dev = app::Running(dev.spawn().expect("dev starts"));
    let mut line = String::new();
    BufReader::new(dev.0.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
    let first: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    bash(first["brokers"].as_str().expect("an address"), "first-publish");
    assert!(fs::read(folder.path().join("books/shops.xlsx")).expect("the workbook") == converted);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_stranger_follows_the_readme() {
    follow("README.md", ["lon", "lat"]);
}

#[test]
fn a_stranger_follows_the_korean_readme() {
    follow("README.ko.md", ["경도", "위도"]);
}

#[test]
fn the_plain_tools_of_the_readme_do_what_it_says() {
    let Some(kafka) = Kafka::shared() else { return };
    if tool("kcat", &["-V"]).is_none() {
        return;
    }
    for readme in ["README.md", "README.ko.md"] {
        let app = App::new(kafka, "plain", 1);
        let file = app.csv("shops.csv", 100);
        let running = app.run("state");
        let script = block(readme, "plain-tools").text.replace("shops.", &format!("{}.", app.name));
        let script = script.replace(&format!("{}.csv", app.name), "shops.csv");
        let (publish, read) = script.split_at(script.find("kcat -C").expect("it reads too"));
        let bash = |script: &str| {
            let ran = shell(app.folder.path(), &kafka.bootstrap, script).output().expect("bash");
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).expect("text")
        };
        bash(publish);
        app.wait_for(&["shops.csv"], "state");
        assert_eq!(running.stop(), Some(0));
        assert!(bash(read).contains("\"state\":\"PUBLISHED\""));
        let book = fs::read(app.folder.path().join("book.xlsx")).expect("the workbook");
        assert!(book == app.converted(&file), "{readme}");
    }
}

#[test]
fn openpyxl_and_libreoffice_open_what_convert_makes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(ROOT);
    let book = folder.path().join("places.xlsx");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    convert.arg("convert").arg(root.join("examples/data/places-cp949.csv")).arg("-t");
    convert.arg(root.join("topology/facilities.toml")).arg("-o").arg(&book);
    assert!(convert.output().expect("convert").status.success());
    let Some(sheets) = by_openpyxl(&book) else { return };
    assert!(sheets.lines().count() > 3 && sheets.contains("오류\t"), "{sheets}");

    // Not among what the tests require: half a gigabyte.
    let there = Command::new("soffice").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: LibreOffice is not installed");
    }
    let mut soffice = Command::new("soffice");
    soffice.args(["--headless", "--convert-to", "csv", "--outdir"]).arg(folder.path()).arg(&book);
    assert!(soffice.env("HOME", folder.path()).output().expect("soffice").status.success());
    let first = fs::read_to_string(folder.path().join("places.csv")).expect("the first sheet as CSV");
    let rows: usize = sheets.lines().next().and_then(|line| line.split('\t').nth(1)?.parse().ok()).expect("rows");
    assert_eq!(first.lines().count(), rows + 1);
}

on_the_in_process_broker! {
    every_way_to_publish_a_file_gives_the_workbook_that_convert_makes,
    a_program_that_knows_only_json_needs_no_change,
    lines_of_json_give_the_workbook_of_the_same_rows_as_csv,
    keyless_lines_are_one_upload,
    the_status_topic_of_filepulse_ends_uploads,
    producers_may_compress_as_they_like_and_wait_for_no_answer,
    numbered_rows_come_in_any_order_and_twice,
    everything_that_comes_out_can_be_read_with_plain_tools,
    the_plain_tools_of_the_readme_do_what_it_says,
}

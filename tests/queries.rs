//! Questions to a running process: which uploads are open, and what their workbooks would show now.

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/workbook.rs"]
mod workbook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kafka::Kafka;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::page::read::ShownCell;
use sheetstream::record::UploadId;
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::queries::{Queries, QueryError};
use sheetstream::runtime::streams::Streams;
use sheetstream::sink::preview::{SheetPreview, read_workbook};
use sheetstream::sink::status::UploadState;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const LIMIT: Duration = Duration::from_secs(60);

fn topology(name: &str) -> Topology {
    let text = format!(
        r#"
name = "{name}"
[[source]]
name = "rows"
header = ["name", "kind", "opened", "price"]
columns = {{ opened = "date", name = "text" }}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn row(n: usize) -> String {
    let kind = ["museum", "a/b", "빵집 & 카페"][n % 3];
    format!("Place {n} <{}>,{kind},2024-01-{:02},{}.50", "x".repeat(n % 5), 1 + n % 28, n)
}

fn texts(sheet: &SheetPreview) -> Vec<Vec<&str>> {
    sheet.head.iter().map(|row| row.iter().map(|cell: &ShownCell| cell.text.as_str()).collect()).collect()
}

/// Open pages, cut pages and the finished workbook show the same rows, and those are what calamine reads.
#[test]
fn a_preview_shows_the_workbook_that_comes() {
    for rows in [5, 5_000] {
        let mut driver = TopologyTestDriver::new(topology("t"));
        (0..rows).for_each(|n| driver.pipe("a.csv", row(n)));
        let upload = UploadId::new("a.csv");
        let task = driver.task().expect("it runs");
        let preview = task.preview(&upload).expect("readable state").expect("the upload is open");
        assert_eq!(preview.status.accounting.written, rows as u64);
        assert_eq!(task.open_uploads(), std::slice::from_ref(&preview.status));
        assert_eq!(preview.sheets_total, 3);
        assert_eq!(preview.sheets[0].columns, ["name", "kind", "opened", "price"]);
        driver.pipe("a.csv", "#EOF");
        assert!(driver.task().expect("it runs").preview(&upload).expect("readable state").is_none());
        let book = driver.workbook("a.csv").expect("a workbook");
        assert_eq!(read_workbook(&book).expect("our own workbook"), preview.sheets);
        let names: Vec<_> = preview.sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        assert_eq!(names, ["museum", "a_b", "빵집 & 카페"]);
        for (number, sheet) in preview.sheets.iter().enumerate() {
            let expected = (0..rows).filter(|n| n % 3 == number).map(row);
            let expected: Vec<Vec<String>> =
                expected.map(|row| row.split(',').map(str::to_owned).collect()).take(20).collect();
            assert_eq!(texts(sheet), expected);
            assert_eq!(sheet.rows as usize, (0..rows).filter(|n| n % 3 == number).count());
            assert_eq!(workbook::sheets(&book)[&sheet.name].len() as u64, sheet.rows + 1);
        }
    }
}

#[test]
fn a_workbook_of_others_has_no_preview() {
    assert_eq!(read_workbook(b""), None);
    assert_eq!(read_workbook(b"PK\x03\x04 and no directory"), None);
}

#[test]
fn nobody_answers_before_the_start() {
    assert_eq!(Queries::default().uploads(), Err(QueryError::NotRunning));
}

#[test]
fn running_tasks_answer_from_any_thread() {
    let Some(kafka) = Kafka::shared() else { return };
    let client = kafka.client("test");
    let topology = topology(&format!("queries-{}", uuid::Uuid::new_v4().simple()));
    let name = topology.name.to_string();
    let topic = |of: &str| NewTopic { name: format!("{name}.{of}"), partitions: 2, replication: 1, configs: vec![] };
    client.create_topics(&["rows", "workbooks", "status", "dead-letters"].map(topic)).expect("topics");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = StreamsConfig::new(kafka.config("run"), folder.path().join("state"));
    config.threads = 2;
    let streams = Streams::new(vec![topology], config);
    let queries = streams.queries();
    let stop = Arc::new(AtomicBool::new(false));
    let running = std::thread::spawn({
        let stop = stop.clone();
        move || streams.run(&stop)
    });
    let mut producer = client.producer(ProducerConfig::default());
    let topic: Arc<str> = format!("{name}.rows").into();
    for upload in ["a.csv", "b.csv"] {
        for n in 0..50 {
            producer.send(&topic, None, Some(upload.as_bytes()), Some(row(n).as_bytes()), &[]).expect("sent");
        }
    }
    producer.flush().expect("acknowledged");
    let begun = Instant::now();
    let open = loop {
        let open = queries.uploads().unwrap_or_default();
        if open.len() == 2 && open.iter().all(|status| status.accounting.written == 50) {
            break open;
        }
        assert!(begun.elapsed() < LIMIT, "{open:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(open[0].state, UploadState::Receiving);
    let preview = queries.preview(&name, "b.csv").expect("an answer").expect("it is open");
    assert_eq!((preview.status.upload.as_str(), preview.sheets.len()), ("b.csv", 3));
    assert!(queries.preview(&name, "c.csv").expect("an answer").is_none());
    assert!(queries.preview("another", "b.csv").expect("an answer").is_none());
    stop.store(true, Ordering::Relaxed);
    running.join().expect("no panic").expect("stopped in order");
    assert_eq!(queries.uploads(), Err(QueryError::NotRunning));
}

on_the_in_process_broker! {
    running_tasks_answer_from_any_thread,
}

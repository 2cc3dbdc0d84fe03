//! Rows a second for the same rows as CSV and as JSON, of the source alone and of a whole task from records to the published workbook:
//! `cargo bench --bench source [-- ROUNDS]`. Each form counts with its fastest round, so that a busy machine disturbs little.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sheetstream::record::{Offset, Record, StreamElement};
use sheetstream::source::{Admission, Source, SourceConfig};
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const TOPOLOGY: &str = r#"
name = "bench"
[[source]]
name = "rows"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#;

/// Seconds for these records.
type Measure = fn(&[Record]) -> f64;

/// Rows of one round.
const ROWS: usize = 100_000;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(9);
    for per_record in [1, 100] {
        let csv = records(per_record, "id,name,kind,x,y,opened", &|n| {
            format!(
                "{n},Place {n} of Seoul,park,{x}.25,{y}.5,2026-01-31",
                x = 953_000 + n % 900,
                y = 1_952_000 + n % 700
            )
        });
        let json = records(per_record, "", &|n| {
            format!(
                r#"{{"id": {n}, "name": "Place {n} of Seoul", "kind": "park", "x": {x}.25, "y": {y}.5, "opened": "2026-01-31"}}"#,
                x = 953_000 + n % 900,
                y = 1_952_000 + n % 700
            )
        });
        for (what, seconds) in [("source", source_seconds as Measure), ("task", task_seconds)] {
            // In turns, so that what else happens on the machine hits both.
            let mut fastest = [f64::MAX; 2];
            for _ in 0..rounds {
                for (fastest, records) in fastest.iter_mut().zip([&csv, &json]) {
                    *fastest = fastest.min(seconds(records));
                }
            }
            let [csv, json] = fastest.map(|seconds| ROWS as f64 / seconds);
            let share = json / csv * 100.0;
            println!(
                "{what:6} {per_record:3} rows a record: CSV {csv:9.0} rows/s, JSON {json:9.0} rows/s, {share:.0} %"
            );
        }
    }
}

fn records(per_record: usize, header: &str, row: &dyn Fn(usize) -> String) -> Vec<Record> {
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    let values = rows.chunks(per_record).map(|rows| rows.join("\n"));
    let header = Some(header.to_owned()).filter(|header| !header.is_empty());
    let record = |(offset, value): (usize, String)| Record {
        offset: Offset(offset as i64),
        key: Some(Bytes::from_static(b"a")),
        value: Some(value.into()),
        ..Record::default()
    };
    header.into_iter().chain(values).enumerate().map(record).collect()
}

fn source_seconds(records: &[Record]) -> f64 {
    let mut source = Source::new(Arc::new(SourceConfig::of_topic("rows")), Some(1));
    let mut rows = 0;
    let begun = Instant::now();
    for records in records.chunks(1_000) {
        records.iter().for_each(|record| source.push(record.clone(), &mut |_| Admission::Read));
        source.flush();
        while let Some(element) = source.pop() {
            if let StreamElement::Rows(batch) = element {
                assert!(batch.rejected.is_empty());
                rows += batch.len();
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(rows, ROWS);
    seconds
}

fn task_seconds(records: &[Record]) -> f64 {
    let mut driver = TopologyTestDriver::new(Topology::parse(TOPOLOGY, "bench.toml", &|_| None).expect("it is right"));
    for record in records {
        driver.append(record.clone());
    }
    driver.append(Record {
        key: Some(Bytes::from_static(b"a")),
        value: Some(Bytes::from_static(b"#EOF")),
        ..Record::default()
    });
    let begun = Instant::now();
    driver.run(1_000).expect("the driver's own world");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(driver.statuses().last().map(|status| status.accounting.written), Some(ROWS as u64));
    seconds
}

//! Rows a second through a whole task, from records to the published workbook, with maps over columns and without them:
//! `cargo bench --bench map [-- ROUNDS]`. The filter keeps every row, so that all of its cost is seen and none of what it saves. Each form
//! counts with its fastest round, so that a busy machine disturbs little.

use std::time::Instant;

use bytes::Bytes;
use sheetstream::record::Record;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const REPROJECT: &str = r#"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
"#;
const COLUMN_MAPS: &str = r#"
[[map]]
name = "keep"
filter = "kind = 'park' and number(area) > 100"
[[map]]
name = "add"
compute = { density = "round(number(people) / number(area), 2)" }
"#;

/// Rows of one round.
const ROWS: usize = 100_000;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(9);
    let rows: Vec<String> = (0..ROWS)
        .map(|n| {
            let (x, y) = (953_000 + n % 900, 1_952_000 + n % 700);
            format!(
                "{n},Place {n} of Seoul,park,{x}.25,{y}.5,2026-01-31,{people},{area}.5",
                people = n % 5_000,
                area = 101 + n % 400
            )
        })
        .collect();
    for (what, base) in [("rows alone", ""), ("reproject", REPROJECT)] {
        let plain = topology(base);
        let mapped = topology(&format!("{base}{COLUMN_MAPS}"));
        for per_record in [1, 100] {
            // In turns, so that what else happens on the machine hits both.
            let mut fastest = [f64::MAX; 2];
            for _ in 0..rounds {
                for (fastest, topology) in fastest.iter_mut().zip([&plain, &mapped]) {
                    *fastest = fastest.min(seconds(topology, &rows, per_record));
                }
            }
            let [plain, mapped] = fastest.map(|seconds| ROWS as f64 / seconds);
            let share = mapped / plain * 100.0;
            println!(
                "{what:10} {per_record:3} rows a record: plain {plain:9.0} rows/s, filter and compute {mapped:9.0} rows/s, {share:.0} %"
            );
        }
    }
}

fn topology(maps: &str) -> Topology {
    let text = format!(
        "name = \"bench\"\n[[source]]\nname = \"rows\"\n{maps}\n[[aggregate]]\nname = \"by-kind\"\nsheet = \"kind\"\n[[sink]]\nname = \"workbooks\"\n"
    );
    Topology::parse(&text, "bench.toml", &|_| None).expect("it is right")
}

fn seconds(topology: &Topology, rows: &[String], per_record: usize) -> f64 {
    let mut driver = TopologyTestDriver::new(topology.clone());
    let header = "id,name,kind,x,y,opened,people,area".to_owned();
    let values = rows.chunks(per_record).map(|rows| rows.join("\n"));
    for value in [header].into_iter().chain(values).chain(["#EOF".to_owned()]) {
        driver.append(Record { key: Some(Bytes::from_static(b"a")), value: Some(value.into()), ..Record::default() });
    }
    let begun = Instant::now();
    driver.run(1_000).expect("the driver's own world");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(driver.statuses().last().map(|status| status.accounting.written), Some(ROWS as u64));
    seconds
}

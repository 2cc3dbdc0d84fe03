//! What a scrape of 20 topologies and 200 partitions costs, and what a task counts for one fetch.

use std::time::{Duration, Instant};

use sheetstream::metrics::{self, Outcome, TaskMetrics, TaskMoment, TaskNames};
use sheetstream::record::{Accounting, Message, Offset, Rejection, TaskId, TopicPartition};

const TOPOLOGIES: usize = 20;
const PARTITIONS: i32 = 10;
const SCRAPES: u32 = 100;
const FETCHES: u32 = 100_000;

fn main() {
    let mut tasks = Vec::new();
    for topology in 0..TOPOLOGIES {
        let name = format!("markets-{topology:02}");
        let names = TaskNames { source: "rows", maps: vec!["wgs84"], aggregate: "by-district", sink: "workbooks" };
        for partition in 0..PARTITIONS {
            let id = TaskId { topology: name.as_str().into(), source: None, partition };
            let at = TopicPartition { topic: format!("{name}.rows").into(), partition };
            tasks.push(TaskMetrics::counted(&id, &at, &names, Some(Offset(1_000_000))));
        }
        metrics::fetched_bytes(&format!("{name}.rows")).inc_by(1 << 30);
    }
    for (n, task) in tasks.iter_mut().enumerate() {
        let n = n as i64;
        task.fetch_begins(12_345, Some(1_795_648_228_000));
        task.fetch_ends();
        task.dead_letter(&Rejection::new(Message::NullIsland { crs: String::new() }));
        task.ended(Outcome::Published, &Accounting { written: 1_234_567, rejected: 1_234, ..Accounting::default() });
        task.delivered(Duration::from_millis(123), 1_234_567, 12_345_678, 14);
        task.report(TaskMoment {
            committed: Some(Offset(1_234_567 + n)),
            position: Offset(1_234_567 + n),
            replay_from: Offset(1_230_000),
            log_start: Offset(500_000),
            end: Some(Offset(1_239_999 + n)),
            state_bytes: 123_456_789,
            buffered_bytes: 8_388_608,
            uploads: [3, 0, 1, 0],
            oldest_upload_age_ms: Some(123_456),
            ..TaskMoment::default()
        });
    }
    println!("counting one fetch: {:.1?}", counting(&mut tasks[0]));
    let names = TaskNames { source: "rows", maps: vec!["wgs84"], aggregate: "by-district", sink: "workbooks" };
    println!("a fetch of a task that counts nothing: {:.1?}", counting(&mut TaskMetrics::uncounted(&names)));
    let size = metrics::render().len();
    let begun = Instant::now();
    for _ in 0..SCRAPES {
        std::hint::black_box(metrics::render());
    }
    let took = begun.elapsed() / SCRAPES;
    println!("a scrape of {TOPOLOGIES} topologies and {} partitions: {took:.1?}, {size} bytes", tasks.len());
}

/// What a task counts for one fetch: every call there is, though few fetches end an upload.
fn counting(task: &mut TaskMetrics) -> Duration {
    let millisecond = Duration::from_millis(1);
    let begun = Instant::now();
    for _ in 0..FETCHES {
        task.fetch_begins(1_000, Some(1_795_648_228_000));
        for node in [&task.source, &task.maps[0], &task.aggregate] {
            node.took_in(1_000, 1);
            node.took(millisecond);
        }
        task.passed_on(millisecond);
        task.fetch_ends();
        task.delivered(millisecond, 1_000, 80_000, 1);
        task.ended(Outcome::Published, &Accounting::default());
        task.report(TaskMoment::default());
    }
    begun.elapsed() / FETCHES
}

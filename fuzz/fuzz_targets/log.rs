//! A whole log through a whole task: every status accounts for its rows, and a restart anywhere, with its state or without, gives the same
//! workbooks, statuses and dead letters.
#![no_main]

mod any_record;

use any_record::AnyRecord;
use libfuzzer_sys::fuzz_target;
use sheetstream::record::Record;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
header = "first"
open_uploads_max = 3
[[map]]
name = "kept"
filter = "x != 'no'"
[[aggregate]]
name = "sheets"
sheet = "name"
[[sink]]
name = "workbooks"
"#;

/// What consumers see, in order.
fn run(records: &[Record], restart: usize, keeps_state: Option<bool>) -> [Vec<String>; 3] {
    let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).expect("a topology");
    let mut driver = TopologyTestDriver::new(topology);
    for (index, record) in records.iter().enumerate() {
        if index == restart {
            driver.commit().expect("a broker without faults");
            if let Some(keeps_state) = keeps_state {
                driver.crash(keeps_state);
            }
        }
        driver.pipe_record(record.clone());
    }
    driver.advance_wall_clock_time(std::time::Duration::from_secs(100 * 24 * 3600));
    let statuses = driver.statuses();
    for status in &statuses {
        assert!(status.accounting.balances(), "{status:?}");
    }
    let shown = |topic: &str| driver.records(topic).iter().map(|record| format!("{record:?}")).collect();
    let ended = statuses.iter().filter(|status| status.state.outcome().is_some());
    [shown("t.workbooks"), shown("t.dead-letters"), ended.map(|status| format!("{status:?}")).collect()]
}

fuzz_target!(|input: (u8, Vec<AnyRecord<'_>>)| {
    let (restart, records) = input;
    let records: Vec<Record> = (0..).zip(&records).map(|(offset, record)| record.at(offset)).collect();
    let restart = usize::from(restart) % (records.len() + 1);
    let expected = run(&records, restart, None);
    assert_eq!(run(&records, restart, Some(true)), expected, "restarted with its state");
    assert_eq!(run(&records, restart, Some(false)), expected, "restarted without its state");
});

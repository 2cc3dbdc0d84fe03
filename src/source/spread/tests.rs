//! The records that are held, and their places.

use std::sync::Arc;

use super::gather::MEMORY_MAX;
use super::*;
use crate::record::{Offset, Record, TopicPartition, UploadId};
use crate::source::{Placement, SourceConfig, Spread};
use crate::state::{InMemoryStore, StateStore};

const NOW: Moment = Moment { now_ms: 0, is_live: true };

fn config() -> Arc<SourceConfig> {
    let spread = Spread { topics: Arc::new(["rows".into()]), repartition_topic: "t-a-repartition".into() };
    Arc::new(SourceConfig { placement: Placement::Spread(spread), ..SourceConfig::of_topic("rows") })
}

fn record(offset: i64, value: &str) -> Record {
    let key = Some("a.csv".into());
    let value = Some(value.to_owned().into());
    Record { offset: Offset(offset), timestamp_ms: offset, key, value, ..Record::default() }
}

/// The run of one record of partition 0.
fn run(record: Record, ends: Vec<i64>) -> Record {
    let source = TopicPartition { topic: "rows".into(), partition: 0 };
    let mut router = Router::new(config(), source, (0, 0), 1, |_, _| 0);
    let offset = record.offset;
    assert_eq!(router.push(record), Some(0));
    let value = router.seal(0, offset.next(), offset, ends);
    Record { offset, value: Some(value), ..Record::default() }
}

#[test]
fn rows_that_are_held_go_to_disk() {
    let (mut gather, mut store) = (Gather::new(config()), InMemoryStore::new());
    let row = "x".repeat(1 << 20);
    let rows = (MEMORY_MAX >> 20) as i64 + 8;
    let mut take = |record: Record, ends| {
        gather.take(run(record, ends), NOW, &mut |_, _| Ok(Past::default()), &mut store).map(|_| ())
    };
    (0..rows).for_each(|n| take(record(n, &format!("{n},{row}")), vec![]).expect("it is held"));
    take(record(rows, "#EOF"), vec![rows + 1]).expect("it is held");
    assert!(gather.bytes() <= MEMORY_MAX && store.bytes() >= MEMORY_MAX as u64);
    let id = UploadId::new("a.csv");
    assert_eq!(gather.due(), Some(id.clone()));
    let mut release = gather.release(&id, Offset(rows), &store).expect("readable").expect("it is there");
    let mut numbers = Vec::new();
    while let Some(step) = release.merge.next(&store).expect("readable") {
        let Step::Record(record) = step else { panic!("{step:?}") };
        let value = record.value.expect("a value");
        numbers.push(String::from_utf8_lossy(&value[..value.len().min(4)]).into_owned());
    }
    assert_eq!(numbers.pop().as_deref(), Some("#EOF"));
    let expected: Vec<_> = (0..rows).map(|n| format!("{n},")).collect();
    assert!(numbers.iter().zip(&expected).all(|(found, number)| found.starts_with(number)), "{numbers:?}");
    assert_eq!((numbers.len(), gather.bytes(), gather.take_dropped().len()), (expected.len(), 0, 1));
}

#[test]
fn what_is_no_run_is_refused() {
    let (mut gather, mut store) = (Gather::new(config()), InMemoryStore::new());
    let foreign = Record { value: Some("1,2".into()), offset: Offset(7), ..Record::default() };
    let refused =
        gather.take(foreign, NOW, &mut |_, _| Ok(Past::default()), &mut store).err().expect("it is none of ours");
    assert!(refused.to_string().contains("offset 7"), "{refused}");
}

//! A value of the repartition topic: the records of one source partition, between two of its offsets, for one partition of the repartition
//! topic. A run without records says that there are none.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::{Header, Offset, Record, SourcePlace};

/// Format of a run; the first byte of its value.
const FORMAT: u8 = 2;

/// Records of one source partition, in their order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Run<'a> {
    /// Source topic.
    pub topic: &'a str,
    /// Source partition.
    pub partition: i32,
    /// The log, a number for its topic id.
    pub log: i64,
    /// How often it was begun anew: when its offset was reset, or the log was cut. Grows.
    pub era: i64,
    /// First offset that the run is about.
    pub from: i64,
    /// First offset behind it.
    pub to: i64,
    /// No record below is passed on again.
    pub committed: i64,
    /// Records that are gone: from, to, and the end of the partition when that was found.
    pub lost: Option<(i64, i64, i64)>,
    /// The ends of the topic's partitions after the last marker among the records was read, by partition. Empty without a marker.
    pub ends: Vec<i64>,
    /// The records.
    #[serde(borrow)]
    pub records: Vec<RunRecord<'a>>,
}

/// A record, as its source partition has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord<'a> {
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp_ms: i64,
    /// The timestamp is the broker's.
    pub is_append_time: bool,
    /// Its key.
    #[serde(borrow)]
    pub key: Option<&'a [u8]>,
    /// Its value.
    #[serde(borrow)]
    pub value: Option<&'a [u8]>,
    /// Its headers.
    #[serde(borrow)]
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<'a> Run<'a> {
    /// Which reading of the source partition it is of, see [`Cut`](crate::record::Cut).
    pub fn reading(&self) -> i64 {
        self.log ^ self.era
    }

    /// The value.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("plain data always encodes")
    }

    /// Reads a value; `None` if it is none of ours.
    pub fn decode(value: &'a [u8]) -> Option<Run<'a>> {
        let (FORMAT, run) = value.split_first().map(|(format, run)| (*format, run))? else { return None };
        postcard::from_bytes(run).ok()
    }
}

impl<'a> RunRecord<'a> {
    /// A record on its way.
    pub fn of(record: &'a Record) -> RunRecord<'a> {
        RunRecord {
            offset: record.offset.0,
            timestamp_ms: record.timestamp_ms,
            is_append_time: record.is_append_time,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.iter().map(|header| (&*header.name, header.value.as_deref())).collect(),
        }
    }

    /// The record again, at `at` of the repartition topic, from a partition of a source topic. It shares the memory of `body`, which contains
    /// it.
    pub(super) fn to_record(&self, at: Offset, (topic, partition): &(Arc<str>, i32), body: &Bytes) -> Record {
        let share = |part: &&[u8]| body.slice_ref(part);
        let header =
            |(name, value): &(&str, Option<&[u8]>)| Header { name: (*name).into(), value: value.as_ref().map(share) };
        let passed_from = SourcePlace { topic: Arc::clone(topic), partition: *partition, offset: Offset(self.offset) };
        Record {
            offset: at,
            timestamp_ms: self.timestamp_ms,
            is_append_time: self.is_append_time,
            key: self.key.as_ref().map(share),
            value: self.value.as_ref().map(share),
            headers: self.headers.iter().map(header).collect(),
            passed_from: Some(passed_from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_back_and_nothing_else_is_one() {
        let record = Record {
            offset: Offset(7),
            timestamp_ms: -1,
            is_append_time: true,
            key: Some(Bytes::from_static(b"a.csv")),
            value: None,
            headers: vec![Header::new("ss-type", "abort"), Header { name: "x".into(), value: None }],
            passed_from: None,
        };
        let run = Run {
            topic: "rows",
            partition: 2,
            log: 4,
            era: 5,
            from: 3,
            to: 9,
            committed: 3,
            lost: Some((1, 3, 20)),
            ends: vec![4, 0, 9],
            records: vec![RunRecord::of(&record)],
        };
        let body = Bytes::from(run.encode());
        let read = Run::decode(&body).expect("our own value");
        assert_eq!(read, run);
        let again = read.records[0].to_record(Offset(1), &("rows".into(), 2), &body);
        assert!(again.is_append_time);
        let place = SourcePlace { topic: "rows".into(), partition: 2, offset: Offset(7) };
        assert_eq!((again.offset, again.passed_from), (Offset(1), Some(place)));
        assert_eq!((again.key, again.value, again.headers), (record.key, record.value, record.headers));
        for other in [&b""[..], b"\x01", b"\x02", b"1,2", &body[..body.len() - 1]] {
            assert_eq!(Run::decode(other), None, "{other:?}");
        }
    }
}

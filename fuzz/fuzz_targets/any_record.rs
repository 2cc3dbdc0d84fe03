//! A record as anybody may publish it.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use sheetstream::record::{Header, Offset, Record};

/// Names of headers that mean something.
const NAMES: [&str; 18] = [
    "ss-upload",
    "ss-row",
    "ss-type",
    "ss-rows",
    "ss-rows-sha256",
    "ss-header",
    "ss-attempt",
    "ss-delimiter",
    "ss-encoding",
    "ss-escape",
    "ss-format",
    "ss-crs",
    "ss-name",
    "ss-columns",
    "file.name",
    "file.offset",
    "connect.file.name",
    "traceparent",
];

/// One record: its key out of few, its value any bytes.
#[derive(Arbitrary, Debug)]
pub struct AnyRecord<'a> {
    key: u8,
    value: Option<&'a [u8]>,
    headers: Vec<(u8, Option<&'a [u8]>)>,
    timestamp_ms: i32,
}

impl AnyRecord<'_> {
    pub fn at(&self, offset: i64) -> Record {
        let key: &[u8] = match self.key % 4 {
            0 => b"a.csv",
            1 => b"b.csv",
            2 => b"\xff\x00",
            _ => b"",
        };
        let headers = self.headers.iter().take(6).map(|(name, value)| Header {
            name: NAMES[usize::from(*name) % NAMES.len()].into(),
            value: value.map(|value| value.to_vec().into()),
        });
        Record {
            offset: Offset(offset),
            timestamp_ms: self.timestamp_ms.into(),
            key: (self.key < 250).then(|| key.to_vec().into()),
            value: self.value.map(|value| value.to_vec().into()),
            headers: headers.collect(),
            ..Record::default()
        }
    }
}

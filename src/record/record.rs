//! One record of a topic, as a transport hands it over. Knows nothing of uploads.

use std::sync::Arc;

use bytes::Bytes;

use super::Offset;

/// One record of a topic, as a transport hands it over.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its offset in its partition.
    pub offset: Offset,
    /// Milliseconds since 1970, from the log. -1 and nonsense are possible and harmless.
    pub timestamp_ms: i64,
    /// The timestamp is the broker's (`message.timestamp.type=LogAppendTime`), and not what the publisher says.
    pub is_append_time: bool,
    /// Record key.
    pub key: Option<Bytes>,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; names may repeat, values may be null.
    pub headers: Vec<Header>,
    /// Where its publisher wrote it, if it was passed on since (`placement = "spread"`).
    pub passed_from: Option<SourcePlace>,
}

/// The place of a record in a source topic from which it was passed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourcePlace {
    /// Topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: Offset,
}

/// Memory of a record beside its key, value and headers.
const RECORD_COST: usize = size_of::<Record>();
/// Memory of a header beside its name and value.
const HEADER_COST: usize = size_of::<Header>();

impl Record {
    /// Memory that it takes, about: itself, key, value and headers. Buffers count these bytes.
    pub fn memory_bytes(&self) -> usize {
        let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|header| HEADER_COST + header.name.len() + size(&header.value));
        RECORD_COST + size(&self.key) + size(&self.value) + headers.sum::<usize>()
    }
}

/// A record header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Header name.
    pub name: Box<str>,
    /// Header value, null allowed.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a text value.
    pub fn new(name: &str, value: impl Into<Bytes>) -> Header {
        Header { name: name.into(), value: Some(value.into()) }
    }
}

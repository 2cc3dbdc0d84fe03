//! One record of a topic, as a transport hands it over. Knows nothing of uploads.

use bytes::Bytes;

use super::Offset;

/// One record of a topic, as a transport hands it over.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Where it stands in its partition.
    pub offset: Offset,
    /// Milliseconds since 1970 as the log says; -1 and nonsense are possible and harmless.
    pub timestamp_ms: i64,
    /// Record key.
    pub key: Option<Bytes>,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; names may repeat, values may be null.
    pub headers: Vec<Header>,
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

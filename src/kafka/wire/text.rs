//! Strings of the protocol.

use kafka_protocol::protocol::StrBytes;

/// A string as the protocol library wants it.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

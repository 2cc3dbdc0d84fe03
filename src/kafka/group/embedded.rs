//! Messages between the members of a classic group, inside the group's requests: subscriptions and assignments, as Kafka's consumer writes
//! them (KIP-429), so that its tools read them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

/// Name of our way to assign. It is no consumer's: a consumer that joins a group of ours, or finds us in its own, is refused by the broker.
pub(super) const PROTOCOL: &str = "sheetstream-cooperative-sticky";
/// Type of the protocol: what Kafka's tools show members and their partitions of.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Version that is written: the first with the generation of what a member owns. Later ones add fields and are read as this one.
const VERSION: i16 = 2;

/// With its version in front.
pub(super) fn encode(message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message.encode(&mut bytes, VERSION).expect("names of topics and members fit a string of the protocol");
    bytes.freeze()
}

/// `None` for what is not such a message.
pub(super) fn decode<M: Decodable>(bytes: &Bytes) -> Option<M> {
    let mut bytes = bytes.clone();
    let version = (bytes.remaining() >= 2).then(|| bytes.get_i16())?;
    M::decode(&mut bytes, version.clamp(0, VERSION)).ok()
}

//! Reads requests from a stream of bytes without trusting a length: neither that of a frame, nor those inside it.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

/// Largest Produce request, as in Kafka.
const PRODUCE_BYTES_MAX: usize = 100 << 20;
/// Largest request of any other kind.
const OTHER_BYTES_MAX: usize = 1 << 20;
/// API key, version, correlation id: what every request begins with.
const HEAD_BYTES: usize = 8;
/// Room that is made before the bytes are here.
const RESERVE_BYTES: usize = 64 << 10;

/// Why a connection is closed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FrameError {
    #[error("a request of {0} bytes")]
    Length(i64),
    #[error("a request of an unknown kind, {0}")]
    Api(i16),
    #[error("{0:?} version {1}: {2}")]
    Malformed(ApiKey, i16, String),
}

/// A request whose body is still bytes.
#[derive(Debug)]
pub(super) struct Frame {
    pub api: ApiKey,
    pub version: i16,
    pub correlation: i32,
    /// From the request header on.
    pub bytes: Bytes,
}

impl Frame {
    /// Takes the next frame that is complete.
    pub(super) fn take(received: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(mut head) = received.get(..4) else { return Ok(None) };
        let length = head.get_i32();
        let size = usize::try_from(length).ok().filter(|size| (HEAD_BYTES..=PRODUCE_BYTES_MAX).contains(size));
        let size = size.ok_or(FrameError::Length(length.into()))?;
        let Some(mut head) = received.get(4..4 + HEAD_BYTES) else { return Ok(None) };
        let (key, version, correlation) = (head.get_i16(), head.get_i16(), head.get_i32());
        let api = ApiKey::try_from(key).map_err(|()| FrameError::Api(key))?;
        if api != ApiKey::Produce && size > OTHER_BYTES_MAX {
            return Err(FrameError::Length(length.into()));
        }
        if received.len() < 4 + size {
            // Grows with what has come: a length alone reserves next to nothing.
            let missing = 4 + size - received.len();
            received.reserve(missing.min(RESERVE_BYTES.max(received.len())));
            return Ok(None);
        }
        received.advance(4);
        Ok(Some(Frame { api, version, correlation, bytes: received.split_to(size).freeze() }))
    }

    /// Takes the header off; the version must be one that is served.
    pub(super) fn header(&mut self) -> Result<RequestHeader, FrameError> {
        let version = self.api.request_header_version(self.version);
        RequestHeader::decode(&mut self.bytes, version).map_err(|error| self.malformed(error))
    }
    /// Decodes the body, twice. The first result is thrown away: it only proves that no array claims more elements than there are bytes,
    /// for the codecs make room for as many as an array claims.
    pub(super) fn body<R: Decodable>(&mut self) -> Result<R, FrameError> {
        let mut probe = Probe { bytes: self.bytes.clone(), varint: None };
        R::decode(&mut probe, self.version).map_err(|error| self.malformed(error))?;
        R::decode(&mut self.bytes, self.version).map_err(|error| self.malformed(error))
    }
    fn malformed(&self, error: impl ToString) -> FrameError {
        FrameError::Malformed(self.api, self.version, error.to_string())
    }
}

/// Bytes in which no length is larger than what follows it: a 32-bit number is cut down to that, a varint that is larger ends the bytes.
/// Numbers that are no lengths come out wrong, and nobody looks at them.
struct Probe {
    bytes: Bytes,
    /// Value and shift of the varint that is being read.
    varint: Option<(u64, u32)>,
}

impl Buf for Probe {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }
    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
    fn try_get_i32(&mut self) -> Result<i32, bytes::TryGetError> {
        let value = self.bytes.try_get_i32()?;
        // The elements of an array take two bytes at least; one more than fit makes the decoder run out of bytes.
        Ok(value.min(i32::try_from(self.bytes.remaining() / 2 + 1).unwrap_or(i32::MAX)))
    }
    fn try_get_u8(&mut self) -> Result<u8, bytes::TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        let (value, shift) = self.varint.take().unwrap_or_default();
        let value = value | u64::from(byte & 0x7f) << shift;
        // The fifth byte is the last, whatever it says.
        if byte >= 0x80 && shift < 28 {
            self.varint = Some((value, shift + 7));
        } else if value > self.bytes.remaining() as u64 + 1 {
            self.bytes.clear();
            return Err(bytes::TryGetError { requested: usize::try_from(value).unwrap_or(usize::MAX), available: 0 });
        }
        Ok(byte)
    }
}

impl ByteBuf for Probe {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }
    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use kafka_protocol::messages::{
        ConsumerGroupHeartbeatRequest, FetchRequest, JoinGroupRequest, MetadataRequest, OffsetCommitRequest,
        ProduceRequest,
    };
    use proptest::prelude::*;

    use super::*;

    fn request(api: ApiKey, version: i16, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        let header =
            [&(api as i16).to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 7], &(-1i16).to_be_bytes()].concat();
        let tags: &[u8] = if api.request_header_version(version) >= 2 { &[0] } else { &[] };
        bytes.put_i32((header.len() + tags.len() + body.len()) as i32);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(tags);
        bytes.extend_from_slice(body);
        bytes
    }
    fn decode(mut frame: Frame) -> Result<(), FrameError> {
        frame.header()?;
        match frame.api {
            ApiKey::Produce => frame.body::<ProduceRequest>().map(drop),
            ApiKey::Fetch => frame.body::<FetchRequest>().map(drop),
            ApiKey::Metadata => frame.body::<MetadataRequest>().map(drop),
            ApiKey::JoinGroup => frame.body::<JoinGroupRequest>().map(drop),
            ApiKey::OffsetCommit => frame.body::<OffsetCommitRequest>().map(drop),
            _ => frame.body::<ConsumerGroupHeartbeatRequest>().map(drop),
        }
    }

    #[test]
    fn frames_are_cut_wherever_the_bytes_are_cut() {
        let whole = [request(ApiKey::Metadata, 1, &[0, 0, 0, 0]), request(ApiKey::Heartbeat, 4, b"body")].concat();
        for cut in 0..whole.len() {
            let mut received = BytesMut::new();
            let mut taken = Vec::new();
            for part in [&whole[..cut], &whole[cut..]] {
                received.extend_from_slice(part);
                while let Some(frame) = Frame::take(&mut received).expect("good frames") {
                    taken.push((frame.api, frame.version, frame.correlation));
                }
            }
            assert_eq!(taken, [(ApiKey::Metadata, 1, 7), (ApiKey::Heartbeat, 4, 7)]);
        }
    }

    #[test]
    fn a_length_reserves_next_to_nothing_and_an_absurd_one_ends_the_connection() {
        for (length, api, is_absurd) in [
            (PRODUCE_BYTES_MAX as i32, ApiKey::Produce, false),
            (PRODUCE_BYTES_MAX as i32 + 1, ApiKey::Produce, true),
            (2 << 20, ApiKey::Metadata, true),
            (-1, ApiKey::Metadata, true),
            (7, ApiKey::Metadata, true),
            (i32::from_be_bytes(*b"GET "), ApiKey::Metadata, true),
        ] {
            let mut received = request(api, 9, &[]);
            received[..4].copy_from_slice(&length.to_be_bytes());
            assert_eq!(Frame::take(&mut received).is_err(), is_absurd, "{length}");
            assert!(received.capacity() <= 4 * RESERVE_BYTES);
        }
    }

    #[test]
    fn an_array_that_claims_two_billion_elements_makes_no_room_for_them() {
        let old = [&i32::MAX.to_be_bytes()[..], &[0; 12]].concat();
        let compact = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0];
        let endless = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        for (version, body) in [(1, &old[..]), (9, &compact[..]), (9, &endless[..])] {
            let mut received = request(ApiKey::Metadata, version, body);
            let frame = Frame::take(&mut received).expect("a length").expect("a frame");
            assert!(matches!(decode(frame), Err(FrameError::Malformed(ApiKey::Metadata, ..))));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut received = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = Frame::take(&mut received) {
                decode(frame).ok();
            }
        }

        #[test]
        fn arbitrary_and_truncated_bodies_never_panic(
            api in prop::sample::select(vec![
                (ApiKey::Produce, 3, 12), (ApiKey::Fetch, 4, 17), (ApiKey::Metadata, 0, 12), (ApiKey::JoinGroup, 0, 9),
                (ApiKey::OffsetCommit, 2, 9), (ApiKey::ConsumerGroupHeartbeat, 0, 1),
            ]),
            at in 0.0..1.0f64,
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (api, min, max) = api;
            let version = min + (f64::from(max - min + 1) * at) as i16;
            let mut received = request(api, version, &body);
            if let Ok(Some(frame)) = Frame::take(&mut received) {
                decode(frame).ok();
            }
        }
    }
}

//! Makes record batches, version 2. Their layout is in `batch`.

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{ATTRIBUTES_AT, CHECKED_FROM, CRC_AT, HEADER_BYTES, PREFIX_BYTES, PRODUCER_AT, TRANSACTIONAL};
use super::compression::{Compression, pack_lz4};
use crate::record::Header;

/// The writer of a batch and its place among the writer's batches. By it the broker distinguishes a resend from a new batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Number of the first record; wraps at 2^31.
    pub sequence: i32,
}

/// Collects records and makes batches of them.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    bytes: BytesMut,
    capacity: usize,
    count: i32,
    first_timestamp: i64,
    max_timestamp: i64,
}

/// A batch as it is sent, once it is stamped.
#[derive(Clone, Debug)]
pub struct EncodedBatch {
    bytes: Bytes,
    /// Number of records.
    pub count: i32,
}

impl BatchBuilder {
    /// For batches of about `capacity` bytes; larger ones are possible.
    pub fn new(capacity: usize) -> BatchBuilder {
        BatchBuilder { bytes: BytesMut::new(), capacity, count: 0, first_timestamp: 0, max_timestamp: 0 }
    }
    /// Adds a record.
    pub fn push(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) {
        if self.count == 0 {
            (self.first_timestamp, self.max_timestamp) = (timestamp_ms, timestamp_ms);
            self.bytes.reserve(self.capacity);
            self.bytes.resize(HEADER_BYTES, 0);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp_ms);
        let (timestamp_delta, offset_delta) = (timestamp_ms - self.first_timestamp, i64::from(self.count));
        let headers_length: usize =
            headers.iter().map(|h| field_length(Some(h.name.as_bytes())) + field_length(h.value.as_deref())).sum();
        let length = 1
            + varint_length(timestamp_delta)
            + varint_length(offset_delta)
            + field_length(key)
            + field_length(value)
            + varint_length(headers.len() as i64)
            + headers_length;
        let to = &mut self.bytes;
        to.reserve(length + 5);
        put_varint(to, length as i64);
        to.put_i8(0);
        put_varint(to, timestamp_delta);
        put_varint(to, offset_delta);
        put_field(to, key);
        put_field(to, value);
        put_varint(to, headers.len() as i64);
        for header in headers {
            put_field(to, Some(header.name.as_bytes()));
            put_field(to, header.value.as_deref());
        }
        self.count += 1;
    }
    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Bytes of the batch so far, before compression.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// The batch, not yet stamped; the builder is empty again. Must hold a record. Codecs other than LZ4 are written as none.
    pub fn finish(&mut self, compression: Compression) -> EncodedBatch {
        let mut bytes = self.bytes.split();
        let packed = match compression {
            Compression::Lz4 => pack_lz4(&bytes[HEADER_BYTES..]).ok(),
            Compression::None | Compression::Gzip | Compression::Snappy | Compression::Zstd => None,
        };
        let codec = if packed.is_some() { Compression::Lz4 } else { Compression::None };
        if let Some(packed) = packed {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&packed);
        }
        let length = (bytes.len() - PREFIX_BYTES) as i32;
        let mut header = &mut bytes[..HEADER_BYTES];
        header.put_i64(0); // base offset: the broker's to give
        header.put_i32(length);
        header.put_i32(-1); // leader epoch
        header.put_i8(2);
        header.put_u32(0); // checksum: with the stamp
        header.put_i16(codec as i16);
        header.put_i32(self.count - 1);
        header.put_i64(self.first_timestamp);
        header.put_i64(self.max_timestamp);
        header.put_i64(-1);
        header.put_i16(-1);
        header.put_i32(-1);
        header.put_i32(self.count);
        EncodedBatch { bytes: bytes.freeze(), count: std::mem::take(&mut self.count) }
    }
}

impl EncodedBatch {
    /// The batch itself.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// Makes the batch part of a transaction; before it is stamped.
    pub fn make_transactional(&mut self) {
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes));
        bytes[ATTRIBUTES_AT + 1] |= TRANSACTIONAL as u8;
        self.bytes = bytes.freeze();
    }
    /// Fixes who wrote the batch: every resend under the same stamp is the same bytes.
    pub fn stamp(&mut self, stamp: ProducerStamp) {
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes)); // copies only while a send still holds it
        let mut producer = &mut bytes[PRODUCER_AT..];
        producer.put_i64(stamp.id);
        producer.put_i16(stamp.epoch);
        producer.put_i32(stamp.sequence);
        let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        bytes[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        self.bytes = bytes.freeze();
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_length(value: i64) -> usize {
    ((64 - (zigzag(value) | 1).leading_zeros()) as usize).div_ceil(7)
}

fn put_varint(to: &mut BytesMut, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        to.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.put_u8(rest as u8);
}

/// Length of a nullable byte string with its own length in front.
fn field_length(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint_length(bytes.len() as i64) + bytes.len())
}

fn put_field(to: &mut BytesMut, field: Option<&[u8]>) {
    put_varint(to, field.map_or(-1, |bytes| bytes.len() as i64));
    to.put_slice(field.unwrap_or_default());
}

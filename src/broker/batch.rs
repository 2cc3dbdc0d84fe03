//! The header of a record batch as a producer sent it, and the batches the broker writes itself: transaction markers. The broker never
//! looks into records: it stores and serves them as they came. The layout is in `kafka::wire::batch`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

use crate::kafka::wire::batch::{CHECKED_FROM, HEADER_BYTES, PREFIX_BYTES};

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// Base offset, length and leader epoch: the broker may rewrite them, since the checksum does not cover them.
pub(super) const UNCHECKED_BYTES: usize = 16;

/// The fields in front of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub base: i64,
    /// Of the whole batch.
    pub length: usize,
    pub attributes: i16,
    pub last_delta: i32,
    pub max_timestamp: i64,
    pub producer: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub count: i32,
    magic: i8,
    crc: u32,
}

impl BatchHeader {
    /// `None` when the header is cut off or its length is impossible.
    pub(super) fn parse(bytes: &[u8]) -> Option<BatchHeader> {
        let mut header = bytes.get(..HEADER_BYTES)?;
        let (base, length, _leader_epoch) = (header.get_i64(), header.get_i32(), header.get_i32());
        let (magic, crc, attributes, last_delta) =
            (header.get_i8(), header.get_u32(), header.get_i16(), header.get_i32());
        let (_first_timestamp, max_timestamp, producer) = (header.get_i64(), header.get_i64(), header.get_i64());
        let (epoch, sequence, count) = (header.get_i16(), header.get_i32(), header.get_i32());
        let length = usize::try_from(length).ok()? + PREFIX_BYTES;
        (length >= HEADER_BYTES).then_some(BatchHeader {
            base,
            length,
            attributes,
            last_delta,
            max_timestamp,
            producer,
            epoch,
            sequence,
            count,
            magic,
            crc,
        })
    }
    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }
    /// Offset of the last record.
    pub(super) fn last(&self) -> i64 {
        self.base + i64::from(self.last_delta)
    }
    /// Number of the last record, which wraps at 2^31.
    pub(super) fn last_sequence(&self) -> i32 {
        self.sequence.wrapping_add(self.last_delta) & i32::MAX
    }

    /// Cuts the batches of a producer from `records`, each checked as Kafka checks it.
    pub(super) fn accept(mut records: Bytes, bytes_max: usize) -> Result<Vec<(BatchHeader, Bytes)>, ResponseError> {
        let mut batches = Vec::new();
        while !records.is_empty() {
            if records.get(UNCHECKED_BYTES).is_some_and(|magic| *magic != 2) {
                return Err(ResponseError::UnsupportedForMessageFormat);
            }
            let header = BatchHeader::parse(&records).ok_or(ResponseError::CorruptMessage)?;
            if header.length > records.len() {
                return Err(ResponseError::CorruptMessage);
            }
            if header.length > bytes_max {
                return Err(ResponseError::MessageTooLarge);
            }
            let batch = records.split_to(header.length);
            if crc32c::crc32c(&batch[CHECKED_FROM..]) != header.crc {
                return Err(ResponseError::CorruptMessage);
            }
            let counted = header.count > 0 && header.last_delta == header.count - 1;
            let numbered = header.producer < 0 || (header.epoch >= 0 && header.sequence >= 0);
            if !counted || !numbered || header.attributes & CONTROL != 0 || header.magic != 2 {
                return Err(ResponseError::InvalidRecord);
            }
            batches.push((header, batch));
        }
        Ok(batches)
    }
}

/// The marker that ends a producer's transaction in a partition.
pub(super) fn marker(producer: i64, epoch: i16, commit: bool, now_ms: i64) -> Bytes {
    let mut record = BytesMut::new();
    record.put_slice(&[0, 0, 0]); // attributes, timestamp delta, offset delta
    record.put_u8(2 * 4); // zigzag length of the key: version, type
    record.put_i16(0);
    record.put_i16(i16::from(commit));
    record.put_u8(2 * 6); // of the value: version, coordinator epoch
    record.put_i16(0);
    record.put_i32(0);
    record.put_u8(0); // headers

    let mut checked = BytesMut::new();
    checked.put_i16(TRANSACTIONAL | CONTROL);
    checked.put_i32(0);
    checked.put_i64(now_ms);
    checked.put_i64(now_ms);
    checked.put_i64(producer);
    checked.put_i16(epoch);
    checked.put_i32(-1);
    checked.put_i32(1);
    checked.put_u8(2 * record.len() as u8);
    checked.put_slice(&record);

    let mut batch = BytesMut::with_capacity(CHECKED_FROM + checked.len());
    batch.put_i64(0);
    batch.put_i32((CHECKED_FROM - PREFIX_BYTES + checked.len()) as i32);
    batch.put_i32(0);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&checked));
    batch.put_slice(&checked);
    batch.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::wire::batch::Batch;

    #[test]
    fn our_reader_understands_the_markers() {
        for commit in [true, false] {
            let mut bytes = marker(7, 3, commit, 1_000);
            let header = BatchHeader::parse(&bytes).expect("a header");
            assert_eq!((header.length, header.producer, header.epoch), (bytes.len(), 7, 3));
            let batch = Batch::next(&mut bytes).expect("a batch").expect("with the right checksum");
            assert!(batch.is_control() && batch.is_transactional());
            assert_eq!(batch.is_abort(), !commit);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            prop_assert!(BatchHeader::accept(bytes.into(), 1_000).is_err());
        }
    }
}

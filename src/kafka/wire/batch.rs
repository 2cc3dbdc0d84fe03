//! Reads record batches, version 2 (<https://kafka.apache.org/documentation/#recordbatch>): cuts records out of the fetched bytes without
//! copying, and takes a bad record or a bad batch for itself.
//!
//! ```text
//!  0 base offset i64       8 length i32          12 leader epoch i32    16 magic i8 = 2      17 CRC-32C u32 of all that follows
//! 21 attributes i16       23 last delta i32      27 first timestamp i64 35 max timestamp i64
//! 43 producer id i64      51 producer epoch i16  53 base sequence i32   57 count i32         61 records
//! record: length, attributes i8, timestamp delta, offset delta, key, value, header count, (name, value)*; lengths and deltas are
//! zigzag varints, a length of -1 is null
//! ```

use bytes::{Buf, Bytes};

use super::compression::{Compression, UNPACKED_BYTES_MAX, UnpackError, unpack};
use crate::record::{Header, Message, Offset, Record, Rejection};
use crate::transport::Fetched;

/// Length of a batch without its records.
pub const HEADER_BYTES: usize = 61;
/// Bytes of base offset and length: those in front of the bytes that the length counts.
pub(crate) const PREFIX_BYTES: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
/// The checksum covers everything from the attributes on.
pub(crate) const CHECKED_FROM: usize = 21;
pub(super) const PRODUCER_AT: usize = 43;

const LOG_APPEND_TIME: i16 = 0x08;
pub(super) const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// An unpacked batch beyond this does not stay in memory for the sake of records that are cut out of it: they are copied.
const SHARED_BYTES_MAX: usize = 4 << 20;

/// Headers of a record. Each takes two bytes on the wire, hardly one when packed, and dozens in memory.
const HEADERS_MAX: usize = 10_000;
/// Bytes of a header's name that are read. A name that means something is shorter.
const NAME_BYTES_MAX: usize = 1_024;
/// Memory of a record that cannot be decoded, about.
const POISON_COST: usize = 256;

/// A batch whose checksum is right.
#[derive(Debug)]
pub struct Batch {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset of its last record.
    pub last: Offset,
    /// Leader epoch in which it was written.
    pub leader_epoch: i32,
    /// Producer that wrote it, -1 for none.
    pub producer_id: i64,
    attributes: i16,
    first_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Bytes,
}

/// A batch that cannot be read; `last` is as its header says, which may be damaged too.
#[derive(Debug)]
pub struct BadBatch {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset of its last record.
    pub last: Offset,
    /// Its length.
    pub bytes: usize,
    /// Why.
    pub rejection: Rejection,
}

impl BadBatch {
    /// Poisons every offset from `from` to `last`, but no more than the batch has bytes: a damaged header could claim two billion. The rest
    /// is lost.
    pub fn poison(self, from: Offset, last: Offset, to: &mut Fetched) {
        let named = last.0.min(from.0.saturating_add(self.bytes as i64));
        to.poisoned.extend((from.0..=named).map(|offset| (Offset(offset), self.rejection.clone())));
        if named < last.0 {
            to.lost.push(Offset(named + 1)..last.next());
        }
    }
}

impl Batch {
    /// The next whole batch; `None` at the end and at a cut-off tail, which is normal in Kafka.
    pub fn next(fetched: &mut Bytes) -> Option<Result<Batch, BadBatch>> {
        if fetched.len() < HEADER_BYTES {
            return None;
        }
        let base = Offset((&fetched[..]).get_i64());
        let length = (&fetched[8..]).get_i32();
        let Some(whole) = usize::try_from(length).ok().map(|n| n + PREFIX_BYTES).filter(|n| *n >= HEADER_BYTES) else {
            fetched.clear(); // nothing behind it can be found
            let rejection = Rejection::new(Message::RecordCorrupt { why: format!("a batch of length {length}") });
            return Some(Err(BadBatch { base, last: base, bytes: HEADER_BYTES, rejection }));
        };
        if fetched.len() < whole {
            return None;
        }
        Some(Batch::read(base, fetched.split_to(whole)))
    }

    fn read(base: Offset, whole: Bytes) -> Result<Batch, BadBatch> {
        let leader_epoch = (&whole[12..]).get_i32();
        let mut header = &whole[16..HEADER_BYTES];
        let (magic, crc, attributes, last_delta) =
            (header.get_i8(), header.get_u32(), header.get_i16(), header.get_i32());
        let last = Offset(base.0.saturating_add(i64::from(last_delta.max(0))));
        let bad = |message| Err(BadBatch { base, last, bytes: whole.len(), rejection: Rejection::new(message) });
        if magic != 2 {
            return bad(Message::RecordMalformed { why: format!("a batch of format {magic}; only 2 is read") });
        }
        let found = crc32c::crc32c(&whole[CHECKED_FROM..]);
        if crc != found {
            let why = format!("batch checksum {found:08x}, its header says {crc:08x}");
            return bad(Message::RecordCorrupt { why });
        }
        let (first_timestamp, max_timestamp, producer_id) = (header.get_i64(), header.get_i64(), header.get_i64());
        header.advance(6); // producer epoch, base sequence
        let count = header.get_i32();
        let records = whole.slice(HEADER_BYTES..);
        Ok(Batch { base, last, leader_epoch, producer_id, attributes, first_timestamp, max_timestamp, count, records })
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }
    /// A commit or abort marker; not for users.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
    /// True for the marker that aborts its producer's transaction: key = version i16, type i16, where 0 is abort and 1 commit.
    pub fn is_abort(&self) -> bool {
        let mut fetched = Fetched::default();
        self.is_control() && {
            self.decode(self.base, &mut { usize::MAX }, &mut fetched);
            let key = fetched.records.first().and_then(|record| record.key.as_ref());
            key.is_some_and(|key| key.get(2..4) == Some(&[0, 0]))
        }
    }

    /// Appends the records from `from` on, as many as `budget` bytes of memory hold and at least one, and returns where to read on: behind the
    /// batch, or inside of it. The budget shrinks by what they take. So neither a batch that grows a thousandfold when unpacked nor one of millions of empty records takes more
    /// memory than any other; it is unpacked again instead.
    ///
    /// Records that cannot be decoded are poisoned one by one, offsets that compaction removed are lost. A batch that is too large when
    /// unpacked is refused whole. That takes all of the budget: unpacking it was the work of a whole answer.
    pub fn decode(&self, from: Offset, budget: &mut usize, to: &mut Fetched) -> Offset {
        let mut expected = from.max(self.base);
        let malformed = |why: String| Rejection::new(Message::RecordMalformed { why });
        let poison_rest = |from: Offset, rejection: Rejection, budget: &mut usize, to: &mut Fetched| {
            *budget = 0;
            BadBatch { base: self.base, last: self.last, bytes: self.records.len(), rejection }
                .poison(from, self.last, to);
            self.last.next()
        };
        let unpacked = match Compression::of(self.attributes) {
            Ok(codec) => unpack(codec, self.records.clone()),
            Err(message) => return poison_rest(expected, malformed(message), budget, to),
        };
        let unpacked = match unpacked {
            Ok(unpacked) => unpacked,
            Err(UnpackError::TooLarge) => {
                let rejection = Rejection::new(Message::BatchTooBig { limit: UNPACKED_BYTES_MAX });
                return poison_rest(expected, rejection, budget, to);
            }
            Err(damaged) => return poison_rest(expected, malformed(damaged.to_string()), budget, to),
        };
        let mut is_first = true;
        let mut rest = &unpacked[..];
        let affordable = *budget / size_of::<Record>();
        to.records.reserve(usize::try_from(self.count).unwrap_or(0).min(rest.len() / 7).min(affordable)); // 7: an empty record
        for index in 0..i64::from(self.count) {
            let record = match field(&mut rest) {
                Ok(Some(record)) => record,
                Ok(None) => return poison_rest(expected, malformed("a record of length -1".into()), budget, to),
                Err(message) => return poison_rest(expected, malformed(message.into()), budget, to),
            };
            let (offset, decoded) = self.record(index, record, &unpacked);
            if offset < from {
                continue; // Kafka does not split batches: what was read before comes again
            }
            if *budget == 0 && !is_first {
                return expected;
            }
            is_first = false;
            if offset < expected || offset > self.last {
                let message = format!("offset {offset} where {expected} was due");
                return poison_rest(expected, malformed(message), budget, to);
            }
            if offset > expected {
                to.lost.push(expected..offset);
            }
            match decoded {
                Ok(record) => {
                    *budget = budget.saturating_sub(record.memory_bytes());
                    to.records.push(record);
                }
                Err(message) => {
                    *budget = budget.saturating_sub(POISON_COST);
                    to.poisoned.push((offset, malformed(message.into())));
                }
            }
            expected = offset.next();
        }
        if expected <= self.last {
            to.lost.push(expected..self.last.next());
        }
        self.last.next()
    }

    /// A record and its offset; the offset of one whose head is damaged is taken from its place.
    fn record(&self, index: i64, bytes: &[u8], of: &Bytes) -> (Offset, Result<Record, &'static str>) {
        let mut rest = bytes;
        let head = (|| {
            rest = rest.get(1..).ok_or("an empty record")?;
            Ok((varint(&mut rest)?, varint(&mut rest)?))
        })();
        let (timestamp_delta, offset_delta) = match head {
            Ok(head) => head,
            Err(message) => return (Offset(self.base.0.saturating_add(index)), Err(message)),
        };
        let offset = Offset(self.base.0.saturating_add(offset_delta));
        let own = |field: Option<&[u8]>| {
            field.map(|field| match of.len() {
                0..=SHARED_BYTES_MAX => of.slice_ref(field),
                _ => Bytes::copy_from_slice(field),
            })
        };
        let body = (|| {
            let (key, value) = (own(field(&mut rest)?), own(field(&mut rest)?));
            let count = usize::try_from(varint(&mut rest)?).map_err(|_| "a negative number of headers")?;
            if count > HEADERS_MAX {
                return Err("more than 10,000 headers");
            }
            let mut headers = Vec::with_capacity(count.min(rest.len() / 2));
            for _ in 0..count {
                let name = field(&mut rest)?.ok_or("a header without a name")?;
                let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]).into();
                headers.push(Header { name, value: own(field(&mut rest)?) });
            }
            let is_append_time = self.attributes & LOG_APPEND_TIME != 0;
            let timestamp_ms =
                if is_append_time { self.max_timestamp } else { self.first_timestamp.saturating_add(timestamp_delta) };
            Ok(Record { offset, timestamp_ms, is_append_time, key, value, headers, passed_from: None })
        })();
        (offset, body)
    }
}

fn varint(rest: &mut &[u8]) -> Result<i64, &'static str> {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first().ok_or("the record ends inside a number")?;
        *rest = behind;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err("a number of more than 64 bits")
}

/// A nullable byte string with its length in front.
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let length = varint(rest)?;
    if length < 0 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| "a length of more than 64 bits")?;
    let field = rest.get(..length).ok_or("a field that is longer than what holds it")?;
    *rest = &rest[length..];
    Ok(Some(field))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::wire::batch_builder::{BatchBuilder, ProducerStamp};
    use crate::record::Reason;

    const STAMP: ProducerStamp = ProducerStamp { id: 7, epoch: 0, sequence: 0 };

    fn at(base: i64, batch: Bytes) -> Bytes {
        let mut batch = BytesMut::from(batch);
        batch[..8].copy_from_slice(&base.to_be_bytes()); // as the broker does; the checksum does not cover it
        batch.freeze()
    }
    fn batch(values: &[&str], compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(256);
        for (i, value) in values.iter().enumerate() {
            let headers = [Header::new("ss-row", format!("{i}")), Header { name: "null".into(), value: None }];
            builder.push(1_000 + i as i64, Some(b"k"), Some(value.as_bytes()), &headers);
        }
        let mut batch = builder.finish(compression);
        batch.stamp(STAMP);
        batch.bytes().clone()
    }
    /// Breaks one byte of the records and makes the checksum right again: a producer that writes nonsense.
    fn nonsense(batch: &Bytes, index: usize, byte: u8) -> Bytes {
        let mut batch = BytesMut::from(&batch[..]);
        batch[index] = byte;
        let crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
        batch[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        batch.freeze()
    }
    fn stamped(mut builder: BatchBuilder) -> Bytes {
        let mut batch = builder.finish(Compression::Lz4);
        batch.stamp(STAMP);
        batch.bytes().clone()
    }
    fn decode(mut bytes: Bytes, from: i64) -> Fetched {
        let mut fetched = Fetched::default();
        while let Some(batch) = Batch::next(&mut bytes) {
            match batch {
                Ok(batch) => {
                    batch.decode(Offset(from), &mut { usize::MAX }, &mut fetched);
                }
                Err(bad) => {
                    let (from, last) = (bad.base.max(Offset(from)), bad.last);
                    bad.poison(from, last, &mut fetched);
                }
            }
        }
        fetched
    }
    fn values(fetched: &Fetched) -> Vec<(i64, &[u8])> {
        fetched.records.iter().map(|r| (r.offset.0, r.value.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn records_come_back_with_their_null_header() {
        for compression in [Compression::None, Compression::Lz4] {
            let fetched = decode(at(40, batch(&["a", "b"], compression)), 0);
            assert_eq!(values(&fetched), [(40, &b"a"[..]), (41, b"b")]);
            assert_eq!(fetched.records[1].timestamp_ms, 1_001);
            assert_eq!(fetched.records[1].headers[0], Header::new("ss-row", "1"));
            assert_eq!(fetched.records[1].headers[1], Header { name: "null".into(), value: None });
        }
    }

    #[test]
    fn reading_begins_inside_a_batch() {
        assert_eq!(
            values(&decode(at(40, batch(&["a", "b", "c"], Compression::None)), 41)),
            [(41, &b"b"[..]), (42, b"c")]
        );
    }

    #[test]
    fn offsets_at_their_limits_harm_nobody() {
        let two = batch(&["a", "b"], Compression::None);
        // The second record ends before its offset.
        let headless = nonsense(&two, HEADER_BYTES + (two.len() - HEADER_BYTES) / 2, 2);
        for base in [i64::MIN, -1, i64::MAX - 1, i64::MAX] {
            let fetched = decode(at(base, two.clone()), i64::MIN);
            assert_eq!(values(&fetched).first(), Some(&(base, &b"a"[..])));
            let mut damaged = BytesMut::from(&at(base, two.clone())[..]);
            damaged[30] ^= 1;
            assert_eq!(decode(damaged.freeze(), i64::MIN).poisoned[0].0, Offset(base));
            let fetched = decode(at(base, headless.clone()), i64::MIN);
            assert_eq!(fetched.poisoned[0].0, Offset(base.saturating_add(1)));
        }
    }

    #[test]
    fn a_cut_off_tail_ends_the_fetch() {
        let whole = batch(&["a"], Compression::None);
        let cut = [&whole[..], &whole[..whole.len() - 1]].concat();
        assert_eq!(values(&decode(cut.into(), 0)), [(0, &b"a"[..])]);
    }

    #[test]
    fn a_flipped_bit_poisons_its_batch_and_no_other() {
        let mut corrupt = BytesMut::from(batch(&["a", "b"], Compression::None));
        corrupt[HEADER_BYTES + 8] ^= 1;
        let fetched = decode([&corrupt[..], &at(2, batch(&["c"], Compression::None))].concat().into(), 0);
        assert_eq!(values(&fetched), [(2, &b"c"[..])]);
        let poisoned: Vec<_> = fetched.poisoned.iter().map(|(offset, why)| (offset.0, why.reason)).collect();
        assert_eq!(poisoned, [(0, Reason::RecordCorrupt), (1, Reason::RecordCorrupt)]);
    }

    #[test]
    fn one_malformed_record_costs_one_record() {
        let whole = batch(&["a", "b", "c"], Compression::None);
        let record_bytes = (whole.len() - HEADER_BYTES) / 3;
        let key_length = HEADER_BYTES + record_bytes + 4; // of the second record
        let fetched = decode(nonsense(&whole, key_length, 0x7e), 0);
        assert_eq!(values(&fetched), [(0, &b"a"[..]), (2, b"c")]);
        assert_eq!(fetched.poisoned.len(), 1);
        assert_eq!((fetched.poisoned[0].0, fetched.poisoned[0].1.reason), (Offset(1), Reason::RecordMalformed));
    }

    #[test]
    fn unknown_codecs_poison_the_batch() {
        let fetched = decode(nonsense(&batch(&["a", "b"], Compression::None), CHECKED_FROM + 1, 7), 0);
        assert_eq!(fetched.poisoned.len(), 2);
        assert!(fetched.poisoned[0].1.message.to_string().contains("codec 7"), "{:?}", fetched.poisoned[0]);
    }

    #[test]
    fn compaction_inside_a_batch_is_lost() {
        let whole = batch(&["a"], Compression::None);
        let stretched = nonsense(&whole, 26, 3); // last delta 3 with one record, as the log cleaner leaves it
        assert_eq!(decode(stretched, 0).lost, [Offset(1)..Offset(4)]);
    }

    #[test]
    fn a_batch_beyond_the_budget_is_read_in_parts() {
        let values: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut bytes = at(40, batch(&texts, Compression::Lz4));
        let batch = Batch::next(&mut bytes).expect("whole").expect("right");
        let (mut next, mut reads, mut found) = (batch.base, 0, Vec::new());
        while next <= batch.last {
            let mut fetched = Fetched::default();
            next = batch.decode(next, &mut 20_000, &mut fetched);
            assert!(!fetched.records.is_empty() && fetched.records.len() < 200, "{}", fetched.records.len());
            found.extend(fetched.records.iter().map(|record| record.offset.0));
            reads += 1;
        }
        assert!(reads > 5);
        assert_eq!(found, (40..1_040).collect::<Vec<_>>());
        let mut one = Fetched::default();
        assert_eq!(batch.decode(batch.base, &mut 0, &mut one), batch.base.next());
        assert_eq!(one.records.len(), 1, "a record that alone is beyond the budget is read");
    }

    #[test]
    fn a_bomb_costs_its_own_batch() {
        let mut builder = BatchBuilder::new(1 << 20);
        builder.push(0, Some(b"k"), Some(&vec![b'a'; UNPACKED_BYTES_MAX]), &[]);
        let mut bomb = builder.finish(Compression::Lz4);
        bomb.stamp(STAMP);
        let fetched = decode([&bomb.bytes()[..], &at(1, batch(&["b"], Compression::None))].concat().into(), 0);
        assert_eq!(values(&fetched), [(1, &b"b"[..])]);
        assert_eq!((fetched.poisoned[0].0, fetched.poisoned[0].1.reason), (Offset(0), Reason::RecordTooBig));
    }

    #[test]
    fn a_bomb_is_the_work_of_a_whole_answer() {
        let mut builder = BatchBuilder::new(1 << 20);
        builder.push(0, None, Some(&vec![b'a'; UNPACKED_BYTES_MAX]), &[]);
        let mut bytes = stamped(builder);
        let bomb = Batch::next(&mut bytes).expect("whole").expect("right");
        let mut budget = 1_000_000;
        assert_eq!(bomb.decode(bomb.base, &mut budget, &mut Fetched::default()), bomb.last.next());
        assert_eq!(budget, 0);
    }

    #[test]
    fn a_record_has_only_so_many_headers_and_names_of_a_length() {
        let mut builder = BatchBuilder::new(256);
        let empty = Header { name: "".into(), value: None };
        builder.push(0, None, Some(b"a"), &vec![empty.clone(); HEADERS_MAX]);
        builder.push(0, None, Some(b"b"), &vec![empty; HEADERS_MAX + 1]);
        builder.push(0, None, Some(b"c"), &[Header::new(&"가".repeat(1 << 20), "d")]);
        let fetched = decode(stamped(builder), 0);
        assert_eq!(values(&fetched), [(0, &b"a"[..]), (2, b"c")]);
        assert_eq!((fetched.poisoned[0].0, fetched.poisoned[0].1.reason), (Offset(1), Reason::RecordMalformed));
        assert!(fetched.records[1].headers[0].name.len() <= NAME_BYTES_MAX + 2);
    }

    /// Each of them takes a byte, or less when packed, and a reason hundreds.
    #[test]
    fn records_that_cannot_be_decoded_take_of_the_budget_too() {
        let mut builder = BatchBuilder::new(256);
        (0..100).for_each(|_| builder.push(0, None, None, &vec![Header::new("", ""); HEADERS_MAX + 1]));
        let mut bytes = stamped(builder);
        let batch = Batch::next(&mut bytes).expect("whole").expect("right");
        let mut fetched = Fetched::default();
        let next = batch.decode(batch.base, &mut (10 * POISON_COST), &mut fetched);
        assert_eq!((next, fetched.poisoned.len()), (Offset(10), 10));
    }

    #[test]
    fn a_header_that_claims_two_billion_records_costs_no_more_than_its_bytes() {
        let whole = batch(&["a"], Compression::None);
        let mut corrupt = BytesMut::from(&whole[..]);
        corrupt[23] = 0x7f;
        let unknown_codec = nonsense(&nonsense(&whole, 23, 0x7f), CHECKED_FROM + 1, 7);
        let no_record = nonsense(&nonsense(&whole, 23, 0x7f), HEADER_BYTES, 1);
        for bytes in [corrupt.freeze(), unknown_codec, no_record] {
            let length = bytes.len();
            let fetched = decode(bytes, 0);
            assert!((1..=length + 1).contains(&fetched.poisoned.len()), "{}", fetched.poisoned.len());
            assert_eq!(fetched.lost.len(), 1);
            assert_eq!(fetched.lost[0], Offset(fetched.poisoned.len() as i64)..Offset((0x7f << 24) + 1));
        }
    }

    proptest! {
        #[test]
        fn any_record_comes_back(
            rows in prop::collection::vec((any::<i32>(), prop::option::of(any::<Vec<u8>>()), prop::option::of(any::<Vec<u8>>()), any::<String>()), 1..20),
            lz4: bool,
        ) {
            let mut builder = BatchBuilder::new(256);
            let mut expected = Vec::new();
            for (i, (timestamp, key, value, name)) in rows.into_iter().enumerate() {
                let (timestamp_ms, key, value) = (i64::from(timestamp), key.map(Bytes::from), value.map(Bytes::from));
                let headers = vec![Header { name: name.into(), value: value.clone() }];
                builder.push(timestamp_ms, key.as_deref(), value.as_deref(), &headers);
                expected.push((Offset(i as i64), timestamp_ms, key, value, headers));
            }
            let mut batch = builder.finish(if lz4 { Compression::Lz4 } else { Compression::None });
            batch.stamp(STAMP);
            let fetched = decode(batch.bytes().clone(), 0);
            prop_assert!(fetched.poisoned.is_empty() && fetched.lost.is_empty());
            let found: Vec<_> = fetched.records.into_iter().map(|r| (r.offset, r.timestamp_ms, r.key, r.value, r.headers)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), fix: bool) {
            if fix && bytes.len() >= HEADER_BYTES {
                let length = (bytes.len() - PREFIX_BYTES) as i32;
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
                bytes[16] = 2;
                let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
                bytes[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
            }
            let fetched = decode(bytes.into(), i64::MIN);
            prop_assert!(fetched.records.len() <= 400);
        }
    }
}

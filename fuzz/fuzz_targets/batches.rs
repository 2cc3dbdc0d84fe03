//! Record batches as a broker hands them over. The checksum is put right, so that what is behind it is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sheetstream::kafka::wire::batch::Batch;
use sheetstream::record::{Offset, Record};
use sheetstream::transport::Fetched;

/// Memory for the records of one fetch.
const BUDGET: usize = 1 << 20;
/// Bytes of a batch in front of what its length counts, and in front of what its checksum covers.
const PREFIX_BYTES: usize = 12;
const CHECKED_FROM: usize = 21;
const HEADER_BYTES: usize = 61;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_mended, bytes) = input;
    let mut bytes = bytes.to_vec();
    if is_mended && bytes.len() >= HEADER_BYTES {
        let length = (bytes.len() - PREFIX_BYTES) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let checksum = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        bytes[17..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    }
    let mut rest = bytes.into();
    while let Some(batch) = Batch::next(&mut rest) {
        let mut fetched = Fetched::default();
        match batch {
            Ok(batch) => {
                batch.is_abort();
                let mut from = batch.base;
                // A batch beyond the budget is read in parts; each goes on behind the one before.
                for _ in 0..100 {
                    let mut budget = BUDGET;
                    let next = batch.decode(from, &mut budget, &mut fetched);
                    assert!(next >= from);
                    if next > batch.last || next == from {
                        break;
                    }
                    from = next;
                }
            }
            Err(bad) => {
                let (base, last) = (bad.base, bad.last);
                bad.poison(base, last, &mut fetched);
            }
        }
        // Behind the last offset there is no other one.
        let is_before = |a: &Record, b: &Record| a.offset < b.offset || b.offset == Offset(i64::MAX);
        assert!(fetched.records.is_sorted_by(is_before));
    }
});

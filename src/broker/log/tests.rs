//! Appending, reading, dropping and truncating a log.

use proptest::prelude::*;

use super::*;
use crate::kafka::wire::batch_builder::{BatchBuilder, ProducerStamp};
use crate::kafka::wire::compression::Compression;

fn log(segment_bytes: u64) -> (Log, Arc<Space>) {
    let space = Arc::new(Space::new(1 << 30));
    (Log::new(space.clone(), segment_bytes), space)
}
/// A batch of so many records, each of so many bytes.
fn batch(records: usize, bytes: usize, producer: i64, epoch: i16, sequence: i32, time: i64) -> (BatchHeader, Bytes) {
    let mut builder = BatchBuilder::new(1_000);
    (0..records).for_each(|_| builder.push(time, None, Some(&vec![b'x'; bytes]), &[]));
    let mut batch = builder.finish(Compression::None);
    batch.stamp(ProducerStamp { id: producer, epoch, sequence });
    BatchHeader::accept(batch.bytes().clone(), usize::MAX).expect("a good one").pop().expect("a batch")
}
fn append(log: &mut Log, producer: i64, epoch: i16, sequence: i32) -> Result<i64, ResponseError> {
    let (header, bytes) = batch(2, 10, producer, epoch, sequence, 1);
    log.append(&header, &bytes)
}
/// First offsets of the batches that a reader at `from` is given.
fn read(log: &Log, from: i64, bytes_max: usize) -> Vec<i64> {
    let Some(slice) = log.slice(from, false).expect("in the log") else { return Vec::new() };
    let (mut bytes, last) = slice.read(bytes_max).expect("readable");
    let (mut bases, total) = (Vec::new(), bytes.len());
    let mut end = from - 1;
    while let Some(header) = BatchHeader::parse(&bytes) {
        assert!(header.last() >= from, "a batch before the first one that is wanted");
        bases.push(header.base);
        end = header.last();
        bytes.advance(header.length);
    }
    assert_eq!((bytes.len(), end), (0, last), "whole batches, and their last offset");
    assert!(bases.len() == 1 || total <= bytes_max, "more than was asked for");
    bases
}

#[test]
fn a_batch_that_is_sent_again_is_not_written_again() {
    let (mut log, _) = log(1 << 20);
    for sequence in [0, 2, 4] {
        assert_eq!(append(&mut log, 7, 0, sequence), Ok(i64::from(sequence)));
    }
    assert_eq!(append(&mut log, 7, 0, 2), Ok(2), "written before, at 2");
    assert_eq!(append(&mut log, 7, 0, 8), Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(append(&mut log, 7, 1, 3), Err(ResponseError::OutOfOrderSequenceNumber), "an epoch begins with 0");
    assert_eq!(append(&mut log, 7, 1, 0), Ok(6));
    assert_eq!(append(&mut log, 7, 0, 6), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(log.end(), 8);
}

#[test]
fn sequences_wrap() {
    let (mut log, _) = log(1 << 20);
    assert_eq!(append(&mut log, 7, 0, i32::MAX - 1), Ok(0));
    assert_eq!(append(&mut log, 7, 0, 0), Ok(2));
}

#[test]
fn what_nobody_needs_gives_its_space_back_by_whole_segments() {
    let (mut log, space) = log(1_000);
    (0..40).for_each(|n| assert!(append(&mut log, -1, -1, -1).is_ok_and(|base| base == 2 * n)));
    let (before, segments) = (space.used(), log.segments.len());
    assert!(segments > 3);
    log.release_below(1);
    assert_eq!((log.start(), space.used()), (0, before), "no segment is done with");
    let second = log.segments[1].base;
    log.release_below(second + 1);
    assert_eq!(log.start(), second);
    assert!(space.used() < before);
    assert_eq!(read(&log, second, 1), [second]);
    assert!(matches!(log.slice(second - 1, false), Err(ResponseError::OffsetOutOfRange)));
    log.release_below(80);
    assert_eq!((log.start(), log.end(), space.used()), (80, 80, 0));
    assert_eq!(append(&mut log, -1, -1, -1), Ok(80));
    assert_eq!(read(&log, 80, 1_000), [80]);
}

#[test]
fn rows_of_an_open_transaction_are_kept_and_held_back() {
    let (mut log, space) = log(1_000);
    let (mut header, bytes) = batch(2, 10, 7, 0, 0, 1);
    header.attributes |= 0x10;
    log.append(&header, &bytes).expect("written");
    (0..40).for_each(|_| assert!(append(&mut log, -1, -1, -1).is_ok()));
    assert_eq!(log.stable(), 0);
    log.release_below(80);
    log.retain_bytes(0);
    log.retain_since(i64::MAX);
    assert_eq!(log.start(), 0);
    assert!(log.slice(0, true).expect("in the log").is_none());
    log.end_transaction(7, false, &super::super::batch::marker(7, 0, false, 1)).expect("written");
    assert_eq!(log.stable(), log.end());
    let aborted: Vec<_> = log.aborted(0, 100).collect();
    assert_eq!(aborted, [Aborted { producer: 7, first: 0, last: 82 }]);
    log.retain_since(i64::MAX);
    assert!(log.start() > 0);
    drop(log);
    assert_eq!(space.used(), 0);
}

proptest! {
    #[test]
    fn every_offset_is_found_and_answers_are_whole_batches_within_their_limit(
        sizes in prop::collection::vec((1usize..5, prop_oneof![0usize..50, 3_000usize..9_000]), 1..60),
        at in 0.0..1.0f64, bytes_max in 0usize..20_000, segment_bytes in 500u64..50_000,
    ) {
        let (mut log, space) = log(segment_bytes);
        let mut bases = Vec::new();
        for (time, (records, bytes)) in sizes.into_iter().enumerate() {
            let (header, bytes) = batch(records, bytes, -1, -1, -1, time as i64);
            bases.push(log.append(&header, &bytes).expect("written"));
        }
        let from = (log.end() as f64 * at) as i64;
        let holding = bases.partition_point(|base| *base <= from) - 1;
        let found = read(&log, from, bytes_max);
        prop_assert_eq!(&found[..], &bases[holding..holding + found.len()]);
        prop_assert!(!found.is_empty(), "the first batch comes however large it is");
        prop_assert_eq!(space.used(), log.bytes());
        // Its time leads to the batch itself or to one before it.
        let slice = log.slice_at_time(holding as i64).expect("young enough");
        prop_assert!(slice.from <= bases[holding]);
    }
}

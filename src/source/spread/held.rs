//! Records that are held for their upload: in memory, and on disk when there are many. The records on disk are scratch: a restart reads
//! the repartition topic again.

use std::collections::VecDeque;

use bytes::Bytes;

use super::run::RunRecord;
use crate::record::{Offset, UploadHash};
use crate::state::keys::{decode, encode};
use crate::state::{PagePosition, StateError, StateStore};

/// Records of one upload from one run, in their order.
pub(super) struct Block {
    /// Offset of the run.
    pub(super) at: Offset,
    /// Offset of the first record in the source partition, and the one behind the last.
    pub(super) first: i64,
    pub(super) next: i64,
    pub(super) latest_ms: i64,
    /// Lines of the records: as many rows, unless cells have line breaks.
    pub(super) lines: u64,
    body: Body,
}

enum Body {
    Memory(Bytes),
    Disk(UploadHash, PagePosition),
}

impl Block {
    /// `records` are not empty.
    pub(super) fn new(at: Offset, records: &[RunRecord<'_>]) -> Block {
        Block {
            at,
            first: records.first().map_or(0, |record| record.offset),
            next: records.last().map_or(0, |record| record.offset + 1),
            latest_ms: records.iter().map(|record| record.timestamp_ms).max().unwrap_or(0),
            lines: records.iter().map(|record| lines(record.value.unwrap_or_default())).sum(),
            body: Body::Memory(encode(&records).into()),
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.body {
            Body::Memory(bytes) => bytes.len(),
            Body::Disk(..) => 0,
        }
    }

    /// Puts the block on disk.
    pub(super) fn spill(&mut self, segment: UploadHash, store: &mut dyn StateStore) -> Result<(), StateError> {
        if let Body::Memory(bytes) = &self.body {
            self.body = Body::Disk(segment, store.append(segment, bytes)?);
        }
        Ok(())
    }

    /// The records of the block, encoded.
    pub(super) fn read(&self, store: &dyn StateStore) -> Result<Bytes, StateError> {
        match &self.body {
            Body::Memory(bytes) => Ok(bytes.clone()),
            Body::Disk(segment, at) => {
                let mut bytes = Vec::new();
                store.read(*segment, *at, &mut bytes)?;
                Ok(bytes.into())
            }
        }
    }

    /// Brings the block back into memory.
    pub(super) fn load(&mut self, store: &dyn StateStore) -> Result<(), StateError> {
        self.body = Body::Memory(self.read(store)?);
        Ok(())
    }

    /// Cuts the block in front of the record at `offset` of the source partition.
    pub(super) fn split(
        self,
        offset: i64,
        store: &dyn StateStore,
    ) -> Result<(Option<Block>, Option<Block>), StateError> {
        if self.next <= offset {
            return Ok((Some(self), None));
        }
        if offset <= self.first {
            return Ok((None, Some(self)));
        }
        let body = self.read(store)?;
        let records = records(&body)?;
        let (below, rest) = records.split_at(records.partition_point(|record| record.offset < offset));
        let block = |records: &[RunRecord<'_>]| (!records.is_empty()).then(|| Block::new(self.at, records));
        Ok((block(below), block(rest)))
    }

    /// Whether `is_found` holds for one of its records.
    pub(super) fn any(
        &self,
        is_found: &dyn Fn(&RunRecord<'_>) -> bool,
        store: &dyn StateStore,
    ) -> Result<bool, StateError> {
        let body = self.read(store)?;
        Ok(records(&body)?.iter().any(is_found))
    }

    /// Offset of the first record that is later than `timestamp_ms`.
    pub(super) fn first_after(&self, timestamp_ms: i64, store: &dyn StateStore) -> Result<Option<i64>, StateError> {
        if self.latest_ms <= timestamp_ms {
            return Ok(None);
        }
        let body = self.read(store)?;
        Ok(records(&body)?.iter().find(|record| record.timestamp_ms > timestamp_ms).map(|record| record.offset))
    }
}

/// Lines of a value that are not empty.
fn lines(value: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', value).count() as u64;
    ends + u64::from(value.last().is_some_and(|last| *last != b'\n'))
}

/// The records of a block that was read.
pub(super) fn records(body: &Bytes) -> Result<Vec<RunRecord<'_>>, StateError> {
    decode(body).ok_or_else(|| StateError::Damaged("records that are held cannot be read".into()))
}

/// Divides `blocks` in front of the record at `offset`: those below, and the rest.
pub(super) fn part_at(
    blocks: VecDeque<Block>,
    offset: i64,
    store: &dyn StateStore,
) -> Result<(Vec<Block>, VecDeque<Block>), StateError> {
    let (mut below, mut rest) = (Vec::new(), VecDeque::new());
    for block in blocks {
        let (ours, theirs) = block.split(offset, store)?;
        below.extend(ours);
        rest.extend(theirs);
    }
    Ok((below, rest))
}

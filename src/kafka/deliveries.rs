//! The outcomes of the batches of a producer. The producer asks; the writers of its partitions report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::KafkaError;

/// The batches of one producer: their bytes in flight, what was acknowledged, and the first failure.
pub(super) struct Deliveries {
    /// One permit a byte; all are here when nothing is on its way.
    pub(super) room: Arc<Semaphore>,
    records: AtomicU64,
    /// The first failure since it was last taken.
    error: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    /// With room for so many bytes in flight.
    pub(super) fn new(buffer_bytes: u32) -> Deliveries {
        Deliveries {
            room: Arc::new(Semaphore::new(buffer_bytes as usize)),
            records: AtomicU64::new(0),
            error: Mutex::default(),
        }
    }
    pub(super) fn acknowledge(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
    pub(super) fn fail(&self, error: KafkaError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
    pub(super) fn take_error(&self) -> Result<(), KafkaError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

//! The ledger read back from the status topic, after local state was lost (contract 13).

use crate::kafka::KafkaClient;
use crate::record::{LedgerEntry, TopicPartition};
use crate::sink::status::StatusRecord;
use crate::transport::TransportError;

/// The terminal records of one task's status partition in their order, all that compaction has left: a replay needs the end before the last
/// one too.
pub fn read(client: &KafkaClient, status: &TopicPartition) -> Result<Vec<LedgerEntry>, TransportError> {
    let mut ledger = Vec::new();
    client.read_all(status, &mut |record| {
        ledger.extend(record.value.as_deref().and_then(StatusRecord::parse).and_then(|status| status.ledger()));
    })?;
    Ok(ledger)
}

//! The ledger read back from the status topic, after local state was lost (contract 13).

use crate::kafka::KafkaClient;
use crate::record::TopicPartition;
use crate::sink::status::StatusRecord;
use crate::state::keys::LedgerState;
use crate::transport::TransportError;

/// The terminal records of one task's status partition, the newest of each upload.
pub fn read(client: &KafkaClient, status: &TopicPartition) -> Result<Vec<LedgerState>, TransportError> {
    let mut ledger = std::collections::BTreeMap::new();
    client.read_all(status, &mut |record| {
        let entry = record.value.as_deref().and_then(StatusRecord::parse).and_then(|status| status.ledger());
        if let Some(entry) = entry {
            ledger.insert(entry.id.clone(), entry);
        }
    })?;
    Ok(ledger.into_values().collect())
}

//! The ledger read back from the status topic, after local state was lost (contract 13).

use crate::kafka::KafkaClient;
use crate::record::{LedgerEntry, LogId, TopicPartition};
use crate::sink::status::StatusRecord;
use crate::transport::TransportError;

/// The terminal records of one task's status partition in their order, all that compaction has left: a replay needs the end before the last
/// one too. Ends in another log than `log` count revisions only.
pub fn read(
    client: &KafkaClient,
    status: &TopicPartition,
    log: Option<LogId>,
) -> Result<Vec<LedgerEntry>, TransportError> {
    let mut ledger = Vec::new();
    client.read_committed(status, &mut |record| {
        let Some(status) = record.value.as_deref().and_then(StatusRecord::parse) else { return };
        let Some(entry) = status.ledger() else { return };
        let of = status.topic_id.as_deref().and_then(LogId::parse);
        let is_former = matches!((of, log), (Some(of), Some(log)) if of != log);
        ledger.push(if is_former { entry.into_former_log() } else { entry });
    })?;
    Ok(ledger)
}

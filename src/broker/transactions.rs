//! Producers and their transactions: the first version, in which partitions are announced, and the second (KIP-890), in which batches and
//! offsets announce themselves and every end gives the producer a new epoch.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::batch::{BatchHeader, marker};
use super::groups::Groups;
use super::offsets::Committed;
use super::topics::Topics;
use super::{Shared, State, code};
use crate::kafka::clock::now_ms;

/// `transaction.max.timeout.ms`, as in Kafka.
const TIMEOUT_MAX: Duration = Duration::from_secs(15 * 60);
/// First version of EndTxn in which every end gives a new epoch.
const NEW_EPOCH_VERSION: i16 = 5;
/// First version of EndTxn that knows PRODUCER_FENCED.
const FENCED_VERSION: i16 = 2;
/// First version of TxnOffsetCommit that says which member commits.
const MEMBER_VERSION: i16 = 3;
/// Transactional ids that are remembered.
const IDS_MAX: usize = 10_000;

/// All producers.
#[derive(Default)]
pub(super) struct Transactions {
    by_id: HashMap<String, Transaction>,
    ids: HashMap<i64, String>,
    next_producer: i64,
}

/// The state of a transactional id.
struct Transaction {
    producer: i64,
    epoch: i16,
    /// The producer before the last end: a repeated EndTxn still names it.
    previous: Option<(i64, i16)>,
    timeout: Duration,
    phase: Phase,
}

enum Phase {
    /// Nothing was sent yet.
    Empty,
    Open(Open),
    Ended {
        commit: bool,
    },
}

struct Open {
    since: Instant,
    partitions: BTreeSet<(String, i32)>,
    offsets: Vec<PendingOffset>,
}

struct PendingOffset {
    group: String,
    topic: String,
    partition: i32,
    committed: Committed,
}

impl Transaction {
    fn open(&mut self) -> &mut Open {
        if !matches!(self.phase, Phase::Open(_)) {
            let open = Open { since: Instant::now(), partitions: BTreeSet::new(), offsets: Vec::new() };
            self.phase = Phase::Open(open);
        }
        match &mut self.phase {
            Phase::Open(open) => open,
            Phase::Empty | Phase::Ended { .. } => unreachable!("just opened"),
        }
    }
}

impl Transactions {
    /// Lets a batch into its transaction; batches outside of one pass. `implicit` ones add their partition by themselves.
    pub(super) fn admit(
        &mut self,
        header: &BatchHeader,
        topic: &str,
        partition: i32,
        implicit: bool,
    ) -> Result<(), ResponseError> {
        if !header.is_transactional() {
            return Ok(());
        }
        let id = self.ids.get(&header.producer).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let transaction = self.by_id.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.producer != header.producer || transaction.epoch != header.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let at = (topic.to_owned(), partition);
        if implicit {
            transaction.open().partitions.insert(at);
            return Ok(());
        }
        match &transaction.phase {
            Phase::Open(open) if open.partitions.contains(&at) => Ok(()),
            Phase::Open(_) | Phase::Empty | Phase::Ended { .. } => Err(ResponseError::InvalidTxnState),
        }
    }
    pub(super) fn forget_topic(&mut self, topic: &str) {
        for transaction in self.by_id.values_mut() {
            if let Phase::Open(open) = &mut transaction.phase {
                open.partitions.retain(|(of, _)| of != topic);
            }
        }
    }
    /// Aborts what has been open for longer than its producer said. True if there was any.
    pub(super) fn expire(&mut self, topics: &Topics, groups: &mut Groups, now: Instant) -> bool {
        let late = self.by_id.iter().filter(|(_, transaction)| match &transaction.phase {
            Phase::Open(open) => now.saturating_duration_since(open.since) > transaction.timeout,
            Phase::Empty | Phase::Ended { .. } => false,
        });
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        for id in &late {
            tracing::debug!(id, "transaction timed out");
            // A disk that is full now is asked again at the next look.
            if self.finish(id, false, topics, groups).is_ok() {
                self.next_epoch(id);
            }
        }
        !late.is_empty()
    }

    fn check(&mut self, id: &str, producer: i64, epoch: i16) -> Result<&mut Transaction, ResponseError> {
        let transaction = self.by_id.get_mut(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if transaction.producer != producer {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if transaction.epoch != epoch { Err(ResponseError::InvalidProducerEpoch) } else { Ok(transaction) }
    }
    fn new_producer(&mut self) -> i64 {
        self.next_producer += 1;
        self.next_producer
    }
    /// Fences whoever writes under the epoch of today.
    fn next_epoch(&mut self, id: &str) -> Option<(i64, i16)> {
        let overflows = self.by_id.get(id)?.epoch >= i16::MAX - 1;
        let fresh = overflows.then(|| self.new_producer());
        let transaction = self.by_id.get_mut(id)?;
        transaction.previous = Some((transaction.producer, transaction.epoch));
        match fresh {
            Some(producer) => {
                self.ids.remove(&transaction.producer);
                self.ids.insert(producer, id.to_owned());
                (transaction.producer, transaction.epoch) = (producer, 0);
            }
            None => transaction.epoch += 1,
        }
        Some((transaction.producer, transaction.epoch))
    }
    /// Writes the markers, then the offsets count or are forgotten. May be called again after an error.
    fn finish(&mut self, id: &str, commit: bool, topics: &Topics, groups: &mut Groups) -> Result<(), ResponseError> {
        let Some(transaction) = self.by_id.get_mut(id) else { return Ok(()) };
        let Phase::Open(open) = &mut transaction.phase else { return Ok(()) };
        let marker = marker(transaction.producer, transaction.epoch, commit, now_ms());
        for (topic, partition) in &open.partitions {
            if let Some(partition) = topics.partition(topic, *partition) {
                partition.log().end_transaction(transaction.producer, commit, &marker)?;
            }
        }
        for PendingOffset { group, topic, partition, committed } in open.offsets.drain(..) {
            let Some(group) = groups.get_mut(&group) else { continue };
            group.offsets.end(&topic, partition);
            if commit && topics.get(&topic).is_some() {
                group.offsets.set(&topic, partition, committed);
            }
        }
        transaction.phase = Phase::Ended { commit };
        Ok(())
    }

    fn init(
        &mut self,
        id: &str,
        request: &InitProducerIdRequest,
        topics: &Topics,
        groups: &mut Groups,
    ) -> Result<(i64, i16), ResponseError> {
        let timeout = Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0));
        if timeout.is_zero() || timeout > TIMEOUT_MAX {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        if let Some(known) = self.by_id.get(id) {
            // KIP-360: a producer that continues must be the latest.
            let given = (request.producer_id.0, request.producer_epoch);
            if given.0 >= 0 && given != (known.producer, known.epoch) && Some(given) != known.previous {
                return Err(ResponseError::ProducerFenced);
            }
            self.finish(id, false, topics, groups)?;
        } else {
            if self.by_id.len() >= IDS_MAX {
                self.forget_idle();
            }
            let producer = self.new_producer();
            self.ids.insert(producer, id.to_owned());
            let new = Transaction { producer, epoch: -1, previous: None, timeout, phase: Phase::Empty };
            self.by_id.insert(id.to_owned(), new);
        }
        let identity = self.next_epoch(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if let Some(transaction) = self.by_id.get_mut(id) {
            (transaction.timeout, transaction.phase) = (timeout, Phase::Empty);
        }
        Ok(identity)
    }
    fn forget_idle(&mut self) {
        let idle = self.by_id.iter().find(|(_, transaction)| !matches!(transaction.phase, Phase::Open(_)));
        if let Some((id, producer)) = idle.map(|(id, transaction)| (id.clone(), transaction.producer)) {
            self.by_id.remove(&id);
            self.ids.remove(&producer);
        }
    }

    fn end(
        &mut self,
        request: &EndTxnRequest,
        version: i16,
        topics: &Topics,
        groups: &mut Groups,
    ) -> Result<(i64, i16), ResponseError> {
        let (id, commit) = (request.transactional_id.as_str(), request.committed);
        let given = (request.producer_id.0, request.producer_epoch);
        let known = self.by_id.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let today = (known.producer, known.epoch);
        let ended = match known.phase {
            Phase::Ended { commit } => Some(commit),
            Phase::Empty | Phase::Open(_) => None,
        };
        if given != today {
            // Sent again, for the answer with the new epoch was lost.
            return match ended {
                Some(outcome) if version >= NEW_EPOCH_VERSION && Some(given) == known.previous => {
                    if outcome == commit {
                        Ok(today)
                    } else {
                        Err(ResponseError::InvalidTxnState)
                    }
                }
                _ if given.0 != today.0 => Err(ResponseError::InvalidProducerIdMapping),
                _ if version >= FENCED_VERSION => Err(ResponseError::ProducerFenced),
                _ => Err(ResponseError::InvalidProducerEpoch),
            };
        }
        if !matches!(known.phase, Phase::Open(_)) {
            let repeated = version < NEW_EPOCH_VERSION && ended == Some(commit);
            return if repeated { Ok(today) } else { Err(ResponseError::InvalidTxnState) };
        }
        self.finish(id, commit, topics, groups)?;
        if version < NEW_EPOCH_VERSION {
            return Ok(today);
        }
        self.next_epoch(id).ok_or(ResponseError::InvalidProducerIdMapping)
    }
}

pub(super) fn init_producer(shared: &Shared, request: InitProducerIdRequest, version: i16) -> InitProducerIdResponse {
    let mut state = shared.state();
    let State { topics, groups, transactions } = &mut *state;
    let identity = match &request.transactional_id {
        None => Ok((transactions.new_producer(), 0)),
        Some(id) => transactions.init(id, &request, topics, groups),
    };
    shared.data.notify_waiters();
    let identity = identity.map_err(|refusal| match refusal {
        ResponseError::ProducerFenced if version < 4 => ResponseError::InvalidProducerEpoch,
        other => other,
    });
    let error = code(&identity);
    let (producer, epoch) = identity.unwrap_or((-1, -1));
    InitProducerIdResponse::default()
        .with_error_code(error)
        .with_producer_id(ProducerId(producer))
        .with_producer_epoch(epoch)
}

pub(super) fn add_partitions(shared: &Shared, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let mut state = shared.state();
    let State { topics, transactions, .. } = &mut *state;
    let id = &request.v3_and_below_transactional_id;
    let (producer, epoch) = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
    let results = request.v3_and_below_topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let added = match topics.partition(&topic.name, *index) {
                None => Err(ResponseError::UnknownTopicOrPartition),
                Some(_) => transactions.check(id, producer, epoch).map(|transaction| {
                    transaction.open().partitions.insert((topic.name.to_string(), *index));
                }),
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code(&added))
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(partitions)
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(super) fn add_offsets(shared: &Shared, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let mut state = shared.state();
    let id = request.transactional_id.as_str();
    let checked = state.transactions.check(id, request.producer_id.0, request.producer_epoch);
    let added = checked.map(|transaction| transaction.open().since);
    AddOffsetsToTxnResponse::default().with_error_code(code(&added))
}

/// Offsets that count when the transaction is committed.
pub(super) fn commit_offsets(
    shared: &Shared,
    request: TxnOffsetCommitRequest,
    version: i16,
) -> TxnOffsetCommitResponse {
    let mut state = shared.state();
    let State { topics, groups, transactions } = &mut *state;
    let (id, producer, epoch) = (request.transactional_id, request.producer_id.0, request.producer_epoch);
    let mut commit = |topic: &str, partition: i32, committed: Result<Committed, ResponseError>| {
        let transaction = transactions.check(&id, producer, epoch)?;
        let group = groups.obtain(&request.group_id)?;
        let is_member = version >= MEMBER_VERSION && (request.generation_id >= 0 || !request.member_id.is_empty());
        if is_member {
            let slot = topics.get(topic).map(|topic| (topic.id, partition));
            let checked = group.check_commit(&request.member_id, request.generation_id, slot);
            checked.map_err(|refusal| match refusal {
                ResponseError::StaleMemberEpoch => ResponseError::IllegalGeneration, // as Kafka says it here
                other => other,
            })?;
        }
        let committed = committed?;
        group.offsets.begin(topic, partition);
        let (group, topic) = (request.group_id.to_string(), topic.to_owned());
        transaction.open().offsets.push(PendingOffset { group, topic, partition, committed });
        Ok(())
    };
    let answered = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
            let metadata = asked.committed_metadata.as_deref();
            let checked = Committed::check(topics, &topic.name, index, offset, leader_epoch, metadata);
            let committed: Result<(), ResponseError> = commit(&topic.name, index, checked);
            TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code(&committed))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(answered.collect())
}

pub(super) fn end(shared: &Shared, request: EndTxnRequest, version: i16) -> EndTxnResponse {
    let mut state = shared.state();
    let State { topics, groups, transactions } = &mut *state;
    let ended = transactions.end(&request, version, topics, groups);
    shared.data.notify_waiters();
    let response = EndTxnResponse::default().with_error_code(code(&ended));
    match ended {
        Ok((producer, epoch)) if version >= NEW_EPOCH_VERSION => {
            response.with_producer_id(ProducerId(producer)).with_producer_epoch(epoch)
        }
        Ok(_) | Err(_) => response,
    }
}

//! Transactions: what is written under one producer identity, and the offset that goes with it, count together or not at all (KIP-98). A new
//! holder of a transactional id fences the former one. Spoken are the transactions of KIP-890, where the cluster has them, and those before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest, ProducerId,
    TopicName, TransactionalId, TxnOffsetCommitRequest,
};

use super::group::Group;
use super::wire::backoff::Backoff;
use super::wire::cluster::{Cluster, CoordinatorOf};
use super::wire::connection::Connection;
use super::wire::rights::Resource;
use super::wire::text::text;
use super::{Code, KafkaError};
use crate::record::TopicPartition;
use crate::transport::{Fence, Progress, TransportError};

/// First wait after a refusal: the marker of the transaction before is written within milliseconds.
const FIRST_WAIT: Duration = Duration::from_millis(3);
/// Level of the feature `transaction.version` from which on writing adds a partition and every end has a new epoch (KIP-890).
const IMPLICIT_LEVEL: i16 = 2;

/// Id and epoch of a producer.
pub(super) type Identity = (i64, i16);

/// The transactions under one transactional id, one after another.
pub(super) struct Transaction {
    cluster: Arc<Cluster>,
    id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before [`Transaction::begin`], and after an end whose outcome is not known.
    identity: Option<Identity>,
    /// KIP-890.
    is_implicit: bool,
    /// When the first was written since the last end.
    open_since: Option<Instant>,
    /// Partitions that the coordinator knows to be part of the open one.
    added: BTreeSet<TopicPartition>,
    /// By partition the number of the next record under this identity: what was acknowledged so far.
    sequences: BTreeMap<TopicPartition, i32>,
}

impl Transaction {
    /// Asks for nothing yet.
    pub(super) fn new(cluster: Arc<Cluster>, id: String) -> Transaction {
        Transaction { cluster, id, state: Mutex::default() }
    }
    /// The transactional id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
    /// The identity of today; without one nothing can be written.
    pub(super) fn identity(&self) -> Result<Identity, KafkaError> {
        self.state().identity.ok_or_else(|| KafkaError::Transaction { id: self.id.clone() })
    }
    /// Something was written that [`Transaction::commit`] has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.state().open_since.is_some()
    }
    /// The true reason of `error` where the brokers have aborted the transaction for it took too long: they answer as if its id had been
    /// taken over.
    pub(super) fn explain(&self, error: TransportError) -> TransportError {
        let (limit, open_for) =
            (self.cluster.config.transaction_timeout, self.state().open_since.map(|since| since.elapsed()));
        match (error, open_for) {
            (TransportError::Fenced(text), Some(open_for)) if open_for > limit => TransportError::Failed(format!(
                "the transaction of {} was open for {} s and was aborted by the brokers, for it may take {} s: set transaction.timeout.ms higher, up to their transaction.max.timeout.ms, for a workbook that takes so long to send, or use guarantee = \"at_least_once\" ({text})",
                self.id,
                open_for.as_secs(),
                limit.as_secs()
            )),
            (error, _) => error,
        }
    }
    /// Writing adds partitions by itself.
    pub(super) fn is_implicit(&self) -> bool {
        self.state().is_implicit
    }

    /// Number of the next record that is written to `partition`.
    pub(super) fn sequence(&self, partition: &TopicPartition) -> i32 {
        self.state().sequences.get(partition).copied().unwrap_or(0)
    }
    /// So many more records were written to `partition`.
    pub(super) fn acknowledge(&self, partition: &TopicPartition, records: i32) {
        let mut state = self.state();
        let sequence = state.sequences.entry(partition.clone()).or_default();
        *sequence = sequence.wrapping_add(records) & i32::MAX;
    }

    /// Takes the transactional id over: whoever had it is fenced, what it left open is aborted, or completed if its end had begun.
    pub(super) async fn begin(&self) -> Result<(), KafkaError> {
        let mut backoff = self.backoff("begin transactions");
        loop {
            match self.try_begin().await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.forget_coordinator(&error);
                    backoff.wait(error).await?;
                }
            }
        }
    }
    async fn try_begin(&self) -> Result<(), KafkaError> {
        let coordinator = self.coordinator().await?;
        let timeout = i32::try_from(self.cluster.config.transaction_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(timeout)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer = coordinator.call(&request, 5).await?;
        let too_long = (Code(answer.error_code) == Code::INVALID_TRANSACTION_TIMEOUT).then(|| {
            text(&format!(
                "transaction.timeout.ms={timeout} is above the brokers' transaction.max.timeout.ms: set it lower"
            ))
        });
        coordinator.check::<InitProducerIdRequest>(answer.error_code, too_long.as_ref(), self.resource())?;
        *self.state() = State {
            identity: Some((answer.producer_id.0, answer.producer_epoch)),
            is_implicit: coordinator.feature("transaction.version") >= IMPLICIT_LEVEL,
            ..State::default()
        };
        Ok(())
    }

    /// Makes `partition` part of the transaction; before anything is written to it.
    pub(super) async fn add(&self, partition: &TopicPartition) -> Result<(), KafkaError> {
        let (producer, epoch) = self.identity()?;
        {
            let mut state = self.state();
            state.open_since.get_or_insert_with(Instant::now);
            if state.is_implicit || state.added.contains(partition) {
                return Ok(());
            }
        }
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(&partition.topic)))
            .with_partitions(vec![partition.partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(ProducerId(producer))
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![topic]);
        let coordinator = self.coordinator().await?;
        let answer = coordinator.call(&request, 3).await.inspect_err(|error| self.forget_coordinator(error))?;
        let answered = answer.results_by_topic_v3_and_below.first();
        let answered = answered.and_then(|topic| topic.results_by_partition.first());
        let answered =
            answered.ok_or_else(|| coordinator.malformed::<AddPartitionsToTxnRequest>("no partition in the answer"))?;
        let resource = self.resource().and_topic(&partition.topic);
        coordinator
            .check::<AddPartitionsToTxnRequest>(answered.partition_error_code, None, resource)
            .inspect_err(|error| self.forget_coordinator(error))?;
        self.state().added.insert(partition.clone());
        Ok(())
    }

    /// Ends the transaction with the offset. After an error the outcome may not be known: nothing is written under this identity any more,
    /// and [`Transaction::begin`] settles it.
    pub(super) async fn commit(
        &self,
        group: &Group,
        partition: &TopicPartition,
        progress: &Progress,
        fence: &Fence,
    ) -> Result<(), KafkaError> {
        let ended = async {
            self.commit_offset(group, partition, progress, fence).await?;
            self.end().await
        };
        let ended = ended.await;
        if ended.is_err() {
            self.state().identity = None;
        }
        ended
    }

    async fn commit_offset(
        &self,
        group: &Group,
        partition: &TopicPartition,
        progress: &Progress,
        fence: &Fence,
    ) -> Result<(), KafkaError> {
        let mut backoff = self.backoff("commit offset in transaction");
        let mut fence = fence.clone();
        let mut is_added = self.is_implicit();
        let (mut progress, unlisted) = (progress, progress.unlisted());
        loop {
            let tried = async {
                if !is_added {
                    self.add_group(group).await?;
                    is_added = true;
                }
                self.try_commit_offset(group, partition, progress, &fence).await
            };
            let Err(error) = tried.await else { return Ok(()) };
            if error.code() == Some(Code::OFFSET_METADATA_TOO_LARGE) && *progress != unlisted {
                progress = &unlisted;
                continue;
            }
            if let Some(renewed) = group.membership.fence_after(&error, partition, &fence) {
                fence = renewed; // brokers before 4.3 take the newest epoch only, as classic groups do
                continue;
            }
            if group.membership.may_be_renewed(&error) {
                backoff.wait_for_mending(error).await?;
                continue;
            }
            if error.code().is_none_or(Code::is_wrong_broker) {
                self.cluster.forget_coordinator(group.id());
            }
            self.forget_coordinator(&error);
            backoff.wait(error).await?;
        }
    }
    async fn add_group(&self, group: &Group) -> Result<(), KafkaError> {
        let (producer, epoch) = self.identity()?;
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(producer))
            .with_producer_epoch(epoch)
            .with_group_id(GroupId(text(group.id())));
        let coordinator = self.coordinator().await?;
        let answer = coordinator.call(&request, 3).await?;
        let resource = Resource::group(group.id()).and_transaction(&self.id);
        coordinator.check::<AddOffsetsToTxnRequest>(answer.error_code, None, resource)?;
        self.state().open_since.get_or_insert_with(Instant::now);
        Ok(())
    }
    async fn try_commit_offset(
        &self,
        group: &Group,
        at: &TopicPartition,
        progress: &Progress,
        fence: &Fence,
    ) -> Result<(), KafkaError> {
        let (producer, epoch) = self.identity()?;
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(at.partition)
            .with_committed_offset(progress.next.0)
            .with_committed_leader_epoch(progress.leader_epoch.unwrap_or(-1))
            .with_committed_metadata(Some(text(&progress.metadata())));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text(&at.topic)))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(GroupId(text(group.id())))
            .with_producer_id(ProducerId(producer))
            .with_producer_epoch(epoch)
            .with_generation_id(fence.epoch)
            .with_member_id(text(&fence.member))
            .with_topics(vec![topic]);
        let coordinator = self.cluster.coordinator(group.id()).await?;
        let _turn = group.membership.turn.lock().await;
        let version_max = if self.is_implicit() { 5 } else { 4 };
        let answer = coordinator.call(&request, version_max).await?;
        let answered = answer.topics.first().and_then(|topic| topic.partitions.first());
        let answered =
            answered.ok_or_else(|| coordinator.malformed::<TxnOffsetCommitRequest>("no partition in the answer"))?;
        let resource = Resource::group(group.id()).and_topic(&at.topic).and_transaction(&self.id);
        coordinator.check::<TxnOffsetCommitRequest>(answered.error_code, None, resource)
    }

    /// Commits. A refusal that passes is asked again; an answer that does not come is not: whether the broker obeyed is not known.
    async fn end(&self) -> Result<(), KafkaError> {
        let mut backoff = self.backoff("end transaction");
        let before = self.identity()?;
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(before.0))
            .with_producer_epoch(before.1)
            .with_committed(true);
        let version_max = if self.is_implicit() { 5 } else { 4 };
        loop {
            let coordinator = match self.coordinator().await {
                Ok(coordinator) => coordinator,
                Err(error) => {
                    backoff.wait(error).await?; // nothing was sent
                    continue;
                }
            };
            let answer = coordinator.call(&request, version_max).await?;
            match coordinator.check::<EndTxnRequest>(answer.error_code, None, self.resource()) {
                Ok(()) => {
                    let mut state = self.state();
                    if state.is_implicit {
                        state.identity = Some((answer.producer_id.0, answer.producer_epoch));
                        state.sequences.clear();
                    }
                    state.open_since = None;
                    state.added.clear();
                    return Ok(());
                }
                Err(error) => {
                    self.forget_coordinator(&error);
                    backoff.wait(error).await?;
                }
            }
        }
    }

    fn backoff(&self, operation: &'static str) -> Backoff {
        let config = &self.cluster.config;
        Backoff::new(operation, config.retry_deadline.min(config.delivery_timeout)).starting_at(FIRST_WAIT)
    }
    async fn coordinator(&self) -> Result<Arc<Connection>, KafkaError> {
        self.cluster.coordinator_of(CoordinatorOf::Transaction(&self.id)).await
    }
    fn forget_coordinator(&self, error: &KafkaError) {
        if error.code().is_none_or(Code::is_wrong_broker) {
            self.cluster.forget_coordinator_of(CoordinatorOf::Transaction(&self.id));
        }
    }
    fn resource(&self) -> Resource<'_> {
        Resource::transaction(&self.id)
    }
    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

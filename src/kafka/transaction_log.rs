//! Whether the brokers can keep the log of transactions. They make it when they are first asked for a transaction, with as many copies as
//! their setting says, or not at all; a producer would wait for it for ever.

use std::time::Duration;

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;

use super::wire::backoff::Backoff;
use super::wire::cluster::{Cluster, CoordinatorOf};
use super::wire::text::text;
use super::{Code, KafkaClient, KafkaError};
use crate::transport::TransportError;

/// Its name.
const LOG: &str = "__transaction_state";
/// Copies that it is made with: the brokers' setting, and its default.
const COPIES: &str = "transaction.state.log.replication.factor";
const COPIES_DEFAULT: usize = 3;
/// Resource type of a broker in `DescribeConfigs`.
const BROKER_RESOURCE: i8 = 4;
/// How long brokers may take to make it.
const PATIENCE: Duration = Duration::from_secs(10);

impl KafkaClient {
    /// Why the cluster cannot keep a log of transactions, and what to do; `None` when it can, or does not let us see whether.
    pub fn transaction_log_shortage(&self) -> Result<Option<String>, TransportError> {
        Ok(self.block_on(shortage(&self.cluster))?)
    }
    /// Waits until there is one for transactions under `id`, or says why there is none. Fails if this user has no right to them.
    pub fn prepare_transactions(&self, id: &str) -> Result<Option<String>, TransportError> {
        Ok(self.block_on(prepare(&self.cluster, id))?)
    }
}

async fn prepare(cluster: &Cluster, id: &str) -> Result<Option<String>, KafkaError> {
    if let Some(shortage) = shortage(cluster).await? {
        return Ok(Some(shortage));
    }
    let mut backoff =
        Backoff::new("find the coordinator of transactions", PATIENCE).starting_at(Duration::from_millis(20));
    loop {
        let Err(error) = cluster.coordinator_of(CoordinatorOf::Transaction(id)).await else { return Ok(None) };
        match backoff.wait(error).await {
            Ok(()) => {}
            Err(error @ KafkaError::Deadline { .. }) if may_be_short(cluster).await? => {
                return Ok(Some(format!(
                    "the brokers do not make {LOG}, so there are no transactions: {error}; their log says why; {COPIES} may be above \
                     their number"
                )));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Not every user may see how the brokers are set, and whether the log is there.
async fn may_be_short(cluster: &Cluster) -> Result<bool, KafkaError> {
    let (_, answer) = cluster.metadata(Some(&[LOG])).await?;
    let code = answer.topics.first().map_or(Code::UNKNOWN_TOPIC_OR_PARTITION, |topic| Code(topic.error_code));
    Ok(match code {
        Code(0) => false,
        Code::UNKNOWN_TOPIC_OR_PARTITION => true,
        _ => answer.brokers.len() < COPIES_DEFAULT,
    })
}

async fn shortage(cluster: &Cluster) -> Result<Option<String>, KafkaError> {
    let (connection, answer) = cluster.metadata(Some(&[LOG])).await?;
    if answer.topics.first().is_some_and(|topic| topic.error_code == 0) {
        return Ok(None);
    }
    let brokers = answer.brokers.len();
    // Only a broker itself says how it is set, and which of them answers is not known.
    for broker in &answer.brokers {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER_RESOURCE)
            .with_resource_name(text(&broker.node_id.0.to_string()))
            .with_configuration_keys(Some(vec![text(COPIES)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = connection.call(&request, 4).await?;
        let described = answer.results.first().filter(|described| described.error_code == 0);
        let value = described.and_then(|described| described.configs.first()?.value.as_ref()?.parse::<usize>().ok());
        if let Some(copies) = value {
            let shortage = format!(
                "{LOG} cannot be created, so there are no transactions: {COPIES} is {copies} and there are {brokers} brokers; lower it on the brokers, start more of them, or run with the guarantee at_least_once"
            );
            return Ok((copies > brokers).then_some(shortage));
        }
    }
    Ok(None)
}

//! How long a command waits for a cluster that does not answer, and the message after that.

use std::time::Duration;

use clap::Args;
use sheetstream::client::doctor::{self, ANSWER_LIMIT, Verdict};
use sheetstream::kafka::{KafkaClient, KafkaConfig};

use super::Exit;

/// Limit of a single request, however patient the command is.
const REQUEST_MAX: Duration = Duration::from_secs(10);
const REQUEST_MIN: Duration = Duration::from_secs(1);

/// How long brokers that do not answer are waited for.
#[derive(Args, Debug)]
pub(super) struct Patience {
    /// How long to wait for brokers that do not answer, in seconds
    #[arg(help_heading = "Kafka", long, default_value_t = 10, value_name = "SECONDS")]
    timeout: u64,
}

impl Patience {
    /// Runs a command with a client that gives up in time.
    pub(super) fn run(
        &self,
        kafka: KafkaConfig,
        command: impl FnOnce(&KafkaClient) -> anyhow::Result<Exit>,
    ) -> anyhow::Result<Exit> {
        run_within(Duration::from_secs(self.timeout), kafka, command)
    }
}

/// Runs a command with a client that gives up after `limit`. When no broker answers, the error says what `doctor` would say.
pub(super) fn run_within(
    limit: Duration,
    mut kafka: KafkaConfig,
    command: impl FnOnce(&KafkaClient) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    kafka.retry_deadline = limit;
    let request = (limit / 3).clamp(REQUEST_MIN, REQUEST_MAX); // for two tries and a look at what is wrong
    (kafka.request_timeout, kafka.connect_timeout) =
        (kafka.request_timeout.min(request), kafka.connect_timeout.min(request));
    let runtime = super::io_runtime()?;
    let outcome = command(&KafkaClient::new(runtime.handle().clone(), kafka.clone()));
    outcome.map_err(|error| match Exit::from(&error) {
        Exit::Unavailable => diagnosed(error, &client_within(ANSWER_LIMIT.min(request), runtime.handle(), kafka)),
        _ => error,
    })
}

/// A client that gives each answer a few seconds, as looking things over wants it.
pub(super) fn quick_client(runtime: &tokio::runtime::Handle, kafka: KafkaConfig) -> KafkaClient {
    client_within(ANSWER_LIMIT, runtime, kafka)
}

fn client_within(limit: Duration, runtime: &tokio::runtime::Handle, mut kafka: KafkaConfig) -> KafkaClient {
    (kafka.connect_timeout, kafka.request_timeout, kafka.retry_deadline) = (limit, limit, limit);
    KafkaClient::new(runtime.clone(), kafka)
}

/// The error with what `doctor` finds wrong with the brokers.
fn diagnosed(error: anyhow::Error, client: &KafkaClient) -> anyhow::Error {
    let findings = doctor::examine(client, &[], None).into_iter().filter(|finding| finding.verdict != Verdict::Ok);
    let said: Vec<String> = findings
        .map(|finding| match finding.advice {
            Some(advice) => format!("{}; {advice}", finding.what),
            None => finding.what,
        })
        .collect();
    if said.is_empty() {
        error
    } else {
        let said = said.join("; ");
        error.context(format!("the cluster does not answer; `sheetstream doctor` says: {said}; last error"))
    }
}

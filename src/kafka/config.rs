//! The configuration of a client: [`Settings`] made into values for addresses, credentials and timeouts.

use std::time::Duration;

use super::group::Protocol;
use super::security::Security;
use super::settings::{Settings, SettingsError};
use super::wire::compression::Compression;

/// A client's configuration.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `host:port` of brokers to begin with; always tried again, so that a cluster that moved is found.
    pub bootstrap: Vec<String>,
    /// Name under which an operator sees us (`kafka-consumer-groups --describe`, quotas, broker logs).
    pub client_id: String,
    /// Rack that we are in, for the nearest copy of a partition; empty for none.
    pub client_rack: String,
    /// TLS and SASL.
    pub security: Security,
    /// The records that readers of transactional topics see.
    pub isolation: Isolation,
    /// Limit of a connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit of a single request.
    pub request_timeout: Duration,
    /// Limit of one operation with all its retries; past it the operation fails as `Unavailable`. A service waits for its broker without
    /// limit, a command does not.
    pub retry_deadline: Duration,
    /// Limit of a batch on its way to a topic with all its retries, when that is sooner: a topic that takes no writes stops what writes
    /// to it, and nothing else that shares the thread.
    pub delivery_timeout: Duration,
    /// First pause of a retry; each further one is twice as long.
    pub backoff: Duration,
    /// Longest pause of a retry.
    pub backoff_max: Duration,
    /// How long the leaders and partitions of a topic are believed.
    pub metadata_max_age: Duration,
    /// Protocol of the consumer group; `None` for the newest that the cluster has.
    pub group_protocol: Option<Protocol>,
    /// In a classic group: after this long without a heartbeat a member is put out.
    pub session_timeout: Duration,
    /// In a classic group: between heartbeats.
    pub heartbeat_interval: Duration,
    /// How long the brokers keep a transaction of ours whose process is silent.
    pub transaction_timeout: Duration,
    /// How rows are sent.
    pub compression: Compression,
    /// Bytes of rows that are sent at once.
    pub batch_bytes: usize,
}

impl Default for KafkaConfig {
    /// The configuration without any settings.
    fn default() -> KafkaConfig {
        KafkaConfig::read(&Settings::default(), "sheetstream").expect("defaults are valid")
    }
}

impl KafkaConfig {
    /// A cluster without TLS and SASL, everything else by default.
    pub fn new(bootstrap: impl IntoIterator<Item = impl Into<String>>, client_id: &str) -> KafkaConfig {
        KafkaConfig {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            client_id: client_id.into(),
            ..KafkaConfig::default()
        }
    }

    /// The configuration that `settings` ask for, with every problem of theirs at once. Reads certificates and keys.
    pub fn read(settings: &Settings, default_client_id: &str) -> Result<KafkaConfig, SettingsError> {
        let mut problems = Vec::new();
        let mut millis = |name: &str| {
            settings.millis(name).unwrap_or_else(|problem| {
                problems.push(problem);
                Duration::ZERO
            })
        };
        let connect_timeout = millis("socket.connection.setup.timeout.ms");
        let request_timeout = millis("request.timeout.ms");
        let deadline = settings.get("default.api.timeout.ms").map(|_| millis("default.api.timeout.ms"));
        let delivery_timeout = millis("delivery.timeout.ms");
        let (backoff, backoff_max) = (millis("reconnect.backoff.ms"), millis("reconnect.backoff.max.ms"));
        let metadata_max_age = millis("metadata.max.age.ms");
        let (session_timeout, heartbeat_interval) = (millis("session.timeout.ms"), millis("heartbeat.interval.ms"));
        let transaction_timeout = millis("transaction.timeout.ms");
        let batch_bytes = settings.number("batch.size").unwrap_or_else(|problem| {
            problems.push(problem);
            0
        });
        let levels = [("read_uncommitted", Isolation::ReadUncommitted), ("read_committed", Isolation::ReadCommitted)];
        let isolation = settings.word("isolation.level", &levels).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let codecs = [("none", Compression::None), ("lz4", Compression::Lz4)];
        let compression = settings.word("compression.type", &codecs).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let protocols = [
            ("auto", None),
            ("consumer", Some(Protocol::Consumer)),
            ("classic", Some(Protocol::Classic)),
            ("streams", Some(Protocol::Streams)),
        ];
        let group_protocol = settings.word("group.protocol", &protocols).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let group_protocol = group_protocol.flatten();
        problems.extend(check_callback(settings).err());
        let bootstrap: Vec<String> =
            settings.get("bootstrap.servers").unwrap_or_default().split(',').map(broker).collect();
        for broker in &bootstrap {
            if !has_port(broker) {
                problems.push(settings.problem("bootstrap.servers", format!("\"{broker}\" is not host:port")));
            }
        }
        let security = Security::new(settings).unwrap_or_else(|found| {
            problems.extend(found);
            Security::default()
        });
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        Ok(KafkaConfig {
            bootstrap,
            client_id: settings.get("client.id").unwrap_or(default_client_id).to_owned(),
            client_rack: settings.get("client.rack").unwrap_or_default().to_owned(),
            security,
            isolation: isolation.unwrap_or_default(),
            connect_timeout,
            request_timeout,
            retry_deadline: deadline.unwrap_or(Duration::MAX),
            delivery_timeout,
            backoff,
            backoff_max: backoff_max.max(backoff),
            metadata_max_age,
            group_protocol,
            session_timeout,
            heartbeat_interval,
            transaction_timeout,
            compression: compression.unwrap_or_default(),
            batch_bytes: batch_bytes as usize,
        })
    }
}

/// `PLAINTEXT://host:port` is taken as `host:port`, as Java does.
fn broker(text: &str) -> String {
    let text = text.trim();
    text.split_once("://").map_or(text, |(_, address)| address).to_owned()
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Java's own handler does what is done here anyway; any other is a program that we do not have.
fn check_callback(settings: &Settings) -> Result<(), String> {
    const NAME: &str = "sasl.login.callback.handler.class";
    match settings.get(NAME) {
        Some(class) if !class.ends_with(".OAuthBearerLoginCallbackHandler") => {
            let problem = format!(
                "{class} is a Java class, which is not loaded here: put its token in a file and name that in sasl.oauthbearer.token.endpoint.url"
            );
            Err(settings.problem(NAME, problem))
        }
        _ => Ok(()),
    }
}

/// Which records of transactions a reader is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// All of them, those of aborted transactions included.
    ReadUncommitted,
    /// Those of committed transactions, and nothing beyond the first open one.
    #[default]
    ReadCommitted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::settings::{Origin, Sources};

    fn read(given: &[(&'static str, &str)]) -> Result<KafkaConfig, SettingsError> {
        let flags = given.iter().map(|(name, value)| (*name, Origin::Flag("test"), (*value).to_owned())).collect();
        KafkaConfig::read(&Settings::read(Sources { flags, ..Sources::default() })?, "test")
    }
    fn problems(given: &[(&'static str, &str)]) -> String {
        read(given).expect_err("it is wrong").to_string()
    }

    #[test]
    fn defaults_are_those_of_the_table() {
        let config = read(&[]).expect("defaults");
        assert_eq!(config.bootstrap, ["localhost:9092"]);
        assert_eq!((config.client_id.as_str(), config.security.protocol().name()), ("test", "PLAINTEXT"));
        assert_eq!((config.retry_deadline, config.delivery_timeout), (Duration::MAX, Duration::from_secs(30)));
        assert_eq!(config.isolation, Isolation::ReadCommitted);
    }

    #[test]
    fn brokers_may_have_a_protocol_and_must_have_a_port() {
        let config = read(&[("bootstrap.servers", "SSL://a:1, [::1]:2,b:3")]).expect("three brokers");
        assert_eq!(config.bootstrap, ["a:1", "[::1]:2", "b:3"]);
        assert!(problems(&[("bootstrap.servers", "a")]).contains("\"a\" is not host:port"));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = problems(&[
            ("request.timeout.ms", "10s"),
            ("isolation.level", "serializable"),
            ("group.protocol", "share"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.truststore.location", "/nowhere"),
        ]);
        for expected in [
            "request.timeout.ms (test): \"10s\" is no whole number from 1 on",
            "isolation.level (test): \"serializable\" is none of read_uncommitted, read_committed",
            "group.protocol (test): \"share\" is none of auto, consumer, classic, streams",
            "ssl.truststore.location: /nowhere:",
            "sasl.mechanism: security.protocol=SASL_SSL needs one",
        ] {
            assert!(problems.contains(expected), "{expected} is not in\n{problems}");
        }
    }

    #[test]
    fn mechanisms_that_are_not_spoken_are_refused_with_the_way_around() {
        for (mechanism, way) in [("GSSAPI", "SCRAM-SHA-512"), ("AWS_MSK_IAM", "port 9096")] {
            let problem = problems(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism)]);
            assert!(problem.contains("is not spoken") && problem.contains(way), "{problem}");
        }
        let class = "software.amazon.msk.auth.iam.IAMClientCallbackHandler";
        assert!(problems(&[("sasl.login.callback.handler.class", class)]).contains("put its token in a file"));
    }

    #[test]
    fn a_login_module_of_another_mechanism_is_named_and_its_secret_is_not() {
        let jaas =
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password=\"marked\";";
        let sasl = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.jaas.config", jaas)];
        let problem = problems(&[sasl[0], sasl[1], ("sasl.mechanism", "SCRAM-SHA-512")]);
        assert!(problem.contains("takes ScramLoginModule, and it names PlainLoginModule"), "{problem}");
        let config = read(&[sasl[0], sasl[1], ("sasl.mechanism", "PLAIN")]).expect("well");
        assert!(!format!("{config:?}{problem}").contains("marked"), "{config:?}");
    }
}

//! Options of every command that talks to a cluster.

use std::path::PathBuf;

use clap::Args;
use sheetstream::kafka::KafkaConfig;
use sheetstream::kafka::settings::{Origin, Settings, SettingsError, Sources};

const BROKERS: &str = "SHEETSTREAM_BROKERS";
const CLIENT_ID: &str = "SHEETSTREAM_CLIENT_ID";

/// Where the cluster is, and how to get in.
#[derive(Args, Debug)]
pub(super) struct Broker {
    /// Brokers to begin with [default: bootstrap.servers of the settings, else localhost:9092]
    #[arg(help_heading = "Kafka", long, visible_alias = "bootstrap-server", env = BROKERS, value_name = "HOST:PORT,...")]
    brokers: Option<String>,
    /// Settings of a Kafka client, as Kafka's own tools take them by --command-config: TLS, SASL, time-outs. Each is a variable too:
    /// SHEETSTREAM_KAFKA_SASL_PASSWORD is sasl.password, SHEETSTREAM_KAFKA_SASL_PASSWORD_FILE a file that holds it
    #[arg(
        help_heading = "Kafka",
        long,
        visible_alias = "command-config",
        env = "SHEETSTREAM_KAFKA_CONFIG",
        value_name = "FILE"
    )]
    kafka_config: Option<PathBuf>,
    /// Client id: the name of this process for operators
    #[arg(help_heading = "Kafka", long, env = CLIENT_ID, value_name = "NAME")]
    client_id: Option<String>,
}

impl Broker {
    /// The configuration of a client, named `default_id` unless an option names it.
    pub(super) fn config(&self, default_id: &str) -> Result<KafkaConfig, SettingsError> {
        self.config_with(default_id, vec![])
    }
    /// [`Broker::config`] with settings that are flags of one command.
    pub(super) fn config_with(
        &self,
        default_id: &str,
        flags: Vec<(&'static str, Origin, String)>,
    ) -> Result<KafkaConfig, SettingsError> {
        let settings = self.settings(flags)?;
        let unknown = settings.ineffective().iter().filter(|setting| setting.why.is_none());
        for setting in unknown {
            tracing::warn!(name = setting.name, from = %setting.origin, "a setting that nobody here knows has no effect");
        }
        KafkaConfig::read(&settings, default_id)
    }
    /// The settings that were given, and where each comes from.
    pub(super) fn settings(&self, mut flags: Vec<(&'static str, Origin, String)>) -> Result<Settings, SettingsError> {
        let given = [
            ("bootstrap.servers", BROKERS, "--brokers", &self.brokers),
            ("client.id", CLIENT_ID, "--client-id", &self.client_id),
        ];
        for (name, variable, flag, value) in given {
            if let Some(value) = value {
                flags.push((name, origin(variable, flag, value), value.clone()));
            }
        }
        // A variable that is no text is no setting.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Settings::read(Sources { file: self.kafka_config.clone(), variables: variables.collect(), flags })
    }
}

/// Where the value of a flag comes from that a variable gives too.
pub(super) fn origin(variable: &str, flag: &'static str, value: &str) -> Origin {
    match std::env::var(variable) {
        Ok(given) if given == value => Origin::Variable(variable.to_owned()),
        _ => Origin::Flag(flag),
    }
}

//! `config`: the settings of the cluster that are in force, and where each comes from.

use std::io::{self, Write};

use clap::Args;
use serde_json::json;

use super::broker::Broker;
use super::shown::escaped;
use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream config --kafka-config client.properties
  SHEETSTREAM_KAFKA_SECURITY_PROTOCOL=SSL sheetstream config --json
";

/// Show the Kafka settings in force and where each comes from, secrets masked; exits with 78 when one cannot be used
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(flatten)]
    broker: Broker,
}

impl Config {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let settings = self.broker.settings(vec![])?;
        let shown: Vec<_> = settings.shown().collect();
        let ineffective = settings.ineffective();
        let mut out = io::stdout().lock();
        if global.json {
            let without_effect = ineffective.iter().map(
                |setting| json!({ "name": setting.name, "origin": setting.origin.to_string(), "why": setting.why }),
            );
            let without_effect: Vec<_> = without_effect.collect();
            writeln!(out, "{:#}", json!({ "settings": shown, "without_effect": without_effect }))?;
        } else {
            for setting in &shown {
                let (name, value, origin) = (&setting.name, &setting.value, &setting.origin);
                writeln!(out, "{}", escaped(&format!("{name}={value}  # {origin}")))?;
            }
            for setting in ineffective {
                let why = setting.why.unwrap_or("nobody here knows it");
                let said = format!("# {} ({}) has no effect: {why}", setting.name, setting.origin);
                writeln!(out, "{}", escaped(&said))?;
            }
        }
        drop(out);
        // Certificates, keys and values are looked at as every command does.
        self.broker.config("sheetstream")?;
        Ok(Exit::Ok)
    }
}

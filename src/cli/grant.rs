//! Whom `topics grant` gives which rights.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};
use sheetstream::client::doctor::rights::{Purpose, rights};
use sheetstream::kafka::KafkaClient;
use sheetstream::topology::Topology;

use super::{Global, out};

/// Users by what they do; each is a principal of Kafka's, as User:NAME.
#[derive(Args, Debug)]
#[group(id = "users", multiple = true, required = true)]
pub(super) struct Users {
    /// Who runs `run`
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    run: Vec<String>,
    /// Who serves the page and the API beside it
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    http: Vec<String>,
    /// Who runs `publish`
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    publish: Vec<String>,
    /// Who runs `fetch`
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    fetch: Vec<String>,
    /// Who runs `status`, `topics list` and `doctor`
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    look: Vec<String>,
    /// Who runs `topics create`
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    create: Vec<String>,
}

impl Users {
    fn of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Run => &self.run,
            Purpose::Http => &self.http,
            Purpose::Publish => &self.publish,
            Purpose::Fetch => &self.fetch,
            Purpose::Look => &self.look,
            Purpose::CreateTopics => &self.create,
        }
    }
}

/// A principal of Kafka's.
pub(super) fn principal(text: &str) -> Result<String, String> {
    let is_one = text.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if is_one { Ok(text.to_owned()) } else { Err("write it as User:NAME".into()) }
}

/// Grants each user what it needs on the topics of a topology, and says so.
pub(super) fn grant(
    global: &Global,
    client: &KafkaClient,
    topology: &Topology,
    users: &Users,
    dry_run: bool,
) -> anyhow::Result<Vec<Value>> {
    let mut results = Vec::new();
    for purpose in Purpose::ALL {
        let rights = rights(topology, purpose);
        for user in users.of(purpose) {
            if !dry_run {
                client.grant(user, &rights)?;
            }
            for right in &rights {
                let (resource, name) = (right.resource.option().trim_start_matches("--"), &right.name);
                let operations: Vec<_> = right.operations.iter().map(|operation| format!("{operation:?}")).collect();
                if !global.json {
                    let verb = if dry_run { "would be granted" } else { "granted" };
                    let names = if right.is_prefix { "*" } else { "" };
                    writeln!(out::stdout(), "{user}: {verb} {} on {resource} {name}{names}", operations.join(", "))?;
                }
                results.push(json!({
                    "principal": user, "resource": resource, "name": name, "is_prefix": right.is_prefix,
                    "operations": operations, "granted": !dry_run,
                }));
            }
        }
    }
    Ok(results)
}

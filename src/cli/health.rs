//! `health`: asks a running process for its health, so that a container needs no other program for its health check.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use super::server::request;
use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream health                                        of a run with --http 127.0.0.1:8080
  sheetstream health --url http://127.0.0.1:8080/readyz     is everything there?
";

/// Ask a running process how it is: exit 0 when it is well, 1 when not
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Health {
    /// Address to ask; http:// only, for it is meant for this machine
    #[arg(long, env = "SHEETSTREAM_HEALTH_URL", default_value = "http://127.0.0.1:8080/healthz", value_name = "URL")]
    url: String,
}

impl Health {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        match request("GET", &self.url, None).with_context(|| self.url.clone()) {
            Ok((status, body)) => {
                writeln!(out::stdout(), "{}", body.trim_end())?;
                Ok(if status == 200 { Exit::Ok } else { Exit::Failure })
            }
            // Whatever it is, the answer to the question is "not well", and container engines know 0 and 1 only.
            Err(error) => {
                super::complain(&error);
                Ok(Exit::Failure)
            }
        }
    }
}

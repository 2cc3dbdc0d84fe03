//! `health`: asks a running process how it is, so that a container needs no other program for its health check.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::{EXAMPLES_FIRST, Exit, Global, out};

const EXAMPLES: &str = "Examples:
  sheetstream health                                        of a run with --http 127.0.0.1:8080
  sheetstream health --url http://127.0.0.1:8080/readyz     is everything there?
";

/// Longest wait for a connection, and for each part of the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Ask a running process how it is: exit 0 when it is well, 1 when not
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub struct Health {
    /// What to ask; http:// only, for it is meant for this machine
    #[arg(long, env = "SHEETSTREAM_HEALTH_URL", default_value = "http://127.0.0.1:8080/healthz", value_name = "URL")]
    url: String,
}

impl Health {
    pub fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        match get(&self.url).with_context(|| self.url.clone()) {
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

fn get(url: &str) -> anyhow::Result<(u16, String)> {
    let rest = url.strip_prefix("http://").context("the URL must begin with http://")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = address.to_socket_addrs()?.next().context("no such host")?;
    let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("the answer is no HTTP") };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("the answer is no HTTP")?, body.to_owned()))
}

//! The running process that a command asks, over HTTP on this machine or a trusted network.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

/// Longest wait for the connection, and for each part of the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// The process that is asked. Its token, if it has one, is in SHEETSTREAM_HTTP_TOKEN.
#[derive(Args, Debug)]
pub(super) struct Server {
    /// Where a running process serves HTTP; http:// only. Its token, if it has one, is taken from SHEETSTREAM_HTTP_TOKEN
    #[arg(long, env = "SHEETSTREAM_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: String,
}

/// The processes that are asked, one after another.
#[derive(Args, Debug)]
pub(super) struct Servers {
    /// Where a running process serves HTTP, once for each process; http:// only. Their token is taken from SHEETSTREAM_HTTP_TOKEN
    #[arg(
        long = "server",
        env = "SHEETSTREAM_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_delimiter = ',',
        value_name = "URL"
    )]
    servers: Vec<String>,
}

impl Servers {
    /// Each of them.
    pub(super) fn each(&self) -> impl Iterator<Item = Server> {
        self.servers.iter().map(|server| Server { server: server.clone() })
    }
}

impl Server {
    /// Its address, as it was given.
    pub(super) fn url(&self) -> &str {
        self.server.trim_end_matches('/')
    }
    /// Asks for `path`; an answer that is no success is an error that says why.
    pub(super) fn ask(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.url());
        let token = std::env::var("SHEETSTREAM_HTTP_TOKEN").ok().filter(|token| !token.is_empty());
        let (status, body) = request(method, &url, token.as_deref()).with_context(|| url.clone())?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let detail = serde_json::from_str::<Value>(&body).ok();
        let detail = detail.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or("no reason is given");
        bail!("{url} answers {status}: {detail}");
    }
}

/// One request: the status and the body of the answer, whatever they are.
pub(super) fn request(method: &str, url: &str, token: Option<&str>) -> anyhow::Result<(u16, String)> {
    let rest = url.strip_prefix("http://").context("the URL must begin with http://")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let address = address.to_socket_addrs()?.next().context("no such host")?;
    let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(socket, "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{authorization}Content-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("the answer is no HTTP") };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("the answer is no HTTP")?, body.to_owned()))
}

//! Options of the commands that serve HTTP.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use sheetstream::http::HttpConfig;

/// How HTTP is served.
#[derive(Args, Debug)]
pub(super) struct Http {
    /// Serve the page and the API on this address, as 127.0.0.1:8080; any other than loopback needs a token of 16 characters or more in
    /// SHEETSTREAM_HTTP_TOKEN [default of run: not served]
    #[arg(help_heading = "Page and API", long, env = "SHEETSTREAM_HTTP", value_name = "HOST:PORT", value_parser = address)]
    http: Option<SocketAddr>,
    /// Names that the server goes by, besides localhost and its addresses
    #[arg(
        help_heading = "Page and API",
        long,
        env = "SHEETSTREAM_HTTP_HOSTS",
        value_delimiter = ',',
        value_name = "NAME,..."
    )]
    http_hosts: Vec<String>,
    /// Largest upload over HTTP, in bytes
    #[arg(help_heading = "Page and API", long, env = "SHEETSTREAM_UPLOAD_BYTES_MAX", default_value_t = 2 << 30, value_name = "BYTES")]
    upload_bytes_max: u64,
    /// Folder of the temporary files of HTTP uploads and downloads; they have no names there [default: the system's]
    #[arg(help_heading = "Page and API", long, env = "SHEETSTREAM_SPOOL_DIR", value_name = "DIR")]
    spool_dir: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let example = "write it as 127.0.0.1:8080";
    let mut found = text.to_socket_addrs().map_err(|error| format!("{error}; {example}"))?;
    found.next().ok_or_else(|| format!("no such host; {example}"))
}

impl Http {
    /// The settings of the server; `None` when there shall be none. The token is a secret, so it comes from the environment alone.
    pub(super) fn config(&self, default: Option<SocketAddr>) -> Option<HttpConfig> {
        let mut config = HttpConfig::new(self.http.or(default)?);
        config.token = std::env::var("SHEETSTREAM_HTTP_TOKEN").ok().filter(|token| !token.is_empty());
        config.hosts.clone_from(&self.http_hosts);
        config.upload_bytes_max = self.upload_bytes_max;
        if let Some(folder) = &self.spool_dir {
            config.spool_dir.clone_from(folder);
        }
        Some(config)
    }
}

//! The token endpoint of an identity provider: one POST with client credentials (RFC 6749, 4.4).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Tls;
use crate::kafka::KafkaError;
use crate::kafka::secret::Secret;
use crate::record::address::IN_VALUES;

/// Longest answer that is read; tokens have some thousand bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A request for a token, and its credentials.
#[derive(Debug)]
pub(super) struct Grant {
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
}

/// A granted token.
pub(super) struct Granted {
    pub token: Secret,
    /// How long it is valid, where the provider says so.
    pub life: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// The endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `host:port`.
    address: String,
    uri: Uri,
    tls: Option<Tls>,
    grant: Grant,
    limit: Duration,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri)
    }
}

impl Endpoint {
    /// `tls` for an endpoint of `https`.
    pub(super) fn new(url: &str, tls: Option<Tls>, grant: Grant, limit: Duration) -> Result<Endpoint, String> {
        let uri: Uri = url.parse().map_err(|error| format!("\"{url}\" is no URL: {error}"))?;
        let port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(format!("\"{url}\" begins with none of https://, http:// and file://")),
        };
        let host = uri.host().ok_or_else(|| format!("\"{url}\" names no host"))?;
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(port));
        Ok(Endpoint { address, uri, tls, grant, limit })
    }

    /// Asks for a token. An endpoint that does not answer is worth another try, one that refuses is not.
    pub(super) async fn ask(&self) -> Result<Granted, KafkaError> {
        let asked = timeout(self.limit, self.exchange()).await;
        asked.unwrap_or_else(|_| Err(self.unreachable(format!("no answer within {:?}", self.limit))))
    }

    async fn exchange(&self) -> Result<Granted, KafkaError> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| self.unreachable(error.to_string()))?;
        let (status, body) = match &self.tls {
            None => self.post(stream).await?,
            Some(tls) => {
                let stream = tls.connect(&self.address, stream).await;
                let explained =
                    |error| tls.explain(&self.address, &error).unwrap_or_else(|| self.unreachable(error.to_string()));
                self.post(stream.map_err(explained)?).await?
            }
        };
        match status {
            StatusCode::OK => {
                let answer: Answer = serde_json::from_slice(&body)
                    .map_err(|error| self.refused(format!("the answer holds no access_token: {error}")))?;
                let life = answer.expires_in.map(Duration::from_secs);
                Ok(Granted { token: Secret::new(answer.access_token), life })
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.unreachable(format!("HTTP {status}")))
            }
            status => {
                // RFC 6749, 5.2; the answer is quoted by its error code alone.
                let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = answer["error"].as_str().unwrap_or("no reason given").escape_debug().to_string();
                let client = &self.grant.client_id;
                Err(self.refused(format!(
                    "no token for client {client}: HTTP {status}, {code}. Check client id, secret and scope"
                )))
            }
        }
    }

    async fn post(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(StatusCode, Bytes), KafkaError> {
        let broken = |error: hyper::Error| self.unreachable(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let pump = tokio::spawn(connection);
        let Grant { client_id, client_secret, scope } = &self.grant;
        let credentials = STANDARD.encode(format!("{client_id}:{}", client_secret.reveal()));
        let scope = scope.as_ref().map(|scope| format!("&scope={}", form_encode(scope))).unwrap_or_default();
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Basic {credentials}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(format!("grant_type=client_credentials{scope}"))))
            .map_err(|error| self.refused(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(error.to_string()))?.to_bytes();
        pump.abort();
        Ok((status, body))
    }

    fn unreachable(&self, message: String) -> KafkaError {
        KafkaError::Connection { address: self.uri.to_string(), message }
    }
    fn refused(&self, message: String) -> KafkaError {
        KafkaError::Credentials { address: self.uri.to_string(), message }
    }
}

/// `application/x-www-form-urlencoded`, the unreserved characters of RFC 3986 left as they are.
fn form_encode(text: &str) -> String {
    utf8_percent_encode(text, IN_VALUES).to_string().replace("%20", "+")
}

//! Tokens for OAUTHBEARER: from a file that somebody renews, or from an identity provider by client credentials (KIP-768), kept until four
//! fifths of their life are over.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Mutex;

use super::stores;
use super::tls::Tls;
use super::token_endpoint::{Endpoint, Grant};
use crate::kafka::KafkaError;
use crate::kafka::secret::Secret;
use crate::kafka::settings::Settings;

const URL: &str = "sasl.oauthbearer.token.endpoint.url";

/// Where tokens come from, and the one that is in use.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    /// Token of the provider, and when to ask for another one.
    kept: Mutex<Option<(Secret, SystemTime)>>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Provider(Box<Endpoint>),
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Provider(endpoint) => write!(f, "{endpoint}"),
        }
    }
}

impl Tokens {
    pub(super) fn new(
        settings: &Settings,
        client_id: Option<String>,
        client_secret: Option<Secret>,
        scope: Option<String>,
    ) -> Result<Tokens, Vec<String>> {
        let one = |problem: &str| vec![settings.problem(URL, problem)];
        let url = settings.get(URL).ok_or_else(|| {
            one("OAUTHBEARER needs one: https://… of the identity provider, or file:///… of a file with a token")
        })?;
        let source = if let Some(path) = url.strip_prefix("file://") {
            let path = PathBuf::from(path);
            stores::read(&path).map_err(|problem| one(&problem))?;
            Source::File(path)
        } else {
            let (Some(client_id), Some(client_secret)) = (client_id, client_secret) else {
                return Err(one(
                    "it needs clientId and clientSecret in sasl.jaas.config, or sasl.oauthbearer.client.credentials.client.id and .client.secret",
                ));
            };
            let limit = settings.millis("sasl.login.read.timeout.ms").map_err(|problem| vec![problem])?;
            let tls = if url.starts_with("https://") { Some(Tls::new(settings)?) } else { None };
            let grant = Grant { client_id, client_secret, scope };
            Source::Provider(Box::new(Endpoint::new(url, tls, grant, limit).map_err(|problem| one(&problem))?))
        };
        Ok(Tokens { source, kept: Mutex::default() })
    }

    /// A token that is valid now, as far as can be known.
    pub(super) async fn get(&self) -> Result<Secret, KafkaError> {
        let now = SystemTime::now();
        match &self.source {
            Source::File(path) => {
                let unusable =
                    |message: String| KafkaError::Credentials { address: path.display().to_string(), message };
                let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
                let token = String::from_utf8_lossy(&bytes).trim().to_owned();
                match expiry(&token) {
                    Some(expiry) if expiry <= now => {
                        let ago = now.duration_since(expiry).unwrap_or_default().as_secs();
                        Err(unusable(format!("the token in this file expired {ago} s ago: whoever renews it is late")))
                    }
                    _ if token.is_empty() => Err(unusable("the file is empty, and should hold a token".into())),
                    _ => Ok(Secret::new(token)),
                }
            }
            Source::Provider(endpoint) => {
                let mut kept = self.kept.lock().await;
                if let Some((token, renew_at)) = kept.as_ref()
                    && now < *renew_at
                {
                    return Ok(token.clone());
                }
                let granted = endpoint.ask().await?;
                let claimed = expiry(granted.token.reveal()).and_then(|expiry| expiry.duration_since(now).ok());
                let life = granted.life.or(claimed).unwrap_or(Duration::ZERO);
                *kept = Some((granted.token.clone(), now + life * 4 / 5));
                Ok(granted.token)
            }
        }
    }
}

/// The claim `exp` of a JSON web token; `None` for tokens of other kinds.
fn expiry(token: &str) -> Option<SystemTime> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims["exp"].as_f64().filter(|seconds| seconds.is_finite() && *seconds > 0.)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_of_a_web_token_is_read_and_other_tokens_have_none() {
        let token = |claims: &str| format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry(&token(r#"{"exp":1000.5}"#)), Some(UNIX_EPOCH + Duration::from_secs(1000)));
        assert_eq!(expiry(&token(r#"{"sub":"a"}"#)), None);
        assert_eq!(expiry("opaque"), None);
    }
}

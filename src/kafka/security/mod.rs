//! Secures a connection: TLS, then SASL, so that each end proves its identity. `wire` handles the data afterwards.

pub(super) mod sasl;
mod stores;
pub(super) mod tls;
mod token;
mod token_endpoint;
mod verifier;

use std::sync::Arc;

use sasl::Sasl;
use tls::Tls;

use super::settings::Settings;

/// The security that a listener expects of its clients, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Neither.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL.
    SaslPlaintext,
    /// TLS, and SASL within.
    SaslSsl,
}

impl Protocol {
    /// Whether bytes are encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Protocol::Ssl | Protocol::SaslSsl)
    }
    /// Whether a client says who it is by SASL.
    pub fn has_sasl(self) -> bool {
        matches!(self, Protocol::SaslPlaintext | Protocol::SaslSsl)
    }
    /// The protocol of these two properties.
    pub fn of(tls: bool, sasl: bool) -> Protocol {
        match (tls, sasl) {
            (false, false) => Protocol::Plaintext,
            (true, false) => Protocol::Ssl,
            (false, true) => Protocol::SaslPlaintext,
            (true, true) => Protocol::SaslSsl,
        }
    }
    /// Kafka's name, a value of `security.protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plaintext => "PLAINTEXT",
            Protocol::Ssl => "SSL",
            Protocol::SaslPlaintext => "SASL_PLAINTEXT",
            Protocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// The security settings that all connections to a cluster share. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) sasl: Option<Arc<Sasl>>,
}

impl Security {
    /// Reads certificates, keys and credentials once, so that their faults are known before anything connects.
    pub(super) fn new(settings: &Settings) -> Result<Security, Vec<String>> {
        let protocols = [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl];
        let protocol = settings.word("security.protocol", &protocols.map(|protocol| (protocol.name(), protocol)));
        let protocol = protocol.map_err(|problem| vec![problem])?.unwrap_or(Protocol::Plaintext);
        let tls = protocol.has_tls().then(|| Tls::new(settings)).transpose();
        let sasl = protocol.has_sasl().then(|| Sasl::new(settings, protocol)).transpose();
        match (tls, sasl) {
            (Ok(tls), Ok(sasl)) => Ok(Security { tls: tls.map(Arc::new), sasl: sasl.map(Arc::new) }),
            (tls, sasl) => Err([tls.err(), sasl.err()].into_iter().flatten().flatten().collect()),
        }
    }
    /// The protocol that these settings speak.
    pub fn protocol(&self) -> Protocol {
        Protocol::of(self.tls.is_some(), self.sasl.is_some())
    }
}

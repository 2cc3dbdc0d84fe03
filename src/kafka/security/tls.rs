//! TLS by rustls: trusted authorities, our own certificate, and certificates that are renewed on disk while we run.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error as TlsError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stores::{self, Identity};
use super::verifier::{Sentence, Verifier, subject};
use crate::kafka::KafkaError;
use crate::kafka::secret::Secret;
use crate::kafka::settings::Settings;

/// Where trusted authorities come from.
#[derive(Debug)]
enum Authorities {
    System,
    File(PathBuf, Option<Secret>),
    Pem(String),
}

/// Where our own certificate comes from.
#[derive(Debug)]
enum IdentitySource {
    Store { path: PathBuf, password: Option<Secret>, key_password: Option<Secret> },
    Parts { key: Pem, chain: Pem, key_password: Option<Secret> },
}

/// A PEM text, in a file or in the setting itself.
#[derive(Debug)]
enum Pem {
    File(PathBuf),
    Text(Secret),
}

impl Pem {
    fn read(&self) -> Result<String, String> {
        match self {
            Pem::File(path) => stores::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            Pem::Text(text) => Ok(text.reveal().to_owned()),
        }
    }
    fn path(&self) -> Option<&PathBuf> {
        match self {
            Pem::File(path) => Some(path),
            Pem::Text(_) => None,
        }
    }
}

/// TLS as it was asked for, and as it is now.
#[derive(Debug)]
pub(crate) struct Tls {
    authorities: Authorities,
    identity: Option<IdentitySource>,
    checks_host: bool,
    current: Mutex<Current>,
}

/// The content of the files when they were last read.
#[derive(Debug)]
struct Current {
    config: Arc<ClientConfig>,
    /// Of each file, when it was changed last and how long it is.
    seen: Vec<Option<(SystemTime, u64)>>,
    /// Name of our own certificate.
    subject: Option<String>,
}

impl Tls {
    /// Reads everything once.
    pub(super) fn new(settings: &Settings) -> Result<Tls, Vec<String>> {
        let path = |name: &str| settings.get(name).map(PathBuf::from);
        let mut problems = Vec::new();
        for name in ["ssl.truststore.type", "ssl.keystore.type"] {
            problems.extend(settings.word(name, &[("PEM", ()), ("PKCS12", ()), ("JKS", ())]).err());
        }
        let authorities = match (path("ssl.truststore.location"), settings.get("ssl.truststore.certificates")) {
            (Some(path), None) => Authorities::File(path, settings.secret("ssl.truststore.password")),
            (None, Some(pem)) => Authorities::Pem(pem.to_owned()),
            (None, None) => Authorities::System,
            (Some(_), Some(_)) => {
                let problem = "is given beside ssl.truststore.location; take one of them out";
                problems.push(settings.problem("ssl.truststore.certificates", problem));
                Authorities::System
            }
        };
        // Given and empty means off, as Java has it; not given means on.
        let algorithm = settings.given("ssl.endpoint.identification.algorithm").unwrap_or("https");
        let checks_host = match algorithm.to_lowercase().as_str() {
            "https" => true,
            "" | "none" => false,
            other => {
                let problem = format!("\"{other}\" is neither https nor none");
                problems.push(settings.problem("ssl.endpoint.identification.algorithm", problem));
                true
            }
        };
        let identity = identity_source(settings).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let seen = files(&authorities, identity.as_ref()).map(stamp).collect();
        let (config, subject) = build(&authorities, identity.as_ref(), checks_host).map_err(|problem| vec![problem])?;
        if !checks_host {
            tracing::warn!(
                "ssl.endpoint.identification.algorithm is off: any certificate of a trusted authority is taken for any broker"
            );
        }
        let current = Mutex::new(Current { config, seen, subject });
        Ok(Tls { authorities, identity, checks_host, current })
    }

    /// The configuration as the files are now. Files that cannot be read keep the former one in force: they may be half-written.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let seen: Vec<_> = files(&self.authorities, self.identity.as_ref()).map(stamp).collect();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if seen != current.seen {
            match build(&self.authorities, self.identity.as_ref(), self.checks_host) {
                Ok((config, subject)) => {
                    tracing::info!("certificates were read again: their files have changed");
                    *current = Current { config, seen, subject };
                }
                Err(problem) => tracing::warn!(problem, "changed certificates cannot be used; the former ones stay"),
            }
        }
        current.config.clone()
    }

    /// The handshake with the broker at `address`.
    pub(crate) async fn connect(&self, address: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, io::Error> {
        let host = host(address).to_owned();
        let invalid = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host} is no name of a host"));
        let name = ServerName::try_from(host.clone()).map_err(invalid)?;
        TlsConnector::from(self.config()).connect(name, stream).await
    }

    /// The error of TLS when a connection broke; `None` when TLS did not break it.
    pub(crate) fn explain(&self, address: &str, error: &io::Error) -> Option<KafkaError> {
        let tls = error.get_ref()?.downcast_ref::<TlsError>()?;
        let message = match tls {
            TlsError::InvalidCertificate(CertificateError::Other(other)) => match other.0.downcast_ref::<Sentence>() {
                Some(sentence) => sentence.to_string(),
                None => other.0.to_string(),
            },
            TlsError::AlertReceived(alert) => self.explain_alert(*alert),
            // Brokers up to 2.8 refuse a certificate, or that there is none, by an alert that is not encrypted as TLS 1.3 has it.
            TlsError::DecryptError => self.explain_alert(AlertDescription::BadCertificate),
            TlsError::InvalidMessage(_) => return None, // whatever it speaks, it is not TLS
            other => format!("TLS: {other}"),
        };
        Some(KafkaError::Security { address: address.into(), message })
    }

    fn explain_alert(&self, alert: AlertDescription) -> String {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match (alert, current.subject.as_deref()) {
            (
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::HandshakeFailure,
                None,
            ) => {
                format!(
                    "the broker ended TLS ({alert:?}); if it asks for a client certificate, set ssl.keystore.location"
                )
            }
            (AlertDescription::ProtocolVersion, _) => "the broker speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
            (_, Some(subject)) => format!(
                "the broker ended TLS ({alert:?}); does it trust the authority of our certificate, {subject}, and is that still valid?"
            ),
            (_, None) => format!("the broker ended TLS ({alert:?})"),
        }
    }
}

/// Whether the other end of `stream` speaks TLS, whatever its certificate is.
pub(in crate::kafka) async fn is_spoken(address: &str, stream: TcpStream) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(builder) = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() else {
        return false;
    };
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let Ok(name) = ServerName::try_from(host(address).to_owned()) else { return false };
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(_) => true,
        Err(error) => {
            let tls = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
            tls.is_some_and(|error| !matches!(error, TlsError::InvalidMessage(_)))
        }
    }
}

/// The host of `host:port`; an IPv6 address without its brackets.
pub(in crate::kafka) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn identity_source(settings: &Settings) -> Result<Option<IdentitySource>, String> {
    let path = |name: &str| settings.get(name).map(PathBuf::from);
    let part = |file: &str, text: &str| path(file).map(Pem::File).or_else(|| settings.secret(text).map(Pem::Text));
    let key_password = settings.secret("ssl.key.password");
    let key = part("ssl.key.location", "ssl.keystore.key");
    let chain = part("ssl.certificate.location", "ssl.keystore.certificate.chain");
    match (path("ssl.keystore.location"), key, chain) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => {
            let password = settings.secret("ssl.keystore.password");
            Ok(Some(IdentitySource::Store { path, password, key_password }))
        }
        (None, Some(key), Some(chain)) => Ok(Some(IdentitySource::Parts { key, chain, key_password })),
        (None, Some(_), None) => {
            Err("the private key has no certificate: set ssl.keystore.certificate.chain or ssl.certificate.location"
                .into())
        }
        (None, None, Some(_)) => {
            Err("the certificate has no private key: set ssl.keystore.key or ssl.key.location".into())
        }
        (Some(_), ..) => Err(settings.problem(
            "ssl.keystore.location",
            "is given beside a key or certificate of its own setting; take one of them out",
        )),
    }
}

fn files<'a>(authorities: &'a Authorities, identity: Option<&'a IdentitySource>) -> impl Iterator<Item = &'a PathBuf> {
    let trusted = match authorities {
        Authorities::File(path, _) => Some(path),
        Authorities::System | Authorities::Pem(_) => None,
    };
    let own = match identity {
        Some(IdentitySource::Store { path, .. }) => [Some(path), None],
        Some(IdentitySource::Parts { key, chain, .. }) => [key.path(), chain.path()],
        None => [None, None],
    };
    trusted.into_iter().chain(own.into_iter().flatten())
}

fn stamp(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The configuration, and the name of our own certificate if we have one.
fn build(
    authorities: &Authorities,
    identity: Option<&IdentitySource>,
    checks_host: bool,
) -> Result<(Arc<ClientConfig>, Option<String>), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (roots, roots_from) = roots(authorities)?;
    let verifier = Verifier::new(roots, roots_from, checks_host, provider.clone())?;
    let identity = identity.map(read_identity).transpose()?;
    let subject = identity.as_ref().and_then(|identity| identity.chain.first()).map(subject);
    let config = client_config(provider, Arc::new(verifier), identity).map_err(|error| match error {
        TlsError::InconsistentKeys(_) => "ssl.keystore: the private key does not belong to the certificate".to_owned(),
        error => format!("TLS cannot be set up: {error}"),
    })?;
    Ok((Arc::new(config), subject))
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Identity>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn roots(authorities: &Authorities) -> Result<(Vec<CertificateDer<'static>>, String), String> {
    match authorities {
        Authorities::File(path, password) => {
            let roots = stores::authorities(path, password.as_ref());
            let roots = roots.map_err(|problem| format!("ssl.truststore.location: {problem}"))?;
            Ok((roots, path.display().to_string()))
        }
        Authorities::Pem(pem) => match stores::certificates_of(pem) {
            Ok(roots) if roots.is_empty() => Err("ssl.truststore.certificates: it holds no certificate".into()),
            Ok(roots) => Ok((roots, "ssl.truststore.certificates".into())),
            Err(problem) => Err(format!("ssl.truststore.certificates: {problem}")),
        },
        Authorities::System => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err("this system has no list of certificate authorities: set ssl.truststore.location".into());
            }
            Ok((found.certs, "those of this system".into()))
        }
    }
}

fn read_identity(source: &IdentitySource) -> Result<Identity, String> {
    match source {
        IdentitySource::Store { path, password, key_password } => {
            let identity = stores::identity(path, password.as_ref(), key_password.as_ref());
            identity.map_err(|problem| format!("ssl.keystore.location: {problem}"))
        }
        IdentitySource::Parts { key, chain, key_password } => {
            stores::identity_of(&key.read()?, &chain.read()?, key_password.as_ref())
                .map_err(|problem| format!("ssl.keystore.key and ssl.keystore.certificate.chain: {problem}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_addresses_of_every_kind() {
        assert_eq!(["kafka-1:9093", "10.0.0.1:9093", "[::1]:9093"].map(host), ["kafka-1", "10.0.0.1", "::1"]);
    }
}

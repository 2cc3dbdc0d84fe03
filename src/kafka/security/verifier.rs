//! Verifies a broker's certificate, and explains a refusal in a sentence: which certificate, the expectation, the remedy.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// Verifies chains by the given roots. A root may be the broker's own certificate, as with Java's truststores.
#[derive(Debug)]
pub(super) struct Verifier {
    chains: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    roots_from: String,
    checks_host: bool,
}

impl Verifier {
    /// `roots_from` says in errors where the roots come from.
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        roots_from: String,
        checks_host: bool,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Verifier, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let chains = chains.map_err(|error| format!("{roots_from}: {error}"))?;
        Ok(Verifier { chains, roots, roots_from, checks_host })
    }

    /// A certificate that is trusted for itself and not for its issuer.
    fn verify_pinned(&self, certificate: &CertificateDer, host: &ServerName, now: UnixTime) -> Result<(), Error> {
        if let Some(dates) = Dates::of(certificate) {
            dates.check(now)?;
        }
        if self.checks_host {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, host)?;
        }
        Ok(())
    }

    fn explain(&self, error: CertificateError, certificate: &CertificateDer, host: &ServerName) -> Sentence {
        let parsed = Certificate::from_der(certificate).ok();
        let named = |name: &x509_cert::name::Name| match name.to_string() {
            name if name.is_empty() => "without a name".to_owned(),
            name => name,
        };
        let subject = parsed.as_ref().map_or("unreadable".into(), |parsed| named(parsed.tbs_certificate().subject()));
        let issuer = parsed.as_ref().map_or("unreadable".into(), |parsed| named(parsed.tbs_certificate().issuer()));
        let dates = Dates::of(certificate);
        let date = |of: fn(&Dates) -> &String| dates.as_ref().map_or("an unknown date", |dates| of(dates).as_str());
        Sentence(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the broker's certificate ({subject}) expired on {}: renew it at the broker",
                date(|dates| &dates.not_after)
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
                "the broker's certificate ({subject}) is valid from {} on: wait, or set the clock of this machine",
                date(|dates| &dates.not_before)
            ),
            CertificateError::UnknownIssuer => format!(
                "the broker's certificate ({subject}) is issued by {issuer}, which is not among the trusted authorities ({}): set ssl.truststore.location to a file with that authority's certificate",
                self.roots_from
            ),
            CertificateError::NotValidForName => Self::other_host(&subject, host, &[]),
            CertificateError::NotValidForNameContext { presented, .. } => Self::other_host(&subject, host, &presented),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                format!(
                    "the broker's certificate ({subject}) is not for servers: it needs the extended key usage serverAuth"
                )
            }
            other => format!("the broker's certificate ({subject}, issued by {issuer}) is not accepted: {other}"),
        })
    }

    fn other_host(subject: &str, host: &ServerName, presented: &[String]) -> String {
        let host = host.to_str();
        let presented = match presented {
            [] => "no host".to_owned(),
            names => names.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", "),
        };
        format!(
            "the broker's certificate ({subject}) is for {presented} and not for {host}: use one of its names in bootstrap.servers and advertised.listeners, or give it the subject alternative name {host}; ssl.endpoint.identification.algorithm= switches this check off"
        )
    }
}

/// `DnsName("kafka-1")` and `IpAddress(127.0.0.1)` without their wrapping.
fn plain_name(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"')
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer,
        intermediates: &[CertificateDer],
        host: &ServerName,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = if self.roots.iter().any(|root| root == certificate) {
            self.verify_pinned(certificate, host, now)
        } else {
            self.chains.verify_server_cert(certificate, intermediates, host, ocsp, now).map(|_| ())
        };
        match verified {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            // The host is looked at last: the chain is good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(error)) => {
                let sentence = self.explain(error, certificate, host);
                Err(CertificateError::Other(OtherError(Arc::new(sentence))).into())
            }
            Err(error) => Err(error),
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signed)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signed)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Why a certificate is not believed, for a person.
#[derive(Debug)]
pub(super) struct Sentence(String);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Sentence {}

/// When a certificate is valid, in seconds since 1970 and as text.
struct Dates {
    from: u64,
    until: u64,
    not_before: String,
    not_after: String,
}

impl Dates {
    fn of(certificate: &CertificateDer) -> Option<Dates> {
        let parsed = Certificate::from_der(certificate).ok()?;
        let validity = parsed.tbs_certificate().validity();
        Some(Dates {
            from: validity.not_before.to_unix_duration().as_secs(),
            until: validity.not_after.to_unix_duration().as_secs(),
            not_before: validity.not_before.to_string(),
            not_after: validity.not_after.to_string(),
        })
    }
    fn check(&self, now: UnixTime) -> Result<(), CertificateError> {
        match now.as_secs() {
            now if now < self.from => Err(CertificateError::NotValidYet),
            now if now > self.until => Err(CertificateError::Expired),
            _ => Ok(()),
        }
    }
}

/// Who a certificate belongs to.
pub(super) fn subject(certificate: &CertificateDer) -> String {
    Certificate::from_der(certificate)
        .map_or("unreadable".into(), |parsed| parsed.tbs_certificate().subject().to_string())
}

//! TLS against a listener of the test's own: what is believed, what is not, and what is said about it.

#[path = "support/certificates.rs"]
mod certificates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certificates::{Authority, Signed};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sheetstream::kafka::settings::{Origin, Settings, Sources};
use sheetstream::kafka::{KafkaClient, KafkaConfig};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A listener that shakes hands and then hangs up.
struct Listener {
    address: String,
    runtime: Runtime,
}

impl Listener {
    fn start(certificate: &Signed) -> Listener {
        let chain = vec![CertificateDer::from(certificate.der.clone())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key_der.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 64]).await;
                }
            }
        });
        Listener { address, runtime }
    }
    /// What a client says that is configured so.
    fn complaint(&self, settings: &[(&'static str, &str)]) -> String {
        self.complaint_at(&self.address, settings)
    }
    fn complaint_at(&self, address: &str, settings: &[(&'static str, &str)]) -> String {
        let mut config = config(address, settings);
        config.retry_deadline = Duration::ZERO;
        let client = KafkaClient::new(self.runtime.handle().clone(), config);
        client.list_topics().expect_err("nobody answers").to_string()
    }
}

/// The complaint about a listener that was believed and then hung up.
const BELIEVED: &str = "connection closed";

fn config(address: &str, settings: &[(&'static str, &str)]) -> KafkaConfig {
    let given = [("bootstrap.servers", address), ("security.protocol", "SSL")];
    let flags = given.iter().chain(settings);
    let flags = flags.map(|(name, value)| (*name, Origin::Flag("test"), (*value).to_owned())).collect();
    let settings = Settings::read(Sources { flags, ..Sources::default() }).expect("settings");
    KafkaConfig::read(&settings, "test").expect("a configuration")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn a_certificate_of_a_trusted_authority_for_that_host_is_believed() {
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let ca = authority.file(folder.path());
    let listener = Listener::start(&authority.sign("kafka-1", &["127.0.0.1", "localhost"]));
    for trusted in [("ssl.truststore.location", text(&ca)), ("ssl.truststore.certificates", &authority.pem())] {
        let complaint = listener.complaint(&[trusted]);
        assert!(complaint.contains(BELIEVED), "{complaint}");
    }
    let port = listener.address.rsplit_once(':').expect("a port").1;
    let complaint = listener.complaint_at(&format!("localhost:{port}"), &[("ssl.ca.location", text(&ca))]);
    assert!(complaint.contains(BELIEVED), "{complaint}");
    // As a value of a properties file, without its line breaks.
    let joined = authority.pem().replace(['\r', '\n'], " ");
    let complaint = listener.complaint(&[("ssl.ca.pem", &joined)]);
    assert!(complaint.contains(BELIEVED), "{complaint}");
}

#[test]
fn a_certificate_of_nobody_we_trust_is_named_with_its_issuer() {
    let folder = folder();
    let listener = Listener::start(&Authority::new("Their Authority").sign("kafka-1", &["127.0.0.1"]));
    let ours = Authority::new("Our Authority").file(folder.path());
    let complaint = listener.complaint(&[("ssl.truststore.location", text(&ours))]);
    assert!(complaint.starts_with("not authorised"), "{complaint}");
    for expected in ["(CN=kafka-1)", "issued by CN=Their Authority", text(&ours), "set ssl.truststore.location"] {
        assert!(complaint.contains(expected), "{expected} is not in: {complaint}");
    }
}

#[test]
fn a_certificate_of_the_past_or_the_future_is_named_with_its_date() {
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let ca = authority.file(folder.path());
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let past = authority.sign_for("old", &["127.0.0.1"], at(1_000_000_000), at(1_577_836_800));
    let complaint = Listener::start(&past).complaint(&[("ssl.truststore.location", text(&ca))]);
    assert!(complaint.contains("(CN=old) expired on 2020-01-01T00:00:00Z: renew it"), "{complaint}");
    let future = authority.sign_for("new", &["127.0.0.1"], at(4_102_444_800), at(4_133_980_800));
    let complaint = Listener::start(&future).complaint(&[("ssl.truststore.location", text(&ca))]);
    assert!(complaint.contains("(CN=new) is valid from 2100-01-01T00:00:00Z on"), "{complaint}");
    assert!(complaint.contains("the clock of this machine"), "{complaint}");
}

#[test]
fn a_certificate_for_another_host_is_named_with_its_hosts_unless_that_is_switched_off() {
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let ca = authority.file(folder.path());
    let listener = Listener::start(&authority.sign("kafka-1", &["kafka-1.internal", "10.1.2.3"]));
    let trusted = ("ssl.truststore.location", text(&ca));
    let complaint = listener.complaint(&[trusted]);
    for expected in ["kafka-1.internal, 10.1.2.3", "not for 127.0.0.1", "ssl.endpoint.identification.algorithm="] {
        assert!(complaint.contains(expected), "{expected} is not in: {complaint}");
    }
    for off in ["", "none"] {
        let complaint = listener.complaint(&[trusted, ("ssl.endpoint.identification.algorithm", off)]);
        assert!(complaint.contains(BELIEVED), "{complaint}");
    }
    let stranger = Authority::new("Other Authority").file(folder.path());
    let unchecked = [("ssl.truststore.location", text(&stranger)), ("ssl.endpoint.identification.algorithm", "")];
    let complaint = listener.complaint(&unchecked);
    assert!(complaint.contains("issued by CN=Test Authority"), "the authority still counts: {complaint}");
}

#[test]
fn a_brokers_own_certificate_may_be_what_is_trusted() {
    let (folder, authority) = (folder(), Authority::new("Nobody Knows It"));
    let certificate = authority.sign("self", &["127.0.0.1"]);
    let listener = Listener::start(&certificate);
    let pinned = written(folder.path(), "pinned.pem", &certificate.certificate);
    let complaint = listener.complaint(&[("ssl.truststore.location", text(&pinned))]);
    assert!(complaint.contains(BELIEVED), "{complaint}");
    let elsewhere = authority.sign("self", &["elsewhere"]);
    let pinned = written(folder.path(), "elsewhere.pem", &elsewhere.certificate);
    let complaint = Listener::start(&elsewhere).complaint(&[("ssl.truststore.location", text(&pinned))]);
    assert!(complaint.contains("is for elsewhere and not for 127.0.0.1"), "{complaint}");
}

#[test]
fn a_truststore_that_is_renewed_is_read_again() {
    let (folder, authority) = (folder(), Authority::new("New Authority"));
    let listener = Listener::start(&authority.sign("kafka-1", &["127.0.0.1"]));
    let ca = written(folder.path(), "ca.pem", &Authority::new("Old Authority").pem());
    let mut config = config(&listener.address, &[("ssl.truststore.location", text(&ca))]);
    config.retry_deadline = Duration::ZERO;
    let complaint = |config: &KafkaConfig| {
        let client = KafkaClient::new(listener.runtime.handle().clone(), config.clone());
        client.list_topics().expect_err("nobody answers").to_string()
    };
    assert!(complaint(&config).contains("issued by CN=New Authority"));
    std::fs::write(&ca, "half of a fi").expect("written");
    assert!(complaint(&config).contains("issued by CN=New Authority"), "what cannot be read changes nothing");
    std::fs::write(&ca, authority.pem()).expect("written");
    assert!(complaint(&config).contains(BELIEVED), "{}", complaint(&config));
}

#[test]
fn a_client_without_tls_is_told_that_the_listener_has_it() {
    let listener = Listener::start(&Authority::new("Test Authority").sign("kafka-1", &["127.0.0.1"]));
    let complaint = listener.complaint(&[("security.protocol", "PLAINTEXT")]);
    assert!(complaint.contains("this listener speaks TLS: set security.protocol=SSL"), "{complaint}");
}

/// The problems of settings that cannot be used.
fn problems(settings: &[(&'static str, &str)]) -> String {
    let flags = [("security.protocol", "SSL")].iter().chain(settings);
    let flags = flags.map(|(name, value)| (*name, Origin::Flag("test"), (*value).to_owned())).collect();
    let settings = Settings::read(Sources { flags, ..Sources::default() }).expect("settings");
    KafkaConfig::read(&settings, "test").expect_err("it cannot be used").to_string()
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_connects() {
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let certificate = authority.sign("client", &["client"]);
    let chain = written(folder.path(), "chain.pem", &certificate.certificate);
    let key = written(folder.path(), "key.pem", &certificate.key);
    let other = written(folder.path(), "other.pem", &authority.sign("other", &["other"]).key);
    let empty = written(folder.path(), "empty.pem", "nothing\n");
    let jks = folder.path().join("trust.jks");
    std::fs::write(&jks, [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).expect("written");
    let ca = authority.file(folder.path());
    let trusted = ("ssl.truststore.location", text(&ca));
    let cases: [(&[(&'static str, &str)], &str); 7] = [
        (&[("ssl.truststore.location", "/nowhere/ca.pem")], "/nowhere/ca.pem: No such file"),
        (&[("ssl.truststore.location", text(&empty))], "empty.pem: it holds no certificate"),
        (&[("ssl.truststore.location", text(&jks))], "keytool -importkeystore -srckeystore"),
        (&[trusted, ("ssl.key.location", text(&key))], "the private key has no certificate"),
        (
            &[trusted, ("ssl.certificate.location", text(&chain)), ("ssl.key.location", text(&other))],
            "the private key does not belong to the certificate",
        ),
        (
            &[trusted, ("ssl.certificate.location", text(&chain)), ("ssl.key.location", text(&chain))],
            "it holds no private key",
        ),
        (&[trusted, ("ssl.truststore.certificates", &authority.pem())], "is given beside ssl.truststore.location"),
    ];
    for (settings, expected) in cases {
        let problems = problems(settings);
        assert!(problems.contains(expected), "{expected} is not in: {problems}");
    }
}

//! TLS against a listener of the test's own: what is believed, what is not, and what is said about it.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/tool.rs"]
mod tool;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certificates::{Authority, Signed};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
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
        Listener::asking(certificate, None)
    }
    /// One that asks for a certificate of `clients`.
    fn asking(certificate: &Signed, clients: Option<&Authority>) -> Listener {
        let chain = vec![CertificateDer::from(certificate.der.clone())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key_der.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions");
        let config = match clients {
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from(authority.der())).expect("an authority");
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.expect("a verifier"))
            }
            None => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(chain, key).expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    stream.read_u8().await.ok();
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
        client.partitions("shops.rows").expect_err("nobody answers").to_string()
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
        client.partitions("shops.rows").expect_err("nobody answers").to_string()
    };
    assert!(complaint(&config).contains("issued by CN=New Authority"));
    std::fs::write(&ca, "half of a fi").expect("written");
    assert!(complaint(&config).contains("issued by CN=New Authority"), "what cannot be read changes nothing");
    std::fs::write(&ca, authority.pem()).expect("written");
    assert!(complaint(&config).contains(BELIEVED), "{}", complaint(&config));
}

#[test]
fn a_clients_certificate_that_is_renewed_is_shown_at_the_next_connection() {
    let (folder, authority) = (folder(), Authority::new("New Authority"));
    let ca = authority.file(folder.path());
    let listener = Listener::asking(&authority.sign("kafka-1", &["127.0.0.1"]), Some(&authority));
    let former = Authority::new("Former Authority").sign("client", &["client"]);
    let renewed = authority.sign("client", &["client"]);
    let pem = |signed: &Signed| format!("{}{}", signed.key, signed.certificate);
    // Of `config` a process makes every connection.
    let is_renewed = |settings: &[(&'static str, &str)], renew: &dyn Fn()| {
        let trusted = ("ssl.truststore.location", text(&ca));
        let mut config = config(&listener.address, &[&[trusted], settings].concat());
        config.retry_deadline = Duration::ZERO;
        let complaint = || {
            let client = KafkaClient::new(listener.runtime.handle().clone(), config.clone());
            client.partitions("shops.rows").expect_err("nobody answers").to_string()
        };
        assert!(complaint().contains("does it trust the authority of our certificate"), "{}", complaint());
        renew();
        assert!(complaint().contains(BELIEVED), "{}", complaint());
    };
    let pair = written(folder.path(), "pair.pem", &pem(&former));
    is_renewed(&[("ssl.keystore.location", text(&pair))], &|| {
        written(folder.path(), "pair.pem", "half of a fi");
        written(folder.path(), "pair.pem", &pem(&renewed));
    });
    let key = written(folder.path(), "key.pem", &former.key);
    let chain = written(folder.path(), "chain.pem", &former.certificate);
    is_renewed(&[("ssl.key.location", text(&key)), ("ssl.certificate.location", text(&chain))], &|| {
        written(folder.path(), "key.pem", &renewed.key);
        written(folder.path(), "chain.pem", &renewed.certificate);
    });
    let store = |signed: &Signed| {
        written(folder.path(), "both.pem", &pem(signed));
        openssl(folder.path(), &["pkcs12", "-export", "-in", "both.pem", "-out", "client.p12", "-passout", "pass:open"])
    };
    let Some(()) = store(&former) else { return };
    let path = folder.path().join("client.p12");
    is_renewed(&[("ssl.keystore.location", text(&path)), ("ssl.keystore.password", "open")], &|| {
        store(&renewed).expect("openssl was there before");
    });
}

#[test]
fn a_client_without_tls_sees_that_the_listener_has_it() {
    let listener = Listener::start(&Authority::new("Test Authority").sign("kafka-1", &["127.0.0.1"]));
    let complaint = listener.complaint(&[("security.protocol", "PLAINTEXT")]);
    assert!(complaint.contains("this listener speaks TLS: set security.protocol=SSL"), "{complaint}");
}

/// Runs openssl in `folder`.
fn openssl(folder: &Path, arguments: &[&str]) -> Option<()> {
    let made = tool::tool("openssl", &["version"])?.current_dir(folder).args(arguments).output().expect("openssl");
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    Some(())
}

#[test]
fn a_clients_certificate_is_taken_from_every_kind_of_store() {
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let ca = authority.file(folder.path());
    let client = authority.sign("client", &["client"]);
    let key = written(folder.path(), "key.pem", &client.key);
    let chain = written(folder.path(), "chain.pem", &client.certificate);
    let pair = written(folder.path(), "pair.pem", &format!("{}{}", client.key, client.certificate));
    let listener = Listener::asking(&authority.sign("kafka-1", &["127.0.0.1"]), Some(&authority));
    let trusted = ("ssl.truststore.location", text(&ca));
    let complaint = listener.complaint(&[trusted]);
    assert!(complaint.contains("set ssl.keystore.location"), "{complaint}");
    let believed = |settings: &[(&'static str, &str)]| {
        let complaint = listener.complaint(&[&[trusted], settings].concat());
        assert!(complaint.contains(BELIEVED), "{settings:?}: {complaint}");
    };
    believed(&[("ssl.keystore.location", text(&pair))]);
    believed(&[("ssl.key.location", text(&key)), ("ssl.certificate.location", text(&chain))]);
    believed(&[("ssl.keystore.key", &client.key), ("ssl.keystore.certificate.chain", &client.certificate)]);

    let stranger = Authority::new("Other Authority").sign("stranger", &["client"]);
    let complaint = listener.complaint(&[
        trusted,
        ("ssl.keystore.key", &stranger.key),
        ("ssl.keystore.certificate.chain", &stranger.certificate),
    ]);
    assert!(complaint.contains("does it trust the authority of our certificate, CN=stranger"), "{complaint}");

    let encrypt =
        ["pkcs8", "-topk8", "-in", "key.pem", "-out", "secret.pem", "-v2", "aes-256-cbc", "-passout", "pass:open"];
    let Some(()) = openssl(folder.path(), &encrypt) else { return };
    let encrypted = folder.path().join("secret.pem");
    let parts = [("ssl.key.location", text(&encrypted)), ("ssl.certificate.location", text(&chain))];
    believed(&[parts[0], parts[1], ("ssl.key.password", "open")]);
    assert!(problems(&parts).contains("the private key is encrypted: set ssl.key.password"));
    let wrong = [parts[0], parts[1], ("ssl.key.password", "wrong")];
    assert!(problems(&wrong).contains("ssl.key.password does not open the private key"));

    let export =
        ["pkcs12", "-export", "-inkey", "key.pem", "-in", "chain.pem", "-out", "client.p12", "-passout", "pass:open"];
    openssl(folder.path(), &export).expect("it was there before");
    let store = folder.path().join("client.p12");
    believed(&[("ssl.keystore.location", text(&store)), ("ssl.keystore.password", "open")]);
    let wrong = [("ssl.keystore.location", text(&store)), ("ssl.keystore.password", "wrong")];
    assert!(problems(&wrong).contains("client.p12: the password does not open it"), "{}", problems(&wrong));
}

#[test]
fn a_truststore_that_java_made_is_read() {
    let Some(mut keytool) = tool::tool("keytool", &["-help"]) else { return };
    let (folder, authority) = (folder(), Authority::new("Test Authority"));
    let ca = authority.file(folder.path());
    let store = folder.path().join("trust.p12");
    let made = keytool
        .args(["-importcert", "-noprompt", "-alias", "ca", "-storetype", "pkcs12", "-storepass", "open-it"])
        .args(["-file", text(&ca), "-keystore", text(&store)])
        .output()
        .expect("keytool");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let listener = Listener::start(&authority.sign("kafka-1", &["127.0.0.1"]));
    let trusted = ("ssl.truststore.location", text(&store));
    let complaint = listener.complaint(&[trusted, ("ssl.truststore.password", "open-it")]);
    assert!(complaint.contains(BELIEVED), "{complaint}");
    let wrong = problems(&[trusted, ("ssl.truststore.password", "wrong")]);
    assert!(wrong.contains("trust.p12: the password does not open it"), "{wrong}");
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

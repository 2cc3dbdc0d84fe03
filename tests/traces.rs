//! Traces: a collector of the test's own takes what `run` sends by OTLP over HTTP.

#[path = "support/app.rs"]
mod app;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/kafka.rs"]
mod kafka;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use app::{App, LIMIT};
use certificates::{Authority, Signed};
use kafka::Kafka;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::Header;

/// Takes every request and hands over its head and its spans.
struct Collector {
    url: String,
    taken: Receiver<(String, Vec<Value>)>,
}

impl Collector {
    fn start() -> Collector {
        Collector::over(None)
    }

    /// With TLS, if that is given; a client that TLS does not let in is not heard.
    fn over(tls: Option<Arc<ServerConfig>>) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr().expect("bound").port());
        let (takes, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a client");
                let request = match &tls {
                    None => take_request(stream),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).expect("a configuration");
                        take_request(StreamOwned::new(connection, stream))
                    }
                };
                if let Ok(request) = request {
                    takes.send(request).ok(); // the test may be over
                }
            }
        });
        Collector { url, taken }
    }
}

/// Takes a request, answers it, and gives its head and its spans.
fn take_request(mut stream: impl Read + Write) -> std::io::Result<(String, Vec<Value>)> {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut piece = [0; 4_096];
        let length = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8(request.clone()).expect("UTF-8");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let wanted = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        if body.len() == wanted.parse::<usize>().expect("a number") {
            break (head.to_owned(), body.to_owned());
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
    stream.flush()?;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let name = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!((&name["key"], &name["value"]["stringValue"]), (&"service.name".into(), &"sheets".into()));
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans").clone();
    Ok((head, spans))
}

/// What a collector shows: `shown`. It lets in whom `clients` has signed, if that is given.
fn tls(shown: &Signed, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(authority.der())).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(shown.key_der.clone()));
    let config = builder.with_single_cert(vec![CertificateDer::from(shown.der.clone())], key).expect("a pair");
    Arc::new(config)
}

/// The spans of an upload, the upload's own first.
fn spans_of(spans: &[Value], upload: &str) -> Option<Vec<Value>> {
    let is_it =
        |attribute: &Value| attribute["key"] == "sheetstream.upload" && attribute["value"]["stringValue"] == upload;
    let root = spans.iter().find(|span| span["attributes"].as_array().is_some_and(|all| all.iter().any(is_it)))?;
    let children = spans.iter().filter(|span| span["parentSpanId"] == root["spanId"]);
    Some([root].into_iter().chain(children).cloned().collect())
}

fn nanos(span: &Value, name: &str) -> u64 {
    span[name].as_str().expect("text").parse().expect("a number")
}

/// An upload of one row; record `carrier` of its begin, its header, its row and its end carries `traceparent`.
fn publish(app: &App, upload: &str, traceparent: &str, carrier: usize) {
    let mut producer = app.kafka.client("publisher").producer(ProducerConfig::default());
    let topic = format!("{}.rows", app.name).into();
    let carried = [Header::new("traceparent", traceparent.to_owned())];
    for (at, value) in
        ["#BEGIN", "#HEADER id,name,kind,x,y", "1,Place,museum,953000,1952000", "#EOF"].iter().enumerate()
    {
        let headers = if at == carrier { carried.as_slice() } else { &[] };
        producer.send(&topic, Some(0), Some(upload.as_bytes()), Some(value.as_bytes()), headers).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

#[test]
fn an_upload_has_one_trace_from_its_publisher_to_its_workbook() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";
    const UNSAMPLED: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
    let Some(kafka) = Kafka::shared() else { return };
    let collector = Collector::start();
    let app = App::new(kafka, "traces", 1);
    let environment = [("OTEL_SERVICE_NAME", "sheets"), ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=marked-key")];
    let run = app.run_with("state", &["--otlp-endpoint", &collector.url], &environment);
    let carriers = ["begun", "named", "traced", "ended"];
    for (carrier, upload) in carriers.iter().enumerate() {
        publish(&app, upload, &format!("00-{TRACE}-{PARENT}-01"), carrier);
    }
    publish(&app, "unsampled", &format!("00-{UNSAMPLED}-{PARENT}-00"), 2);
    app.publish(&[&app.csv("own.csv", 500)]);
    let mut spans = Vec::new();
    let own = loop {
        let (head, more) = collector.taken.recv_timeout(LIMIT).expect("traces");
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("\r\napi-key: marked-key"), "{head}");
        spans.extend(more);
        if let Some(own) = spans_of(&spans, "own.csv") {
            break own;
        }
    };
    assert_eq!(run.stop(), Some(0));
    let traced = carriers.map(|upload| spans_of(&spans, upload).expect("it ended before the other"));
    for upload in &traced {
        assert_eq!((&upload[0]["traceId"], &upload[0]["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    }
    let mut carried = 0;
    app.each("workbooks", |record| {
        carried += usize::from(record.headers.iter().any(|header| {
            &*header.name == "traceparent" && header.value.as_deref().is_some_and(|value| value.starts_with(b"00-4bf"))
        }));
    });
    assert_eq!(carried, carriers.len(), "the workbooks carry it on");
    assert!(own[0]["parentSpanId"].is_null() && own[0]["traceId"] != TRACE, "{own:?}");
    assert!(spans.iter().all(|span| span["traceId"] != UNSAMPLED), "{spans:?}");
    for spans in traced.iter().chain([&own]) {
        let names: Vec<&Value> = spans.iter().map(|span| &span["name"]).collect();
        assert_eq!(names, ["upload", "read", "map", "pages", "assemble", "publish"]);
        assert!(spans.iter().all(|span| span["traceId"] == spans[0]["traceId"]), "{spans:?}");
        let (begun, ended) = (nanos(&spans[0], "startTimeUnixNano"), nanos(&spans[0], "endTimeUnixNano"));
        for span in spans {
            let (from, to) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
            assert!(begun <= from && from <= to && to <= ended, "{span} in {}", spans[0]);
        }
        let id = spans[0]["traceId"].as_str().expect("an id");
        let log = app.log("state");
        let is_said = |line: &str| line.contains("published") && line.contains("trace_id=") && line.contains(id);
        assert!(log.lines().any(is_said), "{id}: {log}");
    }
    assert!(!app.log("state").contains("marked-key"));
}

/// By the authority and with the certificate that the variables name; a collector that is not trusted gets nothing.
#[test]
fn a_collector_is_reached_by_tls_and_only_if_it_is_trusted() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "traces-tls", 1);
    let authority = Authority::new("ours");
    let ca = authority.file(app.folder.path()).display().to_string();
    let shown = authority.sign("collector", &["localhost"]);
    let our_own = authority.sign("sheetstream", &["sheetstream"]);
    let file = |name: &str, text: &str| {
        let path = app.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (chain, key) = (file("own.pem", &our_own.certificate), file("own.key", &our_own.key));
    let variables = |endpoint: &str, trusted: &str| -> Vec<(&'static str, String)> {
        let given =
            [("ENDPOINT", endpoint), ("CERTIFICATE", trusted), ("CLIENT_CERTIFICATE", &chain), ("CLIENT_KEY", &key)];
        let named = given.map(|(name, value)| (&*format!("OTEL_EXPORTER_OTLP_{name}").leak(), value.to_owned()));
        named.into_iter().chain([("OTEL_SERVICE_NAME", "sheets".to_owned())]).collect()
    };
    let run = |variables: &[(&str, String)]| {
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.run_with("state", &[], &variables)
    };

    let collector = Collector::over(Some(tls(&shown, Some(&authority))));
    let running = run(&variables(&collector.url, &ca));
    app.publish(&[&app.csv("a.csv", 20)]);
    let (_, spans) = collector.taken.recv_timeout(LIMIT).expect("traces");
    assert!(spans_of(&spans, "a.csv").is_some(), "{spans:?}");
    assert_eq!(running.stop(), Some(0));

    let other = Authority::new("others").file(app.folder.path()).display().to_string();
    let running = run(&variables(&collector.url, &other));
    app.publish(&[&app.csv("b.csv", 20)]);
    app.wait_for(&["b.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    let log = app.log("state");
    assert!(log.contains("traces were not taken by the collector") && log.contains("UnknownIssuer"), "{log}");
    assert!(collector.taken.try_recv().is_err());
}

#[test]
fn a_collector_that_is_away_costs_traces_and_nothing_else() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "untraced", 1);
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let run = app.run_with("state", &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"))]);
    app.publish(&[&app.csv("a.csv", 50)]);
    app.wait_for(&["a.csv"], "state");
    assert_eq!(run.stop(), Some(0));
    assert!(app.log("state").contains("traces were not taken by the collector"), "{}", app.log("state"));
}

on_the_in_process_broker! {
    an_upload_has_one_trace_from_its_publisher_to_its_workbook,
    a_collector_is_reached_by_tls_and_only_if_it_is_trusted,
    a_collector_that_is_away_costs_traces_and_nothing_else,
}

//! Traces: a collector of the test's own takes what `run` sends by OTLP over HTTP.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use app::{App, LIMIT};
use kafka::Kafka;
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
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (takes, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut request = Vec::new();
                let (head, body) = loop {
                    let mut piece = [0; 4_096];
                    let length = stream.read(&mut piece).expect("a request");
                    request.extend_from_slice(&piece[..length]);
                    let text = String::from_utf8(request.clone()).expect("UTF-8");
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let wanted = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
                    if body.len() == wanted.parse::<usize>().expect("a number") {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("answered");
                let body: Value = serde_json::from_str(&body).expect("JSON");
                let name = &body["resourceSpans"][0]["resource"]["attributes"][0];
                assert_eq!((&name["key"], &name["value"]["stringValue"]), (&"service.name".into(), &"sheets".into()));
                let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans").clone();
                takes.send((head, spans)).ok(); // the test may be over
            }
        });
        Collector { url, taken }
    }
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

/// An upload of one row whose record carries `traceparent`.
fn publish(app: &App, upload: &str, traceparent: &str) {
    let mut producer = app.kafka.client("publisher").producer(ProducerConfig::default());
    let topic = format!("{}.rows", app.name).into();
    let headers = [Header::new("traceparent", traceparent.to_owned())];
    let key = Some(upload.as_bytes());
    let rows = b"id,name,kind,x,y\n1,Place,museum,953000,1952000".as_slice();
    producer.send(&topic, Some(0), key, Some(rows), &headers).expect("sent");
    producer.send(&topic, Some(0), key, Some(b"#EOF"), &[]).expect("sent");
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
    publish(&app, "traced", &format!("00-{TRACE}-{PARENT}-01"));
    publish(&app, "unsampled", &format!("00-{UNSAMPLED}-{PARENT}-00"));
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
    let traced = spans_of(&spans, "traced").expect("it ended before the other");
    assert_eq!((&traced[0]["traceId"], &traced[0]["parentSpanId"]), (&TRACE.into(), &PARENT.into()));
    assert!(own[0]["parentSpanId"].is_null() && own[0]["traceId"] != TRACE, "{own:?}");
    assert!(spans.iter().all(|span| span["traceId"] != UNSAMPLED), "{spans:?}");
    for spans in [&traced, &own] {
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
    a_collector_that_is_away_costs_traces_and_nothing_else,
}

//! Traces as OTLP writes them in JSON: ids in hexadecimal, 64-bit numbers as text
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::context::{hex, span_id};
use super::trace::{Trace, Value};

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_CONSUMER`.
const INTERNAL: u8 = 1;
const CONSUMER: u8 = 5;
/// `STATUS_CODE_UNSET` and `STATUS_CODE_ERROR`.
const UNSET: u8 = 0;
const ERROR: u8 = 2;

/// The body of one request.
pub(super) fn request(resource: &[(String, String)], traces: &[Trace]) -> Json {
    let resource: Vec<Json> = resource.iter().map(|(key, value)| attribute(key, &Value::Text(value.clone()))).collect();
    let spans: Vec<Json> = traces.iter().flat_map(spans).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{
                "scope": { "name": "sheetstream", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    })
}

/// One span for the upload, and one below it for each stage.
fn spans(trace: &Trace) -> Vec<Json> {
    let (id, root) = (hex(&trace.context.trace), hex(&span_id()));
    let attributes: Vec<Json> = trace.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    let status = match &trace.failure {
        Some(reason) => json!({ "code": ERROR, "message": reason }),
        None => json!({ "code": UNSET }),
    };
    let mut upload = json!({
        "traceId": id, "spanId": root, "name": "upload", "kind": CONSUMER,
        "startTimeUnixNano": nanos(trace.begun), "endTimeUnixNano": nanos(trace.ended),
        "attributes": attributes, "status": status,
    });
    if let Some(parent) = trace.context.parent {
        upload["parentSpanId"] = hex(&parent).into();
    }
    let child = |name: &str, begun, ended, attributes: Json| {
        json!({
            "traceId": id, "spanId": hex(&span_id()), "parentSpanId": root, "name": name, "kind": INTERNAL,
            "startTimeUnixNano": nanos(begun), "endTimeUnixNano": nanos(ended), "attributes": attributes,
        })
    };
    let mut spans = vec![upload, child("read", trace.begun, trace.read_to, json!([]))];
    spans.extend(trace.stages.iter().map(|span| {
        let busy = u64::try_from(span.busy.as_micros()).unwrap_or(u64::MAX);
        let busy = attribute("sheetstream.busy_us", &Value::Count(busy));
        child(span.stage.name(), span.begun, span.ended, json!([busy]))
    }));
    spans
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Count(count) => json!({ "intValue": count.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}

//! `docs/openapi.json` against the real server: every operation is driven, and every answer checked against what the document says of it. The
//! schemas are closed, so a field that the document does not know fails the test, as does a route that it leaves out.

#[path = "support/app.rs"]
mod app;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use app::{App, LIMIT};
use http::{Answer, send};
use kafka::Kafka;
use serde_json::Value;

fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the document")).expect("JSON")
}

/// Why a value is not what a schema says; the keywords are those that the document uses.
fn mismatch(value: &Value, schema: &Value, document: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a schema that is there");
        return mismatch(value, target, document, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<String> = any.iter().map_while(|schema| mismatch(value, schema, document, at)).collect();
        return (all.len() == any.len()).then(|| all.join(" and "));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is = |kind: &&str| match *kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    };
    if !kinds.iter().any(is) {
        return Some(format!("{at} is {value}, not {kinds:?}"));
    }
    if let Some(known) = schema["enum"].as_array().filter(|known| !known.contains(value)) {
        return Some(format!("{at} is {value}, none of {known:?}"));
    }
    if let Some(items) = value.as_array() {
        let wrong = |(n, item)| mismatch(item, &schema["items"], document, &format!("{at}[{n}]"));
        return items.iter().enumerate().find_map(wrong);
    }
    let object = value.as_object()?;
    let missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = missing.into_iter().find(|name| !object.contains_key(*name)) {
        return Some(format!("{at} has no {name}"));
    }
    object.iter().find_map(|(name, value)| {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => mismatch(value, schema, document, &at),
            (None, Value::Bool(false)) => Some(format!("{at} is not in the document")),
            (None, further) => mismatch(value, further, document, &at),
        }
    })
}

/// A server, its document, and the operations that were driven.
struct Drive {
    address: SocketAddr,
    document: Value,
    driven: BTreeSet<String>,
}

impl Drive {
    /// Sends a request and checks the answer against the operation `method` of `template`.
    fn call(&mut self, method: &str, template: &str, path: &str, body: &[u8], status: u16) -> Answer {
        self.call_with(method, template, path, &[], body, status)
    }

    fn call_with(
        &mut self,
        method: &str,
        template: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        status: u16,
    ) -> Answer {
        let answer = send(self.address, method, path, headers, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let operation = &self.document["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {template} is not in the document");
        let query = path.split_once('?').map_or("", |(_, query)| query);
        for name in query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()) {
            let parameters = operation["parameters"].as_array().expect("parameters");
            assert!(
                parameters.iter().any(|parameter| parameter["name"] == name),
                "{method} {template} takes no {name}"
            );
        }
        let said = &operation["responses"][status.to_string()];
        assert!(said.is_object(), "{method} {template} does not say {status}");
        if let Some(content) = said["content"].as_object() {
            let media_type = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
            let media = content.get(media_type).unwrap_or_else(|| panic!("{method} {template}: {media_type}"));
            if media_type.ends_with("json") {
                let wrong = mismatch(&answer.json(), &media["schema"], &self.document, "the answer");
                assert_eq!(wrong, None, "{method} {path}: {}", answer.text());
            }
        }
        for name in said["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(answer.header(&name.to_lowercase()).is_some(), "{method} {template} has no {name}");
        }
        self.driven.insert(format!("{} {template}", method.to_uppercase()));
        answer
    }
}

fn drive_every_operation() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = App::new(kafka, "openapi", 1);
    let _running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
    let mut drive = Drive { address: app.http_address("state"), document: document(), driven: BTreeSet::new() };
    let file = fs::read(app.csv("places.csv", 2_000)).expect("a file");

    let begun = Instant::now();
    while http::get(drive.address, "/readyz").status != 200 {
        assert!(begun.elapsed() < LIMIT, "{}", app.log("state"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for path in ["/version", "/openapi.json", "/metrics", "/healthz", "/readyz", "/topologies", "/crs", "/reasons"] {
        drive.call("GET", path, path, b"", 200);
    }
    drive.call("GET", "/crs", "/crs?q=lambert", b"", 200);
    drive.call("POST", "/inspect", "/inspect?name=places.csv&lang=ko&whole=true", &file, 200);
    drive.call("POST", "/inspect", "/inspect?x=nothing", &file, 400);
    drive.call("POST", "/inspect", "/inspect?header_line=first", &file, 400);
    drive.call("POST", "/inspect", "/inspect?topology=nothing", &file, 404);
    drive.call("POST", "/draft", "/draft?name=places.csv&whole=true", &file, 200);
    drive.call("POST", "/draft", "/draft?x=nothing", &file, 400);
    drive.call("POST", "/draft", "/draft?topology=nothing", &file, 404);
    drive.call("POST", "/draft", "/draft?crs=nonsense", &file, 422);
    drive.call("POST", "/draft", "/draft", b"PK\x03\x04 a zip archive", 415);
    drive.call("POST", "/inspect", "/inspect?crs=nonsense", &file, 422);
    drive.call("POST", "/inspect", "/inspect", b"PK\x03\x04 a zip archive", 415);

    let created = drive.call("POST", "/uploads", "/uploads?name=places.csv", &file, 201).json();
    let id = created["id"].as_str().expect("an id").to_owned();
    drive.call("POST", "/uploads", "/uploads?name=places.csv", &file, 200);
    drive.call("POST", "/uploads", "/uploads?crs=nonsense", &file, 422);
    drive.call("POST", "/uploads", "/uploads?topology=nothing", &file, 404);
    drive.call("POST", "/uploads", "/uploads?x=nothing", &file, 400);
    drive.call("POST", "/uploads", "/uploads?corrections=%5B%5B1,%5B%5D%5D%5D", &file, 400);
    drive.call("POST", "/uploads", "/uploads?revises=nothing", &file, 404);
    let begun = Instant::now();
    while drive.call("GET", "/uploads/{id}", &format!("/uploads/{id}?lang=ko"), b"", 200).json()["state"] != "PUBLISHED"
    {
        assert!(begun.elapsed() < LIMIT, "{}", app.log("state"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drive.call("GET", "/uploads", "/uploads?limit=5&lang=en", b"", 200);
    let events = drive.call("GET", "/uploads/{id}/events", &format!("/uploads/{id}/events"), b"", 200).text();
    let last = events.split("data: ").last().and_then(|data| data.lines().next()).expect("an event");
    let upload = drive.document["components"]["schemas"]["Upload"].clone();
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(mismatch(&last, &upload, &drive.document, "the event"), None);
    for part in ["preview", "points", "rejects"] {
        let template = format!("/uploads/{{id}}/{part}");
        drive.call("GET", &template, &format!("/uploads/{id}/{part}"), b"", 200);
        drive.call("GET", &template, &format!("/uploads/nothing/{part}"), b"", 404);
    }
    drive.call("GET", "/uploads/{id}", "/uploads/nothing", b"", 404);
    drive.call("DELETE", "/uploads/{id}", "/uploads/nothing", b"", 404);
    drive.call("DELETE", "/uploads/{id}", &format!("/uploads/{id}"), b"", 409);

    let (template, path) = ("/workbooks/{id}", format!("/workbooks/{id}"));
    let workbook = drive.call("GET", template, &path, b"", 200);
    let tag = workbook.header("etag").expect("a tag").to_owned();
    drive.call_with("GET", template, &path, &[("range", "bytes=0-9")], b"", 206);
    drive.call_with("GET", template, &path, &[("range", "bytes=999999999-")], b"", 416);
    drive.call_with("GET", template, &path, &[("if-none-match", &tag)], b"", 304);
    drive.call("GET", template, "/workbooks/nothing", b"", 404);
    for what in ["pause", "resume"] {
        let template = format!("/topologies/{{name}}/{what}");
        drive.call("POST", &template, &format!("/topologies/{}/{what}", app.name), b"", 204);
        drive.call("POST", &template, &format!("/topologies/nothing/{what}"), b"", 404);
    }
    let archive = drive.call("GET", "/workbooks.zip", &format!("/workbooks.zip?ids={id},{id}"), b"", 200);
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive.body.clone())).expect("an archive");
    let names: Vec<String> = zip.file_names().map(|name| name.expect("a name").into_owned()).collect();
    let mut unpacked = Vec::new();
    zip.by_index(1).expect("a workbook").read_to_end(&mut unpacked).expect("its checksum is right");
    assert!(names.len() == 2 && names[1].ends_with(" (2).xlsx") && unpacked == workbook.body, "{names:?}");
    drive.call("GET", "/workbooks.zip", "/workbooks.zip?ids=", b"", 400);
    drive.call("GET", "/workbooks.zip", &format!("/workbooks.zip?ids={id},nothing"), b"", 404);
    drive.call("DELETE", "/session", "/session", b"", 204);
    drive.call("POST", "/session", "/session", b"", 204);

    let paths = drive.document["paths"].as_object().expect("paths");
    let described: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(drive.driven, described, "every operation is driven");
}

#[test]
fn every_operation_answers_as_the_document_says() {
    kafka::in_process(drive_every_operation);
}

#[test]
fn every_route_is_in_the_document() {
    let document = document();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut routes = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).expect("text");
            routes.extend(text.split(".route(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    // The page's own files are no part of the API.
    routes.retain(|route| !matches!(route.as_str(), "/" | "/favicon.ico" | "/assets/{name}"));
    let described: BTreeSet<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    assert_eq!(routes, described);
}

//! The HTTP server over real sockets, without a broker: who is let in, and what bad requests come to.

#[path = "support/http.rs"]
mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use http::{connect, get, raw, request};
use sheetstream::http::{HttpConfig, HttpError, HttpParts, HttpServer, start};
use sheetstream::kafka::KafkaConfig;
use sheetstream::runtime::health::Health;
use sheetstream::runtime::queries::Queries;
use sheetstream::topology::Topology;

/// What a server on the network asks for.
const TOKEN: &str = "a secret of the office";

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// Two topologies, of which one transforms coordinates, and no broker.
fn parts() -> HttpParts {
    let topology = |name: &str, map: &str| {
        let text = format!(
            "name = \"{name}\"\n[[source]]\nname = \"rows\"\nheader = \"first\"\n{map}[[aggregate]]\nname = \"sheets\"\nsheet = \"kind\"\n[[sink]]\nname = \"books\"\n"
        );
        Arc::new(Topology::parse(&text, name, &|_| None).expect("a topology"))
    };
    let map = r#"[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
"#;
    HttpParts {
        topologies: vec![topology("places", map), topology("plain", "")],
        kafka: KafkaConfig::new(["127.0.0.1:1"], "test"),
        health: Arc::new(Health::default()),
        queries: Queries::default(),
    }
}

/// A server whose broker is not there.
fn serve(config: HttpConfig) -> HttpServer {
    start(config, parts()).expect("it starts")
}

#[test]
fn every_answer_carries_the_headers_of_safety() {
    let server = serve(HttpConfig::new(loopback()));
    for path in ["/version", "/nowhere"] {
        let answer = get(server.address(), path);
        let header = |name| answer.header(name).unwrap_or_default();
        assert!(header("content-security-policy").contains("default-src 'self'"), "{answer:?}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{answer:?}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(get(server.address(), "/version").json()["name"], "sheetstream");
    server.stop();
}

#[test]
fn errors_are_problem_documents() {
    let server = serve(HttpConfig::new(loopback()));
    let to = server.address();
    let problem = |method, path, headers: &[(&str, &str)]| {
        let answer = request(to, method, path, headers);
        (answer.status, answer.problem())
    };
    assert_eq!(problem("GET", "/nowhere", &[]), (404, "not-found".into()));
    assert_eq!(problem("DELETE", "/version", &[]), (405, "method-not-allowed".into()));
    assert_eq!(problem("GET", "/version", &[("host", "evil.example")]), (421, "unknown-host".into()));
    assert_eq!(problem("POST", "/session", &[("origin", "http://evil.example")]), (403, "cross-origin".into()));
    assert_eq!(problem("POST", "/session", &[("sec-fetch-site", "cross-site")]), (403, "cross-origin".into()));
    let query = request(to, "GET", "/workbooks.zip", &[]);
    assert_eq!((query.status, query.problem()), (400, "bad-request".into()));
    assert_eq!(query.json()["detail"], "the query cannot be read: missing field `ids`");
    server.stop();
}

#[test]
fn heads_that_are_wrong_or_too_large_are_refused() {
    let server = serve(HttpConfig::new(loopback()));
    let to = server.address();
    let status = |head: &str| raw(to, &[head.as_bytes()]).status;
    assert_eq!(status(&format!("GET /version HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(100_000))), 431);
    assert_eq!(status(&format!("GET /version HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(1_000))), 431);
    assert_eq!(status("GET /version HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET /version HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n"), 400);
    assert_eq!(status("no request at all\r\n\r\n"), 400);
    assert_eq!(
        status("POST /session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n"),
        400
    );
    let mut http2 = connect(to);
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
    assert_eq!(http2.read(&mut [0; 100]).expect("an end"), 0, "HTTP/2 is not spoken");
    server.stop();
}

#[test]
fn a_head_that_never_ends_is_answered_with_408() {
    let server = serve(HttpConfig::new(loopback()));
    let mut stream = connect(server.address());
    stream.write_all(b"GET /version HTTP/1.1\r\nhost: loc").expect("sent");
    let answer = http::answer(&mut stream);
    assert_eq!((answer.status, answer.problem()), (408, "timeout".into()));
    server.stop();
}

/// One client that opens as many connections as it can leaves places for others, and for those who watch.
#[test]
fn half_heads_of_one_address_do_not_shut_out_probes() {
    let server = serve(HttpConfig::new(loopback()));
    let half = |_| {
        let mut stream = TcpStream::connect(server.address()).expect("accepted");
        stream.write_all(b"GET /topologies HTTP/1.1\r\nhost: localhost\r\n").expect("sent");
        stream
    };
    let held: Vec<TcpStream> = (0..700).map(half).collect();
    for probe in ["/metrics", "/healthz", "/readyz"] {
        let answer = http::get(server.address(), probe);
        assert!(answer.header("content-type").is_some() && answer.status != 503 || probe == "/readyz", "{answer:?}");
    }
    let refused = http::get(server.address(), "/topologies");
    assert_eq!((refused.status, refused.problem()), (503, "too-many-connections".into()));
    let scraped = http::get(server.address(), "/metrics").text();
    assert!(scraped.contains(r#"sheetstream_http_connections_refused_total{limit="address"}"#), "{scraped}");
    drop(held);
    let begun = std::time::Instant::now();
    while http::get(server.address(), "/topologies").status != 200 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "places are not given back");
    }
}

#[test]
fn a_server_on_the_network_needs_a_token() {
    let config = HttpConfig::new("0.0.0.0:0".parse().expect("an address"));
    assert!(matches!(start(config.clone(), parts()), Err(HttpError::NoToken(_))));

    let server = serve(HttpConfig { token: Some(TOKEN.into()), ..config });
    let to = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let refused = get(to, "/nowhere");
    assert_eq!((refused.status, refused.problem()), (401, "token".into()));
    assert_eq!(get(to, "/version").status, 200);
    assert_eq!(request(to, "GET", "/nowhere", &[("authorization", &format!("Bearer {TOKEN}"))]).status, 404);

    assert_eq!(request(to, "POST", "/session", &[]).status, 401);
    let session = request(to, "POST", "/session", &[("authorization", &format!("Bearer {TOKEN}"))]);
    let cookie = session.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().unwrap_or_default();
    assert_eq!(request(to, "GET", "/nowhere", &[("cookie", pair)]).status, 404);
    let other = request(to, "POST", "/session", &[("authorization", &format!("Bearer {TOKEN}"))]);
    assert_ne!(other.header("set-cookie"), Some(cookie), "sessions are random");
    assert_eq!(request(to, "DELETE", "/session", &[("cookie", pair)]).status, 204);
    assert_eq!(request(to, "GET", "/nowhere", &[("cookie", pair)]).status, 401, "a copy of the cookie is of no use");
    server.stop();
}

#[test]
fn a_token_that_can_be_guessed_is_refused() {
    for token in ["x", "                        ", "fifteen letters"] {
        let config = HttpConfig { token: Some(token.into()), ..HttpConfig::new(loopback()) };
        assert!(matches!(start(config, parts()), Err(HttpError::ShortToken(0..=15))), "{token:?}");
    }
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind(loopback()).expect("a port");
    let address = taken.local_addr().expect("bound");
    let error = start(HttpConfig::new(address), parts()).err().expect("the port is taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_stop_does_not_wait_for_an_idle_client() {
    let server = serve(HttpConfig::new(loopback()));
    let mut idle = connect(server.address());
    idle.write_all(b"GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    assert_eq!(http::answer(&mut idle).status, 200);
    server.stop();
    assert_eq!(idle.read(&mut [0]).expect("an end"), 0);
}

const FILE: &str = "kind,x,y\nmuseum,953000,1952000\n";

/// A multipart form of these parts: the head behind `Content-Disposition: form-data; `, and the body.
fn form(parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(head, body): &(&str, &str)| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n");
    (parts.iter().map(part).collect::<String>() + "--b--\r\n").into_bytes()
}

#[test]
fn bad_uploads_are_refused_each_with_its_status() {
    let server = serve(HttpConfig { upload_bytes_max: 5 << 20, ..HttpConfig::new(loopback()) });
    let to = server.address();
    let multipart = ("content-type", "multipart/form-data; boundary=b");
    let file = ("name=\"file\"; filename=\"a.csv\"", FILE);
    let long_name = format!("topology=plain&name={}", "x".repeat(4 << 10));
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("name=\"crs\"", "EPSG:4326"), 10_000).collect();
    let named = |name: &str| format!("name=\"file\"; filename=\"{name}\"");
    let long = named(&"x".repeat(4 << 10));
    let endless = format!("--b\r\nx: {}", "x".repeat(2 << 20)).into_bytes();
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, Vec<u8>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("no topology named", "", vec![], FILE.into(), 400, "topology"),
        ("unknown topology", "topology=nowhere", vec![], FILE.into(), 404, "unknown-topology"),
        ("too large", "topology=plain", vec![], vec![b'x'; 6 << 20], 413, "too-large"),
        (
            "zip",
            "topology=plain&name=a.csv",
            vec![("content-type", "text/csv")],
            b"PK\x03\x04zip".to_vec(),
            415,
            "not-text",
        ),
        ("gzip that ends early", "topology=plain", vec![], b"\x1f\x8b\x08\0".to_vec(), 422, "packed"),
        (
            "gzip as an encoding",
            "topology=plain",
            vec![("content-encoding", "gzip")],
            FILE.into(),
            415,
            "content-encoding",
        ),
        ("binary", "topology=plain", vec![], vec![0; 100], 415, "not-text"),
        ("empty", "topology=plain", vec![], b"\n\n".to_vec(), 400, "header"),
        ("broken header", "topology=plain", vec![], b"a,\"b\n1,2\n".to_vec(), 400, "header"),
        ("name too long", &long_name, vec![], FILE.into(), 400, "name"),
        ("zero byte in the name", "topology=plain&name=a%00b", vec![], FILE.into(), 400, "name"),
        ("topology twice", "topology=plain&topology=places", vec![], FILE.into(), 400, "query"),
        ("unknown CRS", "topology=places&crs=EPSG:99999", vec![], FILE.into(), 422, "crs"),
        ("CRS for nothing", "topology=plain&crs=EPSG:5181", vec![], FILE.into(), 422, "crs"),
        ("links to no place", "topology=plain&map_link=true", vec![], FILE.into(), 400, "extra"),
        (
            "no boundary",
            "topology=plain",
            vec![("content-type", "multipart/form-data")],
            form(&[file]),
            400,
            "multipart",
        ),
        (
            "other boundary",
            "topology=plain",
            vec![("content-type", "multipart/form-data; boundary=c")],
            form(&[file]),
            400,
            "multipart",
        ),
        (
            "cut off",
            "topology=plain",
            vec![multipart],
            b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\na,b".to_vec(),
            400,
            "multipart",
        ),
        ("10,000 parts", "topology=plain", vec![multipart], form(&many), 400, "multipart"),
        ("endless head of a part", "topology=plain", vec![multipart], endless, 400, "multipart"),
        ("no file", "topology=plain", vec![multipart], form(&[("name=\"crs\"", "EPSG:4326")]), 400, "multipart"),
        ("two files", "topology=plain", vec![multipart], form(&[file, file]), 400, "multipart"),
        (
            "unknown part",
            "topology=plain",
            vec![multipart],
            form(&[("name=\"nonsense\"", "1"), file]),
            400,
            "multipart",
        ),
        ("name of a part too long", "topology=plain", vec![multipart], form(&[(&long, FILE)]), 400, "name"),
        (
            "zip in a form",
            "topology=plain",
            vec![multipart],
            form(&[("name=\"file\"", "PK\u{3}\u{4}zip")]),
            415,
            "not-text",
        ),
        (
            "unknown topology in a form",
            "",
            vec![multipart],
            form(&[("name=\"topology\"", "nowhere"), file]),
            404,
            "unknown-topology",
        ),
    ];
    for (what, query, headers, body, status, kind) in cases {
        let answer = http::send(to, "POST", &format!("/uploads?{query}"), &headers, &body);
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{what}: {}", answer.text());
    }
    server.stop();
}

#[test]
fn packed_bodies_are_refused_with_advice() {
    let server = serve(HttpConfig::new(loopback()));
    let answer = http::send(server.address(), "POST", "/uploads?topology=plain", &[], b"PK\x03\x04and so on");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("a zip archive")), "{answer:?}");
    assert_eq!(answer.json()["field"], "file");
    let gzip = [("content-encoding", "gzip")];
    let answer = http::send(server.address(), "POST", "/uploads?topology=plain", &gzip, b"\x1f\x8b\x08\0");
    let says = "send the file as it is, without Content-Encoding";
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{answer:?}");
    server.stop();
}

/// Bodies whose sender means ill: the head's further lines, what is sent of the body, whether the sender then hangs up.
#[test]
fn bodies_that_lie_or_do_not_end_are_answered() {
    let server = serve(HttpConfig { upload_bytes_max: 1_000, ..HttpConfig::new(loopback()) });
    let to = server.address();
    let cases: [(&str, &str, Vec<u8>, bool, u16); 5] = [
        ("declared too large, nothing sent", "content-length: 1001", vec![], false, 413),
        (
            "too large in chunks",
            "transfer-encoding: chunked",
            [b"800\r\n".to_vec(), vec![b'x'; 0x800], b"\r\n".to_vec()].concat(),
            false,
            413,
        ),
        ("shorter than declared", "content-length: 100", FILE.into(), true, 400),
        ("no byte for 10 s", "content-length: 100", FILE.into(), false, 408),
        ("chunks without an end", "transfer-encoding: chunked", b"3\r\na,b\r\n".to_vec(), false, 408),
    ];
    // Side by side, since some of them wait.
    std::thread::scope(|scope| {
        for (what, header, body, hangs_up, status) in &cases {
            scope.spawn(move || {
                let head = format!("POST /uploads?topology=plain HTTP/1.1\r\nhost: localhost\r\n{header}\r\n\r\n");
                let mut stream = connect(to);
                stream.write_all(head.as_bytes()).expect("sent");
                stream.write_all(body).expect("sent");
                if *hangs_up {
                    stream.shutdown(std::net::Shutdown::Write).expect("shut down");
                }
                let answer = http::answer(&mut stream);
                assert_eq!(answer.status, *status, "{what}: {answer:?}");
                answer.problem();
            });
        }
    });
    server.stop();
}

#[test]
fn without_a_broker_an_upload_is_put_off() {
    let server = serve(HttpConfig::new(loopback()));
    let answer = http::send(server.address(), "POST", "/uploads?topology=places&name=a.csv", &[], FILE.as_bytes());
    assert_eq!((answer.status, answer.problem().as_str()), (503, "broker"));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{answer:?}");
    assert_eq!(get(server.address(), "/uploads").json()["uploads"], serde_json::json!([]), "nothing was begun");
    server.stop();
}

#[test]
fn topologies_are_listed_with_crs_sheet_and_source() {
    let server = serve(HttpConfig::new(loopback()));
    let list = get(server.address(), "/topologies").json();
    assert_eq!(list[0]["name"], "places");
    assert_eq!((&list[0]["crs"]["from"], &list[0]["crs"]["to"]), (&"EPSG:5179".into(), &"EPSG:4326".into()));
    assert_eq!((&list[0]["sheet"], &list[0]["lang"]), (&"kind".into(), &"en".into()));
    assert_eq!(list[0]["source"]["topic"], "places.rows");
    assert_eq!(list[1]["crs"], serde_json::Value::Null);
    server.stop();
}

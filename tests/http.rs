//! The HTTP server over real sockets, without a broker: who is let in, and what bad requests come to.

#[path = "support/http.rs"]
mod http;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use http::{connect, get, raw, request};
use sheetstream::http::{HttpConfig, HttpError, HttpParts, HttpServer, start};
use sheetstream::kafka::KafkaConfig;
use sheetstream::runtime::health::Health;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// A server whose broker is not there.
fn serve(config: HttpConfig) -> HttpServer {
    start(
        config,
        HttpParts {
            topologies: vec![],
            kafka: KafkaConfig::new(["127.0.0.1:1"], "test"),
            health: Arc::new(Health::new(0)),
        },
    )
    .expect("it starts")
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

#[test]
fn a_server_on_the_network_needs_a_token() {
    let config = HttpConfig::new("0.0.0.0:0".parse().expect("an address"));
    let parts = || HttpParts {
        topologies: vec![],
        kafka: KafkaConfig::new(["127.0.0.1:1"], "test"),
        health: Arc::new(Health::new(0)),
    };
    assert!(matches!(start(config.clone(), parts()), Err(HttpError::NoToken(_))));

    let server = serve(HttpConfig { token: Some("secret".into()), ..config });
    let to = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let refused = get(to, "/nowhere");
    assert_eq!((refused.status, refused.problem()), (401, "token".into()));
    assert_eq!(get(to, "/version").status, 200);
    assert_eq!(request(to, "GET", "/nowhere", &[("authorization", "Bearer secret")]).status, 404);

    assert_eq!(request(to, "POST", "/session", &[]).status, 401);
    let session = request(to, "POST", "/session", &[("authorization", "Bearer secret")]);
    let cookie = session.header("set-cookie").expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("secret"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap_or_default();
    assert_eq!(request(to, "GET", "/nowhere", &[("cookie", pair)]).status, 404);
    server.stop();
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind(loopback()).expect("a port");
    let address = taken.local_addr().expect("bound");
    let parts = HttpParts {
        topologies: vec![],
        kafka: KafkaConfig::new(["127.0.0.1:1"], "test"),
        health: Arc::new(Health::new(0)),
    };
    let error = start(HttpConfig::new(address), parts).err().expect("the port is taken");
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

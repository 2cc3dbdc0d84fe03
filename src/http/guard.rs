//! Checks every request: its sender, its rate, its time limit. Adds the headers that every answer carries.
//!
//! 1. A name that is not ours (`Host`) is refused, so that a page elsewhere cannot reach a server on loopback by a name that it controls
//!    (DNS rebinding). An address can not be rebound.
//! 2. An address that asks too often waits.
//! 3. A write that a browser sends for another site is refused (`Sec-Fetch-Site`, else `Origin`).
//! 4. Where a token is set, all but the page's own files, the probes and the metrics ask for it: `Authorization: Bearer`, or the session
//!    that `POST /session` gives in exchange, since links and event streams of a page carry no headers.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::SharedState;
use super::problem::Problem;

/// Longest time until an answer begins, except where a body is read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Name of the cookie that carries the token.
const COOKIE: &str = "sheetstream";
/// Bytes of a plain-text error that go into a problem document.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// On every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Lets a request through to the routes, or answers it with a problem.
pub(super) async fn guard(State(app): State<SharedState>, request: Request, next: Next) -> Response {
    let reads_a_body = request.method() == Method::POST;
    let answer = match admit(&app, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) if reads_a_body => next.run(request).await,
        Ok(()) => tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
            Problem::unavailable("timeout", "the answer took too long; is the broker well?").into_response()
        }),
    };
    let mut answer = document(answer).await;
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

fn admit(app: &SharedState, request: &Request) -> Result<(), Problem> {
    let host = check_host(&app.config.hosts, request)?;
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let mut rate_limiter = app.rate_limiter.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rate_limiter.admit(peer.ip(), Instant::now())?;
    }
    if !request.method().is_safe() {
        check_origin(&host, request.headers())?;
    }
    match &app.config.token {
        Some(token) if !is_open(request.uri().path()) => {
            let is_in_session = |secret: &str| app.sessions.is_open(secret, Instant::now());
            match cookie(request.headers()).is_some_and(is_in_session) {
                true => Ok(()),
                false => check_token(token, request.headers()),
            }
        }
        _ => Ok(()),
    }
}

/// The authority that the request is for, if it is one of ours.
fn check_host(allowed: &[String], request: &Request) -> Result<Authority, Problem> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let header = headers.next().map(|host| Authority::try_from(host.as_bytes()));
    if headers.next().is_some() {
        // RFC 9112, 3.2: a proxy between us may have believed the other one.
        return Err(Problem::bad_request("several-hosts", "the request names its host more than once"));
    }
    let authority = match (request.uri().authority(), header) {
        (Some(authority), _) => authority.clone(),
        (None, Some(Ok(authority))) => authority,
        (None, _) => return Err(Problem::bad_request("no-host", "the request names no host")),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_local = host.eq_ignore_ascii_case("localhost");
    if is_address || is_local || allowed.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(authority);
    }
    let detail = format!("this server does not go by the name \"{host}\"; --http-hosts adds names");
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", detail))
}

/// Refuses what a browser sends in the name of another site. Clients that are no browsers send neither header.
fn check_origin(host: &Authority, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let is_ours = match (text(HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(app), _) if app != "same-origin" && app != "none" => false,
        (_, None) => true,
        (_, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
        }
    };
    if is_ours {
        return Ok(());
    }
    let detail = "another app may not write here; send the request from this server's own page, or without a browser";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross-origin", detail))
}

/// The page's own files, the probes and the metrics: they hold nothing, and the page has to load before it can ask for the token.
fn is_open(path: &str) -> bool {
    matches!(path, "/" | "/favicon.ico" | "/healthz" | "/metrics" | "/readyz" | "/session" | "/version")
        || path.starts_with("/assets/")
}

fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Problem> {
    if bearer(headers).is_some_and(|given| is_same(given, token)) {
        return Ok(());
    }
    let detail = "send the token of this server (SHEETSTREAM_HTTP_TOKEN) as Authorization: Bearer";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "token", detail))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, given) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(given.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Compares digests, so that the time taken shows nothing of the token.
fn is_same(given: &str, expected: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(expected)
}

/// `POST /session` with the token: a session for the page, in a cookie. `DELETE /session` ends it, also for whoever has copied the cookie.
pub(super) async fn session_begin(State(app): State<SharedState>, headers: HeaderMap) -> Result<Response, Problem> {
    let Some(token) = &app.config.token else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    check_token(token, &headers)?;
    Ok(set_cookie(&app.sessions.begin(Instant::now()), ""))
}

pub(super) async fn session_end(State(app): State<SharedState>, headers: HeaderMap) -> Response {
    if let Some(secret) = cookie(&headers) {
        app.sessions.end(secret);
    }
    set_cookie("", "; Max-Age=0")
}

fn set_cookie(value: &str, more: &str) -> Response {
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{more}");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// Gives an error that came as plain text, or as nothing, the form of all others.
async fn document(answer: Response) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !is_bare {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let (problem, body) =
        Problem::of_status(status, String::from_utf8_lossy(&text).into_owned()).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem.headers);
    Response::from_parts(parts, Body::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str) -> Request {
        Request::builder().uri("/uploads").header("host", host).body(Body::empty()).expect("a request")
    }

    #[test]
    fn only_own_names_and_addresses_are_hosts() {
        let allowed = ["sheets.example".to_owned()];
        for host in
            ["localhost:8080", "127.0.0.1", "[::1]:8080", "192.168.0.7:80", "Sheets.Example", "sheets.example.:80"]
        {
            assert!(check_host(&allowed, &request(host)).is_ok(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "sheets.example.evil"] {
            let problem = check_host(&allowed, &request(host)).expect_err(host);
            assert_eq!(problem.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        let absolute = Request::builder().uri("http://evil.example/uploads").header("host", "localhost");
        assert!(check_host(&allowed, &absolute.body(Body::empty()).expect("a request")).is_err());
    }

    #[test]
    fn writes_come_from_the_own_page_or_from_no_browser() {
        let host = Authority::from_static("localhost:8080");
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
            check_origin(&host, &headers.collect()).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("origin", "http://localhost:8080")]));
        assert!(check(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")]));
        assert!(check(&[("sec-fetch-site", "none")]));
        assert!(!check(&[("origin", "http://localhost:9090")]));
        assert!(!check(&[("origin", "http://evil.example")]));
        assert!(!check(&[("origin", "null")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")]));
    }

    #[test]
    fn a_request_has_one_host() {
        let twice = Request::builder().uri("/uploads").header("host", "localhost").header("host", "evil.example");
        let problem = check_host(&[], &twice.body(Body::empty()).expect("a request")).expect_err("two hosts");
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_token_is_taken_from_the_header() {
        let check = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("a value");
            check_token("secret", &HeaderMap::from_iter([(HeaderName::from_static(name), value)])).is_ok()
        };
        assert!(check("authorization", "Bearer secret"));
        assert!(check("authorization", "bearer secret"));
        assert!(!check("authorization", "Bearer secret2"));
        assert!(!check("authorization", "Basic secret"));
        assert!(!check("cookie", &format!("{COOKIE}=secret")));
        assert!(check_token("secret", &HeaderMap::new()).is_err());
    }
}

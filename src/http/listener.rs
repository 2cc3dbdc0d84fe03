//! Accepts connections and sets the limits of each: how long a head may take, how large it may be. One that breaks them costs a socket and
//! a few kilobytes, nothing that others wait for. `places` limits their number.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service;
use tracing::{debug, warn};

use super::observe::{Counted, PROBES};
use super::places::Places;
use super::problem::Problem;

/// How often a server that stops looks whether every connection is closed.
const CLOSED_LOOK: Duration = Duration::from_millis(20);
/// Longest time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head, and most headers in it; more is answered with 431.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;
/// Bytes of a connection that are read ahead. Thousands of connections may hold as many.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// A body that nobody wanted is read to its end within these limits, or the client would see a broken connection instead of the answer.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_BYTES_MAX: u64 = 1 << 30;

/// Answer to a head that did not arrive in time; hyper itself would only close the connection. The connection's end is the body's end.
const REQUEST_TIMEOUT: &str = concat!(
    "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n",
    r#"{"type":"urn:sheetstream:problem:timeout","title":"Request Timeout","status":408,"#,
    r#""detail":"the head of the request did not arrive within 10 s"}"#
);

/// The requests that a connection may make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Everything,
    /// One probe: there is no place for more.
    Probes,
}

/// Serves `routes` until `stopping` becomes true; returns when every connection is closed.
pub(super) async fn serve(listener: TcpListener, routes: Router, mut stopping: watch::Receiver<bool>) {
    let mut places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of sockets, most likely: some will be closed.
                warn!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = places.take(peer.ip());
        let is_probe = place.is_none();
        let (routes, stopping) = (routes.clone(), stopping.clone());
        let connection = tokio::spawn(async move {
            let access = if place.is_some() { Access::Everything } else { Access::Probes };
            if let Err(error) = converse(stream, peer, access, routes, stopping).await {
                debug!(%peer, %error, "connection ended");
            }
            drop(place);
        });
        if is_probe {
            places.probes(connection.abort_handle());
        }
    }
    drop(listener);
    while !places.are_free() {
        tokio::time::sleep(CLOSED_LOOK).await;
    }
}

/// The answer to what is no probe, on a connection that has no other place.
fn no_place() -> axum::response::Response {
    let detail = "too many connections are open, or too many from this address; close some, or try again in a while";
    Problem::unavailable("too-many-connections", detail).into_response()
}

/// One connection, request after request.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    access: Access,
    routes: Router,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let is_served = access == Access::Everything || PROBES.contains(&request.uri().path());
        let mut routes = routes.clone();
        Box::pin(async move { if is_served { routes.call(request).await } else { Ok(no_place()) } })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .keep_alive(access == Access::Everything)
        .serve_connection(TokioIo::new(Counted::new(stream)), service);
    let mut is_stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|context| connection.poll_without_shutdown(context)) => break outcome,
            _ = stopping.wait_for(|stopping| *stopping), if !is_stopping => {
                is_stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().stream;
    match outcome {
        Err(error) if error.is_timeout() => {
            if !parts.read_buf.is_empty() {
                stream.write_all(REQUEST_TIMEOUT.as_bytes()).await.ok();
            }
            stream.shutdown().await.ok();
            Err(error)
        }
        outcome => {
            tokio::select! {
                _ = tokio::time::timeout(LINGER, linger(&mut stream)) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
            outcome
        }
    }
}

/// Says that nothing more is coming, and reads what the client still sends.
async fn linger(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut unwanted = vec![0; 16 << 10];
    let mut bytes = 0;
    while bytes < LINGER_BYTES_MAX {
        match stream.read(&mut unwanted).await? {
            0 => break,
            read => bytes += read as u64,
        }
    }
    Ok(())
}

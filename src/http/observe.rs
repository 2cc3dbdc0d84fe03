//! Measures HTTP for the metrics: requests by route, bytes of connections, and the disk of temporary files.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use super::app_state::AppState;
use crate::metrics::{self, Counter};

/// Paths that operators and their machines ask. They have places of their own among the connections, and are no requests of users.
pub(super) const PROBES: [&str; 3] = ["/healthz", "/metrics", "/readyz"];
/// How often the disk of temporary files is measured.
const DISK_EVERY: Duration = Duration::from_secs(5);

/// Counts a request when its answer begins. Routes are templates such as `/uploads/{id}`, so their number is fixed.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    if PROBES.contains(&route) {
        return next.run(request).await;
    }
    let method = method(request.method());
    let begun = Instant::now();
    let answer = next.run(request).await;
    metrics::http_requests(method, route, answer.status().as_str()).inc();
    metrics::http_request_duration(method, route).observe(begun.elapsed().as_secs_f64());
    answer
}

/// Methods are a label, and clients may invent some.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Measures the spool directory and its disk until the runtime ends, and closes downloads that are no longer asked for. A file system that
/// hangs costs one thread, and no scrape.
pub(super) async fn watch_spool(app: Arc<AppState>) {
    loop {
        app.workbooks.age(Instant::now());
        metrics::http_spool_bytes().set(app.spool_room.taken() as f64);
        let folder = app.config.spool_dir.clone();
        if let Ok(Ok(disk)) = spawn_blocking(move || rustix::fs::statvfs(&folder)).await {
            metrics::http_spool_disk_free().set((disk.f_bavail * disk.f_frsize) as f64);
            metrics::http_spool_disk_size().set((disk.f_blocks * disk.f_frsize) as f64);
        }
        tokio::time::sleep(DISK_EVERY).await;
    }
}

/// A connection that counts its bytes.
pub(super) struct Counted {
    pub stream: TcpStream,
    received: Counter,
    sent: Counter,
}

impl Counted {
    pub(super) fn new(stream: TcpStream) -> Counted {
        Counted { stream, received: metrics::http_received_bytes(), sent: metrics::http_sent_bytes() }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.received.inc_by((into.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, from))?;
        self.sent.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, from))?;
        self.sent.inc_by(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! The thread that sends traces. It never holds up a task: traces that it cannot keep or send are counted and reported.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::otlp;
use super::settings::TraceSettings;
use super::trace::Trace;

/// Traces that wait; more are left out.
const WAITING_MAX: usize = 1_024;
/// Traces of one request, and how long the first of them waits for others.
const TOGETHER_MAX: usize = 64;
const TOGETHER: Duration = Duration::from_millis(500);
/// Longest wait for the collector, for each of connection, request and answer.
const LIMIT: Duration = Duration::from_secs(2);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where the traces of this process go.
static SENDER: OnceLock<SyncSender<Message>> = OnceLock::new();

enum Message {
    Trace(Box<Trace>),
    End,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Sender(SyncSender<Message>);

impl Sender {
    pub(super) fn send(&self, trace: Trace) {
        match self.0.try_send(Message::Trace(Box::new(trace))) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {} // the process ends
            Err(TrySendError::Full(_)) => tracing::warn!("a trace was left out: the collector is too slow"),
        }
    }
}

/// Where the traces of this process go, if anywhere.
pub(super) fn sender() -> Option<Sender> {
    SENDER.get().cloned().map(Sender)
}

/// Sends what is left when it is dropped.
#[derive(Debug)]
pub struct Export {
    to: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Export {
    fn drop(&mut self) {
        // A queue that is full ends with the process.
        if self.to.try_send(Message::End).is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().ok(); // a thread that panicked has said so
        }
    }
}

/// Tasks that start from now on send their traces. Once a process.
pub fn start(settings: TraceSettings) -> io::Result<Export> {
    let (to, traces) = sync_channel(WAITING_MAX);
    if SENDER.set(to.clone()).is_err() {
        return Err(io::Error::other("this process sends traces already"));
    }
    let thread = std::thread::Builder::new().name("traces".into()).spawn(move || run(&settings, &traces))?;
    Ok(Export { to, thread: Some(thread) })
}

fn run(settings: &TraceSettings, traces: &Receiver<Message>) {
    let mut continues = true;
    while continues {
        let Ok(Message::Trace(first)) = traces.recv() else { return };
        let (mut together, until) = (vec![*first], Instant::now() + TOGETHER);
        while together.len() < TOGETHER_MAX {
            match traces.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Trace(trace)) => together.push(*trace),
                Ok(Message::End) => {
                    continues = false;
                    break;
                }
                Err(_) => break,
            }
        }
        let body = otlp::request(&settings.resource, &together).to_string();
        if let Err(error) = post(settings, body.as_bytes()) {
            let (to, lost) = (&settings.address, together.len());
            tracing::warn!(%to, lost, %error, "traces were not taken by the collector");
        }
    }
}

/// One request, on a connection of its own.
fn post(settings: &TraceSettings, body: &[u8]) -> io::Result<()> {
    let TraceSettings { address, path, headers, tls, .. } = settings;
    let mut last = io::Error::other("no such host");
    let found = address.to_socket_addrs()?.find_map(|at| match TcpStream::connect_timeout(&at, LIMIT) {
        Ok(stream) => Some(stream),
        Err(error) => {
            last = error;
            None
        }
    });
    let Some(stream) = found else { return Err(last) };
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n"
    );
    let answer = match tls {
        None => exchange(stream, &head, body)?,
        Some(tls) => exchange(tls.over(address, stream)?, &head, body)?,
    };
    let line = answer.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..300) => Ok(()),
        Some(status) => Err(io::Error::other(format!("HTTP {status}"))),
        None => Err(io::Error::other("the answer is no HTTP")),
    }
}

/// Sends a request and reads the answer, or its beginning.
fn exchange(mut stream: impl Read + Write, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // Who closes without an end of TLS has answered all the same.
        Err(error) if answer.is_empty() || error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        Ok(_) | Err(_) => Ok(answer),
    }
}

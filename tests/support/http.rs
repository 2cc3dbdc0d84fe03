//! A client for tests that sends exactly the given bytes, and reads the answer.

#![allow(dead_code)] // each test binary uses its part

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(120);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Answer {
    /// Value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The last part of a problem's type, after the assertion that it is a problem document of that status.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
        document["type"].as_str().and_then(|kind| kind.rsplit(':').next()).expect("a type").to_owned()
    }
}

/// A request without a body that ends the connection.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(to, method, path, headers, b"")
}

/// `GET`.
pub fn get(to: SocketAddr, path: &str) -> Answer {
    request(to, "GET", path, &[])
}

/// A request with a body, its length declared.
pub fn send(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let length = body.len().to_string();
    let mut all = vec![("host", "localhost"), ("connection", "close")];
    all.retain(|(name, _)| !headers.iter().any(|(given, _)| given == name));
    if !body.is_empty() {
        all.push(("content-length", &length));
    }
    all.extend_from_slice(headers);
    raw(to, &[head(method, path, &all).as_bytes(), body])
}

/// The head of a request.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\n{headers}\r\n")
}

/// Sends the pieces as they are, then reads the answer.
pub fn raw(to: SocketAddr, pieces: &[&[u8]]) -> Answer {
    let mut stream = connect(to);
    for piece in pieces {
        // The server may have answered and closed already.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    answer(&mut stream)
}

/// A connection.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the server listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// Reads one answer: to the end of its body, or of the connection.
pub fn answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    let mut read = |bytes: &mut Vec<u8>| match stream.read(&mut piece) {
        Ok(0) => false,
        Ok(read) => {
            bytes.extend_from_slice(&piece[..read]);
            true
        }
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(bytes)),
    };
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        assert!(read(&mut bytes), "no answer, only {:?}", String::from_utf8_lossy(&bytes));
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
    let mut body = bytes.split_off(end + 4);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut answer = Answer { status: status.expect("a status line"), headers, body: Vec::new() };
    if answer.header("transfer-encoding") == Some("chunked") {
        while !body.ends_with(b"0\r\n\r\n") && read(&mut body) {}
        answer.body = unchunk(&body);
    } else {
        let length = answer.header("content-length").map(|length| length.parse().expect("a number"));
        while length.is_none_or(|length: usize| body.len() < length) && read(&mut body) {}
        answer.body = body;
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk's size");
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}

//! Requests and answers as bytes: their length, a header with a correlation id, a body (Kafka protocol guide, "Protocol Primitives").

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::text::text;

/// Longest answer that is read: the brokers' default `socket.request.max.bytes` and room for headers.
pub const FRAME_BYTES_MAX: usize = (100 << 20) + (1 << 20);

/// Version of [`hello`] that every broker since 2.4 serves.
pub(super) const HELLO_VERSION: i16 = 3;

/// The first request on a connection: which versions are served. Every listener answers it before it asks for SASL.
pub(super) fn hello() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("sheetstream"))
        .with_client_software_version(text(env!("CARGO_PKG_VERSION")))
}

/// Name of an API, as the protocol guide has it.
pub(super) fn api_name<R: Request>() -> &'static str {
    let path = std::any::type_name::<R>();
    let name = path.rsplit("::").next().unwrap_or(path);
    name.strip_suffix("Request").unwrap_or(name)
}

/// A request, length included. The error says what cannot be written in this version.
pub(super) fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> Result<Bytes, String> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client_id.clone()));
    let whole = || {
        let mut frame = BytesMut::with_capacity(request.compute_size(version)? + 256);
        frame.put_i32(0);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version).map(|()| frame)
    };
    let mut frame = whole().map_err(|error| error.to_string())?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| "a request of 2 GiB".to_string())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// The rest of an answer whose length was read.
pub(super) async fn read_rest(socket: &mut (impl AsyncRead + Unpin), length: i32) -> io::Result<Bytes> {
    let fits = |length: &usize| (4..=FRAME_BYTES_MAX).contains(length);
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {length} bytes"));
    let length = usize::try_from(length).ok().filter(fits).ok_or_else(invalid)?;
    let mut frame = BytesMut::with_capacity(length);
    while frame.len() < length {
        if (&mut *socket).take((length - frame.len()) as u64).read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(frame.freeze())
}

/// Which request an answer is for; `frame` has no length any more.
pub(super) fn correlation(frame: &[u8]) -> i32 {
    (&frame[..4]).get_i32()
}

/// An answer of [`read_rest`]. The error says what is wrong with it.
pub(super) fn decode<R: Request>(mut frame: Bytes, version: i16) -> Result<R::Response, String> {
    ResponseHeader::decode(&mut frame, R::Response::header_version(version))
        .and_then(|_| R::Response::decode(&mut frame, version))
        .map_err(|error| error.to_string())
}

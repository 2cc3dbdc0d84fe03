//! One request while it is served, and its answer as bytes.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::frame::{Frame, FrameError};

/// A request that is being served.
pub(super) struct Call {
    pub frame: Frame,
    pub header: RequestHeader,
    pub throttle: Duration,
    /// Error code that Produce answers with on purpose.
    pub refusal: Option<i16>,
}

impl Call {
    pub(super) fn version(&self) -> i16 {
        self.frame.version
    }
    /// Name that the client gives itself.
    pub(super) fn client_id(&self) -> &str {
        self.header.client_id.as_deref().unwrap_or_default()
    }
    pub(super) fn read<R: Decodable>(&mut self) -> Result<R, FrameError> {
        self.frame.body()
    }
    pub(super) fn write<R: Encodable>(&self, response: &R) -> Result<Option<Bytes>, FrameError> {
        write(&self.frame, self.frame.version, response).map(Some)
    }
    /// For requests that are answered at once.
    pub(super) fn serve<R: Decodable, A: Encodable>(
        &mut self,
        serve: impl FnOnce(R) -> A,
    ) -> Result<Option<Bytes>, FrameError> {
        let request = self.read()?;
        self.write(&serve(request))
    }
}

/// An answer as the bytes of its frame.
pub(super) fn write<R: Encodable>(frame: &Frame, version: i16, response: &R) -> Result<Bytes, FrameError> {
    let encode = || {
        let mut bytes = BytesMut::with_capacity(response.compute_size(version)? + 16);
        bytes.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(frame.correlation);
        header.encode(&mut bytes, frame.api.response_header_version(version))?;
        response.encode(&mut bytes, version).map(|()| bytes)
    };
    let mut bytes =
        encode().map_err(|error| FrameError::Malformed(frame.api, version, format!("its answer: {error:#}")))?;
    let length = i32::try_from(bytes.len() - 4).map_err(|_| FrameError::Length(bytes.len() as i64))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.freeze())
}

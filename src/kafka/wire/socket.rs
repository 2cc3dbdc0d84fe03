//! The bytes to and from one broker, encrypted or not.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::kafka::KafkaError;
use crate::kafka::security::Security;

type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// An open socket.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects within `limit`, the TLS handshake included. Every address of a name is tried.
    pub(super) async fn connect(address: &str, security: &Security, limit: Duration) -> Result<Socket, KafkaError> {
        let failed = |message: String| KafkaError::Connection { address: address.into(), message };
        let connect = async {
            let stream = TcpStream::connect(address).await.map_err(|error| failed(error.to_string()))?;
            stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
            let Some(tls) = &security.tls else { return Ok(Socket::Plain(stream)) };
            match tls.connect(address, stream).await {
                Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
                Err(error) => Err(tls.explain(address, &error).unwrap_or_else(|| failed(format!("TLS: {error}")))),
            }
        };
        let connected = timeout(limit, connect).await;
        connected.unwrap_or_else(|_| Err(failed(format!("no connection within {limit:?}"))))
    }

    /// Its two directions.
    pub(super) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Socket::Plain(stream) => {
                let (read, write) = stream.into_split();
                (Box::new(read), Box::new(write))
            }
            Socket::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                (Box::new(read), Box::new(write))
            }
        }
    }
}

//! Finds out the protocol of a listener after a connection to it broke at its beginning: a wrong `security.protocol` otherwise looks like a
//! broker that hangs up without a word.

use std::time::Duration;

use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::protocol::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::{self, HELLO_VERSION};
use super::socket::Socket;
use super::text::text;
use crate::kafka::security::{Protocol, Security, tls};
use crate::kafka::{Code, KafkaError};

/// Longest time that is spent on finding out.
const LIMIT: Duration = Duration::from_secs(2);
/// No mechanism has this name: a listener that asks for SASL answers with those that it has.
const NO_MECHANISM: &str = "NONE";

/// The protocol that we expected of the listener when the connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// It speaks TLS.
    Tls,
    /// It does not.
    Plaintext,
    /// It asks for no SASL.
    NoSasl,
}

/// Whether the first four bytes of an answer are the beginning of a TLS alert or handshake.
pub(super) fn is_tls(first: i32) -> bool {
    matches!(first.to_be_bytes(), [0x15 | 0x16, 0x03, 0..=4, _])
}

/// The listener speaks TLS and we do not.
pub(super) fn speaks_tls(address: &str, security: &Security) -> KafkaError {
    let protocol = Protocol::of(true, security.sasl.is_some()).name();
    let message = format!("this listener speaks TLS: set security.protocol={protocol}");
    KafkaError::Security { address: address.into(), message }
}

/// The misunderstanding, if there is one.
pub(super) async fn explain(address: &str, security: &Security, expectation: Expectation) -> Option<KafkaError> {
    let found = async {
        match expectation {
            Expectation::Tls => {
                ask(address, &Security::default(), &frame::hello(), HELLO_VERSION).await?;
                let protocol = Protocol::of(false, security.sasl.is_some()).name();
                let message = format!("this listener does not speak TLS: set security.protocol={protocol}");
                Some(KafkaError::Security { address: address.into(), message })
            }
            Expectation::Plaintext => {
                let stream = TcpStream::connect(address).await.ok()?;
                tls::is_spoken(address, stream).await.then(|| speaks_tls(address, security))
            }
            Expectation::NoSasl => {
                let request = SaslHandshakeRequest::default().with_mechanism(text(NO_MECHANISM));
                let answer = ask(address, security, &request, 1).await?;
                if Code(answer.error_code) != Code::UNSUPPORTED_SASL_MECHANISM {
                    return None;
                }
                let protocol = Protocol::of(security.tls.is_some(), true).name();
                let offered: Vec<&str> = answer.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
                let message = format!(
                    "this listener asks for SASL: set security.protocol={protocol} and sasl.mechanism to one of {}",
                    offered.join(", ")
                );
                Some(KafkaError::Security { address: address.into(), message })
            }
        }
    };
    timeout(LIMIT, found).await.ok().flatten()
}

/// One request and its answer, over a connection of their own and without SASL.
async fn ask<R: Request>(address: &str, security: &Security, request: &R, version: i16) -> Option<R::Response> {
    let socket = Socket::connect(address, security, LIMIT).await.ok()?;
    let (mut read, mut write) = socket.into_split();
    let request = frame::encode(request, version, 0, &text(env!("CARGO_PKG_NAME"))).ok()?;
    write.write_all(&request).await.ok()?;
    write.flush().await.ok()?;
    let length = read.read_i32().await.ok()?;
    let answer = frame::read_rest(&mut read, length).await.ok()?;
    frame::decode::<R>(answer, version).ok()
}

//! Connections: reads one request after another, hands it to `api` and writes the answer, in order, as Kafka does.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::faults::Fault;
use super::frame::Frame;
use super::{Shared, api};
use crate::kafka::clock::now_ms;

/// Connections at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 2_000;
/// Between two looks for members, transactions and records whose time is over.
const SWEEP: Duration = Duration::from_millis(50);
/// Once in so many sweeps records are looked at.
const RETENTION_EVERY: u32 = 20;

/// Accepts until aborted, which ends every connection too.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(sweep(shared.clone()));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) if tasks.len() <= CONNECTIONS_MAX => {
                    tasks.spawn(connection(socket, shared.clone()));
                }
                Ok(_) => tracing::warn!(limit = CONNECTIONS_MAX, "too many connections; one was closed"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    sleep(SWEEP).await; // out of files, most likely: some connection has to close first
                }
            },
            Some(_) = tasks.join_next(), if tasks.len() > 1 => (),
        }
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = converse(socket, &shared).await {
        tracing::debug!(%error, "connection closed");
    }
}

async fn converse(mut socket: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut received = BytesMut::with_capacity(8 << 10);
    loop {
        let frame = Frame::take(&mut received).map_err(io::Error::other)?;
        let Some(frame) = frame else {
            if socket.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        shared.faults.thawed().await;
        let fault = shared.faults.meet(frame.api);
        if fault == Some(Fault::Silence) {
            return std::future::pending().await;
        }
        let answer = api::answer(shared, frame, fault).await.map_err(io::Error::other)?;
        shared.faults.thawed().await;
        match fault {
            Some(Fault::DropAnswer) => return Ok(()),
            Some(Fault::LateAnswer(late)) => sleep(late).await,
            Some(Fault::Throttle(_) | Fault::Refuse(_) | Fault::Silence | Fault::SlowBytes { .. }) | None => (),
        }
        if let Some(bytes) = answer.frame {
            match fault {
                Some(Fault::SlowBytes { bytes: at_once, pause }) => {
                    trickle(&mut socket, &bytes, at_once, pause).await?
                }
                _ => socket.write_all(&bytes).await?,
            }
        }
        // KIP-219: the answer names the wait, and the connection keeps it.
        if !answer.throttle.is_zero() {
            sleep(answer.throttle).await;
        }
    }
}

async fn trickle(socket: &mut TcpStream, bytes: &Bytes, at_once: usize, pause: Duration) -> io::Result<()> {
    for chunk in bytes.chunks(at_once.max(1)) {
        socket.write_all(chunk).await?;
        sleep(pause).await;
    }
    Ok(())
}

/// Puts silent members out, ends transactions that take too long, drops records whose time is over.
async fn sweep(shared: Arc<Shared>) {
    let mut sweeps = 0u32;
    loop {
        sleep(SWEEP).await;
        shared.faults.thawed().await;
        sweeps = sweeps.wrapping_add(1);
        let mut state = shared.state();
        let state = &mut *state;
        state.groups.expire(&state.topics, Instant::now());
        if state.transactions.expire(&state.topics, &mut state.groups, Instant::now()) {
            shared.data.notify_waiters();
        }
        if sweeps.is_multiple_of(RETENTION_EVERY) {
            for (_, topic) in state.topics.iter() {
                let (bytes, age_ms) = (topic.configs.retention_bytes(), topic.configs.retention_ms());
                for partition in topic.partitions.iter().filter(|_| bytes.is_some() || age_ms.is_some()) {
                    let mut log = partition.log();
                    bytes.into_iter().for_each(|bytes| log.retain_bytes(bytes));
                    age_ms.into_iter().for_each(|age_ms| log.retain_since(now_ms() - age_ms));
                }
            }
        }
    }
}

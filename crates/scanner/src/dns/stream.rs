//! Answers that do not fit a datagram come over TCP (RFC 7766).

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use super::{message, question::Question};
use crate::socket::{DialError, Dialer};

/// Messages that answer something else and are passed over before giving up.
const STRAYS: usize = 4;

/// Asks once over a connection of its own.
pub(super) async fn ask(
    dialer: &Dialer,
    server: SocketAddr,
    question: &Question,
    id: u16,
    deadline: Instant,
) -> Result<Vec<u8>, DialError> {
    dialer.query_turns(1).await?;
    timeout_at(deadline, exchange(dialer, server, question, id, deadline))
        .await
        .map_err(|_| DialError::TimedOut)?
}

async fn exchange(
    dialer: &Dialer,
    server: SocketAddr,
    question: &Question,
    id: u16,
    deadline: Instant,
) -> Result<Vec<u8>, DialError> {
    let mut stream = dialer.resolver_stream(server, deadline).await?;
    let mut query = vec![0, 0];
    question.write(id, true, &mut query);
    let length = u16::try_from(query.len() - 2).expect("a query has at most some 300 bytes");
    query[..2].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&query).await.map_err(DialError::from_io)?;
    for _ in 0..STRAYS {
        let length = stream.read_u16().await.map_err(DialError::from_io)?;
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.map_err(DialError::from_io)?;
        if message::answers(&packet, id, question).is_some() {
            return Ok(packet);
        }
    }
    Err(DialError::Reset)
}

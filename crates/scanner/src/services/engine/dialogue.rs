//! One exchange on one connection, bounded in bytes and time.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::tls::Channel;

/// Bytes kept of one answer.
const LONGEST_ANSWER: usize = 16 << 10;
/// An answer has ended when nothing follows for this long.
const PAUSE: Duration = Duration::from_millis(120);

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// The peer closed or broke the connection.
    pub(super) closed: bool,
}

impl Answer {
    /// Neither a byte nor an end.
    pub(super) fn is_silence(&self) -> bool {
        self.bytes.is_empty() && !self.closed
    }
}

/// Sends. False when the peer has closed the connection.
pub(super) async fn send(channel: &mut Channel, bytes: &[u8], deadline: Instant) -> bool {
    let sending = async {
        channel.write_all(bytes).await?;
        channel.flush().await
    };
    matches!(tokio::time::timeout_at(deadline, sending).await, Ok(Ok(())))
}

/// Reads until the peer closes, pauses, has said enough, or the deadline passes. `enough` looks at all bytes so far.
pub(super) async fn listen(
    channel: &mut Channel,
    deadline: Instant,
    enough: impl Fn(&[u8]) -> bool,
) -> Answer {
    let mut answer = Answer::default();
    let mut buffer = [0; 4_096];
    let mut until = deadline;
    while answer.bytes.len() < LONGEST_ANSWER {
        let room = buffer.len().min(LONGEST_ANSWER - answer.bytes.len());
        match tokio::time::timeout_at(until, channel.read(&mut buffer[..room])).await {
            Err(_) => break,
            Ok(Ok(0) | Err(_)) => {
                answer.closed = true;
                break;
            }
            Ok(Ok(count)) => answer.bytes.extend_from_slice(&buffer[..count]),
        }
        if enough(&answer.bytes) {
            break;
        }
        until = deadline.min(Instant::now() + PAUSE);
    }
    answer
}

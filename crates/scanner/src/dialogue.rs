//! Dialogues: connect, send, read, send, read.

use std::{io, sync::Arc, time::Duration};

use checks::exchange::{Failure, TcpInput, TcpRequest, TcpResponse};
use model::{Charge, Endpoint, FailReason, allowance::Exceeded};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use crate::{
    socket::{DialError, Dialer},
    tls::{self, Channel, Speaks},
};

/// A peer that has said nothing for so long waits for us to speak.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// A peer that pauses for so long has said what it had to say.
const PAUSE: Duration = Duration::from_secs(1);

/// Holds the dialogue. What has been read when the deadline passes, or the peer breaks off, is the response; a dialogue that
/// read nothing at all because of that is a failure.
pub async fn run(dialer: &Dialer, endpoint: &Endpoint, request: &TcpRequest) -> Result<TcpResponse, Failure> {
    tokio::select! {
        biased;
        () = dialer.stop().cancelled() => Err(DialError::Stopped.failure()),
        response = hold(dialer, endpoint, request) => response,
    }
}

async fn hold(dialer: &Dialer, endpoint: &Endpoint, request: &TcpRequest) -> Result<TcpResponse, Failure> {
    let limit = dialer.limits().request_deadline;
    let (connection, deadline) =
        dialer.connect_in_turn(endpoint, limit).await.map_err(|error| error.failure())?;
    let channel = if request.tls {
        let server_name = request.host.parse().unwrap_or_else(|_| endpoint.host());
        tls::connect(connection, &server_name, Speaks::Anything, deadline).await?
    } else {
        Channel::Plain(connection)
    };
    let most = dialer.limits().response_bytes;
    let response = TcpResponse { remote: channel.remote(), ..TcpResponse::default() };
    let held = dialer.allowance().charge();
    let mut dialogue = Dialogue { channel, deadline, left: most, has_read: false, response, read: 0, held };
    let mut ended = dialogue.inputs(&request.inputs).await;
    let mut last = Vec::new();
    if ended.is_ok() {
        (last, ended) = dialogue.read(if request.read_all { most } else { request.read_size }).await;
    }
    let mut response = TcpResponse { held: Arc::new(dialogue.held), ..dialogue.response };
    response.reads.push((None, last));
    let read_something = response.reads.iter().any(|(_, bytes)| !bytes.is_empty());
    let wanted_something =
        request.read_all || request.read_size > 0 || request.inputs.iter().any(|input| input.read > 0);
    // A peer that waits for something else, or is slow, has not said no.
    let ended = if wanted_something && !read_something { ended.and(Err(End::Late)) } else { ended };
    match ended {
        Ok(()) | Err(End::Closed) => Ok(response),
        Err(End::NoMemory(exceeded)) => Err(Failure::Failed(FailReason::Memory, exceeded.to_string())),
        Err(End::Broken(_) | End::Late) if read_something => Ok(response),
        Err(End::Broken(error)) => Err(tls::io_failure(error)),
        Err(End::Late) => Err(Failure::Failed(
            FailReason::TimedOut,
            format!("the peer said nothing within {} s", limit.min(FIRST_BYTE).as_secs_f64()),
        )),
    }
}

/// Why a dialogue is over before its end.
enum End {
    /// The peer closed.
    Closed,
    Broken(io::Error),
    /// The deadline passed.
    Late,
    /// The unit holds as much as it may.
    NoMemory(Exceeded),
}

struct Dialogue {
    channel: Channel,
    deadline: Instant,
    /// Bytes that may still be kept.
    left: usize,
    /// Nothing was sent since the last read.
    has_read: bool,
    response: TcpResponse,
    /// Bytes that were read so far.
    read: u64,
    held: Charge,
}

impl Dialogue {
    async fn inputs(&mut self, inputs: &[TcpInput]) -> Result<(), End> {
        for input in inputs {
            self.send(&input.data).await?;
            if input.read > 0 {
                let (bytes, end) = self.read(input.read).await;
                self.response.reads.push((input.name.clone(), bytes));
                end?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, data: &[u8]) -> Result<(), End> {
        if data.is_empty() {
            return Ok(());
        }
        let sending = async {
            self.channel.write_all(data).await?;
            self.channel.flush().await
        };
        match tokio::time::timeout_at(self.deadline, sending).await {
            Ok(Ok(())) => {
                self.response.request.extend_from_slice(data);
                self.has_read = false;
                Ok(())
            }
            Ok(Err(error)) => Err(End::Broken(error)),
            Err(_) => Err(End::Late),
        }
    }

    /// Reads until there are `wanted` bytes, the peer closes or pauses.
    async fn read(&mut self, wanted: usize) -> (Vec<u8>, Result<(), End>) {
        let wanted = wanted.min(self.left);
        // Who has just been read from and asked nothing since has little reason to go on.
        let first_byte = if self.has_read { PAUSE } else { FIRST_BYTE };
        let mut bytes = Vec::new();
        let mut piece = [0_u8; 8_192];
        let end = loop {
            if bytes.len() >= wanted {
                break Ok(());
            }
            let patience = Instant::now() + if bytes.is_empty() { first_byte } else { PAUSE };
            let room = piece.len().min(wanted - bytes.len());
            let reading = self.channel.read(&mut piece[..room]);
            match tokio::time::timeout_at(patience.min(self.deadline), reading).await {
                Ok(Ok(0)) => break Err(End::Closed),
                Ok(Ok(count)) => {
                    self.read += count as u64;
                    // A buffer that grows has room for as much again.
                    if let Err(exceeded) = self.held.cover(2 * self.read) {
                        break Err(End::NoMemory(exceeded));
                    }
                    bytes.extend_from_slice(&piece[..count]);
                }
                // TLS peers that close without saying so.
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => break Err(End::Closed),
                Ok(Err(error)) => break Err(End::Broken(error)),
                Err(_) if patience <= self.deadline => break Ok(()),
                Err(_) => break Err(End::Late),
            }
        };
        self.left -= bytes.len();
        self.has_read |= wanted > 0;
        (bytes, end)
    }
}

//! Why a socket could not be had.

use std::io;

use checks::exchange::Failure;
use model::{FailReason, Refusal, SkipReason};

/// Why a connection does not stand or broke.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The scope says no.
    #[error(transparent)]
    OutOfScope(Refusal),
    /// The scan was stopped.
    #[error("the scan was stopped")]
    Stopped,
    /// The peer said no.
    #[error("connection refused")]
    Refused,
    /// The peer, or something on the way, broke the connection.
    #[error("connection broken by the peer")]
    Reset,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// No route, or a router said so.
    #[error("unreachable")]
    Unreachable,
    /// This machine has no file descriptor, port or buffer left.
    #[error("this machine has no sockets left ({0}): raise `ulimit -n` or lower --connections")]
    Resources(io::Error),
    /// Anything else.
    #[error("socket error: {0}")]
    Other(io::Error),
}

impl DialError {
    /// Sorts an operating system error.
    pub fn from_io(error: io::Error) -> DialError {
        use nix::errno::Errno;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => return DialError::Refused,
            Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED) => return DialError::Reset,
            Some(Errno::ETIMEDOUT) => return DialError::TimedOut,
            Some(
                Errno::ENETUNREACH
                | Errno::EHOSTUNREACH
                | Errno::EADDRNOTAVAIL
                | Errno::EHOSTDOWN
                | Errno::EACCES
                | Errno::EPERM,
            ) => {
                // EADDRNOTAVAIL on connect means that the local ports are used up; the others that nothing leads there.
                if error.raw_os_error() == Some(Errno::EADDRNOTAVAIL as i32) {
                    return DialError::Resources(error);
                }
                return DialError::Unreachable;
            }
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN) => {
                return DialError::Resources(error);
            }
            _ => {}
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                DialError::Reset
            }
            io::ErrorKind::TimedOut => DialError::TimedOut,
            _ => DialError::Other(error),
        }
    }

    /// How a check that met this error ends.
    pub fn failure(&self) -> Failure {
        let failed = |reason| Failure::Failed(reason, self.to_string());
        match self {
            DialError::OutOfScope(refusal) => Failure::OutOfScope(refusal.to_string()),
            DialError::Stopped => Failure::Skipped(SkipReason::Cancelled),
            DialError::Refused => failed(FailReason::Refused),
            DialError::Reset => failed(FailReason::Reset),
            DialError::TimedOut => failed(FailReason::TimedOut),
            DialError::Unreachable => failed(FailReason::Unreachable),
            DialError::Resources(_) => failed(FailReason::Resources),
            DialError::Other(_) => failed(FailReason::Protocol),
        }
    }
}

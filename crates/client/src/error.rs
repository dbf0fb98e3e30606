//! What goes wrong between here and a server.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::Address;

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The text names no server.
    #[error("the address of the server cannot be used, {why}: write https://HOST[:PORT]")]
    Address {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The key would go over a network in the clear.
    #[error("whoever is on the way to {server} could read the key that is sent there: use https")]
    Exposed {
        /// Where to.
        server: Address,
    },
    /// What is to vouch for the server cannot be used.
    #[error("it cannot be found out whether a server is the right one: {0}")]
    Certificates(String),
    /// It cannot be said what is asked about: no path names it.
    #[error("`{0}` cannot be asked about: a path has no such part")]
    Nameless(String),
    /// A header cannot hold it.
    #[error("the {what} has characters that cannot be sent: use letters, digits and signs of ASCII")]
    Unsendable {
        /// What it is.
        what: &'static str,
    },
    /// Nobody answers there.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        server: Address,
        /// What the network said.
        why: String,
        /// It may be otherwise in a moment: nobody listened, or the connection broke.
        passing: bool,
    },
    /// The answer does not come, or not to its end.
    #[error("{server} did not answer {asked} within {}s (request {request_id})", after.as_secs())]
    Silent {
        /// Where.
        server: Address,
        /// What was asked.
        asked: String,
        /// How long it was waited for.
        after: Duration,
        /// By which the request is found in the server's log.
        request_id: String,
    },
    /// There is more of it than anybody wants.
    #[error("the answer to {asked} is larger than {} MiB: ask for less at once (request {request_id})", most >> 20)]
    TooLarge {
        /// What was asked.
        asked: String,
        /// In bytes.
        most: usize,
        /// By which the request is found in the server's log.
        request_id: String,
    },
    /// It is not what this version of the API answers.
    #[error(
        "the answer to {asked} cannot be read, {server} may be no Rampart or another version of it: {why} (request {request_id})"
    )]
    Unreadable {
        /// Where.
        server: Address,
        /// What was asked.
        asked: String,
        /// Where it is wrong.
        why: String,
        /// By which the request is found in the server's log.
        request_id: String,
    },
    /// Somebody who is no Rampart answered, such as a proxy on the way.
    #[error("{server} answered {asked} with status {status} and did not say why (request {request_id})")]
    Unexplained {
        /// Where.
        server: Address,
        /// What was asked.
        asked: String,
        /// The status.
        status: u16,
        /// By which the request is found in the server's log.
        request_id: String,
    },
    /// The server says why not.
    #[error("{0}")]
    Refused(Box<Problem>),
}

/// What the server says went wrong: problem details (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The same for all problems of the kind.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What failed, on which value.
    pub detail: String,
    /// The kind of problem, in one word, such as `not-found`.
    pub code: String,
    /// By which the request is found in the server's log and in the audit.
    pub request_id: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        if let Some(hint) = &self.hint {
            write!(f, ": {hint}")?;
        }
        write!(f, " (request {})", self.request_id)
    }
}

impl ClientError {
    /// Is it worth asking again in a moment?
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Unreachable { passing, .. } => *passing,
            ClientError::Silent { .. } => true,
            ClientError::Unexplained { status, .. } => comes_back(*status),
            ClientError::Refused(problem) => comes_back(problem.status),
            _ => false,
        }
    }

    /// There is no such thing, or it belongs to somebody else.
    pub fn is_missing(&self) -> bool {
        self.code() == Some("not-found")
    }

    /// Who asks may not do that.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some("forbidden")
    }

    /// It does not fit where things stand.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some("conflict")
    }

    fn code(&self) -> Option<&str> {
        match self {
            ClientError::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }
}

/// Too many requests, a broken gateway, no room, too late.
fn comes_back(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

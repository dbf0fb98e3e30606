//! How one protocol is asked for and recognised.

use model::Endpoint;

use super::Recognised;
use crate::http::Identity;

/// A protocol: where it usually listens, what to say to it, and what it sounds like.
pub(in crate::services) struct Probe {
    /// Its usual short name, as checks and reports use it.
    pub(in crate::services) protocol: &'static str,
    /// Ports on which it usually listens, in the clear.
    pub(in crate::services) ports: &'static [u16],
    /// Ports on which it usually listens inside TLS. Protocols without one are not looked for inside TLS.
    pub(in crate::services) tls_ports: &'static [u16],
    /// What to send.
    pub(in crate::services) opening: Opening,
    /// Is this what such a server says? Total: the bytes are hostile. Says yes to an answer of this protocol only.
    pub(in crate::services) recognise: fn(&[u8]) -> Option<Recognised>,
    /// Answers as real servers give them.
    #[cfg(test)]
    pub(in crate::services) samples: &'static [&'static [Sample]],
}

/// Who speaks first. What is sent reads something harmless, changes nothing, and never carries a credential.
pub(in crate::services) enum Opening {
    /// The server, and its greeting says it all.
    Listen,
    /// The server; a greeting that does not say which protocol it is gets this answer.
    ListenThen(&'static [u8]),
    /// The client, always with the same bytes.
    Speak(&'static [u8]),
    /// The client, naming the server or itself.
    Compose(fn(&Asker<'_>) -> Vec<u8>),
}

/// Who asks whom.
pub(in crate::services) struct Asker<'a> {
    /// The server.
    pub(in crate::services) endpoint: &'a Endpoint,
    /// What we say about ourselves where a protocol has a place for it.
    pub(in crate::services) identity: &'a Identity,
}

impl Opening {
    /// Does the server speak first?
    pub(super) fn listens(&self) -> bool {
        matches!(self, Opening::Listen | Opening::ListenThen(_))
    }

    /// The bytes to send; empty when there is nothing to say.
    pub(super) fn bytes(&self, asker: &Asker<'_>) -> Vec<u8> {
        match self {
            Opening::Listen => Vec::new(),
            Opening::ListenThen(bytes) | Opening::Speak(bytes) => bytes.to_vec(),
            Opening::Compose(compose) => compose(asker),
        }
    }
}

/// An answer, and what must be read out of it; an empty text means nothing.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(in crate::services) struct Sample {
    pub(in crate::services) bytes: &'static [u8],
    pub(in crate::services) product: &'static str,
    pub(in crate::services) version: &'static str,
    pub(in crate::services) cpe: &'static str,
}

#[cfg(test)]
pub(in crate::services) const fn sample(
    bytes: &'static [u8],
    product: &'static str,
    version: &'static str,
    cpe: &'static str,
) -> Sample {
    Sample { bytes, product, version, cpe }
}

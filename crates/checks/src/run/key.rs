//! Which requests are the same, so that one answer serves several checks.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::exchange::{HttpForm, Request};

/// The same for requests whose answer may be shared. None for those that must go out each time: bytes sent verbatim,
/// requests with a body, methods that may change something, and dialogues that send something.
pub fn request_key(request: &Request) -> Option<u128> {
    match request {
        Request::Http(http) => match &http.form {
            HttpForm::Structured { method, body, .. }
                if body.is_empty() && matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") => {}
            HttpForm::Structured { .. } | HttpForm::Verbatim(_) => return None,
        },
        Request::Tcp(tcp) if tcp.inputs.iter().any(|input| !input.data.is_empty()) => return None,
        Request::Dns(_) | Request::Tls(_) | Request::Tcp(_) => {}
    }
    let mut hasher = KeyHasher(Sha256::new());
    request.hash(&mut hasher);
    let digest = hasher.0.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    Some(u128::from_be_bytes(key))
}

/// Feeds what `derive(Hash)` writes into SHA-256: two different requests never share an answer by collision.
struct KeyHasher(Sha256);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

//! By what a receiver knows that a message is from here.

use std::{collections::VecDeque, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::{TenantId, WebhookId};

/// What the key of an installation has, at least.
const SHORTEST_KEY: usize = 32;
/// What is sent is signed with each of them.
const MOST_KEYS: usize = 4;
/// What secrets begin with, as Standard Webhooks has it.
const BEGINNING: &str = "whsec_";

/// Of which the secrets of all webhooks of an installation are made: none of them is kept. Whoever has one signs for everybody.
#[derive(Clone)]
pub struct WebhookKeys {
    /// Of this one secrets are made that are shown.
    newest: Vec<u8>,
    /// Receivers may have secrets of these still.
    before: Vec<Vec<u8>>,
}

/// These are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookKeyError {
    /// There is none.
    #[error("there is none: `openssl rand -hex 32` makes one")]
    Missing,
    /// One is easily guessed.
    #[error(
        "line {line} has {length} bytes, and a key {SHORTEST_KEY} or more: `openssl rand -hex 32` makes one"
    )]
    Short {
        /// From 1 on.
        line: usize,
        /// In bytes.
        length: usize,
    },
    /// What is signed with many costs much, and goes by few receivers.
    #[error(
        "there are {0} keys, and at most {MOST_KEYS}: whoever has secrets of older ones is given others by now"
    )]
    TooMany(usize),
}

/// What one webhook's messages are signed with. Shown once, to who makes it; the receiver keeps it.
#[derive(Clone)]
pub struct WebhookSecret([u8; 32]);

fn authenticated(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut code = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)");
    for part in parts {
        code.update(part);
    }
    code.finalize().into_bytes().into()
}

impl WebhookKeys {
    /// As they stand in a file: the newest first, one in a line, without the space around it.
    pub fn new(text: &str) -> Result<WebhookKeys, WebhookKeyError> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, key)| !key.is_empty());
        let long_enough = |(number, key): (usize, &str)| match key.len() {
            length if length < SHORTEST_KEY => Err(WebhookKeyError::Short { line: number + 1, length }),
            _ => Ok(key.as_bytes().to_vec()),
        };
        let mut keys = VecDeque::new();
        for key in lines.map(long_enough) {
            let key = key?;
            // Twice the same would be two signatures that are one.
            if !keys.contains(&key) {
                keys.push_back(key);
            }
        }
        if keys.len() > MOST_KEYS {
            return Err(WebhookKeyError::TooMany(keys.len()));
        }
        let newest = keys.pop_front().ok_or(WebhookKeyError::Missing)?;
        Ok(WebhookKeys { newest, before: keys.into() })
    }

    /// The secret of one webhook: the same each time, until it is made anew, or the key is. From it neither the key follows nor another's
    /// secret.
    pub fn secret(&self, tenant: TenantId, webhook: WebhookId, number: u32) -> WebhookSecret {
        secret_of(&self.newest, tenant, webhook, number)
    }

    /// The secrets that a receiver may have been given under that number, by any of the keys.
    pub fn secrets(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        number: u32,
    ) -> impl Iterator<Item = WebhookSecret> {
        let keys = std::iter::once(&self.newest).chain(&self.before);
        keys.map(move |key| secret_of(key, tenant, webhook, number))
    }
}

fn secret_of(key: &[u8], tenant: TenantId, webhook: WebhookId, number: u32) -> WebhookSecret {
    let (tenant, webhook) = (tenant.as_uuid(), webhook.as_uuid());
    // Each part has one length: no two webhooks are one text.
    let parts: [&[u8]; 4] =
        [b"rampart webhook 1", tenant.as_bytes(), webhook.as_bytes(), &number.to_be_bytes()];
    WebhookSecret(authenticated(key, &parts))
}

impl WebhookSecret {
    /// As the receiver is given it.
    pub fn expose(&self) -> String {
        format!("{BEGINNING}{}", STANDARD.encode(self.0))
    }

    /// What stands in `webhook-signature` for a message of that id, sent then.
    pub fn sign(&self, id: &str, sent: Timestamp, body: &[u8]) -> String {
        signed(&self.0, id, sent, body)
    }
}

fn signed(secret: &[u8], id: &str, sent: Timestamp, body: &[u8]) -> String {
    let head = format!("{id}.{}.", sent.as_second());
    format!("v1,{}", STANDARD.encode(authenticated(secret, &[head.as_bytes(), body])))
}

impl fmt::Debug for WebhookKeys {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKeys")
    }
}

impl fmt::Debug for WebhookSecret {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        // The example of the specification's own test vectors.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = signed(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", sent, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_webhook_has_a_secret_of_its_own_which_comes_back() {
        let key = WebhookKeys::new(&"k".repeat(32)).unwrap();
        let (tenant, webhook) = (TenantId::new(Uuid::from_u128(1)), WebhookId::new(Uuid::from_u128(2)));
        let secret =
            |key: &WebhookKeys, tenant, webhook, number| key.secret(tenant, webhook, number).expose();
        let first = secret(&key, tenant, webhook, 0);
        assert_eq!(
            first,
            secret(&WebhookKeys::new(&format!("{}\n", "k".repeat(32))).unwrap(), tenant, webhook, 0)
        );
        assert!(first.starts_with("whsec_") && first.len() == 50, "{first}");
        let others = [
            secret(&key, tenant, webhook, 1),
            secret(&key, TenantId::new(Uuid::from_u128(2)), webhook, 0),
            secret(&key, tenant, WebhookId::new(Uuid::from_u128(1)), 0),
            secret(&WebhookKeys::new(&"l".repeat(32)).unwrap(), tenant, webhook, 0),
        ];
        for other in others {
            assert_ne!(other, first);
        }
        assert_eq!(format!("{key:?} {:?}", key.secret(tenant, webhook, 0)), "WebhookKeys WebhookSecret");
    }

    #[test]
    fn secrets_of_keys_before_go_on_beside_those_of_the_newest() {
        let (tenant, webhook) = (TenantId::new(Uuid::from_u128(1)), WebhookId::new(Uuid::from_u128(2)));
        let [old, new] = ["o", "n"].map(|letter| letter.repeat(32));
        let keys = |text: &str| WebhookKeys::new(text).unwrap();
        let secret = |text: &str| keys(text).secret(tenant, webhook, 3).expose();
        let both = format!("\n  {new} \n\n{old}\n");
        let all: Vec<String> =
            keys(&both).secrets(tenant, webhook, 3).map(|secret| secret.expose()).collect();
        assert_eq!(all, [secret(&new), secret(&old)]);
        assert_eq!(secret(&both), secret(&new), "which is the one that is shown");
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line() {
        let good = "k".repeat(32);
        let refused = |text: &str| WebhookKeys::new(text).unwrap_err();
        assert_eq!(refused(" \n"), WebhookKeyError::Missing);
        assert_eq!(refused(&format!("{good}\n short\n")), WebhookKeyError::Short { line: 2, length: 5 });
        let many: Vec<String> = (0..5).map(|number| format!("{good}{number}")).collect();
        assert_eq!(refused(&many.join("\n")), WebhookKeyError::TooMany(5));
        let (tenant, webhook) = (TenantId::new(Uuid::from_u128(1)), WebhookId::new(Uuid::from_u128(2)));
        let same = WebhookKeys::new(&format!("{good}\n").repeat(5)).unwrap();
        assert_eq!(same.secrets(tenant, webhook, 0).count(), 1);
    }
}

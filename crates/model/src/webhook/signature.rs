//! By what a receiver knows that a message is from here.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::{TenantId, WebhookId};

/// What the key of an installation has, at least.
const SHORTEST_KEY: usize = 32;
/// What secrets begin with, as Standard Webhooks has it.
const BEGINNING: &str = "whsec_";

/// Of which the secrets of all webhooks of an installation are made: none of them is kept. Whoever has it signs for everybody.
#[derive(Clone)]
pub struct WebhookKey(Vec<u8>);

/// It is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes, and a key {SHORTEST_KEY} or more: `openssl rand -hex 32` makes one")]
pub struct WebhookKeyError(usize);

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

impl WebhookKey {
    /// As it stands in a file, without the space around it.
    pub fn new(text: &str) -> Result<WebhookKey, WebhookKeyError> {
        match text.trim().as_bytes() {
            short if short.len() < SHORTEST_KEY => Err(WebhookKeyError(short.len())),
            key => Ok(WebhookKey(key.to_vec())),
        }
    }

    /// The secret of one webhook: the same each time, until it is made anew. From it neither the key follows nor another's secret.
    pub fn secret(&self, tenant: TenantId, webhook: WebhookId, number: u32) -> WebhookSecret {
        let (tenant, webhook) = (tenant.as_uuid(), webhook.as_uuid());
        // Each part has one length: no two webhooks are one text.
        let parts: [&[u8]; 4] =
            [b"rampart webhook 1", tenant.as_bytes(), webhook.as_bytes(), &number.to_be_bytes()];
        WebhookSecret(authenticated(&self.0, &parts))
    }
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

impl fmt::Debug for WebhookKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey")
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
        let key = WebhookKey::new(&"k".repeat(32)).unwrap();
        let (tenant, webhook) = (TenantId::new(Uuid::from_u128(1)), WebhookId::new(Uuid::from_u128(2)));
        let secret = |key: &WebhookKey, tenant, webhook, number| key.secret(tenant, webhook, number).expose();
        let first = secret(&key, tenant, webhook, 0);
        assert_eq!(
            first,
            secret(&WebhookKey::new(&format!("{}\n", "k".repeat(32))).unwrap(), tenant, webhook, 0)
        );
        assert!(first.starts_with("whsec_") && first.len() == 50, "{first}");
        let others = [
            secret(&key, tenant, webhook, 1),
            secret(&key, TenantId::new(Uuid::from_u128(2)), webhook, 0),
            secret(&key, tenant, WebhookId::new(Uuid::from_u128(1)), 0),
            secret(&WebhookKey::new(&"l".repeat(32)).unwrap(), tenant, webhook, 0),
        ];
        for other in others {
            assert_ne!(other, first);
        }
        assert_eq!(WebhookKey::new(" short ").unwrap_err(), WebhookKeyError(5));
        assert_eq!(format!("{key:?} {:?}", key.secret(tenant, webhook, 0)), "WebhookKey WebhookSecret");
    }
}

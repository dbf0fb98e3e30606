//! By whom the audit is signed: Ed25519 (RFC 8032), in files as other tools read and write them (RFC 8410).

use std::{fmt, str::FromStr};

use ed25519_dalek::{
    Signer, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
        spki::der::pem::LineEnding,
    },
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hexadecimal;

/// Signs checkpoints. Whoever has it and the database can make another audit.
pub struct AuditKey(SigningKey);

impl fmt::Debug for AuditKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditKey").field(&self.public().id()).finish()
    }
}

/// The text is no key that this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditKeyError {
    /// A public key cannot sign, and anything else is no key.
    #[error("it is not an Ed25519 private key in PEM (PKCS #8)")]
    NotPrivate,
    /// Neither half of a key.
    #[error("it is neither a public nor a private Ed25519 key in PEM")]
    NoKey,
}

impl AuditKey {
    /// Made of 32 bytes that nobody can guess.
    pub fn from_random(secret: [u8; 32]) -> AuditKey {
        AuditKey(SigningKey::from_bytes(&secret))
    }

    /// As it stands in a file: PKCS #8 in PEM, such as `openssl genpkey -algorithm ed25519` writes.
    pub fn from_pem(text: &str) -> Result<AuditKey, AuditKeyError> {
        SigningKey::from_pkcs8_pem(text).map(AuditKey).map_err(|_| AuditKeyError::NotPrivate)
    }

    /// As it is written to a file. Whatever holds the text holds the key.
    pub fn to_pem(&self) -> String {
        // Without the public half, which OpenSSL does not read there.
        let key = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("32 bytes have room in PKCS #8");
        pem.as_str().to_owned()
    }

    /// The half that everybody may have.
    pub fn public(&self) -> AuditPublicKey {
        AuditPublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, statement: &str) -> AuditSignature {
        AuditSignature(self.0.sign(statement.as_bytes()).to_bytes())
    }
}

/// Tells whether somebody who has the private half has signed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPublicKey(VerifyingKey);

impl AuditPublicKey {
    /// As it stands in a file. Of a private key it is the public half.
    pub fn from_pem(text: &str) -> Result<AuditPublicKey, AuditKeyError> {
        let of_private = || AuditKey::from_pem(text).map(|key| key.public());
        let public = VerifyingKey::from_public_key_pem(text).map(AuditPublicKey);
        public.or_else(|_| of_private()).map_err(|_| AuditKeyError::NoKey)
    }

    /// As it is written to a file.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("32 bytes have room in a public key")
    }

    /// Which it is.
    pub fn id(&self) -> AuditKeyId {
        let der = self.0.to_public_key_der().expect("32 bytes have room in a public key");
        AuditKeyId(Sha256::digest(der.as_bytes()).into())
    }

    /// Strictly, so that no two who check come to different answers.
    pub(super) fn has_signed(&self, statement: &str, signature: AuditSignature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(statement.as_bytes(), &signature).is_ok()
    }
}

/// Which key: SHA-256 of its public half in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AuditKeyId([u8; 32]);

/// By a key, of a text: Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AuditSignature([u8; 64]);

impl AuditSignature {
    /// Of what is not signed yet.
    pub(super) const NONE: AuditSignature = AuditSignature([0; 64]);
}

/// The text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct HexadecimalError {
    text: String,
    what: &'static str,
}

macro_rules! hexadecimal_texts {
    ($($name:ident $what:literal,)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hexadecimal::write(&self.0, f)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl FromStr for $name {
            type Err = HexadecimalError;

            fn from_str(text: &str) -> Result<$name, HexadecimalError> {
                let wrong = || HexadecimalError { text: text.to_owned(), what: $what };
                hexadecimal::read(text).map($name).ok_or_else(wrong)
            }
        }

        impl TryFrom<String> for $name {
            type Error = HexadecimalError;

            fn try_from(text: String) -> Result<$name, HexadecimalError> {
                text.parse()
            }
        }
    )*};
}

hexadecimal_texts! {
    AuditKeyId "the id of a key: it has 64 hexadecimal digits",
    AuditSignature "a signature: it has 128 hexadecimal digits",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10: a private key, and its public half.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_and_written_as_the_standard_has_them() {
        let key = AuditKey::from_pem(PRIVATE).unwrap();
        assert_eq!(key.to_pem(), PRIVATE);
        assert_eq!(key.public().to_pem(), PUBLIC);
        assert_eq!(AuditPublicKey::from_pem(PUBLIC), Ok(key.public()));
        assert_eq!(AuditPublicKey::from_pem(PRIVATE), Ok(key.public()), "its public half");
        assert!(matches!(AuditKey::from_pem(PUBLIC), Err(AuditKeyError::NotPrivate)));
        assert_eq!(AuditPublicKey::from_pem("rampart"), Err(AuditKeyError::NoKey));
        let id = key.public().id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{key:?}"), format!("AuditKey({id:?})"), "nothing of the secret");
        assert_ne!(AuditKey::from_random([7; 32]).public().id(), id);
    }

    #[test]
    fn a_signature_is_of_one_text_by_one_key() {
        let (key, other) = (AuditKey::from_random([1; 32]), AuditKey::from_random([2; 32]));
        let signature = key.sign("text");
        assert_eq!(signature.to_string().parse(), Ok(signature));
        assert!(key.public().has_signed("text", signature));
        assert!(!key.public().has_signed("texts", signature));
        assert!(!other.public().has_signed("text", signature));
        assert!("0".repeat(127).parse::<AuditSignature>().is_err());
    }
}

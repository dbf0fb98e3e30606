//! API keys: `rampart_<8>_<48><6>`, hexadecimal. The first part finds the key, the second is the secret, the third is a checksum, by
//! which a key that was mistyped or cut is told from one that is not known, without asking anybody; and by which a program that looks
//! for leaked secrets tells a key from a name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const BEGINNING: &str = "rampart_";
const PREFIX: usize = 8;
const SECRET: usize = 48;
const CHECKSUM: usize = 6;

/// A key as its owner has it. It is shown once and never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    text: String,
}

/// By which a key is found: the eight hexadecimal digits after `rampart_`. Not secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyPrefix(String);

impl ApiKey {
    /// The caller brings the randomness: this crate has none.
    pub fn from_random(prefix: [u8; 4], secret: [u8; 24]) -> ApiKey {
        let mut text = format!("{BEGINNING}{}_{}", hexadecimal(&prefix), hexadecimal(&secret));
        text.push_str(&checksum(&text));
        ApiKey { text }
    }

    /// By which it is found.
    pub fn prefix(&self) -> KeyPrefix {
        KeyPrefix(self.text[BEGINNING.len()..BEGINNING.len() + PREFIX].to_owned())
    }

    /// What is kept of it. A plain hash is enough: the secret is 192 random bits, nobody guesses it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// For its owner, once.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl KeyPrefix {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In lower case, as they are written: two ways to write one key would be two keys in a list.
fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes())[..CHECKSUM / 2])
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({BEGINNING}{}_…)", self.prefix().as_str())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no key, or not all of one. What it is instead is not repeated: most of a secret may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no key of Rampart, or not the whole of one: expected rampart_ and 8, _ and 54 hexadecimal digits"
)]
pub struct ApiKeyError;

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<ApiKey, ApiKeyError> {
        let (prefix, rest) =
            text.strip_prefix(BEGINNING).and_then(|rest| rest.split_once('_')).ok_or(ApiKeyError)?;
        let right = prefix.len() == PREFIX
            && rest.len() == SECRET + CHECKSUM
            && prefix.bytes().chain(rest.bytes()).all(is_digit);
        if !right || !text.ends_with(&checksum(&text[..text.len() - CHECKSUM])) {
            return Err(ApiKeyError);
        }
        Ok(ApiKey { text: text.to_owned() })
    }
}

/// The text is not how a key begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the prefix of a key: expected the 8 hexadecimal digits after rampart_")]
pub struct KeyPrefixError(String);

impl FromStr for KeyPrefix {
    type Err = KeyPrefixError;

    fn from_str(text: &str) -> Result<KeyPrefix, KeyPrefixError> {
        if text.len() == PREFIX && text.bytes().all(is_digit) {
            Ok(KeyPrefix(text.to_owned()))
        } else {
            // Somebody may have given the whole key: its secret is not repeated.
            Err(KeyPrefixError(text.chars().take(PREFIX).collect()))
        }
    }
}

impl From<KeyPrefix> for String {
    fn from(prefix: KeyPrefix) -> String {
        prefix.0
    }
}

impl TryFrom<String> for KeyPrefix {
    type Error = KeyPrefixError;

    fn try_from(text: String) -> Result<KeyPrefix, KeyPrefixError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_found_by_its_prefix_and_never_printed() {
        let key = ApiKey::from_random([1, 2, 3, 255], [7; 24]);
        assert_eq!(key.prefix().as_str(), "010203ff");
        assert!(key.expose().starts_with("rampart_010203ff_0707"));
        assert_eq!(key.expose().len(), 8 + 8 + 1 + 48 + 6);
        assert_eq!(format!("{key:?}"), "ApiKey(rampart_010203ff_…)");
        assert_eq!(key.digest(), <[u8; 32]>::from(Sha256::digest(key.expose())));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_and_what_is_changed_is_not(
            prefix: [u8; 4],
            secret: [u8; 24],
            place in 0_usize..71,
            other in "[0-9a-zA-Z_ é]",
        ) {
            let key = ApiKey::from_random(prefix, secret);
            prop_assert_eq!(key.expose().parse::<ApiKey>(), Ok(key.clone()));
            let changed: String =
                key.expose().char_indices().map(|(at, was)| if at == place { other.clone() } else { was.to_string() }).collect();
            if changed != key.expose() {
                prop_assert_eq!(changed.parse::<ApiKey>(), Err(ApiKeyError));
            }
            for cut in [&key.expose()[..place], &key.expose()[place + 1..]] {
                prop_assert_eq!(cut.parse::<ApiKey>(), Err(ApiKeyError));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,120}") {
            let _ = text.parse::<ApiKey>();
        }
    }
}

//! Keys for programs and for the first administrator: shown once, kept as a digest.

use sha2::{Digest, Sha256};

/// A new key.
pub(super) struct NewKey {
    /// By which it is found.
    pub(super) prefix: String,
    /// What its owner keeps: `rampart_<prefix>_<secret>`.
    pub(super) shown: String,
    /// What is stored.
    pub(super) digest: [u8; 32],
}

impl NewKey {
    pub(super) fn random() -> NewKey {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let prefix = hex(&rand::random::<[u8; 4]>());
        let shown = format!("rampart_{prefix}_{}", hex(&rand::random::<[u8; 24]>()));
        let digest = Sha256::digest(shown.as_bytes()).into();
        NewKey { prefix, shown, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_prefix_and_no_two_are_the_same() {
        let (one, other) = (NewKey::random(), NewKey::random());
        assert!(one.shown.starts_with(&format!("rampart_{}_", one.prefix)));
        assert_eq!(one.shown.len(), "rampart__".len() + 8 + 48);
        assert_eq!(one.digest, <[u8; 32]>::from(Sha256::digest(one.shown.as_bytes())));
        assert_ne!((one.shown, one.digest), (other.shown, other.digest));
    }
}

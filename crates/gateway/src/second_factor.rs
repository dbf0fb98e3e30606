//! Codes that change every half minute (RFC 6238), beside a password. What makes them is kept sealed with the password itself: who reads
//! the database has neither.

use std::time::{SystemTime, UNIX_EPOCH};

use argon2::Argon2;
use model::{Password, UserName};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use store::{SecondFactor, Shown};
use totp_rs::{Algorithm, Secret as Written, TOTP};

use crate::{
    password,
    problem::{Kind, Problem},
};

/// Seconds for which a code is shown (RFC 6238, 5.2).
const STEP: u64 = 30;
/// The clock of whoever shows it may be as many steps off.
const SKEW: u64 = 1;
/// What codes are made of: as many bytes as the hash has (RFC 4226, 4).
const SECRET: usize = 20;
const SALT: usize = 16;
/// Codes for whoever has lost what shows the others.
const RECOVERY: usize = 10;

/// What codes are made of.
pub(crate) struct Secret([u8; SECRET]);

impl Secret {
    pub(crate) fn from_random(bytes: [u8; SECRET]) -> Secret {
        Secret(bytes)
    }

    /// As somebody types it into what shows the codes.
    pub(crate) fn read(text: &str) -> Option<Secret> {
        let bytes = read_base32(&text.to_ascii_uppercase())?;
        bytes.try_into().ok().map(Secret)
    }

    pub(crate) fn written(&self) -> String {
        base32(self.0.to_vec())
    }

    /// What a camera reads.
    pub(crate) fn address(&self, name: &UserName) -> Result<String, Problem> {
        // A colon would end the name of who asks for codes.
        let name = name.as_str().replace(':', " ");
        let made = TOTP::new(Algorithm::SHA1, 6, 1, STEP, self.0.to_vec(), Some("Rampart".to_owned()), name);
        made.map(|totp| totp.get_url()).map_err(|error| broken(&error.to_string()))
    }

    /// The step of which that is the code.
    pub(crate) fn step(&self, code: &str, now: u64) -> Option<u64> {
        let code = code.trim();
        let codes = TOTP::new_unchecked(Algorithm::SHA1, 6, 0, STEP, self.0.to_vec(), None, String::new());
        let near = (now / STEP).saturating_sub(SKEW)..=now / STEP + SKEW;
        // All are looked at, and as digests: how long it takes tells nothing of them.
        let asked = Sha256::digest(code);
        let fits = near.filter(|step| Sha256::digest(codes.generate(step * STEP)) == asked);
        fits.fold(None, |_, step| Some(step))
    }
}

fn broken(why: &str) -> Problem {
    tracing::error!(why, "a second factor cannot be used");
    Problem::new(Kind::Internal, "the second factor cannot be used")
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What makes a key of a password and something that is used once: another key than anybody keeps.
fn key(password: &Password, salt: &[u8]) -> Result<LessSafeKey, Problem> {
    let mut bytes = [0; 32];
    Argon2::default()
        .hash_password_into(password.expose().as_bytes(), salt, &mut bytes)
        .map_err(|error| broken(&error.to_string()))?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|error| broken(&error.to_string()))?;
    Ok(LessSafeKey::new(key))
}

/// Sealed: salt, what is sealed and its tag, in base 32. The salt is new each time, and so is the key: one nonce does for all.
fn sealed(secret: &Secret, password: &Password, salt: [u8; SALT]) -> Result<String, Problem> {
    let mut bytes = secret.0.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    key(password, &salt)?
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes)
        .map_err(|error| broken(&error.to_string()))?;
    Ok(base32([&salt[..], &bytes].concat()))
}

fn opened(sealed: &str, password: &Password) -> Result<Secret, Problem> {
    let bytes = read_base32(sealed).filter(|bytes| bytes.len() > SALT);
    let bytes = bytes.ok_or_else(|| broken("what is kept of it is damaged"))?;
    let (salt, sealed) = bytes.split_at(SALT);
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let opened = key(password, salt)?.open_in_place(nonce, Aad::empty(), &mut sealed);
    let opened = opened.map_err(|_| broken("it was sealed with another password"))?;
    <[u8; SECRET]>::try_from(&*opened).map(Secret).map_err(|_| broken("what is kept of it is damaged"))
}

/// What is kept from now on of somebody with this secret, who has just shown the code of that step; and the codes for when they have
/// lost it.
pub(crate) async fn kept(
    secret: Secret,
    step: u64,
    password: Password,
) -> Result<(SecondFactor, Vec<String>), Problem> {
    let codes: Vec<String> = std::iter::repeat_with(recovery_code).take(RECOVERY).collect();
    let recovery = codes.iter().map(|code| digest(code)).collect();
    let salt = rand::random();
    let sealed = password::in_turn(move || sealed(&secret, &password, salt)).await??;
    Ok((SecondFactor { sealed, last_step: step, recovery }, codes))
}

/// The same second factor, for another password.
pub(crate) async fn sealed_anew(
    factor: SecondFactor,
    current: Password,
    password: Password,
) -> Result<SecondFactor, Problem> {
    let salt = rand::random();
    let again =
        move || sealed(&opened(&factor.sealed, &current)?, &password, salt).map(|sealed| (sealed, factor));
    let (sealed, factor) = password::in_turn(again).await??;
    Ok(SecondFactor { sealed, ..factor })
}

/// What somebody shows with that, whose password is the right one: a code of now, or one for when they have lost what shows it. Nothing
/// when it is neither.
pub(crate) async fn shown(
    factor: SecondFactor,
    password: Password,
    code: String,
) -> Result<Option<Shown>, Problem> {
    let recovery = Shown::Recovery(digest(&code));
    if factor.after(&recovery).is_some() {
        return Ok(Some(recovery));
    }
    let sealed = factor.sealed.clone();
    let secret = password::in_turn(move || opened(&sealed, &password)).await??;
    let step = secret.step(&code, now()).map(Shown::Step);
    Ok(step.filter(|shown| factor.after(shown).is_some()))
}

/// 80 random bits, in groups that are easy to copy by hand.
fn recovery_code() -> String {
    let bytes: [u8; 10] = rand::random();
    let text = base32(bytes.to_vec()).to_ascii_lowercase();
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
}

/// However somebody copied it.
fn digest(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    base32(Sha256::digest(plain.to_ascii_lowercase()).to_vec())
}

fn base32(bytes: Vec<u8>) -> String {
    Written::Raw(bytes).to_encoded().to_string()
}

fn read_base32(text: &str) -> Option<Vec<u8>> {
    Written::Encoded(text.to_owned()).to_bytes().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 6238, appendix B, for SHA-1; codes here have its last six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = Secret(*b"12345678901234567890");
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = time / STEP;
            assert_eq!(secret.step(code, time), Some(step), "{time}");
            assert_eq!(secret.step(&format!(" {code} "), time + STEP), Some(step), "the clock may be late");
            assert_eq!(secret.step(code, time.saturating_sub(STEP)), Some(step), "and early");
            assert_eq!(secret.step(code, time + 2 * STEP), None);
            for wrong in ["", "28708", "2870820", "ABCDEF"] {
                assert_eq!(secret.step(wrong, time), None);
            }
        }
        let written = secret.written();
        assert_eq!(written, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(Secret::read(&written.to_lowercase()).unwrap().0, secret.0);
        for wrong in ["", "GEZDGNBV", "not base 32!", &written.repeat(2)] {
            assert!(Secret::read(wrong).is_none(), "{wrong}");
        }
        let address = secret.address(&"j:doe@acme.test".parse().unwrap()).unwrap();
        assert!(address.starts_with("otpauth://totp/Rampart:j%20doe%40acme.test?secret=GEZDG"), "{address}");
    }

    #[tokio::test]
    async fn what_is_kept_opens_with_the_password_alone() {
        let (right, wrong) = (Password::new("correct horse battery"), Password::new("correct horse batterz"));
        let secret = || Secret(*b"12345678901234567890");
        let (factor, codes) = kept(secret(), 7, right.clone()).await.unwrap();
        let (again, _) = kept(secret(), 7, right.clone()).await.unwrap();
        assert_ne!(factor.sealed, again.sealed, "each has a salt of its own");
        assert!(!factor.sealed.contains(&secret().written()));
        assert_eq!(opened(&factor.sealed, &right).unwrap().0, secret().0);
        assert!(opened(&factor.sealed, &wrong).is_err());
        for damaged in
            ["", "00", "zz", &factor.sealed[2..], &factor.sealed.replace(&factor.sealed[60..], "00")]
        {
            assert!(opened(damaged, &right).is_err(), "{damaged}");
        }
        let moved = sealed_anew(factor.clone(), right.clone(), wrong.clone()).await.unwrap();
        assert_eq!(opened(&moved.sealed, &wrong).unwrap().0, secret().0);
        assert_eq!(moved.recovery, factor.recovery);

        assert_eq!(codes.len(), RECOVERY);
        let code = codes[3].to_uppercase().replace('-', " ");
        let by_recovery = shown(factor.clone(), right.clone(), code).await.unwrap().unwrap();
        let left = factor.after(&by_recovery).unwrap();
        assert_eq!(shown(left, right.clone(), codes[3].clone()).await.unwrap(), None);
        let codes =
            TOTP::new_unchecked(Algorithm::SHA1, 6, 0, STEP, secret().0.to_vec(), None, String::new());
        let by_code = shown(factor, right, codes.generate(now())).await.unwrap();
        assert!(matches!(by_code, Some(Shown::Step(step)) if step > 7), "{by_code:?}");
    }
}

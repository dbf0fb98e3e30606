//! Passwords, as Argon2id makes what is kept of them (RFC 9106): a few at once, as each takes memory and a core for a while.

use std::{sync::LazyLock, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use model::Password;
use tokio::sync::Semaphore;

use crate::problem::{Kind, Problem};

/// Worked on at once. Each takes 19 MiB: the least that OWASP recommends, with two passes.
const AT_ONCE: usize = 2;
/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(5);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Of nobody: whoever gives a name that is not there waits as long as others.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash(&Password::new("nobody")).ok());

/// What is kept of a password: a PHC string, with what it was made with.
///
/// # Errors
/// When there is no randomness for it.
pub fn hash(password: &Password) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string())
}

/// The same, when it is somebody's turn.
pub(crate) async fn hashed(password: Password) -> Result<String, Problem> {
    in_turn(move || hash(&password)).await?.map_err(|error| {
        tracing::error!(%error, "a password cannot be kept");
        Problem::new(Kind::Internal, "the password cannot be kept")
    })
}

/// Is it the one of which this is kept? Whoever has none is told no after as long a time.
pub(crate) async fn fits(password: Password, kept: Option<String>) -> Result<bool, Problem> {
    let is_kept = kept.is_some();
    let fits = in_turn(move || {
        let kept = kept.or_else(|| NOBODY.clone()).unwrap_or_default();
        let parsed = PasswordHash::new(&kept);
        parsed
            .is_ok_and(|kept| Argon2::default().verify_password(password.expose().as_bytes(), &kept).is_ok())
    });
    Ok(fits.await? && is_kept)
}

pub(crate) async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let overloaded = || Problem::new(Kind::Overloaded, "too many people log in at once");
    let turn = tokio::time::timeout(TURN, TURNS.acquire()).await.map_err(|_| overloaded())?;
    let turn = turn.map_err(|_| overloaded())?;
    // Whoever goes away meanwhile leaves the turn to nobody before the work is done.
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|error| {
        tracing::error!(%error, "a password could not be looked at");
        Problem::new(Kind::Internal, "the password could not be looked at")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_fits_and_nothing_fits_nobody() {
        let kept = hashed(Password::new("correct horse battery")).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        let again = hashed(Password::new("correct horse battery")).await.unwrap();
        assert_ne!(kept, again, "each has a salt of its own");
        for (password, kept, wanted) in [
            ("correct horse battery", Some(kept.clone()), true),
            ("correct horse batterz", Some(kept.clone()), false),
            ("", Some(kept), false),
            ("nobody", None, false),
            ("correct horse battery", Some("no hash".to_owned()), false),
        ] {
            assert_eq!(fits(Password::new(password), kept).await.unwrap(), wanted, "{password}");
        }
    }
}

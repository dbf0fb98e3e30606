//! People who use the platform: what they are called, what a password must be, and what a browser holds for them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// Characters of a name to log in with, at most.
pub(crate) const LONGEST_NAME: usize = 254;

/// How somebody stands who may log in, or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They may log in.
    Active,
    /// They have not taken up their invitation.
    Invited,
    /// They may not log in any more.
    Disabled,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Active => "active",
            Standing::Invited => "invited",
            Standing::Disabled => "disabled",
        })
    }
}

/// By what somebody logs in: an address of electronic mail, or anything like one. Upper and lower case are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct UserName(String);

/// The text cannot be anybody's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name to log in with has 1 to {LONGEST_NAME} characters, such as j.doe@acme.test, and no spaces")]
pub struct UserNameError;

impl UserName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<UserName, UserNameError> {
        let is_plain = |character: char| !character.is_whitespace() && !character.is_control();
        // What looks like another name is another name: only letters that have no look-alikes.
        if text.is_empty() || text.len() > LONGEST_NAME || !text.is_ascii() || !text.chars().all(is_plain) {
            return Err(UserNameError);
        }
        Ok(UserName(text.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for UserName {
    type Error = UserNameError;

    fn try_from(text: String) -> Result<UserName, UserNameError> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who somebody is to a provider of identities (OpenID Connect Core 1.0, section 2): no other property stays with one person for good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who vouches for them: its URL, exactly as it writes it.
    pub issuer: String,
    /// Who they are to it.
    pub subject: String,
}

/// What somebody types to log in. It is printed nowhere.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password, max_length = 1024)]
pub struct Password(String);

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Few characters are guessed soon.
    #[error(
        "a password has at least {SHORTEST_PASSWORD} characters; several words are easier to keep in mind than signs"
    )]
    Short,
    /// It would take long to look at.
    #[error("a password has at most {LONGEST_PASSWORD} bytes")]
    Long,
    /// It is the first thing that is tried.
    #[error("the password is the name, or a single character again and again: that is tried first")]
    Obvious,
}

/// Characters of a password, at least: NIST SP 800-63B asks for 15 where nothing else is asked for.
pub const SHORTEST_PASSWORD: usize = 15;
/// Bytes of one, at most.
pub const LONGEST_PASSWORD: usize = 1_024;

impl Password {
    /// As it was typed.
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }

    /// For who compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// May it become the password of that user? Length is what counts (NIST SP 800-63B, 3.1.1.2): no kinds of signs are asked for.
    pub fn require_good(&self, name: &UserName) -> Result<(), PasswordError> {
        let text = &self.0;
        if text.len() > LONGEST_PASSWORD {
            return Err(PasswordError::Long);
        }
        if text.chars().count() < SHORTEST_PASSWORD {
            return Err(PasswordError::Short);
        }
        let first = text.chars().next();
        let lower = text.to_lowercase();
        if text.chars().all(|character| Some(character) == first)
            || lower == name.as_str()
            || lower.replace(name.as_str(), "").chars().count() < SHORTEST_PASSWORD / 2
        {
            return Err(PasswordError::Obvious);
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is given to somebody once, and kept as its digest: the token of a session, or an invitation. 256 random bits, in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no token: it has 64 hexadecimal digits")]
pub struct TokenError;

impl Token {
    /// The caller brings the randomness: this crate has none.
    pub fn from_random(bits: [u8; 32]) -> Token {
        Token(bits.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What is kept of it: nobody guesses 256 random bits.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What a page of the same origin sends beside the cookie that holds the token: no other origin can read it.
    pub fn against_forgery(&self) -> Token {
        self.derived("against forgery")
    }

    /// Another one for that purpose. It follows from this one; this one, and those for other purposes, do not follow from it.
    pub fn derived(&self, purpose: &str) -> Token {
        Token::from_random(Sha256::digest(format!("{purpose} {}", self.0).as_bytes()).into())
    }

    /// For its owner, once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Ok(Token(text.to_owned())),
            false => Err(TokenError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_upper_and_lower_case() {
        assert_eq!("J.Doe@Acme.test".parse::<UserName>().unwrap().as_str(), "j.doe@acme.test");
        let long = "a".repeat(LONGEST_NAME + 1);
        for wrong in ["", "two words", "tab\t", "jürgen", "nul\0", &long] {
            assert_eq!(wrong.parse::<UserName>(), Err(UserNameError), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_long_and_not_the_first_that_is_tried() {
        let name: UserName = "j.doe@acme.test".parse().unwrap();
        let long = "ab".repeat(LONGEST_PASSWORD);
        for (text, wanted) in [
            ("correct horse battery", Ok(())),
            ("пятнадцать букв", Ok(())),
            ("short", Err(PasswordError::Short)),
            ("fourteen chars", Err(PasswordError::Short)),
            ("aaaaaaaaaaaaaaaaaaaa", Err(PasswordError::Obvious)),
            ("J.Doe@acme.test", Err(PasswordError::Obvious)),
            ("j.doe@acme.test1", Err(PasswordError::Obvious)),
            (&long[..], Err(PasswordError::Long)),
        ] {
            assert_eq!(Password::new(text).require_good(&name), wanted, "{text}");
        }
        assert_eq!(format!("{:?}", Password::new("correct horse battery")), "Password(…)");
    }

    #[test]
    fn a_token_is_read_as_it_is_written_and_gives_nothing_away() {
        let token = Token::from_random([7; 32]);
        assert_eq!(token.expose().parse::<Token>(), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(…)");
        let beside = token.against_forgery();
        assert_ne!(beside, token);
        assert_ne!(beside.digest(), token.digest());
        assert_eq!(beside, token.against_forgery());
        for wrong in ["", &token.expose()[1..], &token.expose().replace('7', "G")] {
            assert_eq!(wrong.parse::<Token>(), Err(TokenError));
        }
    }
}

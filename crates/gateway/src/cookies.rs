//! Cookies: of this host alone, for no script, and over nothing that others read (RFC 6265bis, `__Host-`).

use axum::http::{HeaderMap, HeaderValue, header};
use model::Token;

use crate::problem::{Kind, Problem};

/// What a browser holds for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The session of somebody who has logged in. No other site sends it. It ends with the browser, or with the session.
    Session,
    /// They are on their way to a provider of identities, which sends them back: that is another site. For ten minutes.
    Attempt,
}

impl Cookie {
    fn name(self) -> &'static str {
        match self {
            Cookie::Session => "__Host-rampart",
            Cookie::Attempt => "__Host-rampart-login",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Cookie::Session => "Path=/; Secure; HttpOnly; SameSite=Strict",
            Cookie::Attempt => "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600",
        }
    }

    /// Gives it to the browser.
    pub(crate) fn given(self, token: &Token) -> Result<HeaderMap, Problem> {
        set(format!("{}={}; {}", self.name(), token.expose(), self.flags()))
    }

    /// Takes it from the browser.
    pub(crate) fn taken(self) -> Result<HeaderMap, Problem> {
        let strict = Cookie::Session.flags();
        set(format!("{}=; {strict}; Max-Age=0", self.name()))
    }

    /// The token that a request brings. Two are none: nobody knows which of them is whose.
    pub(crate) fn brought(self, headers: &HeaderMap) -> Option<Token> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut brought = values
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix(self.name())?.strip_prefix('='));
        match (brought.next(), brought.next()) {
            (Some(token), None) => token.parse().ok(),
            _ => None,
        }
    }
}

fn set(cookie: String) -> Result<HeaderMap, Problem> {
    let value = HeaderValue::try_from(cookie)
        .map_err(|error| Problem::new(Kind::Internal, format!("a cookie cannot be written: {error}")))?;
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_brought_back_and_nothing_else_is_a_token() {
        let token = Token::from_random([9; 32]);
        for (cookie, wanted) in [
            (Cookie::Session, "Path=/; Secure; HttpOnly; SameSite=Strict"),
            (Cookie::Attempt, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"),
        ] {
            let given = cookie.given(&token).unwrap()[header::SET_COOKIE].to_str().unwrap().to_owned();
            let (pair, flags) = given.split_once("; ").unwrap();
            assert_eq!(flags, wanted);
            let of = |cookies: &[&str]| {
                let mut headers = HeaderMap::new();
                for cookie in cookies {
                    headers.append(header::COOKIE, cookie.parse().unwrap());
                }
                cookie.brought(&headers)
            };
            assert_eq!(of(&[pair]), Some(token.clone()));
            assert_eq!(of(&[&format!("a=b; {pair}; c=d")]), Some(token.clone()));
            assert_eq!(of(&["a=b", pair]), Some(token.clone()));
            let (name, digits) = pair.split_once('=').unwrap();
            let [other, empty, guess] =
                [pair.replacen("__Host-", "", 1), format!("{name}="), format!("{name}=guess")];
            let longer = format!("{name}-{name}={digits}");
            for none in [&[][..], &["a=b"], &[pair, pair], &[&other], &[&empty], &[&guess], &[&longer]] {
                assert_eq!(of(none), None, "{none:?}");
            }
            let taken = cookie.taken().unwrap()[header::SET_COOKIE].to_str().unwrap().to_owned();
            assert!(
                taken.starts_with(&format!("{name}=; Path=/; ")) && taken.ends_with("; Max-Age=0"),
                "{taken}"
            );
        }
    }

    #[test]
    fn one_is_not_the_other() {
        let token = Token::from_random([9; 32]);
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::try_from(format!("__Host-rampart-login={}", token.expose())).unwrap(),
        )]);
        assert_eq!(
            (Cookie::Session.brought(&headers), Cookie::Attempt.brought(&headers)),
            (None, Some(token))
        );
    }
}

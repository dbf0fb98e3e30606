//! The cookie that holds a session: of this host alone, for no script, over nothing that others read, and sent by no other site
//! (RFC 6265bis, `__Host-`).

use axum::http::{HeaderMap, header};
use model::Token;

const NAME: &str = "__Host-rampart";

/// For whoever has logged in; it ends with the browser, or with the session.
pub(crate) fn given(token: &Token) -> String {
    format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Strict", token.expose())
}

/// Whoever has logged out has none any more.
pub(crate) fn taken() -> String {
    format!("{NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// The token that a request brings. Two are none: nobody knows which of them is whose.
pub(crate) fn brought(headers: &HeaderMap) -> Option<Token> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut brought = values
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='));
    match (brought.next(), brought.next()) {
        (Some(token), None) => token.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_brought_back_and_nothing_else_is_a_token() {
        let token = Token::from_random([9; 32]);
        let given = given(&token);
        let (pair, flags) = given.split_once("; ").unwrap();
        assert_eq!(flags, "Path=/; Secure; HttpOnly; SameSite=Strict");
        let of = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().unwrap());
            }
            brought(&headers)
        };
        assert_eq!(of(&[pair]), Some(token.clone()));
        assert_eq!(of(&[&format!("a=b; {pair}; c=d")]), Some(token.clone()));
        assert_eq!(of(&["a=b", pair]), Some(token));
        let other = pair.replacen("__Host-", "", 1);
        for none in
            [&[][..], &["a=b"], &[pair, pair], &[&other], &["__Host-rampart="], &["__Host-rampart=guess"]]
        {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}

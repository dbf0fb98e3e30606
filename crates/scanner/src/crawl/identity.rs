//! When two request targets are the same page: escapes in their normal form, without session identifiers and tracking marks.

/// Query parameters that identify a visit, not a page; compared without case.
const VOLATILE: &[&str] = &[
    "phpsessid",
    "jsessionid",
    "sessionid",
    "session_id",
    "sessid",
    "session",
    "sid",
    "aspsessionid",
    "asp.net_sessionid",
    "cfid",
    "cftoken",
    "s_id",
    "oscsid",
    "zenid",
    "xtcsid",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "utm_id",
    "gclid",
    "fbclid",
    "msclkid",
    "mc_cid",
    "mc_eid",
    "_ga",
    "_gl",
    "nonce",
    "_csrf",
    "csrf",
    "csrf_token",
    "csrftoken",
    "authenticity_token",
    "__requestverificationtoken",
    "_",
    "cachebuster",
    "cache_buster",
    "timestamp",
    "_ts",
];

/// The form under which a target counts as visited. What is requested is the target as it was found first.
pub(super) fn identity(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut key = normal_escapes(&without_path_session(path));
    let pairs = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty() && !is_volatile(pair));
    for (index, pair) in pairs.enumerate() {
        key.push(if index == 0 { '?' } else { '&' });
        key.push_str(&normal_escapes(pair));
    }
    key
}

fn is_volatile(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or(pair);
    VOLATILE.iter().any(|volatile| name.eq_ignore_ascii_case(volatile))
}

/// `/page;jsessionid=1A2B` and `/(S(abc123))/page` are `/page`.
fn without_path_session(path: &str) -> String {
    let mut kept = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        let inner = segment.strip_prefix("(").and_then(|rest| rest.strip_suffix("))"));
        if inner.is_some_and(|inner| {
            inner.as_bytes().get(1) == Some(&b'(') && inner.as_bytes()[0].is_ascii_alphabetic()
        }) {
            continue;
        }
        if index > 0 {
            kept.push('/');
        }
        match segment.split_once(';') {
            Some((name, parameters)) => {
                kept.push_str(name);
                for parameter in parameters.split(';').filter(|parameter| !is_volatile(parameter)) {
                    kept.push(';');
                    kept.push_str(parameter);
                }
            }
            None => kept.push_str(segment),
        }
    }
    kept
}

/// Escapes of unreserved characters are undone and the others written in capitals (RFC 3986, 6.2.2); bytes that must be
/// escaped are.
pub(super) fn normal_escapes(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut normal = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (value, length) = match escape(&bytes[at..]) {
            Some(value) => (value, 3),
            None => (byte, 1),
        };
        let unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        if unreserved || (length == 1 && value.is_ascii_graphic() && value != b'%') {
            normal.push(char::from(value));
        } else {
            normal.push('%');
            for digit in [value >> 4, value & 15] {
                normal.push(
                    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase()),
                );
            }
        }
        at += length;
    }
    normal
}

fn escape(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_and_escapes_do_not_make_another_page() {
        for (target, expected) in [
            ("/a?b=1&c=2", "/a?b=1&c=2"),
            ("/a?c=2&b=1", "/a?c=2&b=1"),
            ("/a?PHPSESSID=abc&b=1", "/a?b=1"),
            ("/a?sid=1", "/a"),
            ("/a;jsessionid=XYZ", "/a"),
            ("/a;v=2;JSESSIONID=XYZ/b", "/a;v=2/b"),
            ("/(S(abc123))/a.aspx", "/a.aspx"),
            ("/%7euser/%41?x=%2f", "/~user/A?x=%2F"),
            ("/100%", "/100%25"),
            ("/a?side=1&utm_source=x", "/a?side=1"),
        ] {
            assert_eq!(identity(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_is_its_own(text in "/(%[0-9a-fA-F]{0,2}|[a-z;=&?()/S]|\u{e9}){0,30}") {
            let once = normal_escapes(&text);
            prop_assert!(once.is_ascii());
            prop_assert_eq!(normal_escapes(&once), once);
            identity(&text);
        }
    }
}

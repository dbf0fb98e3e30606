//! Request targets exactly as templates write them.

use crate::exchange::Origin;
use url::Url;

use super::target::origin_of;

/// Percent-encodes what cannot stand in a request line: blanks, control characters, bytes beyond ASCII, and percent signs
/// that begin no escape. Everything else goes out as it is, however odd: oddness is what templates test.
pub(super) fn encode(target: &[u8]) -> String {
    let mut encoded = String::with_capacity(target.len());
    for (at, byte) in target.iter().enumerate() {
        let escape = |at: usize| target.get(at).is_some_and(u8::is_ascii_hexdigit);
        match byte {
            b'%' if !(escape(at + 1) && escape(at + 2)) => encoded.push_str("%25"),
            0x21..=0x7e => encoded.push(char::from(*byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Origin and the rest, when the bytes are an http or https URL.
pub(super) fn split_absolute(url: &[u8]) -> Option<(Origin, &[u8])> {
    let scheme = [&b"https://"[..], b"http://"]
        .into_iter()
        .find(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let after = &url[scheme.len()..];
    let end = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(after.len());
    let authority = str::from_utf8(&after[..end]).ok()?;
    let parsed = Url::parse(&format!("{}{authority}/", str::from_utf8(scheme).ok()?)).ok()?;
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    parsed.host_str().filter(|_| plain)?;
    Some((origin_of(&parsed), &after[end..]))
}

/// Puts the path of a raw request behind the target's own: `/` alone stands for the target itself.
pub(super) fn merge(base_path: &str, target: &[u8]) -> Vec<u8> {
    let base = base_path.strip_suffix('/').unwrap_or(base_path);
    if base.is_empty() {
        return rooted(target);
    }
    match target {
        b"" | b"/" => base_path.as_bytes().to_vec(),
        [b'?', ..] => [base_path.as_bytes(), target].concat(),
        _ => [base.as_bytes(), &rooted(target)].concat(),
    }
}

/// With a slash in front, unless it is `*` or already has one.
pub(super) fn rooted(target: &[u8]) -> Vec<u8> {
    match target {
        [b'/', ..] | b"*" => target.to_vec(),
        _ => [b"/", target].concat(),
    }
}

/// Without what only a browser sees.
pub(super) fn without_fragment(target: &[u8]) -> &[u8] {
    target.iter().position(|byte| *byte == b'#').map_or(target, |at| &target[..at])
}

/// Appends the target's own query.
pub(super) fn with_query(mut target: Vec<u8>, query: Option<&str>) -> Vec<u8> {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        target.push(if target.contains(&b'?') { b'&' } else { b'?' });
        target.extend_from_slice(query.as_bytes());
    }
    target
}

//! Reading textual answers.

use std::borrow::Cow;

/// Recognition never looks further into a text.
const FAR_ENOUGH: usize = 8 << 10;

/// The answer as text, replacement characters where it is none.
pub(in crate::services) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(FAR_ENOUGH)])
}

/// The first line without its end.
pub(in crate::services) fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The version that the text begins with: a digit and what belongs to it, such as `9.2p1` or `10.11.6-1~deb12`; a `v`
/// before it is left out.
pub(in crate::services) fn version_at(text: &str) -> Option<&str> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|character: char| {
        !(character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '+' | '~'))
    });
    let version = text[..end.unwrap_or(text.len())].trim_end_matches(['.', '-', '_']);
    if version.starts_with(|first: char| first.is_ascii_digit()) { Some(version) } else { None }
}

/// The version that follows the first occurrence of the marker.
pub(in crate::services) fn version_after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(marker)?;
    version_at(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_end_where_they_end() {
        assert_eq!(version_after("ProFTPD 1.3.8b Server", "ProFTPD "), Some("1.3.8b"));
        assert_eq!(version_after("(vsFTPd 3.0.3)", "vsFTPd "), Some("3.0.3"));
        assert_eq!(version_after("Exim 4.96. Hello", "Exim "), Some("4.96"));
        assert_eq!(version_at("v1.2"), Some("1.2"));
        assert_eq!(version_at("very"), None);
        assert_eq!(version_after("nothing", "Exim "), None);
    }
}

//! From bytes to text. Latin-1 and UTF-16 where a page says so, else UTF-8 with replacement characters.

use std::borrow::Cow;

/// Where browsers look for `<meta charset>`.
const PRESCAN: usize = 1_024;

/// Decodes a body. `content_type` is the header's value.
pub(super) fn decode<'a>(body: &'a [u8], content_type: Option<&[u8]>) -> Cow<'a, str> {
    if let Some(rest) = body.strip_prefix(b"\xef\xbb\xbf") {
        return String::from_utf8_lossy(rest);
    }
    if let Some(rest) = body.strip_prefix(b"\xff\xfe") {
        return utf16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = body.strip_prefix(b"\xfe\xff") {
        return utf16(rest, u16::from_be_bytes);
    }
    if let Ok(text) = std::str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let latin1 = match content_type.and_then(charset) {
        Some(declared) => is_latin1(&declared),
        None => charset(&body[..body.len().min(PRESCAN)]).is_some_and(|declared| is_latin1(&declared)),
    };
    if latin1 {
        Cow::Owned(body.iter().map(|&byte| char::from(byte)).collect())
    } else {
        String::from_utf8_lossy(body)
    }
}

/// The first `charset=…` in a header value or in the beginning of a page, in lower case.
fn charset(text: &[u8]) -> Option<Vec<u8>> {
    let lower = text.to_ascii_lowercase();
    let at = memchr::memmem::find(&lower, b"charset=")?;
    let value = lower[at + 8..].trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value);
    Some(
        value
            .iter()
            .copied()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
            .collect(),
    )
}

/// The labels of windows-1252 (Encoding standard). What it has above 0x7f beyond Latin-1 is typography only and stays a C1
/// control here.
fn is_latin1(label: &[u8]) -> bool {
    [&b"iso-8859-1"[..], b"iso8859-1", b"latin1", b"windows-1252", b"cp1252", b"us-ascii", b"ascii"]
        .contains(&label)
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Cow<'static, str> {
    let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    Cow::Owned(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_taken_from_mark_header_and_page() {
        assert_eq!(decode(b"\xef\xbb\xbfcaf\xc3\xa9", None), "caf\u{e9}");
        assert_eq!(decode(b"\xff\xfea\0\xe9\0", None), "a\u{e9}");
        assert_eq!(decode(b"\xfe\xff\0a\0\xe9", None), "a\u{e9}");
        assert_eq!(decode(b"caf\xe9", Some(b"text/html; charset=ISO-8859-1")), "caf\u{e9}");
        assert_eq!(decode(b"<meta charset='latin1'>caf\xe9", None), "<meta charset='latin1'>caf\u{e9}");
        assert_eq!(decode(b"caf\xe9", None), "caf\u{fffd}");
        assert_eq!(decode("caf\u{e9}".as_bytes(), Some(b"text/html; charset=latin1")), "caf\u{e9}");
    }
}

//! References of style sheets: `url(…)` and `@import "…"` (CSS Values 4, section 4.5).

/// Bytes of the longest reference.
const LONGEST: usize = 2_048;

/// Calls `found` for every reference. The second argument is true for an imported sheet.
pub(super) fn scan_style(text: &str, mut found: impl FnMut(&str, bool)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut left = 2_000_u32;
    while let Some(offset) = memchr::memchr3(b'u', b'U', b'@', &bytes[at..]) {
        let start = at + offset;
        at = start + 1;
        let rest = &bytes[start..];
        let imported = starts_with(rest, b"@import");
        let length = match imported {
            true => 7,
            false if starts_with(rest, b"url(") => 4,
            false => continue,
        };
        let mut value = &bytes[start + length..];
        value = value.trim_ascii_start();
        if imported && starts_with(value, b"url(") {
            value = value[4..].trim_ascii_start();
        }
        let quote = value.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        if quote.is_some() {
            value = &value[1..];
        }
        let from = bytes.len() - value.len();
        let window = &value[..value.len().min(LONGEST)];
        let end = window.iter().position(|&byte| match quote {
            Some(quote) => byte == quote || byte == b'\n',
            None => matches!(byte, b')' | b';') || byte.is_ascii_whitespace(),
        });
        // Read once, whether it is a reference or not.
        at = from + end.unwrap_or(window.len());
        let Some(end) = end else { continue };
        if let Ok(reference) = std::str::from_utf8(&value[..end])
            && !reference.is_empty()
            && !starts_with(reference.as_bytes(), b"data:")
        {
            found(reference, imported);
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_and_imports_are_found() {
        let mut all = Vec::new();
        let sheet = "@import 'base.css'; @import url(\"more.css\") print; a{background:URL( /img/a.png )} b{src:url('f.woff2')} \
                     c{background:url(data:image/png;base64,AAAA)} d{cursor:url(unterminated";
        scan_style(sheet, |reference, imported| all.push((reference.to_owned(), imported)));
        let expected = [("base.css", true), ("more.css", true), ("/img/a.png", false), ("f.woff2", false)];
        assert_eq!(all, expected.map(|(reference, imported)| (reference.to_owned(), imported)));
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_to_its_end(text in ".{0,100}|[@importurl\\(\\)\"' \n;\u{e9}]{0,200}") {
            scan_style(&text, |reference, _| assert!(text.contains(reference)));
        }
    }
}

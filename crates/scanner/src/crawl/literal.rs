//! String literals of scripts and JSON, and which of them look like paths. One pass, no backtracking, total over any bytes.

/// The longest literal that is looked at, in bytes.
const LONGEST: usize = 1_024;
/// The longest regular expression that is recognised: what looks like the beginning of one must not be searched to the end of
/// a long line, again and again.
const LONGEST_EXPRESSION: usize = 256;
/// The most literals handed out for one text, so that a hostile script cannot make a page endless.
const MOST: usize = 5_000;

/// How sure it is that a literal is a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// `/api/users`, `./next`, `https://…`, `page.php?id=1`: worth a request.
    Path,
    /// `api/users`, `/users/:id`: worth a line in the report.
    Perhaps,
}

/// Calls `found` for every string literal of a script that looks like a path.
pub(super) fn scan_script(text: &str, found: impl FnMut(&str, Likeness)) {
    Scanner { bytes: text.as_bytes(), at: 0, previous: b'\n', left: MOST }.script(found);
}

/// The same for the string values of a JSON text; names of members are no paths.
pub(super) fn scan_json(text: &str, mut found: impl FnMut(&str, Likeness)) {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, previous: b'\n', left: MOST };
    while let Some(offset) = memchr::memchr(b'"', &scanner.bytes[scanner.at..]) {
        scanner.at += offset + 1;
        let literal = scanner.quoted(b'"', false);
        let rest = scanner.bytes[scanner.at..].trim_ascii_start();
        if rest.first() != Some(&b':') && !scanner.offer(literal, &mut found) {
            return;
        }
    }
}

/// Calls `found` for every quoted text in a comment that looks like a path.
pub(super) fn scan_comment(text: &str, mut found: impl FnMut(&str)) {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, previous: b'\n', left: 100 };
    while let Some(offset) = memchr::memchr2(b'"', b'\'', &scanner.bytes[scanner.at..]) {
        let quote = scanner.bytes[scanner.at + offset];
        scanner.at += offset + 1;
        let literal = scanner.quoted(quote, false);
        if !scanner.offer(literal, &mut |text, _| found(text)) {
            return;
        }
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The last byte that was neither space nor comment: tells a division from a regular expression.
    previous: u8,
    left: usize,
}

impl Scanner<'_> {
    fn script(mut self, mut found: impl FnMut(&str, Likeness)) {
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' | b'\'' | b'`' => {
                    let literal = self.quoted(byte, byte == b'`');
                    self.previous = b'"';
                    if !self.offer(literal, &mut found) {
                        return;
                    }
                }
                b'/' => self.slash(),
                _ if byte.is_ascii_whitespace() => {}
                _ => self.previous = byte,
            }
        }
    }

    /// After a slash: a comment, a regular expression, or a division.
    fn slash(&mut self) {
        match self.bytes.get(self.at) {
            Some(b'/') => self.skip_to(memchr::memchr(b'\n', &self.bytes[self.at..])),
            Some(b'*') => {
                let end = memchr::memmem::find(&self.bytes[self.at + 1..], b"*/").map(|offset| offset + 3);
                self.skip_to(end);
            }
            _ if b"(,=:[!&|?{};\n+".contains(&self.previous) => self.expression(),
            _ => self.previous = b'/',
        }
    }

    fn skip_to(&mut self, offset: Option<usize>) {
        self.at = offset.map_or(self.bytes.len(), |offset| self.at + offset);
    }

    /// A regular expression ends at the first slash outside a class, or is none if the line ends
    /// before or it would be very long.
    fn expression(&mut self) {
        let mut class = false;
        let mut end = self.at;
        while let Some(&byte) = self.bytes.get(end).filter(|_| end < self.at + LONGEST_EXPRESSION) {
            end += 1;
            match byte {
                b'\\' => end += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = end;
                    self.previous = b'"';
                    return;
                }
                b'\n' => break,
                _ => {}
            }
        }
        self.previous = b'/';
    }

    /// The content of a literal whose opening quote has been read; none when it does not end or is too long. Ends before a
    /// line break unless it may span lines, and at the first substitution of a template literal.
    fn quoted(&mut self, quote: u8, template: bool) -> Option<String> {
        let mut content = Vec::new();
        let mut keep = true;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if byte == quote {
                return (content.len() <= LONGEST).then(|| String::from_utf8_lossy(&content).into_owned());
            }
            match byte {
                b'\n' if !template => return None,
                b'\\' => self.escape(&mut content, keep),
                b'$' if template && self.bytes.get(self.at) == Some(&b'{') => {
                    keep = false;
                    self.substitution();
                }
                _ if keep && content.len() <= LONGEST => content.push(byte),
                _ => {}
            }
        }
        None
    }

    fn substitution(&mut self) {
        let mut depth = 0_u32;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn escape(&mut self, content: &mut Vec<u8>, keep: bool) {
        let Some(&kind) = self.bytes.get(self.at) else { return };
        self.at += 1;
        let digits = match kind {
            b'x' => 2,
            b'u' => 4,
            _ => 0,
        };
        let code = self.bytes.get(self.at..self.at + digits).and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok().filter(|_| digits > 0)?;
            u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
        });
        let character = match (code, kind) {
            (Some(character), _) => {
                self.at += digits;
                character
            }
            // Line continuations and control escapes: no path has them.
            (None, b'n' | b'r' | b't' | b'\n') => '\n',
            (None, other) if other.is_ascii() => char::from(other),
            (None, _) => char::REPLACEMENT_CHARACTER,
        };
        if keep && content.len() <= LONGEST {
            content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    fn offer(&mut self, literal: Option<String>, found: &mut impl FnMut(&str, Likeness)) -> bool {
        if let Some((text, likeness)) = literal.as_deref().and_then(|text| Some((text, likeness(text)?))) {
            found(text, likeness);
            self.left -= 1;
        }
        self.left > 0
    }
}

/// Endings that make a relative literal a path for certain.
const PAGES: &[&str] = &[
    ".php", ".asp", ".aspx", ".jsp", ".jspx", ".do", ".action", ".cgi", ".html", ".htm", ".xhtml", ".json",
    ".xml", ".js", ".mjs", ".ashx", ".asmx", ".svc", ".cfm", ".pl", ".yaml", ".yml", ".map",
];

/// First parts of media types (RFC 6838): `text/html` is no path.
const MEDIA: &[&str] =
    &["application", "audio", "font", "image", "message", "model", "multipart", "text", "video", "chemical"];

/// Does a text look like a path or URL, and how much?
pub(super) fn likeness(text: &str) -> Option<Likeness> {
    let text = text.trim_matches(' ');
    if text.len() < 2 || text.len() > LONGEST {
        return None;
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || b"<>{}|\\^\"`*()[]$;,'".contains(&byte))
        || text.contains('\u{fffd}')
    {
        return None;
    }
    let path = text.split(['?', '#']).next().unwrap_or(text);
    if let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .or_else(|| text.strip_prefix("//"))
    {
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or("");
        let plausible = host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && (host.contains('.') || host == "localhost");
        return plausible.then_some(Likeness::Path);
    }
    if text.contains("://") {
        return None;
    }
    let letters = path.bytes().any(|byte| byte.is_ascii_alphabetic());
    let parameters = path.split('/').any(|segment| segment.starts_with(':'));
    let rooted = path.starts_with('/') || path.starts_with("./") || path.starts_with("../");
    if rooted {
        let likeness = if parameters { Likeness::Perhaps } else { Likeness::Path };
        return letters.then_some(likeness);
    }
    if !letters || path.contains(':') || path.starts_with(['.', '-', '@', '#', '%', '&', '=', '+']) {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let (first, rest) = lower.split_once('/').unwrap_or((&lower, ""));
    if MEDIA.contains(&first) && !rest.contains('/') && !rest.contains('.') {
        return None;
    }
    let stem = PAGES.iter().find_map(|ending| lower.strip_suffix(ending));
    match stem {
        // `.js` itself, or a word of a sentence, or `socket.io`-like library names are no paths.
        Some(stem) if stem.ends_with(|c: char| c.is_ascii_alphanumeric()) => Some(Likeness::Path),
        Some(_) => None,
        None => {
            let segments = lower.split('/').filter(|segment| segment.len() > 1).count();
            let plain = lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.%~".contains(&byte));
            (segments >= 2 && plain && !rest.is_empty()).then_some(Likeness::Perhaps)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(script: &str) -> Vec<String> {
        let mut all = Vec::new();
        scan_script(script, |text, likeness| all.push(format!("{text} {likeness:?}")));
        all
    }

    #[test]
    fn literals_of_scripts_are_found_and_judged() {
        let script = r#"
            // fetch("/commented")
            /* "/also-commented" */
            fetch('/api/users'); var t = "text/html", d = a / b / "c/d";
            const re = /["'\/]/g; load("\/escaped\/path");
            axios.get(`/api/items/${id}/parts`); x = "line
            go("page.php?id=1"); r("users/list"); route("/users/:id"); u = "https://other.test/x";
            broken = 'unterminated
            ok("./near") + '\x2fhex' + "\u002funicode"; css = "a b c"; n = "12/34"; v = "1.2.3"; lib = "jquery.js"
        "#;
        assert_eq!(
            paths(script),
            [
                "/api/users Path",
                "/escaped/path Path",
                "/api/items/ Path",
                "page.php?id=1 Path",
                "users/list Perhaps",
                "/users/:id Perhaps",
                "https://other.test/x Path",
                "./near Path",
                "/hex Path",
                "/unicode Path",
                "jquery.js Path",
            ]
        );
    }

    #[test]
    fn values_of_json_are_looked_at_and_names_are_not() {
        let mut all = Vec::new();
        scan_json(
            r#"{"/name": 1, "href": "/v1/users?page=2", "list": ["\/x\/y", "plain"], "t": "image/png"}"#,
            |text, _| {
                all.push(text.to_owned());
            },
        );
        assert_eq!(all, ["/v1/users?page=2", "/x/y"]);
    }

    #[test]
    fn quoted_paths_of_comments_are_found() {
        let mut all = Vec::new();
        scan_comment(r#" <a href="/old-admin/">it's gone</a> <img src='x.png'> "#, |text| {
            all.push(text.to_owned())
        });
        assert_eq!(all, ["/old-admin/"]);
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_to_its_end(text in ".{0,200}|[\"'`/\\\\$\\{\\}xu\\*\n a:\\[]{0,200}") {
            let mut count = 0;
            scan_script(&text, |found, _| { assert!(found.len() <= LONGEST); count += 1; });
            scan_json(&text, |_, _| count += 1);
            scan_comment(&text, |_| count += 1);
            prop_assert!(count <= 3 * text.len());
        }
    }
}

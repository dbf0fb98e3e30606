//! Status line and headers of a response.

use memchr::memchr_iter;

/// More headers than this are no answer but an attack.
const MOST_HEADERS: usize = 256;

/// What a response begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// As received, up to and including the empty line.
    pub(super) bytes: Vec<u8>,
    /// HTTP/1.1, not 1.0.
    pub(super) is_1_1: bool,
    /// 100 to 999.
    pub(super) status: u16,
    /// Text after the status.
    pub(super) reason: String,
    /// In order, names as received.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Every value of the header, in order, as text; what is no text is replaced.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = String> {
        self.headers
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// The members of a comma-separated header in lower case, over all its lines.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.values(name)
            .flat_map(|value| {
                value.split(',').map(|item| item.trim().to_ascii_lowercase()).collect::<Vec<_>>()
            })
            .filter(|item| !item.is_empty())
            .collect()
    }
}

/// Where the head ends: after the first empty line. `looked_at` bytes at the start are known to hold no end.
pub(super) fn end(bytes: &[u8], looked_at: usize) -> Option<usize> {
    // The end may straddle what was looked at by "\n\r".
    let from = looked_at.saturating_sub(2);
    let rest = bytes.get(from..)?;
    memchr_iter(b'\n', rest).find_map(|at| match &rest[at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// Could these first bytes become a status line?
pub(super) fn may_be_http(bytes: &[u8]) -> bool {
    let mark = b"HTTP/";
    bytes.iter().zip(mark).all(|(given, wanted)| given == wanted)
}

/// Reads a complete head. As tolerant as browsers are: bare line feeds, folded lines, spaces before the colon, lines that are
/// no headers at all.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(&mut response, bytes);
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("its head ends in the middle of a line".to_owned()),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(format!("it has more than {MOST_HEADERS} headers"));
        }
        Err(error) => return Err(format!("its head does not parse ({error}): {}", excerpt(bytes))),
    }
    let (Some(version), Some(status)) = (response.version, response.code) else {
        return Err(format!("its status line is incomplete: {}", excerpt(bytes)));
    };
    if status < 100 {
        return Err(format!("its status is {status}"));
    }
    Ok(Head {
        bytes: bytes.to_vec(),
        is_1_1: version == 1,
        status,
        reason: response.reason.unwrap_or_default().to_owned(),
        headers: response
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect(),
    })
}

/// The first bytes for a message, made harmless.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(48)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads_as_servers_send_them() {
        let given = b"HTTP/1.1 200 Fine\r\nServer: a b\r\nX-Empty:\r\nX-Spaced : v\r\nnonsense\r\nX-Fold: a\r\n b\r\nBin: \xff\xfe\r\n\r\n";
        let head = parse(given).unwrap();
        assert_eq!((head.status, head.reason.as_str(), head.is_1_1), (200, "Fine", true));
        assert_eq!(head.bytes, given);
        let names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Server", "X-Empty", "X-Spaced", "X-Fold", "Bin"]);
        assert_eq!(head.headers[4].1, b"\xff\xfe");
        assert!(!parse(b"HTTP/1.0 404\n\n").unwrap().is_1_1);
    }

    #[test]
    fn lists_are_gathered_over_lines() {
        let head = parse(b"HTTP/1.1 200 OK\r\nTE: a, B,,\r\nte:  c \r\n\r\n").unwrap();
        assert_eq!(head.list("te"), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_not_http_is_named() {
        for (given, says) in [
            (&b"HTTP/1.1 abc\r\n\r\n"[..], "parse"),
            (b"HTTP/3.0 200 OK\r\n\r\n", "parse"),
            (b"HTTP/1.1 020 OK\r\n\r\n", "status is 20"),
            (b"\x1b[2J\r\n\r\n", "\\x1b[2J"),
        ] {
            let error = parse(given).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MOST_HEADERS + 1));
        assert!(parse(many.as_bytes()).unwrap_err().contains("256 headers"));
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_bytes_arrive(text in "[a\r\n]{0,40}") {
            let bytes = text.as_bytes();
            let whole = end(bytes, 0);
            let mut looked_at = 0;
            let found = (1..=bytes.len()).find_map(|have| {
                let found = end(&bytes[..have], looked_at);
                looked_at = have;
                found
            });
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn hostile_heads_do_no_harm(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
            bytes.extend_from_slice(&rest);
            let _ = parse(&bytes);
            let _ = parse(&rest);
        }
    }
}

//! A request as it goes onto the wire.

use checks::exchange::{Failure, HttpForm, HttpRequest, Origin};
use model::FailReason;

use super::Identity;

/// The exact bytes of the request.
pub(super) fn write(request: &HttpRequest, identity: &Identity) -> Result<Vec<u8>, Failure> {
    let (method, target, headers, body) = match &request.form {
        HttpForm::Verbatim(bytes) => return Ok(bytes.clone()),
        HttpForm::Structured { method, target, headers, body } => (method, target, headers, body),
    };
    one_line("method", method)?;
    one_line("target", target)?;
    if method.is_empty() || method.contains(' ') || target.is_empty() {
        return Err(unwritable(format!(
            "`{method} {target}` is no request line: it needs a method and a target"
        )));
    }
    let given = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let mut lines = Vec::with_capacity(headers.len() + 7);
    let mut add = |name: &'static str, value: String| {
        if !given(name) {
            lines.push((name, value));
        }
    };
    add("Host", authority(&request.origin));
    add("User-Agent", identity.user_agent.clone());
    add("Accept", "*/*".to_owned());
    add("Accept-Encoding", "gzip, deflate, br".to_owned());
    add("Connection", "keep-alive".to_owned());
    let wants_length = !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    if wants_length && !given("Transfer-Encoding") {
        add("Content-Length", body.len().to_string());
    }

    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let given_lines = headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in lines.iter().map(|(name, value)| (*name, value)).chain(given_lines) {
        one_line("header name", name)?;
        one_line(name, value)?;
        for part in [name, ": ", value.as_str(), "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The `Host` header: the port only when it is not the scheme's own (RFC 9110, 7.2).
fn authority(origin: &Origin) -> String {
    let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.clone() };
    match (origin.tls, origin.port) {
        (false, 80) | (true, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// A line break would make one request two, and the second would escape the rate caps. Values may come out of a target's
/// responses, so it is refused here and not left to the template.
fn one_line(what: &str, text: &str) -> Result<(), Failure> {
    if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(unwritable(format!("`{}` holds a line break or NUL", what.escape_debug())));
    }
    Ok(())
}

fn unwritable(why: String) -> Failure {
    Failure::Failed(FailReason::Evaluation, format!("the request cannot be written: {why}"))
}

/// The method, which decides how the response is delimited.
pub(super) fn method(form: &HttpForm) -> &str {
    match form {
        HttpForm::Structured { method, .. } => method,
        HttpForm::Verbatim(bytes) => {
            let line = bytes
                .split(|byte| byte.is_ascii_whitespace())
                .find(|word| !word.is_empty())
                .unwrap_or_default();
            std::str::from_utf8(line).unwrap_or_default()
        }
    }
}

/// May the request be sent again when nobody knows whether the first one arrived (RFC 9110, 9.2.2)?
pub(super) fn is_idempotent(form: &HttpForm) -> bool {
    match form {
        HttpForm::Structured { method, .. } => {
            matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
        }
        HttpForm::Verbatim(_) => false,
    }
}

/// Does the request itself ask for the connection to be closed?
pub(super) fn asks_to_close(form: &HttpForm) -> bool {
    match form {
        HttpForm::Structured { headers, .. } => headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("connection") && !value.eq_ignore_ascii_case("keep-alive")
        }),
        HttpForm::Verbatim(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { user_agent: "rampart/0 (+mailto:a@example.com; scan 1)".to_owned() }
    }

    fn request(
        host: &str,
        port: u16,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpRequest {
        HttpRequest {
            origin: Origin { tls: false, host: host.to_owned(), port },
            sni: None,
            form: HttpForm::Structured {
                method: method.to_owned(),
                target: target.to_owned(),
                headers: headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                body: body.to_vec(),
            },
            timeout: None,
            max_body: None,
        }
    }

    fn text(request: &HttpRequest) -> String {
        String::from_utf8(write(request, &identity()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_missing_is_added() {
        assert_eq!(
            text(&request("example.com", 80, "GET", "/a b/../%2e?x", &[("X-Test", "1")], b"")),
            "GET /a b/../%2e?x HTTP/1.1\r\nHost: example.com\r\nUser-Agent: rampart/0 (+mailto:a@example.com; scan 1)\r\n\
             Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\
             X-Test: 1\r\n\r\n"
        );
        let post = text(&request("::1", 8080, "POST", "/", &[], b"a=1"));
        assert!(post.contains("\r\nHost: [::1]:8080\r\n"), "{post}");
        assert!(post.ends_with("\r\nContent-Length: 3\r\n\r\na=1"), "{post}");
    }

    #[test]
    fn what_the_template_brings_is_kept_as_it_is() {
        let given = [
            ("host", "other"),
            ("user-agent", "x"),
            ("content-length", "99"),
            ("ACCEPT", "a"),
            ("Connection", "close"),
        ];
        let sent = text(&request("example.com", 80, "POST", "/", &given, b"abc"));
        assert_eq!(
            sent,
            "POST / HTTP/1.1\r\nAccept-Encoding: gzip, deflate, br\r\nhost: other\r\nuser-agent: x\r\n\
             content-length: 99\r\nACCEPT: a\r\nConnection: close\r\n\r\nabc"
        );
    }

    #[test]
    fn one_request_never_becomes_two() {
        let split = "x\r\n\r\nGET /second HTTP/1.1";
        for bad in [
            request("h", 80, split, "/", &[], b""),
            request("h", 80, "GET", split, &[], b""),
            request("h", 80, "GET", "/", &[("A", split)], b""),
            request("h", 80, "GET", "/", &[(split, "a")], b""),
            request(split, 80, "GET", "/", &[], b""),
            request("h", 80, "", "/", &[], b""),
            request("h", 80, "GET", "", &[], b""),
        ] {
            let written = write(&bad, &identity());
            assert!(
                matches!(written, Err(Failure::Failed(FailReason::Evaluation, _))),
                "{bad:?}: {written:?}"
            );
        }
    }

    #[test]
    fn verbatim_bytes_are_not_touched() {
        let mut verbatim = request("h", 80, "GET", "/", &[], b"");
        verbatim.form = HttpForm::Verbatim(b"HEAD  /\r\nx\x00\n\n".to_vec());
        assert_eq!(write(&verbatim, &identity()).unwrap(), b"HEAD  /\r\nx\x00\n\n");
        assert_eq!(method(&verbatim.form), "HEAD");
        assert!(!is_idempotent(&verbatim.form));
    }
}

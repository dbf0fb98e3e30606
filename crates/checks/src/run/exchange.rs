//! One response and its parts, under the names that matchers and expressions use.

use std::{borrow::Cow, cell::OnceCell, net::SocketAddr};

use super::{MatchLocation, dns_parts, tls_parts};
use crate::{
    exchange::{HttpResponse, Response, TcpResponse},
    expression::Value,
};

/// A response with where it came from.
pub(super) struct Exchange {
    pub(super) response: Response,
    /// The input as the user gave it.
    pub(super) host: String,
    /// The exact place, as text.
    pub(super) matched_at: String,
    pub(super) location: MatchLocation,
    pub(super) port: u16,
    /// Headers with canonical names, where the server's differ.
    head: OnceCell<Vec<u8>>,
    /// Head and body, DNS message, or certificate facts as one text.
    whole: OnceCell<Vec<u8>>,
    /// For protocols whose response does not carry it.
    sent: Vec<u8>,
}

impl Exchange {
    pub(super) fn new(
        response: Response,
        host: String,
        matched_at: String,
        location: MatchLocation,
        port: u16,
        sent: Vec<u8>,
    ) -> Exchange {
        Exchange {
            response,
            host,
            matched_at,
            location,
            port,
            head: OnceCell::new(),
            whole: OnceCell::new(),
            sent,
        }
    }

    /// The request, for evidence.
    pub(super) fn request(&self) -> &[u8] {
        match &self.response {
            Response::Http(http) if !http.request.is_empty() => &http.request,
            Response::Tcp(tcp) if !tcp.request.is_empty() => &tcp.request,
            _ => &self.sent,
        }
    }

    /// The response in two pieces, for evidence.
    pub(super) fn shown(&self) -> (&[u8], &[u8]) {
        match &self.response {
            Response::Http(http) => (&http.head, &http.body),
            _ => (&[], self.whole()),
        }
    }

    fn remote(&self) -> Option<SocketAddr> {
        match &self.response {
            Response::Http(http) => http.remote,
            Response::Dns(dns) => dns.resolver,
            Response::Tcp(tcp) => tcp.remote,
            Response::Tls(tls) => tls.remote,
        }
    }

    fn whole(&self) -> &[u8] {
        self.whole.get_or_init(|| match &self.response {
            Response::Http(http) => [self.head(http), &http.body].concat(),
            Response::Dns(dns) => dns_parts::message(dns).into_bytes(),
            Response::Tcp(tcp) => tcp.reads.iter().flat_map(|(_, data)| data.iter().copied()).collect(),
            Response::Tls(tls) => tls_parts::json(tls, &self.host, self.port).into_bytes(),
        })
    }

    /// The public scanners see header names in canonical form, so templates are written for that.
    fn head<'e>(&'e self, http: &'e HttpResponse) -> &'e [u8] {
        if http.head.split(|byte| *byte == b'\n').skip(1).all(is_canonical) {
            return &http.head;
        }
        self.head.get_or_init(|| canonical(&http.head))
    }

    /// A part that the protocol itself defines.
    pub(super) fn part(&self, name: &str) -> Option<Value<'_>> {
        let found = match &self.response {
            Response::Http(http) => self.http_part(http, name),
            Response::Dns(dns) => match name {
                "raw" => Some(Value::from(self.whole())),
                "request" => Some(Value::from(self.sent.as_slice())),
                _ => dns_parts::part(dns, name),
            },
            Response::Tcp(tcp) => self.tcp_part(tcp, name),
            Response::Tls(tls) => match name {
                "response" if tls.established => Some(Value::from(self.whole())),
                _ => tls_parts::part(tls, name),
            },
        };
        found.or_else(|| match name {
            "host" => Some(Value::from(self.host.as_str())),
            "port" => Some(Value::from(self.port)),
            "matched" | "matched_at" => Some(Value::from(self.matched_at.as_str())),
            "ip" => self
                .remote()
                .filter(|_| !matches!(self.response, Response::Dns(_)))
                .map(|remote| Value::from(remote.ip().to_string())),
            "type" => Some(Value::from(match self.response {
                Response::Http(_) => "http",
                Response::Dns(_) => "dns",
                Response::Tcp(_) => "tcp",
                Response::Tls(_) => "ssl",
            })),
            _ => None,
        })
    }

    fn http_part<'e>(&'e self, http: &'e HttpResponse, name: &str) -> Option<Value<'e>> {
        Some(match name {
            "body" => Value::from(http.body.as_slice()),
            "header" | "headers" | "all_headers" => Value::from(self.head(http)),
            "all" | "response" | "raw" => Value::from(self.whole()),
            "request" => Value::from(self.request()),
            "status_code" => Value::from(http.status),
            "content_length" => {
                let stated = http
                    .header("content-length")
                    .and_then(|text| str::from_utf8(text).ok()?.trim().parse::<u32>().ok());
                stated.map_or_else(|| Value::from(http.body.len()), |length| Value::Number(f64::from(length)))
            }
            "duration" => Value::Number(http.duration.as_secs_f64()),
            _ => return None,
        })
    }

    fn tcp_part<'e>(&'e self, tcp: &'e TcpResponse, name: &str) -> Option<Value<'e>> {
        match name {
            "data" => tcp.reads.last().map(|(_, data)| Value::from(data.as_slice())),
            "raw" | "response" => Some(Value::from(self.whole())),
            "request" => Some(Value::from(self.request())),
            _ => {
                let named = tcp.reads.iter().find(|(given, _)| given.as_deref() == Some(name));
                named.map(|(_, data)| Value::from(data.as_slice()))
            }
        }
    }

    /// Headers and cookies by name, lower case with `_`. They come after everything that the template defines, so that a
    /// target cannot put a value of its own under a template's name.
    pub(super) fn header(&self, name: &str) -> Option<Value<'_>> {
        let Response::Http(http) = &self.response else { return None };
        let mut values =
            http.headers.iter().filter(|(given, _)| is_header(given, name)).map(|(_, value)| value);
        if let Some(first) = values.next() {
            let mut joined: Cow<'_, [u8]> = Cow::Borrowed(first);
            for next in values {
                let joined = joined.to_mut();
                joined.push(b' ');
                joined.extend_from_slice(next);
            }
            return Some(Value::from(joined));
        }
        let cookies = http.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case("set-cookie"));
        for (_, cookie) in cookies {
            let pair = cookie.split(|byte| *byte == b';').next().unwrap_or_default();
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            if is_header(str::from_utf8(key).unwrap_or_default().trim(), name) {
                return Some(Value::from(value));
            }
        }
        None
    }
}

/// Compares a name as received with one in the language's spelling.
fn is_header(given: &str, name: &str) -> bool {
    given.len() == name.len()
        && !name.is_empty()
        && given.bytes().zip(name.bytes()).all(|(a, b)| {
            let a = if a == b'-' { b'_' } else { a.to_ascii_lowercase() };
            a == if b == b'-' { b'_' } else { b.to_ascii_lowercase() }
        })
}

fn name_of(line: &[u8]) -> &[u8] {
    line.iter().position(|byte| *byte == b':').map_or(&[][..], |colon| &line[..colon])
}

fn is_canonical(line: &[u8]) -> bool {
    let mut first = true;
    name_of(line).iter().all(|byte| {
        let fits = if first { !byte.is_ascii_lowercase() } else { !byte.is_ascii_uppercase() };
        first = *byte == b'-';
        fits
    })
}

/// Each word of a header's name with a capital and the rest small, as Go writes them.
fn canonical(head: &[u8]) -> Vec<u8> {
    let mut written = head.to_vec();
    let mut start = 0;
    for (number, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let name = name_of(line).len();
        if number > 0 {
            let mut first = true;
            for byte in &mut written[start..start + name] {
                *byte = if first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
                first = *byte == b'-';
            }
        }
        start += line.len();
    }
    written
}

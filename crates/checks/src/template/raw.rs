//! `raw`: a request as text, read as leniently as the public scanners do.

use std::time::Duration;

use super::{Text, fields::Report};
use crate::diagnostic::{DiagnosticCode, Position};

/// One raw request. It is taken apart before its marks are rendered, so that no value can add a line to it.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// First word of the request line.
    pub method: Text,
    /// What stands between method and version; may be empty.
    pub target: Text,
    /// `HTTP/1.1`, `HTTP/1.0`, or whatever the template insists on; empty when it names none.
    pub version: String,
    /// In order, names as written.
    pub headers: Vec<(Text, Text)>,
    /// After the first empty line.
    pub body: Text,
    /// `@Host`: where to connect instead of the target.
    pub host: Option<Text>,
    /// `@tls-sni`: server name for TLS; `request.host` takes the Host header.
    pub sni: Option<Text>,
    /// `@timeout`.
    pub timeout: Option<Duration>,
    /// `@once`: not repeated for further payloads.
    pub once: bool,
}

impl RawRequest {
    pub(super) fn texts(&self) -> Vec<&Text> {
        let mut texts = vec![&self.method, &self.target, &self.body];
        texts.extend(self.headers.iter().flat_map(|(name, value)| [name, value]));
        texts.extend(self.host.iter().chain(&self.sni));
        texts
    }
}

pub(super) fn read(source: &str, at: Position, report: &Report) -> Option<RawRequest> {
    let text = |source: &str| Text::read(source, at, report);
    let invalid = |message: String, hint: &str| {
        report.add_with_hint(at, DiagnosticCode::InvalidValue, message, hint);
    };
    let (mut host, mut sni, mut timeout, mut once) = (None, None, None, false);
    let mut rest = source.trim_start_matches(['\r', '\n', ' ', '\t']);
    while rest.starts_with('@') {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after.trim_start_matches(['\r', '\n', ' ', '\t']);
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "@host" => host = Some(text(value)?),
            "@tls-sni" => sni = Some(text(value)?),
            "@once" => once = true,
            "@timeout" => match duration(value) {
                Some(duration) => timeout = Some(duration),
                None => invalid(format!("`@timeout: {value}` is not a time"), "write it as 10s or 500ms"),
            },
            other => {
                let hint = "the annotations are @Host, @tls-sni, @timeout and @once";
                invalid(format!("a raw request has no annotation `{other}`"), hint);
            }
        }
    }
    let (request_line, mut rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let request_line = request_line.trim();
    if request_line.is_empty() {
        invalid("the raw request is empty".to_owned(), "begin it with `GET /path HTTP/1.1`");
        return None;
    }
    let (method, line) = split_method(request_line);
    let (target, version) = split_version(line);
    let mut headers = Vec::new();
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let ended = rest.is_empty();
        rest = after;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if ended || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        headers.push((text(name.trim())?, text(value.trim())?));
    }
    let body = rest.strip_suffix('\n').unwrap_or(rest);
    let body = body.strip_suffix('\r').unwrap_or(body);
    Some(RawRequest {
        method: text(method)?,
        target: text(target)?,
        version: version.to_owned(),
        headers,
        body: text(body)?,
        host,
        sni,
        timeout,
        once,
    })
}

/// The first blank that is not inside a mark.
fn split_method(line: &str) -> (&str, &str) {
    let end = match line.find("}}") {
        Some(mark) if line.starts_with("{{") => mark + 2,
        _ => 0,
    };
    match line[end..].find([' ', '\t']) {
        Some(blank) => (&line[..end + blank], line[end + blank..].trim()),
        None => (line, ""),
    }
}

fn split_version(line: &str) -> (&str, &str) {
    if line.starts_with("HTTP/") && !line.contains(' ') {
        return ("", line);
    }
    match line.rsplit_once([' ', '\t']) {
        Some((target, version)) if version.starts_with("HTTP/") => (target.trim(), version),
        _ => (line, ""),
    }
}

/// `10s`, `500ms`, `1m`, or a bare number of seconds.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

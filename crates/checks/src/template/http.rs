//! `http` blocks.

use super::{
    RawRequest, Text,
    fields::{Fields, Report},
    raw,
};
use crate::diagnostic::DiagnosticCode;

/// One `http` block.
#[derive(Debug)]
pub struct HttpBlock {
    /// What is sent.
    pub requests: HttpRequests,
    /// Which redirects are followed.
    pub redirects: Redirects,
    /// At most this many in a row; none takes the scan's limit.
    pub max_redirects: Option<usize>,
    /// Cookies that a response sets are sent with the requests after it.
    pub cookies: bool,
    /// Keep at most this many bytes of a body.
    pub max_body: Option<usize>,
    /// The path of a raw request is put behind the target's own path.
    pub merge_paths: bool,
    /// Raw requests go out byte for byte.
    pub verbatim: bool,
}

/// The two ways to write requests.
#[derive(Debug)]
pub enum HttpRequests {
    /// One method, headers and body for several paths.
    Paths {
        /// `GET` unless the template says otherwise.
        method: String,
        /// Usually `{{BaseURL}}/...`.
        paths: Vec<Text>,
        /// In order.
        headers: Vec<(String, Text)>,
        /// May be empty.
        body: Text,
    },
    /// Whole requests.
    Raw(Vec<RawRequest>),
}

impl HttpRequests {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            HttpRequests::Paths { paths, .. } => paths.len(),
            HttpRequests::Raw(raws) => raws.len(),
        }
    }
}

impl HttpBlock {
    pub(super) fn texts(&self) -> Vec<&Text> {
        match &self.requests {
            HttpRequests::Paths { paths, headers, body, .. } => {
                paths.iter().chain(headers.iter().map(|(_, value)| value)).chain([body]).collect()
            }
            HttpRequests::Raw(raws) => raws.iter().flat_map(RawRequest::texts).collect(),
        }
    }
}

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// None.
    No,
    /// All that the scope allows.
    Any,
    /// Those that stay on the host.
    SameHost,
    /// Those that only change between http and https.
    SchemeOnly,
}

const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PURGE", "DEBUG"];

pub(super) fn read(fields: &Fields<'_>, report: &Report) -> Option<HttpBlock> {
    for (name, reason) in [
        ("race", "sending requests at the same instant is not supported"),
        ("race_count", "sending requests at the same instant is not supported"),
        ("pipeline", "pipelining is not supported"),
        ("pipeline-concurrent-connections", "pipelining is not supported"),
        ("pipeline-requests-per-connection", "pipelining is not supported"),
        ("fuzzing", "fuzzing is not supported"),
        ("analyzer", "fuzzing is not supported"),
        ("self-contained", "requests that choose their own targets are not sent"),
        ("signature", "signing requests for cloud providers is not supported"),
        ("digest-username", "logging in is not supported"),
        ("digest-password", "logging in is not supported"),
        ("global-matchers", "matchers that look at other templates' responses are not supported"),
        ("iterate-all", "requests for every value that an extractor found are not supported"),
        ("pre-condition", "preconditions are not supported; use `flow` with an internal matcher"),
        ("pre-condition-operator", "preconditions are not supported; use `flow` with an internal matcher"),
    ] {
        fields.refuse(name, reason);
    }
    // Bodies are always read whole up to the cap; there are no secret files; history is inferred from `_N` names; a request
    // with a variable that nothing defines is never sent.
    for name in ["read-all", "skip-secret-file", "req-condition", "skip-variables-check", "cookie-reuse"] {
        fields.accept(name);
    }
    let flags = (fields.flag("redirects"), fields.flag("host-redirects"), fields.flag("protocol-redirects"));
    let redirects = match flags {
        (_, true, _) => Redirects::SameHost,
        (true, _, _) => Redirects::Any,
        (_, _, true) => Redirects::SchemeOnly,
        _ => Redirects::No,
    };
    let verbatim = fields.flag("unsafe");
    let requests = requests(fields, verbatim, report);
    Some(HttpBlock {
        redirects,
        // Zero is how the public language says nothing.
        max_redirects: fields
            .number("max-redirects", 0, 100)
            .filter(|number| *number > 0)
            .map(|number| number as usize),
        cookies: !fields.flag("disable-cookie"),
        max_body: fields
            .number("max-size", 0, u64::from(u32::MAX))
            .filter(|number| *number > 0)
            .map(|number| number as usize),
        merge_paths: !fields.flag("disable-path-automerge"),
        verbatim,
        requests: requests?,
    })
}

fn requests(fields: &Fields<'_>, verbatim: bool, report: &Report) -> Option<HttpRequests> {
    let raws = fields.texts("raw");
    let paths = fields.texts("path");
    let method = fields.text("method");
    let headers = headers(fields, report);
    let body = fields.get("body").and_then(|node| match node.text() {
        Some(text) => Text::read(text, node.position, report),
        None => {
            report.wrong_type(node, "`body`", "a single value");
            None
        }
    });
    if !raws.is_empty() {
        if !paths.is_empty() {
            let message = "an http request has either `path` or `raw`, not both".to_owned();
            report.add(fields.position_of("raw"), DiagnosticCode::InvalidValue, message);
        }
        let raws = raws.into_iter().map(|(source, at)| raw::read(source, at, report));
        return raws.collect::<Option<Vec<_>>>().map(HttpRequests::Raw);
    }
    if paths.is_empty() {
        let message = "the http request has neither `path` nor `raw`".to_owned();
        report.add(fields.position(), DiagnosticCode::MissingField, message);
        return None;
    }
    if verbatim {
        let message = "`unsafe` sends raw requests byte for byte, and this block has `path`".to_owned();
        let hint = "write the request as `raw`";
        report.add_with_hint(fields.position_of("unsafe"), DiagnosticCode::Unsupported, message, hint);
    }
    let method = method.map_or_else(|| "GET".to_owned(), |method| method.trim().to_ascii_uppercase());
    if !METHODS.contains(&method.as_str()) {
        let message = format!("`method` cannot be `{method}`");
        let hint = format!("use one of: {}", METHODS.join(", "));
        report.add_with_hint(fields.position_of("method"), DiagnosticCode::InvalidValue, message, hint);
    }
    let paths = paths.into_iter().map(|(source, at)| Text::read(source.trim(), at, report));
    let paths = paths.collect::<Option<Vec<_>>>()?;
    Some(HttpRequests::Paths { method, paths, headers, body: body.unwrap_or_else(|| Text::literal("")) })
}

fn headers(fields: &Fields<'_>, report: &Report) -> Vec<(String, Text)> {
    let named = super::named_texts(fields, "headers", report);
    for (name, _) in &named {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            let message = format!("`{name}` is not the name of a header");
            report.add(fields.position_of("headers"), DiagnosticCode::InvalidValue, message);
        }
    }
    named
}

//! Building HTTP requests from a block.

use std::borrow::Cow;

use super::{
    BuildError, RunTarget,
    cookies::CookieJar,
    request_target::{encode, merge, rooted, split_absolute, with_query, without_fragment},
    target::bracketed,
};
use crate::{
    exchange::{HttpForm, HttpRequest, Origin},
    expression::{Ambient, Lookup, Value},
    template::{HttpBlock, HttpRequests, RawRequest, Text},
};

/// Longest request target, in bytes.
const MAX_TARGET: usize = 64 * 1024;

/// One hop: the request, and what of it redirects and cookies need.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) request: HttpRequest,
    /// As it stands in the request line.
    pub(super) target: String,
}

impl Hop {
    /// Where it goes, as a URL in text.
    pub(super) fn url(&self) -> String {
        let scheme = if self.request.origin.tls { "https" } else { "http" };
        let slash = if self.target.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", authority(&self.request.origin), self.target)
    }
}

/// Host and, unless it is the scheme's usual one, port.
pub(super) fn authority(origin: &Origin) -> String {
    let host = bracketed(&origin.host);
    if origin.port == if origin.tls { 443 } else { 80 } { host } else { format!("{host}:{}", origin.port) }
}

/// Everything a request is built from.
pub(super) struct Builder<'b> {
    pub(super) block: &'b HttpBlock,
    pub(super) target: &'b RunTarget,
    pub(super) lookup: &'b Lookup<'b, 'b>,
    pub(super) ambient: &'b Ambient,
    pub(super) cookies: &'b CookieJar,
}

impl Builder<'_> {
    pub(super) fn build(&self, index: usize) -> Result<Hop, BuildError> {
        let mut hop = match &self.block.requests {
            HttpRequests::Paths { method, paths, headers, body } => {
                let path = paths.get(index).ok_or_else(|| BuildError::Invalid("no such path".to_owned()))?;
                let (origin, target) = self.path(path)?;
                let mut rendered = Vec::with_capacity(headers.len());
                for (name, value) in headers {
                    rendered.push((name.clone(), self.header(value)?));
                }
                let body = self.render(body)?.into_owned();
                self.structured(origin, method.clone(), target, rendered, body)
            }
            HttpRequests::Raw(raws) => {
                let raw = raws.get(index).ok_or_else(|| BuildError::Invalid("no such request".to_owned()))?;
                self.raw(raw)?
            }
        };
        if hop.target.len() > MAX_TARGET {
            return Err(BuildError::Invalid(format!("the request target has more than {MAX_TARGET} bytes")));
        }
        if self.block.cookies {
            add_cookies(&mut hop, self.cookies);
        }
        Ok(hop)
    }

    fn structured(
        &self,
        origin: Origin,
        method: String,
        target: Vec<u8>,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Hop {
        let target = encode(&target);
        // Whoever sends the request adds them as they must be; a Host that says the same keeps requests from being shared.
        let own = authority(&origin);
        headers.retain(|(name, value)| {
            !(name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("host") && value.eq_ignore_ascii_case(&own))
        });
        let form = HttpForm::Structured { method, target: target.clone(), headers, body };
        let max_body = self.block.max_body;
        Hop { request: HttpRequest { origin, sni: None, form, timeout: None, max_body }, target }
    }

    fn render<'t>(&self, text: &'t Text) -> Result<Cow<'t, [u8]>, BuildError> {
        text.render(self.lookup, self.ambient).map_err(BuildError::from)
    }

    fn header(&self, text: &Text) -> Result<String, BuildError> {
        let value = self.render(text)?;
        // A value that a target chose must not become a header of its own.
        let line: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Where an entry of `path` leads.
    fn path(&self, path: &Text) -> Result<(Origin, Vec<u8>), BuildError> {
        let base = self.target.base();
        let after = path.source().strip_prefix("{{BaseURL}}");
        let site = base.as_str().split(['?', '#']).next().unwrap_or_default();
        // Before another path the slash at the end is one too many.
        let keeps_slash = base.path() != "/" && after.is_some_and(|after| !after.starts_with('/'));
        let site = if keeps_slash { site } else { site.trim_end_matches('/') };
        let with_site = |name: &str| match name {
            "BaseURL" => Some(Value::from(site)),
            _ => (self.lookup)(name),
        };
        let rendered = path.render(&with_site, self.ambient)?;
        let (origin, rest) = match split_absolute(&rendered) {
            Some((origin, rest)) => (origin, rest),
            None if rendered.starts_with(b"/") => (self.target.origin(), &*rendered),
            None => {
                let shown: String = String::from_utf8_lossy(&rendered).chars().take(120).collect();
                return Err(BuildError::Invalid(format!("`{shown}` is no http or https URL")));
            }
        };
        let target = rooted(without_fragment(rest));
        let query = after.and(base.query());
        Ok((origin, with_query(target, query)))
    }

    fn raw(&self, raw: &RawRequest) -> Result<Hop, BuildError> {
        let mut origin = self.target.origin();
        if let Some(host) = &raw.host {
            let host = self.header(host)?;
            let url = if host.contains("://") {
                host.clone()
            } else {
                format!("{}://{host}", if origin.tls { "https" } else { "http" })
            };
            let split = split_absolute(url.as_bytes());
            (origin, _) = split.ok_or_else(|| BuildError::Invalid(format!("`@Host: {host}` is no host")))?;
        }
        let method = self.header(&raw.method)?;
        let rendered = self.render(&raw.target)?;
        let target = match split_absolute(&rendered) {
            Some((_, rest)) => rooted(rest),
            None if self.block.merge_paths => {
                let base = self.target.base();
                let merged = merge(base.path(), &rendered);
                if rendered.is_empty() || &*rendered == b"/" {
                    with_query(merged, base.query())
                } else {
                    merged
                }
            }
            None => rooted(&rendered),
        };
        let mut headers = Vec::with_capacity(raw.headers.len());
        for (name, value) in &raw.headers {
            headers.push((self.header(name)?, self.header(value)?));
        }
        let body = self.render(&raw.body)?.into_owned();
        let sni = match &raw.sni {
            None => None,
            Some(sni) if sni.source().trim() == "request.host" => {
                let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
                host.map(|(_, value)| {
                    value.rsplit_once(':').map_or(value.as_str(), |(name, _)| name).to_owned()
                })
            }
            Some(sni) => Some(self.header(sni)?),
        };
        let mut hop = if self.block.verbatim {
            let bytes = verbatim(&method, &target, &raw.version, &headers, &body);
            let form = HttpForm::Verbatim(bytes);
            let target = encode(&target);
            let max_body = self.block.max_body;
            Hop { request: HttpRequest { origin, sni: None, form, timeout: None, max_body }, target }
        } else {
            let is_token = |c: char| c.is_ascii_graphic();
            if method.is_empty() || !method.chars().all(is_token) {
                return Err(BuildError::Invalid(format!("`{method}` is no HTTP method")));
            }
            headers.retain(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':')
            });
            self.structured(origin, method, target, headers, body)
        };
        hop.request.sni = sni;
        hop.request.timeout = raw.timeout;
        Ok(hop)
    }
}

/// The request as the template has it, with the line ends of HTTP.
fn verbatim(
    method: &str,
    target: &[u8],
    version: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = method.as_bytes().to_vec();
    bytes.push(b' ');
    bytes.extend_from_slice(target);
    if !version.is_empty() {
        bytes.push(b' ');
        bytes.extend_from_slice(version.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn add_cookies(hop: &mut Hop, jar: &CookieJar) {
    let Some(cookies) = jar.header(&hop.request.origin, &hop.target) else { return };
    let HttpForm::Structured { headers, .. } = &mut hop.request.form else { return };
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, value)) => *value = format!("{value}; {cookies}"),
        None => headers.push(("Cookie".to_owned(), cookies)),
    }
}

/// The request that a redirect asks for, if the block follows it.
pub(super) fn redirected(
    block: &HttpBlock,
    hop: &Hop,
    response: &crate::exchange::HttpResponse,
    cookies: &CookieJar,
) -> Option<Hop> {
    use crate::template::Redirects;
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) || block.redirects == Redirects::No {
        return None;
    }
    let location = str::from_utf8(response.header("location")?).ok()?.trim();
    if location.len() > MAX_TARGET {
        return None;
    }
    let from = url::Url::parse(&hop.url()).ok()?;
    let to = from.join(location).ok()?;
    let plain = to.username().is_empty() && to.password().is_none();
    if !matches!(to.scheme(), "http" | "https") || to.host_str().is_none() || !plain {
        return None;
    }
    let same_host = from.host_str() == to.host_str();
    let default_ports = from.port().is_none() && to.port().is_none();
    let stays = same_host && (default_ports || from.port_or_known_default() == to.port_or_known_default());
    let followed = match block.redirects {
        Redirects::No => false,
        Redirects::Any => true,
        Redirects::SameHost => stays,
        Redirects::SchemeOnly => same_host && from.scheme() != to.scheme(),
    };
    if !followed {
        return None;
    }
    let (method, headers, body) = match &hop.request.form {
        HttpForm::Structured { method, headers, body, .. } => (method.clone(), headers.clone(), body.clone()),
        HttpForm::Verbatim(_) => ("GET".to_owned(), Vec::new(), Vec::new()),
    };
    let repeats = matches!(response.status, 307 | 308) || matches!(method.as_str(), "GET" | "HEAD");
    let (method, body) = if repeats { (method, body) } else { ("GET".to_owned(), Vec::new()) };
    let dropped = |name: &str| {
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "host" | "cookie" | "content-length")
            || (!repeats && name == "content-type")
            || (!same_host && matches!(name.as_str(), "authorization" | "proxy-authorization"))
    };
    let headers = headers.into_iter().filter(|(name, _)| !dropped(name)).collect();
    let query = to.query().map_or_else(String::new, |query| format!("?{query}"));
    let target = encode(format!("{}{query}", to.path()).as_bytes());
    let origin = super::target::origin_of(&to);
    let form = HttpForm::Structured { method, target: target.clone(), headers, body };
    let request =
        HttpRequest { origin, form, sni: None, timeout: hop.request.timeout, max_body: block.max_body };
    let mut next = Hop { request, target };
    if block.cookies {
        add_cookies(&mut next, cookies);
    }
    Some(next)
}

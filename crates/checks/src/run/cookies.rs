//! Cookies that responses of one run set (RFC 6265, without what a browser needs them for).

use crate::exchange::{HttpResponse, Origin};

/// Most cookies of one run.
const MAX_COOKIES: usize = 50;
/// Longest cookie, name and value, in bytes.
const MAX_COOKIE: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct CookieJar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    host: String,
    /// Also sent to names below the host.
    below: bool,
    path: String,
    secure: bool,
    name: String,
    value: String,
}

impl CookieJar {
    pub(super) fn store(&mut self, origin: &Origin, target: &str, response: &HttpResponse) {
        for (name, value) in &response.headers {
            if name.eq_ignore_ascii_case("set-cookie")
                && let Ok(text) = str::from_utf8(value)
            {
                self.store_one(origin, target, text);
            }
        }
    }

    fn store_one(&mut self, origin: &Origin, target: &str, text: &str) {
        let mut pieces = text.split(';');
        let Some((name, value)) = pieces.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        let control = |c: char| c.is_control();
        if name.is_empty()
            || name.len() + value.len() > MAX_COOKIE
            || name.contains(control)
            || value.contains(control)
        {
            return;
        }
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let directory = path
            .rsplit_once('/')
            .map_or("/", |(directory, _)| if directory.is_empty() { "/" } else { directory });
        let mut cookie = Cookie {
            host: origin.host.to_ascii_lowercase(),
            below: false,
            path: directory.to_owned(),
            secure: false,
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let mut gone = false;
        for attribute in pieces {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => gone = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    let below = cookie.host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
                    if domain == cookie.host {
                        cookie.below = true;
                    } else if below && domain.contains('.') {
                        cookie.host = domain;
                        cookie.below = true;
                    } else if !domain.is_empty() {
                        return;
                    }
                }
                _ => {}
            }
        }
        let same = |known: &Cookie| {
            known.name == cookie.name && known.host == cookie.host && known.path == cookie.path
        };
        self.cookies.retain(|known| !same(known));
        if !gone && self.cookies.len() < MAX_COOKIES {
            self.cookies.push(cookie);
        }
    }

    /// The value of the Cookie header, if there are cookies for the request.
    pub(super) fn header(&self, origin: &Origin, target: &str) -> Option<String> {
        let host = origin.host.to_ascii_lowercase();
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let sent = |cookie: &&Cookie| {
            let on_host = cookie.host == host
                || (cookie.below && host.strip_suffix(&cookie.host).is_some_and(|rest| rest.ends_with('.')));
            let on_path = path
                .strip_prefix(&cookie.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.path.ends_with('/'));
            on_host && on_path && (origin.tls || !cookie.secure)
        };
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(sent)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

//! References in HTTP headers, in `srcset` and in `refresh` values.

use checks::exchange::HttpResponse;

/// A reference that a header carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderReference {
    /// `Location` of a redirect (RFC 9110, 10.2.2).
    Location(String),
    /// `Link` (RFC 8288), `Refresh`, `Content-Location`, `SourceMap`.
    Link(String),
    /// A host that a policy names: `Content-Security-Policy`, `Access-Control-Allow-Origin`.
    Host(String),
}

/// The most references taken from the headers of one response.
const MOST: usize = 200;

/// What the headers of a response refer to, in order.
pub fn references(response: &HttpResponse) -> Vec<HeaderReference> {
    let mut found = Vec::new();
    for (name, value) in &response.headers {
        let value = String::from_utf8_lossy(value);
        match name.to_ascii_lowercase().as_str() {
            "location" if (300..400).contains(&response.status) || response.status == 201 => {
                found.push(HeaderReference::Location(value.trim().to_owned()));
            }
            "content-location" | "sourcemap" | "x-sourcemap" => {
                found.push(HeaderReference::Link(value.trim().to_owned()))
            }
            "refresh" => found.extend(refresh(&value).map(|target| HeaderReference::Link(target.to_owned()))),
            "link" => found.extend(links(&value).map(|target| HeaderReference::Link(target.to_owned()))),
            "content-security-policy"
            | "content-security-policy-report-only"
            | "access-control-allow-origin" => {
                found.extend(hosts(&value).map(|host| HeaderReference::Host(host.to_owned())));
            }
            _ => {}
        }
        if found.len() >= MOST {
            found.truncate(MOST);
            break;
        }
    }
    found
}

/// `<a>; rel=next, <b>`: the parts in angle brackets.
fn links(value: &str) -> impl Iterator<Item = &str> {
    value.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(target, _)| target.trim()))
}

/// Host names among the sources of a policy, without wildcard, scheme, port and path.
fn hosts(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', ';', ',', '\t']).filter_map(|word| {
        let word = word.split_once("://").map_or(word, |(_, rest)| rest);
        let host = word.split(['/', ':', '?']).next().unwrap_or("").trim_start_matches("*.");
        let last = host.rsplit_once('.')?.1;
        (last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic())).then_some(host)
    })
}

/// The target of `5; url=/next` as browsers read it: quotes optional, `url=` optional.
pub fn refresh(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once([';', ','])?;
    let rest = rest.trim();
    let rest = match rest.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("url") => {
            rest[3..].trim_start().strip_prefix('=').map_or(rest, str::trim_start)
        }
        _ => rest,
    };
    let target = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next().unwrap_or(""),
        _ => rest,
    };
    Some(target.trim()).filter(|target| !target.is_empty())
}

/// The URLs of a `srcset`: candidates separated by commas, each a URL without spaces and perhaps a descriptor.
pub fn srcset(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (candidate, after) = rest.split_at(end);
        if candidate.is_empty() {
            return None;
        }
        rest = match candidate.ends_with(',') {
            true => after,
            false => after.find(',').map_or("", |comma| &after[comma + 1..]),
        };
        Some(candidate.trim_end_matches(','))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> HttpResponse {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        HttpResponse { status, headers, ..HttpResponse::default() }
    }

    #[test]
    fn headers_refer_to_resources_and_hosts() {
        let found = references(&response(
            302,
            &[
                ("LOCATION", " /next "),
                ("Link", "</a>; rel=\"next\", <https://x.test/b>; rel=prev"),
                ("Refresh", "0; URL='/fresh'"),
                ("Content-Location", "/canonical"),
                (
                    "Content-Security-Policy",
                    "default-src 'self' https://*.cdn.test:443/x; img-src data: pics.example.org",
                ),
            ],
        ));
        let link = |target: &str| HeaderReference::Link(target.to_owned());
        let host = |name: &str| HeaderReference::Host(name.to_owned());
        assert_eq!(
            found,
            [
                HeaderReference::Location("/next".to_owned()),
                link("/a"),
                link("https://x.test/b"),
                link("/fresh"),
                link("/canonical"),
                host("cdn.test"),
                host("pics.example.org"),
            ]
        );
        assert_eq!(references(&response(200, &[("Location", "/ignored")])), []);
    }

    #[test]
    fn refresh_is_read_as_browsers_do() {
        for (value, expected) in [
            ("5; url=/a", Some("/a")),
            ("0;URL = \"/b\"", Some("/b")),
            ("0, /c", Some("/c")),
            ("10", None),
            ("1;url=", None),
        ] {
            assert_eq!(refresh(value), expected, "{value}");
        }
    }

    #[test]
    fn candidates_of_a_srcset_are_split() {
        let all: Vec<_> = srcset("a.png, b,1.png 2x ,c.png 100w, d.png").collect();
        assert_eq!(all, ["a.png", "b,1.png", "c.png", "d.png"]);
    }

    proptest! {
        #[test]
        fn any_value_is_read(value in ".{0,80}|[,;url= '\"\u{e9}<>]{0,60}") {
            let _ = refresh(&value);
            prop_assert!(srcset(&value).count() <= value.len() + 1);
            references(&response(301, &[("link", &value), ("refresh", &value), ("content-security-policy", &value)]));
        }
    }
}

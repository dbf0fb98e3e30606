//! Any bytes as a page, a script, a style sheet, robots.txt, a sitemap.

use checks::exchange::HttpResponse;
use url::Url;

use super::{
    identity::identity,
    link::{LONGEST_URL, MOST_REFERENCES},
    origin::{self, Origin},
    page,
    robots::Robots,
    shape, sitemap,
    technologies::technologies,
    trap,
};

const TYPES: [&str; 8] = [
    "text/html; charset=utf-16le",
    "text/html",
    "application/json",
    "text/javascript",
    "text/css",
    "image/svg+xml; charset=windows-1252",
    "text/plain",
    "",
];

/// A response with any body and, up to the first empty line, any headers. The first byte says what it claims to be.
pub fn page(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let (head, body) = match memchr::memmem::find(data, b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (&data[..0], data),
    };
    let mut headers = vec![("Content-Type".to_owned(), TYPES[usize::from(choice & 7)].as_bytes().to_vec())];
    for line in head.split(|byte| *byte == b'\n').take(40) {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        headers
            .push((String::from_utf8_lossy(name).into_owned(), value.get(1..).unwrap_or_default().to_vec()));
    }
    let status = if choice & 8 == 0 { 200 } else { 302 };
    let response = HttpResponse { status, headers, body: body.to_vec(), ..HttpResponse::default() };
    let url = Url::parse("http://site.test:8080/dir/page?x=1").expect("a literal URL");
    let site = Origin::of(&url).expect("a web site");

    let facts = page::read(&site, &url, &response);
    assert!(facts.links.len() + facts.external.len() <= 2 * MOST_REFERENCES);
    assert!(facts.title.as_ref().is_none_or(|title| title.chars().count() <= 256));
    let inside = facts.links.iter().map(|link| &link.url).chain(&facts.redirect);
    for url in inside {
        assert!(site.contains(url) && url.as_str().len() <= LONGEST_URL, "{url}");
        let target = origin::target(url);
        assert!(target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
        assert_eq!(site.url(target), *url, "what is requested is what was found");
        let known = identity(target);
        assert_eq!(identity(&known), known, "{target}");
        let _ = (trap::is_trap(target), trap::may_change_state(target), shape::shape(target));
    }
    for url in &facts.external {
        assert!(!site.contains(url) && matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    }
    technologies(&response, &facts);
}

/// The same bytes as both; a robots.txt is asked about each of its own lines.
pub fn robots_and_sitemap(data: &[u8]) {
    const CAP: usize = 64 << 10;
    let robots = Robots::parse(data);
    assert!(robots.allows("/robots.txt"));
    for path in robots.allowed.iter().chain(&robots.disallowed).take(50) {
        assert!(path.starts_with('/') && path.len() > 1, "{path:?}");
        robots.allows(path);
    }
    for line in String::from_utf8_lossy(data).lines().take(50) {
        robots.allows(line);
    }
    let map = sitemap::parse(data, true, CAP);
    let listed: usize = map.pages.iter().chain(&map.sitemaps).map(String::len).sum();
    // Every listed text stands there; lossy decoding may make three bytes of one.
    assert!(listed <= 3 * CAP);
}

//! Pieces of a run on their own.

use crate::{
    exchange::{HttpResponse, Origin},
    run::{cookies::CookieJar, request_target},
};

fn origin(host: &str, tls: bool) -> Origin {
    Origin { tls, host: host.to_owned(), port: if tls { 443 } else { 80 } }
}

fn jar(origin: &Origin, target: &str, cookies: &[&str]) -> CookieJar {
    let headers =
        cookies.iter().map(|cookie| ("Set-Cookie".to_owned(), cookie.as_bytes().to_vec())).collect();
    let mut jar = CookieJar::default();
    jar.store(origin, target, &HttpResponse { headers, ..HttpResponse::default() });
    jar
}

#[test]
fn cookies_go_only_where_they_belong() {
    let from = origin("www.example.test", false);
    for (cookie, to, target, sent) in [
        ("a=1", &from, "/x", Some("a=1")),
        ("a=1", &origin("example.test", false), "/x", None),
        ("a=1", &origin("sub.www.example.test", false), "/x", None),
        ("a=1; Domain=example.test", &origin("other.example.test", false), "/x", Some("a=1")),
        ("a=1; Domain=example.test", &origin("notexample.test", false), "/x", None),
        ("a=1; Domain=test", &from, "/x", None),
        ("a=1; Domain=evil.test", &from, "/x", None),
        ("a=1; Path=/app", &from, "/app/x", Some("a=1")),
        ("a=1; Path=/app", &from, "/apple", None),
        ("a=1; Secure", &from, "/x", None),
        ("a=1; Secure", &origin("www.example.test", true), "/x", Some("a=1")),
        ("a=1; Max-Age=0", &from, "/x", None),
        ("=1", &from, "/x", None),
        ("a=\u{1}", &from, "/x", None),
    ] {
        assert_eq!(
            jar(&from, "/dir", &[cookie]).header(to, target).as_deref(),
            sent,
            "{cookie} to {to:?}{target}"
        );
    }
    let replaced = jar(&from, "/", &["a=1", "a=2", "b=3"]);
    assert_eq!(replaced.header(&from, "/").as_deref(), Some("a=2; b=3"));
}

#[test]
fn absolute_urls_come_apart() {
    let split = |url: &'static str| {
        request_target::split_absolute(url.as_bytes()).map(|(origin, rest)| {
            (origin.tls, origin.host, origin.port, String::from_utf8_lossy(rest).into_owned())
        })
    };
    assert_eq!(split("http://a.test/x"), Some((false, "a.test".to_owned(), 80, "/x".to_owned())));
    assert_eq!(split("HTTPS://[::1]:8443?q"), Some((true, "::1".to_owned(), 8443, "?q".to_owned())));
    for no_url in ["/path", "ftp://a.test/", "http://user@a.test/", "http:///x", "http://a b/", ""] {
        assert_eq!(split(no_url), None, "{no_url}");
    }
}

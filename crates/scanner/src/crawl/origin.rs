//! One origin, and what a reference found on it means. Nothing else decides whether a URL belongs to the site.

use model::{DomainName, Host};
use url::{Position, Url};

/// Scheme, host and port (RFC 6454) of the site that is crawled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    root: Url,
}

/// What a reference in a page, header or script leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A resource of this origin: no fragment, no user information, default port dropped, dot segments resolved.
    Inside(Url),
    /// A web resource of another origin. Reported, never requested here.
    Outside(Url),
    /// Not to be fetched, but it names a host: `mailto:`, `ws:`, `ftp:`.
    Named(DomainName),
    /// Nothing that can be used.
    Nothing,
}

impl Origin {
    /// None unless the URL is http or https with a host and a port other than 0.
    pub fn of(url: &Url) -> Option<Origin> {
        let usable =
            matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.port() != Some(0);
        usable.then(|| {
            let mut root = bare(url.clone());
            root.set_path("/");
            root.set_query(None);
            Origin { root }
        })
    }

    /// The URL of the path `/`.
    pub fn root(&self) -> &Url {
        &self.root
    }

    /// Same scheme, host and port? User information does not count: it is never sent.
    pub fn contains(&self, url: &Url) -> bool {
        url.scheme() == self.root.scheme()
            && url.host() == self.root.host()
            && url.port_or_known_default() == self.root.port_or_known_default()
    }

    /// Resolves a reference (RFC 3986 as the URL standard reads it). `longest` is the most bytes a URL may have.
    pub fn resolve(&self, base: &Url, text: &str, longest: usize) -> Reference {
        let text = text.trim_matches(|c: char| c <= ' ');
        if text.is_empty() || text.starts_with('#') || text.len() > longest.saturating_mul(3) {
            return Reference::Nothing;
        }
        let Ok(url) = base.join(text) else { return Reference::Nothing };
        if !matches!(url.scheme(), "http" | "https") {
            return named(&url).map_or(Reference::Nothing, Reference::Named);
        }
        if url.as_str().len() > longest || url.host().is_none() {
            return Reference::Nothing;
        }
        if self.contains(&url) { Reference::Inside(bare(url)) } else { Reference::Outside(bare(url)) }
    }

    /// The URL of a request target of this origin, as made by [`target`].
    pub fn url(&self, target: &str) -> Url {
        let joined = Url::parse(&format!("{}{target}", &self.root[..Position::BeforePath]));
        joined.ok().filter(|url| self.contains(url)).unwrap_or_else(|| self.root.clone())
    }
}

/// Path and query: what stands in the request line.
pub fn target(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The host of a URL, when it is a name.
pub fn host_name(url: &Url) -> Option<DomainName> {
    match url.host_str()?.parse::<Host>() {
        Ok(Host::Name(name)) if name.as_str().contains('.') => Some(name),
        _ => None,
    }
}

fn bare(mut url: Url) -> Url {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Both fail only for URLs without a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

fn named(url: &Url) -> Option<DomainName> {
    match url.scheme() {
        "mailto" => {
            let (_, domain) = url.path().split(',').next()?.rsplit_once('@')?;
            domain.trim().parse().ok().filter(|name: &DomainName| name.as_str().contains('.'))
        }
        "ws" | "wss" | "ftp" | "ftps" | "sftp" | "ssh" | "git" | "ldap" | "ldaps" | "rtsp" | "sip" => {
            host_name(url)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> Origin {
        Origin::of(&Url::parse("http://site.test:8080/start?x").unwrap()).unwrap()
    }

    fn resolve(text: &str) -> Reference {
        origin().resolve(&Url::parse("http://site.test:8080/dir/page").unwrap(), text, 2_048)
    }

    #[test]
    fn references_of_the_site_are_normalised() {
        for (text, expected) in [
            ("other", "/dir/other"),
            ("../up", "/up"),
            ("/a/./b/../c", "/a/c"),
            ("/a#part", "/a"),
            ("?", "/dir/page"),
            ("?b=2&a=1", "/dir/page?b=2&a=1"),
            ("//site.test:8080/x", "/x"),
            ("http:relative", "/dir/relative"),
            ("HTTP://SITE.test:8080/x", "/x"),
            ("http://me:secret@site.test:8080/x", "/x"),
            ("  /sp\nace\t ", "/space"),
            ("/a b", "/a%20b"),
            ("\\back\\slash", "/back/slash"),
            ("http://evil.test@site.test:8080/", "/"),
            ("/caf\u{e9}", "/caf%C3%A9"),
        ] {
            match resolve(text) {
                Reference::Inside(url) => assert_eq!(target(&url), expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_origins_are_outside_however_they_are_written() {
        for text in [
            "//evil.test",
            "\\\\evil.test",
            "/\\evil.test/",
            "\\/evil.test/",
            "http:/evil.test/",
            "http:\\\\evil.test",
            "http:///evil.test",
            "https:evil.test",
            "https://site.test:8080/",
            "http://site.test/",
            "http://site.test:8081/",
            "http://site.test:8080@evil.test/",
            "http://site.test:8080\\@evil.test:8080/",
            "http://site.test.:8080/",
            "http://sub.site.test:8080/",
            "http://site.test%2e:8080/",
            "h\tt\ntp://evil.test",
            "\u{1}//evil.test",
            "http://s\u{ef}te.test:8080/",
            "http://127.0.0.1:8080/",
        ] {
            // An absolute `http:` with any number of slashes is relative to an http base only without slashes at all.
            match resolve(text) {
                Reference::Outside(url) => assert!(!origin().contains(&url), "{text}: {url}"),
                Reference::Inside(url) => {
                    assert!(text.starts_with("http:/evil") || text.contains("8080\\@"), "{text}: {url}");
                    assert!(origin().contains(&url));
                }
                Reference::Nothing => {}
                other @ Reference::Named(_) => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_web_resource_only_names_hosts() {
        let name = |text: &str| Reference::Named(text.parse().unwrap());
        assert_eq!(resolve("mailto:a@mail.site.test?subject=x"), name("mail.site.test"));
        assert_eq!(resolve("wss://live.site.test/feed"), name("live.site.test"));
        for text in [
            "",
            "#top",
            "javascript:alert(1)",
            "data:text/html,x",
            "tel:123",
            "http://",
            "http://[::1/",
            "mailto:x",
        ] {
            assert_eq!(resolve(text), Reference::Nothing, "{text}");
        }
        assert_eq!(resolve(&format!("/{}", "a".repeat(2_048))), Reference::Nothing);
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "http:",
                "https:",
                "//",
                "/",
                "\\",
                "\\\\",
                "@",
                ":",
                ":80",
                ":8080",
                ":0",
                "site.test",
                "evil.test",
                "127.0.0.1",
                "[::1]",
                "%2f",
                "%40",
                "..",
                ".",
                "?",
                "#",
                "\t",
                "\n",
                "\r",
                "\u{0}",
                " ",
                "\u{3002}",
                "\u{ff0f}",
                "\u{200d}",
                "xn--",
                "javascript:",
                "file:",
                "ftp:",
                "user:pw@",
                "0x7f.1",
                "2130706433",
                ";",
                "&",
                "=",
            ])
            .prop_map(str::to_owned),
            ".{0,6}",
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn nothing_of_another_origin_is_ever_inside(base in hostile(), text in hostile()) {
            let origin = origin();
            let start = Url::parse("http://site.test:8080/dir/page").unwrap();
            // A hostile `base href` first, then a hostile reference.
            let base = start.join(&base).unwrap_or(start);
            if let Reference::Inside(url) = origin.resolve(&base, &text, 2_048) {
                prop_assert_eq!(url.scheme(), "http");
                prop_assert_eq!(url.host_str(), Some("site.test"));
                prop_assert_eq!(url.port_or_known_default(), Some(8080));
                prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
                let target = target(&url);
                prop_assert!(target.starts_with('/'));
                prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{}", target);
                // What is stored is the target alone; it must lead back to the same URL.
                prop_assert_eq!(origin.url(target), url.clone());
            }
        }
    }
}

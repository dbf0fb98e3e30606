use std::collections::HashSet;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::crawl::{origin::Origin, page};

fn seen(headers: &[(&str, &str)], body: &str) -> Vec<String> {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let response =
        HttpResponse { status: 200, headers, body: body.as_bytes().to_vec(), ..HttpResponse::default() };
    let url = Url::parse("http://site.test/").unwrap();
    let facts = page::read(&Origin::of(&url).unwrap(), &url, &response);
    let told = |technology: &Technology| match &technology.version {
        Some(version) => format!("{} {version}", technology.name),
        None => technology.name.to_owned(),
    };
    technologies(&response, &facts).iter().map(told).collect()
}

#[test]
fn headers_and_cookies_tell() {
    let found = seen(
        &[
            ("Server", "nginx/1.18.0 (Ubuntu)"),
            ("X-Powered-By", "PHP/7.4.3"),
            ("Set-Cookie", "laravel_session=abc; path=/"),
            ("X-Varnish", "123"),
            ("Via", "1.1 varnish (Varnish/6.0)"),
        ],
        "",
    );
    assert_eq!(found, ["nginx 1.18.0", "Varnish 6.0", "PHP 7.4.3", "Laravel"]);
    assert_eq!(
        seen(&[("Server", "Apache/2.4.41 (Unix) OpenSSL/1.1.1d")], ""),
        ["Apache HTTP Server 2.4.41", "OpenSSL 1.1.1d"]
    );
    assert_eq!(seen(&[("Server", "Apache-Coyote/1.1")], ""), ["Apache Tomcat"]);
    assert_eq!(seen(&[("X-Jenkins", "2.401.1")], ""), ["Jenkins 2.401.1"]);
    assert_eq!(seen(&[("Server", "nginxy/2")], ""), Vec::<String>::new());
}

#[test]
fn pages_tell() {
    let found = seen(
        &[("Content-Type", "text/html")],
        "<meta name=generator content='WordPress 6.4.2'><link href='/wp-content/x.css' rel=stylesheet>\
         <script src='/js/jquery-3.6.0.min.js'></script><script src='/npm/bootstrap@5.3.1/dist/js/bootstrap.bundle.min.js'></script>\
         <script src='/wp-includes/js/jquery/jquery-migrate.min.js?ver=3.4.0'></script>",
    );
    assert_eq!(found, ["WordPress 6.4.2", "jQuery 3.6.0", "jQuery Migrate 3.4.0", "Bootstrap 5.3.1"]);
    assert_eq!(seen(&[("content-type", "application/json")], "\"wp-content/\""), Vec::<String>::new());
}

#[test]
fn versions_give_cpe_names() {
    let response = HttpResponse {
        headers: vec![("server".to_owned(), b"nginx/1.18.0".to_vec())],
        ..HttpResponse::default()
    };
    let found = technologies(&response, &PageFacts::default());
    assert_eq!(found[0].cpe.as_deref(), Some("cpe:2.3:a:f5:nginx:1.18.0:*:*:*:*:*:*:*"));
}

#[test]
fn the_table_is_sound() {
    let names: HashSet<&str> = TABLE.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), TABLE.len(), "a name stands twice");
    assert!(TABLE.len() >= 60);
    for rule in TABLE {
        assert!(!rule.signs.is_empty(), "{} has no sign", rule.name);
        assert!(rule.cpe.is_empty() || rule.cpe.split(':').count() == 2, "{}: {}", rule.name, rule.cpe);
        for sign in rule.signs {
            match sign {
                Sign::Header(text)
                | Sign::VersionHeader(text)
                | Sign::Script(text)
                | Sign::Generator(text) => {
                    assert_eq!(*text, text.to_ascii_lowercase(), "{} can never match", rule.name);
                }
                Sign::Word(name, word) | Sign::Says(name, word) => {
                    assert_eq!(
                        (*name, *word),
                        (&*name.to_ascii_lowercase(), &*word.to_ascii_lowercase()),
                        "{}",
                        rule.name
                    );
                }
                Sign::Cookie(text) => assert!(!text.is_empty()),
                Sign::Mark(text) => {
                    assert!(text.len() >= 6, "{}: `{text}` is too short to mean anything", rule.name)
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_response_is_judged(
        server in "(nginx|apache|/|[0-9.]|-|\u{e9}| ){0,12}",
        generator in ".{0,40}",
        script in "(jquery|bootstrap|-|@|[0-9.]{0,4}|\\?v=|/|\u{130}|.js){0,12}",
    ) {
        let facts = PageFacts { generators: vec![generator], scripts: vec![script], ..PageFacts::default() };
        let response = HttpResponse { headers: vec![("Server".to_owned(), server.into_bytes())], ..HttpResponse::default() };
        for technology in technologies(&response, &facts) {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            prop_assert!(technology.version.is_none_or(|version| version.chars().all(allowed)));
        }
    }
}

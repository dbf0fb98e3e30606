use proptest::prelude::*;

use super::*;

fn facts(content_type: &str, body: &[u8]) -> PageFacts {
    at("http://site.test/dir/page", content_type, body)
}

fn at(url: &str, content_type: &str, body: &[u8]) -> PageFacts {
    let url = Url::parse(url).unwrap();
    let headers = vec![("Content-Type".to_owned(), content_type.as_bytes().to_vec())];
    let response = HttpResponse { status: 200, headers, body: body.to_vec(), ..HttpResponse::default() };
    read(&Origin::of(&url).unwrap(), &url, &response)
}

fn links(facts: &PageFacts) -> Vec<String> {
    facts
        .links
        .iter()
        .map(|link| format!("{:?} {}", link.kind, crate::crawl::origin::target(&link.url)))
        .collect()
}

#[test]
fn everything_that_links_is_found() {
    let page = br##"<!doctype html><html manifest=app.manifest><head><title> A &amp; B
        page</title><meta name=generator content="Thing 1.2"><meta http-equiv=refresh content="9; url=/later">
        <link rel="stylesheet" href="/s.css"><link rel=icon href=/f.ico><link rel=next href=2><link rel=preload as=font href=/p.woff2>
        <script src="/js/app.js?v=1"></script><script>fetch('/api/one'); x = "api/two/three"</script>
        <script type="application/json">{"next": "/data/three", "k": "v"}</script>
        <script type="text/template"><a href="/template">no</a></script>
        <style>@import "more.css"; b { background: url(bg.png) }</style></head>
        <body background=/back.gif onload="go('/loaded')"><a href="rel?x=1&amp;y=2#frag">r</a><A HREF='/abs'>a</A><a href="#top">t</a>
        <a href="javascript:open('/opened')">j</a><a href="//other.test/o">o</a><a href="mailto:x@mail.test">m</a>
        <map><area href=/area></map><iframe src=/frame></iframe><img src=/i.png srcset="/i2.png 2x, /i3.png 3x" data-src=/lazy.png>
        <video poster=/poster.jpg><source src=/v.mp4></video><object data=/o.swf></object><embed src=/e.swf>
        <div data-url="/data-url" data-other="not a path" style="background:url('/inline.png')"></div>
        <!-- <a href="/old">gone</a> --><textarea><a href="/in-textarea"></textarea>
        <svg><use xlink:href="/sprite.svg#x"></use></svg></body></html>"##;
    let facts = facts("text/html; charset=utf-8", page);
    assert_eq!(facts.title.as_deref(), Some("A & B page"));
    assert_eq!(facts.generators, ["Thing 1.2"]);
    assert_eq!(facts.scripts, ["/js/app.js?v=1"]);
    let mut found = links(&facts);
    found.sort();
    let mut expected = vec![
        "Resource /dir/app.manifest",
        "Page /later",
        "Resource /s.css",
        "Media /f.ico",
        "Page /dir/2",
        "Media /p.woff2",
        "Resource /js/app.js?v=1",
        "Script /api/one",
        "Hint /dir/api/two/three",
        "Script /data/three",
        "Resource /dir/more.css",
        "Media /dir/bg.png",
        "Media /back.gif",
        "Script /loaded",
        "Page /dir/rel?x=1&y=2",
        "Page /abs",
        "Script /opened",
        "Page /area",
        "Page /frame",
        "Media /i.png",
        "Media /i2.png",
        "Media /i3.png",
        "Media /lazy.png",
        "Media /poster.jpg",
        "Media /v.mp4",
        "Media /o.swf",
        "Media /e.swf",
        "Script /data-url",
        "Media /inline.png",
        "Hint /old",
        "Media /sprite.svg",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(facts.external, [Url::parse("http://other.test/o").unwrap()]);
    let names: Vec<&str> = facts.names.iter().map(DomainName::as_str).collect();
    assert_eq!(names, ["other.test", "mail.test"]);
}

#[test]
fn the_first_base_counts_also_when_it_leads_away() {
    let inside =
        facts("text/html", b"<a href=x>1</a><base href='/other/'><base href='/third/'><a href=y>2</a>");
    assert_eq!(links(&inside), ["Page /other/x", "Page /other/y"]);
    let outside = facts(
        "text/html",
        b"<base href='//evil.test/'><a href=x>1</a><a href='http://site.test/back'>2</a><form action=send>",
    );
    assert_eq!(links(&outside), ["Page /back"]);
    let external: Vec<String> = outside.external.iter().map(Url::to_string).collect();
    assert_eq!(external, ["http://evil.test/x", "http://evil.test/send"]);
    assert_eq!(links(&facts("text/html", b"<base href='data:x'><a href=y>2</a>")), ["Page /dir/y"]);
}

#[test]
fn forms_are_told_with_their_fields() {
    let facts = facts(
        "text/html",
        b"<input name=outside><form method=POST action=/login><input name=user><input type=Password name=pass><input type=submit>\
          <select name=s></select><textarea name=t></textarea><button name=b></button></form><form><input name=q type=search></form>",
    );
    let field = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let login = Form {
        action: Url::parse("http://site.test/login").unwrap(),
        method: FormMethod::Post,
        fields: vec![
            field("user", "text"),
            field("pass", "password"),
            field("s", "select"),
            field("t", "textarea"),
            field("b", "button"),
        ],
    };
    let search = Form {
        action: Url::parse("http://site.test/dir/page").unwrap(),
        method: FormMethod::Get,
        fields: vec![field("q", "search")],
    };
    assert_eq!(facts.forms, [login, search]);
}

#[test]
fn scripts_sheets_and_data_are_read_by_their_kind() {
    assert_eq!(links(&facts("application/javascript", b"get('/a')")), ["Script /a"]);
    assert_eq!(
        links(&facts("text/css", b"@import 'b.css';i{background:url(c.png)}")),
        ["Resource /dir/b.css", "Media /dir/c.png"]
    );
    assert_eq!(links(&facts("application/hal+json", br#"{"href": "/d"}"#)), ["Script /d"]);
    assert_eq!(links(&at("http://site.test/x.js", "", b"get('/a')")), ["Script /a"]);
    assert_eq!(links(&facts("", b"  <a href=/e>")), ["Page /e"]);
    assert_eq!(links(&facts("image/png", b"<a href=/e>")), Vec::<String>::new());
    assert_eq!(
        facts("text/html; charset=latin1", b"<title>caf\xe9</title>").title.as_deref(),
        Some("caf\u{e9}")
    );
}

#[test]
fn a_page_is_read_up_to_its_bounds() {
    let many = "<a href=/x>".repeat(MOST_REFERENCES + 10);
    assert_eq!(facts("text/html", many.as_bytes()).links.len(), MOST_REFERENCES);
    let long = format!("<title>{}</title><a href='/{}'>", "t".repeat(10_000), "u".repeat(LONGEST_URL));
    let facts = facts("text/html", long.as_bytes());
    assert_eq!((facts.title.unwrap().len(), facts.links.len()), (256, 0));
}

/// Texts on which a search that starts over at every turn would take hours.
#[test]
fn texts_that_never_end_what_they_begin_are_read_once() {
    for piece in [
        "(/[",
        "url(",
        "url('",
        "@import '",
        "\"",
        "`${",
        "<",
        "<a href='",
        "<!--",
        "<script>",
        "&",
        "/*",
        "{\"a\":",
    ] {
        let body = piece.repeat((512 << 10) / piece.len());
        for content_type in ["text/html", "text/css", "text/javascript", "application/json"] {
            facts(content_type, body.as_bytes());
        }
        crate::crawl::sitemap::parse(format!("<{body}").as_bytes(), true, 1 << 20);
    }
}

proptest! {
    #[test]
    fn any_body_is_read(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        markup in "(<(a|base|form|script|style|meta|title|img|input|!--)|( href| src| srcset| style| onload| content)=|[\"'>/=<;,]|//evil|/p|url\\(| |\u{0}|\u{e9}|-->|</script>){0,60}",
        kind in prop::sample::select(vec!["text/html", "text/css", "text/javascript", "application/json", "text/xml", "", "x"]),
    ) {
        for body in [&bytes[..], markup.as_bytes()] {
            let facts = facts(kind, body);
            for link in &facts.links {
                prop_assert_eq!(link.url.host_str(), Some("site.test"));
                prop_assert_eq!(link.url.scheme(), "http");
            }
        }
    }
}

//! The page: what it says, and that nothing on it acts.

use base64::Engine as _;
use html5gum::{Token, Tokenizer};
use report::Format;
use sha2::{Digest as _, Sha256};

use crate::{estate::Estate, reports::report};

/// A start tag and its attributes.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Elements that have no end.
const VOID: [&str; 5] = ["meta", "link", "input", "br", "hr"];
/// All elements the page is made of.
const ELEMENTS: [&str; 60] = [
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "script",
    "body",
    "a",
    "header",
    "main",
    "footer",
    "nav",
    "section",
    "article",
    "div",
    "p",
    "span",
    "b",
    "i",
    "small",
    "code",
    "pre",
    "mark",
    "h1",
    "h2",
    "h3",
    "h4",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "figure",
    "figcaption",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "form",
    "fieldset",
    "legend",
    "label",
    "input",
    "button",
    "svg",
    "defs",
    "pattern",
    "path",
    "rect",
    "circle",
    "text",
    "br",
    "hr",
];

/// Parses the page, insisting on balanced elements.
fn elements(page: &str) -> (Vec<Element>, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut elements, mut open, mut content) = (Vec::new(), Vec::<String>::new(), String::new());
    for token in Tokenizer::new(page) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                if !tag.self_closing && !VOID.contains(&name.as_str()) {
                    open.push(name.clone());
                }
                let attributes =
                    tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                elements.push(Element { name, attributes });
            }
            Token::EndTag(tag) => assert_eq!(open.pop(), Some(text(&tag.name)), "an end that does not fit"),
            Token::String(string) => content.push_str(&text(&string)),
            Token::Comment(comment) => panic!("a comment: {comment:?}"),
            Token::Doctype(_) => {}
            Token::Error(error) => panic!("not well-formed: {error:?}"),
        }
    }
    assert_eq!(open, Vec::<String>::new(), "elements left open");
    (elements, content)
}

/// Only our elements and attributes, the script and the style that the policy names, and links that only lead to the web.
pub(crate) fn is_inert(page: &str) {
    let (elements, _) = elements(page);
    let policy = elements.iter().find(|element| element.attribute("http-equiv").is_some()).unwrap();
    let policy = policy.attribute("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let start = format!("<{element}>");
        assert_eq!(page.matches(&start).count(), 1);
        let content = page.split(&start).nth(1).unwrap().split(&format!("</{element}>")).next().unwrap();
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content.as_bytes()));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{element}: {policy}");
    }
    for element in &elements {
        assert!(ELEMENTS.contains(&element.name.as_str()), "an element <{}>", element.name);
        for (name, value) in &element.attributes {
            assert!(
                !name.starts_with("on") && name != "style" && name != "src" && name != "srcdoc",
                "{name}={value:?}"
            );
            if name == "href" {
                let inside = value.starts_with('#')
                    || element.name == "link" && value.starts_with("data:image/svg+xml,");
                let outside = value.starts_with("http://") || value.starts_with("https://");
                assert!(inside || outside && element.name == "a", "{name}={value:?}");
                assert!(
                    !outside || element.attribute("rel") == Some("noopener noreferrer nofollow"),
                    "{value:?}"
                );
            }
        }
    }
    let mut ids: Vec<_> = elements.iter().filter_map(|element| element.attribute("id")).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id twice");
    for target in elements.iter().filter_map(|element| element.attribute("href")?.strip_prefix('#')) {
        assert!(ids.contains(&target), "#{target} leads nowhere");
    }
}

#[test]
fn the_page_says_what_matters_and_proves_it() {
    let page = report(Format::Html, &Estate::full());
    is_inert(&page);
    let (_, content) = elements(&page);
    for text in [
        "3 things to fix today",
        "Seen in 5 places. 5 more to plan for, and 2 facts worth knowing.",
        "42 looks could not find out.",
        "Redis answers without a password",
        "printf 'INFO\\r\\n' | nc -w 5 cache.shop.test 6379",
        "git@code.shop.test:shop/storefront.git",
        "The account balances, in all and for each of 130 checks.",
        "port 993 was not answered in 3 attempts",
        "checks/custom/login-spray.yaml:14",
        "Dana Reyes, head of infrastructure, ticket SEC-412",
        "5 of 8 places are shown with evidence.",
        "1,000, 200 to one host",
    ] {
        assert!(content.contains(text), "not on the page: {text}");
    }
    assert!(page.contains("<mark>redis_version:7.0.15</mark>"));
    assert!(page.contains("aria-label=\"Findings: 1 critical, 4 high, 11 medium, 3 low, 5 info\""));
    let (first, second) = (page.find("id=\"first\"").unwrap(), page.find("id=\"findings\"").unwrap());
    assert!(first < second);
}

#[test]
fn nothing_found_says_what_was_looked_at() {
    let page = report(Format::Html, &Estate::empty());
    is_inert(&page);
    let (_, content) = elements(&page);
    assert!(content.contains("Nothing found"));
    assert!(content.contains("No check matched in 3,237 looks by 130 checks."));
    assert!(content.contains("not proof that nothing is wrong"));
    assert!(!content.to_lowercase().contains("safe"), "a scan cannot know that");
    assert!(page.find("id=\"account\"").unwrap() < page.find("id=\"inventory\"").unwrap());
}

#[test]
fn what_keeps_a_verdict_from_being_whole_is_said_at_the_top() {
    let mut estate = Estate::full();
    estate.summary.complete = false;
    estate.summary.incomplete_because = Some("stopped by Ctrl-C".into());
    estate.summary.ledger.plan(&model::CheckId::new("late"), 3);
    let page = report(Format::Html, &estate);
    let hero = &page[..page.find("<main").unwrap()];
    assert!(hero.contains("The scan did not finish: stopped by Ctrl-C."), "{hero}");
    assert!(hero.contains("The account does not balance"), "{hero}");
    assert!(page.contains("class=\"unbalanced\"") && !page.contains("class=\"balanced\""));
}

#[test]
fn a_page_of_many_findings_stays_small_and_says_what_it_leaves_out() {
    let mut estate = Estate::full();
    estate.findings = Estate::many(10_000).collect();
    let page = report(Format::Html, &estate);
    is_inert(&page);
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    let (_, content) = elements(&page);
    assert!(
        content.contains(
            "5 of 1,000 places are shown with evidence, 300 by name; 695 more are not on this page."
        )
    );
    assert!(content.contains("The 200 worst of 997 hosts are shown."));
    assert!(content.contains("10 problems in 10,000 places"));
}

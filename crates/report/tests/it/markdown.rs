//! Markdown as a code host renders it.

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};
use report::Format;

use crate::{estate::Estate, reports::report};

#[test]
fn a_ticket_begins_with_what_to_do() {
    let text = report(Format::Markdown, &Estate::full());
    assert!(
        text.starts_with(
            "# 3 things to fix today\n\nSeen in 5 places. 5 more to plan for, and 2 facts worth knowing.\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("1. **critical**: Redis answers without a password at `cache.shop.test:6379`."),
        "{text}"
    );
    assert!(text.contains("```text\nGET /.git/config HTTP/1.1\n"), "{text}");
    assert!(text.contains("**Where** (8 places):"));
    is_inert(&text);
}

#[test]
fn nothing_found_is_not_all_is_well() {
    let text = report(Format::Markdown, &Estate::empty());
    assert!(text.starts_with("# Nothing found\n"), "{text}");
    assert!(text.contains("not proof that nothing is wrong"), "{text}");
    assert!(text.contains("| not matched |") && text.contains("## Services (8)"), "{text}");
}

/// No HTML, no images, no links but the references in angle brackets, no heading that is not ours.
pub(crate) fn is_inert(text: &str) {
    let mut heading = String::new();
    let mut in_heading = false;
    for event in Parser::new_ext(
        text,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS,
    ) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => panic!("HTML: {html:?}"),
            Event::Start(Tag::Image { dest_url, .. }) => panic!("an image: {dest_url:?}"),
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                assert_eq!(link_type, LinkType::Autolink, "a link to {dest_url:?}");
                assert!(
                    dest_url.starts_with("http://") || dest_url.starts_with("https://"),
                    "a link to {dest_url:?}"
                );
            }
            Event::Start(Tag::Heading { .. }) => {
                in_heading = true;
                heading.clear();
            }
            Event::End(pulldown_cmark::TagEnd::Heading(level)) => {
                in_heading = false;
                let ours = ["What matters first", "Findings", "Services (", "What was looked at", "Scope"];
                let severity = ["critical: ", "high: ", "medium: ", "low: ", "info: ", "unknown: "];
                match level as usize {
                    1 => {}
                    2 => {
                        assert!(ours.iter().any(|start| heading.starts_with(start)), "a heading {heading:?}")
                    }
                    3 => assert!(
                        severity.iter().any(|start| heading.starts_with(start.trim_end())),
                        "a heading {heading:?}"
                    ),
                    level => panic!("a heading of level {level}: {heading:?}"),
                }
            }
            Event::Text(text) | Event::Code(text) if in_heading => heading.push_str(&text),
            _ => {}
        }
    }
}

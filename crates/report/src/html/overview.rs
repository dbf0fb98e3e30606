//! What a reader sees first: the verdict, its size, and what to begin with.

use std::io;

use model::{Severity, Summary};

use super::{
    charts,
    markup::{line, put, short},
};
use crate::{
    digest::Digest,
    verdict::verdict,
    words::{between, counted, moment},
};

/// Problems named on top.
const TOP: usize = 5;

pub(super) fn header(summary: &Summary, digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    let verdict = verdict(summary, digest);
    put!(
        out,
        "<header class=\"hero\">\n<svg class=\"wall\" aria-hidden=\"true\" width=\"100%\" height=\"14\">"
    );
    put!(out, "<defs><pattern id=\"merlons\" width=\"36\" height=\"14\" patternUnits=\"userSpaceOnUse\">");
    put!(out, "<path d=\"M0 0h20v8h16v6H0z\"/></pattern></defs>");
    put!(out, "<rect width=\"100%\" height=\"14\" fill=\"url(#merlons)\"/></svg>\n<div class=\"wide\">\n");
    put!(
        out,
        "<p class=\"eyebrow\"><b>Rampart</b><span>",
        line(&moment(summary.started_at)),
        "</span><span>"
    );
    put!(
        out,
        short(&targets(summary), 90),
        "</span></p>\n<div class=\"lead\">\n<div class=\"verdict\">\n<h1>"
    );
    if let Some(number) = &verdict.number {
        let worst = digest.groups.first().map_or(Severity::Unknown, |group| group.severity);
        put!(out, "<span class=\"number ", worst.as_str(), "\">", line(number), "</span> ");
    }
    put!(out, verdict.headline, "</h1>\n<p class=\"explanation\">", line(&verdict.explanation), "</p>\n");
    if !verdict.reservations.is_empty() {
        put!(out, "<div class=\"reservations\" role=\"note\"><p><b>Not everything could be seen.</b> ");
        for reservation in &verdict.reservations {
            put!(out, short(reservation, 400), " ");
        }
        put!(out, "<a href=\"#account\">What could not be looked at</a></p></div>\n");
    }
    put!(out, "</div>\n<figure class=\"severities\">\n");
    charts::ring(digest, out)?;
    if digest.findings > 0 {
        put!(out, "<figcaption><ul class=\"legend\">\n");
        for severity in Severity::DESCENDING.into_iter().filter(|severity| digest.count(*severity) > 0) {
            put!(
                out,
                "<li><i class=\"dot ",
                severity.as_str(),
                "\"></i><b>",
                digest.count(severity),
                "</b> "
            );
            put!(out, severity.as_str(), "</li>\n");
        }
        put!(out, "</ul></figcaption>\n");
    }
    put!(out, "</figure>\n</div>\n");
    facts(summary, out)?;
    put!(out, "</div>\n</header>\n");
    navigation(digest, out)
}

/// The targets in a few words.
fn targets(summary: &Summary) -> String {
    match (summary.targets.as_slice(), summary.target_count) {
        ([only], 1) => only.clone(),
        ([first, ..], count) if count > 1 => {
            format!("{first} and {}", counted(count - 1, "more target", "more targets"))
        }
        (_, count) => counted(count, "target", "targets"),
    }
}

fn facts(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let asset = |kind: &str| summary.assets.get(kind).copied().unwrap_or_default();
    let total = summary.ledger.total();
    put!(out, "<dl class=\"numbers\">\n");
    for (label, number) in [
        ("hosts", asset("host")),
        ("services", asset("service")),
        ("names", asset("domain")),
        ("pages", asset("page")),
        ("checks", summary.checks as u64),
        ("looks", total.matched + total.not_matched),
    ] {
        put!(out, "<div><dt>", label, "</dt><dd>", number, "</dd></div>\n");
    }
    put!(
        out,
        "<div><dt>took</dt><dd>",
        line(&between(summary.started_at, summary.ended_at)),
        "</dd></div>\n</dl>\n"
    );
    Ok(())
}

fn navigation(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<nav class=\"bar-nav\" aria-label=\"Sections\"><ul class=\"wide\">\n");
    if digest.findings > 0 {
        put!(out, "<li><a href=\"#first\">First</a></li><li><a href=\"#hosts\">Hosts</a></li>");
        put!(out, "<li><a href=\"#findings\">Findings</a></li>");
    }
    let inventory = "<li><a href=\"#inventory\">Inventory</a></li>";
    let account = "<li><a href=\"#account\">Account</a></li>";
    // In the order of the sections: an empty report opens with what was looked at.
    let (next, last) = if digest.findings > 0 { (inventory, account) } else { (account, inventory) };
    put!(out, next, last);
    put!(out, "<li><a href=\"#scope\">Scope</a></li>\n</ul></nav>\n");
    Ok(())
}

/// What to begin with.
pub(super) fn first(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<section id=\"first\" aria-labelledby=\"first-title\">\n<h2 id=\"first-title\">What matters first</h2>\n"
    );
    put!(out, "<ol class=\"first\">\n");
    for (index, group) in digest.groups.iter().take(TOP).enumerate() {
        put!(
            out,
            "<li class=\"card edge ",
            group.severity.as_str(),
            "\"><span class=\"rank\" aria-hidden=\"true\">"
        );
        put!(out, (index + 1) as u64, "</span>\n<div><p class=\"name\"><a href=\"#f", index as u64, "\">");
        put!(
            out,
            short(&group.name, 200),
            "</a></p>\n<p class=\"where\"><code>",
            short(&group.first_place, 110),
            "</code>"
        );
        if group.places > 1 {
            put!(out, " and ", line(&counted(group.places - 1, "more place", "more places")));
        }
        put!(out, "</p>\n");
        if !group.remedy.is_empty() {
            put!(out, "<p class=\"remedy\"><b>Fix</b> ", short(&group.remedy, 240).with_code(), "</p>\n");
        }
        put!(
            out,
            "</div>\n<p class=\"tags\"><span class=\"pill ",
            group.severity.as_str(),
            "\">",
            group.severity.as_str()
        );
        put!(out, "</span><span class=\"sure\">", group.confidence.as_str(), "</span></p></li>\n");
    }
    put!(out, "</ol>\n");
    if digest.groups.len() > TOP {
        put!(
            out,
            "<p class=\"more\"><a href=\"#findings\">All ",
            digest.groups.len() as u64,
            " problems</a></p>\n"
        );
    }
    put!(out, "</section>\n");
    Ok(())
}

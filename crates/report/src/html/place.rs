//! One place of a finding: where exactly, what was seen, how to see it again.

use std::io;

use model::{Evidence, Finding, Location};

use super::markup::{Link, block, line, put, short};
use crate::{
    evidence::{Stretch, excerpt},
    words::counted,
};

/// Bytes shown of a request and of a response.
const REQUEST: usize = 2_500;
const RESPONSE: usize = 5_000;
/// Exchanges shown of one finding.
const EXCHANGES: usize = 4;
/// Extracted values shown.
const VALUES: usize = 12;
/// Characters of an extracted value.
const VALUE: usize = 200;
/// Characters of a command. Longer ones would not be typed, and are in the JSON report.
const COMMAND: usize = 4_000;

/// With evidence. The first exchange is unfolded when `open`.
pub(super) fn exhibit(finding: &Finding, open: bool, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<div class=\"place\">\n<p class=\"at\">");
    at(finding, out)?;
    put!(out, "</p>\n");
    identity(finding, out)?;
    extracted(finding, out)?;
    put!(
        out,
        "<div class=\"again\"><p class=\"label\">See it again</p><pre class=\"command\" tabindex=\"0\"><code>"
    );
    put!(out, short(&finding.reproduce, COMMAND), "</code></pre></div>\n");
    if !finding.evidence.is_empty() {
        put!(
            out,
            "<details class=\"plain evidence\"",
            if open { " open" } else { "" },
            "><summary>Evidence</summary>\n"
        );
        for evidence in finding.evidence.iter().take(EXCHANGES) {
            exchange(evidence, out)?;
        }
        let more = finding.evidence.len().saturating_sub(EXCHANGES) as u64;
        if more > 0 {
            put!(out, "<p class=\"note\">", line(&counted(more, "more exchange is", "more exchanges are")));
            put!(out, " in the JSON report.</p>\n");
        }
        put!(out, "</details>\n");
    }
    put!(out, "</div>\n");
    Ok(())
}

/// On one line.
pub(super) fn listed(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<li>");
    at(finding, out)?;
    put!(out, " ");
    extracted(finding, out)?;
    put!(out, "</li>\n");
    Ok(())
}

fn at(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    let place = finding.location.to_string();
    match &finding.location {
        Location::Url(_) => put!(out, Link(&place)),
        Location::Domain(_) | Location::Service(_) => put!(out, short(&place, 300)),
    }
    if let Some(matcher) = &finding.matcher {
        put!(out, " <span class=\"chip\">", short(matcher, 80), "</span>");
    }
    Ok(())
}

/// By what the same finding is known in every report, and the machines it was seen on.
fn identity(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<p class=\"note\">Fingerprint <code>", line(&finding.fingerprint.to_string()), "</code>");
    for (index, address) in finding.addresses.iter().take(VALUES).enumerate() {
        put!(out, if index == 0 { ", seen at " } else { ", " }, line(&address.to_string()));
    }
    put!(out, "</p>\n");
    Ok(())
}

fn extracted(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    if finding.extracted.is_empty() {
        return Ok(());
    }
    put!(out, "<span class=\"values\">");
    let mut values =
        finding.extracted.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    for (name, value) in values.by_ref().take(VALUES) {
        put!(out, "<span class=\"value\">");
        if !name.is_empty() {
            put!(out, "<i>", short(name, 60), "</i> ");
        }
        put!(out, short(value, VALUE), "</span> ");
    }
    let more = values.count() as u64;
    if more > 0 {
        put!(out, "<span class=\"cut\">and ", more, " more</span>");
    }
    put!(out, "</span>\n");
    Ok(())
}

fn exchange(evidence: &Evidence, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<div class=\"exchange\">\n");
    if !evidence.request.trim().is_empty() {
        put!(out, "<figure><figcaption>Request</figcaption><pre tabindex=\"0\">");
        stretches(&evidence.request, &[], REQUEST, out)?;
        put!(out, "</pre></figure>\n");
    }
    put!(out, "<figure><figcaption>Response");
    if evidence.truncated {
        put!(out, " <span>kept in part</span>");
    }
    put!(out, "</figcaption><pre tabindex=\"0\">");
    if evidence.response.is_empty() {
        put!(out, "<span class=\"cut\">(empty)</span>");
    } else {
        stretches(&evidence.response, &evidence.matched, RESPONSE, out)?;
    }
    put!(out, "</pre></figure>\n");
    let elsewhere: Vec<&String> = evidence
        .matched
        .iter()
        .filter(|piece| !piece.is_empty() && !evidence.response.contains(piece.as_str()))
        .collect();
    if !elsewhere.is_empty() {
        put!(out, "<p class=\"matched\">Matched ");
        for piece in elsewhere.iter().take(VALUES) {
            put!(out, "<mark>", short(piece, VALUE), "</mark> ");
        }
        put!(out, "</p>\n");
    }
    put!(out, "</div>\n");
    Ok(())
}

fn stretches(text: &str, matched: &[String], budget: usize, out: &mut dyn io::Write) -> io::Result<()> {
    // A newline directly after <pre> is dropped by parsers: one more keeps the text's own.
    put!(out, "\n");
    for stretch in excerpt(text, matched, budget) {
        match stretch {
            Stretch::Plain(part) => put!(out, block(part)),
            Stretch::Matched(part) => put!(out, "<mark>", block(part), "</mark>"),
            Stretch::LeftOut(bytes) => {
                put!(
                    out,
                    "<span class=\"gap\">",
                    line(&counted(bytes as u64, "byte", "bytes")),
                    " left out</span>"
                );
            }
        }
    }
    Ok(())
}

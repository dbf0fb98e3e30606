//! Findings grouped by check: what it is, how to fix it, where it is, and the proof.

use std::io;

use model::{Finding, Severity};

use super::{
    markup::{Link, block, line, put, short},
    place,
};
use crate::{
    ReportError, Source,
    digest::{Digest, Group},
    verdict::URGENT,
    words::counted,
};

/// Places of one check that come with their evidence.
const EXHIBITS: u64 = 5;
/// Evidence on the page in all; findings come most severe first.
const EXHIBITS_IN_ALL: u64 = 1_500;
/// Further places of one check that are listed.
const LISTED: u64 = 300;
/// Places listed on the page in all.
const LISTED_IN_ALL: u64 = 20_000;
/// Problems that are open from the start.
const OPEN: usize = 2;
/// Problems on the page.
const GROUPS: usize = 3_000;
/// Characters of a text a template brings.
const PROSE: usize = 6_000;

/// What has been put on the page so far.
#[derive(Default)]
struct Shown {
    exhibits: u64,
    listed: u64,
    groups: usize,
}

/// The group that is being written.
struct Current<'a> {
    group: &'a Group,
    place: u64,
    exhibits: u64,
    listed: u64,
}

pub(super) fn write(
    source: &Source<'_>,
    digest: &Digest,
    out: &mut dyn io::Write,
) -> Result<(), ReportError> {
    put!(
        out,
        "<section id=\"findings\" aria-labelledby=\"findings-title\">\n<div class=\"titled\"><h2 id=\"findings-title\">"
    );
    put!(out, "Findings</h2><p>", line(&counted(digest.groups.len() as u64, "problem", "problems")), " in ");
    put!(out, line(&counted(digest.findings, "place", "places")), "</p></div>\n");
    filter(digest, out)?;
    let mut groups = digest.groups.iter();
    let mut shown = Shown::default();
    let mut current: Option<Current<'_>> = None;
    for finding in (source.findings)()? {
        let finding = finding?;
        if !current.as_ref().is_some_and(|current| current.group.holds(&finding)) {
            if let Some(ended) = current.take() {
                end(&ended, out)?;
            }
            let Some(group) = groups.next().filter(|_| shown.groups < GROUPS) else { break };
            begin(group, shown.groups, &finding, out)?;
            shown.groups += 1;
            current = Some(Current { group, place: 0, exhibits: 0, listed: 0 });
        }
        if let Some(current) = &mut current {
            add(&finding, current, &mut shown, out)?;
        }
    }
    if let Some(ended) = current.take() {
        end(&ended, out)?;
    }
    let left = digest.groups.len() - shown.groups;
    if left > 0 {
        put!(out, "<p class=\"note\">", line(&counted(left as u64, "more problem is", "more problems are")));
        put!(out, " in the JSON, SARIF and CSV reports.</p>\n");
    }
    put!(out, "<p class=\"note\" id=\"none-left\" hidden>No problem fits the search.</p>\n</section>\n");
    Ok(())
}

/// Severities by check boxes that need no script; text search, which does, stays hidden without it.
fn filter(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<form class=\"filter\" aria-label=\"Filter findings\">\n<fieldset><legend class=\"unseen\">Severity</legend>\n"
    );
    for severity in Severity::DESCENDING.into_iter().filter(|severity| digest.count(*severity) > 0) {
        let problems = digest.groups.iter().filter(|group| group.severity == severity).count() as u64;
        put!(
            out,
            "<label class=\"toggle ",
            severity.as_str(),
            "\"><input type=\"checkbox\" checked id=\"show-"
        );
        put!(
            out,
            severity.as_str(),
            "\"><span>",
            severity.as_str(),
            " <b>",
            problems,
            "</b></span></label>\n"
        );
    }
    put!(
        out,
        "</fieldset>\n<div class=\"needs-script\" hidden><input type=\"search\" id=\"search\" placeholder=\"Search findings\" "
    );
    put!(out, "aria-label=\"Search findings\" autocomplete=\"off\" spellcheck=\"false\">\n");
    put!(out, "<button type=\"button\" id=\"unfold\">Open all</button></div>\n</form>\n");
    Ok(())
}

fn begin(group: &Group, index: usize, finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    let severity = group.severity.as_str();
    let open = index < OPEN && URGENT.contains(&group.severity);
    put!(
        out,
        "<article class=\"check card edge ",
        severity,
        "\"><details",
        if open { " open" } else { "" },
        ">\n<summary>"
    );
    put!(
        out,
        "<span class=\"pill ",
        severity,
        "\">",
        severity,
        "</span><h3>",
        short(&finding.name, 300),
        "</h3>"
    );
    put!(
        out,
        "<span class=\"count\">",
        line(&counted(group.places, "place", "places")),
        "</span></summary>\n"
    );
    put!(
        out,
        "<div class=\"body\" id=\"f",
        index as u64,
        "\">\n<div class=\"about\">\n<div class=\"prose\">\n"
    );
    paragraphs("What it is", &finding.description, out)?;
    paragraphs("What it leads to", &finding.impact, out)?;
    put!(out, "</div>\n<div class=\"fix\">\n");
    if finding.remediation.trim().is_empty() {
        put!(out, "<h4>How to fix</h4>\n<p>The check does not say; see what to read below.</p>\n");
    } else {
        paragraphs("How to fix", &finding.remediation, out)?;
    }
    put!(out, "</div>\n</div>\n");
    facts(finding, out)?;
    put!(
        out,
        "<h4>Where <span class=\"count\">",
        line(&counted(group.places, "place", "places")),
        "</span></h4>\n"
    );
    Ok(())
}

fn paragraphs(title: &'static str, text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    if text.trim().is_empty() {
        return Ok(());
    }
    put!(out, "<h4>", title, "</h4>\n");
    let (kept, left_out) = crate::visible::beginning(text.trim(), PROSE);
    for paragraph in kept.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        put!(out, "<p>", block(paragraph.trim()).with_code(), "</p>\n");
    }
    if left_out > 0 {
        put!(out, "<p class=\"cut\">… ", left_out as u64, " more characters</p>\n");
    }
    Ok(())
}

fn facts(finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    let class = &finding.classification;
    put!(
        out,
        "<dl class=\"facts\">\n<div><dt>Check</dt><dd><code>",
        short(finding.check.as_str(), 200),
        "</code></dd></div>\n"
    );
    put!(out, "<div><dt>Confidence</dt><dd>", finding.confidence.as_str(), "</dd></div>\n");
    if !class.cve.is_empty() || !class.cwe.is_empty() {
        put!(out, "<div><dt>Listed as</dt><dd>");
        chips(class.cve.iter().chain(&class.cwe), out)?;
        put!(out, "</dd></div>\n");
    }
    if let Some(score) = class.cvss_score {
        put!(out, "<div><dt>CVSS</dt><dd>", line(&format!("{score:.1}")));
        if let Some(metrics) = &class.cvss_metrics {
            put!(out, " <code>", short(metrics, 120), "</code>");
        }
        put!(out, "</dd></div>\n");
    } else if let Some(metrics) = &class.cvss_metrics {
        put!(out, "<div><dt>CVSS</dt><dd><code>", short(metrics, 120), "</code></dd></div>\n");
    }
    if !finding.tags.is_empty() {
        put!(out, "<div><dt>Tags</dt><dd>");
        chips(finding.tags.iter(), out)?;
        put!(out, "</dd></div>\n");
    }
    if !finding.references.is_empty() {
        put!(out, "<div class=\"read\"><dt>Read on</dt><dd><ul>");
        for reference in finding.references.iter().take(30) {
            put!(out, "<li>", Link(reference), "</li>");
        }
        put!(out, "</ul></dd></div>\n");
    }
    put!(out, "</dl>\n");
    Ok(())
}

fn chips<'a>(values: impl Iterator<Item = &'a String>, out: &mut dyn io::Write) -> io::Result<()> {
    for value in values.take(30) {
        put!(out, "<span class=\"chip\">", short(value, 80), "</span> ");
    }
    Ok(())
}

fn add(
    finding: &Finding,
    current: &mut Current<'_>,
    shown: &mut Shown,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    current.place += 1;
    if current.listed == 0 && current.exhibits < EXHIBITS && shown.exhibits < EXHIBITS_IN_ALL {
        place::exhibit(finding, current.place == 1, out)?;
        current.exhibits += 1;
        shown.exhibits += 1;
    } else if current.listed < LISTED && shown.listed < LISTED_IN_ALL {
        if current.listed == 0 {
            put!(out, "<details class=\"plain others\"><summary>");
            put!(
                out,
                line(&counted(current.group.places - current.exhibits, "more place", "more places")),
                "</summary>\n<ul>\n"
            );
        }
        place::listed(finding, out)?;
        current.listed += 1;
        shown.listed += 1;
    }
    Ok(())
}

fn end(current: &Current<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    if current.listed > 0 {
        put!(out, "</ul></details>\n");
    }
    let places = current.group.places;
    if current.exhibits < places {
        put!(out, "<p class=\"note\">", current.exhibits, " of ", places, " places are shown with evidence");
        let unseen = places.saturating_sub(current.exhibits + current.listed);
        if unseen > 0 {
            put!(out, ", ", current.listed, " by name; ", unseen, " more are not on this page");
        }
        put!(out, ". The JSON report has every one with its evidence.</p>\n");
    }
    put!(out, "</div>\n</details></article>\n");
    Ok(())
}
